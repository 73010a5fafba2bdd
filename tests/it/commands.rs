//! The commands beside the daemon, and without one.

use std::process::Output;
use std::time::Duration;

use imeid::simulator::{Delay, Options, Share};
use serde_json::Value;

use crate::support::{Sim, Workplace, file_of, imei};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn told(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Runs a command that must succeed; what it said.
fn done(place: &Workplace, args: &[&str]) -> String {
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

fn status(place: &Workplace) -> Value {
    serde_json::from_slice(&place.run(&["status", "--json"]).stdout).unwrap()
}

fn slow(millis: u64) -> Options {
    Options {
        rejected: Share::from_ppm(0),
        latency: Delay::Fixed(Duration::from_millis(millis)),
        completion: Delay::Fixed(Duration::from_millis(100)),
        ..Options::default()
    }
}

const NO_CANARY: (&str, &str) = ("submit", "canary = 0");

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
