//! Orders that go the usual way: never sent before, claimed, taken at once, and completed. Nearly all do. What their claim
//! committed is kept with the ticket, and not read again when the answer comes, nor is the order when a poll tells its end; what
//! the orders of a claim have in common is written by one statement for all of them.
//!
//! The journal stays the judge. Each of these statements asks for all that is taken for known, and changes as many rows as
//! it must, or fails: one that does takes its transaction with it, and the [`writer`](super::writer) runs what was in
//! that again, one by one. An answer is then recorded in the common way, which reads everything first. So it is where
//! anything came in between: a row that waits for the order too, an id that is another order's.

use std::ops::RangeInclusive;

use super::JournalError;
use super::books;
use super::codes::{Link, state_code};
use super::orders::{self, Loaded};
use super::tx::Tx;
use crate::order::{Order, State};
use crate::types::{BatchId, OrderId, Timestamp};

/// Whether nothing has ever happened to it, and no row but its own waits for it.
pub(super) fn is_untouched(order: &Loaded) -> bool {
    let new = Order::new(order.life.max_attempts);
    order.life == new
        && order.attempts == 0
        && !(order.joined || order.retried)
        && order.batch.0 != 0
        && order.doubt_first.or(order.doubt_since).or(order.ordered_at).or(order.done_at).is_none()
        && order.rested_after.or(order.earlier.map(|earlier| earlier.0)).is_none()
}

/// Writes the claims of these orders: all of one batch, in the order in which they were claimed, untouched until then.
pub(super) fn begin(tx: &Tx<'_>, begun: &[Loaded], now: Timestamp) -> Result<(), JournalError> {
    // A file's orders have numbers that follow each other, as a rule.
    for run in begun.chunk_by(|one, next| one.id.0.checked_add(1) == Some(next.id.0)) {
        begin_run(tx, run, now)?;
    }
    Ok(())
}

fn begin_run(tx: &Tx<'_>, run: &[Loaded], now: Timestamp) -> Result<(), JournalError> {
    let ([first, ..], [.., last]) = (run, run) else { return Ok(()) };
    let Some(attempt) = &first.attempt else { return Ok(()) };
    let (from, to, batch) = (first.id.0, last.id.0, first.batch.0);
    let all = |what, changed| if changed == run.len() { Ok(()) } else { Err(unexpected(what, changed)) };
    // The signs keep SQLite from going through the batch's queue.
    let sql = "UPDATE orders SET state = 1, attempts = 1, counted = 1 WHERE id BETWEEN ?1 AND ?2 AND +batch = ?3 \
               AND +state = 0 AND attempts = 0 AND counted = 0 AND unaccounted + inferred + presumed + charged = 0 \
               AND joined = 0 AND provider_id IS NULL AND doubt_first IS NULL";
    all("the claim of orders", tx.execute(sql, (from, to, batch))?)?;
    let sql = "INSERT INTO attempts (order_id, n, kind, price, day, claimed_at, known_id, entry) \
               SELECT id, 1, 0, ?3, ?4, ?5, ?6, (SELECT coalesce(max(id), 0) FROM ledger) FROM orders \
               WHERE id BETWEEN ?1 AND ?2";
    let (price, day) = (attempt.price.micros(), attempt.day);
    let values = (from, to, price, day, now.millis(), attempt.known_id);
    all("the attempts of orders", tx.execute(sql, values)?)?;
    let sql = "INSERT INTO ledger (at, order_id, n, batch, day, kind, micros) \
               SELECT ?3, id, 1, batch, ?4, 'reserve', ?5 FROM orders WHERE id BETWEEN ?1 AND ?2";
    all("the reservations of orders", tx.execute(sql, (from, to, now.millis(), day, price))?)?;
    run.iter().for_each(|order| books::reserved(tx, order.batch, attempt));
    Ok(())
}

/// Writes an order that its first call's answer says is taken, with nothing read of it since it was claimed.
pub(super) fn save_taken(tx: &Tx<'_>, order: &Loaded) -> Result<(), JournalError> {
    const WHAT: &str = "an order's taking";
    let life = &order.life;
    let usual = Order {
        state: State::Ordered,
        id: life.id,
        counted: 1,
        charged: 1,
        named: 1,
        ..Order::new(life.max_attempts)
    };
    let Some(id) = life.id.filter(|_| *life == usual) else { return Err(unexpected(WHAT, 0)) };
    tx.execute_one(
        WHAT,
        "UPDATE orders SET state = 3, charged = 1, named = 1, provider_id = ?2, due_at = ?3, ordered_at = ?4 \
         WHERE id = ?1 AND batch = ?5 AND state = 1 AND attempts = 1 AND counted = 1 \
         AND unaccounted + inferred + presumed + charged = 0 AND joined = 0 AND provider_id IS NULL \
         AND doubt_first IS NULL",
        (
            order.id.0,
            books::provider_id(id),
            order.due_at.millis(),
            order.ordered_at.map(Timestamp::millis),
            order.batch.0,
        ),
    )
}

/// Ends orders of which the provider tells that they are completed, with nothing read of them: `orders`, whose numbers follow each
/// other, were taken by their first call, were never in doubt, and no row but their own waits for them. `batch`: that of their rows,
/// as whoever asked after them read it. False: it is otherwise with one of them, and nothing was written.
pub(super) fn complete(
    tx: &Tx<'_>,
    orders: RangeInclusive<OrderId>,
    batch: BatchId,
    now: Timestamp,
) -> Result<bool, JournalError> {
    let (from, to) = (state_code(State::Ordered), state_code(State::Completed));
    let (first, last) = (orders.start().0, orders.end().0);
    // One that only an export told of has no row.
    let sql = "UPDATE orders SET state = ?5, done_at = ?6 WHERE id BETWEEN ?1 AND ?2 AND ?2 - ?1 + 1 = \
               (SELECT count(*) FROM orders WHERE id BETWEEN ?1 AND ?2 AND batch = ?3 AND batch <> 0 AND +state = ?4 \
               AND attempts = 1 AND counted = 1 AND charged = 1 AND named = 1 AND unaccounted + inferred + presumed = 0 \
               AND has_result = 0 AND joined = 0 AND retried = 0 AND probe_ok = 0 AND doubt_first IS NULL \
               AND rested_after IS NULL AND absent_since IS NULL AND held_for IS NULL AND earlier IS NULL)";
    let changed = tx.execute(sql, (first, last, batch.0, from, to, now.millis()))?;
    (0..changed).for_each(|_| orders::recount_row(tx, batch, (from, Link::Own), (to, Link::Own)));
    Ok(changed > 0)
}

const fn unexpected(what: &'static str, changed: usize) -> JournalError {
    JournalError::Unexpected { what, changed }
}
