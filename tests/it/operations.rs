//! What README tells operators to do, done as it says.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use imeid::simulator::{Account, Change, Delay, Duplicates, Options, Share};
use rstest::rstest;
use rustix::process::Signal;

use crate::put_back::copy_files;
use crate::reconcile::{drop_export, export_of, exports_read};
use crate::support::{Sim, Workplace, file_of, imei, status};

fn options() -> Options {
    Options {
        rejected: Share::from_ppm(0),
        latency: Delay::Fixed(Duration::from_millis(5)),
        completion: Delay::Fixed(Duration::from_millis(100)),
        ..Options::default()
    }
}

#[track_caller]
fn says(place: &Workplace, args: &[&str], code: i32, words: &[&str]) {
    let output = place.run(args);
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    for word in words {
        assert!(told.contains(word), "{args:?}: {word:?} is missing in:\n{told}");
    }
}

/// `systemctl reload`: the check first, then the signal.
fn reload(place: &mut Workplace) {
    let before = place.log().matches("configuration read anew").count();
    let checked = place.run(&["check", "--reload"]);
    assert!(
        checked.status.success() && checked.stdout.is_empty() && checked.stderr.is_empty(),
        "{checked:?}"
    );
    place.signal(Signal::HUP);
    place.until("it is read anew", |place| place.log().matches("configuration read anew").count() > before);
}

#[test]
fn a_new_key_is_told_of_on_a_reload_and_taken_with_the_next_start() {
    let sim = Sim::start(Options { key: Some("the-old-one".to_owned()), ..options() });
    let mut place = Workplace::new(&sim.url(), &[("submit", "canary = 0")]);
    fs::write(place.path("api-key"), "the-old-one\n").unwrap();
    place.start();
    reload(&mut place);
    // The same key once more, with other blanks around it, is no new one.
    fs::write(place.path("api-key"), "  the-old-one\n\n").unwrap();
    reload(&mut place);
    assert!(!place.log().contains("needs a restart"), "{}", place.log());
    fs::write(place.path("api-key"), "the-new-one\n").unwrap();
    reload(&mut place);
    place.until("it is told", |place| place.log().contains("was changed: it needs a restart"));
    place.drop_file("first.csv", &file_of([imei(0)]));
    place.result("first.results.csv");
    assert!(place.stop().success());
    place.start();
    place.drop_file("second.csv", &file_of([imei(1)]));
    place.until("the new key is used", |place| place.log().contains("Invalid API Key!"));
    fs::remove_file(place.path("api-key")).unwrap();
    place.signal(Signal::HUP);
    place.until("a key that is gone is told", |place| place.log().contains("a restart would fail"));
}

#[test]
fn a_key_that_systemd_hands_over_is_told_of_when_the_file_behind_it_was_written() {
    let sim = Sim::start(options());
    let mut place = Workplace::new(&sim.url(), &[]);
    fs::create_dir(place.path("credentials")).unwrap();
    fs::copy(place.path("api-key"), place.path("credentials/api-key")).unwrap();
    let credentials = place.path("credentials").display().to_string();
    place.env("CREDENTIALS_DIRECTORY", &credentials);
    place.start();
    reload(&mut place);
    assert!(!place.log().contains("needs a restart"), "{}", place.log());
    // What the daemon was handed stays as it is until a restart.
    fs::write(place.path("api-key"), "the-new-one-of-them\n").unwrap();
    reload(&mut place);
    place.until("it is told", |place| place.log().contains("a new API key needs a restart"));
}

#[test]
fn a_raised_cap_lets_the_rest_go_with_a_reload() {
    let sim = Sim::start(options());
    let low = [("submit", "canary = 0"), ("budget", "per_day = \"0.24\"")];
    let mut place = Workplace::new(&sim.url(), &low);
    place.start();
    place.drop_file("stock.csv", &file_of((0..10).map(imei)));
    place.until("the cap is told", |place| place.log().contains("reason=cap"));
    assert_eq!(status(&place)["pauses"][0]["reason"], "cap");
    assert_eq!(sim.ledger().charges, 3);
    place.configure(&sim.url(), &[("submit", "canary = 0"), ("budget", "per_day = \"100\"")]);
    reload(&mut place);
    place.result("stock.results.csv");
    assert_eq!((sim.ledger().charges, status(&place)["pauses"].as_array().unwrap().len()), (10, 0));
}

