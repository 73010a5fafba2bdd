//! Orders that are asked after, and what the provider told of them.

use std::time::Duration;

use super::books;
use super::export::successor;
use super::orders::{self, Loaded, Rules, Telling};
use super::plain;
use super::view::View;
use super::{Journal, JournalError};
use crate::order::{Alarm, Event, State};
use crate::types::{
    BatchId, Imei, OrderId, ProviderOrder, ProviderOrderId, ProviderStatus, ServiceId, Timestamp,
};

/// `events.what` where an order's id turned out to be another's.
pub(super) const NOT_ITS_ID: &str = "not its id";

/// An order whose time to be asked after has come.
#[derive(Clone, Debug)]
pub struct DuePoll {
    /// Which one.
    pub order: OrderId,
    /// The provider's id.
    pub id: ProviderOrderId,
    /// Its IMEI: an answer about another one isn't about it.
    pub imei: Imei,
    /// Its service: likewise.
    pub service: ServiceId,
    /// The batch of its row.
    pub batch: BatchId,
    /// When it was taken.
    pub ordered_at: Timestamp,
    /// It was given up, and waits for a person: what is answered late is found all the same.
    pub is_held: bool,
}

impl DuePoll {
    /// What asking after it came to, and when it is asked after next.
    #[must_use]
    pub const fn result(&self, told: PollTold, next: Timestamp) -> PollResult {
        PollResult { order: self.order, of: Some((self.batch, self.service)), told, next }
    }
}

/// What a poll came to, for one order.
#[derive(Clone, Debug)]
pub struct PollResult {
    /// Which one.
    pub order: OrderId,
    /// The batch of its row and its service, as whoever asked after it read them; `None`: they are read.
    pub of: Option<(BatchId, ServiceId)>,
    /// What the provider told.
    pub told: PollTold,
    /// When it is asked after next, if it goes on waiting.
    pub next: Timestamp,
}

impl PollResult {
    /// What was told of an order that has its result.
    fn completed(&self) -> Option<&ProviderOrder> {
        match &self.told {
            PollTold::Status(told) if told.status == ProviderStatus::Completed => Some(told),
            _ => None,
        }
    }
}

/// What the provider told of an order.
#[derive(Clone, Debug)]
pub enum PollTold {
    /// This.
    Status(ProviderOrder),
    /// Nothing.
    Nothing,
    /// Nothing, for too long, or its id is refused for it alone.
    GivenUp(String),
    /// Of another IMEI or service, under its id: in which words.
    Anothers(String),
}

impl View {
    /// This account's orders to ask after, the longest due first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn due_polls(&self, account: &str, now: Timestamp, limit: u32) -> Result<Vec<DuePoll>, JournalError> {
        let open = self.all(
            "SELECT id, provider_id, imei, ordered_at, 0, service, batch FROM orders WHERE state = 3 AND due_at <= ?2 \
             AND service IN (SELECT id FROM services WHERE account = ?1) ORDER BY due_at, id LIMIT ?3",
            (account, now.millis(), limit),
            read_due,
        )?;
        // Of one that was listed twice a person says which id is asked after.
        let given_up = self.all(
            "SELECT id, provider_id, imei, ordered_at, 1, service, batch FROM orders WHERE state = 5 \
             AND due_at <= ?2 AND provider_id IS NOT NULL AND charged = 1 \
             AND service IN (SELECT id FROM services WHERE account = ?1) ORDER BY due_at, id LIMIT ?3",
            (account, now.millis(), limit),
            read_due,
        )?;
        Ok(open.into_iter().chain(given_up).collect())
    }

    /// This account's orders to ask after later than any can be meant to, from before a clock was set back. `latest`: the latest that
    /// can be meant; `latest_given_up`: likewise for one that was given up.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn polls_put_off(
        &self,
        account: &str,
        latest: Timestamp,
        latest_given_up: Timestamp,
        limit: u32,
    ) -> Result<Vec<DuePoll>, JournalError> {
        let open = self.all(
            "SELECT id, provider_id, imei, ordered_at, 0, service, batch FROM orders WHERE state = 3 AND due_at > ?2 \
             AND service IN (SELECT id FROM services WHERE account = ?1) ORDER BY due_at, id LIMIT ?3",
            (account, latest.millis(), limit),
            read_due,
        )?;
        let given_up = self.all(
            "SELECT id, provider_id, imei, ordered_at, 1, service, batch FROM orders WHERE state = 5 \
             AND due_at > ?2 AND provider_id IS NOT NULL AND charged = 1 \
             AND service IN (SELECT id FROM services WHERE account = ?1) ORDER BY due_at, id LIMIT ?3",
            (account, latest_given_up.millis(), limit),
            read_due,
        )?;
        Ok(open.into_iter().chain(given_up).collect())
    }

    /// When the next order of this account is to be asked after.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn next_poll(&self, account: &str) -> Result<Option<Timestamp>, JournalError> {
        let open: Option<Option<i64>> = self.find(
            "SELECT min(due_at) FROM orders WHERE state = 3 AND service IN (SELECT id FROM services WHERE account = ?1)",
            [account],
            |row| row.get(0),
        )?;
        let given_up: Option<Option<i64>> = self.find(
            "SELECT min(due_at) FROM orders WHERE state = 5 AND provider_id IS NOT NULL AND charged = 1 \
             AND service IN (SELECT id FROM services WHERE account = ?1)",
            [account],
            |row| row.get(0),
        )?;
        let next = [open, given_up].into_iter().filter_map(Option::flatten).min();
        Ok(next.map(Timestamp::from_millis))
    }
}

