//! The first look at the provider, once the daemon is ready: a wrong address, name or key is told then, not with the first
//! file. It is an alarm until a call works.
//!
//! It asks for the account, which is free and orders nothing. Nothing waits for it.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use crate::gate::{Pause, Scope};
use crate::journal::Journal;
use crate::provider::Provider;
use crate::schedule;

/// The alarm of a provider that doesn't answer orders: none would go through.
const ALARM: &str = "provider";
const WHO: &str = "first look";

/// What the first look is made with.
pub(super) struct FirstLook {
    pub(super) journal: Journal,
    pub(super) provider: Arc<dyn Provider>,
    /// Changes with each call that works, whoever makes it.
    pub(super) passed: watch::Receiver<()>,
    /// Rings when it is to be asked again at once.
    pub(super) again: Arc<Notify>,
}

impl FirstLook {
    /// Asks until the provider answers and takes the account, ever more seldom; an alarm until then.
    pub(super) async fn run(mut self) {
        self.passed.mark_unchanged();
        let mut passed = self.passed.clone();
        tokio::select! {
            () = self.ask() => {}
            Ok(()) = passed.changed() => {}
        }
        if self.journal.drop_unrecorded_by(WHO, ALARM) {
            tracing::info!("the provider answers, and takes the account");
        }
    }

    async fn ask(&self) {
        let mut standing = self.journal.standing();
        for tries in 0.. {
            // Who tries a pause asks already, and the pause is shown.
            let is_tried = |pause: &Pause| pause.scope == Scope::All && pause.next_try.is_some();
            drop(standing.wait_for(|pauses| !pauses.iter().any(is_tried)).await);
            let Err(error) = self.provider.account().await else { return };
            tracing::debug!(tries, "the first look at the provider failed");
            let at = self.provider.address().map(|address| format!(" at {address}")).unwrap_or_default();
            let text = format!(
                "no order would go through{at}: {error}; {}. A change in [provider] or of the key needs a restart. It is asked \
                 again by itself, at once with a reload; imeid check --online asks too",
                error.mend()
            );
            if self.journal.keep_unrecorded_by(WHO, ALARM, &text) {
                tracing::error!(alarm = ALARM, "{text}");
            }
            tokio::select! {
                () = tokio::time::sleep(schedule::next_pause_try(tries)) => {}
                () = self.again.notified() => {}
            }
        }
    }
}
