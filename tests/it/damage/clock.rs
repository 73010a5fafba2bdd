//! The machine's clock is set while doubts wait: a quiet period is real time, and neither shorter nor a day longer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use imeid::clock::Clock;
use imeid::config;
use imeid::daemon::{self, DaemonError};
use imeid::types::{CallError, Imei, Placed, ProviderOrder, ProviderOrderId, Timestamp, Unclear};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fake::{self, Fake, Taken};
use crate::support::{Workplace, file_of, imei};

const QUIET: Duration = Duration::from_secs(1);
const DAY_MS: i64 = 86_400_000;

/// The machine's time. It stands still while the test arranges something, so that no quiet period is over before, however
/// slow the machine is.
#[derive(Debug, Default)]
struct Time {
    /// By how much the wall clock is off, milliseconds.
    off: i64,
    stands_at: Option<Duration>,
    /// How long it has stood still.
    lost: Duration,
    /// How long a test didn't want to wait.
    skipped: Duration,
}

#[derive(Clone)]
struct Machines {
    real: Clock,
    time: Arc<Mutex<Time>>,
}

impl Machines {
    fn new() -> Self {
        Self { real: Clock::system(), time: Arc::default() }
    }

    fn passed(&self) -> Duration {
        let time = self.time.lock().unwrap();
        time.stands_at.unwrap_or_else(|| self.real.steady() + time.skipped - time.lost)
    }

    fn stop(&self) {
        let now = self.passed();
        self.time.lock().unwrap().stands_at = Some(now);
    }

    fn go_on(&self) {
        let mut time = self.time.lock().unwrap();
        if let Some(stood_at) = time.stands_at.take() {
            time.lost = self.real.steady() + time.skipped - stood_at;
        }
    }

    /// So much time passes at once.
    fn skip(&self, time: Duration) {
        self.time.lock().unwrap().skipped += time;
    }

    fn set_wall(&self, days: i64) {
        self.time.lock().unwrap().off += days * DAY_MS;
    }

    fn clock(&self) -> Clock {
        let (of_wall, of_steady) = (self.clone(), self.clone());
        let began = self.real.now();
        let began = began.minus(self.real.steady());
        let wall = move || {
            let off = of_wall.time.lock().unwrap().off;
            Timestamp::from_millis(began.plus(of_wall.passed()).millis() + off)
        };
        Clock::from_fns(wall, move || of_steady.passed())
    }
}

/// Takes every order, and loses its first answer to the second IMEI: from then on time stands still. Refuses duplicates
/// free of charge, lists nothing.
struct LosesOne {
    time: Machines,
    taken: Taken,
    /// When the IMEI was sent whose answer was lost.
    sent: Mutex<Vec<Duration>>,
}

impl Fake for LosesOne {
    fn place(&self, of: Imei) -> Placed {
        let is_lost = of.to_string() == imei(2);
        if is_lost {
            let mut sent = self.sent.lock().unwrap();
            if sent.is_empty() {
                self.time.stop();
            }
            sent.push(self.time.passed());
        }
        if self.taken.has(of) {
            return Placed::AlreadyExists;
        }
        let id = self.taken.take(of);
        if is_lost {
            let what = "timed out".to_owned();
            return Placed::Unclear(Unclear { what, ids: Vec::new(), retry_after: None });
        }
        Placed::Taken(id)
    }

    fn orders(&self, ids: &[ProviderOrderId]) -> Vec<ProviderOrder> {
        self.taken.with(ids)
    }

    fn recent(&self) -> Result<Vec<ProviderOrder>, CallError> {
        Err(CallError::InvalidOrderId)
    }
}

/// A machine whose clock can be set, with a daemon that can be started again.
struct Machine {
    place: Workplace,
    provider: Arc<LosesOne>,
    time: Machines,
    runtime: Runtime,
    daemon: Option<(CancellationToken, JoinHandle<Result<(), DaemonError>>)>,
}

