//! What must hold after every step, told by the provider's books and by counting the journal's rows anew.

use std::collections::BTreeMap;
use std::fs;
use std::hash::Hasher;
use std::path::Path;
use std::time::Duration;

use imeid::simulator::EntryKind;
use imeid::types::{Imei, Money, ProviderOrderId};
use rusqlite::{Connection, OpenFlags};

use super::files::Dropped;
use super::outbox;
use super::{World, points};

/// An (IMEI, network id).
type Key = (u64, String);

/// Everything that must hold while a process runs.
pub(crate) fn check(world: &mut World) {
    files(world);
    let Some(life) = &world.life else { return };
    money(world, &life.view);
    books(&life.view);
    tallies(&life.view);
    rows(world);
    nothing_illegal(&life.view);
    proofs(&life.view);
    its_own_stamp(&life.view);
    ages(world);
    assert_eq!(world.wire.raced(), None, "two requests for one IMEI raced each other");
    outbox::check(world);
}

/// What must hold after a clean stop: nothing is left to be found in flight.
pub(crate) fn check_stopped(journal: &Path) {
    let view = Connection::open_with_flags(journal, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let in_flight = strings(&view, "SELECT 'order ' || id FROM orders WHERE state = 1");
    assert!(in_flight.is_empty(), "in flight after a clean stop: {in_flight:?}");
}

/// What must hold besides once faults are over and time went on.
pub(crate) fn check_rest(world: &World) {
    let view = &world.life.as_ref().unwrap().view;
    for (name, (id, file)) in outbox::batches(world) {
        let state: i64 =
            view.query_row("SELECT state FROM batches WHERE id = ?1", [id], |row| row.get(0)).unwrap();
        assert!([3, 4].contains(&state), "batch {name} is in state {state}: never published");
        let path = |kind: &str| world.outbox().join(format!("{name}.{kind}.csv"));
        let again = (2..).map(|n| path(&format!("settled-{n}"))).take_while(|path| path.exists()).last();
        let last = again.into_iter().chain([path("settled"), path("results")]).find(|path| path.exists());
        let lines = outbox::read(world, &last.unwrap_or_else(|| panic!("{name} has no result")), &file);
        let open = ["queued", "submitting", "in_doubt", "ordered"];
        if state == 4 {
            assert!(
                lines.iter().all(|line| !open.contains(&line.status.as_str())),
                "{name} is done: {lines:?}"
            );
            let cost = lines.iter().map(|line| line.cost.micros()).sum::<i64>();
            assert_eq!(cost, cost_of(view, id), "the costs in {name}'s result");
        }
    }
    let stuck = strings(
        view,
        "SELECT 'order ' || id || ' in state ' || state || ' (imei ' || imei || ')' FROM orders WHERE state < 6 AND NOT \
         (state = 5 AND EXISTS (SELECT 1 FROM events WHERE order_id = orders.id AND detail LIKE '%-> held: _%'))",
    );
    assert!(stuck.is_empty(), "stuck without a reason: {stuck:?}");
    let waiting = world.dropped.iter().filter(|file| !file.refused).count();
    let taken = outbox::batches(world).len();
    assert!(taken >= waiting, "{waiting} files were dropped, {taken} taken");
}

/// Whether everything is published, and every order settled or held.
pub(crate) fn is_at_rest(world: &World) -> bool {
    let view = &world.life.as_ref().unwrap().view;
    let open =
        "SELECT 1 FROM batches WHERE state NOT IN (3, 4) UNION ALL SELECT 1 FROM orders WHERE state < 5";
    let files = world.dropped.len();
    let known = "SELECT 1 FROM batches UNION ALL SELECT 1 FROM refusals";
    strings(view, open).is_empty() && strings(view, known).len() >= files
}

/// What a batch's own orders were charged, or, where none of it is known, are presumed to be.
fn cost_of(view: &Connection, batch: i64) -> i64 {
    let sql = "SELECT coalesce(sum(CASE WHEN c > 0 THEN c ELSE p END), 0) FROM (SELECT \
         (SELECT coalesce(sum(price), 0) FROM attempts WHERE order_id = o.id AND verdict = 0) AS c, \
         (SELECT coalesce(sum(price), 0) FROM attempts WHERE order_id = o.id AND verdict = 4) AS p \
         FROM orders o WHERE o.batch = ?1)";
    view.query_row(sql, [batch], |row| row.get(0)).unwrap()
}

/// No input byte is deleted, and no file is doubled but by a power cut.
fn files(world: &World) {
    let mut there = Vec::new();
    for folder in ["inbox", "archive", "rejected"] {
        gather(&world.root().join(folder), &mut there);
    }
    for Dropped { name, text, .. } in &world.dropped {
        let copies = there.iter().filter(|content| content.as_slice() == text.as_bytes()).count();
        assert!(copies == 1 || (world.loses && copies > 1), "{name} is there {copies} times");
    }
}

fn gather(folder: &Path, into: &mut Vec<Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            gather(&entry.path(), into);
        } else {
            into.push(fs::read(entry.path()).unwrap());
        }
    }
}

