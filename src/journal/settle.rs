//! Doubts: what settle reads of them, and what evidence does to them.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Params;

use super::books;
use super::listing::proof::waits_for_newer;
use super::listing::{Judging, OUT_OF_REACH};
use super::orders::{self, COLUMNS, Loaded, OF_ACCOUNT, Rules, Telling, UNSURE};
use super::probing::{self, Probes, WAITS_FOR_WORD, Weighed};
use super::rest;
use super::tx::Tx;
use super::view::View;
use super::{Journal, JournalError};
use crate::balance::Verdict;
use crate::order::{BalanceFacts, Event, HoldFacts, NoIdFacts, State};
use crate::schedule::{self, Waited};
use crate::types::{Imei, OrderId, ProviderOrder, ProviderOrderId, ServiceId, Timestamp};

/// An order without a known outcome.
#[derive(Clone, Debug)]
pub struct Doubt {
    /// Which one.
    pub order: OrderId,
    /// Its service.
    pub service: ServiceId,
    /// Its IMEI.
    pub imei: Imei,
    /// `in_doubt`, `ordered_no_id` or `held`.
    pub state: State,
    /// The latest doubt's beginning.
    pub since: Timestamp,
    /// The first doubt's beginning.
    pub first: Timestamp,
    /// Its quiet period is over, by every clock.
    pub has_rested: bool,
    /// Ids that an unclear answer told and that weren't looked up yet.
    pub told: Vec<ProviderOrderId>,
    /// Settle asked for a probe already.
    pub probe_asked: bool,
    /// It is held because no listing reaches back to it any more.
    pub out_of_reach: bool,
    /// It is in doubt, and the provider's list doesn't show whether it was taken: why not.
    pub lacks: Option<String>,
    /// It is in doubt, and not sent again before a person has seen the alarm `duplicates`.
    pub waits_for_word: bool,
    /// Attempts that count.
    pub counted: u32,
}

/// What is known about listings when one is judged.
#[derive(Clone, Debug)]
pub struct ListingFacts {
    /// When the listing was asked for.
    pub asked_at: Timestamp,
    /// The titles that each service has at the provider.
    pub titles: BTreeMap<ServiceId, BTreeSet<String>>,
}

/// What a person's configuration says about doubts.
#[derive(Clone, Debug)]
pub struct DoubtTerms {
    /// The provider lists its orders.
    pub can_list: bool,
    /// The policy is `hold`.
    pub policy_hold: bool,
    /// `probe_within`.
    pub probe_within: std::time::Duration,
    /// What was really waited: by it, not by the wall clock, a doubt is too old.
    pub waited: Waited,
    /// What the balance said at rest.
    pub balance: Verdict,
    /// The account that orders go to.
    pub account: String,
    /// The balance was looked at just now, at rest, or can't be: a probe may go alone, if nothing has come in between.
    pub looked: bool,
    /// What that look makes of a probe that went alone and was taken.
    pub weighed: Weighed,
}

impl Doubt {
    /// The provider's list lacks newer orders of ours, which come by themselves: that is all it waits for.
    #[must_use]
    pub fn waits_for_newer(&self) -> bool {
        self.lacks.as_deref().is_some_and(waits_for_newer)
    }

    /// The list lacks more than that.
    #[must_use]
    pub fn lacks_proof(&self) -> bool {
        self.lacks.is_some() && !self.waits_for_newer()
    }
}

