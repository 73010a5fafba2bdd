//! A provider that lists nothing and was never seen to refuse a duplicate: what it costs to find out whether it charges
//! them, and that one which refuses them is found out too.

use std::collections::BTreeSet;

use imeid::journal::{Said, Target};
use imeid::simulator::{Change, Delay, Duplicates, EntryKind, Options, Share};
use imeid::types::Money;

use super::world::life::Units;
use super::world::together::side_by_side;
use super::world::{self, Knobs, World, files, oracle};
use super::{crash, pass_with, seconds};

const PRICE: i64 = 80_000;
const QUIET: u64 = 120;

/// Orders that are known to be taken, in a world of such a provider. `rests`: until the balance is known.
fn begun(duplicates: Duplicates, rests: bool, seed: u64) -> World {
    begun_with_rejected(duplicates, 0, rests, seed)
}

/// Where so many orders in a hundred end rejected, and are given back.
fn begun_with_rejected(duplicates: Duplicates, percent: u32, rests: bool, seed: u64) -> World {
    let options = Options {
        duplicates,
        listing: false,
        latency: Delay::Fixed(seconds(2)),
        completion: Delay::Fixed(seconds(30)),
        rejected: Share::from_ppm(percent * 10_000),
        ..world::provider(seed)
    };
    fastrand::seed(seed);
    let mut world = World::new(options, Knobs { workers: 5, ..Knobs::default() });
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

fn faults(world: &World, faults: &str) {
    world.wire.change(&Change { faults: Some(faults.parse().unwrap()), ..Change::default() });
}

/// A file of 60 orders, of which the answers to some don't come.
fn lose(world: &mut World, lost: &str) {
    faults(world, lost);
    drop_rows(world, 100, 60);
    pass_with(world, Units::ALL, 60);
    faults(world, "none");
}

/// Time for so many probes that go alone, each a look at the balance later than the one before.
fn pass_probes(world: &mut World, probes: u64) {
    for _ in 0..(probes + 2) * 2 * QUIET / 10 {
        assert_eq!(world.some_units(Units::ALL).and_then(|()| world.pass(seconds(10))), Ok(()));
    }
    world.check();
}

fn count(world: &World, sql: &str) -> i64 {
    world.life.as_ref().unwrap().view.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Probes that were sent, orders in doubt, orders held, and alarms of this name. Those in doubt then wait for a person.
fn probes_doubts_held_alarms(world: &World, alarm: &str) -> (i64, i64, i64, i64) {
    (
        count(world, "SELECT count(*) FROM attempts WHERE kind = 1"),
        count(world, "SELECT count(*) FROM orders WHERE state = 2"),
        count(world, "SELECT count(*) FROM orders WHERE state = 5"),
        count(world, &format!("SELECT count(*) FROM alarms WHERE name = '{alarm}'")),
    )
}

/// How many charges there are beyond one an IMEI.
fn paid_again(world: &World) -> i64 {
    let entries = world.wire.entries();
    let charges: Vec<_> = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Charge)
        .map(|entry| entry.order.as_ref().unwrap().imei)
        .collect();
    i64::try_from(charges.len() - charges.iter().collect::<BTreeSet<_>>().len()).unwrap()
}

#[test]
fn where_the_balance_fell_by_all_that_is_in_doubt_nothing_is_sent_again() {
    for rests in [false, true] {
        let mut world = begun(Duplicates::Charge, rests, 1);
        lose(&mut world, "drop-after=10x");
        pass_probes(&mut world, 3);
        assert_eq!(probes_doubts_held_alarms(&world, "duplicates"), (0, 0, 10, 0), "rests: {rests}");
        assert_eq!(count(&world, "SELECT sum(presumed) FROM orders"), 10);
    }
}

#[test]
fn where_the_balance_cant_tell_one_is_sent_again_and_the_rest_waits_for_a_person() {
    // Of an account that tells none, of one that is topped up, and of one whose books were never at rest.
    for how in ["hidden", "topped up", "unknown"] {
        let mut world = begun(Duplicates::Charge, how == "topped up", 1);
        world.may_pay_twice = 1;
        match how {
            "hidden" => world.wire.hide_balance(),
            "topped up" => {
                let add_credit = Some(Money::from_micros(5_000_000_000));
                world.wire.change(&Change { add_credit, ..Change::default() });
            }
            _ => forget_baseline(&mut world),
        }
        lose(&mut world, "drop-after=10x");
        pass_probes(&mut world, 4);
        assert_eq!(probes_doubts_held_alarms(&world, "duplicates"), (1, 9, 0, 1), "{how}");
        assert!(oracle::is_paid_twice(&world), "{how}: by the first");
        // The next file's doubts, and the next process's.
        crash(&mut world);
        faults(&world, "drop-after=10x");
        drop_rows(&mut world, 200, 10);
        pass_probes(&mut world, 4);
        assert_eq!(probes_doubts_held_alarms(&world, "duplicates").0, 1, "{how}");
        // A person's word lets one more go, and no third.
        world.may_pay_twice = 2;
        let alarm = count(&world, "SELECT n FROM alarms WHERE name = 'duplicates'");
        world.life.as_mut().unwrap().say(Said::Ack, Target::Alarm(alarm)).unwrap();
        faults(&world, "drop-after=5x");
        drop_rows(&mut world, 300, 10);
        pass_probes(&mut world, 4);
        assert_eq!(probes_doubts_held_alarms(&world, "duplicates").0, 2, "{how}");
    }
}

/// As an account's is that was begun with orders on their way.
fn forget_baseline(world: &mut World) {
    world.crash();
    let journal = rusqlite::Connection::open(world.journal()).unwrap();
    journal.execute("DELETE FROM facts WHERE key LIKE 'baseline:%'", []).unwrap();
    drop(journal);
    assert_eq!(world.start(), Ok(()));
}

#[test]
fn after_another_buyers_order_nothing_is_sent_again_and_an_alarm_tells_of_it() {
    let mut world = begun(Duplicates::Charge, true, 1);
    let add_credit = Some(Money::from_micros(-100_000));
    world.wire.change(&Change { add_credit, ..Change::default() });
    lose(&mut world, "drop-after=10x");
    pass_probes(&mut world, 3);
    assert_eq!(probes_doubts_held_alarms(&world, "balance"), (0, 0, 10, 1));
}

#[test]
fn where_the_balance_shows_that_none_was_taken_one_goes_and_then_all_of_them() {
    for (duplicates, rests) in [(Duplicates::Charge, true), (Duplicates::Refuse, false)] {
        let mut world = begun(duplicates, rests, 1);
        lose(&mut world, "drop-before=20x");
        let doubts = probes_doubts_held_alarms(&world, "duplicates").1;
        assert!(doubts > 10);
        pass_with(&mut world, Units::ALL, 2 * QUIET);
        assert_eq!(probes_doubts_held_alarms(&world, "duplicates"), (1, doubts - 1, 0, 0), "{duplicates:?}");
        pass_probes(&mut world, 1);
        assert_eq!(probes_doubts_held_alarms(&world, "duplicates"), (doubts, 0, 0, 0), "{duplicates:?}");
        assert_eq!(oracle::charged(&world).micros(), 70 * PRICE, "{duplicates:?}");
        // What is in doubt later counts anew.
        faults(&world, "drop-after=10x");
        drop_rows(&mut world, 200, 20);
        pass_probes(&mut world, 3);
        assert_eq!(probes_doubts_held_alarms(&world, "duplicates"), (doubts, 0, 10, 0), "{duplicates:?}");
    }
}

#[test]
fn where_duplicates_are_refused_a_refusal_shows_it_and_the_rest_follows() {
    let mut world = begun(Duplicates::Refuse, false, 1);
    forget_baseline(&mut world);
    lose(&mut world, "drop-after=10x");
    pass_probes(&mut world, 3);
    assert_eq!(probes_doubts_held_alarms(&world, "duplicates"), (10, 0, 10, 0));
    assert_eq!(count(&world, "SELECT sum(presumed) FROM orders"), 10);
}

/// A provider's ways that make it harder to tell.
#[derive(Clone, Copy, Debug, Default)]
struct Ways {
    /// So many orders in a hundred end rejected.
    rejected: u32,
    /// Of so many probes in a hundred the answer is lost.
    lost: u32,
}

/// How a world of this seed ends in which some of the doubts were taken and some were not: how many were in doubt, whether
/// the alarm `duplicates` keeps them from being sent again, and how many were paid again.
fn some_were_taken(duplicates: Duplicates, ways: Ways, seed: u64) -> (i64, i64, i64) {
    let mut world = begun_with_rejected(duplicates, ways.rejected, false, seed);
    world.may_pay_twice = if duplicates == Duplicates::Charge { i64::MAX } else { 0 };
    // Prompt, late, and later than a quiet period.
    world.wire.let_balance_lag(seconds([0, 0, 90, 150][usize::try_from(seed % 4).unwrap()]));
    let shares =
        ["drop-after=10%,drop-before=10%", "drop-after=5%,drop-before=20%", "drop-after=20%,drop-before=5%"];
    lose(&mut world, shares[usize::try_from(seed % 3).unwrap()]);
    let doubts = count(&world, "SELECT count(*) FROM orders WHERE state = 2");
    faults(&world, &format!("drop-after={}%", ways.lost));
    if seed.is_multiple_of(2) {
        // In between, wherever that is.
        pass_with(&mut world, Units::ALL, 60 + seed * 14);
        crash(&mut world);
    }
    // For as long as something is left that can go.
    let left = "SELECT count(*) FROM orders WHERE state = 1 OR state = 2 AND coalesce(held_for, '') NOT LIKE '%imeid ack%'";
    for _ in 0..16 {
        pass_probes(&mut world, 0);
        if count(&world, left) == 0 {
            break;
        }
    }
    assert_eq!(count(&world, left), 0, "{seed}");
    let accused = count(&world, "SELECT count(*) FROM alarms WHERE name = 'duplicates'");
    (doubts, accused, paid_again(&world))
}

/// Of so many worlds of this kind: how many doubts there were, in how many worlds the alarm came, and what was paid again.
fn in_worlds(duplicates: Duplicates, ways: Ways, worlds: u64) -> (i64, i64, i64) {
    let (mut doubts, mut accused, mut cost) = (0, 0, 0);
    let ended = side_by_side(0..worlds, |seed| some_were_taken(duplicates, ways, seed));
    for (seed, (of_all, alarms, again)) in ended.into_iter().enumerate() {
        assert!(again <= of_all, "{seed}: {again} of {of_all}");
        assert!(duplicates == Duplicates::Charge || again == 0, "{seed}");
        doubts += of_all;
        accused += i64::from(alarms > 0);
        cost += again;
    }
    (doubts, accused, cost)
}

#[test]
fn where_duplicates_are_charged_it_costs_about_two_prices_until_what_is_in_doubt_waits_for_a_person() {
    let (doubts, _, cost) = in_worlds(Duplicates::Charge, Ways::default(), 40);
    assert!(doubts > 400 && (40..=120).contains(&cost), "{cost} prices in 40 worlds with {doubts} doubts");
}

#[test]
fn what_is_given_back_for_rejected_orders_hides_no_second_price() {
    for (rejected, most) in [(50, 32), (90, 24), (100, 16)] {
        let ways = Ways { rejected, ..Ways::default() };
        let (doubts, accused, cost) = in_worlds(Duplicates::Charge, ways, 16);
        assert!(doubts > 160 && cost <= most, "{rejected} of 100 rejected: {cost} prices");
        assert!(accused >= 12, "{rejected} of 100 rejected: {accused} alarms");
    }
}

#[test]
fn where_duplicates_are_refused_nearly_every_world_finds_it_out_and_accuses_nobody() {
    let (_, accused, _) = in_worlds(Duplicates::Refuse, Ways::default(), 40);
    assert!(accused <= 2, "{accused} of 40");
}

#[test]
fn where_duplicates_are_refused_and_probes_are_lost_nearly_every_world_finds_it_out_all_the_same() {
    let (_, accused, _) = in_worlds(Duplicates::Refuse, Ways { lost: 60, ..Ways::default() }, 24);
    assert!(accused <= 3, "{accused} of 24");
}

/// Twelve doubts, a half of which were taken.
fn half_were_taken(duplicates: Duplicates) -> World {
    let mut world = begun(duplicates, true, 1);
    world.may_pay_twice = if duplicates == Duplicates::Charge { 12 } else { 0 };
    lose(&mut world, "drop-after=6x,drop-before=6x");
    // The others are all sent before a quiet period is over.
    pass_with(&mut world, Units::ALL, 40);
    let sent = |state| count(&world, &format!("SELECT count(*) FROM orders WHERE state = {state}"));
    assert_eq!((sent(0), sent(1), sent(2)), (0, 0, 12));
    world
}

#[test]
fn probes_that_never_come_show_nothing_however_many_they_are() {
    let mut world = half_were_taken(Duplicates::Refuse);
    faults(&world, "drop-before=100%");
    pass_probes(&mut world, 8);
    let (probes, waiting, held, alarms) = probes_doubts_held_alarms(&world, "duplicates");
    assert!(probes >= 6 && alarms == 0, "{probes} probes that cost nothing, {alarms} alarms");
    assert_eq!((waiting, held), (12 - probes / 2, probes / 2), "what was sent three times is held");
    // The first that is refused shows it, and what is left follows.
    faults(&world, "none");
    pass_probes(&mut world, 8);
    let (_, waiting, _, alarms) = probes_doubts_held_alarms(&world, "duplicates");
    assert_eq!((waiting, alarms, paid_again(&world)), (0, 0, 0));
    let proven = "SELECT count(*) FROM facts WHERE key = 'probing:reseller' AND value = 'refused'";
    assert_eq!(count(&world, proven), 1);
}

#[test]
fn probes_that_are_charged_and_whose_answers_are_lost_count_as_if_they_were_answered() {
    let mut world = half_were_taken(Duplicates::Charge);
    faults(&world, "drop-after=100%");
    pass_probes(&mut world, 12);
    let (probes, waiting, held, alarms) = probes_doubts_held_alarms(&world, "duplicates");
    // Of twelve, six were taken: three that miss all of them are less likely than one in ten.
    assert!(probes <= 3 && (1..=3).contains(&paid_again(&world)), "{probes} probes");
    assert_eq!((waiting + held, alarms), (12, 1));
}

#[test]
fn once_a_person_has_seen_the_alarm_a_refusal_lets_all_that_waited_go_by_itself() {
    let mut world = begun(Duplicates::Refuse, true, 1);
    let add_credit = Some(Money::from_micros(5_000_000_000));
    world.wire.change(&Change { add_credit, ..Change::default() });
    lose(&mut world, "drop-before=20x");
    pass_probes(&mut world, 2);
    faults(&world, "drop-after=20x");
    drop_rows(&mut world, 200, 40);
    pass_probes(&mut world, 2);
    let (probes, waiting, held, alarms) = probes_doubts_held_alarms(&world, "duplicates");
    assert_eq!((probes, held, alarms), (1, 0, 1), "nothing was sent after the first");
    assert!(waiting > 30, "{waiting}");
    // Each of his words lets one go: those that were never taken show nothing.
    let mut words = 0;
    let open = "SELECT coalesce(max(n), 0) FROM alarms WHERE acked_at IS NULL AND gone_at IS NULL";
    while let alarm @ 1.. = count(&world, open) {
        world.life.as_mut().unwrap().say(Said::Ack, Target::Alarm(alarm)).unwrap();
        words += 1;
        pass_probes(&mut world, 6);
        let (now_sent, now_waiting, ..) = probes_doubts_held_alarms(&world, "duplicates");
        assert!(now_waiting == 0 || now_sent == 1 + words, "{now_sent} after {words} words");
    }
    let (sent, waiting, held, _) = probes_doubts_held_alarms(&world, "duplicates");
    assert_eq!((waiting, held, paid_again(&world)), (0, 20, 0), "without their ids, presumed");
    assert!(words < 20 && sent > 30, "{words} words, {sent} probes");
}
