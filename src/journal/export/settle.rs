//! Orders of ours that wait for evidence, settled by the rows that can be theirs.
//!
//! One that a person had made anew stands for those before it: what was sent of them and taken as not ordered can be shown by
//! a row, and it takes that row. It can't be sent then: it would be paid on top. What became of the row of one that was
//! never sent:
//!
//! | the newer order | then |
//! |---|---|
//! | queued, its file held or not | it has the row's charge and end, and isn't sent |
//! | on its way | the row is kept for its answer |
//! | in doubt, held, ordered without an id | it has the row's charge and end; what was sent of itself stays presumed |
//! | ordered or held with an id, or ended | both were taken: the alarm `double_charge` ([`beyond`](super::beyond)) |

use super::super::JournalError;
use super::super::kept;
use super::super::orders::{self, Loaded, Rules, Telling};
use super::super::restore;
use super::super::tx::Tx;
use super::elsewhere::set_result;
use super::row::{ExportRow, first_is_given_back, one_each};
use super::{SettledBy, Unmatched, anew, beyond, orders_of, waits_for_evidence};
use crate::order::{Event, Exported, State};
use crate::types::{OrderId, ProviderStatus, Timestamp};

/// Verdicts of attempts that may have been taken, or were.
const MAY_BE: &str = "0, 3, 4, 5, 6, 7, 8";

/// Settles the order of one key.
pub(in super::super) fn settle(
    tx: &Tx<'_>,
    rows: &[ExportRow],
    now: Timestamp,
    rules: &Rules,
) -> Result<Vec<SettledBy>, JournalError> {
    let Some((service, imei)) = rows.first().and_then(ExportRow::key) else { return Ok(Vec::new()) };
    let all = orders_of(tx, service, imei)?;
    let Some((newest, older)) = all.split_last() else { return Ok(vec![SettledBy::Settled; rows.len()]) };
    if newest.life.state == State::Submitting {
        return keep_for_the_answer(tx, newest.clone(), rows, now, rules);
    }
    if anew::the_original_may_have_made_anew(tx, newest)? {
        return anew::take(tx, &all, rows, now, rules);
    }
    let stands_for_older = stands_for_older(tx, &all)?;
    if !waits_for_evidence(newest) && !stands_for_older {
        // Settled since by something better.
        return Ok(vec![SettledBy::Settled; rows.len()]);
    }
    let from = first_attempt(tx, newest, older)?;
    let own_from = first_of(tx, newest.id, MAY_BE)?;
    let others = taken_by(tx, older)?;
    let mut judged: Vec<Option<Unmatched>> = rows.iter().map(|row| judge(row, from, &others)).collect();
    let own = one_each(rows.iter().zip(&judged).filter(|(_, why)| why.is_none()).map(|(row, _)| row));
    let mut order = newest.clone();
    match &own[..] {
        [] => {}
        [one] => {
            let is_older = match own_from {
                Some(own_from) => one.placed.is_some_and(|(_, latest)| latest < own_from),
                None => stands_for_older,
            };
            if is_older && order.life.id.is_some() {
                beyond::tell_twice(tx, rows, now, rules)?;
            } else {
                settle_by_one(tx, &mut order, one, is_older, now, rules)?;
            }
        }
        several => settle_by_several(tx, &mut order, several, now, rules)?,
    }
    // Two are booked: a person must look at it, whatever more there are.
    let booked = usize::try_from(order.life.charged).unwrap_or(usize::MAX).max(1);
    let more: Vec<u64> = own.iter().skip(booked).map(|row| row.line).collect();
    for (_, why) in rows.iter().zip(&mut judged).filter(|(row, _)| more.contains(&row.line)) {
        *why = Some(Unmatched::More);
    }
    // Where none is the newest order's own, one of an older one's time can still be it.
    let are_older_known = stands_for_older || !own.is_empty();
    Ok(judged
        .into_iter()
        .map(|why| match why {
            None => SettledBy::Settled,
            Some(Unmatched::OlderOrder) if are_older_known => SettledBy::Ours,
            Some(why) => SettledBy::Unmatched(why),
        })
        .collect())
}

