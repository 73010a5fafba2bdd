//! Cancelling: what of a batch isn't sent yet, or one order.
//!
//! A batch's cancelling is a standing wish: nothing more of it is claimed from the moment it is durable, and an order
//! that comes back to its queue afterwards (a 429, a release) is cancelled too.

use super::codes::{BatchState, Link, state_code};
use super::orders::{self, COLUMNS, Loaded, Rules, Telling};
use super::requests::{Request, RequestAnswer};
use super::resolve;
use super::tx::Tx;
use super::wake::Rung;
use super::{JournalError, adopt};
use crate::order::{Event, State, Word};
use crate::types::{BatchId, RowId, Timestamp};

/// Orders in one transaction.
const SLICE: usize = 200;

/// States from which an order may still be stopped: queued, or on its way and possibly back in the queue.
const CAN_STILL_STOP: &str = "0, 1, 2";

/// One order: not sent yet, or held.
pub(super) fn order(
    tx: &Tx<'_>,
    request: &Request,
    order: &mut Loaded,
    now: Timestamp,
    rules: &Rules,
) -> Result<RequestAnswer, JournalError> {
    if let Some(nothing) = resolve::say(tx, request, order, Word::Cancel, now, rules)? {
        return Ok(nothing);
    }
    tx.ring(Rung::OUTBOX);
    let life = &order.life;
    let stays = if life.charged > 0 || life.unproven() > life.inferred {
        ": what was or may have been charged stays in the books, and it is not ordered again"
    } else if life.inferred > 0 {
        ": an attempt of it was sent and taken as not ordered, so no file orders it again; imeid retry --not-charged does"
    } else {
        ""
    };
    Ok(RequestAnswer::done(format!("IMEI {} is cancelled{stays}", order.imei)))
}

