//! An order's row: reading it, and writing what a transition changed.

use std::sync::LazyLock;

use rusqlite::Row;

use super::super::codes::{RESULT_REJECTED, result_code, state_code, state_of};
use super::super::tx::Tx;
use super::super::{JournalError, books};
use super::Loaded;
use crate::order::{Order, State};
use crate::types::{BatchId, Imei, OrderId, ProviderOrderId, RowId, ServiceId, Timestamp};

/// The columns that [`read`] reads, in its order.
pub(in super::super) const COLUMNS: &str = "id, service, imei, batch, first_row, state, provider_id, counted, unaccounted, \
     inferred, presumed, charged, has_result, attempts, joined, retried, due_at, doubt_since, doubt_first, earlier, \
     ordered_at, done_at, rested_after, named";

/// Reads an order from a row of [`COLUMNS`].
pub(in super::super) fn read(row: &Row<'_>) -> rusqlite::Result<Loaded> {
    let unknown = |column: usize, what: &str| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Integer,
            what.to_owned().into(),
        )
    };
    let state = state_of(row.get(5)?).ok_or_else(|| unknown(5, "no state that is known"))?;
    let imei = u64::try_from(row.get::<_, i64>(2)?).ok().and_then(Imei::from_u64);
    let time = |column: usize| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
    Ok(Loaded {
        id: OrderId(row.get(0)?),
        service: ServiceId(row.get(1)?),
        imei: imei.ok_or_else(|| unknown(2, "no IMEI"))?,
        batch: BatchId(row.get(3)?),
        first_row: RowId(row.get(4)?),
        life: Order {
            state,
            id: row.get::<_, Option<i64>>(6)?.and_then(|id| u64::try_from(id).ok()).map(ProviderOrderId),
            counted: row.get(7)?,
            max_attempts: 0,
            unaccounted: row.get(8)?,
            inferred: row.get(9)?,
            presumed: row.get(10)?,
            charged: row.get(11)?,
            named: row.get(23)?,
            has_result: row.get(12)?,
            is_result_rejected: row.get::<_, i64>(12)? == RESULT_REJECTED,
        },
        attempts: row.get(13)?,
        joined: row.get(14)?,
        retried: row.get(15)?,
        due_at: Timestamp::from_millis(row.get(16)?),
        doubt_since: time(17)?,
        doubt_first: time(18)?,
        earlier: row.get::<_, Option<i64>>(19)?.map(OrderId),
        ordered_at: time(20)?,
        done_at: time(21)?,
        rested_after: row.get(22)?,
        attempt: None,
        first_given_back: false,
    })
}

static LOAD: LazyLock<String> = LazyLock::new(|| format!("SELECT {COLUMNS} FROM orders WHERE id = ?1"));

/// The order with this id.
pub(in super::super) fn load(tx: &Tx<'_>, id: OrderId) -> Result<Loaded, JournalError> {
    let found = tx.find(&LOAD, [id.0], read)?;
    found.ok_or_else(|| JournalError::Unknown(format!("there is no order {id}")))
}

/// The newest order of this key.
pub(in super::super) fn current(
    tx: &Tx<'_>,
    service: ServiceId,
    imei: Imei,
) -> Result<Option<Loaded>, JournalError> {
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE service = ?1 AND imei = ?2 AND current = 1");
    tx.find(&sql, (service.0, i64::try_from(imei.as_u64()).unwrap_or(0)), read)
}

/// The order of ours that an id of the provider's is booked for, in the account of this service.
pub(in super::super) fn owner(
    tx: &Tx<'_>,
    service: ServiceId,
    id: ProviderOrderId,
) -> Result<Option<OrderId>, JournalError> {
    tx.find(
        "SELECT charges.order_id FROM charges JOIN services ON services.account = charges.account \
         WHERE services.id = ?1 AND charges.provider_id = ?2",
        (service.0, books::provider_id(id)),
        |row| row.get(0).map(OrderId),
    )
}

pub(super) fn save(tx: &Tx<'_>, order: &Loaded) -> Result<(), JournalError> {
    let life = &order.life;
    let millis = |at: Option<Timestamp>| at.map(Timestamp::millis);
    // `probe_ok` and `absent_since` are settle's notes on a doubt: every transition ends them, but for what is presumed
    // beside an id, where only another id or charge does. That it has rested stays known for as long as no attempt is
    // begun. Why it is held, or waits in doubt, is a note on that one wait.
    tx.execute_one(
        "an order's transition",
        "UPDATE orders SET state = ?2, attempts = ?3, counted = ?4, unaccounted = ?5, inferred = ?6, presumed = ?7, \
         charged = ?8, has_result = ?9, due_at = ?10, doubt_since = ?11, doubt_first = ?12, provider_id = ?13, \
         earlier = ?14, ordered_at = ?15, done_at = ?16, probe_ok = 0, \
         absent_since = CASE WHEN doubt_since IS ?11 AND (?2 = 2 OR (?7 > 0 AND provider_id = ?13 AND charged = ?8)) \
         THEN absent_since END, \
         rested_after = ?17, \
         held_for = CASE WHEN state = ?2 AND (?2 <> 2 OR doubt_since IS ?11) THEN held_for END, named = ?18 WHERE id = ?1",
        rusqlite::params![
            order.id.0,
            state_code(life.state),
            order.attempts,
            life.counted,
            life.unaccounted,
            life.inferred,
            life.presumed,
            life.charged,
            result_code(life.has_result, life.is_result_rejected),
            order.due_at.millis(),
            millis(order.doubt_since),
            millis(order.doubt_first),
            life.id.map(|id| i64::try_from(id.0).unwrap_or(i64::MAX)),
            order.earlier.map(|id| id.0),
            millis(order.ordered_at),
            millis(order.done_at),
            order.rested_after.filter(|_| rests(life)),
            life.named,
        ],
    )
}

/// Whether a quiet period that is over is still one that counts.
const fn rests(life: &Order) -> bool {
    match life.state {
        State::InDoubt | State::OrderedNoId | State::Held => true,
        State::Submitting => false,
        _ => life.presumed > 0 && life.charged > 0,
    }
}