/// What the journal says of a key.
#[derive(Clone, Copy, Debug, Default)]
struct Booked {
    charged: i64,
    presumed: i64,
    reserved: i64,
}

/// The journal's books cover the provider's, charge for charge, and nobody paid twice.
fn money(world: &World, view: &Connection) {
    let mut ours: BTreeMap<Key, i64> = BTreeMap::new();
    let mut owner: BTreeMap<ProviderOrderId, Key> = BTreeMap::new();
    for entry in world.wire.entries().into_iter().filter(|entry| entry.kind == EntryKind::Charge) {
        let order = entry.order.unwrap();
        let key = (order.imei.as_u64(), order.network_id.0);
        owner.insert(order.id, key.clone());
        if !world.wire.is_foreign(order.id) {
            *ours.entry(key).or_default() += 1;
        }
    }
    let mut booked: BTreeMap<Key, Booked> = BTreeMap::new();
    let mut statement = view
        .prepare_cached(
            "SELECT o.imei, s.network_id, sum(o.charged), sum(o.presumed), sum(o.unaccounted + (o.state = 1)) \
             FROM orders o JOIN services s ON s.id = o.service GROUP BY 1, 2",
        )
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let key = (u64::try_from(row.get::<_, i64>(0).unwrap()).unwrap(), row.get(1).unwrap());
        let books = Booked {
            charged: row.get(2).unwrap(),
            presumed: row.get(3).unwrap(),
            reserved: row.get(4).unwrap(),
        };
        booked.insert(key, books);
    }
    for (key, paid) in &ours {
        let shown = format!("IMEI {} at service {}", Imei::from_u64(key.0).unwrap(), key.1);
        let books = booked.get(key).copied().unwrap_or_default();
        assert!(
            *paid <= books.charged + books.presumed + books.reserved || world.is_lied_to,
            "{shown}: charged {paid} times, the books know of {books:?}"
        );
        assert!(*paid <= 1 || world.pays_twice, "{shown}: PAID {paid} TIMES");
    }
    let mut statement = view
        .prepare_cached(
            "SELECT c.provider_id, o.imei, s.network_id FROM charges c JOIN orders o ON o.id = c.order_id \
             JOIN services s ON s.id = o.service",
        )
        .unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let id = ProviderOrderId(u64::try_from(row.get::<_, i64>(0).unwrap()).unwrap());
        let key = (u64::try_from(row.get::<_, i64>(1).unwrap()).unwrap(), row.get(2).unwrap());
        assert_eq!(owner.get(&id), Some(&key), "order {id} is booked for another than the provider's");
    }
}

