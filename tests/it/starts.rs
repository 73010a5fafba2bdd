//! A daemon and a command that come to the journal's lock at the same time.

use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};

use imeid::durable::LockFile;
use imeid::simulator::Options;
use rustix::process::Signal;

use crate::support::{Sim, Workplace, file_of, imei, program};

const WAITED_FOR: &str = "it is waited for, up to 10 s";

fn place(sim: &Sim) -> Workplace {
    let mut place = Workplace::new(&sim.url(), &[("submit", "canary = 0")]);
    place.start();
    place.drop_file("stock.csv", &file_of([imei(0)]));
    place.result("stock.results.csv");
    assert!(place.stop().success());
    place
}

fn lock_of(place: &Workplace) -> std::path::PathBuf {
    place.path("state/journal.db.lock")
}

/// A word, as a process of its own that isn't waited for.
fn word(place: &Workplace) -> Child {
    let mut command = program();
    command.args(["pause", "--config"]).arg(place.config()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn holder(path: &Path) -> Option<u32> {
    LockFile::holder(path).unwrap().and_then(|holder| holder.pid)
}

/// A writer of the journal that keeps others from writing until it is dropped.
fn writer(place: &Workplace) -> rusqlite::Connection {
    let writer = rusqlite::Connection::open(place.path("state/journal.db")).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    writer
}

#[test]
fn a_daemon_waits_for_a_word_that_is_being_carried_out_and_starts_then() {
    let sim = Sim::start(Options::default());
    let mut place = place(&sim);
    let writer = writer(&place);
    let word = word(&place);
    let lock = lock_of(&place);
    place.until("the word has the lock", |_| holder(&lock) == Some(word.id()));
    let status = place.run(&["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("no daemon runs"), "{status:?}");
    place.spawn();
    let waits = format!("a command of imeid (process {}) is at work here", word.id());
    place.until("the daemon waits", |place| place.log().contains(&waits));
    assert!(place.log().contains(WAITED_FOR), "{}", place.log());
    writer.execute_batch("ROLLBACK").unwrap();
    drop(writer);
    let said = word.wait_with_output().unwrap();
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    place.until_ready();
    assert_eq!(place.log().matches(WAITED_FOR).count(), 1, "told once: {}", place.log());
    assert!(place.run(&["resume"]).status.success(), "his pause is there");
}

#[test]
fn a_word_that_comes_while_a_daemon_starts_is_carried_out_by_it() {
    let sim = Sim::start(Options::default());
    let mut place = place(&sim);
    let writer = writer(&place);
    place.spawn();
    let (lock, daemon) = (lock_of(&place), place.pid());
    place.until("the daemon has the lock", |_| holder(&lock) == Some(daemon));
    let mut word = word(&place);
    writer.execute_batch("ROLLBACK").unwrap();
    drop(writer);
    place.until_ready();
    let mut ended: Option<ExitStatus> = None;
    place.until("the word is carried out", |_| {
        ended = word.try_wait().unwrap();
        ended.is_some()
    });
    assert!(ended.unwrap().success());
    place.until("the daemon has done it", |place| place.log().contains("reason=operator"));
}

#[test]
fn a_second_daemon_is_refused_at_once_and_one_that_a_command_keeps_waiting_in_the_end() {
    let sim = Sim::start(Options::default());
    let mut place = place(&sim);
    place.start();
    let second = place.run(&["run"]);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    let refused = format!("another imeid (process {}) is at work here: it holds", place.pid());
    assert!(said.contains(&refused) && !said.contains(WAITED_FOR), "{said}");
    assert!(place.stop().success());

    let command = LockFile::acquire_briefly(&lock_of(&place)).unwrap();
    place.spawn();
    place.until("it waits", |place| place.log().contains(WAITED_FOR));
    let stopped = place.stop_by(Signal::TERM);
    assert!(stopped.success(), "{stopped}: {}", place.log());
    let kept = place.run(&["run"]);
    let said = String::from_utf8_lossy(&kept.stderr).into_owned();
    assert_eq!(kept.status.code(), Some(1), "{said}");
    let refused = format!("ERROR a command of imeid (process {}) is at work here", std::process::id());
    assert!(said.contains(&refused), "{said}");
    drop(command);
    place.start();
}