/// Whether the newest of a key's orders was made anew by a person, was never sent, and what was sent of one before it was
/// only taken as not ordered.
pub(super) fn stands_for_older(tx: &Tx<'_>, all: &[Loaded]) -> Result<bool, JournalError> {
    let Some((newest, older)) = all.split_last() else { return Ok(false) };
    if newest.life.state != State::Queued || newest.life.unproven() > 0 {
        return Ok(false);
    }
    for order in older.iter().filter(|order| order.retried) {
        if order.life.inferred > 0 || first_of(tx, order.id, "8")?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// When the first of an order's attempts with these verdicts began, but for those that were entered on evidence: when they
/// began isn't known.
fn first_of(tx: &Tx<'_>, order: OrderId, verdicts: &str) -> Result<Option<i64>, JournalError> {
    let sql = format!(
        "SELECT min(claimed_at) FROM attempts WHERE order_id = ?1 AND (kind <> 2 OR verdict = 3) AND verdict IN ({verdicts})"
    );
    Ok(tx.find(&sql, [order.0], |row| row.get(0))?.flatten())
}

fn keep_for_the_answer(
    tx: &Tx<'_>,
    mut order: Loaded,
    rows: &[ExportRow],
    now: Timestamp,
    rules: &Rules,
) -> Result<Vec<SettledBy>, JournalError> {
    for row in rows {
        let telling = Telling { what: "exported", text: "kept for its answer", via: "export", quiet: true };
        let event = Event::Exported(Exported::One(row.status()));
        orders::advance(tx, &mut order, &event, now, rules, &telling)?;
        kept::keep(tx, row, order.service, order.imei, now)?;
    }
    Ok(vec![SettledBy::Kept; rows.len()])
}

/// When the first attempt began that the export can be about: of those whose outcome isn't proven, and, where its answer
/// never came, of the one that is charged. A charge that stands for the key's other orders began with theirs.
fn first_attempt(tx: &Tx<'_>, newest: &Loaded, older: &[Loaded]) -> Result<Option<Timestamp>, JournalError> {
    let mut first = first_of(tx, newest.id, "0, 3, 4, 5, 6, 7")?;
    for order in older {
        let verdicts = if order.retried { "3, 4, 5, 6, 7, 8" } else { "3, 4, 5, 6, 7" };
        first = first.into_iter().chain(first_of(tx, order.id, verdicts)?).min();
    }
    // The provider has it, and no attempt of this journal is known that it could be: one that was an older copy lacks it.
    let may_be_theirs = newest.life.presumed > 0 || newest.life.charged > newest.life.named;
    if first.is_none() && may_be_theirs && restore::was_copy(tx)? {
        return Ok(Some(Timestamp::from_millis(0)));
    }
    Ok(first.map(Timestamp::from_millis))
}

/// When the key's older orders were taken: rows from then are theirs.
fn taken_by(tx: &Tx<'_>, older: &[Loaded]) -> Result<Vec<(i64, i64)>, JournalError> {
    let mut taken = Vec::new();
    for order in older {
        let mut statement = tx.prepare(
            "SELECT claimed_at, coalesce(ended_at, claimed_at) FROM attempts WHERE order_id = ?1 AND kind < 2 AND verdict = 0",
        )?;
        let found = statement.query_map([order.id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for attempt in found {
            taken.push(attempt?);
        }
    }
    Ok(taken)
}

/// Why a row can't be the order's, if it can't.
fn judge(row: &ExportRow, from: Option<Timestamp>, others: &[(i64, i64)]) -> Option<Unmatched> {
    let Some(from) = from else { return Some(Unmatched::NoAttempt) };
    let Some((earliest, latest)) = row.placed else { return Some(Unmatched::NoDate) };
    if others.iter().any(|(begun, ended)| earliest <= *ended && latest >= *begun) {
        return Some(Unmatched::OlderOrder);
    }
    (latest < from.millis()).then_some(Unmatched::Before)
}

pub(super) fn settle_by_one(
    tx: &Tx<'_>,
    order: &mut Loaded,
    row: &ExportRow,
    is_older: bool,
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    let pending = row.status() == ProviderStatus::Pending;
    if pending && order.life.state == State::OrderedNoId && order.life.charged > 0 {
        return Ok(());
    }
    let text = row.told();
    let telling = Telling { what: "exported", text: &text, via: "export", quiet: false };
    let exported = if is_older { Exported::Older } else { Exported::One };
    let event = Event::Exported(exported(row.status()));
    if orders::advance(tx, order, &event, now, rules, &telling)?.is_none() {
        return Ok(());
    }
    keep_raw(tx, order.id, row, now)?;
    if row.status().has_ended() { set_result(tx, order.id, row) } else { Ok(()) }
}

fn settle_by_several(
    tx: &Tx<'_>,
    order: &mut Loaded,
    rows: &[&ExportRow],
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    // Read again, or known from a listing: the alarm was raised then.
    if order.life.state == State::Held && order.life.charged >= 2 {
        return Ok(());
    }
    order.first_given_back = first_is_given_back(rows.iter().copied());
    let lines: Vec<String> = rows.iter().map(|row| row.line.to_string()).collect();
    let text = format!("lines {} of an export are all of this IMEI", lines.join(", "));
    let telling = Telling { what: "exported", text: &text, via: "export", quiet: false };
    orders::advance(tx, order, &Event::Exported(Exported::Several), now, rules, &telling)?;
    for row in rows {
        keep_raw(tx, order.id, row, now)?;
    }
    orders::held_for(tx, order.id, Some(&text))
}

pub(super) fn keep_raw(
    tx: &Tx<'_>,
    order: OrderId,
    row: &ExportRow,
    now: Timestamp,
) -> Result<(), JournalError> {
    tx.execute(
        "INSERT INTO answers (order_id, at, kind, body) VALUES (?1, ?2, 'export', ?3)",
        (order.0, now.millis(), row.raw.as_bytes()),
    )?;
    Ok(())
}
