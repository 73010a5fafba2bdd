//! The API key is in memory and in requests, and nowhere else: not in a log of any level and format, not in the journal,
//! a result or a note, not in what a command says, not in a core dump, whatever a server sends back.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use imeid::simulator::{Delay, Options, Share};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::front::{Exchange, Front, Then, ok};
use crate::support::{Sim, Workplace, file_of, imei, program};

/// Two words that nobody else writes, and between them all that an encoding changes.
const WORDS: [&str; 2] = ["K4n4rYb1rd", "tA1lf3ath3r"];

fn key() -> String {
    format!("{}+/&<'\"*~=%{}", WORDS[0], WORDS[1])
}

/// What is looked for: the words, and as base64 at every place that they can have in it.
fn traces() -> Vec<String> {
    let mut traces: Vec<String> = WORDS.map(str::to_owned).to_vec();
    for word in WORDS {
        for before in 0..3 {
            let encoded = base64(format!("{}{word}", "x".repeat(before)).as_bytes());
            let whole = encoded.get(4..encoded.len() - 4).unwrap();
            traces.push(whole.to_owned());
        }
    }
    traces
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let bits =
            chunk.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        let letter =
            |at: usize| if at > chunk.len() { '=' } else { char::from(LETTERS[bits >> (18 - 6 * at) & 63]) };
        (0..4).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

/// The traces that are in these bytes.
fn found(bytes: &[u8]) -> Vec<String> {
    let is_in = |trace: &String| bytes.windows(trace.len()).any(|window| window == trace.as_bytes());
    traces().into_iter().filter(is_in).collect()
}

/// Every file below a folder, hidden ones too.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}

/// The key as servers write it, for a page and for XML.
fn echoes(exchange: &Exchange<'_>) -> (String, String) {
    let key = key();
    let escaped = key.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let sent = exchange.param("apiKey");
    let json = key.replace('"', "\\\"");
    let forms = [
        sent.to_owned(),
        sent.replace("%2B", "%2b").replace("%2F", "%2f"),
        sent.replace('*', "%2A").replace("%7E", "~"),
        escaped.replace('\'', "&#039;"),
        escaped.replace('\'', "&apos;"),
        escaped.clone(),
    ];
    let in_xml = forms.join(" | ");
    (format!("{key} | {json} | {} | {in_xml}", json.replace('/', "\\/")), in_xml)
}

/// Takes the order, and answers it with the key in everything.
fn echo(exchange: &mut Exchange<'_>, nth: usize) -> Then {
    let (page, in_xml) = echoes(exchange);
    let html = format!("<html><body>You sent apiKey={page}</body></html>");
    let headed = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\nserver: {0}\r\nlocation: /?k={0}\r\ncontent-length: {1}\r\n\r\n{body}",
            key(),
            body.len()
        )
    };
    let answer = exchange.ask();
    // Between two of them one that is answered, so that the daemon doesn't take the provider for gone.
    let sent = match nth / 2 * (1 - nth % 2) {
        1 => ok(&format!("<error>no such key: {in_xml}</error>")),
        2 => headed("502 Bad Gateway", &html),
        3 => headed("302 Found", &html),
        4 => headed("401 Unauthorized", &html),
        5 => headed("200 OK", &html),
        // In the middle of the key the connection ends.
        6 => format!("HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n{answer}<!-- {}{}", WORDS[0], "+/&<"),
        7 => ok(&answer.replace("<status>", &format!("<status>{in_xml} "))),
        8 => format!("HTTP/1.1 {} {}\r\n\r\n", key(), key()),
        9 => format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}\r\n{}", key(), key()),
        _ => ok(&answer),
    };
    exchange.write(sent);
    Then::Close
}

/// Calls that only read: the key in a result, in a title, in the credits.
fn echo_reading(exchange: &mut Exchange<'_>) -> Then {
    let (_, in_xml) = echoes(exchange);
    let answer = exchange.ask();
    let answer = answer
        .replace("</code>", &format!(" - Note: {in_xml}</code>"))
        .replace("</PackageTitle>", &format!(" {in_xml}</PackageTitle>"))
        .replace("</ClientCredits>", &format!(" {in_xml}</ClientCredits>"));
    exchange.write(ok(&answer));
    Then::Close
}

/// What a command says, on both of its ways out.
fn said(place: &Workplace, args: &[&str], env: &[(&str, String)]) -> Vec<u8> {
    let mut command = program();
    command.args(args).arg("--config").arg(place.config()).envs(env.iter().cloned());
    let output = command.output().unwrap();
    [output.stdout, output.stderr].concat()
}

