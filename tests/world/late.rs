//! A story of an attempt that a person's wrong word released, and that is listed after all: when its order was sent
//! again, has ended, and its file is out.
//!
//! The provider lists an order a quarter of an hour after it was taken, and charges whatever is sent twice. Someone looks
//! the IMEI up before, says that it was not ordered, and is wrong. What it then costs is his; that the books have all of
//! it is ours.

use std::time::Duration;

use imeid::journal::Said;
use imeid::simulator::{Delay, Duplicates, Options};

use super::clearing::{faults, file, says};
use super::points::Crashed;
use super::story::steps;
use super::{Knobs, World, files, oracle};

const TURNS: u32 = 250;
const STEP: Duration = Duration::from_secs(45);
/// How old an order is before it is listed.
const LAG: Duration = Duration::from_secs(900);

/// The world that it is played in.
pub(crate) fn world(power_cut: bool, seed: u64) -> World {
    let options = Options {
        listing_lag: LAG,
        duplicates: Duplicates::Charge,
        latency: Delay::Fixed(Duration::from_secs(2)),
        completion: Delay::Uniform(Duration::from_secs(5), Duration::from_secs(60)),
        ..super::provider(seed)
    };
    let mut world = World::of_story(options, Knobs { workers: 2, ..Knobs::default() }, power_cut);
    (world.may_pay_twice, world.is_lied_to) = (i64::MAX, true);
    world
}

/// One process's part of it: until every charge is booked, told of and published, unless it dies.
pub(crate) fn live(world: &mut World) -> Result<(), Crashed> {
    world.start_with(file("older", 0, 0..1))?;
    for step in steps(STEP, TURNS) {
        world.turn()?;
        world.check();
        go_on(world)?;
        if world.dropped.len() > 1
            && oracle::is_at_rest(world)
            && oracle::is_all_booked(world)
            && !may_come_out(world)
        {
            break;
        }
        world.pass(step)?;
    }
    oracle::check_rest(world);
    assert!(oracle::is_all_booked(world), "a charge was never booked");
    // Where the balance is read at rest it raises one of its own.
    let alarms = oracle::alarms(world, "name = 'double_charge' AND text LIKE '%was ordered twice%'");
    assert_eq!(alarms, usize::from(oracle::is_paid_twice(world)), "alarms");
    Ok(())
}

fn go_on(world: &mut World) -> Result<(), Crashed> {
    let now = world.time.now().millis();
    let is_listed = format!("state >= 5 AND ordered_at < {}", now - i64::try_from(LAG.as_millis()).unwrap());
    if world.dropped.len() == 1 && says(world, &is_listed) {
        world.wire.change(&faults("drop-after=1x"));
        world.drop_file(file("stock", 1, 1..2));
    }
    let imei = files::imei(1);
    let rested = format!("imei = {imei} AND state = 2 AND inferred = 0 AND doubt_since < {}", now - 250_000);
    if says(world, &rested) {
        world.say(Said::NotOrdered, 0, imei)?;
    }
    Ok(())
}

/// Whether a batch is to come out again.
pub(crate) fn may_come_out(world: &World) -> bool {
    says(
        world,
        "EXISTS (SELECT 1 FROM batches WHERE state = 3) AND NOT EXISTS (SELECT 1 FROM orders WHERE state < 6)",
    )
}
