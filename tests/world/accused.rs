//! A story of an order that is charged twice, which an export alone shows: the provider lists nothing, tells no balance, and
//! charges whatever is sent twice.
//!
//! An order's answer is lost, and the one probe that goes pays it once more. That is shown by the export that somebody drops
//! then, so that nothing that is in doubt later is sent again: it is held for a person.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::clearing::{faults, file, says};
use super::points::{self, Crashed};
use super::{Knobs, World, files, oracle, probed};

const TURNS: u32 = 120;
/// No divisor of a quiet period: dates that are just one apart tell less.
const STEP: Duration = Duration::from_secs(50);
/// The file that comes once the export is read.
const LATER: std::ops::Range<u32> = 20..24;

/// What the alarm of an order that was charged twice by our doing says.
const ACCUSES: &str = "name = 'double_charge' AND text LIKE '%charges duplicates%'";

/// What happened so far that isn't in the journal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story {
    /// So much was paid twice when the export was made.
    shown: i64,
    /// The points of the turn in which the alarm was raised.
    pub(crate) told: Option<RangeInclusive<usize>>,
}

/// The world that it is played in.
pub(crate) fn world(power_cut: bool, seed: u64) -> World {
    let knobs = Knobs { workers: 2, list_recent: "no", ..Knobs::default() };
    let mut world = World::of_story(probed::charging(seed), knobs, power_cut);
    world.wire.hide_balance();
    // What a crash leaves in doubt may be probed before it is known.
    world.may_pay_twice = i64::MAX;
    world
}

impl Story {
    /// One process's part of it: until all is answered or held, and published, unless it dies.
    pub(crate) fn live(&mut self, world: &mut World) -> Result<(), Crashed> {
        world.start_with(file("older", 0, 0..6))?;
        for _ in 0..TURNS {
            let from = points::passed();
            world.turn()?;
            world.check();
            if oracle::alarms(world, ACCUSES) > 0 {
                self.told.get_or_insert(from..=points::passed());
            }
            stops_probes(world);
            if world.dropped.len() == 3 && oracle::is_at_rest(world) {
                break;
            }
            self.go_on(world);
            world.pass(STEP)?;
        }
        let of_later = format!("imei BETWEEN {} AND {}", files::imei(LATER.start), files::imei(LATER.end));
        let is_shown = self.shown > 0;
        if is_shown {
            assert!(oracle::alarms(world, ACCUSES) > 0, "what an export shows is told of nowhere");
            let probed = "EXISTS (SELECT 1 FROM attempts WHERE order_id = orders.id AND kind = 1)";
            assert!(!says(world, &format!("{of_later} AND {probed}")), "sent again after all");
            assert!(!says(world, &format!("{of_later} AND state NOT IN (5, 6)")), "it isn't held");
            let why = "EXISTS (SELECT 1 FROM events WHERE order_id = orders.id AND detail LIKE '%could be paid twice: an alarm%')";
            assert!(
                !says(world, &format!("{of_later} AND state = 5 AND NOT {why}")),
                "held for something else"
            );
        }
        for _ in 0..3 {
            world.pass(Duration::from_secs(90_000))?;
            world.turn()?;
        }
        world.check();
        oracle::check_rest(world);
        Ok(())
    }

    /// What people and the provider do next.
    fn go_on(&mut self, world: &mut World) {
        let is_still = oracle::is_at_rest(world) || says(world, "state = 2 AND held_for LIKE '%imeid ack%'");
        if world.dropped.len() == 1 && is_still {
            world.wire.change(&faults("drop-after=1x"));
            world.drop_file(file("stock", 1, 10..13));
        } else if world.dropped.len() == 2 && is_still && world.exports() == 0 {
            self.shown = i64::from(oracle::is_paid_twice(world));
            world.drop_export();
        } else if world.dropped.len() == 2 && world.exports() == 1 && world.are_exports_read() {
            world.wire.change(&faults("drop-after=2x"));
            world.drop_file(file("later", 2, LATER));
        }
    }
}

/// Whoever is told that the provider charges duplicates finds that nothing is sent to find out.
fn stops_probes(world: &World) {
    let unheard =
        "coalesce((SELECT CAST(value AS INTEGER) FROM facts WHERE key = 'probing:reseller'), 0) < n";
    assert_eq!(oracle::alarms(world, &format!("{ACCUSES} AND {unheard}")), 0, "an alarm, and probes go on");
}
