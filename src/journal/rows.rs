//! Intake's writing: a batch's orders, then its rows. Both are idempotent: after a crash intake repeats them.
//!
//! Orders are written in the order of their IMEIs (the index that makes them unique grows at one place), rows in the
//! file's, each with its order's id. Nothing touches an order while its batch is still `taking`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, ToSql, params_from_iter};

use super::codes::{Link, TALLY_INVALID};
use super::export::successor;
use super::orders::{self, Loaded};
use super::tx::Tx;
use super::{Journal, JournalError, adopt};
use crate::order::State;
use crate::types::{BatchId, Imei, OrderId, RowId, ServiceId, Timestamp};

/// A row that needs an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderFor {
    /// Its IMEI.
    pub imei: Imei,
    /// Its number in the batch.
    pub row: u32,
}

/// The order that a row got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowOrder {
    /// The row's number in the batch.
    pub row: u32,
    /// Its order.
    pub order: OrderId,
    /// How it stands to it.
    pub link: Link,
    /// The order was there before: nothing is sent for the row.
    pub is_known: bool,
}

/// A row as it is journaled.
#[derive(Clone, Debug)]
pub struct NewRow {
    /// Its number in the batch, from 1.
    pub row: u32,
    /// Its order; `None`: not an IMEI.
    pub order: Option<(OrderId, Link)>,
    /// Why it is no order, for its note.
    pub why_not: Option<String>,
    /// Its cells, as one CSV record.
    pub raw: Vec<u8>,
}

impl Journal {
    /// Gives each of these rows, sorted by IMEI, its order: a new one, or the one that is live. `finished_before`: orders
    /// that ended before are ordered anew (`recheck_after`); `None`: never.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn link_orders(
        &self,
        batch: BatchId,
        service: ServiceId,
        rows: Vec<OrderFor>,
        finished_before: Option<Timestamp>,
    ) -> Result<Vec<RowOrder>, JournalError> {
        self.write(move |tx| link_all(tx, (batch, service), &rows, finished_before)).await
    }

    /// Journals rows. One that is there already stays as it is.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn insert_rows(&self, batch: BatchId, rows: Vec<NewRow>) -> Result<(), JournalError> {
        self.write(move |tx| insert(tx, batch, &rows)).await
    }
}

/// So many rows go into one statement: a statement opens each of the table's indexes anew.
const GROUP: usize = 16;
/// From a group's first order's number to its last one's.
const GROUP_LAST: i64 = 15;

/// Makes an order for a key that has none. Nearly every row of a file is such a one: it is tried first.
const INSERT: &str = "INSERT INTO orders (service, batch, imei, first_row, state) VALUES (?1, ?2, ?3, ?4, 0) \
    ON CONFLICT (service, imei) WHERE current = 1 DO NOTHING";

/// The same for a group.
static INSERT_GROUP: LazyLock<String> = LazyLock::new(|| {
    let rows: Vec<String> =
        (0..GROUP).map(|n| format!("(?1, ?2, ?{}, ?{}, 0)", 2 * n + 3, 2 * n + 4)).collect();
    format!(
        "INSERT INTO orders (service, batch, imei, first_row, state) VALUES {} \
         ON CONFLICT (service, imei) WHERE current = 1 DO NOTHING",
        rows.join(", ")
    )
});

fn link_all(
    tx: &Tx<'_>,
    (batch, service): (BatchId, ServiceId),
    rows: &[OrderFor],
    finished_before: Option<Timestamp>,
) -> Result<Vec<RowOrder>, JournalError> {
    let mut linked = Vec::with_capacity(rows.len());
    let mut insert = tx.prepare(INSERT)?;
    let mut insert_group = tx.prepare(&INSERT_GROUP)?;
    for group in rows.chunks(GROUP) {
        if group.len() == GROUP {
            let keys = group.iter().flat_map(|row| [number(row.imei), RowId::new(batch, row.row).0]);
            let made =
                insert_group.execute(params_from_iter([service.0, batch.0].into_iter().chain(keys)))?;
            if made == GROUP {
                // None had an order: theirs have the last numbers, in their order.
                let first = tx.connection().last_insert_rowid().saturating_sub(GROUP_LAST);
                let own = |(order, row): (i64, &OrderFor)| RowOrder {
                    row: row.row,
                    order: OrderId(order),
                    link: Link::Own,
                    is_known: false,
                };
                linked.extend((first..).zip(group).map(own));
                continue;
            }
        }
        // What was made just now is found as its row's own.
        for row in group {
            linked.push(link(tx, &mut insert, (batch, service), *row, finished_before)?);
        }
    }
    Ok(linked)
}

fn number(imei: Imei) -> i64 {
    i64::try_from(imei.as_u64()).unwrap_or(0)
}

