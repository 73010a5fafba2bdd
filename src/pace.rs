//! How fast: how many attempts are claimed ahead of the free workers, and what a run of failures does to the pool. Pure.

use std::time::Duration;

use crate::schedule;
use crate::types::Timestamp;

/// How many attempts are claimed beyond the free workers, so that none waits for a commit: twice what is sent during one
/// commit, half a generation more where a call takes under a second, and never more than two generations. At the real
/// 3.6 s this is 0 or 1, so that a crash leaves little more in doubt than the calls in flight.
#[must_use]
pub fn ahead(workers: usize, latency: Duration, commit: Duration) -> usize {
    let latency_us = latency.as_micros().max(1);
    let during = u128::try_from(workers).unwrap_or(0).saturating_mul(2).saturating_mul(commit.as_micros())
        / latency_us;
    let spare = if latency < Duration::from_secs(1) { workers / 2 } else { 0 };
    usize::try_from(during).unwrap_or(usize::MAX).saturating_add(spare).min(workers.saturating_mul(2))
}

/// A smoothed duration: an eighth of each new one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Smoothed(Option<Duration>);

impl Smoothed {
    /// Takes in a new one.
    pub fn add(&mut self, new: Duration) {
        self.0 = Some(self.0.map_or(new, |old| (old * 7 + new) / 8));
    }

    /// What it is now; `before` until there is one.
    #[must_use]
    pub fn or(self, before: Duration) -> Duration {
        self.0.unwrap_or(before)
    }
}

/// How a call ended, for the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The provider works on orders.
    Passed,
    /// There was no connection: it cost nothing and left nothing in doubt.
    NotSent,
    /// Throttled, or unclear; how long it asks all of us to wait.
    Failed(Option<Duration>),
}

/// So many failures in a row, with nothing that passed between them, are an outage.
const OUTAGE_AFTER: u32 = 3;

/// The pool's view of the provider's health. In an outage one order at a time finds out whether it is over, further and
/// further apart: so that an outage leaves few orders in doubt, and costs few attempts. Where there is no connection it
/// does neither: then it is looked at every few seconds, however long it lasts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Health {
    failures: u32,
    not_before: Option<Timestamp>,
}

impl Health {
    /// Takes in how a call ended.
    pub fn ended(&mut self, ended: Ended, now: Timestamp) {
        match ended {
            Ended::Passed => *self = Self::default(),
            Ended::NotSent => self.failed(None, schedule::LONGEST_FREE_WAIT, now),
            Ended::Failed(wait) => self.failed(wait, schedule::LONGEST_WAIT, now),
        }
    }

    /// `asked`: how long the provider wants all of us to wait; `longest`: how far away our own next look is at most.
    fn failed(&mut self, asked: Option<Duration>, longest: Duration, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        let own = self.is_out().then(|| {
            let step = self.failures.saturating_sub(OUTAGE_AFTER).saturating_add(1);
            schedule::back_off(step, longest, u64::from(self.failures))
        });
        let wait = asked.map(|asked| asked.min(schedule::LONGEST_WAIT)).max(own);
        if let Some(wait) = wait {
            self.not_before = self.not_before.max(Some(now.plus(wait)));
        }
    }

    /// Whether it is an outage.
    #[must_use]
    pub const fn is_out(&self) -> bool {
        self.failures >= OUTAGE_AFTER
    }

    /// Until when nothing is sent.
    #[must_use]
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.not_before.filter(|until| *until > now)
    }

    /// How many calls may be on their way at once.
    #[must_use]
    pub fn limit(&self, workers: usize) -> usize {
        if self.is_out() { 1 } else { workers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_real_latency_almost_nothing_is_claimed_ahead() {
        let at = |latency_ms, commit_ms| {
            ahead(30, Duration::from_millis(latency_ms), Duration::from_millis(commit_ms))
        };
        assert_eq!(at(3600, 1), 0);
        assert_eq!(at(3600, 60), 1);
        assert_eq!(at(36, 1), 16);
        assert_eq!(at(36, 1000), 60);
        assert_eq!(at(0, 1), 60);
    }

    #[test]
    fn three_failures_in_a_row_leave_one_order_at_a_time_and_one_that_passes_opens_the_pool() {
        let now = Timestamp::from_millis(0);
        let mut health = Health::default();
        health.ended(Ended::Failed(None), now);
        health.ended(Ended::Failed(None), now);
        assert_eq!((health.limit(30), health.closed_until(now)), (30, None));
        health.ended(Ended::Failed(None), now);
        assert_eq!(health.limit(30), 1);
        assert!(health.closed_until(now).is_some());
        health.ended(Ended::Passed, now);
        assert_eq!((health.limit(30), health.closed_until(now)), (30, None));
    }

    #[test]
    fn without_a_connection_the_next_look_is_seconds_away_however_long_it_lasts() {
        let mut now = Timestamp::from_millis(0);
        let mut health = Health::default();
        for _ in 0..5_000 {
            health.ended(Ended::NotSent, now);
            let next = health.closed_until(now).unwrap_or(now);
            assert!(next.since(now) <= Duration::from_secs(5), "{next:?} at {now:?}");
            now = next;
        }
        assert_eq!(health.limit(30), 1);
        assert!(now > Timestamp::from_millis(3_600_000), "it backs off all the same");
    }

    #[test]
    fn orders_that_may_be_in_doubt_are_risked_further_and_further_apart() {
        let mut now = Timestamp::from_millis(0);
        let mut health = Health::default();
        let mut risked = 0;
        while now < Timestamp::from_millis(3_600_000) {
            health.ended(Ended::Failed(None), now);
            now = health.closed_until(now).unwrap_or(now);
            risked += 1;
        }
        assert!(risked < 40, "{risked} in an hour");
    }

    #[test]
    fn a_failure_now_and_then_is_no_outage() {
        let now = Timestamp::from_millis(0);
        let mut health = Health::default();
        for _ in 0..50 {
            health.ended(Ended::Failed(None), now);
            health.ended(Ended::Failed(None), now);
            health.ended(Ended::Passed, now);
        }
        assert_eq!(health.limit(30), 30);
    }

    #[test]
    fn what_the_provider_asks_to_wait_holds_the_whole_pool() {
        let now = Timestamp::from_millis(0);
        let mut health = Health::default();
        health.ended(Ended::Failed(Some(Duration::from_secs(9))), now);
        assert_eq!(health.closed_until(now), Some(Timestamp::from_millis(9_000)));
        assert_eq!(health.closed_until(Timestamp::from_millis(9_000)), None);
    }
}
