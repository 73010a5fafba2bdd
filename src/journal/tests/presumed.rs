//! Charges presumed beside a known id: what clears them, what books a second one, and what leaves them as they are.

use super::*;

impl Bench {
    /// An older order of ours, and one whose first attempt is presumed: its probe was taken, with id 15. The quiet period
    /// of all of it is over.
    pub(super) async fn with_presumed(&self) -> OrderId {
        self.with_presumed_beside(15).await
    }

    async fn with_presumed_beside(&self, id: u64) -> OrderId {
        self.batch("stock", &imeis(4)).await;
        self.order_one(10).await;
        let doubt = self.doubt_one().await;
        self.pass(QUIET);
        self.tend(vec![doubt]).await;
        let probe = self.claim(1).await.pop().unwrap();
        assert!(probe.is_probe());
        self.finish(probe, Placed::Taken(ProviderOrderId(id))).await;
        assert_eq!((self.state(doubt), self.presumed(doubt)), (State::Ordered, 1));
        doubt
    }

    pub(super) fn presumed(&self, order: OrderId) -> i64 {
        self.number(&format!("SELECT presumed FROM orders WHERE id = {order}"))
    }

    /// What a good listing shows: the older order, this one's id, and a later order.
    fn good(&self) -> Vec<ProviderOrder> {
        vec![
            self.told(20, imei(2), ProviderStatus::Pending),
            self.told(15, imei(1), ProviderStatus::Pending),
            self.told(10, imei(0), ProviderStatus::Completed),
        ]
    }

    /// The same listing for three quiet periods.
    async fn judge_long(&self, listing: &[ProviderOrder]) {
        for _ in 0..4 {
            self.judge(listing.to_vec()).await;
            self.check_books();
            self.pass(QUIET);
        }
    }
}

#[tokio::test]
async fn a_charge_that_is_cleared_makes_room_under_the_cap_at_once() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    bench.order_one(20).await;
    bench.judge(bench.good()).await;
    let request = || ClaimRequest { per_day: PRICE.checked_mul(4), ..bench.request(9) };
    let claim = || async { bench.journal.begin_attempts(request(), bench.clock()).await.unwrap() };
    assert_eq!(claim().await.blocked, Some(Blocked::Cap));
    let text = bench.journal.pauses().await.unwrap()[0].text.clone();
    assert!(text.contains(", 0.08 of it presumed until"), "{text}");
    assert_eq!(claim().await.blocked, Some(Blocked::Paused));
    bench.pass(QUIET);
    let submit = &bench.journal.wakes().submit;
    // What rang before is heard before.
    submit.notify_one();
    submit.notified().await;
    bench.judge(bench.good()).await;
    assert_eq!(bench.presumed(order), 0);
    tokio::time::timeout(Duration::from_secs(5), submit.notified()).await.expect("nobody is woken");
    let claimed = claim().await;
    assert_eq!(claimed.tickets.len(), 1);
    drop(claimed);
    bench.check_books();
}

#[tokio::test]
async fn two_good_listings_with_its_id_alone_clear_it() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    bench.order_one(20).await;
    bench.judge(bench.good()).await;
    bench.pass(QUIET - Duration::from_millis(1));
    bench.judge(bench.good()).await;
    assert_eq!(bench.presumed(order), 1);
    bench.pass(Duration::from_millis(1));
    bench.judge(bench.good()).await;
    assert_eq!((bench.state(order), bench.presumed(order)), (State::Ordered, 0));
    assert_eq!(bench.number("SELECT presumed FROM totals WHERE scope = 'day'"), 0);
    assert_eq!(bench.number(&format!("SELECT charged FROM orders WHERE id = {order}")), 1);
    bench.check_books();
}

#[tokio::test]
async fn a_poll_between_two_listings_begins_nothing_anew() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    bench.order_one(20).await;
    bench.judge(bench.good()).await;
    bench.tell(order, crate::order::Event::Status(ProviderStatus::Completed)).await;
    bench.pass(QUIET);
    bench.judge(bench.good()).await;
    assert_eq!((bench.state(order), bench.presumed(order)), (State::Completed, 0));
    bench.check_books();
}

#[tokio::test]
async fn t2_a_listing_without_a_later_order_of_ours_clears_nothing() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    bench.order_one(20).await;
    bench.judge_long(&bench.good()[1..]).await;
    assert_eq!(bench.presumed(order), 1);
}

#[tokio::test]
async fn t8_a_listing_that_is_cut_or_filtered_or_lacks_its_id_clears_nothing() {
    for without in [10, 15] {
        let bench = Bench::new().await;
        let order = bench.with_presumed().await;
        bench.order_one(20).await;
        let listing: Vec<_> = bench.good().into_iter().filter(|told| told.id.0 != without).collect();
        bench.judge_long(&listing).await;
        assert_eq!(bench.presumed(order), 1, "without {without}");
        let pending = bench.good().into_iter();
        let pending: Vec<_> =
            pending.map(|told| ProviderOrder { status: ProviderStatus::Pending, ..told }).collect();
        bench.judge_long(&pending).await;
        assert_eq!(bench.presumed(order), 1, "pending ones only");
    }
}

