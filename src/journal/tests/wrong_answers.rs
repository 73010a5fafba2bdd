//! The provider answers an order with another one's id: what is told under it is no answer to ours.

use super::exports::COMPLETED;
use super::*;

const WHY: &str = "the provider tells of another under the order id 15";

impl Bench {
    /// A file of three. The first one's call is never answered, and the second is answered with the first one's id.
    async fn with_wrong_id(&self) -> (OrderId, OrderId) {
        self.batch("stock", &imeis(3)).await;
        self.order_one(10).await;
        let lost = self.doubt_one().await;
        let wrong = self.order_one(15).await;
        self.pass(QUIET);
        (lost, wrong)
    }

    async fn tell_of_another(&self, order: OrderId) {
        let result = self.result(order, PollTold::Anothers(WHY.to_owned()));
        self.journal.record_polls(vec![result], self.now(), (*self.rules).clone()).await.unwrap();
        self.recount();
    }

    fn alarm(&self) -> AlarmLine {
        let mut alarms = self.journal.read_here(View::alarms).unwrap();
        assert_eq!(alarms.len(), 1, "{alarms:?}");
        alarms.remove(0)
    }

    /// How many alarms nobody has seen whose cause isn't gone.
    fn open_alarms(&self) -> usize {
        self.journal.read_here(View::alarms).unwrap().len()
    }

    fn charged(&self, order: OrderId) -> (i64, i64) {
        let column = |name: &str| self.number(&format!("SELECT {name} FROM orders WHERE id = {order}"));
        (column("charged"), column("named"))
    }
}

#[tokio::test]
async fn an_order_whose_id_is_another_ones_is_held_with_its_charge_and_without_the_id() {
    let bench = Bench::new().await;
    let (_, wrong) = bench.with_wrong_id().await;
    bench.tell_of_another(wrong).await;
    assert_eq!((bench.state(wrong), bench.charged(wrong), bench.owner(15)), (State::Held, (1, 0), 0));
    let alarm = bench.alarm();
    assert_eq!(alarm.name, "wrong_answer");
    for words in [WHY, &imei(2).to_string(), "of stock", "--service check --order-id"] {
        assert!(alarm.text.contains(words), "{words}: {}", alarm.text);
    }
    let order = bench.row_of(BatchId(1), 3).order.unwrap();
    assert_eq!((order.held_for.as_deref(), order.provider_id), (Some(WHY), None));
    // Told so again, after a crash perhaps, it is what it was.
    bench.tell_of_another(wrong).await;
    assert_eq!((bench.state(wrong), bench.charged(wrong)), (State::Held, (1, 0)));
}

#[tokio::test]
async fn a_listing_then_gives_each_its_own_id_and_no_charge_is_added_or_lost() {
    let bench = Bench::new().await;
    let (lost, wrong) = bench.with_wrong_id().await;
    let told = |id, n| bench.told(id, imei(n), ProviderStatus::Pending);
    let listing = vec![told(16, 2), told(15, 1), told(10, 0)];
    bench.judge(listing.clone()).await;
    assert_eq!(bench.state(lost), State::InDoubt, "its id is booked for another");
    bench.tell_of_another(wrong).await;
    bench.judge(listing).await;
    assert_eq!((bench.owner(15), bench.owner(16)), (lost.0, wrong.0));
    assert_eq!((bench.charged(lost), bench.charged(wrong)), ((1, 1), (1, 1)));
    assert_eq!((bench.state(lost), bench.state(wrong)), (State::Ordered, State::Ordered));
    assert_eq!((bench.double_charges(), bench.open_alarms()), (0, 0), "what the alarm told of is settled");
    bench.recount();
}

#[tokio::test]
async fn a_person_says_its_id_then_and_its_charge_stays_one() {
    let bench = Bench::new().await;
    let (_, wrong) = bench.with_wrong_id().await;
    let refused = bench.said_of(Said::OrderId(16), 2).await;
    assert!(!refused.done, "its id isn't disproved yet: {refused:?}");
    bench.tell_of_another(wrong).await;
    assert!(!bench.said_of(Said::OrderId(10), 2).await.done, "that is another order's");
    assert!(!bench.said_of(Said::NotOrdered, 2).await.done, "it is paid");
    assert_eq!(bench.open_alarms(), 1);
    assert!(bench.said_of(Said::OrderId(16), 2).await.done);
    assert_eq!(
        (bench.state(wrong), bench.owner(16), bench.charged(wrong)),
        (State::Ordered, wrong.0, (1, 1))
    );
    assert_eq!(bench.open_alarms(), 0);
    assert!(bench.said_of(Said::OrderId(15), 1).await.done, "the id is free for the order whose it is");
}

#[tokio::test]
async fn an_export_settles_it_then_and_its_charge_stays_one() {
    let bench = Bench::new().await;
    let (_, wrong) = bench.with_wrong_id().await;
    bench.tell_of_another(wrong).await;
    bench.export(vec![bench.row(2, COMPLETED, bench.now())]).await;
    assert_eq!((bench.state(wrong), bench.charged(wrong)), (State::Completed, (1, 0)));
    assert_eq!(bench.open_alarms(), 0);
}

