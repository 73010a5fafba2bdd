//! A crash at every point: the world is run once to count the points at which a crash leaves a state of its own, then
//! once more for each of them. The process dies there, another takes over the folders, and all must end as if nothing
//! had been: every row answered, nothing paid twice.
//!
//! In the variants with a power cut, what was not fsynced is lost too. A failure prints its point:
//! `IMEID_POINT=17 cargo test --test crash` runs that one alone. Of the longest stories every ninth point is tried,
//! `IMEID_POINT=all` tries all of them too.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a harness: what can't be is a failure"
)]

#[path = "crash/later.rs"]
mod later;
mod world;

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use fastrand::Rng;
use imeid::simulator::{Delay, Options, Share};
use rstest::rstest;

use world::clearing::Story;
use world::empty;
use world::files::{self, Dropped, Line};
use world::points::{self, Crashed};
use world::restored;
use world::{Knobs, World, late, oracle, probed, turned};

/// Twelve rows: eight orders, two repeats, two that are no IMEI.
fn small_file() -> Dropped {
    let valid = |n| Line { cell: files::imei(n).to_string(), imei: Some(files::imei(n)) };
    let invalid = |cell: &str| Line { cell: cell.to_owned(), imei: None };
    let mut lines: Vec<Line> = (0..8).map(valid).collect();
    lines.extend([invalid("no IMEI"), valid(3), invalid("355473"), valid(0)]);
    files::written("stock.csv".to_owned(), 0, 0, lines)
}

/// A file with nothing to order.
fn refused_file() -> Dropped {
    let lines = vec![Line { cell: "nothing".to_owned(), imei: None }];
    files::written("wrong.csv".to_owned(), 1, 1, lines)
}

/// What a story is played with.
#[derive(Clone, Copy, Debug)]
struct Setting {
    lists: bool,
    power_cut: bool,
}

const SETTINGS: [Setting; 4] = [
    Setting { lists: true, power_cut: false },
    Setting { lists: false, power_cut: false },
    Setting { lists: true, power_cut: true },
    Setting { lists: false, power_cut: true },
];

fn world(setting: Setting, seed: u64) -> World {
    let options = Options {
        listing: setting.lists,
        latency: Delay::Fixed(Duration::from_secs(2)),
        completion: Delay::Uniform(Duration::from_secs(5), Duration::from_secs(20)),
        rejected: Share::from_ppm(200_000),
        ..world::provider(seed)
    };
    let mut world = World::new(options, Knobs { workers: 2, ..Knobs::default() });
    world.loses = setting.power_cut;
    fastrand::seed(seed);
    world
}

/// The files are dropped, and the process lives until all is at rest, unless it dies.
fn live(world: &mut World, files: &[Dropped]) -> Result<(), Crashed> {
    world.start()?;
    for file in files {
        if !world.dropped.iter().any(|dropped| dropped.text == file.text) {
            world.drop_file(file.clone());
        }
    }
    let mut step = Duration::from_millis(2_500);
    for _ in 0..150 {
        world.turn()?;
        world.check();
        if oracle::is_at_rest(world) {
            oracle::check_rest(world);
            return Ok(());
        }
        world.pass(step)?;
        step = (step * 6 / 5).min(Duration::from_secs(3 * 3_600));
    }
    oracle::check_rest(world);
    Ok(())
}

/// Lives, dying at the `kills`-th points, each counted from the last death, and checks the end.
fn live_and_die(setting: Setting, seed: u64, files: &[Dropped], kills: &[usize]) {
    let what = format!("{setting:?}, seed {seed}");
    die_at(world(setting, seed), kills, &what, |world| live(world, files));
}

