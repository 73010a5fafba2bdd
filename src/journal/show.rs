//! Everything the journal knows of an IMEI or a batch, for `imeid show`.

use rusqlite::Row;
use serde::Serialize;

use super::JournalError;
use super::codes::{ASSUMED, Link, Verdict, state_of};
use super::view::View;
use crate::order::State;
use crate::types::{BatchId, Imei, Money, NetworkId, OrderId, ProviderOrderId, RowId, ServiceId, Timestamp};

/// How many rows of a batch that wait are shown by name.
const OPEN_ROWS: u32 = 20;

/// A service that an IMEI has orders of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownService {
    /// The journal's number of it.
    pub id: ServiceId,
    /// Our name for it.
    pub name: String,
}

/// An order with all that happened to it.
#[derive(Clone, Debug, Serialize)]
pub struct ShownOrder {
    /// The journal's number of it.
    pub id: OrderId,
    /// The name of its service.
    pub service: String,
    /// Its state in the event log's words.
    pub state: &'static str,
    /// The provider's id.
    pub order_id: Option<ProviderOrderId>,
    /// Whether no later order of the key took its place.
    pub newest: bool,
    /// Whether an export brought its result: it isn't ours.
    pub from_export: bool,
    /// The check's answer, or the reason of a rejection or refusal.
    pub code: Option<String>,
    /// When it was taken.
    pub ordered_at: Option<Timestamp>,
    /// When it ended.
    pub done_at: Option<Timestamp>,
    /// The rows that show it.
    pub rows: Vec<ShownRow>,
    /// Its attempts, in order.
    pub attempts: Vec<ShownAttempt>,
    /// What is booked under an id.
    pub charges: Vec<ShownCharge>,
    /// Raw answers.
    pub answers: Vec<ShownAnswer>,
    /// What else the log says of it.
    pub events: Vec<ShownEvent>,
}

impl ShownOrder {
    /// When it was completed by what a look at its status told, where the event log has no line of that: the usual end,
    /// which the order's row and the answer beside it tell.
    fn ended_by_a_look(&self) -> Option<Timestamp> {
        let at = self.done_at?;
        let was_told = self.answers.iter().any(|answer| answer.kind == "status" && answer.at == at);
        let was_completed = self.state == State::Completed.as_str()
            || self.events.iter().any(|event| event.text.starts_with("completed -> "));
        let has_line = self.events.iter().any(|event| event.what == "status" && event.at == at);
        (was_told && was_completed && !has_line).then_some(at)
    }
}

/// A row that shows an order.
#[derive(Clone, Debug, Serialize)]
pub struct ShownRow {
    /// The batch's NAME.
    pub batch: String,
    /// The file that it came from.
    pub file: String,
    /// The row's number there, from 1.
    pub row: u32,
    /// `own`, `joined`, `answered`, `left`.
    pub link: &'static str,
    /// When the file was taken.
    pub taken_at: Timestamp,
}

/// An attempt.
#[derive(Clone, Debug, Serialize)]
pub struct ShownAttempt {
    /// Its number, from 1.
    pub n: u32,
    /// `order`, `probe`, `evidence`: entered because there is evidence of it; or `assumed`: taken as made, as an older copy
    /// doesn't know what was sent after it was made.
    pub kind: &'static str,
    /// The most it may cost.
    pub price: Money,
    /// When it was durable, before its request left; of one that was entered on evidence or assumed, when it was entered.
    pub claimed_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended; `None`: it is on its way.
    pub verdict: Option<&'static str>,
}

/// A charge under an id.
#[derive(Clone, Debug, Serialize)]
pub struct ShownCharge {
    /// The provider's id.
    pub order_id: ProviderOrderId,
    /// The attempt that it stands for.
    pub n: Option<u32>,
    /// Where the id came from: `placed`, `listed`, `told`, `word`, `export`.
    pub via: String,
    /// When.
    pub at: Timestamp,
}

/// A raw answer.
#[derive(Clone, Debug, Serialize)]
pub struct ShownAnswer {
    /// The attempt that it answers.
    pub n: Option<u32>,
    /// When it came.
    pub at: Timestamp,
    /// `placed`, `status`, `listed`, `export`.
    pub kind: String,
    /// The HTTP status.
    pub http: Option<u16>,
    /// The body as it came, in UTF-8.
    pub body: String,
}

/// A line of the event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShownEvent {
    /// When.
    pub at: Timestamp,
    /// The event's name.
    pub what: String,
    /// What it says.
    pub text: String,
}

/// A batch's own data, beside its counts.
#[derive(Clone, Debug, Serialize)]
pub struct ShownBatch {
    /// The file's name as it was dropped.
    pub file: String,
    /// Of the file's content, in hex.
    pub sha256: String,
    /// The file's size.
    pub bytes: u64,
    /// The name of its service.
    pub service: String,
    /// Where the original lies.
    pub archived: Option<String>,
    /// When a person cancelled it.
    pub cancelled_at: Option<Timestamp>,
    /// Rows that are in doubt, held or ordered without an id: at most twenty.
    pub open: Vec<OpenRow>,
    /// What the log says of the batch as a whole.
    pub events: Vec<ShownEvent>,
}

