//! A story of the configured account that is changed, and changed back, with orders open each time.
//!
//! Both accounts' orders have the same ids, and the provider charges whatever is sent twice. What the one account tells
//! shows nothing of the other one's orders, and each goes on where it was left.

use std::time::Duration;

use imeid::simulator::{Delay, Duplicates, Options, Share};

use super::accounts::Other;
use super::clearing::{faults, file};
use super::points::Crashed;
use super::story::steps;
use super::{Knobs, World, oracle};

/// The first account, the other, and each of them once more.
const STINTS: u32 = 4;
const LAST_TURNS: u32 = 120;

/// What happened so far that isn't in the journal.
pub(crate) struct Story {
    other: Other,
    /// How often the account was changed.
    stint: u32,
    /// The orders of the account that isn't configured, as they were when it went.
    left: Option<Vec<String>>,
    /// Orders that were open when their account went.
    pub(crate) left_open: usize,
}

impl Story {
    /// The world that it is played in.
    pub(crate) fn begin(power_cut: bool, seed: u64) -> (Self, World) {
        let options = Options {
            duplicates: Duplicates::Charge,
            latency: Delay::Fixed(Duration::from_secs(2)),
            completion: Delay::Fixed(Duration::from_secs(100)),
            rejected: Share::from_ppm(0),
            ..super::provider(seed)
        };
        let world = World::of_story(options, Knobs { workers: 2, ..Knobs::default() }, power_cut);
        (Self { other: Other::of(&world), stint: 0, left: None, left_open: 0 }, world)
    }

    /// One process's part of it, and those of its successors: until each account's orders are settled, unless one dies.
    pub(crate) fn live(&mut self, world: &mut World) -> Result<(), Crashed> {
        while self.stint < STINTS {
            world.start()?;
            let theirs = oracle::of_other_accounts(world);
            let left = self.left.get_or_insert_with(|| theirs.clone()).clone();
            assert_eq!(theirs, left, "a start changed another account's orders");
            if self.stint < STINTS / 2 {
                self.work(world, &left)?;
            } else {
                Self::come_to_rest(world, &left)?;
            }
            let open = oracle::open(world);
            world.stop(Duration::from_secs(130))?;
            self.left_open += open;
            world.change_account(&mut self.other);
            (self.stint, self.left) = (self.stint + 1, None);
        }
        Ok(())
    }

    /// An order is answered; then a file is worked at, an order of it lost, and one that was not taken too.
    fn work(&self, world: &mut World, left: &[String]) -> Result<(), Crashed> {
        for (file_of_stint, of) in [(2 * self.stint, 20..21), (2 * self.stint + 1, 0..6)] {
            if world.dropped.len() == usize::try_from(file_of_stint).unwrap() {
                world.wire.change(&faults(if of.len() > 1 { "drop-after=1x,drop-before=1x" } else { "" }));
                // The same IMEIs: what was paid for under the one account wasn't under the other.
                world.drop_file(file(world.knobs.account, file_of_stint, of));
            }
            for _ in 0..5 {
                turn(world, left, Duration::from_secs(6))?;
            }
        }
        Ok(())
    }

    /// Witnesses come, and all is settled.
    fn come_to_rest(world: &mut World, left: &[String]) -> Result<(), Crashed> {
        for (n, step) in steps(Duration::from_secs(45), LAST_TURNS).enumerate() {
            turn(world, left, step)?;
            if oracle::is_account_at_rest(world) {
                break;
            }
            if [8, 24].contains(&n) {
                let n = u32::try_from(world.dropped.len()).unwrap();
                world.drop_file(file(world.knobs.account, n, 10 * n..10 * n + 2));
            }
        }
        assert!(oracle::is_account_at_rest(world), "something isn't settled");
        assert!(oracle::is_all_booked(world), "a charge was never booked");
        Ok(())
    }
}

fn turn(world: &mut World, left: &[String], time: Duration) -> Result<(), Crashed> {
    world.turn()?;
    world.check_account();
    assert_eq!(oracle::of_other_accounts(world), left, "another account's orders were changed");
    world.pass(time)
}
