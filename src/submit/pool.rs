//! The workers: a bounded number of calls, each with a durable attempt behind it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::told::{Line, ToldDoubts};
use crate::attempt;
use crate::clock::Clock;
use crate::journal::{AttemptTicket, Journal};
use crate::meter::Meter;
use crate::order::Alarm;
use crate::pace::{self, Ended, Health, Smoothed};
use crate::provider::Provider;
use crate::types::{Imei, Money, NotTaken, Placed, ServiceId, Timestamp};

/// Until calls have been measured they are taken for slow, so that nothing is claimed ahead.
const FIRST_LATENCY: Duration = Duration::from_secs(4);
/// Answers that are not committed yet: at most so many, then the workers wait.
const UNCOMMITTED: usize = 64;

/// The workers of one run of the daemon, and what is known of the provider's health. Lost in a crash without harm.
pub struct Pool {
    journal: Journal,
    provider: Arc<dyn Provider>,
    clock: Clock,
    meter: Arc<Meter>,
    /// Attempts claimed and not ended.
    out: AtomicUsize,
    /// Calls on the wire at once.
    slots: Arc<Semaphore>,
    slots_made: AtomicUsize,
    uncommitted: Arc<Semaphore>,
    /// Answers on their way to the journal that pause submission: what is claimed meanwhile goes back unsent.
    pausing: AtomicUsize,
    closed: AtomicBool,
    abort: CancellationToken,
    freed: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    doubts: ToldDoubts,
    health: Health,
    latency: Smoothed,
    commit: Smoothed,
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
            slots: Arc::new(Semaphore::new(0)),
            slots_made: AtomicUsize::new(0),
            uncommitted: Arc::new(Semaphore::new(UNCOMMITTED)),
            pausing: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            abort: CancellationToken::new(),
            freed: Notify::new(),
            state: Mutex::new(State::default()),
        }
    }

    /// How many attempts to claim now, with this many workers configured.
    pub fn want(&self, workers: usize, now: Timestamp) -> usize {
        self.resize(workers);
        if self.pausing.load(Ordering::Acquire) > 0 {
            return 0;
        }
        let Ok(state) = self.state.lock() else { return 0 };
        if state.health.closed_until(now).is_some() {
            return 0;
        }
        let limit = state.health.limit(workers);
        let ahead = if state.health.is_out() {
            0
        } else {
            pace::ahead(limit, state.latency.or(FIRST_LATENCY), state.commit.or(Duration::ZERO))
        };
        let missing = limit.saturating_add(ahead).saturating_sub(self.out.load(Ordering::Acquire));
        // With attempts in hand there is time to claim many in one commit.
        if missing > ahead / 2 { missing } else { 0 }
    }

    fn resize(&self, workers: usize) {
        let made = self.slots_made.swap(workers, Ordering::AcqRel);
        if workers > made {
            self.slots.add_permits(workers.saturating_sub(made));
        } else if workers < made {
            // Busy ones end first: what can't be taken away now is taken away as they come free.
            let surplus = made.saturating_sub(workers);
            let taken = self.slots.forget_permits(surplus);
            self.slots_made.fetch_add(surplus.saturating_sub(taken), Ordering::AcqRel);
        }
    }

    /// Until when nothing is sent at all.
    #[must_use]
    pub fn opens_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.state.lock().ok().and_then(|state| state.health.closed_until(now))
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

    /// Rings when an attempt has ended.
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
        tokio::select! {
            biased;
            // Dropping the ticket puts its order in doubt.
            () = self.abort.cancelled() => {}
            () = self.work_to_the_end(ticket, shared_account) => {}
        }
        self.out.fetch_sub(1, Ordering::AcqRel);
        self.freed.notify_one();
    }

    async fn work_to_the_end(&self, ticket: AttemptTicket, shared_account: bool) {
        let Ok(_slot) = self.slots.acquire().await else { return };
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
        self.meter.began(self.clock.now());
        let sent = attempt::send(ticket, &*self.provider, &self.journal).await;
        let Some(sent) = sent else { return };
        self.meter.ended(self.clock.now(), sent.took);
        self.note(&sent.outcome, sent.took);
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
        self.leave_to_the_journal(sent.recorded).await;
    }

    /// The answer is committed without this worker, as long as not too many are.
    async fn leave_to_the_journal<T: Send + 'static>(&self, recorded: tokio::sync::oneshot::Receiver<T>) {
        let Ok(permit) = Arc::clone(&self.uncommitted).acquire_owned().await else { return };
        tokio::spawn(async move {
            let _ = recorded.await;
            drop(permit);
        });
    }

    /// The gate, once more, just before the connection.
    fn may_send(&self) -> bool {
        let now = self.clock.now();
        !self.closed.load(Ordering::Acquire)
            && !self.journal.is_damaged()
            && self.pausing.load(Ordering::Acquire) == 0
            && self.state.lock().is_ok_and(|state| state.health.closed_until(now).is_none())
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

    fn note(&self, outcome: &Placed, took: Duration) {
        let ended = match outcome {
            Placed::NotTaken(NotTaken::NotSent(_)) => Ended::NotSent,
            Placed::NotTaken(NotTaken::Throttled(wait)) => Ended::Failed(*wait),
            Placed::Unclear(unclear) => Ended::Failed(unclear.retry_after),
            Placed::Taken(_) | Placed::AlreadyExists | Placed::NotTaken(_) => Ended::Passed,
        };
        let now = self.clock.now();
        if let Ok(mut state) = self.state.lock() {
            let was_out = state.health.is_out();
            state.health.ended(ended, now.minus(took), now);
            state.latency.add(took);
            match (was_out, state.health.is_out()) {
                (false, true) => {
                    tracing::warn!("the provider doesn't answer orders: one at a time until it does")
                }
                (true, false) => tracing::info!("the provider answers orders again"),
                _ => {}
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
        let told = match fell.filter(|fell| *fell > Money::ZERO) {
            None => self.journal.probes_are_refused(now).await,
            Some(fell) => {
                let text = format!(
                    "a probe was refused as a duplicate, and the balance fell by {fell} all the same"
                );
                self.journal.balance_accuses(Alarm::Balance, text, now).await
            }
        };
        if let Err(error) = told {
            tracing::error!(alarm = "journal", "what a first probe showed can't be recorded: {error}");
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
        if let Err(error) = self.journal.price_is_higher(service, text, self.clock.now()).await {
            tracing::error!(alarm = "journal", "a pause can't be recorded: {error}");
        }
    }
}

/// While it lives nothing is claimed, and what is claimed goes back unsent.
struct Held<'a>(&'a AtomicUsize);

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
