//! Listings that don't come: what is in doubt waits for them, and a person must know.
//!
//! That a provider which listed its orders lists them no more can't be told from one that is slow, behind a cache or
//! out of order. To conclude it would lead to probes, and at a provider that charges duplicates a probe of an order that
//! was taken pays twice. So nothing is concluded: it is said, with what a person can do, and goes on being asked. One
//! that was never seen to list any is another matter: see [`empty`](super::empty).

use std::time::Duration;

use super::Settle;
use crate::clock::local_stamp;
use crate::journal::JournalError;
use crate::order::Alarm;
use crate::types::{CallError, Timestamp};

/// It is said after so many looks in a row that brought nothing …
const LOOKS: u32 = 5;
/// … over at least this long.
const FOR_AT_LEAST: Duration = Duration::from_secs(1800);

/// Looks in a row that brought no listing while something waited for one. Lost in a restart: then they are counted anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failing {
    looks: u32,
    since: Option<Timestamp>,
    /// It was said.
    is_told: bool,
    /// What an earlier process may have said is taken back.
    is_fresh: bool,
}

impl Failing {
    /// One more. True: it is to be said, now and once.
    fn add(&mut self, now: Timestamp) -> bool {
        // A clock that was set back begins anew.
        let since = self.since.filter(|since| *since <= now).unwrap_or(now);
        self.since = Some(since);
        self.looks = self.looks.saturating_add(1);
        if self.is_told || self.looks < LOOKS || now.since(since) < FOR_AT_LEAST {
            return false;
        }
        self.is_told = true;
        true
    }
}

/// Whether it fails as every other call would: that says nothing of listings.
pub(super) const fn is_for_now(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Unreachable(_)
            | CallError::Throttled(_)
            | CallError::Account(_)
            | CallError::Maintenance(_)
    )
}

impl Settle {
    /// A look brought no listing; `words` say why, `is_for_now` whether any other call would fail alike.
    pub(super) async fn failed_to_list(
        &mut self,
        waits: bool,
        words: &str,
        is_for_now: bool,
    ) -> Result<(), JournalError> {
        let now = self.clock.now();
        if !waits || !self.failing.add(now) {
            return Ok(());
        }
        let since = local_stamp(self.failing.since.unwrap_or(now));
        let export = "its export in reconcile/ settles them too";
        let text = if is_for_now {
            format!(
                "orders in doubt wait for the provider's list of orders, since {since} in vain ({words}); {export}"
            )
        } else {
            format!(
                "orders in doubt wait for the provider's list of orders, since {since} in vain ({words}). If it lists no \
                 more, set list_recent = \"no\" in [provider], and policy = \"hold\" in [in_doubt] unless it refuses \
                 duplicates free of charge; {export}"
            )
        };
        self.journal.trouble(Alarm::Listing, text, now).await
    }

    /// A listing came, or nothing waits for one.
    pub(super) async fn nothing_waits_for_a_listing(&mut self) -> Result<(), JournalError> {
        // That it never lists anything goes on being so.
        if self.failing.is_told || (!self.failing.is_fresh && !self.was_found_empty().await?) {
            self.journal.trouble_gone(Alarm::Listing, self.clock.now()).await?;
        }
        self.failing = Failing { is_fresh: true, ..Failing::default() };
        Ok(())
    }
}
