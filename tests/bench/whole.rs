//! The daemon as a whole, in figures: the real binary on a disk, the simulator over HTTP, and what the kernel counts.
//!
//! `cargo figures` runs all of them, `cargo figures 36ms idle` those. Each figure stands beside its target; what they mean and
//! what they came to is told in `RESULTS.md`. The simulator works in this process and shares the machine's cores.
#![expect(clippy::print_stdout, reason = "figures are for people to read")]
#![expect(clippy::float_arithmetic, reason = "ratios, of no money")]

mod idle;
mod journal;
mod load;
mod machine;
mod million;
mod old;
mod orders;
mod place;
mod table;

use anyhow::{Result, bail};

use table::Table;

/// A figure: its name on the command line, and what measures it.
type Figure = (&'static str, fn(&mut Table) -> Result<()>);

const FIGURES: [Figure; 7] = [
    ("36ms", orders::at_36_ms),
    ("3.6s", orders::at_3600_ms),
    ("zero", orders::at_zero_latency),
    ("million", million::measure),
    ("idle", idle::measure),
    ("old", old::measure),
    ("journal", journal::measure),
];

fn main() -> Result<()> {
    // Cargo adds a switch of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let Some(unknown) = wanted.iter().find(|name| FIGURES.iter().all(|(figure, _)| figure != name)) {
        bail!("there is no figure {unknown:?}: {:?}", FIGURES.map(|(figure, _)| figure));
    }
    println!("{}\n", machine::describe()?);
    let mut table = Table::new();
    for (name, measure) in FIGURES {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            table.begin(name);
            measure(&mut table)?;
        }
    }
    println!("\n{} of {} targets met", table.met(), table.judged());
    Ok(())
}
