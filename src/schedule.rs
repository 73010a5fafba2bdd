//! When something is tried again: pure functions of how often it was tried and how old it is. And how old that really is.

mod waited;

use std::time::Duration;

pub use waited::Waited;

/// No wait that we choose, or that a provider asks for, is longer.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Where a look costs nothing and leaves nothing in doubt (no connection, a call that only reads, an order while the
/// whole pool backs off by itself), none is further away: whoever comes back is found back within seconds.
pub const LONGEST_FREE_WAIT: Duration = Duration::from_secs(5);

/// In an outage an order that may end in doubt is risked at least so often while the outage is young, and at least once in a
/// fifth of its age when it is older: it is found over within seconds, and few orders are risked however long it lasts.
const LONGEST_YOUNG_WAIT: Duration = Duration::from_secs(10);

/// How far away the next order is at most that is risked in an outage of this age.
#[must_use]
pub fn longest_risk(age: Duration) -> Duration {
    (age / 5).clamp(LONGEST_YOUNG_WAIT, LONGEST_WAIT)
}

/// How long a doubt is waited for until it is held: `probe_within`, three times that where the provider lists its orders.
#[must_use]
pub const fn doubt_patience(probe_within: Duration, can_list: bool) -> Duration {
    if can_list { probe_within.saturating_mul(3) } else { probe_within }
}

const FIRST_BACK_OFF_MS: u64 = 500;

/// How long something waits that failed, the `tries`-th time: half a second, doubling, at most `longest`, of which up to
/// half is taken off by `seed`, so that orders turned away together don't come back together.
#[must_use]
pub fn back_off(tries: u32, longest: Duration, seed: u64) -> Duration {
    let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    let doublings = tries.saturating_sub(1).min(16);
    let full = FIRST_BACK_OFF_MS.saturating_mul(1 << doublings).min(longest);
    let jitter = fastrand::Rng::with_seed(seed ^ u64::from(tries)).u64(0..=full / 2);
    Duration::from_millis(full.saturating_sub(jitter))
}

/// When an order that was placed `age` ago is asked after next: soon at first, then in steps of a quarter of its age,
/// never more often than `first` nor more seldom than `every`.
#[must_use]
pub fn next_poll(age: Duration, first: Duration, every: Duration) -> Duration {
    (age / 4).max(first).min(every.max(first))
}

/// When an order that was given up is asked after next: what is answered late is found all the same, at little cost.
#[must_use]
pub fn next_late_poll(age: Duration) -> Duration {
    (age / 4).clamp(Duration::from_secs(3_600), Duration::from_secs(86_400))
}

/// When a pause is tried again, the `tries`-th time: 10 s, doubling, at most 5 min.
#[must_use]
pub fn next_pause_try(tries: u32) -> Duration {
    Duration::from_secs(10u64.saturating_mul(1 << tries.min(8))).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_never_vanish() {
        for longest in [LONGEST_FREE_WAIT, LONGEST_WAIT] {
            for (tries, seed) in (1..40).flat_map(|tries| (0..50).map(move |seed| (tries, seed))) {
                let wait = back_off(tries, longest, seed);
                assert!(wait >= Duration::from_millis(250) && wait <= longest, "{tries}: {wait:?}");
            }
        }
        assert!(back_off(12, LONGEST_WAIT, 1) > Duration::from_secs(100));
        let apart = |seed| back_off(5, LONGEST_WAIT, seed);
        assert_ne!(apart(1), apart(2), "orders turned away together come back apart");
    }

    #[test]
    fn polls_start_soon_and_back_off_with_age() {
        let (first, every) = (Duration::from_secs(10), Duration::from_secs(300));
        assert_eq!(next_poll(Duration::ZERO, first, every), first);
        assert_eq!(next_poll(Duration::from_secs(120), first, every), Duration::from_secs(30));
        assert_eq!(next_poll(Duration::from_secs(86_400), first, every), every);
    }

    #[test]
    fn a_pause_is_tried_again_after_ten_seconds_and_at_the_latest_every_five_minutes() {
        assert_eq!(next_pause_try(0), Duration::from_secs(10));
        assert_eq!(next_pause_try(2), Duration::from_secs(40));
        assert_eq!(next_pause_try(30), LONGEST_WAIT);
    }
}
