//! Whether anything was written since one last looked, told without opening a transaction: for those who look often and
//! find nothing new nearly every time.
//!
//! A commit appends to the write-ahead log or begins it anew, whichever process makes it: the log's length or its time of
//! change is another then. That time is as coarse as the file system keeps it, so a mark that was taken soon after a commit
//! is like no other: a second commit within the same tick could not be told from the first.

use std::os::unix::fs::MetadataExt;

use super::wal::beside;
use super::{Journal, JournalError, View};
use crate::types::Timestamp;

/// A time of change is at least as exact as this, in nanoseconds: the coarsest file systems tell every second second.
const TICK_NS: i128 = 2_500_000_000;

/// The state of the journal that someone has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(Option<Log>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Log {
    inode: u64,
    bytes: u64,
    changed_ns: i128,
}

impl Mark {
    /// Whether nothing was committed between the two, for certain.
    #[must_use]
    pub fn is_still(self, earlier: Self) -> bool {
        self.0.is_some() && self == earlier
    }
}

impl Journal {
    /// Where the journal is now. `now`: by the machine's clock, which the file system goes by.
    #[must_use]
    pub fn mark(&self, now: Timestamp) -> Mark {
        let Ok(found) = std::fs::metadata(beside(self.path(), "-wal")) else { return Mark(None) };
        let changed_ns = i128::from(found.mtime())
            .saturating_mul(1_000_000_000)
            .saturating_add(i128::from(found.mtime_nsec()));
        let age = i128::from(now.millis()).saturating_mul(1_000_000).saturating_sub(changed_ns);
        Mark((age > TICK_NS).then_some(Log { inode: found.ino(), bytes: found.len(), changed_ns }))
    }

    /// Reads, unless nothing was written since the mark in `seen`: `None` then. The mark moves on where it was read.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn read_if_changed<T: Send + 'static>(
        &self,
        seen: &mut Mark,
        now: Timestamp,
        read: impl FnOnce(&View) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<Option<T>, JournalError> {
        // Before it is read: what is committed meanwhile is read twice, not missed.
        let mark = self.mark(now);
        if mark.is_still(*seen) {
            return Ok(None);
        }
        *seen = Mark(None);
        let value = self.read(read).await?;
        *seen = mark;
        Ok(Some(value))
    }
}
