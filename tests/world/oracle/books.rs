//! The journal's sums: its books beside the provider's, and what it keeps summed up beside a count made anew.

use std::collections::BTreeMap;

use imeid::simulator::{Entry, EntryKind};
use imeid::types::{Imei, ProviderOrderId};
use rusqlite::Connection;

use super::strings;
use crate::world::World;

/// An (IMEI, network id).
pub(crate) type Key = (u64, String);

/// What a batch's own orders were charged, or, where none of it is known, are presumed to be.
pub(super) fn cost_of(view: &Connection, batch: i64) -> i64 {
    let sql = "SELECT coalesce(sum(CASE WHEN c > 0 THEN c ELSE p END), 0) FROM (SELECT \
         (SELECT coalesce(sum(price), 0) FROM attempts WHERE order_id = o.id AND verdict = 0) AS c, \
         (SELECT coalesce(sum(price), 0) FROM attempts WHERE order_id = o.id AND verdict = 4) AS p \
         FROM orders o WHERE o.batch = ?1)";
    view.query_row(sql, [batch], |row| row.get(0)).unwrap()
}

/// What the journal says of a key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Booked {
    charged: i64,
    presumed: i64,
    reserved: i64,
}

impl Booked {
    pub(super) const fn all(self) -> i64 {
        self.charged + self.presumed + self.reserved
    }
}

pub(super) fn shown(key: &Key) -> String {
    format!("IMEI {} at service {}", Imei::from_u64(key.0).unwrap(), key.1)
}

/// The order that was charged, and what for.
fn charged_for(charge: &Entry) -> (ProviderOrderId, Key) {
    let order = charge.order.as_ref().unwrap();
    (order.id, (order.imei.as_u64(), order.network_id.0.clone()))
}

/// Nobody paid twice, or more than this world lets him: what is paid for again was given back, and a person wanted it. How
/// often the provider charged what we sent.
pub(super) fn paid_once(world: &World) -> BTreeMap<Key, i64> {
    let mut ours: BTreeMap<Key, i64> = BTreeMap::new();
    let mut stand: BTreeMap<Key, i64> = BTreeMap::new();
    // The most that stood at once.
    let mut most: BTreeMap<Key, i64> = BTreeMap::new();
    for entry in world.wire.entries().into_iter().filter(|entry| entry.order.is_some()) {
        let (id, key) = charged_for(&entry);
        if world.wire.is_foreign(id) {
            continue;
        }
        let standing = stand.entry(key.clone()).or_default();
        match entry.kind {
            EntryKind::Charge => {
                *standing += 1;
                let stood = most.entry(key.clone()).or_default();
                *stood = (*stood).max(*standing);
                *ours.entry(key).or_default() += 1;
            }
            EntryKind::Refund => *standing -= 1,
            _ => {}
        }
    }
    let mut beyond = 0;
    for (key, paid) in &ours {
        let anew = world.anew.get(key).copied().unwrap_or(0);
        // A probe that finds the order given back is a new one to a provider that takes those again.
        let allowed = if world.provider.reorder_rejected { *paid } else { 1 + anew };
        let stood = most.get(key).copied().unwrap_or(0);
        let twice = (paid - allowed).max(stood - 1).max(0);
        beyond += twice;
        assert!(twice == 0 || beyond <= world.may_pay_twice, "{}: PAID {paid} TIMES", shown(key));
    }
    ours
}

/// The journal's books cover the provider's, charge for charge, and nobody paid twice.
pub(super) fn money(world: &World, view: &Connection) {
    let (booked, unseen) = (booked(world, view), given_back_unseen(world, view));
    for (key, paid) in &paid_once(world) {
        let books = booked.get(key).copied().unwrap_or_default();
        let paid = paid - unseen.get(key).copied().unwrap_or(0);
        assert!(
            paid <= books.all() || world.is_lied_to,
            "{}: charged {paid} times, the books know of {books:?}",
            shown(key)
        );
    }
    if !world.is_misled {
        owners(world, view);
    }
}

