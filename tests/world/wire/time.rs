//! Virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use imeid::clock::Clock;
use imeid::types::Timestamp;

/// Virtual time: the world's own, which only goes on, and what the daemon's machine says it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Time {
    now: Arc<AtomicI64>,
    /// How far the machine's clock is off, milliseconds.
    off: Arc<AtomicI64>,
}

impl Time {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, now: Timestamp) {
        self.now.store(now.millis(), Ordering::Relaxed);
    }

    /// The machine's clock jumps by this many milliseconds.
    pub(crate) fn jump(&self, millis: i64) {
        self.off.fetch_add(millis, Ordering::Relaxed);
    }

    /// What the daemon reads.
    pub(crate) fn clock(&self) -> Clock {
        let (time, real) = (self.clone(), self.clone());
        let wall = move || {
            Timestamp::from_millis(time.now.load(Ordering::Relaxed) + time.off.load(Ordering::Relaxed))
        };
        Clock::from_fns(wall, move || real.now().since(Timestamp::default()))
    }
}
