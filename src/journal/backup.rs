//! A copy of the journal, made beside a running daemon, checked, and marked as a copy in itself.
//!
//! The copy is of one moment: its reader holds that moment for as long as it copies, so that what is written meanwhile
//! neither waits for it nor makes it begin anew. Until it ends the write-ahead log can't be emptied.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::restore::{COPIED_AT, COPY_OF, JOURNAL_ID};
use super::{JournalError, View};
use crate::types::Timestamp;

/// Pages copied at a time.
const STEP_PAGES: i32 = 64;
/// A lock that is in the way is waited out; each wait is this long.
const LOCKED_FOR: Duration = Duration::from_millis(10);

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Files that were taken.
    pub batches: u64,
    /// Their rows.
    pub rows: u64,
    /// Orders.
    pub orders: u64,
    /// Bytes of the copy.
    pub bytes: u64,
}

/// Copies the journal at `from` into the file `to`, which is there and empty, checks the copy, and marks it. Nothing is
/// left beside it. Blocks.
///
/// # Errors
/// The journal can't be read, the copy not written, or the check found something wrong with it.
pub fn back_up(from: &Path, to: &Path, now: Timestamp) -> Result<Copied, JournalError> {
    let source = View::open(from)?;
    let source = source.connection();
    super::refuse_newer(source, from)?;
    let moment = source.unchecked_transaction()?;
    // The first reading fixes the moment.
    let (counted, schema) = (count(source)?, schema(source)?);
    copy(source, to)?;
    mark(source, to, now)?;
    moment.finish()?;
    check(to, &counted, schema)
}

fn copy(source: &Connection, to: &Path) -> Result<(), JournalError> {
    let mut copy = Connection::open(to)?;
    // It is made durable as a whole before it gets its name.
    copy.pragma_update(None, "synchronous", "OFF")?;
    let backup = Backup::new(source, &mut copy)?;
    loop {
        match backup.step(STEP_PAGES)? {
            StepResult::Done => break,
            StepResult::Busy | StepResult::Locked => std::thread::sleep(LOCKED_FOR),
            _ => {}
        }
    }
    drop(backup);
    Ok(())
}

/// The mark is in the file itself: whatever it is renamed to and wherever it is put, it is known as a copy.
fn mark(source: &Connection, to: &Path, now: Timestamp) -> Result<(), JournalError> {
    let fact = |key: &str| {
        let mut statement = source.prepare("SELECT value FROM facts WHERE key = ?1")?;
        let mut rows = statement.query([key])?;
        rows.next()?.map(|row| row.get::<_, String>(0)).transpose()
    };
    let of = fact(JOURNAL_ID)?.unwrap_or_default();
    let copy = Connection::open(to)?;
    // One file, and no log beside it.
    let mode: String = copy.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    if mode != "delete" {
        return Err(JournalError::Unknown(format!("the copy stays in journal mode {mode}")));
    }
    copy.pragma_update(None, "synchronous", "FULL")?;
    let set = "INSERT INTO facts (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    copy.execute(set, (COPY_OF, of))?;
    copy.execute(set, (COPIED_AT, now.millis().to_string()))?;
    Ok(())
}

/// The copy is whole: its pages hang together, its schema is its original's, and every table has as many rows as its original.
pub(super) fn check(to: &Path, counted: &[(String, i64)], expected: i64) -> Result<Copied, JournalError> {
    let broken = |why: String| JournalError::Unknown(format!("the copy is not whole: {why}"));
    let copy = View::open(to)?;
    let copy = copy.connection();
    let verdict: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(broken(verdict));
    }
    let schema = schema(copy)?;
    if schema != expected {
        return Err(broken(format!("its schema is {schema} instead of {expected}")));
    }
    let found = count(copy)?;
    for ((table, there), (_, here)) in counted.iter().zip(&found) {
        // The mark is the copy's own.
        if there != here && table != "facts" {
            return Err(broken(format!("{table} has {here} rows instead of {there}")));
        }
    }
    if found.len() != counted.len() {
        return Err(broken(format!("it has {} tables instead of {}", found.len(), counted.len())));
    }
    let marked: i64 =
        copy.query_row("SELECT count(*) FROM facts WHERE key IN (?1, ?2)", [COPY_OF, COPIED_AT], |row| {
            row.get(0)
        })?;
    if marked != 2 {
        return Err(broken("its mark is missing".to_owned()));
    }
    let of = |table: &str| {
        let count = found.iter().find(|(name, _)| name == table).map_or(0, |(_, count)| *count);
        u64::try_from(count).unwrap_or(0)
    };
    let bytes = copy.query_row(
        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
        [],
        |row| row.get::<_, i64>(0),
    )?;
    Ok(Copied {
        batches: of("batches"),
        rows: of("rows"),
        orders: of("orders"),
        bytes: u64::try_from(bytes).unwrap_or(0),
    })
}

fn schema(connection: &Connection) -> Result<i64, JournalError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Every table with its rows, by name.
pub(super) fn count(connection: &Connection) -> Result<Vec<(String, i64)>, JournalError> {
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name",
    )?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    let mut counts = Vec::new();
    for name in names {
        let name = name?;
        let quoted = name.replace('"', "\"\"");
        let sql = format!("SELECT count(*) FROM \"{quoted}\"");
        counts.push((name, connection.query_row(&sql, [], |row| row.get(0))?));
    }
    Ok(counts)
}
