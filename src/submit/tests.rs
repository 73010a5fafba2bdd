//! The workers, with a provider whose calls last as long as the test wants.

mod connections;
mod outage;
mod queue;
mod wakes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::*;
use crate::config::SubmitConfig;
use crate::gate::Scope;
use crate::journal::{JournalError, NewBatch, NewRow, OrderFor, Rules, ServiceTerms};
use crate::order::PauseReason;
use crate::provider::{BoxFuture, PlaceOrder};
use crate::types::{
    AccountInfo, CallError, Imei, Money, NetworkId, Placed, ProviderOrder, ProviderOrderId, ProviderService,
    Reply,
};

/// Counts the paid calls; each ends once it gets a permit.
struct Gated {
    begun: AtomicUsize,
    may_end: Semaphore,
}

impl Gated {
    /// So many calls end at once.
    fn letting(calls: usize) -> Arc<Self> {
        Arc::new(Self { begun: AtomicUsize::new(0), may_end: Semaphore::new(calls) })
    }
}

impl Provider for Gated {
    fn place<'a>(&'a self, _order: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        Box::pin(async move {
            let n = self.begun.fetch_add(1, Ordering::SeqCst);
            self.may_end.acquire().await.unwrap().forget();
            let id = ProviderOrderId(u64::try_from(n).unwrap() + 1);
            Reply { outcome: Placed::Taken(id), http: Some(200), body: Vec::new() }
        })
    }

    fn orders<'a>(
        &'a self,
        _ids: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        Box::pin(async { Ok(AccountInfo { balance: None, credits_raw: String::new() }) })
    }
}

fn one_worker() -> SubmitConfig {
    let drain = Duration::from_secs(1);
    SubmitConfig { workers: 1, adaptive: true, max_attempts: 3, canary: 0, drain }
}

/// A journal with one open batch of `rows` rows, and what may be claimed of it.
async fn journal_with(folder: &std::path::Path, rows: u32, now: Timestamp) -> (Journal, ClaimRequest) {
    let journal = Journal::open(&folder.join("journal.db")).unwrap();
    journal.start_is_told();
    let network_id = NetworkId("1739".to_owned());
    let service = journal.service("main".to_owned(), network_id.clone(), "check".to_owned()).await.unwrap();
    let new = NewBatch {
        key: "1739~stock".to_owned(),
        stem: "stock".to_owned(),
        file_name: "stock.csv".to_owned(),
        sha256: String::new(),
        bytes: 0,
        service,
        header: "{}".to_owned(),
        rows: u64::from(rows),
        occupied: BTreeSet::new(),
    };
    let (batch, _) = journal.begin_batch(new, now).await.unwrap();
    let wanted = (1..=rows).map(|row| OrderFor { imei: Imei::from_parts(35_000_000, row), row }).collect();
    let linked = journal.link_orders(batch, service, wanted, None).await.unwrap();
    let own = |row: &crate::journal::RowOrder| NewRow {
        row: row.row,
        order: Some((row.order, row.link)),
        why_not: None,
        raw: Vec::new(),
    };
    journal.insert_rows(batch, linked.iter().map(own).collect()).await.unwrap();
    journal.open_batch(batch, now).await.unwrap();
    let price = Money::from_micros(80_000);
    let terms =
        ServiceTerms { id: service, network_id, name: "check".to_owned(), price, canary: 0, params: vec![] };
    let rules = Rules {
        max_attempts: 3,
        quiet: Duration::from_secs(120),
        first_poll: Duration::from_secs(10),
        terms: BTreeMap::from([(service, terms)]),
    };
    let request = ClaimRequest {
        want: usize::try_from(rows).unwrap(),
        day: 20_251_114,
        per_day: None,
        after: BatchId(0),
        rules: Arc::new(rules),
        probe: None,
        keep_witness: false,
    };
    (journal, request)
}

#[tokio::test]
async fn what_waits_for_a_worker_when_a_person_pauses_goes_back_unsent() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let (journal, request) = journal_with(folder.path(), 3, clock.now()).await;
    let provider = Gated::letting(0);
    let shared: Arc<dyn Provider> = Arc::clone(&provider) as Arc<dyn Provider>;
    let pool = Arc::new(Pool::new(journal.clone(), shared, clock.clone(), Arc::default()));
    pool.want(&one_worker(), clock.now());
    let tickets = journal.begin_attempts(request, clock.clone()).await.unwrap().tickets;
    assert_eq!(tickets.len(), 3);
    let mut calls = Vec::new();
    for ticket in tickets {
        pool.take_in();
        let pool = Arc::clone(&pool);
        calls.push(tokio::spawn(async move { pool.work(ticket, true).await }));
    }
    while provider.begun.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    journal.pause(Scope::All, PauseReason::Operator, "by anna".to_owned(), clock.now()).await.unwrap();
    provider.may_end.add_permits(3);
    for call in calls {
        call.await.unwrap();
    }
    pool.all_recorded().await;
    assert_eq!(provider.begun.load(Ordering::SeqCst), 1, "the two that waited were not sent");
    let counts = journal.read_here(crate::journal::View::order_counts).unwrap();
    assert_eq!((counts.queued, counts.submitting, counts.in_doubt, counts.ordered), (2, 0, 0, 1));
}

