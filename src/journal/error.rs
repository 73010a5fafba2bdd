//! What can go wrong with the journal, in words that say what to do.

use std::path::PathBuf;

/// Why the journal could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite says so: the disk is full, can't be written, or the file is damaged.
    #[error("the journal: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A statement changed another number of rows than it must.
    #[error("the journal: {what} changed {changed} rows instead of one")]
    Unexpected {
        /// What was done.
        what: &'static str,
        /// How many rows it changed.
        changed: usize,
    },
    /// Something in it can't be understood.
    #[error("the journal holds something unknown: {0}")]
    Unknown(String),
    /// A newer imeid wrote it.
    #[error(
        "the journal {path} was written by a newer imeid (its schema is {found}, this one knows {known}): install that version again"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// The newest that we know.
        known: usize,
    },
    /// It is damaged, or no journal at all.
    #[error(
        "the journal {path} is damaged ({what}): nothing is submitted. Stop imeid, move the file and what lies beside it \
         (-wal, -shm) to another folder, keep them, and put the last copy of the journal in their place. Don't delete \
         it, and don't begin with an empty one: every IMEI that it knows would be paid for again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// Its folder is not there, or can't be entered or written.
    #[error("the journal {path}: {why}")]
    Unreachable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The writer has ended.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    /// Whether there is no room on its disk.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
    }

    /// Whether it can pass by itself (a full disk, a lock) and the same write may succeed later.
    #[must_use]
    pub fn can_pass(&self) -> bool {
        use rusqlite::ErrorCode as Code;
        match self {
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    Code::DiskFull
                        | Code::SystemIoFailure
                        | Code::DatabaseBusy
                        | Code::DatabaseLocked
                        | Code::ReadOnly
                        | Code::CannotOpen
                )
            ),
            _ => false,
        }
    }
}
