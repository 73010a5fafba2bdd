//! Doubts without a listing: probes, the balance, told ids. And what other tests of doubts begin with.

use super::*;
use crate::balance::Verdict;
use crate::order::{Alarm, Event};
use crate::schedule::Waited;

impl Bench {
    /// Doubts were looked at all the time.
    pub(super) fn terms(&self, can_list: bool) -> DoubtTerms {
        DoubtTerms {
            can_list,
            policy_hold: false,
            probe_within: Duration::from_secs(86_400),
            waited: Waited::always(self.now()),
            balance: Verdict::Silent,
            account: "main".to_owned(),
            looked: true,
            weighed: Weighed::Nothing,
        }
    }

    pub(super) fn state(&self, order: OrderId) -> State {
        let code = self.number(&format!("SELECT state FROM orders WHERE id = {order}"));
        super::super::codes::state_of(code).unwrap()
    }

    pub(super) async fn doubt_one(&self) -> OrderId {
        let ticket = self.claim(1).await.pop().unwrap();
        let order = ticket.order().unwrap();
        self.finish(ticket, unclear()).await;
        order
    }

    /// As settle does where the provider can't list: asks for their probes.
    pub(super) async fn tend(&self, doubts: Vec<OrderId>) {
        self.tend_by(doubts, self.terms(false)).await;
    }

    pub(super) async fn tend_by(&self, doubts: Vec<OrderId>, terms: DoubtTerms) {
        let (now, rules) = (self.now(), (*self.rules).clone());
        self.journal.tend_doubts(doubts, terms, now, rules).await.unwrap();
    }

    pub(super) fn told(&self, id: u64, of: Imei, status: ProviderStatus) -> ProviderOrder {
        ProviderOrder {
            id: ProviderOrderId(id),
            imei: Some(of),
            package: "iPhone Check".to_owned(),
            status,
            status_raw: String::new(),
            code: String::new(),
            requested_at: String::new(),
            raw: vec![],
        }
    }

    pub(super) async fn judge(&self, listing: Vec<ProviderOrder>) -> usize {
        let facts = ListingFacts { asked_at: self.now(), titles: BTreeMap::new() };
        self.journal
            .judge_listing("main".to_owned(), listing, facts, self.now(), (*self.rules).clone())
            .await
            .unwrap()
    }

    /// An older order of ours, a doubt, and, a quiet period later, a newer order: what a good listing shows.
    pub(super) async fn with_witnesses(&self) -> (OrderId, Vec<ProviderOrder>) {
        self.batch("stock", &imeis(3)).await;
        self.order_one(10).await;
        let doubt = self.doubt_one().await;
        self.pass(QUIET);
        self.order_one(20).await;
        let listing = vec![
            self.told(20, imei(2), ProviderStatus::Pending),
            self.told(10, imei(0), ProviderStatus::Completed),
        ];
        (doubt, listing)
    }
}

#[tokio::test]
async fn without_listings_a_doubt_is_probed_after_its_quiet_period_and_not_before() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET - Duration::from_millis(1));
    bench.tend(vec![doubt]).await;
    assert!(bench.claim(1).await.is_empty());
    bench.pass(Duration::from_millis(1));
    bench.tend(vec![doubt]).await;
    let probe = bench.claim(1).await.pop().unwrap();
    assert!(probe.is_probe() && goes_apart(&probe));
    bench.finish(probe, Placed::AlreadyExists).await;
    assert_eq!(bench.state(doubt), State::OrderedNoId);
    bench.tend(vec![doubt]).await;
    assert_eq!(bench.state(doubt), State::Held);
    bench.check_books();
}

#[tokio::test]
async fn a_probe_that_a_pause_kept_back_for_too_long_is_left_to_settle_without_an_alarm() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.tend(vec![doubt]).await;
    bench.pass(Duration::from_secs(86_400));
    assert!(bench.claim(1).await.is_empty());
    assert!(bench.journal.read_here(View::alarms).unwrap().is_empty());
    bench.tend(vec![doubt]).await;
    assert_eq!(bench.state(doubt), State::Held);
    bench.check_books();
}

#[tokio::test]
async fn t1_a_probe_that_is_turned_away_leaves_the_first_attempt_reserved() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.tend(vec![doubt]).await;
    let probe = bench.claim(1).await.pop().unwrap();
    bench.finish(probe, Placed::NotTaken(NotTaken::Throttled(None))).await;
    assert_eq!(bench.state(doubt), State::InDoubt);
    assert_eq!(bench.number("SELECT reserved FROM totals WHERE scope = 'day'"), PRICE.micros());
    bench.check_books();
}

