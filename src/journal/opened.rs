//! Which journals this process has open.
//!
//! SQLite holds a POSIX lock on the journal for as long as it has it open, and such locks belong to the process: closing
//! *any* descriptor of the file gives all of them up (`howtocorrupt.html` §2.2). Without that lock, another process that
//! closes the journal takes itself for the last one and removes the write-ahead log: what is committed from then on lies
//! in a file without a name and ends with this process. So nothing of ours opens the journal, its log or its index by
//! itself while SQLite has it open here.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::damage::damaged;
use super::wal::beside;
use super::{JournalError, damage};

static OPENED: Mutex<BTreeMap<PathBuf, Entry>> = Mutex::new(BTreeMap::new());

#[derive(Default)]
struct Entry {
    times: usize,
    journal: Option<Inode>,
    log: Option<Inode>,
}

/// Device and number.
type Inode = (u64, u64);

/// One opening. It must outlive its connection.
#[derive(Debug)]
pub(super) struct Opened {
    key: PathBuf,
}

impl Opened {
    /// To be called before SQLite opens the journal at `path`. Unless this process has it open already, `look` looks at
    /// its files first; `None`: it has, and they were not looked at.
    ///
    /// # Errors
    /// What `look` says; the file isn't the one any more that is open.
    pub(super) fn begin<L>(
        path: &Path,
        look: impl FnOnce() -> Result<L, JournalError>,
    ) -> Result<(Self, Option<L>), JournalError> {
        let key = key(path);
        // Held while `look` has the files open: nobody's SQLite takes its lock meanwhile.
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match opened.get(&key) {
            Some(entry) => {
                entry.is_still(path)?;
                None
            }
            None => Some(look()?),
        };
        opened.entry(key.clone()).or_default().times += 1;
        Ok((Self { key }, found))
    }

    /// Remembers which files these are, once SQLite has made what was missing.
    pub(super) fn remember(&self) {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = opened.get_mut(&self.key) {
            entry.journal = inode(&self.key).unwrap_or(None);
            entry.log = inode(&beside(&self.key, "-wal")).unwrap_or(None);
        }
    }

    /// Whether the names are still those of the files that are open.
    ///
    /// # Errors
    /// One was removed, or is another file's now.
    pub(super) fn is_still(&self) -> Result<(), JournalError> {
        let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        opened.get(&self.key).map_or(Ok(()), |entry| entry.is_still(&self.key))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = opened.get_mut(&self.key) {
            entry.times = entry.times.saturating_sub(1);
            if entry.times == 0 {
                opened.remove(&self.key);
            }
        }
    }
}

impl Entry {
    fn is_still(&self, path: &Path) -> Result<(), JournalError> {
        let files =
            [(self.journal, path.to_owned(), "it"), (self.log, beside(path, "-wal"), "its write-ahead log")];
        for (known, file, what) in files {
            // What can't be looked at may be there.
            if let (Some(known), Ok(found)) = (known, inode(&file))
                && found != Some(known)
            {
                return Err(damaged(path, &format!("{what} was removed or replaced while it was open")));
            }
        }
        // SQLite would remove a log that lies beside an empty journal.
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.len() == 0 => damage::look_for_rests(path, "it is empty"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                damage::look_for_rests(path, "it is gone")
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// `None`: there is no such file.
fn inode(path: &Path) -> io::Result<Option<Inode>> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// One name for the journal, however it was come to.
fn key(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}
