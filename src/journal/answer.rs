//! Recording what an attempt came to.

use tokio::sync::oneshot;

use super::books;
use super::orders::{self, Loaded, Telling};
use super::pause;
use super::plain;
use super::probing;
use super::ticket::{AttemptTicket, Claim};
use super::tx::Tx;
use super::wake::Rung;
use super::{Journal, JournalError};
use crate::gate::Scope;
use crate::order::{Alarm, Answer, Effect, Event, KeyFacts, PauseReason, State};
use crate::types::{NotTaken, Placed, ProviderOrderId, Reply, Timestamp, Unclear};

/// What recording an answer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Where the order is now.
    pub state: State,
    /// Its id, where the answer told one.
    pub id: Option<ProviderOrderId>,
}

impl Journal {
    /// Ends an attempt with its answer. Whoever waits on what is returned hears of it after the commit; nobody needs to:
    /// it is recorded all the same, and tried again while the disk is full.
    pub fn finish_attempt(
        &self,
        ticket: AttemptTicket,
        reply: Reply<Placed>,
    ) -> oneshot::Receiver<Result<Recorded, JournalError>> {
        self.finish_attempt_holding(ticket, reply, ())
    }

    /// [`finish_attempt`](Self::finish_attempt), with something that is dropped once it is recorded, or can't be: so
    /// nobody has to be woken for it.
    pub fn finish_attempt_holding(
        &self,
        ticket: AttemptTicket,
        reply: Reply<Placed>,
        held: impl Send + 'static,
    ) -> oneshot::Receiver<Result<Recorded, JournalError>> {
        let (tell, told) = oneshot::channel();
        let Some(mut claim) = ticket.spend() else { return told };
        // Believed once: if the journal says otherwise, the answer is recorded again with everything read first.
        let mut known = claim.known.take().filter(|_| matches!(reply.outcome, Placed::Taken(_)));
        let (order, attempt, imei) = (claim.order, claim.n, claim.place.imei);
        let (answer, http) = (name(&reply.outcome), reply.http);
        let unrecorded = self.shared.common.unrecorded.clone();
        // Made only where it is shown: there are thousands of them.
        let text = tracing::enabled!(tracing::Level::DEBUG).then(|| words(&reply.outcome));
        self.record(
            move |tx| finish(tx, &claim, known.take(), &reply),
            move |done| {
                match &done {
                    Ok(Recorded { state, .. }) => {
                        tracing::debug!(%order, %attempt, %imei, answer, text, http, state = state.as_str(), "answered");
                    }
                    // In the journal its attempt is still in flight: the next start takes it as in doubt.
                    Err(error) => {
                        let text = format!(
                            "the answer to an attempt of order {order} can't be recorded: the next start takes it as \
                             in doubt: {error}"
                        );
                        unrecorded.fails("answers", &text);
                    }
                }
                drop((tell.send(done), held));
            },
        );
        told
    }

    /// Gives back an attempt that was never sent: a stop, a pause or a brake came before its connection.
    pub fn return_attempt(&self, ticket: AttemptTicket) -> oneshot::Receiver<Result<Recorded, JournalError>> {
        let outcome = Placed::NotTaken(NotTaken::NotSent(RETURNED.to_owned()));
        self.finish_attempt(ticket, Reply { outcome, http: None, body: Vec::new() })
    }
}

/// The text of an attempt that we gave back ourselves: its order needn't back off.
const RETURNED: &str = "given back unsent";

/// `known`: the order as its claim left it, if it is believed to be so still. It is taken then, or this fails.
fn finish(
    tx: &Tx<'_>,
    claim: &Claim,
    known: Option<Box<Loaded>>,
    reply: &Reply<Placed>,
) -> Result<Recorded, JournalError> {
    let now = claim.clock.now();
    let mut order = match known {
        Some(known) => *known,
        None => orders::load(tx, claim.order)?,
    };
    if reply.http.is_some() || !reply.body.is_empty() {
        tx.execute(
            "INSERT INTO answers (order_id, n, at, kind, http, body) VALUES (?1, ?2, ?3, 'placed', ?4, ?5)",
            (order.id.0, claim.n.0, now.millis(), reply.http, &reply.body),
        )?;
    }
    let outcome = distrust(tx, &order, &reply.outcome, now)?;
    probing::first_answered(tx, claim, &outcome)?;
    let text = words(&outcome);
    let quiet = matches!(outcome, Placed::Taken(_));
    let telling = Telling { what: name(&outcome), text: &text, via: "placed", quiet };
    if order.life.state != State::Submitting || order.attempts != claim.n.0 {
        late(tx, &mut order, &outcome, claim, now, &telling)?;
        return Ok(Recorded { state: order.life.state, id: order.life.id });
    }
    let key = match outcome {
        Placed::AlreadyExists => key_facts(tx, &order)?,
        _ => KeyFacts::default(),
    };
    let event = Event::Answer(Answer::of(&outcome, key));
    let moved = if order.attempt.is_some() {
        orders::advance_and(plain::save_taken, tx, &mut order, &event, now, &claim.rules, &telling)?
    } else {
        orders::advance(tx, &mut order, &event, now, &claim.rules, &telling)?
    };
    if let Some(moved) = &moved {
        let brake = moved
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::PauseAll(_) | Effect::PauseService(_)));
        if !brake && passes(&outcome) && tx.is_finding_out()? {
            pause::passed(tx, order.service, now)?;
        }
        if text == RETURNED {
            tx.execute("UPDATE orders SET due_at = ?2 WHERE id = ?1", (order.id.0, now.millis()))?;
        }
        if let Placed::NotTaken(NotTaken::InvalidImei(words)) = &outcome
            && moved.to == State::Refused
        {
            super::poll::set_code(tx, order.id, words)?;
        }
        if claim.canary {
            canary(tx, claim, &outcome, now)?;
        }
    }
    Ok(Recorded { state: order.life.state, id: order.life.id })
}

