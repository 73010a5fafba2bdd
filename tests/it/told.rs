//! What the log tells of the daemon's decisions: with `level = "debug"` each of them, at `info` none; and a stage that
//! panics takes the daemon down.

use std::sync::Arc;
use std::time::Duration;

use imeid::clock::Clock;
use imeid::config;
use imeid::daemon::{self, DaemonError};
use imeid::simulator::{Delay, Options, Share};
use imeid::types::{Imei, Placed, ProviderOrder, ProviderOrderId};
use tokio_util::sync::CancellationToken;

use crate::fake::{self, Fake};
use crate::support::{Sim, Workplace, file_of, imei, status};

const ROWS: u32 = 4;

fn options() -> Options {
    Options {
        rejected: Share::from_ppm(0),
        latency: Delay::Fixed(Duration::from_millis(5)),
        completion: Delay::Fixed(Duration::from_millis(100)),
        faults: "drop-after=1x".parse().unwrap(),
        ..Options::default()
    }
}

/// A file of which one answer is lost and one row is over the day's cap.
fn log_of(more: &[(&str, &str)]) -> String {
    let sim = Sim::start(options());
    let changes = [&[("submit", "canary = 0"), ("budget", "per_day = \"0.24\"")], more].concat();
    let mut place = Workplace::new(&sim.url(), &changes);
    place.start();
    std::fs::write(place.path("inbox/notes.tmp"), "x").unwrap();
    place.drop_file("stock.csv", &file_of((0..ROWS).map(imei)));
    place.until("the cap holds one back", |place| {
        place.log().contains("reason=cap") && sim.orders().len() == 3 && place.log().contains("in doubt")
    });
    // What is in doubt is looked at, and what was ordered is asked after.
    place.until("all is settled", |place| {
        // An answer is told before it is recorded: until then its order is still being submitted.
        let orders = &status(place)["orders"];
        ["submitting", "in_doubt", "ordered"].iter().all(|state| orders[*state] == 0)
    });
    assert!(place.stop().success());
    place.log()
}

/// What only whoever looks for a fault wants to read, a line each.
const DECISIONS: [&str; 12] = [
    "left alone: its name is that of no finished file name=notes.tmp",
    "complete name=stock.csv",
    "taken out of the inbox file=",
    "read as a table file=stock.csv rows=4 column=imei",
    "claimed order=1 attempt=1 imei=",
    "call action=placeorder http=200 ms=",
    "call without an answer action=placeorder ms=",
    "no more can be claimed now want=",
    "a look at what is in doubt doubts=1 ",
    "asked after orders asked=",
    "told of an order order=",
    "what=status from=ordered to=completed",
];

#[test]
fn debug_tells_every_decision_with_the_orders_numbers() {
    let log = log_of(&[("log", "level = \"debug\"")]);
    let debug: Vec<&str> = log.lines().filter(|line| line.contains(" DEBUG ")).collect();
    for words in DECISIONS {
        assert!(debug.iter().any(|line| line.contains(words)), "{words:?} is missing in:\n{log}");
    }
    for words in ["blocked=cap", "answer=ordered text=\"id ", "answer=unclear text=", "state=in_doubt"] {
        assert!(debug.iter().any(|line| line.contains(words)), "{words:?} is missing in:\n{log}");
    }
    assert!(debug.iter().any(|line| line.contains(&format!("imei={}", imei(0)))), "{log}");
    assert!(!log.contains("a-key-of-no-account"), "{log}");
}

#[test]
fn debug_shows_no_whole_imei_where_the_log_is_to_show_none() {
    let log = log_of(&[("log", "level = \"debug\""), ("log", "imei = \"last4\"")]);
    assert!(log.contains("claimed order=1 attempt=1 imei=…"), "{log}");
    assert!((0..ROWS).all(|n| !log.contains(&imei(n))), "{log}");
}

#[test]
fn at_info_no_decision_is_a_line() {
    let log = log_of(&[]);
    assert!(log.contains("file taken batch=stock") && !log.contains(" DEBUG "), "{log}");
    for words in DECISIONS {
        assert!(!log.contains(words), "{words:?} in:\n{log}");
    }
}

#[test]
fn why_the_last_order_waits_while_another_is_in_doubt_is_told_once() {
    const WHY: &str = "the last queued order waits";
    let sim = Sim::start(options());
    let one_worker = [("submit", "canary = 0"), ("submit", "adaptive = false"), ("submit", "workers = 1")];
    let mut place =
        Workplace::new(&sim.url(), &[&one_worker[..], &[("in_doubt", "quiet = \"30s\"")]].concat());
    place.start();
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    place.until("it is told", |place| place.log().contains(WHY));
    assert_eq!(sim.ledger().place_calls, 2, "the first one's answer was lost, and the last one waits");
    assert!(place.stop().success());
    assert_eq!(place.log().matches(WHY).count(), 1, "{}", place.log());
}

/// Takes every order, and asking after one is a fault in the program.
struct Faulty;

impl Fake for Faulty {
    fn place(&self, _: Imei) -> Placed {
        Placed::Taken(ProviderOrderId(100))
    }

    fn orders(&self, _: &[ProviderOrderId]) -> Vec<ProviderOrder> {
        panic!("a fault in the program")
    }
}

#[tokio::test]
async fn a_panic_in_a_stage_takes_the_daemon_down() {
    let place = Workplace::new("http://127.0.0.1:9", &[]);
    place.drop_file("stock.csv", &file_of([imei(0)]));
    let config = config::load(&place.config()).unwrap();
    let stop = CancellationToken::new();
    let daemon = daemon::run_with(config, fake::provider(&Arc::new(Faulty)), Clock::system(), stop);
    let ended = tokio::time::timeout(Duration::from_secs(60), daemon).await.unwrap();
    assert!(matches!(ended, Err(DaemonError::Stage("poll"))), "{ended:?}");
}
