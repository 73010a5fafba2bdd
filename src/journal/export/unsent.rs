//! An order that was made anew and not sent yet, and a row beyond our orders of its IMEI: someone ordered it since the one before
//! it ended without an answer. That answers it free, as it does one of which we know no order before. While an older copy
//! waits for a person's word it is taken as made by the copy's original: it is charged, and what was made anew stands for it.

use super::super::orders::{Loaded, Rules};
use super::super::restore;
use super::super::tx::Tx;
use super::super::{Journal, JournalError};
use super::elsewhere::answer_elsewhere;
use super::row::ExportRow;
use super::{anew, is_taking, orders_of, settle};
use crate::order::State;
use crate::types::{ProviderStatus, Timestamp};

impl Journal {
    /// Answers the newest order of a key by the last completed one of these rows, all of that key and beyond our orders of it,
    /// where it was never sent. Gives its line, if there is one.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn answer_unsent(
        &self,
        beyond: Vec<ExportRow>,
        now: Timestamp,
        rules: Rules,
    ) -> Result<Option<u64>, JournalError> {
        self.write(move |tx| answer(tx, &beyond, now, &rules)).await
    }
}

fn answer(
    tx: &Tx<'_>,
    beyond: &[ExportRow],
    now: Timestamp,
    rules: &Rules,
) -> Result<Option<u64>, JournalError> {
    let Some((service, imei)) = beyond.first().and_then(ExportRow::key) else { return Ok(None) };
    let all = orders_of(tx, service, imei)?;
    let Some((newest, older)) = all.split_last() else { return Ok(None) };
    let is_unsent =
        newest.life.state == State::Queued && newest.life.unproven() == 0 && !is_taking(tx, newest)?;
    // What was answered is asked again for its age: a row of any age doesn't answer that.
    if !is_unsent || older.is_empty() || older.iter().any(has_answer) || settle::stands_for_older(tx, &all)? {
        return Ok(None);
    }
    let mut since: Vec<&ExportRow> = Vec::new();
    let is_copy = restore::waits(tx)?.is_some();
    // What was given back to someone else is no answer for who wants it ordered again.
    for row in beyond.iter().filter(|row| is_copy || row.status() == ProviderStatus::Completed) {
        let is_after = row.placed.zip(last_end(tx, older)?).is_some_and(|((from, _), ended)| from > ended);
        if is_after && anew::is_of_another_time(tx, &all, row, rules)? == Some(true) {
            since.push(row);
        }
    }
    let Some(row) = since.into_iter().max_by_key(|row| row.placed) else { return Ok(None) };
    if is_copy {
        settle::settle_by_one(tx, &mut newest.clone(), row, true, now, rules)?;
    } else {
        answer_elsewhere(tx, &mut newest.clone(), row, now, rules, false)?;
    }
    Ok(Some(row.line))
}

const fn has_answer(order: &Loaded) -> bool {
    matches!(order.life.state, State::Completed)
}

/// When the last attempt of these orders ended.
fn last_end(tx: &Tx<'_>, orders: &[Loaded]) -> Result<Option<i64>, JournalError> {
    let mut last = None;
    for order in orders {
        let sql = "SELECT max(coalesce(ended_at, claimed_at)) FROM attempts WHERE order_id = ?1";
        last = last.max(tx.find(sql, [order.id.0], |row| row.get::<_, Option<i64>>(0))?.flatten());
    }
    Ok(last)
}
