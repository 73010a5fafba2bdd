//! Orders that had ended, and that the provider shows with the other end later.

use super::*;
use crate::order::Event;
use ProviderStatus::{Completed, Rejected};

impl Bench {
    /// A file that is out, its first order ended so; and a second order, begun after that.
    async fn ended_and_out(&self, end: ProviderStatus) -> (BatchId, OrderId) {
        let batch = self.batch("stock", &imeis(1)).await;
        let order = self.order_one(10).await;
        self.pass(QUIET);
        self.tell(order, Event::Status(end)).await;
        self.publish(batch, true).await;
        self.batch("later", &[imei(1)]).await;
        self.pass(QUIET);
        (batch, order)
    }

    fn alarms_of_turns(&self) -> i64 {
        self.number("SELECT count(*) FROM alarms WHERE name = 'status_changed'")
    }

    fn comes_out_again(&self) -> i64 {
        self.number("SELECT count(*) FROM events WHERE what = 'comes out again'")
    }

    fn refund(&self) -> i64 {
        self.number("SELECT refund FROM totals WHERE scope = 'day'")
    }
}

#[tokio::test]
async fn a_listing_that_shows_the_other_end_turns_an_order_and_its_file_comes_out_again() {
    for (end, other, refund, state) in
        [(Completed, Rejected, PRICE.micros(), State::Rejected), (Rejected, Completed, 0, State::Completed)]
    {
        let bench = Bench::new().await;
        let (_, order) = bench.ended_and_out(end).await;
        bench.order_one(20).await;
        let listing = vec![bench.told(20, imei(1), ProviderStatus::Pending), bench.told(10, imei(0), other)];
        bench.judge(listing.clone()).await;
        assert_eq!((bench.state(order), bench.refund()), (state, refund));
        assert_eq!((bench.alarms_of_turns(), bench.comes_out_again()), (1, 1));
        bench.judge(listing).await;
        assert_eq!((bench.alarms_of_turns(), bench.comes_out_again()), (1, 1), "the same again");
        bench.check_books();
    }
}

#[tokio::test]
async fn a_listing_from_before_the_last_answer_turns_nothing() {
    let bench = Bench::new().await;
    let (_, order) = bench.ended_and_out(Completed).await;
    let stale = bench.told(10, imei(0), Rejected);
    bench.judge(vec![stale.clone()]).await;
    assert_eq!(bench.state(order), State::Completed, "no later order of ours is in it");
    bench.order_one(20).await;
    let later = bench.told(20, imei(1), ProviderStatus::Pending);
    bench.judge(vec![later.clone(), stale.clone()]).await;
    assert_eq!(bench.state(order), State::Rejected);
    bench.pass(QUIET);
    // Cached from before it was turned.
    bench.judge(vec![later, bench.told(10, imei(0), Completed)]).await;
    assert_eq!((bench.state(order), bench.alarms_of_turns()), (State::Rejected, 1));
}

#[tokio::test]
async fn what_a_listing_says_of_another_imei_or_as_pending_turns_nothing() {
    let bench = Bench::new().await;
    let (_, order) = bench.ended_and_out(Completed).await;
    bench.order_one(20).await;
    let later = bench.told(20, imei(1), ProviderStatus::Pending);
    for told in [bench.told(10, imei(2), Rejected), bench.told(10, imei(0), ProviderStatus::Pending)] {
        bench.judge(vec![later.clone(), told]).await;
        assert_eq!((bench.state(order), bench.alarms_of_turns()), (State::Completed, 0));
    }
}

impl Bench {
    /// What comes of an export's row of the first IMEI, dated as its order was or `off` later.
    async fn turn(&self, status: u8, off: i64, made_after: Option<Timestamp>) -> TurnedBy {
        let ordered = self.number("SELECT claimed_at FROM attempts WHERE order_id = 1");
        let row = self.row(0, status, Timestamp::from_millis(ordered + off));
        let sorted = self.sort(vec![row.clone()]).await;
        assert_eq!(sorted, [Sorted::Turned(Box::new(row.clone()))]);
        let (now, rules) = (self.now(), (*self.rules).clone());
        let turned = self.journal.turn_by_export(vec![row], made_after, now, rules).await.unwrap();
        turned[..].first().copied().unwrap()
    }
}

const COMPLETED: u8 = 2;
const REJECTED: u8 = 3;

#[tokio::test]
async fn an_export_made_after_the_last_answer_turns_an_order() {
    for (end, other, refund, state) in
        [(Completed, REJECTED, PRICE.micros(), State::Rejected), (Rejected, COMPLETED, 0, State::Completed)]
    {
        let bench = Bench::new().await;
        let (batch, order) = bench.ended_and_out(end).await;
        assert_eq!(bench.turn(other, 0, Some(bench.now())).await, TurnedBy::Turned);
        assert_eq!((bench.state(order), bench.refund()), (state, refund));
        assert_eq!((bench.alarms_of_turns(), bench.comes_out_again()), (1, 1));
        assert_eq!(bench.row_of(batch, 1).order.unwrap().code.as_deref(), Some("Model: 0"));
        let again = bench.sort(vec![bench.row(0, other, bench.now())]).await;
        assert!(matches!(again[..], [Sorted::Ours(_)]), "{again:?}");
        bench.check_books();
    }
}

#[tokio::test]
async fn an_export_that_can_be_older_than_the_last_answer_tells_people_once_and_changes_nothing() {
    let bench = Bench::new().await;
    let (_, order) = bench.ended_and_out(Completed).await;
    let answered = Timestamp::from_millis(bench.number("SELECT done_at FROM orders WHERE id = 1"));
    for made_after in [None, Some(answered), Some(bench.now().plus(QUIET))] {
        assert_eq!(bench.turn(REJECTED, 0, made_after).await, TurnedBy::Unsure);
        assert_eq!((bench.state(order), bench.refund()), (State::Completed, 0));
        assert_eq!((bench.alarms_of_turns(), bench.comes_out_again()), (1, 0));
    }
}

