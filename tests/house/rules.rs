//! The rules, each as a function from what there is to what breaks it.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// The layers of the map, lowest first.
const LAYERS: [&str; 5] = ["pure", "adapters", "stages", "shell", "beside"];

/// Imports that the map doesn't allow and that are right all the same, each with why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "journal",
    "provider",
    "an AttemptTicket carries the very PlaceOrder that was committed: what is sent has no second shape",
)];

/// One line of the map in `src/lib.rs`.
pub(crate) struct Entry {
    layer: String,
    may_import: BTreeSet<String>,
}

/// The map: every top-level module with its layer and what it may import.
pub(crate) type Map = BTreeMap<String, Entry>;

/// Reads the map: the table in the docs of `src/lib.rs`.
pub(crate) fn read_map(lib: &str) -> Map {
    let mut map = Map::new();
    let mut layer = String::new();
    for line in lib.lines().filter_map(|line| line.strip_prefix("//! |")) {
        let cells: Vec<_> = line.split('|').map(|cell| cell.trim().replace(['[', ']', '`'], "")).collect();
        let [named, module, _, may_import, ..] = cells.as_slice() else { continue };
        if module == "module" || module.starts_with("---") {
            continue;
        }
        if !named.is_empty() {
            layer.clone_from(named);
        }
        let words = may_import.split(',').map(|word| word.trim().to_owned());
        let may_import = words.filter(|word| word != "nothing").collect();
        map.insert(module.clone(), Entry { layer: layer.clone(), may_import });
    }
    map
}

/// What differs between the map and the modules that `src/lib.rs` declares.
pub(crate) fn map_against_tree(map: &Map, modules: &BTreeSet<String>) -> Vec<String> {
    let mapped: BTreeSet<_> = map.keys().cloned().collect();
    let missing = modules.difference(&mapped).map(|name| format!("{name} is not on the map in src/lib.rs"));
    let gone =
        mapped.difference(modules).map(|name| format!("{name} is on the map, and there is no such module"));
    missing.chain(gone).collect()
}

/// What the map allows that the plan doesn't: lower layers know no higher ones, stages don't know each other.
pub(crate) fn map_against_plan(map: &Map) -> Vec<String> {
    let mut wrong = Vec::new();
    for (module, entry) in map {
        if !LAYERS.contains(&entry.layer.as_str()) {
            wrong.push(format!("{module} is in the layer {:?}, which there isn't", entry.layer));
        }
        for target in &entry.may_import {
            let layer = map.get(target).map_or(target.as_str(), |entry| entry.layer.as_str());
            let to_inbox = target == "inbox" && ["intake", "settle"].contains(&module.as_str());
            let allowed = match entry.layer.as_str() {
                "pure" => layer == "pure",
                "adapters" => ["pure", "adapters"].contains(&layer),
                "stages" => ["pure", "adapters"].contains(&layer) || to_inbox,
                "beside" => ["types", "clock"].contains(&target.as_str()),
                // The daemon is wired in one place; what looks at it from outside may know it.
                _ => module == "cli" || target == "daemon" || ["pure", "adapters", "stages"].contains(&layer),
            };
            let kept_apart =
                module == "provider" && ["order", "journal", "pure", "adapters"].contains(&target.as_str());
            if !allowed || kept_apart || module == "types" {
                wrong.push(format!("the map lets {module} import {target}"));
            }
        }
    }
    wrong
}

/// Imports between top-level modules that the map doesn't allow, and exceptions that nothing needs.
pub(crate) fn imports(map: &Map, sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources {
        let from = source.module();
        for path in source.paths() {
            let Some(to) = imported(source, &path.segments) else { continue };
            if to == from || !map.contains_key(to) || allows(map, from, to) {
                continue;
            }
            if EXCEPTIONS.iter().any(|(module, target, _)| (*module, *target) == (from, to)) {
                used.insert((from.to_owned(), to.to_owned()));
            } else {
                wrong.push(format!("{}:{}: {from} must not import {to}", source.path, path.line));
            }
        }
    }
    for (from, to, _) in EXCEPTIONS {
        let is_there = sources.iter().any(|source| source.module() == *from);
        if is_there && !used.contains(&((*from).to_owned(), (*to).to_owned())) {
            wrong.push(format!("the exception {from} to {to} isn't needed any more"));
        }
    }
    wrong
}

