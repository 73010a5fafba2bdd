//! What an order costs is held against the configured price before the workers open.

use std::collections::BTreeMap;
use std::time::Duration;

use imeid::simulator::{Change, Delay, Options};
use imeid::types::Money;

use crate::support::{Sim, Workplace, file_of, imei};

#[test]
fn a_service_that_costs_more_than_its_price_stops_after_one_order_until_the_price_is_right() {
    let mut options = Options { latency: Delay::Fixed(Duration::from_millis(20)), ..Options::default() };
    options.services[0].price = Money::from_micros(90_000);
    let sim = Sim::start(options);
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..40).map(imei)));
    place.until("it pauses", |place| place.log().contains("reason=price"));
    let asked = sim.ledger().other_calls;
    // It is tried again by the price list, which costs nothing.
    place.until("the price was looked up again", |_| sim.ledger().other_calls > asked + 1);
    assert_eq!(sim.ledger().charges, 1, "{}", place.log());
    let price = BTreeMap::from([("1739".to_owned(), Money::from_micros(80_000))]);
    sim.change(&Change { prices: price, ..Change::default() });
    let table = place.result("stock.results.csv");
    assert_eq!(table.rows.len(), 40);
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (40, 0));
}
