//! What a balance says after the books told more of what was presumed when the baseline was read.

use super::exports::{COMPLETED, PENDING};
use super::refunds::money;
use super::*;
use crate::balance::{self, Verdict};
use crate::order::{BalanceFacts, Event, Exported, NoIdFacts};

const SILENT: Verdict = Verdict::Silent;

impl Bench {
    /// An order of ours, and one whose charge is presumed as the balance fell by it. It has no id, and is held.
    async fn presumed_alone(&self) -> OrderId {
        self.batch("stock", &imeis(2)).await;
        self.order_one(10).await;
        let doubt = self.doubt_one().await;
        self.pass(QUIET);
        self.is_presumed(doubt).await;
        doubt
    }

    async fn is_presumed(&self, doubt: OrderId) {
        let facts = BalanceFacts { quiet_over: true, can_list: false, at_rest: true, fell_by_all: true };
        self.tell(doubt, Event::BalanceFell(facts)).await;
        let facts = NoIdFacts { balance_contradicts: false, can_list: false, too_old: false };
        self.tell(doubt, Event::HoldNoId(facts)).await;
        assert_eq!((self.state(doubt), self.presumed(doubt)), (State::Held, 1));
    }

    /// A balance that fell by so many prices since the baseline, which was a thousand.
    fn verdict(&self, prices: i64) -> Verdict {
        let (books, _, known) = self.known();
        balance::judge(&known.unwrap(), &books, money(1000 - prices))
    }

    /// The most that was charged beyond what is known, as it fell by so many.
    fn beyond_known(&self, prices: i64) -> Option<i64> {
        let (books, _, known) = self.known();
        let beyond = balance::beyond_known(&known.unwrap(), &books, money(1000 - prices));
        beyond.most.map(|most| most.micros() / PRICE.micros())
    }

    /// So many orders were charged since the baseline: less says nothing, more is told.
    fn explains(&self, prices: i64) {
        assert_eq!(self.verdict(prices), SILENT);
        assert_eq!(self.verdict(prices + 1), Verdict::Unexplained(money(1)), "one more than {prices}");
        assert_eq!((self.beyond_known(prices), self.beyond_known(prices + 1)), (Some(0), Some(1)));
        self.check_books();
    }
}

#[tokio::test]
async fn what_a_person_denies_is_explained_once_it_is_sent_again_and_not_before() {
    let bench = Bench::new().await;
    let order = bench.presumed_alone().await;
    bench.first_balance(1000).await;
    assert!(bench.said_of(Said::NotOrdered, 1).await.done);
    bench.explains(0);
    assert_eq!(bench.order_one(20).await, order);
    bench.explains(1);
    bench.batch("more", &imeis(3)[2..]).await;
    bench.order_one(21).await;
    bench.explains(2);
    // Nor are refunds missing that came.
    for order in [20, 21] {
        let order = bench.number(&format!("SELECT order_id FROM charges WHERE provider_id = {order}"));
        bench.tell(OrderId(order), Event::Status(ProviderStatus::Rejected)).await;
    }
    assert_eq!(bench.next_balance(1000).await, [0, 0]);
}

#[tokio::test]
async fn what_a_person_denied_wrongly_was_charged_before() {
    let bench = Bench::new().await;
    let order = bench.presumed_alone().await;
    bench.first_balance(1000).await;
    assert!(bench.said_of(Said::NotOrdered, 1).await.done);
    bench.tell(order, Event::Listed(vec![ProviderOrderId(20)])).await;
    assert_eq!(bench.state(order), State::Ordered);
    bench.explains(0);
}

#[tokio::test]
async fn an_id_that_becomes_known_of_what_was_presumed_explains_nothing_new() {
    for by_export in [false, true] {
        let bench = Bench::new().await;
        let order = bench.presumed_alone().await;
        bench.first_balance(1000).await;
        let told = if by_export {
            Event::Exported(Exported::One(ProviderStatus::Completed))
        } else {
            Event::Listed(vec![ProviderOrderId(20)])
        };
        bench.tell(order, told).await;
        bench.explains(0);
    }
}

#[tokio::test]
async fn what_is_given_up_stays_presumed_and_accuses_nobody() {
    for is_before in [true, false] {
        let bench = Bench::new().await;
        if !is_before {
            bench.first_balance(1000).await;
        }
        let order = bench.presumed_alone().await;
        if is_before {
            bench.first_balance(1000).await;
        }
        assert!(bench.said_of(Said::Cancel, 1).await.done);
        assert_eq!((bench.state(order), bench.presumed(order)), (State::Cancelled, 1));
        let since = if is_before { 0 } else { 2 };
        assert_eq!(bench.verdict(since), SILENT, "{is_before}");
        assert_eq!(bench.verdict(since + 1), Verdict::Unexplained(money(1)), "{is_before}");
        bench.tell(order, Event::Exported(Exported::One(ProviderStatus::Completed))).await;
        bench.explains(since);
    }
}

#[tokio::test]
async fn what_is_presumed_beside_a_charge_is_so_with_and_without_its_id() {
    let bench = Bench::new().await;
    let order = bench.with_lost_probe().await;
    bench.is_shown(order, PENDING).await;
    bench.first_balance(1000).await;
    bench.explains(0);
    bench.tell(order, Event::Listed(vec![ProviderOrderId(20)])).await;
    assert_eq!((bench.state(order), bench.presumed(order)), (State::Ordered, 1));
    bench.explains(0);
}

