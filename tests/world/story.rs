//! What stories have in common: how a world of one begins, and how time passes in it.

use std::time::Duration;

use imeid::simulator::Options;

use super::files::Dropped;
use super::points::Crashed;
use super::{Knobs, World};

/// The longest time between two turns.
const LONGEST_STEP: Duration = Duration::from_secs(3 * 3_600);

impl World {
    /// The world of a story, the same whenever it is played. `loses`: a crash in it is a power cut.
    pub(crate) fn of_story(options: Options, knobs: Knobs, loses: bool) -> Self {
        let seed = options.seed;
        let mut world = Self::new(options, knobs);
        world.loses = loses;
        fastrand::seed(seed);
        world
    }

    /// Starts a process; the story's first one is given this file.
    pub(crate) fn start_with(&mut self, first: Dropped) -> Result<(), Crashed> {
        self.start()?;
        if self.dropped.is_empty() {
            self.drop_file(first);
        }
        Ok(())
    }
}

/// How much time passes behind each of a story's turns: the same for half of them, then more and more.
pub(crate) fn steps(first: Duration, turns: u32) -> impl Iterator<Item = Duration> {
    let mut next = first;
    (0..turns).map(move |turn| {
        let step = next;
        if turn > turns / 2 {
            next = longer(step);
        }
        step
    })
}

/// The step behind this one, where they grow.
pub(crate) fn longer(step: Duration) -> Duration {
    (step * 6 / 5).min(LONGEST_STEP)
}
