//! A clean stop leaves nothing in doubt; a second daemon is refused.

use std::time::Duration;

use imeid::simulator::{Delay, Duplicates, Options};

use crate::support::{Sim, Workplace, file_of, imei, program};

/// Thirty calls at once from the first moment on.
const ALL_AT_ONCE: (&str, &str) = ("submit", "adaptive = false");

#[test]
fn a_stop_in_the_middle_of_thirty_calls_waits_for_them_and_leaves_no_doubt() {
    // A doubt would show as a second charge or as a row without an id.
    let sim = Sim::start(Options {
        latency: Delay::Fixed(Duration::from_millis(700)),
        duplicates: Duplicates::Charge,
        ..Options::default()
    });
    let mut place = Workplace::new(&sim.url(), &[("submit", "canary = 0"), ALL_AT_ONCE]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..90).map(imei)));
    place.until("calls are on their way", |_| sim.ledger().place_calls >= 30);
    assert!(place.stop().success());
    let charged = sim.ledger().charges;
    assert!((30..90).contains(&charged), "{charged}");
    place.start();
    let table = place.result("stock.results.csv");
    assert!(!place.log().contains("in doubt"), "{}", place.log());
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (90, 0));
    assert!(table.column("imeid_order_id").iter().all(|id| !id.is_empty()));
}

#[test]
fn a_stop_that_runs_out_of_time_leaves_the_rest_in_doubt_and_the_next_start_settles_it() {
    let sim = Sim::start(Options {
        latency: Delay::Fixed(Duration::from_millis(200)),
        faults: "hang-after=20x".parse().unwrap(),
        duplicates: Duplicates::Charge,
        ..Options::default()
    });
    let mut place = Workplace::new(
        &sim.url(),
        &[
            ("submit", "canary = 0"),
            ALL_AT_ONCE,
            ("provider", "timeout = \"30s\""),
            ("in_doubt", "quiet = \"30s\""),
            ("submit", "drain = \"31s\""),
        ],
    );
    place.start();
    place.drop_file("stock.csv", &file_of((0..40).map(imei)));
    place.until("calls hang", |_| sim.ledger().charges >= 30);
    // As the service manager does it when the stop takes too long.
    place.signal(rustix::process::Signal::TERM);
    place.until("it drains", |place| place.log().contains("stopping"));
    place.kill();
    place.configure(&sim.url(), &[]);
    place.start();
    assert!(place.log().contains("in flight when the last process ended: in doubt"), "{}", place.log());
    let table = place.result("stock.results.csv");
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (40, 0), "{}", place.log());
    assert!(table.column("imeid_order_id").iter().all(|id| !id.is_empty()));
}

#[test]
fn a_second_daemon_is_refused_and_names_the_firsts_process() {
    let sim = Sim::start(Options::default());
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    let second = place.run(&["run"]);
    assert_eq!(second.status.code(), Some(1));
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(told.contains(&place.pid().to_string()), "{told}");
    // Another journal on the same inbox is refused too.
    let other = place.path("other.toml");
    let text = std::fs::read_to_string(place.config()).unwrap();
    std::fs::write(&other, text.replace("state/journal.db", "elsewhere/journal.db")).unwrap();
    let third = program().arg("run").arg("--config").arg(other).output().unwrap();
    assert_eq!(third.status.code(), Some(1));
    assert!(String::from_utf8(third.stderr).unwrap().contains(&place.pid().to_string()));
    assert!(place.stop().success());
}
