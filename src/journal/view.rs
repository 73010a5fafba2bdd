//! Reading: connections that can't write, short transactions only.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Params, Row};

use super::JournalError;
use super::damage;
use super::exports;
use super::open::plan_once;
use super::opened::Opened;
use super::pause;
use super::restore;
use super::wal::beside;
use crate::gate::Pause;
use crate::order::PauseReason;
use crate::types::{ServiceId, Timestamp};

/// A connection that can only read.
pub struct View {
    connection: Connection,
    // Behind the connection, which must be closed first.
    _opened: Opened,
}

fn connect(path: &Path, how: OpenFlags) -> Result<Connection, JournalError> {
    let how = how | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, how)
        .map_err(|error| JournalError::Unreachable { path: path.to_owned(), why: error.to_string() })?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "query_only", "ON")?;
    connection.pragma_update(None, "cache_size", -1024)?;
    connection.set_prepared_statement_cache_capacity(64);
    plan_once(&connection)?;
    Ok(connection)
}

impl View {
    /// Opens the journal for reading only, beside a running daemon or without one.
    ///
    /// # Errors
    /// It isn't there, or can't be read.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let look = || {
            // Whoever opens a journal first after a crash makes its index anew: it must not hide what the next start
            // looks for.
            damage::look_at_log(path, false)?;
            damage::look_at_head(path)
        };
        let (opened, _) = Opened::begin(path, look)?;
        Ok(Self { connection: connect(path, OpenFlags::empty())?, _opened: opened })
    }

    /// Opens the journal for reading only, and leaves nothing beside it: where no log lies there nobody works with it, and
    /// SQLite makes none. Not for what is decided by: a daemon that starts meanwhile isn't noticed.
    ///
    /// # Errors
    /// It isn't there, or can't be read.
    pub fn glance(path: &Path) -> Result<Self, JournalError> {
        if beside(path, "-wal").exists() {
            return Self::open(path);
        }
        let (opened, _) = Opened::begin(path, || damage::look_at_head(path))?;
        let mut address = "file:".to_owned();
        for byte in path.as_os_str().as_bytes() {
            match byte {
                b'/' | b'-' | b'_' | b'.' => address.push(char::from(*byte)),
                _ if byte.is_ascii_alphanumeric() => address.push(char::from(*byte)),
                _ => address.push_str(&format!("%{byte:02X}")),
            }
        }
        address.push_str("?immutable=1");
        let connection = connect(Path::new(&address), OpenFlags::SQLITE_OPEN_URI)?;
        Ok(Self { connection, _opened: opened })
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Every row that a statement finds, read into a list.
    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, JournalError> {
        let read_all = || -> rusqlite::Result<Vec<T>> {
            let mut statement = self.connection.prepare_cached(sql)?;
            statement.query_map(params, read)?.collect()
        };
        read_all().map_err(|error| self.named(error))
    }

    /// The first row that a statement finds.
    pub(super) fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, JournalError> {
        let read_first = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(params)?;
            rows.next()?.map(read).transpose()
        };
        read_first().map_err(|error| self.named(error))
    }

    /// Reads several things as they stood at one moment, whatever is written meanwhile. Keep it short: what is written
    /// can't leave the write-ahead log until it ends.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn at_once<T>(&self, read: impl FnOnce(&Self) -> Result<T, JournalError>) -> Result<T, JournalError> {
        let moment = self.connection.unchecked_transaction().map_err(|error| self.named(error))?;
        let value = read(self)?;
        moment.finish()?;
        Ok(value)
    }

    /// `error`, with the journal's name where it is damaged.
    pub(super) fn named(&self, error: rusqlite::Error) -> JournalError {
        damage::name(JournalError::Sqlite(error), Path::new(self.connection.path().unwrap_or_default()))
    }

    /// What stands still.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn pauses(&self) -> Result<Vec<Pause>, JournalError> {
        let mut pauses = self.all(pause::SELECT, [], pause::read)?;
        for pause in pauses.iter_mut().filter(|pause| pause.reason == PauseReason::OlderCopy) {
            self.tell_export_read(&mut pause.text, pause.since)?;
        }
        Ok(pauses)
    }

    /// Of what an older copy waits for, an export that was read since `since` is no longer a part: `text` says so.
    pub(super) fn tell_export_read(&self, text: &mut String, since: Timestamp) -> Result<(), JournalError> {
        if let Some(what) = text.strip_suffix(restore::ADVICE)
            && self.find(exports::READ_SINCE, [since.millis()], |_| Ok(()))?.is_some()
        {
            *text = format!("{what}. An export was read since: say imeid resume");
        }
        Ok(())
    }

    /// Our names for the services.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn service_names(&self) -> Result<BTreeMap<ServiceId, String>, JournalError> {
        let names =
            self.all("SELECT id, name FROM services", [], |row| Ok((ServiceId(row.get(0)?), row.get(1)?)))?;
        Ok(names.into_iter().collect())
    }

    /// A fact's value.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn fact(&self, key: &str) -> Result<Option<String>, JournalError> {
        self.find("SELECT value FROM facts WHERE key = ?1", [key], |row| row.get(0))
    }
}
