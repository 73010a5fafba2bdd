//! An order that was made anew of one whose attempt was taken as not ordered, and an export that shows that attempt.

use super::exports::{COMPLETED, PENDING, REJECTED};
use super::*;
use crate::order::{Absence, Event};

impl Bench {
    /// The second IMEI was sent, wrongly taken as not ordered, cancelled, and made anew. When it was sent.
    async fn made_anew(&self) -> Timestamp {
        self.batch("stock", &imeis(2)).await;
        self.order_one(10).await;
        let sent = self.now();
        self.doubt_one().await;
        self.pass(QUIET * 2);
        for said in [Said::NotOrdered, Said::Cancel, Said::RetryNotCharged] {
            assert!(self.said_of(said, 1).await.done, "{said:?}");
        }
        assert_eq!(self.state(self.current(1)), State::Queued);
        sent
    }

    /// State, charged and presumed attempts of the newest order.
    fn newest(&self) -> (State, i64, i64) {
        let order = self.current(1);
        let column = |name: &str| self.number(&format!("SELECT {name} FROM orders WHERE id = {order}"));
        (self.state(order), column("charged"), column("presumed"))
    }

    async fn use_kept(&self) -> usize {
        let left = self.journal.use_kept_rows(self.now(), (*self.rules).clone()).await.unwrap();
        self.recount();
        left
    }
}

#[tokio::test]
async fn one_that_was_not_sent_takes_what_is_shown_and_never_is() {
    for (status, state) in
        [(COMPLETED, State::Completed), (REJECTED, State::Rejected), (PENDING, State::OrderedNoId)]
    {
        // Its file may be held.
        for batch_state in [1, 2] {
            let bench = Bench::new().await;
            let sent = bench.made_anew().await;
            let sql = format!("UPDATE batches SET state = {batch_state}");
            bench.journal.write(move |tx| tx.execute(&sql, []).map(drop)).await.unwrap();
            let row = bench.row(1, status, sent);
            assert_eq!(bench.export(vec![row.clone()]).await, [SettledBy::Settled]);
            assert_eq!(bench.newest(), (state, 1, 0));
            assert!(bench.claim(9).await.is_empty(), "it is paid for again");
            let picture = bench.picture();
            for sorted in bench.sort(vec![row]).await {
                if let Sorted::Wanted(row) = sorted {
                    bench.export(vec![*row]).await;
                }
            }
            assert_eq!(bench.picture(), picture, "read again");
            assert_eq!(bench.number("SELECT charged FROM totals WHERE scope = 'day'"), 2 * PRICE.micros());
        }
    }
}

#[tokio::test]
async fn what_is_shown_unfinished_is_answered_by_a_later_export_and_named_by_a_listing() {
    let bench = Bench::new().await;
    let sent = bench.made_anew().await;
    bench.export(vec![bench.row(1, PENDING, sent)]).await;
    bench.show(15, 1).await;
    assert_eq!((bench.newest(), bench.owner(15)), ((State::Ordered, 1, 0), bench.current(1).0));
    assert_eq!(bench.double_charges(), 0);

    let bench = Bench::new().await;
    let sent = bench.made_anew().await;
    bench.export(vec![bench.row(1, PENDING, sent)]).await;
    bench.export(vec![bench.row(1, COMPLETED, sent)]).await;
    assert_eq!(bench.newest(), (State::Completed, 1, 0));
}

#[tokio::test]
async fn a_row_from_before_what_was_sent_is_not_it() {
    let bench = Bench::new().await;
    let by_hand = bench.now();
    bench.pass(QUIET);
    bench.made_anew().await;
    let came = bench.export(vec![bench.row(1, COMPLETED, by_hand)]).await;
    assert_eq!(came, [SettledBy::Unmatched(Unmatched::Before)]);
    let undated = ExportRow { placed: None, ..bench.row(1, COMPLETED, by_hand) };
    assert_eq!(bench.export(vec![undated]).await, [SettledBy::Unmatched(Unmatched::NoDate)]);
    assert_eq!((bench.newest(), bench.claim(9).await.len()), ((State::Queued, 0, 0), 1));
}

