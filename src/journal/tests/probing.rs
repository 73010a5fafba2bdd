//! The first probe at a provider that isn't proven to refuse duplicates: it may cost one price, and no second one.

use super::*;
use crate::balance::Verdict;
use crate::order::{Alarm, Event};

impl Bench {
    /// So many doubts, their quiet periods over, and probes asked for.
    async fn doubts_to_probe(&self, n: u32) -> Vec<OrderId> {
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

    /// A look at the balance held against one of this time; what it makes of the first probe.
    async fn weigh(&self, verdict: Verdict, since: Option<Timestamp>) -> Weighed {
        self.journal.weigh_first_probe("main".to_owned(), verdict, since, self.now()).await.unwrap()
    }

    async fn tend_undecided(&self, doubts: &[OrderId]) {
        self.tend_by(doubts.to_vec(), DoubtTerms { first_undecided: true, ..self.terms(false) }).await;
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
    assert_eq!(
        (bench.probes().await, bench.state(doubts[2])),
        (0, State::InDoubt),
        "it waits for the balance"
    );
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
    assert_eq!(bench.weigh(Verdict::Once, Some(Timestamp::from_millis(1))).await, Weighed::Nothing);
    drop(doubts);
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
    let doubts = bench.doubts_to_probe(3).await;
    let first = bench.first_probe().await;
    bench.finish(first, Placed::Taken(ProviderOrderId(9))).await;
    bench.tend_undecided(&doubts[1..]).await;
    assert_eq!([bench.state(doubts[1]), bench.state(doubts[2])], [State::Held; 2]);
    assert_eq!(bench.alarms_told(), ["duplicates"]);
    let why = "SELECT count(*) FROM events WHERE what = 'held' AND detail LIKE '%it could be paid twice%'";
    assert_eq!(bench.number(why), 2);
    // What is in doubt later is held at once, and nothing is said a second time.
    bench.batch("more", &[imei(70), imei(71)]).await;
    let later = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.tend_undecided(&[later]).await;
    assert_eq!((bench.state(later), bench.alarms_told().len()), (State::Held, 1));
    bench.journal.write(|tx| tx.execute("UPDATE alarms SET acked_at = 1", []).map(drop)).await.unwrap();
    let last = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.tend(vec![last]).await;
    drop(bench.first_probe().await);
    bench.check_books();
}

#[tokio::test]
async fn where_the_balance_fell_by_the_first_probe_alone_the_next_one_goes() {
    let bench = Bench::new().await;
    let read_at = bench.now();
    let doubts = bench.doubts_to_probe(3).await;
    let first = bench.first_probe().await;
    let order = first.order().unwrap();
    bench.finish(first, Placed::Taken(ProviderOrderId(9))).await;
    bench.pass(QUIET);
    assert_eq!(
        bench.weigh(Verdict::Once, Some(read_at)).await,
        Weighed::Later,
        "it could be given back unseen"
    );
    let done = Event::Status(ProviderStatus::Completed);
    bench.tell(order, done).await;
    for (verdict, since) in [
        (Verdict::Silent, Some(read_at)),
        (Verdict::AllTaken, Some(read_at)),
        (Verdict::Once, None),
        (Verdict::Once, Some(bench.now())),
    ] {
        assert_eq!(bench.weigh(verdict, since).await, Weighed::Undecided, "{verdict:?} since {since:?}");
        assert_eq!(bench.probes().await, 0);
    }
    assert_eq!(bench.weigh(Verdict::Once, Some(read_at)).await, Weighed::Nothing);
    bench.tend(doubts).await;
    let next = bench.first_probe().await;
    bench.finish(next, Placed::Taken(ProviderOrderId(11))).await;
    assert_eq!(bench.probes().await, 0, "and one alone, again");
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
