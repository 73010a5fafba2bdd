//! What was, or is about to be, published of a batch.

use std::collections::BTreeSet;

use super::super::again;
use super::super::codes::BatchState;
use super::super::files::free_batch_name;
use super::super::view::View;
use super::super::wake::Rung;
use super::super::{Journal, JournalError};
use crate::types::{BatchId, Timestamp};

/// Which of a batch's two result files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultFile {
    /// `NAME.results.csv`
    Results,
    /// `NAME.settled.csv`
    Settled,
}

/// How a file came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CameOut {
    /// It is the last of its batch, unless something changes later.
    Whole,
    /// Rows of it are still open.
    RowsOpen,
    /// A row changed while it was written, and may be in it as it was before: the batch comes out again.
    Outdated,
}

impl View {
    /// The name under which the newest result of a batch is in the outbox; `None`: none was published yet.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn last_published(&self, batch: BatchId) -> Result<Option<String>, JournalError> {
        let event: Option<String> = self.find(
            "SELECT detail FROM events WHERE batch IS NOT NULL AND batch = ?1 AND what = 'published' \
             ORDER BY id DESC LIMIT 1",
            [batch.0],
            |row| row.get(0),
        )?;
        // A file's name can hold what stands between it and the state; no state does.
        Ok(event.and_then(|event| event.rsplit_once(": ").map(|(file, _)| file.to_owned())))
    }
}

impl Journal {
    /// Says what is about to be published, before it is: a file of that name with that content is then known as ours.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn will_publish(
        &self,
        batch: BatchId,
        file: ResultFile,
        sha256: String,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            let sql = match file {
                ResultFile::Results => "UPDATE batches SET result_sha256 = ?2 WHERE id = ?1",
                ResultFile::Settled => "UPDATE batches SET settled_sha256 = ?2 WHERE id = ?1",
            };
            tx.execute_one("a publication", sql, (batch.0, &sha256))
        })
        .await
    }

    /// The file of this name is in the outbox: with rows still open, or changed since [`Journal::begin_file`], the batch is
    /// `published`, else done.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn published(
        &self,
        batch: BatchId,
        file: String,
        done: bool,
        now: Timestamp,
    ) -> Result<CameOut, JournalError> {
        self.write(move |tx| {
            // A row may have been ordered anew since the file was written: that batch isn't done.
            let (cancelled, open): (bool, i64) = tx
                .find(
                    "SELECT cancelled_at IS NOT NULL, (SELECT coalesce(sum(n), 0) FROM tallies WHERE batch = ?1 AND state < 6) \
                     FROM batches WHERE id = ?1",
                    [batch.0],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?
                .unwrap_or_default();
            let out = match done && open == 0 {
                false => CameOut::RowsOpen,
                true if again::has_changed(tx, batch)? => CameOut::Outdated,
                true => CameOut::Whole,
            };
            let state = match (out, cancelled) {
                (CameOut::RowsOpen | CameOut::Outdated, _) => BatchState::Published,
                (CameOut::Whole, false) => BatchState::Done,
                (CameOut::Whole, true) => BatchState::Cancelled,
            };
            if out == CameOut::Outdated {
                tx.ring(Rung::OUTBOX);
            }
            tx.execute_one(
                "a publication",
                "UPDATE batches SET state = ?2, published_at = coalesce(published_at, ?3), \
                 done_at = CASE WHEN ?2 IN (4, 5) THEN ?3 END WHERE id = ?1",
                (batch.0, state.code(), now.millis()),
            )?;
            tx.event(now, None, Some(batch), "published", &format!("{file}: {}", state.as_str()))?;
            Ok(out)
        })
        .await
    }

    /// Another file stands where the batch's result would go: it gets the next free NAME. `occupied`: NAMEs that files
    /// in the outbox have.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn rename_batch(
        &self,
        batch: BatchId,
        occupied: BTreeSet<String>,
        now: Timestamp,
    ) -> Result<String, JournalError> {
        self.write(move |tx| {
            let old: Option<String> =
                tx.find("SELECT name FROM batches WHERE id = ?1", [batch.0], |row| row.get(0))?;
            let old = old.ok_or_else(|| JournalError::Unknown(format!("there is no batch {batch}")))?;
            let name = free_batch_name(tx, &old, &occupied)?;
            tx.execute_one("a batch's name", "UPDATE batches SET name = ?2 WHERE id = ?1", (batch.0, &name))?;
            tx.event(now, None, Some(batch), "renamed", &format!("{old} to {name}"))?;
            Ok(name)
        })
        .await
    }
}
