//! A file's way through the folders, as the journal knows it: a batch, or a refusal.
//!
//! Both are entered under the file's place in `.taken` before anything is moved, so that a crash in between ends the
//! same way.

use std::collections::BTreeSet;

use super::codes::BatchState;
use super::tx::Tx;
use super::view::View;
use super::wake::Rung;
use super::{Journal, JournalError, books, undo};
use crate::order::Alarm;
use crate::types::{BatchId, NetworkId, ServiceId, Timestamp};

/// A file that is accepted.
#[derive(Clone, Debug)]
pub struct NewBatch {
    /// Its folder in `.taken`.
    pub key: String,
    /// Its name, without the last extension.
    pub stem: String,
    /// Its whole name.
    pub file_name: String,
    /// Of its content, in hex.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// What its orders are for.
    pub service: ServiceId,
    /// How to read its rows again, as JSON.
    pub header: String,
    /// Its data rows.
    pub rows: u64,
    /// NAMEs that files in the outbox stand in the way of.
    pub occupied: BTreeSet<String>,
}

/// What the journal knows of a file in `.taken`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenFile {
    /// It became a batch.
    Batch {
        /// Which one.
        id: BatchId,
        /// Its NAME.
        name: String,
        /// How far it is.
        state: BatchState,
    },
    /// It was refused.
    Refused(Refused),
}

/// A refused file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its name in `rejected/`, reserved for good.
    pub dest_name: String,
    /// The text of `NAME.reason.txt`.
    pub reason: String,
}

impl Journal {
    /// What is known of the file in this folder of `.taken`.
    ///
    /// # Errors
    /// The journal can't be read.
    pub async fn open_file(&self, key: String) -> Result<Option<OpenFile>, JournalError> {
        self.write(move |tx| find(tx, &key)).await
    }

    /// Enters a batch in state `taking`, its NAME reserved. Repeated, it gives what was entered before.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn begin_batch(
        &self,
        new: NewBatch,
        now: Timestamp,
    ) -> Result<(BatchId, String), JournalError> {
        self.write(move |tx| begin(tx, &new, now)).await
    }

    /// Opens a batch whose rows are all journaled: its orders may go.
    ///
    /// # Errors
    /// Not all of its rows are there, or the journal can't be written.
    pub async fn open_batch(&self, batch: BatchId, now: Timestamp) -> Result<(), JournalError> {
        self.write(move |tx| open(tx, batch, now)).await
    }

    /// The batch's original lies in the archive, with so many bytes: an alarm if they aren't those that were read.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn batch_archived(
        &self,
        batch: BatchId,
        path: String,
        bytes: u64,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            tx.execute_one(
                "a batch's archive",
                "UPDATE batches SET archived_path = ?2 WHERE id = ?1",
                (batch.0, &path),
            )?;
            let taken: Option<(i64, String)> =
                tx.find("SELECT bytes, file_name FROM batches WHERE id = ?1", [batch.0], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?;
            match taken {
                Some((taken, name)) if u64::try_from(taken) != Ok(bytes) => {
                    let text = format!(
                        "{name} was written to after it was taken ({taken} bytes then, {bytes} now): what came later is \
                         not in its result. It lies in {path}: drop it again, what is known costs nothing"
                    );
                    books::alarm_about_batch(tx, now, Alarm::FileChanged, &text, batch)
                }
                _ => Ok(()),
            }
        })
        .await
    }

    /// Enters a refusal, its name in `rejected/` reserved. Repeated, it gives what was entered before.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn refuse_file(
        &self,
        key: String,
        file_name: String,
        reason: String,
        occupied: BTreeSet<String>,
        now: Timestamp,
    ) -> Result<Refused, JournalError> {
        self.write(move |tx| refuse(tx, &key, &file_name, &reason, &occupied, now)).await
    }

    /// The refused file and its reason lie in `rejected/`.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn file_refused(&self, key: String, now: Timestamp) -> Result<(), JournalError> {
        self.write(move |tx| {
            tx.execute("UPDATE refusals SET done_at = ?2 WHERE taken_key = ?1", (&key, now.millis()))?;
            Ok(())
        })
        .await
    }

    /// The journal's number of a service; entered if it is new.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn service(
        &self,
        account: String,
        network_id: NetworkId,
        name: String,
    ) -> Result<ServiceId, JournalError> {
        // One that is known as it is needs no room on the disk: a reload is taken over on a full one too.
        let (of, id, called) = (account.clone(), network_id.clone(), name.clone());
        let known = self.read(move |view| {
            let known = view.service_number(&of, &id)?;
            let names = view.service_names()?;
            Ok(known.filter(|known| names.get(known) == Some(&called)))
        });
        if let Some(known) = known.await? {
            return Ok(known);
        }
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO services (account, network_id, name) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (account, network_id) DO UPDATE SET name = excluded.name WHERE name <> excluded.name",
                (&account, &network_id.0, &name),
            )?;
            let id = tx.find(
                "SELECT id FROM services WHERE account = ?1 AND network_id = ?2",
                (&account, &network_id.0),
                |row| row.get(0).map(ServiceId),
            )?;
            id.ok_or_else(|| JournalError::Unknown(format!("the service {network_id} vanished")))
        })
        .await
    }

    /// The provider that an account is remembered for. It is remembered now if it wasn't, or if `replace`.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn account_url(
        &self,
        account: String,
        url: String,
        replace: bool,
    ) -> Result<String, JournalError> {
        self.write(move |tx| {
            let key = url_fact(&account);
            match tx.fact(&key)? {
                Some(known) if known == url || !replace => Ok(known),
                _ => {
                    tx.set_fact(&key, &url)?;
                    Ok(url.clone())
                }
            }
        })
        .await
    }

    /// A fact that one stage leaves for itself.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn set_fact(&self, key: &'static str, value: String) -> Result<(), JournalError> {
        self.write(move |tx| tx.set_fact(key, &value)).await
    }
}

