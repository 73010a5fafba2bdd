//! Rows of exports that wait: for the answer of an order on the wire, or for a file to be taken in.

use super::export::{self, ExportRow};
use super::orders::{self, Rules};
use super::tx::Tx;
use super::{Journal, JournalError};
use crate::order::State;
use crate::types::{Imei, ServiceId, Timestamp};

/// Keys looked at in one transaction.
const SLICE: u32 = 100;

/// Keeps a row. Kept before, it stays as it is.
pub(super) fn keep(
    tx: &Tx<'_>,
    row: &ExportRow,
    service: ServiceId,
    imei: Imei,
    now: Timestamp,
) -> Result<(), JournalError> {
    let exported = serde_json::to_string(row).map_err(|error| JournalError::Unknown(error.to_string()))?;
    tx.execute(
        "INSERT OR IGNORE INTO kept_rows (service, imei, kept_at, exported) VALUES (?1, ?2, ?3, ?4)",
        (service.0, i64::try_from(imei.as_u64()).unwrap_or(0), now.millis(), exported),
    )?;
    Ok(())
}

impl Journal {
    /// Uses the rows of exports that were kept for orders which can take them now. Returns how many keys still wait.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn use_kept_rows(&self, now: Timestamp, rules: Rules) -> Result<usize, JournalError> {
        let waiting = self.read(|view| {
            view.all("SELECT DISTINCT service, imei FROM kept_rows LIMIT ?1", [SLICE], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
        });
        let keys = waiting.await?;
        if keys.is_empty() {
            return Ok(0);
        }
        self.write(move |tx| {
            let mut left = 0usize;
            for (service, imei) in &keys {
                left = left.saturating_add(usize::from(!use_rows(tx, *service, *imei, now, &rules)?));
            }
            Ok(left)
        })
        .await
    }
}

/// False: they still wait.
fn use_rows(
    tx: &Tx<'_>,
    service: i64,
    imei: i64,
    now: Timestamp,
    rules: &Rules,
) -> Result<bool, JournalError> {
    let known = u64::try_from(imei).ok().and_then(Imei::from_u64);
    let order = known.map(|imei| orders::current(tx, ServiceId(service), imei)).transpose()?.flatten();
    if let Some(order) = &order
        && (order.life.state == State::Submitting || export::is_taking(tx, order)?)
    {
        return Ok(false);
    }
    let mut rows: Vec<ExportRow> = Vec::new();
    {
        let mut statement =
            tx.prepare("SELECT exported FROM kept_rows WHERE service = ?1 AND imei = ?2 ORDER BY id")?;
        let mut found = statement.query((service, imei))?;
        while let Some(row) = found.next()? {
            let text: String = row.get(0)?;
            rows.push(serde_json::from_str(&text).map_err(|error| JournalError::Unknown(error.to_string()))?);
        }
    }
    let (mut wanted, mut ours) = (Vec::new(), Vec::new());
    for row in rows {
        match export::sort(tx, &row, now, rules)? {
            export::Sorted::Wanted(row) => wanted.push(*row),
            export::Sorted::Loose => ours.push(row),
            _ => {}
        }
    }
    if !wanted.is_empty() {
        export::settle(tx, &wanted, now, rules)?;
    }
    // It was sent, and what was sent before is shown: nobody looks at these rows again.
    export::beyond::tell_twice(tx, &ours, now, rules)?;
    tx.execute("DELETE FROM kept_rows WHERE service = ?1 AND imei = ?2", (service, imei))?;
    Ok(true)
}
