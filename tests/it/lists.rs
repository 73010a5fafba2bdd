//! `list_recent = "auto"`: whether the provider lists recent orders is found out, and found out anew when that was wrong.
//! To take one that lists for one that doesn't would end in a probe, and a probe can be paid for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use imeid::simulator::{Change, Delay, Duplicates, Options, Share};

use crate::front::{Front, Then, ok};
use crate::support::{Sim, Workplace, books_agree, file_of, imei, orders_until, status};

const SEEN: &str = "whether the provider lists recent orders lists=";

fn sim(duplicates: Duplicates, listing: bool) -> Sim {
    Sim::start(Options {
        duplicates,
        listing,
        latency: Delay::Fixed(Duration::from_millis(10)),
        completion: Delay::Fixed(Duration::from_millis(100)),
        rejected: Share::from_ppm(0),
        ..Options::default()
    })
}

fn workplace(url: &str, more: &[(&str, &str)]) -> Workplace {
    let base = [
        ("provider", "timeout = \"1500ms\""),
        ("in_doubt", "quiet = \"1500ms\""),
        ("submit", "canary = 0"),
        ("outbox", "held_after = \"1h\""),
    ];
    Workplace::new(url, &[&base, more].concat())
}

fn listing(on: bool) -> Change {
    Change { listing: Some(on), ..Change::default() }
}

/// Drops a file of three, the first of which is taken without an answer.
fn one_in_doubt(place: &mut Workplace, sim: &Sim, name: &str, first: u32) -> Vec<String> {
    let before = place.log().matches("in doubt imei=").count();
    let imeis: Vec<String> = (first..first + 3).map(imei).collect();
    sim.change(&Change { faults: Some("drop-after=1x".parse().unwrap()), ..Change::default() });
    place.drop_file(&format!("{name}.csv"), &file_of(imeis.clone()));
    place.until("one is in doubt", |place| place.log().matches("in doubt imei=").count() > before);
    imeis
}

/// A provider that was seen to list by an earlier process, and doesn't any more. Every question for the listing counts.
fn listed_before(more: &[(&str, &str)]) -> (Sim, Front, Workplace, Arc<AtomicUsize>) {
    let sim = sim(Duplicates::Charge, true);
    let asked = Arc::new(AtomicUsize::new(0));
    let asks = Arc::clone(&asked);
    let front = Front::before(&sim, move |exchange| {
        let for_all = exchange.param("action") == "getimeis" && exchange.param("orderIds").is_empty();
        asks.fetch_add(usize::from(for_all), Ordering::SeqCst);
        exchange.relay()
    });
    let mut place = workplace(&front.url(), more);
    place.start();
    place.drop_file("before.csv", &file_of((0..2).map(imei)));
    place.result("before.results.csv");
    one_in_doubt(&mut place, &sim, "first", 100);
    place.result("first.results.csv");
    assert!(place.log().contains(&format!("{SEEN}true")), "{}", place.log());
    assert!(place.stop().success());
    sim.change(&listing(false));
    place.start();
    (sim, front, place, asked)
}

#[test]
fn a_provider_that_was_seen_to_list_is_asked_on_after_a_restart_and_never_probed() {
    let (sim, _front, mut place, asked) = listed_before(&[]);
    let imeis = one_in_doubt(&mut place, &sim, "second", 200);
    let before = asked.load(Ordering::SeqCst);
    place.until("its quiet period is long over", |_| asked.load(Ordering::SeqCst) >= before + 8);
    let ledger = sim.ledger();
    assert_eq!((ledger.place_calls, ledger.charges), (8, 8), "nothing was probed:\n{}", place.log());
    sim.change(&listing(true));
    orders_until(&mut place, "outbox/second.results.csv");
    assert!(!place.log().contains(&format!("{SEEN}false")), "{}", place.log());
    books_agree(&place, &sim, "second.results.csv", &imeis);
}

