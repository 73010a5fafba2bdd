//! An order in the journal, carried through [`order::step`](crate::order::step).
//!
//! - [`row`]: reading and writing it. [`tallies`]: what its rows are counted under.

mod row;
mod tallies;

use std::collections::BTreeMap;
use std::time::Duration;

use super::again::{self, Told};
use super::books::{self, AttemptRow};
use super::tx::Tx;
use super::wake::Rung;
use super::{JournalError, tx};
use crate::order::{Alarm, Effect, Event, Order, State, step};
use crate::types::{BatchId, Imei, Money, NetworkId, OrderId, RowId, ServiceId, Timestamp};

use row::save;
pub(super) use row::{COLUMNS, current, load, owner, read};
use tallies::move_tallies;
pub(super) use tallies::{add_tally, recount_row, tally_state};

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

impl Rules {
    /// What an order of this service is taken to cost. Of one that isn't configured now, as under another account: as much as
    /// the dearest that is, never too little.
    pub(super) fn price_of(&self, service: ServiceId) -> Money {
        let dearest = || self.terms.values().map(|terms| terms.price).max();
        let configured = self.terms.get(&service).map(|terms| terms.price);
        configured.or_else(dearest).unwrap_or(Money::ZERO)
    }
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

/// What is on its way: exactly the orders that have an attempt without a verdict. SQLite finds those by their index, and each
/// order by its number. By its state it would read every order there ever was.
pub(super) const IN_FLIGHT: &str = "orders.id IN (SELECT order_id FROM attempts WHERE verdict IS NULL)";

/// What isn't on its way any more, and whose outcome or id isn't known, or that waits for a person. SQLite finds those by their
/// index where a statement has this, or one of these states by itself.
pub(super) const UNSURE: &str = "(state = 2 OR state = 4 OR state = 5)";

/// Of the account that is the statement's first parameter. Only the configured account is asked: what it tells, and what it
/// doesn't, shows nothing of another one's orders.
pub(super) const OF_ACCOUNT: &str = "service IN (SELECT id FROM services WHERE account = ?1)";

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
    /// Whether the log needs no line of its own: the attempt's row, or the answer's, tells the same.
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
        let mut statement = tx.prepare(&format!("SELECT {COLUMNS} FROM orders WHERE {IN_FLIGHT}"))?;
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
