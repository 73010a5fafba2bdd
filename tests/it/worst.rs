//! The provider at its worst, over HTTP: each fault on every call for a while, and all of them mixed.
//!
//! Two providers: one that would charge a duplicate and lists its orders, one that refuses duplicates and lists nothing.
//! `IMEID_ROWS` makes the mixed file larger than the everyday one.

use std::time::Duration;

use imeid::simulator::{Change, Delay, Duplicates, Options, Share};

use crate::support::{
    Sim, Table, Workplace, every_id_is_on_its_own_row, file_of, imei, orders_until, refusal_is_proven,
};

const FAULTS: [&str; 20] = [
    "drop-before",
    "drop-after",
    "hang-before",
    "hang-after",
    "500-before",
    "500-after",
    "502-html-before",
    "502-html-after",
    "503-retry-before",
    "504-html-after",
    "520-html-after",
    "307-before",
    "429-before",
    "429-retry-before",
    "empty-after",
    "odd-error-before",
    "cut-after",
    "wrong-imei-after",
    "several-after",
    "late-after",
];

/// Rows ordered before anything goes wrong: what a listing must reach back to.
const WARM_UP: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Provider {
    ListsAndChargesDuplicates,
    RefusesDuplicatesAndListsNothing,
}

impl Provider {
    fn start(self) -> Sim {
        let lists = self == Self::ListsAndChargesDuplicates;
        Sim::start(Options {
            duplicates: if lists { Duplicates::Charge } else { Duplicates::Refuse },
            listing: lists,
            listing_limit: 20_000,
            latency: Delay::Fixed(Duration::from_millis(20)),
            completion: Delay::Fixed(Duration::from_millis(200)),
            rejected: Share::from_ppm(0),
            late_by: Duration::from_millis(700),
            ..Options::default()
        })
    }

    /// Settles doubts quickly, and doesn't stop at a service's first orders. What ends held is published; where the
    /// provider lists, every doubt is waited for.
    fn workplace(self, sim: &Sim) -> Workplace {
        let held_after = match self {
            Self::ListsAndChargesDuplicates => "held_after = \"1h\"",
            Self::RefusesDuplicatesAndListsNothing => "held_after = \"25s\"",
        };
        Workplace::new(
            &sim.url(),
            &[
                ("outbox", held_after),
                ("submit", "canary = 0"),
                ("provider", "timeout = \"1500ms\""),
                ("in_doubt", "quiet = \"1500ms\""),
            ],
        )
    }

    /// Orders more until the file is out, where only a later one can show that the last was not taken. Gives how many. A
    /// first probe waits until nothing is on its way.
    fn later_orders(self, place: &mut Workplace) -> u64 {
        match self {
            Self::ListsAndChargesDuplicates => orders_until(place, "outbox/stock.results.csv"),
            Self::RefusesDuplicatesAndListsNothing => 0,
        }
    }

    /// Every row has its order: with its id, or, where the provider can't tell it, with a note that says so. Gives the
    /// number of those whose every attempt stayed unanswered: whether they are charged isn't known.
    fn check(self, table: &Table, sim: &Sim, context: &str) -> u64 {
        let ids = table.column("imeid_order_id");
        let notes = table.column("imeid_note");
        let costs = table.column("imeid_cost");
        let mut unknown = 0;
        for (at, word) in table.column("imeid_status").into_iter().enumerate() {
            let held = word == "held" && ids[at].is_empty() && self == Self::RefusesDuplicatesAndListsNothing;
            let used_up = notes[at].contains("could not be found out whether it was taken");
            match word {
                "completed" if !ids[at].is_empty() => {}
                _ if held && notes[at].contains("never told imeid its order id") => {}
                _ if held && used_up && costs[at].is_empty() => unknown += 1,
                _ => panic!("{context}: row {at} is {word}, id {:?}: {}", ids[at], notes[at]),
            }
        }
        assert_eq!(sim.ledger().paid_twice, 0, "{context}");
        every_id_is_on_its_own_row(table, &sim.orders());
        unknown
    }
}

