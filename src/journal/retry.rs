//! Ordering anew what ended without an answer: rejected, refused, elsewhere, cancelled.
//!
//! The order that ended stays as it is, no longer live. A new one is made for the row, which shows it from now on; a
//! batch that was out already comes out once more, as `NAME.settled.csv`.

use super::JournalError;
use super::again;
use super::cancel;
use super::codes::{BatchState, Link, state_code};
use super::export::successor;
use super::orders::{self, Loaded, Rules};
use super::requests::{Request, RequestAnswer, Said, keep_place};
use super::resolve;
use super::restore;
use super::rows;
use super::tx::Tx;
use super::view::View;
use super::wake::Rung;
use crate::order::{Effect, Event, State, Word, step};
use crate::types::{BatchId, OrderId, RowId, ServiceId, Timestamp};

/// Rows in one transaction.
const SLICE: usize = 200;
/// The rows of a batch whose order ended without an answer and has no newer one; what turned out to be answered from
/// elsewhere has one.
const ENDED_ROWS: &str = "FROM rows JOIN orders o ON o.id = rows.order_id \
     WHERE rows.id > ?1 AND rows.id <= ?2 AND o.current = 1 AND o.unaccounted + o.inferred + o.presumed = 0 \
     AND (o.state IN (7, 8) OR o.state = 10 AND o.charged = 0 \
     OR o.state = 9 AND o.has_result <> 1 AND o.earlier IS NULL)";

impl View {
    /// How many orders `retry` would make anew for a batch, and for which service.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn retryable(&self, batch: BatchId) -> Result<(ServiceId, u64), JournalError> {
        let sql =
            format!("SELECT count(DISTINCT o.id), (SELECT service FROM batches WHERE id = ?3) {ENDED_ROWS}");
        let range = (RowId::new(batch, 0).0, RowId::new(batch, u32::MAX).0, batch.0);
        let found = self.find(&sql, range, |row| {
            Ok((ServiceId(row.get(1)?), u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0)))
        })?;
        Ok(found.unwrap_or((ServiceId(0), 0)))
    }

    /// Whether the newest order of this key was cancelled after an attempt of it was sent and taken as not ordered.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn was_released(&self, service: ServiceId, imei: u64) -> Result<bool, JournalError> {
        let found = self.find(
            "SELECT inferred > 0 AND state = 10 FROM orders WHERE service = ?1 AND imei = ?2 AND current = 1",
            (service.0, i64::try_from(imei).unwrap_or(0)),
            |row| row.get(0),
        )?;
        Ok(found.unwrap_or(false))
    }
}

/// One order, for the row it belongs to.
pub(super) fn order(
    tx: &Tx<'_>,
    request: &Request,
    old: Loaded,
    now: Timestamp,
    rules: &Rules,
) -> Result<RequestAnswer, JournalError> {
    let Some((row, link)) = row_of(tx, &old)? else {
        let why = why_no_row(request, &old);
        return Ok(RequestAnswer::nothing(format!("IMEI {}: {why}", old.imei)));
    };
    let imei = old.imei;
    Ok(match anew(tx, request, old, row, link, now, rules)? {
        Ok(_) => RequestAnswer::done(format!("IMEI {imei} is ordered anew")),
        Err(why) => RequestAnswer::nothing(format!("IMEI {imei}: {why}")),
    })
}

/// Why an order that no row of a file stands for isn't made anew: where none would be for any row either, that.
fn why_no_row(request: &Request, old: &Loaded) -> &'static str {
    let told = match step(&old.life, &word_of(request)) {
        Ok(done) => resolve::told(&done.effects),
        Err(_) => None,
    };
    match told {
        Some(why) => why,
        None if old.life.is_live(false, old.retried) => {
            "no row of a file stands for it yet: drop a file with it, whose row is answered from it, then say this again"
        }
        None => "no row of a file stands for it: drop a file with it instead",
    }
}

fn word_of(request: &Request) -> Event {
    let not_charged = request.said == Said::RetryNotCharged;
    Event::Word(Word::Retry { not_charged })
}

