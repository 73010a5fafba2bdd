//! Copies of the state directory, and putting one back.
//!
//! A copy that was put back knows nothing of what was ordered, taken and published since, so only a part of what must hold
//! elsewhere holds here: that it is noticed, that nothing is sent before a person says so, and that nothing is paid twice
//! where he did as he is told to. He drops an export when he likes, of all orders or of some, and later another: what was
//! shown so is known at the end, and answered.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use fastrand::Rng;
use imeid::journal::{Said, Target};
use imeid::simulator::Duplicates;
use imeid::types::Timestamp;

use super::points::Crashed;
use super::{World, oracle, outbox};

/// A quiet period is over, and whatever was on the wire has been executed.
pub(crate) const LATER: Duration = Duration::from_secs(300);
/// He looks again whether it was read, and says again that it goes on.
const SOON: Duration = Duration::from_secs(30);

/// The state directory of a process that doesn't run.
#[derive(Debug, Default)]
pub(crate) struct Copy {
    files: Vec<(PathBuf, Vec<u8>)>,
    pub(crate) at: Timestamp,
}

impl World {
    /// Someone copies the state directory.
    pub(crate) fn copy_state(&self) -> Copy {
        let state = fs::read_dir(self.root().join("state")).unwrap().map(|entry| entry.unwrap().path());
        let files = state.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        Copy { files, at: self.time.now() }
    }

    /// Someone puts a copy of the state directory back, in which there is nothing else then.
    pub(crate) fn put_back(&mut self, copy: &Copy) {
        for entry in fs::read_dir(self.root().join("state")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (path, bytes) in &copy.files {
            fs::write(path, bytes).unwrap();
        }
        self.note("a copy is put back");
    }

    /// Whether the journal is known as an older copy, and waits for a person.
    pub(crate) fn waits_as_older_copy(&self) -> bool {
        let sql = "SELECT EXISTS (SELECT 1 FROM pauses WHERE reason = 'older_copy')";
        self.life.as_ref().unwrap().view.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Whether every file that was dropped is taken.
    pub(crate) fn is_inbox_empty(&self) -> bool {
        !self.places.iter().any(|place| place.exists())
    }

    /// Whether no order at the provider is unfinished.
    fn is_all_finished(&self) -> bool {
        self.wire.orders().iter().all(|order| is_finished(&order.status))
    }

    /// Every stage has a turn, and time passes.
    fn live_for(&mut self, time: Duration) -> Result<(), Crashed> {
        self.turn()?;
        oracle::check_copy(self);
        self.pass(time)
    }

    /// Files that the copy knows nothing of, and that don't wait in the inbox, are dropped again.
    fn drop_again_what_it_lacks(&mut self) {
        let known: Vec<String> = outbox::batches(self).into_values().map(|(_, file)| file.text).collect();
        let lacks: Vec<_> = self
            .dropped
            .iter()
            .zip(&self.places)
            .filter(|(file, place)| !file.refused && !known.contains(&file.text) && !place.exists())
            .map(|(file, _)| file.clone())
            .collect();
        for file in lacks {
            self.drop_file(file);
        }
    }
}

fn is_finished(status: &str) -> bool {
    matches!(status, "Completed" | "Rejected")
}

/// What a person drops before he says that it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum First {
    /// All orders, once they are finished.
    Finished,
    /// All orders, as they are.
    AtOnce,
    /// Those that were made since the copy was, as they are, and some of the older ones.
    Since,
    /// Some of all orders, as they are.
    Some,
    /// Nothing: the provider lists its orders.
    Nothing,
}

/// How a person goes about it, and how far he is.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) first: First,
    /// When the copy was made.
    copied_at: Timestamp,
    /// Orders that were sent before it was put back.
    sent: u64,
    has_dropped: bool,
    pub(crate) told: oracle::ToldOf,
}

impl Recovery {
    /// How he goes about it. Where the provider charges whatever is sent twice, an export has all that the copy can lack.
    pub(crate) fn of(world: &World, copy: &Copy, rng: &mut Rng) -> Self {
        let refuses = world.provider.duplicates != Duplicates::Charge;
        let lists = world.provider.listing && world.provider.listing_limit > 0;
        let first = match rng.u8(0..8) {
            0 => First::Finished,
            1 | 2 => First::Since,
            3 | 4 if refuses => First::Some,
            5 if lists && (refuses || world.is_inbox_empty()) => First::Nothing,
            _ => First::AtOnce,
        };
        let (copied_at, sent) = (copy.at, world.wire.sent());
        Self { first, copied_at, sent, has_dropped: false, told: oracle::ToldOf::default() }
    }

    /// Until he has said that it goes on, unless the process dies.
    pub(crate) fn until_resumed(&mut self, world: &mut World, rng: &mut Rng) -> Result<(), Crashed> {
        while world.waits_as_older_copy() {
            assert_eq!(world.wire.sent(), self.sent, "it sends before anyone says so");
            if self.first == First::Finished && !world.is_all_finished() {
                world.live_for(LATER)?;
                continue;
            }
            if !self.has_dropped && self.first != First::Nothing {
                self.has_dropped = true;
                self.drop_first(world, rng);
            }
            if world.are_exports_read() {
                world.tell(Said::Resume, Target::Everything)?;
            }
            world.live_for(SOON)?;
        }
        Ok(())
    }

    fn drop_first(&mut self, world: &mut World, rng: &mut Rng) {
        let (first, copied_at) = (self.first, self.copied_at);
        let unfinished = &mut self.told.unfinished;
        world.drop_export_of(|order| {
            let is_in = match first {
                First::Since => order.charged_at >= copied_at || rng.u8(0..3) == 0,
                First::Some => rng.bool(),
                First::Finished | First::AtOnce | First::Nothing => true,
            };
            if is_in && !is_finished(&order.status) {
                unfinished.insert((order.imei.as_u64(), order.network_id.0.clone()));
            }
            is_in
        });
        let made_anew = &self.told.unfinished & &oracle::given_back(world);
        if first == First::AtOnce && oracle::can_place_but(world, &made_anew) {
            self.told.made_anew = made_anew;
        }
        let is_whole = matches!(first, First::Finished);
        self.told.all = is_whole;
        self.told.in_time = is_whole && oracle::can_place(world);
    }

    /// He drops what the copy lacks, and later an export in which all is finished: the one before the other.
    pub(crate) fn go_on(&mut self, world: &mut World, rng: &mut Rng) -> Result<(), Crashed> {
        world.turn()?;
        let refuses = world.provider.duplicates != Duplicates::Charge;
        // What no export has shown and the provider would charge again.
        let is_risky = self.first == First::Nothing && !refuses;
        if !is_risky {
            world.drop_again_what_it_lacks();
        }
        let goes_without = [First::Finished, First::Nothing].contains(&self.first) && rng.bool();
        if !goes_without {
            for _ in 0..rng.u8(0..12) {
                world.live_for(LATER)?;
            }
            while !world.is_all_finished() {
                world.live_for(LATER)?;
            }
            self.told.in_time |= oracle::can_place(world);
            self.told.all = true;
            world.drop_export();
            while !world.are_exports_read() {
                world.live_for(LATER)?;
            }
            world.drop_again_what_it_lacks();
        }
        Ok(())
    }
}
