//! Orders of an IMEI that only the original of an older copy made anew: a person told it to, after the copy was made, and
//! here nobody knows of it. What had ended is taken for the last order of its IMEI, and the next word to order it anew would
//! pay for it again.
//!
//! So while the copy waits, a row from another time than any order of ours of its IMEI is what the original made. As with
//! an IMEI that isn't known at all, one that isn't finished is taken for ours, and one that is has its result remembered.

use std::time::Duration;

use super::super::JournalError;
use super::super::cleared::{Span, span_of};
use super::super::orders::{Loaded, Rules};
use super::super::restore;
use super::super::rows;
use super::super::tx::Tx;
use super::elsewhere::remember;
use super::row::ExportRow;
use super::{SettledBy, Unmatched};
use crate::order::State;
use crate::types::Timestamp;

/// Whether the newest order of a key can have been made anew by the original of this copy: here it is one of which a person
/// may say so, and nobody has said yet that the copy goes on.
pub(super) fn the_original_may_have_made_anew(tx: &Tx<'_>, newest: &Loaded) -> Result<bool, JournalError> {
    let life = &newest.life;
    let may_be = match life.state {
        State::Rejected | State::Refused => life.unproven() == 0,
        State::Cancelled => life.unproven() == 0 && life.charged == 0,
        _ => false,
    };
    Ok(may_be && restore::waits(tx)?.is_some())
}

/// Takes the first of these rows of a key that is of another time than all orders of ours as the original's.
pub(super) fn take(
    tx: &Tx<'_>,
    all: &[Loaded],
    rows: &[ExportRow],
    now: Timestamp,
    rules: &Rules,
) -> Result<Vec<SettledBy>, JournalError> {
    let mut is_taken = false;
    let mut came = Vec::with_capacity(rows.len());
    for row in rows {
        came.push(match is_of_another_time(tx, all, row, rules)? {
            None => SettledBy::Unmatched(Unmatched::NoDate),
            Some(false) => SettledBy::Settled,
            // A second one can be the same order, seen again.
            Some(true) if is_taken => SettledBy::Unmatched(Unmatched::More),
            Some(true) => {
                is_taken = true;
                enter(tx, all, row, now, rules)?;
                SettledBy::Settled
            }
        });
    }
    Ok(came)
}

/// Enters what the original made: the newest order that is known here makes room for it.
///
/// It is one commit, as all that an export's rows of a key change is. But nothing hangs on it: one that has made room
/// and has no successor is still the newest of its key, so that the same rows, read again from the export that lies there
/// until its end, find it as they did before. Meanwhile the copy waits, no file is taken in, and whoever says `imeid resume`
/// before the export is read goes on without what it tells, as he would with none of it entered.
pub(super) fn enter(
    tx: &Tx<'_>,
    all: &[Loaded],
    row: &ExportRow,
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    let (Some(newest), Some((service, imei))) = (all.last(), row.key()) else { return Ok(()) };
    rows::retire(tx, newest)?;
    remember(tx, row, service, imei, now, rules).map(drop)
}

/// Whether no attempt of these orders can be the row's; `None`: its date can't be placed, or when one was made isn't known.
pub(super) fn is_of_another_time(
    tx: &Tx<'_>,
    all: &[Loaded],
    row: &ExportRow,
    rules: &Rules,
) -> Result<Option<bool>, JournalError> {
    let Some(ordered) = row.placed else { return Ok(None) };
    for order in all {
        // What was answered was ordered before its answer came, and what was not until a quiet period later.
        let mut statement = tx.prepare(
            "SELECT claimed_at, ended_at, kind, via IS 'placed' FROM attempts LEFT JOIN charges \
             ON charges.order_id = attempts.order_id AND charges.n = attempts.n WHERE attempts.order_id = ?1",
        )?;
        let spans = statement.query_map([order.id.0], |row| {
            let quiet = if row.get(3)? { Duration::ZERO } else { rules.quiet };
            Ok(span_of(row.get(0)?, row.get(1)?, row.get(2)?, quiet))
        })?;
        for span in spans {
            let Some(span): Option<Span> = span? else { return Ok(None) };
            if span.meets(ordered) {
                return Ok(Some(false));
            }
        }
    }
    Ok(Some(true))
}
