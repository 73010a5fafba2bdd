//! A crash at any point of stories in which something comes to light later: whose an id is, what the original of a copy did,
//! which account is configured. And a second crash where the first is mended.

use std::ops::RangeInclusive;

use super::world::together::side_by_side;
use super::world::{
    accused, brought, denied, followed, moved, oracle, points, probed, rng, twice, wrong_ids,
};
use super::{die_at, points_to_die_at};

/// How often two crashes are tried.
const PAIRS: u64 = 6;

/// Plays a story, dying at every `every`-th of its points (at all, where all are asked for), and at some pairs. `play`
/// tells how many points there are.
fn die_everywhere(every: usize, play: impl Fn(bool, &[usize]) -> usize + Sync) {
    let count = play(false, &[]);
    let is_asked_for = std::env::var("IMEID_POINT").is_ok();
    let every = if is_asked_for { 1 } else { every };
    side_by_side(points_to_die_at((1..=count).step_by(every)), |point| play(point % 2 == 0, &[point]));
    side_by_side((0..PAIRS).filter(|_| !is_asked_for), |seed| {
        let mut rng = rng(seed);
        let first = rng.usize(1..=count);
        play(rng.bool(), &[first, rng.usize(1..=(count - first).max(30))])
    });
}

#[test]
fn a_crash_while_ids_turn_out_to_be_others_leaves_each_order_its_own() {
    die_everywhere(5, |power_cut, kills| {
        let mut count = 0;
        die_at(wrong_ids::world(power_cut, 1), kills, &format!("power cut {power_cut}"), |world| {
            wrong_ids::live(world)?;
            count = points::passed();
            let alarms = oracle::alarms(world, "name = 'wrong_answer'");
            assert!(
                !kills.is_empty() || alarms == 3,
                "one of an order by hand, two of one id: {alarms} alarms"
            );
            Ok(())
        });
        count
    });
}

/// At points since the copy lies there.
#[test]
fn a_crash_while_a_copy_learns_what_its_original_made_sends_none_of_it_again() {
    die_everywhere(3, |power_cut, kills| {
        let (mut story, world) = brought::Story::begin(power_cut, 1);
        die_at(world, kills, &format!("power cut {power_cut}"), |world| story.live(world));
        story.passed
    });
}

/// Likewise.
#[test]
fn a_crash_while_a_copy_learns_what_followed_its_orders_in_work_sends_none_of_it_and_tells_it_once() {
    die_everywhere(3, |power_cut, kills| {
        let (mut story, world) = followed::Story::begin(power_cut, 1);
        die_at(world, kills, &format!("power cut {power_cut}"), |world| story.live(world));
        story.passed
    });
}

/// At each point since the first export was dropped.
#[test]
fn a_crash_while_exports_show_a_double_charge_tells_it_once_by_what_is_known() {
    let (mut told, mut count) = (twice::Story::default(), 0);
    die_at(twice::world(false, 1), &[], "no crash", |world| {
        told.live(world)?;
        count = points::passed();
        Ok(())
    });
    side_by_side(points_to_die_at(told.before + 1..=count), |point| {
        let (power_cut, mut story) = (point % 2 == 0, twice::Story::default());
        let what = format!("power cut {power_cut}");
        die_at(twice::world(power_cut, 1), &[point], &what, |world| story.live(world));
    });
}

/// At points since the first word.
#[test]
fn a_crash_around_an_export_of_what_was_denied_and_made_anew_sends_nothing_again() {
    let (mut told, mut count) = (denied::Story::default(), 0);
    die_at(denied::world(false, 1), &[], "no crash", |world| {
        told.live(world)?;
        count = points::passed();
        Ok(())
    });
    side_by_side(points_to_die_at((told.before + 1..=count).step_by(2)), |point| {
        let (power_cut, mut story) = (point % 4 == 0, denied::Story::default());
        let what = format!("power cut {power_cut}");
        die_at(denied::world(power_cut, 1), &[point], &what, |world| story.live(world));
    });
}

#[test]
fn a_crash_around_a_changed_account_changes_nothing_of_the_other_ones_orders() {
    die_everywhere(19, |power_cut, kills| {
        let (mut story, world) = moved::Story::begin(power_cut, 1);
        let mut count = 0;
        die_at(world, kills, &format!("power cut {power_cut}"), |world| {
            story.live(world)?;
            count = points::passed();
            Ok(())
        });
        assert!(!kills.is_empty() || story.left_open > 4, "{} orders were left open", story.left_open);
        count
    });
}

/// Plays a story, dying at every point of one turn of it, which `play` tells.
fn die_within(play: impl Fn(bool, &[usize]) -> Option<RangeInclusive<usize>> + Sync) {
    let turn = play(false, &[]);
    let points = points_to_die_at(turn.expect("what the story is about didn't happen"));
    side_by_side(points, |point| play(point % 2 == 0, &[point]));
}

#[test]
fn a_crash_while_it_is_noted_that_a_doubt_waits_for_a_person_leaves_all_of_it_told() {
    die_within(|power_cut, kills| {
        let mut noted = None;
        die_at(probed::world(power_cut, 1), kills, &format!("power cut {power_cut}"), |world| {
            probed::live_and_tell(world, &mut noted)
        });
        noted
    });
}

#[test]
fn a_crash_while_an_export_shows_a_double_charge_lets_nothing_be_sent_again() {
    die_within(|power_cut, kills| {
        let mut story = accused::Story::default();
        die_at(accused::world(power_cut, 1), kills, &format!("power cut {power_cut}"), |world| {
            story.live(world)
        });
        story.told
    });
}
