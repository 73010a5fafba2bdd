//! Refunds that can have been in the first balance that was read.

use super::*;
use crate::balance::Baseline;

impl Bench {
    /// The first balance is read now: so many prices.
    pub(super) async fn first_balance(&self, prices: i64) {
        let (books, line, known) = self.known();
        assert!(known.is_none());
        let first = Baseline::first(self.now(), money(prices), books, line.n);
        self.journal.begin_with_baseline("main".to_owned(), first, line.n).await.unwrap();
        assert_eq!(self.known().2, Some(first));
    }

    pub(super) fn known(&self) -> (crate::balance::Books, Line, Option<Baseline>) {
        self.journal.read_here(|view| view.books_and_baseline("main")).unwrap()
    }

    /// The next one. The prices that are told as missing from it, and those that can be.
    pub(super) async fn next_balance(&self, prices: i64) -> [i64; 2] {
        let (books, line, known) = self.known();
        let next = known.unwrap().followed_by(self.now(), money(prices), (books, line.n), Money::ZERO);
        assert!(self.journal.set_baseline("main".to_owned(), next, line.n).await.unwrap());
        [next.refunds_surely_missing(), next.refunds_missing].map(|missing| missing.micros() / PRICE.micros())
    }

    async fn ends(&self, orders: &[OrderId], status: ProviderStatus) {
        for order in orders {
            self.tell(*order, crate::order::Event::Status(status)).await;
        }
    }

    async fn orders(&self, ids: std::ops::Range<u64>) -> Vec<OrderId> {
        let mut orders = Vec::new();
        for id in ids {
            orders.push(self.order_one(id).await);
        }
        orders
    }
}

pub(super) fn money(prices: i64) -> Money {
    Money::from_micros(prices * PRICE.micros())
}

#[tokio::test]
async fn a_copys_orders_that_were_given_back_before_its_first_balance_are_not_told_as_missing() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(20)).await;
    let open = bench.orders(1..21).await;
    bench.first_balance(1000).await;
    let bench = bench.put_back().await;
    assert_eq!(bench.start(None).await, Some(0), "nothing of it is in doubt");
    assert_eq!(bench.known().2, None);
    // Eleven were given back since the copy was made: it is in the first balance that is read.
    bench.pass(QUIET);
    bench.first_balance(1011).await;
    bench.ends(&open[..11], ProviderStatus::Rejected).await;
    bench.ends(&open[11..], ProviderStatus::Completed).await;
    assert!(bench.said(Said::Resume, Target::Everything).await.done);
    bench.batch("more", &imeis(23)[20..]).await;
    let later = bench.orders(21..24).await;
    assert_eq!(bench.next_balance(1008).await, [0, 11]);
    // What is charged from now on is told as ever.
    bench.ends(&later[..2], ProviderStatus::Rejected).await;
    assert_eq!(bench.next_balance(1008).await, [2, 13]);
    assert_eq!(bench.next_balance(1010).await, [0, 11], "they came");
}

#[tokio::test]
async fn an_order_that_is_turned_after_the_first_balance_can_have_been_given_back_before_it() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    let before = bench.orders(1..3).await;
    bench.ends(&before, ProviderStatus::Completed).await;
    bench.first_balance(1000).await;
    let after = bench.orders(3..4).await;
    bench.ends(&after, ProviderStatus::Completed).await;
    bench.ends(&[before[0], after[0]], ProviderStatus::Rejected).await;
    assert_eq!(bench.next_balance(999).await, [1, 2]);
}

#[tokio::test]
async fn what_an_export_brought_after_the_first_balance_was_not_charged_before_it_as_far_as_is_booked() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let [before, after] = bench.orders(1..3).await[..] else { panic!() };
    let found = |order: OrderId, at: Timestamp| {
        format!(
            "UPDATE attempts SET kind = 2, entry = 0, claimed_at = {} WHERE order_id = {order}",
            at.millis()
        )
    };
    let at = bench.now();
    bench.journal.write(move |tx| tx.execute(&found(before, at), []).map(drop)).await.unwrap();
    bench.first_balance(1000).await;
    let at = at.plus(QUIET);
    bench.journal.write(move |tx| tx.execute(&found(after, at), []).map(drop)).await.unwrap();
    bench.pass(2 * QUIET);
    bench.ends(&[before, after], ProviderStatus::Rejected).await;
    assert_eq!(bench.next_balance(1000).await, [1, 2]);
}

#[tokio::test]
async fn a_balance_is_kept_only_if_nothing_was_booked_since_the_books_were_read() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let order = bench.order_one(1).await;
    bench.first_balance(1000).await;
    let (books, line, known) = bench.known();
    let next = known.unwrap().followed_by(bench.now(), money(1000), (books, line.n), Money::ZERO);
    bench.ends(&[order], ProviderStatus::Rejected).await;
    let noted = bench.known().2;
    assert!(!bench.journal.set_baseline("main".to_owned(), next, line.n).await.unwrap());
    assert_eq!(bench.known().2, noted, "that its refund is unclear isn't lost");
    assert_eq!(bench.next_balance(1000).await, [0, 1]);
}
