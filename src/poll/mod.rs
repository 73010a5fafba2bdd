//! Polling: asks after orders, many in a call, until each is completed or rejected.
//!
//! Some installs answer with one of the N that were asked for: an answer is matched by id and IMEI, and what is missing
//! is asked for again in smaller calls. An order about which nothing is told goes on being asked after. What is told of
//! another order under its id is no answer to it ([`whose`]).

mod whose;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use whose::{TellsOf, Whose};

use crate::clock::Clock;
use crate::journal::{DuePoll, Journal, JournalError, KeptWait, PollResult, PollTold};
use crate::provider::Provider;
use crate::pulse;
use crate::schedule::{self, Waited};
use crate::settings::Settings;
use crate::types::{CallError, ProviderOrder, ProviderOrderId, ProviderStatus, Timestamp};

/// It looks again after this long by itself.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// So many orders are looked at in one go.
const BATCH: u32 = 1000;
/// So many orders' answers are recorded in one commit, those of several calls: what isn't recorded yet when a crash comes is
/// asked again. It keeps the journal for some 2 ms.
const RECORDED_TOGETHER: usize = 200;
/// Where calls take longer than this each one's are recorded at once.
const RECORDED_WITHIN: Duration = Duration::from_millis(250);

/// The spans in which orders were asked after.
const ASKED_FACT: &str = "orders_asked_after";

/// The stage.
pub struct Poll {
    /// Where the work is.
    pub journal: Journal,
    /// Who is asked.
    pub provider: Arc<dyn Provider>,
    /// The time.
    pub clock: Clock,
    /// The configuration in force.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// Calls that failed in a row.
    failures: u32,
    /// Statuses that aren't known: each is logged once.
    unknown: Vec<String>,
    /// Whose orders are that are told of.
    whose: Whose,
    /// How long orders were really asked after, and an answer came.
    waited: KeptWait,
}

/// Why a look at what is due ended early.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The provider doesn't answer.
    #[error(transparent)]
    Provider(CallError),
    /// The journal can't be read or written.
    #[error(transparent)]
    Journal(JournalError),
}

impl Poll {
    /// The stage, with nothing asked yet.
    #[must_use]
    pub fn new(
        journal: Journal,
        provider: Arc<dyn Provider>,
        clock: Clock,
        settings: watch::Receiver<Arc<Settings>>,
    ) -> Self {
        Self {
            journal,
            provider,
            clock,
            settings,
            failures: 0,
            unknown: Vec::new(),
            whose: Whose::default(),
            waited: KeptWait::new(ASKED_FACT),
        }
    }

