//! A provider whose list of recent orders is always empty: it is told from one that lists, and done without.

use std::time::Duration;

use imeid::simulator::{Change, Delay, Options};

use super::world::{self, Knobs, World, oracle};
use super::{doubt_one, minutes, seconds};

/// How many doubts are open, and how many alarms say that the list is always empty.
fn doubts_and_alarms(world: &World) -> (i64, i64) {
    let count = |sql: &str| world.life.as_ref().unwrap().view.query_row(sql, [], |row| row.get(0)).unwrap();
    (
        count("SELECT count(*) FROM orders WHERE state = 2"),
        count("SELECT count(*) FROM alarms WHERE gone_at IS NULL AND text LIKE '%always empty%'"),
    )
}

/// An empty world whose provider answers every question for its recent orders with an empty list.
fn listing_nothing(completion: Duration) -> World {
    let options = Options {
        listing_limit: 0,
        latency: Delay::Fixed(seconds(2)),
        completion: Delay::Fixed(completion),
        ..world::provider(1)
    };
    fastrand::seed(1);
    let mut world = World::new(options, Knobs::default());
    assert_eq!(world.start(), Ok(()));
    world
}

#[test]
fn a_list_that_is_empty_though_an_order_of_ours_is_unfinished_is_done_without() {
    let mut world = listing_nothing(seconds(7_200));
    doubt_one(&mut world, 0);
    minutes(&mut world, 30);
    assert_eq!(doubts_and_alarms(&world), (1, 0), "it can be a list that is cached");
    minutes(&mut world, 20);
    assert_eq!(doubts_and_alarms(&world), (0, 1));
    // The next process knows it, and says nothing more.
    assert_eq!(world.stop(seconds(130)).and_then(|()| world.start()), Ok(()));
    doubt_one(&mut world, 10);
    minutes(&mut world, 10);
    assert_eq!(doubts_and_alarms(&world), (0, 1));
    // It begins to list.
    world.wire.change(&Change { listing_limit: Some(1_000), ..Change::default() });
    doubt_one(&mut world, 20);
    minutes(&mut world, 10);
    assert_eq!(doubts_and_alarms(&world), (0, 0));
    assert!(oracle::kinds(&world).iter().any(|kind| kind == "listed in_doubt -> ordered"));
}

#[test]
fn a_list_that_is_empty_for_a_day_while_orders_are_taken_and_finished_is_done_without() {
    let mut world = listing_nothing(seconds(60));
    doubt_one(&mut world, 0);
    minutes(&mut world, 25 * 60);
    assert_eq!(doubts_and_alarms(&world), (1, 0), "what was taken before may be finished, and left out");
    drop(world);
    let mut world = listing_nothing(seconds(60));
    for hour in 0..24 {
        assert_eq!(doubts_and_alarms(&world), (i64::from(hour), 0), "after {hour} hours");
        doubt_one(&mut world, 10 * hour);
        minutes(&mut world, 60);
    }
    minutes(&mut world, 30);
    assert_eq!(doubts_and_alarms(&world), (0, 1));
}
