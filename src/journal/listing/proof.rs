//! Whether what isn't in a listing isn't there, and what a listing lacks that doesn't prove it.
//!
//! Some providers' lists never do: the first doubts of an account have no older order of ours before them, and some lists
//! leave out what is finished. Such a doubt waits until it is too old. After two quiet periods, when the looks that find
//! most are over, its row's note and its events say why, and what a person can do.

use super::super::orders::Loaded;
use super::super::{JournalError, books};
use super::Judging;

const ANOTHERS: &str = "an order of its IMEI is in it that can be another service's or another order's";
const NOTHING_OLDER: &str = "no order of ours that is older than it is in it";
const NOTHING_FINISHED: &str = "no finished order of ours is in it";
const NOTHING_NEWER: &str =
    "no order of ours is in it that was sent after this one's quiet period: the next ones will be";
const IDS_FALL: &str =
    "the provider's ids don't rise, so that its list doesn't show what is older and what is newer";
const NOT_WHOLE: &str = "an order of ours is missing in it, or an IMEI in it can't be read";

impl Judging<'_, '_> {
    /// What this listing lacks to prove that what isn't in it, and was begun when we knew ids up to `known_id`, isn't
    /// there: to be whole, to reach back, and to be fresh. `None`: it proves it.
    pub(super) fn lacks(&self, order: &Loaded, known_id: i64) -> Result<Option<&'static str>, JournalError> {
        if self.ids_fall {
            return Ok(Some(IDS_FALL));
        }
        let oldest_needed = self.ours.keys().copied().filter(|id| books::provider_id(*id) <= known_id).max();
        let Some(reach) = oldest_needed else { return Ok(Some(NOTHING_OLDER)) };
        if !self.has_finished {
            return Ok(Some(NOTHING_FINISHED));
        }
        if !self.is_fresh(order, known_id) {
            return Ok(Some(NOTHING_NEWER));
        }
        let is_whole = !self.has_unreadable(known_id) && self.has_all_of_ours_from(reach)?;
        Ok((!is_whole).then_some(NOT_WHOLE))
    }

    /// Notes why a doubt still waits, once for each reason, or that there is none any more. `is_anothers`: an order of its
    /// IMEI is listed that can't be told to be this one.
    pub(super) fn tell_why_it_waits(
        &self,
        order: &Loaded,
        known_id: i64,
        is_anothers: bool,
    ) -> Result<(), JournalError> {
        let quiet = self.rules.quiet;
        let is_old = order.rested_after.is_some()
            && order.doubt_since.is_some_and(|since| since.plus(quiet).plus(quiet) <= self.facts.asked_at);
        let lacks = match (is_old, is_anothers) {
            (false, _) => None,
            (true, true) => Some(ANOTHERS.to_owned()),
            (true, false) => self.lacks(order, known_id)?.map(|lacks| self.with_what_it_may_be(order, lacks)),
        };
        let why = lacks
            .map(|lacks| format!("the provider's list of orders doesn't show whether it was taken: {lacks}"));
        let noted = self.tx.execute(
            "UPDATE orders SET held_for = ?2 WHERE id = ?1 AND held_for IS NOT ?2",
            (order.id.0, &why),
        )?;
        match why {
            Some(why) if noted > 0 => {
                self.tx.event(self.now, Some(order.id), None, "waits", &format!("{why}{MEND}"))
            }
            _ => Ok(()),
        }
    }

    /// Where ids don't tell what is older: the orders of its IMEI in the listing, for a person to judge.
    fn with_what_it_may_be(&self, order: &Loaded, lacks: &str) -> String {
        let of_its_imei = if self.ids_fall { self.same_imei(order, 0) } else { Vec::new() };
        let ids: Vec<String> = of_its_imei.iter().map(|told| told.id.to_string()).collect();
        if ids.is_empty() {
            lacks.to_owned()
        } else {
            format!("{lacks}; of its IMEI it has {}", ids.join(", "))
        }
    }
}

/// Whether the orders to come show it, so that nobody need do anything: what is noted of a doubt, by its end.
pub(in crate::journal) fn waits_for_newer(why: &str) -> bool {
    why.ends_with(NOTHING_NEWER)
}

/// What a person can do about it.
const MEND: &str =
    ". The provider's export, dropped into reconcile/, settles what was taken; what wasn't, imeid resolve";