/// The row that the new order will belong to: the old one's own, else the last that was answered from it.
fn row_of(tx: &Tx<'_>, old: &Loaded) -> Result<Option<(RowId, Link)>, JournalError> {
    let own = tx.find(
        "SELECT id FROM rows WHERE id = ?1 AND order_id = ?2 AND link = 0",
        (old.first_row.0, old.id.0),
        |row| row.get(0).map(RowId),
    )?;
    if let Some(own) = own {
        return Ok(Some((own, Link::Own)));
    }
    tx.find(
        "SELECT id, link FROM rows WHERE order_id = ?1 AND link IN (2, 4) ORDER BY id DESC LIMIT 1",
        [old.id.0],
        |row| Ok((RowId(row.get(0)?), link_of(row.get(1)?))),
    )
}

/// What of a batch ended without an answer. `None`: there is more to do.
pub(super) fn batch(
    tx: &Tx<'_>,
    request: &Request,
    batch: BatchId,
    now: Timestamp,
    rules: &Rules,
) -> Result<Option<RequestAnswer>, JournalError> {
    if request.cursor == 0 {
        tx.event(now, None, Some(batch), "word", &request.told())?;
    }
    let sql = format!("SELECT rows.id, rows.link, o.id {ENDED_ROWS} ORDER BY rows.id LIMIT ?3");
    let after = request.cursor.max(RowId::new(batch, 0).0);
    let mut ended: Vec<(RowId, Link, OrderId)> = Vec::new();
    {
        let mut statement = tx.prepare(&sql)?;
        let limit = i64::try_from(SLICE).unwrap_or(i64::MAX);
        let mut rows = statement.query((after, RowId::new(batch, u32::MAX).0, limit))?;
        while let Some(row) = rows.next()? {
            ended.push((RowId(row.get(0)?), link_of(row.get(1)?), OrderId(row.get(2)?)));
        }
    }
    let (mut count, mut last) = (request.count, after);
    for (row, link, old) in &ended {
        last = row.0;
        let old = orders::load(tx, *old)?;
        // A repeat in the same file: its order was made anew for the first of its rows.
        if old.retried {
            continue;
        }
        match anew(tx, request, old, *row, *link, now, rules)? {
            Ok(()) => count = count.saturating_add(1),
            Err(why) => {
                return Ok(Some(RequestAnswer::nothing(format!("{count} orders made anew, then: {why}"))));
            }
        }
    }
    if ended.len() == SLICE {
        keep_place(tx, request, last, count)?;
        return Ok(None);
    }
    Ok(Some(match count {
        0 => RequestAnswer::nothing("nothing in it ended rejected, refused, elsewhere or cancelled"),
        count => RequestAnswer::done(format!("{count} orders are made anew")),
    }))
}

/// Makes a new order for a row whose order ended. Err: why not.
fn anew(
    tx: &Tx<'_>,
    request: &Request,
    mut old: Loaded,
    row: RowId,
    link: Link,
    now: Timestamp,
    rules: &Rules,
) -> Result<Result<(), String>, JournalError> {
    if !rules.terms.contains_key(&old.service) {
        return Ok(Err("its service is no longer configured".to_owned()));
    }
    if let Some(why) = closed_to_new_orders(tx, row.batch())? {
        return Ok(Err(why));
    }
    if restore::lacks_export(tx)? {
        let why = "this journal is an older copy, and the provider may have an order of it that was made since: drop the \
                   provider's export into reconcile and say it again once that is read (or say imeid resume, if there is none)";
        return Ok(Err(why.to_owned()));
    }
    if successor::enter(tx, &old, now, rules)? {
        let why = "it was ordered anew already, before this copy of the journal was put back, as an export showed: imeid show \
                   has that order, and a file with it is answered by it";
        return Ok(Err(why.to_owned()));
    }
    let text = request.told();
    let telling = orders::Telling { what: "word", text: &text, via: "word", quiet: false };
    let Some(moved) = orders::advance(tx, &mut old, &word_of(request), now, rules, &telling)? else {
        return Ok(Err("that isn't possible now: see the alarm".to_owned()));
    };
    if let Some(why) = resolve::told(&moved.effects) {
        return Ok(Err(why.to_owned()));
    }
    if !moved.effects.contains(&Effect::NewOrder) {
        return Ok(Err("nothing came of it".to_owned()));
    }
    rows::retire(tx, &old)?;
    tx.execute_one("an order's end", "UPDATE orders SET retried = 1 WHERE id = ?1", [old.id.0])?;
    let new = insert(tx, &old, row, link)?;
    take_rows_over(tx, &old, new, row, link)?;
    reopen(tx, row.batch())?;
    tx.event(now, Some(new), None, "made anew", &format!("after order {}: {text}", old.id))?;
    tx.ring(Rung::SUBMIT.and(Rung::OUTBOX));
    Ok(Ok(()))
}

