//! Taking back what was journaled of a file that is still being taken in: it was changed meanwhile, or it is gone.
//!
//! Nothing of such a batch was ever sent. Its orders go, but those that a row of another batch waits for: these pass to
//! that row. One transaction, so that a crash leaves all of it or nothing; a million rows take it some seconds, in a
//! case that a file in a folder of our own hardly ever comes to.

use std::collections::BTreeSet;

use super::codes::BatchState;
use super::files::NewBatch;
use super::orders::{self, COLUMNS};
use super::tx::Tx;
use super::wake::Rung;
use super::{Journal, JournalError, adopt, books, cancel};
use crate::order::Alarm;
use crate::types::{BatchId, RowId, Timestamp};

/// Takes back every row and order of a batch in state `taking`.
pub(super) fn undo(tx: &Tx<'_>, batch: BatchId, why: &str, now: Timestamp) -> Result<(), JournalError> {
    // What was sent stays, or may have been: it isn't this file's any more.
    adopt::give_back(tx, batch)?;
    let mut queued = Vec::new();
    {
        let sql = format!("SELECT {COLUMNS} FROM orders WHERE state = 0 AND batch = ?1");
        let mut statement = tx.prepare(&sql)?;
        let mut rows = statement.query([batch.0])?;
        while let Some(row) = rows.next()? {
            queued.push(orders::read(row)?);
        }
    }
    let all = (RowId::new(batch, 0).0, RowId::new(batch, u32::MAX).0);
    tx.execute("DELETE FROM rows WHERE id BETWEEN ?1 AND ?2", all)?;
    tx.execute("DELETE FROM tallies WHERE batch = ?1", [batch.0])?;
    for order in &queued {
        match cancel::heir(tx, order)? {
            Some(row) => adopt::pass_on(tx, order, row)?,
            None => {
                tx.execute_one("an order's taking back", "DELETE FROM orders WHERE id = ?1", [order.id.0])?
            }
        }
    }
    tx.ring(Rung::SUBMIT.and(Rung::OUTBOX));
    tx.event(now, None, Some(batch), "taken back", why)
}

/// The batch's file isn't the one any more that it was begun with: it begins anew, under the same NAME.
pub(super) fn begin_anew(
    tx: &Tx<'_>,
    batch: BatchId,
    new: &NewBatch,
    now: Timestamp,
) -> Result<(), JournalError> {
    undo(tx, batch, "its file was changed while it was taken in", now)?;
    tx.execute_one(
        "a batch's beginning anew",
        "UPDATE batches SET sha256 = ?2, bytes = ?3, header = ?4, rows_total = ?5 WHERE id = ?1 AND state = 0",
        (
            batch.0,
            &new.sha256,
            i64::try_from(new.bytes).unwrap_or(i64::MAX),
            &new.header,
            i64::try_from(new.rows).unwrap_or(i64::MAX),
        ),
    )
}

/// The batch will never be taken in: it ends, its NAME stays reserved.
pub(super) fn end(tx: &Tx<'_>, batch: BatchId, why: &str, now: Timestamp) -> Result<(), JournalError> {
    undo(tx, batch, why, now)?;
    tx.execute_one(
        "a batch's end",
        "UPDATE batches SET state = ?2, rows_total = 0, done_at = ?3 WHERE id = ?1 AND state = 0",
        (batch.0, BatchState::Cancelled.code(), now.millis()),
    )
}

impl Journal {
    /// Takes back every batch in state `taking` whose file isn't at any of these places in `.taken`: someone removed it,
    /// or it lies where it can't be seen. Each is an alarm, once. Should it come back, it is taken in from the start.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn take_back_without_file(
        &self,
        places: BTreeSet<String>,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            for (batch, name) in without_file(tx, &places)? {
                let text = format!(
                    "{name} was taken in and is gone from the inbox's folder .taken: nothing of it was sent. Drop it again"
                );
                let known = tx.find("SELECT 1 FROM alarms WHERE batch = ?1 AND text = ?2", (batch.0, &text), |_| Ok(()))?;
                if known.is_none() {
                    undo(tx, batch, "its file is gone from .taken", now)?;
                    books::alarm_about_batch(tx, now, Alarm::FileGone, &text, batch)?;
                }
            }
            Ok(())
        })
        .await
    }
}

fn without_file(tx: &Tx<'_>, places: &BTreeSet<String>) -> Result<Vec<(BatchId, String)>, JournalError> {
    let mut statement = tx.prepare(
        "SELECT id, file_name, taken_key FROM batches WHERE state NOT IN (4, 5) AND state = 0 ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut gone = Vec::new();
    while let Some(row) = rows.next()? {
        if !places.contains(&row.get::<_, String>(2)?) {
            gone.push((BatchId(row.get(0)?), row.get(1)?));
        }
    }
    Ok(gone)
}
