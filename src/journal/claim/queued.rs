//! Queued orders: every batch in its turn, the last order kept as a witness.

use std::time::Duration;

use super::super::JournalError;
use super::super::orders::COLUMNS;
use super::{Blocked, Claiming, Kind, count};
use crate::order::Event;
use crate::types::{BatchId, Timestamp};

/// A quiet period that is over by the wall clock only is looked at again after this long.
const WITNESS_LOOK: Duration = Duration::from_millis(200);

impl Claiming<'_, '_> {
    pub(super) fn queued(&mut self) -> Result<(), JournalError> {
        let mut batches = self.batches_with_queued()?;
        self.keep_a_witness(&batches)?;
        // The batch after the one that was served last comes first.
        let split = batches.partition_point(|(batch, _)| *batch <= self.request.after);
        batches.rotate_left(split);
        while self.left > 0 && !batches.is_empty() {
            let share = self.left.div_ceil(batches.len());
            let mut busy = Vec::new();
            for batch in batches {
                if self.left == 0 {
                    break;
                }
                let took = self.claim_from(batch.0, share.min(self.left))?;
                self.write_begun()?;
                if took == share {
                    busy.push(batch);
                }
            }
            batches = busy;
        }
        Ok(())
    }

    fn batches_with_queued(&self) -> Result<Vec<(BatchId, i64)>, JournalError> {
        self.tx.all(
            "SELECT batches.id, tallies.n FROM batches JOIN tallies ON tallies.batch = batches.id \
             WHERE batches.state NOT IN (4, 5) AND batches.state IN (1, 3) AND batches.cancelled_at IS NULL \
             AND tallies.state = 0 AND tallies.link = 0 AND tallies.n > 0 ORDER BY batches.id",
            [],
            |row| Ok((BatchId(row.get(0)?), row.get(1)?)),
        )
    }

    /// The last queued order is the only witness that a doubt may ever get, until somebody drops the next file. It
    /// goes when every doubt has rested, and, where calls stay unanswered, alone: one that is still on its way can
    /// become a doubt, and so can the others that are claimed with it.
    fn keep_a_witness(&mut self, batches: &[(BatchId, i64)]) -> Result<(), JournalError> {
        if !self.request.keep_witness || self.left == 0 {
            return Ok(());
        }
        let queued = batches.iter().map(|(_, queued)| usize::try_from(*queued).unwrap_or(0)).sum::<usize>();
        if queued > self.left {
            return Ok(());
        }
        let quiet = self.request.rules.quiet;
        let until = match self.unrested_doubts()? {
            // By the wall clock it may seem over already.
            Some(latest) => latest.plus(quiet).min(self.now.plus(quiet)),
            None if self.is_troubled()? && (queued > 1 || self.in_flight(None)? > 0) => self.now,
            None => return Ok(()),
        };
        self.left = queued.saturating_sub(1);
        self.draft.blocked = Some(Blocked::Witness);
        self.wait_for(until.max(self.now.plus(WITNESS_LOOK)));
        Ok(())
    }

    /// When the latest doubt began that hasn't rested yet.
    fn unrested_doubts(&self) -> Result<Option<Timestamp>, JournalError> {
        let latest: Option<Option<i64>> = self.tx.find(
            "SELECT max(doubt_since) FROM orders WHERE state = 2 AND rested_after IS NULL",
            [],
            |row| row.get(0),
        )?;
        Ok(latest.flatten().map(Timestamp::from_millis))
    }

    /// Whether calls stay unanswered: an order is in doubt, or one has been lately.
    fn is_troubled(&self) -> Result<bool, JournalError> {
        let doubt: Option<i64> =
            self.tx.find("SELECT 1 FROM orders WHERE state = 2 LIMIT 1", [], |row| row.get(0))?;
        Ok(doubt.is_some() || self.tx.rest().is_troubled())
    }

    fn claim_from(&mut self, batch: BatchId, share: usize) -> Result<usize, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM orders WHERE state = 0 AND batch = ?1 AND due_at <= ?2 ORDER BY due_at, id LIMIT ?3"
        );
        let mut took = 0usize;
        for order in self.select(&sql, (batch.0, self.now.millis(), count(share)))? {
            if !self.claim(order, &Event::Claim, Kind::Order)? {
                return Ok(took);
            }
            took = took.saturating_add(1);
            self.draft.last = Some(batch);
        }
        if took < share {
            let due: Option<i64> = self
                .tx
                .find(
                    "SELECT min(due_at) FROM orders WHERE state = 0 AND batch = ?1 AND due_at > ?2",
                    (batch.0, self.now.millis()),
                    |row| row.get(0),
                )?
                .flatten();
            if let Some(due) = due {
                self.wait_for(Timestamp::from_millis(due));
            }
        }
        Ok(took)
    }
}
