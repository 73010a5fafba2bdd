//! The code keeps the rules, and each rule sees a planted violation.

use std::collections::BTreeSet;

use crate::rules::{self, Map};
use crate::source::{Source, files, sources, text};

fn map() -> Map {
    rules::read_map(&text("src/lib.rs"))
}

/// A file that breaks a rule.
fn planted(path: &str, code: &str) -> [Source; 1] {
    [Source::new(path, code)]
}

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[track_caller]
fn assert_seen(wrong: &[String], what: &str) {
    assert!(wrong.len() == 1 && wrong[0].contains(what), "{what:?} in {wrong:?}");
}

#[test]
fn the_map_shows_every_module_and_no_other() {
    let lib = text("src/lib.rs");
    let declared: BTreeSet<String> = lib
        .lines()
        .filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';').map(str::to_owned))
        .collect();
    assert!(declared.len() > 20, "{declared:?}");
    assert_none(&rules::map_against_tree(&map(), &declared));

    let mut more = declared.clone();
    more.insert("attic".to_owned());
    assert_seen(&rules::map_against_tree(&map(), &more), "attic is not on the map");
    more.remove("attic");
    more.remove("poll");
    assert_seen(&rules::map_against_tree(&map(), &more), "poll is on the map");
}

#[test]
fn every_module_in_the_tree_is_declared() {
    let lib = text("src/lib.rs");
    for source in sources().iter().filter(|source| !["main", "lib"].contains(&source.module())) {
        assert!(lib.contains(&format!("mod {};", source.module())), "{} is in no module", source.path);
    }
}

#[test]
fn the_map_keeps_the_plan() {
    assert_none(&rules::map_against_plan(&map()));
    let table = |row: &str| {
        let rows = [
            "| pure | `types` | | nothing |",
            "| adapters | `journal` | | `types` |",
            "| stages | `inbox` | | nothing |",
        ];
        let lib: String = rows.iter().chain([&row]).map(|row| format!("//! {row}\n")).collect();
        rules::map_against_plan(&rules::read_map(&lib))
    };
    for row in [
        "| pure | `order` | | `types`, `journal` |",
        "| pure | `types` | | pure |",
        "| adapters | `provider` | | `types`, `journal` |",
        "| adapters | `durable` | | `inbox` |",
        "| stages | `submit` | | pure, `inbox` |",
        "| stages | `outbox` | | stages |",
        "| beside | `simulator` | | `types`, `journal` |",
        "| shell | `daemon` | | shell |",
        "| shell | `status` | | `daemon`, `cli` |",
    ] {
        assert_seen(&table(row), "the map lets");
    }
    assert_seen(&table("| attic | `old` | | `types` |"), "which there isn't");
    assert_none(&table("| stages | `intake` | | pure, adapters, `inbox` |"));
}

#[test]
fn imports_go_the_way_that_the_map_shows() {
    assert_none(&rules::imports(&map(), &sources()));
    for (path, code) in [
        ("src/types/money.rs", "use crate::order::State;"),
        ("src/provider/client.rs", "use crate::{clock::Clock, journal::{Journal, View}};"),
        ("src/order/step.rs", "fn f() { crate::config::load(); }"),
        ("src/submit/pool.rs", "use crate::poll::Poll;"),
        ("src/submit/mod.rs", "use super::poll;"),
        ("src/submit/pool.rs", "use super::super::poll::Poll;"),
        ("src/simulator/xml.rs", "use crate::provider::PlaceOrder;"),
        ("src/inbox/scan.rs", "macro_rules! m { () => { crate::intake::Row }; }"),
        ("src/daemon/mod.rs", "use crate::cli;"),
    ] {
        let wrong = rules::imports(&map(), &planted(path, code));
        assert!(
            wrong.iter().all(|line| line.contains("must not import")) && !wrong.is_empty(),
            "{code}: {wrong:?}"
        );
    }
    assert_none(&rules::imports(
        &map(),
        &planted("src/submit/pool.rs", "use super::poll; use crate::journal::X;"),
    ));
    let unneeded = rules::imports(&map(), &planted("src/journal/mod.rs", "use crate::types::Imei;"));
    assert_seen(&unneeded, "isn't needed any more");
}