#[tokio::test]
async fn a_first_probe_goes_alone_until_one_was_refused_free_of_charge() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(7)).await;
    let mut doubts = Vec::new();
    for _ in 0..4 {
        doubts.push(bench.doubt_one().await);
    }
    let in_flight = bench.claim(1).await.pop().unwrap();
    bench.pass(QUIET);
    bench.tend(doubts.clone()).await;
    let asked = || bench.number("SELECT count(*) FROM orders WHERE probe_ok = 1");
    assert_eq!(asked(), 0, "it waits for what is in flight");
    bench.finish(in_flight, Placed::Taken(ProviderOrderId(70))).await;
    bench.tend(doubts).await;
    assert_eq!(asked(), 4);
    let mut first = bench.claim(9).await;
    assert_eq!(first.len(), 1);
    let first = first.pop().unwrap();
    assert!(first.is_first_probe());
    assert!(bench.claim(9).await.is_empty());
    bench.finish(first, Placed::AlreadyExists).await;
    let second = bench.claim(9).await.pop().unwrap();
    assert!(second.is_first_probe(), "an answer alone proves nothing: the balance is looked at too");
    bench.finish(second, Placed::AlreadyExists).await;
    bench.journal.probes_are_refused("main".to_owned(), bench.now()).await.unwrap();
    let rest = bench.claim(9).await;
    assert_eq!(rest.len(), 4, "two probes and two orders");
    assert!(rest.iter().all(|ticket| !ticket.is_first_probe()));
}

#[tokio::test]
async fn after_the_balance_accused_no_probe_goes_until_a_person_has_seen_it() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    let text = "the balance fell by 0.08 all the same".to_owned();
    for _ in 0..2 {
        bench
            .journal
            .balance_accuses("main".to_owned(), Alarm::Balance, text.clone(), bench.now())
            .await
            .unwrap();
    }
    assert_eq!(bench.number("SELECT count(*) FROM alarms"), 1, "said once");
    assert!(bench.journal.probes_are_unsafe("main".to_owned()).await.unwrap());
    bench.journal.probes_are_refused("main".to_owned(), bench.now()).await.unwrap();
    assert!(
        bench.journal.probes_are_unsafe("main".to_owned()).await.unwrap(),
        "an accusation outweighs a refusal"
    );
    bench.tend(vec![doubt]).await;
    assert_eq!(bench.state(doubt), State::Held);
    bench.journal.write(|tx| tx.execute("UPDATE alarms SET acked_at = 1", []).map(drop)).await.unwrap();
    assert!(!bench.journal.probes_are_unsafe("main".to_owned()).await.unwrap());
    let accuse = async |text: &str| {
        let (name, text) = (Alarm::Balance, text.to_owned());
        bench.journal.balance_accuses("main".to_owned(), name, text, bench.now()).await.unwrap();
        bench.journal.probes_are_unsafe("main".to_owned()).await.unwrap()
    };
    assert!(!accuse(&text).await, "the next look finds what he has seen");
    let next = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.tend(vec![next]).await;
    assert!(bench.claim(1).await.pop().unwrap().is_first_probe());
    assert!(accuse("the balance fell by 0.16 all the same").await, "more than he has seen");
    assert_eq!(bench.number("SELECT count(*) FROM alarms"), 2);
}

#[tokio::test]
async fn a_balance_that_fell_by_all_presumes_the_doubts_instead_of_probing_them() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    let terms = DoubtTerms { balance: Verdict::AllTaken, ..bench.terms(false) };
    let listing = DoubtTerms { can_list: true, ..terms.clone() };
    bench.tend_by(vec![doubt], listing).await;
    assert_eq!(bench.state(doubt), State::InDoubt, "where it lists, the listing decides");
    bench.tend_by(vec![doubt], terms).await;
    assert_eq!(bench.state(doubt), State::OrderedNoId);
    let books = bench.journal.read_here(|view| view.books("main")).unwrap();
    assert_eq!((books.presumed, books.presumed_alone, books.reserved), (PRICE, PRICE, Money::ZERO));
    bench.check_books();
}

#[tokio::test]
async fn an_order_without_an_id_that_the_balance_contradicts_is_held() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    let all = DoubtTerms { balance: Verdict::AllTaken, ..bench.terms(false) };
    bench.tend_by(vec![doubt], all).await;
    let silent = DoubtTerms { can_list: true, ..bench.terms(false) };
    bench.tend_by(vec![doubt], silent.clone()).await;
    assert_eq!(bench.state(doubt), State::OrderedNoId);
    let against = DoubtTerms { balance: Verdict::Contradicts, ..silent.clone() };
    bench.tend_by(vec![doubt], against).await;
    assert_eq!(bench.state(doubt), State::Held);
    bench.check_books();
}

