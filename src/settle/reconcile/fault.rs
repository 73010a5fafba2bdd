//! Faults of our own at an export: an alarm until it is read after all, or is gone.

use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::journal::{Journal, Trouble};
use crate::order::Alarm;

const REPORT: &str = "a fault in imeid itself, please report it with the line alarm=panic of the log";

/// What such a fault keeps from being read.
#[derive(Debug)]
pub struct Fault {
    trouble: Trouble,
    /// The export, as long as it lies there.
    at: Option<PathBuf>,
    /// Nothing is looked at any more.
    is_blind: bool,
}

impl Default for Fault {
    fn default() -> Self {
        Self { trouble: Trouble::new(Alarm::Reconcile), at: None, is_blind: false }
    }
}

impl Fault {
    /// Work on this export broke off.
    pub(super) async fn at(&mut self, path: &Path, journal: &Journal, clock: &Clock) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = format!("the export {name} isn't read, it is tried again: {REPORT}");
        self.at = Some(path.to_owned());
        self.trouble.is(journal, text, clock.now()).await;
    }

    /// A look through the folder broke off: there is none any more.
    pub(super) async fn of_looks(&mut self, journal: &Journal, clock: &Clock) {
        let text = format!(
            "the folder reconcile can't be looked through any more: {REPORT}. No export is read until imeid is started \
             again: systemctl restart imeid"
        );
        self.is_blind = true;
        self.trouble.is(journal, text, clock.now()).await;
    }

    /// Whether it can end by what becomes of a file, so that somebody must look.
    pub(super) fn stands(&self) -> bool {
        self.at.is_some()
    }

    /// Ends the alarm, an earlier process's too, where nothing is wrong any more.
    pub(super) async fn may_be_over(&mut self, journal: &Journal, clock: &Clock) {
        let lies_there = |path: &PathBuf| path.symlink_metadata().is_ok();
        if !self.is_blind && !self.at.as_ref().is_some_and(lies_there) {
            self.at = None;
            self.trouble.is_gone(journal, clock.now()).await;
        }
    }
}
