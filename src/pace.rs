//! How fast: how many calls may be on their way at once, how many attempts are claimed ahead of them, and what failures
//! do to both. Pure: whoever asks says what time it is.

mod failing;
mod free_looks;
mod health;
mod latency;
mod limit;
#[cfg(test)]
mod tests;

use std::time::Duration;

use health::{Health, Look};
use limit::Limit;

use crate::types::Timestamp;

pub use free_looks::LOOK_TIMEOUT;
pub use limit::CallNo;

/// Where calls take less than this it counts what they cost us; where they take longer, how many are in doubt after a crash.
const FAST: Duration = Duration::from_millis(250);
/// Where calls are fast, so many attempts are claimed in one commit, and their answers recorded with the next.
const TOGETHER: usize = 30;
/// An answer that nobody waits for is committed after this long, if nothing takes it along before.
const LINGER: Duration = Duration::from_millis(10);
/// At most this long where calls are fast.
const LINGER_FAST: Duration = Duration::from_millis(50);

/// How many attempts are in hand beyond the workers' own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// With fewer it is time to claim more,
    pub few: usize,
    /// up to so many.
    pub all: usize,
}

impl Ahead {
    /// None: each worker's is claimed as it comes free.
    pub const NONE: Self = Self { few: 0, all: 0 };
}

/// How many attempts are claimed beyond the free workers, so that none waits for a commit: twice what is sent during one
/// commit, half a generation more where a call takes under a second, and never more than two generations. At the real
/// 3.6 s this is 0 or 1, so that a crash leaves little more in doubt than the calls in flight.
///
/// Where calls are fast a commit is what an order costs most: then that is what must be in hand still when more are
/// claimed, and they are claimed by the generation.
#[must_use]
pub fn ahead(workers: usize, latency: Duration, commit: Duration) -> Ahead {
    let latency_us = latency.as_micros().max(1);
    let during = u128::try_from(workers).unwrap_or(0).saturating_mul(2).saturating_mul(commit.as_micros())
        / latency_us;
    let spare = if latency < Duration::from_secs(1) { workers / 2 } else { 0 };
    let most = workers.saturating_mul(2);
    let needed = usize::try_from(during).unwrap_or(usize::MAX).saturating_add(spare).min(most);
    if latency >= FAST {
        return Ahead { few: needed.div_ceil(2), all: needed };
    }
    let together = workers.min(TOGETHER);
    let all = needed.saturating_add(together).min(most);
    // Many workers have half of it in hand, as where calls are slower.
    Ahead { few: all.saturating_sub(together).min(needed.div_ceil(2).max(together)), all }
}

/// How long an answer's commit may wait for the next claim's: while calls are fast, a little longer than one takes.
#[must_use]
pub fn linger(latency: Duration) -> Duration {
    let round = latency.saturating_add(latency / 4);
    if latency < FAST { round.clamp(LINGER, LINGER_FAST) } else { LINGER }
}

/// A smoothed duration: an eighth of each new one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Smoothed(Option<Duration>);

impl Smoothed {
    /// Takes in a new one.
    pub fn add(&mut self, new: Duration) {
        self.0 = Some(self.0.map_or(new, |old| (old * 7 + new) / 8));
    }

    /// What it is now; `before` until there is one.
    #[must_use]
    pub fn or(self, before: Duration) -> Duration {
        self.0.unwrap_or(before)
    }
}

/// How a call ended, for the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The provider works on orders.
    Passed,
    /// There was no connection: it cost nothing and left nothing in doubt.
    NotSent,
    /// 429; how long it asks all of us to wait.
    Throttled(Option<Duration>),
    /// An error of the server's, or no answer; how long it asks all of us to wait.
    Overloaded(Option<Duration>),
    /// An answer that proves nothing, and tells nothing of the load.
    Unclear(Option<Duration>),
}

impl Ended {
    const fn asks(self) -> Option<Duration> {
        match self {
            Self::Throttled(wait) | Self::Overloaded(wait) | Self::Unclear(wait) => wait,
            Self::Passed | Self::NotSent => None,
        }
    }
}

/// What the pool has learnt of the provider, and how many calls it lets go with that.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    health: Health,
    limit: Limit,
    adaptive: bool,
    /// In an outage an order may go beside the calls before this one: they may be waiting for ever.
    beside: CallNo,
}

impl Pace {
    /// What a person allows: at most `workers` calls at once; `adaptive`: fewer where the provider bears fewer.
    pub const fn set(&mut self, workers: usize, adaptive: bool) {
        self.adaptive = adaptive;
        if adaptive { self.limit.set_ceiling(workers) } else { self.limit.pin(workers) }
    }

    /// A call is sent.
    pub fn began(&mut self) -> CallNo {
        self.limit.begin()
    }

    /// A call is given up; nothing is learnt from it.
    pub fn given_up(&mut self, call: CallNo) {
        self.limit.end(call);
    }

    /// Takes in how a call ended, which took so long.
    pub fn ended(&mut self, call: CallNo, ended: Ended, took: Duration, now: Timestamp) {
        let at_once = self.limit.end(call);
        let was_out = self.is_out();
        if let Some(wait) = ended.asks() {
            self.health.asked(wait, now);
        }
        let look = match ended {
            Ended::Passed => {
                self.health.passed();
                if self.adaptive {
                    self.limit.passed(call, at_once, took);
                }
                return;
            }
            // It works on others of ours: this one was too many, and that is all.
            Ended::Throttled(_) if self.adaptive && self.limit.standing(call) > 0 => None,
            Ended::NotSent => Some(Look::Free),
            Ended::Throttled(_) | Ended::Overloaded(_) | Ended::Unclear(_) => Some(Look::Risk),
        };
        if self.adaptive && !was_out {
            match ended {
                Ended::Throttled(_) => self.limit.throttled(call),
                Ended::Overloaded(_) => self.limit.overloaded(call),
                Ended::Passed | Ended::NotSent | Ended::Unclear(_) => {}
            }
        }
        if let Some(look) = look {
            self.health.failed(look, now.minus(took), now);
        }
        if self.adaptive && !was_out && self.is_out() {
            self.limit.outage();
        }
    }

    /// Submission stood still: what was learnt before may be old.
    pub fn stood_still(&mut self) {
        if self.adaptive {
            self.limit.begin_again();
        }
    }

    /// Whether it is an outage.
    #[must_use]
    pub const fn is_out(&self) -> bool {
        self.health.is_out()
    }

    /// Since when.
    #[must_use]
    pub fn out_since(&self) -> Option<Timestamp> {
        self.health.out_since()
    }

    /// In an outage: when a call that only reads can find out whether it is over. `None`: it can't, or needn't.
    #[must_use]
    pub fn free_look(&self, now: Timestamp) -> Option<Timestamp> {
        self.health.free_look(self.limit.is_busy(), now)
    }

    /// Such a call was made; how long its answer asks all of us to wait. Where it passes after others had failed, one order
    /// goes at once, beside those that have no answer yet.
    pub fn looked(&mut self, passed: bool, asks: Option<Duration>, now: Timestamp) {
        if let Some(wait) = asks {
            self.health.asked(wait, now);
        }
        if self.health.looked(passed, now) {
            self.beside = self.limit.next();
        }
    }

    /// Until when nothing is sent.
    #[must_use]
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.health.closed_until(now)
    }

    /// How many calls may be on their way at once.
    #[must_use]
    pub fn limit(&self) -> usize {
        if self.is_out() { 1 + self.limit.standing(self.beside) } else { self.limit.now() }
    }
}
