//! Taking a file out of people's reach in one step, and finding what was taken.
//!
//! `inbox/.taken/<network id>~<unix ms>~<n>/NAME`: a folder for each file, so that it keeps its name and two of one name
//! don't meet. The folder's name holds all that is known of the file before the journal knows it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::candidates::{ContentHash, Stamp};
use super::names::{decode, encode};
use crate::durable;
use crate::types::{NetworkId, Timestamp};

/// Where taken files lie until they go to the archive.
pub const TAKEN: &str = ".taken";
/// So often another place is tried, should one be there already.
const PLACE_TRIES_MAX: u32 = 100;

/// A file that is complete and may be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Where it lies, in the inbox.
    pub path: PathBuf,
    /// Its name, as it is on disk.
    pub name: OsString,
    /// The service whose folder it lies in.
    pub network_id: NetworkId,
    /// Its state when it was found complete.
    pub stamp: Stamp,
    /// Its content then.
    pub hash: ContentHash,
}

/// A file that was taken and isn't in the archive yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Where it lies now.
    pub path: PathBuf,
    /// Its name, as it was dropped. It need not be UTF-8.
    pub name: OsString,
    /// The service whose folder it was dropped into.
    pub network_id: NetworkId,
    /// Bytes.
    pub size: u64,
    /// When it was taken.
    pub taken_at: Timestamp,
}

/// Why a file was not taken. It lies in the inbox then.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// It changed after it was found complete, or is gone: it will be found again when it has settled.
    #[error("it is being written again")]
    Changed,
    /// What the system says.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Taken {
    /// Its name for people: what is no UTF-8 is shown as `�`.
    #[must_use]
    pub fn shown_name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// The name of its folder in `.taken`: what the journal knows it by.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        self.path.parent().and_then(Path::file_name).and_then(OsStr::to_str).map(str::to_owned)
    }

    /// Removes the empty folder that the file was in, after it went to the archive or to `rejected/`. Blocks.
    ///
    /// Crash: the empty folder may stay; [`list_taken`] removes it.
    ///
    /// # Errors
    /// What removing says. A folder that is gone already is none.
    pub fn remove_place(&self) -> io::Result<()> {
        let Some(place) = self.path.parent() else { return Ok(()) };
        match durable::remove_dir(place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Takes a file: one rename into a folder that only we can enter. Its content and its new name are durable then.
/// Blocks. `now` names the folder.
///
/// Crash: before, it is in the inbox; inside, there or in `.taken`, and perhaps an empty folder is left in `.taken`;
/// after, in `.taken`. Whichever it is, [`list_taken`] and the next scan find it.
///
/// # Errors
/// [`TakeError::Changed`] if it isn't the file any more that was found complete: before the rename, or by a writer that
/// still had it open, after it; it goes back then. Else what the system says.
pub(super) fn take(inbox: &Path, ready: &Ready, now: Timestamp) -> Result<Taken, TakeError> {
    take_and(inbox, ready, now, |_| {})
}

/// With a seam for what others do to the file right after the rename.
fn take_and(
    inbox: &Path,
    ready: &Ready,
    now: Timestamp,
    meanwhile: impl FnOnce(&Path),
) -> Result<Taken, TakeError> {
    unchanged(&ready.path, ready.stamp)?;
    // A drop's content may still be in memory only, and its rows are paid for once they are in the journal.
    durable::fsync_file(&ready.path)?;
    let place = make_place(inbox, &ready.network_id, now)?;
    let path = place.join(&ready.name);
    // The place is new and ours alone, so nothing can be replaced there.
    if let Err(error) = durable::rename_within(&ready.path, &path) {
        let _ = durable::remove_dir(&place);
        return Err(error.into());
    }
    meanwhile(&path);
    if let Err(error) = unchanged(&path, ready.stamp) {
        put_back(&path, ready)?;
        return Err(error);
    }
    Ok(Taken {
        path,
        name: ready.name.clone(),
        network_id: ready.network_id.clone(),
        size: ready.stamp.size,
        taken_at: now,
    })
}

fn unchanged(path: &Path, stamp: Stamp) -> Result<(), TakeError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() && Stamp::of(&metadata) == stamp => Ok(()),
        Ok(_) => Err(TakeError::Changed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(TakeError::Changed),
        Err(error) => Err(error.into()),
    }
}

/// Back where it was; under the next free name if another file has its name by now.
fn put_back(path: &Path, ready: &Ready) -> io::Result<()> {
    let folder = ready.path.parent().unwrap_or(Path::new("/"));
    durable::move_file(path, folder, &ready.name)?;
    path.parent().map_or(Ok(()), durable::remove_dir)
}

fn make_place(inbox: &Path, network_id: &NetworkId, now: Timestamp) -> io::Result<PathBuf> {
    let taken = inbox.join(TAKEN);
    ensure_dir(&taken)?;
    for _ in 0..PLACE_TRIES_MAX {
        // The journal knows a file by its place for ever: a clock that was set back must not make the same one again.
        let n = fastrand::u64(..);
        let place = taken.join(format!("{}~{}~{n}", encode(network_id), now.millis()));
        match durable::make_dir(&place, 0o700) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| place),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files taken at once"))
}

/// `.taken` itself. Where something else has its name, people could reach what we took: that is refused.
fn ensure_dir(taken: &Path) -> io::Result<()> {
    match durable::make_dir(taken, 0o700) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let is_dir = fs::symlink_metadata(taken)?.is_dir();
            if is_dir {
                Ok(())
            } else {
                Err(io::Error::new(io::ErrorKind::NotADirectory, ".taken is no folder"))
            }
        }
        result => result,
    }
}

