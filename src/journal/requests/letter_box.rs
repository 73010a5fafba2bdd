//! Where a command leaves a request while a daemon has the journal, and reads its answer.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::super::opened::Opened;
use super::super::{JournalError, refuse_newer};
use super::{NewRequest, RequestAnswer, json, read_json};
use crate::types::Timestamp;

/// The journal's letter box for commands that run beside the daemon: they can leave requests, and write nothing else.
pub struct LetterBox {
    connection: Connection,
    // Behind the connection, which must be closed first.
    _opened: Opened,
}

impl LetterBox {
    /// Opens the letter box of the journal at `path`.
    ///
    /// # Errors
    /// There is no journal, it is of another version, or it can't be written.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let (opened, _) = Opened::begin(path, || Ok(()))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .map_err(|error| JournalError::Unreachable { path: path.to_owned(), why: error.to_string() })?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        refuse_newer(&connection, path)?;
        Ok(Self { connection, _opened: opened })
    }

    /// Leaves a request; returns its number once it is durable.
    ///
    /// # Errors
    /// The journal can't be written.
    pub fn leave(&self, new: &NewRequest, now: Timestamp) -> Result<i64, JournalError> {
        insert(&self.connection, new, now)
    }

    /// The answer to a request, once there is one.
    ///
    /// # Errors
    /// The journal can't be read.
    pub fn answer(&self, id: i64) -> Result<Option<RequestAnswer>, JournalError> {
        let text: Option<Option<String>> = self
            .connection
            .query_row("SELECT answer FROM requests WHERE id = ?1", [id], |row| row.get(0))
            .optional()?;
        text.flatten().map(|text| read_json(&text)).transpose()
    }
}

pub(super) fn insert(connection: &Connection, new: &NewRequest, now: Timestamp) -> Result<i64, JournalError> {
    connection.execute(
        "INSERT INTO requests (at, who, word, target) VALUES (?1, ?2, ?3, ?4)",
        (now.millis(), &new.who, json(&new.said)?, json(&new.target)?),
    )?;
    Ok(connection.last_insert_rowid())
}
