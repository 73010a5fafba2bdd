//! A crash at any point before a charge that is presumed is cleared, and a second one while it waits for that.

use fastrand::Rng;
use rstest::rstest;

use super::world::clearing::Story;
use super::world::together::side_by_side;
use super::world::{self, oracle, points};
use super::{die_at, points_to_die_at};

/// How many points a whole life of this story has, in which something must be cleared.
fn points_of_a_clearing(by_export: bool) -> usize {
    let (mut story, mut count) = (Story::new(by_export), 0);
    die_at(story.world(false, 1), &[], "no crash", |world| {
        story.live(world)?;
        let kinds = oracle::kinds(world);
        assert!(kinds.iter().any(|kind| kind.starts_with("cleared ")), "nothing was cleared: {kinds:?}");
        assert_eq!(by_export, world.exports() > 0);
        count = points::passed();
        Ok(())
    });
    count
}

fn clear_and_die(by_export: bool, power_cut: bool, kills: &[usize]) {
    let mut story = Story::new(by_export);
    let what = format!("{story:?}, power cut {power_cut}");
    die_at(story.world(power_cut, 1), kills, &what, |world| story.live(world));
}

fn clear_at_every_point(by_export: bool) {
    let count = points_of_a_clearing(by_export);
    side_by_side(points_to_die_at(1..=count), |point| clear_and_die(by_export, point % 2 == 0, &[point]));
}

#[test]
fn a_crash_at_any_point_before_two_listings_clear_a_charge_changes_nothing() {
    clear_at_every_point(false);
}

#[test]
fn a_crash_at_any_point_before_an_export_clears_a_charge_changes_nothing() {
    clear_at_every_point(true);
}

#[rstest]
fn a_second_crash_while_a_charge_waits_to_be_cleared_changes_nothing(#[values(false, true)] by_export: bool) {
    let count = points_of_a_clearing(by_export);
    side_by_side(0..60, |seed| {
        let mut rng: Rng = world::rng(seed);
        let first = rng.usize(1..=count);
        let kills = [first, rng.usize(1..=(count - first).max(60))];
        clear_and_die(by_export, rng.bool(), &kills);
    });
}
