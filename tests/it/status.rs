//! `imeid status`, beside a running daemon and without one.

use std::time::Duration;

use imeid::simulator::{Change, Delay, Options, Share};
use imeid::types::Money;
use predicates::prelude::*;
use serde_json::Value;

use crate::support::{Sim, Workplace, file_of, imei};

fn status(place: &Workplace) -> (Value, Option<i32>) {
    let output = place.run(&["status", "--json"]);
    let json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (json, output.status.code())
}

fn quick() -> Options {
    Options {
        latency: Delay::Fixed(Duration::from_millis(20)),
        completion: Delay::Fixed(Duration::from_millis(200)),
        rejected: Share::from_ppm(0),
        ..Options::default()
    }
}

#[test]
fn without_a_journal_and_a_daemon_it_says_so_with_code_3() {
    let place = Workplace::new("http://127.0.0.1:9", &[]);
    assert_cmd::Command::from_std(crate::support::program())
        .args(["status", "--config"])
        .arg(place.config())
        .assert()
        .code(3)
        .stdout(predicate::str::contains("no daemon runs").and(predicate::str::contains("no journal yet")));
    let (json, code) = status(&place);
    assert_eq!(code, Some(3));
    assert_eq!(json["daemon"]["state"], "stopped");
    assert_eq!(json["disk"]["journal_bytes"], Value::Null);
    assert!(!place.path("state").exists(), "nothing is made");
}

#[test]
fn a_file_is_followed_from_the_inbox_to_its_result() {
    let sim = Sim::start(quick());
    // Long enough that the file is seen while it settles.
    let mut place = Workplace::new(&sim.url(), &[("folders", "settle = \"4s\"")]);
    place.start();
    assert_eq!(status(&place).1, Some(0), "all is well");
    place.drop_file("stock.csv", &file_of((0..5).map(imei)));
    place.until("the file is told of before it is taken", |place| {
        let (json, code) = status(place);
        assert_eq!(code, Some(0), "{json}");
        json["inbox"][0]["name"] == "stock.csv" && json["inbox"][0]["why"] == "being written"
    });
    place.result("stock.results.csv");
    place.until("the file is done", |place| status(place).0["batches"][0]["state"] == "done");
    place.until("the inbox is told empty", |place| status(place).0["inbox"] == serde_json::json!([]));
    let (json, code) = status(&place);
    assert_eq!(code, Some(0), "{json}");
    assert_eq!(json["daemon"]["running"], true);
    assert_eq!(json["daemon"]["pid"], place.pid());
    assert_eq!(json["daemon"]["state"], "idle");
    assert_eq!(json["money"]["today"]["charged"], "0.40");
    assert_eq!(json["money"]["today"]["per_day"], "2000.00");
    let batch = &json["batches"][0];
    assert_eq!(batch["service"], "iphone-check");
    assert_eq!(batch["by_status"], serde_json::json!({"completed": 5}));
    assert_eq!((&batch["rows"], &batch["cost"]), (&5.into(), &"0.40".into()));
    assert_eq!(batch["result"], "stock.results.csv");

    place.stop();
    let (json, code) = status(&place);
    assert_eq!((code, &json["daemon"]["state"]), (Some(3), &"stopped".into()));
    assert_eq!(json["batches"][0]["state"], "done", "the journal is read without a daemon too");
}

#[test]
fn a_pause_is_shown_with_code_3_until_it_ends() {
    let sim = Sim::start(Options { credit: Money::from_micros(2 * 80_000), ..quick() });
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..6).map(imei)));
    place.until("the pause is shown", |place| {
        let (json, code) = status(place);
        json["pauses"][0]["reason"] == "credit" && json["daemon"]["state"] == "paused" && code == Some(3)
    });
    let told = String::from_utf8(place.run(&["status"]).stdout).unwrap();
    assert!(told.contains("everything: credit"), "{told}");
    sim.change(&Change { add_credit: Some(Money::from_micros(100 * 80_000)), ..Change::default() });
    place.result("stock.results.csv");
    place.until("all is well", |place| status(place).1 == Some(0));
}

