//! A listing of the provider's orders, held against every doubt: which order is in it, and, where it is whole and fresh,
//! which is not.

use std::collections::{BTreeMap, BTreeSet};

use super::orders::{self, COLUMNS, Loaded, Rules, Telling};
use super::settle::ListingFacts;
use super::tx::Tx;
use super::{JournalError, books, poll, rest};
use crate::order::{Absence, Event, State};
use crate::types::{OrderId, ProviderOrder, ProviderOrderId, ProviderStatus, ServiceId, Timestamp};

/// One listing, held against every doubt.
pub(super) struct Judging<'a> {
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
    pub(super) fn new(
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

    pub(super) fn run(&self) -> Result<usize, JournalError> {
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
