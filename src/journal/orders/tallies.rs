//! What the rows of each batch are counted under, as their orders move.

use std::collections::BTreeMap;

use super::super::JournalError;
use super::super::codes::{Link, TALLY_DUPLICATE, state_code};
use super::super::tx::Tx;
use super::Loaded;
use crate::order::State;
use crate::types::{BatchId, RowId};

/// What its rows are counted under.
pub(in super::super) const fn tally_state(order: &Loaded) -> i64 {
    match order.life.state {
        State::OrderedElsewhere if order.earlier.is_some() => TALLY_DUPLICATE,
        State::OrderedElsewhere if order.life.is_result_rejected => state_code(State::Rejected),
        State::OrderedElsewhere if order.life.has_result => TALLY_DUPLICATE,
        state => state_code(state),
    }
}

pub(super) fn move_tallies(tx: &Tx<'_>, order: &Loaded, from: i64, to: i64) -> Result<(), JournalError> {
    if has_own_row(tx, order)? {
        move_tally(tx, order.batch, Link::Own, from, to, 1);
    }
    if order.joined {
        let joined = "SELECT id FROM rows WHERE order_id = ?1 AND link = 1";
        move_others(tx, order, (joined, Link::Joined), from, to)?;
    }
    // Nothing was answered from it before it had ended.
    if from >= state_code(State::Completed) {
        let answered = "SELECT id FROM rows WHERE order_id = ?1 AND link IN (2, 4) AND link = 2";
        move_others(tx, order, (answered, Link::Earlier), from, to)?;
    }
    Ok(())
}

/// The tallies of the rows that stand to the order in one way.
fn move_others(
    tx: &Tx<'_>,
    order: &Loaded,
    (which, link): (&str, Link),
    from: i64,
    to: i64,
) -> Result<(), JournalError> {
    let mut others: BTreeMap<BatchId, i64> = BTreeMap::new();
    let mut statement = tx.prepare(which)?;
    let mut rows = statement.query([order.id.0])?;
    while let Some(row) = rows.next()? {
        let count = others.entry(RowId(row.get(0)?).batch()).or_default();
        *count = count.saturating_add(1);
    }
    for (batch, count) in others {
        move_tally(tx, batch, link, from, to, count);
    }
    Ok(())
}

/// Whether its own row still shows this order: one that was made anew may have taken the row over, and one that only
/// an export told of never had a row.
fn has_own_row(tx: &Tx<'_>, order: &Loaded) -> Result<bool, JournalError> {
    if order.batch.0 == 0 {
        return Ok(false);
    }
    // One that was never in doubt has it from the commit that opened its batch on. In an older copy an order can be in
    // doubt before its batch is open, or when its file was taken back.
    if !order.retried && order.doubt_first.is_none() {
        return Ok(true);
    }
    let found = tx.find(
        "SELECT 1 FROM rows WHERE id = ?1 AND order_id = ?2 AND link = 0",
        (order.first_row.0, order.id.0),
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

fn move_tally(tx: &Tx<'_>, batch: BatchId, link: Link, from: i64, to: i64, count: i64) {
    tx.add(|sums| {
        sums.tally(batch, from, link, count.saturating_neg());
        sums.tally(batch, to, link, count);
    });
}

/// Counts one row of a batch under another state or link than before.
pub(in super::super) fn recount_row(
    tx: &Tx<'_>,
    batch: BatchId,
    (from, link): (i64, Link),
    (to, new_link): (i64, Link),
) {
    tx.add(|sums| {
        sums.tally(batch, from, link, -1);
        sums.tally(batch, to, new_link, 1);
    });
}

pub(in super::super) fn add_tally(tx: &Tx<'_>, batch: BatchId, link: Link, state: i64, count: i64) {
    tx.add(|sums| sums.tally(batch, state, link, count));
}
