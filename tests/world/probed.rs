//! A story of doubts at a provider that charges duplicates and lists nothing: some were taken, some were not, and what is
//! sent again goes alone, until the balance shows enough to let the rest wait for a person, who doesn't come.

use std::ops::RangeInclusive;
use std::time::Duration;

use imeid::simulator::{Delay, Duplicates, Options, Share};

use super::clearing::{faults, file, says};
use super::points::{self, Crashed};
use super::{Knobs, World, oracle};

const TURNS: u32 = 120;
const HOURS: u32 = 30;
const STEP: Duration = Duration::from_secs(30);

/// A provider that lists nothing and charges whatever is sent twice.
pub(crate) fn charging(seed: u64) -> Options {
    Options {
        listing: false,
        duplicates: Duplicates::Charge,
        latency: Delay::Fixed(Duration::from_secs(2)),
        completion: Delay::Fixed(Duration::from_secs(20)),
        rejected: Share::from_ppm(0),
        ..super::provider(seed)
    }
}

/// The world that it is played in. A probe that is lost in a crash is one more that can have been paid twice.
pub(crate) fn world(power_cut: bool, seed: u64) -> World {
    let mut world = World::of_story(charging(seed), Knobs { workers: 8, ..Knobs::default() }, power_cut);
    world.may_pay_twice = 3;
    world
}

/// Of what waits for a person's word.
const WAITS: &str = "state = 2 AND held_for LIKE '%imeid ack%'";

/// Each wait is told once in what happened to its order, and there is the alarm that it names.
const IS_TOLD: &str = "(SELECT count(*) FROM events WHERE order_id = orders.id AND what = 'waits') = 1 \
                       AND EXISTS (SELECT 1 FROM alarms WHERE name = 'duplicates')";

/// One process's part of it: until every doubt is answered, or held as nobody came, unless it dies.
pub(crate) fn live(world: &mut World) -> Result<(), Crashed> {
    live_and_tell(world, &mut None)
}

/// Likewise; `noted`: the points of the turn in which it is noted first that something waits for a person's word.
pub(crate) fn live_and_tell(
    world: &mut World,
    noted: &mut Option<RangeInclusive<usize>>,
) -> Result<(), Crashed> {
    world.start_with(file("older", 0, 0..6))?;
    for _ in 0..TURNS {
        let from = points::passed();
        world.turn()?;
        world.check();
        if says(world, WAITS) {
            noted.get_or_insert(from..=points::passed());
        }
        assert!(!says(world, &format!("{WAITS} AND NOT ({IS_TOLD})")), "what it waits for is told nowhere");
        if world.dropped.len() == 1 && oracle::is_at_rest(world) {
            world.wire.change(&faults("drop-after=2x,drop-before=4x"));
            world.drop_file(file("stock", 1, 10..16));
        }
        if world.dropped.len() == 2 && (oracle::is_at_rest(world) || says(world, WAITS)) {
            break;
        }
        world.pass(STEP)?;
    }
    let others = format!("state IN (1, 2) AND NOT coalesce({WAITS}, 0)");
    assert!(!says(world, &others), "something is in doubt for good");
    // It is held after a day of looks, and what is held keeps its file back for another.
    for _ in 0..HOURS {
        if !says(world, WAITS) {
            break;
        }
        world.pass(Duration::from_secs(3_600))?;
        world.turn()?;
    }
    assert!(!says(world, "state IN (1, 2)"), "something waits for good");
    for _ in 0..3 {
        world.pass(Duration::from_secs(90_000))?;
        world.turn()?;
    }
    world.check();
    oracle::check_rest(world);
    Ok(())
}
