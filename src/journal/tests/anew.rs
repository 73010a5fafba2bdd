//! What an operator has ordered anew.

use super::*;
use crate::order::{Event, HoldFacts};

#[tokio::test]
async fn a_rejected_order_is_made_anew_for_its_row_which_shows_both_charges() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &[imei(0), imei(0), imei(1)]).await;
    let old = bench.order_one(17).await;
    bench.order_one(18).await;
    bench.reject(old, 17, 0).await;
    bench.journal.begin_file(batch).await.unwrap();
    bench.journal.published(batch, "a file".to_owned(), false, bench.now()).await.unwrap();
    assert!(bench.said_of(Said::Retry, 0).await.done);
    let new = bench.current(0);
    assert_ne!(new, old);
    assert_eq!((bench.state(old), bench.state(new)), (State::Rejected, State::Queued));
    assert!(!bench.said_of(Said::Retry, 0).await.done, "once");
    bench.order_one(19).await;
    bench.recount();
    for (row, link) in [(1, Link::Own), (2, Link::Joined)] {
        let row = bench.row_of(batch, row);
        assert_eq!((row.link, row.order.as_ref().unwrap().id), (link, new));
    }
    let shown = bench.row_of(batch, 1).order.unwrap();
    assert_eq!((shown.charged, shown.charged_before), (PRICE, PRICE));
}

#[tokio::test]
async fn a_batch_is_ordered_anew_where_it_ended_without_an_answer_and_nowhere_else() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(4)).await;
    let rejected = bench.order_one(17).await;
    bench.reject(rejected, 17, 0).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    bench.finish(ticket, Placed::NotTaken(NotTaken::InvalidImei("Invalid IMEI".into()))).await;
    bench.order_one(18).await;
    bench.said_of(Said::Cancel, 3).await;
    let quoted = bench.journal.read_here(|view| view.retryable(batch)).unwrap();
    assert_eq!(quoted, (bench.service, 3));
    let answer = bench.said(Said::Retry, Target::batch(batch)).await;
    assert_eq!(answer.text, "3 orders are made anew");
    assert_eq!(bench.claim(9).await.len(), 3);
    assert_eq!(bench.number("SELECT count(*) FROM orders WHERE current = 0"), 3);
}

#[tokio::test]
async fn a_batch_that_was_done_is_reopened_and_is_not_done_while_a_new_order_waits() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    let old = bench.order_one(17).await;
    bench.reject(old, 17, 0).await;
    bench.journal.begin_file(batch).await.unwrap();
    bench.journal.published(batch, "a file".to_owned(), true, bench.now()).await.unwrap();
    assert_eq!(bench.batch_state(batch), BatchState::Done);
    assert!(bench.said(Said::Retry, Target::batch(batch)).await.done);
    assert_eq!(bench.batch_state(batch), BatchState::Published);
    // The outbox had read the batch before the word came.
    bench.journal.begin_file(batch).await.unwrap();
    bench.journal.published(batch, "a file".to_owned(), true, bench.now()).await.unwrap();
    assert_eq!(bench.batch_state(batch), BatchState::Published);
    assert_eq!(bench.claim(9).await.len(), 1);
}

#[tokio::test]
async fn an_order_whose_attempts_may_have_been_taken_is_not_made_anew() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    let policy = HoldFacts {
        quiet_over: true,
        can_list: false,
        policy_hold: true,
        too_old: false,
        listed_since: false,
        out_of_reach: false,
    };
    bench.tell(doubt, Event::Hold(policy)).await;
    bench.said_of(Said::Cancel, 0).await;
    bench.publish(batch, true).await;
    let answer = bench.said_of(Said::Retry, 0).await;
    assert!(!answer.done && answer.text.contains("paid twice"), "{answer:?}");
    assert!(!bench.said(Said::Retry, Target::batch(batch)).await.done);
    assert_eq!(bench.number("SELECT count(*) FROM orders"), 1);
}

#[tokio::test]
async fn a_row_answered_from_another_batch_gets_an_order_of_its_own() {
    let bench = Bench::new().await;
    let first = bench.batch("first", &imeis(1)).await;
    let old = bench.order_one(17).await;
    bench.reject(old, 17, 0).await;
    let second = bench.batch("second", &[imei(0), imei(0)]).await;
    assert_eq!(bench.row_of(second, 1).link, Link::Earlier);
    assert!(bench.said(Said::Retry, Target::batch(second)).await.done);
    let new = bench.current(0);
    assert_eq!(bench.row_of(second, 1).order.unwrap().id, new);
    assert_eq!(bench.row_of(second, 2).link, Link::Joined);
    let shown = bench.row_of(first, 1).order.unwrap();
    assert_eq!((shown.id, shown.state), (old, State::Rejected));
    assert_eq!(bench.row_of(second, 1).order.unwrap().charged_before, Money::ZERO);
}
