//! A story of a provider whose list of recent orders is always empty: it is found out, said and remembered, and doubts are
//! settled without. Then it lists after all.

use std::ops::RangeInclusive;
use std::time::Duration;

use imeid::simulator::{Change, Delay, Options};

use super::clearing::{faults, file, says};
use super::points::{self, Crashed};
use super::story::steps;
use super::{Knobs, World, oracle};

const TURNS: u32 = 300;
const STEP: Duration = Duration::from_secs(420);

const OPEN: &str = "name = 'listing' AND gone_at IS NULL";

/// What happened so far that isn't in the journal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    was_found_out: bool,
    /// The points of the turns in which the fact was written or taken back.
    pub(crate) changes: Vec<RangeInclusive<usize>>,
}

/// The world that it is played in. Its orders are in work for hours: then they must be listed.
pub(crate) fn world(power_cut: bool, seed: u64) -> World {
    let options = Options {
        listing_limit: 0,
        latency: Delay::Fixed(Duration::from_secs(2)),
        completion: Delay::Fixed(Duration::from_secs(5_400)),
        ..super::provider(seed)
    };
    World::of_story(options, Knobs { workers: 2, ..Knobs::default() }, power_cut)
}

impl Story {
    /// One process's part of it: until all is settled and published, and the list believed again, unless it dies.
    pub(crate) fn live(&mut self, world: &mut World) -> Result<(), Crashed> {
        world.start_with(file("older", 0, 0..1))?;
        for step in steps(STEP, TURNS) {
            let (before, from) = (is_remembered(world), points::passed());
            world.turn()?;
            if is_remembered(world) != before {
                self.changes.push(from..=points::passed());
            }
            world.check();
            self.go_on(world);
            if world.dropped.len() == 3 && oracle::is_at_rest(world) && !is_remembered(world) {
                break;
            }
            world.pass(step)?;
        }
        oracle::check_rest(world);
        assert!(self.was_found_out, "it was not found out");
        assert!(!is_remembered(world), "it lists, and isn't believed");
        assert_eq!(oracle::alarms(world, OPEN), 0);
        Ok(())
    }

    /// What people and the provider do next.
    fn go_on(&mut self, world: &mut World) {
        let rested = world.time.now().millis() - 250_000;
        if world.dropped.len() == 1 && says(world, &format!("state >= 3 OR doubt_since < {rested}")) {
            world.wire.change(&faults("drop-before=1x"));
            world.drop_file(file("stock", 1, 1..3));
        }
        if world.dropped.len() == 2 && is_remembered(world) && !says(world, "state < 3") {
            assert_eq!(oracle::alarms(world, OPEN), 1, "it was not said");
            self.was_found_out = true;
            let lists = Change { listing_limit: Some(1_000), ..faults("drop-before=1x") };
            world.wire.change(&lists);
            world.drop_file(file("later", 2, 10..11));
        }
    }
}

/// Whether the journal has the fact.
fn is_remembered(world: &World) -> bool {
    says(world, "EXISTS (SELECT 1 FROM facts WHERE key = 'lists_nothing' AND value <> '')")
}
