//! The workers: a bounded number of calls, each with a durable attempt behind it.

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
use crate::journal::{AttemptTicket, Journal, JournalError};
use crate::meter::Meter;
use crate::order::Alarm;
use crate::pace::{self, CallNo, Ended, Pace, Smoothed};
use crate::provider::Provider;
use crate::types::{Imei, Money, NotTaken, Placed, ServiceId, Timestamp};

use super::JOURNAL_RETRY;
use super::slots::Slots;

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
        let ahead = if state.pace.is_out() {
            0
        } else {
            pace::ahead(limit, state.latency.or(FIRST_LATENCY), state.commit.or(Duration::ZERO))
        };
        // With attempts in hand there is time to claim many in one commit.
        let (all, few) = (limit.saturating_add(ahead), limit.saturating_add(ahead.div_ceil(2)));
        let out = self.out.load(Ordering::Acquire);
        if out < few {
            return all - out;
        }
        self.few.store(few, Ordering::Release);
        0
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

    /// Nothing more is sent.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
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
        let Some(_slot) = self.slots.take().await else { return };
        if !self.may_send() || !self.journal.lets_go(&ticket) {
            // Its commit is waited for, so that the next claim finds the order.
            let _ = self.journal.return_attempt(ticket).await;
            return;
        }
        let first_probe = ticket.is_first_probe();
        let canary = (ticket.is_canary() && !shared_account).then(|| (ticket.service(), ticket.price()));
        // Until the balance was looked at again nothing else goes, or it would be charged in between.
        let alone = canary.is_some() && self.out.load(Ordering::Acquire) == 1;
        let _held = alone.then(|| Held::new(&self.pausing));
        let before =
            if !shared_account && (first_probe || canary.is_some()) { self.balance().await } else { None };
        let imei = ticket.imei();
        let Some(call) = OnItsWay::begin(self) else { return };
        self.meter.began(self.clock.now());
        let sent = attempt::send(ticket, &*self.provider, &self.journal, &self.uncommitted).await;
        let Some(sent) = sent else { return };
        self.meter.ended(self.clock.now(), sent.took);
        call.ended(&sent.outcome, sent.http, sent.took);
        if let (Placed::Unclear(unclear), Some(imei)) = (&sent.outcome, imei) {
            self.tell_doubt(imei, &unclear.what);
        }
        if pauses(&sent.outcome) {
            let _held = Held::new(&self.pausing);
            let _ = sent.recorded.await;
            return;
        }
        if first_probe {
            let _ = sent.recorded.await;
            self.judge_first_probe(&sent.outcome, before).await;
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
        let (why, opens_at) = (state.why.clone(), state.pace.closed_until(now));
        match (was_out, is_out) {
            (false, true) => state.away.begins(now, &why),
            (true, false) => state.away.ends(),
            _ => {}
        }
        drop(state);
        if limit != before {
            self.few.store(usize::MAX, Ordering::Release);
        }
        match (was_out, is_out) {
            (false, true) => {
                self.outage.notify_one();
                tracing::warn!(
                    %why,
                    next_try = opens_at.map(tracing::field::display),
                    "the provider doesn't answer orders: one at a time until it does"
                );
            }
            (true, false) => {
                self.journal.drop_unrecorded(away::ALARM);
                tracing::info!("the provider answers orders again");
            }
            _ if limit < before => tracing::debug!(limit, before, "fewer orders at once"),
            _ => {}
        }
    }

    /// That the provider hasn't answered for long is an alarm until it does, or begins anew after a pause.
    pub(super) fn tell_if_away(&self) {
        let Ok(mut state) = self.state.lock() else { return };
        if !state.pace.is_out() {
            state.away.ends();
        }
        let alarm = state.away.alarm(self.clock.now());
        drop(state);
        match alarm {
            Some(text) if self.journal.keep_unrecorded(away::ALARM, &text) => {
                tracing::error!(alarm = away::ALARM, "{text}");
            }
            Some(_) => {}
            None => {
                self.journal.drop_unrecorded(away::ALARM);
            }
        }
    }

    /// What the first probe showed: it was alone between two looks at the balance. Only a refusal proves that duplicates
    /// are refused, and only while the balance doesn't show that it cost something.
    async fn judge_first_probe(&self, outcome: &Placed, before: Option<Money>) {
        if *outcome != Placed::AlreadyExists {
            return;
        }
        let after = match before {
            Some(_) => self.balance().await,
            None => None,
        };
        let fell = before.zip(after).and_then(|(before, after)| before.checked_sub(after));
        let now = self.clock.now();
        let accuses = fell.filter(|fell| *fell > Money::ZERO).map(|fell| {
            format!("a probe was refused as a duplicate, and the balance fell by {fell} all the same")
        });
        let record = || {
            let (journal, accuses) = (self.journal.clone(), accuses.clone());
            async move {
                match accuses {
                    None => journal.probes_are_refused(now).await,
                    Some(text) => journal.balance_accuses(Alarm::Balance, text, now).await,
                }
            }
        };
        self.until_recorded("first probe", "what a first probe showed", record).await;
    }

    /// Records what was seen and can't be seen again. Nothing is claimed until it is recorded: what it says may be that
    /// nothing must go.
    pub(super) async fn until_recorded<F>(&self, who: &'static str, what: &str, record: impl Fn() -> F)
    where
        F: Future<Output = Result<(), JournalError>>,
    {
        let _held = Held::new(&self.pausing);
        loop {
            let Err(error) = record().await else { break };
            let why = format!("{what} can't be recorded, nothing is submitted until it is: {error}");
            self.journal.fails(who, &why);
            if !error.can_pass() {
                return;
            }
            tokio::time::sleep(JOURNAL_RETRY).await;
        }
        if self.journal.serves(who) {
            tracing::info!("{what} is recorded");
        }
    }

    async fn balance(&self) -> Option<Money> {
        self.provider.account().await.ok().and_then(|account| account.balance)
    }

    /// A first order must cost one price. The balance accuses, it never acquits: it may lag behind.
    async fn compare_balance(&self, service: ServiceId, before: Option<Money>, price: Money) {
        let (Some(before), Some(after)) = (before, self.balance().await) else { return };
        let Some(fell) = before.checked_sub(after).filter(|fell| *fell > price) else { return };
        // What is in doubt may have been charged meanwhile.
        let open = self.journal.read(|view| view.books()).await.map(|books| books.reserved);
        if open.is_ok_and(|reserved| reserved > Money::ZERO) {
            return;
        }
        let text = format!("one of the service's first orders cost {fell}, its price is {price}");
        let now = self.clock.now();
        let record = || {
            let (journal, text) = (self.journal.clone(), text.clone());
            async move { journal.price_is_higher(service, text, now).await }
        };
        self.until_recorded("price", "a pause because of a price", record).await;
    }
}

