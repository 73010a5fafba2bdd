//! Has the journal delete raw answers that are older than `keep_answers`, in slices that leave the writer to the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::journal::{Journal, PruneFrom, Pruned};
use crate::pulse;
use crate::settings::Settings;

/// A pass begins so often, or as often as answers are kept for, if that is shorter.
const PASS_EVERY: Duration = Duration::from_secs(3600);
const PASS_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// After a slice it waits so many times as long as the slice took: a twentieth of the writer's time at most.
const SHARE: u32 = 20;
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A journal that can't be written is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// With nothing to do until the configuration says so, it comes round all the same.
const ASLEEP: Duration = Duration::from_secs(86_400);

/// Prunes until `stop`.
pub(super) async fn run(
    journal: Journal,
    clock: Clock,
    mut settings: watch::Receiver<Arc<Settings>>,
    stop: CancellationToken,
) {
    let mut pass = Pass::default();
    loop {
        let keep = settings.borrow_and_update().config.journal.keep_answers;
        let pause = match keep {
            None => ASLEEP,
            Some(keep) => pass.slice(&journal, &clock, keep).await,
        };
        pulse::within(pause);
        tokio::select! {
            () = stop.cancelled() => return,
            Ok(()) = settings.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// A pass that is on its way.
#[derive(Default)]
struct Pass {
    from: PruneFrom,
    answers: usize,
    orders: usize,
}

impl Pass {
    /// One slice; returns how long to wait until the next.
    async fn slice(&mut self, journal: &Journal, clock: &Clock, keep: Duration) -> Duration {
        let (began, now) = (Instant::now(), clock.now());
        match journal.prune_answers(self.from, now.minus(keep), now).await {
            Ok(pruned) => {
                let wait = began.elapsed().saturating_mul(SHARE).clamp(SHORTEST_WAIT, LONGEST_WAIT);
                if self.add(pruned) { wait } else { keep.clamp(PASS_AT_MOST_EVERY, PASS_EVERY) }
            }
            Err(error) => {
                tracing::warn!("old raw answers can't be pruned now, trying again: {error}");
                RETRY_AFTER
            }
        }
    }

    /// Whether the pass goes on.
    fn add(&mut self, pruned: Pruned) -> bool {
        self.answers = self.answers.saturating_add(pruned.answers);
        self.orders = self.orders.saturating_add(pruned.orders);
        if let Some(next) = pruned.next {
            self.from = next;
            return true;
        }
        if self.answers > 0 {
            tracing::info!(answers = self.answers, orders = self.orders, "old raw answers pruned");
        }
        *self = Self::default();
        false
    }
}
