mod notes;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Clock;
use crate::types::{NetworkId, Timestamp};

const MINUTE: i64 = 60_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_763_091_180_000 + millis)
}

struct Folders {
    dir: TempDir,
    settings: Settings,
}

/// An inbox with a service of its own and one for the folder `other`.
fn folders() -> Folders {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings {
        inbox: dir.path().join("inbox"),
        rejected: dir.path().join("rejected"),
        called: super::settings::INBOX,
        settle: Duration::from_secs(2),
        rescan: Duration::from_secs(30),
        services: vec![
            (".".to_owned(), NetworkId("1739".to_owned())),
            ("other".to_owned(), NetworkId("2".to_owned())),
        ],
    };
    fs::create_dir_all(settings.inbox.join("other")).unwrap();
    fs::create_dir(&settings.rejected).unwrap();
    Folders { dir, settings }
}

impl Folders {
    fn drop_file(&self, name: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.settings.inbox.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn note(&self, name: &str) -> PathBuf {
        self.settings.rejected.join(format!("{name}.reason.txt"))
    }
}

fn waits(scan: &Scan) -> Vec<(&str, Why)> {
    scan.waiting.iter().map(|waiting| (waiting.name.as_str(), waiting.why)).collect()
}

fn ready(scan: &Scan) -> Vec<(String, &str)> {
    scan.ready
        .iter()
        .map(|ready| (ready.name.to_string_lossy().into_owned(), ready.network_id.0.as_str()))
        .collect()
}

/// What is logged while `work` runs.
fn logged(work: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);
    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let buffer = Buffer::default();
    let to = buffer.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || to.clone()).without_time().finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = buffer.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_file_is_ready_for_the_service_of_its_folder_when_it_has_settled() {
    let folders = folders();
    let mut scanner = Scanner::new(folders.settings.clone());
    let (a, b) = (folders.drop_file("a.csv", "x"), folders.drop_file("other/b.csv", "y"));
    let scan = scanner.scan_once(vec![a, b], at(0));
    assert_eq!(waits(&scan), [("a.csv", Why::BeingWritten), ("other/b.csv", Why::BeingWritten)]);
    assert_eq!(scan.next, Some(at(2_000)));
    let scan = scanner.scan_once(vec![], at(2_000));
    assert_eq!(ready(&scan), [("a.csv".to_owned(), "1739"), ("b.csv".to_owned(), "2")]);
    assert_eq!(waits(&scan), []);
}

#[test]
fn a_file_that_no_event_told_of_takes_ten_times_as_long() {
    let folders = folders();
    folders.drop_file("a.csv", "x");
    let mut scanner = Scanner::new(folders.settings.clone());
    assert_eq!(scanner.scan_once(vec![], at(0)).next, Some(at(20_000)));
    assert!(scanner.scan_once(vec![], at(19_999)).ready.is_empty());
    assert_eq!(scanner.scan_once(vec![], at(20_000)).ready.len(), 1);
}

#[test]
fn a_file_that_grows_or_changes_unseen_is_not_ready() {
    let folders = folders();
    let path = folders.drop_file("a.csv", "one");
    let mut scanner = Scanner::new(folders.settings.clone());
    scanner.scan_once(vec![path.clone()], at(0));
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(b"two").unwrap();
    file.set_modified(time).unwrap();
    let scan = scanner.scan_once(vec![], at(2_000));
    assert_eq!(waits(&scan), [("a.csv", Why::BeingWritten)], "same size, same time, other content");
    assert_eq!(scanner.scan_once(vec![path], at(3_000)).next, Some(at(5_000)));
    assert_eq!(scanner.scan_once(vec![], at(5_000)).ready.len(), 1);
}

#[test]
fn what_is_ready_is_offered_once_a_rescan_until_it_is_taken() {
    let folders = folders();
    let path = folders.drop_file("a.csv", "x");
    let mut scanner = Scanner::new(folders.settings.clone());
    scanner.scan_once(vec![path], at(0));
    let first = scanner.scan_once(vec![], at(2_000));
    assert_eq!(first.ready.len(), 1);
    assert!(scanner.scan_once(vec![], at(31_999)).ready.is_empty());
    assert_eq!(scanner.scan_once(vec![], at(32_000)).ready, first.ready);
    take(&folders.settings, &first.ready[0], at(33_000)).unwrap();
    let after = scanner.scan_once(vec![], at(62_000));
    assert!(after.ready.is_empty() && after.waiting.is_empty());
    assert_eq!(list_taken(&folders.settings.inbox).unwrap().len(), 1);
}

