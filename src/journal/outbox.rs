//! What the outbox reads (batches in work, a batch's rows with what became of them) and writes (what was published).

mod publish;
mod released;

use std::time::Duration;

use rusqlite::Row;

use super::JournalError;
use super::codes::{BatchState, Link, RESULT_REJECTED, TALLY_DUPLICATE, TALLY_INVALID, state_of};
use super::export::ExportedCells;
use super::view::View;
use crate::order::State;
use crate::types::{BatchId, Imei, Money, OrderId, ProviderOrderId, RowId, ServiceId, Timestamp};

pub use publish::{CameOut, ResultFile};
pub use released::WhyReleased;

/// A batch that isn't done.
#[derive(Clone, Debug)]
pub struct BatchWork {
    /// Which one.
    pub id: BatchId,
    /// Its NAME in the outbox.
    pub name: String,
    /// Its service.
    pub service: ServiceId,
    /// How far it is.
    pub state: BatchState,
    /// How to read its rows, as JSON.
    pub header: String,
    /// Its data rows.
    pub rows_total: u64,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// When its orders began.
    pub opened_at: Option<Timestamp>,
    /// Why it is held.
    pub held_for: Option<String>,
    /// The content of `NAME.results.csv` that is, or was about to be, published.
    pub result_sha256: Option<String>,
    /// Likewise of `NAME.settled.csv`.
    pub settled_sha256: Option<String>,
    /// Its rows by what became of them.
    pub tallies: Vec<Tally>,
    /// Charged so far.
    pub charged: Money,
    /// Presumed charged.
    pub presumed: Money,
    /// In flight or in doubt.
    pub reserved: Money,
}

/// What rows of a batch are counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TallyState {
    /// Their order is in this state.
    Order(State),
    /// Their order turned out to be an earlier one of ours, or one that an export told of.
    Duplicate,
    /// They are no IMEI.
    Invalid,
}

/// How many rows of a batch stand where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Where.
    pub state: TallyState,
    /// How they stand to their order.
    pub link: Link,
    /// How many.
    pub n: u64,
}

impl BatchWork {
    /// Rows that can still change.
    #[must_use]
    pub fn open_rows(&self) -> u64 {
        self.count(|tally| matches!(tally.state, TallyState::Order(state) if !state.is_final()))
    }

    /// Rows whose order wasn't sent yet, or is on its way.
    #[must_use]
    pub fn unsent_rows(&self) -> u64 {
        self.count(|tally| matches!(tally.state, TallyState::Order(State::Queued | State::Submitting)))
    }

    /// What is presumed charged, for a line that tells of it only where there is any.
    #[must_use]
    pub fn presumed_as_told(&self) -> Option<String> {
        (self.presumed > Money::ZERO).then(|| self.presumed.to_string())
    }

    /// The rows for which `of` holds.
    #[must_use]
    pub fn count(&self, of: impl Fn(&Tally) -> bool) -> u64 {
        self.tallies.iter().filter(|tally| of(tally)).map(|tally| tally.n).sum()
    }
}

/// A row with what became of it.
#[derive(Clone, Debug)]
pub struct ResultRow {
    /// Its number in the batch.
    pub row: u32,
    /// Its cells, as one CSV record.
    pub raw: Vec<u8>,
    /// How it stands to its order.
    pub link: Link,
    /// Why it is no order.
    pub why_not: Option<String>,
    /// Its order.
    pub order: Option<ResultOrder>,
    /// The earlier order of ours that the provider's "already exists" was about.
    pub earlier: Option<ResultOrder>,
}

