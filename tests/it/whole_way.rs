//! A file dropped, every IMEI ordered once, a result file back.

use imeid::simulator::{Delay, Options, Share};
use std::time::Duration;

use crate::support::{Sim, Workplace, every_id_is_on_its_own_row, file_of, imei};

fn quick() -> Options {
    Options {
        latency: Delay::Fixed(Duration::from_millis(5)),
        completion: Delay::Fixed(Duration::from_millis(300)),
        rejected: Share::from_ppm(0),
        ..Options::default()
    }
}

#[test]
fn every_imei_is_ordered_once_and_every_row_comes_back_in_its_place() {
    let sim = Sim::start(quick());
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    let imeis: Vec<String> = (0..300).map(imei).collect();
    place.drop_file("stock.csv", &file_of(imeis.clone()));
    let table = place.result("stock.results.csv");
    assert_eq!(table.column("imei"), imeis.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(table.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("completed", 300)]);
    let ledger = sim.ledger();
    assert_eq!((ledger.charges, ledger.paid_twice, ledger.batched_calls), (300, 0, 0));
    assert_eq!(table.cost(), ledger.charged.micros(), "the column's sum is the provider's bill");
    every_id_is_on_its_own_row(&table, &sim.orders());
    place.until("the original is in the archive", |place| {
        let days = place.names("archive");
        days.len() == 1 && place.names(&format!("archive/{}", days[0])) == ["stock.csv"]
    });
    assert!(place.stop().success());
    assert_eq!(place.names("outbox"), ["READ ME.txt", "stock.results.csv"]);
}

#[test]
fn invalid_repeated_and_known_rows_cost_nothing_and_say_why() {
    let sim = Sim::start(quick());
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    let one = imei(1);
    let bad_digit = format!("{}{}", &one[..14], (one[14..].parse::<u32>().unwrap() + 1) % 10);
    let rows = [&one, &imei(2), &one, &bad_digit, "3.53322E+14", "35332211ABC0001", "", "123"];
    place.drop_file("first.csv", &file_of(rows.map(str::to_owned)));
    let table = place.result("first.results.csv");
    assert_eq!(
        table.column("imeid_status"),
        ["completed", "completed", "completed", "invalid", "invalid", "invalid", "invalid", "invalid"]
    );
    assert_eq!(table.column("imeid_cost")[..3], ["0.08", "0.08", "0.00"]);
    assert_eq!(table.column("imeid_note")[2], "same as first row 1");
    assert!(table.column("imeid_note")[3..].iter().all(|note| !note.is_empty()));
    assert_eq!(sim.ledger().charges, 2);
    place.drop_file("second.csv", &file_of([one.clone(), imei(3)]));
    let again = place.result("second.results.csv");
    assert_eq!(again.column("imeid_status"), ["duplicate", "completed"]);
    assert_eq!(again.column("imeid_order_id")[0], table.column("imeid_order_id")[0]);
    assert_eq!(again.column("imeid_code")[0], table.column("imeid_code")[0]);
    assert_eq!(sim.ledger().charges, 3);
    assert_eq!(sim.ledger().paid_twice, 0);
}

#[test]
fn a_copy_that_stalls_is_waited_for_as_long_as_it_is_open() {
    use std::io::Write;
    let sim = Sim::start(quick());
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    let rows = file_of((0..6).map(imei));
    let (begin, rest) = rows.split_at(60);
    let mut copy = std::fs::File::create(place.path("inbox/copied.csv")).unwrap();
    copy.write_all(begin.as_bytes()).unwrap();
    // Nobody is heard to close a link, so ten times the usual wait is over for it, and for the copy before it.
    std::fs::write(place.path("elsewhere.csv"), file_of([imei(9)])).unwrap();
    std::fs::hard_link(place.path("elsewhere.csv"), place.path("inbox/linked.csv")).unwrap();
    place.result("linked.results.csv");
    assert!(place.path("inbox/copied.csv").exists(), "{}", place.log());
    copy.write_all(rest.as_bytes()).unwrap();
    drop(copy);
    assert_eq!(place.result("copied.results.csv").rows.len(), 6);
}

#[test]
fn a_file_that_cannot_be_taken_is_refused_with_a_reason_and_nothing_is_sent() {
    let sim = Sim::start(quick());
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    place.drop_file("prices.csv", "model,price\niPhone 12,300\n");
    place.until("it is refused", |place| place.names("rejected").len() == 2);
    assert_eq!(place.names("rejected"), ["prices.csv", "prices.csv.reason.txt"]);
    let reason = std::fs::read_to_string(place.path("rejected/prices.csv.reason.txt")).unwrap();
    assert!(reason.contains("IMEI") && reason.contains("\r\n"), "{reason}");
    assert_eq!(sim.ledger().place_calls, 0);
}

#[test]
fn a_name_that_was_used_before_gets_a_number_and_nothing_is_overwritten() {
    let sim = Sim::start(quick());
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    place.drop_file("stock.csv", &file_of([imei(1)]));
    let first = place.result("stock.results.csv").column("imeid_order_id")[0].to_owned();
    place.drop_file("stock.csv", &file_of([imei(2)]));
    let second = place.result("stock-2.results.csv").column("imeid_order_id")[0].to_owned();
    assert_ne!(first, second);
    assert_eq!(place.result("stock.results.csv").column("imeid_order_id"), [first]);
}

#[test]
fn a_rejected_order_carries_the_providers_reason() {
    let sim = Sim::start(Options { rejected: Share::from_ppm(1_000_000), ..quick() });
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    place.drop_file("stock.csv", &file_of([imei(1)]));
    let table = place.result("stock.results.csv");
    assert_eq!(table.column("imeid_status"), ["rejected"]);
    assert!(!table.column("imeid_code")[0].is_empty());
    assert_eq!(table.column("imeid_cost"), ["0.08"]);
    assert_eq!(sim.ledger().refunds, 1);
}
