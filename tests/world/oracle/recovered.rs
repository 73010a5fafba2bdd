//! What must hold of a copy that was put back, once a person did as he was told to and all has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::books::{Key, booked, paid_once, shown};
use super::nothing_is_stuck;
use crate::world::World;

/// What was shown to it of what its original did.
#[derive(Clone, Debug, Default)]
pub(crate) struct ToldOf {
    /// Keys that were not finished in an export that was read before anyone said that it goes on.
    pub(crate) unfinished: BTreeSet<Key>,
    /// Those of them that the copy knew as given back: its original had made them anew.
    pub(crate) made_anew: BTreeSet<Key>,
    /// All that the provider has was in an export, finished.
    pub(crate) all: bool,
    /// That one's dates could be placed.
    pub(crate) in_time: bool,
}

/// What its original sent is known to it as far as it was shown, and answered where an export told the answer.
pub(crate) fn check_recovered(world: &World, told: &ToldOf) {
    let view = &world.life.as_ref().unwrap().view;
    nothing_is_stuck(view);
    let booked = booked(world, view);
    let newest = newest(view);
    // Of an IMEI that someone ordered by hand too, his row may be the one that is remembered.
    let of_others = world.wire.orders().into_iter().filter(|order| world.wire.is_foreign(order.id));
    let of_others: BTreeSet<Key> = of_others.map(|order| (order.imei.as_u64(), order.network_id.0)).collect();
    for (key, paid) in paid_once(world) {
        let books = booked.get(&key).copied().unwrap_or_default();
        assert!(
            paid <= books.all() || !told.made_anew.contains(&key),
            "{} was shown as made anew, and isn't in the books: {books:?}, paid {paid} times",
            shown(&key)
        );
        // Other words that a person said to the original alone are lost with it.
        if world.anew.contains_key(&key) {
            continue;
        }
        // Where a probe pays twice its rows can't be told apart.
        let is_in_books = if world.may_pay_twice > 0 { 1 } else { paid } <= books.all();
        let was_taken = told.unfinished.contains(&key) && !of_others.contains(&key);
        assert!(is_in_books || !was_taken, "{} was shown unfinished, and isn't in the books", shown(&key));
        let is_remembered = newest.get(&key).is_some_and(|(state, has_result, _)| *state == 9 && *has_result);
        assert!(
            is_in_books || is_remembered || !told.all,
            "{} was sent by the original, and isn't known: {:?}",
            shown(&key),
            newest.get(&key)
        );
    }
    if told.all && told.in_time {
        answered(world, &newest);
    }
}

/// Keys that the copy knows as given back, and for which nothing more can be at the provider as far as it knows.
pub(crate) fn given_back(world: &World) -> BTreeSet<Key> {
    let view = &world.life.as_ref().unwrap().view;
    let sql = "SELECT imei, network_id FROM orders JOIN services ON services.id = orders.service WHERE current = 1 AND state = 7 \
               AND unaccounted + inferred + presumed = 0 AND NOT EXISTS (SELECT 1 FROM orders o JOIN attempts ON order_id = o.id \
               WHERE o.service = orders.service AND o.imei = orders.imei AND kind > 1)";
    let mut statement = view.prepare_cached(sql).unwrap();
    let keys =
        statement.query_map([], |row| Ok((u64::try_from(row.get::<_, i64>(0)?).unwrap(), row.get(1)?)));
    keys.unwrap().map(Result::unwrap).collect()
}

/// By key: the newest order's state, whether an export brought its result, and whether its id is known. Where a row can be
/// no attempt of it, which is told, it is as good as known.
fn newest(view: &Connection) -> BTreeMap<Key, (u8, bool, bool)> {
    let sql = "SELECT imei, network_id, state, has_result > 0, provider_id IS NOT NULL OR NOT EXISTS \
               (SELECT 1 FROM attempts WHERE order_id = orders.id AND verdict IN (0, 3, 4, 5, 6, 7) AND (kind <> 2 OR verdict = 3)) \
               FROM orders JOIN services ON services.id = orders.service WHERE current = 1";
    let mut statement = view.prepare_cached(sql).unwrap();
    let newest = statement.query_map([], |row| {
        let imei: i64 = row.get(0)?;
        Ok(((u64::try_from(imei).unwrap(), row.get(1)?), (row.get(2)?, row.get(3)?, row.get(4)?)))
    });
    newest.unwrap().map(Result::unwrap).collect()
}

/// Whatever the provider has one order of is answered: the export that has them all, finished, has that one's answer.
fn answered(world: &World, newest: &BTreeMap<Key, (u8, bool, bool)>) {
    let mut orders: BTreeMap<Key, Vec<bool>> = BTreeMap::new();
    for order in world.wire.orders() {
        let key = (order.imei.as_u64(), order.network_id.0);
        orders.entry(key).or_default().push(world.wire.is_foreign(order.id));
    }
    for (key, _) in orders
        .into_iter()
        .filter(|(key, are_foreign)| are_foreign[..] == [false] && !world.anew.contains_key(key))
    {
        if let Some((state @ (2 | 4 | 5), _, false)) = newest.get(&key) {
            panic!("{}: an export had its answer, and it is in state {state}", shown(&key));
        }
    }
}

/// Whether our own orders tell what the time zone of an export of all orders is: there are some that are known by their
/// ids, and none of another's can be taken for one of them. By a clock that was set nothing can be placed.
pub(crate) fn can_place(world: &World) -> bool {
    can_place_but(world, &BTreeSet::new())
}

/// Likewise, where orders of these keys are no witnesses.
pub(crate) fn can_place_but(world: &World, but: &BTreeSet<Key>) -> bool {
    let view = &world.life.as_ref().unwrap().view;
    let sql = "SELECT imei, network_id, provider_id, claimed_at, ended_at FROM orders \
         JOIN services ON services.id = orders.service JOIN attempts ON attempts.order_id = orders.id \
         WHERE charged = 1 AND unaccounted + presumed + inferred = 0 AND provider_id IS NOT NULL AND state IN (3, 6, 7) \
         AND verdict = 0 AND kind < 2 AND ended_at IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.service = orders.service AND o.imei = orders.imei AND o.id <> orders.id)";
    let mut statement = view.prepare_cached(sql).unwrap();
    let known = statement.query_map([], |row| {
        let (imei, network_id): (i64, String) = (row.get(0)?, row.get(1)?);
        Ok(((u64::try_from(imei).unwrap(), network_id), (row.get(2)?, row.get(3)?, row.get(4)?)))
    });
    let known: BTreeMap<Key, (i64, i64, i64)> = known.unwrap().map(Result::unwrap).collect();
    let mut can = false;
    for order in world.wire.orders() {
        let key = (order.imei.as_u64(), order.network_id.0);
        let Some((id, from, to)) = known.get(&key).filter(|_| !but.contains(&key)) else { continue };
        if u64::try_from(*id) != Ok(order.id.0) || !(*from..=*to).contains(&order.charged_at.millis()) {
            return false;
        }
        can = true;
    }
    can && !world.has_jumped
}
