//! Ids that a listing shows beside the one that is known: of an attempt that was released, and taken all the same.

use super::*;

impl Bench {
    /// An older order of ours; a doubt that a person's word released, sent again and taken with id 20.
    pub(super) async fn with_released(&self) -> OrderId {
        self.batch("stock", &imeis(2)).await;
        self.order_one(10).await;
        let order = self.doubt_one().await;
        self.release(1).await;
        assert_eq!(self.order_one(20).await, order);
        assert_eq!(self.of(order), (1, 1, 0));
        order
    }

    async fn release(&self, n: u32) {
        self.pass(QUIET);
        self.said_of(Said::NotOrdered, n).await;
    }

    /// Charged, released and presumed attempts of an order.
    fn of(&self, order: OrderId) -> (i64, i64, i64) {
        let column = |name: &str| self.number(&format!("SELECT {name} FROM orders WHERE id = {order}"));
        (column("charged"), column("inferred"), column("presumed"))
    }

    pub(super) fn owner(&self, id: u64) -> i64 {
        self.number(&format!("SELECT coalesce(max(order_id), 0) FROM charges WHERE provider_id = {id}"))
    }

    pub(super) fn double_charges(&self) -> i64 {
        self.number("SELECT count(*) FROM alarms WHERE name = 'double_charge'")
    }

    pub(super) async fn show(&self, id: u64, n: u32) {
        let told = self.told(id, imei(n), ProviderStatus::Pending);
        // However often, and twice in one listing. An order of ours in it tells the service's title.
        for _ in 0..2 {
            let ours = self.told(10, imei(0), ProviderStatus::Completed);
            self.judge(vec![told.clone(), told.clone(), ours]).await;
            self.check_books();
        }
    }

    /// The newest order of an IMEI has made room, as it does once it isn't live any more.
    async fn retire(&self, order: OrderId) {
        let sql = format!("UPDATE orders SET current = 0 WHERE id = {order}");
        self.journal.write(move |tx| tx.execute_one("a test's order", &sql, [])).await.unwrap();
    }
}

#[tokio::test]
async fn t3_a_released_attempt_that_was_taken_all_the_same_is_booked_and_told_of_once() {
    let bench = Bench::new().await;
    let order = bench.with_released().await;
    bench.show(15, 1).await;
    assert_eq!((bench.of(order), bench.owner(15)), ((2, 0, 0), order.0));
    assert_eq!((bench.state(order), bench.double_charges()), (State::Ordered, 1));
    assert_eq!(bench.number("SELECT charged FROM totals WHERE scope = 'day'"), 3 * PRICE.micros());
}

#[tokio::test]
async fn a_released_attempt_of_an_order_that_has_ended_is_booked_too() {
    let bench = Bench::new().await;
    let order = bench.with_released().await;
    bench.tell(order, crate::order::Event::Status(ProviderStatus::Completed)).await;
    bench.show(15, 1).await;
    assert_eq!((bench.of(order), bench.double_charges()), ((2, 0, 0), 1));
    assert_eq!(bench.state(order), State::Completed);
}

#[tokio::test]
async fn what_was_there_before_the_first_attempt_is_not_booked() {
    let bench = Bench::new().await;
    let order = bench.with_released().await;
    bench.show(9, 1).await;
    assert_eq!((bench.of(order), bench.owner(9), bench.double_charges()), ((1, 1, 0), 0, 0));
}

#[tokio::test]
async fn what_no_attempt_of_ours_explains_is_not_booked() {
    let bench = Bench::new().await;
    bench.with_released().await;
    // Ordered and answered without any doubt: someone ordered it by hand since.
    bench.show(25, 0).await;
    assert_eq!((bench.owner(25), bench.double_charges()), (0, 0));
}

#[tokio::test]
async fn an_order_that_was_cancelled_after_its_release_gets_the_id_that_shows() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    bench.order_one(10).await;
    let order = bench.doubt_one().await;
    bench.release(1).await;
    bench.said_of(Said::Cancel, 1).await;
    assert_eq!(bench.state(order), State::Cancelled);
    bench.show(15, 1).await;
    assert_eq!((bench.of(order), bench.state(order)), ((1, 0, 0), State::Ordered));
}

#[tokio::test]
async fn while_an_attempt_is_on_its_way_the_id_may_be_its_own() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    bench.order_one(10).await;
    let order = bench.doubt_one().await;
    bench.release(1).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    bench.show(15, 1).await;
    assert_eq!(bench.owner(15), 0);
    bench.finish(ticket, Placed::Taken(ProviderOrderId(15))).await;
    bench.show(15, 1).await;
    assert_eq!((bench.of(order), bench.double_charges()), ((1, 1, 0), 0));
}

/// An order with a released attempt that has ended, and made room for a newer one of its IMEI.
async fn with_successor(bench: &Bench) -> OrderId {
    let older = bench.with_released().await;
    bench.tell(older, crate::order::Event::Status(ProviderStatus::Completed)).await;
    bench.retire(older).await;
    bench.batch("again", &[imei(1)]).await;
    older
}

