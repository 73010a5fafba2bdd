//! A batch's rows with what became of them, for its result.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use super::super::JournalError;
use super::super::codes::{ASSUMED, Link, RESULT_REJECTED, Verdict, state_of};
use super::super::export::ExportedCells;
use super::super::view::View;
use super::{WhyReleased, time, unknown, unsigned};
use crate::order::State;
use crate::types::{BatchId, Imei, Money, OrderId, ProviderOrderId, RowId, Timestamp};

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
    pub earlier: Option<Box<ResultOrder>>,
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
    pub exported: Option<Box<ExportedCells>>,
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
    /// Why it is held, where its state alone doesn't say it.
    pub held_for: Option<String>,
    /// The NAME of the batch that it belongs to.
    pub batch_name: Arc<str>,
    /// Its row there.
    pub first_row: u32,
}

/// What a result says of an order: a line for each of its attempts, at least one.
const ORDER: &str = "o.id, o.imei, o.state, o.has_result, o.provider_id, results.code, results.exported, o.charged, \
     o.inferred, o.ordered_at, o.done_at, o.batch, o.first_row, o.retry_of, o.held_for, o.earlier, o.doubt_first, \
     a.n, a.price, a.verdict, a.kind, a.ended_at";

/// The tables beside `orders o` that it reads.
const OF_ORDER: &str =
    "LEFT JOIN results ON results.order_id = o.id LEFT JOIN attempts a ON a.order_id = o.id";

/// Places in a page of rows whose order the provider had already, each with the order of ours that it was.
type Duplicates = Vec<(usize, OrderId)>;

/// A row's own columns, before its order's.
const ROW_COLUMNS: usize = 4;

impl View {
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
             LEFT JOIN orders o ON o.id = rows.order_id {OF_ORDER} \
             WHERE rows.id > ?1 AND rows.id <= ?2 ORDER BY rows.id"
        );
        let of_page = (RowId::new(batch, after), RowId::new(batch, u32::MAX), limit);
        let (mut page, earlier) = self.read_page(&sql, of_page).map_err(|error| self.named(error))?;
        for (at, id) in earlier {
            if let Some(row) = page.get_mut(at) {
                row.earlier = self.result_order(id)?.map(Box::new);
            }
        }
        for order in page.iter_mut().filter_map(|row| row.order.as_mut()) {
            self.add_what_came_before(order)?;
            self.add_who_released(order)?;
        }
        Ok(page)
    }

    /// The rows behind the first one given, up to the second.
    fn read_page(
        &self,
        sql: &str,
        (after, to, limit): (RowId, RowId, u32),
    ) -> rusqlite::Result<(Vec<ResultRow>, Duplicates)> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut batches = Batches::new(self.connection());
        let mut statement = self.connection().prepare_cached(sql)?;
        let mut found = statement.query((after.0, to.0))?;
        let (mut page, mut earlier) = (Vec::<ResultRow>::new(), Vec::new());
        while let Some(row) = found.next()? {
            let number = RowId(row.get(0)?).row();
            let is_full = page.len() >= limit;
            match page.last_mut() {
                Some(last) if last.row == number => {
                    if let Some(order) = &mut last.order {
                        add_attempt(order, row, ROW_COLUMNS, &mut batches)?;
                    }
                    continue;
                }
                _ if is_full => break,
                _ => {}
            }
            if let Some(id) = row.get(ROW_COLUMNS.saturating_add(EARLIER))? {
                earlier.push((page.len(), OrderId(id)));
            }
            page.push(ResultRow {
                row: number,
                raw: row.get(1)?,
                link: Link::of(row.get(2)?).ok_or_else(|| unknown(2))?,
                why_not: row.get(3)?,
                order: read_order(row, ROW_COLUMNS, &mut batches)?,
                earlier: None,
            });
        }
        Ok((page, earlier))
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
        let sql = format!("SELECT {ORDER} FROM orders o {OF_ORDER} WHERE o.id = ?1");
        let read = || -> rusqlite::Result<Option<ResultOrder>> {
            let mut batches = Batches::new(self.connection());
            let mut statement = self.connection().prepare_cached(&sql)?;
            let mut found = statement.query([id.0])?;
            let mut order = match found.next()? {
                Some(row) => read_order(row, 0, &mut batches)?,
                None => None,
            };
            while let (Some(order), Some(row)) = (&mut order, found.next()?) {
                add_attempt(order, row, 0, &mut batches)?;
            }
            Ok(order)
        };
        read().map_err(|error| self.named(error))
    }
}

/// Which batches orders belong to: nearly always the same one, row after row.
struct Batches<'a> {
    connection: &'a Connection,
    last: Option<(BatchId, OfBatch)>,
}

/// What is told of the batch that an order belongs to.
#[derive(Clone, Default)]
struct OfBatch {
    /// Its NAME; empty where there is no such batch.
    name: Arc<str>,
    taken_at: Option<i64>,
}

