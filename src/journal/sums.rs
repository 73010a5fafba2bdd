//! Sums that every operation of a transaction moves: tallies, totals, the highest known id. They are added up beside the
//! transaction and written once, before it commits, in place of once an operation.
//!
//! No statement can tell: one that names a table of these is preceded by what is still to be written
//! ([`Tx::prepare`](super::Tx)). A transaction that is rolled back drops them with all the rest.

use std::collections::BTreeMap;

use super::codes::Link;
use super::tx::Tx;
use super::{JournalError, books};
use crate::types::{BatchId, ProviderOrderId, ServiceId};

/// The tables whose changes wait here (watermarks). Every statement is searched for them: names of up to eight bytes are
/// found several times as fast.
const TABLES: [&str; 3] = ["tallies", "totals", "watermar"];

/// What is to be added to a line of `totals`, in micro-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    pub(super) reserved: i64,
    pub(super) presumed: i64,
    pub(super) charged: i64,
}

/// What is still to be written.
#[derive(Debug, Default)]
pub(super) struct Sums {
    tallies: BTreeMap<(BatchId, i64, Link), i64>,
    totals: BTreeMap<(&'static str, i64), Amounts>,
    known_ids: BTreeMap<ServiceId, ProviderOrderId>,
}

impl Sums {
    /// So many rows of a batch more, or fewer, under a state and link.
    pub(super) fn tally(&mut self, batch: BatchId, state: i64, link: Link, rows: i64) {
        let sum = self.tallies.entry((batch, state, link)).or_default();
        *sum = sum.saturating_add(rows);
    }

    /// Money that moves in a line of `totals`.
    pub(super) fn total(&mut self, scope: &'static str, key: i64, by: Amounts) {
        let sum = self.totals.entry((scope, key)).or_default();
        sum.reserved = sum.reserved.saturating_add(by.reserved);
        sum.presumed = sum.presumed.saturating_add(by.presumed);
        sum.charged = sum.charged.saturating_add(by.charged);
    }

    /// An id of the provider's that is known in this service's account.
    pub(super) fn known_id(&mut self, service: ServiceId, id: ProviderOrderId) {
        let highest = self.known_ids.entry(service).or_insert(id);
        *highest = (*highest).max(id);
    }

    /// Whether this statement may look at what waits here.
    pub(super) fn concern(sql: &str) -> bool {
        TABLES.iter().any(|table| sql.contains(table))
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.tallies.is_empty() && self.totals.is_empty() && self.known_ids.is_empty()
    }

    /// Writes them, once `to` has none of them any more. Gives the batches of which no row is open any more.
    pub(super) fn write(self, to: &Tx<'_>) -> Result<Vec<BatchId>, JournalError> {
        self.write_totals(to)?;
        self.write_known_ids(to)?;
        self.write_tallies(to)
    }

    fn write_totals(&self, to: &Tx<'_>) -> Result<(), JournalError> {
        for ((scope, key), by) in &self.totals {
            let add = || -> Result<usize, JournalError> {
                let sql = "UPDATE totals SET reserved = reserved + ?3, presumed = presumed + ?4, charged = charged + ?5 \
                           WHERE scope = ?1 AND key = ?2";
                let by = (scope, key, by.reserved, by.presumed, by.charged);
                to.execute(sql, by)
            };
            let mut changed = add()?;
            if changed == 0 {
                // An insert's own values must pass the table's checks: they are zero.
                to.execute("INSERT INTO totals (scope, key) VALUES (?1, ?2)", (scope, key))?;
                changed = add()?;
            }
            exactly_one("a total", changed)?;
        }
        Ok(())
    }

    fn write_known_ids(&self, to: &Tx<'_>) -> Result<(), JournalError> {
        for (service, id) in &self.known_ids {
            to.execute(
                "INSERT INTO watermarks (account, known_id) VALUES (?1, ?2) \
                 ON CONFLICT (account) DO UPDATE SET known_id = max(known_id, excluded.known_id)",
                (to.account(*service)?, books::provider_id(*id)),
            )?;
        }
        Ok(())
    }

    fn write_tallies(&self, to: &Tx<'_>) -> Result<Vec<BatchId>, JournalError> {
        for ((batch, state, link), rows) in &self.tallies {
            // Only what is there can become fewer.
            let sql = if *rows < 0 {
                "UPDATE tallies SET n = n + ?4 WHERE batch = ?1 AND state = ?2 AND link = ?3"
            } else {
                "INSERT INTO tallies (batch, state, link, n) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (batch, state, link) DO UPDATE SET n = n + excluded.n"
            };
            let changed = to.execute(sql, (batch.0, state, link.code(), rows))?;
            exactly_one("a tally", changed)?;
        }
        let mut batches: Vec<BatchId> = self.tallies.keys().map(|(batch, ..)| *batch).collect();
        batches.dedup();
        let mut finished = Vec::new();
        for batch in batches {
            let sql = "SELECT coalesce(sum(n), 0) FROM tallies WHERE batch = ?1 AND state < 6";
            let open: Option<i64> = to.find(sql, [batch.0], |row| row.get(0))?;
            if open == Some(0) {
                finished.push(batch);
            }
        }
        Ok(finished)
    }
}

const fn exactly_one(what: &'static str, changed: usize) -> Result<(), JournalError> {
    match changed {
        1 => Ok(()),
        changed => Err(JournalError::Unexpected { what, changed }),
    }
}
