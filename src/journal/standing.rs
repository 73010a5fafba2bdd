//! What stands still as of the last commit, in memory: whoever is about to connect asks here, and can't wait for the
//! disk; whoever tries pauses again hears here that there is one.

use std::sync::Arc;

use tokio::sync::watch;

use super::{AttemptTicket, Journal};
use crate::gate::{self, Brake, Pause};
use crate::order::PauseReason;
use crate::types::ServiceId;

/// The pauses. Only the writer sets them: after the commit that changed one, before anyone hears of it.
#[derive(Clone, Default)]
pub(super) struct Standing(Arc<watch::Sender<Vec<Pause>>>);

impl Standing {
    pub(super) fn set(&self, mut pauses: Vec<Pause>) {
        // The claim that reaches the cap pauses by it; what it claimed has its price reserved within the cap, and goes.
        pauses.retain(|pause| pause.reason != PauseReason::Cap);
        self.0.send_replace(pauses);
    }

    fn brake(&self, service: ServiceId) -> Option<Brake> {
        gate::service(&self.0.borrow(), service)
    }
}

impl Journal {
    /// Whether no pause has come up against this attempt since it was claimed. One that was claimed before the pause
    /// doesn't pass for the one order that may go to find out whether it has ended.
    #[must_use]
    pub fn lets_go(&self, ticket: &AttemptTicket) -> bool {
        let Some(service) = ticket.service() else { return false };
        match self.shared.common.standing.brake(service) {
            None => true,
            Some(Brake::One) => ticket.finds_out(),
            Some(Brake::Paused) => false,
        }
    }

    /// What stands still as of the last commit, but for a day's cap; it tells when that has changed.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Vec<Pause>> {
        self.shared.common.standing.0.subscribe()
    }
}