#[tokio::test]
async fn t16_an_id_goes_to_the_newest_order_that_it_can_be() {
    for (id, is_the_newer_ones) in [(25u64, true), (15, false)] {
        let bench = Bench::new().await;
        let older = with_successor(&bench).await;
        let newer = bench.doubt_one().await;
        assert_ne!(older, newer);
        bench.show(id, 1).await;
        let (owner, state) =
            if is_the_newer_ones { (newer, State::Ordered) } else { (older, State::InDoubt) };
        assert_eq!((bench.owner(id), bench.state(newer)), (owner.0, state), "{id}");
        assert_eq!(bench.double_charges(), i64::from(!is_the_newer_ones), "{id}");
    }
}

#[tokio::test]
async fn a_newer_order_never_sent_ends_as_the_duplicate_of_the_one_that_a_second_id_shows() {
    let bench = Bench::new().await;
    let older = with_successor(&bench).await;
    let newer = bench.current(1);
    assert_ne!(newer, older);
    // Of neither: nothing changes.
    bench.show(9, 1).await;
    assert_eq!(bench.state(newer), State::Queued);
    bench.show(15, 1).await;
    assert_eq!((bench.owner(15), bench.double_charges()), (older.0, 1));
    assert_eq!(bench.state(newer), State::OrderedElsewhere);
    let named = bench.number(&format!("SELECT earlier FROM orders WHERE id = {newer}"));
    assert_eq!(named, older.0, "its row has the older one's answer");
    assert!(bench.claim(1).await.is_empty(), "it is paid for once more");
    // Nor is it by a later drop.
    bench.batch("later", &[imei(1)]).await;
    assert!(bench.claim(1).await.is_empty(), "it is paid for once more");
    assert_eq!(bench.current(1), newer);
    bench.recount();
}

#[tokio::test]
async fn t16_while_the_newer_one_is_on_its_way_an_id_that_may_be_its_own_waits() {
    let bench = Bench::new().await;
    with_successor(&bench).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    let newer = ticket.order().unwrap();
    bench.show(25, 1).await;
    assert_eq!((bench.owner(25), bench.double_charges()), (0, 0));
    bench.finish(ticket, Placed::Taken(ProviderOrderId(25))).await;
    assert_eq!(bench.owner(25), newer.0);
}

#[tokio::test]
async fn an_order_that_was_refused_after_its_release_leaves_the_id_to_the_one_made_anew() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    bench.order_one(10).await;
    let older = bench.doubt_one().await;
    bench.release(1).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    bench.finish(ticket, Placed::NotTaken(NotTaken::InvalidImei("Invalid IMEI".into()))).await;
    assert_eq!(bench.state(older), State::Refused);
    bench.batch("again", &[imei(1)]).await;
    bench.show(15, 1).await;
    let newer = OrderId(bench.owner(15));
    assert!(newer != older && bench.state(newer) == State::Ordered);
    assert!(bench.claim(1).await.is_empty(), "it isn't sent");
}

/// A doubt whose second attempt was taken with id 15, the first one presumed, and then cleared by two listings.
async fn with_cleared(bench: &Bench) -> OrderId {
    let order = bench.with_presumed().await;
    bench.order_one(20).await;
    for _ in 0..2 {
        let ids = [
            (20, 2, ProviderStatus::Pending),
            (15, 1, ProviderStatus::Pending),
            (10, 0, ProviderStatus::Completed),
        ];
        bench.judge(ids.map(|(id, n, status)| bench.told(id, imei(n), status)).to_vec()).await;
        bench.pass(QUIET);
    }
    assert_eq!(bench.of(order), (1, 0, 0));
    assert_eq!(bench.number("SELECT count(*) FROM attempts WHERE verdict = 8"), 1);
    order
}

#[tokio::test]
async fn a_cleared_attempt_that_is_listed_after_all_is_booked_and_told_of_once() {
    let bench = Bench::new().await;
    let order = with_cleared(&bench).await;
    bench.show(14, 1).await;
    assert_eq!((bench.of(order), bench.owner(14), bench.double_charges()), ((2, 0, 0), order.0, 1));
    assert_eq!(bench.number("SELECT count(*) FROM attempts WHERE verdict = 8"), 0, "it is that attempt");
    assert_eq!(bench.number(&format!("SELECT count(*) FROM attempts WHERE order_id = {order}")), 2);
    // What else is listed of it is nobody's.
    bench.show(16, 1).await;
    assert_eq!((bench.owner(16), bench.double_charges()), (0, 1));
}

#[tokio::test]
async fn what_was_there_before_a_cleared_attempt_is_not_booked() {
    let bench = Bench::new().await;
    let order = with_cleared(&bench).await;
    bench.show(9, 1).await;
    assert_eq!((bench.of(order), bench.owner(9), bench.double_charges()), ((1, 0, 0), 0, 0));
}

#[tokio::test]
async fn a_title_of_two_services_names_none() {
    let bench = Bench::new().await;
    bench.with_released().await;
    let titles = |service: i64| (ServiceId(service), BTreeSet::from(["iPhone Check".to_owned()]));
    let titles = BTreeMap::from([titles(bench.service.0), titles(bench.service.0 + 1)]);
    let facts = ListingFacts { asked_at: bench.now(), titles };
    let listing = vec![bench.told(15, imei(1), ProviderStatus::Pending)];
    let rules = (*bench.rules).clone();
    bench.journal.judge_listing("main".to_owned(), listing, facts, bench.now(), rules).await.unwrap();
    assert_eq!(bench.owner(15), 0);
}
