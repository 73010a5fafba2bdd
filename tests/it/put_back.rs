//! State directories and backups that are put back, beside the daemon's own.

use std::time::Duration;

use imeid::simulator::{Change, Delay, Duplicates, Options, Share};

use crate::commands::{NO_CANARY, done, slow, told};
use crate::support::{Sim, Workplace, file_of, imei, status};

/// Puts a journal in the place of the daemon's, which doesn't run.
fn put_back(place: &Workplace, copy: &str) {
    let state = place.path("state");
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    std::fs::copy(place.path(copy), state.join("journal.db")).unwrap();
}

/// Copies a folder's files, or one file, into a folder.
pub(crate) fn copy_files(place: &Workplace, from: &str, to: &str) {
    std::fs::create_dir_all(place.path(to)).unwrap();
    let from = place.path(from);
    let files: Vec<_> = if from.is_file() {
        vec![from]
    } else {
        std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    for file in files {
        std::fs::copy(&file, place.path(to).join(file.file_name().unwrap())).unwrap();
    }
}

/// Pays twice for whatever is sent twice, and lists nothing: only what isn't sent is safe.
fn merciless() -> Options {
    Options { listing: false, duplicates: Duplicates::Charge, ..slow(500) }
}

const ONE_BY_ONE: [(&str, &str); 3] =
    [NO_CANARY, ("submit", "workers = 1"), ("in_doubt", "policy = \"hold\"")];

#[test]
fn a_backup_that_is_put_back_sends_nothing_and_takes_no_file_until_someone_says_so() {
    let sim = Sim::start(merciless());
    let mut place = Workplace::new(&sim.url(), &ONE_BY_ONE);
    place.start();
    place.drop_file("stock.csv", &file_of((0..6).map(imei)));
    place.until("the first is ordered", |_| sim.ledger().charges > 0);
    done(&place, &["backup", place.path("copy.db").to_str().unwrap()]);
    place.result("stock.results.csv");
    assert!(place.stop().success());
    put_back(&place, "copy.db");
    place.start();
    let now = status(&place);
    assert_eq!(
        (&now["pauses"][0]["reason"], &now["alarms"][0]["name"]),
        (&"older_copy".into(), &"older_copy".into())
    );
    assert_eq!(now["orders"]["queued"], 0, "{now}");
    place.drop_file("more.csv", &file_of([imei(100)]));
    place.kill();
    // One that was taken when the copy's original ended, and isn't in the copy.
    let taken = place.path("inbox/.taken/1739~1763091180000~7/late.csv");
    std::fs::create_dir_all(taken.parent().unwrap()).unwrap();
    std::fs::write(&taken, file_of([imei(101)])).unwrap();
    place.start();
    assert!(place.stop().success());
    assert!(taken.exists(), "a stop lets none in");
    place.start();
    assert!(place.log().contains("files wait in the inbox until imeid resume"), "{}", place.log());
    // Said until a quiet period is over; whatever would have been sent was sent long before.
    let mut early = 0;
    place.until("it is let go on", |place| {
        assert!(place.path("inbox/more.csv").exists(), "no file is taken in");
        assert_eq!(sim.ledger().place_calls, 6, "nothing is sent");
        let said = place.run(&["resume"]);
        early += usize::from(told(&said).contains("a quiet period must pass first"));
        assert!(!told(&said).contains("say imeid resume"), "he says it: {}", told(&said));
        let warns = told(&said).contains("warning: no export of the provider's was read since");
        assert_eq!(warns, said.status.success(), "he is told what he risks, and it goes on: {}", told(&said));
        said.status.success()
    });
    assert!(early > 0);
    let table = place.result("more.results.csv");
    assert_eq!(table.column("imeid_status"), ["completed"]);
    place.result("late.results.csv");
    let ledger = sim.ledger();
    assert_eq!((ledger.place_calls, ledger.charges, ledger.paid_twice), (8, 8, 0));
    assert_eq!(status(&place)["pauses"], serde_json::json!([]));
}

#[test]
fn a_state_directory_put_back_from_before_is_noticed_and_one_that_is_moved_goes_on() {
    let sim = Sim::start(merciless());
    let mut place = Workplace::new(&sim.url(), &ONE_BY_ONE);
    place.start();
    place.drop_file("first.csv", &file_of((0..2).map(imei)));
    place.result("first.results.csv");
    assert!(place.stop().success());
    copy_files(&place, "state", "moved");
    std::fs::remove_dir_all(place.path("state")).unwrap();
    copy_files(&place, "moved", "state");
    place.start();
    let now = status(&place);
    assert_eq!(now["pauses"], serde_json::json!([]), "an ordinary move");
    assert_eq!(now["alarms"], serde_json::json!([]));
    place.drop_file("second.csv", &file_of((10..12).map(imei)));
    place.result("second.results.csv");
    assert!(place.stop().success());
    // As it was then; and, as some copy it, without what lies beside the file.
    for files in ["moved", "moved/journal.db"] {
        std::fs::remove_dir_all(place.path("state")).unwrap();
        copy_files(&place, files, "state");
        let stamp = std::fs::read(place.path("archive/.imeid")).unwrap();
        place.start();
        assert_eq!(status(&place)["pauses"][0]["reason"], "older_copy", "{}", place.log());
        place.drop_file("second.csv", &file_of((10..12).map(imei)));
        assert!(place.stop().success(), "{}", place.log());
        assert_eq!((sim.ledger().place_calls, place.path("inbox/second.csv").exists()), (4, true));
        std::fs::write(place.path("archive/.imeid"), stamp).unwrap();
    }
}

/// What is given back for orders that a backup has as open is in the balance already when the backup is put back.
#[test]
fn refunds_that_came_before_a_backup_is_put_back_are_not_told_as_missing() {
    let sim = Sim::start(Options {
        completion: Delay::Fixed(Duration::from_secs(3600)),
        rejected: Share::from_ppm(550_000),
        ..slow(10)
    });
    // The copy reads its first balance before it asks after an order.
    let mut place = Workplace::new(&sim.url(), &[NO_CANARY, ("poll", "first_after = \"10s\"")]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..20).map(imei)));
    place.until("all are ordered", |place| status(place)["orders"]["ordered"] == 20);
    done(&place, &["backup", place.path("copy.db").to_str().unwrap()]);
    sim.change(&Change {
        finish_now: true,
        completion: Some(Delay::Fixed(Duration::from_millis(100))),
        rejected: Some(Share::from_ppm(0)),
        ..Change::default()
    });
    let refunds = sim.ledger().refunds;
    assert!((5..=15).contains(&refunds), "{refunds}");
    assert!(place.stop().success());
    put_back(&place, "copy.db");
    let age = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) - max(at) FROM ledger";
    place.until("its last order is a quiet period old", |place| place.ask(age) > 2_000);
    place.start();
    let known = || sim.ledger().balance.to_string();
    place.until("a first balance is read", |place| status(place)["money"]["balance"] == known());
    assert_eq!(status(&place)["orders"]["ordered"], 20, "no end is known yet");
    place.until("it is let go on", |place| place.run(&["resume"]).status.success());
    place.drop_file("more.csv", &file_of((100..103).map(imei)));
    place.result("more.results.csv");
    place.result("stock.results.csv");
    // Where nothing is in doubt it is looked at once a minute, and a quiet period after a start.
    assert!(place.stop().success());
    place.start();
    place.until("the next balance is read", |place| status(place)["money"]["balance"] == known());
    let money = status(&place)["money"].clone();
    let due = place.ask("SELECT sum(refund) FROM totals WHERE scope = 'day'");
    assert_eq!(due, sim.ledger().refunded.micros(), "{money}");
    assert_eq!(money["refunds_missing"], "0.00", "{money}");
    assert!(!told(&place.run(&["status"])).contains("refunds not in it"));
}
