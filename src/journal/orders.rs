//! An order in the journal: loading it, and carrying it through [`order::step`](crate::order::step).

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::Row;

use super::again::{self, Told};
use super::books::{self, AttemptRow};
use super::codes::{Link, RESULT_REJECTED, TALLY_DUPLICATE, result_code, state_code, state_of};
use super::tx::Tx;
use super::wake::Rung;
use super::{JournalError, tx};
use crate::order::{Alarm, Effect, Event, Order, State, step};
use crate::types::{BatchId, Imei, Money, NetworkId, OrderId, ProviderOrderId, RowId, ServiceId, Timestamp};

/// What the configuration says about an order's life.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Attempts an order.
    pub max_attempts: u32,
    /// The quiet period.
    pub quiet: Duration,
    /// First poll after an order was taken.
    pub first_poll: Duration,
    /// What one order of each service may cost, for charges that no attempt of ours stands behind.
    pub terms: BTreeMap<ServiceId, ServiceTerms>,
}

/// What the configuration says about a service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceTerms {
    /// The journal's number of it.
    pub id: ServiceId,
    /// The provider's.
    pub network_id: NetworkId,
    /// Our name for it.
    pub name: String,
    /// The most one order may cost.
    pub price: Money,
    /// First orders that must prove right one by one; 0 = off.
    pub canary: u32,
    /// Further parameters of `placeorder`.
    pub params: Vec<(String, String)>,
}

/// An order as it stands in the journal.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) id: OrderId,
    pub(super) service: ServiceId,
    pub(super) imei: Imei,
    pub(super) batch: BatchId,
    pub(super) first_row: RowId,
    pub(super) life: Order,
    /// The last attempt's number.
    pub(super) attempts: u32,
    pub(super) joined: bool,
    pub(super) retried: bool,
    pub(super) due_at: Timestamp,
    pub(super) doubt_since: Option<Timestamp>,
    pub(super) doubt_first: Option<Timestamp>,
    /// The latest doubt's quiet period is over: the ledger's last entry then.
    pub(super) rested_after: Option<i64>,
    pub(super) earlier: Option<OrderId>,
    pub(super) ordered_at: Option<Timestamp>,
    pub(super) done_at: Option<Timestamp>,
    /// The attempt in flight, where its claim told it and nothing of the order was read since ([`plain`](super::plain)).
    pub(super) attempt: Option<AttemptRow>,
    /// Of several orders that the provider tells of it, the first was given back, as far as it told whoever read this one
    /// ([`stood_at_once`](super::probing::stood_at_once)).
    pub(super) first_given_back: bool,
}

/// The columns that [`read`] reads, in its order.
pub(super) const COLUMNS: &str = "id, service, imei, batch, first_row, state, provider_id, counted, unaccounted, \
     inferred, presumed, charged, has_result, attempts, joined, retried, due_at, doubt_since, doubt_first, earlier, \
     ordered_at, done_at, rested_after, named";

/// What is on its way, or whose outcome isn't known. SQLite finds those by their index where a statement has this, or one of
/// these states by itself.
pub(super) const UNSURE: &str = "(state = 1 OR state = 2 OR state = 4 OR state = 5)";

/// Of the account that is the statement's first parameter. Only the configured account is asked: what it tells, and what it
/// doesn't, shows nothing of another one's orders.
pub(super) const OF_ACCOUNT: &str = "service IN (SELECT id FROM services WHERE account = ?1)";

/// Reads an order from a row of [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Loaded> {
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
pub(super) fn load(tx: &Tx<'_>, id: OrderId) -> Result<Loaded, JournalError> {
    let found = tx.find(&LOAD, [id.0], read)?;
    found.ok_or_else(|| JournalError::Unknown(format!("there is no order {id}")))
}

/// The newest order of this key.
pub(super) fn current(tx: &Tx<'_>, service: ServiceId, imei: Imei) -> Result<Option<Loaded>, JournalError> {
    let sql = format!("SELECT {COLUMNS} FROM orders WHERE service = ?1 AND imei = ?2 AND current = 1");
    tx.find(&sql, (service.0, i64::try_from(imei.as_u64()).unwrap_or(0)), read)
}

/// What a transition did, for whoever logs it.
#[derive(Clone, Debug)]
pub(super) struct Moved {
    pub(super) to: State,
    pub(super) effects: Vec<Effect>,
}

/// How a transition is told in the event log, and with which words for a pause or an alarm.
pub(super) struct Telling<'a> {
    /// The event's name.
    pub(super) what: &'a str,
    /// The provider's or the operator's words.
    pub(super) text: &'a str,
    /// Where a charge became known from: `placed`, `listed`, `export`, `word`, `told`.
    pub(super) via: &'a str,
    /// Whether the log needs no line of its own: the attempt's row tells the same.
    pub(super) quiet: bool,
}