#[test]
fn what_is_no_file_is_never_opened_and_is_warned_of_once() {
    let folders = folders();
    let inbox = &folders.settings.inbox;
    let secret = folders.dir.path().join("secret.csv");
    fs::write(&secret, "x").unwrap();
    std::os::unix::fs::symlink(&secret, inbox.join("link.csv")).unwrap();
    std::os::unix::fs::symlink(folders.dir.path(), inbox.join("linked folder")).unwrap();
    // Opening a pipe that nobody writes to would wait for ever.
    rustix::fs::mknodat(rustix::fs::CWD, inbox.join("pipe"), rustix::fs::FileType::Fifo, 0o644.into(), 0)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(inbox.join("socket")).unwrap();
    let mut scanner = Scanner::new(folders.settings.clone());
    let text = logged(|| {
        for now in [0, 20_000, 40_000] {
            let scan = scanner.scan_once(vec![], at(now));
            let names = ["link.csv", "linked folder", "pipe", "socket"];
            assert_eq!(waits(&scan), names.map(|name| (name, Why::NotAFile)));
            assert!(scan.ready.is_empty() && scan.waiting.iter().all(|waiting| waiting.since == at(0)));
        }
    });
    assert_eq!(text.matches("WARN").count(), 4, "{text}");
}

fn waiting(name: &str, why: Why, since: Timestamp) -> Waiting {
    Waiting { name: name.to_owned(), why, since }
}

#[test]
fn what_an_earlier_process_told_waits_since_then_and_is_not_told_again() {
    let folders = folders();
    std::os::unix::fs::symlink("nowhere", folders.settings.inbox.join("link")).unwrap();
    fs::create_dir(folders.settings.inbox.join("strays")).unwrap();
    let start = |now| {
        let mut scanner = Scanner::new(folders.settings.clone());
        let told = [
            waiting("gone", Why::NotAFile, at(-MINUTE)),
            waiting("link", Why::NotAFile, at(-3 * MINUTE)),
            waiting("strays", Why::NoSuchService, at(-9 * MINUTE)),
        ];
        scanner.take_up(told[..].to_vec());
        let scan = scanner.scan_once(vec![], now);
        assert_eq!(scan.waiting, told[1..]);
        scanner
    };
    let text = logged(|| {
        let mut scanner = start(at(0));
        assert!(!folders.note("strays").exists());
        scanner.scan_once(vec![], at(MINUTE));
        assert!(folders.note("strays").exists() && !folders.note("link").exists());
    });
    assert_eq!(text.matches("WARN").count(), 1, "the note alone: {text}");
    let text = logged(|| {
        let mut scanner = start(at(2 * MINUTE));
        // What comes under the name of one that is gone is another.
        std::os::unix::fs::symlink("nowhere", folders.settings.inbox.join("gone")).unwrap();
        let scan = scanner.scan_once(vec![], at(3 * MINUTE));
        assert_eq!(scan.waiting[0], waiting("gone", Why::NotAFile, at(3 * MINUTE)));
    });
    assert_eq!((text.matches("WARN").count(), text.matches("gone").count()), (1, 1), "{text}");
}

