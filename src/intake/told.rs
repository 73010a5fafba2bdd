//! Files that can't be taken or put away now, and why: told once for each reason, and an alarm while there are any.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::journal::Journal;
use crate::order::Alarm;

/// What is told of them.
#[derive(Debug, Default)]
pub struct Told {
    why: BTreeMap<PathBuf, String>,
    /// What the journal says; `None`: not known, an earlier process may have left an alarm.
    recorded: Option<String>,
}

impl Told {
    /// `path` is still where it was, and this is why.
    pub(super) fn add(&mut self, path: &Path, name: &str, why: String) {
        if self.why.get(path) != Some(&why) {
            tracing::warn!(file = %name, "not taken in yet, trying again: {why}");
            self.why.insert(path.to_owned(), why);
        }
    }

    /// `path` is where it belongs.
    pub(super) fn remove(&mut self, path: &Path) {
        self.why.remove(path);
    }

    /// Sets or ends the alarm.
    pub(super) async fn record(&mut self, journal: &Journal, clock: &Clock) {
        // Taken away by whoever dropped it: nothing is wrong with it any more.
        self.why.retain(|path, _| path.symlink_metadata().is_ok());
        let text = self.text();
        if self.recorded.as_ref() == Some(&text) {
            return;
        }
        let done = if text.is_empty() {
            journal.trouble_gone(Alarm::Intake, clock.now()).await.map(drop)
        } else {
            journal.trouble(Alarm::Intake, text.clone(), clock.now()).await
        };
        match done {
            Ok(()) => self.recorded = Some(text),
            Err(error) => tracing::debug!("an alarm can't be recorded: {error}"),
        }
    }

    fn text(&self) -> String {
        let Some((path, why)) = self.why.first_key_value() else { return String::new() };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let others = match self.why.len() {
            1 => String::new(),
            n => format!(" (and {} more)", n.saturating_sub(1)),
        };
        format!("{name}{others} can't be put where it belongs, tried again until it can: {why}")
    }
}