/// What a result says of an order.
#[derive(Clone, Debug)]
pub struct ResultOrder {
    /// Which one.
    pub id: OrderId,
    /// Its IMEI.
    pub imei: Imei,
    /// Where it is.
    pub state: State,
    /// Ordered elsewhere, and an export brought the result.
    pub has_result: bool,
    /// That result is a rejection.
    pub is_result_rejected: bool,
    /// The provider's id.
    pub provider_id: Option<ProviderOrderId>,
    /// The answer, the rejection's reason, or the provider's words of a refusal.
    pub code: Option<String>,
    /// What an export's row said beside the code.
    pub exported: Option<ExportedCells>,
    /// Charged.
    pub charged: Money,
    /// How many charges that is.
    pub charges: u32,
    /// Charged for the orders of the same row that it was made anew of.
    pub charged_before: Money,
    /// The provider gave back each of those that were charged.
    pub before_was_given_back: bool,
    /// Presumed charged.
    pub presumed: Money,
    /// Reserved.
    pub reserved: Money,
    /// Attempts that were taken as not ordered, on absence or a person's word: nothing stands in the books for them.
    pub inferred: u32,
    /// Why they were.
    pub released: WhyReleased,
    /// An attempt was sent, or may have been.
    pub was_sent: bool,
    /// The order of the same row that it was made anew of.
    pub retry_of: Option<OrderId>,
    /// An older copy knows of it from an export alone: its row came later.
    pub is_taken_for_ours: bool,
    /// When it was taken.
    pub ordered_at: Option<Timestamp>,
    /// When it ended.
    pub done_at: Option<Timestamp>,
    /// Since when it is in doubt.
    pub doubt_since: Option<Timestamp>,
    /// Why it is held, where its state alone doesn't say it.
    pub held_for: Option<String>,
    /// The NAME of the batch that it belongs to.
    pub batch_name: String,
    /// Its row there.
    pub first_row: u32,
}

const BATCH: &str = "SELECT id, name, service, state, header, rows_total, taken_at, opened_at, result_sha256, \
     settled_sha256, coalesce(charged, 0), coalesce(presumed, 0), coalesce(reserved, 0), held_for \
     FROM batches LEFT JOIN totals ON totals.scope = 'batch' AND totals.key = batches.id";

const ORDER: &str = "o.id, o.imei, o.state, o.has_result, o.provider_id, results.code, \
     (SELECT coalesce(sum(price), 0) FROM attempts WHERE order_id = o.id AND verdict = 0), \
     (SELECT coalesce(sum(price), 0) FROM attempts WHERE order_id = o.id AND verdict = 4), \
     (SELECT coalesce(sum(price), 0) FROM attempts WHERE order_id = o.id AND (verdict IS NULL OR verdict = 3)), \
     o.ordered_at, o.done_at, o.doubt_since, (SELECT name FROM batches WHERE id = o.batch), o.first_row, o.retry_of, results.exported, o.charged, o.inferred, \
     CASE WHEN o.inferred > 0 THEN EXISTS (SELECT 1 FROM attempts WHERE order_id = o.id AND verdict = 6) END, \
     CASE WHEN o.inferred > 0 THEN EXISTS (SELECT 1 FROM attempts WHERE order_id = o.id AND verdict = 5) END, \
     CASE WHEN o.attempts > 0 THEN EXISTS (SELECT 1 FROM attempts WHERE order_id = o.id AND verdict IS NOT 1) END, \
     o.held_for, \
     CASE WHEN o.doubt_first IS NOT NULL AND o.charged > 0 THEN EXISTS (SELECT 1 FROM attempts WHERE order_id = o.id AND n = 1 \
     AND kind = 3 AND ended_at < coalesce((SELECT taken_at FROM batches WHERE id = o.batch), ended_at + 1)) END, o.earlier";

/// The place of `o.earlier` behind a row's own four columns.
const EARLIER: usize = 27;

