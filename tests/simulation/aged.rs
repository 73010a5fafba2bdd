//! What grows old: by a clock that is wrong for a while, and by a provider that needs weeks.

use imeid::journal::Said;
use imeid::simulator::{Change, Delay, Options, Share};

use super::world::clearing::file;
use super::world::life::Units;
use super::world::{self, Knobs, World, files};
use super::{doubt_one, minutes, pass_with, seconds};

/// How many orders are in this state.
fn orders_in(world: &World, state: u8) -> i64 {
    let count = format!("SELECT count(*) FROM orders WHERE state = {state}");
    world.life.as_ref().unwrap().view.query_row(&count, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_clock_that_is_weeks_ahead_for_one_start_gives_up_no_order_and_holds_no_doubt() {
    for listing in [true, false] {
        let options = Options {
            listing,
            latency: Delay::Fixed(seconds(2)),
            completion: Delay::Fixed(seconds(2 * 3_600)),
            rejected: Share::from_ppm(0),
            ..world::provider(1)
        };
        fastrand::seed(1);
        let mut world = World::new(options, Knobs::default());
        assert_eq!(world.start(), Ok(()));
        world.drop_file(file("older", 40, 40..42));
        minutes(&mut world, 180);
        doubt_one(&mut world, 0);
        world.wire.change(&Change { faults: Some("drop-before=1x".parse().unwrap()), ..Change::default() });
        pass_with(&mut world, Units { settle: false, ..Units::ALL }, 10);
        assert_eq!((orders_in(&world, 2), orders_in(&world, 3)), (1, 2));
        let start_with = |world: &mut World, hours| {
            assert_eq!(world.stop(seconds(130)), Ok(()));
            world.jump(hours);
            assert_eq!(world.start(), Ok(()));
        };
        start_with(&mut world, 21 * 24);
        minutes(&mut world, 20);
        assert_eq!((orders_in(&world, 2), orders_in(&world, 3), orders_in(&world, 5)), (1, 2, 0));
        start_with(&mut world, -21 * 24);
        // What comes later shows what isn't there.
        world.drop_file(file("later", 50, 50..55));
        minutes(&mut world, 360);
        assert_eq!(orders_in(&world, 6), 10, "listing {listing}");
    }
}

#[test]
fn an_order_that_was_given_up_is_answered_all_the_same_when_its_result_comes() {
    let options = Options {
        latency: Delay::Fixed(seconds(2)),
        completion: Delay::Fixed(seconds(16 * 86_400)),
        rejected: Share::from_ppm(0),
        ..world::provider(1)
    };
    fastrand::seed(1);
    let mut world = World::new(options, Knobs::default());
    assert_eq!(world.start(), Ok(()));
    doubt_one(&mut world, 0);
    world.wire.change(&Change { faults: Some(String::new().parse().unwrap()), ..Change::default() });
    let hours = |world: &mut World, n| {
        for _ in 0..n {
            assert_eq!(world.turn().and_then(|()| world.pass(seconds(3_600))), Ok(()));
        }
        world.check();
    };
    hours(&mut world, 13 * 24);
    assert_eq!((orders_in(&world, 3), orders_in(&world, 5)), (3, 0));
    hours(&mut world, 2 * 24);
    assert_eq!((orders_in(&world, 3), orders_in(&world, 5)), (0, 3));
    // One is given up for good: it is charged, and never made anew.
    assert!(world.say(Said::Cancel, 0, files::imei(2)).unwrap().done);
    for said in [Said::Retry, Said::RetryNotCharged] {
        let answer = world.say(said, 0, files::imei(2)).unwrap();
        assert!(!answer.done, "{}", answer.text);
    }
    hours(&mut world, 3 * 24);
    assert_eq!((orders_in(&world, 6), orders_in(&world, 10)), (2, 1));
}
