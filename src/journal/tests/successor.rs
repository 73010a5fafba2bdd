//! What the original of an older copy made after an order that hasn't ended in the copy, or is answered there.

use super::exports::{COMPLETED, PENDING};
use super::*;

impl Bench {
    /// A copy that knows an order as taken, with this id, at the first of these times, and waits since the second.
    async fn copy_of_ordered(self) -> (Self, Timestamp, Timestamp) {
        self.batch("stock", &imeis(1)).await;
        let ordered = self.now();
        self.order_one(10).await;
        self.pass(QUIET * 2);
        let bench = self.put_back().await;
        bench.start(None).await;
        let waits_since = bench.now();
        bench.pass(QUIET);
        (bench, ordered, waits_since)
    }

    async fn keep(&self, rows: &[ExportRow]) -> Vec<u64> {
        let (now, rules) = (self.now(), (*self.rules).clone());
        let kept = self.journal.keep_successor(rows.to_vec(), now, rules).await.unwrap();
        self.recount();
        kept
    }

    async fn resume(&self) {
        self.pass(QUIET);
        assert!(self.said(Said::Resume, Target::Everything).await.done);
    }
}

#[tokio::test]
async fn what_the_original_made_after_an_order_in_work_is_taken_for_ours_once_that_is_given_back() {
    let (bench, ordered, since) = Bench::new().await.copy_of_ordered().await;
    let before = bench.current(0);
    assert!(bench.keep(&[bench.row(0, PENDING, ordered)]).await.is_empty(), "it is the order that is known");
    let not_placed = ExportRow { placed: None, ..bench.row(0, PENDING, since) };
    assert!(bench.keep(&[not_placed]).await.is_empty(), "it can be any order");
    let anew = bench.row(0, PENDING, since);
    let more = ExportRow { line: 9, ..bench.row(0, PENDING, since.plus(QUIET)) };
    assert_eq!(bench.keep(&[anew.clone(), more]).await, [anew.line], "one of them, the other is told of");
    assert_eq!(bench.keep(std::slice::from_ref(&anew)).await, [anew.line], "read again");
    assert_eq!(bench.number("SELECT count(*) FROM events WHERE what = 'ordered anew since'"), 1);
    assert_eq!(bench.current(0), before, "that one hasn't ended");
    bench.resume().await;
    bench.reject(before, 10, 0).await;
    assert_ne!(bench.current(0), before);
    assert_eq!(bench.state(bench.current(0)), State::OrderedNoId);
    let said = bench.said_of(Said::Retry, 0).await;
    assert!(!said.done, "{said:?}");
    let again = bench.batch("again", &imeis(1)).await;
    assert!(bench.claim(1).await.is_empty(), "it is paid for again");
    assert_eq!(bench.tallies(again), [(TallyState::Order(State::OrderedNoId), Link::Own, 1)]);
    bench.recount();
}

#[tokio::test]
async fn the_result_of_what_the_original_made_after_an_order_in_work_answers_the_next_file() {
    let (bench, _, since) = Bench::new().await.copy_of_ordered().await;
    let before = bench.current(0);
    let pending = bench.row(0, PENDING, since);
    bench.keep(std::slice::from_ref(&pending)).await;
    bench.resume().await;
    // A later export tells its end; another order is none of what was kept.
    let told = ExportRow { raw: "finished".to_owned(), ..bench.row(0, COMPLETED, since) };
    let other = ExportRow { line: 9, ..bench.row(0, COMPLETED, since.plus(QUIET)) };
    assert_eq!(bench.keep(&[told.clone(), other]).await, [told.line]);
    bench.keep(&[pending]).await;
    bench.reject(before, 10, 0).await;
    assert_eq!(bench.state(bench.current(0)), State::OrderedElsewhere);
    let again = bench.batch("again", &imeis(1)).await;
    assert!(bench.claim(1).await.is_empty(), "it is paid for again");
    assert_eq!(bench.tallies(again), [(TallyState::Duplicate, Link::Earlier, 1)]);
    bench.recount();
}

#[tokio::test]
async fn nothing_is_kept_where_no_copy_waits() {
    let (bench, _, since) = Bench::new().await.copy_of_ordered().await;
    bench.resume().await;
    assert!(bench.keep(&[bench.row(0, PENDING, since)]).await.is_empty());
}

#[tokio::test]
async fn an_answer_turned_into_a_rejection_is_not_made_anew_where_the_original_had_done_so() {
    let (bench, _, since) = Bench::new().await.copy_of_ordered().await;
    let before = bench.current(0);
    bench.tell(before, crate::order::Event::Status(ProviderStatus::Completed)).await;
    bench.keep(&[bench.row(0, PENDING, since)]).await;
    bench.resume().await;
    bench.tell(before, crate::order::Event::Status(ProviderStatus::Rejected)).await;
    let said = bench.said_of(Said::Retry, 0).await;
    assert!(!said.done && said.text.contains("ordered anew already"), "{said:?}");
    assert_eq!(bench.state(bench.current(0)), State::OrderedNoId);
    assert!(bench.claim(1).await.is_empty(), "it is paid for again");
    bench.recount();
}

#[tokio::test]
async fn an_answer_that_the_original_renewed_is_not_renewed_again_before_that_one_is_as_old() {
    let (bench, ordered, since) = Bench::new().await.copy_of_ordered().await;
    bench.tell(bench.current(0), crate::order::Event::Status(ProviderStatus::Completed)).await;
    bench.keep(&[bench.row(0, PENDING, since.plus(QUIET * 9))]).await;
    bench.resume().await;
    let link = async |stem: &str, finished_before: Timestamp| {
        let (batch, _) = bench.journal.begin_batch(bench.new_batch(stem, 1), bench.now()).await.unwrap();
        let wanted = vec![OrderFor { imei: imei(0), row: 1 }];
        let linked =
            bench.journal.link_orders(batch, bench.service, wanted, Some(finished_before)).await.unwrap();
        linked[0].link
    };
    assert_eq!(link("early", ordered).await, Link::Earlier, "it isn't old");
    assert_eq!(link("old", since.plus(QUIET * 8)).await, Link::Earlier, "the one made since isn't");
    assert_eq!(link("older", since.plus(QUIET * 10)).await, Link::Own, "both are");
}
