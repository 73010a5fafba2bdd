//! Random worlds whose state is copied and put back.

use std::collections::BTreeMap;
use std::time::Instant;

use fastrand::Rng;
use imeid::journal::{Said, Target};
use imeid::simulator::{Change, Delay, Share};

use super::world::clearing::file;
use super::world::copies::{Copy, First, LATER, Recovery};
use super::world::life::Units;
use super::world::together::side_by_side;
use super::world::{World, oracle, points};
use super::{come_to_rest, crash, end_faults, in_world, live_and_end, number, seconds};

/// How many of them there are.
const COPIES: u64 = 40;
/// And of those in which what was given back is made anew meanwhile.
const MADE_ANEW: u64 = 10;

/// What happened in a world whose copy was put back.
struct PutBack {
    /// Orders were sent since the copy was made.
    has_sent: bool,
    first: First,
    /// Keys that were shown to it unfinished.
    unfinished: usize,
    /// All of what the provider has was shown to it in time.
    in_time: bool,
}

/// One world whose state is copied, lives on, and is put back; then a person does as he is told to.
fn run_with_a_copy(seed: u64) -> PutBack {
    in_world(seed, |world, rng, kind| {
        let acts = rng.usize(5..40);
        live_and_end(world, rng, kind, acts, World::check);
        let (copy, sent) = (world.copy_state(), world.wire.sent());
        if rng.bool() {
            let completion = Some(Delay::Uniform(seconds(60), seconds(7_200)));
            world.wire.change(&Change { completion, ..Change::default() });
        }
        crash(world);
        let acts = rng.usize(1..20);
        live_and_end(world, rng, kind, acts, World::check);
        let has_sent = world.wire.sent() > sent;
        end_faults(world);
        put_back(world, &copy);
        assert!(
            world.waits_as_older_copy() || !has_sent,
            "orders were sent since, and it isn't known as older"
        );
        let mut recovery = Recovery::of(world, &copy, rng);
        world.note(format!("{recovery:?}"));
        if rng.bool() {
            points::stop_at(rng.usize(1..150));
        }
        recover(world, rng, &mut recovery);
        let Recovery { first, told, .. } = recovery;
        PutBack { has_sent, first, unfinished: told.unfinished.len(), in_time: told.in_time }
    })
}

fn put_back(world: &mut World, copy: &Copy) {
    assert_eq!(world.pass(LATER), Ok(()), "nobody is there who could die");
    world.put_back(copy);
    // The copy doesn't know what a probe has shown since it was made.
    world.may_pay_twice = world.may_pay_twice.saturating_mul(2);
    assert_eq!(world.start(), Ok(()));
}

/// A person does as he is told to, until all is settled.
fn recover(world: &mut World, rng: &mut Rng, recovery: &mut Recovery) {
    while recovery.until_resumed(world, rng).is_err() {
        crash(world);
    }
    while recovery.go_on(world, rng).is_err() {
        crash(world);
    }
    come_to_rest(world, oracle::check_copy, oracle::is_copy_at_rest);
    assert!(oracle::is_copy_at_rest(world), "something isn't settled");
    oracle::recovered::check_recovered(world, &recovery.told);
}

/// How orders end from now on.
fn end_as(world: &World, rejected: u32, completion: u64) {
    let (rejected, completion) = (Some(Share::from_ppm(rejected)), Some(Delay::Fixed(seconds(completion))));
    world.wire.change(&Change { rejected, completion, ..Change::default() });
}

/// One world in which half of a file is given back, the state copied, and what was given back made anew. Then the copy is
/// put back. How many orders it was shown that its original had made anew.
fn run_made_anew(seed: u64) -> usize {
    in_world(seed, |world, rng, _| {
        end_faults(world);
        end_as(world, 500_000, 60);
        world.drop_file(file("stock", 1, 1_000..1_008));
        come_to_rest(world, World::check, oracle::is_at_rest);
        assert_eq!(world.stop(seconds(130)), Ok(()));
        let copy = world.copy_state();
        assert_eq!(world.start(), Ok(()));
        end_as(world, 0, 7_200);
        assert_eq!(world.make_anew_what_was_given_back(), Ok(()));
        for _ in 0..30 {
            assert_eq!(world.turn().and_then(|()| world.pass(seconds(20))), Ok(()));
            world.check();
        }
        world.crash();
        put_back(world, &copy);
        let mut recovery = Recovery::of(world, &copy, rng);
        recovery.first = First::AtOnce;
        recover(world, rng, &mut recovery);
        recovery.told.made_anew.len()
    })
}

