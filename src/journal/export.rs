//! The provider's own export, held against what the journal knows.
//!
//! It comes in two steps. [`Journal::sort_export`] takes rows as they are read: what is of no order of ours is
//! remembered with its result, at 0; what may settle an order of ours is handed back. [`Journal::settle_by_export`] takes
//! those, once the whole export was read and its dates can be told by our own orders in it.
//!
//! An export has no order ids, and its absence of an order proves nothing: nothing here releases anything.

use rusqlite::OptionalExtension;
use serde::{Deserialize, Serialize};

use super::JournalError;
use super::codes::state_code;
use super::orders::{self, COLUMNS, Loaded, Rules, Telling};
use super::poll;
use super::rows;
use super::tx::Tx;
use super::view::View;
use super::{Journal, kept};
use crate::order::{Event, Exported, State};
use crate::types::{Imei, OrderId, ProviderStatus, ServiceId, Timestamp};

/// What an export's row says of the check beside its code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedCells {
    /// `CARRIER`
    pub carrier: String,
    /// `SIMLOCK`
    pub simlock: String,
    /// `MODEL`
    pub model: String,
    /// `FMI`
    pub fmi: String,
    /// `IMEI 2`
    pub imei2: String,
    /// `ORDER DATE` as it stands, in the provider's own, unknown time zone.
    pub date: String,
    /// The provider gave it back.
    pub rejected: bool,
}

/// A row of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRow {
    /// Its line in the file, from 1.
    pub line: u64,
    /// The service that its title stands for.
    pub service: i64,
    /// Its IMEI.
    pub imei: u64,
    /// 1 pending, 2 completed, 3 rejected.
    pub status: u8,
    /// `CODE`
    pub code: String,
    /// What else it says.
    pub cells: ExportedCells,
    /// `ORDER DATE` in milliseconds, read as if it were UTC; `None`: can't be read.
    pub told_at: Option<i64>,
    /// Between which times of our clock, in unix milliseconds, it was ordered, once its date is placed.
    pub placed: Option<(i64, i64)>,
    /// The row as it stands, as one CSV record.
    pub raw: String,
}

impl ExportRow {
    /// How far it is.
    #[must_use]
    pub const fn status(&self) -> ProviderStatus {
        match self.status {
            2 => ProviderStatus::Completed,
            3 => ProviderStatus::Rejected,
            _ => ProviderStatus::Pending,
        }
    }

    const fn is_finished(&self) -> bool {
        matches!(self.status(), ProviderStatus::Completed | ProviderStatus::Rejected)
    }

    fn key(&self) -> Option<(ServiceId, Imei)> {
        Imei::from_u64(self.imei).map(|imei| (ServiceId(self.service), imei))
    }
}

/// What a row turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sorted {
    /// It may settle an order of ours that waits for evidence.
    Wanted(Box<ExportRow>),
    /// It is an order of ours that needs no settling. With an id, its attempt's beginning and end place the row's date.
    Ours(Option<(Timestamp, Timestamp)>),
    /// Of no order of ours: remembered with its result, now or before.
    Remembered,
    /// Of no order of ours, and not finished: a later export tells more.
    Unfinished,
}

/// What came of a row that may settle an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettledBy {
    /// The order is settled, or was by this row before.
    Settled,
    /// Kept until the order's answer is there.
    Kept,
    /// It can't be told whether it is this order's.
    Unmatched(Unmatched),
}

/// Why a row settles nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unmatched {
    /// Its date can't be placed: none of our own orders in the export is near it.
    NoDate,
    /// It was ordered before our first attempt: by hand, or by an older order.
    Before,
    /// It is an older order of ours.
    OlderOrder,
    /// No attempt of ours is known that it could be.
    NoAttempt,
}

impl View {
    /// What the provider calls the services of this account, as seen at our own orders.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn titles(&self, account: &str) -> Result<Vec<(ServiceId, String)>, JournalError> {
        self.all(
            "SELECT service, title FROM services JOIN titles ON titles.service = services.id WHERE account = ?1",
            [account],
            |row| Ok((ServiceId(row.get(0)?), row.get(1)?)),
        )
    }
}

impl Journal {
    /// Sorts rows of an export, in their order, and remembers what is of no order of ours.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn sort_export(
        &self,
        rows: Vec<ExportRow>,
        now: Timestamp,
        rules: Rules,
    ) -> Result<Vec<Sorted>, JournalError> {
        self.write(move |tx| rows.iter().map(|row| sort(tx, row, now, &rules)).collect()).await
    }

    /// Settles the order of one key by the rows that may be its own, all of the export, each with its date placed.
    /// What came of it is told row by row.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn settle_by_export(
        &self,
        rows: Vec<ExportRow>,
        now: Timestamp,
        rules: Rules,
    ) -> Result<Vec<SettledBy>, JournalError> {
        self.write(move |tx| settle(tx, &rows, now, &rules)).await
    }
}

