//! A provider that charges duplicates, lists nothing and was never seen to refuse one: what that may cost is one price.

use imeid::simulator::{Change, Delay, Duplicates, Options, Share};
use imeid::types::Money;

use super::world::life::Units;
use super::world::{self, Knobs, World, files, oracle};
use super::{crash, pass_with, seconds};

const PRICE: i64 = 80_000;

/// Orders that are known to be taken, in a world of such a provider. `rests`: until the balance is known.
fn begun(duplicates: Duplicates, rests: bool) -> World {
    let options = Options {
        duplicates,
        listing: false,
        latency: Delay::Fixed(seconds(2)),
        completion: Delay::Fixed(seconds(30)),
        rejected: Share::from_ppm(0),
        ..world::provider(1)
    };
    fastrand::seed(1);
    let mut world = World::new(options, Knobs { workers: 5, ..Knobs::default() });
    world.may_pay_twice = i64::from(duplicates == Duplicates::Charge);
    assert_eq!(world.start(), Ok(()));
    drop_rows(&mut world, 0, 10);
    pass_with(&mut world, Units::ALL, if rests { 900 } else { 20 });
    world
}

fn drop_rows(world: &mut World, first: u32, rows: u32) {
    let line = |n| files::Line { cell: files::imei(n).to_string(), imei: Some(files::imei(n)) };
    let lines = (first..first + rows).map(line).collect();
    world.drop_file(files::written(format!("from {first}.csv"), 0, usize::try_from(first).unwrap(), lines));
}

/// A file of 60 orders, of which the answers to some don't come.
fn lose(world: &mut World, faults: &str) {
    world.wire.change(&Change { faults: Some(faults.parse().unwrap()), ..Change::default() });
    drop_rows(world, 100, 60);
    pass_with(world, Units::ALL, 1_500);
}

fn count(world: &World, sql: &str) -> i64 {
    world.life.as_ref().unwrap().view.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Probes that were sent, orders in doubt, orders held, and alarms of this name.
fn probes_doubts_held_alarms(world: &World, alarm: &str) -> (i64, i64, i64, i64) {
    (
        count(world, "SELECT count(*) FROM attempts WHERE kind = 1"),
        count(world, "SELECT count(*) FROM orders WHERE state = 2"),
        count(world, "SELECT count(*) FROM orders WHERE state = 5"),
        count(world, &format!("SELECT count(*) FROM alarms WHERE name = '{alarm}'")),
    )
}

#[test]
fn where_the_balance_fell_by_all_that_is_in_doubt_nothing_is_sent_again() {
    let mut world = begun(Duplicates::Charge, true);
    world.may_pay_twice = 0;
    lose(&mut world, "drop-after=10x");
    assert_eq!(probes_doubts_held_alarms(&world, "duplicates"), (0, 0, 10, 0));
    assert_eq!(count(&world, "SELECT sum(presumed) FROM orders"), 10);
}

#[test]
fn where_nothing_is_known_of_the_balance_one_is_sent_again_and_the_rest_is_held() {
    // Of a new account, of one that tells none, and of one that is topped up.
    for how in ["new", "hidden", "topped up"] {
        let mut world = begun(Duplicates::Charge, how == "topped up");
        match how {
            "hidden" => world.wire.hide_balance(),
            "topped up" => {
                let add_credit = Some(Money::from_micros(5_000_000_000));
                world.wire.change(&Change { add_credit, ..Change::default() });
            }
            _ => {}
        }
        lose(&mut world, "drop-after=10x");
        assert_eq!(probes_doubts_held_alarms(&world, "duplicates"), (1, 0, 9, 1), "{how}");
        assert!(oracle::is_paid_twice(&world), "{how}: by the first");
        // The next file's doubts, and the next process's.
        crash(&mut world);
        drop_rows(&mut world, 200, 10);
        pass_with(&mut world, Units::ALL, 1_500);
        assert_eq!(probes_doubts_held_alarms(&world, "duplicates").0, 1, "{how}");
    }
}

#[test]
fn after_another_buyers_order_nothing_is_sent_again_and_an_alarm_tells_of_it() {
    let mut world = begun(Duplicates::Charge, true);
    world.may_pay_twice = 0;
    let add_credit = Some(Money::from_micros(-100_000));
    world.wire.change(&Change { add_credit, ..Change::default() });
    lose(&mut world, "drop-after=10x");
    assert_eq!(probes_doubts_held_alarms(&world, "balance"), (0, 0, 10, 1));
}

#[test]
fn a_first_probe_of_an_order_that_was_not_taken_shows_nothing_and_costs_nothing() {
    let mut world = begun(Duplicates::Charge, true);
    world.may_pay_twice = 0;
    lose(&mut world, "drop-before=1x");
    assert_eq!(probes_doubts_held_alarms(&world, "duplicates"), (1, 0, 0, 0));
    world.wire.change(&Change { faults: Some("drop-after=10x".parse().unwrap()), ..Change::default() });
    drop_rows(&mut world, 200, 20);
    pass_with(&mut world, Units::ALL, 1_500);
    assert_eq!(probes_doubts_held_alarms(&world, "duplicates"), (1, 0, 10, 0));
}

#[test]
fn where_the_balance_shows_that_none_was_taken_all_are_sent_again_one_after_the_other() {
    for duplicates in [Duplicates::Charge, Duplicates::Refuse] {
        let mut world = begun(duplicates, true);
        world.may_pay_twice = 0;
        lose(&mut world, "drop-before=4x");
        pass_with(&mut world, Units::ALL, 3_000);
        assert_eq!(probes_doubts_held_alarms(&world, "duplicates"), (4, 0, 0, 0), "{duplicates:?}");
        let spent = oracle::charged(&world).micros();
        assert_eq!(spent, 70 * PRICE, "{duplicates:?}");
    }
}

#[test]
fn where_duplicates_are_refused_the_first_probe_shows_it_and_the_rest_follows() {
    let mut world = begun(Duplicates::Refuse, false);
    lose(&mut world, "drop-after=10x");
    assert_eq!(probes_doubts_held_alarms(&world, "duplicates"), (10, 0, 10, 0));
    assert_eq!(count(&world, "SELECT sum(presumed) FROM orders"), 10);
}