#[test]
fn what_came_while_nobody_looked_waits_since_it_came_and_a_file_has_its_time_to_settle() {
    let folders = folders();
    fs::create_dir(folders.settings.inbox.join("strays")).unwrap();
    let path = folders.drop_file("a.csv", "x");
    let file = fs::File::options().write(true).open(&path).unwrap();
    // As a copy that keeps its original's time of change.
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let came = Clock::system().now();
    let at = |millis: i64| Timestamp::from_millis(came.millis() + millis);
    let mut scanner = Scanner::new(folders.settings.clone());
    let scan = scanner.scan_once(vec![], at(9 * MINUTE));
    assert!(scan.waiting.iter().all(|waiting| came.since(waiting.since) < Duration::from_secs(60)));
    assert!(scan.waiting.iter().all(|waiting| waiting.since <= came), "{:?} {came:?}", scan.waiting);
    scanner.scan_once(vec![], at(10 * MINUTE));
    assert!(folders.note("strays").exists() && !folders.note("a.csv").exists());
    // Restarted again and again, and never settled.
    let mut scanner = Scanner::new(folders.settings.clone());
    for second in (0..=50).step_by(10) {
        assert!(!folders.note("a.csv").exists(), "{second}");
        folders.drop_file("a.csv", &"x".repeat(second));
        scanner.scan_once(vec![], at(11 * MINUTE + i64::try_from(second).unwrap() * 1_000));
    }
    assert!(folders.note("a.csv").exists());
}

#[test]
fn while_files_wait_for_a_person_each_is_shown_and_none_is_given_out() {
    let folders = folders();
    let path = folders.drop_file("a.csv", "x");
    folders.drop_file("other/b.csv", "x");
    fs::create_dir(folders.settings.inbox.join("strays")).unwrap();
    let mut scanner = Scanner::new(folders.settings.clone());
    scanner.hold(true);
    scanner.scan_once(vec![path.clone()], at(0));
    let scan = scanner.scan_once(vec![], at(MINUTE));
    let waits_so = [
        waiting("a.csv", Why::WaitsForResume, at(0)),
        waiting("other/b.csv", Why::WaitsForResume, at(0)),
        waiting("strays", Why::NoSuchService, at(0)),
    ];
    assert_eq!((scan.waiting, scan.ready), (waits_so.to_vec(), vec![]));
    scanner.scan_once(vec![], at(10 * MINUTE));
    assert!(fs::read_to_string(folders.note("a.csv")).unwrap().contains("imeid resume"));
    scanner.hold(false);
    scanner.scan_once(vec![path], at(11 * MINUTE));
    assert_eq!(scanner.scan_once(vec![], at(11 * MINUTE + 2_000)).ready.len(), 1);
}

#[test]
fn what_programs_leave_behind_is_not_even_listed() {
    let folders = folders();
    for name in [".hidden", "~$a.csv", "a.csv.part", "Thumbs.db", "other/.x"] {
        folders.drop_file(name, "x");
    }
    fs::create_dir(folders.settings.inbox.join("@eaDir")).unwrap();
    fs::create_dir(folders.settings.inbox.join(".taken")).unwrap();
    folders.drop_file(".taken/a.csv", "x");
    let scan = Scanner::new(folders.settings.clone()).scan_once(vec![], at(0));
    assert!(scan.waiting.is_empty() && scan.ready.is_empty());
}

#[test]
fn without_a_service_for_the_inbox_itself_files_there_wait_for_one() {
    let mut folders = folders();
    folders.settings.services.remove(0);
    folders.drop_file("a.csv", "x");
    let scan = Scanner::new(folders.settings.clone()).scan_once(vec![], at(0));
    assert_eq!(waits(&scan), [("a.csv", Why::NoSuchService)]);
}

#[test]
fn an_unreadable_file_waits_and_is_found_when_it_can_be_read() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        return; // root may read everything
    }
    let folders = folders();
    let path = folders.drop_file("a.csv", "x");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let mut scanner = Scanner::new(folders.settings.clone());
    assert_eq!(waits(&scanner.scan_once(vec![], at(0))), [("a.csv", Why::Unreadable)]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    scanner.scan_once(vec![path], at(1_000));
    assert_eq!(scanner.scan_once(vec![], at(3_000)).ready.len(), 1);
}

#[test]
fn a_vanished_inbox_is_said_once_and_looked_for_again() {
    let folders = folders();
    let mut scanner = Scanner::new(folders.settings.clone());
    let away = folders.dir.path().join("away");
    folders.drop_file("a.csv", "x");
    scanner.scan_once(vec![], at(0));
    crate::durable::rename_within(&folders.settings.inbox, &away).unwrap();
    let text = logged(|| {
        for now in [1_000, 11 * MINUTE, 12 * MINUTE] {
            let scan = scanner.scan_once(vec![], at(now));
            assert!(waits(&scan).contains(&(".", Why::Unreadable)));
        }
    });
    assert_eq!(text.matches("can't be read for now").count(), 1, "{text}");
    crate::durable::rename_within(&away, &folders.settings.inbox).unwrap();
    let scan = scanner.scan_once(vec![], at(13 * MINUTE));
    assert!(!waits(&scan).contains(&(".", Why::Unreadable)));
}

