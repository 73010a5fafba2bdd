//! Notes in `rejected/` about what isn't taken.

use super::*;

#[test]
fn a_word_that_does_nothing_yet_is_answered_at_once_and_said_once_over_restarts() {
    let folders = folders();
    folders.drop_file("stock.stop", "");
    let text = logged(|| {
        let mut told = Vec::new();
        for start in [0, 20 * MINUTE] {
            let mut scanner = Scanner::new(folders.settings.clone());
            scanner.take_up(told);
            for now in [start, start + 11 * MINUTE, start + 12 * MINUTE] {
                let scan = scanner.scan_once(vec![], at(now));
                assert!(scan.ready.is_empty());
                assert_eq!(waits(&scan), [("stock.stop", Why::NotAvailable)]);
                let note = fs::read_to_string(folders.note("stock.stop")).unwrap();
                assert!(note.contains("imeid cancel NAME"), "{note}");
            }
            told = scanner.scan_once(vec![], at(start + 13 * MINUTE)).waiting;
        }
    });
    assert_eq!(text.matches("WARN").count(), 1, "{text}");
    assert_eq!(text.matches("do nothing in this version yet").count(), 1, "{text}");
    fs::remove_file(folders.settings.inbox.join("stock.stop")).unwrap();
    Scanner::new(folders.settings.clone()).scan_once(vec![], at(40 * MINUTE));
    assert!(!folders.note("stock.stop").exists());
}

#[test]
fn a_folder_of_no_service_gets_a_note_after_ten_minutes_that_goes_with_it() {
    let folders = folders();
    let stray = folders.settings.inbox.join("strays");
    fs::create_dir(&stray).unwrap();
    folders.drop_file("strays/a.csv", "x");
    fs::create_dir(folders.settings.inbox.join("other/deep")).unwrap();
    let mut scanner = Scanner::new(folders.settings.clone());
    let scan = scanner.scan_once(vec![], at(0));
    assert_eq!(waits(&scan), [("other/deep", Why::NoSuchService), ("strays", Why::NoSuchService)]);
    scanner.scan_once(vec![], at(10 * MINUTE - 1));
    assert!(!folders.note("strays").exists());
    scanner.scan_once(vec![], at(10 * MINUTE));
    let note = fs::read_to_string(folders.note("strays")).unwrap();
    assert!(note.contains("the inbox itself, the folder other in the inbox"), "{note}");
    assert!(folders.note("deep").exists());
    fs::remove_dir_all(stray).unwrap();
    scanner.scan_once(vec![], at(11 * MINUTE));
    assert!(!folders.note("strays").exists() && folders.note("deep").exists());
}

#[test]
fn a_file_that_is_written_for_ten_minutes_gets_a_note_that_goes_when_it_is_taken() {
    let folders = folders();
    let mut scanner = Scanner::new(folders.settings.clone());
    let mut path = PathBuf::new();
    for minute in 0..=10 {
        path = folders.drop_file("big.csv", &"x".repeat(minute));
        scanner.scan_once(vec![], at(i64::try_from(minute).unwrap() * MINUTE));
    }
    assert!(fs::read_to_string(folders.note("big.csv")).unwrap().contains("keeps changing"));
    scanner.scan_once(vec![path], at(11 * MINUTE));
    let scan = scanner.scan_once(vec![], at(11 * MINUTE + 2_000));
    let taken = take(&folders.settings, &scan.ready[0], at(12 * MINUTE)).unwrap();
    assert_eq!((taken.shown_name().as_str(), taken.size), ("big.csv", 10));
    assert!(!folders.note("big.csv").exists());
}

#[test]
fn a_note_of_one_folder_is_left_alone_by_the_look_through_another_and_said_once_over_restarts() {
    let folders = folders();
    let reconcile = folders.dir.path().join("reconcile");
    fs::create_dir(&reconcile).unwrap();
    let settings = Settings {
        inbox: reconcile.clone(),
        called: "folder reconcile",
        services: vec![(".".to_owned(), NetworkId(String::new()))],
        ..folders.settings.clone()
    };
    for folder in [&folders.settings.inbox, &reconcile] {
        std::os::unix::fs::symlink("nowhere", folder.join("link")).unwrap();
    }
    let notes = || {
        let names = ["link", "link-2"].map(|name| fs::read_to_string(folders.note(name)).unwrap());
        let mut first: Vec<String> =
            names.iter().map(|text| text.lines().next().unwrap().to_owned()).collect();
        first.sort();
        first
    };
    let both = ["Not taken yet from the folder reconcile: link", "Not taken yet: link"];
    let text = logged(|| {
        let mut told = [vec![], vec![]];
        for start in [0, 20 * MINUTE, 40 * MINUTE] {
            let mut scanners = [&folders.settings, &settings].map(|settings| Scanner::new(settings.clone()));
            for (scanner, told) in scanners.iter_mut().zip(&told) {
                scanner.take_up(told.clone());
            }
            for now in [start, start + 11 * MINUTE] {
                told = scanners.each_mut().map(|scanner| scanner.scan_once(vec![], at(now)).waiting);
            }
            assert_eq!(notes(), both, "{start}");
        }
    });
    assert_eq!(text.matches("not taken for ten minutes").count(), 2, "{text}");
    fs::remove_file(reconcile.join("link")).unwrap();
    Scanner::new(settings).scan_once(vec![], at(60 * MINUTE));
    let left = ["link", "link-2"].map(|name| folders.note(name).exists());
    assert_eq!(left.into_iter().filter(|exists| *exists).count(), 1);
}