fn read_due(row: &rusqlite::Row<'_>) -> rusqlite::Result<DuePoll> {
    let imei = u64::try_from(row.get::<_, i64>(2)?).ok().and_then(Imei::from_u64);
    Ok(DuePoll {
        order: OrderId(row.get(0)?),
        id: ProviderOrderId(u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)),
        imei: imei.ok_or(rusqlite::Error::IntegralValueOutOfRange(2, 0))?,
        ordered_at: Timestamp::from_millis(row.get::<_, Option<i64>>(3)?.unwrap_or(0)),
        is_held: row.get(4)?,
        service: ServiceId(row.get(5)?),
        batch: BatchId(row.get(6)?),
    })
}

impl Journal {
    /// Records what polls told.
    ///
    /// # Errors
    /// The journal can't be written: then they are asked again.
    pub async fn record_polls(
        &self,
        results: Vec<PollResult>,
        now: Timestamp,
        rules: Rules,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            for run in results.chunk_by(end_together) {
                record_run(tx, run, now, &rules)?;
            }
            Ok(())
        })
        .await
    }

    /// Puts polls off by `wait`: the provider can't be asked now.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn postpone_polls(
        &self,
        orders: Vec<OrderId>,
        now: Timestamp,
        wait: Duration,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            for order in &orders {
                tx.execute(
                    "UPDATE orders SET due_at = ?2 WHERE id = ?1 AND state = 3",
                    (order.0, now.plus(wait).millis()),
                )?;
            }
            Ok(())
        })
        .await
    }
}

/// Whether the second is of the order behind the first one's, and both orders may have ended the usual way.
fn end_together(one: &PollResult, next: &PollResult) -> bool {
    one.order.0.checked_add(1) == Some(next.order.0)
        && one.of == next.of
        && one.completed().is_some()
        && next.completed().is_some()
}

/// Records what was told of orders that may have ended together. Where one of them keeps the others from it, it is looked for.
fn record_run(
    tx: &super::Tx<'_>,
    run: &[PollResult],
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    match run {
        _ if complete(tx, run, now)? => Ok(()),
        [alone] => record(tx, alone, now, rules),
        _ => {
            let (half, rest) = run.split_at(run.len() / 2);
            record_run(tx, half, now, rules)?;
            record_run(tx, rest, now, rules)
        }
    }
}

/// Ends orders that have their results and went the usual way; false if one of them hasn't: nothing was written then.
fn complete(tx: &super::Tx<'_>, run: &[PollResult], now: Timestamp) -> Result<bool, JournalError> {
    let ([first, ..], [.., last]) = (run, run) else { return Ok(true) };
    let Some((batch, service)) = first.of.filter(|_| first.completed().is_some()) else { return Ok(false) };
    if !plain::complete(tx, first.order..=last.order, batch, now)? {
        return Ok(false);
    }
    for (order, told) in run.iter().filter_map(|result| Some((result.order, result.completed()?))) {
        let status = told.status_raw.as_str();
        tracing::debug!(%order, imei = told.imei.map(tracing::field::display), status, "completed");
        keep(tx, (order, service), told, now)?;
    }
    Ok(true)
}

