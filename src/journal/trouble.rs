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
    /// The journal can't be written.
    pub async fn trouble(&self, name: Alarm, text: String, now: Timestamp) -> Result<(), JournalError> {
        self.write(move |tx| {
            let known = tx.find(
                "SELECT 1 FROM alarms WHERE name = ?1 AND text = ?2 AND gone_at IS NULL",
                (name.as_str(), &text),
                |_| Ok(()),
            )?;
            if known.is_some() {
                return Ok(());
            }
            tx.execute(
                "UPDATE alarms SET gone_at = ?2 WHERE name = ?1 AND gone_at IS NULL",
                (name.as_str(), now.millis()),
            )?;
            books::alarm_without_order(tx, now, name, &text).map(drop)
        })
        .await
    }

    /// The cause of such an alarm is gone. True: there was one.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn trouble_gone(&self, name: Alarm, now: Timestamp) -> Result<bool, JournalError> {
        self.write(move |tx| {
            let gone = tx.execute(
                "UPDATE alarms SET gone_at = ?2 WHERE name = ?1 AND gone_at IS NULL",
                (name.as_str(), now.millis()),
            )?;
            Ok(gone > 0)
        })
        .await
    }
}
