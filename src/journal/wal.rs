//! The write-ahead log as it lies on disk, read before SQLite opens it: SQLite takes what it can't read for the end of
//! the log, and goes on from there. What was committed behind that place would be forgotten without a word, and paid for
//! again.
//!
//! A torn end is normal: a crash came while the last transaction was being written, and nobody was told that it was
//! committed. It is damage where that can't be:
//!
//! * Behind what can't be read lies a commit, and something behind that: a transaction begins only after the one before
//!   it was synced.
//! * The index beside the log (`-shm`), where a crash left it, counts more committed frames than can be read: it counts
//!   them only after they were synced.
//!
//! The format is SQLite's own (`fileformat2.html` §4, `walformat.html`): it has been the same since 2010.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// Without its last bit, which tells the byte order of the checksums.
const MAGIC: u32 = 0x377f_0682;
/// The index's header, of which there are two copies.
const INDEX_HEADER_BYTES: usize = 48;

/// What a log holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    /// Frames up to the last commit that can be read.
    pub(super) committed: u32,
    /// Pages that the journal has with them; 0 where there is no commit.
    pub(super) pages: u32,
    /// Numbers of the pages that it holds.
    pub(super) holds: BTreeSet<u32>,
}

/// Why a log is damaged.
pub(super) type Damage = &'static str;

const HEADER: Damage = "the head of its write-ahead log can't be read";
const MIDDLE: Damage = "its write-ahead log is damaged in the middle";
const SHORT: Damage = "its write-ahead log has lost what was committed last";

/// `-wal` or `-shm` beside the journal.
pub(super) fn beside(journal: &Path, suffix: &str) -> PathBuf {
    let mut path = journal.as_os_str().to_owned();
    path.push(suffix);
    PathBuf::from(path)
}

/// Reads the log beside the journal. Ok(Err): it is damaged. `all`: what lies behind its readable part is looked at too,
/// for which nobody may be writing; else only what the index counts must be there, whoever writes meanwhile.
///
/// # Errors
/// It is there and can't be read.
pub(super) fn read(journal: &Path, all: bool) -> io::Result<Result<Log, Damage>> {
    // First: what it counts is in the log, which only grows until its salt changes.
    let index = read_index(&beside(journal, "-shm"))?;
    let file = match File::open(beside(journal, "-wal")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(Log::default())),
        Err(error) => return Err(error),
    };
    let found = Reader::new(BufReader::with_capacity(1 << 20, file))?.scan(index, all)?;
    if found.is_err() && !all && read_index(&beside(journal, "-shm"))? != index {
        // It was begun anew while it was being read.
        return Ok(Ok(Log::default()));
    }
    Ok(found)
}

/// What the index tells of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Index {
    committed: u32,
    salt: [u8; 8],
}