/// A row whose order waits for evidence or a person.
#[derive(Clone, Debug, Serialize)]
pub struct OpenRow {
    /// Its number in the batch.
    pub row: u32,
    /// Its IMEI.
    pub imei: String,
    /// Its order's state.
    pub state: &'static str,
}

impl View {
    /// The services that this IMEI has orders of.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn services_of(&self, imei: Imei) -> Result<Vec<ShownService>, JournalError> {
        self.all(
            "SELECT id, name FROM services WHERE EXISTS (SELECT 1 FROM orders \
             WHERE orders.service = services.id AND orders.imei = ?1 AND orders.current = 1) ORDER BY id",
            [number(imei)],
            |row| Ok(ShownService { id: ServiceId(row.get(0)?), name: row.get(1)? }),
        )
    }

    /// The journal's number of a service.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn service_number(
        &self,
        account: &str,
        network_id: &NetworkId,
    ) -> Result<Option<ServiceId>, JournalError> {
        self.find(
            "SELECT id FROM services WHERE account = ?1 AND network_id = ?2",
            (account, &network_id.0),
            |row| row.get(0).map(ServiceId),
        )
    }

    /// What a service is known by at the provider.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn network_id(&self, service: ServiceId) -> Result<Option<NetworkId>, JournalError> {
        self.find("SELECT network_id FROM services WHERE id = ?1", [service.0], |row| {
            row.get(0).map(NetworkId)
        })
    }

    /// Where the newest order of this key is.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn state_of(&self, service: ServiceId, imei: u64) -> Result<Option<State>, JournalError> {
        let code: Option<i64> = self.find(
            "SELECT state FROM orders WHERE service = ?1 AND imei = ?2 AND current = 1",
            (service.0, i64::try_from(imei).unwrap_or(0)),
            |row| row.get(0),
        )?;
        Ok(code.and_then(state_of))
    }

    /// The batch of this NAME.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn batch_named(&self, name: &str) -> Result<Option<BatchId>, JournalError> {
        self.find("SELECT id FROM batches WHERE name = ?1", [name], |row| row.get(0).map(BatchId))
    }

    /// Every order of this IMEI and service, the oldest first, each with all that happened to it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn shown_orders(&self, service: &ShownService, imei: Imei) -> Result<Vec<ShownOrder>, JournalError> {
        let mut orders = Vec::new();
        // Two look-ups: an index serves each.
        for current in ["current = 0", "current = 1"] {
            let sql = format!(
                "SELECT orders.id, state, provider_id, current, has_result, code, ordered_at, done_at FROM orders \
                 LEFT JOIN results ON results.order_id = orders.id WHERE service = ?1 AND imei = ?2 AND {current} \
                 ORDER BY orders.id"
            );
            orders.extend(self.all(&sql, (service.id.0, number(imei)), |row| {
                let state = state_of(row.get(1)?).ok_or(rusqlite::Error::IntegralValueOutOfRange(1, 0))?;
                Ok(ShownOrder {
                    id: OrderId(row.get(0)?),
                    service: service.name.clone(),
                    state: state.as_str(),
                    order_id: row.get::<_, Option<i64>>(2)?.map(provider_id),
                    newest: row.get(3)?,
                    from_export: state == State::OrderedElsewhere && row.get(4)?,
                    code: row.get(5)?,
                    ordered_at: time(row, 6)?,
                    done_at: time(row, 7)?,
                    rows: Vec::new(),
                    attempts: Vec::new(),
                    charges: Vec::new(),
                    answers: Vec::new(),
                    events: Vec::new(),
                })
            })?);
        }
        for order in &mut orders {
            self.fill(order)?;
        }
        Ok(orders)
    }

    fn fill(&self, order: &mut ShownOrder) -> Result<(), JournalError> {
        let id = order.id.0;
        order.rows = self.rows_of(id)?;
        order.attempts = self.all(
            "SELECT n, kind, price, claimed_at, ended_at, verdict FROM attempts WHERE order_id = ?1 ORDER BY n",
            [id],
            read_attempt,
        )?;
        order.charges = self.all(
            "SELECT provider_id, n, via, seen_at FROM charges WHERE order_id = ?1 ORDER BY seen_at, provider_id",
            [id],
            |row| {
                Ok(ShownCharge {
                    order_id: provider_id(row.get(0)?),
                    n: row.get(1)?,
                    via: row.get(2)?,
                    at: Timestamp::from_millis(row.get(3)?),
                })
            },
        )?;
        order.answers = self.all(
            "SELECT n, at, kind, http, body FROM answers WHERE order_id = ?1 ORDER BY id",
            [id],
            |row| {
                let body: Vec<u8> = row.get(4)?;
                Ok(ShownAnswer {
                    n: row.get(0)?,
                    at: Timestamp::from_millis(row.get(1)?),
                    kind: row.get(2)?,
                    http: row.get(3)?,
                    body: String::from_utf8_lossy(&body).into_owned(),
                })
            },
        )?;
        order.events = self.all(
            "SELECT at, what, detail FROM events WHERE order_id IS NOT NULL AND order_id = ?1 ORDER BY id",
            [id],
            read_event,
        )?;
        if let Some(at) = order.ended_by_a_look() {
            let place = order.events.partition_point(|event| event.at <= at);
            let text = "ordered -> completed".to_owned();
            order.events.insert(place, ShownEvent { at, what: "status".to_owned(), text });
        }
        Ok(())
    }

    fn rows_of(&self, order: i64) -> Result<Vec<ShownRow>, JournalError> {
        let mut rows = Vec::new();
        for which in [
            "rows.id = (SELECT first_row FROM orders WHERE id = ?1) AND rows.order_id = ?1 AND rows.link = 0",
            "rows.order_id = ?1 AND rows.link = 1",
            "rows.order_id = ?1 AND rows.link IN (2, 4)",
        ] {
            let sql = format!(
                "SELECT rows.id, rows.link, batches.name, batches.file_name, batches.taken_at FROM rows \
                 JOIN batches ON batches.id = rows.id >> 32 WHERE {which} ORDER BY rows.id"
            );
            rows.extend(self.all(&sql, [order], |row| {
                Ok(ShownRow {
                    batch: row.get(2)?,
                    file: row.get(3)?,
                    row: RowId(row.get(0)?).row(),
                    link: match Link::of(row.get(1)?) {
                        Some(Link::Own) => "own",
                        Some(Link::Joined) => "joined",
                        Some(Link::Left) => "left",
                        _ => "answered",
                    },
                    taken_at: Timestamp::from_millis(row.get(4)?),
                })
            })?);
        }
        Ok(rows)
    }

    /// A batch's own data.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn shown_batch(&self, batch: BatchId) -> Result<Option<ShownBatch>, JournalError> {
        let found = self.find(
            "SELECT file_name, sha256, bytes, services.name, archived_path, cancelled_at FROM batches \
             JOIN services ON services.id = batches.service WHERE batches.id = ?1",
            [batch.0],
            |row| {
                Ok(ShownBatch {
                    file: row.get(0)?,
                    sha256: row.get(1)?,
                    bytes: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
                    service: row.get(3)?,
                    archived: row.get(4)?,
                    cancelled_at: time(row, 5)?,
                    open: Vec::new(),
                    events: Vec::new(),
                })
            },
        )?;
        let Some(mut shown) = found else { return Ok(None) };
        shown.open = self.all(
            "SELECT rows.id, o.imei, o.state FROM rows JOIN orders o ON o.id = rows.order_id \
             WHERE rows.id > ?1 AND rows.id <= ?2 AND rows.link IN (0, 1) AND o.state IN (2, 4, 5) ORDER BY rows.id LIMIT ?3",
            (RowId::new(batch, 0).0, RowId::new(batch, u32::MAX).0, OPEN_ROWS),
            |row| {
                let imei = u64::try_from(row.get::<_, i64>(1)?).ok().and_then(Imei::from_u64);
                Ok(OpenRow {
                    row: RowId(row.get(0)?).row(),
                    imei: imei.map(|imei| imei.to_string()).unwrap_or_default(),
                    state: state_of(row.get(2)?).map_or("unknown", State::as_str),
                })
            },
        )?;
        shown.events = self.all(
            "SELECT at, what, detail FROM events WHERE batch IS NOT NULL AND batch = ?1 ORDER BY id",
            [batch.0],
            read_event,
        )?;
        Ok(Some(shown))
    }
}