impl Bench {
    /// A claim of all there is, at a provider that lists its orders.
    async fn claim_all(&self) -> Claimed {
        let request = ClaimRequest { keep_witness: true, ..self.request(9) };
        self.journal.begin_attempts(request, self.clock()).await.unwrap()
    }

    async fn take(&self, claimed: Claimed, from: u64) {
        for (ticket, id) in claimed.tickets.into_iter().zip(from..) {
            self.finish(ticket, Placed::Taken(ProviderOrderId(id))).await;
        }
    }
}

#[tokio::test]
async fn the_last_order_is_kept_as_a_witness_until_the_doubts_are_quiet() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    bench.doubt_one().await;
    let claimed = bench.claim_all().await;
    assert_eq!(claimed.tickets.len(), 1);
    assert_eq!(claimed.blocked, Some(Blocked::Witness));
    assert_eq!(claimed.next_due, Some(bench.now().plus(QUIET)));
    bench.take(claimed, 10).await;
    bench.pass(QUIET);
    assert_eq!(bench.claim_all().await.tickets.len(), 1);
}

#[tokio::test]
async fn where_calls_stay_unanswered_the_last_order_goes_alone() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(5)).await;
    bench.doubt_one().await;
    bench.pass(QUIET);
    let claimed = bench.claim_all().await;
    assert_eq!((claimed.tickets.len(), claimed.blocked), (3, Some(Blocked::Witness)));
    let waiting = bench.claim_all().await;
    assert_eq!(
        (waiting.tickets.len(), waiting.blocked),
        (0, Some(Blocked::Witness)),
        "any can become a doubt"
    );
    bench.take(claimed, 10).await;
    assert_eq!(bench.claim_all().await.tickets.len(), 1);
}

#[tokio::test]
async fn the_last_order_goes_alone_for_a_while_after_a_doubt_is_settled() {
    let bench = Bench::new().await;
    bench.journal.keep_steady(&bench.clock());
    bench.batch("stock", &imeis(4)).await;
    let doubt = bench.doubt_one().await;
    bench.tell(doubt, Event::Listed(vec![ProviderOrderId(9)])).await;
    assert_eq!(bench.claim_all().await.tickets.len(), 2);
}

#[tokio::test]
async fn without_a_doubt_the_last_order_goes_with_the_others() {
    let bench = Bench::new().await;
    bench.journal.keep_steady(&bench.clock());
    bench.batch("stock", &imeis(4)).await;
    let claimed = bench.claim_all().await;
    assert_eq!((claimed.tickets.len(), claimed.blocked), (4, None));
}

#[tokio::test]
async fn an_id_told_by_an_unclear_answer_settles_the_doubt_once_it_is_looked_up() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench.look_up(doubt, &[44]).await;
    assert_eq!(bench.state(doubt), State::Ordered);
    bench.check_books();
}

#[tokio::test]
async fn of_two_told_ids_that_are_both_orders_of_its_imei_neither_is_lost() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench.look_up(doubt, &[44, 45]).await;
    assert_eq!(bench.state(doubt), State::Held);
    assert_eq!(bench.number("SELECT count(*) FROM charges"), 2);
    assert_eq!(bench.number("SELECT count(*) FROM alarms WHERE name = 'double_charge'"), 1);
    bench.check_books();
}

impl Bench {
    /// These ids are looked up, and are all orders of its IMEI.
    pub(super) async fn look_up(&self, order: OrderId, ids: &[u64]) {
        let ids: Vec<_> = ids.iter().map(|id| ProviderOrderId(*id)).collect();
        self.journal.looked_up(order, ids.clone(), ids, self.now(), (*self.rules).clone()).await.unwrap();
    }
}

impl Bench {
    /// Tells an order something that no stage tells it here.
    pub(super) async fn tell(&self, order: OrderId, event: Event) {
        let (now, rules) = (self.now(), Arc::clone(&self.rules));
        let tell = move |tx: &Tx<'_>| {
            let mut loaded = super::super::orders::load(tx, order)?;
            let telling =
                super::super::orders::Telling { what: "test", text: "", via: "export", quiet: false };
            super::super::orders::advance(tx, &mut loaded, &event, now, &rules, &telling)
        };
        let done = self.journal.write(tell).await.unwrap();
        assert!(done.is_some(), "illegal");
    }
}