/// Every file that was taken and isn't in the archive yet, the earliest first; empty folders that a crash left are
/// removed. For start-up. Blocks.
///
/// # Errors
/// What listing says. What isn't ours in `.taken` is left alone and warned of.
pub fn list_taken(inbox: &Path) -> io::Result<Vec<Taken>> {
    let places = match fs::read_dir(inbox.join(TAKEN)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result?,
    };
    let mut found = Vec::new();
    for place in places {
        let place = place?;
        let name = place.file_name();
        let parsed =
            name.to_str().and_then(parse_place).filter(|_| place.file_type().is_ok_and(|kind| kind.is_dir()));
        match parsed {
            Some((network_id, taken_at, n)) => {
                list_place(&place.path(), &network_id, taken_at, n, &mut found)?
            }
            None => {
                tracing::warn!(name = %name.to_string_lossy(), "something that is not ours lies in .taken")
            }
        }
    }
    found.sort_by(|(n, a), (m, b)| (a.taken_at, n, &a.name).cmp(&(b.taken_at, m, &b.name)));
    Ok(found.into_iter().map(|(_, taken)| taken).collect())
}

fn parse_place(name: &str) -> Option<(NetworkId, Timestamp, u64)> {
    let mut parts = name.split('~');
    let (network_id, millis, n) = (parts.next()?, parts.next()?, parts.next()?);
    let parsed = (decode(network_id)?, Timestamp::from_millis(millis.parse().ok()?), n.parse().ok()?);
    parts.next().is_none().then_some(parsed)
}

