//! The balance's side of the books: sums to hold it against, the baseline, and what an accusation leads to.

use super::tx::Tx;
use super::view::View;
use super::{Journal, JournalError, books};
use crate::balance::{Baseline, Books};
use crate::order::Alarm;
use crate::types::{Money, Timestamp};

/// What is known about probes at this provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probing {
    /// Nothing yet: a probe goes alone, between two looks at the balance.
    Unproven,
    /// Duplicates are refused free of charge.
    Proven,
    /// The balance showed a charge that nothing explains: no probe goes until its alarm is seen.
    Unsafe,
}

const PROBING: &str = "probing";
const PROVEN: &str = "refused";

fn baseline_key(account: &str) -> String {
    format!("baseline:{account}")
}

pub(super) fn probing(tx: &Tx<'_>) -> Result<Probing, JournalError> {
    let Some(word) = tx.fact(PROBING)? else { return Ok(Probing::Unproven) };
    if word == PROVEN {
        return Ok(Probing::Proven);
    }
    let seen = tx.find(
        "SELECT 1 FROM alarms WHERE n = ?1 AND (acked_at IS NOT NULL OR gone_at IS NOT NULL)",
        [word.parse::<i64>().unwrap_or(0)],
        |_| Ok(()),
    )?;
    Ok(if seen.is_some() { Probing::Unproven } else { Probing::Unsafe })
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

    /// The first probe was refused as a duplicate, free of charge as far as the balance shows: from now on probes go
    /// like everything else.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn probes_are_refused(&self, now: Timestamp) -> Result<(), JournalError> {
        self.write(move |tx| match probing(tx)? {
            Probing::Unproven => {
                tx.set_fact(PROBING, PROVEN)?;
                tx.event(now, None, None, "probing", "duplicates are refused free of charge")
            }
            Probing::Proven | Probing::Unsafe => Ok(()),
        })
        .await
    }

    /// The balance accuses: an alarm, and no probe goes until a person has seen it. Said once for the same text.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn balance_accuses(
        &self,
        name: Alarm,
        text: String,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            if books::is_open(tx, name, &text)? {
                return Ok(());
            }
            let n = books::alarm_without_order(tx, now, name, &text)?;
            tx.event(now, None, None, "balance", &text)?;
            tx.set_fact(PROBING, &n.to_string())?;
            tx.ring(super::wake::Rung::SETTLE);
            Ok(())
        })
        .await
    }

    /// Whether no probe may go because the balance accused.
    ///
    /// # Errors
    /// The journal can't be read.
    pub async fn probes_are_unsafe(&self) -> Result<bool, JournalError> {
        self.write(|tx| Ok(probing(tx)? == Probing::Unsafe)).await
    }
}
