//! Intake's writing: a batch's orders, then its rows. Both are idempotent: after a crash intake repeats them.
//!
//! Orders are written in the order of their IMEIs (the index that makes them unique grows at one place), rows in the
//! file's, each with its order's id. Nothing touches an order while its batch is still `taking`.

use std::collections::BTreeMap;

use rusqlite::CachedStatement;

use super::codes::{Link, TALLY_INVALID};
use super::orders::{self, Loaded};
use super::tx::Tx;
use super::{Journal, JournalError};
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
        self.write(move |tx| {
            let mut insert = tx.prepare(INSERT)?;
            rows.iter().map(|row| link(tx, &mut insert, (batch, service), *row, finished_before)).collect()
        })
        .await
    }

    /// Journals rows. One that is there already stays as it is.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn insert_rows(&self, batch: BatchId, rows: Vec<NewRow>) -> Result<(), JournalError> {
        self.write(move |tx| insert(tx, batch, &rows)).await
    }
}

/// Makes an order for a key that has none. Nearly every row of a file is such a one: it is tried first.
const INSERT: &str = "INSERT INTO orders (service, imei, batch, first_row, state) VALUES (?1, ?2, ?3, ?4, 0) \
    ON CONFLICT (service, imei) WHERE current = 1 DO NOTHING";

fn link(
    tx: &Tx<'_>,
    insert: &mut CachedStatement<'_>,
    (batch, service): (BatchId, ServiceId),
    row: OrderFor,
    finished_before: Option<Timestamp>,
) -> Result<RowOrder, JournalError> {
    let imei = i64::try_from(row.imei.as_u64()).unwrap_or(0);
    let own = RowId::new(batch, row.row);
    let mut make = || insert.execute((service.0, imei, batch.0, own.0));
    let made = |tx: &Tx<'_>| RowOrder {
        row: row.row,
        order: OrderId(tx.connection().last_insert_rowid()),
        link: Link::Own,
    };
    if make()? == 1 {
        return Ok(made(tx));
    }
    if let Some(order) = orders::current(tx, service, row.imei)? {
        let found = |link| RowOrder { row: row.row, order: order.id, link };
        if order.first_row == own {
            return Ok(found(Link::Own));
        }
        let expired = matches!((order.done_at, finished_before), (Some(done), Some(limit)) if done < limit);
        if order.life.is_live(expired, order.retried) {
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

/// Makes room for a successor. The table refuses it for an order that could still be, or have been, charged.
pub(super) fn retire(tx: &Tx<'_>, order: &Loaded) -> Result<(), JournalError> {
    tx.execute_one("an order's successor", "UPDATE orders SET current = 0 WHERE id = ?1", [order.id.0])
}

fn insert(tx: &Tx<'_>, batch: BatchId, rows: &[NewRow]) -> Result<(), JournalError> {
    let mut tallies: BTreeMap<(i64, Link), i64> = BTreeMap::new();
    // Queued, as its batch is taking; but for orders that an older copy knew of.
    let was_copy = tx.fact(super::restore::WAS_COPY)?.is_some();
    let mut statement = tx.prepare(
        "INSERT OR IGNORE INTO rows (id, order_id, link, why_not, raw) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for row in rows {
        let (order, link) = match row.order {
            Some((order, link)) => (Some(order), link),
            None => (None, Link::Invalid),
        };
        let id = RowId::new(batch, row.row).0;
        let added = statement.execute((id, order.map(|id| id.0), link.code(), &row.why_not, &row.raw))?;
        if added == 0 {
            continue;
        }
        let state = match (order, link) {
            (None, _) => TALLY_INVALID,
            (Some(_), Link::Own) if !was_copy => 0,
            (Some(order), _) => orders::tally_state(&orders::load(tx, order)?),
        };
        let tally = tallies.entry((state, link)).or_default();
        *tally = tally.saturating_add(1);
    }
    for ((state, link), n) in tallies {
        orders::add_tally(tx, batch, link, state, n);
    }
    Ok(())
}
