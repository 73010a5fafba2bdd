//! Two services that the provider calls alike, or may: an order listed of an IMEI that both have can be either's.

use super::*;

/// What is known of how the provider calls the second service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    TheSame,
    Another,
    Nothing,
    /// Seen at an order of ours before, and not told now.
    TheSameBefore,
    AnotherBefore,
}

impl Bench {
    /// Judges a listing, the second service being called as is known of it.
    async fn judge_called(&self, listing: Vec<ProviderOrder>, [first, second]: [ServiceId; 2], known: Known) {
        let called = |title: &str| BTreeSet::from([title.to_owned()]);
        let mut titles = BTreeMap::from([(first, called("iPhone Check"))]);
        match known {
            Known::TheSame => drop(titles.insert(second, called("iPhone Check"))),
            Known::Another => drop(titles.insert(second, called("iPhone Unlock"))),
            Known::Nothing | Known::TheSameBefore | Known::AnotherBefore => {}
        }
        let facts = ListingFacts { asked_at: self.now(), titles };
        let rules = (*self.rules).clone();
        self.journal.judge_listing("main".to_owned(), listing, facts, self.now(), rules).await.unwrap();
        self.recount();
    }

    async fn note_before(&self, service: ServiceId, known: Known) {
        let title = match known {
            Known::TheSameBefore => "iPhone Check",
            Known::AnotherBefore => "iPhone Unlock",
            _ => return,
        };
        let sql = format!("INSERT INTO titles (service, title) VALUES ({}, '{title}')", service.0);
        self.journal.write(move |tx| tx.execute_one("a test's title", &sql, [])).await.unwrap();
    }

    /// An older order of ours and one in doubt; then another service, which is the bench's from now on, with the latter's
    /// IMEI in its queue.
    async fn with_both(&mut self) -> ([ServiceId; 2], OrderId) {
        let first = self.service;
        self.batch("stock", &[imei(0), imei(1)]).await;
        self.order_one(10).await;
        let doubt = self.doubt_one().await;
        let second = self.add_service().await;
        self.service = second;
        self.batch("other", &[imei(1)]).await;
        ([first, second], doubt)
    }

    /// What a listing shows long after the doubts: an older order of ours, one of the IMEI, and a later one of ours.
    fn shown_of_both(&self) -> Vec<ProviderOrder> {
        vec![
            self.told(30, imei(3), ProviderStatus::Pending),
            self.told(15, imei(1), ProviderStatus::Pending),
            self.told(10, imei(0), ProviderStatus::Completed),
        ]
    }
}

#[tokio::test]
async fn what_can_be_either_ones_settles_neither_and_nothing_is_sent_again() {
    for known in [Known::TheSame, Known::Another, Known::Nothing, Known::TheSameBefore, Known::AnotherBefore]
    {
        let mut bench = Bench::new().await;
        let ([first, second], doubt) = bench.with_both().await;
        let other = bench.doubt_one().await;
        bench.note_before(second, known).await;
        bench.service = first;
        bench.pass(QUIET);
        bench.batch("later", &[imei(3)]).await;
        bench.order_one(30).await;
        for _ in 0..3 {
            bench.judge_called(bench.shown_of_both(), [first, second], known).await;
            bench.pass(QUIET);
        }
        let can_be_either = !matches!(known, Known::Another | Known::AnotherBefore);
        let state = if can_be_either { State::InDoubt } else { State::Ordered };
        assert_eq!((bench.state(doubt), bench.owner(15) == doubt.0), (state, !can_be_either), "{known:?}");
        if can_be_either {
            assert_eq!(bench.state(other), State::InDoubt, "{known:?}");
            assert!(bench.claim(9).await.is_empty(), "{known:?}");
        }
    }
}

#[tokio::test]
async fn what_is_known_of_the_other_ones_order_leaves_the_rest_to_this_one() {
    let mut bench = Bench::new().await;
    let ([first, second], doubt) = bench.with_both().await;
    let other = bench.order_one(16).await;
    bench.pass(QUIET);
    let listing = [bench.shown_of_both(), vec![bench.told(16, imei(1), ProviderStatus::Pending)]].concat();
    bench.judge_called(listing, [first, second], Known::TheSame).await;
    assert_eq!((bench.owner(15), bench.owner(16)), (doubt.0, other.0));
}

#[tokio::test]
async fn a_second_id_that_can_be_another_services_is_booked_for_none() {
    let mut bench = Bench::new().await;
    let first = bench.service;
    bench.batch("stock", &imeis(2)).await;
    bench.order_one(10).await;
    let released = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.said_of(Said::NotOrdered, 1).await;
    assert_eq!(bench.order_one(20).await, released);
    let second = bench.add_service().await;
    bench.service = second;
    bench.batch("other", &[imei(1)]).await;
    bench.doubt_one().await;
    let listing = vec![bench.told(25, imei(1), ProviderStatus::Pending)];
    bench.judge_called(listing, [first, second], Known::Nothing).await;
    assert_eq!((bench.owner(25), bench.double_charges()), (0, 0));
}
