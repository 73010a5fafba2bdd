//! Whether a listing still reaches back to a doubt. A provider cuts its list to the latest orders: at full speed an order
//! in doubt is behind its end within minutes, and a list that has moved past an order never comes back to it.
//!
//! Then no listing tells any more whether it was taken: it isn't absent, it can't be found either. It isn't left to
//! wait for what can't come: it is held, with what a person can do.

use rusqlite::params;

use super::super::orders::{self, Loaded, Telling};
use super::super::{JournalError, books};
use super::Judging;
use crate::order::{Event, HoldFacts};
use crate::types::ProviderOrderId;

/// Why such an order is held, and the mend, as it stands in its events and its row's note.
const OUT_OF_REACH: &str = "the provider's list of orders no longer reaches back to it; the provider's export, dropped into reconcile/, settles it if it was taken, and imeid resolve does if it wasn't";

/// Whether an order is held for that. The mend was told in other words before.
pub(in super::super) fn is_out_of_reach(held_for: &str) -> bool {
    held_for.split(';').next() == OUT_OF_REACH.split(';').next()
}

impl Judging<'_, '_> {
    /// Holds a doubt that this listing, and one a quiet period before it, has moved past. The first one is noted.
    pub(super) fn hold_out_of_reach(&self, order: &mut Loaded, known_id: i64) -> Result<bool, JournalError> {
        let Some(oldest) = self.listing.iter().map(|told| told.id).min() else { return Ok(false) };
        if self.ids_fall || books::provider_id(oldest) <= known_id {
            self.tx.rest().within_reach(order.id);
            return Ok(false);
        }
        if !self.was_cut(order, known_id, oldest)? {
            return Ok(false);
        }
        let quiet = self.rules.quiet;
        match self.tx.rest().is_out_of_reach_for(order.id, self.facts.asked_at, quiet) {
            None => {
                let text =
                    "the provider's list of orders no longer reaches back to it, as far as one list can tell";
                self.tx.event(self.now, Some(order.id), None, "out of reach", text)?;
                Ok(false)
            }
            Some(false) => Ok(false),
            Some(true) => {
                let facts = HoldFacts {
                    quiet_over: true,
                    can_list: true,
                    policy_hold: false,
                    too_old: false,
                    listed_since: true,
                    out_of_reach: true,
                };
                let telling = Telling { what: "held", text: OUT_OF_REACH, via: "", quiet: false };
                let moved =
                    orders::advance(self.tx, order, &Event::Hold(facts), self.now, self.rules, &telling)?;
                orders::held_for(self.tx, order.id, Some(OUT_OF_REACH))?;
                self.tx.rest().within_reach(order.id);
                Ok(moved.is_some())
            }
        }
    }

    /// Whether this listing, all of it newer than what we knew as the first unproven attempt began, was cut there: an order
    /// of ours is older; none of ours is missing between its ends, so that it isn't a choice of orders; and it is fresh,
    /// so that what was taken would be in it or behind its end.
    fn was_cut(&self, order: &Loaded, known_id: i64, oldest: ProviderOrderId) -> Result<bool, JournalError> {
        Ok(!self.has_unreadable(known_id)
            && self.is_fresh(order, known_id)
            && self.had_ordered(known_id)?
            && self.has_all_of_ours_from(oldest)?)
    }

    /// Whether an order of ours has an id up to this one.
    fn had_ordered(&self, known_id: i64) -> Result<bool, JournalError> {
        let found = self.tx.find(
            "SELECT 1 FROM charges WHERE account = ?1 AND provider_id <= ?2 LIMIT 1",
            params![self.account, known_id],
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// Whether every id of ours from this one to the listing's newest is in it.
    pub(super) fn has_all_of_ours_from(&self, reach: ProviderOrderId) -> Result<bool, JournalError> {
        let Some(newest) = self.listing.iter().map(|told| told.id).max() else { return Ok(false) };
        let mut statement = self.tx.prepare(
            "SELECT provider_id FROM charges WHERE account = ?1 AND provider_id BETWEEN ?2 AND ?3",
        )?;
        let mut rows =
            statement.query((self.account, books::provider_id(reach), books::provider_id(newest)))?;
        while let Some(row) = rows.next()? {
            let id = ProviderOrderId(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0));
            if !self.ours.contains_key(&id) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
