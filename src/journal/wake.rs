//! Payload-free bells: a commit rings whoever may have work now. A lost ring costs latency, never correctness,
//! because every stage also looks by itself from time to time.

use std::sync::Arc;

use tokio::sync::Notify;

/// Which stages a transaction rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rung(u8);

impl Rung {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const SUBMIT: Self = Self(1);
    pub(crate) const SETTLE: Self = Self(2);
    pub(crate) const POLL: Self = Self(4);
    pub(crate) const OUTBOX: Self = Self(8);
    pub(crate) const STAMP: Self = Self(16);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The stages' bells.
#[derive(Clone, Debug, Default)]
pub struct Wakes {
    /// There may be something to send.
    pub submit: Arc<Notify>,
    /// There may be a doubt to settle.
    pub settle: Arc<Notify>,
    /// There may be an order to ask after.
    pub poll: Arc<Notify>,
    /// A batch may be finished.
    pub outbox: Arc<Notify>,
    /// Orders wait for this start's stamp.
    pub stamp: Arc<Notify>,
}

impl Wakes {
    pub(crate) fn ring(&self, rung: Rung) {
        for (who, bell) in [
            (Rung::SUBMIT, &self.submit),
            (Rung::SETTLE, &self.settle),
            (Rung::POLL, &self.poll),
            (Rung::OUTBOX, &self.outbox),
            (Rung::STAMP, &self.stamp),
        ] {
            if rung.has(who) {
                bell.notify_one();
            }
        }
    }
}
