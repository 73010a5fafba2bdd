//! The workers' tasks, and what waits for them.

use super::*;
use crate::journal::AttemptTicket;
use crate::submit::queue::Queue;

/// Workers, and a batch's orders, claimed.
struct Bench {
    folder: tempfile::TempDir,
    journal: Journal,
    provider: Arc<Gated>,
    pool: Arc<Pool>,
    /// What isn't in the queue yet.
    tickets: Vec<AttemptTicket>,
    queue: Arc<Queue>,
    calls: TaskTracker,
}

impl Bench {
    async fn with(rows: u32, workers: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let (journal, request) = journal_with(folder.path(), rows, clock.now()).await;
        let provider = Gated::letting(0);
        let shared: Arc<dyn Provider> = Arc::clone(&provider) as Arc<dyn Provider>;
        let pool = Arc::new(Pool::new(journal.clone(), shared, clock.clone(), Arc::default()));
        pool.want(&SubmitConfig { workers, adaptive: false, ..one_worker() }, clock.now());
        let tickets = journal.begin_attempts(request, clock).await.unwrap().tickets;
        let (queue, calls) = (Arc::default(), TaskTracker::new());
        Self { folder, journal, provider, pool, tickets, queue, calls }
    }

    fn put(&mut self, attempts: usize) {
        for ticket in self.tickets.drain(..attempts) {
            self.pool.take_in();
            self.queue.put(ticket, true);
        }
    }

    fn begin(&self, workers: usize) {
        self.queue.begin(workers, &self.pool, &self.calls);
    }

    async fn until_begun(&self, calls: usize) {
        until("calls begin", || self.provider.begun.load(Ordering::SeqCst) == calls).await;
    }
}

#[tokio::test]
async fn a_task_goes_on_with_the_next_attempt_and_there_are_no_more_than_workers() {
    let mut bench = Bench::with(5, 2).await;
    bench.put(5);
    bench.begin(2);
    bench.begin(2);
    assert_eq!(bench.calls.len(), 2);
    for ended in 0..3 {
        bench.until_begun(2 + ended).await;
        bench.provider.may_end.add_permits(1);
    }
    bench.until_begun(5).await;
    assert_eq!(bench.calls.len(), 2, "nobody had to begin another");
    bench.provider.may_end.add_permits(2);
    until("the tasks end", || bench.calls.is_empty()).await;
    bench.pool.all_recorded().await;
    assert_eq!(bench.journal.read_here(crate::journal::View::order_counts).unwrap().ordered, 5);
}

#[tokio::test]
async fn what_is_put_in_once_the_tasks_have_ended_has_another_begun() {
    let mut bench = Bench::with(2, 1).await;
    bench.provider.may_end.add_permits(2);
    for _ in 0..2 {
        bench.put(1);
        bench.begin(1);
        until("the task ends", || bench.calls.is_empty()).await;
    }
    bench.until_begun(2).await;
}

#[tokio::test]
async fn another_task_takes_the_place_of_one_that_panicked() {
    let mut bench = Bench::with(2, 1).await;
    bench.put(2);
    // To wait for a permit of it panics.
    bench.provider.may_end.close();
    for begun in 1..=2 {
        bench.begin(1);
        bench.until_begun(begun).await;
        until("its task ends", || bench.calls.is_empty()).await;
    }
}

#[tokio::test]
async fn at_a_stop_what_waits_goes_back_at_once_however_long_the_call_beside_it_takes() {
    let mut bench = Bench::with(3, 1).await;
    bench.put(3);
    // Of these two tasks one waits for a slot, and one attempt for a task.
    bench.begin(2);
    bench.until_begun(1).await;
    bench.pool.close();
    bench.begin(usize::MAX);
    until("what waited has gone back", || bench.calls.len() == 1).await;
    let counts = bench.journal.read_here(crate::journal::View::order_counts).unwrap();
    assert_eq!((counts.queued, counts.submitting, counts.in_doubt), (2, 1, 0));
    bench.provider.may_end.add_permits(1);
    until("the call ends", || bench.calls.is_empty()).await;
    bench.pool.all_recorded().await;
    let counts = bench.journal.read_here(crate::journal::View::order_counts).unwrap();
    assert_eq!((counts.queued, counts.ordered, counts.in_doubt), (2, 1, 0));
}

#[tokio::test]
async fn a_journal_that_cant_be_written_keeps_no_stop_waiting_for_what_goes_back() {
    let mut bench = Bench::with(1, 1).await;
    bench.put(1);
    let locks = rusqlite::Connection::open(bench.folder.path().join("journal.db")).unwrap();
    locks.execute_batch("BEGIN IMMEDIATE").unwrap();
    bench.pool.close();
    bench.begin(usize::MAX);
    tokio::task::yield_now().await;
    assert_eq!(bench.calls.len(), 1, "it waits");
    bench.pool.abort();
    tokio::task::yield_now().await;
    assert!(bench.calls.is_empty());
    locks.execute_batch("ROLLBACK").unwrap();
}

#[tokio::test]
async fn a_stop_leaves_only_what_is_on_the_wire_on_its_way() {
    const WORKERS: usize = 2;
    const ENDED: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let (journal, _) = journal_with(folder.path(), 40, clock.now()).await;
    // Behind fast calls more is claimed than there are workers.
    let provider = Gated::letting(ENDED);
    let submit = stage(&journal, &provider, &clock, settings_with(&journal, WORKERS).await);
    let stop = CancellationToken::new();
    let running = tokio::spawn(submit.run(stop.clone()));
    let counts = || journal.read_here(crate::journal::View::order_counts).unwrap();
    let on_their_way = || usize::try_from(counts().submitting).unwrap();
    assert!(have_begun(&provider, ENDED + WORKERS).await);
    until("what ended is recorded", || usize::try_from(counts().ordered).unwrap() == ENDED).await;
    until("more is claimed", || on_their_way() > WORKERS).await;
    stop.cancel();
    until("the rest has gone back", || on_their_way() == WORKERS).await;
    assert_eq!(counts().in_doubt, 0);
    provider.may_end.add_permits(WORKERS);
    running.await.unwrap();
    assert_eq!(provider.begun.load(Ordering::SeqCst), ENDED + WORKERS, "nothing more was sent");
}