#[tokio::test]
async fn what_an_export_counts_or_a_listing_clears_accuses_nobody() {
    for shown in [COMPLETED, PENDING] {
        let bench = Bench::new().await;
        let order = bench.with_lost_probe().await;
        bench.is_shown(order, shown).await;
        bench.first_balance(1000).await;
        bench.witness(20).await;
        bench.explains(1);
        assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 1);
        bench.explains(1);
    }
}

impl Bench {
    /// Beside the id of the second order a charge is presumed since before the baseline.
    async fn presumed_beside(&self) -> OrderId {
        let order = self.with_presumed().await;
        self.first_balance(1000).await;
        order
    }

    async fn is_cleared(&self, order: OrderId) {
        let proven = crate::order::Absence { twice: true, whole: true, reaches_back: true, fresh: true };
        self.tell(order, Event::Cleared(proven)).await;
        assert_eq!(self.presumed(order), 0);
    }

    /// Another one, presumed beside its id now: its first attempt was released by a person's word, and it was listed.
    async fn another_beside(&self, id: u64) {
        let order = self.doubt_one().await;
        self.order_one(id - 1).await;
        self.pass(QUIET);
        assert!(self.said_of(Said::NotOrdered, 2).await.done);
        assert_eq!(self.doubt_one().await, order);
        self.tell(order, Event::Listed(vec![ProviderOrderId(id)])).await;
        assert_eq!(self.presumed(order), 1);
    }
}

#[tokio::test]
async fn what_is_cleared_beside_an_id_hides_nothing_of_what_is_presumed_beside_another() {
    let bench = Bench::new().await;
    let order = bench.presumed_beside().await;
    bench.is_cleared(order).await;
    bench.explains(0);
    bench.another_beside(30).await;
    assert_eq!(
        [2, 3, 4].map(|fell| bench.verdict(fell)),
        [SILENT, Verdict::Twice(money(1)), Verdict::Unexplained(money(1))]
    );
}

#[tokio::test]
async fn a_second_charge_that_was_presumed_before_explains_nothing_new() {
    let bench = Bench::new().await;
    let order = bench.presumed_beside().await;
    bench.tell(order, Event::LateId(ProviderOrderId(16))).await;
    assert_eq!(bench.presumed(order), 0);
    bench.explains(0);
    bench.tell(order, Event::Status(ProviderStatus::Completed)).await;
    bench.order_one(20).await;
    bench.explains(1);
}

#[tokio::test]
async fn what_is_presumed_since_the_baseline_explains_its_price_and_no_more_once_it_is_denied() {
    let bench = Bench::new().await;
    bench.first_balance(1000).await;
    bench.presumed_alone().await;
    assert_eq!((bench.verdict(1), bench.verdict(2)), (Verdict::Contradicts, SILENT));
    assert_eq!(bench.verdict(3), Verdict::Unexplained(money(1)));
    assert!(bench.said_of(Said::NotOrdered, 1).await.done);
    bench.explains(1);
}

#[tokio::test]
async fn what_was_released_when_the_baseline_was_read_and_is_found_since_explains_its_price() {
    let bench = Bench::new().await;
    let order = bench.presumed_alone().await;
    assert!(bench.said_of(Said::NotOrdered, 1).await.done);
    bench.first_balance(1000).await;
    bench.tell(order, Event::Listed(vec![ProviderOrderId(20), ProviderOrderId(21)])).await;
    // It may have been executed late, and of the other there was no attempt.
    bench.explains(2);
}

#[tokio::test]
async fn what_is_presumed_and_cleared_since_the_baseline_leaves_it_as_it_was() {
    let bench = Bench::new().await;
    let order = bench.presumed_alone().await;
    assert!(bench.said_of(Said::NotOrdered, 1).await.done);
    bench.first_balance(1000).await;
    let before = bench.known().2;
    assert_eq!(bench.doubt_one().await, order);
    bench.tell(order, Event::Listed(vec![ProviderOrderId(20)])).await;
    assert_eq!((bench.state(order), bench.presumed(order)), (State::Ordered, 1));
    bench.is_cleared(order).await;
    assert_eq!(bench.known().2, before);
    bench.explains(1);
}

#[tokio::test]
async fn what_stood_presumed_is_told_by_the_line_of_the_last_baseline() {
    let bench = Bench::new().await;
    bench.first_balance(1000).await;
    bench.presumed_alone().await;
    bench.next_balance(1000).await;
    assert!(bench.said_of(Said::NotOrdered, 1).await.done);
    bench.explains(0);
}

#[tokio::test]
async fn what_belongs_to_no_row_is_in_no_baseline_where_there_are_several_accounts() {
    for is_beside in [false, true] {
        let mut bench = Bench::new().await;
        let order = if is_beside { bench.with_unnamed().await } else { bench.presumed_alone().await };
        let no_row = "UPDATE orders SET batch = 0; UPDATE totals SET key = 0 WHERE scope = 'batch'";
        bench.journal.write(move |tx| Ok(tx.connection().execute_batch(no_row)?)).await.unwrap();
        bench.add_service_of("other").await;
        bench.first_balance(1000).await;
        let first = bench.known().2.unwrap();
        assert_eq!((first.books.presumed, first.books.presumed_alone), (Money::ZERO, Money::ZERO));
        let told = if is_beside { vec![15, 16] } else { vec![20] };
        for id in told {
            bench.tell(order, Event::LateId(ProviderOrderId(id))).await;
        }
        assert_eq!((bench.presumed(order), bench.known().2), (0, Some(first)));
        assert_eq!((bench.verdict(0), bench.verdict(1)), (SILENT, Verdict::Unexplained(money(1))));
    }
}
