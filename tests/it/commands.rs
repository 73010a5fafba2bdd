//! The commands beside the daemon, and without one.

use std::io::BufRead;
use std::process::{Output, Stdio};
use std::time::Duration;

use imeid::simulator::{Delay, Options, Share};
use imeid::types::Money;
use serde_json::Value;

use crate::support::{Sim, Table, Workplace, file_of, imei, program, status};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn told(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Runs a command that must succeed; what it said.
pub(crate) fn done(place: &Workplace, args: &[&str]) -> String {
    let output = place.run(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", told(&output));
    text(&output.stdout)
}

/// Runs a command that must fail with this code; what it said.
fn fails(place: &Workplace, args: &[&str], code: i32) -> String {
    let output = place.run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
    text(&output.stderr)
}

pub(crate) fn slow(millis: u64) -> Options {
    Options {
        rejected: Share::from_ppm(0),
        latency: Delay::Fixed(Duration::from_millis(millis)),
        completion: Delay::Fixed(Duration::from_millis(100)),
        ..Options::default()
    }
}

pub(crate) const NO_CANARY: (&str, &str) = ("submit", "canary = 0");

#[test]
fn a_pause_stops_the_sending_is_kept_across_a_restart_and_ends_by_word_alone() {
    let sim = Sim::start(slow(300));
    let mut place = Workplace::new(&sim.url(), &[NO_CANARY, ("submit", "workers = 2")]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..30).map(imei)));
    place.until("orders go out", |_| sim.ledger().charges > 0);
    let said = done(&place, &["pause"]);
    assert!(said.contains("everything is paused") && said.contains("imeid resume"), "{said}");
    place.until("calls on their way have ended", |place| {
        let orders = &status(place)["orders"];
        orders["submitting"] == 0 && orders["in_doubt"] == 0
    });
    let charged = sim.ledger().charges;
    assert!(charged < 30);
    assert!(done(&place, &["pause"]).contains("already"));
    assert_eq!(status(&place)["pauses"][0]["reason"], "operator");
    assert_eq!(place.run(&["status"]).status.code(), Some(3));

    place.kill();
    place.start();
    place.drop_file("more.csv", &file_of((100..103).map(imei)));
    place.until("files are taken in all the same", |place| {
        status(place)["batches"]
            .as_array()
            .unwrap()
            .iter()
            .any(|batch| batch["state"] == "working" && batch["name"] == "more")
    });
    assert_eq!(sim.ledger().charges, charged, "nothing is sent");
    let said = done(&place, &["resume"]);
    assert!(said.contains("no longer paused: everything: operator: by "), "{said}");
    place.result("stock.results.csv");
    place.result("more.results.csv");
    let ledger = sim.ledger();
    assert_eq!((ledger.charges, ledger.paid_twice), (33, 0));
    assert!(done(&place, &["resume"]).contains("nothing is paused"));
}