fn read_attempt(row: &Row<'_>) -> rusqlite::Result<ShownAttempt> {
    Ok(ShownAttempt {
        n: row.get(0)?,
        kind: match row.get::<_, i64>(1)? {
            0 => "order",
            1 => "probe",
            ASSUMED => "assumed",
            _ => "evidence",
        },
        price: Money::from_micros(row.get(2)?),
        claimed_at: match row.get::<_, i64>(1)? {
            // Its beginning in the journal is the earliest that can be: nobody saw it.
            ASSUMED => time(row, 4)?.unwrap_or(Timestamp::from_millis(row.get(3)?)),
            _ => Timestamp::from_millis(row.get(3)?),
        },
        ended_at: time(row, 4)?,
        verdict: row.get::<_, Option<i64>>(5)?.and_then(Verdict::of).map(Verdict::as_str),
    })
}

fn read_event(row: &Row<'_>) -> rusqlite::Result<ShownEvent> {
    Ok(ShownEvent { at: Timestamp::from_millis(row.get(0)?), what: row.get(1)?, text: row.get(2)? })
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

fn number(imei: Imei) -> i64 {
    i64::try_from(imei.as_u64()).unwrap_or(0)
}

fn provider_id(id: i64) -> ProviderOrderId {
    ProviderOrderId(u64::try_from(id).unwrap_or(0))
}
