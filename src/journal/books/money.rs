//! What an attempt's price is booked as: a line of the ledger for every move, and its sums.

use super::super::JournalError;
use super::super::balance;
use super::super::codes::Verdict;
use super::super::orders::Loaded;
use super::super::sums::Amounts;
use super::super::tx::Tx;
use super::super::wake::Rung;
use super::attempts::{AttemptRow, oldest};
use crate::types::{BatchId, Money, Timestamp};

/// A column of `totals`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    Reserved,
    Presumed,
    Charged,
    None,
}

/// Books the price of an attempt as `to`, which was booked as `from`.
pub(super) fn move_money(
    tx: &Tx<'_>,
    order: &Loaded,
    row: &AttemptRow,
    now: Timestamp,
    from: Account,
    to: Account,
) -> Result<(), JournalError> {
    let kind = match (from, to) {
        (_, Account::Reserved) => "reserve",
        (_, Account::Presumed) => "presume",
        (_, Account::Charged) => "charge",
        (Account::Presumed, Account::None) => balance::UNPRESUME,
        (_, Account::None) => "release",
    };
    let by = amounts(row, from, to);
    if by.reserved == 0 {
        balance::moves(tx, order, row, by)?;
    }
    ledger(tx, order, row.n, row.day, now, kind, row.price)?;
    if to == Account::None {
        // There is room under the day's cap again.
        tx.ring(Rung::SUBMIT);
    }
    move_totals(tx, order.batch, row, by);
    Ok(())
}

/// Adds to the totals what a claim has reserved for an order of this batch. Its ledger's line is the caller's.
pub(in super::super) fn reserved(tx: &Tx<'_>, batch: BatchId, row: &AttemptRow) {
    move_totals(tx, batch, row, amounts(row, Account::None, Account::Reserved));
}

fn amounts(row: &AttemptRow, from: Account, to: Account) -> Amounts {
    let price = row.price.micros();
    let delta = |account: Account| match (account == to, account == from) {
        (true, false) => price,
        (false, true) => price.saturating_neg(),
        _ => 0,
    };
    Amounts {
        reserved: delta(Account::Reserved),
        presumed: delta(Account::Presumed),
        charged: delta(Account::Charged),
    }
}

fn move_totals(tx: &Tx<'_>, batch: BatchId, row: &AttemptRow, by: Amounts) {
    tx.add(|sums| {
        sums.total("day", row.day, by);
        sums.total("batch", batch.0, by);
    });
}

fn ledger(
    tx: &Tx<'_>,
    order: &Loaded,
    n: u32,
    day: i64,
    now: Timestamp,
    kind: &str,
    amount: Money,
) -> Result<(), JournalError> {
    tx.execute(
        "INSERT INTO ledger (at, order_id, n, batch, day, kind, micros) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (now.millis(), order.id.0, n, order.batch.0, day, kind, amount.micros()),
    )?;
    Ok(())
}

pub(super) fn refund(
    tx: &Tx<'_>,
    order: &Loaded,
    now: Timestamp,
    kind: &str,
    sign: i64,
) -> Result<(), JournalError> {
    let Some(row) = oldest(tx, order.id, Verdict::Taken)? else { return Ok(()) };
    ledger(tx, order, row.n, row.day, now, kind, row.price)?;
    for (scope, key) in [("day", row.day), ("batch", order.batch.0)] {
        tx.execute(
            "UPDATE totals SET refund = refund + ?3 WHERE scope = ?1 AND key = ?2",
            (scope, key, row.price.micros().saturating_mul(sign)),
        )?;
    }
    if sign > 0 {
        balance::refund_is_due(tx, &tx.account(order.service)?, order.id, row.n, row.price)?;
    }
    Ok(())
}
