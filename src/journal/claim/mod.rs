//! Claiming: the next orders that the gate lets go, each with its attempt, in one commit.

mod cap;
mod probes;
mod queued;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::books::{self, AttemptRow};
use super::orders::{self, IN_FLIGHT, Loaded, Rules, Telling};
use super::pause;
use super::plain;
use super::probing;
use super::rest;
use super::start::Start;
use super::ticket::{AttemptTicket, Claim};
use super::tx::Tx;
use super::{Journal, JournalError};
use crate::clock::Clock;
use crate::gate::{self, Brake, Pause};
use crate::order::{Event, State};
use crate::provider::PlaceOrder;
use crate::types::{AttemptNo, BatchId, Money, ServiceId, Timestamp};

/// What may be claimed.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// At most so many.
    pub want: usize,
    /// The local day whose cap counts, as 20251114.
    pub day: i64,
    /// `per_day`.
    pub per_day: Option<Money>,
    /// The last batch that was served: the next one comes first, so that files share the workers.
    pub after: BatchId,
    /// What the configuration says.
    pub rules: Arc<Rules>,
    /// What a probe needs beside the order; `None`: no probes.
    pub probe: Option<ProbeTerms>,
    /// The provider lists its orders: the last queued order is kept until the quiet periods are over, because a doubt
    /// that turns out absent needs a later order as its witness.
    pub keep_witness: bool,
}

/// When a doubt may be probed.
#[derive(Clone, Debug)]
pub struct ProbeTerms {
    /// The account that orders go to.
    pub account: String,
    /// Not older than this, in milliseconds.
    pub within_ms: i64,
}

/// What was claimed.
#[derive(Debug, Default)]
pub struct Claimed {
    /// Durable attempts, to be sent.
    pub tickets: Vec<AttemptTicket>,
    /// What keeps the rest from going, if anything does.
    pub blocked: Option<Blocked>,
    /// When the next order may go that waits for its time.
    pub next_due: Option<Timestamp>,
    /// The last batch that was served.
    pub last: Option<BatchId>,
}

/// Why nothing more was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Submission stands still.
    Paused,
    /// A service's first orders go one by one, and one is on its way.
    Canary,
    /// The day's cap.
    Cap,
    /// The last order is kept as a witness.
    Witness,
    /// A first probe goes alone.
    Probe,
    /// This start isn't told of outside the journal yet.
    Stamp,
}

impl Journal {
    /// Begins up to `want` attempts. Returns after the commit that makes them durable; only then may they be sent. None
    /// before [`Journal::start_is_told`].
    ///
    /// # Errors
    /// The journal can't be written: then nothing was begun.
    pub async fn begin_attempts(&self, request: ClaimRequest, clock: Clock) -> Result<Claimed, JournalError> {
        // Other pages may still be written: an attempt that is recorded there could be one that was paid already.
        if self.is_damaged() {
            return Err(self.shared.common.damage.error());
        }
        let (reply, answer) = tokio::sync::oneshot::channel();
        let weak = Arc::downgrade(&self.shared);
        let start = self.shared.common.start.clone();
        let run = move |tx: &Tx<'_>| Claiming::new(tx, &request, &clock, &start)?.run();
        // The tickets are made where the commit is known. If nobody waits for them any more they are dropped here,
        // and their orders are in doubt rather than forgotten.
        let tell = move |done: Result<Draft, JournalError>| {
            let claimed = done.map(|draft| Claimed {
                tickets: draft
                    .claims
                    .into_iter()
                    .map(|claim| AttemptTicket::new(claim, weak.clone()))
                    .collect(),
                blocked: draft.blocked,
                next_due: draft.next_due,
                last: draft.last,
            });
            drop(reply.send(claimed));
        };
        self.write_then(run, tell);
        answer.await.unwrap_or(Err(JournalError::Closed))
    }
}

#[derive(Default)]
struct Draft {
    claims: Vec<Claim>,
    blocked: Option<Blocked>,
    next_due: Option<Timestamp>,
    last: Option<BatchId>,
}