/// Every duplicate would be paid for, and nothing is listed: only what isn't sent is safe.
fn merciless() -> Sim {
    Sim::start(Options { listing: false, duplicates: Duplicates::Charge, ..options() })
}

const HOLD: [(&str, &str); 4] = [
    ("submit", "canary = 0"),
    ("provider", "list_recent = \"no\""),
    ("in_doubt", "policy = \"hold\""),
    ("outbox", "held_after = \"1h\""),
];

/// Puts the state directory away, as a person does who keeps what he had.
fn put_away(place: &Workplace) {
    let away = place.path("state.before");
    #[allow(clippy::disallowed_methods, reason = "as a person does it")]
    fs::rename(place.path("state"), away).unwrap();
    fs::create_dir(place.path("state")).unwrap();
}

fn resume(place: &mut Workplace) {
    place.until("it is let go on", |place| {
        let said = place.run(&["resume"]);
        assert!(!String::from_utf8_lossy(&said.stdout).contains("warning"), "{said:?}");
        said.status.success()
    });
}

#[test]
fn a_backup_is_put_back_step_by_step_and_nothing_is_paid_twice() {
    let sim = merciless();
    let mut place = Workplace::new(&sim.url(), &HOLD);
    place.start();
    place.drop_file("known.csv", &file_of((0..3).map(imei)));
    place.result("known.results.csv");
    says(&place, &["backup", place.path("copy.db").to_str().unwrap()], 0, &[]);
    place.drop_file("later.csv", &file_of((10..13).map(imei)));
    place.result("later.results.csv");
    assert!(place.stop().success());

    // 1. Stop, put what there is away, put the copy in its place. 2. Start: everything waits.
    put_away(&place);
    fs::copy(place.path("copy.db"), place.path("state/journal.db")).unwrap();
    place.start();
    assert_eq!(status(&place)["pauses"][0]["reason"], "older_copy");
    // 3. The provider's export tells what was ordered since.
    let before = exports_read(&place);
    drop_export(&place, "export.csv", &export_of(&sim));
    place.until("the export is read", |place| exports_read(place) > before);
    assert_eq!(sim.ledger().place_calls, 6);
    // 4. Say that it goes on.
    resume(&mut place);
    // 5. Drop again from the archive what was taken since.
    let later = fs::read_to_string(newest(&place, "later.csv")).unwrap();
    place.drop_file("later.csv", &later);
    let again = place.result("later-2.results.csv");
    assert_eq!(again.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("duplicate", 3)]);
    assert_eq!((sim.ledger().place_calls, sim.ledger().paid_twice), (6, 0), "{}", place.log());
    assert_eq!(status(&place)["alarms"], serde_json::json!([]));
}

