//! A provider that answers the question for its recent orders, and never names one: then doubts are settled without.
//!
//! An empty list alone shows nothing: ours may be finished and left out, or younger than a list that is cached. So it
//! takes looks in a row, over longer than any cache is believed to be, and an order of ours that is missing: one that the
//! provider itself, asked for its id, still calls unfinished; or, where everything is finished at once, one that was
//! taken since, and as many hours of empty lists as a doubt is worth waiting for. All is measured by a steady clock. Who
//! was ever seen to list an order is never judged so (see [`failing`](super::failing)).

use std::time::Duration;

use super::Settle;
use crate::journal::JournalError;
use crate::order::Alarm;
use crate::settings::{LISTS_NOTHING_FACT, REFUSES_TO_LIST_FACT};
use crate::types::{ProviderOrderId, ProviderStatus};

/// So many empty lists in a row …
const LOOKS: u32 = 5;
/// … over at least this long. An order of ours that is older must be in a list, however it is cached.
const SEEN_AFTER: Duration = Duration::from_secs(1800);

/// Empty lists in a row. Lost in a restart: then they are counted anew.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Empty {
    looks: u32,
    /// When the first came, by the steady clock, and the highest id of ours that we knew then.
    first: Option<(Duration, i64)>,
    /// When a higher one was first known.
    newer_since: Option<Duration>,
}

impl Empty {
    /// One more list is empty. `known`: the highest id that we know.
    fn add(&mut self, now: Duration, known: i64) {
        self.looks = self.looks.saturating_add(1);
        let (_, known_first) = *self.first.get_or_insert((now, known));
        if known > known_first {
            self.newer_since.get_or_insert(now);
        }
    }

    /// The id up to which orders of ours are old enough to be listed, once there were lists enough.
    fn must_list_up_to(&self, now: Duration) -> Option<i64> {
        let (since, known) = self.first?;
        (self.looks >= LOOKS && now.saturating_sub(since) >= SEEN_AFTER).then_some(known)
    }

    /// Whether none came for `patience`, and an order that was taken since is old enough to be listed.
    fn is_beyond(&self, now: Duration, patience: Duration) -> bool {
        let lasts = |since: Duration, long: Duration| now.saturating_sub(since) >= long;
        self.looks >= LOOKS
            && self.first.is_some_and(|(since, _)| lasts(since, patience.max(SEEN_AFTER)))
            && self.newer_since.is_some_and(|since| lasts(since, SEEN_AFTER))
    }
}

impl Settle {
    /// Another empty list. True: it is found out that there never is anything in it, and doubts are settled without.
    pub(super) async fn came_empty(&mut self) -> Result<bool, JournalError> {
        let account = self.settings.borrow().config.provider.account.clone();
        let of = account.clone();
        let known = self.journal.read(move |view| view.highest_id(&of)).await?;
        let now = self.clock.steady();
        self.empty.add(now, known);
        let Some(up_to) = self.empty.must_list_up_to(now) else { return Ok(false) };
        let patience = self.settings.borrow().config.in_doubt.probe_within;
        let missing = match self.unfinished(&account, up_to).await? {
            Some(id) => format!("order {id} of ours is unfinished there, and isn't in it"),
            None if self.empty.is_beyond(now, patience) => {
                format!("for {} hours, while orders of ours were taken", patience.as_secs().div_ceil(3600))
            }
            None => return Ok(false),
        };
        self.lists_nothing(account, &missing).await?;
        Ok(true)
    }

    /// An order of ours, its id no higher than `up_to`, that the provider calls unfinished when it is asked for it.
    async fn unfinished(&self, account: &str, up_to: i64) -> Result<Option<ProviderOrderId>, JournalError> {
        let account = account.to_owned();
        let Some(id) = self.journal.read(move |view| view.an_unfinished_id(&account, up_to)).await? else {
            return Ok(None);
        };
        let Ok(told) = self.provider.orders(&[id]).await else { return Ok(None) };
        // A status that isn't known counts as unfinished elsewhere; a list of unfinished ones may leave it out.
        let is_unfinished = |status: &str| matches!(status.split_whitespace().next(), Some("1" | "4"));
        let found = told.iter().find(|order| order.id == id && order.status == ProviderStatus::Pending);
        Ok(found.filter(|order| is_unfinished(&order.status_raw)).map(|_| id))
    }

    /// It is said, and remembered: in this order, so that a crash between says it once more.
    async fn lists_nothing(&mut self, account: String, missing: &str) -> Result<(), JournalError> {
        self.nothing_waits_for_a_listing().await?;
        let text = format!(
            "the provider's list of recent orders is always empty ({missing}): what is in doubt is settled without it, as \
             [in_doubt] says. Set list_recent = \"no\" in [provider], and policy = \"hold\" in [in_doubt] unless it refuses \
             duplicates free of charge"
        );
        self.journal.trouble(Alarm::Listing, text, self.clock.now()).await?;
        self.journal.set_fact(LISTS_NOTHING_FACT, account).await?;
        self.found_out(Some(false));
        Ok(())
    }

    /// It says that it lists none. Nothing is decided by what is kept of that.
    pub(super) async fn refused_to_list(&self) -> Result<(), JournalError> {
        if *self.can_list.borrow() != Some(false) {
            self.journal.set_fact(REFUSES_TO_LIST_FACT, self.account()).await?;
        }
        self.found_out(Some(false));
        Ok(())
    }

    /// It lists orders after all.
    pub(super) async fn lists_after_all(&mut self) -> Result<(), JournalError> {
        self.empty = Empty::default();
        if *self.can_list.borrow() != Some(true) {
            let kept = self.journal.read(|view| view.fact(REFUSES_TO_LIST_FACT)).await?;
            if kept.is_some_and(|account| account == self.account()) {
                self.journal.set_fact(REFUSES_TO_LIST_FACT, String::new()).await?;
            }
        }
        if self.was_found_empty().await? {
            self.journal.set_fact(LISTS_NOTHING_FACT, String::new()).await?;
            self.journal.trouble_gone(Alarm::Listing, self.clock.now()).await?;
        }
        Ok(())
    }

    /// Whether this process or an earlier one found that it lists nothing.
    pub(super) async fn was_found_empty(&self) -> Result<bool, JournalError> {
        let found = self.journal.read(|view| view.fact(LISTS_NOTHING_FACT)).await?;
        Ok(found.as_ref() == Some(&self.settings.borrow().config.provider.account))
    }
}
