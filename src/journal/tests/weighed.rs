//! What looks at the balance make of the probe that went alone before.

use super::*;
use crate::balance::Beyond;
use crate::order::Event;

fn prices(n: i64) -> Money {
    Money::from_micros(n * PRICE.micros())
}

impl Bench {
    /// A look at the balance held against one of before all: so many prices were charged beyond what is known. A hundred
    /// orders have ended, and none of them was rejected.
    pub(super) fn look(&self, beyond: i64) -> Look {
        let line = self.number("SELECT coalesce(max(id), 0) FROM ledger");
        let beyond = Beyond { most: Some(prices(beyond)), charged: prices(100), ..Beyond::default() };
        Look { since: Ok(Timestamp::from_millis(1)), beyond, is_unmoved: true, line }
    }

    /// Likewise, and so many of the hundred were rejected, and given back as far as is known.
    fn look_with_rejected(&self, beyond: i64, rejected: i64) -> Look {
        let look = self.look(beyond);
        let beyond = Beyond { rejected: prices(rejected), refunds: prices(rejected), ..look.beyond };
        Look { beyond, ..look }
    }

    pub(super) async fn weigh(&self, look: Look) -> Weighed {
        self.journal.weigh_first_probe("main".to_owned(), look, QUIET, self.now()).await.unwrap()
    }
}

#[tokio::test]
async fn what_shows_nothing_frees_none() {
    let bench = Bench::new().await;
    bench.doubts_to_probe(3).await;
    let first = bench.first_probe().await;
    let (order, claimed_at) = (first.order().unwrap(), bench.now());
    bench.finish(first, Placed::Taken(ProviderOrderId(9))).await;
    let none = bench.look(0);
    assert_eq!(
        bench.weigh(Look { line: none.line - 1, ..none }).await,
        Weighed::Later,
        "something came between"
    );
    bench.tell(order, Event::Status(ProviderStatus::Completed)).await;
    bench.pass(QUIET);
    let less = Beyond::default();
    for (look, weighed) in [
        (Look { since: Err(CantTell::Shared), ..none }, Weighed::CantTell(CantTell::Shared)),
        (Look { since: Ok(claimed_at), ..none }, Weighed::CantTell(CantTell::NotKnownBefore)),
        (Look { beyond: less, ..none }, Weighed::CantTell(CantTell::FellByLess)),
        (Look { beyond: less, is_unmoved: false, ..none }, Weighed::Later),
        (Look { is_unmoved: false, ..none }, Weighed::Later),
    ] {
        assert_eq!(bench.weigh(look).await, weighed, "{look:?}");
        assert_eq!(bench.probes().await, 0);
    }
}

#[tokio::test]
async fn while_an_order_is_unfinished_it_could_be_given_back_unseen_and_hide_a_charge() {
    let bench = Bench::new().await;
    bench.doubts_to_probe(2).await;
    let first = bench.first_probe().await;
    bench.finish(first, Placed::Taken(ProviderOrderId(9))).await;
    bench.pass(QUIET);
    assert_eq!(bench.weigh(bench.look(1)).await, Weighed::Later);
    assert_eq!(bench.weigh(bench.look(0)).await, Weighed::Nothing);
    drop(bench.first_probe().await);
}

#[tokio::test]
async fn where_the_balance_fell_by_none_in_doubt_all_of_them_are_probed_and_later_ones_count_anew() {
    let bench = Bench::new().await;
    let doubts = bench.doubts_to_probe(4).await;
    bench.first_is_taken().await;
    assert_eq!(bench.weigh(bench.look(0)).await, Weighed::Nothing);
    bench.batch("more", &[imei(70), imei(71)]).await;
    bench.tend_by(doubts, DoubtTerms { looked: false, ..bench.terms(false) }).await;
    let (free, others): (Vec<_>, Vec<_>) =
        bench.claim(9).await.into_iter().partition(AttemptTicket::is_probe);
    assert_eq!((free.len(), others.len()), (3, 2), "beside everything else");
    assert!(free.iter().all(|ticket| !ticket.is_first_probe()));
    let later: Vec<_> = others.iter().map(|ticket| ticket.order().unwrap()).collect();
    for ticket in others {
        bench.finish(ticket, unclear()).await;
    }
    for (n, ticket) in (70..).zip(free) {
        bench.finish(ticket, Placed::Taken(ProviderOrderId(n))).await;
    }
    bench.pass(QUIET);
    bench.tend(later).await;
    drop(bench.first_probe().await);
    bench.check_books();
}

