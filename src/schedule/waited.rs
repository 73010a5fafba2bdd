//! How long something was really waited for. By the wall clock alone an order of a minute is weeks old when the clock is set
//! ahead, and what ends then for its age has ended for good.
//!
//! So age is put together of looks: each stands for the time since the one before it, by the steady clock too, and for no
//! more than a step. A jump of the clock, or a time in which nobody looked, counts for one step at most. What can't be
//! told counts as not waited: something ends late then, never early.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::Timestamp;

/// A look stands for so much time at most.
const LONGEST_STEP: Duration = Duration::from_secs(3600);
/// However short the limit, it takes so many looks.
const FEWEST_LOOKS: u32 = 4;
/// Two clocks never agree to the millisecond.
const SLACK_MS: i64 = 1_000;
/// With more spans the oldest are forgotten: a time that counts as not waited.
const MOST_SPANS: usize = 128;

/// The spans of the wall clock through which looks were taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// From and to, unix milliseconds; in order, and apart from each other.
    spans: Vec<(i64, i64)>,
    /// The last look of this process, by both clocks.
    #[serde(skip)]
    last: Option<(Timestamp, Duration)>,
}

impl Waited {
    /// A look is taken now; `steady` is the steady clock's reading, `limit` the age that it is about.
    pub fn look(&mut self, now: Timestamp, steady: Duration, limit: Duration) {
        let step = LONGEST_STEP.min(limit / FEWEST_LOOKS);
        let passed = self.last.map_or(step, |(_, before)| steady.saturating_sub(before).min(step));
        self.last = Some((now, steady));
        // A clock that was set back comes through that time again: it counts once.
        let now = now.millis();
        self.spans.retain(|(from, _)| *from <= now);
        for (_, to) in &mut self.spans {
            *to = (*to).min(now);
        }
        let from = Timestamp::from_millis(now).minus(passed).millis();
        match self.spans.last_mut() {
            Some((_, to)) if to.saturating_add(SLACK_MS) >= from => *to = now,
            _ => self.spans.push((from, now)),
        }
        if self.spans.len() > MOST_SPANS {
            self.spans.remove(0);
        }
    }

    /// How long was waited since `from`.
    #[must_use]
    pub fn since(&self, from: Timestamp) -> Duration {
        let from = from.millis();
        let waited =
            |(since, to): &(i64, i64)| u64::try_from(to.saturating_sub((*since).max(from))).unwrap_or(0);
        Duration::from_millis(self.spans.iter().map(waited).fold(0, u64::saturating_add))
    }

    /// When the last look was taken.
    #[must_use]
    pub fn last(&self) -> Option<Timestamp> {
        self.spans.last().map(|(_, to)| Timestamp::from_millis(*to))
    }
}

#[cfg(test)]
impl Waited {
    /// Looks without a gap, from before anything up to `now`.
    pub(crate) fn always(now: Timestamp) -> Self {
        Self { spans: vec![(0, now.millis())], last: None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(86_400);
    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + minutes * 60_000)
    }

    /// A look a minute, both clocks going on.
    fn looks(waited: &mut Waited, wall: std::ops::RangeInclusive<i64>, steady: u32) {
        for (n, minute) in wall.enumerate() {
            waited.look(at(minute), MINUTE * (steady + u32::try_from(n).unwrap()), LIMIT);
        }
    }

    #[test]
    fn looks_without_a_gap_are_waited_through() {
        let mut waited = Waited::default();
        looks(&mut waited, 0..=600, 0);
        assert_eq!(waited.since(at(0)), MINUTE * 600);
        assert_eq!(waited.since(at(590)), MINUTE * 10);
        assert_eq!(waited.since(at(700)), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_is_weeks_ahead_counts_for_a_step_and_one_that_is_right_again_for_none() {
        let month = 30 * 24 * 60;
        let mut waited = Waited::default();
        looks(&mut waited, 0..=60, 0);
        // In a process: the steady clock knows better.
        looks(&mut waited, month..=month + 5, 61);
        assert_eq!(waited.since(at(30)), MINUTE * (30 + 1 + 5));
        // At a start there is none.
        let text = serde_json::to_string(&waited).unwrap();
        let mut waited: Waited = serde_json::from_str(&text).unwrap();
        looks(&mut waited, 2 * month..=2 * month + 5, 0);
        assert_eq!(waited.since(at(30)), MINUTE * (36 + 60 + 5));
        looks(&mut waited, 70..=90, 6);
        assert_eq!(waited.since(at(30)), MINUTE * (30 + 21), "what came later by the wall clock is gone");
    }

    #[test]
    fn a_night_without_a_daemon_counts_for_a_step_and_a_short_stop_as_waited() {
        let mut waited = Waited::default();
        looks(&mut waited, 0..=60, 0);
        waited.last = None;
        looks(&mut waited, 90..=100, 0);
        assert_eq!(waited.since(at(0)), MINUTE * 100);
        waited.last = None;
        looks(&mut waited, 1_000..=1_000, 0);
        assert_eq!(waited.since(at(0)), MINUTE * (100 + 60));
    }

    #[test]
    fn a_short_limit_takes_a_few_looks_too() {
        let (mut waited, limit) = (Waited::default(), Duration::from_secs(8));
        for looks in 1..=8u32 {
            waited.look(at(i64::from(looks) * 1_000), MINUTE * looks, limit);
            assert_eq!(waited.since(at(0)) > limit, looks > 4, "{looks}");
        }
    }

    proptest! {
        /// Whatever the wall clock does, nothing was waited for longer than it really was, but for a step at a start.
        #[test]
        fn nothing_counts_that_was_not_waited(moves in prop::collection::vec((1u32..200, -100_000i64..100_000, 0u8..6), 1..60)) {
            let (mut waited, mut wall, mut steady, mut starts) = (Waited::default(), 0i64, 0u32, 1u32);
            let mut began = Vec::new();
            for (minutes, jump, kind) in moves {
                steady += minutes;
                wall += i64::from(minutes) + if kind == 0 { jump } else { 0 };
                if kind == 1 {
                    waited.last = None;
                    starts += 1;
                }
                waited.look(at(wall), MINUTE * steady, LIMIT);
                began.push((at(wall), steady, starts));
                for (from, since, started) in &began {
                    let really = MINUTE * (steady - since) + LONGEST_STEP * (starts - started);
                    prop_assert!(waited.since(*from) <= really, "{:?} of {really:?}", waited.since(*from));
                }
            }
        }
    }
}
