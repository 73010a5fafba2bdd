//! Whether the journal is an older copy.

use rusqlite::Connection;

use super::JournalError;

/// The journal's own id, given when it is made.
pub(super) const JOURNAL_ID: &str = "journal_id";
/// In a copy: the id of the journal that it was made of.
pub(super) const COPY_OF: &str = "copy_of";
/// In a copy: when it was made, in unix milliseconds.
pub(super) const COPIED_AT: &str = "copied_at";

/// Gives the journal an id of its own, once.
pub(super) fn give_id(connection: &Connection) -> Result<(), JournalError> {
    let sql = "INSERT OR IGNORE INTO facts (key, value) VALUES (?1, ?2)";
    connection.execute(sql, (JOURNAL_ID, new_id()))?;
    Ok(())
}

fn new_id() -> String {
    format!("{:032x}", fastrand::Rng::new().u128(..))
}