fn record(
    tx: &super::Tx<'_>,
    result: &PollResult,
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    match &result.told {
        PollTold::Status(ProviderOrder { status: ProviderStatus::Pending, .. }) | PollTold::Nothing => {
            ask_again(tx, result)
        }
        PollTold::Status(told) => end(tx, result, told, now, rules),
        PollTold::GivenUp(why) => {
            let Some(mut order) = waiting(tx, result.order)? else { return Ok(()) };
            let telling = Telling { what: "given up", text: why, via: "", quiet: false };
            orders::advance(tx, &mut order, &Event::GiveUp, now, rules, &telling)?;
            ask_again(tx, result)
        }
        PollTold::Anothers(why) => {
            let Some(mut order) = waiting(tx, result.order)? else { return Ok(()) };
            disprove(tx, &mut order, why, now, rules)
        }
    }
}

/// The order, if it still waits for what a poll tells.
fn waiting(tx: &super::Tx<'_>, order: OrderId) -> Result<Option<Loaded>, JournalError> {
    let order = orders::load(tx, order)?;
    Ok(matches!(order.life.state, State::Ordered | State::Held).then_some(order))
}

/// It has its result, or was given back.
fn end(
    tx: &super::Tx<'_>,
    result: &PollResult,
    told: &ProviderOrder,
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    let Some(mut order) = waiting(tx, result.order)? else { return Ok(()) };
    keep(tx, (order.id, order.service), told, now)?;
    // Nearly every order ends so: its row and the answer beside it tell when, and what with.
    let quiet = order.life.state == State::Ordered && told.status == ProviderStatus::Completed;
    let telling = Telling { what: "status", text: &told.status_raw, via: "status", quiet };
    orders::advance(tx, &mut order, &Event::Status(told.status), now, rules, &telling)?;
    successor::enter(tx, &order, now, rules).map(drop)
}

/// The id that the provider gave for an order is another one's: the charge stands, and a person, a listing or an export
/// tells under which id it is.
fn disprove(
    tx: &super::Tx<'_>,
    order: &mut Loaded,
    why: &str,
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    let telling = Telling { what: NOT_ITS_ID, text: why, via: "", quiet: false };
    if orders::advance(tx, order, &Event::Disproved, now, rules, &telling)?.is_none() {
        return Ok(());
    }
    orders::held_for(tx, order.id, Some(why))?;
    let service = super::pause::service_name(tx, order.service)?;
    let text = format!(
        "{why}. So {} is held: it is paid, and under which order id isn't known. Look the IMEI up at the provider, and say \
         imeid resolve {} --service {service} --order-id N; the provider's list, or its export in reconcile, settles it too",
        books::shown(tx, order)?,
        order.imei
    );
    books::alarm(tx, now, Alarm::WrongAnswer, &text, order).map(drop)
}

/// If it waits still, which needn't be read for it.
fn ask_again(tx: &super::Tx<'_>, result: &PollResult) -> Result<(), JournalError> {
    tx.execute(
        "UPDATE orders SET due_at = ?2 WHERE id = ?1 AND state IN (3, 5)",
        (result.order.0, result.next.millis()),
    )?;
    Ok(())
}

/// Keeps the raw answer, and the text that the result is made of.
pub(super) fn keep(
    tx: &super::Tx<'_>,
    (order, service): (OrderId, ServiceId),
    told: &ProviderOrder,
    now: Timestamp,
) -> Result<(), JournalError> {
    tx.execute(
        "INSERT INTO answers (order_id, at, kind, body) VALUES (?1, ?2, 'status', ?3)",
        (order.0, now.millis(), &told.raw),
    )?;
    super::export::note_title(tx, service, &told.package)?;
    set_code(tx, order, &told.code)
}

/// When the provider last told something of an order that has ended.
pub(super) fn last_answered(tx: &super::Tx<'_>, order: &Loaded) -> Result<Timestamp, JournalError> {
    let told: Option<i64> =
        tx.find("SELECT max(at) FROM answers WHERE order_id = ?1", [order.id.0], |row| row.get(0))?.flatten();
    let ended = order.done_at.map_or(0, Timestamp::millis);
    Ok(Timestamp::from_millis(told.unwrap_or(0).max(ended)))
}

/// The text that a result is made of.
pub(super) fn set_code(tx: &super::Tx<'_>, order: OrderId, code: &str) -> Result<(), JournalError> {
    tx.execute(
        "INSERT INTO results (order_id, code) VALUES (?1, ?2) ON CONFLICT (order_id) DO UPDATE SET code = excluded.code",
        (order.0, code),
    )?;
    Ok(())
}