/// The top-level module that a path leads to, if it leads out of its own file's.
fn imported<'p>(source: &Source, segments: &'p [String]) -> Option<&'p str> {
    let supers = segments.iter().take_while(|segment| *segment == "super").count();
    let at = match segments.first()?.as_str() {
        "crate" => 1,
        "super" if supers >= source.depth() => supers,
        _ => return None,
    };
    segments.get(at).map(String::as_str)
}

fn allows(map: &Map, from: &str, to: &str) -> bool {
    let (Some(entry), Some(target)) = (map.get(from), map.get(to)) else { return true };
    [to, target.layer.as_str(), "everything"].iter().any(|word| entry.may_import.contains(*word))
}

/// What a module of the layer `pure` touches that isn't pure.
pub(crate) fn purity(map: &Map, sources: &[Source]) -> Vec<String> {
    let impure = |segments: &[String]| {
        let words: Vec<_> = segments.iter().map(String::as_str).collect();
        matches!(
            words[..],
            ["tokio" | "rusqlite" | "reqwest" | "tracing" | "notify", ..]
                | ["std", "fs" | "net" | "process" | "thread" | "env", ..]
                | ["std", "time", "Instant" | "SystemTime", ..]
                | ["Instant" | "SystemTime", "now", ..]
        )
    };
    let pure = |source: &&Source| map.get(source.module()).is_some_and(|entry| entry.layer == "pure");
    each_path(sources.iter().filter(pure), |_, path| impure(path).then(|| "is not pure".to_owned()))
}

/// The crates that belong to one technology, with the modules that may name them.
const HOMES: &[(&str, &[&str])] = &[
    ("rusqlite", &["journal"]),
    ("rusqlite_migration", &["journal"]),
    // The config reads addresses with the client's own parser: what passes there can be connected to.
    ("reqwest", &["provider", "config"]),
    ("hyper", &["provider"]),
    ("tower", &["provider"]),
    ("quick_xml", &["provider"]),
    ("notify", &["inbox"]),
    ("axum", &["simulator"]),
    ("clap", &["cli", "simulator"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("signal_hook", &["daemon"]),
    ("sd_notify", &["daemon"]),
    ("anyhow", &["cli", "daemon"]),
];

/// Technologies used outside their module.
pub(crate) fn homes(sources: &[Source]) -> Vec<String> {
    each_path(sources.iter(), |source, path| {
        let (name, modules) =
            HOMES.iter().find(|(name, _)| path.first().is_some_and(|first| first == name))?;
        // A crate and a module of ours may share a name.
        let is_module = path.len() == 1 || modules.contains(&source.module());
        (!is_module).then(|| format!("belongs into {}: {name}", modules.join(", ")))
    })
}

/// What one file alone may do, and which.
const BANNED: &[(&[&str], &str)] = &[
    (&["SystemTime", "now"], "src/clock.rs"),
    (&["Timestamp", "now"], "src/clock.rs"),
    (&["Zoned", "now"], "src/clock.rs"),
    (&["fs", "rename"], "src/durable.rs"),
    (&["fs", "renameat"], "src/durable.rs"),
    (&["fs", "renameat_with"], "src/durable.rs"),
    (&["fs", "fsync"], "src/durable.rs"),
    (&["process", "exit"], "src/main.rs"),
    (&["process", "abort"], "src/main.rs"),
    // Whoever silences the lint of these calls makes one of them.
    (&["clippy", "disallowed_methods"], "src/clock.rs"),
];

/// Methods that one file alone may call, and which.
const KEPT: &[(&str, &str)] = &[
    ("sync_all", "src/durable.rs"),
    ("sync_data", "src/durable.rs"),
    // Whoever says so has written the stamp.
    ("start_is_told", "src/daemon/older_copy.rs"),
];

/// Calls that only one file may make, made elsewhere.
pub(crate) fn banned(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources {
        for path in source.paths() {
            for (words, home) in BANNED.iter().filter(|(words, _)| path.holds(words)) {
                if source.path != *home {
                    let words = words.join("::");
                    wrong.push(format!("{}:{}: {words} belongs into {home} alone", source.path, path.line));
                }
            }
        }
        for (method, home) in KEPT.iter().filter(|(_, home)| source.path != *home) {
            for line in source.calls(method) {
                wrong.push(format!("{}:{line}: {method} belongs into {home} alone", source.path));
            }
        }
    }
    wrong
}

/// What opens a file.
const OPENERS: [&[&str]; 5] =
    [&["File", "open"], &["OpenOptions"], &["fs", "read"], &["fs", "copy"], &["open_regular"]];

/// Places in the journal that open a file by themselves, beside the two that look at it before SQLite has it: closing it
/// would give up SQLite's lock.
pub(crate) fn openers(sources: &[Source]) -> Vec<String> {
    let may = ["src/journal/damage.rs", "src/journal/wal.rs"];
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| source.module() == "journal") {
        for path in source.paths().into_iter().filter(|_| !may.contains(&source.path.as_str())) {
            if OPENERS.iter().any(|words| path.holds(words)) {
                wrong.push(format!("{}:{}: opens a file beside SQLite", source.path, path.line));
            }
        }
    }
    wrong
}

/// Callers of `Provider::place` beside `src/attempt.rs`. The simulator's model has a method of that name, of its own.
pub(crate) fn callers_of_place(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| source.module() != "simulator") {
        let by_path = source.paths().into_iter().filter(|path| path.holds(&["Provider", "place"]));
        let lines = by_path.map(|path| path.line).chain(source.calls("place"));
        let found: Vec<_> =
            lines.map(|line| format!("{}:{line}: calls Provider::place", source.path)).collect();
        match (source.path.as_str(), found.len()) {
            ("src/attempt.rs", 1) => {}
            ("src/attempt.rs", n) => {
                wrong.push(format!("src/attempt.rs calls Provider::place {n} times, not once"))
            }
            _ => wrong.extend(found),
        }
    }
    wrong
}