/// `totals` are the sums of `ledger`, and both what the attempts say.
fn books(view: &Connection) {
    let mut lines = BTreeMap::<(i64, i64), (i64, i64, i64, &'static str)>::new();
    let mut refunds = BTreeMap::<(&'static str, i64), i64>::new();
    let mut statement =
        view.prepare_cached("SELECT order_id, n, batch, day, kind, micros FROM ledger ORDER BY id").unwrap();
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
}

/// `tallies` are a count of the rows.
fn tallies(view: &Connection) {
    let counted = strings(
        view,
        "SELECT batch || ' ' || state || ' ' || link || ' ' || count(*) AS line FROM (SELECT r.id >> 32 AS batch, r.link AS link, \
         CASE WHEN o.id IS NULL THEN 100 WHEN o.state <> 9 THEN o.state WHEN o.earlier IS NOT NULL OR o.has_result = 1 THEN 101 \
         WHEN o.has_result = 2 THEN 7 ELSE 9 END AS state FROM rows r LEFT JOIN orders o ON o.id = r.order_id) \
         GROUP BY batch, state, link ORDER BY line",
    );
    let kept = strings(
        view,
        "SELECT batch || ' ' || state || ' ' || link || ' ' || n AS line FROM tallies WHERE n > 0 ORDER BY line",
    );
    assert_eq!(kept, counted, "tallies and a count (batch, state, link, rows)");
}

/// Every row of every accepted file is there before anything of it may be sent.
fn rows(world: &World) {
    let view = &world.life.as_ref().unwrap().view;
    let batches = strings(view, "SELECT 1 FROM batches");
    if batches.is_empty() {
        return;
    }
    for (name, (id, file)) in outbox::batches(world) {
        let (state, rows): (i64, i64) = view
            .query_row(
                "SELECT state, (SELECT count(*) FROM rows WHERE rows.id >> 32 = batches.id) FROM batches WHERE id = ?1",
                [id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        assert!(
            state == 0 || rows == i64::try_from(file.lines.len()).unwrap(),
            "{name} has {rows} of {} rows",
            file.lines.len()
        );
    }
    let early = strings(
        view,
        "SELECT 'order ' || o.id FROM orders o JOIN batches b ON b.id = o.batch WHERE b.state = 0 AND o.attempts > 0",
    );
    assert!(early.is_empty(), "sent before its file was journaled: {early:?}");
}

/// No copy is put back here: whatever a crash left, its own stamp is never ahead of the journal.
fn its_own_stamp(view: &Connection) {
    let taken = strings(view, "SELECT value FROM facts WHERE key = 'was_copy'");
    assert!(taken.is_empty(), "taken for an older copy of {taken:?}");
}

/// No event that the table of an order's life has no row for.
fn nothing_illegal(view: &Connection) {
    let alarms = strings(view, "SELECT text FROM alarms WHERE name IN ('illegal_event', 'journal')");
    assert!(alarms.is_empty(), "alarms: {alarms:?}");
}

/// What proves that an order exists, and what carries its result, is never pruned, nor anything of an order in work.
fn proofs(view: &Connection) {
    let unproven = strings(
        view,
        "SELECT 'order ' || order_id || ' attempt ' || n FROM charges WHERE via = 'placed' AND n IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM answers a WHERE a.order_id = charges.order_id AND a.n = charges.n AND a.kind = 'placed')",
    );
    assert!(unproven.is_empty(), "charged without the answer that says so: {unproven:?}");
    let bare = strings(
        view,
        "SELECT 'order ' || id FROM orders WHERE state IN (6, 7) AND NOT EXISTS \
         (SELECT 1 FROM answers WHERE order_id = orders.id AND kind IN ('status', 'export'))",
    );
    assert!(bare.is_empty(), "results without the answer that carries them: {bare:?}");
    let early = strings(
        view,
        "SELECT 'order ' || order_id FROM events JOIN orders ON orders.id = order_id WHERE what = 'answers pruned' AND state < 6",
    );
    assert!(early.is_empty(), "pruned while in work: {early:?}");
}

/// Nothing ends for its age by the clock's word alone: an order is given up after many questions that were answered, a doubt
/// held after as much real time, but for an hour each time that the clock was set ahead.
fn ages(world: &mut World) {
    let (now, set_ahead) = (world.time.now(), world.set_ahead);
    let Some(life) = &world.life else { return };
    let in_doubt = numbers(&life.view, "SELECT id, 0 FROM orders WHERE state = 2");
    let too_old = numbers(
        &life.view,
        "SELECT order_id, 0 FROM events WHERE what = 'held' AND detail LIKE '%nothing settled it in time'",
    );
    let given_up = numbers(
        &life.view,
        "SELECT orders.id, provider_id FROM events JOIN orders ON orders.id = order_id WHERE what = 'given up'",
    );
    for (order, _) in in_doubt {
        world.doubted.entry(order).or_insert(now);
    }
    for (order, _) in too_old {
        let waited = world.doubted.get(&order).map_or(Duration::ZERO, |since| now.since(*since));
        let at_least =
            Duration::from_secs(24 * 3_600).saturating_sub(Duration::from_secs(3_600) * (set_ahead + 1));
        assert!(waited >= at_least, "order {order} is too old after {waited:?}");
    }
    for (order, id) in given_up {
        let asked = world.wire.asked(ProviderOrderId(u64::try_from(id).unwrap()));
        assert!(asked >= 100, "order {order} was given up after {asked} questions");
    }
}

fn numbers(view: &Connection, sql: &str) -> Vec<(i64, i64)> {
    let mut statement = view.prepare_cached(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// How often the provider charged each of our IMEIs, and how often we have it as charged.
fn paid_and_booked(world: &World) -> Vec<(usize, usize)> {
    let view = &world.life.as_ref().unwrap().view;
    let mut paid: BTreeMap<u64, usize> = BTreeMap::new();
    for entry in world.wire.entries().into_iter().filter(|entry| entry.kind == EntryKind::Charge) {
        *paid.entry(entry.order.unwrap().imei.as_u64()).or_default() += 1;
    }
    let booked = |imei: u64| {
        let sql = "SELECT coalesce(sum(charged), 0) FROM orders WHERE imei = ?1";
        let booked: i64 = view.query_row(sql, [i64::try_from(imei).unwrap()], |row| row.get(0)).unwrap();
        usize::try_from(booked).unwrap()
    };
    paid.into_iter().map(|(imei, paid)| (paid, booked(imei))).collect()
}

/// Whether every charge of the provider's is booked as one.
pub(crate) fn is_all_booked(world: &World) -> bool {
    paid_and_booked(world).into_iter().all(|(paid, booked)| paid == booked)
}

/// Whether the provider charged an IMEI more than once.
pub(crate) fn is_paid_twice(world: &World) -> bool {
    paid_and_booked(world).into_iter().any(|(paid, _)| paid > 1)
}

/// How many such alarms there were.
pub(crate) fn alarms(world: &World, which: &str) -> usize {
    let view = &world.life.as_ref().unwrap().view;
    strings(view, &format!("SELECT text FROM alarms WHERE {which}")).len()
}

/// How many orders had answers pruned.
pub(crate) fn pruned(world: &World) -> usize {
    let view = &world.life.as_ref().unwrap().view;
    strings(view, "SELECT DISTINCT order_id FROM events WHERE what = 'answers pruned'").len()
}

fn strings(view: &Connection, sql: &str) -> Vec<String> {
    let mut statement = view.prepare_cached(sql).unwrap();
    let rows = statement.query_map([], |row| {
        let value: rusqlite::types::Value = row.get(0)?;
        Ok(match value {
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// What the journal tells of this world, for whoever reads a failure.
pub(crate) fn story(world: &World) -> String {
    let Some(life) = &world.life else { return String::new() };
    let events = "SELECT 'event ' || at || ' order ' || coalesce(order_id, '-') || ' batch ' || coalesce(batch, '-') || ' ' || \
         what || ': ' || detail FROM events ORDER BY id";
    let attempts = "SELECT 'order ' || order_id || ' imei ' || imei || ' attempt ' || n || ' kind ' || kind || ' claimed ' || \
         claimed_at || ' ended ' || coalesce(ended_at, '-') || ' verdict ' || coalesce(verdict, '-') || ' state ' || state \
         FROM attempts JOIN orders ON orders.id = order_id ORDER BY claimed_at";
    let mut lines = strings(&life.view, events);
    lines.extend(strings(&life.view, attempts));
    lines.extend(world.wire.entries().iter().filter_map(|entry| {
        let order = entry.order.as_ref()?;
        Some(format!("provider {:?} {} {} {}", entry.kind, entry.at.millis(), order.id, order.imei))
    }));
    lines.join("\n")
}

/// The kinds of things that happened to orders: what was told, and where it led.
pub(crate) fn kinds(world: &World) -> Vec<String> {
    let view = &world.life.as_ref().unwrap().view;
    strings(
        view,
        "SELECT DISTINCT what || ' ' || CASE WHEN instr(detail, ' -> ') = 0 THEN '' WHEN instr(detail, ':') = 0 THEN detail \
         ELSE substr(detail, 1, instr(detail, ':') - 1) END FROM events WHERE order_id IS NOT NULL",
    )
}

/// All that happened in this world, as one number.
pub(crate) fn digest(world: &World) -> u64 {
    let view = &world.life.as_ref().unwrap().view;
    let mut hash = std::hash::DefaultHasher::new();
    for line in &world.log {
        hash.write(line.as_bytes());
    }
    for sql in [
        "SELECT at || what || coalesce(order_id, '-') || coalesce(batch, '-') || detail FROM events ORDER BY id",
        "SELECT at || order_id || kind || micros || n FROM ledger ORDER BY id",
        "SELECT id || imei || state || attempts || coalesce(provider_id, '-') || coalesce(done_at, '-') FROM orders ORDER BY id",
    ] {
        strings(view, sql).iter().for_each(|line| hash.write(line.as_bytes()));
    }
    for entry in world.wire.entries() {
        hash.write_i64(entry.at.millis());
        hash.write_i64(entry.amount.micros());
    }
    hash.write_usize(points::passed());
    hash.finish()
}

/// What is charged in the journal.
pub(crate) fn charged(world: &World) -> Money {
    let view = &world.life.as_ref().unwrap().view;
    let sum = "SELECT coalesce(sum(charged), 0) FROM totals WHERE scope = 'batch'";
    Money::from_micros(view.query_row(sum, [], |row| row.get(0)).unwrap())
}
