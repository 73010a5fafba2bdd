mod balance;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::config::{self, Config};
use crate::journal::{NewBatch, NewRow, OrderFor, View};
use crate::provider::{BoxFuture, PlaceOrder};
use crate::submit::claim_request;
use crate::types::{
    AccountInfo, BatchId, Imei, Money, NetworkId, Placed, ProviderOrder, ProviderOrderId, ProviderService,
    ProviderStatus, Reply, Unclear,
};

type Listing = Result<Vec<ProviderOrder>, CallError>;

/// A provider that answers `getimeis` without ids with what the test puts here, and tells this balance.
struct Lists(Mutex<Listing>, Mutex<Option<Money>>);

impl Provider for Lists {
    fn place<'a>(&'a self, _: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        Box::pin(async { Reply { outcome: Placed::AlreadyExists, http: None, body: Vec::new() } })
    }
    fn orders<'a>(&'a self, _: &'a [ProviderOrderId]) -> BoxFuture<'a, Listing> {
        Box::pin(async { Err(CallError::InvalidOrderId) })
    }
    fn recent(&self) -> BoxFuture<'_, Listing> {
        let listing = self.0.lock().unwrap().clone();
        Box::pin(async { listing })
    }
    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        let balance = *self.1.lock().unwrap();
        Box::pin(async move { Ok(AccountInfo { balance, credits_raw: String::new() }) })
    }
}

/// One order taken, one in doubt, the quiet period over.
struct Bench {
    _folder: tempfile::TempDir,
    journal: Journal,
    settings: Arc<Settings>,
    provider: Arc<Lists>,
    clock: Clock,
}

fn imei(n: u32) -> Imei {
    Imei::from_parts(35_000_000, n)
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal.db")).unwrap();
        journal.start_is_told();
        let text = "[provider]\nbase_url = \"https://provider.test\"\nuser_id = \"reseller\"\n\
             [folders]\ninbox = \"i\"\noutbox = \"o\"\nreconcile = \"r\"\narchive = \"a\"\nrejected = \"x\"\n\
             [[service]]\nname = \"check\"\nnetwork_id = \"1739\"\nprice = \"0.08\"\nfolder = \".\"\n[submit]\ncanary = 0\n";
        let config = config::parse(text, Path::new("/nowhere/imeid.toml")).unwrap();
        let settings = Arc::new(Settings::new(config, &journal).await.unwrap());
        let early = Clock::from_fn(|| Timestamp::from_millis(1_000_000));
        Self::take_and_doubt(&journal, &settings, &early).await;
        let quiet = settings.rules.quiet;
        let clock = Clock::from_fn(move || Timestamp::from_millis(1_000_000).plus(quiet));
        let provider = Arc::new(Lists(Mutex::new(Ok(Vec::new())), Mutex::new(None)));
        Self { _folder: folder, journal, settings, provider, clock }
    }

    async fn take_and_doubt(journal: &Journal, settings: &Settings, clock: &Clock) {
        let service = settings.number(&NetworkId("1739".to_owned())).unwrap();
        let new = NewBatch {
            key: "1739~1~1".to_owned(),
            stem: "stock".to_owned(),
            file_name: "stock.csv".to_owned(),
            sha256: String::new(),
            bytes: 0,
            service,
            header: "{}".to_owned(),
            rows: 2,
            occupied: BTreeSet::new(),
        };
        let (batch, _) = journal.begin_batch(new, clock.now()).await.unwrap();
        let wanted = (1..=2).map(|row| OrderFor { imei: imei(row), row }).collect();
        let linked = journal.link_orders(batch, service, wanted, None).await.unwrap();
        let row = |row: u32, order| NewRow { row, order: Some(order), why_not: None, raw: Vec::new() };
        let rows = linked.iter().map(|linked| row(linked.row, (linked.order, linked.link))).collect();
        journal.insert_rows(batch, rows).await.unwrap();
        journal.open_batch(batch, clock.now()).await.unwrap();
        let request = claim_request(settings, Some(false), clock, 2, BatchId(0));
        let claimed = journal.begin_attempts(request, clock.clone()).await.unwrap();
        for ticket in claimed.tickets {
            let outcome = if ticket.imei() == Some(imei(1)) {
                Placed::Taken(ProviderOrderId(1))
            } else {
                Placed::Unclear(Unclear { what: "HTTP 502".to_owned(), ids: Vec::new(), retry_after: None })
            };
            let reply = Reply { outcome, http: None, body: Vec::new() };
            journal.finish_attempt(ticket, reply).await.unwrap().unwrap();
        }
    }

    /// A process's first look, to which the provider answers so: what it knows then, and whether it asks for a probe.
    async fn look(&self, listing: Listing) -> (Option<bool>, bool) {
        *self.provider.0.lock().unwrap() = listing;
        let (mut settle, now, can_list) = stage_at(self);
        // All is at rest for a quiet period of this process.
        let quiet = i64::try_from(self.settings.rules.quiet.as_millis()).unwrap();
        now.fetch_add(quiet, Ordering::SeqCst);
        for _ in 0..2 {
            settle.unit().await.unwrap();
        }
        let doubts = self.journal.read(|view| view.doubts("reseller")).await.unwrap();
        let known = *can_list.borrow();
        (known, doubts.iter().any(|doubt| doubt.probe_asked))
    }
}

