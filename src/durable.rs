//! The only place that renames, fsyncs and locks files.
//!
//! A name is durable only when its directory was fsynced, and a file's content only when the file was: every function
//! here does both before it returns `Ok`. What a crash (a kill, a power cut) leaves is said at each of them as
//! *before / inside / after*. No function here leaves a half-written file under its final name, and none overwrites
//! a file unless it is asked to.
//!
//! Everything blocks: call it from a blocking thread.

mod disk;
mod lock;
mod owner;
#[cfg(test)]
mod tests;
mod write;

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, OFlags, RenameFlags};
use rustix::io::Errno;

pub use disk::{free_bytes, is_read_only};
pub use lock::{Holder, LockError, LockFile, UNIT};
pub use owner::{DAEMONS_USER, User, how_to_hand_over, how_to_make, how_to_share, user_name};
use write::{or_remove, write_temp};
pub use write::{remove_leftovers, write_file, write_file_at};

/// Longest file name that Linux takes, bytes.
const NAME_BYTES_MAX: usize = 255;
/// How many names (`stock.csv`, `stock-2.csv`, …) are tried before giving up.
const NAMES_TRIED_MAX: u32 = 100_000;

/// What a test does at a crash point: told its name and, where it is about a file or folder, its path.
pub type CrashPointHook = Arc<dyn Fn(&'static str, Option<&Path>) + Send + Sync>;

thread_local! {
    static CRASH_POINT_HOOK: RefCell<Option<CrashPointHook>> = const { RefCell::new(None) };
}

/// Has `hook` called at every [`crash_point`] that this thread passes from now on, for tests that count the points or stop
/// at one. A journal's writer has the hook of the thread that opened it.
pub fn set_crash_point_hook(hook: Option<CrashPointHook>) {
    CRASH_POINT_HOOK.set(hook);
}

/// This thread's hook, for a thread that works for it.
#[must_use]
pub fn crash_point_hook() -> Option<CrashPointHook> {
    CRASH_POINT_HOOK.with_borrow(Clone::clone)
}

/// A place where a crash leaves a state of its own. Does nothing unless a test set a hook.
pub fn crash_point(name: &'static str) {
    pass_crash_point(name, None);
}

/// A [`crash_point`] about this file or folder.
fn crash_point_at(name: &'static str, path: &Path) {
    pass_crash_point(name, Some(path));
}

fn pass_crash_point(name: &'static str, path: Option<&Path>) {
    // Where the thread ends already, no test looks on.
    let _ = CRASH_POINT_HOOK.try_with(|hook| {
        if let Some(hook) = hook.borrow().as_ref() {
            hook(name, path);
        }
    });
}

/// Makes the names in `dir` durable: files created, renamed or removed in it stay so.
///
/// Crash: before or inside, each of them may have happened or not; after, all have.
///
/// # Errors
/// What opening or fsyncing the directory says. A filesystem that has no fsync for directories (some network mounts)
/// is not an error: there is nothing better to be had there.
pub fn fsync_dir(dir: &Path) -> io::Result<()> {
    crash_point_at("durable.fsync_dir.before", dir);
    let opened = File::open(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?;
    match rustix::fs::fsync(&opened) {
        Err(Errno::INVAL | Errno::OPNOTSUPP) | Ok(()) => {}
        Err(error) => return Err(error.into()),
    }
    crash_point_at("durable.fsync_dir.after", dir);
    Ok(())
}

/// Makes a file's content durable, whoever wrote it.
///
/// # Errors
/// What opening (links are not followed) or fsyncing it says.
pub fn fsync_file(path: &Path) -> io::Result<()> {
    sync(&open_regular(path)?, path)
}

/// Makes the content of the open file at `path` durable.
fn sync(file: &File, path: &Path) -> io::Result<()> {
    crash_point_at("durable.fsync_file.before", path);
    file.sync_all()?;
    crash_point_at("durable.fsync_file.after", path);
    Ok(())
}

/// Opens a regular file for reading. A link, fifo, device or socket that took its name meanwhile is never followed
/// or waited for.
///
/// # Errors
/// What opening says; [`io::ErrorKind::InvalidInput`] if it is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// Renames within one filesystem, replacing what has the name `to`.
///
/// Crash: before, the old name; inside, the old or the new, never none and never half; after, the new.
///
/// # Errors
/// What the rename or the fsync of the directories says. If only an fsync failed the rename has happened.
pub fn rename_within(from: &Path, to: &Path) -> io::Result<()> {
    crash_point("durable.rename.before");
    rustix::fs::renameat(CWD, from, CWD, to)?;
    crash_point("durable.rename.renamed");
    fsync_parents(from, to)?;
    crash_point("durable.rename.after");
    Ok(())
}

/// Renames within one filesystem; a file that has the name `to` already is left alone.
///
/// Crash: before, the old name; inside, the old or the new, or, on a filesystem that can't rename so in one step (NFS),
/// both names for one file, which the next call mends; after, the new.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if the name is taken; else as [`rename_within`].
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    crash_point("durable.rename_new.before");
    rename_no_replace(from, to)?;
    crash_point("durable.rename_new.renamed");
    fsync_parents(from, to)?;
    crash_point("durable.rename_new.after");
    Ok(())
}

fn fsync_parents(from: &Path, to: &Path) -> io::Result<()> {
    let (old, new) = (parent(from), parent(to));
    // The new name first: a file with two names is mended, one with none is lost.
    fsync_dir(new)?;
    if old == new { Ok(()) } else { fsync_dir(old) }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => link_and_unlink(from, to),
        Err(Errno::EXIST) if are_two_names_of_one_file(from, to) => fs::remove_file(from),
        result => result.map_err(io::Error::from),
    }
}