fn link(
    tx: &Tx<'_>,
    insert: &mut CachedStatement<'_>,
    (batch, service): (BatchId, ServiceId),
    row: OrderFor,
    finished_before: Option<Timestamp>,
) -> Result<RowOrder, JournalError> {
    let own = RowId::new(batch, row.row);
    let mut make = || insert.execute((service.0, batch.0, number(row.imei), own.0));
    let made = |tx: &Tx<'_>| RowOrder {
        row: row.row,
        order: OrderId(tx.connection().last_insert_rowid()),
        link: Link::Own,
        is_known: false,
    };
    if make()? == 1 {
        return Ok(made(tx));
    }
    if let Some(order) = orders::current(tx, service, row.imei)? {
        let found = |link| {
            let is_known = link != Link::Own || order.attempts > 0;
            RowOrder { row: row.row, order: order.id, link, is_known }
        };
        if order.first_row == own {
            return Ok(found(Link::Own));
        }
        let expired = matches!((order.done_at, finished_before), (Some(done), Some(limit)) if done < limit);
        let expired = expired && !successor::stands(tx, order.id, finished_before)?;
        if order.life.is_live(expired, order.retried) || is_paid_for(tx, &order, finished_before)? {
            if adopt::has_no_row(&order) {
                adopt::adopt(tx, &order, own)?;
                return Ok(found(Link::Own));
            }
            let ended = order.life.state.is_final() && order.batch != batch;
            if !ended && !order.joined {
                tx.execute_one(
                    "an order's joining",
                    "UPDATE orders SET joined = 1 WHERE id = ?1",
                    [order.id.0],
                )?;
            }
            return Ok(found(if ended { Link::Earlier } else { Link::Joined }));
        }
        retire(tx, &order)?;
    }
    match make()? {
        1 => Ok(made(tx)),
        changed => Err(JournalError::Unexpected { what: "a new order", changed }),
    }
}

/// Whether it ended as the duplicate of an older order of ours that was charged all the same, though it had made room: then
/// another one would be paid for once more. What was given back as it ended rejected is free to be ordered.
fn is_paid_for(
    tx: &Tx<'_>,
    order: &Loaded,
    finished_before: Option<Timestamp>,
) -> Result<bool, JournalError> {
    let Some(earlier) = order.earlier.filter(|_| order.life.state == State::OrderedElsewhere) else {
        return Ok(false);
    };
    if order.retried {
        return Ok(false);
    }
    let earlier = orders::load(tx, earlier)?;
    let expired = matches!((earlier.done_at, finished_before), (Some(done), Some(limit)) if done < limit);
    Ok(earlier.life.charged > 0 && earlier.life.state != State::Rejected && !expired)
}

/// Makes room for a successor. The table refuses it for an order that could still be, or have been, charged.
pub(super) fn retire(tx: &Tx<'_>, order: &Loaded) -> Result<(), JournalError> {
    tx.execute_one("an order's successor", "UPDATE orders SET current = 0 WHERE id = ?1", [order.id.0])
}

/// A row's columns.
const ROW_COLUMNS: usize = 5;

const INSERT_ROW: &str =
    "INSERT OR IGNORE INTO rows (id, order_id, link, why_not, raw) VALUES (?1, ?2, ?3, ?4, ?5)";

/// For a group of rows none of which is there.
static INSERT_ROWS: LazyLock<String> = LazyLock::new(|| {
    let row = |n: usize| {
        let places: Vec<String> = (1..=ROW_COLUMNS).map(|at| format!("?{}", n * ROW_COLUMNS + at)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..GROUP).map(row).collect();
    format!("INSERT INTO rows (id, order_id, link, why_not, raw) VALUES {}", rows.join(", "))
});

/// What stands in one column of a row.
enum Column<'a> {
    Number(Option<i64>),
    Text(Option<&'a str>),
    Bytes(&'a [u8]),
}

impl ToSql for Column<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Number(Some(number)) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Text(Some(text)) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Number(None) | Self::Text(None) => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

fn columns(batch: BatchId, row: &NewRow) -> [Column<'_>; ROW_COLUMNS] {
    [
        Column::Number(Some(RowId::new(batch, row.row).0)),
        Column::Number(row.order.map(|(order, _)| order.0)),
        Column::Number(Some(link_of(row).code())),
        Column::Text(row.why_not.as_deref()),
        Column::Bytes(&row.raw),
    ]
}

fn link_of(row: &NewRow) -> Link {
    row.order.map_or(Link::Invalid, |(_, link)| link)
}

fn insert(tx: &Tx<'_>, batch: BatchId, rows: &[NewRow]) -> Result<(), JournalError> {
    let mut tallies: BTreeMap<(i64, Link), i64> = BTreeMap::new();
    // Queued, as its batch is taking; but for orders that an older copy knew of.
    let was_copy = tx.fact(super::restore::WAS_COPY)?.is_some();
    let mut count = |row: &NewRow| -> Result<(), JournalError> {
        let state = match row.order {
            None => TALLY_INVALID,
            Some((_, Link::Own)) if !was_copy => 0,
            Some((order, _)) => orders::tally_state(&orders::load(tx, order)?),
        };
        let tally = tallies.entry((state, link_of(row))).or_default();
        *tally = tally.saturating_add(1);
        Ok(())
    };
    let mut insert_row = tx.prepare(INSERT_ROW)?;
    let mut insert_group = tx.prepare(&INSERT_ROWS)?;
    let are_new = !is_any_there(tx, batch, rows)?;
    for group in rows.chunks(GROUP) {
        if are_new && group.len() == GROUP {
            insert_group.execute(params_from_iter(group.iter().flat_map(|row| columns(batch, row))))?;
            group.iter().try_for_each(&mut count)?;
            continue;
        }
        for row in group {
            if insert_row.execute(params_from_iter(columns(batch, row)))? > 0 {
                count(row)?;
            }
        }
    }
    for ((state, link), n) in tallies {
        orders::add_tally(tx, batch, link, state, n);
    }
    Ok(())
}

/// Whether a row between the first and the last of these was journaled before: intake is repeated after a crash.
fn is_any_there(tx: &Tx<'_>, batch: BatchId, rows: &[NewRow]) -> Result<bool, JournalError> {
    let numbers = || rows.iter().map(|row| row.row);
    let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else { return Ok(false) };
    let between = (RowId::new(batch, first).0, RowId::new(batch, last).0);
    let found = tx.find("SELECT 1 FROM rows WHERE id BETWEEN ?1 AND ?2 LIMIT 1", between, |_| Ok(()))?;
    Ok(found.is_some())
}
