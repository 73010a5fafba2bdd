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

/// What a figure comes to is that of the middle one of so many runs: a single one is as much the machine's as ours.
const RUNS: usize = 3;

pub(crate) fn at_36_ms(table: &mut Table) -> Result<()> {
    const ORDERS: u32 = 6_000;
    let latency = Duration::from_millis(36);
    let runs = at_latency(table, ORDERS, latency, 1.03, RUNS)?;
    tell_cost(table, &runs, [Target::AtMost(0.10), Target::None, Target::AtMost(32.0)]);
    // What the machine takes of anybody who sends and reads so many.
    let sim = Sim::start(Delay::Fixed(latency), completion())?;
    let plain = load::run(&sim.running().url(), 0, ORDERS)?;
    let each = plain.cpu.as_secs_f64() * 1_000.0 / f64::from(ORDERS);
    table.line("plain load generator: CPU an order", each, 3, "ms", Target::None);
    Ok(())
}

pub(crate) fn at_3600_ms(table: &mut Table) -> Result<()> {
    // A minute long, it is the same each time.
    let runs = at_latency(table, 600, Duration::from_millis(3_600), 1.005, 1)?;
    tell_cost(table, &runs, [Target::None; 3]);
    Ok(())
}

fn at_latency(table: &mut Table, orders: u32, latency: Duration, most: f64, runs: usize) -> Result<Vec<Run>> {
    let (mut served, mut done) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let sim = Sim::start(Delay::Fixed(latency), completion())?;
        done.push(run(&sim, 0, orders)?);
        served.push(sim.running().latency_served());
    }
    let ideal = |latency: Duration| latency.as_secs_f64() * f64::from(orders) / f64::from(CONNECTIONS);
    let walls = done.iter().map(|run| run.wall.as_secs_f64());
    let ratios = walls.clone().zip(&served).map(|(wall, served)| wall / ideal(*served));
    table.line("wall", middle(walls.clone()), 3, "s", Target::None);
    let served_ms = served.iter().map(|served| served.as_secs_f64() * 1_000.0);
    table.line("latency as served", middle(served_ms), 3, "ms", Target::None);
    table.line("wall / (N·L/W), L as served", middle(ratios.clone()), 4, "", Target::AtMost(most));
    if runs > 1 {
        table.note(format_args!("each run's: {:.4?}", ratios.collect::<Vec<_>>()));
    }
    table.line("wall / (N·L/W), L as configured", middle(walls) / ideal(latency), 4, "", Target::None);
    Ok(done)
}

pub(crate) fn at_zero_latency(table: &mut Table) -> Result<()> {
    const ORDERS: u32 = 20_000;
    let (mut plain, mut runs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let sim = Sim::start(Delay::NONE, completion())?;
        // Just before, and just after.
        let before = load::run(&sim.running().url(), ORDERS, ORDERS)?;
        runs.push(run(&sim, 0, ORDERS)?);
        let after = load::run(&sim.running().url(), 2 * ORDERS, ORDERS)?;
        plain.push(2.0 * f64::from(ORDERS) / (before.wall + after.wall).as_secs_f64());
    }
    let rates = runs.iter().map(Run::rate);
    let ratios = rates.clone().zip(&plain).map(|(rate, plain)| rate / plain);
    table.line("plain load generator", middle(plain.iter().copied()), 0, "orders/s", Target::None);
    table.line("imeid", middle(rates), 0, "orders/s", Target::AtLeast(10_000.0));
    table.line("imeid / load generator", middle(ratios.clone()), 3, "", Target::AtLeast(0.5));
    table.note(format_args!("each run's: {:.3?}", ratios.collect::<Vec<_>>()));
    tell_cost(table, &runs, [Target::None, Target::AtMost(0.2), Target::None]);
    Ok(())
}

fn tell_cost(table: &mut Table, runs: &[Run], [least, fewest, memory]: [Target; 3]) {
    let cost = |cpu: fn(&Run) -> Duration| middle(runs.iter().map(|run| run.per_order_ms(cpu(run))));
    table.line("CPU an order, to the last answer", cost(|run| run.cpu_sent), 3, "ms", Target::None);
    table.line("CPU an order, from drop to result", cost(|run| run.cpu), 3, "ms", least);
    let syncs = middle(runs.iter().map(Run::syncs_per_order));
    table.line("syncs an order", syncs, 4, "", fewest);
    let peak = runs.iter().map(|run| run.peak_mib).fold(0.0, f64::max);
    table.line("peak memory", peak, 1, "MiB", memory);
}

/// Of an odd number of figures.
fn middle(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
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
