//! A start that sends is counted in the journal, and told outside of it, before its first order is claimed.
//!
//! A copy that was made before such a start counts fewer, and is known as older by that, however short the start's process
//! lived. Claims wait for it here, not in whoever claims, so that nothing can be sent untold.
//!
//! Crash: it is counted first and told afterwards, so the journal is never behind its own stamp. One that is ahead of it is
//! no older copy. A start that has nothing to send counts nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::restore::Stamp;
use super::tx::Tx;
use super::wake::Rung;
use super::{Journal, JournalError};

/// How many starts have sent.
pub(super) const STARTS: &str = "starts";

/// How far this start is. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Start(Arc<Steps>);

#[derive(Debug, Default)]
struct Steps {
    is_awaited: AtomicBool,
    is_counted: AtomicBool,
    is_told: AtomicBool,
}

impl Start {
    /// Whether orders may be claimed. Where they may not, whoever tells of the start is rung once this is committed.
    pub(super) fn lets_go(&self, tx: &Tx<'_>) -> bool {
        if self.0.is_told.load(Ordering::Acquire) {
            return true;
        }
        self.0.is_awaited.store(true, Ordering::Release);
        tx.ring(Rung::STAMP);
        false
    }
}

impl Journal {
    /// Whether orders wait to be claimed until this start's stamp lies outside: see [`Journal::count_start`].
    #[must_use]
    pub fn waits_for_stamp(&self) -> bool {
        let Start(steps) = &self.shared.common.start;
        steps.is_awaited.load(Ordering::Acquire) && !steps.is_told.load(Ordering::Acquire)
    }

    /// As a claim that waits for it does.
    #[cfg(test)]
    pub(crate) async fn await_stamp(&self) {
        let start = self.shared.common.start.clone();
        assert!(!self.write(move |tx| Ok(start.lets_go(tx))).await.unwrap());
    }

    /// Counts this start, once, and gives the stamp that tells so. It must be on disk outside the journal before
    /// [`Journal::start_is_told`].
    ///
    /// # Errors
    /// The journal can't be written or read: to be called again.
    pub async fn count_start(&self) -> Result<Stamp, JournalError> {
        let steps = &self.shared.common.start.0;
        if !steps.is_counted.load(Ordering::Acquire) {
            self.write(|tx| tx.set_fact(STARTS, &counted(tx.fact(STARTS)?).saturating_add(1).to_string()))
                .await?;
            steps.is_counted.store(true, Ordering::Release);
        }
        self.read(|view| view.stamp()).await
    }

    /// The stamp of [`Journal::count_start`] is on disk outside: orders may be claimed from now on.
    pub fn start_is_told(&self) {
        self.shared.common.start.0.is_told.store(true, Ordering::Release);
        self.shared.common.wakes.ring(Rung::SUBMIT);
    }
}

/// The number in a journal's fact; one that was never started to send, or by a version that didn't count, has none.
pub(super) fn counted(fact: Option<String>) -> i64 {
    fact.and_then(|text| text.parse().ok()).unwrap_or(0)
}
