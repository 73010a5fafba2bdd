//! Full disks: under the journal nothing is submitted and nothing lost; elsewhere files wait, and are never half.

use std::fs;

use rustix::process::Signal;

use super::place::Mount;
use super::{provider, status};
use crate::support::{Workplace, file_of, imei};

#[test]
fn a_journal_on_a_full_disk_keeps_answers_in_memory_and_sends_nothing_until_there_is_room() {
    let sim = provider(1500);
    let mut place = Workplace::new(&sim.url(), &[("submit", "canary = 0"), ("submit", "workers = 10")]);
    let Some(mount) = Mount::small(&place.path("state"), 8 * 1024) else { return };
    place.start();
    place.drop_file("stock.csv", &file_of((0..40).map(imei)));
    place.until("calls are on their way", |_| sim.ledger().place_calls >= 10);
    let filler = mount.fill();
    place.until("the brake is told", |place| place.log().contains("pause scope=all reason=disk"));
    place.until("answers are kept", |place| place.log().contains("answers are kept in memory"));
    let (code, told) = status(&place);
    assert_eq!(code, Some(3), "{told}");
    for word in ["everything: disk: 0 MiB are free", "make room", "goes on by itself"] {
        assert!(told.contains(word), "no {word:?} in {told}");
    }
    place.until("the alarms are shown, with the pause's age", |place| {
        let told = status(place).1;
        let alarms = ["disk: pause scope", "disk: 0 MiB are free", "journal: the journal can't be written"];
        let shown = alarms.map(|alarm| told.contains(alarm));
        shown == [false, true, true] && told.contains("goes on by itself (for ") && !told.contains("(for 0s")
    });
    let json: serde_json::Value = serde_json::from_slice(&place.run(&["status", "--json"]).stdout).unwrap();
    let (alarms, pause) = (&json["alarms"], &json["pauses"][0]);
    assert_eq!((&alarms[0]["name"], &alarms[1]["name"]), (&"disk".into(), &"journal".into()), "{json}");
    assert_eq!((&alarms[0]["n"], &alarms[0]["since"]), (&serde_json::Value::Null, &pause["since"]), "{json}");
    assert!(pause["since"].is_string() && pause["reason"] == "disk", "{json}");
    // A reload that has nothing to write is taken over as ever; what must be written is refused, and why is said.
    let settings = [("submit", "canary = 0"), ("submit", "workers = 9")];
    place.configure(&sim.url(), &settings);
    place.signal(Signal::HUP);
    place.until("it is taken over", |place| place.log().contains("workers in [submit]: 10 -> 9"));
    place.add_to_config(
        "[[service]]\nname = \"another\"\nnetwork_id = \"1740\"\nprice = \"0.08\"\nfolder = \"other\"\n",
    );
    place.signal(Signal::HUP);
    place.until("it is refused", |place| place.log().contains("the changed configuration is refused"));
    let log = place.log();
    let refused = log.lines().find(|line| line.contains("is refused, the old one stays")).unwrap();
    assert!(refused.contains("the service another can't be entered in the journal: "), "{refused}");
    place.configure(&sim.url(), &settings);
    // All that was on the wire is answered by then, and its workers are free again.
    let called = sim.ledger().place_calls;
    assert!(called < 40, "{called}");
    place.until("the calls end", |_| sim.ledger().charges == called);
    let mut looks = 0;
    place.until("someone looks again and again", |place| {
        assert_eq!(sim.ledger().place_calls, called, "{}", place.log());
        looks += 1;
        status(place).0 == Some(3) && looks > 40
    });
    fs::remove_file(filler).unwrap();
    let table = place.result("stock.results.csv");
    assert_eq!(table.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("completed", 40)]);
    let log = place.log();
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (40, 0), "{log}");
    assert!(!log.contains("in doubt"), "every answer was recorded: {log}");
    assert!(log.contains("the answers that were kept are recorded"), "{log}");
    place.until("all is well", |place| status(place).0 == Some(0));
    let log = place.log();
    for (line, times) in [
        ("ERROR pause scope=all reason=disk", 1),
        ("WARN  pause scope=all reason=disk", 0),
        ("pause ended scope=all reason=disk", 1),
        ("answers are kept in memory", 1),
    ] {
        assert_eq!(log.matches(line).count(), times, "{line}: {log}");
    }
    assert!(log.matches("polls can't be recorded").count() <= 1, "{log}");
    assert!(place.stop().success());
}

#[test]
fn a_pause_for_want_of_room_that_a_killed_daemon_left_ends_with_the_next_start() {
    let sim = provider(5);
    let mut place = Workplace::new(&sim.url(), &[("journal", "min_free = \"900GiB\"")]);
    place.start();
    place.until("the pause is recorded", |place| place.log().contains("WARN  pause scope=all reason=disk"));
    place.kill();
    place.configure(&sim.url(), &[]);
    place.drop_file("stock.csv", &file_of([imei(1)]));
    place.start();
    place.result("stock.results.csv");
    place.until("all is well", |place| status(place).0 == Some(0));
}

#[test]
fn results_and_originals_wait_for_room_and_are_never_half_there() {
    let sim = provider(5);
    let mut place = Workplace::new(&sim.url(), &[("outbox", "partial_every = \"1s\"")]);
    let folders = ["outbox", "archive", "rejected"];
    let mut full = Vec::new();
    place.start();
    // This start is told of in the archive: the next order doesn't wait for it.
    place.drop_file("first.csv", &file_of([imei(100)]));
    place.result("first.results.csv");
    place.until("all is well", |place| status(place).0 == Some(0));
    for folder in folders {
        let Some(mount) = Mount::small(&place.path(folder), 64) else { return };
        full.push((mount.fill(), mount));
    }
    place.drop_file("stock.csv", &file_of((0..40).map(imei)));
    place.drop_file("letter.csv", "Dear all,\nhere is the list.\n");
    place.until("all of it is told", |place| {
        let (_, told) = status(place);
        told.contains("outbox: results can't be put into") && told.contains("intake: ")
    });
    place.until("orders go on", |_| sim.ledger().charges == 41);
    let (code, told) = status(&place);
    assert_eq!(code, Some(3));
    let outbox = place.path("outbox").display().to_string();
    for word in [outbox.as_str(), "No space left on device", "has room", "put there when", "1 more"] {
        assert!(told.contains(word), "no {word:?} in {told}");
    }
    for name in folders.iter().flat_map(|folder| place.names(folder)) {
        let is_there = name == ".filler" || name.len() == 10 && name.starts_with("20");
        assert!(is_there, "{name}: half a file under a name that doesn't say so");
    }
    for (filler, _) in &full {
        fs::remove_file(filler).unwrap();
    }
    let table = place.result("stock.results.csv");
    assert_eq!(table.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("completed", 40)]);
    place.until("the originals are where they belong", |place| {
        let archived = place.names("archive").pop().map(|day| place.names(&format!("archive/{day}")));
        archived.is_some_and(|names| names == ["stock.csv"])
            && place.names("rejected") == ["letter.csv", "letter.csv.reason.txt"]
    });
    place.until("all is well", |place| status(place).0 == Some(0));
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (41, 0));
    place.kill();
}
