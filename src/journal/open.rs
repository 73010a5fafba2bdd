//! Opening: a file that is no journal, is damaged or is newer is refused before anything in it changes.

use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};
use tokio_util::sync::CancellationToken;

use super::opened::Opened;
use super::tx::Held;
use super::writer::{self, Common};
use super::{
    Journal, JournalError, Shared, Tx, Wakes, damage, pause, rest, restore, standing, start, unrecorded,
};
use crate::durable;

/// Statements kept prepared on the writer's connection: all of the hot path, with room.
const PREPARED_STATEMENTS: usize = 128;

pub(super) fn migrations() -> Migrations<'static> {
    Migrations::new(vec![
        M::up(include_str!("migrations/1.sql")),
        M::up(include_str!("migrations/2.sql")),
        M::up(include_str!("migrations/3.sql")),
        M::up(include_str!("migrations/4.sql")),
        M::up(include_str!("migrations/5.sql")),
    ])
}

/// How many migrations this version knows.
pub(super) const SCHEMA: usize = 5;

impl Journal {
    /// Opens the journal at `path`, creating it if there is none, brings its schema up to date and starts the writer.
    /// The caller holds the lock.
    ///
    /// # Errors
    /// A file that is no journal, is damaged, is newer than this program, or can't be written.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let unreachable = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::CannotOpen) => {
                JournalError::Unreachable { path: path.to_owned(), why: error.to_string() }
            }
            _ => damage::name(JournalError::Sqlite(error), path),
        };
        let look = || damage::look_at_head(path).and_then(|()| damage::look_at_log(path, true));
        let (opened, log) = Opened::begin(path, look)?;
        let mut connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
        .map_err(unreachable)?;
        // Where it is refused, nothing of it is changed.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        let schema = refuse_newer(&connection, path).map_err(|error| damage::name(error, path))?;
        if let Some(log) = log.filter(|_| schema > 0) {
            damage::look_inside(&connection, path, &log)?;
        }
        configure_writer(&connection).map_err(|error| damage::name(error, path))?;
        migrations().to_latest(&mut connection).map_err(|error| match error {
            rusqlite_migration::Error::RusqliteError { err, .. } => {
                damage::name(JournalError::Sqlite(err), path)
            }
            error => JournalError::Unknown(error.to_string()),
        })?;
        let (sender, receiver) = channel();
        let rest = rest::Rest::default();
        restore::give_id(&connection)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        // What a crash left behind the last commit goes with the log: the next torn end is then the only one.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        opened.remember();
        let standing = standing::Standing::default();
        standing.set(pause::list(&Tx::new(&connection, &rest, Held::default()))?);
        let common = Common {
            wakes: Wakes::default(),
            damage: damage::Found::new(path),
            standing,
            start: start::Start::default(),
            rest,
            unrecorded: unrecorded::Unrecorded::default(),
            linger_ms: Arc::default(),
            sent: Arc::default(),
            opened: Arc::new(opened),
            writer_gone: CancellationToken::new(),
        };
        let writer = writer::Writer::new(receiver, common.clone());
        let gone = common.writer_gone.clone().drop_guard();
        let hook = durable::crash_point_hook();
        let work = move || {
            durable::set_crash_point_hook(hook);
            // However it ends, a panic too.
            let _gone = gone;
            writer.run(connection);
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(work)
            .map_err(|error| JournalError::Unreachable { path: path.to_owned(), why: error.to_string() })?;
        let shared = Shared {
            path: path.to_owned(),
            operations: Mutex::new(Some(sender)),
            readers: Mutex::new(Vec::new()),
            common,
            thread: thread.thread().clone(),
            writer: Mutex::new(Some(thread)),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

/// Gives its schema; 0: it is new.
pub(super) fn refuse_newer(connection: &Connection, path: &Path) -> Result<usize, JournalError> {
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let found = usize::try_from(found).unwrap_or(usize::MAX);
    if found > SCHEMA {
        return Err(JournalError::Newer { path: path.to_owned(), found, known: SCHEMA });
    }
    Ok(found)
}

fn configure_writer(connection: &Connection) -> Result<(), JournalError> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "wal_autocheckpoint", 1000)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    // A day's orders are near each other: more of it costs memory, and no figure gains (tests/bench/RESULTS.md).
    connection.pragma_update(None, "cache_size", -5120)?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    plan_once(connection)?;
    connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
    Ok(())
}

/// Plans don't depend on what is bound. Else a statement with a bound limit is planned anew with each value of it.
pub(super) fn plan_once(connection: &Connection) -> Result<(), JournalError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}