/// One claim, in one transaction.
struct Claiming<'a, 't> {
    tx: &'a Tx<'t>,
    request: &'a ClaimRequest,
    clock: &'a Clock,
    start: &'a Start,
    now: Timestamp,
    pauses: Vec<Pause>,
    /// What the day's orders have cost, reserved and presumed included.
    used: Money,
    /// First orders on their way, by service, where they are counted.
    canaries: BTreeMap<ServiceId, Canary>,
    /// The highest ids that we know, by service: no claim changes them.
    known_ids: BTreeMap<ServiceId, i64>,
    left: usize,
    /// Claimed, and not written yet: all of one batch.
    begun: Vec<Loaded>,
    draft: Draft,
}

/// What an attempt is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Order,
    Probe,
    FirstProbe,
}

#[derive(Clone, Copy)]
struct Canary {
    proven: bool,
    free: u32,
}

impl<'a, 't> Claiming<'a, 't> {
    fn new(
        tx: &'a Tx<'t>,
        request: &'a ClaimRequest,
        clock: &'a Clock,
        start: &'a Start,
    ) -> Result<Self, JournalError> {
        let used = tx.find(
            "SELECT reserved + presumed + charged FROM totals WHERE scope = 'day' AND key = ?1",
            [request.day],
            |row| row.get(0).map(Money::from_micros),
        )?;
        Ok(Self {
            tx,
            request,
            clock,
            start,
            now: clock.now(),
            pauses: pause::list(tx)?,
            used: used.unwrap_or(Money::ZERO),
            canaries: BTreeMap::new(),
            known_ids: BTreeMap::new(),
            left: request.want,
            begun: Vec::new(),
            draft: Draft::default(),
        })
    }

    fn run(mut self) -> Result<Draft, JournalError> {
        let capped = self.lift_cap_if_there_is_room()?;
        self.claim_all()?;
        if let Some(text) = capped {
            self.end_cap_if_it_is_over(&text)?;
        }
        Ok(self.draft)
    }

    fn claim_all(&mut self) -> Result<(), JournalError> {
        // What is claimed from here on is a witness for those that have rested.
        rest::note(self.tx, self.now, self.request.rules.quiet)?;
        match gate::all(&self.pauses) {
            Some(Brake::Paused) => {
                self.draft.blocked = Some(Blocked::Paused);
                return Ok(());
            }
            // One order goes to find out; nothing beside it.
            Some(Brake::One) => self.left = self.left.min(1usize.saturating_sub(self.in_flight(None)?)),
            None => {}
        }
        self.probes()?;
        self.queued()
    }

    fn in_flight(&mut self, service: Option<ServiceId>) -> Result<usize, JournalError> {
        self.write_begun()?;
        let sql = format!("SELECT count(*) FROM orders WHERE {IN_FLIGHT} AND (?1 IS NULL OR service = ?1)");
        let found = self.tx.find(&sql, [service.map(|service| service.0)], |row| row.get::<_, i64>(0))?;
        Ok(usize::try_from(found.unwrap_or(0)).unwrap_or(usize::MAX))
    }

    fn wait_for(&mut self, at: Timestamp) {
        self.draft.next_due = Some(self.draft.next_due.map_or(at, |due| due.min(at)));
    }

    fn select(&self, sql: &str, params: impl rusqlite::Params) -> Result<Vec<Loaded>, JournalError> {
        self.tx.all(sql, params, orders::read)
    }

