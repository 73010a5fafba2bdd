//! A story of answers that tell the id of another order: someone's by hand, and one of ours that is answered just then.
//!
//! The first is booked under an id that isn't its own until the provider tells of another IMEI under it, twice; the second
//! takes the id of a third, whose own answer is then not believed. The provider lists, and charges whatever is sent twice: in
//! the end each order has its own id and its own answer, and was sent once.

use std::time::Duration;

use imeid::simulator::{Delay, Duplicates, Options, Share};

use super::clearing::{file, says};
use super::points::Crashed;
use super::story::steps;
use super::{Knobs, World, files, oracle};

const TURNS: u32 = 120;
const STEP: Duration = Duration::from_secs(30);
/// Ordered by hand.
const BY_HAND: u32 = 50;

/// The world that it is played in.
pub(crate) fn world(power_cut: bool, seed: u64) -> World {
    let options = Options {
        duplicates: Duplicates::Charge,
        latency: Delay::Fixed(Duration::from_secs(2)),
        completion: Delay::Fixed(Duration::from_secs(400)),
        rejected: Share::from_ppm(0),
        ..super::provider(seed)
    };
    World::of_story(options, Knobs { workers: 3, ..Knobs::default() }, power_cut)
}

/// One process's part of it: until every order is answered, unless it dies.
pub(crate) fn live(world: &mut World) -> Result<(), Crashed> {
    world.start_with(file("older", 0, 0..1))?;
    for step in steps(STEP, TURNS) {
        world.turn()?;
        world.check_account();
        if world.dropped.len() > 2 && oracle::is_at_rest(world) {
            break;
        }
        go_on(world);
        world.pass(step)?;
    }
    // Where a crash left no order before them, nothing shows of what was lost that it was not taken.
    let is_unproven = "state IN (2, 5) AND charged = 0 AND unaccounted > 0";
    assert!(!says(world, &format!("state <> 6 AND NOT ({is_unproven})")), "an order isn't answered");
    assert!(!says(world, "state = 6 AND (charged <> 1 OR named <> 1)"), "an id is lost");
    let untold = "EXISTS (SELECT 1 FROM events WHERE what = 'not its id' AND NOT EXISTS \
                  (SELECT 1 FROM alarms WHERE name = 'wrong_answer' AND alarms.order_id = events.order_id))";
    assert!(!says(world, untold), "an order was held, and nobody was told why");
    world.is_misled = false;
    world.check_account();
    oracle::check_results(world);
    Ok(())
}

fn go_on(world: &mut World) {
    let rested = world.time.now().millis() - 250_000;
    if world.dropped.len() == 1 && says(world, &format!("state >= 5 OR doubt_since < {rested}")) {
        world.wire.order_by_hand(files::imei(BY_HAND), "1739");
        world.wire.mislead(files::imei(1), files::imei(BY_HAND));
        world.wire.mislead(files::imei(2), files::imei(3));
        world.is_misled = true;
        world.drop_file(file("stock", 1, 1..4));
    }
    // Orders that come later show what isn't there; a crash can leave one of theirs in doubt too.
    let dropped = u32::try_from(world.dropped.len()).unwrap();
    let is_due = format!("state = 2 AND doubt_since < {rested}");
    let is_first = dropped == 2 && says(world, &format!("id > 1 AND (state >= 5 OR doubt_since < {rested})"));
    if is_first || (3..6).contains(&dropped) && says(world, &is_due) {
        world.drop_file(file("later", dropped, 10 * dropped..10 * dropped + 2));
    }
}
