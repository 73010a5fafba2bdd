//! Outages: how they are found, what is risked meanwhile, and how they end.

use super::*;

#[test]
fn three_failures_in_a_row_leave_one_order_at_a_time_and_one_that_passes_opens_the_pool() {
    let mut pace = pace(30, false);
    call(&mut pace, Ended::Unclear(None), NO_WAIT, at(0));
    call(&mut pace, Ended::Unclear(None), NO_WAIT, at(0));
    assert_eq!((pace.limit(), pace.closed_until(at(0))), (30, None));
    call(&mut pace, Ended::Unclear(None), NO_WAIT, at(0));
    assert_eq!(pace.limit(), 1);
    assert!(pace.closed_until(at(0)).is_some());
    call(&mut pace, Ended::Passed, NO_WAIT, at(0));
    assert_eq!((pace.limit(), pace.closed_until(at(0))), (30, None));
}

/// An hour of an outage in which every reading call fails as well: the orders that were sent, and how far away the next
/// reading call was at most.
fn an_hour_without_an_answer(ended: Ended) -> (u32, Duration, Pace, Timestamp) {
    let (mut now, mut pace, mut sent, mut furthest) = (at(0), pace(30, true), 0, NO_WAIT);
    while now < at(3_600_000) {
        if pace.closed_until(now).is_none() {
            call(&mut pace, ended, NO_WAIT, now);
            sent += 1;
            continue;
        }
        let next = pace.free_look(now).unwrap();
        furthest = furthest.max(next.since(now));
        now = next;
        pace.looked(false, None, now);
    }
    (sent, furthest, pace, now)
}

#[test]
fn while_reading_calls_fail_too_no_order_is_risked_but_one_in_five_minutes() {
    for ended in [Ended::NotSent, Ended::Overloaded(None), Ended::Unclear(None), Ended::Throttled(None)] {
        let (sent, furthest, mut pace, now) = an_hour_without_an_answer(ended);
        // The three that showed the outage, and twelve in the hour: the reading call alone may be out.
        assert!((10..=15).contains(&sent), "{sent} orders, {ended:?}");
        assert!(furthest <= Duration::from_secs(5), "{furthest:?}");
        assert_eq!(pace.limit(), 1);
        pace.looked(false, None, now);
        call(&mut pace, ended, NO_WAIT, now);
        let next = pace.free_look(now).unwrap();
        pace.looked(true, None, next);
        assert_eq!(pace.closed_until(next), None, "it is found back within seconds");
    }
}

#[test]
fn no_order_is_risked_in_a_new_outage_before_a_reading_call_was_made() {
    let mut pace = pace(30, true);
    for _ in 0..3 {
        call(&mut pace, Ended::Overloaded(None), NO_WAIT, at(0));
    }
    // The call may take so long.
    assert_eq!(pace.closed_until(at(9_999)), Some(at(10_000)));
    assert_eq!(pace.free_look(at(0)), Some(at(0)));
    pace.looked(true, None, at(0));
    assert!(pace.closed_until(at(500)).is_none(), "it is orders that fail: one goes soon");
}

#[test]
fn orders_that_may_be_in_doubt_are_risked_further_and_further_apart() {
    let (mut now, mut pace, mut risked) = (at(0), pace(30, true), 0);
    while now < at(3_600_000) {
        call(&mut pace, Ended::Unclear(None), NO_WAIT, now);
        now = pace.closed_until(now).unwrap_or(now);
        risked += 1;
    }
    assert!(risked < 60, "{risked} in an hour");
    // Of a short one it is found within seconds that it is over.
    let mut pace = grown_to(30);
    let mut now = at(0);
    while now < at(60_000) {
        call(&mut pace, Ended::Overloaded(None), NO_WAIT, now);
        let next = pace.closed_until(now).unwrap_or(now);
        assert!(next.since(now) <= ms(12_000), "{next:?} at {now:?}");
        now = next;
    }
}

/// An outage of errors that began at 0, half a minute old.
fn half_a_minute_out() -> (Pace, Timestamp) {
    let (mut pace, mut now) = (grown_to(30), at(0));
    while now < at(30_000) {
        call(&mut pace, Ended::Overloaded(None), NO_WAIT, now);
        now = pace.closed_until(now).unwrap_or(now);
    }
    call(&mut pace, Ended::Overloaded(None), NO_WAIT, now);
    assert!(pace.closed_until(now).is_some_and(|until| until > now.plus(ms(3_000))));
    (pace, now)
}

