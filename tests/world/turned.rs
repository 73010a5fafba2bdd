//! A story of two orders that the provider gives back after their file is out, as an export shows later.
//!
//! The provider lists nothing, so nothing but the export tells of it. The file comes out once more, with both, and each
//! refund is expected once, wherever a crash comes: also where the next process has results to write before it reads on.

use std::time::Duration;

use imeid::simulator::{Delay, Duplicates, Options, Share};

use super::clearing::{file, says};
use super::late::may_come_out;
use super::life::Units;
use super::points::{self, Crashed};
use super::story::steps;
use super::{Knobs, World, files, oracle};

const TURNS: u32 = 150;
const STEP: Duration = Duration::from_secs(45);
/// Files that are dropped later: an export is taken at its word where an order of one of them is in it.
const LATER_FILES: usize = 3;

/// What happened so far that isn't in the journal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Story {
    /// The points that were passed before the first export was dropped.
    pub(crate) before: usize,
    /// How many of the orders had ended by then.
    had_ended: usize,
}

/// The file's orders.
const GIVEN_BACK: [u32; 2] = [0, 1];

/// The world that it is played in.
pub(crate) fn world(power_cut: bool, seed: u64) -> World {
    let options = Options {
        listing: false,
        duplicates: Duplicates::Refuse,
        latency: Delay::Fixed(Duration::from_secs(2)),
        completion: Delay::Fixed(Duration::from_secs(30)),
        rejected: Share::from_ppm(0),
        ..super::provider(seed)
    };
    World::of_story(options, Knobs { workers: 2, list_recent: "no", ..Knobs::default() }, power_cut)
}

impl Story {
    /// One process's part of it: until the order is given back and its file is out again, unless it dies.
    pub(crate) fn live(&mut self, world: &mut World) -> Result<(), Crashed> {
        world.reads_exports_late = true;
        world.start()?;
        world.some_units(Units { intake: false, ..Units::ALL })?;
        if world.dropped.is_empty() {
            world.drop_file(file("stock", 0, 0..2));
        }
        for step in steps(STEP, TURNS) {
            world.turn()?;
            world.check();
            if is_given_back(world) && oracle::is_at_rest(world) && !may_come_out(world) {
                break;
            }
            self.go_on(world);
            world.pass(step)?;
        }
        oracle::check_rest(world);
        assert!(is_given_back(world), "they were never turned");
        let turned = "name = 'status_changed' AND text LIKE 'the provider changed%'";
        assert_eq!(oracle::alarms(world, turned), self.had_ended, "alarms");
        let settled = world.outbox().join("stock 0.settled.csv");
        assert!(settled.exists() || self.had_ended == 0, "the file isn't out again");
        assert!(!world.outbox().join("stock 0.settled-2.csv").exists(), "it is out again once too often");
        assert!(
            says(world, "(SELECT count(*) FROM ledger WHERE kind = 'refund_due') = 2"),
            "two refunds are due"
        );
        Ok(())
    }

    /// What people do next.
    fn go_on(&mut self, world: &mut World) {
        if !oracle::is_at_rest(world) || !world.are_exports_read() {
            return;
        }
        let later = world.dropped.len() - 1;
        if later > world.exports() {
            if self.before == 0 {
                (self.before, self.had_ended) = (points::passed(), in_state(world, 6));
            }
            world.drop_export_that_gives_back(&GIVEN_BACK.map(files::imei));
        } else if later < LATER_FILES {
            let n = u32::try_from(later).unwrap();
            world.drop_file(file("later", 1 + n, 10 + n..11 + n));
        }
    }
}

/// How many of the orders are in this state.
fn in_state(world: &World, state: u8) -> usize {
    let is_in = |n: &&u32| says(world, &format!("imei = {} AND state = {state}", files::imei(**n)));
    GIVEN_BACK.iter().filter(is_in).count()
}

fn is_given_back(world: &World) -> bool {
    in_state(world, 7) == GIVEN_BACK.len()
}
