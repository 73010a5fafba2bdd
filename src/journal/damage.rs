//! A damaged journal is refused, and never taken for an empty or an older one: what it knows would be paid for again.
//!
//! At start nobody waits for a journal of gigabytes to be read. What is looked at: the head of the file, its length, the
//! write-ahead log ([`wal`]), the small tables in full, and of the large ones the ends and what is in work. What that
//! doesn't find is found when it is read or written, at any later time: see [`Journal::damaged`](super::Journal::damaged).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rusqlite::{Connection, ErrorCode};

use tokio_util::sync::CancellationToken;

use super::JournalError;
use super::wal::{self, Log};

/// Tables that stay small: read in full at every start.
const SMALL: [&str; 8] =
    ["facts", "services", "batches", "watermarks", "totals", "tallies", "pauses", "alarms"];

/// What is in work, through the indexes that find it.
pub(super) const IN_WORK: [&str; 7] = [
    // In three ways: a journal whose schema isn't brought up to date yet has the index by one of the first two.
    "SELECT * FROM orders WHERE state IN (1, 2, 4, 5) AND (state = 1 OR state = 2 OR state = 4 OR state = 5) \
     AND (state = 2 OR state = 4 OR state = 5) ORDER BY state, due_at, id LIMIT 1000",
    // On their way: whatever the schema, their open attempts lead to them.
    "SELECT * FROM orders WHERE id IN (SELECT order_id FROM attempts WHERE verdict IS NULL) LIMIT 1000",
    "SELECT * FROM orders WHERE state = 3 ORDER BY due_at, id LIMIT 1000",
    "SELECT * FROM orders WHERE current = 1 ORDER BY service, imei LIMIT 1",
    "SELECT * FROM orders WHERE current = 1 ORDER BY service DESC, imei DESC LIMIT 1",
    "SELECT * FROM attempts WHERE verdict IS NULL LIMIT 1000",
    "SELECT * FROM orders JOIN batches ON batches.id = orders.batch WHERE batches.state NOT IN (4, 5) \
     AND orders.state = 0 ORDER BY orders.batch, orders.due_at, orders.id LIMIT 1000",
];

/// The damage that was found while the journal was open. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Found(Arc<FoundInner>);

#[derive(Debug)]
struct FoundInner {
    path: PathBuf,
    what: OnceLock<String>,
    bell: CancellationToken,
}

impl Found {
    pub(super) fn new(path: &Path) -> Self {
        let (path, what) = (path.to_owned(), OnceLock::new());
        Self(Arc::new(FoundInner { path, what, bell: CancellationToken::new() }))
    }

    /// Remembers `error` if it is damage, and gives it back with the file's name.
    pub(super) fn note(&self, error: JournalError) -> JournalError {
        let error = name(error, &self.0.path);
        if let JournalError::Damaged { what, .. } = &error {
            self.0.what.get_or_init(|| what.clone());
            self.0.bell.cancel();
        }
        error
    }

    pub(super) fn is_found(&self) -> bool {
        self.0.bell.is_cancelled()
    }

    /// What was found; an error for whoever wants to go on.
    pub(super) fn error(&self) -> JournalError {
        damaged(&self.0.path, self.0.what.get().map_or("", String::as_str))
    }

    pub(super) async fn wait(&self) -> JournalError {
        self.0.bell.cancelled().await;
        self.error()
    }
}

/// Whether SQLite says that the file is damaged, or no database at all.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// `error`, with the file's name where it is damaged.
pub(super) fn name(error: JournalError, path: &Path) -> JournalError {
    match error {
        JournalError::Sqlite(error) if is_damage(&error) => damaged(path, &error.to_string()),
        error => error,
    }
}

pub(super) fn damaged(path: &Path, what: &str) -> JournalError {
    JournalError::Damaged { path: path.to_owned(), what: what.to_owned() }
}

