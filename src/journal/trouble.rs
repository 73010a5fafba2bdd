//! Alarms about what surrounds the journal: one for each name at a time, gone when its cause is; and such as tell of
//! something that is over.

use super::books;
use super::{Journal, JournalError};
use crate::order::Alarm;
use crate::types::Timestamp;

/// What a stage last told of one thing that can be wrong, so that each is said and recorded once.
#[derive(Debug)]
pub struct Trouble {
    name: Alarm,
    /// `None`: nothing yet, and an earlier process may have left an alarm. An empty one: nothing is wrong.
    told: Option<String>,
}

impl Trouble {
    /// Nothing is told yet.
    #[must_use]
    pub const fn new(name: Alarm) -> Self {
        Self { name, told: None }
    }

    /// Something is wrong, and this is what.
    pub async fn is(&mut self, journal: &Journal, text: String, now: Timestamp) {
        if self.told.as_ref() != Some(&text) {
            let done = journal.trouble(self.name, text.clone(), now).await;
            self.keep(text, done);
        }
    }

    /// Nothing is wrong. True: something was.
    pub async fn is_gone(&mut self, journal: &Journal, now: Timestamp) -> bool {
        if self.told.as_ref().is_some_and(String::is_empty) {
            return false;
        }
        let done = journal.trouble_gone(self.name, now).await;
        let was_there = *done.as_ref().unwrap_or(&false);
        self.keep(String::new(), done.map(drop));
        was_there
    }

    fn keep(&mut self, text: String, done: Result<(), JournalError>) {
        match done {
            Ok(()) => self.told = Some(text),
            // It is kept in memory and said all the same; the next call tries again.
            Err(error) => {
                self.told = None;
                tracing::debug!(alarm = self.name.as_str(), "an alarm can't be recorded or ended: {error}");
            }
        }
    }
}

impl Journal {
    /// Something is wrong and stays so: an alarm until [`Journal::trouble_gone`]. Said once for the same text; another
    /// text takes the place of the one before.
    ///
    /// # Errors
    /// The journal can't be written. It is said all the same, and kept in memory: to be called again.
    pub async fn trouble(&self, name: Alarm, text: String, now: Timestamp) -> Result<(), JournalError> {
        let is_said = self.unrecorded().get(name.as_str()) == Some(&text);
        let to_write = text.clone();
        let written = self
            .write(move |tx| {
                let known = tx.find(
                    "SELECT 1 FROM alarms WHERE name = ?1 AND text = ?2 AND gone_at IS NULL",
                    (name.as_str(), &to_write),
                    |_| Ok(()),
                )?;
                if known.is_some() {
                    return Ok(());
                }
                tx.execute(
                    "UPDATE alarms SET gone_at = ?2 WHERE name = ?1 AND gone_at IS NULL",
                    (name.as_str(), now.millis()),
                )?;
                if !is_said {
                    books::log_alarm(tx, name, &to_write);
                }
                books::enter_alarm(tx, now, name, &to_write).map(drop)
            })
            .await;
        match &written {
            Ok(()) => {
                self.drop_unrecorded(name.as_str());
            }
            Err(error) => self.keep_and_say(name, &text, error),
        }
        written
    }

    /// Something happened and is over: an alarm until someone has seen it. Said once for the same text until then.
    ///
    /// # Errors
    /// The journal can't be written. It is said all the same, and kept in memory.
    pub async fn happened(&self, name: Alarm, text: String, now: Timestamp) -> Result<(), JournalError> {
        let to_write = text.clone();
        let written = self
            .write(move |tx| {
                if books::open_alarm(tx, name, &to_write)?.is_some() {
                    return Ok(());
                }
                books::alarm_without_order(tx, now, name, &to_write).map(drop)
            })
            .await;
        if let Err(error) = &written {
            self.keep_and_say(name, &text, error);
        }
        written
    }

    fn keep_and_say(&self, name: Alarm, text: &str, error: &JournalError) {
        if self.keep_unrecorded(name.as_str(), text) {
            tracing::error!(alarm = name.as_str(), "{text} (it can't be recorded: {error})");
        }
    }