#[test]
fn a_doubt_at_a_provider_that_lists_no_more_ends_with_a_person() {
    let (sim, _front, mut place, _) =
        listed_before(&[("in_doubt", "probe_within = \"2s\""), ("outbox", "held_after = \"1s\"")]);
    let imeis = one_in_doubt(&mut place, &sim, "second", 200);
    let table = place.result("second.results.csv");
    assert_eq!(table.column("imei"), imeis);
    assert_eq!(table.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("completed", 2), ("held", 1)]);
    let ledger = sim.ledger();
    assert_eq!((ledger.place_calls, ledger.charges, ledger.paid_twice), (8, 8, 0), "{}", place.log());
    // What is held isn't told as paid: whether it is, a person finds out.
    assert_eq!(table.cost(), 2 * 80_000);
}

#[test]
fn a_provider_that_lists_after_all_is_found_out_and_tells_the_ids() {
    let sim = sim(Duplicates::Refuse, false);
    // Else the balance tells that it was taken, and there is nothing to probe.
    let mut place = workplace(&sim.url(), &[("provider", "shared_account = true")]);
    place.start();
    place.drop_file("before.csv", &file_of((0..2).map(imei)));
    place.result("before.results.csv");
    let imeis = one_in_doubt(&mut place, &sim, "stock", 100);
    place.until("it was probed", |_| sim.ledger().place_calls == 6);
    assert!(place.log().contains(&format!("{SEEN}false")), "{}", place.log());
    sim.change(&listing(true));
    orders_until(&mut place, "outbox/stock.results.csv");
    assert!(place.log().contains(&format!("{SEEN}true")), "{}", place.log());
    books_agree(&place, &sim, "stock.results.csv", &imeis);
}

/// How many orders are taken and not told of, once all are taken.
fn waiting(place: &Workplace) -> Option<u64> {
    let status = status(place);
    let orders = &status["orders"];
    (orders["queued"] == 0 && orders["submitting"] == 0).then(|| orders["ordered"].as_u64().unwrap())
}

#[test]
fn what_the_provider_told_before_a_call_that_fails_is_recorded() {
    const ROWS: u32 = 60;
    const ONE_ANSWER: usize = 1;
    const AWAY: usize = 2;
    const BACK: usize = 3;
    let sim = sim(Duplicates::Charge, true);
    let (told, mode) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (tells, is) = (Arc::clone(&told), Arc::clone(&mode));
    let front = Front::before(&sim, move |exchange| {
        let is_poll = !["", "0"].contains(&exchange.param("orderIds"));
        if !is_poll || is.load(Ordering::SeqCst) == BACK {
            return exchange.relay();
        }
        // A full one has another behind it.
        let is_full = exchange.param("orderIds").matches("%2C").count() == 9;
        if !is_full || is.compare_exchange(ONE_ANSWER, AWAY, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return Then::Close;
        }
        let answer = exchange.ask();
        tells.fetch_add(answer.matches("<statusId>2</statusId>").count(), Ordering::SeqCst);
        exchange.write(ok(&answer));
        Then::KeepOpen
    });
    let mut place = workplace(&front.url(), &[("poll", "ids_per_call = 10")]);
    place.start();
    let imeis: Vec<String> = (0..ROWS).map(imei).collect();
    place.drop_file("stock.csv", &file_of(imeis.clone()));
    place.until("all are taken", |place| waiting(place) == Some(u64::from(ROWS)));
    mode.store(ONE_ANSWER, Ordering::SeqCst);
    place.until("some are told of", |_| told.load(Ordering::SeqCst) > 0);
    let left = u64::from(ROWS) - u64::try_from(told.load(Ordering::SeqCst)).unwrap();
    place.until("it is recorded", |place| waiting(place) == Some(left));
    mode.store(BACK, Ordering::SeqCst);
    place.result("stock.results.csv");
    books_agree(&place, &sim, "stock.results.csv", &imeis);
}
