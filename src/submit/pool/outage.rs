//! In an outage: looking whether it is over by a call that only reads, and telling people why nothing is sent.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::away;
use super::{Pool, State};
use crate::meter::{Cause, Standstill};
use crate::pace::LOOK_TIMEOUT;
use crate::pulse;
use crate::types::{CallError, Timestamp};

/// In an outage what there is to look for changes with the calls on their way.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Without one it looks by itself so often: a ring that was lost costs no more.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

impl Pool {
    /// Looks at every outage until it is over, for ever.
    pub(in super::super) async fn watch_outages(self: Arc<Self>) {
        loop {
            let now = self.clock.now();
            let (is_out, next) = self
                .state
                .lock()
                .map_or((false, None), |state| (state.pace.is_out(), state.pace.free_look(now)));
            if next.is_some_and(|at| at <= now) {
                pulse::within(LOOK_TIMEOUT);
                if tokio::time::timeout(LOOK_TIMEOUT, self.look()).await.is_err() {
                    self.looked(false, None);
                }
                continue;
            }
            let longest = if is_out { LOOK_AGAIN } else { LOOK_ANYWAY };
            let pause = next.map_or(longest, |at| at.since(now).min(longest));
            pulse::within(pause);
            tokio::select! {
                () = self.outage.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look, if it is time for one.
    pub async fn look_if_due(&self) {
        let now = self.clock.now();
        let next = self.state.lock().ok().and_then(|state| state.pace.free_look(now));
        if next.is_some_and(|at| at <= now) {
            self.look().await;
        }
    }

    async fn look(&self) {
        match self.provider.account().await {
            // An answer in its own words: it works, whatever it thinks of the account.
            Ok(_) | Err(CallError::Account(_) | CallError::Refused(_) | CallError::InvalidOrderId) => {
                self.looked(true, None);
            }
            Err(CallError::Throttled(wait)) => self.looked(false, wait),
            Err(
                CallError::Unreachable(_)
                | CallError::Http(_)
                | CallError::Maintenance(_)
                | CallError::Unreadable(_),
            ) => self.looked(false, None),
        }
    }

    fn looked(&self, passed: bool, asks: Option<Duration>) {
        let now = self.clock.now();
        let Ok(mut state) = self.state.lock() else { return };
        let before = (state.pace.closed_until(now), state.pace.limit());
        state.pace.looked(passed, asks, now);
        self.open(&state);
        let opened = before != (state.pace.closed_until(now), state.pace.limit());
        let stands = self.standstill(&state);
        let said = state.away.told(stands, now);
        drop(state);
        tracing::debug!(passed, "looked whether the outage is over, by accountinfo");
        if let Some(what) = said {
            away::say(what, now);
        }
        if opened {
            self.few.store(usize::MAX, Ordering::Release);
            self.freed.notify_one();
        }
    }

    /// Why nothing is sent, where nothing is.
    pub(super) fn standstill(&self, state: &State) -> Option<Standstill> {
        let now = self.clock.now();
        let closed = state.pace.closed_until(now);
        let (cause, next_try) = if state.pace.is_out() {
            (Cause::Outage, closed.map(|at| sooner(at, state.pace.free_look(now))))
        } else {
            (Cause::Throttled, Some(closed?))
        };
        Some(Standstill { cause, why: state.why.clone(), since: state.pace.out_since(), next_try })
    }
}

fn sooner(at: Timestamp, look: Option<Timestamp>) -> Timestamp {
    look.map_or(at, |look| look.min(at))
}
