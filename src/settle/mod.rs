//! Settling doubts, by evidence: ids that were told, the provider's listing, a probe; else a person.
//!
//! [`Reconcile`] brings the evidence that people have: the provider's own export, dropped into `reconcile/`.
//!
//! Nothing here releases or charges anything: it fetches evidence and hands it to the journal, where the table of
//! [`order`](crate::order) decides.

mod balance;
mod empty;
mod failing;
mod hanging;
mod reach;
mod reconcile;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use balance::{Looks, Seen};
use empty::Empty;
use failing::Failing;
use hanging::Hanging;
use reach::Told;

use crate::balance::Verdict;
use crate::clock::Clock;
use crate::config::{DoubtPolicy, ListRecent};
use crate::journal::{Doubt, DoubtTerms, Journal, JournalError, KeptWait, ListingFacts};
use crate::meter::Meter;
use crate::order::{Alarm, State};
use crate::provider::Provider;
use crate::pulse;
use crate::schedule::LONGEST_WAIT;
use crate::settings::{self, LISTS_FACT, Settings};
use crate::types::{CallError, ProviderOrderId, ServiceId, Timestamp};

pub use reconcile::{Fault, OnceTold, Reconcile};

/// A listing is first asked for when this part of a doubt's quiet period is over: 10 s of 120.
const FIRST_LOOK: u32 = 12;
/// It looks again after this long by itself.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
/// The spans in which doubts were looked at.
const LOOKED_FACT: &str = "doubts_looked_at";
/// A listing that may clear what is presumed is asked for at least so often.
const CLEAR_AT_LEAST_EVERY: Duration = Duration::from_secs(3600);
/// An attempt that was released, its order sent again since, is looked for in listings for this long.
const RELEASED_FOR: Duration = Duration::from_secs(86_400);
/// Titles of services are asked for again after this long.
const TITLES_FOR: Duration = Duration::from_secs(3600);

/// The stage.
pub struct Settle {
    /// Where the doubts are.
    pub journal: Journal,
    /// Who is asked.
    pub provider: Arc<dyn Provider>,
    /// The time.
    pub clock: Clock,
    /// The configuration in force.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// What is found out about listings, for whoever claims.
    pub can_list: watch::Sender<Option<bool>>,
    titles: BTreeMap<ServiceId, BTreeSet<String>>,
    titles_at: Option<Timestamp>,
    listed_at: Option<Timestamp>,
    failing: Failing,
    empty: Empty,
    meter: Arc<Meter>,
    /// When this process began, by the steady clock.
    started: Duration,
    looks: Looks,
    /// How long doubts were really waited for.
    waited: KeptWait,
    out_of_reach: Told,
    no_proof: Told,
}

impl Settle {
    /// The stage, with nothing found out yet.
    #[must_use]
    pub fn new(
        journal: Journal,
        provider: Arc<dyn Provider>,
        clock: Clock,
        settings: watch::Receiver<Arc<Settings>>,
        can_list: watch::Sender<Option<bool>>,
        meter: Arc<Meter>,
    ) -> Self {
        let started = clock.steady();
        Self {
            journal,
            provider,
            clock,
            settings,
            can_list,
            titles: BTreeMap::new(),
            titles_at: None,
            listed_at: None,
            failing: Failing::default(),
            empty: Empty::default(),
            meter,
            started,
            looks: Looks::default(),
            waited: KeptWait::new(LOOKED_FACT),
            out_of_reach: Told::new(Alarm::OutOfReach),
            no_proof: Told::new(Alarm::NoProof),
        }
    }

