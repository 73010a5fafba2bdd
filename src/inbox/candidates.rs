//! Which files are complete. Pure: told what was seen, and when.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::types::Timestamp;

/// How many times `settle` a file stays unchanged where no close or rename of it was seen.
const UNSEEN_FACTOR: u32 = 10;

/// How many times `settle` where it is known to be open for writing still: a copy that stalls. It is bounded, because a
/// program may keep a file open for days that is whole, and a line that went dead is noticed late.
const OPEN_FACTOR: u32 = 300;

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last change, nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Which file it is, whatever its name.
    pub inode: u64,
}

impl Stamp {
    /// The state that `metadata` tells of.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let mtime_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Self { size: metadata.size(), mtime_ns, inode: metadata.ino() }
    }
}

/// The SHA-256 of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is to be done about a file now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read it, and tell its hash by [`Candidates::hashed`].
    Hash,
    /// Nothing before this time.
    Wait(Timestamp),
    /// It is complete.
    Ready(ContentHash),
}

/// The files that aren't taken yet. A file is complete when size, time of change and content stayed as they are for
/// `settle` after it was seen closed or renamed in, or for ten times that where neither was seen, or three hundred times
/// that where someone is known to have it open for writing. The content is read
/// twice, at the beginning and at the end of that time: some writers keep size and time while they write (mapped files,
/// copies that set the time last, coarse clocks of network mounts).
#[derive(Debug)]
pub struct Candidates {
    settle: Duration,
    files: HashMap<PathBuf, Candidate>,
    /// Closed or renamed in since the last look.
    events: HashSet<PathBuf>,
    /// Known to be open for writing.
    open: HashSet<PathBuf>,
}

#[derive(Debug)]
struct Candidate {
    stamp: Stamp,
    /// The content at `since`, once it was read.
    hash: Option<ContentHash>,
    /// Unchanged since then.
    since: Timestamp,
    /// Whether it was seen closed or renamed in, in this state.
    closed: bool,
    /// Whether it is known to be open for writing.
    open: bool,
}

impl Candidates {
    /// None yet.
    #[must_use]
    pub fn new(settle: Duration) -> Self {
        Self { settle, files: HashMap::new(), events: HashSet::new(), open: HashSet::new() }
    }

    /// Another `settle` from now on.
    pub fn set_settle(&mut self, settle: Duration) {
        self.settle = settle;
    }

    /// No file that stays unchanged, and that nobody is known to have open, waits longer.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.settle.saturating_mul(UNSEEN_FACTOR)
    }

    /// A file was closed after writing, or renamed in. Counts for the state that the next look finds.
    pub fn closed(&mut self, path: PathBuf) {
        self.events.insert(path);
    }

    /// These are known to be open for writing, and no others.
    pub fn set_open(&mut self, open: HashSet<PathBuf>) {
        self.open = open;
    }

    /// A look at a file found it in this state.
    pub fn observed(&mut self, path: &Path, stamp: Stamp, now: Timestamp) -> Next {
        let closed = self.events.remove(path);
        let open = self.open.contains(path);
        let fresh = || Candidate { stamp, hash: None, since: now, closed, open };
        let file = self.files.entry(path.to_owned()).or_insert_with(fresh);
        if file.stamp != stamp || now < file.since {
            // Changed; or the clock was set back, and the time that passed isn't known.
            *file = Candidate { closed: closed || (file.closed && file.stamp == stamp), ..fresh() };
        } else if closed {
            file.since = now;
            file.closed = true;
        }
        file.open = open;
        let due = file.since.plus(file.wait(self.settle));
        if file.hash.is_some() && now < due { Next::Wait(due) } else { Next::Hash }
    }

    /// Reading a file after [`Next::Hash`] gave this.
    pub fn hashed(&mut self, path: &Path, hash: ContentHash, now: Timestamp) -> Next {
        let Some(file) = self.files.get_mut(path) else { return Next::Wait(now.plus(self.settle)) };
        if file.hash.is_some_and(|before| before != hash) {
            // Written without a sign of it: whoever did may still be at it, closed or not.
            file.since = now;
            file.closed = false;
        }
        let unchanged = file.hash.replace(hash) == Some(hash);
        let due = file.since.plus(file.wait(self.settle));
        if unchanged && now >= due { Next::Ready(hash) } else { Next::Wait(due) }
    }

    /// A whole look at all folders is over: what it didn't find is forgotten.
    pub fn keep_only(&mut self, found: impl Fn(&Path) -> bool) {
        self.files.retain(|path, _| found(path));
        self.events.clear();
    }
}