impl<'a> Batches<'a> {
    const fn new(connection: &'a Connection) -> Self {
        Self { connection, last: None }
    }

    fn of(&mut self, id: BatchId) -> rusqlite::Result<OfBatch> {
        if let Some((last, batch)) = &self.last
            && *last == id
        {
            return Ok(batch.clone());
        }
        let mut statement =
            self.connection.prepare_cached("SELECT name, taken_at FROM batches WHERE id = ?1")?;
        let found =
            statement.query_row([id.0], |row| Ok(OfBatch { name: row.get(0)?, taken_at: row.get(1)? }));
        let batch = found.optional()?.unwrap_or_default();
        self.last = Some((id, batch.clone()));
        Ok(batch)
    }
}

/// The places of what [`ORDER`] reads.
const BATCH_ID: usize = 11;
const EARLIER: usize = 15;
const DOUBT_FIRST: usize = 16;
const N: usize = 17;
const PRICE: usize = 18;
const VERDICT: usize = 19;
const KIND: usize = 20;
const ENDED_AT: usize = 21;

/// The order, with the first of its attempts; `None`: there is none.
fn read_order(
    row: &Row<'_>,
    from: usize,
    batches: &mut Batches<'_>,
) -> rusqlite::Result<Option<ResultOrder>> {
    let at = |offset: usize| from.saturating_add(offset);
    let Some(id) = row.get(at(0))? else { return Ok(None) };
    let has_result: i64 = row.get(at(3))?;
    let exported: Option<String> = row.get(at(6))?;
    let mut order = ResultOrder {
        id: OrderId(id),
        imei: Imei::from_u64(unsigned(row.get(at(1))?)).ok_or_else(|| unknown(at(1)))?,
        state: state_of(row.get(at(2))?).ok_or_else(|| unknown(at(2)))?,
        has_result: has_result != 0,
        is_result_rejected: has_result == RESULT_REJECTED,
        provider_id: row.get::<_, Option<i64>>(at(4))?.map(|id| ProviderOrderId(unsigned(id))),
        code: row.get(at(5))?,
        exported: exported.and_then(|exported| serde_json::from_str(&exported).ok()),
        charges: row.get(at(7))?,
        inferred: row.get(at(8))?,
        ordered_at: time(row, at(9))?,
        done_at: time(row, at(10))?,
        batch_name: batches.of(BatchId(row.get(at(BATCH_ID))?))?.name,
        first_row: RowId(row.get(at(12))?).row(),
        retry_of: row.get::<_, Option<i64>>(at(13))?.map(OrderId),
        held_for: row.get(at(14))?,
        charged: Money::ZERO,
        charged_before: Money::ZERO,
        before_was_given_back: true,
        presumed: Money::ZERO,
        reserved: Money::ZERO,
        released: WhyReleased::default(),
        was_sent: false,
        is_taken_for_ours: false,
    };
    add_attempt(&mut order, row, from, batches)?;
    Ok(Some(order))
}

/// What an attempt of the order adds to what is said of it.
fn add_attempt(
    order: &mut ResultOrder,
    row: &Row<'_>,
    from: usize,
    batches: &mut Batches<'_>,
) -> rusqlite::Result<()> {
    let at = |offset: usize| from.saturating_add(offset);
    let Some(n) = row.get::<_, Option<i64>>(at(N))? else { return Ok(()) };
    let verdict: Option<i64> = row.get(at(VERDICT))?;
    let is = |word: Verdict| verdict == Some(word.code());
    let sum = match verdict {
        None => Some(&mut order.reserved),
        Some(_) if is(Verdict::Unknown) => Some(&mut order.reserved),
        Some(_) if is(Verdict::Taken) => Some(&mut order.charged),
        Some(_) if is(Verdict::Presumed) => Some(&mut order.presumed),
        Some(_) => None,
    };
    if let Some(sum) = sum {
        let price = Money::from_micros(row.get(at(PRICE))?);
        *sum = sum.checked_add(price).ok_or_else(|| unknown(at(PRICE)))?;
    }
    order.was_sent |= !is(Verdict::Unsent);
    if order.inferred > 0 {
        order.released.by_word |= is(Verdict::Word);
        order.released.on_absence |= is(Verdict::Absent);
    }
    if n == 1 && order.charges > 0 && row.get::<_, i64>(at(KIND))? == ASSUMED {
        let taken_at = batches.of(BatchId(row.get(at(BATCH_ID))?))?.taken_at;
        let was_in_doubt = row.get::<_, Option<i64>>(at(DOUBT_FIRST))?.is_some();
        let ended_at: Option<i64> = row.get(at(ENDED_AT))?;
        // A batch that came later, or none.
        order.is_taken_for_ours = was_in_doubt
            && ended_at.is_some_and(|ended_at| taken_at.is_none_or(|taken_at| ended_at < taken_at));
    }
    Ok(())
}