/// Core dumps are made as large as they come, for processes started from here on.
fn let_cores_be_made() {
    let limit = getrlimit(Resource::Core);
    setrlimit(Resource::Core, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

fn no_trace_is_left(level: &str, format: &str, from_credentials: bool) {
    let sim = Sim::start(Options {
        listing_limit: 1_000,
        rejected: Share::from_ppm(0),
        latency: Delay::Fixed(Duration::from_millis(5)),
        completion: Delay::Fixed(Duration::from_millis(100)),
        ..Options::default()
    });
    let orders = Arc::new(AtomicUsize::new(0));
    let front = Front::before(&sim, move |exchange| {
        if exchange.is_order() {
            echo(exchange, orders.fetch_add(1, Ordering::SeqCst))
        } else {
            echo_reading(exchange)
        }
    });
    let (level, format) = (format!("level = \"{level}\""), format!("format = \"{format}\""));
    let changes = [
        ("submit", "canary = 0"),
        ("submit", "workers = 1"),
        ("outbox", "held_after = \"1h\""),
        ("log", level.as_str()),
        ("log", format.as_str()),
        ("log", "file = \"imeid.log\""),
    ];
    let mut place = Workplace::new(&front.url(), &changes);
    let mut env = Vec::new();
    if from_credentials {
        fs::create_dir(place.path("credentials")).unwrap();
        place.env("CREDENTIALS_DIRECTORY", place.path("credentials").to_str().unwrap());
        env.push(("CREDENTIALS_DIRECTORY", place.path("credentials").display().to_string()));
    }
    let key_file = place.path(if from_credentials { "credentials/api-key" } else { "api-key" });
    fs::write(&key_file, key()).unwrap();
    assert_eq!(found(&fs::read(&key_file).unwrap()).len(), WORDS.len(), "what is looked for would be found");

    let_cores_be_made();
    place.start();
    place.drop_file("stock.csv", &file_of((0..22).map(imei)));
    place.drop_file("no.csv", "a,b\n1,2\n");
    place.result("stock.results.csv");
    place.until("the other is refused", |place| {
        place.names("rejected").contains(&"no.csv.reason.txt".to_owned())
    });
    let imei = imei(3);
    let commands: [&[&str]; 12] = [
        &["status"],
        &["status", "--json"],
        &["show", "stock"],
        &["show", "stock", "--json"],
        &["show", &imei],
        &["show", &imei, "--json"],
        &["check"],
        &["check", "--online"],
        &["balance"],
        &["services"],
        &["services", "--json"],
        &["export", "stock"],
    ];
    let mut all = Vec::new();
    for command in commands {
        let said = said(&place, command, &env);
        assert!(!said.is_empty(), "{command:?}");
        all.push((command.join(" "), said));
    }
    // A key that is none, and another one, while it runs; and a config that can't be read.
    for text in [format!("{} {}", WORDS[0], WORDS[1]), WORDS.concat()] {
        fs::write(&key_file, text).unwrap();
        all.push(("check".to_owned(), said(&place, &["check"], &env)));
        let before = place.log().matches("configuration read anew").count();
        place.signal(Signal::HUP);
        place.until("it is read anew", |place| {
            place.log().matches("configuration read anew").count() > before
                && place.log().matches("needs a restart").count()
                    + place.log().matches("a restart would fail").count()
                    > before
        });
    }
    let ended = place.stop_by(Signal::ABORT);
    assert_eq!(ended.signal(), Some(Signal::ABORT.as_raw()));
    assert!(!ended.core_dumped(), "a core dump holds the key");

    let journal = fs::read(place.path("state/journal.db")).unwrap();
    let log = fs::read(place.path("state/journal.db-wal")).unwrap();
    let marks = [journal, log].concat().windows(3).filter(|window| window == b"***").count();
    assert!(marks >= 20, "answers with the key in them are kept without it: {marks}");
    fs::remove_file(&key_file).unwrap();
    for file in files(place.path("").as_path()) {
        all.push((file.display().to_string(), fs::read(&file).unwrap()));
    }
    assert!(all.iter().any(|(name, bytes)| name.ends_with("imeid.log") && !bytes.is_empty()));
    for (name, bytes) in all {
        let found = found(&bytes);
        assert!(found.is_empty(), "{name} holds {found:?}:\n{}", String::from_utf8_lossy(&bytes));
    }
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (22, 0));
}

#[test]
fn the_key_leaves_no_trace_in_text_at_level_trace() {
    no_trace_is_left("trace", "text", false);
}

#[test]
fn a_key_of_systemd_leaves_no_trace_in_json_at_level_debug() {
    no_trace_is_left("debug", "json", true);
}

#[test]
fn a_proxys_password_is_not_told() {
    let mut place = Workplace::new(
        "http://127.0.0.1:9",
        &[("provider", "proxy = \"http://someone:K4n4rYb1rd@127.0.0.1:9\""), ("log", "level = \"trace\"")],
    );
    place.start();
    place.drop_file("stock.csv", &file_of([imei(0)]));
    place.until("it can't be sent", |place| place.log().contains("file taken"));
    let mut all = vec![("log", place.log().into_bytes())];
    for args in [&["check", "--online"][..], &["balance"], &["services"]] {
        all.push((args[0], said(&place, args, &[])));
    }
    assert!(place.stop().success());
    all.push(("journal", fs::read(place.path("state/journal.db")).unwrap()));
    for (name, bytes) in all {
        assert!(found(&bytes).is_empty(), "{name}:\n{}", String::from_utf8_lossy(&bytes));
    }
}