#[tokio::test]
async fn one_on_its_way_has_it_used_once_its_answer_is_there() {
    let unclear = || Placed::Unclear(Unclear { what: "timed out".into(), ids: vec![], retry_after: None });
    for (answer, then, twice) in [
        (Placed::Taken(ProviderOrderId(30)), (State::Ordered, 1, 0), 1),
        (Placed::NotTaken(NotTaken::Throttled(None)), (State::Completed, 1, 0), 0),
        (unclear(), (State::Completed, 1, 1), 0),
        (Placed::AlreadyExists, (State::Completed, 1, 0), 0),
    ] {
        let bench = Bench::new().await;
        let sent = bench.made_anew().await;
        let ticket = bench.claim(1).await.pop().unwrap();
        assert_eq!(bench.export(vec![bench.row(1, COMPLETED, sent)]).await, [SettledBy::Kept]);
        assert_eq!(bench.use_kept().await, 1);
        bench.finish(ticket, answer.clone()).await;
        assert_eq!(bench.use_kept().await, 0);
        assert_eq!((bench.newest(), bench.double_charges()), (then, twice), "{answer:?}");
        assert!(bench.claim(9).await.is_empty(), "{answer:?}: it is paid for again");
    }
}

#[tokio::test]
async fn one_in_doubt_takes_it_and_what_it_sent_itself_stays_presumed() {
    let bench = Bench::new().await;
    let sent = bench.made_anew().await;
    let own = bench.now();
    bench.doubt_one().await;
    bench.export(vec![bench.row(1, COMPLETED, sent)]).await;
    assert_eq!(bench.newest(), (State::Completed, 1, 1));
    let both = [bench.row(1, COMPLETED, sent), ExportRow { line: 9, ..bench.row(1, COMPLETED, own) }];
    bench.journal.beyond_ours(both.to_vec(), bench.now(), (*bench.rules).clone()).await.unwrap();
    assert_eq!(bench.double_charges(), 1, "a later export has both");

    let bench = Bench::new().await;
    bench.made_anew().await;
    let own = bench.now();
    bench.doubt_one().await;
    bench.export(vec![bench.row(1, COMPLETED, own)]).await;
    assert_eq!(bench.newest(), (State::Completed, 1, 0), "its own");
}

#[tokio::test]
async fn beside_one_that_is_ordered_it_is_a_double_charge() {
    let bench = Bench::new().await;
    let sent = bench.made_anew().await;
    bench.order_one(30).await;
    let row = bench.row(1, COMPLETED, sent);
    assert_eq!(bench.sort(vec![row.clone()]).await, [Sorted::Loose]);
    let beyond = bench.journal.beyond_ours(vec![row], bench.now(), (*bench.rules).clone()).await.unwrap();
    assert_eq!((beyond.len(), bench.double_charges()), (1, 1));
    assert_eq!(bench.newest(), (State::Ordered, 1, 0));

    // Held with its id it waits for evidence, of itself.
    let bench = Bench::new().await;
    let sent = bench.made_anew().await;
    let order = bench.order_one(30).await;
    bench.tell(order, Event::GiveUp).await;
    bench.export(vec![bench.row(1, COMPLETED, sent)]).await;
    assert_eq!((bench.newest(), bench.double_charges()), ((State::Held, 1, 0), 1));
}

#[tokio::test]
async fn two_rows_of_what_was_sent_are_booked_and_held_with_an_alarm() {
    let bench = Bench::new().await;
    let sent = bench.made_anew().await;
    let rows = vec![bench.row(1, COMPLETED, sent), bench.row(1, REJECTED, sent.plus(Duration::from_secs(9)))];
    for _ in 0..2 {
        bench.export(rows.clone()).await;
        assert_eq!((bench.newest(), bench.double_charges()), ((State::Held, 2, 0), 1));
    }
    assert!(bench.claim(9).await.is_empty());
}

#[tokio::test]
async fn what_was_cleared_of_one_that_was_given_back_and_made_anew_is_taken_too() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    let sent = bench.number("SELECT claimed_at FROM attempts WHERE verdict = 4");
    let known = bench.row(1, REJECTED, bench.ordered(1));
    let absence = Absence { twice: true, whole: true, reaches_back: true, fresh: true };
    bench.tell(order, Event::Cleared(absence)).await;
    bench.reject(order, 15, 1).await;
    assert!(bench.said_of(Said::Retry, 1).await.done);
    bench.pass(QUIET);
    let shown = bench.row(1, COMPLETED, Timestamp::from_millis(sent));
    assert_eq!(bench.export(vec![known]).await, [SettledBy::Ours]);
    assert_eq!(bench.newest(), (State::Queued, 0, 0));
    assert_eq!(bench.export(vec![shown]).await, [SettledBy::Settled]);
    assert_eq!(bench.newest(), (State::Completed, 1, 0));
}