/// Charges that the books needn't have: where the provider takes an IMEI again that it gave back, a probe can be charged
/// when the money of an attempt before it, whose answer was lost, has come back already. One stands, and one is presumed.
/// What is booked under an id is never among them.
fn given_back_unseen(world: &World, view: &Connection) -> BTreeMap<Key, i64> {
    let mut unseen = BTreeMap::new();
    if !world.provider.reorder_rejected {
        return unseen;
    }
    let mut known = view
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM charges WHERE account = ?1 AND provider_id = ?2)")
        .unwrap();
    for entry in world.wire.entries().into_iter().filter(|entry| entry.kind == EntryKind::Refund) {
        let (id, key) = charged_for(&entry);
        let is_known: bool =
            known.query_row((world.knobs.account, i64::try_from(id.0).unwrap()), |row| row.get(0)).unwrap();
        if !is_known && !world.wire.is_foreign(id) {
            *unseen.entry(key).or_default() += 1;
        }
    }
    unseen
}

/// What the journal has of each key of the configured account.
pub(super) fn booked(world: &World, view: &Connection) -> BTreeMap<Key, Booked> {
    let mut booked: BTreeMap<Key, Booked> = BTreeMap::new();
    let mut statement = view
        .prepare_cached(
            "SELECT o.imei, s.network_id, sum(o.charged), sum(o.presumed), sum(o.unaccounted + (o.state = 1)) \
             FROM orders o JOIN services s ON s.id = o.service WHERE s.account = ?1 GROUP BY 1, 2",
        )
        .unwrap();
    let mut rows = statement.query([world.knobs.account]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let key = (u64::try_from(row.get::<_, i64>(0).unwrap()).unwrap(), row.get(1).unwrap());
        let books = Booked {
            charged: row.get(2).unwrap(),
            presumed: row.get(3).unwrap(),
            reserved: row.get(4).unwrap(),
        };
        booked.insert(key, books);
    }
    booked
}

/// Every id of the configured account is booked for what the provider charged under it.
pub(super) fn owners(world: &World, view: &Connection) {
    let charges = world.wire.entries().into_iter().filter(|entry| entry.kind == EntryKind::Charge);
    let owner: BTreeMap<ProviderOrderId, Key> = charges.map(|entry| charged_for(&entry)).collect();
    let mut statement = view
        .prepare_cached(
            "SELECT c.provider_id, o.imei, s.network_id FROM charges c JOIN orders o ON o.id = c.order_id \
             JOIN services s ON s.id = o.service WHERE s.account = ?1",
        )
        .unwrap();
    let mut rows = statement.query([world.knobs.account]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let id = ProviderOrderId(u64::try_from(row.get::<_, i64>(0).unwrap()).unwrap());
        let key = (u64::try_from(row.get::<_, i64>(1).unwrap()).unwrap(), row.get(2).unwrap());
        assert_eq!(owner.get(&id), Some(&key), "order {id} is booked for another than the provider's");
    }
}

