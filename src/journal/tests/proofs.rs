//! What a listing lacks that leaves a doubt waiting, and that its row says so.

use super::*;

/// What is wrong with the listing, and with which words that is said.
const LACKS: [(&str, &str); 5] = [
    ("nothing older", "no order of ours that is older"),
    ("nothing finished", "no finished order"),
    ("nothing newer", "quiet period"),
    ("an IMEI that can't be read", "missing in it"),
    ("its IMEI under another title", "can be another"),
];

impl Bench {
    /// A doubt whose quiet period is over, the row that it belongs to, and a listing that doesn't prove its absence.
    async fn with_a_listing_that_lacks(&self, what: &str) -> (OrderId, u32, Vec<ProviderOrder>) {
        self.batch("stock", &imeis(3)).await;
        let is_first = what == "nothing older";
        if !is_first {
            self.order_one(10).await;
        }
        let doubt = self.doubt_one().await;
        let row = if is_first { 1 } else { 2 };
        self.pass(QUIET);
        let newer = |status| self.told(20, imei(row), status);
        let older = self.told(10, imei(0), ProviderStatus::Completed);
        if what == "nothing newer" {
            return (doubt, row, vec![older]);
        }
        self.order_one(20).await;
        let listing = match what {
            "nothing older" => vec![newer(ProviderStatus::Completed)],
            "nothing finished" => {
                vec![newer(ProviderStatus::Pending), self.told(10, imei(0), ProviderStatus::Pending)]
            }
            "an IMEI that can't be read" => {
                let unreadable =
                    ProviderOrder { imei: None, ..self.told(19, imei(1), ProviderStatus::Pending) };
                vec![newer(ProviderStatus::Pending), older, unreadable]
            }
            _ => {
                let anothers = self.told(19, imei(1), ProviderStatus::Pending);
                let anothers = ProviderOrder { package: "Samsung Check".to_owned(), ..anothers };
                vec![newer(ProviderStatus::Pending), older, anothers]
            }
        };
        (doubt, row, listing)
    }

    /// Why this row's order waits or is held; how many doubts wait for a proof; how often that was told.
    fn waits_for(&self, row: u32) -> (Option<String>, usize, i64) {
        let doubts = self.journal.read_here(|view| view.doubts("main")).unwrap();
        (
            self.row_of(BatchId(1), row).order.unwrap().held_for,
            doubts.iter().filter(|doubt| doubt.lacks_proof()).count(),
            self.number("SELECT count(*) FROM events WHERE what = 'waits'"),
        )
    }
}

#[tokio::test]
async fn a_doubt_that_no_listing_can_settle_says_why_it_waits_after_two_quiet_periods() {
    for (what, words) in LACKS {
        let bench = Bench::new().await;
        let (doubt, row, listing) = bench.with_a_listing_that_lacks(what).await;
        bench.judge(listing.clone()).await;
        bench.pass(QUIET - Duration::from_millis(1));
        bench.judge(listing.clone()).await;
        assert_eq!(bench.waits_for(row), (None, 0, 0), "{what}");
        bench.pass(Duration::from_millis(1));
        for _ in 0..3 {
            assert_eq!(bench.judge(listing.clone()).await, 0);
            bench.pass(QUIET);
        }
        let (why, waiting, told) = bench.waits_for(row);
        assert!(why.as_ref().is_some_and(|why| why.contains(words)), "{what}: {why:?}");
        // The next orders come by themselves: nobody need do anything.
        assert_eq!((waiting, told), (usize::from(what != "nothing newer"), 1), "{what}");
        assert_eq!(bench.state(doubt), State::InDoubt, "{what}");
        assert!(bench.claim(1).await.iter().all(|ticket| ticket.order() != Some(doubt)), "{what}");
    }
}

#[tokio::test]
async fn what_a_doubt_waits_for_is_taken_back_with_the_listing_that_proves_it_absent_and_with_the_doubt() {
    let bench = Bench::new().await;
    let (doubt, row, mut listing) = bench.with_a_listing_that_lacks("nothing newer").await;
    bench.pass(QUIET);
    bench.judge(listing.clone()).await;
    assert!(bench.waits_for(row).0.is_some());
    bench.order_one(20).await;
    listing.push(bench.told(20, imei(2), ProviderStatus::Pending));
    bench.judge(listing.clone()).await;
    assert_eq!(bench.waits_for(row), (None, 0, 1));
    bench.judge(listing[..1].to_vec()).await;
    assert!(bench.waits_for(row).0.is_some(), "one that is cached shows less again");
    bench.pass(QUIET);
    bench.judge(listing).await;
    assert_eq!((bench.state(doubt), bench.waits_for(row).0), (State::Queued, None));
    bench.check_books();
}

#[tokio::test]
async fn an_order_whose_id_another_ones_answer_brought_is_not_absent() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(4)).await;
    bench.order_one(10).await;
    let doubt = bench.doubt_one().await;
    // The doubt's order has the id 15, and this answer brings it once more.
    let other = bench.order_one(15).await;
    bench.pass(QUIET);
    bench.order_one(20).await;
    let listing = vec![
        bench.told(20, imei(3), ProviderStatus::Pending),
        bench.told(15, imei(1), ProviderStatus::Pending),
        bench.told(10, imei(0), ProviderStatus::Completed),
    ];
    for _ in 0..4 {
        bench.judge(listing.clone()).await;
        bench.pass(QUIET);
    }
    assert_eq!((bench.state(doubt), bench.state(other)), (State::InDoubt, State::Ordered));
    let why = bench.waits_for(2).0.unwrap();
    assert!(why.contains("an order of its IMEI is in it"), "{why}");
    assert!(bench.claim(1).await.is_empty());
    bench.check_books();
}

#[tokio::test]
async fn where_ids_fall_no_list_shows_what_is_not_in_it() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    bench.order_one(30).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.order_one(10).await;
    let listing = vec![
        bench.told(30, imei(0), ProviderStatus::Completed),
        bench.told(20, imei(1), ProviderStatus::Pending),
        bench.told(10, imei(2), ProviderStatus::Pending),
    ];
    for _ in 0..4 {
        bench.judge(listing.clone()).await;
        bench.pass(QUIET);
    }
    assert_eq!(bench.state(doubt), State::InDoubt);
    let why = bench.waits_for(2).0.unwrap();
    assert!(why.contains("ids don't rise") && why.ends_with("of its IMEI it has 20"), "{why}");
    bench.check_books();
}
