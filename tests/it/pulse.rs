//! The stages keep their word to the watchdog while the provider answers nothing, with hardly any grace.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use imeid::clock::Clock;
use imeid::config::{self, read_api_key};
use imeid::daemon;
use imeid::meter::Meter;
use imeid::poll::Poll;
use imeid::provider::{BoxFuture, GsmFusion, PlaceOrder, Provider};
use imeid::pulse::Pulse;
use imeid::settle::Settle;
use imeid::simulator::{Change, Delay, Duplicates, Options};
use imeid::submit::Submit;
use imeid::types::{AccountInfo, CallError, Placed, ProviderOrder, ProviderOrderId, ProviderService, Reply};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::support::{LOOK_EVERY, PATIENCE, Sim, Workplace, file_of, imei};

/// Half of the time-out of a call: a stage that hadn't told of its call would be late.
const GRACE: Duration = Duration::from_secs(1);
/// No stage comes round to this only once, and each call takes its time-out.
const CALLS: usize = 2;

/// Counts the calls that ended, each kind apart.
struct Counted {
    inner: GsmFusion,
    ended: [AtomicUsize; 3],
    one_ended: Notify,
}

impl Counted {
    async fn end<T>(&self, kind: usize, call: BoxFuture<'_, T>) -> T {
        let answer = call.await;
        self.ended[kind].fetch_add(1, Ordering::SeqCst);
        self.one_ended.notify_one();
        answer
    }

    fn have_ended(&self) -> bool {
        self.ended.iter().all(|ended| ended.load(Ordering::SeqCst) >= CALLS)
    }
}

impl Provider for Counted {
    fn place<'a>(&'a self, order: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        Box::pin(self.end(0, self.inner.place(order)))
    }

    fn orders<'a>(
        &'a self,
        ids: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(self.end(1, self.inner.orders(ids)))
    }

    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(self.end(2, self.inner.recent()))
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        self.inner.services()
    }

    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        self.inner.account()
    }
}

#[test]
fn a_silent_provider_makes_no_stage_late() {
    let sim = Sim::start(Options {
        completion: Delay::Fixed(Duration::from_secs(3600)),
        duplicates: Duplicates::Charge,
        faults: "hang-after=5x".parse().unwrap(),
        ..Options::default()
    });
    // Some ordered, some in doubt, some queued: every stage has something to ask the provider.
    let mut place = Workplace::new(&sim.url(), &[("submit", "canary = 0"), ("submit", "workers = 5")]);
    place.start();
    place.drop_file("stock.csv", &file_of((0..40).map(imei)));
    place.until("some are taken", |_| sim.ledger().charges >= 10);
    place.kill();
    sim.change(&Change { faults: Some("any:hang-before=100%".parse().unwrap()), ..Change::default() });

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let late = runtime.block_on(stages_are_late(&place));
    assert_eq!(late, None);
}

/// The first stage that is late until each has come through silent calls.
async fn stages_are_late(place: &Workplace) -> Option<String> {
    let config = config::load(&place.config()).unwrap();
    let clock = Clock::system();
    let key = read_api_key(&config).unwrap();
    let inner = GsmFusion::new(&config.provider, key, clock.clone()).unwrap();
    let counted = Arc::new(Counted { inner, ended: Default::default(), one_ended: Notify::new() });
    let provider: Arc<dyn Provider> = Arc::clone(&counted) as Arc<dyn Provider>;
    let opened = daemon::open(config, &clock).await.unwrap();
    // As whoever keeps the stamp does.
    opened.journal.start_is_told();
    let (settings, in_force) = watch::channel(Arc::clone(&opened.settings));
    let (tell_lists, can_list) = watch::channel(None);
    let (_disk, disk_ok) = watch::channel(true);
    let (journal, meter) = (opened.journal.clone(), Arc::new(Meter::default()));
    let submit = Submit {
        journal: journal.clone(),
        provider: Arc::clone(&provider),
        clock: clock.clone(),
        settings: in_force.clone(),
        can_list,
        meter: Arc::clone(&meter),
        disk_ok,
    };
    let poll = Poll::new(journal.clone(), Arc::clone(&provider), clock.clone(), in_force.clone());
    let settle = Settle::new(journal, provider, clock, in_force, tell_lists, meter);
    let (pulse, stop) = (Pulse::new(GRACE), CancellationToken::new());
    let stages = async {
        tokio::join!(
            pulse.attend("submit", submit.run(stop.clone())),
            pulse.attend("poll", poll.run(stop.clone())),
            pulse.attend("settle", settle.run(stop.clone())),
        )
    };
    let began = Instant::now();
    let watched = async {
        while !counted.have_ended() {
            assert!(began.elapsed() < PATIENCE, "not in time: {:?}", counted.ended);
            if let Some(late) = pulse.late() {
                return Some(late.to_string());
            }
            // Nothing tells of a stage that is late: that is seen by the clock alone.
            let _ = tokio::time::timeout(LOOK_EVERY, counted.one_ended.notified()).await;
        }
        None
    };
    let late = tokio::select! {
        _ = stages => Some("the stages ended".to_owned()),
        late = watched => late,
    };
    drop(settings);
    late
}
