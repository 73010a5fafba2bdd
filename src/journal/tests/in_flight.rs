//! Calls that hang, and what a listing shows of them meanwhile.

use super::*;

const HANGS: Duration = Duration::from_secs(30);

impl Bench {
    /// An older order of ours, and one whose call is on its way for so long.
    async fn with_one_on_its_way(&self, time: Duration) -> (AttemptTicket, OrderId) {
        self.batch("stock", &imeis(3)).await;
        self.order_one(10).await;
        let ticket = self.claim(1).await.pop().unwrap();
        let order = ticket.order().unwrap();
        self.pass(time);
        (ticket, order)
    }

    fn listed(&self, id: u64) -> Vec<ProviderOrder> {
        vec![
            self.told(id, imei(1), ProviderStatus::Pending),
            self.told(10, imei(0), ProviderStatus::Completed),
        ]
    }

    /// The ids that are to be looked up before anything else.
    fn to_look_up(&self) -> Vec<u64> {
        let doubts = self.journal.read_here(|view| view.doubts("main")).unwrap();
        doubts.iter().flat_map(|doubt| &doubt.told).map(|id| id.0).collect()
    }
}

#[tokio::test]
async fn what_is_listed_while_a_call_hangs_is_looked_up_once_it_is_in_doubt() {
    let bench = Bench::new().await;
    let (ticket, order) = bench.with_one_on_its_way(HANGS).await;
    for _ in 0..2 {
        assert_eq!(bench.judge(bench.listed(15)).await, 0);
        assert_eq!(bench.state(order), State::Submitting, "the call's own answer decides");
        bench.check_books();
    }
    // What it was pushed out by is all that is listed from here on.
    bench.finish(ticket, unclear()).await;
    assert_eq!(bench.to_look_up(), [15]);
    bench.look_up(order, &[15]).await;
    assert_eq!(bench.state(order), State::Ordered);
    assert_eq!(bench.number("SELECT count(*) FROM charges"), 2);
    bench.check_books();
}

#[tokio::test]
async fn it_is_looked_up_after_a_crash_too() {
    let bench = Bench::new().await;
    let (ticket, order) = bench.with_one_on_its_way(HANGS).await;
    bench.judge(bench.listed(15)).await;
    let Bench { _folder, path, journal, now, service, rules } = bench;
    // As a killed process does, it tells the journal nothing more of its call.
    std::mem::forget(ticket);
    drop(journal);
    let bench = Bench { _folder, journal: started(&path), path, now, service, rules };
    bench.journal.recover(bench.now(), (*bench.rules).clone()).await.unwrap();
    assert_eq!((bench.state(order), bench.to_look_up()), (State::InDoubt, vec![15]));
}

#[tokio::test]
async fn nothing_is_concluded_of_a_call_on_its_way_from_what_is_not_listed() {
    let bench = Bench::new().await;
    let (ticket, order) = bench.with_one_on_its_way(QUIET).await;
    bench.order_one(20).await;
    let listing = vec![
        bench.told(20, imei(2), ProviderStatus::Pending),
        bench.told(10, imei(0), ProviderStatus::Completed),
    ];
    for _ in 0..3 {
        bench.judge(listing.clone()).await;
        bench.pass(QUIET);
    }
    assert_eq!(bench.number("SELECT count(*) FROM orders WHERE absent_since IS NOT NULL"), 0);
    assert_eq!(bench.state(order), State::Submitting);
    bench.finish(ticket, unclear()).await;
    bench.judge(listing).await;
    assert_eq!((bench.state(order), bench.to_look_up()), (State::InDoubt, vec![]));
}

