//! Orders of ours that had ended, and that the provider lists with the other end: nothing asks after them any more.

use super::Judging;
use crate::journal::orders::{self, Loaded, Telling};
use crate::journal::{JournalError, poll};
use crate::order::{Event, State};
use crate::types::{ProviderOrder, ProviderStatus, Timestamp};

impl Judging<'_, '_> {
    /// Tells ended orders of ours what the listing says of them, where that is another end than the one that is known.
    pub(super) fn turn_ended(&self) -> Result<(), JournalError> {
        for told in self.listing.iter().filter(|told| told.status.has_ended()) {
            let Some(ours) = self.ours.get(&told.id) else { continue };
            let mut order = orders::load(self.tx, ours.order)?;
            // Of an order with several ids one is asked after: what the others come to is not its answer.
            let is_told = order.life.id == Some(told.id) && told.imei == Some(order.imei);
            if is_told && has_other_end(&order, told.status) && self.is_newer_than_its_answer(&order)? {
                self.turn(&mut order, told)?;
            }
        }
        Ok(())
    }

    fn turn(&self, order: &mut Loaded, told: &ProviderOrder) -> Result<(), JournalError> {
        poll::keep(self.tx, (order.id, order.service), told, self.now)?;
        // What an export told of it was of its other end.
        self.tx.execute("UPDATE results SET exported = NULL WHERE order_id = ?1", [order.id.0])?;
        let telling = Telling { what: "status", text: &told.status_raw, via: "status", quiet: false };
        orders::advance(self.tx, order, &Event::Status(told.status), self.now, self.rules, &telling)?;
        Ok(())
    }

    /// Whether an order of ours that was begun after its last answer is in it: one that was cached before could say what
    /// was so then.
    fn is_newer_than_its_answer(&self, order: &Loaded) -> Result<bool, JournalError> {
        let answered = poll::last_answered(self.tx, order)?;
        let is_after = |begun: &Timestamp| answered < *begun && *begun <= self.now;
        Ok(self.witnesses.iter().any(|(begun, _, _)| is_after(begun)))
    }
}

/// Whether `status` is the end that an ended order didn't come to.
pub(in crate::journal) const fn has_other_end(order: &Loaded, status: ProviderStatus) -> bool {
    matches!(
        (order.life.state, status),
        (State::Completed, ProviderStatus::Rejected) | (State::Rejected, ProviderStatus::Completed)
    )
}
