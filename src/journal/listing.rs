//! A listing of the provider's orders, held against every doubt: which order is in it, and, where it is whole and fresh,
//! which is not. Likewise against every charge that is presumed beside a known id: whether there is a second order of the
//! IMEI ([`second`]), or none. And whether a doubt is too far back for any listing ([`reach`]), or why none proves anything about
//! it ([`proof`]). An order of ours that had ended is told where it shows the other end ([`turned`]). What is on its way
//! longer than usual is looked for before it is in doubt ([`in_flight`]).

mod in_flight;
pub(super) mod proof;
mod reach;
mod second;
mod turned;

use std::collections::{BTreeMap, BTreeSet};

use super::export::{orders_of, seen_titles};
use super::orders::{self, COLUMNS, Loaded, OF_ACCOUNT, Rules, Telling, UNSURE};
use super::settle::ListingFacts;
use super::tx::Tx;
use super::{JournalError, books, poll, rest};
use crate::order::{Absence, Event, State};
use crate::types::{
    Imei, OrderId, ProviderOrder, ProviderOrderId, ProviderStatus, ServiceId, Timestamp, Titles,
};

pub use in_flight::hangs_after;
pub(super) use reach::is_out_of_reach;
pub(super) use turned::has_other_end;

/// One listing, held against every doubt.
pub(super) struct Judging<'a, 't> {
    tx: &'a Tx<'t>,
    listing: &'a [ProviderOrder],
    facts: &'a ListingFacts,
    now: Timestamp,
    rules: &'a Rules,
    account: &'a str,
    /// Ids in it that are booked for orders of ours.
    ours: BTreeMap<ProviderOrderId, Ours>,
    /// Titles of each service, those seen at our own orders included.
    titles: BTreeMap<ServiceId, BTreeSet<String>>,
    /// When orders of ours in it were begun, the highest id of the provider's that we knew then, and the ledger's last
    /// entry.
    witnesses: Vec<(Timestamp, i64, i64)>,
    /// A finished order of ours is in it: it isn't a listing of pending ones only.
    has_finished: bool,
    /// The account's ids don't rise: they don't tell what is older.
    ids_fall: bool,
}

/// An order of ours for which an id of the listing is booked.
#[derive(Clone, Copy, Debug)]
struct Ours {
    order: OrderId,
    service: ServiceId,
    imei: Imei,
}

impl Ours {
    /// Whether it can be what is listed under its id: an answer can bring another order's id.
    fn is(&self, told: &ProviderOrder) -> bool {
        told.imei.is_none_or(|imei| imei == self.imei)
    }
}

/// What was known, and when, as the first attempt of an order began that may have been taken.
pub(super) const FIRST_UNPROVEN: &str = "SELECT known_id, claimed_at FROM attempts WHERE order_id = ?1 AND verdict IN (0, 3, 4, 5, 6, 7) \
     ORDER BY n LIMIT 1";

/// How many of the listing's newest orders of ours are looked at to find the latest-begun one.
const WITNESSES: usize = 256;

