//! Why the daemon doesn't start, or ended.

use std::path::{Path, PathBuf};

use super::account::Remembered;
use crate::config::KeyError;
use crate::durable::{DAEMONS_USER, LockError, UNIT, how_to_hand_over, how_to_make};
use crate::journal::JournalError;
use crate::provider::ClientError;

/// What the `-shm` beside a journal takes.
const SHARED_BYTES: u64 = 32 * 1024;

/// Why the daemon didn't start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another one has the journal or the inbox.
    #[error("{0}")]
    Locked(#[from] LockError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The disk that the journal lies on is full.
    #[error(
        "no room on the disk of {path}: make room there; systemd starts it again by itself, or, after ten times within an \
         hour, systemctl reset-failed imeid and systemctl start imeid do"
    )]
    NoRoom {
        /// The journal.
        path: PathBuf,
    },
    /// The API key: what is configured can't work.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The HTTP client: what is configured can't work.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A folder isn't there and can't be made, or can't be used.
    #[error("the folder {path} isn't there and can't be made: {why}; {}", mend(path, *mode, why))]
    Folder {
        /// Which.
        path: PathBuf,
        /// How it would have been made.
        mode: u32,
        /// What the system says.
        why: std::io::Error,
    },
    /// A folder may be there, and one above it keeps the daemon out.
    #[error(
        "the folder {path} can't be entered: {why}. If it is there, it or one above it belongs to another user \
         (`namei -l {path}` shows which): {}",
        how_to_hand_over(path)
    )]
    Shut {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// The account's name stands for another provider.
    #[error("{0}")]
    OtherProvider(Remembered),
    /// Signals can't be received.
    #[error("signals can't be received: {0}")]
    Signals(std::io::Error),
    /// A stage ended by itself.
    #[error("the stage {0} ended by itself")]
    Stage(&'static str),
}

impl DaemonError {
    /// The same, with the place and the mend where the disk of the journal at `path` is full: SQLite names neither.
    /// `free`: the room that is left there, in bytes, where that is known. Of the file that it shares with those who read
    /// (`-shm`), SQLite tells a full disk as one that fails.
    pub(super) fn at(self, path: &Path, free: Option<u64>) -> Self {
        let no_room = match &self {
            Self::Journal(error) => {
                error.is_disk_full() || (error.can_pass() && free.is_some_and(|free| free < SHARED_BYTES))
            }
            _ => false,
        };
        if no_room { Self::NoRoom { path: path.to_owned() } } else { self }
    }

    /// Whether the configuration is at fault, so that starting again changes nothing.
    #[must_use]
    pub const fn is_config(&self) -> bool {
        matches!(self, Self::Key(_) | Self::Client(_) | Self::OtherProvider(_))
    }
}

fn mend(path: &Path, mode: u32, why: &std::io::Error) -> String {
    let make = format!("make it for the daemon's user: {}", how_to_make(path, DAEMONS_USER, mode));
    match why.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem => format!("{make}; {UNIT}"),
        _ => make,
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn a_full_disk_is_named_with_its_mend_and_nothing_else_is() {
        let said = |code, free| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let path = Path::new("/var/lib/imeid/journal.db");
            DaemonError::from(JournalError::from(error)).at(path, free).to_string()
        };
        let full = said(ffi::SQLITE_FULL, None);
        assert!(
            full.starts_with(
                "no room on the disk of /var/lib/imeid/journal.db: make room there; systemd starts it again by itself"
            ),
            "{full}"
        );
        assert_eq!(said(ffi::SQLITE_IOERR_SHMSIZE, Some(SHARED_BYTES - 1)), full);
        let others = [
            (ffi::SQLITE_IOERR, None),
            (ffi::SQLITE_IOERR, Some(SHARED_BYTES)),
            (ffi::SQLITE_ERROR, Some(0)),
        ];
        for (code, free) in others {
            assert!(!said(code, free).contains("room"), "{code}");
        }
    }
}
