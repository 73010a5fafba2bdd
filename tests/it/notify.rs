//! What the service manager is told, and what it can ask for: a socket of the test's own in place of systemd's.

use std::collections::VecDeque;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use imeid::simulator::{Account, Change, Delay, Options, Share};
use rustix::process::Signal;

use crate::support::{self, Sim, Workplace, file_of, imei};

/// The manager's end.
struct Manager {
    socket: UnixDatagram,
    /// Lines that came and weren't looked at yet.
    lines: VecDeque<String>,
}

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Self { socket, lines: VecDeque::new() }
    }

    fn receive(&mut self) {
        let mut buffer = [0; 4096];
        if let Ok(length) = self.socket.recv(&mut buffer) {
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            self.lines.extend(text.lines().map(str::to_owned));
        }
    }

    /// The next line for which `is` holds; those before it are passed over.
    fn until(&mut self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        let mut passed = Vec::new();
        loop {
            while let Some(line) = self.lines.pop_front() {
                if is(&line) {
                    return line;
                }
                passed.push(line);
            }
            assert!(began.elapsed() < Duration::from_secs(60), "not told: {what}; told: {passed:?}");
            self.receive();
        }
    }

    /// What is told for so long.
    fn listen(&mut self, time: Duration) -> Vec<String> {
        let began = Instant::now();
        while began.elapsed() < time {
            self.receive();
        }
        self.lines.drain(..).collect()
    }
}

/// A daemon that is told of a manager, whose watchdog waits so long.
fn start(place: &mut Workplace, patience: Option<Duration>) -> Manager {
    let path = place.path("notify");
    let manager = Manager::at(&path);
    place.env("NOTIFY_SOCKET", path.to_str().unwrap());
    if let Some(patience) = patience {
        place.env("WATCHDOG_USEC", &patience.as_micros().to_string());
    }
    place.start();
    manager
}

fn status(line: &str) -> Option<&str> {
    line.strip_prefix("STATUS=")
}

/// Thirty calls at once from the first moment on.
const ALL_AT_ONCE: [(&str, &str); 2] = [("submit", "canary = 0"), ("submit", "adaptive = false")];

#[test]
fn the_status_line_says_what_is_going_on_from_start_to_stop() {
    // Longer than it takes, on a busy machine too, until the line is written anew once a stop was asked for.
    let sim =
        Sim::start(Options { latency: Delay::Fixed(Duration::from_millis(1_700)), ..Options::default() });
    let mut place = Workplace::new(&sim.url(), &[("submit", "canary = 0"), ("submit", "workers = 4")]);
    let mut manager = start(&mut place, None);
    manager.until("it starts", |line| line == "STATUS=starting: opening the journal");
    manager.until("it looks", |line| line == "STATUS=starting: looking through the inbox");
    let next = manager.until("it says more", |_| true);
    assert!(next.starts_with("STATUS=idle: no file open, 0.00 today"), "{next}");
    let next = manager.until("it says more", |_| true);
    assert_eq!(next, "READY=1", "ready when the status line is no more the start's");
    place.drop_file("stock.csv", &file_of((0..40).map(imei)));
    let is_working = |line: &str| line.starts_with("STATUS=working: stock ") && line.contains("/40 sent");
    let line = manager.until("it works", is_working);
    assert!(line.contains("/40 rows done") && line.contains(" today"), "{line}");
    manager.until("how long it takes", |line| status(line).is_some_and(|s| s.contains("all sent in ")));
    place.until("calls are on their way", |_| sim.ledger().place_calls >= 8);
    place.signal(Signal::TERM);
    manager.until("it stops", |line| line == "STOPPING=1");
    manager.until("it drains", |line| status(line).is_some_and(|s| s.starts_with("stopping, ")));
    manager.until("it has stopped", |line| line == "STATUS=stopped");
}

#[test]
fn a_pause_stands_in_the_status_line_with_the_providers_words() {
    let sim = Sim::start(Options { credit: "0.01".parse().unwrap(), ..Options::default() });
    let mut place = Workplace::new(&sim.url(), &[]);
    let mut manager = start(&mut place, None);
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    let line = manager.until("it is paused", |line| line.starts_with("STATUS=paused (credit: "));
    assert!(line.contains("): stock 0/3 sent"), "{line}");
}

