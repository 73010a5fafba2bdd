//! Calls that hang: they are looked for in the provider's list while they may still be in it.
//!
//! A list is cut to the latest orders, and hundreds can go by before a call's time-out. What is found is remembered by the
//! journal and used when the call has ended in doubt.

use std::time::Duration;

use super::{LOOK_AGAIN, Settle};
use crate::config::ListRecent;
use crate::journal::{JournalError, hangs_after};
use crate::types::Timestamp;

/// Whether a call hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hanging {
    /// None is on its way.
    No,
    /// The oldest does after this long.
    In(Duration),
    /// One does.
    Now,
}

impl Hanging {
    /// The longest wait after which nothing of it is missed.
    pub(super) const fn soonest(self) -> Duration {
        match self {
            Self::In(time) => time,
            Self::No | Self::Now => LOOK_AGAIN,
        }
    }
}

impl Settle {
    pub(super) async fn hanging(&self, quiet: Duration) -> Result<Hanging, JournalError> {
        let Some(since) = self.journal.read(|view| view.in_flight_since()).await? else {
            return Ok(Hanging::No);
        };
        let hangs_at = since.plus(hangs_after(quiet));
        let now = self.clock.now();
        // One that seems to be from the future is a call like any other.
        Ok(if hangs_at <= now { Hanging::Now } else { Hanging::In(hangs_at.since(now).min(quiet)) })
    }

    /// Whether it is time to ask for a listing because of it, where the provider may list.
    pub(super) fn is_due_for_hanging(&self, now: Timestamp, quiet: Duration) -> bool {
        self.settings.borrow().config.provider.list_recent != ListRecent::No
            && *self.can_list.borrow() != Some(false)
            && self.listed_at.is_none_or(|at| now.since(at) >= hangs_after(quiet))
    }
}