#[test]
fn a_service_is_paused_without_a_daemon_and_the_daemon_keeps_to_it() {
    let sim = Sim::start(slow(20));
    let mut place = Workplace::new(&sim.url(), &[NO_CANARY]);
    let early = fails(&place, &["pause"], 1);
    assert!(early.contains("no journal yet"), "{early}");
    place.start();
    assert!(place.stop().success());
    let unknown = fails(&place, &["pause", "--service", "ipad-check"], 2);
    assert!(unknown.contains("iphone-check"), "{unknown}");
    done(&place, &["pause", "--service", "iphone-check"]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    place.until("its rows wait", |place| status(place)["orders"]["queued"] == 3);
    assert_eq!(status(&place)["pauses"][0]["service"], "iphone-check");
    assert_eq!(sim.ledger().charges, 0);
    done(&place, &["resume", "--service", "iphone-check"]);
    place.result("stock.results.csv");
    assert_eq!(sim.ledger().charges, 3);
}

#[test]
fn an_alarm_is_shown_with_its_number_until_it_is_seen() {
    let sim = Sim::start(slow(20));
    let mut place = Workplace::new(&sim.url(), &[NO_CANARY, ("folders", "settle = \"3s\"")]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    place.result("stock.results.csv");
    let missing = fails(&place, &["ack", "1"], 1);
    assert!(missing.contains("no alarm 1"), "{missing}");
    assert_eq!(place.run(&["ack", "0"]).status.code(), Some(2));
    place.stop();
    // What an alarm is about is told elsewhere: here one is put into the journal of a daemon that doesn't run.
    let journal = rusqlite::Connection::open(place.path("state/journal.db")).unwrap();
    journal.execute("INSERT INTO alarms (at, name, text) VALUES (1, 'balance', 'it fell')", []).unwrap();
    drop(journal);
    place.start();
    let shown = text(&place.run(&["status"]).stdout);
    assert!(shown.contains("balance: it fell") && shown.contains("imeid ack 1"), "{shown}");
    let said = done(&place, &["ack", "1"]);
    assert!(said.contains("alarm 1, balance: it fell"), "{said}");
    assert_eq!(status(&place)["alarms"], serde_json::json!([]));
    assert!(done(&place, &["ack", "1"]).contains("seen before"));
}

#[test]
fn a_result_is_written_again_from_the_journal_whole_or_as_far_as_it_is() {
    let sim = Sim::start(slow(20));
    let mut place = Workplace::new(&sim.url(), &[NO_CANARY]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..5).map(imei)));
    place.result("stock.results.csv");
    let published = std::fs::read(place.path("outbox/stock.results.csv")).unwrap();
    assert_eq!(place.run(&["export", "stock"]).stdout, published);
    let file = place.path("again.csv");
    let name = file.to_str().unwrap();
    done(&place, &["export", "stock", name]);
    assert_eq!(std::fs::read(&file).unwrap(), published);
    std::fs::write(&file, "someone's own").unwrap();
    let said = fails(&place, &["export", "stock", name], 1);
    assert!(said.contains("never overwritten"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), b"someone's own");
    fails(&place, &["export", "nothing"], 1);
    fails(&place, &["export", &imei(0)], 2);

    done(&place, &["pause"]);
    place.drop_file("more.csv", &file_of([imei(0), imei(7)]));
    place.until("its row waits", |place| status(place)["orders"]["queued"] == 1);
    let partial = place.path("partial.csv");
    done(&place, &["export", "more", partial.to_str().unwrap()]);
    assert_eq!(Table::read(&partial).column("imeid_status"), ["duplicate", "queued"]);
    assert!(place.stop().success());
    let without_a_daemon = place.path("without.csv");
    done(&place, &["export", "more", without_a_daemon.to_str().unwrap()]);
    assert_eq!(std::fs::read(&without_a_daemon).unwrap(), std::fs::read(&partial).unwrap());
    for name in ["inbox", "inbox/.taken", "reconcile"] {
        std::fs::create_dir_all(place.path(name)).unwrap();
        let before = place.names(name);
        let said =
            fails(&place, &["export", "stock", place.path(name).join("again.csv").to_str().unwrap()], 2);
        assert!(said.contains("lies in the folder") && said.contains("put it elsewhere"), "{said}");
        assert_eq!(place.names(name), before);
    }
    assert_eq!(sim.ledger().charges, 5);
}

#[test]
fn each_word_is_one_line_in_the_log_with_whose_and_which_it_is() {
    let mut place = Workplace::new("http://127.0.0.1:9", &[]);
    place.start();
    let all = done(&place, &["pause"]);
    let service = done(&place, &["pause", "--service", "iphone-check"]);
    place.drop_file("stock.csv", &file_of([imei(1), imei(2)]));
    place.until("the file is taken", |place| status(place)["batches"][0]["state"] == "working");
    let one = done(&place, &["cancel", &imei(1)]);
    let rest = done(&place, &["cancel", "stock"]);
    let both = done(&place, &["resume"]);
    assert_eq!(both.lines().count(), 2, "{both}");
    let journal = rusqlite::Connection::open(place.path("state/journal.db")).unwrap();
    let who: String = journal.query_row("SELECT DISTINCT who FROM requests", [], |row| row.get(0)).unwrap();
    let who = if who.contains(' ') { format!("\"{who}\"") } else { who };
    for (said, about, answer) in [
        ("pause", "everything".to_owned(), all),
        ("pause", "\"service iphone-check\"".to_owned(), service),
        ("cancel", format!("\"IMEI {}\"", imei(1)), one),
        ("cancel", "\"batch stock\"".to_owned(), rest),
        ("\"go on\"", "everything".to_owned(), both),
    ] {
        let answer = answer.trim_end().replace('\n', "; ");
        let line =
            format!("an operator's word who={who} said={said} about={about} done=true answer=\"{answer}\"\n");
        place.until(&line, |place| place.log().contains(&line));
    }
}

