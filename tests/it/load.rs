//! As many calls at once as the provider bears, and what files get of them.

use std::time::Duration;

use imeid::simulator::{Delay, Duplicates, Options, Share};

use crate::support::{Sim, Workplace, books_agree, file_of, imei, status};

/// It would charge a duplicate, so that every order sent twice is seen.
fn options(latency_ms: u64) -> Options {
    Options {
        duplicates: Duplicates::Charge,
        latency: Delay::Fixed(Duration::from_millis(latency_ms)),
        completion: Delay::Fixed(Duration::from_millis(100)),
        rejected: Share::from_ppm(0),
        ..Options::default()
    }
}

fn workplace(sim: &Sim, workers: usize) -> Workplace {
    let workers = format!("workers = {workers}");
    Workplace::new(&sim.url(), &[("submit", "canary = 0"), ("submit", &workers)])
}

/// What `imeid status` tells of the workers: the limit and the ceiling.
fn told_workers(place: &Workplace) -> (u64, u64) {
    let status = status(place);
    let number = |key: &str| status["workers"][key].as_u64().unwrap();
    (number("limit"), number("ceiling"))
}

#[test]
fn a_provider_that_takes_100_at_once_gets_100_though_200_are_allowed() {
    const SETTLED: u64 = 1_400;
    const SEEN: u64 = 2_200;
    const ROWS: u32 = 2_400;
    let sim = Sim::start(Options { at_once: Some(100), ..options(1_000) });
    let mut place = workplace(&sim, 200);
    place.start();
    let imeis: Vec<String> = (0..ROWS).map(imei).collect();
    place.drop_file("stock.csv", &file_of(imeis.clone()));
    place.until("it has settled", |_| sim.ledger().charges >= SETTLED);
    let (limit, ceiling) = told_workers(&place);
    let mut in_work = Vec::new();
    place.until("it was watched for a while", |_| {
        in_work.push(sim.in_work());
        sim.ledger().charges >= SEEN
    });
    assert!((80..=110).contains(&limit) && ceiling == 200, "{limit} of {ceiling}");
    in_work.sort_unstable();
    let half = in_work[in_work.len() / 2];
    assert!((85..=100).contains(&half), "{in_work:?}");
    place.result("stock.results.csv");
    let refused = sim.ledger().faults.values().sum::<u64>();
    assert!((1..=u64::from(ROWS) / 10).contains(&refused), "{refused} were refused:\n{}", place.log());
    assert!(!place.log().contains("doesn't answer orders"), "{}", place.log());
    books_agree(&place, &sim, "stock.results.csv", &imeis);
}

#[test]
fn a_small_file_behind_a_large_one_is_done_within_a_few_calls_and_published_before_it() {
    const WORKERS: usize = 8;
    const LARGE: u32 = 1_500;
    const SMALL: u32 = 12;
    let sim = Sim::start(options(60));
    let mut place = workplace(&sim, WORKERS);
    place.start();
    let large: Vec<String> = (0..LARGE).map(imei).collect();
    let small: Vec<String> = (LARGE..LARGE + SMALL).map(imei).collect();
    place.drop_file("large.csv", &file_of(large.clone()));
    place.until("the large one is in work", |_| sim.ledger().charges >= 50);
    place.drop_file("small.csv", &file_of(small.clone()));
    // Orders are asked after while others are sent.
    place.result("small.results.csv");
    assert!(sim.ledger().charges < u64::from(LARGE + SMALL), "too late to show anything");
    place.result("large.results.csv");
    let orders = sim.orders();
    let is_small = |order: &imeid::simulator::OrderLine| small.contains(&order.imei.to_string());
    let first = orders.iter().position(is_small).unwrap();
    let last = orders.iter().rposition(is_small).unwrap();
    // Every second call is its own, but for those of the large one that were claimed before it came.
    let at_most = 2 * SMALL as usize + 4 * WORKERS;
    assert!(last - first < at_most, "its orders were {first} to {last} of {}", orders.len());
    books_agree(&place, &sim, "large.results.csv", &large);
}
