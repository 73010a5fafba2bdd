//! A story of orders that are in work in a copy, and were given back and made anew by its original.
//!
//! The export shows the copy both before it hears what became of its own orders. What was made since is remembered beside
//! them, told of once, and taken for ours when they are given back. The provider lists nothing and charges whatever is sent
//! twice: a person says again that they be made anew, and drops their file again, and nothing is sent.

use std::time::Duration;

use imeid::journal::{Said, Target};
use imeid::simulator::{Change, Delay, Duplicates, Options, Share};

use super::clearing::{file, says};
use super::copies::LATER;
use super::life::Units;
use super::points::{self, Crashed};
use super::{Knobs, World, oracle};

/// Orders at the provider: one that places the export's dates, two that were in work, and those that were made anew of them.
const SENT: u64 = 5;
const TURNS: u32 = 30;

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
        let mut world = World::new(options, knobs);
        fastrand::seed(seed);
        until_it_is_put_back(&mut world).unwrap();
        world.loses = power_cut;
        (Self { before: points::passed(), passed: 0 }, world)
    }

    /// One process's part of it: until all is answered, unless it dies.
    pub(crate) fn live(&mut self, world: &mut World) -> Result<(), Crashed> {
        world.start()?;
        for _ in 0..TURNS {
            // It hears of its own orders once it goes on.
            let poll = !world.waits_as_older_copy();
            world.some_units(Units { poll, ..Units::ALL })?;
            oracle::check_copy(world);
            assert_eq!(world.wire.sent(), SENT, "it sends what its original sent");
            go_on(world)?;
            world.pass(LATER)?;
        }
        assert!(oracle::is_copy_at_rest(world) && world.are_exports_read(), "something isn't settled");
        assert_eq!(oracle::happened(world, "ordered anew since"), 2, "each is told of once");
        assert!(oracle::is_all_booked(world), "a charge was never booked");
        oracle::check_results(world);
        self.passed = points::passed() - self.before;
        Ok(())
    }
}

fn until_it_is_put_back(world: &mut World) -> Result<(), Crashed> {
    world.start()?;
    end_as(world, 0, 5);
    world.drop_file(file("older", 0, 8..9));
    lived(world, 6)?;
    end_as(world, 1_000_000, 1_800);
    world.drop_file(file("known", 1, 0..2));
    lived(world, 6)?;
    world.stop(Duration::from_secs(130))?;
    let copy = world.copy_state();
    world.start()?;
    lived(world, 150)?;
    end_as(world, 0, 1_000_000);
    world.make_anew_what_was_given_back()?;
    lived(world, 6)?;
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

fn lived(world: &mut World, turns: u32) -> Result<(), Crashed> {
    for _ in 0..turns {
        world.turn()?;
        world.pass(Duration::from_secs(20))?;
    }
    Ok(())
}

/// What people and the provider do next.
fn go_on(world: &mut World) -> Result<(), Crashed> {
    let waits = world.waits_as_older_copy();
    if world.exports() == 0 {
        assert!(waits, "the copy isn't known as older");
        world.drop_export();
    } else if waits && world.are_exports_read() {
        world.tell(Said::Resume, Target::Everything)?;
    } else if !waits && says(world, "state = 7 OR state = 4 AND charged = 1") {
        world.make_anew_what_was_given_back()?;
        if !world.dropped.iter().any(|file| file.name.starts_with("again")) {
            world.drop_file(file("again", 9, 0..2));
        } else if world.exports() == 1 && !says(world, "batch = 0 AND charged > 0") {
            world.wire.change(&Change { finish_now: true, ..Change::default() });
            world.drop_export();
        }
    }
    Ok(())
}
