//! What comes after a file is out lets it come out again, once, whole and only then.

use super::*;
use crate::order::Event;

impl Bench {
    fn work(&self, batch: BatchId) -> BatchWork {
        self.journal.read_here(|view| view.batch(batch)).unwrap().unwrap()
    }

    fn busy(&self) -> Vec<BatchId> {
        let busy = self.journal.read_here(View::busy_batches).unwrap();
        busy.into_iter().map(|batch| batch.id).collect()
    }

    /// An order of a batch that is out, its attempt released before it was taken with id 20.
    async fn released_and_out(&self) -> (BatchId, OrderId) {
        let batch = self.batch("stock", &imeis(1)).await;
        let order = self.doubt_one().await;
        self.pass(QUIET);
        self.said_of(Said::NotOrdered, 0).await;
        assert_eq!(self.order_one(20).await, order);
        self.tell(order, Event::Status(ProviderStatus::Completed)).await;
        self.publish(batch, true).await;
        (batch, order)
    }
}

#[tokio::test]
async fn a_second_charge_of_a_row_that_is_out_lets_its_file_come_out_again() {
    let bench = Bench::new().await;
    let (batch, order) = bench.released_and_out().await;
    bench.tell(order, Event::LateId(ProviderOrderId(15))).await;
    let work = bench.work(batch);
    assert_eq!((work.state, work.open_rows(), bench.busy()), (BatchState::Published, 0, vec![batch]));
    assert_eq!(bench.row_of(batch, 1).order.unwrap().charges, 2);
    bench.publish(batch, true).await;
    bench.tell(order, Event::Status(ProviderStatus::Completed)).await;
    assert!(bench.busy().is_empty(), "what is known changes nothing");
    bench.recount();
}

#[tokio::test]
async fn a_cancelled_row_that_turns_out_to_be_ordered_is_waited_for() {
    let bench = Bench::new().await;
    let first = bench.batch("stock", &imeis(1)).await;
    let order = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.said_of(Said::NotOrdered, 0).await;
    bench.said(Said::Cancel, Target::batch(first)).await;
    bench.publish(first, true).await;
    let second = bench.batch("again", &imeis(1)).await;
    bench.publish(second, true).await;
    bench.tell(order, Event::LateId(ProviderOrderId(15))).await;
    bench.recount();
    assert_eq!(bench.busy(), [first, second]);
    assert_eq!((bench.work(first).open_rows(), bench.work(second).open_rows()), (1, 1));
    bench.tell(order, Event::Status(ProviderStatus::Completed)).await;
    bench.recount();
    for (batch, state, link) in
        [(first, BatchState::Cancelled, Link::Own), (second, BatchState::Done, Link::Joined)]
    {
        assert_eq!(bench.tallies(batch), [(TallyState::Order(State::Completed), link, 1)]);
        bench.publish(batch, true).await;
        assert_eq!(bench.work(batch).state, state);
    }
}

#[tokio::test]
async fn an_answer_from_an_export_reaches_the_rows_that_are_out() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    bench.finish(ticket, Placed::AlreadyExists).await;
    bench.publish(batch, true).await;
    let row = || bench.row(0, 2, Timestamp::from_millis(5));
    bench.journal.sort_export(vec![row()], bench.now(), (*bench.rules).clone()).await.unwrap();
    assert_eq!(bench.busy(), [batch]);
    assert_eq!(bench.tallies(batch), [(TallyState::Duplicate, Link::Own, 1)]);
    bench.publish(batch, true).await;
    bench.journal.sort_export(vec![row()], bench.now(), (*bench.rules).clone()).await.unwrap();
    assert!(bench.busy().is_empty(), "the same again");
}

#[tokio::test]
async fn what_a_reader_need_not_act_on_lets_nothing_come_out_again() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    let batch = BatchId(1);
    for (n, id) in [(2, 30), (3, 31)] {
        let ordered = bench.order_one(id).await;
        assert_eq!(ordered, bench.current(n));
    }
    for order in 1..=4 {
        bench.tell(OrderId(order), Event::Status(ProviderStatus::Completed)).await;
    }
    bench.publish(batch, true).await;
    bench.tell(order, Event::Status(ProviderStatus::Completed)).await;
    assert!(bench.busy().is_empty());
}

#[tokio::test]
async fn a_presumed_charge_that_is_disproved_lets_its_file_come_out_again_once() {
    let bench = Bench::new().await;
    bench.journal.probes_are_refused("main".to_owned(), bench.now()).await.unwrap();
    let (batch, presumed) = (BatchId(1), bench.with_presumed().await);
    let also = {
        let doubt = bench.doubt_one().await;
        bench.pass(QUIET);
        bench.tend(vec![doubt]).await;
        assert_eq!(bench.order_one(30).await, doubt);
        doubt
    };
    bench.order_one(31).await;
    for order in 1..=4 {
        bench.tell(OrderId(order), Event::Status(ProviderStatus::Completed)).await;
    }
    bench.publish(batch, true).await;
    let proven = crate::order::Absence { twice: true, whole: true, reaches_back: true, fresh: true };
    for order in [presumed, also] {
        bench.tell(order, Event::Cleared(proven)).await;
        assert_eq!(bench.presumed(order), 0);
    }
    assert_eq!(bench.busy(), [batch]);
    assert_eq!(bench.number("SELECT count(*) FROM events WHERE what = 'comes out again'"), 1);
    bench.publish(batch, true).await;
    bench.tell(presumed, Event::Cleared(proven)).await;
    assert!(bench.busy().is_empty(), "nothing of it was left");
}

