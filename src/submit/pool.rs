//! The workers: a bounded number of calls, each with a durable attempt behind it.

mod balance;
mod call;
mod outage;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::away::{self, Away};
use super::told::{Line, ToldDoubts};
use crate::attempt;
use crate::clock::Clock;
use crate::config::SubmitConfig;
use crate::journal::{AttemptTicket, Journal};
use crate::meter::Meter;
use crate::pace::{self, Ahead, CallNo, Ended, Pace, Smoothed};
use crate::provider::Provider;
use crate::types::{Imei, Placed, Timestamp};

use super::slots::Slots;
use call::{Held, OnItsWay, Out, pauses};

/// Until calls have been measured they are taken for slow, so that nothing is claimed ahead.
const FIRST_LATENCY: Duration = Duration::from_secs(4);
/// Answers that are not committed yet and that no worker waits for: at most so many.
const UNCOMMITTED: usize = 64;

/// The workers of one run of the daemon, and what was learnt of the provider. Lost in a crash without harm.
pub struct Pool {
    journal: Journal,
    provider: Arc<dyn Provider>,
    clock: Clock,
    meter: Arc<Meter>,
    /// Attempts claimed and not ended.
    out: AtomicUsize,
    /// With fewer out than this there may be something to claim.
    few: AtomicUsize,
    /// Calls on the wire at once.
    slots: Slots,
    uncommitted: Arc<Semaphore>,
    /// Answers on their way to the journal that pause submission: what is claimed meanwhile goes back unsent.
    pausing: AtomicUsize,
    closed: AtomicBool,
    abort: CancellationToken,
    freed: Notify,
    /// Rings when an outage begins.
    outage: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    doubts: ToldDoubts,
    away: Away,
    pace: Pace,
    latency: Smoothed,
    commit: Smoothed,
    /// What the last call that failed came to.
    why: String,
}

impl Pool {
    /// Workers that have nothing to do yet.
    #[must_use]
    pub fn new(journal: Journal, provider: Arc<dyn Provider>, clock: Clock, meter: Arc<Meter>) -> Self {
        Self {
            journal,
            provider,
            clock,
            meter,
            out: AtomicUsize::new(0),
            few: AtomicUsize::new(usize::MAX),
            slots: Slots::new(),
            uncommitted: Arc::new(Semaphore::new(UNCOMMITTED)),
            pausing: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            abort: CancellationToken::new(),
            freed: Notify::new(),
            outage: Notify::new(),
            state: Mutex::new(State::default()),
        }
    }

    /// How many attempts to claim now, with what is configured.
    pub fn want(&self, config: &SubmitConfig, now: Timestamp) -> usize {
        self.few.store(usize::MAX, Ordering::Release);
        if let Ok(mut state) = self.state.lock() {
            state.pace.set(config.workers, config.adaptive);
            self.open(&state);
        }
        if self.pausing.load(Ordering::Acquire) > 0 {
            return 0;
        }
        let Ok(state) = self.state.lock() else { return 0 };
        if state.pace.closed_until(now).is_some() {
            return 0;
        }
        let limit = state.pace.limit();
        let latency = state.latency.or(FIRST_LATENCY);
        let ahead = if state.pace.is_out() {
            Ahead::NONE
        } else {
            pace::ahead(limit, latency, state.commit.or(Duration::ZERO))
        };
        // With attempts in hand there is time to claim many in one commit.
        let (all, few) = (limit.saturating_add(ahead.all), limit.saturating_add(ahead.few));
        let out = self.out.load(Ordering::Acquire);
        if out < few {
            return all - out;
        }
        self.few.store(few, Ordering::Release);
        0
    }

    /// How long an answer's commit may wait for others.
    pub fn linger(&self) -> Duration {
        pace::linger(self.state.lock().map_or(FIRST_LATENCY, |state| state.latency.or(FIRST_LATENCY)))
    }

    /// As many slots as the limit of the moment.
    fn open(&self, state: &State) {
        let limit = state.pace.limit();
        self.slots.resize(limit);
        self.meter.limit_is(limit);
        self.meter.stands_still(self.standstill(state));
    }

