//! Probes: doubts that settle wants sent once more to find out.

use std::collections::BTreeSet;

use super::super::JournalError;
use super::super::balance::{self, Probing};
use super::super::orders::{COLUMNS, Loaded};
use super::super::settle;
use super::{Blocked, Claiming, Kind, ProbeTerms, count};
use crate::gate;
use crate::order::{Event, ProbeFacts, step};
use crate::types::{ServiceId, Timestamp};

impl Claiming<'_, '_> {
    pub(super) fn probes(&mut self) -> Result<(), JournalError> {
        let Some(terms) = self.request.probe else { return Ok(()) };
        if self.left == 0 {
            return Ok(());
        }
        // Until one probe has shown what the provider does with a duplicate they go one at a time, and alone.
        let alone = match balance::probing(self.tx)? {
            Probing::Unsafe => return Ok(()),
            Probing::Unproven => true,
            Probing::Proven => false,
        };
        if alone && self.probes_in_flight()? > 0 {
            return self.stand_aside();
        }
        // A service that can't go now must not keep the others' doubts from being probed: it is left out.
        let mut left_out = BTreeSet::new();
        while self.left > 0 {
            let limit = if alone { 1 } else { self.left };
            let asked = self.asked_for_probe(&left_out, limit)?;
            let before = left_out.len();
            for order in asked {
                let service = order.service;
                if self.left > 0 && !left_out.contains(&service) && !self.probe(order, terms, alone)? {
                    left_out.insert(service);
                }
            }
            if left_out.len() == before {
                break;
            }
        }
        self.wait_for_next_probe()
    }

    /// A probe that was asked for and isn't due yet is claimed when it is.
    fn wait_for_next_probe(&mut self) -> Result<(), JournalError> {
        let next: Option<Option<i64>> = self.tx.find(
            "SELECT min(due_at) FROM orders WHERE state IN (1, 2, 4, 5) AND state = 2 AND probe_ok = 1 AND due_at > ?1",
            [self.now.millis()],
            |row| row.get(0),
        )?;
        if let Some(at) = next.flatten() {
            // One that only seems far away, by a clock that was set, is begun anew by then.
            self.wait_for(Timestamp::from_millis(at).min(self.now.plus(self.request.rules.quiet)));
        }
        Ok(())
    }

    /// Doubts that settle wants probed, those that have waited longest first.
    fn asked_for_probe(
        &self,
        left_out: &BTreeSet<ServiceId>,
        limit: usize,
    ) -> Result<Vec<Loaded>, JournalError> {
        let without: Vec<String> = left_out.iter().map(|service| service.0.to_string()).collect();
        let sql = format!(
            "SELECT {COLUMNS} FROM orders WHERE state IN (1, 2, 4, 5) AND state = 2 AND probe_ok = 1 AND due_at <= ?1 \
             AND service NOT IN ({}) ORDER BY due_at, id LIMIT ?2",
            without.join(", ")
        );
        self.select(&sql, (self.now.millis(), count(limit)))
    }

    /// Probes one doubt. False: nothing of its service can go now.
    fn probe(&mut self, mut order: Loaded, terms: ProbeTerms, alone: bool) -> Result<bool, JournalError> {
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

    fn probes_in_flight(&self) -> Result<i64, JournalError> {
        let found =
            self.tx.find("SELECT count(*) FROM attempts WHERE verdict IS NULL AND kind = 1", [], |row| {
                row.get(0)
            })?;
        Ok(found.unwrap_or(0))
    }

    /// Nothing goes until what is in flight has ended.
    fn stand_aside(&mut self) -> Result<(), JournalError> {
        self.draft.blocked = Some(Blocked::Probe);
        self.left = 0;
        Ok(())
    }
}