#[test]
fn a_stop_that_waits_for_a_call_is_shown_as_draining() {
    let sim = Sim::start(Options { latency: Delay::Fixed(Duration::from_secs(8)), ..quick() });
    let slow =
        [("provider", "timeout = \"30s\""), ("in_doubt", "quiet = \"30s\""), ("submit", "drain = \"40s\"")];
    let mut place = Workplace::new(&sim.url(), &slow);
    place.start();
    place.drop_file("stock.csv", &file_of([imei(1)]));
    place.until("the call is on the wire", |place| {
        let (json, _) = status(place);
        json["orders"]["submitting"] == 1 && json["daemon"]["state"] == "working"
    });
    place.signal(rustix::process::Signal::TERM);
    place.until("it is draining", |place| {
        let ended = place.ended();
        assert!(ended.is_none(), "it ended first: {ended:?}");
        status(place).0["daemon"]["state"] == "draining"
    });
    assert!(place.stop().success());
    assert_eq!(status(&place).0["orders"]["in_doubt"], 0);
}

#[test]
fn a_configuration_with_an_error_is_told_with_code_2_beside_what_the_daemon_does() {
    let sim = Sim::start(quick());
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    place.result("stock.results.csv");
    let good = std::fs::read_to_string(place.config()).unwrap();
    std::fs::write(place.config(), good.replace("drain =", "drian =")).unwrap();
    place.until("the file is done", |place| status(place).0["batches"][0]["state"] == "done");
    let output = place.run(&["status"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for words in
        ["imeid.toml:", "drian", "goes on with what it read before", "stock.results.csv", "0.24 charged"]
    {
        assert!(told.contains(words), "{words:?} is missing in:\n{told}");
    }
    let (json, code) = status(&place);
    assert_eq!((code, &json["daemon"]["pid"]), (Some(2), &place.pid().into()));
    assert!(json["config_errors"][0].as_str().is_some_and(|error| error.contains("drian")), "{json}");

    std::fs::write(place.config(), good.replace("[journal]", "[jornal]")).unwrap();
    let output = place.run(&["status"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{told}");
    assert!(told.contains("jornal") && told.contains("where the journal is can't be told"), "{told}");

    std::fs::write(place.config(), good).unwrap();
    assert_eq!(status(&place).1, Some(0));
}

#[test]
fn a_journal_that_is_none_is_an_error_with_code_1() {
    let place = Workplace::new("http://127.0.0.1:9", &[]);
    std::fs::create_dir(place.path("state")).unwrap();
    std::fs::write(place.path("state/journal.db"), "no journal at all, but a text of some length").unwrap();
    let output = place.run(&["status"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("journal"), "{told}");
}

#[test]
fn what_waits_in_the_inbox_waits_since_then_after_a_restart_and_is_told_once() {
    let sim = Sim::start(quick());
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    for folder in ["inbox", "reconcile"] {
        std::os::unix::fs::symlink("nowhere", place.path(folder).join("link")).unwrap();
    }
    std::fs::create_dir(place.path("inbox/strays")).unwrap();
    let shown = |place: &Workplace| status(place).0["inbox"].clone();
    place.until("they are shown", |place| shown(place).as_array().is_some_and(|inbox| inbox.len() == 2));
    let told = |place: &Workplace| {
        let log = place.log();
        ["regular file, left alone name=link", "no service is configured for it, left alone name=strays"]
            .map(|line| log.matches(line).count())
    };
    place.until("they are told of", |place| told(place) == [2, 1]);
    place.until("all of it is noted", |place| {
        let journal = rusqlite::Connection::open(place.path("state/journal.db")).unwrap();
        let noted = "SELECT value FROM facts WHERE key = 'live'";
        let noted: String = journal.query_row(noted, [], |row| row.get(0)).unwrap();
        noted.matches(r#""name":"link""#).count() == 2
    });
    let before = shown(&place);
    assert_eq!((&before[0]["name"], &before[0]["why"]), (&"link".into(), &"not a file".into()));
    for _ in 0..2 {
        // The second one isn't given the time to look.
        place.kill();
        place.start();
    }
    place.drop_file("stock.csv", &file_of([imei(1)]));
    place.result("stock.results.csv");
    place.until("the file is gone from the inbox", |place| shown(place) == before);
    assert_eq!(told(&place), [2, 1], "{}", place.log());
}