/// A call that the pace counts as on its way until it has ended, or is given up.
struct OnItsWay<'a> {
    pool: &'a Pool,
    call: Option<CallNo>,
}

impl<'a> OnItsWay<'a> {
    fn begin(pool: &'a Pool) -> Option<Self> {
        let call = pool.state.lock().ok()?.pace.began();
        Some(Self { pool, call: Some(call) })
    }

    fn ended(mut self, outcome: &Placed, http: Option<u16>, took: Duration) {
        if let Some(call) = self.call.take() {
            self.pool.note(call, ended(outcome, http), took, away::why(outcome));
        }
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let (Some(call), Ok(mut state)) = (self.call.take(), self.pool.state.lock()) {
            state.pace.given_up(call);
        }
    }
}

/// What a call's end tells of the provider. `http`: the answer's status, where one began.
fn ended(outcome: &Placed, http: Option<u16>) -> Ended {
    match outcome {
        Placed::NotTaken(NotTaken::NotSent(_)) => Ended::NotSent,
        Placed::NotTaken(NotTaken::Throttled(wait)) => Ended::Throttled(*wait),
        Placed::Unclear(unclear) if http.is_none_or(|status| status >= 500) => {
            Ended::Overloaded(unclear.retry_after)
        }
        Placed::Unclear(unclear) => Ended::Unclear(unclear.retry_after),
        Placed::Taken(_) | Placed::AlreadyExists | Placed::NotTaken(_) => Ended::Passed,
    }
}

/// While it lives nothing is claimed, and what is claimed goes back unsent.
struct Held<'a>(&'a AtomicUsize);

/// An attempt that was taken in is no longer out, however its work ends: a panic must not leave fewer slots for ever.
struct Out<'a>(&'a Pool);

impl Drop for Out<'_> {
    fn drop(&mut self) {
        let out = self.0.out.fetch_sub(1, Ordering::AcqRel).saturating_sub(1);
        if out < self.0.few.load(Ordering::Acquire) {
            self.0.freed.notify_one();
        }
    }
}

impl<'a> Held<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

const fn pauses(outcome: &Placed) -> bool {
    matches!(
        outcome,
        Placed::NotTaken(
            NotTaken::Account(_)
                | NotTaken::Credit(_)
                | NotTaken::Maintenance(_)
                | NotTaken::UnknownService(_)
        )
    )
}