#[test]
fn a_reading_call_that_passes_after_others_failed_lets_one_order_go_at_once() {
    let (mut pace, now) = half_a_minute_out();
    assert_eq!(pace.free_look(now), Some(now));
    pace.looked(false, None, now);
    let next = pace.free_look(now).unwrap();
    assert_eq!(next, now.plus(ms(5_000)).min(next), "seconds away");
    assert!(pace.closed_until(now).is_some());
    pace.looked(true, None, next);
    assert_eq!((pace.closed_until(next), pace.limit()), (None, 1));
    call(&mut pace, Ended::Passed, ms(360), next);
    assert!(!pace.is_out());
}

#[test]
fn a_reading_call_that_passes_all_along_tells_nothing_of_orders() {
    let (mut pace, now) = half_a_minute_out();
    let closed = pace.closed_until(now);
    for _ in 0..5 {
        pace.looked(true, None, now);
        assert_eq!(pace.closed_until(now), closed);
    }
}

#[test]
fn a_reading_call_that_passes_lets_an_order_go_beside_those_that_hang() {
    let mut pace = grown_to(30);
    let hanging: Vec<_> = (0..20).map(|_| pace.began()).collect();
    for _ in 0..3 {
        call(&mut pace, Ended::NotSent, NO_WAIT, at(0));
    }
    assert!(pace.is_out() && pace.limit() == 1);
    assert!(pace.free_look(at(100_000)).is_some(), "nothing is closed, and it may take their time-out");
    pace.looked(false, None, at(0));
    pace.looked(true, None, at(5_000));
    assert_eq!(pace.limit(), 21);
    pace.began();
    for call in hanging {
        pace.given_up(call);
    }
    assert_eq!(pace.limit(), 1, "one at a time all the same");
}

#[test]
fn orders_that_are_risked_on_reading_calls_in_vain_take_ever_more_of_them() {
    let (mut pace, mut now) = half_a_minute_out();
    let mut risked = 0;
    for n in 0..720 {
        // A provider that reads every other time, and takes no order.
        if pace.closed_until(now).is_none() {
            call(&mut pace, Ended::Overloaded(None), NO_WAIT, now);
            risked += 1;
        }
        pace.looked(n % 2 == 0, None, now);
        now = now.plus(ms(5_000));
    }
    assert!(risked < 60, "{risked} in an hour");
}

#[test]
fn what_the_provider_asks_to_wait_holds_reading_calls_and_what_they_let_go_too() {
    let (mut pace, now) = half_a_minute_out();
    pace.looked(false, Some(ms(60_000)), now);
    assert_eq!(pace.free_look(now), Some(now.plus(ms(60_000))));
    pace.looked(true, None, now.plus(ms(10_000)));
    assert_eq!(pace.closed_until(now.plus(ms(10_000))), Some(now.plus(ms(60_000))));
}

#[test]
fn a_clock_that_was_set_back_closes_nothing_for_hours() {
    let (pace, now) = half_a_minute_out();
    assert_eq!(pace.closed_until(now.minus(Duration::from_secs(3_600))), None);
}

#[test]
fn thirty_calls_that_fail_together_are_one_look_at_the_outage() {
    let mut pace = pace(30, true);
    let calls: Vec<_> = (0..30).map(|_| pace.began()).collect();
    for call in calls {
        pace.ended(call, Ended::Overloaded(None), ms(7_000), at(7_000));
    }
    pace.looked(true, None, at(7_000));
    let next = pace.closed_until(at(7_000)).unwrap();
    assert!(next.since(at(7_000)) <= Duration::from_secs(1), "{next:?}");
    let later = next.plus(ms(2_000));
    call(&mut pace, Ended::Overloaded(None), ms(2_000), later);
    assert!(pace.closed_until(later).is_some(), "the next look backs off");
}

#[test]
fn a_failure_now_and_then_is_no_outage() {
    let mut pace = grown_to(30);
    for _ in 0..50 {
        for ended in [Ended::Unclear(None), Ended::Unclear(None), Ended::Passed] {
            call(&mut pace, ended, NO_WAIT, at(0));
        }
    }
    assert_eq!(pace.limit(), 30);
}
