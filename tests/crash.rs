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

#[path = "crash/cleared.rs"]
mod cleared;
#[path = "crash/copies.rs"]
mod copies;
#[path = "crash/evidence.rs"]
mod evidence;
#[path = "crash/later.rs"]
mod later;
#[path = "crash/pruned.rs"]
mod pruned;
mod world;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use fastrand::Rng;
use imeid::simulator::{Delay, Options, Share};
use rstest::rstest;

use world::files::{self, Dropped, Line};
use world::points::{self, Crashed};
use world::story::longer;
use world::together::side_by_side;
use world::{Knobs, World, oracle};

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

/// What the provider of such a world is like.
fn provider(setting: Setting, seed: u64) -> Options {
    Options {
        listing: setting.lists,
        latency: Delay::Fixed(Duration::from_secs(2)),
        completion: Delay::Uniform(Duration::from_secs(5), Duration::from_secs(20)),
        ..world::provider(seed)
    }
}

fn world(setting: Setting, seed: u64) -> World {
    let options = Options { rejected: Share::from_ppm(200_000), ..provider(setting, seed) };
    World::of_story(options, Knobs { workers: 2, ..Knobs::default() }, setting.power_cut)
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
        step = longer(step);
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
    side_by_side(points_to_die_at(1..=count), |point| live_and_die(setting, 1, &files, &[point]));
}

#[rstest]
fn a_crash_at_any_point_loses_nothing_and_pays_nothing_twice(#[values(true, false)] lists: bool) {
    every_point(Setting { lists, power_cut: false });
}

#[rstest]
fn a_power_cut_at_any_point_loses_nothing_and_pays_nothing_twice(#[values(true, false)] lists: bool) {
    every_point(Setting { lists, power_cut: true });
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
fn a_second_crash_while_the_first_is_mended_changes_nothing() {
    side_by_side(0..60, |seed| {
        let mut rng: Rng = world::rng(seed);
        let setting = SETTINGS[rng.usize(0..SETTINGS.len())];
        let all = [files::random(&mut rng, 0, 30, 60), files::random(&mut rng, 1, 8, 20)];
        let kills = [rng.usize(1..400), rng.usize(1..120), rng.usize(1..60)];
        live_and_die(setting, seed, &all, &kills);
    });
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
