//! A story of an order that the provider gives back after its file is out, as an export shows later.
//!
//! The provider lists nothing, so nothing but the export tells of it. The file comes out once more, and the refund is
//! expected once, wherever a crash comes.

use std::time::Duration;

use imeid::simulator::{Delay, Duplicates, Options, Share};

use super::clearing::{file, says};
use super::late::may_come_out;
use super::points::{self, Crashed};
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
    /// The order had ended by then.
    had_ended: bool,
}

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
    let mut world = World::new(options, Knobs { workers: 2, list_recent: "no", ..Knobs::default() });
    world.loses = power_cut;
    fastrand::seed(seed);
    world
}

impl Story {
    /// One process's part of it: until the order is given back and its file is out again, unless it dies.
    pub(crate) fn live(&mut self, world: &mut World) -> Result<(), Crashed> {
        world.start()?;
        if world.dropped.is_empty() {
            world.drop_file(file("stock", 0, 0..2));
        }
        let mut step = STEP;
        for turn in 0..TURNS {
            world.turn()?;
            world.check();
            if is_given_back(world) && oracle::is_at_rest(world) && !may_come_out(world) {
                break;
            }
            self.go_on(world);
            world.pass(step)?;
            if turn > TURNS / 2 {
                step = (step * 6 / 5).min(Duration::from_secs(3 * 3_600));
            }
        }
        oracle::check_rest(world);
        assert!(is_given_back(world), "it was never turned");
        let turned = "name = 'status_changed' AND text LIKE 'the provider changed%'";
        assert_eq!(oracle::alarms(world, turned), usize::from(self.had_ended), "alarms");
        let settled = world.outbox().join("stock 0.settled.csv");
        assert!(settled.exists() || !self.had_ended, "the file isn't out again");
        assert!(!world.outbox().join("stock 0.settled-2.csv").exists(), "it is out again once too often");
        let due = format!(
            "(SELECT count(*) FROM ledger WHERE kind = 'refund_due') = 1 AND imei = {}",
            files::imei(0)
        );
        assert!(says(world, &due), "one refund is due");
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
                (self.before, self.had_ended) = (points::passed(), says(world, &ended(6)));
            }
            world.drop_export_that_gives_back(files::imei(0));
        } else if later < LATER_FILES {
            let n = u32::try_from(later).unwrap();
            world.drop_file(file("later", 1 + n, 10 + n..11 + n));
        }
    }
}

fn ended(state: u8) -> String {
    format!("imei = {} AND state = {state}", files::imei(0))
}

fn is_given_back(world: &World) -> bool {
    says(world, &ended(7))
}
