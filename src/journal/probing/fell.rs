//! A fall of the balance that nothing explains, told of once for each sum: each look finds the same until the balance can be
//! held against a later one. What a person has seen of it is told apart from what is new.

use serde::{Deserialize, Serialize};

use super::super::tx::Tx;
use super::super::{Journal, JournalError};
use super::{accuse, was_seen};
use crate::order::Alarm;
use crate::types::{Money, Timestamp};

/// What was told of the fall since one baseline.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    /// When that balance was read, in unix milliseconds.
    since_ms: i64,
    /// Each alarm's number and sum.
    alarms: Vec<(i64, Money)>,
}

/// An alarm that was told, and isn't gone.
struct Known {
    text: String,
    is_seen: bool,
}

fn key(account: &str) -> String {
    format!("fell:{account}")
}

/// What was told of the fall since then. One that can't be read tells of nothing.
fn told(tx: &Tx<'_>, account: &str, since: Timestamp) -> Result<Told, JournalError> {
    let text = tx.fact(&key(account))?;
    let told: Option<Told> = text.and_then(|text| serde_json::from_str(&text).ok());
    let of_then = told.filter(|told| told.since_ms == since.millis());
    Ok(of_then.unwrap_or(Told { since_ms: since.millis(), alarms: Vec::new() }))
}

fn known(tx: &Tx<'_>, alarm: i64) -> Result<Option<Known>, JournalError> {
    let sql = "SELECT text, acked_at IS NOT NULL FROM alarms \
               WHERE n = ?1 AND (acked_at IS NOT NULL OR gone_at IS NULL)";
    tx.find(sql, [alarm], |row| Ok(Known { text: row.get(0)?, is_seen: row.get(1)? }))
}

fn tell(
    tx: &Tx<'_>,
    account: &str,
    since: Timestamp,
    over: Money,
    text: &str,
    now: Timestamp,
) -> Result<(), JournalError> {
    let mut told = told(tx, account, since)?;
    let mut seen = Money::ZERO;
    for (alarm, sum) in &told.alarms {
        let Some(known) = known(tx, *alarm)? else { continue };
        if *sum == over {
            // Its words stay as they were, whatever was seen since.
            return if known.is_seen {
                Ok(())
            } else {
                accuse(tx, account, Alarm::Balance, &known.text, now).map(drop)
            };
        }
        if known.is_seen && *sum < over {
            seen = seen.max(*sum);
        }
    }
    let text = match seen {
        Money::ZERO => text.to_owned(),
        seen => format!("{text}, of which {seen} were seen before (imeid ack)"),
    };
    // By an earlier version, which kept its words alone.
    if was_seen(tx, account, Alarm::Balance, &text)? {
        return Ok(());
    }
    let alarm = accuse(tx, account, Alarm::Balance, &text, now)?;
    told.alarms.push((alarm, over));
    tx.set_fact(&key(account), &serde_json::to_string(&told).unwrap_or_default())
}

impl Journal {
    /// The balance fell by `over` more than is explained, since the one that was read at `since`: an alarm, and no probe goes
    /// until a person has seen it. Said once for the same sum. `text` tells of all of it; what of it was seen before is added.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn balance_fell(
        &self,
        account: String,
        since: Timestamp,
        over: Money,
        text: String,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.write(move |tx| tell(tx, &account, since, over, &text, now)).await
    }
}
