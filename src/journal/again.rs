//! What comes after a file is out: a charge, an id or an answer of one of its rows. Then the file comes out once more, as
//! `NAME.settled.csv`; what was published stays as it is.
//!
//! What comes while a file is being written may be in it or not: its rows are read page by page. So every such change is
//! noted with the batch, in one commit with the change; the note is taken away before the first row is read, and a file
//! that is out while there is one isn't the last of its batch.
//!
//! | a crash | leaves | the next start |
//! |---|---|---|
//! | after the change, before the file is out | the note, the batch in work | writes it anew, from the journal as it is |
//! | after the file is out, before the journal says so | likewise | finds another content there: the next name gets it |
//! | after the journal says that it is out, and not the last | the note, the batch in work | writes the next one |

use super::codes::Link;
use super::orders::{self, Loaded};
use super::tx::Tx;
use super::wake::Rung;
use super::{Journal, JournalError, cancel};
use crate::types::{BatchId, ProviderOrderId, RowId, Timestamp};

/// What rows tell of an order, as far as a reader acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    tally: i64,
    id: Option<ProviderOrderId>,
    charged: u32,
    /// Its cost is only presumed, or unknown.
    may_be_charged: bool,
    /// What is presumed beside its charge: the row's note tells it.
    presumed_beside: u32,
}

impl Told {
    pub(super) const fn of(order: &Loaded) -> Self {
        let life = &order.life;
        Self {
            tally: orders::tally_state(order),
            id: life.id,
            charged: life.charged,
            may_be_charged: life.charged == 0 && life.presumed.saturating_add(life.unaccounted) > 0,
            presumed_beside: if life.charged > 0 { life.presumed } else { 0 },
        }
    }
}

/// An order that had ended goes on: the rows that were answered from it wait for it from now on.
pub(super) fn wait_again(tx: &Tx<'_>, order: &mut Loaded) -> Result<(), JournalError> {
    let mut answered: Vec<RowId> = Vec::new();
    {
        let mut statement =
            tx.prepare("SELECT id FROM rows WHERE order_id = ?1 AND link IN (2, 4) AND link = 2")?;
        for row in statement.query_map([order.id.0], |row| row.get(0).map(RowId))? {
            answered.push(row?);
        }
    }
    let state = orders::tally_state(order);
    for row in &answered {
        cancel::relink(tx, *row, Link::Earlier, Link::Joined)?;
        orders::recount_row(tx, row.batch(), (state, Link::Earlier), (state, Link::Joined));
    }
    if !answered.is_empty() && !order.joined {
        tx.execute_one("an order's joining", "UPDATE orders SET joined = 1 WHERE id = ?1", [order.id.0])?;
        order.joined = true;
    }
    Ok(())
}

/// The note that a file of this batch may lack a change.
fn note(batch: BatchId) -> String {
    format!("changed in batch {batch}")
}

/// Notes that what is being written of a batch may lack a change.
pub(super) fn may_be_missing(tx: &Tx<'_>, batch: BatchId) -> Result<(), JournalError> {
    tx.set_fact(&note(batch), "")
}

/// Whether something changed since the batch's file was begun.
pub(super) fn has_changed(tx: &Tx<'_>, batch: BatchId) -> Result<bool, JournalError> {
    Ok(tx.fact(&note(batch))?.is_some())
}

impl Journal {
    /// A file of this batch is about to be written. Before its first row is read: what changes from now on may not be in
    /// it, and [`Journal::published`] tells.
    ///
    /// # Errors
    /// The journal can't be read or written.
    pub async fn begin_file(&self, batch: BatchId) -> Result<(), JournalError> {
        // Nearly always there is none, and then nothing is to be written.
        if self.read(move |view| view.fact(&note(batch))).await?.is_none() {
            return Ok(());
        }
        self.write(move |tx| {
            tx.execute("DELETE FROM facts WHERE key = ?1", [note(batch)])?;
            Ok(())
        })
        .await
    }
}

/// Lets every file that shows this order come out again, if it is out or being written. In one commit with the change
/// itself: a crash leaves both or neither.
pub(super) fn publish_again(tx: &Tx<'_>, order: &Loaded, now: Timestamp) -> Result<(), JournalError> {
    let (mut out, mut in_work): (Vec<BatchId>, Vec<BatchId>) = Default::default();
    {
        // The batches of rows that show it: its own, those that waited for it, and those that were answered from it.
        // Likewise of its key's orders that turned out to be its duplicates, whose rows show its answer.
        let mut statement = tx.prepare(
            "WITH shown(id, batch) AS (SELECT ?1, ?2 \
             UNION SELECT id, batch FROM orders WHERE service = ?3 AND imei = ?4 AND current = 0 AND earlier = ?1 \
             UNION SELECT id, batch FROM orders WHERE service = ?3 AND imei = ?4 AND current = 1 AND earlier = ?1) \
             SELECT id, state IN (4, 5) FROM batches WHERE (state IN (1, 3) OR state IN (4, 5) AND published_at IS NOT NULL) \
             AND id IN (SELECT batch FROM shown \
             UNION SELECT rows.id >> 32 FROM shown CROSS JOIN rows ON rows.order_id = shown.id AND link = 1 \
             UNION SELECT rows.id >> 32 FROM shown CROSS JOIN rows ON rows.order_id = shown.id AND link IN (2, 4) AND link = 2)",
        )?;
        let imei = i64::try_from(order.imei.as_u64()).unwrap_or(0);
        let mut found = statement.query((order.id.0, order.batch.0, order.service.0, imei))?;
        while let Some(row) = found.next()? {
            let batches = if row.get(1)? { &mut out } else { &mut in_work };
            batches.push(BatchId(row.get(0)?));
        }
    }
    for batch in in_work {
        may_be_missing(tx, batch)?;
    }
    for batch in out {
        tx.execute_one(
            "a batch's coming out again",
            "UPDATE batches SET state = 3, done_at = NULL WHERE id = ?1",
            [batch.0],
        )?;
        let text = format!("what is known of IMEI {} changed since it came out", order.imei);
        tx.event(now, None, Some(batch), "comes out again", &text)?;
        tx.ring(Rung::OUTBOX);
    }
    Ok(())
}
