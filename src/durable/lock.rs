//! One process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

/// How often a lock is tried again that only [`LockFile::holder`] stands in the way of, and how long between.
const ASKERS_WAITED_OUT: usize = 200;
const ASKER_NEEDS: Duration = Duration::from_millis(1);

/// A lock that this process holds until it is dropped, or until the process ends in whatever way: the kernel lets go of
/// it then. The file itself stays, always: removing it would let two processes lock two files of one name.
///
/// Crash: the file is there, the lock is not.
#[derive(Debug)]
pub struct LockFile {
    // Held open: closing it is what unlocks.
    file: File,
    path: PathBuf,
}

/// The process that has a lock, as it wrote itself into the file. One that has only just got the lock, and hasn't written yet,
/// is shown as the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number, where that can be read.
    pub pid: Option<u32>,
    /// It has the lock for as long as one piece of work takes: [`LockFile::acquire_briefly`].
    pub briefly: bool,
}

/// Why a folder may be read-only for a service alone.
pub const UNIT: &str = "in a service it must be in the unit's ReadWritePaths= too: systemctl edit imeid";

/// Why a lock was not got.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is at work here: it holds {}", shown(*.by), path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Which.
        by: Holder,
    },
    /// The file can't be made, opened or locked.
    #[error(
        "{} can't be locked: {source} (its folder must be there and writable for imeid's user{})",
        path.display(),
        if source.kind() == io::ErrorKind::ReadOnlyFilesystem { format!("; {UNIT}") } else { String::new() }
    )]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn shown(by: Holder) -> String {
    let what = if by.briefly { "a command of imeid" } else { "another imeid" };
    let process = by.pid.map(|pid| format!(" (process {pid})")).unwrap_or_default();
    format!("{what}{process}")
}

impl LockFile {
    /// Locks `path`, making the file if need be, and writes this process's id into it. Doesn't wait.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process has it, else what the system says.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        Self::acquire_as(path, &std::process::id().to_string())
    }

    /// As [`LockFile::acquire`], for one piece of work: whoever comes meanwhile is told that it is worth waiting for.
    ///
    /// # Errors
    /// As [`LockFile::acquire`].
    pub fn acquire_briefly(path: &Path) -> Result<Self, LockError> {
        Self::acquire_as(path, &format!("{} {BRIEFLY}", std::process::id()))
    }

    fn acquire_as(path: &Path, who: &str) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = open(path).map_err(failed)?;
        if !try_lock(&file).map_err(failed)? {
            return Err(LockError::Held { path: path.to_owned(), by: written(&mut file) });
        }
        // Only for whoever comes next: a full disk must not keep us from holding the lock.
        let _ = write(&file, who);
        Ok(Self { file, path: path.to_owned() })
    }

    /// Who has the lock of `path`, without taking it or making the file: whoever wants it meanwhile gets it.
    ///
    /// # Errors
    /// The file is there and can't be opened or asked.
    pub fn holder(path: &Path) -> Result<Option<Holder>, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = match open_to_read(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(written(&mut file))),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Notes something for whoever asks, in place of what was noted before: [`LockFile::noted`]. It needs no room on the
    /// disk: its [`LockFile::NOTE_BYTES`] were taken with the lock. It is not made durable, and gone with the next lock.
    ///
    /// # Errors
    /// It is too long, or what the system says.
    pub fn note(&self, note: &str) -> io::Result<()> {
        if note.len() > Self::NOTE_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.file.write_all_at(&filled(note, BYTES.saturating_sub(PID_BYTES)), PID_BYTES as u64)
    }

    /// No note is longer.
    pub const NOTE_BYTES: usize = BYTES - PID_BYTES - 2;

    /// What the holder of the lock of `path` noted last; empty if nothing. One that is just being written can be torn.
    ///
    /// # Errors
    /// The file can't be opened or read.
    pub fn noted(path: &Path) -> io::Result<String> {
        let mut bytes = Vec::new();
        open_to_read(path)?.take(BYTES as u64).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(bytes.get(PID_BYTES..).unwrap_or_default()).trim().to_owned())
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// False: another process has it. One that only asks holds it shared for a moment, which is waited out.
fn try_lock(file: &File) -> io::Result<bool> {
    for _ in 0..ASKERS_WAITED_OUT {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(source),
        }
        match file.try_lock_shared() {
            Ok(()) => file.unlock()?,
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(source)) => return Err(source),
        }
        std::thread::sleep(ASKER_NEEDS);
    }
    Ok(false)
}

fn open(path: &Path) -> io::Result<File> {
    // Root may run a command in a folder that belongs to the daemon's user: a link there leads nowhere.
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(flags)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
    }
    // Made by root, the daemon's own user couldn't open it afterwards.
    if let Some(Ok(dir)) = path.parent().map(fs::metadata)
        && metadata.uid() != dir.uid()
    {
        let _ = std::os::unix::fs::fchown(&file, Some(dir.uid()), Some(dir.gid()));
    }
    Ok(file)
}

/// The first bytes hold the process's number, the others what it notes. Written over in place and never made smaller:
/// the room is kept for when the disk is full.
const BYTES: usize = 4096;
const PID_BYTES: usize = 64;

/// Behind the number of a process that holds the lock for one piece of work.
const BRIEFLY: &str = "briefly";

fn write(file: &File, who: &str) -> io::Result<()> {
    file.write_all_at(&filled(who, PID_BYTES), 0)?;
    file.write_all_at(&filled("", BYTES.saturating_sub(PID_BYTES)), PID_BYTES as u64)
}

/// `text` in so many bytes, the rest of them blank.
fn filled(text: &str, bytes: usize) -> Vec<u8> {
    let mut filled = text.as_bytes().to_vec();
    filled.push(b'\n');
    filled.resize(bytes.saturating_sub(1), b' ');
    filled.push(b'\n');
    filled
}

fn written(file: &mut File) -> Holder {
    let mut text = String::new();
    if file.take(PID_BYTES as u64).read_to_string(&mut text).is_err() {
        text.clear();
    }
    let text = text.trim();
    let number = text.strip_suffix(BRIEFLY).unwrap_or(text);
    Holder { pid: number.trim_end().parse().ok(), briefly: number.len() < text.len() }
}

fn open_to_read(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}
