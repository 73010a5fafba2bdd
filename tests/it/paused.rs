//! Submission stands still for a reason that passes, and goes on by itself.

use std::time::Duration;

use imeid::simulator::{Change, Delay, Options, Share};
use imeid::types::Money;

use crate::support::{Sim, Workplace, file_of, imei, status};

#[test]
fn credit_for_half_of_a_file_leaves_the_rest_queued_and_a_refill_finishes_it() {
    let sim = Sim::start(Options {
        credit: Money::from_micros(20 * 80_000),
        latency: Delay::Fixed(Duration::from_millis(20)),
        completion: Delay::Fixed(Duration::from_millis(200)),
        rejected: Share::from_ppm(0),
        ..Options::default()
    });
    let mut place = Workplace::new(&sim.url(), &[("outbox", "partial_every = \"1s\"")]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..40).map(imei)));
    place.until("the pause is told", |place| place.log().contains("pause scope=all reason=credit"));
    place.until("what was paid for is answered", |place| {
        let partial = place.path("outbox/stock.partial.csv");
        partial.exists() && {
            let table = crate::support::Table::read(&partial);
            let counts = table.counts("imeid_status");
            counts.get("completed") == Some(&20) && counts.get("queued") == Some(&20)
        }
    });
    assert_eq!(sim.ledger().charges, 20);
    sim.change(&Change { add_credit: Some(Money::from_micros(20 * 80_000)), ..Change::default() });
    let table = place.result("stock.results.csv");
    assert_eq!(table.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("completed", 40)]);
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (40, 0));
    assert!(place.log().contains("pause ended scope=all reason=credit"), "{}", place.log());
    place.until("the partial file is gone", |place| {
        place.names("outbox") == ["READ ME.txt", "stock.results.csv"]
    });
}

#[test]
fn orders_of_a_service_that_left_the_config_are_told_of_and_can_be_given_up() {
    let sim = Sim::start(Options { credit: Money::ZERO, ..Options::default() });
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    place.until("the pause is told", |place| place.log().contains("pause scope=all reason=credit"));
    assert!(place.stop().success());
    let config = std::fs::read_to_string(place.config()).unwrap();
    std::fs::write(place.config(), config.replace("\"1739\"", "\"1740\"").replace("iphone", "other"))
        .unwrap();
    place.start();
    let log = place.log();
    let told = "3 orders wait for a service that is no longer configured (network_id 1739)";
    assert!(log.contains(told) && log.contains("service=iphone-check"), "{log}");
    let shown = place.run(&["status"]);
    assert_eq!(shown.status.code(), Some(3));
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(&format!("service iphone-check: service: {told}")), "{shown}");
    assert!(place.run(&["cancel", "stock"]).status.success());
    let table = place.result("stock.results.csv");
    assert_eq!(table.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("cancelled", 3)]);
    assert!(!String::from_utf8(place.run(&["status"]).stdout).unwrap().contains("no longer configured"));
}

#[test]
fn orders_of_an_account_that_left_the_config_are_told_of_and_stay_as_they_are() {
    let completion = Delay::Fixed(Duration::from_secs(3_600));
    let sim = Sim::start(Options { completion, ..Options::default() });
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    place.until("all are taken", |_| sim.ledger().charges == 3);
    assert!(place.stop().success());
    place.configure(&sim.url(), &[("provider", "user_id = \"another\"")]);
    place.start();
    let told = "3 orders of the account tester wait (network_id 1739): that account isn't the configured one";
    assert!(place.log().contains(told), "{}", place.log());
    let shown = place.run(&["status"]);
    assert_eq!(shown.status.code(), Some(3));
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(told), "{shown}");
    assert!(place.stop().success());
    place.configure(&sim.url(), &[]);
    place.start();
    sim.change(&Change { finish_now: true, ..Change::default() });
    let table = place.result("stock.results.csv");
    assert_eq!(table.column("imeid_status").len(), 3);
    assert!(!place.log().contains("given up"), "{}", place.log());
}

#[test]
fn a_key_that_was_mended_is_tried_at_the_start_and_not_after_minutes() {
    let sim = Sim::start(Options {
        key: Some("the-right-one".to_owned()),
        latency: Delay::Fixed(Duration::from_millis(20)),
        completion: Delay::Fixed(Duration::from_millis(200)),
        rejected: Share::from_ppm(0),
        ..Options::default()
    });
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    place.until("the pause is told", |place| place.log().contains("pause scope=all reason=account"));
    assert!(place.stop().success());
    // As after an hour of wrong tries.
    let minutes = i64::try_from(Duration::from_secs(3600).as_millis()).unwrap();
    let journal = rusqlite::Connection::open(place.path("state/journal.db")).unwrap();
    let later = "UPDATE pauses SET tries = 9, next_try = since + ?1 WHERE reason = 'account'";
    assert_eq!(journal.execute(later, [minutes]).unwrap(), 1);
    drop(journal);
    std::fs::write(place.path("api-key"), "the-right-one\n").unwrap();
    place.start();
    let table = place.result("stock.results.csv");
    assert_eq!(table.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("completed", 3)]);
    assert!(place.log().contains("pause ended scope=all reason=account"), "{}", place.log());
}

#[test]
fn a_pause_that_was_kept_is_said_again_before_the_start_is_ready_and_no_time_is_promised() {
    let sim = Sim::start(Options {
        latency: Delay::Fixed(Duration::from_millis(20)),
        completion: Delay::Fixed(Duration::from_millis(200)),
        ..Options::default()
    });
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    assert!(place.run(&["pause"]).status.success());
    assert!(place.stop().success());
    let before = place.log().len();
    place.start();
    let log = place.log().split_off(before);
    let pause = log.find("pause scope=all reason=operator").expect(&log);
    assert!(pause < log.find("ready version=").unwrap(), "{log}");
    assert!(log[pause..].lines().next().unwrap().contains(" since="), "{log}");
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    place.until("the file is told", |place| place.log().contains("file taken"));
    let log = place.log();
    let taken = log.lines().find(|line| line.contains("file taken")).unwrap();
    assert!(taken.contains("eta=-"), "{taken}");
    assert_eq!(status(&place)["batches"][0]["eta"], serde_json::Value::Null);
    assert!(place.run(&["resume"]).status.success());
    place.result("stock.results.csv");
    place.drop_file("more.csv", &file_of((3..6).map(imei)));
    place.until("the next is told with a time", |place| {
        place.log().lines().any(|line| line.contains(" eta=") && !line.contains("eta=-"))
    });
}
