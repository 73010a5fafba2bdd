//! Submitting: keeps the workers full with what the gate lets go.
//!
//! A claimer asks the journal for attempts, a little ahead of the free workers; workers send them and hand the answers
//! back without waiting for their commit. The journal decides what may go; what is kept here (the pool's health, its limit,
//! how far ahead to claim) is lost in a crash without harm.

mod away;
mod pool;
mod queue;
mod retry;
mod slots;
#[cfg(test)]
mod tests;
mod told;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::{DoubtPolicy, ListRecent};
use crate::journal::{Blocked, ClaimRequest, Claimed, Journal, ProbeTerms};
use crate::meter::Meter;
use crate::provider::Provider;
use crate::pulse;
use crate::settings::Settings;
use crate::types::{BatchId, Timestamp};

use queue::Queue;

pub use pool::Pool;
pub use retry::try_pauses;

/// With nothing to do, it looks again after this long by itself: a wake that was lost costs no more.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Told once, as it begins: nothing else says why a queued order isn't sent.
const KEPT: &str = "the last queued order waits until no call is on its way and the doubts' quiet period is over: only an order \
                    that is sent behind it shows that the provider's list is fresh";
/// A journal that can't be written is tried again after this long.
const JOURNAL_RETRY: Duration = Duration::from_secs(2);

/// The stage.
pub struct Submit {
    /// Where the work is.
    pub journal: Journal,
    /// Who is asked.
    pub provider: Arc<dyn Provider>,
    /// The time.
    pub clock: Clock,
    /// The configuration in force.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// Whether the provider is known to list its orders: then the last order is kept as a witness.
    pub can_list: watch::Receiver<Option<bool>>,
    /// What is shown of it.
    pub meter: Arc<Meter>,
    /// Cleared while the disk is too full to go on.
    pub disk_ok: watch::Receiver<bool>,
}

impl Submit {
    /// Submits until `stop`; then sends nothing more, gives back what it claimed, and waits for the calls in flight, at
    /// most `drain`. What hasn't ended by then is in doubt.
    pub async fn run(self, stop: CancellationToken) {
        let pool = Arc::new(Pool::new(
            self.journal.clone(),
            Arc::clone(&self.provider),
            self.clock.clone(),
            Arc::clone(&self.meter),
        ));
        let (queue, calls) = (Arc::new(Queue::default()), TaskTracker::new());
        let retry = pulse::beside(
            "pauses",
            retry::run(
                self.journal.clone(),
                Arc::clone(&self.provider),
                self.clock.clone(),
                self.settings.clone(),
                Arc::clone(&pool),
            ),
        );
        let watch = pulse::beside("outages", Arc::clone(&pool).watch_outages());
        tokio::select! {
            () = self.claim_until_stopped(&pool, &queue, &calls, &stop) => {}
            () = retry => {}
            () = watch => {}
        }
        pool.close();
        // What waits for a worker goes back now, however long the calls beside it take: there are no slots any more.
        queue.begin(usize::MAX, &pool, &calls);
        calls.close();
        let drain = self.settings.borrow().config.submit.drain;
        pulse::within(drain);
        if tokio::time::timeout(drain, calls.wait()).await.is_err() {
            tracing::warn!(
                in_flight = calls.len(),
                "the drain ran out: the calls still in flight are in doubt"
            );
            pool.abort();
            calls.wait().await;
        }
    }

    async fn claim_until_stopped(
        &self,
        pool: &Arc<Pool>,
        queue: &Arc<Queue>,
        calls: &TaskTracker,
        stop: &CancellationToken,
    ) {
        let (mut after, mut keeps_witness) = (BatchId(0), false);
        let mut reloads = self.settings.clone();
        while !stop.is_cancelled() {
            let settings = Arc::clone(&reloads.borrow_and_update());
            let now = self.clock.now();
            if !*self.disk_ok.borrow() {
                self.wait_for_disk(stop).await;
                continue;
            }
            let want = pool.want(&settings.config.submit, now);
            // There may be more workers than before.
            queue.begin(settings.config.submit.workers, pool, calls);
            self.journal.linger(pool.linger());
            if want == 0 {
                tracing::debug!(
                    limit = pool.limit(),
                    opens_at = pool.opens_at(now).map(tracing::field::display),
                    "nothing is claimed: every worker has its call, or the provider asked for a pause"
                );
                self.wait(pool, pool.opens_at(now), true, &mut reloads, stop).await;
                continue;
            }
            let began = self.clock.now();
            let claimed = match self
                .journal
                .begin_attempts(self.request(&settings, want, after), self.clock.clone())
                .await
            {
                Ok(claimed) => {
                    if self.journal.serves("submit") {
                        tracing::info!("the journal can be written again: submitting goes on");
                    }
                    claimed
                }
                Err(error) => {
                    let why = format!("nothing is submitted until the journal can be written: {error}");
                    self.journal.fails("submit", &why);
                    self.wait(pool, Some(now.plus(JOURNAL_RETRY)), false, &mut reloads, stop).await;
                    continue;
                }
            };
            pool.committed(self.clock.now().since(began));
            after = claimed.last.unwrap_or(after);
            tell_claim(want, &claimed, &mut keeps_witness);
            let dry = claimed.tickets.len() < want;
            let due = claimed.next_due;
            if claimed.tickets.is_empty() && claimed.blocked == Some(Blocked::Paused) {
                pool.stood_still();
            }
            for ticket in claimed.tickets {
                pool.take_in();
                queue.put(ticket, settings.config.provider.shared_account);
            }
            queue.begin(settings.config.submit.workers, pool, calls);
            if dry {
                self.wait(pool, due, false, &mut reloads, stop).await;
            }
        }
    }

