//! An order that was charged twice: what it shows of the provider, and what becomes of what is in doubt then.

use super::exports::{COMPLETED, PENDING, REJECTED};
use super::*;
use crate::order::Event;

impl Bench {
    /// An order of which a charge is presumed beside its id 15, as it was probed; another in doubt that has rested.
    async fn with_presumed_and_a_doubt(&self) -> (OrderId, OrderId) {
        let order = self.with_presumed().await;
        let doubt = self.doubt_one().await;
        self.pass(QUIET);
        self.forget_first_probe().await;
        (order, doubt)
    }

    /// As if what the probe showed that went alone were known.
    async fn forget_first_probe(&self) {
        let sql = "DELETE FROM facts WHERE key = 'first_probe:main'";
        self.journal.write(|tx| tx.execute(sql, []).map(drop)).await.unwrap();
    }

    async fn are_probes_unsafe(&self) -> bool {
        self.journal.probes_are_unsafe("main".to_owned()).await.unwrap()
    }

    /// This id of the second IMEI is listed, as it ended, beside the order's own, as that ended.
    async fn list_second(&self, second: (u64, ProviderStatus), own: ProviderStatus) {
        let of_its_imei = |(id, status)| self.told(id, imei(1), status);
        let ours = self.told(10, imei(0), ProviderStatus::Completed);
        self.judge(vec![of_its_imei(second), of_its_imei((15, own)), ours]).await;
        self.check_books();
    }

    fn told_so(&self) -> i64 {
        self.number(
            "SELECT count(*) FROM alarms WHERE name = 'double_charge' AND text LIKE '%charges duplicates%'",
        )
    }
}

#[tokio::test]
async fn a_listing_that_shows_a_probe_paid_twice_holds_what_is_in_doubt_until_a_person_has_seen_it() {
    let bench = Bench::new().await;
    let (_, doubt) = bench.with_presumed_and_a_doubt().await;
    bench.tend(vec![doubt]).await;
    bench.list_second((13, ProviderStatus::Completed), ProviderStatus::Completed).await;
    assert_eq!((bench.double_charges(), bench.told_so(), bench.are_probes_unsafe().await), (1, 1, true));
    assert!(bench.claim(9).await.iter().all(|ticket| !ticket.is_probe()), "one that was asked for before");
    bench.tend(vec![doubt]).await;
    assert_eq!(bench.state(doubt), State::Held);
    let why = "SELECT count(*) FROM events WHERE detail LIKE '%sent again it could be paid twice: an alarm%'";
    assert_eq!(bench.number(why), 1);
    // Listed again it is no news; seen, it keeps nothing from being asked any more.
    bench.see_alarms().await;
    bench.list_second((13, ProviderStatus::Completed), ProviderStatus::Completed).await;
    assert_eq!((bench.double_charges(), bench.are_probes_unsafe().await), (1, false));
}

#[tokio::test]
async fn so_it_is_where_duplicates_were_once_seen_to_be_refused() {
    let bench = Bench::new().await;
    let (_, doubt) = bench.with_presumed_and_a_doubt().await;
    bench.journal.probes_are_refused("main".to_owned(), bench.now()).await.unwrap();
    bench.list_second((13, ProviderStatus::Pending), ProviderStatus::Pending).await;
    bench.tend(vec![doubt]).await;
    assert_eq!((bench.are_probes_unsafe().await, bench.state(doubt)), (true, State::Held));
}

#[tokio::test]
async fn of_two_the_first_of_which_was_given_back_nothing_is_shown() {
    let (completed, rejected) = (ProviderStatus::Completed, ProviderStatus::Rejected);
    for (second, own, shows) in [
        ((13, rejected), completed, false),
        ((13, completed), rejected, true),
        ((17, rejected), completed, true),
        ((17, completed), rejected, false),
        ((17, rejected), rejected, false),
    ] {
        let bench = Bench::new().await;
        let (order, _) = bench.with_presumed_and_a_doubt().await;
        if own == rejected {
            bench.tell(order, Event::Status(own)).await;
        }
        bench.list_second(second, own).await;
        assert_eq!(
            (bench.double_charges(), bench.are_probes_unsafe().await),
            (1, shows),
            "{second:?} {own:?}"
        );
        let asks = "SELECT count(*) FROM alarms WHERE text LIKE '%Ask the provider to give one back%'";
        let refund = "SELECT count(*) FROM alarms WHERE text LIKE '%One was given back%'";
        assert_eq!((bench.number(asks) > 0, bench.number(refund) > 0), (shows, !shows), "{second:?} {own:?}");
    }
}

#[tokio::test]
async fn where_ids_do_not_rise_they_do_not_tell_which_was_the_first() {
    let bench = Bench::new().await;
    bench.with_presumed_and_a_doubt().await;
    bench.journal.set_fact("ids fall main", "9 after 10".to_owned()).await.unwrap();
    bench.list_second((17, ProviderStatus::Rejected), ProviderStatus::Completed).await;
    assert_eq!((bench.double_charges(), bench.are_probes_unsafe().await), (1, false));
}

#[tokio::test]
async fn what_a_persons_word_had_sent_again_shows_nothing_and_what_an_absence_had_does() {
    for by_word in [true, false] {
        let bench = Bench::new().await;
        let (doubt, mut listing) = bench.with_witnesses().await;
        if by_word {
            bench.said_of(Said::NotOrdered, 1).await;
        } else {
            bench.judge(listing.clone()).await;
            bench.pass(QUIET);
            bench.judge(listing.clone()).await;
        }
        assert_eq!(bench.order_one(25).await, doubt, "by word: {by_word}");
        listing.push(bench.told(15, imei(1), ProviderStatus::Pending));
        bench.judge(listing).await;
        assert_eq!((bench.double_charges(), bench.are_probes_unsafe().await), (1, !by_word));
    }
}

