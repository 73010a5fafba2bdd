//! Doubts: what settle reads of them, and what evidence does to them.

use std::collections::{BTreeMap, BTreeSet};

use super::books;
use super::orders::{self, COLUMNS, Loaded, Rules, Telling};
use super::poll;
use super::rest;
use super::tx::Tx;
use super::view::View;
use super::{Journal, JournalError};
use crate::balance::Verdict;
use crate::order::{Absence, BalanceFacts, Event, HoldFacts, NoIdFacts, State};
use crate::types::{Imei, OrderId, ProviderOrder, ProviderOrderId, ProviderStatus, ServiceId, Timestamp};

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
    /// Ids that an unclear answer told and that weren't looked up yet.
    pub told: Vec<ProviderOrderId>,
    /// Settle asked for a probe already.
    pub probe_asked: bool,
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
#[derive(Clone, Copy, Debug)]
pub struct DoubtTerms {
    /// The provider lists its orders.
    pub can_list: bool,
    /// The policy is `hold`.
    pub policy_hold: bool,
    /// `probe_within`.
    pub probe_within: std::time::Duration,
    /// What the balance said at rest.
    pub balance: Verdict,
}

impl View {
    /// The orders whose outcome isn't known.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn doubts(&self) -> Result<Vec<Doubt>, JournalError> {
        let sql = format!(
            "SELECT {COLUMNS}, probe_ok FROM orders WHERE state IN (1, 2, 4, 5) AND state IN (2, 4, 5) AND provider_id IS NULL ORDER BY id"
        );
        let mut doubts = self.all(&sql, [], |row| {
            let order = orders::read(row)?;
            let since = order.doubt_since.or(order.ordered_at).unwrap_or_default();
            Ok(Doubt {
                order: order.id,
                service: order.service,
                imei: order.imei,
                state: order.life.state,
                since,
                first: order.doubt_first.unwrap_or(since),
                told: Vec::new(),
                probe_asked: row.get(23)?,
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

    /// Records what looking up told ids showed: `found` can be the order's.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn looked_up(
        &self,
        order: OrderId,
        asked: Vec<ProviderOrderId>,
        found: Option<ProviderOrder>,
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
            let Some(found) = &found else { return Ok(()) };
            let mut loaded = orders::load(tx, order)?;
            if loaded.life.id.is_some() || owner(tx, &loaded, found.id)?.is_some() {
                return Ok(());
            }
            let text = format!("id {}, told by an unclear answer", found.id);
            let telling = Telling { what: "looked up", text: &text, via: "told", quiet: false };
            orders::advance(tx, &mut loaded, &Event::LateId(found.id), now, &rules, &telling)?;
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
            for order in &doubts {
                let mut loaded = orders::load(tx, *order)?;
                tend(tx, &mut loaded, terms, now, &rules)?;
            }
            Ok(())
        })
        .await
    }
}

fn tend(
    tx: &Tx<'_>,
    order: &mut Loaded,
    terms: DoubtTerms,
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    let since = order.doubt_since.unwrap_or(now);
    let age = now.since(order.doubt_first.unwrap_or(since));
    let patience = if terms.can_list { terms.probe_within.saturating_mul(3) } else { terms.probe_within };
    let quiet_over = order.rested_after.is_some();
    match order.life.state {
        State::OrderedNoId => {
            let too_old = order.ordered_at.is_some_and(|at| now.since(at) > terms.probe_within);
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
            let facts = HoldFacts {
                quiet_over,
                can_list: terms.can_list,
                policy_hold: terms.policy_hold,
                too_old: age > patience,
                listed_since: listed_since(tx, since.plus(rules.quiet))?,
            };
            let used_up = !order.life.attempts_left() && (!terms.can_list || facts.listed_since);
            if facts.too_old || used_up || (!terms.can_list && terms.policy_hold) {
                let text = match (facts.too_old, used_up) {
                    (true, _) => "nothing settled it in time",
                    (_, true) => "its attempts are used up",
                    _ => "the policy is to hold what is in doubt",
                };
                let telling = Telling { what: "held", text, via: "", quiet: false };
                orders::advance(tx, order, &Event::Hold(facts), now, rules, &telling)?;
            } else if !terms.can_list && !has_older(tx, order)? && !has_told(tx, order)? {
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

/// One listing, held against every doubt.
struct Judging<'a> {
    tx: &'a Tx<'a>,
    listing: &'a [ProviderOrder],
    facts: &'a ListingFacts,
    now: Timestamp,
    rules: &'a Rules,
    account: &'a str,
    /// Ids in it that are booked for orders of ours.
    ours: BTreeMap<ProviderOrderId, OrderId>,
    /// Titles of each service, those seen at our own orders included.
    titles: BTreeMap<ServiceId, BTreeSet<String>>,
    /// When orders of ours in it were begun, the highest id of the provider's that we knew then, and the ledger's last
    /// entry.
    witnesses: Vec<(Timestamp, i64, i64)>,
    /// A finished order of ours is in it: it isn't a listing of pending ones only.
    has_finished: bool,
}

/// How many of the listing's newest orders of ours are looked at to find the latest-begun one.
const WITNESSES: usize = 256;

impl<'a> Judging<'a> {
    fn new(
        tx: &'a Tx<'a>,
        account: &'a str,
        listing: &'a [ProviderOrder],
        facts: &'a ListingFacts,
        now: Timestamp,
        rules: &'a Rules,
    ) -> Result<Self, JournalError> {
        let mut judging = Self {
            tx,
            listing,
            facts,
            now,
            rules,
            account,
            ours: BTreeMap::new(),
            titles: facts.titles.clone(),
            witnesses: Vec::new(),
            has_finished: false,
        };
        judging.recognise_ours()?;
        Ok(judging)
    }

    fn recognise_ours(&mut self) -> Result<(), JournalError> {
        for told in self.listing {
            let found: Option<(i64, i64)> = self.tx.find(
                "SELECT orders.id, orders.service FROM charges JOIN orders ON orders.id = charges.order_id \
                 WHERE charges.account = ?1 AND charges.provider_id = ?2",
                (self.account, books::provider_id(told.id)),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let Some((order, service)) = found else { continue };
            self.ours.insert(told.id, OrderId(order));
            self.titles.entry(ServiceId(service)).or_default().insert(told.package.clone());
            self.has_finished |= told.status != ProviderStatus::Pending;
        }
        let newest: Vec<(ProviderOrderId, OrderId)> =
            self.ours.iter().rev().take(WITNESSES).map(|(id, order)| (*id, *order)).collect();
        for (_, order) in newest {
            let begun = self.tx.find(
                "SELECT claimed_at, known_id, entry FROM attempts WHERE order_id = ?1 AND verdict = 0 AND kind < 2 \
                 ORDER BY n DESC LIMIT 1",
                [order.0],
                |row| Ok((Timestamp::from_millis(row.get(0)?), row.get(1)?, row.get(2)?)),
            )?;
            self.witnesses.extend(begun);
        }
        Ok(())
    }

    fn run(&self) -> Result<usize, JournalError> {
        rest::note(self.tx, self.now, self.rules.quiet)?;
        let doubts = self.doubts()?;
        let mut settled = 0usize;
        for mut order in doubts {
            if self.judge(&mut order)? {
                settled = settled.saturating_add(1);
            }
        }
        self.tx.set_fact("listed_at", &self.facts.asked_at.millis().to_string())?;
        Ok(settled)
    }

    /// In doubt, ordered or held without an id, and queued after a release.
    fn doubts(&self) -> Result<Vec<Loaded>, JournalError> {
        let mut found = Vec::new();
        for which in [
            "state IN (1, 2, 4, 5) AND state IN (2, 4, 5) AND provider_id IS NULL",
            "state = 0 AND inferred > 0",
        ] {
            let sql = format!("SELECT {COLUMNS} FROM orders WHERE {which} ORDER BY id");
            let mut statement = self.tx.prepare(&sql)?;
            for order in statement.query_map([], orders::read)? {
                found.push(order?);
            }
        }
        Ok(found)
    }

    fn judge(&self, order: &mut Loaded) -> Result<bool, JournalError> {
        let Some((known_id, _)) = self.first_unproven(order)? else { return Ok(false) };
        let same_imei: Vec<&ProviderOrder> = self
            .listing
            .iter()
            .filter(|told| told.imei == Some(order.imei) && !self.ours.contains_key(&told.id))
            .filter(|told| books::provider_id(told.id) > known_id)
            .collect();
        if !same_imei.is_empty() && self.has_older_without_id(order)? {
            return Ok(false);
        }
        let titles = self.titles.get(&order.service);
        let can_be: Vec<&&ProviderOrder> = same_imei
            .iter()
            .filter(|told| titles.is_some_and(|titles| titles.contains(&told.package)))
            .collect();
        if !can_be.is_empty() {
            let ids: Vec<ProviderOrderId> = can_be.iter().map(|told| told.id).collect();
            let text = format!("{ids:?}");
            let telling = Telling { what: "listed", text: &text, via: "listed", quiet: false };
            let moved = orders::advance(self.tx, order, &Event::Listed(ids), self.now, self.rules, &telling)?;
            if let [one] = can_be[..]
                && one.status != ProviderStatus::Pending
                && order.life.state == State::Ordered
            {
                poll::keep(self.tx, order.id, one, self.now)?;
                let telling = Telling { what: "status", text: &one.status_raw, via: "status", quiet: false };
                orders::advance(self.tx, order, &Event::Status(one.status), self.now, self.rules, &telling)?;
            }
            return Ok(moved.is_some());
        }
        // An order of that IMEI whose service we can't name is neither this order nor its absence.
        if !same_imei.is_empty() || order.life.state != State::InDoubt {
            return Ok(false);
        }
        self.note_absence(order, known_id)
    }

    /// Whether an older order of the key has a charge that an export told of, and no id: what is listed can be that one,
    /// and is then neither this order nor its absence.
    fn has_older_without_id(&self, order: &Loaded) -> Result<bool, JournalError> {
        let found = self.tx.find(
            "SELECT 1 FROM orders WHERE service = ?1 AND imei = ?2 AND current = 0 AND charged > 0 \
             AND provider_id IS NULL LIMIT 1",
            (order.service.0, i64::try_from(order.imei.as_u64()).unwrap_or(0)),
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// What we knew, and when, as the first unproven attempt began, or one whose charge an export told of: no id is known
    /// of either.
    fn first_unproven(&self, order: &Loaded) -> Result<Option<(i64, Timestamp)>, JournalError> {
        self.tx.find(
            "SELECT known_id, claimed_at FROM attempts WHERE order_id = ?1 AND verdict IN (0, 3, 4, 5, 6, 7) ORDER BY n LIMIT 1",
            [order.id.0],
            |row| Ok((row.get(0)?, Timestamp::from_millis(row.get(1)?))),
        )
    }

    fn note_absence(&self, order: &mut Loaded, known_id: i64) -> Result<bool, JournalError> {
        let Some(since) = order.doubt_since else { return Ok(false) };
        let quiet_until = since.plus(self.rules.quiet);
        if self.facts.asked_at < quiet_until {
            return Ok(false);
        }
        let oldest_needed = self.ours.keys().copied().filter(|id| books::provider_id(*id) <= known_id).max();
        let Some(reach) = oldest_needed else { return Ok(false) };
        // One that seems to be begun after now, or knew less than the doubt did, is from before the clock was set back.
        // One that was entered before the doubt had rested is too old, whatever the clocks say.
        let Some(rested_after) = order.rested_after else { return Ok(false) };
        let fresh = self.witnesses.iter().any(|(begun, knew, entry)| {
            *begun >= quiet_until && *begun <= self.now && *knew >= known_id && *entry >= rested_after
        });
        if !fresh || !self.is_whole_from(reach)? {
            return Ok(false);
        }
        let first: Option<i64> = self
            .tx
            .find("SELECT absent_since FROM orders WHERE id = ?1", [order.id.0], |row| row.get(0))?
            .flatten();
        // One that seems to be from the future is from before the clock was set back.
        let Some(first) = first.filter(|first| *first <= self.facts.asked_at.millis()) else {
            self.tx.rest().absence_begins(order.id, self.rules.quiet);
            self.tx.execute_one(
                "an absence",
                "UPDATE orders SET absent_since = ?2 WHERE id = ?1",
                (order.id.0, self.facts.asked_at.millis()),
            )?;
            self.tx.event(
                self.now,
                Some(order.id),
                None,
                "absent",
                "from a first whole and fresh listing",
            )?;
            return Ok(false);
        };
        let is_long_ago = Timestamp::from_millis(first).plus(self.rules.quiet) <= self.facts.asked_at;
        if !is_long_ago || !self.tx.rest().is_absent_for(order.id, self.rules.quiet) {
            return Ok(false);
        }
        let absence = Absence { twice: true, whole: true, reaches_back: true, fresh };
        let text = "from two whole and fresh listings a quiet period apart";
        let telling = Telling { what: "absent", text, via: "", quiet: false };
        Ok(orders::advance(self.tx, order, &Event::Absent(absence), self.now, self.rules, &telling)?
            .is_some())
    }

    /// Whether every id of ours from `reach` to the listing's newest is in it, finished ones among them.
    fn is_whole_from(&self, reach: ProviderOrderId) -> Result<bool, JournalError> {
        let Some(newest) = self.listing.iter().map(|told| told.id).max() else { return Ok(false) };
        let mut statement = self.tx.prepare(
            "SELECT provider_id FROM charges WHERE account = ?1 AND provider_id BETWEEN ?2 AND ?3",
        )?;
        let mut rows =
            statement.query((self.account, books::provider_id(reach), books::provider_id(newest)))?;
        while let Some(row) = rows.next()? {
            let id = ProviderOrderId(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0));
            if !self.ours.contains_key(&id) {
                return Ok(false);
            }
        }
        Ok(self.has_finished)
    }
}
