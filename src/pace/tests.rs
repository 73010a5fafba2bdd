//! The pace against a provider in virtual time, and its rules one by one.

mod outage;
mod world;

use std::collections::BTreeSet;
use std::ops::Range;

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use world::World;

const NO_WAIT: Duration = Duration::ZERO;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn pace(workers: usize, adaptive: bool) -> Pace {
    let mut pace = Pace::default();
    pace.set(workers, adaptive);
    pace
}

/// One call, from beginning to end.
fn call(pace: &mut Pace, ended: Ended, took: Duration, now: Timestamp) {
    let call = pace.began();
    pace.ended(call, ended, took, now);
}

/// So many calls at once, all of which pass.
fn round(pace: &mut Pace, took: Duration) {
    let calls: Vec<_> = (0..pace.limit()).map(|_| pace.began()).collect();
    for call in calls {
        pace.ended(call, Ended::Passed, took, at(0));
    }
}

/// A pace that has come to this limit without a sign of trouble.
fn grown_to(limit: usize) -> Pace {
    let mut pace = pace(limit, true);
    while pace.limit() < limit {
        round(&mut pace, ms(3600));
    }
    pace
}

#[test]
fn one_that_takes_100_at_once_and_refuses_more_is_found_out_to_within_a_tenth() {
    let world = World::run(pace(200, true), 20_000, &mut |others, _, rng| {
        if others >= 100 { (Ended::Throttled(None), 30) } else { (Ended::Passed, rng.u64(3_000..4_200)) }
    });
    for (now, limit, _) in world.settled(3_000) {
        assert!((90..=110).contains(limit), "{limit} at {now} ms");
    }
    let working = world.settled(3_000).iter().map(|(.., working)| working).sum::<usize>();
    assert!(working / world.settled(3_000).len() >= 90, "and they are used");
    assert!(world.refused < 300, "{} were sent for nothing", world.refused);
}

#[test]
fn one_whose_latency_doubles_beyond_40_is_left_near_40() {
    for spread in [1, 100, 1_500] {
        let world = World::run(pace(200, true), 20_000, &mut |others, _, rng| {
            let takes = rng.u64(3_600 - spread..3_600 + spread);
            (Ended::Passed, if others >= 40 { takes * 2 } else { takes })
        });
        for (now, limit, _) in world.settled(3_000) {
            assert!((34..=48).contains(limit), "{limit} at {now} ms, spread {spread}");
        }
        let mean = world.mean_limit(3_000);
        assert!((36..=44).contains(&mean), "{mean} on average, spread {spread}");
    }
}

/// Between 1 and 18 s: a level that moves within minutes, and each call as it will.
fn wandering(now: u64, rng: &mut Rng) -> u64 {
    let level = 1_000 + (now % 240_000).abs_diff(120_000) / 11;
    rng.u64(level..level * 3 / 2)
}

#[test]
fn one_whose_latency_wanders_between_1_and_18_s_at_30_is_left_at_30() {
    let mut answer = |_: usize, now: u64, rng: &mut Rng| (Ended::Passed, wandering(now, rng));
    let world = World::run(pace(30, true), 10_000, &mut answer);
    assert!(world.settled(100).iter().all(|(_, limit, _)| *limit == 30), "{:?}", world.mean_limit(100));
    let world = World::run(pace(200, true), 20_000, &mut answer);
    assert!(world.settled(100).iter().all(|(_, limit, _)| *limit >= 30), "{:?}", world.mean_limit(100));
}

#[test]
fn calls_that_take_any_time_whatever_the_load_open_the_workers() {
    let world = World::run(pace(200, true), 40_000, &mut |_, _, rng| (Ended::Passed, rng.u64(1_000..18_000)));
    let mean = world.mean_limit(10_000);
    assert!(mean > 150, "{mean}");
}

/// Gone in this span, with this to be seen of it.
fn gone(span: Range<u64>, ended: Ended, latency: u64) -> World {
    World::run(pace(30, true), 8_000, &mut |_, now, _| {
        if span.contains(&now) { (ended, 5) } else { (Ended::Passed, latency) }
    })
}

#[test]
fn one_that_is_gone_for_a_minute_is_found_back_within_seconds_of_its_return() {
    for latency in [36, 360] {
        let (from, to) = (3_000, 63_000);
        let world = gone(from..to, Ended::NotSent, latency);
        let during = |(now, ..): &&(u64, usize, usize)| (from + 1_000..to).contains(now);
        assert!(world.seen.iter().filter(during).all(|(_, limit, _)| *limit == 1), "one at a time");
        let full = world.seen.iter().find(|(now, limit, _)| *now > to && *limit == 30).unwrap().0;
        let within = 5_000 + 6 * latency;
        assert!(full < to + within, "all workers {} ms after its return", full - to);
        assert!(world.refused < 90, "{} were sent for nothing", world.refused);
    }
}

#[test]
fn an_outage_of_errors_risks_few_orders() {
    let world = gone(3_000..63_000, Ended::Overloaded(None), 360);
    assert!(world.refused <= 30 + 15, "{} may be in doubt", world.refused);
}