fn closed_to_new_orders(tx: &Tx<'_>, batch: BatchId) -> Result<Option<String>, JournalError> {
    let found: Option<(i64, bool, String)> = tx.find(
        "SELECT state, cancelled_at IS NOT NULL, name FROM batches WHERE id = ?1",
        [batch.0],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let Some((code, cancelled, name)) = found else {
        return Ok(Some("its batch isn't there".to_owned()));
    };
    Ok(match BatchState::of(code) {
        Some(BatchState::Taking) => {
            Some("its file is still being taken in: say it again in a moment".to_owned())
        }
        Some(BatchState::Working | BatchState::Published) if cancelled => {
            // Until then the cancelling holds for what comes back to its queue.
            let waits_for = match cancel::open_rows(tx, batch)? {
                1 => "1 row that has".to_owned(),
                n => format!("{n} rows that have"),
            };
            Some(format!(
                "its batch {name} was cancelled and isn't out yet, for {waits_for} not ended (imeid show {name} has them), \
                 held ones for no longer than held_after: say it again then, or end those first, by imeid resolve or cancel"
            ))
        }
        _ => None,
    })
}

fn insert(tx: &Tx<'_>, old: &Loaded, row: RowId, link: Link) -> Result<OrderId, JournalError> {
    // Only what the row itself had paid before is in its cost.
    let before = (link == Link::Own).then_some(old.id.0);
    tx.execute(
        "INSERT INTO orders (service, imei, batch, first_row, state, retry_of) VALUES (?1, ?2, ?3, ?4, 0, ?5)",
        (
            old.service.0,
            i64::try_from(old.imei.as_u64()).unwrap_or(0),
            row.batch().0,
            row.0,
            before,
        ),
    )?;
    Ok(OrderId(tx.connection().last_insert_rowid()))
}

/// The row, and the others of its batch that showed the old order, show the new one. Those of other batches keep the
/// old one: their files are about what was then.
fn take_rows_over(
    tx: &Tx<'_>,
    old: &Loaded,
    new: OrderId,
    row: RowId,
    link: Link,
) -> Result<(), JournalError> {
    let batch = row.batch();
    let was = |link| match link {
        Link::Left => state_code(State::Cancelled),
        _ => orders::tally_state(old),
    };
    let queued = state_code(State::Queued);
    point(tx, row, new, Link::Own)?;
    orders::recount_row(tx, batch, (was(link), link), (queued, Link::Own));
    let mut others: Vec<(RowId, Link)> =
        cancel::joined_rows(tx, old, batch)?.into_iter().map(|row| (row, Link::Joined)).collect();
    {
        let mut statement = tx.prepare(
            "SELECT id, link FROM rows WHERE order_id = ?1 AND link IN (2, 4) AND id BETWEEN ?2 AND ?3",
        )?;
        let range = (old.id.0, RowId::new(batch, 0).0, RowId::new(batch, u32::MAX).0);
        let mut found = statement.query(range)?;
        while let Some(found) = found.next()? {
            others.push((RowId(found.get(0)?), link_of(found.get(1)?)));
        }
    }
    for (other, link) in &others {
        point(tx, *other, new, Link::Joined)?;
        orders::recount_row(tx, batch, (was(*link), *link), (queued, Link::Joined));
    }
    if !others.is_empty() {
        tx.execute_one("an order's joining", "UPDATE orders SET joined = 1 WHERE id = ?1", [new.0])?;
    }
    Ok(())
}

fn point(tx: &Tx<'_>, row: RowId, order: OrderId, link: Link) -> Result<(), JournalError> {
    tx.execute_one(
        "a row's order",
        "UPDATE rows SET order_id = ?2, link = ?3 WHERE id = ?1",
        (row.0, order.0, link.code()),
    )
}

/// Its orders may go, and it comes out once more.
fn reopen(tx: &Tx<'_>, batch: BatchId) -> Result<(), JournalError> {
    tx.execute_one(
        "a batch's reopening",
        "UPDATE batches SET state = CASE WHEN state = 2 THEN 2 WHEN published_at IS NULL THEN 1 ELSE 3 END, \
         done_at = NULL, cancelled_at = NULL WHERE id = ?1",
        [batch.0],
    )?;
    again::may_be_missing(tx, batch)
}

fn link_of(code: i64) -> Link {
    Link::of(code).unwrap_or(Link::Earlier)
}