/// Plays `live` in `world`, dying at the `kills`-th points, each counted from the last death, and once to its end.
fn die_at(
    mut world: World,
    kills: &[usize],
    what: &str,
    mut live: impl FnMut(&mut World) -> Result<(), Crashed>,
) {
    let told = catch_unwind(AssertUnwindSafe(|| {
        for kill in kills {
            points::stop_at(*kill);
            if live(&mut world).is_ok() {
                return;
            }
            world.crash();
        }
        points::stop_nowhere();
        assert_eq!(live(&mut world), Ok(()), "it died once more");
    }));
    if let Err(failure) = told {
        let near = points::last(6);
        let (story, log) = (oracle::story(&world), world.log.join("\n"));
        eprintln!("{story}\n{log}\nDIED AT {kills:?} of {what}; last {near:?}");
        drop(world);
        resume_unwind(failure);
    }
}

/// The names of the points of a whole life without a crash.
fn points_of_a_life(setting: Setting, seed: u64, files: &[Dropped]) -> Vec<&'static str> {
    let mut world = world(setting, seed);
    assert_eq!(live(&mut world, files), Ok(()));
    points::names()
}

fn every_point(setting: Setting) {
    let files = [small_file(), refused_file()];
    let count = points_of_a_life(setting, 1, &files).len();
    for point in points_to_die_at(1..=count) {
        live_and_die(setting, 1, &files, &[point]);
    }
}

#[rstest]
fn a_crash_at_any_point_loses_nothing_and_pays_nothing_twice(#[values(true, false)] lists: bool) {
    every_point(Setting { lists, power_cut: false });
}

#[rstest]
fn a_power_cut_at_any_point_loses_nothing_and_pays_nothing_twice(#[values(true, false)] lists: bool) {
    every_point(Setting { lists, power_cut: true });
}

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
    for point in points_to_die_at(1..=count) {
        clear_and_die(by_export, point % 2 == 0, &[point]);
    }
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
    for seed in 0..60 {
        let mut rng: Rng = world::rng(seed);
        let first = rng.usize(1..=count);
        let kills = [first, rng.usize(1..=(count - first).max(60))];
        clear_and_die(by_export, rng.bool(), &kills);
    }
}

/// Plays it, dying at the `kills`-th points. Gives the points that were passed since the copy was made.
fn put_a_copy_back(takes_long: bool, power_cut: bool, kills: &[usize]) -> usize {
    let (mut story, world) = restored::Story::begin(takes_long, power_cut, 1);
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
    for point in points_of_a_long_story(1..=count) {
        put_a_copy_back(false, point % 2 == 0, &[point]);
    }
}

#[test]
fn what_a_copy_takes_for_ours_unfinished_is_paid_once_and_answered_wherever_a_crash_comes() {
    let count = put_a_copy_back(true, false, &[]);
    for point in points_of_a_long_story((1..=count).step_by(3)) {
        put_a_copy_back(true, point % 2 == 0, &[point]);
    }
}

#[test]
fn a_second_crash_on_a_copy_that_is_put_back_changes_nothing() {
    let count = put_a_copy_back(false, false, &[]);
    for seed in 0..20 {
        let mut rng: Rng = world::rng(seed);
        let first = rng.usize(1..=count / 2);
        let kills = [first, rng.usize(1..=count / 2)];
        put_a_copy_back(seed % 4 == 0, rng.bool(), &kills);
    }
}

/// The point that was asked for, or all of these.
fn points_to_die_at(all: impl Iterator<Item = usize>) -> Vec<usize> {
    match std::env::var("IMEID_POINT") {
        Ok(point) if point != "all" => vec![point.parse().unwrap()],
        _ => all.collect(),
    }
}

/// Of a long story's points every ninth, unless all are asked for.
fn points_of_a_long_story(points: impl Iterator<Item = usize>) -> Vec<usize> {
    let every = if std::env::var("IMEID_POINT").is_ok() { 1 } else { 9 };
    points_to_die_at(points.step_by(every))
}

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
    for point in points_of_a_long_story(1..=count) {
        let power_cut = point % 2 == 0;
        die_at(late::world(power_cut, 1), &[point], &format!("power cut {power_cut}"), late::live);
    }
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
    for point in points_to_die_at(told.before + 1..=count) {
        let power_cut = point % 2 == 0;
        let mut story = turned::Story::default();
        die_at(turned::world(power_cut, 1), &[point], &format!("power cut {power_cut}"), |world| {
            story.live(world)
        });
    }
}

