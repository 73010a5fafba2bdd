//! A story of a charge that is presumed beside a known id, until two listings or an export clear it.
//!
//! An order is taken: evidence must reach back to it. Then the first attempt of another one is lost on its way, and the order is sent again. Where the provider lists, that first
//! attempt is absent and released, the second is taken and its answer lost, and the listing tells its id; where it
//! doesn't, the order is probed. Either way one attempt is presumed that was never taken. Later orders are the witnesses
//! that what clears it is fresh.

use std::time::Duration;

use imeid::simulator::{Change, Delay, Duplicates, Options};

use super::files::{self, Dropped, Line};
use super::points::Crashed;
use super::story::steps;
use super::{Knobs, World, oracle};

/// More of them show nothing new: the story doesn't end.
const LATER_FILES: u32 = 4;
const TURNS: u32 = 250;
/// The shortest of all times that matter here is a quiet period of two minutes.
const STEP: Duration = Duration::from_secs(45);

/// What happened so far that isn't in the journal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Story {
    pub(crate) by_export: bool,
    /// The second attempt's answer was lost.
    is_lost_again: bool,
    later_files: u32,
    /// When the last of them was dropped, in unix milliseconds.
    later_at: i64,
    /// The last export shows all that clears the charge: once it is read, it has.
    must_clear: bool,
}

pub(crate) fn file(name: &str, n: u32, of: std::ops::Range<u32>) -> Dropped {
    let line = |n| Line { cell: files::imei(n).to_string(), imei: Some(files::imei(n)) };
    files::written(format!("{name} {n}.csv"), 0, usize::try_from(n).unwrap(), of.map(line).collect())
}

impl Story {
    pub(crate) fn new(by_export: bool) -> Self {
        Self { by_export, ..Self::default() }
    }

    /// The world that it is played in. A provider that lists charges whatever is sent twice; one that doesn't refuses it.
    pub(crate) fn world(self, power_cut: bool, seed: u64) -> World {
        let options = Options {
            listing: !self.by_export,
            duplicates: if self.by_export { Duplicates::Refuse } else { Duplicates::Charge },
            latency: Delay::Fixed(Duration::from_secs(2)),
            completion: Delay::Uniform(Duration::from_secs(5), Duration::from_secs(300)),
            ..super::provider(seed)
        };
        World::of_story(options, Knobs { workers: 2, ..Knobs::default() }, power_cut)
    }

    /// One process's part of it: until all is settled, cleared and published, unless it dies.
    pub(crate) fn live(&mut self, world: &mut World) -> Result<(), Crashed> {
        world.start_with(file("older", 0, 0..1))?;
        for step in steps(STEP, TURNS) {
            world.turn()?;
            world.check();
            self.go_on(world);
            if self.later_files > 0 && oracle::is_at_rest(world) && !says(world, &presumed()) {
                break;
            }
            world.pass(step)?;
        }
        oracle::check_rest(world);
        assert!(!says(world, &presumed()), "a charge is presumed for good");
        Ok(())
    }

    /// What people and the provider do next.
    fn go_on(&mut self, world: &mut World) {
        let now = world.time.now().millis();
        let rested = now - 250_000;
        // A crash can leave the first order in doubt: then the next one's evidence settles it.
        if world.dropped.len() == 1 && says(world, &format!("state >= 5 OR doubt_since < {rested}")) {
            world.wire.change(&faults("drop-before=1x"));
            world.drop_file(file("stock", 1, 1..3));
        }
        if !self.by_export && !self.is_lost_again && says(world, "state = 0 AND inferred > 0") {
            world.wire.change(&faults("drop-after=1x"));
            self.is_lost_again = true;
        }
        let open = open();
        let is_due = says(world, &format!("{open} AND doubt_since BETWEEN {} AND {rested}", self.later_at));
        let is_there = says(world, &format!("imei = {} AND state >= 3", files::imei(self.last_of_later())));
        if !(is_due || self.by_export && is_there) || says(world, "state < 2") {
            return;
        }
        let is_seen = usize::try_from(self.later_files).is_ok_and(|files| files == world.exports());
        let is_read = self.by_export && is_seen && world.are_exports_read();
        assert!(!(is_read && self.must_clear && says(world, &presumed())), "an export was read in vain");
        if self.by_export && is_there && !is_seen {
            self.must_clear = self.shows_enough(world);
            world.drop_export();
        } else if self.later_files < LATER_FILES && says(world, &open) && world.are_exports_read() {
            self.later_files += 1;
            self.later_at = now;
            let last = self.last_of_later();
            world.drop_file(file("later", 1 + self.later_files, last - 1..last + 1));
        }
    }

    /// Whether the provider shows finished orders and others, and an order of the last file that we have the id of.
    fn shows_enough(&self, world: &World) -> bool {
        let orders = world.wire.orders();
        let is_pending = |status: &str| ["Pending", "In Process"].contains(&status);
        let pending = orders.iter().filter(|order| is_pending(&order.status)).count();
        let last = files::imei(self.last_of_later());
        let is_known = format!("imei = {last} AND provider_id IS NOT NULL AND charged = 1 AND attempts = 1");
        // A crash can have begun the doubt anew since the file was dropped.
        let is_young = format!("presumed > 0 AND doubt_since > {}", self.later_at - 250_000);
        // Or a crash came before it was noted that its quiet period is over: the last file is no witness then.
        let is_unrested = format!(
            "presumed > 0 AND coalesce(rested_after, {}) > \
             (SELECT entry FROM attempts JOIN orders ON orders.id = order_id WHERE imei = {last})",
            i64::MAX
        );
        let is_fresh = says(world, &is_known)
            && ![is_young.as_str(), is_unrested.as_str(), "state = 2"].iter().any(|which| says(world, which));
        pending > 0 && pending < orders.len() && is_fresh
    }

    /// The number of the last IMEI of the last of the files that came later.
    const fn last_of_later(&self) -> u32 {
        100 + 10 * self.later_files
    }
}

/// In doubt, or with a charge that is presumed.
fn open() -> String {
    format!("(state = 2 OR ({}))", presumed())
}

/// A charge is presumed beside a known id. Where a crash left us without an id before that order's first attempt, no
/// evidence reaches back behind it, and nothing can clear it.
fn presumed() -> String {
    "presumed > 0 AND provider_id IS NOT NULL AND 0 < (SELECT min(known_id) FROM attempts \
     WHERE order_id = orders.id AND verdict IN (0, 3, 4, 5, 6, 7))"
        .to_owned()
}

pub(crate) fn faults(text: &str) -> Change {
    Change { faults: Some(text.parse().unwrap()), ..Change::default() }
}

/// Whether such an order is in the journal.
pub(crate) fn says(world: &World, which: &str) -> bool {
    let view = &world.life.as_ref().unwrap().view;
    let sql = format!("SELECT EXISTS (SELECT 1 FROM orders WHERE {which})");
    view.query_row(&sql, [], |row| row.get(0)).unwrap()
}