impl View {
    /// The provider that an account is remembered for, if it is known.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn known_url(&self, account: &str) -> Result<Option<String>, JournalError> {
        self.fact(&url_fact(account))
    }

    /// Whether anything was sent under this account that may have been taken: only orders that wait and of which nothing is
    /// open say nothing of a provider.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn was_used(&self, account: &str) -> Result<bool, JournalError> {
        let sql = "SELECT 1 FROM orders JOIN services ON services.id = orders.service \
                   WHERE services.account = ?1 AND (orders.state <> 0 \
                   OR counted + unaccounted + inferred + presumed + charged > 0) LIMIT 1";
        Ok(self.find(sql, [account], |_| Ok(()))?.is_some())
    }

    /// The accounts that there are orders under, by name.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn accounts_with_orders(&self) -> Result<Vec<String>, JournalError> {
        let sql = "SELECT DISTINCT account FROM services WHERE EXISTS \
                   (SELECT 1 FROM orders WHERE orders.service = services.id AND current = 1) ORDER BY account";
        self.all(sql, [], |row| row.get(0))
    }
}

/// Where an account's provider is remembered.
fn url_fact(account: &str) -> String {
    format!("base_url:{account}")
}

fn find(tx: &Tx<'_>, key: &str) -> Result<Option<OpenFile>, JournalError> {
    // A file that was changed while it was taken in, and refused then, has both.
    let refused = tx.find("SELECT dest_name, reason FROM refusals WHERE taken_key = ?1", [key], |row| {
        Ok(Refused { dest_name: row.get(0)?, reason: row.get(1)? })
    })?;
    if let Some(refused) = refused {
        return Ok(Some(OpenFile::Refused(refused)));
    }
    let batch = tx.find("SELECT id, name, state FROM batches WHERE taken_key = ?1", [key], |row| {
        Ok((BatchId(row.get(0)?), row.get(1)?, row.get(2)?))
    })?;
    let Some((id, name, code)) = batch else { return Ok(None) };
    let state =
        BatchState::of(code).ok_or_else(|| JournalError::Unknown(format!("batch {id} has state {code}")))?;
    Ok(Some(OpenFile::Batch { id, name, state }))
}

