//! Orders of our keys that a listing shows and no doubt of ours explains: an attempt that was released or cleared and
//! taken all the same, or one that was taken beside the first.
//!
//! One that was made since and never sent would be paid on top of them: it ends as their duplicate.
//!
//! Each goes to the newest order of its key that it can be: one that has an attempt of which it isn't proven that it was
//! not taken, begun when we knew of no id as high as this one. While that order still looks for its own id, or waits for
//! an answer that may bring it, the order's doubt decides, and nothing is booked here.

use std::collections::BTreeSet;

use super::super::export::{is_taking, orders_of};
use super::super::orders::{self, Loaded, Telling};
use super::super::probing::{ToldOf, stood_at_once};
use super::super::{JournalError, books};
use super::Judging;
use crate::order::{Event, State};
use crate::types::{ProviderOrder, ProviderOrderId, ProviderStatus, ServiceId};

/// Whether an attempt of an order was begun when we knew of no id as high, and isn't proven not to have been taken. Which
/// of its attempts a booked id belongs to is never sure: those that are charged count too.
const BEGUN_BELOW: &str = "SELECT 1 FROM attempts WHERE order_id = ?1 AND known_id < ?2 \
     AND (verdict IS NULL OR verdict IN (0, 3, 4, 5, 6, 7, 8)) LIMIT 1";

impl Judging<'_, '_> {
    /// Books what is listed of a key of ours beside what is booked for it. Call after the doubts were judged.
    pub(super) fn book_second_ids(&self) -> Result<(), JournalError> {
        for told in self.listing.iter().filter(|told| !self.ours.contains_key(&told.id)) {
            if let Some(service) = self.only_service(&told.package) {
                self.book_second(service, told)?;
            }
        }
        Ok(())
    }

    /// The service of this title. One of several services' can be any of them, and is booked for none.
    fn only_service(&self, title: &str) -> Option<ServiceId> {
        let mut named = self.titles.iter().filter(|(_, titles)| titles.contains(title));
        named.next().map(|(service, _)| *service).filter(|_| named.next().is_none())
    }

    fn book_second(&self, service: ServiceId, told: &ProviderOrder) -> Result<(), JournalError> {
        let Some(imei) = told.imei else { return Ok(()) };
        if self.may_be_anothers(service, imei, &told.package)? {
            return Ok(());
        }
        let all = orders_of(self.tx, service, imei)?;
        let Some(at) = self.newest_it_can_be(&all, told.id)? else { return Ok(()) };
        let (older, newest) = (all.get(..at).unwrap_or_default(), all.get(at..).unwrap_or_default());
        // It can as well be the charge that an export told of, of an older order.
        if older.iter().any(|order| order.life.charged > order.life.named) || self.is_booked(told.id)? {
            return Ok(());
        }
        let Some(owner) = newest.first().filter(|order| !decides_itself(order)) else { return Ok(()) };
        // One that has made room can't come to life again: its successor, which waits for the same answer, takes the id.
        // What is on its way may be answered with that very id.
        let heir = if owner.life.id.is_none() { newest.last() } else { Some(owner) };
        let Some(heir) = heir.filter(|order| order.life.state != State::Submitting) else { return Ok(()) };
        let unsent = newest.last().filter(|newest| newest.id != heir.id && is_unsent(newest));
        if let Some(unsent) = unsent
            && is_taking(self.tx, unsent)?
        {
            // Both in one commit, once its file is taken in: the next listing shows it again.
            return Ok(());
        }
        self.book(heir.clone(), told.id)?;
        unsent.map_or(Ok(()), |unsent| self.supersede(unsent.clone(), told.id))
    }

    fn supersede(&self, mut order: Loaded, id: ProviderOrderId) -> Result<(), JournalError> {
        let text = format!("the provider has id {id} of this IMEI, of an older order of ours");
        let telling = Telling { what: "superseded", text: &text, via: "", quiet: false };
        orders::advance(self.tx, &mut order, &Event::Superseded, self.now, self.rules, &telling)?;
        Ok(())
    }

    /// Its place among the orders of the key, the newest of which is the last.
    fn newest_it_can_be(&self, all: &[Loaded], id: ProviderOrderId) -> Result<Option<usize>, JournalError> {
        for (at, order) in all.iter().enumerate().rev() {
            let below = (order.id.0, books::provider_id(id));
            if self.lacks_an_id(order)? && self.tx.find(BEGUN_BELOW, below, |_| Ok(()))?.is_some() {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Whether a doubt that was judged before took it, or it stands twice in the listing.
    fn is_booked(&self, id: ProviderOrderId) -> Result<bool, JournalError> {
        let found = self.tx.find(
            "SELECT 1 FROM charges WHERE account = ?1 AND provider_id = ?2",
            (self.account, books::provider_id(id)),
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// Whether an attempt of it may have been taken under an id that isn't known: one that was cleared, too, for what is
    /// listed now counts more than what was not listed then.
    pub(super) fn lacks_an_id(&self, order: &Loaded) -> Result<bool, JournalError> {
        let life = &order.life;
        if life.unproven() > 0 || life.charged > life.named || life.state == State::Submitting {
            return Ok(true);
        }
        let cleared = "SELECT 1 FROM attempts WHERE order_id = ?1 AND verdict = 8 LIMIT 1";
        Ok(self.tx.find(cleared, [order.id.0], |_| Ok(()))?.is_some())
    }

    fn book(&self, mut order: Loaded, id: ProviderOrderId) -> Result<(), JournalError> {
        let text = match order.life.id {
            Some(known) => format!("{id}, beside {known}"),
            None => id.to_string(),
        };
        let telling = Telling { what: "listed", text: &text, via: "listed", quiet: false };
        order.first_given_back = !self.stood_at_once(&order, &[id]);
        orders::advance(self.tx, &mut order, &Event::LateId(id), self.now, self.rules, &telling)?;
        Ok(())
    }

    /// Whether, of these ids and the one that is known of an order, one was taken while another stood.
    pub(super) fn stood_at_once(&self, order: &Loaded, ids: &[ProviderOrderId]) -> bool {
        let told = |id: ProviderOrderId| {
            let listed = self.listing.iter().find(|told| told.id == id);
            let was_rejected = order.life.id == Some(id) && order.life.state == State::Rejected;
            // Ids that don't rise tell nothing of what was first.
            let place = (!self.ids_fall).then(|| (books::provider_id(id), books::provider_id(id)));
            let rejected = was_rejected || listed.is_some_and(|told| told.status == ProviderStatus::Rejected);
            ToldOf { rejected, place }
        };
        let all: BTreeSet<ProviderOrderId> = ids.iter().copied().chain(order.life.id).collect();
        stood_at_once(&all.into_iter().map(told).collect::<Vec<_>>())
    }
}

/// Whether nothing of it can be at the provider, and it would be sent.
fn is_unsent(order: &Loaded) -> bool {
    order.life.state == State::Queued && order.life.unproven() == 0
}

/// Whether its doubt was held against the id before, or will be.
fn decides_itself(order: &Loaded) -> bool {
    match order.life.state {
        State::InDoubt | State::OrderedNoId | State::Held => order.life.id.is_none(),
        State::Queued => order.life.inferred > 0,
        _ => false,
    }
}
