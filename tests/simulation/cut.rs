//! A provider whose list is cut to its latest orders: what goes by is found before, or held with its reason.

use imeid::simulator::{Change, Delay, Duplicates, Options, Share};

use super::world::life::Units;
use super::world::{self, Knobs, World, files, oracle};
use super::{pass_with, seconds};

/// A world whose provider lists its latest `limit` orders, with a file of `rows` orders of which the first answer is lost.
/// Two of them go every two seconds.
fn cut_list(limit: usize, rows: u32, fault: &str) -> World {
    let options = Options {
        duplicates: Duplicates::Charge,
        listing_limit: limit,
        latency: Delay::Fixed(seconds(2)),
        completion: Delay::Fixed(seconds(60)),
        rejected: Share::from_ppm(0),
        ..world::provider(1)
    };
    fastrand::seed(1);
    let mut world = World::new(options, Knobs { workers: 2, ..Knobs::default() });
    assert_eq!(world.start(), Ok(()));
    // Orders of ours that are older than any doubt, and the order whose answer is lost behind them.
    let line = |n| files::Line { cell: files::imei(n).to_string(), imei: Some(files::imei(n)) };
    world.drop_file(files::written("older.csv".to_owned(), 0, 1, (0..4).map(line).collect()));
    pass_with(&mut world, Units::ALL, 30);
    world.wire.change(&Change { faults: Some(fault.parse().unwrap()), ..Change::default() });
    world.drop_file(files::written("stock.csv".to_owned(), 0, 2, (10..10 + rows).map(line).collect()));
    world
}

/// Orders in doubt, those held, and alarms that say that a list reaches back no more.
fn doubts_held_and_told(world: &World) -> (i64, i64, i64) {
    let count = |sql: &str| world.life.as_ref().unwrap().view.query_row(sql, [], |row| row.get(0)).unwrap();
    (
        count("SELECT count(*) FROM orders WHERE state = 2"),
        count("SELECT count(*) FROM orders WHERE state = 5"),
        count("SELECT count(*) FROM alarms WHERE name = 'out_of_reach' AND gone_at IS NULL"),
    )
}

#[test]
fn an_order_that_was_taken_is_found_before_newer_ones_push_it_out_of_a_list_that_is_cut() {
    let mut world = cut_list(60, 300, "drop-after=1x");
    pass_with(&mut world, Units::ALL, 40);
    assert!(oracle::kinds(&world).iter().any(|kind| kind == "listed in_doubt -> ordered"));
    pass_with(&mut world, Units::ALL, 600);
    assert_eq!(doubts_held_and_told(&world), (0, 0, 0));
}

#[test]
fn a_call_that_hangs_is_found_before_newer_ones_push_it_out_of_a_list_that_is_cut() {
    let mut world = cut_list(60, 300, "hang-after=1x");
    pass_with(&mut world, Units::ALL, 400);
    assert!(oracle::kinds(&world).iter().any(|kind| kind == "looked up in_doubt -> ordered"));
    pass_with(&mut world, Units::ALL, 400);
    assert_eq!(doubts_held_and_told(&world), (0, 0, 0));
}

#[test]
fn a_doubt_that_a_cut_list_has_left_behind_is_held_with_its_reason_until_an_export_settles_it() {
    // One was taken, the other wasn't: no list tells which.
    let mut world = cut_list(20, 400, "drop-after=1x,drop-before=1x");
    pass_with(&mut world, Units { settle: false, ..Units::ALL }, 60);
    assert_eq!(doubts_held_and_told(&world), (2, 0, 0));
    pass_with(&mut world, Units::ALL, 300);
    assert_eq!(doubts_held_and_told(&world), (0, 2, 1), "long before their age would hold them");
    world.drop_export();
    pass_with(&mut world, Units::ALL, 200);
    assert_eq!(doubts_held_and_told(&world), (0, 1, 1), "absence from an export proves nothing");
    let life = world.life.as_ref().unwrap();
    let text: String =
        life.view.query_row("SELECT text FROM alarms WHERE gone_at IS NULL", [], |row| row.get(0)).unwrap();
    assert!(text.starts_with("1 order is held") && text.contains("reconcile/"), "{text}");
    let said = "SELECT count(*) FROM alarms WHERE name = 'out_of_reach'";
    assert_eq!(life.view.query_row(said, [], |row| row.get::<_, i64>(0)).unwrap(), 1, "said once");
}