#[test]
fn a_refused_account_is_an_alarm_though_nothing_is_queued_until_a_call_works() {
    let sim = Sim::start(Options::default());
    sim.change(&Change { account: Some(Account::InvalidKey), ..Change::default() });
    let mut place = Workplace::new(&sim.url(), &[("log", "level = \"debug\"")]);
    let mut manager = start(&mut place, None);
    manager.until("the alarm stands in it", |line| {
        status(line).is_some_and(|s| s.starts_with("idle: ") && s.ends_with(", 1 alarm (provider)"))
    });
    place.until("it is shown", |place| support::status(place)["alarms"][0]["name"] == "provider");
    let shown = support::status(&place);
    assert_eq!(shown["alarms"].as_array().unwrap().len(), 1);
    assert_eq!(shown["alarms"][0]["n"], serde_json::Value::Null);
    assert_eq!(shown["daemon"]["state"], "idle");
    let told = place.run(&["status"]);
    let text = String::from_utf8(told.stdout).unwrap();
    let told_of =
        format!("provider: no order would go through at {}: the provider refuses the account", sim.url());
    assert!(text.contains(&told_of), "{text}");
    assert_eq!(told.status.code(), Some(3));
    assert!(place.log().contains("alarm=provider"), "{}", place.log());
    // By itself it would be asked so often after minutes only.
    let asked = |place: &Workplace| place.log().matches("the first look at the provider failed").count();
    for _ in 0..6 {
        let before = asked(&place);
        place.signal(Signal::HUP);
        place.until("a reload asks at once", |place| asked(place) > before);
        // Nothing more could be told to a manager that doesn't listen.
        manager.until("it is read anew", |line| line == "READY=1");
    }
    assert_eq!(place.log().matches("alarm=provider").count(), 1, "it is said once");
    sim.change(&Change { account: Some(Account::Ok), ..Change::default() });
    place.signal(Signal::HUP);
    manager.until("it is gone", |line| status(line).is_some_and(|s| s == "idle: no file open, 0.00 today"));
    place.until("it is shown no more", |place| place.run(&["status"]).status.code() == Some(0));
    assert_eq!(sim.ledger().place_calls, 0);
}

#[test]
fn an_alarm_of_a_refused_account_ends_with_the_order_that_goes_through() {
    let sim = Sim::start(Options { rejected: Share::from_ppm(0), ..Options::default() });
    sim.change(&Change { account: Some(Account::InvalidKey), ..Change::default() });
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    place.until("it is shown", |place| support::status(place)["alarms"][0]["name"] == "provider");
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    place.until("the pause is told", |place| place.log().contains("pause scope=all reason=account"));
    sim.change(&Change { account: Some(Account::Ok), ..Change::default() });
    place.result("stock.results.csv");
    place.until("it is shown no more", |place| place.run(&["status"]).status.code() == Some(0));
    assert!(place.log().contains("the provider answers, and takes the account"), "{}", place.log());
}

#[test]
fn a_changed_configuration_is_taken_over_on_sighup() {
    let sim = Sim::start(Options::default());
    let mut place = Workplace::new(&sim.url(), &[("budget", "per_day = \"0.08\"")]);
    let mut manager = start(&mut place, None);
    place.drop_file("stock.csv", &file_of((0..5).map(imei)));
    place.until("the cap holds the rest back", |_| sim.ledger().charges == 1);
    manager.until("it says so", |line| line.starts_with("STATUS=paused (cap: "));

    // The journal can't move, and a service gets a folder of its own.
    place.configure(
        &sim.url(),
        &[("journal", "path = \"elsewhere/journal.db\""), ("log", "level = \"debug\"")],
    );
    place.add_to_config(
        "[[service]]\nname = \"other-check\"\nnetwork_id = \"2001\"\nprice = \"0.08\"\nfolder = \"other\"\n",
    );
    place.signal(Signal::HUP);
    manager.until("it reloads", |line| line == "RELOADING=1");
    let stamp = manager.until("since when", |line| line.starts_with("MONOTONIC_USEC="));
    assert!(stamp["MONOTONIC_USEC=".len()..].parse::<u64>().unwrap() > 0);
    manager.until("it is ready again", |line| line == "READY=1");
    assert!(place.log().contains("key=\"path in [journal]\""), "{}", place.log());
    let changed = "changed=\"per_day in [budget]: 0.08 -> 2000.00; level in [log]: info -> debug; service other-check (network_id 2001) added\"";
    assert!(place.log().contains(changed), "{}", place.log());
    assert!(place.path("inbox/other").is_dir() && !place.path("elsewhere").exists());
    place.result("stock.results.csv");
    assert_eq!(sim.ledger().charges, 5);
    // The new folder is watched.
    place.drop_file("other/more.csv", &file_of((10..12).map(imei)));
    place.until("it is taken", |place| !place.path("inbox/other/more.csv").exists());
    assert!(place.stop().success());
}

