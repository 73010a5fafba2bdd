//! What the pool is doing right now: calls on the wire, calls a second, how long they take. For people, not for books.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::Timestamp;

const SPAN: Duration = Duration::from_secs(60);
const KEPT: usize = 4096;

/// Counts calls. Shared by the pool and whoever shows it.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    busy: usize,
    limit: Option<usize>,
    standstill: Option<Standstill>,
    began: Option<Timestamp>,
    /// When the last call ended, by the steady clock.
    last_ended: Option<Duration>,
    /// When calls ended, and how long they took: those of the last minute, at most [`KEPT`].
    ended: VecDeque<(Timestamp, Duration)>,
}

/// What a meter shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Calls on the wire.
    pub busy: usize,
    /// Calls that may be on the wire at once; `None` until that is known.
    pub limit: Option<usize>,
    /// Calls that ended in the last minute, a thousand seconds' worth: 8300 is 8.3 a second.
    pub per_1000_s: u64,
    /// Half of them took at most this long.
    pub p50: Duration,
    /// 99 of a hundred took at most this long.
    pub p99: Duration,
}

/// Why nothing is sent for the moment though no pause holds it, and what ends that by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standstill {
    /// In a word.
    pub cause: Cause,
    /// What the last call that failed came to.
    pub why: String,
    /// Since when; `None`: it isn't known.
    pub since: Option<Timestamp>,
    /// When it is tried next; `None`: it is being tried.
    pub next_try: Option<Timestamp>,
}

/// Why nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Calls fail: orders go one at a time, to find out whether it is over.
    Outage,
    /// The provider asked all of us to wait.
    Throttled,
}

impl Cause {
    /// The word in `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Throttled => "throttled",
        }
    }
}

impl Meter {
    /// Nothing is sent from now on, or it goes on.
    pub fn stands_still(&self, standstill: Option<Standstill>) {
        if let Ok(mut inner) = self.0.lock() {
            inner.standstill = standstill;
        }
    }

    /// Why nothing is sent, if nothing is.
    #[must_use]
    pub fn standstill(&self, now: Timestamp) -> Option<Standstill> {
        let mut found = self.0.lock().ok()?.standstill.clone()?;
        found.next_try = found.next_try.filter(|at| *at > now);
        // What it asked for is over by itself.
        (found.cause == Cause::Outage || found.next_try.is_some()).then_some(found)
    }

    /// So many calls may be on the wire at once from now on.
    pub fn limit_is(&self, limit: usize) {
        if let Ok(mut inner) = self.0.lock() {
            inner.limit = Some(limit);
        }
    }

    /// A call begins.
    pub fn began(&self, now: Timestamp) {
        if let Ok(mut inner) = self.0.lock() {
            inner.busy = inner.busy.saturating_add(1);
            inner.began.get_or_insert(now);
        }
    }

    /// A call ended: when, by the wall clock and by the steady one.
    pub fn ended(&self, now: Timestamp, steady: Duration, took: Duration) {
        if let Ok(mut inner) = self.0.lock() {
            inner.busy = inner.busy.saturating_sub(1);
            inner.last_ended = Some(steady);
            inner.ended.push_back((now, took));
            inner.forget(now);
        }
    }

    /// How long no call of ours has been on the wire; `None` while one is. `started`, `now`: when this process began, and now,
    /// by the steady clock.
    #[must_use]
    pub fn at_rest_for(&self, started: Duration, now: Duration) -> Option<Duration> {
        let Ok(inner) = self.0.lock() else { return None };
        (inner.busy == 0).then(|| now.saturating_sub(inner.last_ended.unwrap_or(started)))
    }

    /// What it shows.
    #[must_use]
    pub fn read(&self, now: Timestamp) -> Reading {
        let Ok(mut inner) = self.0.lock() else { return Reading::default() };
        inner.forget(now);
        let Some((oldest, _)) = inner.ended.front() else {
            return Reading { busy: inner.busy, limit: inner.limit, ..Reading::default() };
        };
        // A run younger than a minute is measured by its own length.
        let span = now.since(*oldest).max(Duration::from_secs(1));
        let count = u128::try_from(inner.ended.len()).unwrap_or(0);
        let per_1000_s =
            u64::try_from(count.saturating_mul(1_000_000) / span.as_millis().max(1)).unwrap_or(u64::MAX);
        let mut took: Vec<Duration> = inner.ended.iter().map(|(_, took)| *took).collect();
        let mut at = |percent: usize| {
            // Less than all of them, as there is one: sorting thousands costs more than all else that is shown.
            let nth = took.len().saturating_mul(percent) / 100;
            *took.select_nth_unstable(nth).1
        };
        Reading { busy: inner.busy, limit: inner.limit, per_1000_s, p50: at(50), p99: at(99) }
    }
}

impl Inner {
    fn forget(&mut self, now: Timestamp) {
        while self.ended.len() > KEPT || self.ended.front().is_some_and(|(at, _)| now.since(*at) > SPAN) {
            self.ended.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_calls_of_3_6_seconds_are_8_3_a_second() {
        let meter = Meter::default();
        let mut now = Timestamp::from_millis(0);
        for _ in 0..17 {
            (0..30).for_each(|_| meter.began(now));
            now = now.plus(Duration::from_millis(3600));
            (0..30).for_each(|_| meter.ended(now, Duration::ZERO, Duration::from_millis(3600)));
        }
        let reading = meter.read(now);
        assert_eq!(
            (reading.busy, reading.p50, reading.p99),
            (0, Duration::from_millis(3600), Duration::from_millis(3600))
        );
        assert!((8_000..9_400).contains(&reading.per_1000_s), "{reading:?}");
        assert_eq!(meter.read(now.plus(Duration::from_secs(120))).per_1000_s, 0);
    }

    #[test]
    fn half_of_the_calls_took_at_most_the_one_and_99_of_a_hundred_the_other() {
        let (meter, now) = (Meter::default(), Timestamp::from_millis(0));
        // In no order.
        (0..1_000).for_each(|n| meter.ended(now, Duration::ZERO, Duration::from_millis(n * 7 % 1_000)));
        let reading = meter.read(now);
        assert_eq!((reading.p50, reading.p99), (Duration::from_millis(500), Duration::from_millis(990)));
        meter.ended(now.plus(SPAN + SPAN), Duration::ZERO, Duration::from_millis(3));
        let reading = meter.read(now.plus(SPAN + SPAN));
        assert_eq!((reading.p50, reading.p99), (Duration::from_millis(3), Duration::from_millis(3)));
    }
}