    /// Such an alarm's text is another now, and its cause the same: it keeps its number and its time, and isn't said again.
    /// False: there is none.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn reword_trouble(&self, name: Alarm, text: String) -> Result<bool, JournalError> {
        self.write(move |tx| {
            let sql = "UPDATE alarms SET text = ?2 WHERE name = ?1 AND gone_at IS NULL";
            Ok(tx.execute(sql, (name.as_str(), &text))? > 0)
        })
        .await
    }

    /// The cause of such an alarm is gone. True: there was one.
    ///
    /// # Errors
    /// The journal can't be written: to be called again.
    pub async fn trouble_gone(&self, name: Alarm, now: Timestamp) -> Result<bool, JournalError> {
        let was_kept = self.drop_unrecorded(name.as_str());
        let gone = self.write(move |tx| {
            let gone = tx.execute(
                "UPDATE alarms SET gone_at = ?2 WHERE name = ?1 AND gone_at IS NULL",
                (name.as_str(), now.millis()),
            )?;
            Ok(gone > 0)
        });
        Ok(gone.await? || was_kept)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::journal::View;

    const AT: Timestamp = Timestamp::from_millis(1_000);

    fn journal_in(folder: &Path) -> Journal {
        Journal::open(&folder.join("journal.db")).unwrap()
    }

    fn open_alarms(journal: &Journal) -> Vec<(i64, String)> {
        journal.read_here(View::alarms).unwrap().into_iter().map(|alarm| (alarm.n, alarm.text)).collect()
    }

    /// Renames a table by another connection, so that what needs it fails.
    fn rename(folder: &Path, from: &str, to: &str) {
        let other = rusqlite::Connection::open(folder.join("journal.db")).unwrap();
        other.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}")).unwrap();
    }

    #[tokio::test]
    async fn what_happened_is_one_alarm_until_someone_has_seen_it() {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal_in(folder.path());
        let happens = || journal.happened(Alarm::Stage, "the stage poll ended".to_owned(), AT);
        for _ in 0..3 {
            happens().await.unwrap();
        }
        assert_eq!(open_alarms(&journal), [(1, "the stage poll ended".to_owned())]);
        let seen = "UPDATE alarms SET acked_at = 2000";
        journal.write(move |tx| tx.execute(seen, [])).await.unwrap();
        assert_eq!(open_alarms(&journal), []);
        happens().await.unwrap();
        assert_eq!(open_alarms(&journal), [(2, "the stage poll ended".to_owned())]);
    }

    #[tokio::test]
    async fn what_happened_and_cant_be_recorded_is_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal_in(folder.path());
        rename(folder.path(), "alarms", "away");
        assert!(journal.happened(Alarm::Stage, "the stage poll ended".to_owned(), AT).await.is_err());
        assert_eq!(journal.unrecorded().get("stage").map(String::as_str), Some("the stage poll ended"));
    }

    #[tokio::test]
    async fn a_trouble_is_one_alarm_that_ends_with_its_cause_in_another_process_too() {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal_in(folder.path());
        let mut trouble = Trouble::new(Alarm::Inbox);
        assert!(!trouble.is_gone(&journal, AT).await, "nothing was wrong");
        for _ in 0..3 {
            trouble.is(&journal, "it can't be looked through".to_owned(), AT).await;
        }
        assert_eq!(open_alarms(&journal), [(1, "it can't be looked through".to_owned())]);
        let mut next = Trouble::new(Alarm::Inbox);
        assert!(next.is_gone(&journal, AT).await);
        assert_eq!(open_alarms(&journal), []);
    }

    #[tokio::test]
    async fn a_trouble_that_cant_be_recorded_is_in_memory_until_it_can_or_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal_in(folder.path());
        let mut trouble = Trouble::new(Alarm::Inbox);
        rename(folder.path(), "alarms", "away");
        trouble.is(&journal, "why".to_owned(), AT).await;
        assert!(journal.unrecorded().contains_key("inbox"));
        rename(folder.path(), "away", "alarms");
        trouble.is(&journal, "why".to_owned(), AT).await;
        assert_eq!((journal.unrecorded().len(), open_alarms(&journal).len()), (0, 1));
        assert!(trouble.is_gone(&journal, AT).await);
        assert_eq!(open_alarms(&journal), []);
    }
}
