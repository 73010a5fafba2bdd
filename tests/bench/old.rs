//! A journal full of orders that ended long ago: what it costs to work with, beside a journal without them.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use imeid::simulator::Delay;
use rusqlite::{Connection, Transaction, params};

use crate::machine;
use crate::place::{Place, Sim, imei};
use crate::table::{Table, Target};

/// Orders that ended long ago; `IMEID_OLD_ORDERS` says how many else.
const OLD: u32 = 1_000_000;
/// Numbers of their IMEIs begin here, those of the provider's ids for them far above what the simulator gives out.
const FROM: u32 = 5_000_000;
const IDS_FROM: i64 = 1_000_000_000_000;
const ROWS_A_BATCH: u32 = 10_000;
/// Orders that are sent beside them.
const NEW: u32 = 2_000;
const LATENCY: Duration = Duration::from_millis(36);
/// A day in 2025: longer ago than anything is waited for.
const LONG_AGO: i64 = 1_740_000_000_000;

/// What working costs.
struct Cost {
    ready: f64,
    status_ms: f64,
    order_ms: f64,
}

pub(crate) fn measure(table: &mut Table) -> Result<()> {
    let old = std::env::var("IMEID_OLD_ORDERS").ok().map_or(Ok(OLD), |text| text.parse())?;
    let without = cost(0)?;
    let with = cost(old)?;
    for (what, cost) in [("without old orders", &without), ("with them", &with)] {
        table.line(&format!("ready, {what}"), cost.ready, 3, "s", Target::None);
        table.line(&format!("status, {what}, the middle of nine"), cost.status_ms, 1, "ms", Target::None);
        table.line(&format!("CPU an order, {what}"), cost.order_ms, 3, "ms", Target::None);
    }
    let ratio = with.order_ms / without.order_ms;
    table.line("CPU an order, with them / without", ratio, 2, "", Target::AtMost(1.25));
    table.note(format!("{old} orders that ended long ago, {NEW} new ones at 36 ms"));
    Ok(())
}

fn cost(old: u32) -> Result<Cost> {
    let sim = Sim::start(Delay::Fixed(LATENCY), Delay::NONE)?;
    let mut place = Place::new(&sim.running().url())?;
    // It makes the journal.
    place.start()?;
    place.stop()?;
    fill(&place, old)?;
    rustix::fs::sync();
    let ready = place.start()?.as_secs_f64();
    let mut status_ms = Vec::new();
    for _ in 0..9 {
        let began = Instant::now();
        let told =
            place.program(&["status", "--json"]).stdout(Stdio::null()).stderr(Stdio::inherit()).status()?;
        status_ms.push(began.elapsed().as_secs_f64() * 1_000.0);
        // 3: it has something to say.
        ensure!(matches!(told.code(), Some(0 | 3)), "status ended with {told}");
    }
    status_ms.sort_by(f64::total_cmp);
    let before = machine::cpu(place.pid()?)?;
    place.drop_file((0..NEW).map(imei))?;
    place.until("the result is published", Place::has_result)?;
    let used = machine::cpu(place.pid()?)?.saturating_sub(before);
    place.stop()?;
    let order_ms = used.as_secs_f64() * 1_000.0 / f64::from(NEW);
    Ok(Cost { ready, status_ms: status_ms.get(4).copied().unwrap_or_default(), order_ms })
}

/// Puts orders that ended long ago into the journal that nobody has open, with all that is kept of each.
fn fill(place: &Place, old: u32) -> Result<()> {
    let mut journal = Connection::open(place.path("state/journal.db"))?;
    journal.pragma_update(None, "synchronous", "OFF")?;
    let batches = old.div_ceil(ROWS_A_BATCH);
    for batch in 1..=batches {
        let from = (batch - 1) * ROWS_A_BATCH;
        let to = old.min(from + ROWS_A_BATCH);
        let tx = journal.transaction()?;
        fill_batch(&tx, i64::from(batch), from..to)?;
        tx.commit()?;
    }
    journal.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

fn fill_batch(tx: &Transaction<'_>, batch: i64, numbers: std::ops::Range<u32>) -> Result<()> {
    let name = format!("old {batch}");
    let rows = numbers.end - numbers.start;
    tx.execute(
        "INSERT INTO batches (id, name, file_name, taken_key, sha256, bytes, service, state, header, rows_total, taken_at, \
         opened_at, published_at, done_at) VALUES (?1, ?2, ?2, ?2, '', 0, 1, 4, '{}', ?3, ?4, ?4, ?4, ?4)",
        params![batch, name, rows, LONG_AGO],
    )?;
    tx.execute("INSERT INTO tallies (batch, state, link, n) VALUES (?1, 6, 0, ?2)", params![batch, rows])?;
    let statements = [
        "INSERT INTO orders (id, service, imei, batch, first_row, state, attempts, counted, charged, named, has_result, \
         provider_id, ordered_at, done_at) VALUES (?1, 1, ?2, ?3, ?4, 6, 1, 1, 1, 1, 1, ?5, ?6, ?6)",
        "INSERT INTO rows (id, order_id, link, raw) VALUES (?4, ?1, 0, CAST('A1,iPhone 14 Pro 256GB,' || ?2 AS BLOB))",
        "INSERT INTO attempts (order_id, n, kind, price, day, claimed_at, ended_at, verdict, known_id) \
         VALUES (?1, 1, 0, 80000, 20250219, ?6, ?6, 0, 0)",
        "INSERT INTO charges (account, provider_id, order_id, n, via, seen_at) VALUES ('bench', ?5, ?1, 1, 'placed', ?6)",
        "INSERT INTO answers (order_id, n, at, kind, http, body) VALUES (?1, 1, ?6, 'placed', 200, zeroblob(300))",
        "INSERT INTO answers (order_id, at, kind, body) VALUES (?1, ?6, 'status', zeroblob(400))",
        "INSERT INTO results (order_id, code) VALUES (?1, 'Model: iPhone 14 Pro; Carrier: Unlocked; IMEI: ' || ?2)",
        "INSERT INTO events (at, order_id, what, detail) VALUES (?6, ?1, 'status', 'ordered -> completed')",
        "INSERT INTO ledger (at, order_id, n, batch, day, kind, micros) VALUES (?6, ?1, 1, ?3, 20250219, 'charge', 80000)",
    ];
    let mut prepared = Vec::new();
    for sql in statements {
        prepared.push(tx.prepare(sql)?);
    }
    for n in numbers {
        let order = i64::from(n) + 1;
        let row = (batch << 32) + i64::from(n % ROWS_A_BATCH) + 1;
        let values = [order, imei(FROM + n).to_string().parse()?, batch, row, IDS_FROM + order, LONG_AGO];
        for statement in &mut prepared {
            for (place, value) in (1..=statement.parameter_count()).zip(values) {
                statement.raw_bind_parameter(place, value)?;
            }
            statement.raw_execute()?;
        }
    }
    Ok(())
}
