//! The first probe at a provider that isn't proven to refuse duplicates: it may cost one price, and no second one.

use super::*;
use crate::balance::Beyond;
use crate::order::{Alarm, Event};

fn prices(n: i64) -> Money {
    Money::from_micros(n * PRICE.micros())
}

impl Bench {
    /// So many doubts, their quiet periods over, and probes asked for.
    pub(super) async fn doubts_to_probe(&self, n: u32) -> Vec<OrderId> {
        self.batch("stock", &imeis(n)).await;
        let mut doubts = Vec::new();
        for _ in 0..n {
            doubts.push(self.doubt_one().await);
        }
        self.pass(QUIET);
        self.tend(doubts.clone()).await;
        doubts
    }

    /// The first probe goes, alone.
    pub(super) async fn first_probe(&self) -> AttemptTicket {
        let mut claimed = self.claim(9).await;
        assert_eq!(claimed.len(), 1);
        let first = claimed.pop().unwrap();
        assert!(first.is_first_probe());
        first
    }

    async fn probes(&self) -> usize {
        self.claim(9).await.len()
    }

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

    async fn tend_weighed(&self, doubts: &[OrderId], weighed: Weighed) {
        self.tend_by(doubts.to_vec(), DoubtTerms { weighed, ..self.terms(false) }).await;
    }

    /// The probe that goes alone is taken, its order completed, and all is at rest again.
    pub(super) async fn first_is_taken(&self) {
        let first = self.first_probe().await;
        let order = first.order().unwrap();
        self.finish(first, Placed::Taken(ProviderOrderId(1000 + u64::try_from(order.0).unwrap()))).await;
        self.tell(order, Event::Status(ProviderStatus::Completed)).await;
        self.pass(QUIET);
    }

    /// How many wait for a person to see an alarm.
    fn waiting(&self) -> usize {
        let doubts = self.journal.read_here(|view| view.doubts("main")).unwrap();
        doubts.iter().filter(|doubt| doubt.waits_for_word).count()
    }

    pub(super) async fn see_alarms(&self) {
        self.journal.write(|tx| tx.execute("UPDATE alarms SET acked_at = 1", []).map(drop)).await.unwrap();
    }

    fn alarms_told(&self) -> Vec<String> {
        let alarms = self.journal.read_here(View::alarms).unwrap();
        alarms.into_iter().map(|alarm| alarm.name).collect()
    }
}

#[tokio::test]
async fn after_a_first_probe_that_was_taken_no_other_goes_not_in_the_next_process_either() {
    let bench = Bench::new().await;
    let doubts = bench.doubts_to_probe(3).await;
    let first = bench.first_probe().await;
    bench.finish(first, Placed::Taken(ProviderOrderId(9))).await;
    assert_eq!(bench.probes().await, 0);
    bench.tend(doubts.clone()).await;
    let waiting = doubts.iter().filter(|order| bench.state(**order) == State::InDoubt).count();
    assert_eq!((bench.probes().await, waiting), (0, 2), "they wait for the balance");
    let next = Bench { journal: started(&bench.path), ..bench };
    next.pass(QUIET);
    next.tend(doubts).await;
    assert_eq!(next.probes().await, 0);
}

#[tokio::test]
async fn a_first_probe_that_is_lost_may_have_been_taken() {
    let bench = Bench::new().await;
    let doubts = bench.doubts_to_probe(2).await;
    // As a crash leaves it.
    std::mem::forget(bench.first_probe().await);
    bench.journal.recover(bench.now(), (*bench.rules).clone()).await.unwrap();
    bench.pass(QUIET);
    bench.tend(doubts.clone()).await;
    assert_eq!(bench.probes().await, 0);
    assert_eq!(bench.weigh(bench.look(3)).await, Weighed::Unlikely, "both are taken, and one of them twice");
    assert_eq!(bench.weigh(bench.look(0)).await, Weighed::Nothing);
    bench.tend(doubts).await;
    assert!(
        bench.first_probe().await.is_first_probe(),
        "no charge of its own shows that the balance isn't late"
    );
}

#[tokio::test]
async fn a_first_probe_that_was_turned_away_gives_its_place_to_another() {
    for outcome in [
        Placed::NotTaken(NotTaken::Throttled(None)),
        Placed::NotTaken(NotTaken::NotSent("no route".to_owned())),
        Placed::NotTaken(NotTaken::InvalidImei("Invalid IMEI".to_owned())),
        Placed::AlreadyExists,
    ] {
        let bench = Bench::new().await;
        bench.doubts_to_probe(2).await;
        let first = bench.first_probe().await;
        bench.finish(first, outcome).await;
        drop(bench.first_probe().await);
    }
}

