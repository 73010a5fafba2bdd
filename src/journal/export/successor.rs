//! Orders that the original of an older copy made after one that hasn't ended in the copy, or is answered there. It ended
//! otherwise for the original, or longer ago than `recheck_after`, and the IMEI was ordered anew.
//!
//! Here that order keeps its place until it has ended. So the export's row is kept beside it: once it is given back the row is
//! entered, as [`anew`](super::anew) does at once, and as long as it is answered its age makes no room for another.

use serde::{Deserialize, Serialize};

use super::super::orders::{self, Loaded, Rules};
use super::super::tx::Tx;
use super::super::{Journal, JournalError, restore, rows};
use super::row::{ExportRow, one_each};
use super::{anew, elsewhere, orders_of};
use crate::order::State;
use crate::types::{OrderId, Timestamp};

/// Kept as a fact of the order, until it is entered.
#[derive(Serialize, Deserialize)]
struct Successor {
    row: ExportRow,
    /// What the journal was known as an older copy by.
    copy: String,
}

fn fact(order: OrderId) -> String {
    format!("successor:{order}")
}

fn find(tx: &Tx<'_>, order: OrderId) -> Result<Option<Successor>, JournalError> {
    let Some(text) = tx.fact(&fact(order))? else { return Ok(None) };
    let kept = serde_json::from_str(&text);
    kept.map(Some).map_err(|error| JournalError::Unknown(format!("what followed order {order}: {error}")))
}

impl Journal {
    /// Keeps the first of these rows, all of one key and beyond our orders of it, beside the newest of them, where the
    /// original of this copy can have made it. Gives its line, and those that show the same order.
    ///
    /// # Errors
    /// The journal can't be read or written.
    pub async fn keep_successor(
        &self,
        beyond: Vec<ExportRow>,
        now: Timestamp,
        rules: Rules,
    ) -> Result<Vec<u64>, JournalError> {
        self.write(move |tx| keep(tx, &beyond, now, &rules)).await
    }
}

fn keep(tx: &Tx<'_>, beyond: &[ExportRow], now: Timestamp, rules: &Rules) -> Result<Vec<u64>, JournalError> {
    let Some((service, imei)) = beyond.first().and_then(ExportRow::key) else { return Ok(Vec::new()) };
    let all = orders_of(tx, service, imei)?;
    let Some(newest) = all.last() else { return Ok(Vec::new()) };
    // What has ended without an answer makes room at once; what is in doubt is settled by its rows.
    if !matches!(newest.life.state, State::Ordered | State::Completed) || newest.life.unproven() > 0 {
        return Ok(Vec::new());
    }
    let mut known = find(tx, newest.id)?;
    let copy = restore::waits(tx)?;
    let mut lines = Vec::new();
    for row in one_each(beyond) {
        let is_it = match (&known, &copy) {
            (Some(known), _) => known.row.is_same_order(row),
            (None, Some(_)) => anew::is_of_another_time(tx, &all, row, rules)? == Some(true),
            (None, None) => false,
        };
        if !is_it {
            continue;
        }
        lines.push(row.line);
        let tells_more = known.as_ref().is_none_or(|known| !known.row.status().has_ended());
        if !tells_more {
            continue;
        }
        let copy = known.take().map(|known| known.copy).or_else(|| copy.clone()).unwrap_or_default();
        let successor = Successor { row: row.clone(), copy };
        let text =
            serde_json::to_string(&successor).map_err(|error| JournalError::Unknown(error.to_string()))?;
        if tx.fact(&fact(newest.id))?.as_ref() != Some(&text) {
            tx.set_fact(&fact(newest.id), &text)?;
            tx.event(now, Some(newest.id), None, "ordered anew since", &row.told())?;
        }
        known = Some(successor);
    }
    Ok(lines)
}

/// Enters what was kept beside this order, the newest of its key, where it has ended and makes room. Whether it did.
pub(in super::super) fn enter(
    tx: &Tx<'_>,
    order: &Loaded,
    now: Timestamp,
    rules: &Rules,
) -> Result<bool, JournalError> {
    if order.life.state != State::Rejected || order.life.unproven() > 0 {
        return Ok(false);
    }
    let Some(Successor { row, copy }) = find(tx, order.id)? else { return Ok(false) };
    tx.execute("DELETE FROM facts WHERE key = ?1", [fact(order.id)])?;
    let is_newest =
        orders::current(tx, order.service, order.imei)?.is_some_and(|newest| newest.id == order.id);
    if !is_newest {
        return Ok(false);
    }
    rows::retire(tx, order)?;
    if row.status().has_ended() {
        elsewhere::remember(tx, &row, order.service, order.imei, now, rules)?;
    } else {
        elsewhere::take_for_ours(tx, &row, (order.service, order.imei), &copy, now, rules)?;
    }
    Ok(true)
}

/// Whether one that was kept beside this order isn't older than `finished_before` itself: then no other one is made.
pub(in super::super) fn stands(
    tx: &Tx<'_>,
    order: OrderId,
    finished_before: Option<Timestamp>,
) -> Result<bool, JournalError> {
    let Some(Successor { row, .. }) = find(tx, order)? else { return Ok(false) };
    // The time zone of its date isn't known; placed it is, where an order of ours could tell.
    let ordered = row.placed.map(|(_, latest)| latest);
    Ok(match (ordered, finished_before) {
        (Some(ordered), Some(limit)) => ordered >= limit.millis(),
        _ => true,
    })
}
