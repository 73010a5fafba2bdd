//! A story of an order that a person's wrong word denies, and that is cancelled and made anew: an export shows the first one
//! before the second is sent.
//!
//! The provider lists nothing and charges whatever is sent twice. The first export shows the order unfinished: the newer one
//! takes it, is held, for nothing can name it, and is answered by a later export. It is never sent.

use std::time::Duration;

use imeid::journal::{Said, Target};
use imeid::simulator::{Change, Delay, Duplicates, Options, Share};

use super::clearing::{faults, file, says};
use super::points::{self, Crashed};
use super::{Knobs, World, files, oracle};

const TURNS: u32 = 60;
const STEP: Duration = Duration::from_secs(45);
/// Two orders that place the export's dates, and the one that is denied.
const SENT: u64 = 3;

/// What happened so far that isn't in the journal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Story {
    /// The points that were passed before the first word.
    pub(crate) before: usize,
}

/// The world that it is played in.
pub(crate) fn world(power_cut: bool, seed: u64) -> World {
    let options = Options {
        listing: false,
        duplicates: Duplicates::Charge,
        latency: Delay::Fixed(Duration::from_secs(2)),
        completion: Delay::Fixed(Duration::from_secs(20)),
        rejected: Share::from_ppm(0),
        ..super::provider(seed)
    };
    let knobs = Knobs { workers: 2, hold: true, list_recent: "no", ..Knobs::default() };
    let mut world = World::new(options, knobs);
    (world.loses, world.is_lied_to) = (power_cut, true);
    fastrand::seed(seed);
    world
}

impl Story {
    /// One process's part of it: until the order is answered, unless it dies.
    pub(crate) fn live(&mut self, world: &mut World) -> Result<(), Crashed> {
        world.start()?;
        if world.dropped.is_empty() {
            world.drop_file(file("older", 0, 0..2));
        }
        for _ in 0..TURNS {
            world.turn()?;
            world.check();
            assert!(world.wire.sent() <= SENT, "it is sent again");
            if is(world, "state = 6") && oracle::is_at_rest(world) {
                break;
            }
            self.go_on(world)?;
            world.pass(STEP)?;
        }
        assert!(is(world, "state = 6 AND charged = 1 AND presumed = 0"), "it isn't answered");
        assert!(oracle::is_all_booked(world), "a charge was never booked");
        assert_eq!(oracle::alarms(world, "name = 'double_charge' AND text LIKE '%was ordered twice%'"), 0);
        oracle::check_rest(world);
        Ok(())
    }

    /// What people and the provider do next.
    fn go_on(&mut self, world: &mut World) -> Result<(), Crashed> {
        let (denied, rested) = (files::imei(10), world.time.now().millis() - 250_000);
        let is_paused = says(world, "EXISTS (SELECT 1 FROM pauses WHERE reason = 'operator')");
        if world.dropped.len() == 1 && oracle::is_at_rest(world) {
            let completion = Some(Delay::Fixed(Duration::from_secs(1_000_000)));
            world.wire.change(&Change { completion, ..faults("drop-after=1x") });
            world.drop_file(file("stock", 1, 10..11));
        } else if is_paused && is(world, "state = 5 AND charged = 0") {
            world.say(Said::NotOrdered, 0, denied)?;
        } else if is_paused && is(world, "state = 0 AND inferred > 0") {
            world.say(Said::Cancel, 0, denied)?;
        } else if is_paused && is(world, "state = 10") {
            world.say(Said::RetryNotCharged, 0, denied)?;
        } else if is_paused && world.exports() == 0 {
            world.drop_export();
        } else if is_paused && world.are_exports_read() {
            world.tell(Said::Resume, Target::Everything)?;
        } else if is(world, &format!("state = 5 AND inferred = 0 AND charged = 0 AND doubt_since < {rested}"))
        {
            if self.before == 0 {
                self.before = points::passed();
            }
            world.tell(Said::Pause, Target::Everything)?;
        } else if is(world, "state = 5 AND charged = 1") && world.exports() == 1 {
            world.wire.change(&Change { finish_now: true, ..Change::default() });
            world.drop_export();
        }
        Ok(())
    }
}

/// Whether the newest order of the denied one's IMEI is so.
fn is(world: &World, how: &str) -> bool {
    says(world, &format!("imei = {} AND current = 1 AND {how}", files::imei(10)))
}