/// A batch. `None`: there is more to do.
pub(super) fn batch(
    tx: &Tx<'_>,
    request: &Request,
    batch: BatchId,
    now: Timestamp,
    rules: &Rules,
) -> Result<Option<RequestAnswer>, JournalError> {
    let found: Option<(String, i64, bool)> = tx.find(
        "SELECT name, state, cancelled_at IS NOT NULL FROM batches WHERE id = ?1",
        [batch.0],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let Some((name, code, wished)) = found else {
        return Ok(Some(RequestAnswer::nothing("there is no such batch")));
    };
    match BatchState::of(code) {
        Some(BatchState::Taking) => {
            let why = format!("{name} is still being taken in: say it again in a moment");
            return Ok(Some(RequestAnswer::nothing(why)));
        }
        Some(BatchState::Done) => return Ok(Some(RequestAnswer::nothing(format!("{name} is done already")))),
        Some(BatchState::Cancelled) => {
            return Ok(Some(RequestAnswer::nothing(format!("{name} is cancelled already"))));
        }
        _ => {}
    }
    if !wished {
        // Held before anything of it was sent, it is all left to cancel.
        if BatchState::of(code) != Some(BatchState::Held) && rows_in(tx, batch, CAN_STILL_STOP)? == 0 {
            let stays = what_stays(tx, batch)?;
            return Ok(Some(RequestAnswer::nothing(format!("{name}: nothing is left to cancel{stays}"))));
        }
        tx.execute_one(
            "a batch's cancelling",
            "UPDATE batches SET cancelled_at = ?2 WHERE id = ?1",
            (batch.0, now.millis()),
        )?;
        tx.event(now, None, Some(batch), "word", &request.told())?;
        return Ok(None);
    }
    if slice(tx, batch, &request.told(), now, rules)? {
        return Ok(None);
    }
    // Held before anything of it was sent: now there is nothing left to hold back.
    tx.execute("UPDATE batches SET state = 1 WHERE id = ?1 AND state = 2", [batch.0])?;
    tx.ring(Rung::OUTBOX);
    what_became(tx, batch, &name).map(Some)
}

/// Cancels the next queued orders of a batch, or passes them to the row of another that waits for them. Whether there
/// may be more.
pub(super) fn slice(
    tx: &Tx<'_>,
    batch: BatchId,
    text: &str,
    now: Timestamp,
    rules: &Rules,
) -> Result<bool, JournalError> {
    let sql =
        format!("SELECT {COLUMNS} FROM orders WHERE state = 0 AND batch = ?1 ORDER BY due_at, id LIMIT ?2");
    let mut queued = Vec::new();
    {
        let mut statement = tx.prepare(&sql)?;
        let mut rows = statement.query((batch.0, i64::try_from(SLICE).unwrap_or(i64::MAX)))?;
        while let Some(row) = rows.next()? {
            queued.push(orders::read(row)?);
        }
    }
    let more = queued.len() == SLICE;
    let telling = Telling { what: "word", text, via: "word", quiet: false };
    for order in &mut queued {
        match heir(tx, order)? {
            Some(row) => pass(tx, order, row, text, now)?,
            None => {
                orders::advance(tx, order, &Event::Word(Word::Cancel), now, rules, &telling)?;
            }
        }
    }
    Ok(more)
}

/// The first row of another batch that waits for the order.
pub(super) fn heir(tx: &Tx<'_>, order: &Loaded) -> Result<Option<RowId>, JournalError> {
    if !order.joined {
        return Ok(None);
    }
    tx.find(
        "SELECT rows.id FROM rows JOIN batches ON batches.id = rows.id >> 32 \
         WHERE rows.order_id = ?1 AND rows.link = 1 AND batches.id <> ?2 AND batches.cancelled_at IS NULL \
         ORDER BY rows.id LIMIT 1",
        (order.id.0, order.batch.0),
        |row| row.get(0).map(RowId),
    )
}

/// The order goes on for another batch's row. Its rows in this one end as cancelled.
fn pass(tx: &Tx<'_>, order: &mut Loaded, to: RowId, text: &str, now: Timestamp) -> Result<(), JournalError> {
    let state = orders::tally_state(order);
    let cancelled = (state_code(State::Cancelled), Link::Left);
    let from = (order.batch, order.first_row);
    relink(tx, from.1, Link::Own, Link::Left)?;
    orders::recount_row(tx, from.0, (state, Link::Own), cancelled);
    for row in joined_rows(tx, order, from.0)? {
        relink(tx, row, Link::Joined, Link::Left)?;
        orders::recount_row(tx, from.0, (state, Link::Joined), cancelled);
    }
    adopt::pass_on(tx, order, to)?;
    (order.batch, order.first_row) = (to.batch(), to);
    let detail = format!("to row {} of batch {}, which waits for it: {text}", to.row(), to.batch());
    tx.event(now, Some(order.id), None, "passed", &detail)?;
    tx.ring(Rung::SUBMIT.and(Rung::OUTBOX));
    Ok(())
}

/// The rows of a batch that wait for another row's order.
pub(super) fn joined_rows(tx: &Tx<'_>, order: &Loaded, batch: BatchId) -> Result<Vec<RowId>, JournalError> {
    let mut statement = tx.prepare(
        "SELECT id FROM rows WHERE order_id = ?1 AND link = 1 AND id BETWEEN ?2 AND ?3 ORDER BY id",
    )?;
    let range = (order.id.0, RowId::new(batch, 0).0, RowId::new(batch, u32::MAX).0);
    let rows = statement.query_map(range, |row| row.get(0).map(RowId))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn relink(tx: &Tx<'_>, row: RowId, from: Link, to: Link) -> Result<(), JournalError> {
    tx.execute_one(
        "a row's link",
        "UPDATE rows SET link = ?3 WHERE id = ?1 AND link = ?2",
        (row.0, from.code(), to.code()),
    )
}

fn what_became(tx: &Tx<'_>, batch: BatchId, name: &str) -> Result<RequestAnswer, JournalError> {
    let cancelled = rows_in(tx, batch, "10")?;
    let rows = if cancelled == 1 { "row is" } else { "rows are" };
    let stays = what_stays(tx, batch)?;
    Ok(RequestAnswer::done(format!("{name}: {cancelled} {rows} cancelled{stays}")))
}

/// The rows of a batch that a cancelling leaves as they are, as the end of a sentence.
fn what_stays(tx: &Tx<'_>, batch: BatchId) -> Result<String, JournalError> {
    let (under_way, held) = (rows_in(tx, batch, "0, 1, 2, 3, 4")?, rows_in(tx, batch, "5")?);
    let mut text = String::new();
    match under_way {
        0 => {}
        1 => text.push_str(", 1 is ordered or on its way and ends as it does"),
        n => text.push_str(&format!(", {n} are ordered or on their way and end as they do")),
    }
    match held {
        0 => {}
        1 => text.push_str(", 1 is held: cancel it by its IMEI"),
        n => text.push_str(&format!(", {n} are held: cancel those by their IMEI")),
    }
    Ok(text)
}

/// How many rows of a batch have orders that haven't ended.
pub(super) fn open_rows(tx: &Tx<'_>, batch: BatchId) -> Result<i64, JournalError> {
    rows_in(tx, batch, "0, 1, 2, 3, 4, 5")
}

/// How many rows of a batch have orders in these states.
fn rows_in(tx: &Tx<'_>, batch: BatchId, states: &str) -> Result<i64, JournalError> {
    let sql = format!("SELECT coalesce(sum(n), 0) FROM tallies WHERE batch = ?1 AND state IN ({states})");
    Ok(tx.find(&sql, [batch.0], |row| row.get(0))?.unwrap_or(0))
}
