use super::*;
use crate::balance::{Baseline, Verdict};
use crate::clock::local_stamp;
use crate::journal::{DoubtTerms, NewRequest, PollResult, PollTold, Said, Target, Weighed};
use crate::schedule::Waited;
use crate::types::OrderId;

const PRICE: Money = Money::from_micros(80_000);

impl Bench {
    fn tells(&self, prices: i64) {
        *self.provider.1.lock().unwrap() = Some(Money::from_micros(prices * PRICE.micros()));
    }

    fn baseline(&self) -> Option<Baseline> {
        self.journal.read_here(|view| view.baseline("reseller")).unwrap()
    }

    async fn is_rejected(&self, order: i64) {
        let status = ProviderOrder { status: ProviderStatus::Rejected, ..told(1) };
        let result = PollResult {
            order: OrderId(order),
            of: None,
            told: PollTold::Status(status),
            next: self.clock.now(),
        };
        let rules = (*self.settings.rules).clone();
        self.journal.record_polls(vec![result], self.clock.now(), rules).await.unwrap();
    }
}

/// Both orders are taken, as the list says, and no balance is known of before.
async fn both_listed(bench: &Bench) -> (Settle, Arc<AtomicI64>) {
    let (mut settle, now, _) = stage_at(bench);
    let own = ProviderOrder { imei: Some(imei(2)), ..told(2) };
    look_on(bench, &mut settle, &now, Ok(vec![own, told(1)]), 4).await;
    (settle, now)
}

async fn look_again(bench: &Bench, settle: &mut Settle, now: &AtomicI64) {
    look_on(bench, settle, now, Ok(vec![told(1)]), 8).await;
}

#[tokio::test]
async fn what_the_first_balance_can_have_had_in_it_is_not_told_as_missing() {
    let bench = Bench::new().await;
    let (mut settle, now) = both_listed(&bench).await;
    assert_eq!(bench.baseline(), None, "it tells none");
    bench.tells(999);
    look_again(&bench, &mut settle, &now).await;
    let first = bench.baseline().unwrap();
    assert_eq!((first.books.charged.micros(), first.books.refund_due), (2 * PRICE.micros(), Money::ZERO));
    bench.is_rejected(1).await;
    look_again(&bench, &mut settle, &now).await;
    let next = bench.baseline().unwrap();
    assert_eq!(next.books.refund_due, PRICE);
    assert_eq!([next.refunds_surely_missing(), next.refunds_missing], [Money::ZERO, PRICE]);
}

#[tokio::test]
async fn what_is_new_of_a_fall_is_told_apart_from_what_was_seen() {
    let bench = Bench::new().await;
    bench.tells(1000);
    let (mut settle, now) = both_listed(&bench).await;
    look_again(&bench, &mut settle, &now).await;
    let since = local_stamp(bench.baseline().unwrap().at());
    let fell =
        |cents: &str| format!("since {since} the balance fell by {cents} more than our orders explain");
    // Each in a process of its own, which looks once.
    let look_at = async |prices| {
        bench.tells(prices);
        let (mut settle, now, _) = stage_at(&bench);
        look_on(&bench, &mut settle, &now, Ok(vec![told(1)]), 1).await;
        bench.alarms("balance")
    };
    // Books that moved make it look.
    bench.is_rejected(1).await;
    assert_eq!(look_at(997).await, [fell("0.24")]);
    let person = rusqlite::Connection::open(bench.journal.path()).unwrap();
    person.execute("UPDATE alarms SET acked_at = 1", []).unwrap();
    let more = fell("0.40") + ", of which 0.24 were seen before (imeid ack)";
    for _ in 0..2 {
        assert_eq!(look_at(995).await, [more.as_str()]);
    }
}

/// The second order is presumed, as the balance fell by it, and no list tells its id.
async fn second_presumed(bench: &Bench) {
    let terms = DoubtTerms {
        can_list: false,
        policy_hold: false,
        probe_within: Duration::from_secs(86_400),
        waited: Waited::always(bench.clock.now()),
        balance: Verdict::AllTaken,
        account: "reseller".to_owned(),
        looked: true,
        weighed: Weighed::Nothing,
    };
    let rules = (*bench.settings.rules).clone();
    bench.journal.tend_doubts(vec![OrderId(2)], terms, bench.clock.now(), rules).await.unwrap();
}

#[tokio::test]
async fn what_a_person_denies_of_what_was_presumed_is_no_fall() {
    let bench = Bench::new().await;
    second_presumed(&bench).await;
    bench.tells(1000);
    let (mut settle, now, _) = stage_at(&bench);
    let look_on = async |settle: &mut Settle| {
        super::look_on(&bench, settle, &now, Err(CallError::InvalidOrderId), 24).await;
    };
    look_on(&mut settle).await;
    // The next baseline, held against the first.
    bench.is_rejected(1).await;
    look_on(&mut settle).await;
    let known = bench.baseline().unwrap();
    assert_eq!((known.books.presumed, known.books.refund_due), (PRICE, PRICE));
    let service = bench.settings.number(&NetworkId("1739".to_owned())).unwrap();
    let target = Target::order(service, imei(2));
    let said = NewRequest { who: "anna".to_owned(), said: Said::NotOrdered, target };
    let at = Timestamp::from_millis(now.load(Ordering::SeqCst));
    let id = bench.journal.leave_request(said, at).await.unwrap();
    let answer = bench.journal.carry_out(id, at, (*bench.settings.rules).clone()).await.unwrap();
    assert!(answer.done, "{answer:?}");
    look_on(&mut settle).await;
    assert_eq!(bench.alarms("balance"), Vec::<String>::new());
    assert_eq!(bench.baseline().unwrap().books.presumed, Money::ZERO);
    // One that nobody ordered is told as ever.
    bench.tells(999);
    look_on(&mut settle).await;
    let [fell] = &bench.alarms("balance")[..] else { panic!("{:?}", bench.alarms("balance")) };
    assert!(fell.contains("fell by 0.08 more"), "{fell}");
}
