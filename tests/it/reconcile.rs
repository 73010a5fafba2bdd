//! The provider's own export, dropped into `reconcile/`.

use std::fs;
use std::time::Duration;

use imeid::simulator::{Change, Delay, Duplicates, Options, Share};
use imeid::types::Timestamp;

use crate::support::{Sim, Workplace, file_of, imei, status};

const HEADER: &str =
    "SERVICE,IMEI NO.,CREDITS,STATUS,CODE,IMEI 2,CARRIER,SIMLOCK,MODEL,FMI,ORDER DATE,NOTES\r\n";
const CHANGES: [(&str, &str); 5] = [
    ("provider", "list_recent = \"no\""),
    ("submit", "canary = 0"),
    ("in_doubt", "policy = \"hold\""),
    ("outbox", "held_after = \"1s\""),
    ("poll", "first_after = \"200ms\""),
];

fn sim() -> Sim {
    Sim::start(Options {
        listing: false,
        rejected: Share::from_ppm(0),
        completion: Delay::Fixed(Duration::from_millis(100)),
        ..Options::default()
    })
}

/// A row as the provider writes it, in its own time zone: three hours ahead of UTC.
fn row(title: &str, imei: &str, status: &str, at: Timestamp) -> String {
    let local = at.plus(Duration::from_secs(3 * 3600)).to_string().replace('T', " ").replace('Z', "");
    // 2025-11-14 03:33:00 is written 2025-11-14 3:33:00.
    let local = local.replace(" 0", " ");
    format!(
        "{title},{imei},$0.08,{status},\"Model: iPhone, 16 - Carrier: Unlocked\",,Unlocked,Locked,,OFF,{local},\r\n"
    )
}

/// Everything that the provider took, as its export tells it.
pub(crate) fn export_of(sim: &Sim) -> String {
    let rows = sim
        .orders()
        .into_iter()
        .map(|order| row("iPhone Check", &order.imei.to_string(), &order.status, order.charged_at));
    format!("{HEADER}{}", rows.collect::<String>())
}

pub(crate) fn drop_export(place: &Workplace, name: &str, text: &str) {
    let folder = place.path("reconcile");
    fs::write(folder.join(format!(".{name}.part")), text).unwrap();
    #[allow(clippy::disallowed_methods, reason = "as another program does it")]
    fs::rename(folder.join(format!(".{name}.part")), folder.join(name)).unwrap();
}

pub(crate) fn exports_read(place: &Workplace) -> usize {
    place.log().matches("export read ").count()
}

/// The names in the archive, whatever day it is.
fn archived(place: &Workplace) -> Vec<String> {
    place
        .names("archive")
        .into_iter()
        .filter(|day| !day.starts_with('.'))
        .flat_map(|day| place.names(&format!("archive/{day}")))
        .collect()
}

#[test]
fn an_export_settles_what_is_held_and_answers_what_was_ordered_by_hand_free() {
    let sim = sim();
    let mut place = Workplace::new(&sim.url(), &CHANGES);
    place.start();
    place.drop_file("first.csv", &file_of((0..20).map(imei)));
    place.result("first.results.csv");
    sim.change(&Change { faults: Some("drop-after=100%".parse().unwrap()), ..Change::default() });
    place.drop_file("second.csv", &file_of((20..25).map(imei)));
    let held = place.result("second.results.csv");
    assert_eq!(held.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("held", 5)]);
    sim.change(&Change { faults: Some("none".parse().unwrap()), ..Change::default() });

    let long_ago = Timestamp::from_millis(1_700_000_000_000);
    let by_hand = row("iPhone Check", &imei(100), "Completed", long_ago);
    let unknown = row("Samsung Unlock", &imei(101), "Completed", long_ago);
    let export = format!("{}{by_hand}{unknown}", export_of(&sim));
    drop_export(&place, "export.csv", &export);
    let settled = place.result("second.settled.csv");
    assert_eq!(
        settled.counts("imeid_status").into_iter().collect::<Vec<_>>(),
        [("completed", 5)],
        "{}",
        place.log()
    );
    assert_eq!(settled.cost(), 5 * 80_000);
    assert!(settled.column("imeid_carrier").iter().all(|carrier| *carrier == "Unlocked"));
    assert!(
        settled.column("imeid_simlock").iter().all(|simlock| *simlock == "Locked"),
        "from its own column"
    );
    place.until("it is archived", |place| exports_read(place) == 1 && place.names("reconcile") == [".taken"]);
    assert!(archived(&place).contains(&"export.csv".to_owned()));
    assert_eq!(place.names("rejected"), ["export.csv.reason.txt"]);
    let reason = fs::read_to_string(place.path("rejected/export.csv.reason.txt")).unwrap();
    assert!(reason.contains("1 of its 27 rows") && reason.contains("line 28 (Samsung Unlock)"), "{reason}");

    // By hand then, free now; and again, after a restart and the same export once more.
    place.drop_file("third.csv", &file_of([imei(100)]));
    let third = place.result("third.results.csv");
    assert_eq!((third.column("imeid_status"), third.cost()), (vec!["duplicate"], 0));
    assert!(third.column("imeid_note")[0].contains("2023-11-1"), "{:?}", third.column("imeid_note"));
    assert!(place.stop().success());
    place.start();
    drop_export(&place, "export.csv", &export);
    place.until("it is read again", |place| exports_read(place) == 2);
    let ledger = sim.ledger();
    assert_eq!((ledger.charges, ledger.paid_twice), (25, 0));
    assert!(!place.log().contains("alarm="), "{}", place.log());
}

