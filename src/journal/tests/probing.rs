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
    pub(super) async fn first_probe(&self) -> AttemptTicket {
        let mut claimed = self.claim(9).await;
        assert_eq!(claimed.len(), 1);
        let first = claimed.pop().unwrap();
        assert!(first.is_first_probe());
        first
    }

    pub(super) async fn probes(&self) -> usize {
        self.claim(9).await.len()
    }

    pub(super) async fn tend_weighed(&self, doubts: &[OrderId], weighed: Weighed) {
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
    pub(super) fn waiting(&self) -> usize {
        let doubts = self.journal.read_here(|view| view.doubts("main")).unwrap();
        doubts.iter().filter(|doubt| doubt.waits_for_word).count()
    }

    pub(super) async fn see_alarms(&self) {
        self.journal.write(|tx| tx.execute("UPDATE alarms SET acked_at = 1", []).map(drop)).await.unwrap();
    }

    pub(super) fn alarms_told(&self) -> Vec<String> {
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
