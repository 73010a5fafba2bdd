//! The rows of attempts: which one an effect is about, and how it ended.

use super::super::JournalError;
use super::super::codes::Verdict;
use super::super::orders::Loaded;
use super::super::tx::Tx;
use super::Account;
use crate::order::Source;
use crate::types::{Money, OrderId, Timestamp};

/// An attempt, as far as its money goes.
#[derive(Clone, Debug)]
pub(in super::super) struct AttemptRow {
    pub(in super::super) n: u32,
    pub(in super::super) price: Money,
    pub(in super::super) day: i64,
    /// The highest id of the provider's that we knew when it was claimed.
    pub(in super::super) known_id: i64,
}

pub(super) fn in_flight(tx: &Tx<'_>, order: OrderId) -> Result<Option<AttemptRow>, JournalError> {
    tx.find(
        "SELECT n, price, day, known_id FROM attempts WHERE order_id = ?1 AND verdict IS NULL",
        [order.0],
        read_attempt,
    )
}

pub(super) fn oldest(
    tx: &Tx<'_>,
    order: OrderId,
    verdict: Verdict,
) -> Result<Option<AttemptRow>, JournalError> {
    tx.find(
        "SELECT n, price, day, known_id FROM attempts WHERE order_id = ?1 AND verdict = ?2 ORDER BY n LIMIT 1",
        (order.0, verdict.code()),
        read_attempt,
    )
}

/// The oldest attempt that is charged and whose id isn't known.
fn oldest_unnamed(tx: &Tx<'_>, order: OrderId) -> Result<Option<AttemptRow>, JournalError> {
    tx.find(
        "SELECT n, price, day, known_id FROM attempts WHERE order_id = ?1 AND verdict = 0 \
         AND n NOT IN (SELECT n FROM charges WHERE order_id = ?1 AND n IS NOT NULL) ORDER BY n LIMIT 1",
        [order.0],
        read_attempt,
    )
}

fn read_attempt(row: &rusqlite::Row<'_>) -> rusqlite::Result<AttemptRow> {
    Ok(AttemptRow {
        n: row.get(0)?,
        price: Money::from_micros(row.get(1)?),
        day: row.get(2)?,
        known_id: row.get(3)?,
    })
}

pub(super) fn set_verdict(
    tx: &Tx<'_>,
    order: OrderId,
    n: u32,
    verdict: Verdict,
    now: Timestamp,
) -> Result<(), JournalError> {
    tx.execute_one(
        "an attempt's verdict",
        "UPDATE attempts SET verdict = ?3, ended_at = coalesce(ended_at, ?4) WHERE order_id = ?1 AND n = ?2",
        (order.0, n, verdict.code(), now.millis()),
    )
}

/// Ends an attempt that was not read since it was claimed, if it is still as it was then.
pub(super) fn end_as_claimed(
    tx: &Tx<'_>,
    order: OrderId,
    claimed: &AttemptRow,
    verdict: Verdict,
    now: Timestamp,
) -> Result<(), JournalError> {
    tx.execute_one(
        "the verdict of an attempt as it was claimed",
        "UPDATE attempts SET verdict = ?3, ended_at = ?4 WHERE order_id = ?1 AND n = ?2 AND verdict IS NULL \
         AND ended_at IS NULL AND price = ?5 AND day = ?6 AND known_id = ?7",
        (
            order.0,
            claimed.n,
            verdict.code(),
            now.millis(),
            claimed.price.micros(),
            claimed.day,
            claimed.known_id,
        ),
    )
}

/// The attempt that a charge or a presumption is about, and where its price stands.
pub(super) fn source(
    tx: &Tx<'_>,
    order: &Loaded,
    from: Source,
) -> Result<Option<(AttemptRow, Account)>, JournalError> {
    if let (Source::InFlight, Some(claimed)) = (from, &order.attempt) {
        return Ok(Some((claimed.clone(), Account::Reserved)));
    }
    let order = order.id;
    let row = match from {
        Source::InFlight => in_flight(tx, order)?.map(|row| (row, Account::Reserved)),
        Source::Unaccounted => oldest(tx, order, Verdict::Unknown)?.map(|row| (row, Account::Reserved)),
        Source::Presumed => oldest(tx, order, Verdict::Presumed)?.map(|row| (row, Account::Presumed)),
        Source::Inferred => {
            let mut found = None;
            for verdict in [Verdict::Absent, Verdict::Word, Verdict::Once] {
                found = found.or(oldest(tx, order, verdict)?);
            }
            found.map(|row| (row, Account::None))
        }
        Source::Booked => oldest_unnamed(tx, order)?.map(|row| (row, Account::Charged)),
        Source::None => return Ok(None),
    };
    match row {
        Some(found) => Ok(Some(found)),
        None => Err(JournalError::Unknown(format!("order {order} has no attempt {from:?}"))),
    }
}
