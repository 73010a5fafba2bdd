//! Orders that belong to no row, and the rows that take them over.
//!
//! What an export shows while an older copy waits is taken for ours and made for no row: the files that it came from are
//! unknown to the copy. The first row that comes for it later is taken as the one that made it, so that its cost stands there
//! and the column's sum is the provider's. Should that row's file be taken back, the order belongs to none again.

use super::codes::Link;
use super::orders::{self, COLUMNS, Loaded};
use super::sums::Amounts;
use super::tx::Tx;
use super::{JournalError, cancel, restore};
use crate::order::State;
use crate::types::{BatchId, RowId};

/// Whether it waits for a row. What an export told of and isn't ours never gets one.
pub(super) fn has_no_row(order: &Loaded) -> bool {
    order.batch.0 == 0 && order.life.state != State::OrderedElsewhere
}

/// The order belongs to this row from now on, and its money is its batch's.
pub(super) fn adopt(tx: &Tx<'_>, order: &Loaded, row: RowId) -> Result<(), JournalError> {
    tx.execute_one(
        "an order's row",
        "UPDATE orders SET batch = ?2, first_row = ?3 WHERE id = ?1",
        (order.id.0, row.batch().0, row.0),
    )?;
    move_money(tx, order, row.batch())
}

/// The order goes on for another row, which waits for it.
pub(super) fn pass_on(tx: &Tx<'_>, order: &Loaded, row: RowId) -> Result<(), JournalError> {
    cancel::relink(tx, row, Link::Joined, Link::Own)?;
    let state = orders::tally_state(order);
    orders::recount_row(tx, row.batch(), (state, Link::Joined), (state, Link::Own));
    adopt(tx, order, row)
}

/// The batch will have no rows: what it adopted, or what was taken as sent of it, belongs to another that waits for it, or to
/// none again.
pub(super) fn give_back(tx: &Tx<'_>, batch: BatchId) -> Result<(), JournalError> {
    // Otherwise nothing of a batch that is being taken in was ever sent.
    if tx.fact(restore::WAS_COPY)?.is_none() {
        return Ok(());
    }
    let mut sent = Vec::new();
    {
        let sql = format!("SELECT {COLUMNS} FROM orders WHERE batch = ?1 AND attempts > 0");
        let mut statement = tx.prepare(&sql)?;
        let mut rows = statement.query([batch.0])?;
        while let Some(row) = rows.next()? {
            sent.push(orders::read(row)?);
        }
    }
    for order in &sent {
        match cancel::heir(tx, order)? {
            Some(row) => pass_on(tx, order, row)?,
            None => adopt(tx, order, RowId::new(BatchId(0), 0))?,
        }
    }
    Ok(())
}

fn move_money(tx: &Tx<'_>, order: &Loaded, to: BatchId) -> Result<(), JournalError> {
    let sum = |verdicts: &str| -> Result<i64, JournalError> {
        let sql = format!("SELECT sum(price) FROM attempts WHERE order_id = ?1 AND ({verdicts})");
        Ok(tx.find(&sql, [order.id.0], |row| row.get::<_, Option<i64>>(0))?.flatten().unwrap_or(0))
    };
    let (reserved, presumed) = (sum("verdict IS NULL OR verdict = 3")?, sum("verdict = 4")?);
    let charged = sum("verdict = 0")?;
    tx.add(|sums| {
        let by = |sign: i64| Amounts {
            reserved: reserved.saturating_mul(sign),
            presumed: presumed.saturating_mul(sign),
            charged: charged.saturating_mul(sign),
        };
        sums.total("batch", order.batch.0, by(-1));
        sums.total("batch", to.0, by(1));
    });
    if order.life.state != State::Rejected {
        return Ok(());
    }
    // What it let expect was the price of the first that was taken.
    let due: Option<i64> = tx.find(
        "SELECT price FROM attempts WHERE order_id = ?1 AND verdict = 0 ORDER BY n LIMIT 1",
        [order.id.0],
        |row| row.get(0),
    )?;
    for (batch, sign) in [(order.batch, -1), (to, 1)] {
        tx.execute(
            "UPDATE totals SET refund = refund + ?2 WHERE scope = 'batch' AND key = ?1",
            (batch.0, due.unwrap_or(0).saturating_mul(sign)),
        )?;
    }
    Ok(())
}
