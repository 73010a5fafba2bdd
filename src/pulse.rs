//! Proof that the stages come round, for the watchdog.
//!
//! A stage says, each time it comes round, within what time it will do so again: how long it means to wait, how long the
//! call may take that it is about to make. Nothing outside beats for it, so a loop that hangs is found out, and one that
//! waits for a slow provider, or has had nothing to do for days, is not.
//!
//! Whose promise it is goes with the task, as a trace's span does: the journal and the provider's client speak for
//! whichever stage calls them, and outside a stage nothing is said.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

tokio::task_local! {
    static STAGE: Stage;
}

/// How much longer than it said a stage may take: its own work, and a machine that is busy with something else.
pub const GRACE: Duration = Duration::from_secs(120);

/// What the stages have promised. Clones share it.
#[derive(Clone, Debug)]
pub struct Pulse {
    grace: Duration,
    /// What ticks are counted from.
    began: Instant,
    due: Arc<Mutex<BTreeMap<&'static str, Instant>>>,
}

/// A stage that should have come round by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// Which.
    pub stage: &'static str,
    /// How long ago it should have.
    pub by: Duration,
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stage {} should have come round {} s ago", self.stage, self.by.as_secs())
    }
}

#[derive(Clone)]
struct Stage {
    pulse: Pulse,
    name: &'static str,
}

/// Takes a stage that has ended off the list.
struct Ends(Stage);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.pulse.lock().remove(self.0.name);
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new(GRACE)
    }
}

impl Pulse {
    /// Without a stage yet; each may take `grace` longer than it says.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        Self { grace, began: Instant::now(), due: Arc::default() }
    }

    /// Runs a stage whose promises count until it ends.
    pub async fn attend<T>(&self, name: &'static str, work: impl Future<Output = T>) -> T {
        let stage = Stage { pulse: self.clone(), name };
        stage.promise(Duration::ZERO);
        let _ends = Ends(stage.clone());
        STAGE.scope(stage, work).await
    }

    /// The stage that is late the longest, if one is.
    #[must_use]
    pub fn late(&self) -> Option<Late> {
        let now = Instant::now();
        let due = self.lock();
        let (stage, at) = due.iter().min_by_key(|(_, at)| **at)?;
        let by = now.checked_duration_since(*at).filter(|by| !by.is_zero())?;
        Some(Late { stage, by })
    }

    /// A panic while it was held leaves a list that is whole.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    fn promise(&self, within: Duration) {
        let at = Instant::now() + within.saturating_add(self.pulse.grace).min(LONGEST);
        self.pulse.lock().insert(self.name, at);
    }

    fn step(&self) {
        let at = Instant::now() + self.pulse.grace;
        let mut due = self.pulse.lock();
        let known = due.entry(self.name).or_insert(at);
        *known = at.max(*known);
    }
}

/// No promise reaches further, so that a deadline can always be told.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// The stage that this runs in comes round again within this time (and the grace), whatever it said before.
pub fn within(time: Duration) {
    let _ = STAGE.try_with(|stage| stage.promise(time));
}

/// Waits for at most this long: until the next of those moments, that far apart, which all stages have in common. What
/// looks around now and then does so at the same moments as others, so that an idle machine is woken once for all.
pub async fn tick(every: Duration) {
    within(every);
    let left = STAGE.try_with(|stage| until_tick(stage.pulse.began.elapsed(), every)).unwrap_or(every);
    tokio::time::sleep(left).await;
}

/// How long it is to the next multiple of `every` from `since` on.
fn until_tick(since: Duration, every: Duration) -> Duration {
    let over = since.as_nanos().checked_rem(every.as_nanos()).unwrap_or(0);
    every.saturating_sub(Duration::from_nanos(u64::try_from(over).unwrap_or(0)))
}

/// The stage that this runs in has done a step of longer work: its grace begins anew.
pub fn step() {
    let _ = STAGE.try_with(Stage::step);
}