/// All orders of a key, the newest last.
pub(super) fn orders_of(tx: &Tx<'_>, service: ServiceId, imei: Imei) -> Result<Vec<Loaded>, JournalError> {
    let mut found = Vec::new();
    // Two look-ups: an index serves each.
    for current in ["current = 0", "current = 1"] {
        let sql = format!(
            "SELECT {COLUMNS} FROM orders WHERE service = ?1 AND imei = ?2 AND {current} ORDER BY id"
        );
        let mut statement = tx.prepare(&sql)?;
        let mut rows = statement.query((service.0, i64::try_from(imei.as_u64()).unwrap_or(0)))?;
        while let Some(row) = rows.next()? {
            found.push(orders::read(row)?);
        }
    }
    Ok(found)
}

/// Whether an order of ours may have been taken.
const fn may_be_at_the_provider(order: &Loaded) -> bool {
    order.life.charged > 0 || order.life.unproven() > 0
}

/// Whether an export can still tell what became of an order.
fn waits_for_evidence(order: &Loaded) -> bool {
    match order.life.state {
        State::Submitting | State::InDoubt | State::OrderedNoId | State::Held => true,
        State::Queued => order.life.unproven() > 0,
        State::Cancelled => may_be_at_the_provider(order),
        _ => false,
    }
}

pub(super) fn sort(
    tx: &Tx<'_>,
    row: &ExportRow,
    now: Timestamp,
    rules: &Rules,
) -> Result<Sorted, JournalError> {
    let Some((service, imei)) = row.key() else { return Ok(Sorted::Unfinished) };
    let all = orders_of(tx, service, imei)?;
    let Some(newest) = all.last() else {
        return remember(tx, row, service, imei, now, rules);
    };
    if waits_for_evidence(newest) {
        return Ok(Sorted::Wanted(Box::new(row.clone())));
    }
    // An order of ours was, or may have been, taken for it: the row is that one's, whatever came after.
    if all.iter().any(may_be_at_the_provider) || newest.life.state == State::Ordered {
        return Ok(Sorted::Ours(if all.len() == 1 { witness(tx, newest)? } else { None }));
    }
    if !row.is_finished() {
        return Ok(Sorted::Unfinished);
    }
    match newest.life.state {
        State::Queued if is_taking(tx, newest)? => {
            kept::keep(tx, row, service, imei, now)?;
            Ok(Sorted::Remembered)
        }
        State::Queued | State::OrderedElsewhere => {
            let mut order = newest.clone();
            answer_elsewhere(tx, &mut order, row, now, rules, false)?;
            Ok(Sorted::Remembered)
        }
        // Nothing of it was ever taken: as for a new drop, it makes room.
        State::Cancelled | State::Refused => {
            rows::retire(tx, newest)?;
            remember(tx, row, service, imei, now, rules)
        }
        _ => Ok(Sorted::Ours(None)),
    }
}

/// Nothing touches an order while its batch is being taken in.
pub(super) fn is_taking(tx: &Tx<'_>, order: &Loaded) -> Result<bool, JournalError> {
    let found = tx.find("SELECT 1 FROM batches WHERE id = ?1 AND state = 0", [order.batch.0], |_| Ok(()))?;
    Ok(found.is_some())
}

