//! Whether the provider works on orders at all.

use std::time::Duration;

use crate::schedule;
use crate::types::Timestamp;

/// So many failures in a row, with nothing that passed between them, are an outage.
const OUTAGE_AFTER: u32 = 3;

/// The pool's view of the provider's health. In an outage one order at a time finds out whether it is over, further and
/// further apart: so that an outage leaves few orders in doubt, and costs few attempts. Where there is no connection it
/// does neither: then it is looked at every few seconds, however long it lasts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Health {
    /// Calls that failed, with none that passed between them; no further than [`OUTAGE_AFTER`].
    failures: u32,
    /// Looks at an outage that found it not over.
    looks: u32,
    last_look: Option<Timestamp>,
    /// Until then an outage isn't looked at again.
    next_look: Option<Timestamp>,
    /// Until then the provider wants to be left alone.
    asked_until: Option<Timestamp>,
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

    /// A call failed that began at `began`. `longest`: how far away our own next look at an outage is at most.
    pub(super) fn failed(&mut self, longest: Duration, began: Timestamp, now: Timestamp) {
        self.failures = self.failures.saturating_add(1).min(OUTAGE_AFTER);
        // Thirty calls that fail together are one look at the outage, not thirty.
        let is_new = self.last_look.is_none_or(|last| began > last);
        if self.is_out() && is_new {
            self.looks = self.looks.saturating_add(1);
            self.last_look = Some(now);
            let wait = schedule::back_off(self.looks, longest, u64::from(self.looks));
            self.next_look = self.next_look.max(Some(now.plus(wait)));
        }
    }

    /// Whether it is an outage.
    pub(super) const fn is_out(&self) -> bool {
        self.failures >= OUTAGE_AFTER
    }

    /// Until when nothing is sent.
    pub(super) fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.next_look.max(self.asked_until).filter(|until| *until > now)
    }
}
