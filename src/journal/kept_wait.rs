//! How long something was really waited for, over restarts too.

use std::time::Duration;

use super::{Journal, JournalError};
use crate::clock::Clock;
use crate::schedule::Waited;
use crate::types::Timestamp;

/// What a crash makes forgotten is at most so much of it.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// What was waited, as a stage takes its looks.
#[derive(Debug)]
pub struct KeptWait {
    /// Where it lies among the journal's facts.
    fact: &'static str,
    waited: Option<Waited>,
    kept: Option<Timestamp>,
}

impl KeptWait {
    /// What lies under this name, to be read with the first look.
    #[must_use]
    pub const fn new(fact: &'static str) -> Self {
        Self { fact, waited: None, kept: None }
    }

    /// A look is taken now; `limit`: the age that it is about. Gives what was waited, this look included.
    ///
    /// # Errors
    /// The journal can't be read or written: the look counts all the same.
    pub async fn look(
        &mut self,
        journal: &Journal,
        clock: &Clock,
        limit: Duration,
    ) -> Result<&Waited, JournalError> {
        let mut waited = match self.waited.take() {
            Some(waited) => waited,
            None => self.read(journal).await?,
        };
        let now = clock.now();
        waited.look(now, clock.steady(), limit);
        let is_new = self.kept.is_none_or(|kept| now < kept || now.since(kept) >= KEEP_EVERY);
        let text = is_new.then(|| serde_json::to_string(&waited).unwrap_or_default());
        let waited = self.waited.insert(waited);
        if let Some(text) = text {
            journal.set_fact(self.fact, text).await?;
            self.kept = Some(now);
        }
        Ok(waited)
    }

    async fn read(&self, journal: &Journal) -> Result<Waited, JournalError> {
        let fact = self.fact;
        let kept = journal.read(move |view| view.fact(fact)).await?;
        // One that can't be read is of another version: then it is waited anew.
        Ok(kept.and_then(|kept| serde_json::from_str(&kept).ok()).unwrap_or_default())
    }
}