/// Whether the answer shows that the provider works on orders.
const fn passes(outcome: &Placed) -> bool {
    matches!(outcome, Placed::Taken(_) | Placed::AlreadyExists | Placed::NotTaken(NotTaken::InvalidImei(_)))
}

/// An id that is another order's of ours proves nothing about this one: one id, one order.
fn distrust(tx: &Tx<'_>, order: &Loaded, outcome: &Placed, now: Timestamp) -> Result<Placed, JournalError> {
    let Placed::Taken(id) = outcome else { return Ok(outcome.clone()) };
    // Of a known order nothing is read: another one's id can't be entered for it, and it is recorded again.
    let owner = if order.attempt.is_some() { None } else { orders::owner(tx, order.service, *id)? };
    match owner {
        Some(owner) if owner != order.id => {
            let owner = books::shown(tx, &orders::load(tx, owner)?)?;
            let what = format!("the provider answered with order id {id}, which is that of {owner}");
            let text = format!(
                "{what}, when {} was ordered: that answer isn't used, and the order is in doubt until imeid finds out whether \
                 it was taken. Nothing to do yet. If it is held then, look IMEI {} up at the provider, and say what you \
                 found with imeid resolve",
                books::shown(tx, order)?,
                order.imei
            );
            books::alarm(tx, now, Alarm::WrongAnswer, &text, order)?;
            Ok(Placed::Unclear(Unclear { what, ids: Vec::new(), retry_after: None }))
        }
        _ if i64::try_from(id.0).is_err() => {
            let what = format!("the provider answered with id {id}, which is too large to be one");
            Ok(Placed::Unclear(Unclear { what, ids: Vec::new(), retry_after: None }))
        }
        _ => Ok(outcome.clone()),
    }
}

/// An answer to an attempt that is no longer in flight. An id in it is evidence all the same.
fn late(
    tx: &Tx<'_>,
    order: &mut Loaded,
    outcome: &Placed,
    claim: &Claim,
    now: Timestamp,
    telling: &Telling<'_>,
) -> Result<(), JournalError> {
    tx.event(now, Some(order.id), None, "late answer", &format!("to attempt {}: {}", claim.n, telling.text))?;
    // A listing may have brought the id before its answer came: what is booked is known.
    if let Placed::Taken(id) = outcome
        && orders::owner(tx, order.service, *id)?.is_none()
    {
        orders::advance(tx, order, &Event::LateId(*id), now, &claim.rules, telling)?;
    }
    Ok(())
}

/// What is known of the key beside this order.
pub(super) fn key_facts(tx: &Tx<'_>, order: &Loaded) -> Result<KeyFacts, JournalError> {
    let (unproven, presumed, charged): (i64, i64, i64) = tx
        .find(
            "SELECT coalesce(sum(unaccounted + inferred + presumed), 0), coalesce(sum(presumed), 0), \
             coalesce(sum(charged), 0) FROM orders WHERE service = ?1 AND imei = ?2 AND current = 0 AND id <> ?3",
            (order.service.0, i64::try_from(order.imei.as_u64()).unwrap_or(0), order.id.0),
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?
        .unwrap_or_default();
    Ok(KeyFacts {
        others_unproven: unproven > 0,
        others_presumed: presumed > 0,
        earlier_order: charged > 0,
        was_copy: tx.fact(super::restore::WAS_COPY)?.is_some(),
    })
}

/// A service's first orders: each must come back as one order for the IMEI that was sent, before the workers open.
fn canary(tx: &Tx<'_>, claim: &Claim, outcome: &Placed, now: Timestamp) -> Result<(), JournalError> {
    let sql = match outcome {
        Placed::Taken(_) => {
            "UPDATE services SET canary_proved = canary_proved + 1, canary_width = 1 WHERE id = ?1"
        }
        Placed::AlreadyExists | Placed::NotTaken(NotTaken::InvalidImei(_)) => {
            "UPDATE services SET canary_width = min(canary_width * 2, 1024) WHERE id = ?1"
        }
        Placed::NotTaken(_) => return Ok(()),
        Placed::Unclear(unclear) => {
            let text = format!("one of the service's first orders did not prove right: {}", unclear.what);
            return pause::set(tx, Scope::Service(claim.service), PauseReason::Canary, &text, now);
        }
    };
    tx.ring(Rung::SUBMIT);
    tx.execute_one("a service's canary", sql, [claim.service.0])
}

const fn name(outcome: &Placed) -> &'static str {
    match outcome {
        Placed::Taken(_) => "ordered",
        Placed::NotTaken(NotTaken::NotSent(_)) => "not sent",
        Placed::NotTaken(_) => "not taken",
        Placed::AlreadyExists => "already exists",
        Placed::Unclear(_) => "unclear",
    }
}

fn words(outcome: &Placed) -> String {
    match outcome {
        Placed::Taken(id) => format!("id {id}"),
        Placed::NotTaken(
            NotTaken::NotSent(text)
            | NotTaken::Account(text)
            | NotTaken::Credit(text)
            | NotTaken::Maintenance(text)
            | NotTaken::UnknownService(text)
            | NotTaken::InvalidImei(text),
        ) => text.clone(),
        Placed::NotTaken(NotTaken::Throttled(Some(wait))) => {
            format!("HTTP 429, retry after {}s", wait.as_secs())
        }
        Placed::NotTaken(NotTaken::Throttled(None)) => "HTTP 429".to_owned(),
        Placed::AlreadyExists => "the provider has it already".to_owned(),
        Placed::Unclear(unclear) => unclear.what.clone(),
    }
}
