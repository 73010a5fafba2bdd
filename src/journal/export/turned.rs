//! Orders of ours that had ended, and that an export shows with the other end.
//!
//! An export doesn't say when it was made, and an old one shows what was so then. It is taken at its word where an order of
//! ours that began after the last answer is in it. Otherwise people are told, and nothing is changed.

use super::super::JournalError;
use super::super::books;
use super::super::orders::{self, Loaded, Rules, Telling};
use super::super::poll;
use super::super::tx::Tx;
use super::row::ExportRow;
use super::settle::keep_raw;
use super::{attempt_of, elsewhere, orders_of};
use crate::journal::listing::has_other_end;
use crate::order::{Alarm, Event};
use crate::types::Timestamp;

/// What came of a row that shows another end than the order of ours came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedBy {
    /// The order has that end now, or had it before.
    Turned,
    /// It can't be told whether the row or our last answer is the newer one: people are told, the order is as it was.
    Unsure,
    /// Its date can't be placed.
    NoDate,
    /// It was ordered at another time than ours: by hand.
    NotOurs,
}

/// Holds a row against the one order of its key. `made_after`: when an order of ours began that is in the same export,
/// and no other row of the key is.
pub(super) fn turn(
    tx: &Tx<'_>,
    row: &ExportRow,
    made_after: Option<Timestamp>,
    now: Timestamp,
    rules: &Rules,
) -> Result<TurnedBy, JournalError> {
    let Some((service, imei)) = row.key() else { return Ok(TurnedBy::NotOurs) };
    let [order] = &mut orders_of(tx, service, imei)?[..] else { return Ok(TurnedBy::NotOurs) };
    // Whatever came meanwhile tells as much.
    if !has_other_end(order, row.status()) {
        return Ok(TurnedBy::Turned);
    }
    let Some((begun, ended)) = attempt_of(tx, order)? else { return Ok(TurnedBy::NotOurs) };
    let Some((earliest, latest)) = row.placed else { return Ok(TurnedBy::NoDate) };
    if latest < begun.millis() || earliest > ended.millis() {
        return Ok(TurnedBy::NotOurs);
    }
    let answered = poll::last_answered(tx, order)?;
    if made_after.is_none_or(|after| after <= answered || after > now) {
        tell(tx, order, row, now)?;
        return Ok(TurnedBy::Unsure);
    }
    keep_raw(tx, order.id, row, now)?;
    elsewhere::set_result(tx, order.id, row)?;
    let text = format!("line {} of an export, ordered on {}", row.line, row.cells.date);
    let telling = Telling { what: "exported", text: &text, via: "export", quiet: false };
    orders::advance(tx, order, &Event::Status(row.status()), now, rules, &telling)?;
    Ok(TurnedBy::Turned)
}

/// Once, until someone has seen it: an export is read again after a crash.
fn tell(tx: &Tx<'_>, order: &Loaded, row: &ExportRow, now: Timestamp) -> Result<(), JournalError> {
    let text = format!(
        "an export says {:?} of IMEI {} (order {}), which is {} here, and it can't be told which is newer: look it up at the \
         provider. An export that has a later order of ours in it is taken at its word",
        row.status(),
        order.imei,
        order.id,
        order.life.state.as_str()
    );
    if books::open_alarm(tx, Alarm::StatusChanged, &text)?.is_some() {
        return Ok(());
    }
    books::alarm(tx, now, Alarm::StatusChanged, &text, order)
}