    /// Until when nothing is sent at all.
    #[must_use]
    pub fn opens_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.state.lock().ok().and_then(|state| state.pace.closed_until(now))
    }

    /// How many calls may be on their way at once now.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.state.lock().map_or(0, |state| state.pace.limit())
    }

    /// Submission stands still.
    pub fn stood_still(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.pace.stood_still();
            self.open(&state);
        }
    }

    /// How long a claim's commit took.
    pub fn committed(&self, took: Duration) {
        if let Ok(mut state) = self.state.lock() {
            state.commit.add(took);
        }
    }

    /// An attempt was claimed.
    pub fn take_in(&self) {
        self.out.fetch_add(1, Ordering::AcqRel);
    }

    /// Nothing more is sent. What waits for a slot goes back unsent at once.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.slots.close();
    }

    /// Calls in flight are given up; their orders are in doubt.
    pub fn abort(&self) {
        self.abort.cancel();
    }

    /// Rings when an attempt has ended and there may be something to claim.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Returns once every answer that was handed to the journal without waiting is recorded, or can't be.
    pub async fn all_recorded(&self) {
        let all = u32::try_from(UNCOMMITTED).unwrap_or(u32::MAX);
        // The semaphore is never closed, and the permits go back at once.
        drop(self.uncommitted.acquire_many(all).await);
    }

    /// The unit: sends one attempt as soon as a slot is free, unless something has come up against it by then. The
    /// caller has [taken it in](Pool::take_in).
    pub async fn work(&self, ticket: AttemptTicket, shared_account: bool) {
        let _out = Out(self);
        tokio::select! {
            biased;
            // Dropping the ticket puts its order in doubt.
            () = self.abort.cancelled() => {}
            () = self.work_to_the_end(ticket, shared_account) => {}
        }
    }

    async fn work_to_the_end(&self, ticket: AttemptTicket, shared_account: bool) {
        let slot = self.slots.take().await;
        if slot.is_none() || !self.may_send() || !self.journal.lets_go(&ticket) {
            // Its commit is waited for, so that the next claim finds the order.
            let _ = self.journal.return_attempt(ticket).await;
            return;
        }
        let first_probe = ticket.first_probe_of().map(ToOwned::to_owned);
        let canary = (ticket.is_canary() && !shared_account).then(|| (ticket.service(), ticket.price()));
        // Until the balance was looked at again nothing else goes, or it would be charged in between.
        let alone = canary.is_some() && self.out.load(Ordering::Acquire) == 1;
        let _held = (alone || first_probe.is_some()).then(|| Held::new(&self.pausing));
        let looks = !shared_account && (first_probe.is_some() || canary.is_some());
        let before = if looks { self.balance().await } else { None };
        let imei = ticket.imei();
        let Some(call) = OnItsWay::begin(self) else { return };
        self.meter.began(self.clock.now());
        let sent =
            attempt::send(ticket, call.finds_out, &*self.provider, &self.journal, &self.uncommitted).await;
        let Some(sent) = sent else { return };
        self.meter.ended(self.clock.now(), self.clock.steady(), sent.took);
        call.ended(&sent.outcome, sent.http, sent.took);
        if let (Placed::Unclear(unclear), Some(imei)) = (&sent.outcome, imei) {
            self.tell_doubt(imei, &unclear.what);
        }
        if pauses(&sent.outcome) {
            let _held = Held::new(&self.pausing);
            let _ = sent.recorded.await;
            return;
        }
        if let Some(account) = first_probe {
            let _ = sent.recorded.await;
            self.judge_first_probe(account, &sent.outcome, before).await;
            return;
        }
        if let (true, Some((Some(service), price))) = (alone, canary) {
            let _ = sent.recorded.await;
            self.compare_balance(service, before, price).await;
            return;
        }
        // The answer is committed without this worker, as long as not too many wait for that.
        if !sent.had_room {
            let _ = sent.recorded.await;
        }
    }

    /// The gate, once more, just before the connection.
    fn may_send(&self) -> bool {
        let now = self.clock.now();
        !self.closed.load(Ordering::Acquire)
            && !self.journal.is_damaged()
            && self.pausing.load(Ordering::Acquire) == 0
            && self.state.lock().is_ok_and(|state| state.pace.closed_until(now).is_none())
    }

    fn tell_doubt(&self, imei: Imei, what: &str) {
        let line = self.state.lock().map_or(Line::Named, |mut state| state.doubts.add(self.clock.now()));
        match line {
            Line::Named => tracing::warn!(%imei, what, "in doubt"),
            Line::Count(orders) => {
                tracing::warn!(orders, last = %imei, what, "in doubt within a minute: not named any more");
            }
            Line::None => {}
        }
    }

    fn note(&self, call: CallNo, ended: Ended, took: Duration, why: Option<&str>) {
        let now = self.clock.now();
        let Ok(mut state) = self.state.lock() else { return };
        if let Some(why) = why {
            why.clone_into(&mut state.why);
        }
        let (was_out, before) = (state.pace.is_out(), state.pace.limit());
        state.pace.ended(call, ended, took, now);
        state.latency.add(took);
        let (is_out, limit) = (state.pace.is_out(), state.pace.limit());
        self.open(&state);
        let ended = match (was_out, is_out) {
            (false, true) => {
                let why = state.why.clone();
                state.away.begins(now, &why);
                false
            }
            (true, false) => state.away.ends(),
            _ => false,
        };
        drop(state);
        if limit != before {
            self.few.store(usize::MAX, Ordering::Release);
        }
        match (was_out, is_out) {
            (false, true) => self.outage.notify_one(),
            (true, false) => self.say_end(ended),
            _ if limit < before => tracing::debug!(limit, before, "fewer orders at once"),
            _ => {}
        }
    }

    fn say_end(&self, ended: bool) {
        self.journal.drop_unrecorded(away::ALARM);
        if ended {
            away::say_end();
        }
    }

    /// How long it is until the provider has been away for so long that it is an alarm; `None`: it isn't, or it is one.
    pub(super) fn alarm_due_in(&self) -> Option<Duration> {
        self.state.lock().ok()?.away.due_in(self.clock.now())
    }

    /// That the provider hasn't answered for long is an alarm until it does, or begins anew after a pause.
    pub(super) fn tell_if_away(&self) {
        let Ok(mut state) = self.state.lock() else { return };
        let ended = !state.pace.is_out() && state.away.ends();
        let alarm = state.away.alarm(self.provider.address(), self.clock.now());
        drop(state);
        match alarm {
            Some(text) if self.journal.keep_unrecorded(away::ALARM, &text) => {
                tracing::error!(alarm = away::ALARM, "{text}");
            }
            Some(_) => {}
            None => self.say_end(ended),
        }
    }
}
