//! A story of what an export brings to a copy that was put back: orders that only its original made.
//!
//! The original had made anew what was given back, and taken a file that the copy knows nothing of. The export shows all of
//! it unfinished: it is taken for ours, for no row. Then a file with all of these IMEIs is dropped, whose rows adopt what is
//! theirs, and a later export answers it. The provider lists nothing and charges whatever is sent twice: not one of them may
//! be sent again.

use std::time::Duration;

use imeid::journal::{Said, Target};
use imeid::simulator::{Change, Delay, Duplicates, Options, Share};
use imeid::types::Money;

use super::clearing::{file, says};
use super::copies::LATER;
use super::points::{self, Crashed};
use super::{Knobs, World, oracle, outbox};

/// Orders at the provider: one that places the export's dates, two that were given back, those made anew of them, and two
/// that the copy never knew.
const SENT: u64 = 7;
const TURNS: u32 = 24;

/// What happened so far that isn't in the journal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Story {
    /// The points that were passed before the copy's first start.
    before: usize,
    /// Those that were passed since.
    pub(crate) passed: usize,
}

impl Story {
    /// The world up to the moment when the copy lies there.
    pub(crate) fn begin(power_cut: bool, seed: u64) -> (Self, World) {
        let options = Options {
            listing: false,
            duplicates: Duplicates::Charge,
            latency: Delay::Fixed(Duration::from_millis(400)),
            ..super::provider(seed)
        };
        let knobs = Knobs { workers: 2, hold: true, list_recent: "no", ..Knobs::default() };
        let mut world = World::of_story(options, knobs, false);
        until_it_is_put_back(&mut world).unwrap();
        world.loses = power_cut;
        (Self { before: points::passed(), passed: 0 }, world)
    }

    /// One process's part of it: until all is answered, unless it dies.
    pub(crate) fn live(&mut self, world: &mut World) -> Result<(), Crashed> {
        world.start()?;
        for turn in 0..TURNS {
            world.turn()?;
            oracle::check_copy(world);
            assert_eq!(world.wire.sent(), SENT, "it sends what its original sent");
            go_on(world, turn)?;
            world.pass(LATER)?;
        }
        assert!(oracle::is_copy_at_rest(world) && world.are_exports_read(), "something isn't settled");
        assert!(oracle::is_all_booked(world), "a charge was never booked");
        let unmatched = "EXISTS (SELECT 1 FROM exports WHERE counts NOT LIKE '%\"unmatched\":0%')";
        assert!(!says(world, unmatched), "an export has rows that nobody knows");
        oracle::check_results(world);
        let of_all = world.outbox().join("all 9.results.csv");
        let lines = outbox::read(world, &of_all, world.dropped.last().unwrap());
        let cost: i64 = lines.iter().map(|line| line.cost.micros()).sum();
        assert_eq!(Money::from_micros(cost), Money::from_micros(4 * 80_000), "what the file's rows cost");
        assert!(!says(world, "batch = 0 AND charged > 0"), "an order belongs to no row for good");
        self.passed = points::passed() - self.before;
        Ok(())
    }
}

fn until_it_is_put_back(world: &mut World) -> Result<(), Crashed> {
    world.start()?;
    end_as(world, 0, 5);
    world.drop_file(file("older", 0, 8..9));
    lived(world, Duration::from_secs(20))?;
    end_as(world, 1_000_000, 5);
    world.drop_file(file("known", 1, 0..2));
    lived(world, Duration::from_secs(20))?;
    world.stop(Duration::from_secs(130))?;
    let copy = world.copy_state();
    world.start()?;
    end_as(world, 0, 1_000_000);
    world.make_anew_what_was_given_back()?;
    world.drop_file(file("since", 2, 2..4));
    lived(world, Duration::from_secs(3))?;
    assert_eq!(world.wire.sent(), SENT);
    world.check();
    world.crash();
    world.pass(LATER)?;
    world.put_back(&copy);
    Ok(())
}

/// How orders end from now on.
fn end_as(world: &World, rejected: u32, completion: u64) {
    let completion = Some(Delay::Fixed(Duration::from_secs(completion)));
    world.wire.change(&Change { rejected: Some(Share::from_ppm(rejected)), completion, ..Change::default() });
}

fn lived(world: &mut World, time: Duration) -> Result<(), Crashed> {
    for _ in 0..12 {
        world.turn()?;
        world.pass(time)?;
    }
    Ok(())
}

/// What people and the provider do next.
fn go_on(world: &mut World, turn: u32) -> Result<(), Crashed> {
    let waits = world.waits_as_older_copy();
    if world.exports() == 0 {
        assert!(waits, "the copy isn't known as older");
        world.drop_export();
    } else if waits && world.are_exports_read() {
        world.tell(Said::Resume, Target::Everything)?;
    } else if !waits && !world.dropped.iter().any(|file| file.name.starts_with("all")) {
        world.drop_file(file("all", 9, 0..4));
    } else if turn > TURNS / 2 && world.exports() == 1 {
        world.wire.change(&Change { finish_now: true, ..Change::default() });
        world.drop_export();
    } else if world.exports() == 2 && world.are_exports_read() {
        // What the ones before it brought is known.
        world.drop_export();
    }
    Ok(())
}
