//! Stages that ended by a fault of their own: an alarm that outlives the process.
//!
//! It is recorded as the last thing before the process ends. Where it can't be (a full disk, no writer any more), the
//! journal's lock file has it, and the next start records it.

use super::unrecorded::{Note, Unrecorded};
use crate::clock::Clock;
use crate::durable::LockFile;
use crate::journal::Journal;
use crate::order::Alarm;

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// While there was work, which takes the daemon down.
    ByItself(&'static str),
    /// In a panic, the daemon being about to stop.
    AtAStop(&'static str),
}

impl Ended {
    fn text(self) -> String {
        let report = "a fault in imeid itself, please report it with what the log says before it";
        match self {
            Self::ByItself(stage) => {
                format!("the stage {stage} ended by itself, and the daemon with it: {report}")
            }
            Self::AtAStop(stage) => {
                format!("the stage {stage} ended in a panic while the daemon stopped: {report}")
            }
        }
    }
}

/// Says and records them.
pub(super) async fn tell(ended: &[Ended], journal: &Journal, lock: &LockFile, clock: &Clock) {
    let mut all_recorded = true;
    for stage in ended {
        all_recorded &= journal.happened(Alarm::Stage, stage.text(), clock.now()).await.is_ok();
    }
    if !all_recorded {
        Note::default().keep(lock, journal.unrecorded(), clock.now());
    }
}

/// Records what the last process could only note. Said by it already; said again, for it is in no journal yet.
pub(super) async fn take_up(noted: Vec<Unrecorded>, journal: &Journal) {
    for alarm in noted.into_iter().filter(|alarm| alarm.name == Alarm::Stage.as_str()) {
        // Where it can't be recorded now either, it is in memory, and noted again.
        let _ = journal.happened(Alarm::Stage, alarm.text, alarm.since).await;
    }
}