impl View {
    /// The batches that aren't done, oldest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn busy_batches(&self) -> Result<Vec<BatchWork>, JournalError> {
        // The sign keeps SQLite from going through every batch that ever was for the order of their ids.
        let sql = format!("{BATCH} WHERE state NOT IN (4, 5) ORDER BY +id");
        let batches = self.all(&sql, [], read_batch)?;
        batches.into_iter().map(|batch| self.with_tallies(batch)).collect()
    }

    /// The last batches that are done, newest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn done_batches(&self, limit: u32) -> Result<Vec<BatchWork>, JournalError> {
        let sql = format!("{BATCH} WHERE state IN (4, 5) ORDER BY id DESC LIMIT ?1");
        let batches = self.all(&sql, [limit], read_batch)?;
        batches.into_iter().map(|batch| self.with_tallies(batch)).collect()
    }

    /// One batch.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn batch(&self, id: BatchId) -> Result<Option<BatchWork>, JournalError> {
        let found = self.find(&format!("{BATCH} WHERE id = ?1"), [id.0], read_batch)?;
        found.map(|batch| self.with_tallies(batch)).transpose()
    }

    fn with_tallies(&self, mut batch: BatchWork) -> Result<BatchWork, JournalError> {
        batch.tallies =
            self.all("SELECT state, link, n FROM tallies WHERE batch = ?1 AND n > 0", [batch.id.0], |row| {
                let state = match row.get(0)? {
                    TALLY_INVALID => TallyState::Invalid,
                    TALLY_DUPLICATE => TallyState::Duplicate,
                    code => TallyState::Order(state_of(code).ok_or_else(|| unknown(0))?),
                };
                Ok(Tally {
                    state,
                    link: Link::of(row.get(1)?).ok_or_else(|| unknown(1))?,
                    n: unsigned(row.get(2)?),
                })
            })?;
        Ok(batch)
    }

    /// When every row that is still open has waited long enough to be published as it is; `None` if none is open.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn publishable_at(
        &self,
        batch: BatchId,
        held_after: Duration,
        publish_after: Duration,
    ) -> Result<Option<Timestamp>, JournalError> {
        let millis = |wait: Duration| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let at: Option<Option<i64>> = self.find(
            "SELECT max(CASE WHEN o.state = 3 THEN o.ordered_at + ?3 ELSE coalesce(o.doubt_since, o.ordered_at, 0) + ?4 END) \
             FROM rows JOIN orders o ON o.id = rows.order_id \
             WHERE rows.id BETWEEN ?1 AND ?2 AND rows.link <> 4 AND o.state IN (2, 3, 4, 5)",
            (RowId::new(batch, 0).0, RowId::new(batch, u32::MAX).0, millis(publish_after), millis(held_after)),
            |row| row.get(0),
        )?;
        Ok(at.flatten().map(Timestamp::from_millis))
    }

    /// A batch's next rows after row number `after`, in the file's order, at most `limit`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn result_rows(
        &self,
        batch: BatchId,
        after: u32,
        limit: u32,
    ) -> Result<Vec<ResultRow>, JournalError> {
        let sql = format!(
            "SELECT rows.id, rows.raw, rows.link, rows.why_not, {ORDER} FROM rows \
             LEFT JOIN orders o ON o.id = rows.order_id LEFT JOIN results ON results.order_id = o.id \
             WHERE rows.id > ?1 AND rows.id <= ?2 ORDER BY rows.id LIMIT ?3"
        );
        let params = (RowId::new(batch, after).0, RowId::new(batch, u32::MAX).0, limit);
        let mut rows = self.all(&sql, params, |row| {
            let order = row.get::<_, Option<i64>>(4)?.map(|_| read_order(row, 4)).transpose()?;
            let earlier: Option<i64> = row.get(EARLIER)?;
            let result = ResultRow {
                row: RowId(row.get(0)?).row(),
                raw: row.get(1)?,
                link: Link::of(row.get(2)?).ok_or_else(|| unknown(2))?,
                why_not: row.get(3)?,
                order,
                earlier: None,
            };
            Ok((result, earlier))
        })?;
        for (row, earlier) in &mut rows {
            if let Some(earlier) = earlier {
                row.earlier = self.result_order(OrderId(*earlier))?;
            }
            if let Some(order) = &mut row.order {
                self.add_what_came_before(order)?;
                self.add_who_released(order)?;
            }
        }
        Ok(rows.into_iter().map(|(row, _)| row).collect())
    }

    /// A row's cost is what was charged for it, for those of its orders too that ended before this one was made.
    fn add_what_came_before(&self, order: &mut ResultOrder) -> Result<(), JournalError> {
        let mut before = order.retry_of;
        while let Some(id) = before {
            let Some(found) = self.result_order(id)? else { break };
            order.charged_before =
                order.charged_before.checked_add(found.charged).unwrap_or(order.charged_before);
            order.before_was_given_back &= found.charged == Money::ZERO || found.state == State::Rejected;
            before = found.retry_of;
        }
        Ok(())
    }

    fn result_order(&self, id: OrderId) -> Result<Option<ResultOrder>, JournalError> {
        let sql = format!(
            "SELECT {ORDER} FROM orders o LEFT JOIN results ON results.order_id = o.id WHERE o.id = ?1"
        );
        self.find(&sql, [id.0], |row| read_order(row, 0))
    }
}

