//! A crash at any point around a copy of the state that is put back.

use fastrand::Rng;

use super::world::restored::Story;
use super::world::together::side_by_side;
use super::world::{self, points};
use super::{die_at, points_of_a_long_story};

/// Plays it, dying at the `kills`-th points. Gives the points that were passed since the copy was made.
fn put_a_copy_back(takes_long: bool, power_cut: bool, kills: &[usize]) -> usize {
    let (mut story, world) = Story::begin(takes_long, power_cut, 1);
    let (before, mut passed) = (points::passed(), 0);
    die_at(world, kills, &format!("a copy put back, power cut {power_cut}"), |world| {
        story.live(world)?;
        passed = points::passed() - before;
        Ok(())
    });
    assert!(!kills.is_empty() || story.is_resumed && story.unknown() > 2, "nothing came of it: {story:?}");
    passed
}

/// The process that the copy knows nothing of dies at the point, or the copy's own does.
#[test]
fn a_copy_that_is_put_back_after_a_crash_at_any_point_sends_nothing_that_was_sent() {
    let count = put_a_copy_back(false, false, &[]);
    side_by_side(points_of_a_long_story(1..=count), |point| {
        put_a_copy_back(false, point % 2 == 0, &[point]);
    });
}

#[test]
fn what_a_copy_takes_for_ours_unfinished_is_paid_once_and_answered_wherever_a_crash_comes() {
    let count = put_a_copy_back(true, false, &[]);
    side_by_side(points_of_a_long_story((1..=count).step_by(3)), |point| {
        put_a_copy_back(true, point % 2 == 0, &[point]);
    });
}

#[test]
fn a_second_crash_on_a_copy_that_is_put_back_changes_nothing() {
    let count = put_a_copy_back(false, false, &[]);
    side_by_side(0..20, |seed| {
        let mut rng: Rng = world::rng(seed);
        let first = rng.usize(1..=count / 2);
        let kills = [first, rng.usize(1..=count / 2)];
        put_a_copy_back(seed % 4 == 0, rng.bool(), &kills);
    });
}
