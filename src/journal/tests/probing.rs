//! The first probe at a provider that isn't proven to refuse duplicates: it may cost one price, and no second one.

use super::*;
use crate::order::{Alarm, Event};

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
    async fn first_probe(&self) -> AttemptTicket {
        let mut claimed = self.claim(9).await;
        assert_eq!(claimed.len(), 1);
        let first = claimed.pop().unwrap();
        assert!(first.is_first_probe());
        first
    }

    async fn probes(&self) -> usize {
        self.claim(9).await.len()
    }

    /// A look at the balance held against one of before all: so many prices were charged beyond what is known.
    pub(super) fn look(&self, beyond: i64) -> Look {
        let line = self.number("SELECT coalesce(max(id), 0) FROM ledger");
        let beyond = Some(Money::from_micros(beyond * PRICE.micros()));
        Look { since: Some(Timestamp::from_millis(1)), beyond, is_unmoved: true, line }
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
async fn where_the_balance_cant_tell_what_a_first_probe_showed_the_rest_is_held_until_a_person_lets_one_more_go()
 {
    let bench = Bench::new().await;
    let mut doubts = bench.doubts_to_probe(3).await;
    let first = bench.first_probe().await;
    doubts.retain(|order| Some(*order) != first.order());
    bench.finish(first, Placed::Taken(ProviderOrderId(9))).await;
    bench.tend_weighed(&doubts, Weighed::CantTell).await;
    assert_eq!([bench.state(doubts[0]), bench.state(doubts[1])], [State::Held; 2]);
    assert_eq!(bench.alarms_told(), ["duplicates"]);
    let why = "SELECT count(*) FROM events WHERE what = 'held' AND detail LIKE '%it could be paid twice%'";
    assert_eq!(bench.number(why), 2);
    // What is in doubt later is held at once, and nothing is said a second time.
    bench.batch("more", &[imei(70), imei(71)]).await;
    let later = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.tend_weighed(&[later], Weighed::CantTell).await;
    assert_eq!((bench.state(later), bench.alarms_told().len()), (State::Held, 1));
    bench.journal.write(|tx| tx.execute("UPDATE alarms SET acked_at = 1", []).map(drop)).await.unwrap();
    let last = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.tend(vec![last]).await;
    drop(bench.first_probe().await);
    bench.check_books();
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
    for (look, weighed) in [
        (Look { since: None, ..none }, Weighed::CantTell),
        (Look { since: Some(claimed_at), ..none }, Weighed::CantTell),
        (Look { beyond: None, ..none }, Weighed::CantTell),
        (Look { beyond: None, is_unmoved: false, ..none }, Weighed::Later),
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
        let unclear = Unclear { what: "timed out".into(), ids: vec![], retry_after: None };
        bench.finish(ticket, Placed::Unclear(unclear)).await;
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
    assert_eq!(doubts.len(), 6);
    assert!(doubts.iter().all(|order| bench.state(*order) == State::Held));
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
    let before = Some(Timestamp::from_millis(1));
    for _ in 0..2 {
        assert_eq!(look_after(3, before).await, Weighed::Nothing);
    }
    let since = Some(bench.now());
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
