//! The journal itself is damaged: refused, or, where it turns out later, the end of all submission.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rusqlite::Connection;

use super::{provider, refused, status};
use crate::support::{Sim, Workplace, file_of, imei};

const ROWS: u32 = 40;
const PAGE: u64 = 4096;
const FRAME: u64 = PAGE + 24;

/// A workplace whose daemon has done a file, and what of its journal lies on disk then.
struct Kept {
    sim: Sim,
    place: Workplace,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Kept {
    /// Killed: the last transactions are in the write-ahead log.
    fn killed() -> Self {
        Self::after(Workplace::kill)
    }

    /// Stopped: all is in the journal's own file.
    fn stopped() -> Self {
        Self::after(|place| assert!(place.stop().success()))
    }

    fn after(end: impl FnOnce(&mut Workplace)) -> Self {
        let sim = provider(5);
        let mut place = Workplace::new(&sim.url(), &[("submit", "canary = 0")]);
        place.start();
        place.drop_file("stock.csv", &file_of((0..ROWS).map(imei)));
        place.result("stock.results.csv");
        // Not in the middle of the last write.
        place.until("all is recorded", |place| place.log().contains("file done"));
        end(&mut place);
        let files = fs::read_dir(place.path("state")).unwrap().map(|entry| entry.unwrap().path());
        let files = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        Self { sim, place, files }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.path("state").join(name)
    }

    fn length(&self, name: &str) -> u64 {
        fs::metadata(self.file(name)).unwrap().len()
    }

    fn cut(&self, name: &str, length: u64) {
        OpenOptions::new().write(true).open(self.file(name)).unwrap().set_len(length).unwrap();
    }

    fn write(&self, name: &str, at: u64, bytes: &[u8]) {
        OpenOptions::new().write(true).open(self.file(name)).unwrap().write_all_at(bytes, at).unwrap();
    }

    fn flip(&self, name: &str, at: u64) {
        let byte = fs::read(self.file(name)).unwrap()[usize::try_from(at).unwrap()];
        self.write(name, at, &[byte ^ 0x10]);
    }

    /// Where the root page of a table or index begins.
    fn root(&self, name: &str) -> u64 {
        let journal = Connection::open(self.file("journal.db")).unwrap();
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        (journal.query_row(sql, [name], |row| row.get::<_, u32>(0)).map(u64::from).unwrap() - 1) * PAGE
    }

    fn contents(&self) -> [Vec<u8>; 2] {
        ["journal.db", "journal.db-wal"].map(|name| fs::read(self.file(name)).unwrap_or_default())
    }

    fn restore(&self) {
        fs::remove_dir_all(self.place.path("state")).unwrap();
        fs::create_dir(self.place.path("state")).unwrap();
        for (path, bytes) in &self.files {
            fs::write(path, bytes).unwrap();
        }
    }

    /// The daemon refuses, again and again, whatever looks at the journal meanwhile; nothing is sent.
    fn is_refused(&mut self, what: &str) {
        self.place.drop_file("more.csv", &file_of([imei(0), imei(500)]));
        let before = self.contents();
        status(&self.place);
        for _ in 0..2 {
            let (code, said) = refused(&mut self.place);
            assert_eq!(code, Some(1), "{what}: {said}");
            let path = self.file("journal.db").display().to_string();
            for word in
                [path.as_str(), "is damaged", "put the last copy", "Don't delete it", "paid for again"]
            {
                assert!(said.contains(word), "{what}: no {word:?} in {said}");
            }
        }
        assert!(before == self.contents(), "{what}: the evidence is left alone");
        assert_eq!(self.sim.ledger().charges, u64::from(ROWS), "{what}");
    }

    /// With the good journal back it goes on, and knows what it paid for.
    fn goes_on(mut self) {
        self.restore();
        self.place.start();
        let table = self.place.result("more.results.csv");
        assert_eq!(table.column("imeid_status"), ["duplicate", "completed"]);
        assert_eq!((self.sim.ledger().charges, self.sim.ledger().paid_twice), (u64::from(ROWS) + 1, 0));
    }
}

#[test]
fn a_write_ahead_log_that_lost_committed_transactions_is_refused() {
    let mut kept = Kept::killed();
    let length = kept.length("journal.db-wal");
    kept.cut("journal.db-wal", length / 2);
    kept.is_refused("cut in the middle");
    kept.restore();
    let mut random = fastrand::Rng::with_seed(1);
    let noise: Vec<u8> = (0..2 * FRAME).map(|_| random.u8(..)).collect();
    // Its last commit may be followed by frames of an older log: what counts is what was committed.
    let frames = u64::from(committed(&kept));
    kept.write("journal.db-wal", 32 + (frames - 2) * FRAME, &noise);
    kept.is_refused("its end overwritten");
    kept.restore();
    kept.flip("journal.db-wal", 32 + FRAME + 100);
    fs::remove_file(kept.file("journal.db-shm")).unwrap();
    kept.is_refused("a bit in the middle, after a loss of power");
    kept.restore();
    kept.flip("journal.db-wal", 9);
    kept.is_refused("its head");
    kept.restore();
    kept.cut("journal.db", 0);
    kept.is_refused("an empty journal beside it");
    kept.restore();
    fs::remove_file(kept.file("journal.db")).unwrap();
    kept.is_refused("no journal beside it");
    kept.goes_on();
}

/// Frames that the index counts.
fn committed(kept: &Kept) -> u32 {
    let index = fs::read(kept.file("journal.db-shm")).unwrap();
    u32::from_ne_bytes(index[16..20].try_into().unwrap())
}

#[test]
fn a_torn_transaction_behind_the_last_commit_is_recovered_from() {
    let mut kept = Kept::killed();
    let log = fs::read(kept.file("journal.db-wal")).unwrap();
    let end = 32 + u64::from(committed(&kept)) * FRAME;
    // Two frames that nobody was told of: the first torn, the second whole and a commit, as a loss of power leaves them.
    let mut torn = log[32..32 + usize::try_from(2 * FRAME).unwrap()].to_vec();
    torn[4..8].fill(0);
    torn[usize::try_from(FRAME).unwrap() + 7] = 9;
    kept.write("journal.db-wal", end, &torn);
    kept.place.drop_file("more.csv", &file_of([imei(0), imei(500)]));
    kept.place.start();
    let table = kept.place.result("more.results.csv");
    assert_eq!(table.column("imeid_status"), ["duplicate", "completed"]);
    assert_eq!((kept.sim.ledger().charges, kept.sim.ledger().paid_twice), (u64::from(ROWS) + 1, 0));
}

#[test]
fn a_journal_that_is_cut_or_overwritten_or_none_at_all_is_refused() {
    let mut kept = Kept::stopped();
    kept.cut("journal.db", kept.length("journal.db") / 2 / PAGE * PAGE);
    kept.is_refused("cut");
    let told = status(&kept.place);
    kept.restore();
    kept.flip("journal.db", 3);
    kept.is_refused("a bit in the head");
    let (code, said) = status(&kept.place);
    assert!(code == Some(1) && said.contains("is damaged"), "{said} (cut: {told:?})");
    for name in ["orders", "facts", "tallies", "orders_current", "attempts"] {
        kept.restore();
        let root = kept.root(name);
        kept.flip("journal.db", root);
        kept.is_refused(name);
    }
    kept.restore();
    fs::write(kept.file("journal.db"), "shelf;IMEI\r\n".repeat(1000)).unwrap();
    kept.is_refused("a table of someone's");
    kept.goes_on();
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_says_which_version_to_install() {
    let mut kept = Kept::stopped();
    Connection::open(kept.file("journal.db")).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let (code, said) = refused(&mut kept.place);
    assert_eq!(code, Some(1), "{said}");
    let path = kept.file("journal.db").display().to_string();
    assert!(
        said.contains(&path) && said.contains("newer imeid") && said.contains("install that version"),
        "{said}"
    );
}

#[test]
fn damage_that_is_found_at_work_ends_the_daemon_and_nothing_more_is_sent() {
    let mut kept = Kept::stopped();
    kept.place.configure(&kept.sim.url(), &[("submit", "canary = 0"), ("submit", "workers = 2")]);
    // Written with every answer, read by no look at the start.
    let root = kept.root("answers_order");
    kept.flip("journal.db", root);
    kept.place.start();
    kept.place.drop_file("more.csv", &file_of((500..560).map(imei)));
    let mut ended = None;
    kept.place.until("it ends by itself", |place| {
        ended = place.ended();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().code(), Some(1));
    let log = kept.place.log();
    for word in ["alarm=journal", "is damaged", "put the last copy", "Don't delete it"] {
        assert!(log.contains(word), "no {word:?} in {log}");
    }
    // Those that were on their way when the first answer came.
    let sent = kept.sim.ledger().place_calls - u64::from(ROWS);
    assert!((1..=4).contains(&sent), "{sent}");
    kept.flip("journal.db", root);
    kept.place.start();
    kept.place.drop_file("later.csv", &file_of((600..602).map(imei)));
    let table = kept.place.result("more.results.csv");
    assert_eq!(table.rows.len(), 60);
    let charges = u64::from(ROWS) + 62;
    kept.place.result("later.results.csv");
    assert_eq!(
        (kept.sim.ledger().charges, kept.sim.ledger().paid_twice),
        (charges, 0),
        "{}",
        kept.place.log()
    );
}