fn list_place(
    place: &Path,
    network_id: &NetworkId,
    taken_at: Timestamp,
    n: u64,
    found: &mut Vec<(u64, Taken)>,
) -> io::Result<()> {
    let mut empty = true;
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        empty = false;
        let metadata = entry.metadata()?;
        if !metadata.is_file() {
            tracing::warn!(name = %entry.file_name().to_string_lossy(), "something that is no file lies in .taken");
            continue;
        }
        let taken = Taken {
            path: entry.path(),
            name: entry.file_name(),
            network_id: network_id.clone(),
            size: metadata.len(),
            taken_at,
        };
        found.push((n, taken));
    }
    if empty { durable::remove_dir(place) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_763_091_180_999);

    fn drop_file(inbox: &Path, name: &OsStr, text: &str) -> Ready {
        let path = inbox.join(name);
        fs::write(&path, text).unwrap();
        Ready {
            stamp: Stamp::of(&fs::symlink_metadata(&path).unwrap()),
            path,
            name: name.to_owned(),
            network_id: NetworkId("17/39 ~x".to_owned()),
            hash: ContentHash([0; 32]),
        }
    }

    #[test]
    fn a_taken_file_is_out_of_reach_and_is_found_again_after_a_restart() {
        let inbox = tempfile::tempdir().unwrap();
        for (n, name) in [&b"stock.csv"[..], b"stock.csv", b"caf\xe9.csv"].into_iter().enumerate() {
            let name = OsStr::from_bytes(name);
            let ready = drop_file(inbox.path(), name, &"x".repeat(n));
            let taken = take(inbox.path(), &ready, NOW).unwrap();
            assert!(!ready.path.exists());
            assert_eq!((taken.name.as_os_str(), taken.size), (name, n as u64));
            assert_eq!(taken.network_id, ready.network_id);
            let listed = list_taken(inbox.path()).unwrap();
            assert_eq!(listed.len(), n + 1);
            assert!(listed.contains(&taken));
        }
        let mode = fs::metadata(inbox.path().join(TAKEN)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        let listed = list_taken(inbox.path()).unwrap();
        assert!(listed.iter().any(|taken| taken.shown_name() == "caf\u{fffd}.csv"));
    }

    #[test]
    fn a_file_that_was_changed_or_removed_meanwhile_is_not_taken() {
        let inbox = tempfile::tempdir().unwrap();
        let ready = drop_file(inbox.path(), OsStr::new("a.csv"), "one");
        fs::write(&ready.path, "one and more").unwrap();
        assert!(matches!(take(inbox.path(), &ready, NOW), Err(TakeError::Changed)));
        assert!(ready.path.exists());
        fs::remove_file(&ready.path).unwrap();
        assert!(matches!(take(inbox.path(), &ready, NOW), Err(TakeError::Changed)));
        assert_eq!(list_taken(inbox.path()).unwrap(), []);
    }

    #[test]
    fn a_file_that_a_writer_still_had_open_goes_back_to_where_it_was() {
        use std::io::Write;
        let inbox = tempfile::tempdir().unwrap();
        let ready = drop_file(inbox.path(), OsStr::new("a.csv"), "one");
        let mut open = fs::OpenOptions::new().append(true).open(&ready.path).unwrap();
        let taken = take_and(inbox.path(), &ready, NOW, |_| open.write_all(b" and two").unwrap());
        assert!(matches!(taken, Err(TakeError::Changed)));
        assert_eq!(fs::read_to_string(&ready.path).unwrap(), "one and two");
        assert_eq!(list_taken(inbox.path()).unwrap(), []);
    }

    #[test]
    fn a_file_that_goes_back_gives_way_to_a_newer_one_of_its_name() {
        let inbox = tempfile::tempdir().unwrap();
        let ready = drop_file(inbox.path(), OsStr::new("a.csv"), "one");
        let taken = take(inbox.path(), &ready, NOW).unwrap();
        fs::write(&ready.path, "newer").unwrap();
        put_back(&taken.path, &ready).unwrap();
        assert_eq!(fs::read_to_string(&ready.path).unwrap(), "newer");
        assert_eq!(fs::read_to_string(inbox.path().join("a-2.csv")).unwrap(), "one");
        assert_eq!(list_taken(inbox.path()).unwrap(), []);
    }

    #[test]
    fn what_a_crash_left_empty_is_removed_and_what_is_not_ours_is_left() {
        let inbox = tempfile::tempdir().unwrap();
        assert_eq!(list_taken(inbox.path()).unwrap(), [], "no .taken yet");
        let place = make_place(inbox.path(), &NetworkId("1739".to_owned()), NOW).unwrap();
        let other = inbox.path().join(TAKEN).join("not ours");
        fs::create_dir(&other).unwrap();
        assert_eq!(list_taken(inbox.path()).unwrap(), []);
        assert!(!place.exists() && other.exists());
    }

    #[test]
    fn the_place_goes_when_the_file_went() {
        let inbox = tempfile::tempdir().unwrap();
        let taken = take(inbox.path(), &drop_file(inbox.path(), OsStr::new("a"), "x"), NOW).unwrap();
        assert!(taken.remove_place().is_err(), "it is still there");
        durable::move_file(&taken.path, inbox.path(), OsStr::new("b")).unwrap();
        taken.remove_place().unwrap();
        taken.remove_place().unwrap();
        assert_eq!(fs::read_dir(inbox.path().join(TAKEN)).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_the_place_of_the_taken_folder_is_refused() {
        let (inbox, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(elsewhere.path(), inbox.path().join(TAKEN)).unwrap();
        let ready = drop_file(inbox.path(), OsStr::new("a.csv"), "one");
        assert!(take(inbox.path(), &ready, NOW).is_err());
        assert!(ready.path.exists());
    }
}
