//! Whether the provider works on orders at all.

use std::time::Duration;

use super::free_looks::{FreeLooks, LOOK_TIMEOUT};
use crate::schedule;
use crate::types::Timestamp;

/// So many failures in a row, with nothing that passed between them, are an outage.
const OUTAGE_AFTER: u32 = 3;

/// The pool's view of the provider's health. In an outage one order at a time finds out whether it is over, further and
/// further apart: so that an outage leaves few orders in doubt, and costs few attempts. Where there is no connection it
/// does neither: then it is looked at every few seconds, however long it lasts. Before an order is risked [`FreeLooks`] are
/// asked, and tell when one is worth risking sooner, or that none is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Health {
    /// Calls that failed, with none that passed between them; no further than [`OUTAGE_AFTER`].
    failures: u32,
    /// When the outage was noticed.
    since: Option<Timestamp>,
    /// Looks at an outage that found it not over.
    looks: u32,
    last_look: Option<Timestamp>,
    /// Until then an outage isn't looked at again.
    next_look: Option<Timestamp>,
    /// Until then the provider wants to be left alone.
    asked_until: Option<Timestamp>,
    free: FreeLooks,
}

/// How far away our own next look at an outage may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It costs nothing and leaves nothing in doubt.
    Free,
    /// It sends an order that may end in doubt.
    Risk,
}

impl Health {
    /// A call passed: the provider works. What it asked of us it may have asked since that call was sent: it stands.
    pub(super) fn passed(&mut self) {
        *self = Self { asked_until: self.asked_until, ..Self::default() };
    }

    /// The provider wants all of us to wait.
    pub(super) fn asked(&mut self, wait: Duration, now: Timestamp) {
        let until = now.plus(wait.min(schedule::LONGEST_WAIT));
        self.asked_until = self.asked_until.max(Some(until));
    }

    /// A call failed that began at `began`. `look`: what another one would cost.
    pub(super) fn failed(&mut self, look: Look, began: Timestamp, now: Timestamp) {
        self.failures = self.failures.saturating_add(1).min(OUTAGE_AFTER);
        // Thirty calls that fail together are one look at the outage, not thirty.
        let is_new = self.last_look.is_none_or(|last| began > last);
        if self.is_out() && is_new {
            let since = *self.since.get_or_insert(now);
            self.looks = self.looks.saturating_add(1);
            self.last_look = Some(now);
            let longest = match look {
                Look::Free => schedule::LONGEST_FREE_WAIT,
                Look::Risk => schedule::longest_risk(now.since(since)),
            };
            let wait = schedule::back_off(self.looks, longest, u64::from(self.looks));
            self.next_look = self.next_look.max(Some(now.plus(wait)));
        }
    }

    /// Whether it is an outage.
    pub(super) const fn is_out(&self) -> bool {
        self.failures >= OUTAGE_AFTER
    }

    /// Since when it is one.
    pub(super) fn out_since(&self) -> Option<Timestamp> {
        self.since.filter(|_| self.is_out())
    }

    /// Until when nothing is sent.
    pub(super) fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        in_force(self.own_wait(), now).max(in_force(self.asked_until, now))
    }

    /// What is to be waited for by ourselves: the back-off, and, in a new outage, what a free look finds.
    fn own_wait(&self) -> Option<Timestamp> {
        let is_unseen = self.is_out() && !self.free.has_looked();
        self.next_look.max(self.since.filter(|_| is_unseen).map(|since| since.plus(LOOK_TIMEOUT)))
    }

    /// When a look that costs nothing is due. `busy`: an order is on its way, and may stay there for a long time. `None`: there
    /// is nothing to be found out by one.
    pub(super) fn free_look(&self, busy: bool, now: Timestamp) -> Option<Timestamp> {
        let waits = busy || in_force(self.own_wait(), now).is_some();
        let at = self.free.next(now).max(in_force(self.asked_until, now).unwrap_or(now));
        (self.is_out() && waits).then_some(at)
    }

    /// Such a look was made. True: one order may go at once, whatever waits in our own back-off or has no answer yet. One that
    /// failed puts the next order off to the longest wait after the last one.
    pub(super) fn looked(&mut self, passed: bool, now: Timestamp) -> bool {
        let opens = self.free.add(passed, now) && self.is_out();
        if opens {
            self.next_look = None;
        } else if !passed {
            let last = self.last_look.unwrap_or(now);
            self.next_look = self.next_look.max(Some(last.plus(schedule::LONGEST_WAIT)));
        }
        opens
    }
}

/// A time that is still to come. One that is further away than any wait is from before the clock was set back.
fn in_force(until: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    until.filter(|until| *until > now && until.since(now) <= schedule::LONGEST_WAIT)
}