#[test]
fn a_name_that_is_no_utf_8_is_moved_as_it_is() {
    let folders = folders();
    let name = OsStr::from_bytes(b"caf\xe9.csv");
    let path = folders.drop_file(name, "x");
    let mut scanner = Scanner::new(folders.settings.clone());
    assert_eq!(waits(&scanner.scan_once(vec![path], at(0))), [("caf\u{fffd}.csv", Why::BeingWritten)]);
    let scan = scanner.scan_once(vec![], at(2_000));
    let taken = take(&folders.settings, &scan.ready[0], at(2_000)).unwrap();
    assert_eq!(taken.path.file_name(), Some(name));
    assert_eq!(list_taken(&folders.settings.inbox).unwrap(), [taken]);
}

#[test]
fn what_waits_prints_as_status_does() {
    let waiting = Waiting { name: "a.csv".to_owned(), why: Why::NotAFile, since: at(0) };
    let json = serde_json::to_string(&waiting).unwrap();
    assert_eq!(json, r#"{"name":"a.csv","why":"not a file","since":"2025-11-14T03:33:00Z"}"#);
}

async fn next(inbox: &mut Inbox, stop: &CancellationToken) -> Option<Ready> {
    tokio::time::timeout(Duration::from_secs(20), inbox.next_ready(stop)).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_loop_gives_what_is_dropped_and_ends_when_told_to() {
    let folders = folders();
    // Looks come half an hour apart, and no close means half an hour too: only the hint can be what found it.
    let settings = Settings {
        settle: Duration::from_millis(50),
        rescan: Duration::from_secs(1_800),
        ..folders.settings.clone()
    };
    let stop = CancellationToken::new();
    let mut inbox = Inbox::new(settings.clone(), Clock::system());
    folders.drop_file("other/a.csv", "before the first look");
    let first = next(&mut inbox, &stop).await.unwrap();
    assert_eq!((first.name.as_os_str(), first.network_id.0.as_str()), (OsStr::new("a.csv"), "2"));
    take(&settings, &first, at(0)).unwrap();

    folders.drop_file("b.csv", "after it");
    assert_eq!(next(&mut inbox, &stop).await.unwrap().name, "b.csv");

    stop.cancel();
    assert_eq!(next(&mut inbox, &stop).await, None);
}

#[tokio::test]
async fn the_loop_finds_what_was_there_before_and_tells_what_waits() {
    let folders = folders();
    folders.drop_file("a.csv", "x");
    let settings = Settings { settle: Duration::from_millis(20), ..folders.settings.clone() };
    let stop = CancellationToken::new();
    let mut inbox = Inbox::new(settings, Clock::system());
    let mut waiting = inbox.waiting();
    inbox.look().await.unwrap();
    assert_eq!(waiting.borrow_and_update()[0].name, "a.csv");
    assert_eq!(next(&mut inbox, &stop).await.unwrap().name, "a.csv");
    assert!(waiting.borrow_and_update().is_empty());
}

#[tokio::test]
async fn other_settings_count_from_the_next_look_on() {
    let folders = folders();
    fs::create_dir(folders.settings.inbox.join("new")).unwrap();
    folders.drop_file("new/a.csv", "x");
    let mut settings = Settings { settle: Duration::from_millis(10), ..folders.settings.clone() };
    let mut inbox = Inbox::new(settings.clone(), Clock::system());
    inbox.look().await.unwrap();
    assert_eq!(inbox.waiting().borrow()[0].why, Why::NoSuchService);
    settings.services.push(("new".to_owned(), NetworkId("3".to_owned())));
    inbox.reconfigure(settings);
    let ready = next(&mut inbox, &CancellationToken::new()).await.unwrap();
    assert_eq!(ready.network_id, NetworkId("3".to_owned()));
}