/// Carries an order through one event: its row, its money, its tallies and what people must see, all in `tx`.
/// An illegal event changes nothing and raises an alarm.
pub(super) fn advance(
    tx: &Tx<'_>,
    order: &mut Loaded,
    event: &Event,
    now: Timestamp,
    rules: &Rules,
    telling: &Telling<'_>,
) -> Result<Option<Moved>, JournalError> {
    advance_and(save, tx, order, event, now, rules, telling)
}

/// [`advance`], with another way to write the order's row.
pub(super) fn advance_and(
    save: impl FnOnce(&Tx<'_>, &Loaded) -> Result<(), JournalError>,
    tx: &Tx<'_>,
    order: &mut Loaded,
    event: &Event,
    now: Timestamp,
    rules: &Rules,
    telling: &Telling<'_>,
) -> Result<Option<Moved>, JournalError> {
    order.life.max_attempts = rules.max_attempts;
    let done = match step(&order.life, event) {
        Ok(done) => done,
        Err(illegal) => {
            let text = format!("order {} ({}): {illegal}", order.id, telling.what);
            books::alarm(tx, now, Alarm::IllegalEvent, &text, order)?;
            return Ok(None);
        }
    };
    let from = order.life.state;
    let before = Told::of(order);
    let tally_before = tally_state(order);
    order.life = done.order;
    let to = order.life.state;
    for effect in &done.effects {
        books::apply(tx, order, effect, now, rules, telling)?;
    }
    stamp(order, from, now, rules);
    save(tx, order)?;
    if (from, to) == (State::Submitting, State::Queued) {
        // The call wasn't taken, whatever was listed of its IMEI meanwhile.
        tx.execute(
            "UPDATE told_ids SET looked_at = ?2 WHERE order_id = ?1 AND looked_at IS NULL",
            (order.id.0, now.millis()),
        )?;
    }
    let tally_after = tally_state(order);
    if tally_before != tally_after {
        move_tallies(tx, order, tally_before, tally_after)?;
    }
    // Only of orders that have ended can every file be out.
    if from.is_final() && before != Told::of(order) {
        if !to.is_final() {
            again::wait_again(tx, order)?;
        }
        again::publish_again(tx, order, now)?;
    }
    if settles(order, from) {
        books::alarm_of_order_is_gone(tx, Alarm::WrongAnswer, order, now)?;
    }
    // Before the commit: one that fails is tried again, and told again.
    let (imei, what, text) = (order.imei, telling.what, telling.text);
    tracing::debug!(order = %order.id, %imei, what, from = from.as_str(), to = to.as_str(), text, "moved");
    if !telling.quiet {
        let detail = if telling.text.is_empty() {
            format!("{} -> {}", from.as_str(), to.as_str())
        } else {
            format!("{} -> {}: {}", from.as_str(), to.as_str(), telling.text)
        };
        tx.event(now, Some(order.id), None, telling.what, &detail)?;
    }
    ring(tx, to);
    Ok(Some(Moved { to, effects: done.effects }))
}

/// Whether an order of which it wasn't known what became of it came to something: what a wrong answer left open is settled.
fn settles(order: &Loaded, from: State) -> bool {
    let was_open = match from {
        State::InDoubt | State::OrderedNoId | State::Held => true,
        State::Submitting => order.doubt_first.is_some(),
        _ => false,
    };
    let to = order.life.state;
    was_open && (to.is_final() || matches!(to, State::Queued | State::Ordered))
}

/// Sets the times that go with a state.
fn stamp(order: &mut Loaded, from: State, now: Timestamp, rules: &Rules) {
    let to = order.life.state;
    if matches!(to, State::Ordered | State::OrderedNoId) && order.ordered_at.is_none() {
        order.ordered_at = Some(now);
    }
    if to.is_final() && (!from.is_final() || order.done_at.is_none()) {
        order.done_at = Some(now);
    }
    if from == to {
        return;
    }
    match to {
        State::Ordered => order.due_at = now.plus(rules.first_poll),
        State::InDoubt if from != State::Submitting => order.due_at = now.plus(rules.quiet),
        State::OrderedNoId | State::Held => order.due_at = now,
        _ => {}
    }
}

fn save(tx: &Tx<'_>, order: &Loaded) -> Result<(), JournalError> {
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
        _ => life.presumed > 0 && life.id.is_some(),
    }
}