/// The head of the file, and what is beside it, before SQLite opens it. Gives nothing away beside a running daemon.
///
/// # Errors
/// It is damaged, or can't be read.
pub(super) fn look_at_head(path: &Path) -> Result<(), JournalError> {
    let unreachable =
        |why: io::Error| JournalError::Unreachable { path: path.to_owned(), why: why.to_string() };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return look_for_rests(path, "it is gone"),
        Err(error) => return Err(unreachable(error)),
    };
    let mut head = Vec::with_capacity(24);
    (&mut file).take(24).read_to_end(&mut head).map_err(unreachable)?;
    if head.is_empty() {
        return look_for_rests(path, "it is empty");
    }
    // These never change, whatever a crash interrupted.
    let fixed = head.starts_with(b"SQLite format 3\0") && head.get(21..24) == Some(&[64, 32, 32]);
    if fixed { Ok(()) } else { Err(damaged(path, "its head is none of a journal's")) }
}

/// SQLite removes a log that lies beside an empty database.
pub(super) fn look_for_rests(path: &Path, what: &str) -> Result<(), JournalError> {
    let log = std::fs::metadata(wal::beside(path, "-wal")).map_or(0, |metadata| metadata.len());
    if log > 0 { Err(damaged(path, &format!("{what}, and its write-ahead log is not"))) } else { Ok(()) }
}

/// The write-ahead log before SQLite opens it. `all`: nobody has the journal open.
///
/// # Errors
/// It is damaged, or can't be read.
pub(super) fn look_at_log(path: &Path, all: bool) -> Result<Log, JournalError> {
    match wal::read(path, all) {
        Ok(Ok(log)) => Ok(log),
        Ok(Err(what)) => Err(damaged(path, what)),
        Err(why) => Err(JournalError::Unreachable { path: path.to_owned(), why: why.to_string() }),
    }
}

/// Its length, the small tables, and what is in work.
///
/// # Errors
/// It is damaged, or can't be read.
pub(super) fn look_inside(connection: &Connection, path: &Path, log: &Log) -> Result<(), JournalError> {
    let told = |error| name(JournalError::Sqlite(error), path);
    look_at_length(connection, path, log)?;
    for table in SMALL {
        let found: String = connection
            .query_row(&format!("PRAGMA integrity_check('{table}')"), [], |row| row.get(0))
            .map_err(told)?;
        if found != "ok" {
            return Err(damaged(path, &format!("{table}: {}", found.replace('\n', " "))));
        }
    }
    for sql in ends(connection).map_err(told)?.iter().map(String::as_str).chain(IN_WORK) {
        read_all(connection, sql).map_err(told)?;
    }
    Ok(())
}

/// Every page that is in use is in the file or in the log.
fn look_at_length(connection: &Connection, path: &Path, log: &Log) -> Result<(), JournalError> {
    let pragma = |name: &str| {
        let read = connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, u32>(0));
        read.map(u64::from).map_err(|error| self::name(JournalError::Sqlite(error), path))
    };
    let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let in_file = length / pragma("page_size")?.max(1);
    let in_log = log.holds.iter().filter(|page| u64::from(**page) > in_file).count();
    let there = in_file.saturating_add(u64::try_from(in_log).unwrap_or(0));
    // A page that is free need never have been written.
    if there.saturating_add(pragma("freelist_count")?) < u64::from(log.pages).max(pragma("page_count")?) {
        return Err(damaged(path, "it is shorter than it was"));
    }
    Ok(())
}

/// Statements that read the first and the last row of every table.
fn ends(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT name, coalesce((SELECT group_concat(name || ' DESC', ', ') FROM pragma_table_info(tables.name) WHERE pk > 0 AND tables.wr), \
         'rowid DESC') FROM pragma_table_list AS tables WHERE type = 'table' AND schema = 'main'",
    )?;
    let both = statement.query_map([], |row| {
        let (table, last): (String, String) = (row.get(0)?, row.get(1)?);
        let first = last.replace(" DESC", "");
        Ok([first, last].map(|order| format!("SELECT * FROM {table} ORDER BY {order} LIMIT 1")))
    })?;
    Ok(both.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn read_all(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            row.get_ref(column)?;
        }
    }
    Ok(())
}