#[test]
fn a_copied_state_directory_that_is_put_back_is_noticed_however_short_the_daemon_sent_since() {
    let sim = merciless();
    let mut place = Workplace::new(&sim.url(), &HOLD);
    place.start();
    place.drop_file("known.csv", &file_of((0..3).map(imei)));
    place.result("known.results.csv");
    assert!(place.stop().success());
    copy_files(&place, "state", "copy");
    // A file waits already when the daemon starts, and that is killed as soon as it sends.
    place.drop_file("waiting.csv", &file_of((10..210).map(imei)));
    place.start();
    place.until("it sends", |_| sim.ledger().place_calls > 10);
    place.kill();
    let is_archived = find_original(&place, "waiting.csv").is_some();
    put_away(&place);
    copy_files(&place, "copy", "state");
    place.until("what was sent has ended", |_| sim.in_work() == 0);
    let sent = sim.ledger().place_calls;
    place.start();
    assert_eq!(status(&place)["pauses"][0]["reason"], "older_copy", "{}", place.log());
    let before = exports_read(&place);
    drop_export(&place, "export.csv", &export_of(&sim));
    place.until("the export is read", |place| exports_read(place) > before);
    assert_eq!(sim.ledger().place_calls, sent);
    resume(&mut place);
    // What was taken in by then is dropped again; what wasn't goes on by itself.
    if is_archived {
        place.drop_file("waiting.csv", &file_of((10..210).map(imei)));
    }
    // What the first export showed as unfinished is answered by one in which it is finished.
    place.until("all is sent and finished", |_| {
        let is_finished = |status: &str| ["Completed", "Rejected"].contains(&status);
        sim.ledger().charges >= 203 && sim.orders().iter().all(|order| is_finished(&order.status))
    });
    drop_export(&place, "later.csv", &export_of(&sim));
    place.until("all is there", |place| {
        let done = place
            .names("outbox")
            .iter()
            .any(|name| name.starts_with("waiting") && name.ends_with(".results.csv"));
        done && sim.ledger().charges >= 203
    });
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (203, 0), "{}", place.log());
}

/// Where an original lies in the archive.
fn newest(place: &Workplace, name: &str) -> std::path::PathBuf {
    find_original(place, name).unwrap()
}

fn find_original(place: &Workplace, name: &str) -> Option<std::path::PathBuf> {
    let days = place.names("archive");
    days.iter().rev().map(|day| place.path("archive").join(day).join(name)).find(|path| path.exists())
}

#[rstest]
#[case::beside_its_stamp(true)]
#[case::with_the_originals_alone(false)]
fn a_journal_that_is_lost_and_begun_anew_sends_nothing_until_someone_says_so(#[case] is_stamp_left: bool) {
    let sim = merciless();
    let mut place = Workplace::new(&sim.url(), &HOLD);
    place.start();
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    place.result("stock.results.csv");
    let stamp = place.path("archive/.imeid");
    fs::remove_file(&stamp).unwrap();
    place.until("the stamp is written again", |_| stamp.exists());
    place.until("the log warns", |place| place.log().contains("the stamp .imeid was removed or changed"));
    assert!(place.stop().success());
    put_away(&place);
    if !is_stamp_left {
        fs::remove_file(&stamp).unwrap();
    }
    place.start();
    let now = status(&place);
    assert_eq!(
        (&now["pauses"][0]["reason"], &now["alarms"][0]["name"]),
        (&"older_copy".into(), &"other_journal".into())
    );
    place.drop_file("again.csv", &file_of((0..3).map(imei)));
    place.until("files wait", |place| place.log().contains("files wait in the inbox until imeid resume"));
    place.until("the file is shown, with the reason", |place| {
        let inbox = &status(place)["inbox"];
        (&inbox[0]["name"], &inbox[0]["why"]) == (&"again.csv".into(), &"waits for resume".into())
    });
    says(&place, &["status"], 3, &["again.csv: waits until someone says imeid resume, for "]);
    let before = exports_read(&place);
    drop_export(&place, "export.csv", &export_of(&sim));
    place.until("the export is read", |place| exports_read(place) > before);
    assert!(place.path("inbox/again.csv").exists());
    resume(&mut place);
    let again = place.result("again.results.csv");
    assert_eq!(again.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("duplicate", 3)]);
    assert_eq!((sim.ledger().place_calls, sim.ledger().paid_twice), (3, 0), "{}", place.log());
    // Told once: the stamp is this journal's own from now on.
    assert!(place.stop().success());
    place.start();
    let now = status(&place);
    assert_eq!((&now["pauses"], &now["alarms"]), (&serde_json::json!([]), &serde_json::json!([])));
}