/// `None`: there is none, or no crash left it whole.
fn read_index(path: &Path) -> io::Result<Option<Index>> {
    let mut bytes = [0u8; 2 * INDEX_HEADER_BYTES];
    let read = match File::open(path) {
        Ok(mut file) => read_whole(&mut file, &mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (one, two) = bytes.split_at(INDEX_HEADER_BYTES);
    if !read || one != two || one.get(12) != Some(&1) {
        return Ok(None);
    }
    let (told, sum) = one.split_at(40);
    let is_whole = Sum::default().over(told, cfg!(target_endian = "big")).to_native() == sum;
    Ok(is_whole.then(|| Index { committed: u32::from_ne_bytes(array(told, 16)), salt: array(told, 32) }))
}

/// False: it ended before.
fn read_whole(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The bytes from `at` on; zeros where there are none.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    if let Some(found) = bytes.get(at..at.saturating_add(N)) {
        array.copy_from_slice(found);
    }
    array
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

/// SQLite's checksum, carried on from frame to frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum(u32, u32);

impl Sum {
    fn over(self, bytes: &[u8], big_endian: bool) -> Self {
        let Self(mut a, mut b) = self;
        for pair in bytes.chunks_exact(8) {
            let word = |at| {
                let bytes = array(pair, at);
                if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
            };
            a = a.wrapping_add(word(0)).wrapping_add(b);
            b = b.wrapping_add(word(4)).wrapping_add(a);
        }
        Self(a, b)
    }

    fn to_native(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        let (a, b) = bytes.split_at_mut(4);
        a.copy_from_slice(&self.0.to_ne_bytes());
        b.copy_from_slice(&self.1.to_ne_bytes());
        bytes
    }
}

struct Reader<R> {
    from: R,
    header: Option<[u8; HEADER_BYTES]>,
}

impl<R: Read> Reader<R> {
    fn new(mut from: R) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        let there = read_whole(&mut from, &mut header)?;
        Ok(Self { from, header: there.then_some(header) })
    }

    fn scan(mut self, index: Option<Index>, all: bool) -> io::Result<Result<Log, Damage>> {
        let counted = index.map_or(0, |index| index.committed);
        // A log that was made and never written, or whose first write a crash tore.
        let Some(header) = self.header.filter(|header| header.iter().any(|byte| *byte != 0)) else {
            return Ok(if counted == 0 { Ok(Log::default()) } else { Err(SHORT) });
        };
        let magic = number(&header, 0);
        let big_endian = magic & 1 == 1;
        let sum = Sum::default().over(header.get(..24).unwrap_or_default(), big_endian);
        if magic & !1 != MAGIC || sum != Sum(number(&header, 24), number(&header, 28)) {
            return Ok(Err(HEADER));
        }
        let salt: [u8; 8] = array(&header, 16);
        // An index of an earlier log tells nothing of this one.
        let counted = if index.is_some_and(|index| index.salt == salt) { counted } else { 0 };
        let page_bytes = usize::try_from(number(&header, 8)).unwrap_or(0);
        if !page_bytes.is_power_of_two() || !(512..=65_536).contains(&page_bytes) {
            return Ok(Err(HEADER));
        }
        let mut frame = vec![0; FRAME_HEADER_BYTES.saturating_add(page_bytes)];
        let mut frames =
            Frames { salt, big_endian, sum, read: 0, torn: false, log: Log::default(), pages: Vec::new() };
        let mut commit_behind = false;
        while (all || frames.read < counted) && read_whole(&mut self.from, &mut frame)? {
            if frames.take(&frame) {
                continue;
            }
            if !all {
                break;
            }
            if array::<8>(&frame, 8) == salt {
                if commit_behind {
                    return Ok(Err(MIDDLE));
                }
                commit_behind = number(&frame, 4) != 0;
            }
        }
        Ok(if frames.log.committed < counted { Err(SHORT) } else { Ok(frames.log) })
    }
}

struct Frames {
    salt: [u8; 8],
    big_endian: bool,
    sum: Sum,
    read: u32,
    torn: bool,
    log: Log,
    /// Pages of the transaction that isn't committed yet.
    pages: Vec<u32>,
}

impl Frames {
    /// False: from here on it can't be read.
    fn take(&mut self, frame: &[u8]) -> bool {
        let (header, page) = frame.split_at(FRAME_HEADER_BYTES.min(frame.len()));
        let sum =
            self.sum.over(header.get(..8).unwrap_or_default(), self.big_endian).over(page, self.big_endian);
        let told = Sum(number(header, 16), number(header, 20));
        if self.torn || array::<8>(header, 8) != self.salt || sum != told {
            self.torn = true;
            return false;
        }
        self.sum = sum;
        self.read = self.read.saturating_add(1);
        self.pages.push(number(header, 0));
        let pages = number(header, 4);
        if pages != 0 {
            self.log.committed = self.read;
            self.log.pages = pages;
            self.log.holds.extend(self.pages.drain(..));
        }
        true
    }
}