impl View {
    /// This account's orders whose outcome isn't known.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn doubts(&self, account: &str) -> Result<Vec<Doubt>, JournalError> {
        self.doubts_where(
            &format!("state IN (2, 4, 5) AND provider_id IS NULL AND {OF_ACCOUNT} ORDER BY id"),
            [account],
        )
    }

    /// The first `most` orders that are in doubt, of whatever account.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn first_in_doubt(&self, most: u32) -> Result<Vec<Doubt>, JournalError> {
        self.doubts_where("state = 2 AND provider_id IS NULL ORDER BY id LIMIT ?1", [most])
    }

    fn doubts_where(&self, which: &str, params: impl Params) -> Result<Vec<Doubt>, JournalError> {
        let sql = format!("SELECT {COLUMNS}, probe_ok, held_for FROM orders WHERE {UNSURE} AND {which}");
        let mut doubts = self.all(&sql, params, |row| {
            let order = orders::read(row)?;
            let since = order.doubt_since.or(order.ordered_at).unwrap_or_default();
            let why = row.get::<_, Option<String>>(25)?;
            Ok(Doubt {
                order: order.id,
                service: order.service,
                imei: order.imei,
                state: order.life.state,
                since,
                first: order.doubt_first.unwrap_or(since),
                has_rested: order.rested_after.is_some(),
                told: Vec::new(),
                probe_asked: row.get(24)?,
                out_of_reach: order.life.state == State::Held && why.as_deref() == Some(OUT_OF_REACH),
                waits_for_word: order.life.state == State::InDoubt && why.as_deref() == Some(WAITS_FOR_WORD),
                lacks: why.filter(|why| order.life.state == State::InDoubt && why != WAITS_FOR_WORD),
                counted: order.life.counted,
            })
        })?;
        for doubt in &mut doubts {
            doubt.told = self.all(
                "SELECT provider_id FROM told_ids WHERE order_id = ?1 AND looked_at IS NULL",
                [doubt.order.0],
                |row| Ok(ProviderOrderId(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0))),
            )?;
        }
        Ok(doubts)
    }

    /// The latest beginning of a doubt of this account of which a charge is presumed beside its order's id: a listing can
    /// clear it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn presumed_since(&self, account: &str) -> Result<Option<Timestamp>, JournalError> {
        let latest = self.find(
            "SELECT max(doubt_since) FROM orders WHERE presumed > 0 AND provider_id IS NOT NULL \
             AND service IN (SELECT id FROM services WHERE account = ?1)",
            [account],
            |row| row.get::<_, Option<i64>>(0),
        )?;
        Ok(latest.flatten().map(Timestamp::from_millis))
    }

    /// The latest beginning of a doubt of this account, after `after`, of whose order an attempt was released and another
    /// one got an id: a listing can still show the first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn released_since(&self, account: &str, after: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        let latest = self.find(
            "SELECT max(doubt_since) FROM orders WHERE inferred > 0 AND provider_id IS NOT NULL AND doubt_since > ?1 \
             AND service IN (SELECT id FROM services WHERE account = ?2)",
            (after.millis(), account),
            |row| row.get::<_, Option<i64>>(0),
        )?;
        Ok(latest.flatten().map(Timestamp::from_millis))
    }

    /// The highest id of the provider's that is known in this account; 0 before the first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn highest_id(&self, account: &str) -> Result<i64, JournalError> {
        let known =
            self.find("SELECT known_id FROM watermarks WHERE account = ?1", [account], |row| row.get(0))?;
        Ok(known.unwrap_or(0))
    }

    /// An order of this account whose id is no higher than `up_to` and that isn't finished as far as is known.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn an_unfinished_id(
        &self,
        account: &str,
        up_to: i64,
    ) -> Result<Option<ProviderOrderId>, JournalError> {
        self.find(
            "SELECT provider_id FROM orders JOIN services ON services.id = orders.service \
             WHERE state = 3 AND provider_id <= ?2 AND account = ?1 ORDER BY due_at DESC LIMIT 1",
            (account, up_to),
            |row| Ok(ProviderOrderId(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0))),
        )
    }

    /// Whether any order has an id, so that a listing without one of ours would show something.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn knows_an_id(&self, id: ProviderOrderId, account: &str) -> Result<bool, JournalError> {
        let found = self.find(
            "SELECT 1 FROM charges WHERE account = ?1 AND provider_id = ?2",
            (account, books::provider_id(id)),
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }
}

impl Journal {
    /// Judges a listing: finds orders in it, and, where it is whole and fresh, notes the absence of others. Returns how
    /// many orders it settled.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn judge_listing(
        &self,
        account: String,
        listing: Vec<ProviderOrder>,
        facts: ListingFacts,
        now: Timestamp,
        rules: Rules,
    ) -> Result<usize, JournalError> {
        self.write(move |tx| Judging::new(tx, &account, &listing, &facts, now, &rules)?.run()).await
    }

    /// Records what looking up told ids showed: those `found` can be the order's.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn looked_up(
        &self,
        order: OrderId,
        asked: Vec<ProviderOrderId>,
        found: Vec<ProviderOrderId>,
        now: Timestamp,
        rules: Rules,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            for id in &asked {
                tx.execute(
                    "UPDATE told_ids SET looked_at = ?3 WHERE order_id = ?1 AND provider_id = ?2",
                    (order.0, books::provider_id(*id), now.millis()),
                )?;
            }
            let mut loaded = orders::load(tx, order)?;
            if loaded.life.id.is_some() {
                return Ok(());
            }
            let mut its_own = Vec::new();
            for id in &found {
                if owner(tx, &loaded, *id)?.is_none() {
                    its_own.push(*id);
                }
            }
            let (event, text) = match its_own[..] {
                [] => return Ok(()),
                [id] => {
                    (Event::LateId(id), format!("id {id}, told by an unclear answer or listed meanwhile"))
                }
                _ => (Event::Listed(its_own.clone()), format!("{its_own:?}")),
            };
            let telling = Telling { what: "looked up", text: &text, via: "told", quiet: false };
            orders::advance(tx, &mut loaded, &event, now, &rules, &telling)?;
            Ok(())
        })
        .await
    }

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
                    tx.ring(super::wake::Rung::SUBMIT);
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
pub(super) fn has_older(tx: &Tx<'_>, order: &Loaded) -> Result<bool, JournalError> {
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

/// The order of ours that an id is booked for.
fn owner(tx: &Tx<'_>, like: &Loaded, id: ProviderOrderId) -> Result<Option<OrderId>, JournalError> {
    tx.find(
        "SELECT charges.order_id FROM charges JOIN services ON services.account = charges.account \
         WHERE services.id = ?1 AND charges.provider_id = ?2",
        (like.service.0, books::provider_id(id)),
        |row| row.get(0).map(OrderId),
    )
}
