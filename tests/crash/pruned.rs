//! A crash while old answers are pruned.

use std::time::Duration;

use imeid::simulator::Options;

use super::world::points::{self, Crashed};
use super::world::together::side_by_side;
use super::world::{Knobs, World, oracle};
use super::{Setting, live, provider, small_file};

const SETTING: Setting = Setting { lists: true, power_cut: true };

/// Some attempts are turned away, and what was said to them is worth nothing once their orders have ended. Only the time
/// from rest on is looked at.
#[test]
fn a_crash_while_old_answers_are_pruned_keeps_every_proof() {
    let points = prune_and_die(None);
    side_by_side(1..=points, |point| prune_and_die(Some(point)));
}

/// Lives until all is at rest, and on until answers are pruned, dying at the `kill`-th point of that. Gives how many there are.
fn prune_and_die(kill: Option<usize>) -> usize {
    let mut world = world_that_prunes();
    assert_eq!(live(&mut world, &[small_file()]), Ok(()));
    let at_rest = points::passed();
    assert_eq!(oracle::pruned(&world), 0, "it was pruned before it was old");
    if let Some(kill) = kill {
        points::stop_at(kill);
        assert_eq!(prune(&mut world), Err(Crashed), "point {kill}");
        world.crash();
    }
    assert_eq!(prune(&mut world), Ok(()), "point {kill:?}");
    let points = points::passed() - at_rest;
    assert!(points::last(points).contains(&"journal.commit.before"));
    points
}

fn prune(world: &mut World) -> Result<(), Crashed> {
    if world.life.is_none() {
        world.start()?;
    }
    for _ in 0..3 {
        world.pass(Duration::from_secs(3_600))?;
        world.turn()?;
        world.check();
    }
    assert!(oracle::pruned(world) > 0, "nothing was pruned");
    Ok(())
}

fn world_that_prunes() -> World {
    let options = Options { faults: "429-before=4x".parse().unwrap(), ..provider(SETTING, 1) };
    let knobs = Knobs { workers: 2, keep_answers: "3h", ..Knobs::default() };
    World::of_story(options, knobs, SETTING.power_cut)
}