#[test]
fn a_start_doubles_and_a_pause_begins_at_a_few_again() {
    let mut pace = pace(30, true);
    let mut limits = Vec::new();
    for _ in 0..4 {
        limits.push(pace.limit());
        round(&mut pace, ms(36));
    }
    assert_eq!(limits, [4, 8, 16, 30]);
    // However often it is told while it stands still, and whatever was still on its way.
    let calls: Vec<_> = (0..30).map(|_| pace.began()).collect();
    pace.stood_still();
    for call in calls {
        pace.ended(call, Ended::Passed, ms(36), at(0));
    }
    assert_eq!(pace.limit(), 4);
    pace.stood_still();
    assert_eq!(pace.limit(), 4);
    round(&mut pace, ms(36));
    assert_eq!(pace.limit(), 8);
}

#[test]
fn nothing_used_nothing_learnt() {
    let mut pace = pace(200, true);
    for _ in 0..1_000 {
        call(&mut pace, Ended::Passed, ms(36), at(0));
    }
    assert_eq!(pace.limit(), 4);
}

#[test]
fn it_goes_down_once_a_round_trip() {
    let mut pace = grown_to(100);
    let calls: Vec<_> = (0..100).map(|_| pace.began()).collect();
    for call in calls.into_iter().rev().take(8) {
        pace.ended(call, Ended::Throttled(None), ms(30), at(0));
    }
    assert_eq!(pace.limit(), 90);
    let next = pace.began();
    pace.ended(next, Ended::Throttled(None), ms(30), at(30));
    assert!(pace.limit() < 90, "a call sent since then does count");
}

#[test]
fn it_goes_down_by_as_many_as_are_refused_whichever_they_are_and_by_no_more_than_half() {
    let refuse = |from: usize, to: usize, lasts_first: bool| {
        let mut pace = grown_to(100);
        let mut calls: Vec<_> = (0..100).map(|_| pace.began()).collect();
        if lasts_first {
            calls.reverse();
        }
        for call in calls.drain(from..to) {
            pace.ended(call, Ended::Throttled(None), ms(30), at(0));
        }
        pace.limit()
    };
    for lasts_first in [true, false] {
        assert_eq!(refuse(40, 41, lasts_first), 90);
        assert_eq!(refuse(1, 31, lasts_first), 70);
        assert_eq!(refuse(31, 99, lasts_first), 50);
    }
}

#[test]
fn refusals_from_before_the_calls_that_pass_by_now_tell_nothing_new() {
    let mut pace = grown_to(100);
    let mut calls: Vec<_> = (0..100).map(|_| pace.began()).collect();
    pace.ended(calls.pop().unwrap(), Ended::Throttled(None), ms(30), at(30));
    call(&mut pace, Ended::Passed, ms(3_600), at(3_700));
    for call in calls.drain(1..41) {
        pace.ended(call, Ended::Throttled(None), ms(3_700), at(3_700));
    }
    assert_eq!(pace.limit(), 90);
}

#[test]
fn a_refusal_that_is_read_after_the_others_answers_takes_no_more_than_a_tenth() {
    let mut pace = grown_to(100);
    let calls: Vec<_> = (0..100).map(|_| pace.began()).collect();
    let (last, others) = calls.split_last().unwrap();
    // We stood still for a moment, and find them all answered.
    for call in others.iter().take(40) {
        pace.ended(*call, Ended::Passed, ms(3_600), at(3_600));
    }
    pace.ended(*last, Ended::Throttled(None), ms(3_600), at(3_600));
    assert_eq!(pace.limit(), 90);
}

#[test]
fn one_that_fails_now_and_then_whatever_the_load_keeps_all_its_workers() {
    for percent in [1, 2, 3] {
        let mut answer = |_: usize, _: u64, rng: &mut Rng| {
            if rng.u64(..100) < percent { (Ended::Overloaded(None), 5_000) } else { (Ended::Passed, 3_600) }
        };
        let world = World::run(pace(30, true), 10_000, &mut answer);
        let mean = world.mean_limit(200);
        assert!(mean >= 27, "{percent} %: {mean}");
    }
}

#[test]
fn one_that_fails_for_more_than_40_at_once_is_found_out_to_within_a_fifth() {
    let mut answer = |working: usize, _: u64, _: &mut Rng| {
        if working >= 40 { (Ended::Overloaded(None), 36) } else { (Ended::Passed, 3_600) }
    };
    let world = World::run(pace(200, true), 20_000, &mut answer);
    let mean = world.mean_limit(2_000);
    assert!((32..=44).contains(&mean), "{mean}");
}

#[test]
fn one_that_refuses_all_of_them_is_left_alone_after_a_few_and_tried_by_one() {
    let mut pace = grown_to(30);
    let calls: Vec<_> = (0..30).map(|_| pace.began()).collect();
    for call in calls {
        pace.ended(call, Ended::Throttled(None), ms(30), at(30));
    }
    assert_eq!(pace.limit(), 1);
    assert!(pace.closed_until(at(30)).is_some());
    call(&mut pace, Ended::Passed, ms(3_600), at(9_000));
    assert_eq!(pace.limit(), 2);
    for _ in 0..4 {
        round(&mut pace, ms(3_600));
    }
    assert_eq!(pace.limit(), 30, "as many as were good before, fast");
}

