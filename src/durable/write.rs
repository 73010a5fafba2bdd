//! Files that are written whole under a temporary name, and then get their own.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{crash_point, cut, fsync_dir, rename_new, rename_within, sync};

/// What marks a temporary file as ours, so that [`remove_leftovers`] removes no other.
const TEMP_MARK: &str = ".imeid-";
const TEMP_SUFFIX: &str = ".tmp";

/// Writes a file whole: under a temporary dot name in `dir` first, with `mode` whatever the umask, fsynced, then
/// renamed. Without `replace` a file that has the name already is left alone.
///
/// Crash: before, nothing, or what was there; inside, likewise and perhaps a temporary file (see
/// [`remove_leftovers`]), or already the new file; after, the new file.
///
/// # Errors
/// What `write`, the filesystem or the rename say ([`io::ErrorKind::AlreadyExists`] without `replace`); the temporary
/// file is removed then.
pub fn write_file(
    dir: &Path,
    final_name: &OsStr,
    mode: u32,
    replace: bool,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    crash_point("durable.write_file.before");
    let temp = write_temp(dir, final_name, mode, |file, _| {
        let mut buffered = BufWriter::new(file);
        write(&mut buffered)?;
        buffered.flush()
    })?;
    crash_point("durable.write_file.written");
    let to = dir.join(final_name);
    or_remove(&temp, if replace { rename_within(&temp, &to) } else { rename_new(&temp, &to) })
}

/// As [`write_file`] without `replace`, for a library that writes by itself: `write` gets the temporary file's path, and
/// leaves nothing else beside it.
///
/// # Errors
/// As [`write_file`].
pub fn write_file_at(
    dir: &Path,
    final_name: &OsStr,
    mode: u32,
    write: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    crash_point("durable.write_file.before");
    let temp = write_temp(dir, final_name, mode, |_, path| write(path))?;
    crash_point("durable.write_file.written");
    or_remove(&temp, rename_new(&temp, &dir.join(final_name)))
}

/// Makes a complete, fsynced temporary file and returns its path.
pub(super) fn write_temp(
    dir: &Path,
    final_name: &OsStr,
    mode: u32,
    write: impl FnOnce(&mut File, &Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let mut prefix = OsString::from(".");
    prefix.push(OsStr::from_bytes(cut(final_name.as_bytes(), 200)));
    prefix.push(TEMP_MARK);
    let made = tempfile::Builder::new()
        .prefix(&prefix)
        .suffix(TEMP_SUFFIX)
        .tempfile_in(dir)
        .map_err(without_path)?;
    // Kept at once, and removed by hand on errors: a test that stops at a crash point by unwinding must find
    // what a crash would have left.
    let (mut file, path) = made.keep().map_err(|kept| kept.error)?;
    let written = write(&mut file, &path)
        .and_then(|()| file.set_permissions(fs::Permissions::from_mode(mode)))
        .and_then(|()| sync(&file, &path));
    or_remove(&path, written)?;
    Ok(path)
}

/// Without the temporary file's name, which is another at every try: whoever tells of it once must know it again.
fn without_path(error: io::Error) -> io::Error {
    let text = error.to_string();
    match text.split_once(" at path ") {
        Some((what, _)) => io::Error::new(error.kind(), what.to_owned()),
        None => error,
    }
}

pub(super) fn or_remove<T>(temp: &Path, result: io::Result<T>) -> io::Result<T> {
    if result.is_err() {
        // Best effort: the first error is the one that matters, and leftovers are removed at the next start.
        let _ = fs::remove_file(temp);
    }
    result
}

/// Removes the temporary files that a crash left in `dir`, and no others. For start-up, while nothing else of ours
/// writes there. Returns how many there were.
///
/// Crash: some are gone; the next call removes the rest.
///
/// # Errors
/// What listing the folder or removing a file says.
pub fn remove_leftovers(dir: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = name.starts_with('.') && name.contains(TEMP_MARK) && name.ends_with(TEMP_SUFFIX);
        if ours && entry.file_type()?.is_file() {
            crash_point("durable.remove_leftovers.before");
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    if removed > 0 {
        fsync_dir(dir)?;
    }
    Ok(removed)
}