    /// Polls until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = self.round().await;
            pulse::within(pause);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            // With nothing to ask after, the next order taken rings.
            let idle = self.next_poll().await.is_ok_and(|next| next.is_none());
            if idle {
                pulse::within(LOOK_AGAIN);
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.journal.wakes().poll.notified() => {}
                    () = tokio::time::sleep(LOOK_AGAIN) => {}
                }
            }
        }
    }

    /// The account that is asked: it knows nothing of another one's orders.
    fn account(&self) -> String {
        self.settings.borrow().config.provider.account.clone()
    }

    async fn next_poll(&self) -> Result<Option<Timestamp>, JournalError> {
        let account = self.account();
        self.journal.read(move |view| view.next_poll(&account)).await
    }

    /// Asks after all that is due; returns how long to wait before the next round.
    async fn round(&mut self) -> Duration {
        let first = self.settings.borrow().config.poll.first_after;
        // Orders come due one by one; a short wait lets a call carry many of them.
        let gather = (first / 4).clamp(Duration::from_millis(20), Duration::from_secs(5));
        let done = self.unit().await;
        if done.is_ok() {
            self.journal.serves("poll");
        }
        match done {
            Ok(0) => match self.next_poll().await {
                Ok(Some(next)) => next.since(self.clock.now()).clamp(gather, LOOK_AGAIN),
                _ => gather,
            },
            Ok(_) => {
                self.failures = 0;
                gather
            }
            Err(Stopped::Provider(error)) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures == 1 {
                    tracing::warn!("orders can't be asked after, trying again: {error}");
                }
                let own = schedule::back_off(self.failures, schedule::LONGEST_FREE_WAIT, 0);
                match error {
                    CallError::Throttled(Some(asked)) => own.max(asked.min(schedule::LONGEST_WAIT)),
                    _ => own,
                }
            }
            Err(Stopped::Journal(error)) => {
                self.journal.fails("poll", &format!("polls can't be recorded: {error}"));
                Duration::from_secs(2)
            }
        }
    }

    /// One look at what is due. Returns how many orders that were.
    ///
    /// # Errors
    /// The provider doesn't answer, or the journal can't be read or written.
    pub async fn unit(&mut self) -> Result<usize, Stopped> {
        let now = self.clock.now();
        let poll = self.settings.borrow().config.poll.clone();
        let latest =
            now.plus(poll.every.saturating_add(poll.first_after).saturating_add(schedule::LONGEST_WAIT));
        let latest_given_up = latest.plus(schedule::next_late_poll(Duration::MAX));
        let account = self.account();
        let due = self.journal.read(move |view| {
            let due = view.due_polls(&account, now, BATCH)?;
            if due.is_empty() {
                view.polls_put_off(&account, latest, latest_given_up, BATCH)
            } else {
                Ok(due)
            }
        });
        let due = due.await.map_err(Stopped::Journal)?;
        let per_call = self.settings.borrow().config.poll.ids_per_call.max(1);
        // Those that were given up are asked after apart: of one that the provider doesn't know it refuses the whole call.
        let asked_after = due.len();
        let (late, open): (Vec<_>, Vec<_>) = due.into_iter().partition(|due| due.is_held);
        let (mut told, mut since) = (Vec::new(), Instant::now());
        for chunk in open.chunks(per_call).chain(late.chunks(per_call)) {
            match self.ask(chunk).await {
                Ok(more) => told.extend(more),
                Err(stopped) => {
                    self.record(told).await?;
                    return Err(stopped);
                }
            }
            if told.len() >= RECORDED_TOGETHER || since.elapsed() >= RECORDED_WITHIN {
                self.record(std::mem::take(&mut told)).await?;
                since = Instant::now();
            }
        }
        self.record(told).await?;
        Ok(asked_after)
    }

    /// Records what was told.
    async fn record(&mut self, mut told: Vec<PollResult>) -> Result<(), Stopped> {
        if told.is_empty() {
            return Ok(());
        }
        // Neighbours in the journal are written together.
        told.sort_by_key(|result| result.order);
        let rules = (*self.settings.borrow().rules).clone();
        let anothers: Vec<_> = told
            .iter()
            .filter(|result| matches!(result.told, PollTold::Anothers(_)))
            .map(|result| result.order)
            .collect();
        self.journal.record_polls(told, self.clock.now(), rules).await.map_err(Stopped::Journal)?;
        anothers.into_iter().for_each(|order| self.whose.is_recorded(order));
        Ok(())
    }

    /// Asks after these orders, in smaller and smaller calls while some are missing from the answer.
    async fn ask(&mut self, chunk: &[DuePoll]) -> Result<Vec<PollResult>, Stopped> {
        let mut results = Vec::with_capacity(chunk.len());
        let mut calls: Vec<Vec<DuePoll>> = vec![chunk.to_vec()];
        while let Some(asked) = calls.pop() {
            let ids: Vec<ProviderOrderId> = asked.iter().map(|due| due.id).collect();
            let alone = asked.len() == 1;
            match self.provider.orders(&ids).await {
                Ok(told) => {
                    let limit = self.settings.borrow().config.poll.give_up_after;
                    let looked = self.waited.look(&self.journal, &self.clock, limit).await;
                    let waited = looked.map_err(Stopped::Journal)?.clone();
                    let (asked_after, told_of) = (asked.len(), told.len());
                    let settings = Arc::clone(&self.settings.borrow());
                    let from = (self.provider.as_ref(), settings.as_ref());
                    let learnt = self.whose.learn(&asked, &told, &self.journal, from, self.clock.now()).await;
                    learnt.map_err(Stopped::Journal)?;
                    let missing = self.match_up(asked, told, alone, &waited, &mut results);
                    tracing::debug!(
                        asked = asked_after,
                        told = told_of,
                        missing = missing.len(),
                        "asked after orders"
                    );
                    calls.extend(halves(missing));
                }
                // One bad id among many fails them all.
                Err(CallError::InvalidOrderId) if !alone => calls.extend(halves(asked)),
                Err(CallError::InvalidOrderId) => {
                    let settings = Arc::clone(&self.settings.borrow());
                    for due in asked {
                        let next = self.next(&due, &settings);
                        if due.is_held {
                            results.push(due.result(PollTold::Nothing, next));
                            continue;
                        }
                        let why = format!("the provider knows no order {}", due.id);
                        results.push(due.result(PollTold::GivenUp(why), next));
                    }
                }
                Err(error) => {
                    // What was told before is kept; the rest stays due.
                    if results.is_empty() {
                        return Err(Stopped::Provider(error));
                    }
                    tracing::debug!("a poll was cut short: {error}");
                    break;
                }
            }
        }
        Ok(results)
    }

    /// Sorts what was told to those it is about; returns those of which nothing was told.
    fn match_up(
        &mut self,
        asked: Vec<DuePoll>,
        told: Vec<ProviderOrder>,
        alone: bool,
        waited: &Waited,
        results: &mut Vec<PollResult>,
    ) -> Vec<DuePoll> {
        let settings = Arc::clone(&self.settings.borrow());
        // The last of several with one id counts.
        let places: BTreeMap<ProviderOrderId, usize> =
            told.iter().enumerate().map(|(at, order)| (order.id, at)).collect();
        let mut told: Vec<Option<ProviderOrder>> = told.into_iter().map(Some).collect();
        let mut missing = Vec::new();
        for due in asked {
            let next = self.next(&due, &settings);
            match places.get(&due.id).and_then(|at| told.get_mut(*at)?.take()) {
                Some(order) => {
                    if let Some(told) = self.another(&due, &order, &settings) {
                        let told = or_give_up(&due, told, waited, &settings);
                        results.push(due.result(told, next));
                        continue;
                    }
                    self.tell_unknown(&order);
                    let (id, imei, status) = (due.id, due.imei, order.status_raw.as_str());
                    tracing::debug!(order = %due.order, %id, %imei, status, next = %next, "told of an order");
                    let told = or_give_up(&due, PollTold::Status(order), waited, &settings);
                    results.push(due.result(told, next));
                }
                None if alone => {
                    tracing::debug!(order = %due.order, id = %due.id, imei = %due.imei, next = %next, "told nothing of an order");
                    let told = or_give_up(&due, PollTold::Nothing, waited, &settings);
                    results.push(due.result(told, next));
                }
                None => missing.push(due),
            }
        }
        missing
    }

    /// What is told under an order's id of another one is no answer to it: what is recorded instead. One wrong answer may
    /// be a slip that the next one mends.
    fn another(&mut self, due: &DuePoll, told: &ProviderOrder, settings: &Settings) -> Option<PollTold> {
        match self.whose.judge(due, told, settings) {
            TellsOf::Its => None,
            TellsOf::AnotherOnce(why) => {
                let imei = due.imei;
                tracing::warn!(%imei, "{why}: that answer isn't used, and it is asked for again");
                Some(PollTold::Nothing)
            }
            TellsOf::AnotherAgain(why) => Some(PollTold::Anothers(why)),
        }
    }

    fn tell_unknown(&mut self, order: &ProviderOrder) {
        let known = ["", "1", "2", "3", "4"];
        let id = order.status_raw.split_whitespace().next().unwrap_or("");
        let is_new = !known.contains(&id) && !self.unknown.contains(&order.status_raw);
        if is_new && self.unknown.len() < 100 {
            tracing::warn!(status = %order.status_raw, "a status that isn't known: taken as still pending");
            self.unknown.push(order.status_raw.clone());
        }
    }

    fn next(&self, due: &DuePoll, settings: &Settings) -> Timestamp {
        let now = self.clock.now();
        let age = now.since(due.ordered_at);
        let poll = &settings.config.poll;
        let wait = if due.is_held {
            schedule::next_late_poll(age).max(poll.every)
        } else {
            schedule::next_poll(age, poll.first_after, poll.every)
        };
        now.plus(wait)
    }
}

/// An order that was asked after for longer than is allowed is given up, its clock's word alone doesn't do it.
fn or_give_up(due: &DuePoll, told: PollTold, waited: &Waited, settings: &Settings) -> PollTold {
    let limit = settings.config.poll.give_up_after;
    let finished = matches!(&told, PollTold::Status(order) if order.status != ProviderStatus::Pending);
    let is_anothers = matches!(told, PollTold::Anothers(_));
    if !finished && !is_anothers && !due.is_held && waited.since(due.ordered_at) > limit {
        return PollTold::GivenUp("no answer for too long".to_owned());
    }
    told
}

fn halves(mut orders: Vec<DuePoll>) -> Vec<Vec<DuePoll>> {
    if orders.is_empty() {
        return Vec::new();
    }
    let second = orders.split_off(orders.len().div_ceil(2));
    [orders, second].into_iter().filter(|half| !half.is_empty()).collect()
}

#[cfg(test)]
mod tests;