#[test]
fn a_check_tells_which_account_the_journal_remembers() {
    let sim = Sim::start(options());
    let mut place = Workplace::new(&sim.url(), &[("submit", "canary = 0")]);
    place.start();
    says(&place, &["check"], 0, &["account tester: the journal remembers its orders"]);
    place.drop_file("stock.csv", &file_of([imei(0)]));
    place.result("stock.results.csv");
    assert!(place.stop().success());
    let names = place.names("state");
    let elsewhere = "http://127.0.0.1:9";
    place.configure(elsewhere, &[]);
    says(
        &place,
        &["check"],
        2,
        &["error    the account \"tester\" is remembered for", &sim.url(), elsewhere],
    );
    says(&place, &["run"], 2, &["the account \"tester\" is remembered for"]);
    place.configure(elsewhere, &[("provider", "account = \"tester\"")]);
    says(&place, &["check"], 0, &["warning  account tester", "count as those of http://127.0.0.1:9"]);
    place.configure(&sim.url(), &[("provider", "user_id = \"another\"")]);
    says(&place, &["check"], 0, &["warning  account another", "some under \"tester\"", "paid for again"]);
    assert_eq!(place.names("state"), names, "a check leaves nothing behind");
    place.start();
    assert!(place.log().contains("remembers no order under"), "{}", place.log());
    assert!(place.stop().success());
    place.configure(elsewhere, &[("provider", "account = \"tester\"")]);
    place.start();
    let told =
        format!("was remembered for {}: from now on its orders count as those of {elsewhere}", sim.url());
    assert!(place.log().contains(&told), "{}", place.log());
}

/// An order that imeid knows nothing of.
fn order_by_hand(sim: &Sim, imei: &str) {
    let body = format!("apiKey=a-key&userId=tester&action=placeorder&networkId=1739&imei={imei}");
    let mut stream = TcpStream::connect(sim.url().strip_prefix("http://").unwrap()).unwrap();
    write!(
        stream,
        "POST /gsmfusion_api/index.php HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("<id>"), "{answer}");
}

#[test]
fn no_line_shows_a_whole_imei_with_last4() {
    let sim = Sim::start(Options {
        faults: "drop-after=4x,wrong-imei-after=2x".parse().unwrap(),
        duplicates: Duplicates::Charge,
        ..options()
    });
    let changes = [
        ("submit", "canary = 0"),
        ("log", "imei = \"last4\""),
        ("log", "file = \"imeid.log\""),
        ("outbox", "held_after = \"1h\""),
        ("provider", "shared_account = true"),
    ];
    let mut place = Workplace::new(&sim.url(), &changes);
    let dropped: Vec<String> = (0..12).map(imei).collect();
    place.start();
    place.drop_file(&format!("{}.csv", dropped[0]), &file_of(dropped.clone()));
    place.drop_file(&format!("no {}.csv", dropped[1]), &format!("name\n{}x\n", dropped[2]));
    place.result(&format!("{}.results.csv", dropped[0]));
    // An alarm that names an IMEI: somebody ordered by hand what was in doubt.
    sim.change(&Change { faults: Some("drop-after=1x".parse().unwrap()), ..Change::default() });
    place.drop_file("twice.csv", &file_of([imei(30)]));
    place.until("it is ordered", |_| sim.orders().iter().any(|order| order.imei.to_string() == imei(30)));
    order_by_hand(&sim, &imei(30));
    place.until("it is found out", |place| place.log().contains("alarm=double_charge"));
    // A provider that refuses the account, and a word about an IMEI.
    sim.change(&Change { account: Some(Account::InvalidIp), ..Change::default() });
    place.drop_file("more.csv", &file_of([imei(20)]));
    place.until("the account is refused", |place| place.log().contains("reason=account"));
    place.run(&["cancel", &imei(20)]);
    place.until("his word is told", |place| place.log().contains("an operator's word"));
    assert!(place.stop().success());
    let file = fs::read_to_string(place.path("imeid.log")).unwrap();
    for log in [place.log(), file] {
        assert!(log.contains("in doubt imei=…") && log.contains("file done batch=…"), "{log}");
        for imei in dropped.iter().chain([&imei(20), &imei(30)]) {
            assert!(!log.contains(imei.as_str()), "{imei} stands in:\n{log}");
        }
    }
}
