//! Pruning: raw answers that are older than they are kept are deleted, but for what proves an order or carries its result.
//!
//! Answers are walked through in the order in which they came, each once: how far the walk is stands in the journal. An
//! order is decided about at its last answer, which came last and is never deleted (so no number is given out twice, and
//! nothing new lies behind the walk). One that isn't settled then is noted in `prune_later` and looked at again.
//!
//! | kept for good | why |
//! |---|---|
//! | every `export`, and every `placed` whose attempt wasn't refused or unsent | it proves that the order exists, or may |
//! | an order's last `placed` and last `status` | it carries the result, or tells why there is none |
//! | all of an order that is live, presumed, inferred, charged twice, has an open alarm, or a row that isn't out | it can be needed yet |
//!
//! A slice is one short transaction with its own progress in it: a crash anywhere leaves a journal that the next slice
//! goes on with. Freed pages are used again by what comes; the file doesn't shrink.

use rusqlite::{Connection, OptionalExtension};

use super::codes::Verdict;
use super::tx::Tx;
use super::view::View;
use super::{Journal, JournalError};
use crate::clock::local_stamp;
use crate::types::{OrderId, Timestamp};

/// Answers, or orders, looked at in one slice.
const SLICE_LOOKS: u32 = 1024;
/// Answers deleted in one slice, at most.
const SLICE_DELETES: usize = 256;
/// The last answer that the walk has come past.
const WALKED: &str = "answers_walked";

/// Where a pass of pruning goes on. A pass begins at the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneFrom(Step);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Step {
    /// Answers that nobody looked at yet.
    #[default]
    Walk,
    /// Orders that weren't settled when the walk came past, behind this one.
    Later(i64),
}

/// What a slice of pruning did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Answers that were deleted.
    pub answers: usize,
    /// Orders that they were of.
    pub orders: usize,
    /// Where the pass goes on; `None`: it is through.
    pub next: Option<PruneFrom>,
}

/// What is to be looked at in one transaction.
#[derive(Debug)]
struct Slice {
    /// Orders with something to delete, as far as a reader could tell.
    orders: Vec<Candidate>,
    /// Orders that need no second look any more.
    through: Vec<i64>,
    /// The last answer, or order, that the slice comes past.
    last: i64,
    next: Option<PruneFrom>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    order: i64,
    /// Its last answer; 0 where it isn't the walk that came to it.
    last_answer: i64,
}