fn begin(tx: &Tx<'_>, new: &NewBatch, now: Timestamp) -> Result<(BatchId, String), JournalError> {
    if let Some(OpenFile::Batch { id, name, state }) = find(tx, &new.key)? {
        let known: Option<String> =
            tx.find("SELECT sha256 FROM batches WHERE id = ?1", [id.0], |row| row.get(0))?;
        if state == BatchState::Taking && known.as_ref() != Some(&new.sha256) {
            undo::begin_anew(tx, id, new, now)?;
        }
        return Ok((id, name));
    }
    let name = free_batch_name(tx, &new.stem, &new.occupied)?;
    tx.execute(
        "INSERT INTO batches (name, file_name, taken_key, sha256, bytes, service, state, header, rows_total, taken_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9)",
        (
            &name,
            &new.file_name,
            &new.key,
            &new.sha256,
            i64::try_from(new.bytes).unwrap_or(i64::MAX),
            new.service.0,
            &new.header,
            i64::try_from(new.rows).unwrap_or(i64::MAX),
            now.millis(),
        ),
    )?;
    let id = BatchId(tx.connection().last_insert_rowid());
    tx.event(now, None, Some(id), "taken", &format!("{} as {name}, {} rows", new.file_name, new.rows))?;
    Ok((id, name))
}

/// The first NAME of this stem that no batch ever had and no file in the outbox has.
pub(super) fn free_batch_name(
    tx: &Tx<'_>,
    stem: &str,
    occupied: &BTreeSet<String>,
) -> Result<String, JournalError> {
    free_name(stem, "", |name| {
        let known = tx.find("SELECT 1 FROM batches WHERE name = ?1", [name], |_| Ok(()))?;
        Ok(known.is_some() || occupied.contains(name))
    })
}

/// `STEM`, or `STEM-2`, `STEM-3`… before the extension: the first that isn't taken.
pub(super) fn free_name(
    stem: &str,
    extension: &str,
    mut taken: impl FnMut(&str) -> Result<bool, JournalError>,
) -> Result<String, JournalError> {
    let mut name = format!("{stem}{extension}");
    let mut n = 2u64;
    while taken(&name)? {
        name = format!("{stem}-{n}{extension}");
        n = n.saturating_add(1);
    }
    Ok(name)
}

fn open(tx: &Tx<'_>, batch: BatchId, now: Timestamp) -> Result<(), JournalError> {
    let (journaled, total): (i64, i64) = tx
        .find(
            "SELECT (SELECT coalesce(sum(n), 0) FROM tallies WHERE batch = ?1), rows_total FROM batches WHERE id = ?1",
            [batch.0],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?
        .unwrap_or((0, -1));
    if journaled != total {
        return Err(JournalError::Unknown(format!("batch {batch} has {journaled} of {total} rows")));
    }
    tx.execute_one(
        "the opening of a batch",
        "UPDATE batches SET state = 1, opened_at = ?2 WHERE id = ?1 AND state = 0",
        (batch.0, now.millis()),
    )?;
    tx.event(now, None, Some(batch), "opened", &format!("{total} rows journaled"))?;
    tx.ring(Rung::SUBMIT.and(Rung::OUTBOX));
    Ok(())
}

fn refuse(
    tx: &Tx<'_>,
    key: &str,
    file_name: &str,
    reason: &str,
    occupied: &BTreeSet<String>,
    now: Timestamp,
) -> Result<Refused, JournalError> {
    match find(tx, key)? {
        Some(OpenFile::Refused(refused)) => return Ok(refused),
        // It was changed while it was taken in, and can't be read any more.
        Some(OpenFile::Batch { id, state: BatchState::Taking, .. }) => {
            undo::end(tx, id, "its file was changed and is refused", now)?;
        }
        Some(OpenFile::Batch { .. }) | None => {}
    }
    let (stem, extension) = match file_name.rfind('.') {
        Some(dot) if dot > 0 => file_name.split_at(dot),
        _ => (file_name, ""),
    };
    let dest_name = free_name(stem, extension, |name| {
        // Its reason is named after it: an export's reason may have that name already.
        let known = tx.find(
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM refusals WHERE dest_name = ?1) \
             OR EXISTS (SELECT 1 FROM exports WHERE reason_name = ?1 || '.reason.txt')",
            [name],
            |_| Ok(()),
        )?;
        Ok(known.is_some() || occupied.contains(name))
    })?;
    tx.execute(
        "INSERT INTO refusals (taken_key, file_name, dest_name, reason, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (key, file_name, &dest_name, reason, now.millis()),
    )?;
    tx.event(now, None, None, "refused", &format!("{file_name} as {dest_name}"))?;
    Ok(Refused { dest_name, reason: reason.to_owned() })
}
