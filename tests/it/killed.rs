//! `kill -9` at any moment, and started again: the same figures at the end.
//!
//! `IMEID_ROWS` and `IMEID_KILLS` make the file and the number of kills larger than the everyday ones.

use std::time::Duration;

use imeid::simulator::{Delay, Duplicates, Options};

use crate::support::{Sim, Table, Workplace, every_id_is_on_its_own_row, file_of, imei, refusal_is_proven};

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().expect(name))
}

/// Kills the daemon whenever the provider has charged the next of some random counts; gives the result.
fn killed_again_and_again(sim: &Sim, place: &mut Workplace, rows: u64) -> Table {
    let kills = number("IMEID_KILLS", 4);
    let mut random = fastrand::Rng::with_seed(number("IMEID_SEED", 7));
    let mut moments: Vec<u64> = (0..kills).map(|_| random.u64(1..rows)).collect();
    moments.sort_unstable();
    let before = sim.ledger().charges;
    let imeis = (0..u32::try_from(rows).unwrap()).map(imei);
    place.drop_file("stock.csv", &file_of(imeis));
    for moment in moments {
        place.until("the provider has charged so many", |_| sim.ledger().charges - before >= moment);
        place.kill();
        place.start();
    }
    place.result("stock.results.csv")
}

fn provider(duplicates: Duplicates, listing: bool) -> Sim {
    Sim::start(Options {
        latency: Delay::Fixed(Duration::from_millis(36)),
        duplicates,
        listing,
        listing_limit: 20_000,
        credit: imeid::types::Money::from_micros(2_000_000_000),
        ..Options::default()
    })
}

#[test]
fn with_a_provider_that_charges_duplicates_and_lists_every_order_has_its_id_and_none_is_paid_twice() {
    let sim = provider(Duplicates::Charge, true);
    let mut place = Workplace::new(&sim.url(), &[("provider", "list_recent = \"auto\"")]);
    let rows = number("IMEID_ROWS", 600);
    place.start();
    let table = killed_again_and_again(&sim, &mut place, rows);
    let ledger = sim.ledger();
    assert_eq!((ledger.charges, ledger.paid_twice), (rows, 0), "{}", place.log());
    assert_eq!(table.rows.len() as u64, rows);
    let counts = table.counts("imeid_status");
    let ended = ["completed", "rejected"].iter().filter_map(|word| counts.get(word)).sum::<usize>();
    assert_eq!(ended as u64, rows, "{counts:?}\n{}", place.log());
    assert!(table.column("imeid_order_id").iter().all(|id| !id.is_empty()));
    assert_eq!(table.cost(), ledger.charged.micros());
    every_id_is_on_its_own_row(&table, &sim.orders());
}

#[test]
fn with_a_provider_that_refuses_duplicates_and_lists_nothing_an_order_without_an_id_says_so() {
    let sim = provider(Duplicates::Refuse, false);
    // Orders without an id are held, and must not keep the file back for a day.
    let mut place =
        Workplace::new(&sim.url(), &[("outbox", "held_after = \"1s\""), ("submit", "canary = 0")]);
    let rows = number("IMEID_ROWS", 600);
    place.start();
    refusal_is_proven(&mut place, &sim, u32::try_from(rows).unwrap());
    let paid = sim.ledger().charged.micros();
    let table = killed_again_and_again(&sim, &mut place, rows);
    let ledger = sim.ledger();
    assert_eq!((ledger.charges, ledger.paid_twice), (rows + 2, 0), "{}", place.log());
    assert_eq!(table.rows.len() as u64, rows);
    let words = table.column("imeid_status").into_iter().zip(table.column("imeid_order_id"));
    for ((word, id), note) in words.zip(table.column("imeid_note")) {
        match word {
            "completed" | "rejected" => assert!(!id.is_empty()),
            "held" => assert!(id.is_empty() && note.contains("never told imeid its order id"), "{note}"),
            other => panic!("{other}: {note}\n{}", place.log()),
        }
    }
    assert_eq!(table.cost(), ledger.charged.micros() - paid);
    every_id_is_on_its_own_row(&table, &sim.orders());
}
