//! What must hold after every step, told by the provider's books and by counting the journal's rows anew.

mod books;
pub(crate) mod recovered;

use std::collections::BTreeMap;
use std::fs;
use std::hash::Hasher;
use std::path::Path;
use std::time::Duration;

use imeid::simulator::EntryKind;
use imeid::types::{Money, ProviderOrderId};
use rusqlite::{Connection, OpenFlags};

use super::files::Dropped;
use super::outbox;
use super::{World, points, words};
pub(crate) use books::Key;
use books::{books, cost_of, money, owners, paid_once, tallies};
pub(crate) use recovered::{ToldOf, can_place, can_place_but, given_back};

/// Everything that must hold while a process runs.
pub(crate) fn check(world: &mut World) {
    files(world);
    words::standstill(world);
    words::count_anew(world);
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

/// What must hold where there are several accounts: of the configured one's orders as they are at the provider, and of the
/// journal as a whole.
pub(crate) fn check_account(world: &mut World) {
    words::standstill(world);
    words::count_anew(world);
    let Some(life) = &world.life else { return };
    money(world, &life.view);
    books(&life.view);
    tallies(&life.view);
    nothing_illegal(&life.view);
    proofs(&life.view);
    its_own_stamp(&life.view);
    accounts_are_known(&life.view);
    assert_eq!(world.wire.raced(), None, "two requests for one IMEI raced each other");
}

/// Whatever was sent under an account, the provider that the account stands for was noted before.
fn accounts_are_known(view: &Connection) {
    let unknown = strings(
        view,
        "SELECT DISTINCT account FROM services JOIN orders ON orders.service = services.id WHERE attempts > 0 \
         AND NOT EXISTS (SELECT 1 FROM facts WHERE key = 'base_url:' || account)",
    );
    assert!(unknown.is_empty(), "sent, and whose account it is isn't noted: {unknown:?}");
}

/// What must hold of a copy that was put back: its books are in themselves right, and nobody paid twice.
pub(crate) fn check_copy(world: &mut World) {
    words::standstill(world);
    words::count_anew(world);
    paid_once(world);
    let Some(life) = &world.life else { return };
    owners(world, &life.view);
    books(&life.view);
    tallies(&life.view);
    nothing_illegal(&life.view);
    proofs(&life.view);
}

/// What must hold after a clean stop: nothing is left to be found in flight.
pub(crate) fn check_stopped(journal: &Path) {
    let view = Connection::open_with_flags(journal, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let in_flight = strings(&view, "SELECT 'order ' || id FROM orders WHERE state = 1");
    assert!(in_flight.is_empty(), "in flight after a clean stop: {in_flight:?}");
}

/// What must hold besides once faults are over and time went on.
pub(crate) fn check_rest(world: &World) {
    check_results(world);
    nothing_is_stuck(&world.life.as_ref().unwrap().view);
    let waiting = world.dropped.iter().filter(|file| !file.refused).count();
    let taken = outbox::batches(world).len();
    assert!(taken >= waiting, "{waiting} files were dropped, {taken} taken");
}

/// Every batch is out, its newest result says what the journal does, and its costs are what its orders cost.
pub(crate) fn check_results(world: &World) {
    let view = &world.life.as_ref().unwrap().view;
    for (name, (id, file)) in outbox::batches(world) {
        let state: i64 =
            view.query_row("SELECT state FROM batches WHERE id = ?1", [id], |row| row.get(0)).unwrap();
        assert!([3, 4, 5].contains(&state), "batch {name} is in state {state}: never published");
        let path = |kind: &str| world.outbox().join(format!("{name}.{kind}.csv"));
        let again = (2..).map(|n| path(&format!("settled-{n}"))).take_while(|path| path.exists()).last();
        let last = again.into_iter().chain([path("settled"), path("results")]).find(|path| path.exists());
        let last = last.unwrap_or_else(|| panic!("{name} has no result"));
        let lines = outbox::read(world, &last, &file);
        let open = ["queued", "submitting", "in_doubt", "ordered"];
        if state > 3 {
            assert!(
                lines.iter().all(|line| !open.contains(&line.status.as_str())),
                "{name} is done: {lines:?}"
            );
            let cost = lines.iter().map(|line| line.cost.micros()).sum::<i64>();
            assert_eq!(cost, cost_of(view, id), "the costs in {name}'s result");
            outbox::is_newest_of_all(world, &last, id);
        }
    }
}

/// What isn't settled is held, and says why.
fn nothing_is_stuck(view: &Connection) {
    let stuck = strings(
        view,
        "SELECT 'order ' || id || ' in state ' || state || ' (imei ' || imei || ')' FROM orders WHERE state < 6 AND NOT \
         (state = 5 AND EXISTS (SELECT 1 FROM events WHERE order_id = orders.id AND detail LIKE '%-> held: _%'))",
    );
    assert!(stuck.is_empty(), "stuck without a reason: {stuck:?}");
}

/// Whether everything is published, and every order settled or held.
pub(crate) fn is_at_rest(world: &World) -> bool {
    let view = &world.life.as_ref().unwrap().view;
    let files = world.dropped.len();
    let known = "SELECT 1 FROM batches UNION ALL SELECT 1 FROM refusals";
    is_settled(view) && strings(view, known).len() >= files
}

/// How many orders of the configured account are neither settled nor held.
pub(crate) fn open(world: &World) -> usize {
    let open = format!(
        "SELECT 1 FROM orders JOIN services ON services.id = orders.service WHERE state < 5 AND account = '{}'",
        world.knobs.account
    );
    strings(&world.life.as_ref().unwrap().view, &open).len()
}

/// The other accounts' orders, as far as an answer of the configured one's could change them.
pub(crate) fn of_other_accounts(world: &World) -> Vec<String> {
    let sql = format!(
        "SELECT 'order ' || orders.id || ' imei ' || imei || ' state ' || state || ' id ' || coalesce(provider_id, '-') || \
         ' attempts ' || attempts || ' charged ' || charged || ' presumed ' || presumed || ' unaccounted ' || unaccounted || \
         ' inferred ' || inferred FROM orders JOIN services ON services.id = orders.service WHERE account <> '{}'",
        world.knobs.account
    );
    strings(&world.life.as_ref().unwrap().view, &sql)
}

/// Whether every order of the configured account is settled or held.
pub(crate) fn is_account_at_rest(world: &World) -> bool {
    open(world) == 0 && world.is_inbox_empty()
}

/// Likewise of a copy that was put back, which knows only of some files.
pub(crate) fn is_copy_at_rest(world: &World) -> bool {
    is_settled(&world.life.as_ref().unwrap().view) && world.is_inbox_empty()
}

fn is_settled(view: &Connection) -> bool {
    let open =
        "SELECT 1 FROM batches WHERE state NOT IN (3, 4, 5) UNION ALL SELECT 1 FROM orders WHERE state < 5";
    strings(view, open).is_empty()
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
        let sql = "SELECT coalesce(sum(charged), 0) FROM orders JOIN services ON services.id = orders.service \
                   WHERE imei = ?1 AND account = ?2";
        let key = (i64::try_from(imei).unwrap(), world.knobs.account);
        let booked: i64 = view.query_row(sql, key, |row| row.get(0)).unwrap();
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

/// How often this happened to an order.
pub(crate) fn happened(world: &World, what: &str) -> usize {
    let view = &world.life.as_ref().unwrap().view;
    strings(view, &format!("SELECT order_id FROM events WHERE what = '{what}' AND order_id IS NOT NULL"))
        .len()
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
