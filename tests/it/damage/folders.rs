//! Folders that can't be written, are gone, and come back.

use std::fs;
use std::path::Path;

use super::place::Mount;
use super::{provider, refused, status};
use crate::support::{Workplace, file_of, imei};

#[allow(clippy::disallowed_methods, reason = "as another program does it")]
fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap();
}

/// The status tells all of it, with the code for something wrong.
fn tells(place: &mut Workplace, words: &[&str]) {
    place.until("the status tells it", |place| {
        let (code, told) = status(place);
        code == Some(3) && words.iter().all(|word| told.contains(word))
    });
}

#[test]
fn results_wait_for_an_outbox_that_is_read_only_or_gone() {
    let sim = provider(5);
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    place.drop_file("first.csv", &file_of([imei(1)]));
    place.result("first.results.csv");
    let (outbox, away) = (place.path("outbox"), place.path("away"));
    let outbox_text = outbox.display().to_string();

    // A file that comes now waits for its name in the outbox.
    rename(&outbox, &away);
    place.drop_file("second.csv", &file_of([imei(2)]));
    tells(&mut place, &["intake: second.csv can't be put", &outbox_text, "the folder must be there"]);
    rename(&away, &outbox);
    place.result("second.results.csv");
    place.until("all is well", |place| status(place).0 == Some(0));

    let Some(mount) = Mount::read_only(&outbox) else { return };
    place.drop_file("third.csv", &file_of([imei(3)]));
    tells(
        &mut place,
        &["outbox: results can't be put into", &outbox_text, "Read-only file system (os error 30)."],
    );
    place.until("it is ordered all the same", |_| sim.ledger().charges == 3);
    drop(mount);
    place.result("third.results.csv");
    place.until("all is well", |place| status(place).0 == Some(0));
    assert_eq!(
        place.names("outbox"),
        ["READ ME.txt", "first.results.csv", "second.results.csv", "third.results.csv"]
    );
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (3, 0), "{}", place.log());
}

#[test]
fn an_inbox_that_goes_and_comes_back_is_watched_again() {
    let sim = provider(5);
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    let inbox = place.path("inbox");
    fs::remove_dir_all(&inbox).unwrap();
    tells(
        &mut place,
        &["the inbox itself: it is gone", "inbox: the inbox", "is gone or can't be looked into"],
    );
    assert_eq!(place.log().matches("alarm=inbox").count(), 1, "{}", place.log());
    assert!(!place.log().contains("name=."), "{}", place.log());
    assert!(place.log().contains(inbox.to_str().unwrap()), "{}", place.log());
    assert_eq!(place.ended(), None);
    fs::create_dir(&inbox).unwrap();
    place.drop_file("stock.csv", &file_of([imei(1)]));
    place.result("stock.results.csv");
    place.until("all is well", |place| status(place).0 == Some(0));

    // Another filesystem over it, with a file of its own in it, and away again.
    let Some(mount) = Mount::small(&inbox, 256) else { return };
    place.drop_file("other.csv", &file_of([imei(1), imei(2)]));
    place.result("other.results.csv");
    drop(mount);
    place.drop_file("third.csv", &file_of([imei(3)]));
    place.result("third.results.csv");
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (3, 0), "{}", place.log());
    assert!(!place.log().contains("alarm=file_gone"), "{}", place.log());
}

#[test]
fn originals_wait_for_an_archive_and_a_folder_for_refused_files_that_are_gone() {
    let sim = provider(5);
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    // This start is told of in the archive: the next order doesn't wait for it.
    place.drop_file("first.csv", &file_of([imei(0)]));
    place.result("first.results.csv");
    place.until("all is well", |place| status(place).0 == Some(0));
    let [archive, rejected] = ["archive", "rejected"].map(|name| place.path(name));
    fs::remove_dir_all(&archive).unwrap();
    fs::remove_dir_all(&rejected).unwrap();
    place.drop_file("stock.csv", &file_of([imei(1)]));
    place.drop_file("letter.csv", "Dear all,\nhere is the list.\n");
    place.result("stock.results.csv");
    tells(&mut place, &["intake: ", "(and 1 more)", "the folder must be there"]);
    for folder in [&archive, &rejected] {
        assert!(place.log().contains(folder.to_str().unwrap()), "{}", place.log());
        fs::create_dir(folder).unwrap();
    }
    place.until("both are where they belong", |place| {
        let days = place.names("archive");
        let archived = days.first().map(|day| place.names(&format!("archive/{day}")));
        archived.is_some_and(|names| names == ["stock.csv"])
            && place.names("rejected") == ["letter.csv", "letter.csv.reason.txt"]
    });
    place.until("all is well", |place| status(place).0 == Some(0));
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (2, 0));
}

#[test]
fn a_start_that_cant_be_told_of_in_the_archive_sends_nothing_until_it_can() {
    let sim = provider(5);
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    let (archive, away) = (place.path("archive"), place.path("away"));
    rename(&archive, &away);
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    tells(
        &mut place,
        &["stamp: nothing is sent: the stamp .imeid can't be written into", archive.to_str().unwrap()],
    );
    let mut looks = 0;
    place.until("someone looks again and again", |_| {
        assert_eq!(sim.ledger().place_calls, 0);
        looks += 1;
        looks > 40
    });
    // Neither what waits for it nor what comes of it is taken for sent.
    place.kill();
    rename(&away, &archive);
    place.start();
    place.result("stock.results.csv");
    place.until("all is well", |place| status(place).0 == Some(0));
    assert!(!place.log().contains("in doubt"), "{}", place.log());

    place.kill();
    place.start();
    rename(&archive, &away);
    place.drop_file("more.csv", &file_of((3..6).map(imei)));
    tells(&mut place, &["stamp: nothing is sent"]);
    rename(&away, &archive);
    place.result("more.results.csv");
    place.until("all is well", |place| status(place).0 == Some(0));
    assert!(place.log().contains("the stamp .imeid can be written again"), "{}", place.log());
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (6, 0), "{}", place.log());
}

#[test]
fn a_state_folder_that_is_read_only_at_the_start_is_named_and_nothing_is_sent() {
    let sim = provider(5);
    let mut place = Workplace::new(&sim.url(), &[]);
    let state = place.path("state");
    fs::create_dir(&state).unwrap();
    let Some(mount) = Mount::read_only(&state) else { return };
    place.drop_file("stock.csv", &file_of([imei(1)]));
    let (code, said) = refused(&mut place);
    assert_eq!(code, Some(1), "{said}");
    for word in [state.to_str().unwrap(), "Read-only file system", "writable for imeid's user"] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    assert_eq!(sim.ledger().place_calls, 0);
    drop(mount);
    place.start();
    place.result("stock.results.csv");
    assert_eq!(sim.ledger().charges, 1);
}

#[test]
fn lock_files_of_a_dead_process_are_no_obstacle() {
    let sim = provider(5);
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    let dead = place.pid();
    place.kill();
    for lock in ["state/journal.db.lock", "inbox/.imeid.lock"] {
        assert_eq!(fs::read_to_string(place.path(lock)).unwrap().trim(), dead.to_string());
    }
    assert!(status(&place).1.contains("no daemon runs"));
    // The number may be another process's by now.
    fs::write(place.path("state/journal.db.lock"), format!("{}\n", std::process::id())).unwrap();
    place.drop_file("stock.csv", &file_of([imei(1)]));
    place.start();
    place.result("stock.results.csv");
}
