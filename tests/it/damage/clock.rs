//! The machine's clock is set while doubts wait: a quiet period is real time, and neither shorter nor a day longer.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use imeid::clock::Clock;
use imeid::config;
use imeid::daemon::{self, DaemonError};
use imeid::provider::{BoxFuture, PlaceOrder, Provider};
use imeid::types::{
    AccountInfo, CallError, Placed, ProviderOrder, ProviderOrderId, ProviderService, ProviderStatus, Reply,
    Timestamp, Unclear,
};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{Workplace, file_of, imei};

const QUIET: Duration = Duration::from_secs(3);
const DAY_MS: i64 = 86_400_000;
const FIRST_ID: u64 = 100;

/// Takes every order, and loses its first answer to the second IMEI; refuses duplicates free of charge, lists nothing.
#[derive(Default)]
struct LosesOne {
    taken: Mutex<Vec<ProviderOrder>>,
    /// When the IMEI was sent whose answer was lost.
    sent: Mutex<Vec<Instant>>,
}

impl Provider for LosesOne {
    fn place<'a>(&'a self, order: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        let mut taken = self.taken.lock().unwrap();
        let id = ProviderOrderId(FIRST_ID + taken.len() as u64);
        let is_lost = order.imei.to_string() == imei(2);
        let mut outcome = Placed::Taken(id);
        if is_lost {
            self.sent.lock().unwrap().push(Instant::now());
            outcome =
                Placed::Unclear(Unclear { what: "timed out".to_owned(), ids: Vec::new(), retry_after: None });
        }
        if taken.iter().any(|known| known.imei == Some(order.imei)) {
            outcome = Placed::AlreadyExists;
        } else {
            taken.push(ProviderOrder {
                id,
                imei: Some(order.imei),
                package: "Check".to_owned(),
                status: ProviderStatus::Completed,
                status_raw: "Completed".to_owned(),
                code: "Model: iPhone".to_owned(),
                requested_at: String::new(),
                raw: Vec::new(),
            });
        }
        Box::pin(async move { Reply { outcome, http: Some(200), body: Vec::new() } })
    }

    fn orders<'a>(
        &'a self,
        ids: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
        let taken = self.taken.lock().unwrap();
        let found = taken.iter().filter(|order| ids.contains(&order.id)).cloned().collect();
        Box::pin(async move { Ok(found) })
    }

    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(async { Err(CallError::InvalidOrderId) })
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        Box::pin(async { Ok(AccountInfo { balance: None, credits_raw: String::new() }) })
    }
}

/// A machine whose clock can be set, with a daemon that can be started again.
struct Machine {
    place: Workplace,
    provider: Arc<LosesOne>,
    /// By how much its clock is off, milliseconds.
    off: Arc<AtomicI64>,
    runtime: Runtime,
    daemon: Option<(CancellationToken, JoinHandle<Result<(), DaemonError>>)>,
}

impl Machine {
    /// One order taken, one in doubt.
    fn with_a_doubt() -> Self {
        let changes = [
            ("submit", "canary = 0"),
            ("provider", "list_recent = \"no\""),
            ("in_doubt", "quiet = \"3s\""),
            // A doubt that seems a day old because the clock was set is probed all the same.
            ("in_doubt", "probe_within = \"14d\""),
            ("outbox", "held_after = \"1s\""),
        ];
        let mut machine = Self {
            place: Workplace::new("http://127.0.0.1:9", &changes),
            provider: Arc::default(),
            off: Arc::default(),
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

    fn set_clock(&self, days: i64) {
        self.off.fetch_add(days * DAY_MS, Ordering::Relaxed);
    }

    fn start(&mut self) {
        let (stop, off) = (CancellationToken::new(), Arc::clone(&self.off));
        let system = Clock::system();
        let steady = system.clone();
        let wall = move || Timestamp::from_millis(system.now().millis() + off.load(Ordering::Relaxed));
        let clock = Clock::from_fns(wall, move || steady.steady());
        let config = config::load(&self.place.config()).unwrap();
        let provider: Arc<dyn Provider> = Arc::clone(&self.provider) as Arc<dyn Provider>;
        let daemon = self.runtime.spawn(daemon::run_with(config, provider, clock, stop.clone()));
        self.daemon = Some((stop, daemon));
    }

    fn stop(&mut self) {
        let (stop, daemon) = self.daemon.take().unwrap();
        stop.cancel();
        self.runtime.block_on(daemon).unwrap().unwrap();
    }

    /// How long after `from` the doubt was probed.
    fn probed_after(&mut self, from: Instant) -> Duration {
        let provider = Arc::clone(&self.provider);
        self.place.until("the doubt is probed", |_| provider.sent.lock().unwrap().len() == 2);
        let sent = self.provider.sent.lock().unwrap();
        assert_eq!((sent.len(), self.provider.taken.lock().unwrap().len()), (2, 2));
        sent[1].duration_since(from)
    }

    fn first_sent(&self) -> Instant {
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
    machine.set_clock(-1);
    let began = Instant::now();
    machine.start();
    let waited = machine.probed_after(began);
    assert!((QUIET..8 * QUIET).contains(&waited), "{waited:?}");
    machine.place.result("stock.results.csv");
    machine.stop();
}

#[test]
fn a_clock_set_back_while_the_daemon_runs_makes_no_doubt_wait_for_a_day() {
    let mut machine = Machine::with_a_doubt();
    machine.set_clock(-1);
    let began = Instant::now();
    let waited = machine.probed_after(began);
    assert!(waited < 10 * QUIET && machine.first_sent() + QUIET <= began + waited, "{waited:?}");
    machine.stop();
}