#[tokio::test]
async fn where_the_balance_cant_tell_what_a_first_probe_showed_the_rest_waits_until_a_person_lets_one_more_go()
 {
    let bench = Bench::new().await;
    let mut doubts = bench.doubts_to_probe(3).await;
    let first = bench.first_probe().await;
    doubts.retain(|order| Some(*order) != first.order());
    bench.finish(first, Placed::Taken(ProviderOrderId(9))).await;
    bench.tend_weighed(&doubts, Weighed::CantTell(CantTell::NotTold)).await;
    assert_eq!(bench.alarms_told(), ["duplicates"]);
    let told = "SELECT count(*) FROM events WHERE what = 'waits' AND detail LIKE '%it could be paid twice%'";
    assert_eq!((bench.waiting(), bench.number(told), bench.probes().await), (2, 2, 0));
    // What is in doubt later waits too, and nothing is said a second time.
    bench.batch("more", &[imei(70), imei(71)]).await;
    doubts.push(bench.doubt_one().await);
    bench.pass(QUIET);
    bench.tend_weighed(&doubts, Weighed::CantTell(CantTell::NotTold)).await;
    assert_eq!((bench.waiting(), bench.number(told), bench.probes().await), (3, 3, 1), "one that is new");
    assert_eq!(bench.alarms_told().len(), 1);
    bench.see_alarms().await;
    bench.tend(doubts.clone()).await;
    let first = bench.first_probe().await;
    assert_eq!(bench.waiting(), 0);
    // The first that is refused ends it, and what waited goes by itself.
    doubts.retain(|order| Some(*order) != first.order());
    bench.finish(first, Placed::AlreadyExists).await;
    bench.journal.probes_are_refused("main".to_owned(), bench.now()).await.unwrap();
    bench.tend(doubts.clone()).await;
    assert_eq!(bench.claim(9).await.into_iter().filter(AttemptTicket::is_probe).count(), 2);
    bench.check_books();
}

#[tokio::test]
async fn what_waits_for_a_person_is_held_once_it_is_too_old_or_the_policy_says_so() {
    for (age, policy_hold, state) in
        [(0, false, State::InDoubt), (0, true, State::Held), (90_000, false, State::Held)]
    {
        let bench = Bench::new().await;
        let doubts = bench.doubts_to_probe(2).await;
        bench.first_is_taken().await;
        bench.tend_weighed(&doubts, Weighed::Unlikely).await;
        assert_eq!(bench.waiting(), 1);
        bench.pass(Duration::from_secs(age));
        bench.tend_by(doubts.clone(), DoubtTerms { policy_hold, ..bench.terms(false) }).await;
        let states: Vec<_> = doubts.iter().map(|order| bench.state(*order)).collect();
        assert!(states.contains(&state) && bench.probes().await == 0, "{states:?}");
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

#[tokio::test]
async fn what_one_account_has_proven_another_has_not() {
    let bench = Bench::new().await;
    bench.doubts_to_probe(3).await;
    bench.journal.probes_are_refused("other".to_owned(), bench.now()).await.unwrap();
    drop(bench.first_probe().await);
    let bench = Bench::new().await;
    bench.doubts_to_probe(3).await;
    bench.journal.probes_are_refused("main".to_owned(), bench.now()).await.unwrap();
    assert_eq!(bench.probes().await, 3);
}

#[tokio::test]
async fn a_proof_from_before_it_was_kept_by_account_counts_where_there_is_one_account() {
    let bench = Bench::new().await;
    bench.journal.set_fact("probing", "refused".to_owned()).await.unwrap();
    bench.doubts_to_probe(2).await;
    assert_eq!(bench.probes().await, 2);
    let other = NetworkId("1739".to_owned());
    let bench = Bench::new().await;
    bench.journal.set_fact("probing", "refused".to_owned()).await.unwrap();
    bench.journal.service("other".to_owned(), other, "check".to_owned()).await.unwrap();
    bench.doubts_to_probe(2).await;
    drop(bench.first_probe().await);
}

#[tokio::test]
async fn an_accusation_holds_for_each_account_that_it_was_made_of() {
    let bench = Bench::new().await;
    let text = "it fell".to_owned();
    for account in ["main", "other", "main"] {
        let accuse =
            bench.journal.balance_accuses(account.to_owned(), Alarm::Balance, text.clone(), bench.now());
        accuse.await.unwrap();
        assert!(bench.journal.probes_are_unsafe(account.to_owned()).await.unwrap());
    }
    assert_eq!(bench.alarms_told(), ["balance"], "said once");
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