/// Lines of a file above which a reader is lost.
const LINES_MAX: usize = 600;
/// Lines above which a file is named, to be looked at.
const LINES_LONG: usize = 450;

/// Files that are too long; those that soon will be are printed.
pub(crate) fn lengths<'f>(files: impl IntoIterator<Item = (&'f str, usize)>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (path, lines) in files {
        if lines > LINES_MAX {
            wrong.push(format!("{path}: {lines} lines, more than {LINES_MAX}"));
        } else if lines > LINES_LONG {
            println!("{path}: {lines} lines");
        }
    }
    wrong
}

/// Paths of a machine that somebody works at, in a file's text.
pub(crate) fn places(path: &str, text: &str) -> Vec<String> {
    // Put together here, so that this file doesn't hold them.
    let needles = ["work", "tmp", "root", "home"].map(|name| format!("/{name}/"));
    let mut wrong = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for needle in &needles {
            // Behind a word it is a part of a longer path or of an address.
            let stands = line.match_indices(needle.as_str()).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                !before.is_some_and(|c| c.is_alphanumeric() || "-_.~}$".contains(c))
            });
            if stands {
                wrong.push(format!("{path}:{}: names {needle}", at + 1));
            }
        }
    }
    wrong
}

/// Tests that nobody runs.
pub(crate) fn left_out(path: &str, text: &str) -> Vec<String> {
    let ignored = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("#[ignore"));
    ignored.map(|(at, _)| format!("{path}:{}: an ignored test", at + 1)).collect()
}

fn each_path<'s>(
    sources: impl Iterator<Item = &'s Source>,
    judge: impl Fn(&Source, &[String]) -> Option<String>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources {
        for path in source.paths() {
            if let Some(verdict) = judge(source, &path.segments) {
                wrong.push(format!("{}:{}: {} {verdict}", source.path, path.line, path.segments.join("::")));
            }
        }
    }
    wrong
}
