//! What an export brings that is none of our orders.

use super::exports::{COMPLETED, PENDING, REJECTED};
use super::*;

#[tokio::test]
async fn what_was_ordered_by_hand_is_remembered_and_a_later_drop_is_answered_free() {
    let bench = Bench::new().await;
    let old = Timestamp::from_millis(5);
    let rows = vec![bench.row(0, COMPLETED, old), bench.row(1, REJECTED, old), bench.row(2, PENDING, old)];
    let sorted = bench.sort(rows).await;
    assert_eq!(sorted, [Sorted::Remembered, Sorted::Remembered, Sorted::Unfinished]);
    let batch = bench.batch("stock", &imeis(4)).await;
    bench.recount();
    assert_eq!(
        bench.tallies(batch),
        [
            (TallyState::Order(State::Queued), Link::Own, 2),
            (TallyState::Order(State::Rejected), Link::Earlier, 1),
            (TallyState::Duplicate, Link::Earlier, 1),
        ]
    );
    let tickets = bench.claim(9).await;
    let sent: Vec<Imei> = tickets.iter().map(|ticket| ticket.place_order().unwrap().imei).collect();
    assert_eq!(sent, [imei(2), imei(3)]);
    let shown = bench.row_of(batch, 1).order.unwrap();
    assert_eq!(
        (shown.has_result, shown.code.as_deref(), shown.charged),
        (true, Some("Model: 0"), Money::ZERO)
    );
}

#[tokio::test]
async fn a_queued_order_that_someone_had_ordered_by_hand_is_answered_and_not_sent() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(2)).await;
    assert_eq!(bench.sort(vec![bench.row(0, PENDING, bench.now())]).await, [Sorted::Unfinished]);
    assert_eq!(bench.sort(vec![bench.row(0, COMPLETED, bench.now())]).await, [Sorted::Remembered]);
    assert_eq!(
        bench.tallies(batch),
        [(TallyState::Order(State::Queued), Link::Own, 1), (TallyState::Duplicate, Link::Own, 1)]
    );
    assert_eq!(bench.claim(9).await.len(), 1);
}

#[tokio::test]
async fn what_someone_ordered_since_ours_was_given_back_answers_what_was_made_anew_and_not_sent() {
    let begin = async |is_made_anew: bool| {
        let bench = Bench::new().await;
        bench.batch("stock", &imeis(1)).await;
        let sent = bench.now();
        let order = bench.order_one(10).await;
        bench.reject(order, 10, 0).await;
        bench.pass(QUIET * 2);
        if is_made_anew {
            assert!(bench.said_of(Said::Retry, 0).await.done);
        }
        (bench, sent)
    };
    let answered = async |bench: &Bench, row: ExportRow| {
        let beyond = bench.beyond(std::slice::from_ref(&row)).await;
        assert_eq!(beyond, [row.line], "it is ours");
        let line = bench.journal.answer_unsent(vec![row], bench.now(), (*bench.rules).clone()).await.unwrap();
        bench.check_books();
        line.is_some()
    };
    let (bench, sent) = begin(true).await;
    let earlier = Timestamp::from_millis(sent.millis() - 60_000);
    for (status, at) in [(REJECTED, bench.now()), (PENDING, bench.now()), (COMPLETED, earlier)] {
        assert!(!answered(&bench, bench.row(0, status, at)).await, "{status} at {at}");
    }
    assert_eq!(bench.state(bench.current(0)), State::Queued);
    let row = bench.row(0, COMPLETED, bench.now());
    assert!(answered(&bench, row.clone()).await);
    assert_eq!(bench.state(bench.current(0)), State::OrderedElsewhere);
    assert!(bench.claim(9).await.is_empty(), "it is paid for");
    assert!(bench.beyond(&[row]).await.is_empty(), "read again it is known");
    let (bench, _) = begin(false).await;
    assert!(!answered(&bench, bench.row(0, COMPLETED, bench.now())).await, "nothing waits for it");
}

#[tokio::test]
async fn an_order_that_the_provider_had_already_gets_its_answer_from_the_export() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    bench.finish(ticket, Placed::AlreadyExists).await;
    let long_ago = Timestamp::from_millis(5);
    bench.sort(vec![bench.row(0, COMPLETED, long_ago)]).await;
    assert_eq!(bench.tallies(batch), [(TallyState::Duplicate, Link::Own, 1)]);
    // A newer answer takes its place, an older one or a rejection doesn't.
    for (status, at, code) in [(COMPLETED, 9, "newer"), (COMPLETED, 7, "older"), (REJECTED, 11, "rejected")] {
        let row = bench.row(0, status, Timestamp::from_millis(at));
        bench.sort(vec![ExportRow { code: code.into(), ..row }]).await;
    }
    assert_eq!(bench.row_of(batch, 1).order.unwrap().code.as_deref(), Some("newer"));
}

#[tokio::test]
async fn an_order_of_a_file_that_is_being_taken_in_waits_for_its_row() {
    let bench = Bench::new().await;
    let (batch, _) = bench.journal.begin_batch(bench.new_batch("stock", 1), bench.now()).await.unwrap();
    let wanted = vec![OrderFor { imei: imei(0), row: 1 }];
    bench.journal.link_orders(batch, bench.service, wanted, None).await.unwrap();
    bench.sort(vec![bench.row(0, COMPLETED, bench.now())]).await;
    let rules = || (*bench.rules).clone();
    assert_eq!(bench.journal.use_kept_rows(bench.now(), rules()).await.unwrap(), 1);
    bench.fill(batch, &imeis(1)).await;
    bench.journal.open_batch(batch, bench.now()).await.unwrap();
    assert_eq!(bench.journal.use_kept_rows(bench.now(), rules()).await.unwrap(), 0);
    assert_eq!(bench.tallies(batch), [(TallyState::Duplicate, Link::Own, 1)]);
    bench.recount();
}

#[tokio::test]
async fn what_was_cancelled_unsent_makes_room_for_an_answer_from_elsewhere() {
    let bench = Bench::new().await;
    let first = bench.batch("first", &imeis(1)).await;
    bench.said_of(Said::Cancel, 0).await;
    assert_eq!(bench.sort(vec![bench.row(0, COMPLETED, bench.now())]).await, [Sorted::Remembered]);
    let second = bench.batch("second", &imeis(1)).await;
    assert_eq!(bench.tallies(first), [(TallyState::Order(State::Cancelled), Link::Own, 1)]);
    assert_eq!(bench.tallies(second), [(TallyState::Duplicate, Link::Earlier, 1)]);
    assert!(bench.claim(9).await.is_empty());
}
