//! Whether a doubt has rested for a quiet period: by the wall clock and, in the daemon, by a steady one too. A wall clock
//! that is set forward makes a doubt of seconds look old; one that is set back makes it wait for days.
//!
//! What has rested is noted once, as the ledger's last entry then: what is entered behind it began after the quiet
//! period, whatever any clock says. Every new doubt takes the note back. What is presumed beside a known charge rests like a
//! doubt: only what began after it shows that it isn't there. A doubt of an earlier process that hasn't rested
//! yet begins its quiet period anew by the steady clock: what passed between the two processes nobody knows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::tx::Tx;
use super::{Journal, JournalError};
use crate::clock::Clock;
use crate::types::{OrderId, Timestamp};

/// With more than so many beginnings, those that are long over are forgotten.
const KEPT: usize = 4096;

/// A call that stayed without an answer makes others likely to, for so long.
const TROUBLED: Duration = Duration::from_secs(3600);

/// When doubts began, by the steady clock. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// `None`: the wall clock alone counts, as for a command beside no daemon.
    clock: Option<Clock>,
    opened: Duration,
    doubts: HashMap<OrderId, Duration>,
    /// When the latest doubt of this process began.
    latest: Option<Duration>,
    absences: HashMap<OrderId, Duration>,
    /// Doubts that a listing had moved past: when it was asked for, by the wall clock and by the steady one. Lost in a
    /// restart: then it takes two listings anew.
    out_of_reach: HashMap<OrderId, (Timestamp, Duration)>,
}

impl Inner {
    fn passed(&self, since: Option<&Duration>) -> Option<Duration> {
        let since = since.copied().unwrap_or(self.opened).max(self.opened);
        self.clock.as_ref().map(|clock| clock.steady().saturating_sub(since))
    }
}

impl Rest {
    /// A doubt begins now.
    pub(super) fn doubt_begins(&self, order: OrderId, quiet: Duration) {
        if let Ok(mut inner) = self.0.lock() {
            inner.out_of_reach.remove(&order);
            let Some(now) = inner.clock.as_ref().map(Clock::steady) else { return };
            if inner.doubts.len() >= KEPT {
                inner.doubts.retain(|_, began| now.saturating_sub(*began) < quiet);
            }
            inner.doubts.insert(order, now);
            inner.latest = Some(now);
        }
    }

    /// Whether a doubt has begun lately: another one can be on its way.
    pub(super) fn is_troubled(&self) -> bool {
        self.0.lock().is_ok_and(|inner| {
            inner.latest.is_some_and(|at| inner.passed(Some(&at)).is_some_and(|passed| passed < TROUBLED))
        })
    }

    /// It was absent from a first listing now.
    pub(super) fn absence_begins(&self, order: OrderId, quiet: Duration) {
        if let Ok(mut inner) = self.0.lock() {
            let Some(now) = inner.clock.as_ref().map(Clock::steady) else { return };
            if inner.absences.len() >= KEPT {
                inner.absences.retain(|_, began| now.saturating_sub(*began) < quiet);
            }
            inner.absences.insert(order, now);
        }
    }

    /// A listing that was asked for at `asked_at` had moved past this doubt. Whether one a quiet period before it had too;
    /// `None`: it is the first.
    pub(super) fn is_out_of_reach_for(
        &self,
        order: OrderId,
        asked_at: Timestamp,
        quiet: Duration,
    ) -> Option<bool> {
        let mut inner = self.0.lock().ok()?;
        let steady = inner.clock.as_ref().map(Clock::steady);
        // One that seems to be from the future is from before the clock was set back.
        if let Some((first, began)) = inner.out_of_reach.get(&order).filter(|(first, _)| *first <= asked_at) {
            let rested = steady.is_none_or(|now| now.saturating_sub(*began) >= quiet);
            return Some(rested && first.plus(quiet) <= asked_at);
        }
        inner.out_of_reach.insert(order, (asked_at, steady.unwrap_or_default()));
        None
    }