/// When the one attempt of an order of ours that has an id began and ended: its row in the export was ordered between.
fn witness(tx: &Tx<'_>, order: &Loaded) -> Result<Option<(Timestamp, Timestamp)>, JournalError> {
    if order.life.id.is_none() || order.life.charged != 1 || order.life.unproven() > 0 {
        return Ok(None);
    }
    let found: Option<(i64, Option<i64>)> = tx.find(
        "SELECT claimed_at, ended_at FROM attempts WHERE order_id = ?1 AND verdict = 0 AND kind < 2",
        [order.id.0],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(found.and_then(|(begun, ended)| {
        ended.map(|ended| (Timestamp::from_millis(begun), Timestamp::from_millis(ended)))
    }))
}

/// Enters an order that isn't ours, with its result: no row stands for it, and nothing was paid by us.
fn remember(
    tx: &Tx<'_>,
    row: &ExportRow,
    service: ServiceId,
    imei: Imei,
    now: Timestamp,
    rules: &Rules,
) -> Result<Sorted, JournalError> {
    if !row.is_finished() {
        return Ok(Sorted::Unfinished);
    }
    tx.execute(
        "INSERT INTO orders (service, imei, batch, first_row, state) VALUES (?1, ?2, 0, 0, ?3)",
        (service.0, i64::try_from(imei.as_u64()).unwrap_or(0), state_code(State::Queued)),
    )?;
    let mut order = orders::load(tx, OrderId(tx.connection().last_insert_rowid()))?;
    // Years of them: the order and its result are there, an event of each would say the same again.
    answer_elsewhere(tx, &mut order, row, now, rules, true)?;
    Ok(Sorted::Remembered)
}

/// Gives an order that isn't ours the row's result, where it has none or an older one. A completed check beats a
/// rejection.
fn answer_elsewhere(
    tx: &Tx<'_>,
    order: &mut Loaded,
    row: &ExportRow,
    now: Timestamp,
    rules: &Rules,
    quiet: bool,
) -> Result<(), JournalError> {
    if order.life.has_result && !is_better(tx, order.id, row)? {
        return Ok(());
    }
    let text = format!("line {} of an export, ordered on {}", row.line, row.cells.date);
    let telling = Telling { what: "exported", text: &text, via: "export", quiet };
    let event = Event::Exported(Exported::One(row.status()));
    if orders::advance(tx, order, &event, now, rules, &telling)?.is_some() {
        set_result(tx, order.id, row)?;
    }
    Ok(())
}

fn is_better(tx: &Tx<'_>, order: OrderId, row: &ExportRow) -> Result<bool, JournalError> {
    let known: Option<String> = tx
        .prepare("SELECT exported FROM results WHERE order_id = ?1")?
        .query_row([order.0], |row| row.get(0))
        .optional()?
        .flatten();
    let Some(known) = known.and_then(|known| serde_json::from_str::<Dated>(&known).ok()) else {
        return Ok(true);
    };
    Ok((!row.cells.rejected, row.told_at) > (!known.cells.rejected, known.told_at))
}

/// An export's cells with their date as a number, as `results.exported` keeps them.
#[derive(Serialize, Deserialize)]
struct Dated {
    #[serde(flatten)]
    cells: ExportedCells,
    told_at: Option<i64>,
}

fn set_result(tx: &Tx<'_>, order: OrderId, row: &ExportRow) -> Result<(), JournalError> {
    poll::set_code(tx, order, &row.code)?;
    let dated = Dated { cells: row.cells.clone(), told_at: row.told_at };
    let exported = serde_json::to_string(&dated).map_err(|error| JournalError::Unknown(error.to_string()))?;
    tx.execute_one(
        "an export's result",
        "UPDATE results SET exported = ?2 WHERE order_id = ?1",
        (order.0, exported),
    )
}

/// Settles the order of one key.
pub(super) fn settle(
    tx: &Tx<'_>,
    rows: &[ExportRow],
    now: Timestamp,
    rules: &Rules,
) -> Result<Vec<SettledBy>, JournalError> {
    let Some((service, imei)) = rows.first().and_then(ExportRow::key) else { return Ok(Vec::new()) };
    let all = orders_of(tx, service, imei)?;
    let Some((newest, older)) = all.split_last() else { return Ok(vec![SettledBy::Settled; rows.len()]) };
    if newest.life.state == State::Submitting {
        return keep_for_the_answer(tx, newest.clone(), rows, now, rules);
    }
    if !waits_for_evidence(newest) {
        // Settled since by something better.
        return Ok(vec![SettledBy::Settled; rows.len()]);
    }
    let from = first_attempt(tx, newest, older)?;
    let others = taken_by(tx, older)?;
    let judged: Vec<Option<Unmatched>> = rows.iter().map(|row| judge(row, from, &others)).collect();
    let own: Vec<&ExportRow> =
        rows.iter().zip(&judged).filter(|(_, why)| why.is_none()).map(|(row, _)| row).collect();
    let mut order = newest.clone();
    match &own[..] {
        [] => {}
        [one] => settle_by_one(tx, &mut order, one, now, rules)?,
        several => settle_by_several(tx, &mut order, several, now, rules)?,
    }
    Ok(judged.into_iter().map(|why| why.map_or(SettledBy::Settled, SettledBy::Unmatched)).collect())
}

fn keep_for_the_answer(
    tx: &Tx<'_>,
    mut order: Loaded,
    rows: &[ExportRow],
    now: Timestamp,
    rules: &Rules,
) -> Result<Vec<SettledBy>, JournalError> {
    for row in rows {
        let telling = Telling { what: "exported", text: "kept for its answer", via: "export", quiet: true };
        let event = Event::Exported(Exported::One(row.status()));
        orders::advance(tx, &mut order, &event, now, rules, &telling)?;
        kept::keep(tx, row, order.service, order.imei, now)?;
    }
    Ok(vec![SettledBy::Kept; rows.len()])
}

/// When the first attempt began that the export can be about: of those whose outcome isn't proven, and, where its answer
/// never came, of the one that is charged. A charge that stands for the key's other orders began with theirs.
fn first_attempt(tx: &Tx<'_>, newest: &Loaded, older: &[Loaded]) -> Result<Option<Timestamp>, JournalError> {
    let mut first: Option<i64> = None;
    let mut look = |order: OrderId, verdicts: &str| -> Result<(), JournalError> {
        let sql = format!(
            "SELECT min(claimed_at) FROM attempts WHERE order_id = ?1 AND (kind < 2 OR verdict = 3) AND verdict IN ({verdicts})"
        );
        let found: Option<i64> = tx.find(&sql, [order.0], |row| row.get(0))?.flatten();
        first = match (first, found) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Ok(())
    };
    look(newest.id, "0, 3, 4, 5, 6, 7")?;
    for order in older {
        look(order.id, "3, 4, 5, 6, 7")?;
    }
    Ok(first.map(Timestamp::from_millis))
}

/// When the key's older orders were taken: rows from then are theirs.
fn taken_by(tx: &Tx<'_>, older: &[Loaded]) -> Result<Vec<(i64, i64)>, JournalError> {
    let mut taken = Vec::new();
    for order in older {
        let mut statement = tx.prepare(
            "SELECT claimed_at, coalesce(ended_at, claimed_at) FROM attempts WHERE order_id = ?1 AND kind < 2 AND verdict = 0",
        )?;
        let found = statement.query_map([order.id.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for attempt in found {
            taken.push(attempt?);
        }
    }
    Ok(taken)
}

/// Why a row can't be the order's, if it can't.
pub(super) fn judge(row: &ExportRow, from: Option<Timestamp>, others: &[(i64, i64)]) -> Option<Unmatched> {
    let Some(from) = from else { return Some(Unmatched::NoAttempt) };
    let Some((earliest, latest)) = row.placed else { return Some(Unmatched::NoDate) };
    if others.iter().any(|(begun, ended)| earliest <= *ended && latest >= *begun) {
        return Some(Unmatched::OlderOrder);
    }
    (latest < from.millis()).then_some(Unmatched::Before)
}

fn settle_by_one(
    tx: &Tx<'_>,
    order: &mut Loaded,
    row: &ExportRow,
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    let pending = row.status() == ProviderStatus::Pending;
    if pending && order.life.state == State::OrderedNoId && order.life.charged > 0 {
        return Ok(());
    }
    let text = format!("line {} of an export, ordered on {}", row.line, row.cells.date);
    let telling = Telling { what: "exported", text: &text, via: "export", quiet: false };
    let event = Event::Exported(Exported::One(row.status()));
    if orders::advance(tx, order, &event, now, rules, &telling)?.is_none() {
        return Ok(());
    }
    keep_raw(tx, order.id, row, now)?;
    if row.is_finished() { set_result(tx, order.id, row) } else { Ok(()) }
}

fn settle_by_several(
    tx: &Tx<'_>,
    order: &mut Loaded,
    rows: &[&ExportRow],
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    // Read again, or known from a listing: the alarm was raised then.
    if order.life.state == State::Held && order.life.charged >= 2 {
        return Ok(());
    }
    let lines: Vec<String> = rows.iter().map(|row| row.line.to_string()).collect();
    let text = format!("lines {} of an export are all of this IMEI", lines.join(", "));
    let telling = Telling { what: "exported", text: &text, via: "export", quiet: false };
    orders::advance(tx, order, &Event::Exported(Exported::Several), now, rules, &telling)?;
    for row in rows {
        keep_raw(tx, order.id, row, now)?;
    }
    tx.execute("UPDATE orders SET held_for = ?2 WHERE id = ?1", (order.id.0, &text))?;
    Ok(())
}

fn keep_raw(tx: &Tx<'_>, order: OrderId, row: &ExportRow, now: Timestamp) -> Result<(), JournalError> {
    tx.execute(
        "INSERT INTO answers (order_id, at, kind, body) VALUES (?1, ?2, 'export', ?3)",
        (order.0, now.millis(), row.raw.as_bytes()),
    )?;
    Ok(())
}

/// Notes what the provider calls an order's service.
pub(super) fn note_title(tx: &Tx<'_>, order: OrderId, title: &str) -> Result<(), JournalError> {
    if title.trim().is_empty() {
        return Ok(());
    }
    tx.execute(
        "INSERT OR IGNORE INTO titles (service, title) SELECT service, ?2 FROM orders WHERE id = ?1",
        (order.0, title.trim()),
    )?;
    Ok(())
}
