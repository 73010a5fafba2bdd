//! An export's way through the folders, as the journal knows it.

use std::collections::BTreeSet;

use super::files::free_name;
use super::tx::Tx;
use super::view::View;
use super::wake::Rung;
use super::{Journal, JournalError};
use crate::types::Timestamp;

/// An export that was read to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadExport {
    /// What was counted, as JSON.
    pub counts: String,
    /// The name of its reason file in `rejected/`, reserved for good, and its text; `None`: every row was matched.
    pub reason: Option<(String, String)>,
}

/// Since when one is being read, in unix milliseconds. A crash leaves it standing, for the next start reads on.
const BEGUN: &str = "export_begun";

pub(super) const READ_SINCE: &str =
    "SELECT 1 FROM exports WHERE at > ?1 AND coalesce(json_extract(counts, '$.rows'), 1) > 0 LIMIT 1";

/// Whether one was read to its end since then.
pub(super) fn was_read_since(tx: &Tx<'_>, since: Timestamp) -> Result<bool, JournalError> {
    Ok(tx.find(READ_SINCE, [since.millis()], |_| Ok(()))?.is_some())
}

impl View {
    /// Since when an export is being read; `None`: none is. After a crash it may be one that was taken away since.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn export_begun(&self) -> Result<Option<Timestamp>, JournalError> {
        let begun = self.fact(BEGUN)?;
        Ok(begun.and_then(|begun| begun.parse().ok()).map(Timestamp::from_millis))
    }
}

impl Journal {
    /// An export is about to be read. What it changes comes out once it is read: see [`Journal::enter_export`].
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn begin_export(&self, now: Timestamp) -> Result<(), JournalError> {
        self.write(move |tx| tx.set_fact(BEGUN, &now.millis().to_string())).await
    }

    /// No export is being read now, whatever an earlier process left.
    ///
    /// # Errors
    /// The journal can't be read or written.
    pub async fn no_export(&self) -> Result<(), JournalError> {
        if self.read(View::export_begun).await?.is_none() {
            return Ok(());
        }
        self.write(end).await
    }

    /// What is known of the export in this folder of `.taken`: it was read to the end.
    ///
    /// # Errors
    /// The journal can't be read.
    pub async fn read_export(&self, key: String) -> Result<Option<ReadExport>, JournalError> {
        self.write(move |tx| find(tx, &key)).await
    }

    /// Enters an export that was read to the end, its reason file's name reserved, and lets come out what it changed.
    /// Repeated, it gives what was entered before. `occupied`: names that files in `rejected/` have.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn enter_export(
        &self,
        key: String,
        file_name: String,
        counts: String,
        reason: Option<String>,
        occupied: BTreeSet<String>,
        now: Timestamp,
    ) -> Result<ReadExport, JournalError> {
        self.write(move |tx| enter(tx, &key, &file_name, &counts, reason.as_deref(), &occupied, now)).await
    }

    /// The export lies in the archive, its reason file in `rejected/`.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn export_archived(&self, key: String, now: Timestamp) -> Result<(), JournalError> {
        self.write(move |tx| {
            tx.execute("UPDATE exports SET done_at = ?2 WHERE taken_key = ?1", (&key, now.millis()))?;
            Ok(())
        })
        .await
    }
}

fn end(tx: &Tx<'_>) -> Result<(), JournalError> {
    tx.execute("DELETE FROM facts WHERE key = ?1", [BEGUN])?;
    tx.ring(Rung::OUTBOX);
    Ok(())
}

fn find(tx: &Tx<'_>, key: &str) -> Result<Option<ReadExport>, JournalError> {
    tx.find("SELECT counts, reason_name, reason FROM exports WHERE taken_key = ?1", [key], |row| {
        let (name, reason): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
        Ok(ReadExport { counts: row.get(0)?, reason: name.zip(reason) })
    })
}

fn enter(
    tx: &Tx<'_>,
    key: &str,
    file_name: &str,
    counts: &str,
    reason: Option<&str>,
    occupied: &BTreeSet<String>,
    now: Timestamp,
) -> Result<ReadExport, JournalError> {
    end(tx)?;
    if let Some(known) = find(tx, key)? {
        return Ok(known);
    }
    let name = match reason {
        None => None,
        Some(_) => Some(reason_name(tx, file_name, occupied)?),
    };
    tx.execute(
        "INSERT INTO exports (taken_key, file_name, at, counts, reason_name, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (key, file_name, now.millis(), counts, &name, reason),
    )?;
    tx.event(now, None, None, "export", &format!("{file_name}: {counts}"))?;
    Ok(ReadExport { counts: counts.to_owned(), reason: name.zip(reason.map(str::to_owned)) })
}

/// `FILE.reason.txt`, or `FILE-2.reason.txt`…: the first that neither an export's nor a refused file's reason has.
fn reason_name(tx: &Tx<'_>, file_name: &str, occupied: &BTreeSet<String>) -> Result<String, JournalError> {
    const SUFFIX: &str = ".reason.txt";
    let (stem, extension) = match file_name.rfind('.') {
        Some(dot) if dot > 0 => file_name.split_at(dot),
        _ => (file_name, ""),
    };
    free_name(stem, &format!("{extension}{SUFFIX}"), |name| {
        let refused = name.strip_suffix(SUFFIX).unwrap_or(name);
        let known = tx.find(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM exports WHERE reason_name = ?1) \
             OR EXISTS (SELECT 1 FROM refusals WHERE dest_name = ?2)",
            (name, refused),
            |_| Ok(()),
        )?;
        Ok(known.is_some() || occupied.contains(name))
    })
}