fn told(id: u64) -> ProviderOrder {
    ProviderOrder {
        id: ProviderOrderId(id),
        imei: Some(imei(1)),
        package: "check".to_owned(),
        status: ProviderStatus::Pending,
        status_raw: String::new(),
        code: String::new(),
        requested_at: String::new(),
        raw: Vec::new(),
    }
}

#[tokio::test]
async fn an_empty_listing_or_an_unknown_error_asks_for_no_probe() {
    let bench = Bench::new().await;
    for listing in [Ok(Vec::new()), Err(CallError::Refused("Something went wrong".to_owned()))] {
        assert_eq!(bench.look(listing.clone()).await, (None, false), "{listing:?}");
    }
    assert_eq!(bench.look(Err(CallError::InvalidOrderId)).await, (Some(false), true));
}

#[tokio::test]
async fn that_it_refuses_to_list_is_kept_for_status_alone_until_it_lists() {
    let bench = Bench::new().await;
    let kept = || {
        let of = |how: fn(&View, &Config) -> Result<Option<bool>, JournalError>| {
            bench.journal.read_here(|view| how(view, &bench.settings.config)).unwrap()
        };
        [of(settings::can_list), of(settings::can_list_as_last_told)]
    };
    assert_eq!(kept(), [None, None]);
    bench.look(Err(CallError::InvalidOrderId)).await;
    assert_eq!(kept(), [None, Some(false)]);
    assert_eq!(bench.look(Ok(Vec::new())).await.0, None, "the next process goes by its own answers");
    assert_eq!(kept(), [None, Some(false)]);
    bench.look(Ok(vec![told(1)])).await;
    assert_eq!(kept(), [Some(true); 2]);
    bench.journal.set_fact(LISTS_FACT, String::new()).await.unwrap();
    assert_eq!(kept(), [None, None], "that is over");
}

#[tokio::test]
async fn a_provider_that_listed_once_lists_after_a_restart_too() {
    let bench = Bench::new().await;
    assert_eq!(bench.look(Ok(vec![told(1)])).await, (Some(true), false));
    assert_eq!(bench.look(Err(CallError::InvalidOrderId)).await, (Some(true), false));
}

impl Bench {
    /// The texts of the open alarms of this name.
    fn alarms(&self, name: &str) -> Vec<String> {
        let alarms = self.journal.read_here(View::alarms).unwrap();
        alarms.into_iter().filter(|alarm| alarm.name == name).map(|alarm| alarm.text).collect()
    }
}