#[test]
fn a_backup_beside_the_working_daemon_is_whole_and_never_takes_anothers_name() {
    let sim = Sim::start(slow(50));
    let mut place = Workplace::new(&sim.url(), &[NO_CANARY, ("submit", "workers = 4")]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..100).map(imei)));
    place.until("orders go out", |_| sim.ledger().charges > 3);
    std::fs::create_dir(place.path("backups")).unwrap();
    let file = place.path("backups/journal.db");
    let said = done(&place, &["backup", file.to_str().unwrap()]);
    assert!(said.contains("1 file, 100 rows, 100 orders") && said.contains("checked"), "{said}");
    assert!(sim.ledger().charges < 100, "it was made while orders went out");
    assert_eq!(place.names("backups"), ["journal.db"]);
    let copy = rusqlite::Connection::open(&file).unwrap();
    let marks: i64 = copy
        .query_row("SELECT count(*) FROM facts WHERE key IN ('copy_of', 'copied_at')", [], |row| row.get(0))
        .unwrap();
    assert_eq!(marks, 2);
    drop(copy);
    let before = std::fs::read(&file).unwrap();
    let said = fails(&place, &["backup", file.to_str().unwrap()], 1);
    assert!(said.contains("never overwritten"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    std::os::unix::fs::symlink("inbox", place.path("another way")).unwrap();
    for (folder, name) in [("inbox", "inbox"), ("another way", "inbox"), ("reconcile", "reconcile")] {
        let said = fails(&place, &["backup", place.path(folder).join("copy.db").to_str().unwrap()], 2);
        assert!(said.contains(&format!("lies in the folder {name}")) && said.contains("elsewhere"), "{said}");
        assert!(!place.names(name).iter().any(|name| name.contains("copy.db")));
    }
    fails(&place, &["backup", place.path("no/such/folder/journal.db").to_str().unwrap()], 1);
    place.result("stock.results.csv");
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (100, 0));
}

#[test]
fn the_provider_is_asked_for_the_balance_and_its_services() {
    let sim = Sim::start(Options { credit: Money::from_micros(150_000_000), ..slow(20) });
    let place = Workplace::new(&sim.url(), &[]);
    assert_eq!(done(&place, &["balance"]), "150.00\n");
    let json: Value = serde_json::from_str(&done(&place, &["balance", "--json"])).unwrap();
    assert_eq!((json["schema"].as_u64(), json["balance"].as_str()), (Some(1), Some("150.00")));
    let table = done(&place, &["services"]);
    let line = table.lines().find(|line| line.starts_with("1739")).unwrap_or_else(|| panic!("{table}"));
    assert!(line.contains("0.08") && line.contains("iphone-check, at most 0.08"), "{table}");
    let json: Value = serde_json::from_str(&done(&place, &["services", "--json"])).unwrap();
    let ours: Vec<_> =
        json["services"].as_array().unwrap().iter().filter(|line| !line["configured"].is_null()).collect();
    assert_eq!(ours.len(), 1, "{json}");
    assert_eq!((ours[0]["network_id"].as_str(), ours[0]["price"].as_str()), (Some("1739"), Some("0.08")));
    assert_eq!(json["missing"], serde_json::json!([]));

    std::fs::write(
        place.path("imeid.toml"),
        std::fs::read_to_string(place.config()).unwrap().replace("0.08", "0.07"),
    )
    .unwrap();
    let said = fails(&place, &["services"], 3);
    assert!(said.contains("it costs 0.08, above the configured 0.07"), "{said}");
    std::fs::write(
        place.path("imeid.toml"),
        std::fs::read_to_string(place.config()).unwrap().replace("1739", "9931739"),
    )
    .unwrap();
    let said = fails(&place, &["services", "--json"], 3);
    assert!(said.contains("9931739"), "{said}");

    let nobody = Workplace::new("http://127.0.0.1:9", &[]);
    let said = fails(&nobody, &["balance"], 1);
    assert!(said.contains("can't be reached"), "{said}");
    std::fs::remove_file(nobody.path("api-key")).unwrap();
    fails(&nobody, &["services"], 2);
    assert_eq!(sim.ledger().charges, 0);
}

#[test]
fn a_watched_status_comes_again_until_it_is_stopped() {
    let mut place = Workplace::new("http://127.0.0.1:9", &[]);
    let out = place.path("watched");
    let mut watching = program()
        .args(["status", "--watch", "--config"])
        .arg(place.config())
        .stdout(std::fs::File::create(&out).unwrap())
        .spawn()
        .unwrap();
    let blocks = || std::fs::read_to_string(&out).unwrap().matches("no daemon runs").count();
    place.until("it comes again", |_| blocks() >= 2);
    assert!(
        !std::fs::read_to_string(&out).unwrap().contains('\u{1b}'),
        "no terminal, nothing that steers one"
    );
    rustix::process::kill_process(rustix::process::Pid::from_child(&watching), rustix::process::Signal::INT)
        .unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(3));
}

#[test]
fn a_watched_status_ends_when_nobody_reads_it_any_more() {
    let place = Workplace::new("http://127.0.0.1:9", &[]);
    let mut watching = program()
        .args(["status", "--watch", "--json", "--config"])
        .arg(place.config())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(watching.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let status: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(status["daemon"]["state"], "stopped");
    assert_eq!(watching.wait().unwrap().code(), Some(3));
}
