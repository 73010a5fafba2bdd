//! Wakes without which a loop would sleep on.

use std::sync::atomic::AtomicI64;
use std::task::Poll;

use super::super::retry;
use super::*;

#[tokio::test]
async fn a_pause_that_begins_while_none_is_tried_wakes_whoever_tries_pauses() {
    let folder = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(1_000_000));
    let of = Arc::clone(&now);
    let clock = Clock::from_fn(move || Timestamp::from_millis(of.load(Ordering::SeqCst)));
    let (journal, _) = journal_with(folder.path(), 1, clock.now()).await;
    let provider: Arc<dyn Provider> =
        Arc::new(Gated { begun: AtomicUsize::new(0), may_end: Semaphore::new(0) });
    let pool = Arc::new(Pool::new(journal.clone(), Arc::clone(&provider), clock.clone(), Arc::default()));
    let (_reload, settings) = watch::channel(settings_with(&journal, 1).await);
    let mut trying = std::pin::pin!(retry::run(journal.clone(), provider, clock.clone(), settings, pool));
    // It looks, finds nothing to try, and sleeps for long.
    assert!(std::future::poll_fn(|context| Poll::Ready(trying.as_mut().poll(context).is_pending())).await);
    journal.pause(Scope::All, PauseReason::Credit, "none".to_owned(), clock.now()).await.unwrap();
    now.fetch_add(60_000, Ordering::SeqCst);
    let is_tried = async {
        while !journal.pauses().await.unwrap().iter().any(|pause| pause.one) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let looks = async {
        tokio::select! {
            () = trying => {}
            () = is_tried => {}
        }
    };
    assert!(tokio::time::timeout(LOOK_AGAIN / 3, looks).await.is_ok(), "it sleeps on");
}

#[tokio::test]
async fn the_last_answers_commit_waits_for_nothing_that_could_come() {
    const PATIENCE: Duration = Duration::from_secs(60);
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let (journal, request) = journal_with(folder.path(), 2, clock.now()).await;
    let pool = Pool::new(journal.clone(), Gated::letting(2), clock.clone(), Arc::default());
    let tickets = journal.begin_attempts(request, clock.clone()).await.unwrap().tickets;
    pool.want(&one_worker(), clock.now());
    journal.linger(2 * PATIENCE);
    tickets.iter().for_each(|_| pool.take_in());
    for ticket in tickets {
        pool.work(ticket, true).await;
    }
    tokio::time::timeout(PATIENCE, pool.all_recorded()).await.expect("both are on disk at once");
}