#[test]
fn without_it_the_limit_is_the_ceiling_whatever_happens() {
    let mut pace = pace(200, false);
    let calls: Vec<_> = (0..200).map(|_| pace.began()).collect();
    for call in calls.into_iter().rev().take(100) {
        pace.ended(call, Ended::Throttled(None), ms(30), at(30));
        pace.ended(call, Ended::Passed, ms(9_000), at(30));
    }
    assert_eq!(pace.limit(), 200);
}

#[test]
fn a_reload_changes_ceiling_and_rule_at_once() {
    let mut pace = grown_to(30);
    pace.set(7, true);
    assert_eq!(pace.limit(), 7);
    pace.set(30, true);
    assert_eq!(pace.limit(), 30);
    call(&mut pace, Ended::Throttled(None), ms(1), at(0));
    assert!(pace.limit() < 30);
    pace.set(12, false);
    assert_eq!(pace.limit(), 12);
}

#[test]
fn what_the_provider_asks_to_wait_holds_the_whole_pool_whatever_passes_meanwhile() {
    for ended in [Ended::Throttled, Ended::Overloaded, Ended::Unclear] {
        let mut pace = grown_to(30);
        let (older, asked) = (pace.began(), pace.began());
        pace.ended(asked, ended(Some(ms(9_000))), ms(30), at(0));
        pace.ended(older, Ended::Passed, ms(100), at(70));
        assert_eq!(pace.closed_until(at(70)), Some(at(9_000)), "{:?}", ended(None));
        assert_eq!(pace.closed_until(at(9_000)), None);
    }
}

#[test]
fn a_call_that_is_given_up_is_on_its_way_no_more() {
    let mut pace = grown_to(30);
    let older = pace.began();
    pace.given_up(older);
    let refused = pace.began();
    assert_eq!(pace.limit.standing(refused), 0);
}

#[test]
fn at_the_real_latency_almost_nothing_is_claimed_ahead() {
    let at = |latency_ms, commit_ms| ahead(30, ms(latency_ms), ms(commit_ms));
    assert_eq!(at(3600, 1), Ahead::NONE);
    assert_eq!(at(3600, 60), Ahead { few: 1, all: 1 });
    assert_eq!(at(300, 1), Ahead { few: 8, all: 15 });
}

#[test]
fn where_calls_are_fast_a_generation_is_claimed_at_once_and_never_more_than_two() {
    let at = |latency_ms, commit_ms| ahead(30, ms(latency_ms), ms(commit_ms));
    assert_eq!(at(36, 1), Ahead { few: 16, all: 46 });
    assert_eq!(at(36, 1000), Ahead { few: 30, all: 60 });
    assert_eq!(at(0, 1), Ahead { few: 30, all: 60 });
    assert_eq!(ahead(1, ms(36), ms(1)), Ahead { few: 0, all: 1 });
    assert_eq!(ahead(200, ms(36), ms(1)), Ahead { few: 56, all: 141 });
    assert_eq!(ahead(200, ms(0), ms(1)), Ahead { few: 200, all: 400 });
}

#[test]
fn an_answers_commit_waits_for_about_a_call_where_those_are_fast_and_hardly_at_all_where_they_are_slow() {
    let at = |latency_ms| linger(ms(latency_ms));
    assert_eq!([at(0), at(36), at(100), at(249)], [ms(10), ms(45), ms(50), ms(50)]);
    assert_eq!([at(250), at(3600)], [ms(10), ms(10)]);
}

fn any_end() -> impl Strategy<Value = Ended> {
    prop_oneof![
        4 => Just(Ended::Passed),
        1 => Just(Ended::NotSent),
        1 => proptest::option::of(0..9_000_u64).prop_map(|wait| Ended::Throttled(wait.map(ms))),
        1 => proptest::option::of(0..9_000_u64).prop_map(|wait| Ended::Overloaded(wait.map(ms))),
        1 => Just(Ended::Unclear(None)),
    ]
}

proptest! {
    #[test]
    fn the_limit_stays_between_one_and_the_ceiling_and_goes_down_by_no_more_than_half_but_in_an_outage(
        steps in proptest::collection::vec((any_end(), 0..20_000_u64, 0..8_usize), 1..400),
        workers in 1..300_usize,
    ) {
        let (mut pace, mut now, mut calls) = (pace(workers, true), at(0), BTreeSet::new());
        for (ended, took, which) in steps {
            while calls.len() < pace.limit() {
                calls.insert(pace.began());
            }
            now = now.plus(ms(took / 30));
            let call = calls.iter().nth(which % calls.len()).copied().unwrap();
            calls.remove(&call);
            let before = pace.limit();
            pace.ended(call, ended, ms(took), now);
            let after = pace.limit();
            prop_assert!((1..=workers).contains(&after), "{after} of {workers}");
            prop_assert!(after <= before + 1, "{before}, {after}");
            prop_assert!(pace.is_out() || after >= before / 2, "{before}, {after}");
        }
    }
}
