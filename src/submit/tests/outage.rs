//! What the workers do, and what people are shown, while the provider answers nothing.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64};

use super::super::retry;
use super::*;
use crate::meter::Cause;
use crate::types::Unclear;

/// Answers no order. Whether it answers questions is the test's.
#[derive(Default)]
struct Out {
    answers: AtomicBool,
    /// Which of the orders went apart.
    apart: Mutex<Vec<bool>>,
}

fn away<T>() -> Result<T, CallError> {
    Err(CallError::Http(502))
}

impl Provider for Out {
    fn address(&self) -> Option<&str> {
        Some("https://provider.test")
    }

    fn place<'a>(&'a self, order: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        self.apart.lock().unwrap().push(order.apart);
        let what = "HTTP 502".to_owned();
        let outcome = Placed::Unclear(Unclear { what, ids: Vec::new(), retry_after: None });
        Box::pin(async { Reply { outcome, http: Some(502), body: Vec::new() } })
    }

    fn orders<'a>(
        &'a self,
        _ids: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(async { away() })
    }

    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(async { away() })
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        Box::pin(async { away() })
    }

    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        let answers = self.answers.load(Ordering::SeqCst);
        let account = AccountInfo { balance: None, credits_raw: String::new() };
        Box::pin(async move { if answers { Ok(account) } else { away() } })
    }
}

#[tokio::test]
async fn an_outage_is_shown_with_its_reason_and_ends_with_the_first_question_that_is_answered_again() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(1_000_000));
    let of = Arc::clone(&now);
    let clock = Clock::from_fn(move || Timestamp::from_millis(of.load(Ordering::SeqCst)));
    let (journal, request) = journal_with(folder.path(), 8, clock.now()).await;
    let provider = Arc::new(Out::default());
    let meter = Arc::new(Meter::default());
    let shared: Arc<dyn Provider> = Arc::clone(&provider) as Arc<dyn Provider>;
    let pool = Pool::new(journal.clone(), shared, clock.clone(), Arc::clone(&meter));
    assert_eq!(meter.standstill(clock.now()), None);
    let send_one = || async {
        let request = ClaimRequest { want: 1, ..request.clone() };
        let ticket = journal.begin_attempts(request, clock.clone()).await.unwrap().tickets.pop().unwrap();
        pool.take_in();
        pool.work(ticket, true).await;
    };
    // One after the other, until the next one is seconds away.
    let far = |now: Timestamp| pool.opens_at(now).is_some_and(|at| at.since(now) > Duration::from_secs(6));
    while !far(clock.now()) {
        if let Some(opens) = pool.opens_at(clock.now()) {
            now.store(opens.millis(), Ordering::SeqCst);
        }
        pool.want(&one_worker(), clock.now());
        send_one().await;
    }
    let apart = || std::mem::take(&mut *provider.apart.lock().unwrap());
    assert_eq!(apart(), [false, false, false], "three fail, and it is an outage");
    pool.look_if_due().await;
    let shown = meter.standstill(clock.now()).unwrap();
    assert_eq!((shown.cause, shown.why.as_str()), (Cause::Outage, "HTTP 502"));
    assert!(shown.since.is_some() && shown.next_try.is_some(), "{shown:?}");
    assert_eq!(pool.want(&one_worker(), clock.now()), 0, "it is out for questions too");
    provider.answers.store(true, Ordering::SeqCst);
    pool.look_if_due().await;
    assert_eq!(pool.want(&one_worker(), clock.now()), 0, "one every few seconds");
    now.fetch_add(5_000, Ordering::SeqCst);
    assert_eq!(pool.want(&one_worker(), clock.now()), 0, "by itself an order goes later");
    assert!(has_rung(&pool).await && !has_rung(&pool).await, "the orders that ended have rung");
    pool.look_if_due().await;
    assert_eq!(pool.want(&one_worker(), clock.now()), 1);
    assert_eq!(meter.standstill(clock.now()).unwrap().next_try, None, "it is being tried");
    assert!(has_rung(&pool).await, "whoever claims is told");
    send_one().await;
    assert_eq!(apart(), [true], "what finds out has a connection of its own");
}

/// Whether the pool has rung for whoever claims.
async fn has_rung(pool: &Pool) -> bool {
    tokio::select! {
        biased;
        () = pool.freed() => true,
        () = tokio::task::yield_now() => false,
    }
}

/// Goes on sending, one order after the other, until the provider is found out.
async fn send_until_out(pool: &Pool, journal: &Journal, request: &ClaimRequest, clock: &Clock) {
    while pool.alarm_due_in().is_none() {
        pool.want(&one_worker(), clock.now());
        let request = ClaimRequest { want: 1, ..request.clone() };
        let ticket = journal.begin_attempts(request, clock.clone()).await.unwrap().tickets.pop().unwrap();
        pool.take_in();
        pool.work(ticket, true).await;
    }
}

#[tokio::test]
async fn a_provider_that_is_away_is_an_alarm_after_a_minute_and_not_only_at_the_next_look() {
    let folder = tempfile::tempdir().unwrap();
    let ahead = Arc::new(AtomicI64::new(1_000_000));
    let (of, began) = (Arc::clone(&ahead), tokio::time::Instant::now());
    let clock =
        Clock::from_fn(move || Timestamp::from_millis(of.load(Ordering::SeqCst)).plus(began.elapsed()));
    let (journal, request) = journal_with(folder.path(), 8, clock.now()).await;
    let settings = watch::channel(settings_with(&journal, 1).await).1;
    let provider: Arc<dyn Provider> = Arc::new(Out::default());
    let meter = Arc::new(Meter::default());
    let pool = Arc::new(Pool::new(journal.clone(), Arc::clone(&provider), clock.clone(), meter));
    send_until_out(&pool, &journal, &request, &clock).await;
    // It looks half a second before the minute is over, and then, with nothing due, 30 s later.
    let left = pool.alarm_due_in().unwrap() - Duration::from_millis(500);
    ahead.fetch_add(i64::try_from(left.as_millis()).unwrap(), Ordering::SeqCst);
    let tells = retry::run(journal.clone(), provider, clock, settings, Arc::clone(&pool));
    let is_told = async {
        while !journal.unrecorded().contains_key("provider") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let told = async {
        tokio::select! {
            () = tells => {}
            () = is_told => {}
        }
    };
    assert!(tokio::time::timeout(LOOK_AGAIN / 3, told).await.is_ok(), "it comes with the next look");
    assert_eq!(pool.alarm_due_in(), None, "it is told");
    let text = journal.unrecorded().remove("provider").unwrap();
    assert!(text.starts_with("the provider (https://provider.test) doesn't answer orders since "), "{text}");
}
