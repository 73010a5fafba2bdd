//! What stands still as of the last commit, in memory: whoever is about to connect asks here, and can't wait for the
//! disk.

use std::sync::{Arc, RwLock};

use super::{AttemptTicket, Journal};
use crate::gate::{self, Brake, Pause};
use crate::order::PauseReason;
use crate::types::ServiceId;

/// The pauses. Only the writer sets them: after the commit that changed one, before anyone hears of it.
#[derive(Clone, Default)]
pub(super) struct Standing(Arc<RwLock<Vec<Pause>>>);

impl Standing {
    pub(super) fn set(&self, mut pauses: Vec<Pause>) {
        // The claim that reaches the cap pauses by it; what it claimed has its price reserved within the cap, and goes.
        pauses.retain(|pause| pause.reason != PauseReason::Cap);
        if let Ok(mut standing) = self.0.write() {
            *standing = pauses;
        }
    }

    fn brake(&self, service: ServiceId) -> Option<Brake> {
        // Pauses that can't be told are taken for one.
        self.0.read().map_or(Some(Brake::Paused), |pauses| gate::service(&pauses, service))
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
}
