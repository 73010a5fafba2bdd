//! Probes: doubts that settle wants sent once more to find out.

use std::collections::BTreeSet;

use super::super::JournalError;
use super::super::orders::{COLUMNS, Loaded};
use super::super::probing::{Probing, free_up_to, probing};
use super::super::settle;
use super::{Blocked, Claiming, Kind, ProbeTerms, count};
use crate::gate;
use crate::order::{Event, ProbeFacts, step};
use crate::types::{ServiceId, Timestamp};

/// Which doubts: those that had rested by a line of the ledger and go like everything else, or the others.
#[derive(Clone, Copy)]
struct Which {
    free: bool,
    line: i64,
}

impl Claiming<'_, '_> {
    pub(super) fn probes(&mut self) -> Result<(), JournalError> {
        let Some(terms) = &self.request.probe else { return Ok(()) };
        if self.left == 0 {
            return Ok(());
        }
        // Until one probe has shown what the provider does with a duplicate they go one at a time, and alone, but for
        // those that are known not to have been taken.
        let (free_up_to, one_alone) = match probing(self.tx, &terms.account)? {
            Probing::Undecided | Probing::Unsafe => return Ok(()),
            Probing::Asked => return self.stand_aside(),
            Probing::Proven => (Some(i64::MAX), false),
            // Another one could cost a second price.
            Probing::Spent(_) => (free_up_to(self.tx, &terms.account)?, false),
            Probing::Unproven => (free_up_to(self.tx, &terms.account)?, true),
        };
        if let Some(line) = free_up_to {
            self.probe_each(terms, Which { free: true, line })?;
        }
        if one_alone && self.left > 0 {
            self.probe_each(terms, Which { free: false, line: free_up_to.unwrap_or(-1) })?;
        }
        self.wait_for_next_probe()
    }

    /// Probes as many of these doubts as may go.
    fn probe_each(&mut self, terms: &ProbeTerms, which: Which) -> Result<(), JournalError> {
        // A service that can't go now must not keep the others' doubts from being probed: it is left out.
        let mut left_out = BTreeSet::new();
        while self.left > 0 {
            let limit = if which.free { self.left } else { 1 };
            let asked = self.asked_for_probe(&left_out, which, limit)?;
            let before = left_out.len();
            for order in asked {
                let service = order.service;
                if self.left > 0 && !left_out.contains(&service) && !self.probe(order, terms, !which.free)? {
                    left_out.insert(service);
                }
            }
            if left_out.len() == before {
                break;
            }
        }
        Ok(())
    }

    /// A probe that was asked for and isn't due yet is claimed when it is.
    fn wait_for_next_probe(&mut self) -> Result<(), JournalError> {
        let next: Option<Option<i64>> = self.tx.find(
            "SELECT min(due_at) FROM orders WHERE state = 2 AND probe_ok = 1 AND due_at > ?1",
            [self.now.millis()],
            |row| row.get(0),
        )?;
        if let Some(at) = next.flatten() {
            // One that only seems far away, by a clock that was set, is begun anew by then.
            self.wait_for(Timestamp::from_millis(at).min(self.now.plus(self.request.rules.quiet)));
        }
        Ok(())
    }

    /// Doubts that settle wants probed, those that have waited longest first. Which one goes alone is as good as drawn, by a
    /// multiple of its number: those lost together were likely taken together, and it stands for all.
    fn asked_for_probe(
        &self,
        left_out: &BTreeSet<ServiceId>,
        which: Which,
        limit: usize,
    ) -> Result<Vec<Loaded>, JournalError> {
        let without: Vec<String> = left_out.iter().map(|service| service.0.to_string()).collect();
        let sql = format!(
            "SELECT {COLUMNS} FROM orders WHERE state = 2 AND probe_ok = 1 AND due_at <= ?1 \
             AND coalesce(rested_after <= ?3, 0) = ?4 AND service NOT IN ({}) \
             ORDER BY CASE WHEN ?4 THEN due_at ELSE id % 65536 * 40503 % 65536 END, id LIMIT ?2",
            without.join(", ")
        );
        self.select(&sql, (self.now.millis(), count(limit), which.line, which.free))
    }

    /// Probes one doubt. False: nothing of its service can go now.
    fn probe(&mut self, mut order: Loaded, terms: &ProbeTerms, alone: bool) -> Result<bool, JournalError> {
        let facts = ProbeFacts {
            quiet_over: order.rested_after.is_some(),
            can_list: false,
            policy_probe: true,
            older_order: settle::has_older(self.tx, &order)?,
            within: order
                .doubt_first
                .is_some_and(|first| self.now.millis().saturating_sub(first.millis()) <= terms.within_ms),
        };
        // A pause or a reload can have come between settle's asking and now: settle holds what may go no more.
        order.life.max_attempts = self.request.rules.max_attempts;
        if step(&order.life, &Event::Probe(facts)).is_err() {
            return Ok(true);
        }
        if !alone {
            return self.claim(order, &Event::Probe(facts), Kind::Probe);
        }
        if gate::service(&self.pauses, order.service).is_none() && self.in_flight(None)? > 0 {
            self.stand_aside()?;
            return Ok(true);
        }
        let goes = self.claim(order, &Event::Probe(facts), Kind::FirstProbe)?;
        if goes {
            self.left = 0;
        }
        Ok(goes)
    }

    /// Nothing goes until what is in flight has ended.
    fn stand_aside(&mut self) -> Result<(), JournalError> {
        self.draft.blocked = Some(Blocked::Probe);
        self.left = 0;
        Ok(())
    }
}
