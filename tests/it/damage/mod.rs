//! Damage × place: what lies on disk is broken, full or gone. What is wrong and what to do is said, nothing is submitted
//! that couldn't be recorded, and it goes on by itself when the cause is gone.

mod beneath;
mod clock;
mod disk;
mod folders;
mod journal;
mod place;
mod read_only;

use std::process::Stdio;
use std::time::Duration;

use imeid::simulator::{Delay, Duplicates, Options, Share};

use crate::support::{Sim, Workplace, program};

/// A provider that would charge a duplicate, and shows it by that; it lists what it has.
fn provider(latency_ms: u64) -> Sim {
    Sim::start(Options {
        latency: Delay::Fixed(Duration::from_millis(latency_ms)),
        completion: Delay::Fixed(Duration::from_millis(100)),
        rejected: Share::from_ppm(0),
        duplicates: Duplicates::Charge,
        listing: true,
        listing_limit: 20_000,
        ..Options::default()
    })
}

/// Starts the daemon where it must refuse; gives its exit code and what it said.
fn refused(place: &mut Workplace) -> (Option<i32>, String) {
    let said = place.path("refused");
    let child = program()
        .arg("run")
        .arg("--config")
        .arg(place.config())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let status = place.ends(child);
    (status.code(), std::fs::read_to_string(said).unwrap())
}

/// What `imeid status` says, and its exit code.
fn status(place: &Workplace) -> (Option<i32>, String) {
    let output = place.run(&["status"]);
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}