#[test]
fn an_export_of_thousands_of_rows_that_a_kill_cuts_short_is_read_to_its_end() {
    const ROWS: u32 = 20_000;
    let sim = sim();
    let mut place = Workplace::new(&sim.url(), &CHANGES);
    place.start();
    let long_ago = Timestamp::from_millis(1_700_000_000_000);
    let rows = (0..ROWS).map(|n| row("iPhone Check", &imei(n), "Completed", long_ago)).collect::<String>();
    drop_export(&place, "years.csv", &format!("{HEADER}{rows}"));
    place.until("it is taken", |place| place.names("reconcile") == [".taken"]);
    place.kill();
    assert_eq!(archived(&place), Vec::<String>::new(), "the kill came too late to show anything");
    place.start();
    place.until("it is archived", |place| archived(place) == ["years.csv"]);
    place.drop_file("some.csv", &file_of([0, 1, ROWS / 2, ROWS - 1].map(imei)));
    let table = place.result("some.results.csv");
    assert_eq!(table.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("duplicate", 4)]);
    assert_eq!(sim.ledger().place_calls, 0);
}

#[test]
fn a_file_that_is_no_export_is_refused_with_a_reason() {
    let sim = sim();
    let mut place = Workplace::new(&sim.url(), &CHANGES);
    place.start();
    drop_export(&place, "stock.csv", &file_of([imei(0)]));
    place.until("it is refused", |place| place.names("rejected") == ["stock.csv", "stock.csv.reason.txt"]);
    let reason = fs::read_to_string(place.path("rejected/stock.csv.reason.txt")).unwrap();
    assert!(reason.contains("lacks the columns SERVICE"), "{reason}");
    assert_eq!(sim.ledger().place_calls, 0);
}

#[test]
fn an_export_that_shows_another_end_turns_an_order_where_a_later_order_of_ours_is_in_it() {
    let sim = sim();
    let mut place = Workplace::new(&sim.url(), &CHANGES);
    place.start();
    place.drop_file("first.csv", &file_of((0..3).map(imei)));
    place.result("first.results.csv");
    // The provider gives one of them back later.
    let given_back = |export: String| {
        let line = |line: &str| {
            let is_it = line.contains(&imei(1).to_string());
            format!("{}\r\n", if is_it { line.replace("Completed", "Rejected") } else { line.to_owned() })
        };
        export.lines().map(line).collect::<String>()
    };
    drop_export(&place, "early.csv", &given_back(export_of(&sim)));
    place.until("it is read", |place| exports_read(place) == 1);
    let reason = fs::read_to_string(place.path("rejected/early.csv.reason.txt")).unwrap();
    assert!(reason.contains("1 show another end than imeid was told"), "{reason}");
    assert!(place.log().contains("alarm=status_changed"), "{}", place.log());
    assert!(!place.names("outbox").contains(&"first.settled.csv".to_owned()));

    place.drop_file("second.csv", &file_of([imei(3)]));
    place.result("second.results.csv");
    drop_export(&place, "late.csv", &given_back(export_of(&sim)));
    let settled = place.result("first.settled.csv");
    assert_eq!(settled.column("imeid_status"), ["completed", "rejected", "completed"]);
    place.until("it is read", |place| exports_read(place) == 2);
    assert!(!place.names("rejected").contains(&"late.csv.reason.txt".to_owned()));
}

#[test]
fn an_export_that_shows_an_order_charged_twice_raises_the_alarm_once_and_has_nothing_unmatched() {
    let sim = Sim::start(Options {
        listing: false,
        duplicates: Duplicates::Charge,
        rejected: Share::from_ppm(0),
        completion: Delay::Fixed(Duration::from_millis(100)),
        ..Options::default()
    });
    let changes = [
        ("provider", "list_recent = \"no\""),
        ("provider", "shared_account = true"),
        ("submit", "canary = 0"),
        ("poll", "first_after = \"200ms\""),
    ];
    let mut place = Workplace::new(&sim.url(), &changes);
    place.start();
    place.drop_file("first.csv", &file_of((0..5).map(imei)));
    place.result("first.results.csv");
    // It is sent again as soon as its quiet period is over: by its date the second one can be either attempt's.
    let rejected = Some(Share::from_ppm(1_000_000));
    sim.change(&Change { faults: Some("drop-after=1x".parse().unwrap()), rejected, ..Change::default() });
    place.drop_file("second.csv", &file_of([imei(5)]));
    place.until("the first is taken", |_| sim.orders().len() == 6);
    sim.change(&Change { rejected: Some(Share::from_ppm(0)), ..Change::default() });
    let second = place.result("second.results.csv");
    assert_eq!((second.column("imeid_status"), sim.ledger().charges), (vec!["completed"], 7));
    for read in 1..=2 {
        drop_export(&place, "export.csv", &export_of(&sim));
        place.until("it is read", |place| exports_read(place) == read);
        let alarms = status(&place)["alarms"].as_array().unwrap().clone();
        let twice: Vec<_> = alarms.iter().filter(|alarm| alarm["name"] == "double_charge").collect();
        assert_eq!(twice.len(), 1, "{alarms:?}");
        let text = twice[0]["text"].as_str().unwrap();
        assert!(text.contains(&imei(5)) && text.contains("1 completed and 1 rejected"), "{text}");
        assert_eq!(place.names("rejected"), Vec::<String>::new());
    }
}