impl Journal {
    /// One slice of a pass that deletes raw answers from before `before`, of orders that ended before it.
    ///
    /// # Errors
    /// The journal can't be read or written: nothing of the slice is done.
    pub async fn prune_answers(
        &self,
        from: PruneFrom,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<Pruned, JournalError> {
        // Read on a reader first: what lies cold on the disk isn't waited for by the writer.
        let slice = self
            .read(move |view| match from.0 {
                Step::Walk => walk(view, before, now),
                Step::Later(after) => look_again(view, after, before),
            })
            .await?;
        let Some(slice) = slice else { return Ok(Pruned { next: after(from), ..Pruned::default() }) };
        match from.0 {
            Step::Later(_) if slice.orders.is_empty() && slice.through.is_empty() => {
                Ok(Pruned { next: slice.next, ..Pruned::default() })
            }
            _ => self.write(move |tx| prune(tx, from.0, &slice, before, now)).await,
        }
    }
}

/// Where a pass goes on once a step has nothing more.
const fn after(from: PruneFrom) -> Option<PruneFrom> {
    match from.0 {
        Step::Walk => Some(PruneFrom(Step::Later(0))),
        Step::Later(_) => None,
    }
}

/// The next answers of the walk. `None`: those that are old enough were all looked at.
fn walk(view: &View, before: Timestamp, now: Timestamp) -> Result<Option<Slice>, JournalError> {
    let walked: i64 = view.fact(WALKED)?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let found: Vec<(i64, i64, i64)> = view.all(
        "SELECT id, order_id, at FROM answers WHERE id > ?1 ORDER BY id LIMIT ?2",
        (walked, SLICE_LOOKS),
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let mut slice = Slice { orders: Vec::new(), through: Vec::new(), last: walked, next: None };
    let mut deletes = 0usize;
    for (id, order, at) in found {
        // One from the future is from before a clock was set back, and keeps nothing that came after it.
        if at >= before.millis() && at <= now.millis() {
            break;
        }
        if deletes >= SLICE_DELETES {
            break;
        }
        slice.last = id;
        let answers = answers_of(view.connection(), order)?;
        let superfluous = superfluous(&answers).count();
        // At an earlier one nothing is decided: the walk comes to its last.
        if superfluous > 0 && answers.last().is_some_and(|last| last.id == id) {
            deletes = deletes.saturating_add(superfluous);
            slice.orders.push(Candidate { order, last_answer: id });
        }
    }
    if slice.last == walked {
        return Ok(None);
    }
    slice.next = Some(PruneFrom(Step::Walk));
    Ok(Some(slice))
}

/// The next orders that weren't settled when the walk came past. `None`: there are no more.
fn look_again(view: &View, after: i64, before: Timestamp) -> Result<Option<Slice>, JournalError> {
    let found: Vec<i64> = view.all(
        "SELECT order_id FROM prune_later WHERE order_id > ?1 ORDER BY order_id LIMIT ?2",
        (after, SLICE_LOOKS),
        |row| row.get(0),
    )?;
    let Some(last) = found.last().copied() else { return Ok(None) };
    let mut slice =
        Slice { orders: Vec::new(), through: Vec::new(), last, next: Some(PruneFrom(Step::Later(last))) };
    for order in found {
        if superfluous(&answers_of(view.connection(), order)?).next().is_none() {
            slice.through.push(order);
        } else if is_settled(view.connection(), order, before)? {
            slice.orders.push(Candidate { order, last_answer: 0 });
        }
    }
    Ok(Some(slice))
}

/// Does what a reader found to do, as things are now.
fn prune(
    tx: &Tx<'_>,
    step: Step,
    slice: &Slice,
    before: Timestamp,
    now: Timestamp,
) -> Result<Pruned, JournalError> {
    let mut pruned = Pruned { next: slice.next, ..Pruned::default() };
    let mut last = slice.last;
    for candidate in &slice.orders {
        let order = candidate.order;
        if !is_settled(tx.connection(), order, before)? {
            tx.execute("INSERT OR IGNORE INTO prune_later (order_id) VALUES (?1)", [order])?;
            continue;
        }
        let answers = answers_of(tx.connection(), order)?;
        let superfluous: Vec<i64> = superfluous(&answers).map(|answer| answer.id).collect();
        let room = SLICE_DELETES.saturating_sub(pruned.answers);
        for id in superfluous.iter().take(room) {
            tx.execute_one("an old answer", "DELETE FROM answers WHERE id = ?1", [id])?;
        }
        let deleted = superfluous.len().min(room);
        if deleted > 0 {
            let before = local_stamp(before);
            let text = format!("{deleted} raw answers from before {before}; what proves the order is kept");
            tx.event(now, Some(OrderId(order)), None, "answers pruned", &text)?;
            pruned.orders = pruned.orders.saturating_add(1);
            pruned.answers = pruned.answers.saturating_add(deleted);
        }
        if deleted < superfluous.len() {
            // The slice ends here, in front of this order: the next one goes on with it.
            last = match step {
                Step::Walk => candidate.last_answer.saturating_sub(1),
                Step::Later(_) => order.saturating_sub(1),
            };
            break;
        }
        tx.execute("DELETE FROM prune_later WHERE order_id = ?1", [order])?;
    }
    for order in &slice.through {
        tx.execute("DELETE FROM prune_later WHERE order_id = ?1", [order])?;
    }
    match step {
        Step::Walk => tx.set_fact(WALKED, &last.to_string())?,
        Step::Later(_) => pruned.next = Some(PruneFrom(Step::Later(last))),
    }
    Ok(pruned)
}

/// A raw answer, without its body.
#[derive(Debug)]
struct Answer {
    id: i64,
    kind: String,
    /// It answers an attempt that was refused by it, or never left.
    refused: bool,
    /// No later one of its kind is there.
    newest: bool,
}

/// An order's raw answers, in the order in which they came.
fn answers_of(connection: &Connection, order: i64) -> Result<Vec<Answer>, JournalError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, coalesce((SELECT verdict IN (?2, ?3) FROM attempts \
         WHERE attempts.order_id = answers.order_id AND attempts.n = answers.n), 0) \
         FROM answers WHERE order_id = ?1 ORDER BY id",
    )?;
    let verdicts = (order, Verdict::Unsent.code(), Verdict::Refused.code());
    let mut answers: Vec<Answer> = statement
        .query_map(verdicts, |row| {
            Ok(Answer { id: row.get(0)?, kind: row.get(1)?, refused: row.get(2)?, newest: false })
        })?
        .collect::<Result<_, _>>()?;
    let mut seen: Vec<String> = Vec::new();
    for answer in answers.iter_mut().rev() {
        answer.newest = !seen.contains(&answer.kind);
        if answer.newest {
            seen.push(answer.kind.clone());
        }
    }
    Ok(answers)
}

/// Those that prove nothing and carry no result. A kind that isn't known is kept.
fn superfluous(answers: &[Answer]) -> impl Iterator<Item = &Answer> {
    answers.iter().filter(|answer| match answer.kind.as_str() {
        "status" => !answer.newest,
        "placed" => answer.refused && !answer.newest,
        _ => false,
    })
}

/// Whether nothing that can still happen to an order needs its answers: it ended before `before`, for certain, and every
/// row that shows it is out.
fn is_settled(connection: &Connection, order: i64, before: Timestamp) -> Result<bool, JournalError> {
    let settled = connection
        .prepare_cached(
            "SELECT o.state IN (6, 7, 8, 9, 10) AND o.unaccounted = 0 AND o.inferred = 0 AND o.presumed = 0 \
             AND o.charged <= 1 AND o.done_at < ?2 \
             AND EXISTS (SELECT 1 FROM batches b WHERE b.id = o.batch \
               AND (b.state IN (4, 5) OR (b.state = 3 AND b.published_at > o.done_at))) \
             AND NOT EXISTS (SELECT 1 FROM rows JOIN batches b ON b.id = rows.id >> 32 \
               WHERE rows.order_id = o.id AND rows.link = 1 \
               AND NOT (b.state IN (4, 5) OR (b.state = 3 AND b.published_at > o.done_at))) \
             AND NOT EXISTS (SELECT 1 FROM alarms \
               WHERE gone_at IS NULL AND acked_at IS NULL AND order_id = o.id) \
             FROM orders o WHERE o.id = ?1",
        )?
        .query_row((order, before.millis()), |row| row.get::<_, Option<bool>>(0))
        .optional()?;
    Ok(settled.flatten().unwrap_or(false))
}