impl<'a, 't> Judging<'a, 't> {
    pub(super) fn new(
        tx: &'a Tx<'t>,
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
            ids_fall: tx.fact(&books::ids_fall(account))?.is_some(),
        };
        judging.recognise_ours()?;
        Ok(judging)
    }

    fn recognise_ours(&mut self) -> Result<(), JournalError> {
        let mut others = BTreeSet::new();
        let known = self.known_titles()?;
        for told in self.listing {
            let found: Option<(i64, i64, i64)> = self.tx.find(
                "SELECT orders.id, orders.service, orders.imei FROM charges JOIN orders ON orders.id = charges.order_id \
                 WHERE charges.account = ?1 AND charges.provider_id = ?2",
                (self.account, books::provider_id(told.id)),
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?;
            let Some((order, service, imei)) = found else { continue };
            let Some(imei) = u64::try_from(imei).ok().and_then(Imei::from_u64) else { continue };
            let ours = Ours { order: OrderId(order), service: ServiceId(service), imei };
            self.ours.insert(told.id, ours);
            // One that is told to be another IMEI's or service's shows nothing of its own.
            if !ours.is(told) || known.anothers(ours.service, &told.package).is_some() {
                others.insert(told.id);
                continue;
            }
            self.titles.entry(ours.service).or_default().insert(told.package.clone());
            self.has_finished |= told.status != ProviderStatus::Pending;
        }
        let own = self.ours.iter().rev().filter(|(id, _)| !others.contains(id));
        let newest: Vec<OrderId> = own.take(WITNESSES).map(|(_, ours)| ours.order).collect();
        for order in newest {
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

    /// The titles of services, without what this listing tells.
    fn known_titles(&self) -> Result<Titles, JournalError> {
        let mut known = seen_titles(self.tx, self.account)?;
        for (service, titles) in &self.facts.titles {
            titles.iter().for_each(|title| known.list(*service, title));
        }
        Ok(known)
    }

    pub(super) fn run(&self) -> Result<usize, JournalError> {
        rest::note(self.tx, self.now, self.rules.quiet)?;
        let doubts = self.doubts()?;
        // Those whose id this very listing brings are held against the next one: what is booked now isn't in `ours`.
        let presumed: Vec<OrderId> = self.presumed()?.iter().map(|order| order.id).collect();
        let mut settled = 0usize;
        for mut order in doubts {
            if self.judge(&mut order)? {
                settled = settled.saturating_add(1);
            }
        }
        self.remember_in_flight()?;
        self.book_second_ids()?;
        self.turn_ended()?;
        for order in presumed {
            self.judge_presumed(&mut orders::load(self.tx, order)?)?;
        }
        self.tx.set_fact("listed_at", &self.facts.asked_at.millis().to_string())?;
        Ok(settled)
    }

    /// In doubt, ordered or held without an id, and queued after a release.
    fn doubts(&self) -> Result<Vec<Loaded>, JournalError> {
        let mut found = self.those(&format!("{UNSURE} AND provider_id IS NULL ORDER BY id"))?;
        found.extend(self.those("state = 0 AND inferred > 0 ORDER BY id")?);
        Ok(found)
    }

    /// With an id, and a charge presumed beside it. While an attempt of it is on its way nothing is judged.
    fn presumed(&self) -> Result<Vec<Loaded>, JournalError> {
        self.those("presumed > 0 AND charged > 0 AND provider_id IS NOT NULL AND state <> 1 ORDER BY rested_after, id")
    }

    /// The account's orders of which this is so.
    fn those(&self, which: &str) -> Result<Vec<Loaded>, JournalError> {
        let sql = format!("SELECT {COLUMNS} FROM orders WHERE {OF_ACCOUNT} AND {which}");
        let mut statement = self.tx.prepare(&sql)?;
        let found = statement.query_map([self.account], orders::read)?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Orders of its IMEI that are of no order of ours, their ids above what we knew then, of whatever service; each once.
    /// One whose id is booked for an order that it can't be is among them: an answer that brought another order's id
    /// doesn't make that order absent.
    fn same_imei(&self, order: &Loaded, known_id: i64) -> Vec<&'a ProviderOrder> {
        let mut seen = BTreeSet::new();
        self.listing
            .iter()
            .filter(|told| told.imei == Some(order.imei) && !self.is_booked_rightly(told, order))
            .filter(|told| books::provider_id(told.id) > known_id && seen.insert(told.id))
            .collect()
    }

    /// Whether what is listed of an order's IMEI is booked for an order that it can be: of this IMEI, and where that is
    /// another service's, not under a title of this one.
    fn is_booked_rightly(&self, told: &ProviderOrder, order: &Loaded) -> bool {
        let is_of_its_service =
            || self.titles.get(&order.service).is_some_and(|titles| titles.contains(&told.package));
        self.ours
            .get(&told.id)
            .is_some_and(|ours| ours.is(told) && (ours.service == order.service || !is_of_its_service()))
    }

    /// Those of them that are of its service, and can't be of another one's order.
    fn can_be(
        &self,
        order: &Loaded,
        same_imei: &[&'a ProviderOrder],
    ) -> Result<Vec<&'a ProviderOrder>, JournalError> {
        let titles = self.titles.get(&order.service);
        let mut can_be = Vec::new();
        for told in
            same_imei.iter().filter(|told| titles.is_some_and(|titles| titles.contains(&told.package)))
        {
            let is_booked = self.ours.contains_key(&told.id);
            if !is_booked && !self.may_be_anothers(order.service, order.imei, &told.package)? {
                can_be.push(*told);
            }
        }
        Ok(can_be)
    }

    /// Whether what is listed of this IMEI under this title may as well be the order of another service of ours, which
    /// has the same title, or one that isn't known: taken for the wrong one, the other would seem to be absent, and be
    /// sent again. That one has an order of the IMEI of which no id is known.
    fn may_be_anothers(&self, service: ServiceId, imei: Imei, title: &str) -> Result<bool, JournalError> {
        let mut statement = self.tx.prepare("SELECT id FROM services WHERE account = ?1 AND id <> ?2")?;
        let others = statement.query_map((self.account, service.0), |row| row.get(0).map(ServiceId))?;
        for other in others {
            let other = other?;
            if !self.may_be_called(other, title)? {
                continue;
            }
            for order in orders_of(self.tx, other, imei)? {
                if self.lacks_an_id(&order)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether the provider calls a service so, as far as is known: now, or at orders of ours before.
    fn may_be_called(&self, service: ServiceId, title: &str) -> Result<bool, JournalError> {
        let now = self.titles.get(&service);
        if now.is_some_and(|titles| titles.contains(title)) {
            return Ok(true);
        }
        let (known, same): (i64, i64) = self
            .tx
            .find(
                "SELECT count(*), coalesce(sum(title = ?2), 0) FROM titles WHERE service = ?1",
                (service.0, title.trim()),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .unwrap_or_default();
        Ok(same > 0 || (known == 0 && now.is_none()))
    }

    fn judge(&self, order: &mut Loaded) -> Result<bool, JournalError> {
        let Some((known_id, _)) = self.first_unproven(order)? else { return Ok(false) };
        let same_imei = self.same_imei(order, known_id);
        if !same_imei.is_empty() && self.has_older_without_id(order)? {
            return Ok(false);
        }
        let can_be = self.can_be(order, &same_imei)?;
        if !can_be.is_empty() {
            let ids: Vec<ProviderOrderId> = can_be.iter().map(|told| told.id).collect();
            order.first_given_back = !self.stood_at_once(order, &ids);
            let text = format!("{ids:?}");
            let telling = Telling { what: "listed", text: &text, via: "listed", quiet: false };
            let moved = orders::advance(self.tx, order, &Event::Listed(ids), self.now, self.rules, &telling)?;
            if let [one] = can_be[..]
                && one.status != ProviderStatus::Pending
                && order.life.state == State::Ordered
            {
                poll::keep(self.tx, (order.id, order.service), one, self.now)?;
                let telling = Telling { what: "status", text: &one.status_raw, via: "status", quiet: false };
                orders::advance(self.tx, order, &Event::Status(one.status), self.now, self.rules, &telling)?;
            }
            return Ok(moved.is_some());
        }
        if order.life.state != State::InDoubt {
            return Ok(false);
        }
        // An order of that IMEI whose service we can't name is neither this order nor its absence.
        let is_settled = same_imei.is_empty()
            && (self.note_absence(order, known_id)? || self.hold_out_of_reach(order, known_id)?);
        if !is_settled {
            self.tell_why_it_waits(order, known_id, !same_imei.is_empty())?;
        }
        Ok(is_settled)
    }

    /// Of an order whose id is known: where no other order of its IMEI is listed, what is presumed beside it isn't there.
    fn judge_presumed(&self, order: &mut Loaded) -> Result<(), JournalError> {
        let Some((known_id, _)) = self.first_unproven(order)? else { return Ok(()) };
        let is_alone = self.same_imei(order, known_id).is_empty();
        if !is_alone || order.life.presumed == 0 || !self.shows_all_of(order)? {
            return Ok(());
        }
        let Some(absence) =
            self.absence(order, known_id, "its id alone in a first whole and fresh listing")?
        else {
            return Ok(());
        };
        let text = "its id alone in two whole and fresh listings a quiet period apart";
        let telling = Telling { what: "cleared", text, via: "", quiet: false };
        orders::advance(self.tx, order, &Event::Cleared(absence), self.now, self.rules, &telling)?;
        Ok(())
    }

    /// Whether every charge that is booked for it is in the listing. One whose id isn't known can't be seen to be.
    fn shows_all_of(&self, order: &Loaded) -> Result<bool, JournalError> {
        let mut statement = self.tx.prepare("SELECT provider_id FROM charges WHERE order_id = ?1")?;
        let mut rows = statement.query([order.id.0])?;
        while let Some(row) = rows.next()? {
            let id = ProviderOrderId(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0));
            if !self.ours.contains_key(&id) {
                return Ok(false);
            }
        }
        Ok(order.life.charged == order.life.named)
    }

    /// Whether an older order of the key has a charge that an export told of, and no id: what is listed can be that one,
    /// and is then neither this order nor its absence.
    fn has_older_without_id(&self, order: &Loaded) -> Result<bool, JournalError> {
        let found = self.tx.find(
            "SELECT 1 FROM orders WHERE service = ?1 AND imei = ?2 AND current = 0 AND charged > named LIMIT 1",
            (order.service.0, i64::try_from(order.imei.as_u64()).unwrap_or(0)),
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }

    /// What we knew, and when, as the first unproven attempt began, or one whose charge an export told of: no id is known
    /// of either.
    fn first_unproven(&self, order: &Loaded) -> Result<Option<(i64, Timestamp)>, JournalError> {
        self.tx
            .find(FIRST_UNPROVEN, [order.id.0], |row| Ok((row.get(0)?, Timestamp::from_millis(row.get(1)?))))
    }

    fn note_absence(&self, order: &mut Loaded, known_id: i64) -> Result<bool, JournalError> {
        let Some(absence) = self.absence(order, known_id, "from a first whole and fresh listing")? else {
            return Ok(false);
        };
        let text = "from two whole and fresh listings a quiet period apart";
        let telling = Telling { what: "absent", text, via: "", quiet: false };
        Ok(orders::advance(self.tx, order, &Event::Absent(absence), self.now, self.rules, &telling)?
            .is_some())
    }

    /// What two listings a quiet period apart prove, this one being the second. Otherwise `None`; a first one that is as
    /// good is noted, in the words `first`.
    fn absence(&self, order: &Loaded, known_id: i64, first: &str) -> Result<Option<Absence>, JournalError> {
        if self.lacks(order, known_id)?.is_some() {
            return Ok(None);
        }
        let noted: Option<i64> = self
            .tx
            .find("SELECT absent_since FROM orders WHERE id = ?1", [order.id.0], |row| row.get(0))?
            .flatten();
        // One that seems to be from the future is from before the clock was set back.
        let Some(noted) = noted.filter(|noted| *noted <= self.facts.asked_at.millis()) else {
            self.tx.rest().absence_begins(order.id, self.rules.quiet);
            self.tx.execute_one(
                "an absence",
                "UPDATE orders SET absent_since = ?2 WHERE id = ?1",
                (order.id.0, self.facts.asked_at.millis()),
            )?;
            self.tx.event(self.now, Some(order.id), None, "absent", first)?;
            return Ok(None);
        };
        let twice = Timestamp::from_millis(noted).plus(self.rules.quiet) <= self.facts.asked_at
            && self.tx.rest().is_absent_for(order.id, self.rules.quiet);
        Ok(twice.then_some(Absence { twice, whole: true, reaches_back: true, fresh: true }))
    }

    /// Whether it was asked for after this doubt's quiet period, and an order of ours begun after that is in it.
    fn is_fresh(&self, order: &Loaded, known_id: i64) -> bool {
        let Some(since) = order.doubt_since else { return false };
        let quiet_until = since.plus(self.rules.quiet);
        if self.facts.asked_at < quiet_until {
            return false;
        }
        // One that seems to be begun after now, or knew less than the doubt did, is from before the clock was set back.
        // One that was entered before the doubt had rested is too old, whatever the clocks say.
        let Some(rested_after) = order.rested_after else { return false };
        self.witnesses.iter().any(|(begun, knew, entry)| {
            *begun >= quiet_until && *begun <= self.now && *knew >= known_id && *entry >= rested_after
        })
    }

    /// Whether an order of no order of ours is in it, young enough, whose IMEI can't be read: it can be any.
    fn has_unreadable(&self, known_id: i64) -> bool {
        let can_be_any = |told: &ProviderOrder| {
            told.imei.is_none() && books::provider_id(told.id) > known_id && !self.ours.contains_key(&told.id)
        };
        self.listing.iter().any(can_be_any)
    }
}