#[tokio::test]
async fn only_an_order_that_it_can_be_is_remembered_and_only_of_a_call_that_hangs() {
    let almost = HANGS - Duration::from_millis(1);
    for (what, time, id, title) in [
        ("it doesn't hang", almost, 15, "iPhone Check"),
        ("an id that was known before", HANGS, 9, "iPhone Check"),
        ("another service", HANGS, 15, "Samsung Check"),
    ] {
        let bench = Bench::new().await;
        let (ticket, _) = bench.with_one_on_its_way(time).await;
        let mut listing = bench.listed(id);
        listing[0].package = title.to_owned();
        bench.judge(listing).await;
        bench.finish(ticket, unclear()).await;
        assert!(bench.to_look_up().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn a_call_that_is_answered_after_all_is_what_its_answer_says() {
    for id in [15, 16] {
        let bench = Bench::new().await;
        let (ticket, order) = bench.with_one_on_its_way(HANGS).await;
        bench.judge(bench.listed(15)).await;
        bench.finish(ticket, Placed::Taken(ProviderOrderId(id))).await;
        let own = format!("SELECT provider_id FROM orders WHERE id = {order}");
        assert_eq!((bench.state(order), bench.number(&own)), (State::Ordered, i64::try_from(id).unwrap()));
        assert_eq!(bench.number("SELECT count(*) FROM charges"), 2);
        bench.check_books();
    }
}

#[tokio::test]
async fn what_was_listed_while_a_call_hung_that_was_not_taken_is_nothing_of_the_next_ones() {
    let bench = Bench::new().await;
    let (ticket, order) = bench.with_one_on_its_way(HANGS).await;
    bench.judge(bench.listed(15)).await;
    bench.finish(ticket, Placed::NotTaken(NotTaken::NotSent("refused".to_owned()))).await;
    assert_eq!(bench.state(order), State::Queued);
    bench.pass(Duration::from_secs(3_600));
    let again = bench.claim(2).await;
    for ticket in again {
        bench.finish(ticket, unclear()).await;
    }
    assert_eq!((bench.state(order), bench.to_look_up()), (State::InDoubt, vec![]));
}

#[tokio::test]
async fn whoever_asks_what_is_open_is_told_of_calls_on_their_way() {
    let bench = Bench::new().await;
    let (ticket, order) = bench.with_one_on_its_way(HANGS).await;
    let since = Timestamp::from_millis(bench.now().millis() - i64::try_from(HANGS.as_millis()).unwrap());
    let told = |view: &View| {
        let elsewhere = view.unanswered_elsewhere("another")?.iter().map(|queue| queue.orders).sum::<u64>();
        Ok((view.in_flight_since()?, view.unfinished()?, elsewhere, view.unanswered_elsewhere("main")?.len()))
    };
    assert_eq!(bench.journal.read_here(told).unwrap(), (Some(since), 2, 2, 0));
    // As one that an export brought to an older copy: no row of a file tells of it.
    bench.journal.set_fact(super::super::restore::WAS_COPY, "another".to_owned()).await.unwrap();
    let move_to = |batch: BatchId| {
        let sql = format!("UPDATE orders SET batch = {} WHERE id = {order}", batch.0);
        bench.journal.write(move |tx| tx.execute(&sql, []))
    };
    let batch = BatchId(bench.number(&format!("SELECT batch FROM orders WHERE id = {order}")));
    let submitting = || bench.journal.read_here(View::order_counts).unwrap().submitting;
    let of_rows = submitting();
    move_to(BatchId(0)).await.unwrap();
    assert_eq!((of_rows, submitting()), (1, 2), "its row is counted still");
    move_to(batch).await.unwrap();
    bench.finish(ticket, Placed::Taken(ProviderOrderId(11))).await;
    assert_eq!(bench.journal.read_here(told).unwrap(), (None, 2, 2, 0));
}

#[tokio::test]
async fn no_first_probe_is_asked_for_while_a_call_is_on_its_way() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    let ticket = bench.claim(1).await.pop().unwrap();
    let is_asked = || bench.number(&format!("SELECT probe_ok FROM orders WHERE id = {doubt}"));
    bench.tend(vec![doubt]).await;
    assert_eq!(is_asked(), 0, "the balance can fall by the other one meanwhile");
    bench.finish(ticket, Placed::Taken(ProviderOrderId(10))).await;
    bench.tend(vec![doubt]).await;
    assert_eq!(is_asked(), 1);
}