#[tokio::test]
async fn a_person_who_gives_it_up_needs_no_alarm_about_it_any_more() {
    let bench = Bench::new().await;
    let (_, wrong) = bench.with_wrong_id().await;
    bench.tell_of_another(wrong).await;
    assert!(bench.said_of(Said::Cancel, 2).await.done);
    assert_eq!((bench.state(wrong), bench.open_alarms()), (State::Cancelled, 0));
}

#[tokio::test]
async fn an_answer_with_a_booked_id_is_told_with_both_orders_and_what_to_do() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    bench.order_one(10).await;
    bench.batch("more", &[imei(1)]).await;
    let answered = bench.order_one(10).await;
    assert_eq!(bench.state(answered), State::InDoubt);
    let alarm = bench.alarm();
    assert_eq!(alarm.name, "wrong_answer");
    let [first, second] = [0, 1].map(|n| imei(n).to_string());
    for words in [&first, "of stock", &second, "of more", "Nothing to do yet", "imeid resolve"] {
        assert!(alarm.text.contains(words), "{words}: {}", alarm.text);
    }
}

#[tokio::test]
async fn the_alarm_of_a_booked_id_stays_until_it_is_found_out_whether_that_order_was_taken() {
    for how in ["not ordered", "listed", "held"] {
        let bench = Bench::new().await;
        bench.batch("stock", &[imei(0), imei(2)]).await;
        bench.order_one(10).await;
        bench.batch("more", &[imei(1)]).await;
        // Another doubt, whose end is none of this one.
        let other = bench.doubt_one().await;
        let answered = bench.order_one(10).await;
        bench.pass(QUIET);
        let end = async |n, id| {
            if how == "not ordered" {
                bench.said_of(Said::NotOrdered, n).await;
            } else {
                let found = bench.told(id, imei(n), ProviderStatus::Pending);
                bench.judge(vec![found, bench.told(10, imei(0), ProviderStatus::Completed)]).await;
            }
        };
        end(2, 19).await;
        assert_ne!(bench.state(other), State::InDoubt);
        bench.tend_by(vec![answered], DoubtTerms { policy_hold: how == "held", ..bench.terms(false) }).await;
        let state = if how == "held" { State::Held } else { State::InDoubt };
        assert_eq!((bench.state(answered), bench.open_alarms()), (state, 1), "{how}");
        end(1, 20).await;
        let state = if how == "not ordered" { State::Queued } else { State::Ordered };
        assert_eq!((bench.state(answered), bench.open_alarms()), (state, 0), "{how}");
    }
}

#[tokio::test]
async fn an_id_that_the_provider_tells_as_another_services_changes_nothing() {
    let mut bench = Bench::new().await;
    let first = bench.service;
    let second = bench.add_service().await;
    for (service, title) in [(first, "iPhone Check"), (second, "iPhone Unlock")] {
        let sql = format!("INSERT INTO titles (service, title) VALUES ({}, '{title}')", service.0);
        bench.journal.write(move |tx| tx.execute_one("a test's title", &sql, [])).await.unwrap();
    }
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    let seen = |package: &str| Seen::Order { imei: Some(imei(0)), package: package.to_owned() };
    let answer = bench.said_seen(Said::OrderId(17), 0, seen("iPhone Unlock")).await;
    assert!(!answer.done && answer.text.contains("the service unlock, not check"), "{answer:?}");
    assert_eq!(bench.state(doubt), State::InDoubt);
    // A name that is new is no other service's, and known from then on.
    assert!(bench.said_seen(Said::OrderId(17), 0, seen("iPhone Check 2")).await.done);
    assert_eq!(bench.number("SELECT count(*) FROM titles WHERE title = 'iPhone Check 2'"), 1);
}

#[tokio::test]
async fn an_order_told_of_as_another_services_does_not_say_what_its_own_is_called() {
    let mut bench = Bench::new().await;
    let first = bench.service;
    bench.batch("stock", &[imei(0), imei(1)]).await;
    bench.order_one(10).await;
    let doubt = bench.doubt_one().await;
    let second = bench.add_service().await;
    bench.service = second;
    bench.batch("other", &[imei(1), imei(4)]).await;
    bench.doubt_one().await;
    bench.order_one(16).await;
    bench.pass(QUIET);
    let called = |title: &str| BTreeSet::from([title.to_owned()]);
    let titles = BTreeMap::from([(first, called("iPhone Check")), (second, called("iPhone Unlock"))]);
    let facts = ListingFacts { asked_at: bench.now(), titles };
    let told = |id, n| bench.told(id, imei(n), ProviderStatus::Pending);
    let listing = vec![told(16, 4), told(15, 1), told(10, 0)];
    let rules = (*bench.rules).clone();
    bench.journal.judge_listing("main".to_owned(), listing, facts, bench.now(), rules).await.unwrap();
    assert_eq!((bench.state(doubt), bench.owner(15)), (State::Ordered, doubt.0));
}