#[test]
fn a_crash_while_it_is_found_out_what_a_duplicate_costs_costs_no_more_than_one_probe() {
    let mut count = 0;
    die_at(probed::world(false, 1), &[], "no crash", |world| {
        probed::live(world)?;
        count = points::passed();
        Ok(())
    });
    for point in points_of_a_long_story(1..=count) {
        let power_cut = point % 2 == 0;
        die_at(probed::world(power_cut, 1), &[point], &format!("power cut {power_cut}"), probed::live);
    }
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
    for point in points_of_a_long_story((1..=count).filter(|point| is_near(point) || point % 60 == 0)) {
        let power_cut = point % 2 == 0;
        let mut story = empty::Story::default();
        let what = format!("power cut {power_cut}");
        die_at(empty::world(power_cut, 1), &[point], &what, |world| story.live(world));
    }
}

#[rstest]
#[case(0..30)]
#[case(30..60)]
fn a_second_crash_while_the_first_is_mended_changes_nothing(#[case] seeds: Range<u64>) {
    for seed in seeds {
        let mut rng: Rng = world::rng(seed);
        let setting = SETTINGS[rng.usize(0..SETTINGS.len())];
        let all = [files::random(&mut rng, 0, 30, 60), files::random(&mut rng, 1, 8, 20)];
        let kills = [rng.usize(1..400), rng.usize(1..120), rng.usize(1..60)];
        live_and_die(setting, seed, &all, &kills);
    }
}

/// Some attempts are turned away, and what was said to them is worth nothing once their orders have ended. Only the time
/// from rest on is looked at.
#[test]
fn a_crash_while_old_answers_are_pruned_keeps_every_proof() {
    let setting = Setting { lists: true, power_cut: true };
    let files = [small_file()];
    let prune = |world: &mut World| -> Result<(), Crashed> {
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
    };
    let mut points_of_it = 1;
    let mut k = 0;
    while k < points_of_it {
        let mut world = world_that_prunes(setting);
        assert_eq!(live(&mut world, &files), Ok(()));
        let (at_rest, before) = (points::passed(), oracle::pruned(&world));
        assert_eq!(before, 0, "it was pruned before it was old");
        if k > 0 {
            points::stop_at(k);
            assert_eq!(prune(&mut world), Err(Crashed), "point {k}");
            world.crash();
        }
        assert_eq!(prune(&mut world), Ok(()), "point {k}");
        if k == 0 {
            points_of_it = points::passed() - at_rest;
            assert!(points::last(points_of_it).contains(&"journal.commit.before"));
        }
        k += 1;
    }
}

fn world_that_prunes(setting: Setting) -> World {
    let options = Options {
        listing: setting.lists,
        latency: Delay::Fixed(Duration::from_secs(2)),
        completion: Delay::Uniform(Duration::from_secs(5), Duration::from_secs(20)),
        faults: "429-before=4x".parse().unwrap(),
        ..world::provider(1)
    };
    let mut world = World::new(options, Knobs { workers: 2, keep_answers: "3h", ..Knobs::default() });
    world.loses = setting.power_cut;
    fastrand::seed(1);
    world
}

#[test]
fn every_kind_of_point_is_passed() {
    let files = [small_file(), refused_file()];
    let passed: BTreeSet<&str> = points_of_a_life(SETTINGS[0], 1, &files).into_iter().collect();
    for point in [
        "attempt.answered",
        "attempt.send.before",
        "durable.fsync_dir.before",
        "durable.fsync_file.before",
        "durable.make_dir.before",
        "durable.remove_dir.before",
        "durable.rename.before",
        "durable.rename.renamed",
        "durable.rename_new.before",
        "durable.rename_new.renamed",
        "durable.write_file.written",
        "journal.begin.before",
        "journal.commit.after",
        "journal.commit.before",
        "wire.executed",
        "wire.told",
    ] {
        assert!(passed.contains(point), "nothing passes {point}: {passed:?}");
    }
}