impl Candidate {
    fn wait(&self, settle: Duration) -> Duration {
        // One that was closed by one program may be open in another, which writes on.
        match (self.open, self.closed) {
            (true, _) => settle.saturating_mul(OPEN_FACTOR),
            (false, true) => settle,
            (false, false) => settle.saturating_mul(UNSEEN_FACTOR),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(2);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn stamp(size: u64) -> Stamp {
        Stamp { size, mtime_ns: 7, inode: 1 }
    }

    /// A look at the one file at `now`, reading it if asked to.
    fn look(candidates: &mut Candidates, stamp: Stamp, content: u8, now: i64) -> Next {
        let path = Path::new("/inbox/a.csv");
        match candidates.observed(path, stamp, at(now)) {
            Next::Hash => candidates.hashed(path, ContentHash([content; 32]), at(now)),
            next => next,
        }
    }

    fn close(candidates: &mut Candidates) {
        candidates.closed(PathBuf::from("/inbox/a.csv"));
    }

    fn ready(content: u8) -> Next {
        Next::Ready(ContentHash([content; 32]))
    }

    #[test]
    fn a_closed_file_is_ready_after_settle() {
        let mut files = Candidates::new(SETTLE);
        close(&mut files);
        assert_eq!(look(&mut files, stamp(5), 1, 0), Next::Wait(at(2_000)));
        assert_eq!(look(&mut files, stamp(5), 1, 1_999), Next::Wait(at(2_000)));
        assert_eq!(look(&mut files, stamp(5), 1, 2_000), ready(1));
    }

    #[test]
    fn a_file_that_nobody_saw_closed_is_ready_after_ten_times_settle() {
        let mut files = Candidates::new(SETTLE);
        assert_eq!(look(&mut files, stamp(5), 1, 0), Next::Wait(at(20_000)));
        assert_eq!(look(&mut files, stamp(5), 1, 19_999), Next::Wait(at(20_000)));
        assert_eq!(look(&mut files, stamp(5), 1, 20_000), ready(1));
    }

    #[test]
    fn a_copy_that_stalls_is_not_taken_while_it_is_known_to_be_open() {
        let mut files = Candidates::new(SETTLE);
        let open = || HashSet::from([PathBuf::from("/inbox/a.csv")]);
        files.set_open(open());
        assert_eq!(look(&mut files, stamp(5), 1, 0), Next::Wait(at(600_000)));
        assert_eq!(look(&mut files, stamp(5), 1, 20_000), Next::Wait(at(600_000)));
        // It goes on, stalls again, and is closed.
        look(&mut files, stamp(9), 2, 500_000);
        assert_eq!(look(&mut files, stamp(9), 2, 700_000), Next::Wait(at(1_100_000)));
        files.set_open(HashSet::new());
        close(&mut files);
        assert_eq!(look(&mut files, stamp(9), 2, 800_000), Next::Wait(at(802_000)));
        assert_eq!(look(&mut files, stamp(9), 2, 802_000), ready(2));
        // Nor is one for ever that nobody closes.
        let mut files = Candidates::new(SETTLE);
        files.set_open(open());
        look(&mut files, stamp(5), 1, 0);
        assert_eq!(look(&mut files, stamp(5), 1, 600_000), ready(1));
    }

    #[test]
    fn a_change_of_size_time_or_file_begins_anew() {
        for other in
            [Stamp { size: 6, ..stamp(5) }, Stamp { mtime_ns: 8, ..stamp(5) }, Stamp { inode: 2, ..stamp(5) }]
        {
            let mut files = Candidates::new(SETTLE);
            close(&mut files);
            look(&mut files, stamp(5), 1, 0);
            assert_eq!(
                look(&mut files, other, 1, 1_000),
                Next::Wait(at(21_000)),
                "open again, not seen closed"
            );
        }
    }

    #[test]
    fn a_close_after_a_change_counts_for_the_changed_file() {
        let mut files = Candidates::new(SETTLE);
        look(&mut files, stamp(5), 1, 0);
        close(&mut files);
        assert_eq!(look(&mut files, stamp(9), 2, 1_000), Next::Wait(at(3_000)));
        assert_eq!(look(&mut files, stamp(9), 2, 3_000), ready(2));
    }

    #[test]
    fn a_late_close_shortens_the_wait() {
        let mut files = Candidates::new(SETTLE);
        look(&mut files, stamp(5), 1, 0);
        close(&mut files);
        assert_eq!(look(&mut files, stamp(5), 1, 4_000), Next::Wait(at(6_000)));
        assert_eq!(look(&mut files, stamp(5), 1, 6_000), ready(1));
    }

    #[test]
    fn content_that_changes_behind_an_unchanged_size_and_time_is_found_out() {
        let mut files = Candidates::new(SETTLE);
        close(&mut files);
        look(&mut files, stamp(5), 1, 0);
        assert_eq!(look(&mut files, stamp(5), 2, 2_000), Next::Wait(at(22_000)));
        assert_eq!(look(&mut files, stamp(5), 2, 22_000), ready(2));
    }

    #[test]
    fn a_clock_that_was_set_back_doesnt_make_a_file_wait_for_ever() {
        let mut files = Candidates::new(SETTLE);
        close(&mut files);
        look(&mut files, stamp(5), 1, 1_000_000_000);
        assert_eq!(look(&mut files, stamp(5), 1, 0), Next::Wait(at(2_000)));
        assert_eq!(look(&mut files, stamp(5), 1, 2_000), ready(1));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut files = Candidates::new(SETTLE);
        close(&mut files);
        look(&mut files, stamp(5), 1, 0);
        close(&mut files);
        files.keep_only(|_| false);
        assert_eq!(look(&mut files, stamp(5), 1, 9_000), Next::Wait(at(29_000)));
    }
}