#[tokio::test]
async fn where_some_in_doubt_were_taken_one_at_a_time_goes_until_that_cant_be_chance() {
    let bench = Bench::new().await;
    let mut doubts = bench.doubts_to_probe(10).await;
    // Of ten, four were taken: 6 of 10, 6 · 5 of 10 · 9 and 6 · 5 · 4 of 10 · 9 · 8 is likely enough, a fourth time isn't.
    for n in 1..=4 {
        bench.tend(doubts.clone()).await;
        bench.first_is_taken().await;
        doubts.retain(|order| bench.state(*order) == State::InDoubt);
        assert_eq!(bench.probes().await, 0, "not before a look at the balance");
        let expected = if n < 4 { Weighed::Nothing } else { Weighed::Unlikely };
        assert_eq!(bench.weigh(bench.look(4)).await, expected, "{n}");
    }
    bench.tend_weighed(&doubts, Weighed::Unlikely).await;
    assert_eq!((doubts.len(), bench.waiting()), (6, 6));
    assert_eq!(bench.alarms_told(), ["duplicates"]);
    bench.check_books();
}

#[tokio::test]
async fn what_is_beyond_all_in_doubt_lets_no_other_go() {
    let bench = Bench::new().await;
    bench.doubts_to_probe(3).await;
    bench.first_is_taken().await;
    assert_eq!(bench.weigh(bench.look(3)).await, Weighed::Unlikely, "two are left");
    assert_eq!(bench.probes().await, 0);
}

#[tokio::test]
async fn probes_of_before_the_baseline_count_no_more() {
    let bench = Bench::new().await;
    let doubts = bench.doubts_to_probe(12).await;
    let look_after = async |beyond, since| {
        bench.tend(doubts.clone()).await;
        bench.first_is_taken().await;
        bench.weigh(Look { since, ..bench.look(beyond) }).await
    };
    let before = Ok(Timestamp::from_millis(1));
    for _ in 0..2 {
        assert_eq!(look_after(3, before).await, Weighed::Nothing);
    }
    let since = Ok(bench.now());
    bench.pass(QUIET);
    // Of ten then, three and four of which were taken: not of twelve.
    assert_eq!(look_after(7, since).await, Weighed::Nothing, "3 of 10");
    assert_eq!(look_after(6, since).await, Weighed::Nothing, "4 · 3 of 10 · 9 is 0.13");
    assert_eq!(look_after(6, since).await, Weighed::Unlikely, "4 · 3 · 2 of 10 · 9 · 8 is not");
}

#[tokio::test]
async fn unequal_prices_are_weighed_as_the_fewest_orders_that_they_can_be() {
    let bench = Bench::new().await;
    bench.doubts_to_probe(10).await;
    bench.first_is_taken().await;
    let dear = "UPDATE attempts SET price = price * 4 WHERE order_id = (SELECT max(order_id) FROM attempts)";
    bench.journal.write(|tx| tx.execute(dear, []).map(drop)).await.unwrap();
    // Eleven prices are three orders of nine at least, and 12 are all that is left: beyond them one was paid twice.
    assert_eq!(bench.weigh(bench.look(13)).await, Weighed::Unlikely);
    assert_eq!(bench.weigh(bench.look(11)).await, Weighed::Nothing);
}

/// Whether some doubts are probed like everything else.
const FREED: &str = "SELECT count(value ->> 'free_up_to') FROM facts WHERE key = 'trial:main'";
/// How many probes count that weren't refused.
const MISSED: &str = "SELECT coalesce(max(value ->> 'missed'), 0) FROM facts WHERE key = 'trial:main'";