/// What [`rename_no_replace`] does where the filesystem has no such call.
fn link_and_unlink(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !are_two_names_of_one_file(from, to) {
                return Err(error);
            }
        }
        result => result?,
    }
    crash_point("durable.rename_new.linked");
    fs::remove_file(from)
}

/// Whether a crash between link and unlink left both names. One path told twice has one link, so it is not removed.
fn are_two_names_of_one_file(from: &Path, to: &Path) -> bool {
    let (Ok(old), Ok(new)) = (fs::symlink_metadata(from), fs::symlink_metadata(to)) else {
        return false;
    };
    (old.dev(), old.ino()) == (new.dev(), new.ino()) && old.nlink() >= 2 && from != to
}

/// Moves a file into `to_dir` under `name`, or, where that is taken, `-2`, `-3`… before its last extension.
/// Returns the path it has then. Its content is made durable first. Across filesystems it is copied, with its mode and
/// time of change.
///
/// Crash: before, it is where it was; inside, where it was or there, or, across filesystems, both, complete both, and
/// perhaps a temporary file (see [`remove_leftovers`]); after, there.
///
/// # Errors
/// What fsync, rename, copy or unlink say; the original is only removed when the copy is durable.
pub fn move_file(from: &Path, to_dir: &Path, name: &OsStr) -> io::Result<PathBuf> {
    fsync_file(from)?;
    match first_free_name(to_dir, name, |to| rename_new(from, to)) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy_over(from, to_dir, name),
        result => result,
    }
}

fn copy_over(from: &Path, to_dir: &Path, name: &OsStr) -> io::Result<PathBuf> {
    let mut source = open_regular(from)?;
    let before = source.metadata()?;
    let temp = write_temp(to_dir, name, before.permissions().mode() & 0o7777, |file, _| {
        io::copy(&mut source, file)?;
        file.set_modified(before.modified()?)
    })?;
    crash_point("durable.move_file.copied");
    let moved = or_remove(&temp, first_free_name(to_dir, name, |to| rename_new(&temp, to)))?;
    remove_file(from)?;
    Ok(moved)
}