#[test]
fn pure_modules_do_nothing_but_reckon() {
    assert_none(&rules::purity(&map(), &sources()));
    for code in [
        "use std::{fmt, fs};",
        "use tokio::sync::watch;",
        "fn f() { let t = std::time::Instant::now(); }",
        "use std::time::{Duration, SystemTime};",
        "fn f() { tracing::info!(\"here\"); }",
    ] {
        assert_seen(&rules::purity(&map(), &planted("src/order/step.rs", code)), "is not pure");
    }
    assert_none(&rules::purity(&map(), &planted("src/durable.rs", "use std::fs;")));
}

#[test]
fn each_technology_has_its_module() {
    assert_none(&rules::homes(&sources()));
    for code in
        ["use rusqlite::Connection;", "use {std::fmt, reqwest::Client};", "fn f() -> anyhow::Result<()> {}"]
    {
        assert_seen(&rules::homes(&planted("src/outbox/mod.rs", code)), "belongs into");
    }
}

#[test]
fn some_calls_are_made_in_one_file_alone() {
    assert_none(&rules::banned(&sources()));
    for code in [
        "fn f() { std::time::SystemTime::now(); }",
        "use std::time::SystemTime; fn f() { SystemTime::now(); }",
        "fn f() { jiff::Timestamp::now(); }",
        "use std::fs::{self, rename};",
        "fn f() { rustix::fs::renameat(a, b); }",
        "fn f() { std::process::exit(1) }",
        "fn f(file: &File) { file.sync_all(); }",
        "fn f() { journal.start_is_told(); }",
        "#[allow(clippy::disallowed_methods)] fn f() {}",
    ] {
        assert_seen(&rules::banned(&planted("src/outbox/mod.rs", code)), "alone");
    }
}

#[test]
fn nothing_opens_the_journal_beside_sqlite() {
    assert_none(&rules::openers(&sources()));
    for code in [
        "fn f() { std::fs::File::open(path); }",
        "use std::fs::{File, OpenOptions};",
        "fn f() { fs::read(path); }",
    ] {
        assert_seen(&rules::openers(&planted("src/journal/view.rs", code)), "beside SQLite");
        assert_none(&rules::openers(&planted("src/journal/damage.rs", code)));
        assert_none(&rules::openers(&planted("src/outbox/mod.rs", code)));
    }
}

#[test]
fn only_attempt_places_orders() {
    assert_none(&rules::callers_of_place(&sources()));
    let elsewhere = |code| rules::callers_of_place(&planted("src/submit/pool.rs", code));
    assert_seen(&elsewhere("fn f() { self.provider.place(&order).await; }"), "calls Provider::place");
    assert_seen(&elsewhere("fn f() { Provider::place(&*provider, &order); }"), "calls Provider::place");
    let twice = "fn f() { p.place(o).await; p.place(o).await; }";
    assert_seen(&rules::callers_of_place(&planted("src/attempt.rs", twice)), "2 times");
    assert_seen(&rules::callers_of_place(&planted("src/attempt.rs", "fn f() {}")), "0 times");
    assert_none(&elsewhere("fn f() { (ticket.place)(); error.place = None; }"));
}

#[test]
fn files_stay_short() {
    let rust = ["src", "tests"].into_iter().flat_map(files).filter(|path| path.ends_with(".rs"));
    let counted: Vec<_> = rust.map(|path| (text(&path).lines().count(), path)).collect();
    assert_none(&rules::lengths(counted.iter().map(|(lines, path)| (path.as_str(), *lines))));
    assert_seen(&rules::lengths([("src/a.rs", 601), ("src/b.rs", 600)]), "src/a.rs");
}

#[test]
fn no_file_names_a_place_of_somebodys_machine() {
    for path in &files("") {
        if let Ok(text) = std::fs::read_to_string(crate::source::root().join(path)) {
            assert_none(&rules::places(path, &text));
        }
    }
    for name in ["work", "tmp", "root", "home"] {
        assert_seen(&rules::places("README.md", &format!("see\n`/{name}/x`")), "README.md:2");
        assert_none(&rules::places(
            "README.md",
            &format!("https://example.com/{name}/x and target/{name}/x"),
        ));
    }
}

#[test]
fn no_test_is_left_out() {
    for path in ["src", "tests"].into_iter().flat_map(files).filter(|path| path.ends_with(".rs")) {
        assert_none(&rules::left_out(&path, &text(&path)));
    }
    assert_seen(&rules::left_out("tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"), "tests/a.rs:2");
}