fn unknown(column: usize) -> rusqlite::Error {
    rusqlite::Error::IntegralValueOutOfRange(column, 0)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

fn read_batch(row: &Row<'_>) -> rusqlite::Result<BatchWork> {
    Ok(BatchWork {
        id: BatchId(row.get(0)?),
        name: row.get(1)?,
        service: ServiceId(row.get(2)?),
        state: BatchState::of(row.get(3)?).ok_or_else(|| unknown(3))?,
        header: row.get(4)?,
        rows_total: unsigned(row.get(5)?),
        taken_at: Timestamp::from_millis(row.get(6)?),
        opened_at: time(row, 7)?,
        result_sha256: row.get(8)?,
        settled_sha256: row.get(9)?,
        tallies: Vec::new(),
        charged: Money::from_micros(row.get(10)?),
        presumed: Money::from_micros(row.get(11)?),
        reserved: Money::from_micros(row.get(12)?),
        held_for: row.get(13)?,
    })
}

fn read_order(row: &Row<'_>, from: usize) -> rusqlite::Result<ResultOrder> {
    let at = |offset: usize| from.saturating_add(offset);
    let imei = Imei::from_u64(unsigned(row.get(at(1))?)).ok_or_else(|| unknown(at(1)))?;
    Ok(ResultOrder {
        id: OrderId(row.get(at(0))?),
        imei,
        state: state_of(row.get(at(2))?).ok_or_else(|| unknown(at(2)))?,
        has_result: row.get(at(3))?,
        is_result_rejected: row.get::<_, i64>(at(3))? == RESULT_REJECTED,
        provider_id: row.get::<_, Option<i64>>(at(4))?.map(|id| ProviderOrderId(unsigned(id))),
        code: row.get(at(5))?,
        exported: row
            .get::<_, Option<String>>(at(15))?
            .and_then(|exported| serde_json::from_str(&exported).ok()),
        charged: Money::from_micros(row.get(at(6))?),
        charges: row.get(at(16))?,
        charged_before: Money::ZERO,
        before_was_given_back: true,
        presumed: Money::from_micros(row.get(at(7))?),
        reserved: Money::from_micros(row.get(at(8))?),
        inferred: row.get(at(17))?,
        released: WhyReleased {
            by_word: row.get::<_, Option<bool>>(at(18))?.unwrap_or(false),
            who: None,
            on_absence: row.get::<_, Option<bool>>(at(19))?.unwrap_or(false),
        },
        was_sent: row.get::<_, Option<bool>>(at(20))?.unwrap_or(false),
        is_taken_for_ours: row.get::<_, Option<bool>>(at(22))?.unwrap_or(false),
        ordered_at: time(row, at(9))?,
        done_at: time(row, at(10))?,
        doubt_since: time(row, at(11))?,
        batch_name: row.get::<_, Option<String>>(at(12))?.unwrap_or_default(),
        first_row: RowId(row.get(at(13))?).row(),
        retry_of: row.get::<_, Option<i64>>(at(14))?.map(OrderId),
        held_for: row.get(at(21))?,
    })
}