fn one_fault_for_a_while(provider: Provider, fault: &str) {
    let sim = provider.start();
    let mut place = provider.workplace(&sim);
    place.start();
    place.drop_file("before.csv", &file_of((0..WARM_UP as u32).map(imei)));
    place.result("before.results.csv");
    sim.change(&Change { faults: Some(format!("{fault}=100%").parse().unwrap()), ..Change::default() });
    place.drop_file("stock.csv", &file_of((100..108).map(imei)));
    place.until("the fault has struck", |_| sim.ledger().place_calls >= WARM_UP + 4);
    sim.change(&Change { faults: Some("".parse().unwrap()), ..Change::default() });
    let later = provider.later_orders(&mut place);
    let table = place.result("stock.results.csv");
    let context = format!("{provider:?}, {fault}:\n{}", place.log());
    assert_eq!(table.rows.len(), 8, "{context}");
    assert_eq!(provider.check(&table, &sim, &context), 0, "{context}");
    assert_eq!(sim.ledger().charges, WARM_UP + 8 + later, "{context}");
}

/// All at once: each waits much more than it works.
fn every_fault_alone(provider: Provider) {
    std::thread::scope(|scope| {
        let runs: Vec<_> =
            FAULTS.iter().map(|fault| scope.spawn(move || one_fault_for_a_while(provider, fault))).collect();
        for run in runs {
            run.join().unwrap();
        }
    });
}

#[test]
fn any_fault_on_every_call_costs_no_order_and_nothing_twice_where_the_provider_lists() {
    every_fault_alone(Provider::ListsAndChargesDuplicates);
}

#[test]
fn any_fault_on_every_call_costs_no_order_and_nothing_twice_where_the_provider_refuses_duplicates() {
    every_fault_alone(Provider::RefusesDuplicatesAndListsNothing);
}

fn mixed(provider: Provider) {
    let rows: u32 = std::env::var("IMEID_ROWS").map_or(300, |rows| rows.parse().expect("IMEID_ROWS"));
    let sim = provider.start();
    let mut place = provider.workplace(&sim);
    place.start();
    place.drop_file("before.csv", &file_of((0..WARM_UP as u32).map(imei)));
    place.result("before.results.csv");
    if provider == Provider::RefusesDuplicatesAndListsNothing {
        refusal_is_proven(&mut place, &sim, WARM_UP as u32);
    }
    let before = sim.ledger().charges;
    let faults = "drop-after=2%,502-html-after=2%,hang-after=0.5%,500-before=2%";
    sim.change(&Change { faults: Some(faults.parse().unwrap()), ..Change::default() });
    place.drop_file("stock.csv", &file_of((100..100 + rows).map(imei)));
    let later = provider.later_orders(&mut place);
    let table = place.result("stock.results.csv");
    let ledger = sim.ledger();
    println!("{provider:?}: {:?}, struck by {:?}", table.counts("imeid_status"), ledger.faults);
    assert!(ledger.faults.values().sum::<u64>() > 0);
    assert_eq!(table.rows.len(), rows as usize);
    let unknown = provider.check(&table, &sim, &place.log());
    let all = before + u64::from(rows) + later;
    assert!((all - unknown..=all).contains(&ledger.charges), "{}", place.log());
    let told = table.cost() + i64::try_from(before + later).unwrap() * 80_000;
    let unknown = i64::try_from(unknown).unwrap() * 80_000;
    assert!((told..=told + unknown).contains(&ledger.charged.micros()), "told {told}, {}", ledger.charged);
}

#[test]
fn mixed_faults_leave_every_order_with_its_id_where_the_provider_lists() {
    mixed(Provider::ListsAndChargesDuplicates);
}

#[test]
fn mixed_faults_leave_no_order_lost_where_the_provider_refuses_duplicates() {
    mixed(Provider::RefusesDuplicatesAndListsNothing);
}
