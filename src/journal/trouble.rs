//! Alarms about what surrounds the journal: one for each name at a time, gone when its cause is.

use super::books;
use super::{Journal, JournalError};
use crate::order::Alarm;
use crate::types::Timestamp;

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
            Err(error) if self.keep_unrecorded(name.as_str(), &text) => {
                tracing::error!(alarm = name.as_str(), "{text} (it can't be recorded: {error})");
            }
            Err(_) => {}
        }
        written
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

/// One kind of trouble as someone looks for it again and again: its alarm is set and ended once for each reason.
#[derive(Debug)]
pub struct Trouble {
    name: Alarm,
    /// What was told last, nothing being well; `None`: not known, an earlier process may have left an alarm.
    told: Option<Option<String>>,
}

impl Trouble {
    /// Nothing told yet.
    #[must_use]
    pub const fn new(name: Alarm) -> Self {
        Self { name, told: None }
    }

    /// Sets the alarm, or ends it where all is well. True: it ended one. What can't be recorded is said all the same, and
    /// tried again by the next call.
    pub async fn tell(&mut self, journal: &Journal, trouble: Option<String>, now: Timestamp) -> bool {
        if self.told.as_ref() == Some(&trouble) {
            return false;
        }
        let done = match &trouble {
            None => journal.trouble_gone(self.name, now).await,
            Some(text) => journal.trouble(self.name, text.clone(), now).await.map(|()| false),
        };
        match done {
            Ok(ended) => {
                self.told = Some(trouble);
                ended
            }
            Err(error) => {
                self.told = None;
                tracing::debug!("an alarm can't be recorded or ended: {error}");
                false
            }
        }
    }
}