/// One world whose state is copied while a file's orders are in work; half of them is given back later, and made anew. An
/// export shows that to the copy before it hears what became of them; then someone there has all made anew that was given
/// back. How many orders it was shown as made since.
fn run_made_anew_later(seed: u64) -> usize {
    in_world(seed, |world, _, _| {
        end_faults(world);
        end_as(world, 500_000, 3_600);
        world.drop_file(file("stock", 1, 1_000..1_008));
        live_for_minutes(world, 10, Units::ALL);
        assert_eq!(world.stop(seconds(130)), Ok(()));
        let copy = world.copy_state();
        assert_eq!(world.start(), Ok(()));
        come_to_rest(world, World::check, oracle::is_at_rest);
        end_as(world, 0, 7_200);
        assert_eq!(world.make_anew_what_was_given_back(), Ok(()));
        live_for_minutes(world, 10, Units::ALL);
        world.check();
        world.crash();
        put_back(world, &copy);
        world.drop_export();
        live_for_minutes(world, 5, Units { poll: false, ..Units::ALL });
        assert!(world.are_exports_read());
        assert!(world.tell(Said::Resume, Target::Everything).unwrap().done);
        come_to_rest(world, oracle::check_copy, oracle::is_copy_at_rest);
        assert_eq!(world.make_anew_what_was_given_back(), Ok(()));
        come_to_rest(world, oracle::check_copy, oracle::is_copy_at_rest);
        oracle::happened(world, "ordered anew since")
    })
}

fn live_for_minutes(world: &mut World, minutes: u32, units: Units) {
    for _ in 0..3 * minutes {
        assert_eq!(world.some_units(units).and_then(|()| world.pass(seconds(20))), Ok(()));
    }
}

#[test]
fn what_the_original_made_anew_of_orders_in_work_is_not_paid_for_again_by_its_copy() {
    let shown: usize = side_by_side(0..MADE_ANEW, |n| run_made_anew_later(2_000 + 4 * n)).into_iter().sum();
    assert!(shown > 20, "{shown} orders were shown as made since");
}

#[test]
fn what_only_the_original_made_anew_is_in_the_books_of_its_copy_after_an_export() {
    // Providers that charge whatever is sent twice, and so take it again, too.
    let shown: usize = side_by_side(0..MADE_ANEW, |n| run_made_anew(2_000 + 4 * n)).into_iter().sum();
    assert!(shown > 20, "{shown} orders were shown as made anew");
}

#[test]
fn a_copy_that_is_put_back_in_any_world_is_noticed_and_pays_nothing_twice_after_an_export() {
    let (from, seeds) = number("IMEID_SEED").map_or_else(
        || (number("IMEID_FROM").unwrap_or(1_000), number("IMEID_SEEDS").unwrap_or(COPIES)),
        |seed| (seed, 1),
    );
    let began = Instant::now();
    let all = side_by_side(from..from + seeds, run_with_a_copy);
    let count = |which: fn(&PutBack) -> bool| all.iter().filter(|world| which(world)).count();
    let have_sent = count(|world| world.has_sent);
    let (unfinished, in_time) = (count(|world| world.unfinished > 0), count(|world| world.in_time));
    let mut firsts: BTreeMap<First, usize> = BTreeMap::new();
    for world in &all {
        *firsts.entry(world.first).or_default() += 1;
    }
    eprintln!(
        "{seeds} copies in {:?}: {have_sent} lacked orders, {unfinished} were shown unfinished ones, {in_time} could place \
         all; {firsts:?}",
        began.elapsed()
    );
    let enough = all.len() / 4;
    assert!(
        seeds < COPIES
            || (have_sent > enough && unfinished > enough && in_time > enough && firsts.len() == 5)
    );
}
