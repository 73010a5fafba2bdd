//! What others do to the journal's files while the daemon has them open.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rusqlite::Connection;

use super::provider;
use crate::support::{Sim, Workplace, file_of, imei};

const ROWS: u32 = 300;

/// A daemon in the middle of its work: so many of a file's orders are charged.
fn at_work(latency_ms: u64, charged: u64) -> (Sim, Workplace) {
    let sim = provider(latency_ms);
    let mut place = Workplace::new(&sim.url(), &[("submit", "canary = 0")]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..ROWS).map(imei)));
    place.until("some are charged", |_| sim.ledger().charges >= charged);
    (sim, place)
}

/// The next process ends what the last one began.
fn all_is_completed(sim: &Sim, place: &mut Workplace) {
    place.start();
    let table = place.result("stock.results.csv");
    assert!(table.column("imeid_status").iter().all(|status| *status == "completed"));
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (u64::from(ROWS), 0));
}

fn log_inode(place: &Workplace) -> Option<u64> {
    fs::metadata(place.path("state/journal.db-wal")).ok().map(|metadata| metadata.ino())
}

/// SQLite removes the log of a journal that nobody has open any more: it must not take that to be so.
#[test]
fn whoever_else_closes_the_journal_leaves_its_log_to_the_daemon() {
    let (sim, mut place) = at_work(100, 60);
    let log = log_inode(&place);
    assert!(log.is_some());
    // As `sqlite3` or a backup script does.
    let other = Connection::open(place.path("state/journal.db")).unwrap();
    let rows: u32 = other.query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap();
    other.close().unwrap();
    assert_eq!(rows, ROWS);
    assert_eq!(log_inode(&place), log);
    place.until("more are charged", |_| sim.ledger().charges >= 120);
    place.kill();
    all_is_completed(&sim, &mut place);
}

#[test]
fn a_log_that_is_removed_under_the_daemon_stops_it_and_is_nothing_lost() {
    let (sim, mut place) = at_work(500, 30);
    for file in ["state/journal.db-wal", "state/journal.db-shm"] {
        fs::remove_file(place.path(file)).unwrap();
    }
    place.until("it has ended", |place| place.ended().is_some());
    assert_eq!(place.ended().and_then(|status| status.code()), Some(1));
    assert!(
        place.log().contains("its write-ahead log was removed or replaced while it was open"),
        "{}",
        place.log()
    );
    assert!(sim.ledger().charges < u64::from(ROWS));
    all_is_completed(&sim, &mut place);
}
