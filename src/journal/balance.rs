//! The balance's side of the books: sums to hold it against, and the baseline.

use super::view::View;
use super::{Journal, JournalError};
use crate::balance::{Baseline, Books};
use crate::types::Money;

fn baseline_key(account: &str) -> String {
    format!("baseline:{account}")
}

impl View {
    /// The sums that a balance is held against.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn books(&self) -> Result<Books, JournalError> {
        let sums = self.find(
            "SELECT coalesce(sum(reserved), 0), coalesce(sum(presumed), 0), coalesce(sum(charged), 0), \
             coalesce(sum(refund), 0) FROM totals WHERE scope = 'day'",
            [],
            |row| {
                Ok(Books {
                    reserved: Money::from_micros(row.get(0)?),
                    presumed: Money::from_micros(row.get(1)?),
                    charged: Money::from_micros(row.get(2)?),
                    refund_due: Money::from_micros(row.get(3)?),
                    presumed_without_id: Money::ZERO,
                })
            },
        )?;
        let without_id: Option<i64> = self.find(
            "SELECT coalesce(sum(attempts.price), 0) FROM orders JOIN attempts ON attempts.order_id = orders.id \
             WHERE orders.state IN (1, 2, 4, 5) AND orders.state IN (2, 4, 5) AND orders.provider_id IS NULL \
             AND attempts.verdict = 4",
            [],
            |row| row.get(0),
        )?;
        let presumed_without_id = Money::from_micros(without_id.unwrap_or(0));
        Ok(Books { presumed_without_id, ..sums.unwrap_or_default() })
    }

    /// The last balance at rest with nothing open.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn baseline(&self, account: &str) -> Result<Option<Baseline>, JournalError> {
        let text = self.fact(&baseline_key(account))?;
        // One that can't be read is none: then a balance shows nothing, until the next.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }
}

impl Journal {
    /// Keeps a balance at rest with nothing open, for later ones to be held against.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn set_baseline(&self, account: String, baseline: Baseline) -> Result<(), JournalError> {
        let text = serde_json::to_string(&baseline).unwrap_or_default();
        self.write(move |tx| tx.set_fact(&baseline_key(&account), &text)).await
    }
}
