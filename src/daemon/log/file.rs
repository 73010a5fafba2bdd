//! A log file that can be moved away and opened anew.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

use super::LogError;

/// Lines name devices of customers: the group may read them, others not.
const MODE: u32 = 0o640;

/// An open log file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
}

impl LogFile {
    /// Opens it for appending, makes it if need be.
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        Ok(Self { path: path.to_owned(), file: Mutex::new(open(path)?) })
    }

    /// Opens it once more under its name; the one that was open goes on if that fails.
    pub(super) fn reopen(&self) -> Result<(), LogError> {
        let opened = open(&self.path)?;
        *self.lock() = opened;
        Ok(())
    }

    /// A panic while a line was written leaves at worst half a line.
    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> Result<File, LogError> {
    let opened = OpenOptions::new().append(true).create(true).mode(MODE).open(path);
    opened.map_err(|source| LogError::File { path: path.to_owned(), source })
}

/// Gives the subscriber the file that is open at that moment.
pub(super) struct Writer(pub(super) Arc<LogFile>);

/// The file, for one line.
pub(super) struct Locked<'a>(MutexGuard<'a, File>);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Locked<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Locked(self.0.lock())
    }
}

impl Write for Locked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
