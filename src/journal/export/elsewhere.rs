//! Orders that are none of ours: the export tells of them and of their results, and nothing was paid by us.

use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::super::JournalError;
use super::super::again;
use super::super::codes::{ASSUMED, state_code};
use super::super::orders::{self, Loaded, Rules, Telling};
use super::super::poll;
use super::super::restore;
use super::super::tx::Tx;
use super::Sorted;
use super::row::{ExportRow, ExportedCells};
use crate::order::{Event, Exported, State};
use crate::types::{Imei, OrderId, ServiceId, Timestamp};

/// In milliseconds.
const DAY: i64 = 86_400_000;

/// Enters an order that isn't ours, with its result: no row stands for it, and nothing was paid by us.
pub(super) fn remember(
    tx: &Tx<'_>,
    row: &ExportRow,
    service: ServiceId,
    imei: Imei,
    now: Timestamp,
    rules: &Rules,
) -> Result<Sorted, JournalError> {
    if !row.status().has_ended() {
        return made_since(tx, row, service, imei, now, rules);
    }
    let mut order = enter(tx, service, imei)?;
    // Years of them: the order and its result are there, an event of each would say the same again.
    answer_elsewhere(tx, &mut order, row, now, rules, true)?;
    Ok(Sorted::Remembered)
}

fn enter(tx: &Tx<'_>, service: ServiceId, imei: Imei) -> Result<Loaded, JournalError> {
    tx.execute(
        "INSERT INTO orders (service, imei, batch, first_row, state) VALUES (?1, ?2, 0, 0, ?3)",
        (service.0, i64::try_from(imei.as_u64()).unwrap_or(0), state_code(State::Queued)),
    )?;
    orders::load(tx, OrderId(tx.connection().last_insert_rowid()))
}

/// An order that isn't finished, and of which this journal knows nothing, has no result to remember. But while an older
/// copy waits for a person's word, it is taken as made by the journal that the copy is of: dropped again it would be
/// paid for again. That it was charged is sure, for the provider charges what it takes; whose order it is isn't, and where
/// it is shown that is said. (Presumed it could be denied by a word, and be sent again.)
fn made_since(
    tx: &Tx<'_>,
    row: &ExportRow,
    service: ServiceId,
    imei: Imei,
    now: Timestamp,
    rules: &Rules,
) -> Result<Sorted, JournalError> {
    let Some(copy) = restore::waits(tx)? else { return Ok(Sorted::Unfinished) };
    take_for_ours(tx, row, (service, imei), &copy, now, rules)?;
    Ok(Sorted::Ours(None))
}

/// Enters an order that the original of this copy made: it is charged, and not finished. `copy`: what the journal was known
/// as an older copy by.
pub(super) fn take_for_ours(
    tx: &Tx<'_>,
    row: &ExportRow,
    (service, imei): (ServiceId, Imei),
    copy: &str,
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    let mut order = enter(tx, service, imei)?;
    let taken_as_sent = Telling { what: "older copy", text: copy, via: "", quiet: false };
    orders::advance(tx, &mut order, &Event::Restored, now, rules, &taken_as_sent)?;
    let text = row.told();
    let telling = Telling { what: "exported", text: &text, via: "export", quiet: false };
    let event = Event::Exported(Exported::One(row.status()));
    orders::advance(tx, &mut order, &event, now, rules, &telling)?;
    made_before(tx, &order, row)
}

/// The attempt that is taken as made began before the order that the row shows, whenever that was: a later export or
/// listing that shows it again, with its end or its id, is about this attempt. The row's date is in a time zone that
/// isn't known, and none is a day ahead of ours. What ids were known then isn't known either.
fn made_before(tx: &Tx<'_>, order: &Loaded, row: &ExportRow) -> Result<(), JournalError> {
    tx.execute_one(
        "an assumed attempt's beginning",
        "UPDATE attempts SET claimed_at = coalesce(?3, claimed_at), known_id = 0 \
         WHERE order_id = ?1 AND n = ?2 AND kind = ?4",
        (order.id.0, order.attempts, row.told_at.map(|told_at| told_at.saturating_sub(DAY)), ASSUMED),
    )
}

/// Gives an order that isn't ours the row's result, where it has none or an older one. A completed check beats a
/// rejection.
pub(super) fn answer_elsewhere(
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
    let text = row.told();
    let telling = Telling { what: "exported", text: &text, via: "export", quiet };
    let event = Event::Exported(Exported::One(row.status()));
    let had_result = order.life.has_result;
    if orders::advance(tx, order, &event, now, rules, &telling)?.is_some() {
        set_result(tx, order.id, row)?;
        if had_result {
            // As far as the order goes, it is what it was: its rows have another answer all the same.
            again::publish_again(tx, order, now)?;
        }
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
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Dated {
    #[serde(flatten)]
    cells: ExportedCells,
    told_at: Option<i64>,
}

impl Dated {
    /// Whether this row of its key shows the same order: an export that is dropped again has it once more.
    pub(super) fn is(&self, row: &ExportRow) -> bool {
        self.told_at == row.told_at && (row.told_at.is_some() || self.cells == row.cells)
    }
}

/// The orders of a key that aren't ours, as the exports that told of them last did.
pub(super) fn remembered(
    connection: &Connection,
    service: ServiceId,
    imei: Imei,
) -> rusqlite::Result<Vec<Dated>> {
    let mut all = Vec::new();
    // Two look-ups: an index serves each.
    for current in ["current = 0", "current = 1"] {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT exported FROM orders JOIN results ON results.order_id = orders.id \
             WHERE service = ?1 AND imei = ?2 AND {current} AND state = 9 AND exported IS NOT NULL"
        ))?;
        let of_key = (service.0, i64::try_from(imei.as_u64()).unwrap_or(0));
        let found = statement.query_map(of_key, |row| row.get::<_, String>(0))?;
        for exported in found {
            // One that can't be read is known of no row.
            all.extend(serde_json::from_str::<Dated>(&exported?).ok());
        }
    }
    Ok(all)
}

pub(super) fn set_result(tx: &Tx<'_>, order: OrderId, row: &ExportRow) -> Result<(), JournalError> {
    poll::set_code(tx, order, &row.code)?;
    let dated = Dated { cells: row.cells.clone(), told_at: row.told_at };
    let exported = serde_json::to_string(&dated).map_err(|error| JournalError::Unknown(error.to_string()))?;
    tx.execute_one(
        "an export's result",
        "UPDATE results SET exported = ?2 WHERE order_id = ?1",
        (order.0, exported),
    )
}