    /// Claims one order, if every brake lets it go.
    fn claim(&mut self, mut order: Loaded, event: &Event, kind: Kind) -> Result<bool, JournalError> {
        let rules = Arc::clone(&self.request.rules);
        // A service that is no longer configured waits until it is again.
        let Some(terms) = rules.terms.get(&order.service) else {
            self.draft.blocked = Some(Blocked::Paused);
            return Ok(false);
        };
        let brake = gate::service(&self.pauses, order.service);
        match brake {
            Some(Brake::Paused) => {
                self.draft.blocked = Some(Blocked::Paused);
                return Ok(false);
            }
            Some(Brake::One) if self.in_flight(Some(order.service))? > 0 => {
                self.draft.blocked = Some(Blocked::Paused);
                return Ok(false);
            }
            _ => {}
        }
        let canary = self.canary(order.service, terms.canary)?;
        if !canary.proven && canary.free == 0 {
            self.draft.blocked = Some(Blocked::Canary);
            return Ok(false);
        }
        if !gate::fits(self.used, terms.price, self.request.per_day) {
            return self.cap();
        }
        if !self.start.lets_go(self.tx) {
            self.draft.blocked = Some(Blocked::Stamp);
            self.left = 0;
            return Ok(false);
        }
        let probe = kind != Kind::Order;
        let finds_out = brake == Some(Brake::One);
        if !self.begin(&mut order, event, probe, terms.price)? {
            return Ok(false);
        }
        self.used = self.used.checked_add(terms.price).unwrap_or(self.used);
        self.left = self.left.saturating_sub(1);
        if let Some(canary) = self.canaries.get_mut(&order.service) {
            canary.free = canary.free.saturating_sub(1);
        }
        let first_probe = self.request.probe.as_ref().filter(|_| kind == Kind::FirstProbe);
        let claim = Claim {
            order: order.id,
            n: AttemptNo(order.attempts),
            service: order.service,
            place: PlaceOrder {
                network_id: terms.network_id.clone(),
                imei: order.imei,
                params: terms.params.clone(),
                apart: probe || !canary.proven || finds_out || order.attempts > 1,
            },
            price: terms.price,
            probe,
            canary: !canary.proven,
            first_probe_of: first_probe.map(|terms| terms.account.clone()),
            finds_out,
            known: order.attempt.is_some().then(|| Box::new(order)),
            clock: self.clock.clone(),
            rules,
        };
        if let Some(account) = &claim.first_probe_of {
            probing::first_goes(self.tx, account, &claim, self.now)?;
        }
        self.draft.claims.push(claim);
        Ok(true)
    }

    /// Begins an attempt. Whether the order can have one.
    fn begin(
        &mut self,
        order: &mut Loaded,
        event: &Event,
        probe: bool,
        price: Money,
    ) -> Result<bool, JournalError> {
        let rules = &self.request.rules;
        let telling = Telling { what: "claimed", text: "", via: "", quiet: true };
        let is_plain = !probe && plain::is_untouched(order);
        let moved = if is_plain {
            // Written with the others of its batch.
            orders::advance_and(|_, _| Ok(()), self.tx, order, event, self.now, rules, &telling)?
        } else {
            orders::advance(self.tx, order, event, self.now, rules, &telling)?
        };
        if moved.is_none() || order.life.state != State::Submitting {
            return Ok(false);
        }
        let row = AttemptRow {
            n: order.attempts,
            price,
            day: self.request.day,
            known_id: self.known_id(order.service)?,
        };
        if is_plain {
            order.attempt = Some(row);
            self.begun.push(order.clone());
        } else {
            books::begin(self.tx, order, probe, &row, self.now)?;
        }
        Ok(true)
    }

    /// Writes what was claimed and isn't written yet. Before anything reads what is in flight, and behind each batch.
    fn write_begun(&mut self) -> Result<(), JournalError> {
        plain::begin(self.tx, &std::mem::take(&mut self.begun), self.now)
    }

    fn known_id(&mut self, service: ServiceId) -> Result<i64, JournalError> {
        if let Some(known) = self.known_ids.get(&service) {
            return Ok(*known);
        }
        let known = books::known_id(self.tx, service)?;
        self.known_ids.insert(service, known);
        Ok(known)
    }

    fn canary(&mut self, service: ServiceId, needed: u32) -> Result<Canary, JournalError> {
        if let Some(known) = self.canaries.get(&service) {
            return Ok(*known);
        }
        let (proved, width): (u32, u32) = self
            .tx
            .find("SELECT canary_proved, canary_width FROM services WHERE id = ?1", [service.0], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .unwrap_or((0, 1));
        let proven = proved >= needed;
        let on_their_way =
            if proven { 0 } else { u32::try_from(self.in_flight(Some(service))?).unwrap_or(u32::MAX) };
        let canary = Canary { proven, free: width.saturating_sub(on_their_way) };
        self.canaries.insert(service, canary);
        Ok(canary)
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
