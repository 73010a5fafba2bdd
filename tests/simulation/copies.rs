//! Random worlds whose state is copied and put back.

use std::collections::BTreeMap;
use std::time::Instant;

use imeid::simulator::{Change, Delay};

use super::world::copies::{First, LATER, Recovery};
use super::world::{World, oracle, points};
use super::{come_to_rest, crash, end_faults, in_world, live_and_end, number, seconds};

/// How many of them there are.
const COPIES: u64 = 40;

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
        assert_eq!(world.pass(LATER), Ok(()), "nobody is there who could die");
        world.put_back(&copy);
        // The copy doesn't know what a probe has shown since it was made.
        world.may_pay_twice = world.may_pay_twice.saturating_mul(2);
        assert_eq!(world.start(), Ok(()));
        assert!(
            world.waits_as_older_copy() || !has_sent,
            "orders were sent since, and it isn't known as older"
        );
        let mut recovery = Recovery::of(world, &copy, rng);
        world.note(format!("{recovery:?}"));
        if rng.bool() {
            points::stop_at(rng.usize(1..150));
        }
        while recovery.until_resumed(world, rng).is_err() {
            crash(world);
        }
        while recovery.go_on(world, rng).is_err() {
            crash(world);
        }
        come_to_rest(world, oracle::check_copy, oracle::is_copy_at_rest);
        assert!(oracle::is_copy_at_rest(world), "something isn't settled");
        let Recovery { first, told, .. } = recovery;
        oracle::recovered::check_recovered(world, &told);
        PutBack { has_sent, first, unfinished: told.unfinished.len(), in_time: told.in_time }
    })
}

#[test]
fn a_copy_that_is_put_back_in_any_world_is_noticed_and_pays_nothing_twice_after_an_export() {
    let (from, seeds) = number("IMEID_SEED").map_or_else(
        || (number("IMEID_FROM").unwrap_or(1_000), number("IMEID_SEEDS").unwrap_or(COPIES)),
        |seed| (seed, 1),
    );
    let began = Instant::now();
    let all: Vec<PutBack> = (from..from + seeds).map(run_with_a_copy).collect();
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
