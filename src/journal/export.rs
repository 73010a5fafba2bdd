//! The provider's own export, held against what the journal knows.
//!
//! It comes in two steps. [`Journal::sort_export`] takes rows as they are read: what is of no order of ours is
//! remembered with its result, at 0; what may settle an order of ours is handed back. [`Journal::settle_by_export`] takes
//! those, once the whole export was read and its dates can be told by our own orders in it.
//!
//! An export has no order ids, and its absence of an order proves nothing: nothing here releases anything.
//!
//! - [`row`]: a row. [`elsewhere`]: orders that aren't ours. [`anew`]: those that the original of an older copy made anew.
//!   [`successor`]: those that it made after an order that hasn't ended here.
//! - [`settle`]: orders of ours that wait for evidence. [`turned`]: orders of ours that had ended otherwise. [`beyond`]:
//!   rows of an IMEI beyond our orders of it.

mod anew;
pub(super) mod beyond;
mod elsewhere;
mod row;
mod settle;
pub(super) mod successor;
mod turned;
mod unsent;

use super::JournalError;
use super::orders::{self, COLUMNS, Loaded, Rules};
use super::rows;
use super::tx::Tx;
use super::view::View;
use super::{Journal, kept, restore};
use crate::order::State;
use crate::types::{Imei, ServiceId, Timestamp, Titles};

use elsewhere::{answer_elsewhere, remember};
pub(super) use row::one_each;
pub use row::{ExportRow, ExportedCells};
pub(super) use settle::settle;
pub use turned::TurnedBy;

/// What a row turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sorted {
    /// It may settle an order of ours that waits for evidence.
    Wanted(Box<ExportRow>),
    /// It is an order of ours that needs no settling. With an id, its attempt's beginning and end place the row's date.
    Ours(Option<(Timestamp, Timestamp)>),
    /// Likewise, and an attempt of its IMEI may have been taken beside it: each of its rows tells something.
    Loose,
    /// It shows an order of ours with another end than it came to.
    Turned(Box<ExportRow>),
    /// Of no order of ours: remembered with its result, now or before.
    Remembered,
    /// Of no order of ours, and not finished: a later export tells more. While an older copy waits it is taken for ours.
    Unfinished,
}

/// What came of a row that may settle an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettledBy {
    /// The order is settled, or was by this row before.
    Settled,
    /// Kept until the order's answer is there.
    Kept,
    /// It is an older order of ours, which needs no settling.
    Ours,
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
    /// It is an order more than ours are: nothing is booked for it.
    More,
}

const TITLES: &str =
    "SELECT service, title FROM services JOIN titles ON titles.service = services.id WHERE account = ?1";

impl View {
    /// What the provider calls the services of this account, as seen at our own orders.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn titles(&self, account: &str) -> Result<Vec<(ServiceId, String)>, JournalError> {
        self.all(TITLES, [account], |row| Ok((ServiceId(row.get(0)?), row.get(1)?)))
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

