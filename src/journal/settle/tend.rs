//! Doubts that no evidence settles now: each is taken one step further, to its probe or to a person.

use super::super::orders::{self, Loaded, Rules, Telling};
use super::super::probing::{self, Probes, WAITS_FOR_WORD};
use super::super::rest;
use super::super::tx::Tx;
use super::super::wake::Rung;
use super::super::{Journal, JournalError};
use super::DoubtTerms;
use crate::balance::Verdict;
use crate::order::{BalanceFacts, Event, HoldFacts, NoIdFacts, State};
use crate::schedule;
use crate::types::{OrderId, Timestamp};

impl Journal {
    /// Takes each doubt one step further that no listing can settle now: asks for its probe, or holds it.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn tend_doubts(
        &self,
        doubts: Vec<OrderId>,
        terms: DoubtTerms,
        now: Timestamp,
        rules: Rules,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            rest::note(tx, now, rules.quiet)?;
            let mut loaded = Vec::with_capacity(doubts.len());
            for order in &doubts {
                loaded.push(orders::load(tx, *order)?);
            }
            let probes = probing::probes(tx, &loaded, &terms, now)?;
            for order in &mut loaded {
                let probes = probes.of(order);
                tend(tx, order, &terms, probes, now, &rules)?;
            }
            Ok(())
        })
        .await
    }
}

fn tend(
    tx: &Tx<'_>,
    order: &mut Loaded,
    terms: &DoubtTerms,
    probes: Probes,
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    let since = order.doubt_since.unwrap_or(now);
    let age = terms.waited.since(order.doubt_first.unwrap_or(since));
    let patience = schedule::doubt_patience(terms.probe_within, terms.can_list);
    let quiet_over = order.rested_after.is_some();
    match order.life.state {
        State::OrderedNoId => {
            let too_old = order.ordered_at.is_some_and(|at| terms.waited.since(at) > terms.probe_within);
            let balance_contradicts = terms.balance == Verdict::Contradicts;
            let facts = NoIdFacts { balance_contradicts, can_list: terms.can_list, too_old };
            if !terms.can_list || too_old || balance_contradicts {
                let text = if balance_contradicts {
                    "the balance did not fall by it: the charge is presumed, and may not have been made"
                } else {
                    "its order id was never told and can't be found: the charge is presumed"
                };
                let telling = Telling { what: "held", text, via: "", quiet: false };
                orders::advance(tx, order, &Event::HoldNoId(facts), now, rules, &telling)?;
            }
            Ok(())
        }
        State::InDoubt if quiet_over && !terms.can_list && terms.balance == Verdict::AllTaken => {
            let facts = BalanceFacts { quiet_over, can_list: false, at_rest: true, fell_by_all: true };
            let text = "the balance fell by all that is known and all that is in doubt";
            let telling = Telling { what: "balance", text, via: "", quiet: false };
            orders::advance(tx, order, &Event::BalanceFell(facts), now, rules, &telling)?;
            Ok(())
        }
        State::InDoubt if quiet_over => {
            order.life.max_attempts = rules.max_attempts;
            let policy_hold = terms.policy_hold || probes == Probes::Hold;
            let facts = HoldFacts {
                quiet_over,
                can_list: terms.can_list,
                policy_hold,
                too_old: age > patience,
                listed_since: listed_since(tx, since.plus(rules.quiet))?,
                out_of_reach: false,
            };
            let used_up = !order.life.attempts_left() && (!terms.can_list || facts.listed_since);
            if facts.too_old || used_up || (!terms.can_list && policy_hold) {
                let text = match (facts.too_old, used_up) {
                    (true, _) => "nothing settled it in time",
                    (_, true) => "its attempts are used up",
                    _ if probes == Probes::Hold => {
                        "sent again it could be paid twice: an alarm tells why (imeid status)"
                    }
                    _ => "the policy is to hold what is in doubt",
                };
                let telling = Telling { what: "held", text, via: "", quiet: false };
                orders::advance(tx, order, &Event::Hold(facts), now, rules, &telling)?;
                orders::held_for(tx, order.id, None)?;
                return Ok(());
            }
            if !terms.can_list {
                tell_wait(tx, order, probes == Probes::WaitForWord, now)?;
            }
            if probes == Probes::Ask && !has_older(tx, order)? && !has_told(tx, order)? {
                let asked = tx.execute(
                    "UPDATE orders SET probe_ok = 1 WHERE id = ?1 AND state = 2 AND probe_ok = 0",
                    [order.id.0],
                )?;
                if asked > 0 {
                    tx.ring(Rung::SUBMIT);
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Notes that a doubt waits for a person's word, once, or that it does no more.
fn tell_wait(tx: &Tx<'_>, order: &Loaded, waits: bool, now: Timestamp) -> Result<(), JournalError> {
    let why = waits.then_some(WAITS_FOR_WORD);
    let sql = "UPDATE orders SET held_for = ?2 WHERE id = ?1 AND held_for IS NOT ?2";
    if tx.execute(sql, (order.id.0, why))? > 0 && waits {
        tx.event(now, Some(order.id), None, "waits", WAITS_FOR_WORD)?;
    }
    Ok(())
}

/// Whether ids that an unclear answer told are still to be looked up: they come before a probe.
fn has_told(tx: &Tx<'_>, order: &Loaded) -> Result<bool, JournalError> {
    let found = tx.find(
        "SELECT 1 FROM told_ids WHERE order_id = ?1 AND looked_at IS NULL LIMIT 1",
        [order.id.0],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// Whether an older order of ours for the key exists: a probe's "already exists" would be about that one.
pub(in super::super) fn has_older(tx: &Tx<'_>, order: &Loaded) -> Result<bool, JournalError> {
    let found = tx.find(
        "SELECT 1 FROM orders WHERE service = ?1 AND imei = ?2 AND current = 0 LIMIT 1",
        (order.service.0, i64::try_from(order.imei.as_u64()).unwrap_or(0)),
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// Whether a listing was judged that was asked for after this time.
fn listed_since(tx: &Tx<'_>, at: Timestamp) -> Result<bool, JournalError> {
    let last = tx.fact("listed_at")?.and_then(|at| at.parse::<i64>().ok());
    Ok(last.is_some_and(|last| last >= at.millis()))
}
