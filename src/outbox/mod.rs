//! The outbox: writes what became of a batch's rows, whole or under a name that says it isn't.
//!
//! | a crash | leaves | the next start |
//! |---|---|---|
//! | before the temporary file is whole | a dot file | sweeps it |
//! | after that, before the journal knows its hash | a dot file | writes it again |
//! | after that, before the rename | a dot file | writes it again |
//! | after the rename, before the journal says `published` | the result | knows it by its hash as its own |

mod cells;
mod notes;
mod partial;
mod publish;
mod table;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::journal::{BatchState, BatchWork, Journal, Trouble};
use crate::order::Alarm;
use crate::pulse;
use crate::settings::Settings;
use crate::types::{BatchId, Timestamp};

pub use table::ResultWriter;
pub use tally::{by_status, row_status};

use publish::Publisher;
pub use publish::{PublishError, write_result};

/// It looks again after this long by itself.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// What an export changes comes out once it is read, but no later than this after its beginning.
const EXPORT_TAKES: Duration = Duration::from_secs(600);
/// An outbox that can't be written is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The stage.
pub struct Outbox {
    journal: Journal,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
    /// When each batch's partial was written last, or the batch was first seen.
    partials: BTreeMap<BatchId, Timestamp>,
    /// When a batch with rows that only wait for people or the provider may be published.
    publishable: BTreeMap<BatchId, Timestamp>,
    /// That results can't be put where they belong.
    trouble: Trouble,
    /// Partials that are no batch's in work were told of.
    has_told_of_partials: bool,
}

impl Outbox {
    /// The stage, with nothing written yet.
    #[must_use]
    pub const fn new(journal: Journal, clock: Clock, settings: watch::Receiver<Arc<Settings>>) -> Self {
        Self {
            journal,
            clock,
            settings,
            partials: BTreeMap::new(),
            publishable: BTreeMap::new(),
            trouble: Trouble::new(Alarm::Outbox),
            has_told_of_partials: false,
        }
    }

    /// Publishes until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = match self.unit().await {
                Ok(pause) => {
                    if self.trouble.is_gone(&self.journal, self.clock.now()).await {
                        tracing::info!("the outbox can be written again");
                    }
                    pause
                }
                Err(error) => {
                    let text = self.text(&error);
                    self.trouble.is(&self.journal, text, self.clock.now()).await;
                    RETRY_AFTER
                }
            };
            pulse::within(pause);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.journal.wakes().outbox.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn text(&self, error: &PublishError) -> String {
        let folder = self.settings.borrow().config.folders.outbox.display().to_string();
        match error {
            PublishError::Io(error) => format!(
                "results can't be put into {folder}: {error}. They wait, and are put there when the folder is there, has \
                 room, and is writable for imeid's user"
            ),
            error => format!("results can't be put into {folder}, trying again: {error}"),
        }
    }

    /// One look at every batch that isn't done; returns how long nothing can change by itself.
    ///
    /// # Errors
    /// The journal can't be read, or the outbox not written.
    pub async fn unit(&mut self) -> Result<Duration, PublishError> {
        let publisher = Publisher {
            journal: self.journal.clone(),
            clock: self.clock.clone(),
            folder: self.settings.borrow().config.folders.outbox.clone(),
        };
        publisher.lay_read_me().await?;
        let (batches, export_begun) =
            self.journal.read(|view| Ok((view.busy_batches()?, view.export_begun()?))).await?;
        self.partials.retain(|id, _| batches.iter().any(|batch| batch.id == *id));
        self.publishable.retain(|id, _| batches.iter().any(|batch| batch.id == *id));
        let mut pause = LOOK_AGAIN;
        let mut failed = None;
        if !self.has_told_of_partials {
            publisher.tell_of_partials(&batches).await?;
            self.has_told_of_partials = true;
        }
        let waits = export_begun.and_then(|begun| waits(begun, self.clock.now()));
        for batch in batches {
            if let Some(wait) = waits
                && batch.state == BatchState::Published
            {
                pause = pause.min(wait);
                continue;
            }
            match self.look(&publisher, batch).await {
                Ok(wait) => pause = pause.min(wait),
                // One file that can't be written keeps no other back.
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(pause), Err)
    }

    async fn look(&mut self, publisher: &Publisher, batch: BatchWork) -> Result<Duration, PublishError> {
        if !matches!(batch.state, BatchState::Working | BatchState::Published) {
            return Ok(LOOK_AGAIN);
        }
        let now = self.clock.now();
        let outbox = self.settings.borrow().config.outbox.clone();
        if batch.open_rows() == 0 {
            publisher.publish(batch, true).await?;
            return Ok(LOOK_AGAIN);
        }
        let mut wait = LOOK_AGAIN;
        if batch.state == BatchState::Working && batch.unsent_rows() == 0 {
            let id = batch.id;
            let known = self.publishable.get(&id).copied();
            // Rows only ever get later by becoming open anew; so an old answer is asked for again when it comes due.
            let at = match known {
                Some(at) if at > now => Some(at),
                _ => {
                    self.journal
                        .read(move |view| view.publishable_at(id, outbox.held_after, outbox.publish_after))
                        .await?
                }
            };
            match at {
                Some(at) if at <= now => {
                    publisher.publish(batch, false).await?;
                    return Ok(LOOK_AGAIN);
                }
                Some(at) => {
                    self.publishable.insert(id, at.min(now.plus(LOOK_AGAIN)));
                    wait = wait.min(at.since(now));
                }
                None => {}
            }
        }
        if batch.state == BatchState::Working {
            let last = *self.partials.entry(batch.id).or_insert(now);
            let due = last.plus(outbox.partial_every);
            if due <= now {
                self.partials.insert(batch.id, now);
                publisher.write_partial(&batch).await?;
                wait = wait.min(outbox.partial_every);
            } else {
                wait = wait.min(due.since(now));
            }
        }
        Ok(wait.max(Duration::from_millis(10)))
    }
}

/// How long a file that is to come out again waits for an export that is read since `begun`. By a clock that was set back
/// since it isn't known how long it already does.
fn waits(begun: Timestamp, now: Timestamp) -> Option<Duration> {
    (begun <= now)
        .then(|| EXPORT_TAKES.saturating_sub(now.since(begun)))
        .filter(|wait| *wait > Duration::ZERO)
}