/// Runs a loop beside the one of the stage that this is called in, with promises of its own.
pub async fn beside<T>(name: &'static str, work: impl Future<Output = T>) -> T {
    match STAGE.try_with(|stage| stage.pulse.clone()) {
        Ok(pulse) => pulse.attend(name, work).await,
        Err(_) => work.await,
    }
}

/// As tokio's: what `work` says there counts for the stage that this is called in.
pub fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match STAGE.try_with(Stage::clone) {
        Ok(stage) => tokio::task::spawn_blocking(move || STAGE.sync_scope(stage, work)),
        Err(_) => tokio::task::spawn_blocking(work),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(40);
    const LONG: Duration = Duration::from_secs(600);

    async fn until_late(pulse: &Pulse) -> Option<Late> {
        let began = Instant::now();
        while pulse.late().is_none() && began.elapsed() < LONG / 60 {
            tokio::time::sleep(SHORT / 8).await;
        }
        pulse.late()
    }

    #[tokio::test]
    async fn a_stage_that_says_nothing_more_is_late_and_named() {
        let pulse = Pulse::new(SHORT);
        let good = pulse.attend("good", async {
            within(LONG);
            std::future::pending::<()>().await;
        });
        let stuck = pulse.attend("stuck", async {
            within(SHORT);
            std::future::pending::<()>().await;
        });
        let began = Instant::now();
        let late = tokio::select! {
            () = good => None,
            () = stuck => None,
            late = until_late(&pulse) => late.map(|late| late.stage),
        };
        assert_eq!(late, Some("stuck"));
        assert!(began.elapsed() >= SHORT + SHORT, "what it said, and the grace: {:?}", began.elapsed());
        assert_eq!(pulse.late(), None, "stages that ended are late no more");
    }

    #[tokio::test]
    async fn a_step_keeps_a_longer_promise_and_a_word_replaces_it() {
        let pulse = Pulse::new(SHORT);
        let at = |pulse: &Pulse| pulse.lock().get("stage").copied().unwrap();
        pulse
            .attend("stage", async {
                within(LONG);
                let promised = at(&pulse);
                step();
                assert_eq!(at(&pulse), promised);
                within(Duration::ZERO);
                assert!(at(&pulse) < promised);
            })
            .await;
    }

    #[test]
    fn ticks_fall_together_whenever_one_begins_to_wait_for_them() {
        for every in [500, 1_000, 2_000] {
            for since in [0, 1, 130, 499, 500, 1_999, 2_000, 123_456] {
                let left = until_tick(Duration::from_millis(since), Duration::from_millis(every));
                let left = u64::try_from(left.as_millis()).unwrap();
                assert!(
                    (1..=every).contains(&left) && (since + left).is_multiple_of(every),
                    "{since} {every}"
                );
            }
        }
        assert_eq!(until_tick(SHORT, Duration::ZERO), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_tick_is_a_promise() {
        let pulse = Pulse::new(SHORT);
        let ticks = pulse.attend("stage", async {
            tick(SHORT).await;
            pulse.lock().get("stage").copied()
        });
        let began = Instant::now();
        assert!(ticks.await.is_some_and(|due| due >= began + SHORT + SHORT));
    }

    #[tokio::test]
    async fn work_off_the_runtime_and_loops_beside_speak_for_their_stage() {
        let pulse = Pulse::new(SHORT);
        pulse
            .attend("stage", async {
                spawn_blocking(|| within(LONG)).await.unwrap();
                let named = beside("other", async { pulse.lock().keys().copied().collect::<Vec<_>>() }).await;
                assert_eq!(named, ["other", "stage"]);
                assert!(pulse.lock().get("stage").is_some_and(|at| *at > Instant::now() + LONG / 2));
            })
            .await;
        // Outside a stage nobody listens.
        within(LONG);
        step();
        assert!(pulse.lock().is_empty());
    }
}
