//! An order whose attempt was taken as not ordered, and that was cancelled then.

use super::*;

impl Bench {
    /// A batch of one; its attempt in doubt, released by a person's word, and then the batch was cancelled.
    async fn released_and_cancelled(&self) -> BatchId {
        let batch = self.batch("stock", &imeis(1)).await;
        self.doubt_one().await;
        self.pass(QUIET);
        assert!(self.said_of(Said::NotOrdered, 0).await.done);
        assert!(self.said(Said::Cancel, Target::batch(batch)).await.done);
        assert_eq!(self.tallies(batch), [(TallyState::Order(State::Cancelled), Link::Own, 1)]);
        self.publish(batch, true).await;
        batch
    }
}

#[tokio::test]
async fn its_row_knows_that_it_was_sent_and_whose_word_released_it() {
    let bench = Bench::new().await;
    let batch = bench.released_and_cancelled().await;
    let order = bench.row_of(batch, 1).order.unwrap();
    let anna = WhyReleased { by_word: true, who: Some("anna".to_owned()), on_absence: false };
    assert_eq!((order.inferred, order.was_sent, order.released), (1, true, anna));
}

#[tokio::test]
async fn a_row_knows_what_a_listing_released_and_what_was_never_sent() {
    let bench = Bench::new().await;
    let (_, listing) = bench.with_witnesses().await;
    bench.judge(listing.clone()).await;
    bench.pass(QUIET);
    bench.judge(listing).await;
    let absent = bench.row_of(BatchId(1), 2).order.unwrap();
    let why = WhyReleased { by_word: false, who: None, on_absence: true };
    assert_eq!((absent.state, absent.was_sent, absent.released), (State::Queued, true, why));
    let batch = bench.batch("later", &[imei(7)]).await;
    let unsent = bench.row_of(batch, 1).order.unwrap();
    assert_eq!((unsent.inferred, unsent.was_sent), (0, false));
}

#[tokio::test]
async fn t5_no_file_orders_it_again_and_a_persons_word_does() {
    let bench = Bench::new().await;
    bench.released_and_cancelled().await;
    let again = bench.batch("again", &imeis(1)).await;
    assert_eq!(bench.tallies(again), [(TallyState::Order(State::Cancelled), Link::Earlier, 1)]);
    assert!(bench.claim(9).await.is_empty());
    let service = bench.service;
    let was_released = move |view: &View| view.was_released(service, imei(0).as_u64());
    assert!(bench.journal.read_here(was_released).unwrap());
    let of_batch = bench.said(Said::Retry, Target::batch(again)).await;
    assert!(!of_batch.done, "a word about a whole file doesn't mean it: {of_batch:?}");
    // Nor does a word that leaves open whether it was charged.
    let unsaid = bench.said_of(Said::Retry, 0).await;
    assert!(!unsaid.done && unsaid.text.contains("--not-charged"), "{unsaid:?}");
    assert!(bench.claim(9).await.is_empty());
    let of_batch = bench.said(Said::RetryNotCharged, Target::batch(again)).await;
    assert!(!of_batch.done, "{of_batch:?}");
    let answer = bench.said_of(Said::RetryNotCharged, 0).await;
    assert!(answer.done, "{answer:?}");
    assert_eq!(bench.claim(9).await.len(), 1);
    assert_eq!(
        bench.number(
            "SELECT count(*) FROM events WHERE detail LIKE '%anna: order anew, as it was not charged'"
        ),
        2
    );
}

#[tokio::test]
async fn t13_already_exists_for_the_one_made_anew_is_presumed_and_not_elsewhere() {
    let bench = Bench::new().await;
    bench.released_and_cancelled().await;
    assert!(bench.said_of(Said::RetryNotCharged, 0).await.done);
    let ticket = bench.claim(1).await.pop().unwrap();
    let order = ticket.order().unwrap();
    bench.finish(ticket, Placed::AlreadyExists).await;
    assert_eq!((bench.state(order), bench.presumed(order)), (State::OrderedNoId, 1));
    bench.recount();
}

#[tokio::test]
async fn what_may_be_charged_is_not_made_anew_by_a_word() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench
        .tell(
            doubt,
            crate::order::Event::BalanceFell(crate::order::BalanceFacts {
                quiet_over: true,
                can_list: false,
                at_rest: true,
                fell_by_all: true,
            }),
        )
        .await;
    let contradicted = crate::order::NoIdFacts { balance_contradicts: true, can_list: true, too_old: false };
    bench.tell(doubt, crate::order::Event::HoldNoId(contradicted)).await;
    assert!(bench.said_of(Said::Cancel, 0).await.done);
    assert_eq!((bench.state(doubt), bench.presumed(doubt)), (State::Cancelled, 1));
    for said in [Said::Retry, Said::RetryNotCharged] {
        let answer = bench.said_of(said, 0).await;
        assert!(!answer.done && answer.text.contains("paid twice"), "{answer:?}");
    }
}