/// A stage at this bench, its clock's time, and what it finds out about listings.
fn stage_at(bench: &Bench) -> (Settle, Arc<AtomicI64>, watch::Receiver<Option<bool>>) {
    let now = Arc::new(AtomicI64::new(bench.clock.now().millis()));
    let of = Arc::clone(&now);
    let clock = Clock::from_fn(move || Timestamp::from_millis(of.load(Ordering::SeqCst)));
    let settings = watch::channel(Arc::clone(&bench.settings)).1;
    let provider = Arc::clone(&bench.provider);
    let (tell, can_list) = watch::channel(None);
    (Settle::new(bench.journal.clone(), provider, clock, settings, tell, Arc::default()), now, can_list)
}

/// Looks every five minutes, with these answers.
async fn look_on(bench: &Bench, settle: &mut Settle, now: &AtomicI64, listing: Listing, looks: u32) {
    *bench.provider.0.lock().unwrap() = listing;
    for _ in 0..looks {
        now.fetch_add(300_000, Ordering::SeqCst);
        settle.unit().await.unwrap();
    }
}

#[tokio::test]
async fn a_provider_that_lists_no_more_is_told_of_and_never_probed_by_that() {
    let refused = Err(CallError::Refused("Something went wrong".to_owned()));
    let unreachable = Err(CallError::Unreachable("no route".to_owned()));
    for (fails, says_what_to_set) in [
        (Err(CallError::InvalidOrderId), true),
        (refused, true),
        (Ok(Vec::new()), true),
        (unreachable, false),
    ] {
        let bench = Bench::new().await;
        let (mut settle, now, can_list) = stage_at(&bench);
        look_on(&bench, &mut settle, &now, Ok(vec![told(1)]), 1).await;
        look_on(&bench, &mut settle, &now, fails.clone(), 6).await;
        assert!(bench.alarms("listing").is_empty(), "{fails:?}: half an hour isn't over");
        look_on(&bench, &mut settle, &now, fails.clone(), 9).await;
        let alarms = bench.alarms("listing");
        let [text] = &alarms[..] else { panic!("{fails:?}: {alarms:?}") };
        assert!(text.contains("reconcile/"), "{text}");
        assert_eq!(text.contains("list_recent = \"no\""), says_what_to_set, "{text}");
        assert_eq!(*can_list.borrow(), Some(true), "nothing is concluded from it");
        let doubts = bench.journal.read(|view| view.doubts("reseller")).await.unwrap();
        assert!(doubts.iter().all(|doubt| !doubt.probe_asked && doubt.state == State::InDoubt));
        look_on(&bench, &mut settle, &now, Ok(vec![told(1)]), 1).await;
        assert!(bench.alarms("listing").is_empty(), "{fails:?}: it lists again");
    }
}

#[tokio::test]
async fn the_first_doubt_of_an_account_is_an_alarm_with_its_mend_until_it_is_settled() {
    let bench = Bench::new().await;
    let (mut settle, now, _) = stage_at(&bench);
    look_on(&bench, &mut settle, &now, Ok(vec![told(1)]), 4).await;
    let alarms = bench.alarms("no_proof");
    let [text] = &alarms[..] else { panic!("{alarms:?}") };
    assert!(text.starts_with("1 order in doubt waits") && text.contains("reconcile/"), "{text}");
    let (mut next, now, _) = stage_at(&bench);
    look_on(&bench, &mut next, &now, Ok(vec![told(1)]), 2).await;
    assert_eq!(bench.alarms("no_proof").len(), 1, "the next process says it no second time");
    let own = ProviderOrder { imei: Some(imei(2)), ..told(2) };
    look_on(&bench, &mut next, &now, Ok(vec![own, told(1)]), 4).await;
    assert!(bench.alarms("no_proof").is_empty(), "it is found");
}