#[tokio::test]
async fn a_row_of_another_time_is_not_our_orders_and_tells_nobody() {
    let bench = Bench::new().await;
    let (_, order) = bench.ended_and_out(Completed).await;
    for off in [-10_000, 10_000] {
        assert_eq!(bench.turn(REJECTED, off, Some(bench.now())).await, TurnedBy::NotOurs);
    }
    assert_eq!((bench.state(order), bench.alarms_of_turns()), (State::Completed, 0));
}

impl Bench {
    /// An IMEI that was ordered twice: the first order was given back, the second completed. When each began.
    async fn ordered_twice(&self) -> [(OrderId, Timestamp); 2] {
        self.batch("stock", &imeis(1)).await;
        let first_at = self.now();
        let first = self.order_one(10).await;
        self.pass(QUIET);
        self.reject(first, 10, 0).await;
        assert!(self.said_of(Said::Retry, 0).await.done);
        let second_at = self.now();
        let second = self.order_one(11).await;
        self.pass(QUIET);
        self.tell(second, Event::Status(Completed)).await;
        self.pass(QUIET);
        [(first, first_at), (second, second_at)]
    }

    /// What comes of an export that has these rows of the first IMEI alone, made just now.
    async fn turn_all(&self, rows: Vec<ExportRow>) -> Vec<TurnedBy> {
        let (now, rules) = (self.now(), (*self.rules).clone());
        self.journal.turn_by_export(rows, Some(now), now, rules).await.unwrap()
    }
}

#[tokio::test]
async fn of_two_orders_of_an_imei_the_date_says_which_one_a_row_turns() {
    let bench = Bench::new().await;
    let [(first, first_at), (second, second_at)] = bench.ordered_twice().await;
    let by_hand = first_at.plus(Duration::from_secs(60));
    let known = [bench.row(0, REJECTED, first_at), bench.row(0, COMPLETED, second_at)];
    let of_hand = bench.row(0, REJECTED, by_hand);
    for row in &known {
        assert_eq!(bench.sort(vec![row.clone()]).await, [Sorted::Turned(Box::new(row.clone()))]);
    }
    let came = bench.turn_all([&known[..], &[of_hand]].concat()).await;
    assert_eq!(came, [TurnedBy::AsKnown, TurnedBy::AsKnown, TurnedBy::NotOurs]);
    assert_eq!(bench.alarms_of_turns(), 0);

    let changed = vec![bench.row(0, REJECTED, first_at), bench.row(0, REJECTED, second_at)];
    assert_eq!(bench.turn_all(changed.clone()).await, [TurnedBy::AsKnown, TurnedBy::Turned]);
    assert_eq!([bench.state(first), bench.state(second)], [State::Rejected; 2]);
    assert_eq!((bench.refund(), bench.alarms_of_turns()), (2 * PRICE.micros(), 1));
    assert_eq!(bench.turn_all(changed).await, [TurnedBy::AsKnown; 2], "the same again");
    bench.check_books();
}

#[tokio::test]
async fn where_a_row_can_be_each_of_two_orders_people_are_told_once_and_nothing_changes() {
    let bench = Bench::new().await;
    let [(first, first_at), (second, second_at)] = bench.ordered_twice().await;
    let vague = |status: u8| {
        let placed = Some((first_at.millis(), second_at.millis()));
        ExportRow { placed, ..bench.row(0, status, second_at) }
    };
    let picture = bench.picture();
    assert_eq!(bench.turn_all(vec![vague(REJECTED), vague(COMPLETED)]).await, [TurnedBy::AsKnown; 2]);
    assert_eq!(bench.picture(), picture, "one of each is what is known");
    for _ in 0..2 {
        assert_eq!(bench.turn_all(vec![vague(REJECTED), vague(REJECTED)]).await, [TurnedBy::WhichOrder; 2]);
        assert_eq!([bench.state(first), bench.state(second)], [State::Rejected, State::Completed]);
        assert_eq!((bench.refund(), bench.alarms_of_turns()), (PRICE.micros(), 1));
    }
    let undated = ExportRow { placed: None, ..vague(REJECTED) };
    assert_eq!(bench.turn_all(vec![undated.clone(), undated.clone()]).await, [TurnedBy::NoDate; 2]);
    assert_eq!(bench.turn_all(vec![undated]).await, [TurnedBy::AsKnown]);
    // Two of one order's time: one of them is someone else's.
    let twice = vec![bench.row(0, REJECTED, second_at), bench.row(0, REJECTED, second_at)];
    assert_eq!(bench.turn_all(twice).await, [TurnedBy::Unsure; 2]);
    assert_eq!(bench.state(second), State::Completed);
}

#[tokio::test]
async fn a_second_row_of_an_imei_that_was_ordered_once_turns_nothing() {
    let bench = Bench::new().await;
    let (_, order) = bench.ended_and_out(Completed).await;
    let ordered = Timestamp::from_millis(bench.number("SELECT claimed_at FROM attempts WHERE order_id = 1"));
    let rows = vec![bench.row(0, REJECTED, ordered), bench.row(0, COMPLETED, ordered)];
    assert_eq!(bench.turn_all(rows).await, [TurnedBy::Unsure, TurnedBy::AsKnown]);
    assert_eq!((bench.state(order), bench.alarms_of_turns()), (State::Completed, 1));
}
