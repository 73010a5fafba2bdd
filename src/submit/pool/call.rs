//! One call: what counts while it is on its way, and what its end tells.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::away;
use super::Pool;
use crate::pace::{CallNo, Ended};
use crate::types::{NotTaken, Placed};

/// A call that the pace counts as on its way until it has ended, or is given up.
pub(super) struct OnItsWay<'a> {
    pool: &'a Pool,
    call: Option<CallNo>,
    /// It finds out whether an outage is over.
    pub(super) finds_out: bool,
}

impl<'a> OnItsWay<'a> {
    pub(super) fn begin(pool: &'a Pool) -> Option<Self> {
        let mut state = pool.state.lock().ok()?;
        let finds_out = state.pace.is_out();
        Some(Self { pool, call: Some(state.pace.began()), finds_out })
    }

    pub(super) fn ended(mut self, outcome: &Placed, http: Option<u16>, took: Duration) {
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

/// An attempt that was taken in is no longer out, however its work ends: a panic must not leave fewer slots for ever.
pub(super) struct Out<'a>(pub(super) &'a Pool);

impl Drop for Out<'_> {
    fn drop(&mut self) {
        let out = self.0.out.fetch_sub(1, Ordering::AcqRel).saturating_sub(1);
        if out < self.0.few.load(Ordering::Acquire) {
            self.0.freed.notify_one();
        }
        if out == 0 {
            // Nothing comes that its answer's commit could wait for.
            self.0.journal.hurry();
        }
    }
}

/// While it lives nothing is claimed, and what is claimed goes back unsent.
pub(super) struct Held<'a>(&'a AtomicUsize);

impl<'a> Held<'a> {
    pub(super) fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Whether this answer pauses submission, or its service.
pub(super) const fn pauses(outcome: &Placed) -> bool {
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