fn first_free_name(
    dir: &Path,
    name: &OsStr,
    mut claim: impl FnMut(&Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    for n in 1..=NAMES_TRIED_MAX {
        let path = dir.join(numbered(name, n));
        match claim(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| path),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "every name for it is taken"))
}

/// `name` itself for 1; for `n` above, `-n` before its last extension: `stock.csv` → `stock-2.csv`. Where that would be
/// longer than a file name can be, the stem is cut.
#[must_use]
pub fn numbered(name: &OsStr, n: u32) -> OsString {
    if n <= 1 {
        return name.to_owned();
    }
    let bytes = name.as_bytes();
    let dot = bytes.iter().rposition(|&byte| byte == b'.').filter(|&at| at > 0);
    let (stem, extension) = bytes.split_at(dot.unwrap_or(bytes.len()));
    let tail = format!("-{n}");
    let room = NAME_BYTES_MAX.saturating_sub(tail.len()).saturating_sub(extension.len());
    let mut numbered = cut(stem, room).to_vec();
    numbered.extend_from_slice(tail.as_bytes());
    numbered.extend_from_slice(extension);
    OsString::from_vec(numbered)
}

/// `name` and `suffix`, the name cut where both would be longer than a file name can be: `stock.csv.reason.txt`.
#[must_use]
pub fn with_suffix(name: &OsStr, suffix: &str) -> OsString {
    let mut whole = cut(name.as_bytes(), NAME_BYTES_MAX.saturating_sub(suffix.len())).to_vec();
    whole.extend_from_slice(suffix.as_bytes());
    OsString::from_vec(whole)
}

/// At most `room` bytes of `text`, not ending inside a UTF-8 character.
fn cut(text: &[u8], room: usize) -> &[u8] {
    let mut end = room.min(text.len());
    let splits = |end: usize| text.get(end).is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    while end > 0 && splits(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

/// Removes a file for good.
///
/// Crash: before, it is there; inside, there or gone; after, gone.
///
/// # Errors
/// What unlinking or the fsync of its directory says.
pub fn remove_file(path: &Path) -> io::Result<()> {
    crash_point("durable.remove_file.before");
    fs::remove_file(path)?;
    crash_point("durable.remove_file.removed");
    fsync_dir(parent(path))
}

/// Makes one directory with exactly `mode`, whatever the umask; one that is to be setgid, with at least its group's
/// rights: it gets them from the folder that it is in where it can.
///
/// Crash: before, none; inside, none or one that may still have fewer rights; after, there.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if the name is taken, or what making it says.
pub fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    crash_point("durable.make_dir.before");
    fs::DirBuilder::new().mode(mode & 0o777).create(path)?;
    let made = fs::metadata(path)?.permissions().mode();
    // A folder in a setgid one is setgid without being asked, and a sandbox may forbid to ask.
    let is_for_the_group = mode & SETGID != 0 && made & GROUP_BITS == mode & GROUP_BITS;
    if !is_for_the_group {
        set_dir_mode(path, mode)?;
    }
    crash_point("durable.make_dir.made");
    fsync_dir(parent(path))
}

/// The bits that make a folder its group's.
const GROUP_BITS: u32 = SETGID | 0o770;
const SETGID: u32 = 0o2000;

/// Where setgid may not be set the rest of the mode is: what is made in the folder is the daemon's group's all the same.
fn set_dir_mode(path: &Path, mode: u32) -> io::Result<()> {
    let set = |mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    match set(mode) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && mode & SETGID != 0 => {
            set(mode & !SETGID)
        }
        done => done,
    }
}

/// Removes an empty directory.
///
/// # Errors
/// [`io::ErrorKind::DirectoryNotEmpty`] if something is in it, or what removing it says.
pub fn remove_dir(path: &Path) -> io::Result<()> {
    crash_point("durable.remove_dir.before");
    fs::remove_dir(path)?;
    fsync_dir(parent(path))
}