    fn request(&self, settings: &Settings, want: usize, after: BatchId) -> ClaimRequest {
        claim_request(settings, *self.can_list.borrow(), &self.clock, want, after)
    }

    async fn wait_for_disk(&self, stop: &CancellationToken) {
        tracing::debug!("nothing is claimed: the journal's disk is too full");
        let mut disk_ok = self.disk_ok.clone();
        let looked = async {
            if disk_ok.wait_for(|is_ok| *is_ok).await.is_err() {
                // Nobody looks any more: the daemon is about to stop.
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = looked => {}
        }
    }

    /// Waits until there may be something to do. `full`: only a worker that becomes free, `until`, or a reload makes a
    /// difference: with more workers what waits for a slot gets one as soon as the pool is told of them.
    async fn wait(
        &self,
        pool: &Pool,
        until: Option<Timestamp>,
        full: bool,
        reloads: &mut watch::Receiver<Arc<Settings>>,
        stop: &CancellationToken,
    ) {
        let now = self.clock.now();
        let pause = until.map_or(LOOK_AGAIN, |until| until.since(now)).min(LOOK_AGAIN);
        pulse::within(pause);
        tokio::select! {
            () = stop.cancelled() => {}
            () = pool.freed() => {}
            Ok(()) = reloads.changed() => {}
            () = self.journal.wakes().submit.notified(), if !full => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Why something goes or doesn't, for whoever looks for it. `keeps_witness`: the last order was kept the last time.
fn tell_claim(want: usize, claimed: &Claimed, keeps_witness: &mut bool) {
    let is_kept = claimed.blocked == Some(Blocked::Witness);
    if is_kept && !*keeps_witness {
        tracing::info!("{KEPT}");
    }
    *keeps_witness = is_kept;
    for ticket in &claimed.tickets {
        tracing::debug!(
            order = ticket.order().map(tracing::field::display),
            attempt = ticket.attempt().map(tracing::field::display),
            imei = ticket.imei().map(tracing::field::display),
            service = ticket.service().map(tracing::field::display),
            reserved = %ticket.price(),
            probe = ticket.is_probe(),
            canary = ticket.is_canary(),
            finds_out = ticket.finds_out(),
            "claimed"
        );
    }
    if claimed.tickets.len() < want {
        tracing::debug!(
            want,
            claimed = claimed.tickets.len(),
            blocked = claimed.blocked.map(word),
            next_due = claimed.next_due.map(tracing::field::display),
            "no more can be claimed now"
        );
    }
}

const fn word(blocked: Blocked) -> &'static str {
    match blocked {
        Blocked::Paused => "paused",
        Blocked::Canary => "canary",
        Blocked::Cap => "cap",
        Blocked::Witness => "witness",
        Blocked::Probe => "probe",
        Blocked::Stamp => "stamp",
    }
}

/// What may be claimed under these settings: at most `want` orders, the batch behind `after` first. `can_list`: whether
/// the provider is known to list its orders.
#[must_use]
pub fn claim_request(
    settings: &Settings,
    can_list: Option<bool>,
    clock: &Clock,
    want: usize,
    after: BatchId,
) -> ClaimRequest {
    let config = &settings.config;
    let can_list = match config.provider.list_recent {
        ListRecent::Yes => Some(true),
        ListRecent::No => Some(false),
        ListRecent::Auto => can_list,
    };
    let may_probe = can_list == Some(false) && config.in_doubt.policy == DoubtPolicy::Probe;
    let within_ms = i64::try_from(config.in_doubt.probe_within.as_millis()).unwrap_or(i64::MAX);
    ClaimRequest {
        want,
        day: clock.local_day(clock.now()),
        per_day: config.budget.per_day,
        after,
        rules: Arc::clone(&settings.rules),
        probe: may_probe.then(|| ProbeTerms { account: config.provider.account.clone(), within_ms }),
        // Unknown counts as listing: a witness too many costs a quiet period, one too few a day.
        keep_witness: can_list != Some(false),
    }
}
