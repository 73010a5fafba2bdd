//! What the outbox reads (batches in work, a batch's rows with what became of them) and writes (what was published).

mod publish;
mod released;
mod rows;

use std::time::Duration;

use rusqlite::Row;

use super::JournalError;
use super::codes::{BatchState, Link, TALLY_DUPLICATE, TALLY_INVALID, state_of};
use super::view::View;
use crate::order::State;
use crate::types::{BatchId, Money, RowId, ServiceId, Timestamp};

pub use publish::{CameOut, ResultFile};
pub use released::WhyReleased;
pub use rows::{ResultOrder, ResultRow};

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

const BATCH: &str = "SELECT id, name, service, state, header, rows_total, taken_at, opened_at, result_sha256, \
     settled_sha256, coalesce(charged, 0), coalesce(presumed, 0), coalesce(reserved, 0), held_for \
     FROM batches LEFT JOIN totals ON totals.scope = 'batch' AND totals.key = batches.id";

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