    /// Holds the rows of one key of which one shows another end against the orders of ours, their dates placed. What came of
    /// it is told row by row. `made_after`: when an order of ours began that the export has too; `None` where none is known.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn turn_by_export(
        &self,
        rows: Vec<ExportRow>,
        made_after: Option<Timestamp>,
        now: Timestamp,
        rules: Rules,
    ) -> Result<Vec<TurnedBy>, JournalError> {
        self.write(move |tx| turned::turn(tx, &rows, made_after, now, &rules)).await
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

/// Whether an attempt of an order may have been taken beside what is known of it.
const fn has_loose_attempt(order: &Loaded) -> bool {
    order.life.presumed > 0 || order.life.inferred > 0
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
    if waits_for_evidence(newest) || settle::stands_for_older(tx, &all)? {
        return Ok(Sorted::Wanted(Box::new(row.clone())));
    }
    if turned::may_turn(tx, &all, row.status())? {
        return Ok(Sorted::Turned(Box::new(row.clone())));
    }
    if !row.status().has_ended()
        && anew::the_original_may_have_made_anew(tx, newest)?
        && all.iter().any(may_be_at_the_provider)
    {
        return Ok(Sorted::Wanted(Box::new(row.clone())));
    }
    // An order of ours was, or may have been, taken for it: the row is that one's, whatever came after.
    if all.iter().any(has_loose_attempt) {
        return Ok(Sorted::Loose);
    }
    if all.iter().any(may_be_at_the_provider) || newest.life.state == State::Ordered {
        return Ok(Sorted::Ours(if all.len() == 1 { witness(tx, newest)? } else { None }));
    }
    if !row.status().has_ended() {
        let was_never_taken = matches!(newest.life.state, State::Cancelled | State::Refused);
        if !was_never_taken || restore::waits(tx)?.is_none() {
            return Ok(Sorted::Unfinished);
        }
    }
    match newest.life.state {
        State::Queued if is_taking(tx, newest)? => {
            kept::keep(tx, row, service, imei, now)?;
            Ok(Sorted::Remembered)
        }
        State::Queued | State::OrderedElsewhere => {
            answer_older_elsewhere(tx, &all, row, now, rules)?;
            let mut order = newest.clone();
            answer_elsewhere(tx, &mut order, row, now, rules, false)?;
            Ok(Sorted::Remembered)
        }
        // Nothing of it was ever taken: as for a new drop, it makes room.
        State::Cancelled | State::Refused => {
            answer_older_elsewhere(tx, &all, row, now, rules)?;
            rows::retire(tx, newest)?;
            remember(tx, row, service, imei, now, rules)
        }
        _ => Ok(Sorted::Ours(None)),
    }
}

/// The order that the row tells of was there when older orders of the key were refused for it too: their rows are out
/// without an answer.
fn answer_older_elsewhere(
    tx: &Tx<'_>,
    all: &[Loaded],
    row: &ExportRow,
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    if !row.status().has_ended() {
        return Ok(());
    }
    let Some((_, older)) = all.split_last() else { return Ok(()) };
    let is_elsewhere =
        |order: &&Loaded| order.life.state == State::OrderedElsewhere && order.earlier.is_none();
    for order in older.iter().filter(is_elsewhere) {
        answer_elsewhere(tx, &mut order.clone(), row, now, rules, false)?;
    }
    Ok(())
}

/// Nothing touches an order while its batch is being taken in.
pub(super) fn is_taking(tx: &Tx<'_>, order: &Loaded) -> Result<bool, JournalError> {
    let found = tx.find("SELECT 1 FROM batches WHERE id = ?1 AND state = 0", [order.batch.0], |_| Ok(()))?;
    Ok(found.is_some())
}

/// When the one attempt of an order of ours that has an id began and ended: its row in the export was ordered between.
fn witness(tx: &Tx<'_>, order: &Loaded) -> Result<Option<(Timestamp, Timestamp)>, JournalError> {
    if order.life.id.is_none() { Ok(None) } else { attempt_of(tx, order) }
}

/// When the one attempt of an order of ours that was taken began and ended.
fn attempt_of(tx: &Tx<'_>, order: &Loaded) -> Result<Option<(Timestamp, Timestamp)>, JournalError> {
    if order.life.charged != 1 || order.life.unproven() > 0 {
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

/// What the provider called the services of this account, at orders of ours.
pub(super) fn seen_titles(tx: &Tx<'_>, account: &str) -> Result<Titles, JournalError> {
    let mut titles = Titles::default();
    let mut statement = tx.prepare(TITLES)?;
    let mut rows = statement.query([account])?;
    while let Some(row) = rows.next()? {
        titles.see(ServiceId(row.get(0)?), &row.get::<_, String>(1)?);
    }
    Ok(titles)
}

/// Notes what the provider calls a service, at one of our orders of it.
pub(super) fn note_title(tx: &Tx<'_>, service: ServiceId, title: &str) -> Result<(), JournalError> {
    let title = title.trim();
    // It is the same with nearly every order that is told of: once a transaction is enough.
    if title.is_empty() || !tx.is_first_title(service, title) {
        return Ok(());
    }
    tx.execute("INSERT OR IGNORE INTO titles (service, title) VALUES (?1, ?2)", (service.0, title))?;
    Ok(())
}