#[tokio::test]
async fn a_call_that_panics_takes_no_slot_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let (journal, request) = journal_with(folder.path(), 1, clock.now()).await;
    let provider = Gated::letting(0);
    // To wait for a permit of it panics.
    provider.may_end.close();
    let pool = Arc::new(Pool::new(journal.clone(), provider, clock.clone(), Arc::default()));
    let before = pool.want(&one_worker(), clock.now());
    let ticket = journal.begin_attempts(request, clock.clone()).await.unwrap().tickets.pop().unwrap();
    pool.take_in();
    let working = Arc::clone(&pool);
    let ended = tokio::spawn(async move { working.work(ticket, true).await }).await;
    assert!(ended.unwrap_err().is_panic());
    assert_eq!(pool.want(&one_worker(), clock.now()), before);
}

/// Waits for what the stage does by itself.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let looks = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), looks).await.is_ok(), "not in time: {what}");
}

#[tokio::test]
async fn a_start_and_a_pause_begin_with_a_few_orders_and_open_the_workers_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let (journal, _) = journal_with(folder.path(), 200, clock.now()).await;
    let text = "[provider]\nbase_url = \"https://provider.test\"\nuser_id = \"main\"\n[submit]\ncanary = 0\n\
                [[service]]\nname = \"check\"\nnetwork_id = \"1739\"\nprice = \"0.08\"\n";
    let config = crate::config::parse(text, std::path::Path::new("/etc/imeid/imeid.toml")).unwrap();
    let settings = Arc::new(Settings::new(config, &journal).await.unwrap());
    let provider = Gated::letting(0);
    let meter = Arc::new(Meter::default());
    let submit = Submit {
        can_list: watch::channel(Some(true)).1,
        meter: Arc::clone(&meter),
        ..stage(&journal, &provider, &clock, settings)
    };
    let stop = CancellationToken::new();
    let running = tokio::spawn(submit.run(stop.clone()));
    let (begun, busy) = (|| provider.begun.load(Ordering::SeqCst), || meter.read(clock.now()).busy);
    until("the first few go", || begun() == 4).await;
    provider.may_end.add_permits(4);
    until("twice as many go", || begun() == 12).await;
    until("all workers are busy", || {
        let is_full =
            provider.may_end.available_permits() == 0 && meter.read(clock.now()).limit == Some(busy());
        if is_full && busy() < 30 {
            provider.may_end.add_permits(busy());
        }
        is_full && busy() == 30
    })
    .await;
    let sent = begun();
    journal.pause(Scope::All, PauseReason::Operator, "by anna".to_owned(), clock.now()).await.unwrap();
    provider.may_end.add_permits(30);
    until("all has ended", || busy() == 0).await;
    until("it stands still", || meter.read(clock.now()).limit == Some(4)).await;
    assert_eq!(begun(), sent, "nothing goes in a pause");
    journal.end_pause(Scope::All, PauseReason::Operator, clock.now()).await.unwrap();
    until("a few go again", || begun() == sent + 4).await;
    assert_eq!(meter.read(clock.now()).limit, Some(4));
    stop.cancel();
    provider.may_end.add_permits(200);
    running.await.unwrap();
}

/// A configuration with so many workers, for the service of [`journal_with`].
async fn settings_with(journal: &Journal, workers: usize) -> Arc<Settings> {
    let text = format!(
        "[provider]\nbase_url = \"https://provider.test\"\nuser_id = \"reseller\"\naccount = \"main\"\n\
         shared_account = true\nlist_recent = \"no\"\n[submit]\nadaptive = false\nworkers = {workers}\ncanary = 0\n\
         [folders]\ninbox = \"i\"\noutbox = \"o\"\nreconcile = \"r\"\narchive = \"a\"\nrejected = \"x\"\n\
         [[service]]\nname = \"check\"\nnetwork_id = \"1739\"\nprice = \"0.08\"\nfolder = \".\"\n"
    );
    let config = crate::config::parse(&text, std::path::Path::new("/nowhere/imeid.toml")).unwrap();
    Arc::new(Settings::new(config, journal).await.unwrap())
}

/// The stage with what is configured, at a provider that doesn't list.
fn stage(journal: &Journal, provider: &Arc<Gated>, clock: &Clock, settings: Arc<Settings>) -> Submit {
    Submit {
        journal: journal.clone(),
        provider: Arc::clone(provider) as Arc<dyn Provider>,
        clock: clock.clone(),
        settings: watch::channel(settings).1,
        can_list: watch::channel(Some(false)).1,
        meter: Arc::default(),
        disk_ok: watch::channel(true).1,
    }
}

