//! A story of an order that was charged twice, as two exports show: the first has the one that isn't known alone, not
//! finished, the second both, once they are.
//!
//! The provider lists nothing, tells no balance, and charges whatever is sent twice: of an order whose answer was lost the
//! second attempt is charged, and the first stays presumed. People are told of it once by what is known, wherever a crash
//! comes.

use std::time::Duration;

use imeid::simulator::{Change, Delay};

use super::clearing::{faults, file, says};
use super::points::{self, Crashed};
use super::{Knobs, World, files, oracle, probed};

const TURNS: u32 = 40;
const STEP: Duration = Duration::from_secs(40);
const PRESUMED: &str = "presumed = 1 AND charged = 1 AND provider_id IS NOT NULL";

const NOW: &str = "gone_at IS NULL AND text LIKE '%shows 2 completed.%'";

/// What happened so far that isn't in the journal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Story {
    /// The points that were passed before the first export was dropped.
    pub(crate) before: usize,
}

/// The world that it is played in.
pub(crate) fn world(power_cut: bool, seed: u64) -> World {
    let knobs = Knobs { workers: 2, list_recent: "no", ..Knobs::default() };
    let mut world = World::of_story(probed::charging(seed), knobs, power_cut);
    world.wire.hide_balance();
    world.may_pay_twice = 1;
    world
}

impl Story {
    /// One process's part of it: until both exports are read and told of, unless it dies.
    pub(crate) fn live(&mut self, world: &mut World) -> Result<(), Crashed> {
        world.start_with(file("older", 0, 0..2))?;
        for _ in 0..TURNS {
            world.turn()?;
            world.check();
            if world.exports() == 2 && world.are_exports_read() && told(world, NOW) > 0 {
                break;
            }
            self.go_on(world);
            world.pass(STEP)?;
        }
        assert!(world.are_exports_read() && says(world, PRESUMED), "nothing came of it");
        assert_eq!(told(world, NOW), 1, "what is so now");
        assert_eq!(told(world, "gone_at IS NOT NULL AND text LIKE '%shows 2 not finished.%'"), 1);
        assert_eq!(told(world, "text LIKE '%an export shows%'"), 2, "told once too often");
        Ok(())
    }

    /// What people and the provider do next.
    fn go_on(&mut self, world: &mut World) {
        let is_done = oracle::is_at_rest(world) && world.are_exports_read();
        if !(is_done || says(world, PRESUMED)) {
            return;
        }
        if world.dropped.len() == 1 {
            // Longer than it takes until the second one is sent and an export is dropped.
            let completion = Some(Delay::Fixed(Duration::from_secs(600)));
            world.wire.change(&Change { completion, ..faults("drop-after=1x") });
            world.drop_file(file("stock", 1, 10..11));
        } else if world.exports() == 0 && says(world, PRESUMED) {
            if self.before == 0 {
                self.before = points::passed();
            }
            let (imei, mut is_there) = (files::imei(10), false);
            world.drop_export_of(|order| order.imei != imei || !std::mem::replace(&mut is_there, true));
        } else if is_done && world.exports() == 1 {
            world.drop_export();
        }
    }
}

/// How many such alarms there were.
fn told(world: &World, which: &str) -> usize {
    oracle::alarms(world, &format!("name = 'double_charge' AND {which}"))
}
