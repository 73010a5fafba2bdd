//! What a filesystem lets us do: how much room there is, and whether it can be written at all.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{OFlags, StatVfsMountFlags};

/// Whether the filesystem that this folder is on can only be read.
///
/// # Errors
/// What `statvfs` says.
pub fn is_read_only(folder: &Path) -> io::Result<bool> {
    let says_so = rustix::fs::statvfs(folder)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    Ok(says_so || refuses_writers(folder))
}

/// Newer kernels leave the flag as it is where an error made a filesystem read-only; whoever opens a file for writing is
/// told. A lock file is opened and nothing written: it holds nothing, and no lock of SQLite's goes when it is closed.
fn refuses_writers(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let locks = entries.filter_map(Result::ok).map(|entry| entry.path());
    locks.filter(|path| path.extension().is_some_and(|name| name == "lock")).any(|path| {
        let opened = OpenOptions::new().write(true).custom_flags(flags).open(path);
        opened.is_err_and(|error| error.kind() == io::ErrorKind::ReadOnlyFilesystem)
    })
}

/// Bytes that this user can still write to the filesystem that `path` is on.
///
/// # Errors
/// What `statvfs` says.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