/// Until so many calls have begun; false where they don't within far less than the loop's own look.
async fn have_begun(provider: &Gated, calls: usize) -> bool {
    let waiting = std::time::Instant::now();
    while provider.begun.load(Ordering::SeqCst) < calls {
        if waiting.elapsed() > LOOK_AGAIN / 3 {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    true
}

#[tokio::test]
async fn more_workers_after_a_reload_work_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let (journal, _) = journal_with(folder.path(), 9, clock.now()).await;
    let provider = Gated::letting(0);
    let first = settings_with(&journal, 1).await;
    let (reload, settings) = watch::channel(Arc::clone(&first));
    let submit = Submit { settings, ..stage(&journal, &provider, &clock, first) };
    let stop = CancellationToken::new();
    let running = tokio::spawn(submit.run(stop.clone()));
    assert!(have_begun(&provider, 1).await);
    for workers in [4, 9] {
        reload.send_replace(settings_with(&journal, workers).await);
        assert!(have_begun(&provider, workers).await, "{workers} workers");
    }
    provider.may_end.add_permits(9);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn each_worker_that_comes_free_gets_the_next_order_however_they_end() {
    const ORDERS: usize = 60;
    const WORKERS: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let (journal, _) = journal_with(folder.path(), u32::try_from(ORDERS).unwrap(), clock.now()).await;
    let provider = Gated::letting(0);
    let submit = stage(&journal, &provider, &clock, settings_with(&journal, WORKERS).await);
    let stop = CancellationToken::new();
    let running = tokio::spawn(submit.run(stop.clone()));
    let mut ended = 0;
    // One by one, two at once, three, all of them, and again.
    for at_once in (1..=WORKERS).cycle() {
        assert!(have_begun(&provider, ORDERS.min(ended + WORKERS)).await, "after {ended}");
        if ended == ORDERS {
            break;
        }
        let more = at_once.min(ORDERS - ended);
        provider.may_end.add_permits(more);
        ended += more;
    }
    stop.cancel();
    running.await.unwrap();
}

/// What is wrong with the journal, as `status` shows it.
fn journal_alarm(journal: &Journal) -> Option<String> {
    journal.unrecorded().remove("journal")
}

#[tokio::test]
async fn a_journal_that_cant_be_written_or_read_is_an_alarm_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let (journal, _) = journal_with(folder.path(), 1, clock.now()).await;
    let rename = |from: &str, to: &str| {
        let other = rusqlite::Connection::open(folder.path().join("journal.db")).unwrap();
        other.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}")).unwrap();
    };
    let provider = Gated::letting(0);
    let settings = settings_with(&journal, 1).await;
    // One that is tried again by itself: without one nothing is read.
    journal.pause(Scope::All, PauseReason::Credit, "none".to_owned(), clock.now()).await.unwrap();
    for (table, told) in [("pauses", "pauses can't be tried"), ("attempts", "nothing is submitted until")] {
        rename(table, "away");
        let submit = Submit {
            // With the first of them nothing is claimed.
            disk_ok: watch::channel(table == "attempts").1,
            ..stage(&journal, &provider, &clock, Arc::clone(&settings))
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(submit.run(stop.clone()));
        until(told, || journal_alarm(&journal).is_some_and(|text| text.contains(told))).await;
        rename("away", table);
        until("it is gone", || journal_alarm(&journal).is_none()).await;
        journal.end_pause(Scope::All, PauseReason::Credit, clock.now()).await.unwrap();
        stop.cancel();
        provider.may_end.add_permits(1);
        running.await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_claimed_until_what_was_seen_at_the_balance_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let (journal, _) = journal_with(folder.path(), 1, clock.now()).await;
    let provider = Gated::letting(0);
    let pool = Pool::new(journal.clone(), provider, clock.clone(), Arc::default());
    let room = Semaphore::new(0);
    let full = || {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
        JournalError::from(rusqlite::Error::SqliteFailure(code, None))
    };
    let recorded = pool.until_recorded("price", "a pause because of a price", || {
        let done = if room.available_permits() > 0 { Ok(()) } else { Err(full()) };
        std::future::ready(done)
    });
    let looks = async {
        until("it is an alarm", || journal_alarm(&journal).is_some()).await;
        assert_eq!(pool.want(&one_worker(), clock.now()), 0, "nothing is claimed");
        room.add_permits(1);
    };
    tokio::join!(recorded, looks);
    assert_eq!(journal_alarm(&journal), None);
    assert!(pool.want(&one_worker(), clock.now()) > 0);
}

#[tokio::test]
async fn orders_wait_until_their_start_is_told_and_go_at_once_then() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    drop(journal_with(folder.path(), 2, clock.now()).await);
    let journal = Journal::open(&folder.path().join("journal.db")).unwrap();
    let provider = Gated::letting(2);
    let submit = stage(&journal, &provider, &clock, settings_with(&journal, 2).await);
    let stop = CancellationToken::new();
    let running = tokio::spawn(submit.run(stop.clone()));
    tokio::time::timeout(LOOK_AGAIN / 3, journal.wakes().stamp.notified()).await.unwrap();
    journal.count_start().await.unwrap();
    assert_eq!(provider.begun.load(Ordering::SeqCst), 0);
    journal.start_is_told();
    assert!(have_begun(&provider, 2).await);
    stop.cancel();
    running.await.unwrap();
}