/// What its rows are counted under.
pub(super) const fn tally_state(order: &Loaded) -> i64 {
    match order.life.state {
        State::OrderedElsewhere if order.earlier.is_some() => TALLY_DUPLICATE,
        State::OrderedElsewhere if order.life.is_result_rejected => state_code(State::Rejected),
        State::OrderedElsewhere if order.life.has_result => TALLY_DUPLICATE,
        state => state_code(state),
    }
}

fn move_tallies(tx: &Tx<'_>, order: &Loaded, from: i64, to: i64) -> Result<(), JournalError> {
    if has_own_row(tx, order)? {
        move_tally(tx, order.batch, Link::Own, from, to, 1);
    }
    if order.joined {
        let joined = "SELECT id FROM rows WHERE order_id = ?1 AND link = 1";
        move_others(tx, order, (joined, Link::Joined), from, to)?;
    }
    // Nothing was answered from it before it had ended.
    if from >= state_code(State::Completed) {
        let answered = "SELECT id FROM rows WHERE order_id = ?1 AND link IN (2, 4) AND link = 2";
        move_others(tx, order, (answered, Link::Earlier), from, to)?;
    }
    Ok(())
}

/// The tallies of the rows that stand to the order in one way.
fn move_others(
    tx: &Tx<'_>,
    order: &Loaded,
    (which, link): (&str, Link),
    from: i64,
    to: i64,
) -> Result<(), JournalError> {
    let mut others: BTreeMap<BatchId, i64> = BTreeMap::new();
    let mut statement = tx.prepare(which)?;
    let mut rows = statement.query([order.id.0])?;
    while let Some(row) = rows.next()? {
        let count = others.entry(RowId(row.get(0)?).batch()).or_default();
        *count = count.saturating_add(1);
    }
    for (batch, count) in others {
        move_tally(tx, batch, link, from, to, count);
    }
    Ok(())
}

/// Whether its own row still shows this order: one that was made anew may have taken the row over, and one that only
/// an export told of never had a row.
fn has_own_row(tx: &Tx<'_>, order: &Loaded) -> Result<bool, JournalError> {
    if order.batch.0 == 0 {
        return Ok(false);
    }
    // One that was never in doubt has it from the commit that opened its batch on. In an older copy an order can be in
    // doubt before its batch is open, or when its file was taken back.
    if !order.retried && order.doubt_first.is_none() {
        return Ok(true);
    }
    let found = tx.find(
        "SELECT 1 FROM rows WHERE id = ?1 AND order_id = ?2 AND link = 0",
        (order.first_row.0, order.id.0),
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

fn move_tally(tx: &Tx<'_>, batch: BatchId, link: Link, from: i64, to: i64, count: i64) {
    tx.add(|sums| {
        sums.tally(batch, from, link, count.saturating_neg());
        sums.tally(batch, to, link, count);
    });
}

/// Counts one row of a batch under another state or link than before.
pub(super) fn recount_row(
    tx: &Tx<'_>,
    batch: BatchId,
    (from, link): (i64, Link),
    (to, new_link): (i64, Link),
) {
    tx.add(|sums| {
        sums.tally(batch, from, link, -1);
        sums.tally(batch, to, new_link, 1);
    });
}

pub(super) fn add_tally(tx: &Tx<'_>, batch: BatchId, link: Link, state: i64, count: i64) {
    tx.add(|sums| sums.tally(batch, state, link, count));
}

fn ring(tx: &tx::Tx<'_>, to: State) {
    match to {
        State::Queued => tx.ring(Rung::SUBMIT),
        State::InDoubt | State::OrderedNoId | State::Held => tx.ring(Rung::SETTLE),
        State::Ordered => tx.ring(Rung::POLL),
        _ => {}
    }
}

/// Notes what a person must know of an order that is held: it stands in its row's note. Call when it is held.
pub(super) fn held_for(tx: &Tx<'_>, order: OrderId, why: Option<&str>) -> Result<(), JournalError> {
    let sql = "UPDATE orders SET held_for = ?2 WHERE id = ?1";
    tx.execute_one("why an order is held", sql, (order.0, why))
}

/// Takes every order in flight as lost; in chunks nothing else waits for: start-up is the only caller.
pub(super) fn lose_all_in_flight(tx: &Tx<'_>, now: Timestamp, rules: &Rules) -> Result<usize, JournalError> {
    let mut found = Vec::new();
    {
        let mut statement = tx.prepare(&format!("SELECT {COLUMNS} FROM orders WHERE state = 1"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
    }
    let telling = Telling { what: "lost", text: "found in flight at start-up", via: "", quiet: false };
    for order in &mut found {
        advance(tx, order, &Event::Lost, now, rules, &telling)?;
    }
    Ok(found.len())
}