#[test]
fn a_bad_configuration_is_refused_with_its_line_and_the_old_one_goes_on() {
    let sim = Sim::start(Options::default());
    let mut place = Workplace::new(&sim.url(), &[("budget", "per_day = \"0.16\"")]);
    let mut manager = start(&mut place, None);
    manager.until("it is ready", |line| line == "READY=1");
    place.configure(&sim.url(), &[("submit", "wrokers = 9"), ("budget", "per_day = \"2000\"")]);
    place.signal(Signal::HUP);
    manager.until("it reloads", |line| line == "RELOADING=1");
    manager.until("it is ready again", |line| line == "READY=1");
    let refused = "a changed configuration was refused, see the log";
    manager.until("the status says so", |line| status(line).is_some_and(|s| s.ends_with(refused)));
    let log = place.log();
    let line = log.lines().find(|line| line.contains("is refused, the old one stays")).unwrap();
    assert!(line.contains(" WARN  ") && line.contains("imeid.toml:") && line.contains("wrokers"), "{line}");
    // The old cap holds.
    place.drop_file("stock.csv", &file_of((0..5).map(imei)));
    manager.until("the old cap holds", |line| line.starts_with("STATUS=paused (cap: "));
    assert_eq!(sim.ledger().charges, 2);
    // Mended, it is taken over, and the status forgets it.
    place.configure(&sim.url(), &[]);
    place.signal(Signal::HUP);
    manager.until("it is ready again", |line| line == "READY=1");
    manager.until("it is mended", |line| status(line).is_some_and(|s| !s.contains(refused)));
    place.result("stock.results.csv");
    assert_eq!(sim.ledger().charges, 5);
}

#[test]
fn the_log_file_is_opened_anew_on_sighup() {
    let sim = Sim::start(Options::default());
    let mut place = Workplace::new(&sim.url(), &[("log", "file = \"imeid.log\"")]);
    let mut manager = start(&mut place, None);
    manager.until("it is ready", |line| line == "READY=1");
    #[allow(clippy::disallowed_methods, reason = "as logrotate does it")]
    std::fs::rename(place.path("imeid.log"), place.path("imeid.log.1")).unwrap();
    place.signal(Signal::HUP);
    place.until("a new log file", |place| {
        std::fs::read_to_string(place.path("imeid.log"))
            .is_ok_and(|log| log.contains("configuration read anew"))
    });
}

#[test]
fn the_watchdog_is_fed_while_the_provider_is_silent_and_not_while_the_writer_is_stuck() {
    let patience = Duration::from_millis(600);
    let sim = Sim::start(Options {
        other_latency: Delay::Fixed(Duration::from_secs(30)),
        faults: "hang-before=100%".parse().unwrap(),
        ..Options::default()
    });
    let mut place = Workplace::new(&sim.url(), &ALL_AT_ONCE);
    let mut manager = start(&mut place, Some(patience));
    place.drop_file("stock.csv", &file_of((0..40).map(imei)));
    place.until("calls hang", |_| sim.ledger().place_calls >= 30);
    let fed = |lines: &[String]| lines.iter().filter(|line| *line == "WATCHDOG=1").count();
    let told = manager.listen(patience * 4);
    assert!(fed(&told) >= 4, "{told:?}");

    // Somebody else has the journal: its writer waits for it, ten seconds at most.
    let journal = rusqlite::Connection::open(place.path("state/journal.db")).unwrap();
    journal.busy_timeout(Duration::from_secs(10)).unwrap();
    journal.execute_batch("BEGIN IMMEDIATE").unwrap();
    manager.listen(patience);
    let told = manager.listen(patience * 4);
    assert_eq!(fed(&told), 0, "{told:?}");
    journal.execute_batch("ROLLBACK").unwrap();
    manager.until("it is fed again", |line| line == "WATCHDOG=1");
    assert!(place.log().contains("alarm=watchdog"), "{}", place.log());
}

#[test]
fn a_stop_asks_for_more_time_while_calls_are_waited_for() {
    let sim =
        Sim::start(Options { latency: Delay::Fixed(Duration::from_millis(1500)), ..Options::default() });
    let mut place = Workplace::new(&sim.url(), &ALL_AT_ONCE);
    let mut manager = start(&mut place, None);
    place.drop_file("stock.csv", &file_of((0..30).map(imei)));
    place.until("calls are on their way", |_| sim.ledger().place_calls >= 30);
    place.signal(Signal::TERM);
    manager.until("it stops", |line| line == "STOPPING=1");
    manager.until("it asks for time", |line| line.starts_with("EXTEND_TIMEOUT_USEC="));
    place.until("it ended", |place| place.ended().is_some());
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (30, 0));
}
