//! Carries out what operators say: requests that commands left in the journal.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::journal::{Journal, JournalError};
use crate::settings::Settings;

/// A command waits for its answer: it is looked for well within the two seconds that are promised.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Carries requests out until `stop`.
pub(super) async fn run(
    journal: Journal,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
    stop: CancellationToken,
) {
    loop {
        if let Err(error) = unit(&journal, &clock, &settings).await {
            tracing::warn!("what an operator said can't be carried out yet, trying again: {error}");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Carries out every request that waits.
async fn unit(
    journal: &Journal,
    clock: &Clock,
    settings: &watch::Receiver<Arc<Settings>>,
) -> Result<(), JournalError> {
    let rules = Arc::clone(&settings.borrow().rules);
    for id in journal.read(|view| view.open_requests()).await? {
        let answer = journal.carry_out(id, clock.now(), (*rules).clone()).await?;
        tracing::info!(done = answer.done, answer = %answer.text, "an operator's word");
    }
    for batch in journal.read(|view| view.cancelled_batches()).await? {
        journal.sweep_cancelled(batch, clock.now(), (*rules).clone()).await?;
    }
    Ok(())
}