impl Machine {
    /// One order taken, one in doubt, and time stands still.
    fn with_a_doubt() -> Self {
        let time = Machines::new();
        let provider = LosesOne { time: time.clone(), taken: Taken::default(), sent: Mutex::default() };
        let changes = [
            ("submit", "canary = 0"),
            ("provider", "list_recent = \"no\""),
            ("provider", "timeout = \"1s\""),
            ("provider", "connect_timeout = \"500ms\""),
            ("in_doubt", "quiet = \"1s\""),
            // A doubt that seems a day old because the clock was set is probed all the same.
            ("in_doubt", "probe_within = \"14d\""),
            ("outbox", "held_after = \"1s\""),
        ];
        let mut machine = Self {
            place: Workplace::new("http://127.0.0.1:9", &changes),
            provider: Arc::new(provider),
            time,
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap(),
            daemon: None,
        };
        machine.start();
        machine.place.drop_file("stock.csv", &file_of([imei(1), imei(2)]));
        let provider = Arc::clone(&machine.provider);
        machine.place.until("its answer is lost", |_| provider.sent.lock().unwrap().len() == 1);
        machine.place.until("one is in doubt", |place| {
            let status = place.run(&["status", "--json"]);
            let json = serde_json::from_slice::<serde_json::Value>(&status.stdout);
            json.is_ok_and(|json| json["orders"]["in_doubt"] == 1)
        });
        assert_eq!(machine.provider.sent.lock().unwrap().len(), 1);
        machine
    }

    /// Sets the wall clock. Gives the moment, from which on time goes on.
    fn set_clock(&self, days: i64) -> Duration {
        self.time.set_wall(days);
        let now = self.time.passed();
        self.time.go_on();
        now
    }

    fn start(&mut self) {
        let (stop, clock) = (CancellationToken::new(), self.time.clock());
        let config = config::load(&self.place.config()).unwrap();
        let provider = fake::provider(&self.provider);
        let daemon = self.runtime.spawn(daemon::run_with(config, provider, clock, stop.clone()));
        self.daemon = Some((stop, daemon));
    }

    fn stop(&mut self) {
        let (stop, daemon) = self.daemon.take().unwrap();
        stop.cancel();
        self.runtime.block_on(daemon).unwrap().unwrap();
    }

    /// How long after `from` the doubt was probed.
    fn probed_after(&mut self, from: Duration) -> Duration {
        let provider = Arc::clone(&self.provider);
        self.place.until("the doubt is probed", |_| provider.sent.lock().unwrap().len() == 2);
        let sent = self.provider.sent.lock().unwrap();
        assert_eq!((sent.len(), self.provider.taken.count()), (2, 2));
        sent[1].saturating_sub(from)
    }

    fn first_sent(&self) -> Duration {
        self.provider.sent.lock().unwrap()[0]
    }
}

#[test]
fn a_clock_set_ahead_while_the_daemon_runs_makes_no_quiet_period_shorter() {
    let mut machine = Machine::with_a_doubt();
    machine.set_clock(1);
    let waited = machine.probed_after(machine.first_sent());
    assert!(waited >= QUIET, "{waited:?}");
    machine.stop();
}

#[test]
fn a_clock_set_ahead_between_two_starts_makes_no_quiet_period_shorter() {
    let mut machine = Machine::with_a_doubt();
    machine.stop();
    machine.set_clock(1);
    machine.start();
    let waited = machine.probed_after(machine.first_sent());
    assert!(waited >= QUIET, "{waited:?}");
    machine.stop();
}

#[test]
fn a_clock_set_back_makes_no_doubt_wait_for_a_day() {
    let mut machine = Machine::with_a_doubt();
    machine.stop();
    let began = machine.set_clock(-1);
    machine.start();
    let waited = machine.probed_after(began);
    assert!((QUIET..8 * QUIET).contains(&waited), "{waited:?}");
    // What can be published is looked at every half minute by itself, and when something happens.
    machine.time.skip(Duration::from_secs(31));
    machine.place.drop_file("other.csv", &file_of([imei(3)]));
    machine.place.result("stock.results.csv");
    machine.stop();
}

#[test]
fn a_clock_set_back_while_the_daemon_runs_makes_no_doubt_wait_for_a_day() {
    let mut machine = Machine::with_a_doubt();
    let began = machine.set_clock(-1);
    let waited = machine.probed_after(began);
    assert!(waited < 10 * QUIET && machine.first_sent() + QUIET <= began + waited, "{waited:?}");
    machine.stop();
}
