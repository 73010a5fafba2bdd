//! Connections that the server closes at the very moment at which they are used again: an order that it never saw fails there
//! exactly as one that was taken. A doubt that needn't be is a false one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use imeid::simulator::{Delay, Duplicates, Options, Share};
use rstest::rstest;

use crate::front::{Exchange, Front, Then, ok};
use crate::support::{Sim, Workplace, books_agree, file_of, imei, orders_until};
use crate::wire::{doubts, provider};

/// How long the server keeps an idle connection: shorter than any server's default (Apache's is 5 s).
const KEPT: Duration = Duration::from_secs(2);
/// For so long after it has closed one, requests still reach it there that left before its end arrived. Longer than on any
/// wire, so that one that is used too late is met there.
const ON_THE_WAY: Duration = Duration::from_secs(1);
const ROWS: u32 = 80;

#[test]
fn connections_that_the_server_closes_when_idle_leave_no_false_doubt() {
    let files: u32 = std::env::var("IMEID_FILES").map_or(12, |files| files.parse().expect("IMEID_FILES"));
    let sim = Sim::start(Options {
        duplicates: Duplicates::Charge,
        listing_limit: 20_000,
        latency: Delay::Fixed(Duration::from_millis(30)),
        completion: Delay::Fixed(Duration::from_millis(100)),
        rejected: Share::from_ppm(0),
        ..Options::default()
    });
    let (orders, reused, crossed) = (Arc::default(), Arc::default(), Arc::<AtomicUsize>::default());
    let [all, again, lost] = [&orders, &reused, &crossed].map(Arc::clone);
    let front = Front::before(&sim, move |exchange| {
        exchange.close_when_idle_for(KEPT + ON_THE_WAY);
        if exchange.is_order() {
            all.fetch_add(1, Ordering::SeqCst);
            again.fetch_add(usize::from(exchange.nth > 0), Ordering::SeqCst);
        }
        // The worst case: the server's end and the request crossed on the way.
        if exchange.nth > 0 && exchange.idle >= KEPT {
            lost.fetch_add(usize::from(exchange.is_order()), Ordering::SeqCst);
            return Then::Close;
        }
        exchange.relay()
    });
    let workers = format!("workers = {ROWS}");
    let mut place = patient(&front.url(), &[("submit", &workers)]);
    place.start();
    let mut random = fastrand::Rng::with_seed(5);
    let rows = |n: u32| (n * ROWS..(n + 1) * ROWS).map(imei).collect::<Vec<_>>();
    let mut dropped = 0;
    // A busy machine answers slowly, and then none is used again: more of them come.
    while dropped < files || reused.load(Ordering::SeqCst) == 0 {
        let n = dropped;
        assert!(n < 8 * files, "none is ever used again:\n{}", place.log());
        place.drop_file(&format!("stock{n}.csv"), &file_of(rows(n)));
        place.until("every order was sent", |place| {
            let doubts = place.log().matches(" in doubt imei=").count() as u64;
            sim.ledger().charges + doubts >= u64::from((n + 1) * ROWS)
        });
        // Every time another: what is open then is used by the next file's orders, if it is used at all.
        let time = Duration::from_millis(random.u64(0..2_600));
        place.until("what is open lies idle for some time", |_| front.is_idle_for(time));
        dropped += 1;
    }
    for n in 0..dropped {
        place.result(&format!("stock{n}.results.csv"));
    }
    let [orders, reused, crossed] = [orders, reused, crossed].map(|count| count.load(Ordering::SeqCst));
    println!("{orders} orders, {reused} over a kept connection, {crossed} false doubts");
    let doubts = place.log().matches(" in doubt imei=").count();
    assert_eq!((crossed, doubts), (0, 0), "{}", place.log());
    books_agree(&place, &sim, "stock0.results.csv", &rows(0));
}

/// What the daemon says once, when it gives up using connections again.
const NONE_ANY_MORE: &str = "until the next start each order has one of its own";

/// A busy machine's calls take no longer than its time-out: else they would be doubts of their own.
fn patient(url: &str, more: &[(&str, &str)]) -> Workplace {
    let changes = [
        ("outbox", "held_after = \"1h\""),
        ("submit", "canary = 0"),
        ("provider", "timeout = \"4s\""),
        ("in_doubt", "quiet = \"4s\""),
    ];
    Workplace::new(url, &[&changes, more].concat())
}

/// Of a file of `rows`: behind so many orders over connections that had carried one, all others over such break this way. So
/// many broke, and no other is in doubt. Where answers are slow, as a busy machine's are, connections aren't used again: then
/// it takes another file.
fn broken_again(
    rows: u32,
    after: usize,
    act: impl Fn(&mut Exchange<'_>) -> Then + Send + Sync + 'static,
) -> usize {
    let sim = provider();
    let again = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&again);
    let front = Front::before(&sim, move |exchange| {
        if exchange.is_order() && exchange.nth > 0 && counted.fetch_add(1, Ordering::SeqCst) >= after {
            return act(exchange);
        }
        exchange.relay()
    });
    let mut place = patient(&front.url(), &[]);
    place.start();
    let imeis = |n: u32| (n * rows..(n + 1) * rows).map(imei).collect::<Vec<_>>();
    let result = |n: u32| format!("stock{n}.results.csv");
    let mut last = 0;
    place.drop_file("stock0.csv", &file_of(imeis(0)));
    place.until("one broke as it was used again", |place| {
        if place.path("outbox").join(result(last)).exists() {
            last += 1;
            place.drop_file(&format!("stock{last}.csv"), &file_of(imeis(last)));
        }
        place.log().contains(NONE_ANY_MORE)
    });
    orders_until(&mut place, &format!("outbox/{}", result(last)));
    assert_eq!(place.log().matches(NONE_ANY_MORE).count(), 1, "{}", place.log());
    books_agree(&place, &sim, &result(last), &imeis(last));
    let broken = again.load(Ordering::SeqCst).saturating_sub(after);
    println!("{broken} broken behind {after}, {} doubts", doubts(&place));
    assert_eq!(doubts(&place), broken, "{}", place.log());
    broken
}

/// At first a single connection is used again, then as many as orders went well; once that went well for long enough, each of the
/// thirty workers has one.
const BEHIND: [(u32, usize, usize); 4] = [(100, 0, 1), (200, 3, 3), (900, 12, 12), (2_000, 200, 30)];

fn as_many_doubts_as_broke(act: impl Fn(&mut Exchange<'_>) -> Then + Clone + Send + Sync + 'static) {
    std::thread::scope(|scope| {
        for (rows, after, most) in BEHIND {
            let act = act.clone();
            scope.spawn(move || {
                let broken = broken_again(rows, after, act);
                assert!((1..=most).contains(&broken), "{broken} behind {after}");
            });
        }
    });
}

#[test]
fn a_server_that_closes_as_one_is_used_again_leaves_as_many_doubts_as_calls_at_once_and_no_more() {
    as_many_doubts_as_broke(|_| Then::Close);
}

#[rstest]
fn a_refusal_too_many_behind_the_next_request_costs_no_order_and_nothing_twice(
    #[values("Credit has been finished!", "IMEI already exists!", "Invalid IMEI")] text: &'static str,
) {
    as_many_doubts_as_broke(move |exchange| {
        exchange.write(ok(&format!("<error>{text}</error>")));
        exchange.relay()
    });
}