#[tokio::test]
async fn a_change_while_a_file_is_written_lets_the_batch_come_out_again() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    let order = bench.order_one(20).await;
    bench.tell(order, Event::Status(ProviderStatus::Completed)).await;
    let out = async || {
        let (name, now) = ("stock.results.csv".to_owned(), bench.now());
        bench.journal.published(batch, name, true, now).await.unwrap()
    };
    // The first file, and one of a batch that comes out again already.
    for (id, charges) in [(15, 1), (16, 2)] {
        bench.journal.begin_file(batch).await.unwrap();
        assert_eq!(bench.row_of(batch, 1).order.unwrap().charges, charges);
        bench.tell(order, Event::LateId(ProviderOrderId(id))).await;
        assert_eq!(out().await, CameOut::Outdated);
        assert_eq!((bench.work(batch).state, bench.busy()), (BatchState::Published, vec![batch]));
    }
    bench.journal.begin_file(batch).await.unwrap();
    assert_eq!(out().await, CameOut::Whole);
    assert!(bench.busy().is_empty());
    assert_eq!(bench.number("SELECT count(*) FROM facts WHERE key LIKE 'changed%'"), 0);
}

#[tokio::test]
async fn what_is_ordered_anew_and_ends_while_a_file_is_written_comes_out_again() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    let order = bench.order_one(20).await;
    bench.tell(order, Event::Status(ProviderStatus::Rejected)).await;
    bench.journal.begin_file(batch).await.unwrap();
    bench.said_of(Said::Retry, 0).await;
    let anew = bench.order_one(21).await;
    bench.tell(anew, Event::Status(ProviderStatus::Completed)).await;
    let name = "stock.results.csv".to_owned();
    let out = bench.journal.published(batch, name, true, bench.now()).await.unwrap();
    assert_eq!((out, bench.work(batch).open_rows()), (CameOut::Outdated, 0));
}

/// Two files of an IMEI that was ordered before, by no order of ours, one after the other; both are out.
async fn elsewhere_twice(bench: &Bench) -> [BatchId; 2] {
    let mut batches = [BatchId(0); 2];
    for (batch, stem) in batches.iter_mut().zip(["first", "second"]) {
        *batch = bench.batch(stem, &imeis(1)).await;
        let ticket = bench.claim(1).await.pop().unwrap();
        bench.finish(ticket, Placed::AlreadyExists).await;
        bench.publish(*batch, true).await;
    }
    batches
}

#[tokio::test]
async fn an_answer_from_an_export_reaches_every_file_that_was_refused_for_it() {
    for is_cancelled in [false, true] {
        let bench = Bench::new().await;
        let batches = elsewhere_twice(&bench).await;
        if is_cancelled {
            bench.batch("third", &imeis(1)).await;
            bench.said_of(Said::Cancel, 0).await;
        }
        let at = bench.now();
        bench.sort(vec![bench.row(0, 1, at)]).await;
        assert!(!bench.busy().contains(&batches[0]), "it isn't finished");
        for (status, end) in [(3, TallyState::Order(State::Rejected)), (2, TallyState::Duplicate)] {
            bench.sort(vec![bench.row(0, status, at)]).await;
            for batch in batches {
                assert!(bench.busy().contains(&batch), "{batch} comes out again");
                assert_eq!(bench.tallies(batch), [(end, Link::Own, 1)]);
                bench.publish(batch, true).await;
            }
        }
        bench.sort(vec![bench.row(0, 2, at)]).await;
        assert!(batches.iter().all(|batch| !bench.busy().contains(batch)), "the same again");
        bench.check_books();
    }
}

#[tokio::test]
async fn a_newer_answer_from_an_export_lets_its_file_come_out_again() {
    let bench = Bench::new().await;
    let batches = elsewhere_twice(&bench).await;
    for code in ["older", "newer"] {
        bench.pass(Duration::from_secs(60));
        bench.sort(vec![ExportRow { code: code.to_owned(), ..bench.row(0, 2, bench.now()) }]).await;
        assert_eq!(bench.busy(), batches, "{code}");
        for batch in batches {
            assert_eq!(bench.row_of(batch, 1).order.unwrap().code.as_deref(), Some(code));
            bench.publish(batch, true).await;
        }
    }
}

#[tokio::test]
async fn a_duplicate_of_what_was_given_back_is_ordered_anew_when_it_is_dropped_again() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let rejected = bench.order_one(17).await;
    bench.tell(rejected, Event::Status(ProviderStatus::Rejected)).await;
    bench.said_of(Said::Retry, 0).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    let duplicate = ticket.order().unwrap();
    bench.finish(ticket, Placed::AlreadyExists).await;
    assert_eq!(bench.state(duplicate), State::OrderedElsewhere);
    bench.batch("again", &imeis(1)).await;
    assert_eq!(bench.claim(1).await.len(), 1);
    bench.check_books();
}
