//! Looks at an outage by a call that only reads: it costs nothing and leaves nothing in doubt, so it can be made every few
//! seconds. That it passes proves nothing of orders. That it failed and passes now is news: then an order is worth
//! risking at once. Where it passes all along, orders alone being out, it tells nothing. While it fails no order is risked, but
//! for one in a long while: it may be the look alone that is out.

use std::time::Duration;

use crate::schedule;
use crate::types::Timestamp;

/// One that has no answer by then found the provider out; the call's own time-out is that of an order.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// After so many orders that were risked in vain no more passing looks are asked for.
const MOST_DOUBLINGS: u32 = 6;

/// What they found in this outage.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FreeLooks {
    /// One failed, and no order was risked since.
    was_down: bool,
    /// Those that passed since, in a row.
    passed: u32,
    /// Orders that were risked on them, while the outage wasn't over.
    in_vain: u32,
    last: Option<Timestamp>,
}

impl FreeLooks {
    /// Whether there was any.
    pub(super) const fn has_looked(&self) -> bool {
        self.last.is_some()
    }

    /// When the next one is due.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        let next = self.last.map(|last| last.plus(schedule::LONGEST_FREE_WAIT));
        // One that seems further away is from before the clock was set back.
        next.filter(|next| next.since(now) <= schedule::LONGEST_FREE_WAIT).map_or(now, |next| next.max(now))
    }

    /// One more. True: it is news, and an order may be risked on it. Of a provider that comes and goes it takes ever more.
    pub(super) fn add(&mut self, passed: bool, now: Timestamp) -> bool {
        self.last = Some(now);
        self.was_down |= !passed;
        self.passed = if passed { self.passed.saturating_add(1) } else { 0 };
        let needed = 1 << self.in_vain.min(MOST_DOUBLINGS);
        if !self.was_down || self.passed < needed {
            return false;
        }
        *self = Self { in_vain: self.in_vain.saturating_add(1), last: self.last, ..Self::default() };
        true
    }
}
