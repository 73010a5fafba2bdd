//! Files of orders, from the drop to the result.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use imeid::simulator::Delay;

use crate::load;
use crate::machine;
use crate::place::{CONNECTIONS, Place, Sim, imei};
use crate::table::{Table, Target};

/// What one file came to.
struct Run {
    orders: u32,
    /// From the moment when its orders could go until the last answer was recorded.
    wall: Duration,
    /// Until the last answer, and until the result was published.
    cpu_sent: Duration,
    cpu: Duration,
    peak_mib: f64,
    commits: u32,
    checkpoints: u32,
}

impl Run {
    fn per_order_ms(&self, time: Duration) -> f64 {
        time.as_secs_f64() * 1_000.0 / f64::from(self.orders)
    }

    fn rate(&self) -> f64 {
        f64::from(self.orders) / self.wall.as_secs_f64()
    }

    /// One a commit, two a checkpoint.
    fn syncs_per_order(&self) -> f64 {
        f64::from(self.commits + 2 * self.checkpoints) / f64::from(self.orders)
    }
}

pub(crate) fn at_36_ms(table: &mut Table) -> Result<()> {
    at_latency(table, 6_000, Duration::from_millis(36), 1.03, true)
}

pub(crate) fn at_3600_ms(table: &mut Table) -> Result<()> {
    at_latency(table, 600, Duration::from_millis(3_600), 1.005, false)
}

fn at_latency(table: &mut Table, orders: u32, latency: Duration, most: f64, is_whole: bool) -> Result<()> {
    let sim = Sim::start(Delay::Fixed(latency), completion())?;
    let run = run(&sim, 0, orders)?;
    let served = sim.running().latency_served();
    let ideal = |latency: Duration| latency.as_secs_f64() * f64::from(orders) / f64::from(CONNECTIONS);
    let wall = run.wall.as_secs_f64();
    table.line("wall", wall, 3, "s", Target::None);
    table.line("latency as served", served.as_secs_f64() * 1_000.0, 3, "ms", Target::None);
    table.line("wall / (N·L/W), L as served", wall / ideal(served), 4, "", Target::AtMost(most));
    table.line("wall / (N·L/W), L as configured", wall / ideal(latency), 4, "", Target::None);
    let (least, memory) =
        if is_whole { (Target::AtMost(0.10), Target::AtMost(32.0)) } else { (Target::None, Target::None) };
    table.line("CPU an order, to the last answer", run.per_order_ms(run.cpu_sent), 3, "ms", Target::None);
    table.line("CPU an order, from drop to result", run.per_order_ms(run.cpu), 3, "ms", least);
    table.line("syncs an order", run.syncs_per_order(), 4, "", Target::None);
    table.line("peak memory", run.peak_mib, 1, "MiB", memory);
    Ok(())
}

pub(crate) fn at_zero_latency(table: &mut Table) -> Result<()> {
    const ORDERS: u32 = 20_000;
    let sim = Sim::start(Delay::NONE, completion())?;
    let took = load::run(&sim.running().url(), ORDERS, ORDERS)?;
    let plain = f64::from(ORDERS) / took.as_secs_f64();
    let run = run(&sim, 0, ORDERS)?;
    table.line("plain load generator", plain, 0, "orders/s", Target::None);
    table.line("imeid", run.rate(), 0, "orders/s", Target::AtLeast(10_000.0));
    table.line("imeid / load generator", run.rate() / plain, 3, "", Target::AtLeast(0.5));
    table.line("CPU an order, to the last answer", run.per_order_ms(run.cpu_sent), 3, "ms", Target::None);
    table.line("CPU an order, from drop to result", run.per_order_ms(run.cpu), 3, "ms", Target::None);
    table.line("syncs an order", run.syncs_per_order(), 4, "", Target::AtMost(0.2));
    table.line("peak memory", run.peak_mib, 1, "MiB", Target::None);
    Ok(())
}

fn completion() -> Delay {
    Delay::Uniform(Duration::from_millis(500), Duration::from_secs(3))
}

/// One file, from the drop to its result, by a daemon that has just begun.
fn run(sim: &Sim, from: u32, orders: u32) -> Result<Run> {
    let mut place = Place::new(&sim.running().url())?;
    place.start()?;
    let pid = place.pid()?;
    let (began, charges) = (machine::cpu(pid)?, sim.running().ledger().charges);
    let all = charges + u64::from(orders);
    place.drop_file((from..from + orders).map(imei))?;
    place.until("every order is charged", |_| sim.running().ledger().charges >= all)?;
    let cpu_sent = machine::cpu(pid)?.saturating_sub(began);
    place.until("the result is published", Place::has_result)?;
    let cpu = machine::cpu(pid)?.saturating_sub(began);
    let peak_mib = machine::peak_mib(pid)?;
    let checkpoints = checkpoints(&place)?;
    // The writer tells its commits as it ends.
    place.log_every_word()?;
    place.stop()?;
    let commits = commits(&place.log())?;
    let ledger = sim.running().ledger();
    ensure!(ledger.charges == all && ledger.paid_twice == 0, "the provider's books: {ledger:?}");
    let rows = fs::read_to_string(place.path("outbox/stock.results.csv"))?.lines().count();
    ensure!(u32::try_from(rows)? == orders + 1, "{rows} lines in the result");
    let wall =
        place.ask("SELECT (SELECT max(ended_at) FROM attempts) - (SELECT min(opened_at) FROM batches)")?;
    let wall = Duration::from_millis(u64::try_from(wall)?);
    Ok(Run { orders, wall, cpu_sent, cpu, peak_mib, commits, checkpoints })
}

/// How often the journal's log was begun anew: it says so in its head, as a number of four bytes.
fn checkpoints(place: &Place) -> Result<u32> {
    let log = fs::read(place.path("state/journal.db-wal"))?;
    let number = log.get(12..16).context("the journal's log has no head")?;
    Ok(u32::from_be_bytes(number.try_into()?))
}

fn commits(log: &str) -> Result<u32> {
    let (_, number) = log.rsplit_once("commits=").context("the writer told no commits")?;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    Ok(digits.parse()?)
}
