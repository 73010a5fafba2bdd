//! A crash at any point of stories of evidence that comes late, is rare, or costs something: a denied attempt that is listed,
//! an export that turns an order, a probe, a list that is always empty.

use super::world::together::side_by_side;
use super::world::{empty, late, oracle, points, probed, turned};
use super::{die_at, points_of_a_long_story, points_to_die_at};

#[test]
fn a_crash_at_any_point_before_a_denied_attempt_is_listed_loses_no_charge() {
    let mut count = 0;
    die_at(late::world(false, 1), &[], "no crash", |world| {
        late::live(world)?;
        assert!(oracle::is_paid_twice(world), "the word was right");
        assert!(world.outbox().join("stock 1.settled.csv").exists(), "it was told nowhere");
        count = points::passed();
        Ok(())
    });
    side_by_side(points_of_a_long_story(1..=count), |point| {
        let power_cut = point % 2 == 0;
        die_at(late::world(power_cut, 1), &[point], &format!("power cut {power_cut}"), late::live);
    });
}

/// At each point from the export on.
#[test]
fn a_crash_while_an_export_turns_an_order_books_one_refund_and_publishes_it_once() {
    let (mut told, mut count) = (turned::Story::default(), 0);
    die_at(turned::world(false, 1), &[], "no crash", |world| {
        told.live(world)?;
        count = points::passed();
        Ok(())
    });
    side_by_side(points_to_die_at(told.before + 1..=count), |point| {
        let power_cut = point % 2 == 0;
        let mut story = turned::Story::default();
        die_at(turned::world(power_cut, 1), &[point], &format!("power cut {power_cut}"), |world| {
            story.live(world)
        });
    });
}

#[test]
fn a_crash_while_it_is_found_out_what_a_duplicate_costs_costs_no_more_than_one_probe() {
    let mut count = 0;
    die_at(probed::world(false, 1), &[], "no crash", |world| {
        probed::live(world)?;
        count = points::passed();
        Ok(())
    });
    side_by_side(points_of_a_long_story(1..=count), |point| {
        let power_cut = point % 2 == 0;
        die_at(probed::world(power_cut, 1), &[point], &format!("power cut {power_cut}"), probed::live);
    });
}

/// At each point of the turns in which the fact is written or taken back; hours lie between, of which some are tried.
#[test]
fn a_crash_at_any_point_around_the_fact_of_an_empty_list_changes_nothing() {
    let (mut told, mut count) = (empty::Story::default(), 0);
    die_at(empty::world(false, 1), &[], "no crash", |world| {
        told.live(world)?;
        count = points::passed();
        Ok(())
    });
    assert_eq!(told.changes.len(), 2, "it is written once, and taken back once");
    let is_near = |point: &usize| told.changes.iter().any(|turn| turn.contains(point));
    let points = (1..=count).filter(|point| is_near(point) || point % 60 == 0);
    side_by_side(points_of_a_long_story(points), |point| {
        let power_cut = point % 2 == 0;
        let mut story = empty::Story::default();
        let what = format!("power cut {power_cut}");
        die_at(empty::world(power_cut, 1), &[point], &what, |world| story.live(world));
    });
}