#[tokio::test]
async fn a_listing_that_ends_below_its_id_clears_nothing() {
    let bench = Bench::new().await;
    let order = bench.with_presumed_beside(30).await;
    bench.order_one(20).await;
    let listing: Vec<_> = bench.good().into_iter().filter(|told| told.id.0 != 15).collect();
    bench.judge_long(&listing).await;
    assert_eq!(bench.presumed(order), 1);
}

#[tokio::test]
async fn t9_a_second_id_is_booked_and_clears_nothing() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    bench.order_one(20).await;
    let mut listing = bench.good();
    listing.push(bench.told(16, imei(1), ProviderStatus::Pending));
    listing.push(bench.told(16, imei(1), ProviderStatus::Pending));
    bench.judge_long(&listing).await;
    assert_eq!(bench.presumed(order), 0);
    assert_eq!(bench.number(&format!("SELECT charged FROM orders WHERE id = {order}")), 2);
    assert_eq!(bench.number("SELECT order_id FROM charges WHERE provider_id = 16"), order.0);
    assert_eq!(bench.journal.read_here(View::alarms).unwrap()[0].name, "double_charge");
}

#[tokio::test]
async fn an_order_of_the_imei_that_can_not_be_told_apart_clears_nothing() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    bench.order_one(20).await;
    let other = bench.told(16, imei(1), ProviderStatus::Pending);
    let another_service = ProviderOrder { package: "Samsung Unlock".to_owned(), ..other.clone() };
    let unreadable = ProviderOrder { imei: None, ..other };
    for told in [another_service, unreadable] {
        bench.judge_long(&[bench.good(), vec![told]].concat()).await;
        assert_eq!(bench.presumed(order), 1);
    }
    assert_eq!(bench.number(&format!("SELECT charged FROM orders WHERE id = {order}")), 1);
}

#[tokio::test]
async fn an_order_whose_imei_can_not_be_read_is_no_absence_of_a_doubt() {
    let bench = Bench::new().await;
    let (doubt, mut listing) = bench.with_witnesses().await;
    listing.push(ProviderOrder { imei: None, ..bench.told(15, imei(1), ProviderStatus::Pending) });
    bench.judge_long(&listing).await;
    assert_eq!(bench.state(doubt), State::InDoubt);
}

/// An order whose id came late, while a second attempt of it was on its way, which then timed out.
async fn with_a_young_attempt(bench: &Bench) -> OrderId {
    bench.batch("stock", &imeis(4)).await;
    bench.order_one(10).await;
    let first = bench.claim(1).await.pop().unwrap();
    let order = first.order().unwrap();
    bench.journal.recover(bench.now(), (*bench.rules).clone()).await.unwrap();
    bench.pass(QUIET);
    bench.tend(vec![order]).await;
    let second = bench.claim(1).await.pop().unwrap();
    bench.finish(first, Placed::Taken(ProviderOrderId(15))).await;
    let unclear = Unclear { what: "timed out".into(), ids: vec![], retry_after: None };
    bench.finish(second, Placed::Unclear(unclear)).await;
    assert_eq!((bench.state(order), bench.presumed(order)), (State::Ordered, 1));
    order
}

#[tokio::test]
async fn t12_nothing_is_cleared_by_what_began_before_its_quiet_period_was_over() {
    let bench = Bench::new().await;
    let order = with_a_young_attempt(&bench).await;
    bench.pass(QUIET - Duration::from_millis(1));
    bench.order_one(20).await;
    bench.judge_long(&bench.good()).await;
    assert_eq!(bench.presumed(order), 1);
    bench.order_one(21).await;
    let later = [vec![bench.told(21, imei(3), ProviderStatus::Pending)], bench.good()].concat();
    bench.judge_long(&later).await;
    assert_eq!(bench.presumed(order), 0);
}

#[tokio::test]
async fn a_clock_that_is_set_forward_ends_no_quiet_period_of_what_is_presumed() {
    let bench = Bench::new().await;
    let steady = Arc::new(AtomicI64::new(0));
    let (wall, passed) = (Arc::clone(&bench.now), Arc::clone(&steady));
    let clock = Clock::from_fns(
        move || Timestamp::from_millis(wall.load(Ordering::Relaxed)),
        move || Duration::from_millis(passed.load(Ordering::Relaxed).unsigned_abs()),
    );
    let order = with_a_young_attempt(&bench).await;
    bench.journal.keep_steady(&clock);
    bench.pass(10 * QUIET);
    bench.order_one(20).await;
    bench.judge_long(&bench.good()).await;
    assert_eq!(bench.presumed(order), 1, "by the steady clock no time has passed");
    for _ in 0..2 {
        steady.fetch_add(i64::try_from(QUIET.as_millis()).unwrap(), Ordering::Relaxed);
        bench.judge_long(&bench.good()).await;
    }
    assert_eq!(bench.presumed(order), 1, "the later order was begun before it had");
}