/// `totals` are the sums of `ledger`, and both what the attempts say.
pub(super) fn books(view: &Connection) {
    let mut lines = BTreeMap::<(i64, i64), (i64, i64, i64, &'static str)>::new();
    let mut refunds = BTreeMap::<(&'static str, i64), i64>::new();
    // An order's money stands where the order belongs now: the first row that comes for one of an older copy adopts it.
    let sql = "SELECT order_id, n, orders.batch, day, kind, micros FROM ledger JOIN orders ON orders.id = order_id \
               ORDER BY ledger.id";
    let mut statement = view.prepare_cached(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let number = |at| row.get::<_, i64>(at).unwrap();
        let (attempt, batch, day, micros) = ((number(0), number(1)), number(2), number(3), number(5));
        let stands = match row.get::<_, String>(4).unwrap().as_str() {
            "reserve" => "reserved",
            "presume" => "presumed",
            "charge" => "charged",
            "release" | "unpresume" => "",
            kind @ ("refund_due" | "refund_void") => {
                let sign = if kind == "refund_due" { 1 } else { -1 };
                for key in [("day", day), ("batch", batch)] {
                    *refunds.entry(key).or_default() += sign * micros;
                }
                continue;
            }
            other => panic!("the ledger knows {other}"),
        };
        lines.insert(attempt, (batch, day, micros, stands));
    }
    let mut sums = BTreeMap::<(&str, i64, &str), i64>::new();
    for (batch, day, micros, stands) in lines.values().copied().filter(|line| !line.3.is_empty()) {
        for (scope, key) in [("day", day), ("batch", batch)] {
            *sums.entry((scope, key, stands)).or_default() += micros;
        }
    }
    sums.extend(
        refunds
            .iter()
            .filter(|(_, sum)| **sum != 0)
            .map(|((scope, key), sum)| ((*scope, *key, "refund"), *sum)),
    );
    let mut kept = BTreeMap::new();
    let mut statement =
        view.prepare_cached("SELECT scope, key, reserved, presumed, charged, refund FROM totals").unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let scope = if row.get::<_, String>(0).unwrap() == "day" { "day" } else { "batch" };
        for (at, column) in ["reserved", "presumed", "charged", "refund"].into_iter().enumerate() {
            let sum: i64 = row.get(at + 2).unwrap();
            if sum != 0 {
                kept.insert((scope, row.get::<_, i64>(1).unwrap(), column), sum);
            }
        }
    }
    assert_eq!(kept, sums, "totals and the ledger");
    let sql = "SELECT 'order ' || order_id || ', attempt ' || n FROM attempts WHERE price > 0 AND day = 0";
    let of_no_day = strings(view, sql);
    assert!(of_no_day.is_empty(), "attempts that no day's cap counts: {of_no_day:?}");
    let differing = strings(
        view,
        "SELECT 'order ' || o.id FROM orders o WHERE (o.unaccounted, o.inferred, o.presumed, o.charged, o.state = 1) IS NOT \
         (SELECT (coalesce(sum(verdict = 3), 0)), coalesce(sum(verdict IN (5, 6, 7)), 0), coalesce(sum(verdict = 4), 0), \
          coalesce(sum(verdict = 0), 0), coalesce(sum(verdict IS NULL), 0) FROM attempts WHERE order_id = o.id)",
    );
    assert!(differing.is_empty(), "orders that differ from their attempts: {differing:?}");
    let nameless = strings(
        view,
        "SELECT 'order ' || id FROM orders WHERE named <> (SELECT count(*) FROM charges WHERE order_id = orders.id) \
         OR provider_id IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM charges WHERE order_id = orders.id AND charges.provider_id = orders.provider_id)",
    );
    assert!(nameless.is_empty(), "orders whose ids aren't those that are booked: {nameless:?}");
}

/// `tallies` are a count of the rows.
pub(super) fn tallies(view: &Connection) {
    let counted = strings(
        view,
        "SELECT batch || ' ' || state || ' ' || link || ' ' || count(*) AS line FROM (SELECT r.id >> 32 AS batch, r.link AS link, \
         CASE WHEN o.id IS NULL THEN 100 WHEN r.link = 4 THEN 10 WHEN o.state <> 9 THEN o.state WHEN o.earlier IS NOT NULL OR o.has_result = 1 THEN 101 \
         WHEN o.has_result = 2 THEN 7 ELSE 9 END AS state FROM rows r LEFT JOIN orders o ON o.id = r.order_id) \
         GROUP BY batch, state, link ORDER BY line",
    );
    let kept = strings(
        view,
        "SELECT batch || ' ' || state || ' ' || link || ' ' || n AS line FROM tallies WHERE n > 0 ORDER BY line",
    );
    assert_eq!(kept, counted, "tallies and a count (batch, state, link, rows)");
}
