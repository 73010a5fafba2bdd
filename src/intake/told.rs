//! Files that can't be taken or put away now, and why: told once for each reason, and an alarm while there are any.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::inbox::Waiting;
use crate::journal::{Journal, JournalError, Trouble};
use crate::order::Alarm;

/// What is told of them.
#[derive(Debug, Default)]
pub struct Told {
    why: BTreeMap<PathBuf, String>,
    /// What the journal says; `None`: not known, an earlier process may have left an alarm.
    recorded: Option<String>,
    /// Why the first of them waits, as the alarm says.
    cause: Option<String>,
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

    /// Sets or ends the alarm. More or fewer files that wait for the same make no other one of it.
    pub(super) async fn record(&mut self, journal: &Journal, clock: &Clock) {
        // Taken away by whoever dropped it: nothing is wrong with it any more.
        self.why.retain(|path, _| path.symlink_metadata().is_ok());
        let text = self.text();
        if self.recorded.as_ref() == Some(&text) {
            return;
        }
        match self.set_alarm(journal, clock, &text).await {
            Ok(()) => {
                self.cause = self.why.values().next().cloned();
                self.recorded = Some(text);
            }
            Err(error) => {
                // It is kept in memory all the same: should its cause be gone, that is to be said there.
                self.recorded = None;
                tracing::debug!("an alarm can't be recorded: {error}");
            }
        }
    }

    async fn set_alarm(&self, journal: &Journal, clock: &Clock, text: &str) -> Result<(), JournalError> {
        let cause = self.why.values().next();
        if cause.is_none() {
            return journal.trouble_gone(Alarm::Intake, clock.now()).await.map(drop);
        }
        if self.cause.as_ref() == cause && journal.reword_trouble(Alarm::Intake, text.to_owned()).await? {
            return Ok(());
        }
        journal.trouble(Alarm::Intake, text.to_owned(), clock.now()).await
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

/// Whether the inbox can be looked through: not while it is gone, and after a fault of our own not until the next start.
#[derive(Debug)]
pub struct Looking(Trouble);

impl Default for Looking {
    fn default() -> Self {
        Self(Trouble::new(Alarm::Inbox))
    }
}

impl Looking {
    /// A look broke off.
    pub(super) async fn broke_off(&mut self, journal: &Journal, clock: &Clock, error: &std::io::Error) {
        tracing::debug!("a look through the inbox broke off: {error}");
        let text = "the inbox can't be looked through any more: a fault in imeid itself, please report it with the line \
                    alarm=panic of the log. No file is taken until imeid is started again: systemctl restart imeid";
        self.0.is(journal, text.to_owned(), clock.now()).await;
    }

    /// A look came to its end, and found this.
    pub(super) async fn looked(&mut self, journal: &Journal, clock: &Clock, inbox: &Path, found: &[Waiting]) {
        if found.iter().any(Waiting::is_the_folder) {
            let text = format!(
                "the inbox {} is gone or can't be looked into: no file is taken until it is back (is its filesystem \
                 mounted?), then it goes on by itself",
                inbox.display()
            );
            self.0.is(journal, text, clock.now()).await;
        } else {
            self.0.is_gone(journal, clock.now()).await;
        }
    }
}

/// Why a file waits whose work broke off: such an end says where, and where in the program is in the log.
pub(super) fn fault(error: &tokio::task::JoinError) -> String {
    tracing::debug!("work on a file broke off: {error}");
    "a fault in imeid itself, please report it with the line alarm=panic of the log".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::View;

    #[tokio::test]
    async fn an_alarm_that_cant_be_recorded_is_gone_with_its_cause_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let (journal, clock, file) = (Journal::open(&path).unwrap(), Clock::system(), dir.path().join("a"));
        let mut told = Told::default();
        told.record(&journal, &clock).await;
        let rename = |from: &str, to: &str| {
            let other = rusqlite::Connection::open(&path).unwrap();
            other.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}")).unwrap();
        };
        rename("alarms", "away");
        std::fs::write(&file, "").unwrap();
        told.add(&file, "a", "full".to_owned());
        told.record(&journal, &clock).await;
        assert_eq!(journal.unrecorded().keys().collect::<Vec<_>>(), [&"intake"]);
        rename("away", "alarms");
        std::fs::remove_file(&file).unwrap();
        told.record(&journal, &clock).await;
        assert!(journal.unrecorded().is_empty());
    }

    #[tokio::test]
    async fn files_that_wait_for_the_same_are_one_alarm() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal.db")).unwrap();
        let clock = Clock::system();
        let paths = ["a.csv", "b.csv", "c.csv"].map(|name| dir.path().join(name));
        paths.iter().for_each(|path| std::fs::write(path, "").unwrap());
        let mut told = Told::default();
        let mut alarms = Vec::new();
        // The third waits for something else; then the first two are gone.
        for (path, why) in paths.iter().zip(["full", "full", "read-only"]) {
            told.add(path, "a file", why.to_owned());
            told.record(&journal, &clock).await;
            alarms.extend(journal.read(View::alarms).await.unwrap());
        }
        for path in &paths {
            std::fs::remove_file(path).unwrap();
            told.record(&journal, &clock).await;
            alarms.extend(journal.read(View::alarms).await.unwrap());
        }
        let shown: Vec<_> = alarms
            .iter()
            .map(|alarm| {
                let (files, why) = alarm.text.split_once(" can't be put where it belongs").unwrap();
                (alarm.n, files, why.rsplit_once(' ').unwrap().1)
            })
            .collect();
        assert_eq!(
            shown,
            [
                (1, "a.csv", "full"),
                (1, "a.csv (and 1 more)", "full"),
                (1, "a.csv (and 2 more)", "full"),
                (1, "b.csv (and 1 more)", "full"),
                (2, "c.csv", "read-only"),
            ]
        );
    }
}