#[tokio::test]
async fn where_many_end_rejected_that_the_balance_fell_by_none_in_doubt_frees_none() {
    let bench = Bench::new().await;
    let mut doubts = bench.doubts_to_probe(10).await;
    // Three in a row can all have been given back unseen: as if three of ten had been taken.
    for n in 1..=5 {
        bench.tend(doubts.clone()).await;
        bench.first_is_taken().await;
        doubts.retain(|order| bench.state(*order) == State::InDoubt);
        let next = if n < 5 { Weighed::Nothing } else { Weighed::CantTell(CantTell::GivenBack) };
        assert_eq!(bench.weigh(bench.look_with_rejected(0, 50)).await, next, "{n}");
        assert_eq!(bench.number(FREED), 0, "the others don't go: {n}");
    }
    bench.tend_weighed(&doubts, Weighed::CantTell(CantTell::GivenBack)).await;
    assert_eq!(bench.alarms_told(), ["duplicates"]);
}

#[tokio::test]
async fn where_few_end_rejected_or_all_do() {
    for (rejected, weighed) in [(5, Weighed::Nothing), (100, Weighed::CantTell(CantTell::GivenBack))] {
        let bench = Bench::new().await;
        let doubts = bench.doubts_to_probe(10).await;
        bench.first_is_taken().await;
        assert_eq!(bench.weigh(bench.look_with_rejected(0, rejected)).await, weighed, "{rejected}");
        bench.tend_by(doubts, DoubtTerms { looked: false, ..bench.terms(false) }).await;
        let free = if rejected == 5 { 9 } else { 0 };
        assert_eq!(bench.probes().await, free, "of a hundred {rejected} were rejected");
    }
}

#[tokio::test]
async fn refunds_that_have_not_come_look_like_orders_that_were_taken_and_are_waited_for_and_then_told_of() {
    let bench = Bench::new().await;
    bench.doubts_to_probe(3).await;
    bench.first_is_taken().await;
    let look = bench.look_with_rejected(9, 9);
    assert_eq!(bench.weigh(Look { is_unmoved: false, ..look }).await, Weighed::Later);
    assert_eq!(bench.weigh(look).await, Weighed::CantTell(CantTell::GivenBack));
}

/// A probe goes, and its answer is lost. `before`: what was charged beyond what is known at the look before.
async fn lost_after(bench: &Bench, doubts: &[OrderId], before: Look) {
    assert_eq!(bench.weigh(before).await, Weighed::Nothing);
    bench.tend(doubts.to_vec()).await;
    let first = bench.first_probe().await;
    bench.finish(first, unclear()).await;
    bench.pass(QUIET);
}

#[tokio::test]
async fn a_lost_probe_that_cost_nothing_counts_for_nothing_and_one_that_cost_something_counts() {
    let bench = Bench::new().await;
    let doubts = bench.doubts_to_probe(10).await;
    lost_after(&bench, &doubts, bench.look(4)).await;
    assert_eq!(
        bench.weigh(Look { is_unmoved: false, ..bench.look(4) }).await,
        Weighed::Later,
        "it may be late"
    );
    for n in 0..5 {
        if n > 0 {
            lost_after(&bench, &doubts, bench.look(4)).await;
        }
        assert_eq!(bench.weigh(bench.look(4)).await, Weighed::Nothing, "{n}");
        assert_eq!((bench.number(FREED), bench.number(MISSED)), (0, 0), "{n}");
    }
    lost_after(&bench, &doubts, bench.look(4)).await;
    assert_eq!(bench.weigh(bench.look(5)).await, Weighed::Nothing);
    assert_eq!(bench.number(MISSED), 1, "it was taken, or something else was");
    bench.check_books();
}

#[tokio::test]
async fn what_a_lost_probe_cost_is_not_known_where_a_refund_can_hide_it_or_nothing_was_known_before() {
    let known = |bench: &Bench, before: Look| {
        let less = Beyond::default();
        [(bench.look_with_rejected(0, 50), before), (bench.look(4), Look { beyond: less, ..before })]
    };
    for which in 0..2 {
        let bench = Bench::new().await;
        let doubts = bench.doubts_to_probe(10).await;
        let (after, before) = known(&bench, bench.look(4))[which];
        lost_after(&bench, &doubts, before).await;
        let line = bench.look(0).line;
        assert_eq!(bench.weigh(Look { line, ..after }).await, Weighed::Nothing);
        assert_eq!(bench.number(MISSED), 1, "{which}");
    }
}