#[tokio::test]
async fn beside_one_attempt_a_second_order_is_someone_elses() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    bench.order_one(10).await;
    let doubt = bench.doubt_one().await;
    let listed = [15, 16].map(|id| bench.told(id, imei(1), ProviderStatus::Pending));
    let ours = bench.told(10, imei(0), ProviderStatus::Completed);
    bench.judge(listed.into_iter().chain([ours]).collect()).await;
    assert_eq!((bench.state(doubt), bench.double_charges()), (State::Held, 1));
    assert!(!bench.are_probes_unsafe().await);
}

#[tokio::test]
async fn an_export_that_shows_a_probe_paid_twice_says_so_too() {
    for (first, later, shows) in
        [(COMPLETED, PENDING, true), (COMPLETED, REJECTED, true), (REJECTED, COMPLETED, false)]
    {
        // Of an order whose id is known, of which a charge is presumed.
        let bench = Bench::new().await;
        let (order, _) = bench.with_presumed_and_a_doubt().await;
        let begun = |n: u32| {
            let sql = format!("SELECT claimed_at FROM attempts WHERE order_id = {order} AND n = {n}");
            Timestamp::from_millis(bench.number(&sql))
        };
        let rows = vec![bench.row(1, later, begun(2)), bench.row(1, first, begun(1))];
        bench.journal.beyond_ours(rows, bench.now(), (*bench.rules).clone()).await.unwrap();
        assert_eq!((bench.double_charges(), bench.are_probes_unsafe().await), (1, shows), "{first} {later}");
        assert_eq!(bench.told_so(), i64::from(shows));
        // Of one that is in doubt, its probe's answer lost as well.
        let bench = Bench::new().await;
        let doubts = bench.doubts_to_probe(2).await;
        let sent = bench.now().minus(QUIET);
        let probe = bench.first_probe().await;
        let order = probe.order().unwrap();
        let n = u32::try_from(order.0).unwrap() - 1;
        bench.finish(probe, unclear()).await;
        bench.export(vec![bench.row(n, first, sent), bench.row(n, later, bench.now())]).await;
        assert_eq!((bench.state(order), bench.are_probes_unsafe().await), (State::Held, shows));
        bench.pass(QUIET);
        bench.tend(doubts.iter().copied().filter(|doubt| *doubt != order).collect()).await;
        assert_eq!(
            bench.journal.read_here(View::order_counts).unwrap().held,
            if shows { 2 } else { 1 },
            "{first} {later}"
        );
    }
}

#[tokio::test]
async fn what_was_released_or_cleared_and_is_shown_after_all_says_so_too_but_not_what_a_word_released() {
    for (verdict, shows) in [(5, true), (6, false), (7, true), (8, true)] {
        let bench = Bench::new().await;
        let (order, _) = bench.with_presumed_and_a_doubt().await;
        let sql = format!("UPDATE attempts SET verdict = {verdict} WHERE order_id = {order} AND n = 1");
        let now = bench.now();
        let told = bench.journal.write(move |tx| {
            tx.execute(&sql, [])?;
            let order = super::super::orders::load(tx, order)?;
            super::super::probing::charged_twice(tx, &order, "it was ordered twice", false, now)
        });
        told.await.unwrap();
        assert_eq!((bench.double_charges(), bench.are_probes_unsafe().await), (1, shows), "{verdict}");
    }
}

#[tokio::test]
async fn what_was_shown_once_is_shown_by_the_same_order_in_other_words_too() {
    let bench = Bench::new().await;
    let (order, _) = bench.with_presumed_and_a_doubt().await;
    let now = bench.now();
    for (given_back, shows) in [(true, false), (false, true), (true, true)] {
        let told = bench.journal.write(move |tx| {
            let order = super::super::orders::load(tx, order)?;
            super::super::probing::charged_twice(tx, &order, &format!("{given_back}"), given_back, now)
        });
        told.await.unwrap();
        assert_eq!(bench.are_probes_unsafe().await, shows, "{given_back}");
        bench.see_alarms().await;
    }
    assert_eq!((bench.double_charges(), bench.told_so()), (3, 2));
}

#[tokio::test]
async fn an_answer_that_brings_a_second_id_says_so_too() {
    let bench = Bench::new().await;
    bench.doubts_to_probe(2).await;
    let probe = bench.first_probe().await;
    let order = probe.order().unwrap();
    bench.tell(order, Event::LateId(ProviderOrderId(15))).await;
    bench.finish(probe, Placed::Taken(ProviderOrderId(20))).await;
    assert_eq!((bench.double_charges(), bench.are_probes_unsafe().await), (1, true));
}

#[tokio::test]
async fn a_probe_that_goes_alone_just_then_is_still_waited_for_once_the_alarm_is_seen() {
    let bench = Bench::new().await;
    let (_, doubt) = bench.with_presumed_and_a_doubt().await;
    bench.doubt_one().await;
    bench.pass(QUIET);
    bench.tend(vec![doubt, OrderId(doubt.0 + 1)]).await;
    let probe = bench.first_probe().await;
    bench.list_second((13, ProviderStatus::Completed), ProviderStatus::Completed).await;
    bench.see_alarms().await;
    assert!(bench.claim(9).await.is_empty(), "a second one beside it");
    bench.finish(probe, Placed::Taken(ProviderOrderId(30))).await;
    bench.pass(QUIET);
    assert!(bench.claim(9).await.is_empty(), "a second one before it is weighed");
}