    /// Settles until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = match self.unit().await {
                Ok(pause) => {
                    self.journal.serves("settle");
                    pause
                }
                Err(error) => {
                    self.journal.fails("settle", &format!("doubts can't be settled: {error}"));
                    Duration::from_secs(2)
                }
            };
            pulse::within(pause);
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.journal.wakes().settle.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look at all doubts; returns how long nothing can change by itself.
    ///
    /// # Errors
    /// The journal can't be read or written.
    pub async fn unit(&mut self) -> Result<Duration, JournalError> {
        let account = self.account();
        let doubts = self.journal.read(move |view| view.doubts(&account)).await?;
        let looked_for = self.looked_for_since().await?;
        self.begin_with_balance().await?;
        let seen = self.look_at_balance(&doubts).await?;
        self.tell_look(&doubts, looked_for, seen.verdict);
        self.tell_unsettled(&doubts).await?;
        let waits = doubts.iter().any(|doubt| doubt.state != State::Held);
        if !waits {
            self.nothing_waits_for_a_listing().await?;
        }
        let quiet = self.settings.borrow().rules.quiet;
        let hanging = self.hanging(quiet).await?;
        if doubts.is_empty() && looked_for.is_none() && hanging != Hanging::Now {
            let again_in = seen.again_in.unwrap_or(LOOK_AGAIN).min(hanging.soonest());
            return Ok(again_in.clamp(SHORTEST_WAIT, LOOK_AGAIN));
        }
        self.recall_listing().await?;
        self.look_up_told(&doubts).await?;
        let now = self.clock.now();
        let is_due = looked_for.is_some_and(|since| self.is_due_to_clear(since, now, quiet));
        // That one isn't there is no news before its quiet period is over. But one that was taken is best found while it is
        // among the latest: a list can be cut to them.
        let first_look = |doubt: &Doubt| doubt.since.plus(quiet / FIRST_LOOK);
        let ripe = doubts.iter().any(|doubt| doubt.state == State::Held || first_look(doubt) <= now);
        let interval = listing_interval(&doubts, now, quiet);
        let is_hanging = hanging == Hanging::Now && self.is_due_for_hanging(now, quiet);
        if is_due || is_hanging || (ripe && self.listed_at.is_none_or(|at| now.since(at) >= interval)) {
            self.list(waits).await?;
        }
        self.tend(&doubts, seen).await?;
        let next_look = doubts
            .iter()
            .flat_map(|doubt| [first_look(doubt), doubt.since.plus(quiet)])
            .filter(|at| *at > now)
            .min()
            // One that seems to be from the future begins anew.
            .map(|at| at.since(now).min(quiet));
        // By a wall clock that was set ahead its quiet period seems to be long over.
        let is_resting = |doubt: &Doubt| doubt.state == State::InDoubt && !doubt.has_rested;
        let interval = if doubts.iter().any(is_resting) { interval.min(quiet / 4) } else { interval };
        Ok(next_look
            .map_or(interval, |next| next.min(interval))
            .min(seen.again_in.unwrap_or(interval))
            .min(hanging.soonest())
            .clamp(SHORTEST_WAIT, LOOK_AGAIN))
    }

    /// The account that is asked: what it tells shows nothing of another one's orders.
    fn account(&self) -> String {
        self.settings.borrow().config.provider.account.clone()
    }

    /// What a look at the doubts finds, for whoever wonders why one isn't settled.
    fn tell_look(&self, doubts: &[Doubt], looked_for: Option<Timestamp>, balance: Verdict) {
        tracing::debug!(
            doubts = doubts.len(),
            looked_for_since = looked_for.map(tracing::field::display),
            can_list = *self.can_list.borrow(),
            listed_at = self.listed_at.map(tracing::field::display),
            ?balance,
            "a look at what is in doubt"
        );
        for doubt in doubts {
            tracing::debug!(
                order = %doubt.order,
                imei = %doubt.imei,
                service = %doubt.service,
                state = doubt.state.as_str(),
                since = %doubt.since,
                rested = doubt.has_rested,
                probe_asked = doubt.probe_asked,
                attempts = doubt.counted,
                ids_told = doubt.told.len(),
                "not settled"
            );
        }
    }

    /// Ids that an unclear answer told are looked up before anything else: one of them is likely the order's.
    async fn look_up_told(&self, doubts: &[Doubt]) -> Result<(), JournalError> {
        for doubt in doubts.iter().filter(|doubt| !doubt.told.is_empty()) {
            let Some(found) = self.look_up(doubt).await else { continue };
            let rules = (*self.settings.borrow().rules).clone();
            self.journal.looked_up(doubt.order, doubt.told.clone(), found, self.clock.now(), rules).await?;
        }
        Ok(())
    }

    /// Those of the told ids that are orders of its IMEI. Each is asked for alone: some installs answer with one of several.
    /// `None`: asked again at the next look.
    async fn look_up(&self, doubt: &Doubt) -> Option<Vec<ProviderOrderId>> {
        let mut found = Vec::new();
        for id in &doubt.told {
            match self.provider.orders(&[*id]).await {
                Ok(told) => {
                    let is_it = told.iter().any(|order| order.id == *id && order.imei == Some(doubt.imei));
                    found.extend(is_it.then_some(*id));
                }
                Err(CallError::InvalidOrderId) => {}
                Err(error) => {
                    tracing::debug!("told ids can't be looked up: {error}");
                    return None;
                }
            }
        }
        Some(found)
    }

    /// The latest doubt that is over and of which a listing can still tell something: a charge that is presumed beside a
    /// known id, or, for a day, an attempt that was released.
    async fn looked_for_since(&self) -> Result<Option<Timestamp>, JournalError> {
        let after = self.clock.now().minus(RELEASED_FOR);
        let account = self.account();
        self.journal
            .read(move |view| Ok(view.presumed_since(&account)?.max(view.released_since(&account, after)?)))
            .await
    }

    /// Whether it is time to ask for a listing that may clear what is presumed beside a known id, or show what was
    /// released: nothing is held up by it, so it is asked for ever more rarely, and not where the provider doesn't list.
    fn is_due_to_clear(&self, since: Timestamp, now: Timestamp, quiet: Duration) -> bool {
        let age = now.since(since);
        let interval = (age / 10).max(quiet).min(CLEAR_AT_LEAST_EVERY.max(quiet));
        *self.can_list.borrow() != Some(false)
            && age >= quiet
            && self.listed_at.is_none_or(|at| now.since(at) >= interval)
    }

    /// Asks for the listing and lets the journal judge it. `waits`: something in doubt, or without an id, waits for it.
    async fn list(&mut self, waits: bool) -> Result<(), JournalError> {
        let mode = self.settings.borrow().config.provider.list_recent;
        if mode == ListRecent::No {
            self.found_out(Some(false));
            return self.nothing_waits_for_a_listing().await;
        }
        self.refresh_titles().await;
        let asked_at = self.clock.now();
        let answer = self.provider.recent().await;
        self.listed_at = Some(asked_at);
        let listing = match answer {
            Ok(listing) => listing,
            Err(error) => {
                tracing::debug!("the provider doesn't list orders: {error}");
                // Any other failure, an unknown error text too, can pass; and who listed before does list.
                let lists = *self.can_list.borrow() == Some(true);
                if mode == ListRecent::Auto && error == CallError::InvalidOrderId && !lists {
                    self.refused_to_list().await?;
                    return self.nothing_waits_for_a_listing().await;
                }
                return self.failed_to_list(waits, &error.to_string(), failing::is_for_now(&error)).await;
            }
        };
        let lists = *self.can_list.borrow();
        if listing.is_empty() && mode == ListRecent::Auto && lists == Some(false) {
            return Ok(());
        }
        if listing.is_empty() {
            if mode == ListRecent::Auto && lists.is_none() && self.came_empty().await? {
                return Ok(());
            }
            self.failed_to_list(waits, "it lists no order at all", false).await?;
        } else {
            self.nothing_waits_for_a_listing().await?;
            self.lists_after_all().await?;
        }
        // An empty list shows nothing either way: ours may be finished and left out, or younger than a cached list.
        // Neither a probe nor an absence is built on it.
        if mode == ListRecent::Auto && listing.is_empty() {
            return Ok(());
        }
        let account = self.account();
        if mode == ListRecent::Auto && *self.can_list.borrow() != Some(true) {
            self.journal.set_fact(LISTS_FACT, account.clone()).await?;
        }
        self.found_out(Some(true));
        let facts = ListingFacts { asked_at, titles: self.titles.clone() };
        let rules = (*self.settings.borrow().rules).clone();
        let listed = listing.len();
        let settled = self.journal.judge_listing(account, listing, facts, self.clock.now(), rules).await?;
        tracing::debug!(listed, settled, "the provider listed orders");
        if settled > 0 {
            tracing::info!(settled, "doubts settled by the provider's listing");
        }
        Ok(())
    }

    /// Whether the provider was seen to list its orders, or never to, by this process or an earlier one.
    async fn recall_listing(&self) -> Result<(), JournalError> {
        if self.can_list.borrow().is_none() {
            let settings = Arc::clone(&self.settings.borrow());
            let known = self.journal.read(move |view| settings::can_list(view, &settings.config)).await?;
            if known.is_some() {
                self.found_out(known);
            }
        }
        Ok(())
    }

    fn found_out(&self, can_list: Option<bool>) {
        let changed = self.can_list.send_if_modified(|known| {
            let changed = *known != can_list;
            *known = can_list;
            changed
        });
        if changed {
            tracing::info!(lists = can_list == Some(true), "whether the provider lists recent orders");
            self.journal.wakes().submit.notify_one();
        }
    }

    async fn refresh_titles(&mut self) {
        let now = self.clock.now();
        if self.titles_at.is_some_and(|at| now.since(at) < TITLES_FOR) {
            return;
        }
        let settings = Arc::clone(&self.settings.borrow());
        let Ok(titles) = titles_at(self.provider.as_ref(), &settings).await else { return };
        self.titles_at = Some(now);
        for (number, title) in titles {
            self.titles.entry(number).or_default().insert(title);
        }
    }

    async fn tend(&mut self, doubts: &[Doubt], seen: Seen) -> Result<(), JournalError> {
        let settings = Arc::clone(&self.settings.borrow());
        let can_list = match settings.config.provider.list_recent {
            ListRecent::Yes => true,
            ListRecent::No => false,
            // Not known yet: nothing is probed on a guess.
            ListRecent::Auto => *self.can_list.borrow() != Some(false),
        };
        let open: Vec<_> =
            doubts.iter().filter(|doubt| doubt.state != State::Held).map(|doubt| doubt.order).collect();
        if open.is_empty() {
            return Ok(());
        }
        let limit = settings.config.in_doubt.probe_within;
        let terms = DoubtTerms {
            can_list,
            waited: self.waited.look(&self.journal, &self.clock, limit).await?.clone(),
            policy_hold: settings.config.in_doubt.policy == DoubtPolicy::Hold,
            balance: seen.verdict,
            probe_within: limit,
            account: settings.config.provider.account.clone(),
            looked: seen.looked,
            weighed: seen.weighed,
        };
        self.journal.tend_doubts(open, terms, self.clock.now(), (*settings.rules).clone()).await
    }
}

/// What the provider calls the configured services now.
async fn titles_at(
    provider: &dyn Provider,
    settings: &Settings,
) -> Result<Vec<(ServiceId, String)>, CallError> {
    Ok(settings.titles_among(provider.services().await?))
}

/// Listings are fetched four times a quiet period while doubts are young, and further and further apart as they age.
fn listing_interval(doubts: &[Doubt], now: Timestamp, quiet: Duration) -> Duration {
    let youngest = doubts.iter().map(|doubt| now.since(doubt.since)).min().unwrap_or_default();
    (quiet / 4).max(youngest / 10).min(LONGEST_WAIT)
}