    /// A listing reaches back to it, or it waits for none any more.
    pub(super) fn within_reach(&self, order: OrderId) {
        if let Ok(mut inner) = self.0.lock() {
            inner.out_of_reach.remove(&order);
        }
    }

    fn has_rested(&self, order: OrderId, quiet: Duration) -> bool {
        self.0
            .lock()
            .is_ok_and(|inner| inner.passed(inner.doubts.get(&order)).is_none_or(|passed| passed >= quiet))
    }

    /// Whether a quiet period has passed since it was absent first.
    pub(super) fn is_absent_for(&self, order: OrderId, quiet: Duration) -> bool {
        self.0
            .lock()
            .is_ok_and(|inner| inner.passed(inner.absences.get(&order)).is_none_or(|passed| passed >= quiet))
    }
}

impl Journal {
    /// From now on a quiet period is over only when it is over by this clock's steady reading too.
    pub fn keep_steady(&self, clock: &Clock) {
        if let Ok(mut inner) = self.shared.common.rest.0.lock() {
            inner.opened = clock.steady();
            inner.clock = Some(clock.clone());
        }
    }
}

/// Whether anything rests at all.
const ANY: &str = "SELECT 1 FROM orders WHERE state = 2 \
     UNION ALL SELECT 1 FROM orders WHERE presumed > 0 AND charged > 0 LIMIT 1";

/// Notes every doubt whose quiet period is over, and begins those anew that seem to be from the future.
pub(super) fn note(tx: &Tx<'_>, now: Timestamp, quiet: Duration) -> Result<(), JournalError> {
    // Asked at every claim, and nearly always in vain.
    if tx.find(ANY, [], |_| Ok(()))?.is_none() {
        return Ok(());
    }
    let soon = now.plus(quiet).millis();
    // A clock that differs by less, or an answer recorded a moment ago, only makes it wait a little longer.
    tx.execute(
        "UPDATE orders SET doubt_since = ?1, doubt_first = min(doubt_first, ?1), due_at = min(due_at, ?2), \
         absent_since = NULL WHERE state = 2 AND doubt_since > ?2",
        (now.millis(), soon),
    )?;
    tx.execute(
        "UPDATE orders SET doubt_since = ?1, absent_since = NULL WHERE presumed > 0 AND charged > 0 \
         AND rested_after IS NULL AND doubt_since > ?2",
        (now.millis(), soon),
    )?;
    for which in ["state = 2", "presumed > 0 AND charged > 0 AND state <> 1"] {
        note_those(tx, which, now, quiet)?;
    }
    Ok(())
}

/// Of orders of this kind.
fn note_those(tx: &Tx<'_>, which: &str, now: Timestamp, quiet: Duration) -> Result<(), JournalError> {
    let sql = format!("SELECT id FROM orders WHERE {which} AND rested_after IS NULL AND doubt_since <= ?1");
    let mut statement = tx.prepare(&sql)?;
    let over = statement.query_map([now.minus(quiet).millis()], |row| row.get(0).map(OrderId))?;
    for order in over.collect::<Result<Vec<_>, _>>()? {
        if tx.rest().has_rested(order, quiet) {
            tx.execute_one(
                "a doubt's rest",
                "UPDATE orders SET rested_after = (SELECT coalesce(max(id), 0) FROM ledger) WHERE id = ?1",
                [order.0],
            )?;
        }
    }
    Ok(())
}

/// Whether this doubt's quiet period is over, noted or not. `since`: when it began, by the wall clock.
pub(super) fn is_over(
    tx: &Tx<'_>,
    order: OrderId,
    since: Timestamp,
    rested_after: Option<i64>,
    now: Timestamp,
    quiet: Duration,
) -> bool {
    rested_after.is_some() || since.plus(quiet) <= now && tx.rest().has_rested(order, quiet)
}
