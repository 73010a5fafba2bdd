//! What an export clears of the charges presumed beside a known id, and what it leaves as they are.

use super::*;
use crate::order::{Event, Exported};

const PENDING: u8 = 1;

impl Bench {
    /// When the last charge of this IMEI was ordered.
    pub(super) fn ordered(&self, n: u32) -> Timestamp {
        let sql = format!(
            "SELECT max(claimed_at) FROM attempts JOIN orders ON orders.id = order_id WHERE verdict = 0 AND imei = {}",
            imei(n)
        );
        Timestamp::from_millis(self.number(&sql))
    }

    /// What an export of these IMEIs shows, each as it was ordered last.
    pub(super) fn shown(&self, of: &[u32]) -> Shown {
        self.shown_at(&of.iter().map(|n| (*n, self.ordered(*n))).collect::<Vec<_>>())
    }

    /// What an export with these rows shows, those of the second IMEI as they stand.
    pub(super) fn shown_at(&self, rows: &[(u32, Timestamp)]) -> Shown {
        let key = |n: u32| (self.service.0, imei(n).as_u64());
        let mut dated: Vec<(ExportKey, i64)> = rows.iter().map(|(n, at)| (key(*n), at.millis())).collect();
        dated.sort_unstable();
        let of_presumed = rows.iter().filter(|(n, _)| *n == 1).map(|(n, at)| self.row(*n, PENDING, *at));
        let rows = BTreeMap::from([(key(1), of_presumed.collect())]);
        Shown { dated, rows, has_finished: true, has_pending: true }
    }

    pub(super) async fn clear(&self, shown: Shown) -> usize {
        let (now, rules) = (self.now(), (*self.rules).clone());
        let placed = |at| Some((at - 2000, at + 2000));
        let cleared = self.journal.clear_by_export("main".to_owned(), shown, placed, now, rules);
        let cleared = cleared.await.unwrap();
        self.check_books();
        cleared
    }
}

#[tokio::test]
async fn an_export_with_its_charge_alone_clears_what_is_presumed() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    let keys = bench.journal.read_here(|view| view.presumed_keys("main")).unwrap();
    assert_eq!(keys, BTreeSet::from([(bench.service.0, imei(1).as_u64())]));
    assert!(bench.journal.read_here(|view| view.presumed_keys("other")).unwrap().is_empty());
    bench.pass(QUIET);
    bench.order_one(20).await;
    // Ordered after the export was made.
    bench.order_one(21).await;
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 1);
    assert_eq!((bench.state(order), bench.presumed(order)), (State::Ordered, 0));
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 0, "once");
}

#[tokio::test]
async fn an_export_made_too_early_clears_nothing() {
    let bench = Bench::new().await;
    bench.with_presumed().await;
    bench.pass(QUIET - Duration::from_millis(1));
    bench.order_one(20).await;
    bench.pass(QUIET);
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 0);
    bench.order_one(21).await;
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2, 3])).await, 1);
}

#[tokio::test]
async fn an_older_row_of_a_later_orders_imei_does_not_make_an_export_late() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    let (early, older) = (bench.now(), bench.ordered(0));
    bench.pass(4 * QUIET);
    bench.order_one(20).await;
    // Someone had ordered the last one's IMEI by hand before, and the export was made then.
    let made_early = [(0, older), (1, bench.ordered(1)), (2, early)];
    assert_eq!(bench.clear(bench.shown_at(&made_early)).await, 0);
    assert_eq!(bench.presumed(order), 1);
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 1);
}

#[tokio::test]
async fn an_export_that_is_not_whole_or_shows_more_clears_nothing() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    bench.order_one(17).await;
    bench.pass(QUIET);
    bench.order_one(20).await;
    let whole = || bench.shown(&[0, 1, 2, 3]);
    for (what, missing) in
        [("the one before it", 0u32), ("one between", 2), ("the later one", 3), ("its own", 1)]
    {
        let keys: Vec<u32> = (0..4).filter(|n| *n != missing).collect();
        assert_eq!(bench.clear(bench.shown(&keys)).await, 0, "without {what}");
    }
    let key = (bench.service.0, imei(1).as_u64());
    let rows = |rows: Vec<ExportRow>| Shown { rows: BTreeMap::from([(key, rows)]), ..whole() };
    let row = || bench.row(1, PENDING, bench.ordered(1));
    let long_ago = bench.row(1, PENDING, Timestamp::from_millis(5));
    for (what, shown) in [
        ("finished ones only", Shown { has_pending: false, ..whole() }),
        ("pending ones only", Shown { has_finished: false, ..whole() }),
        ("a second row", rows(vec![row(), row()])),
        ("a second row from before", rows(vec![row(), long_ago.clone()])),
        ("another one's row", rows(vec![long_ago])),
        ("a row without date", rows(vec![ExportRow { placed: None, ..row() }])),
    ] {
        assert_eq!(bench.clear(shown).await, 0, "{what}");
    }
    assert_eq!(bench.presumed(order), 1);
    assert_eq!(bench.clear(whole()).await, 1);
}

/// What was before of the IMEI of which a charge is presumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// An order of it that was given back long ago.
    LongAgo,
    /// Likewise, but a moment ago.
    JustNow,
    /// One that was refused after an attempt of it had been released.
    Unproven,
    /// One that an export told of: its id isn't known.
    Unnamed,
}

impl Bench {
    /// An older order of the second IMEI, one of another since, and the second's order of which a charge is presumed.
    async fn with_older(&self, before: Before) -> OrderId {
        self.batch("first", &[imei(0), imei(1)]).await;
        self.order_one(5).await;
        match before {
            Before::LongAgo | Before::JustNow => {
                let older = self.order_one(6).await;
                self.tell(older, Event::Status(ProviderStatus::Rejected)).await;
            }
            Before::Unproven => {
                self.doubt_one().await;
                self.pass(QUIET);
                self.said_of(Said::NotOrdered, 1).await;
                let ticket = self.claim(1).await.pop().unwrap();
                self.finish(ticket, Placed::NotTaken(NotTaken::InvalidImei(String::new()))).await;
            }
            Before::Unnamed => {
                let doubt = self.doubt_one().await;
                self.tell(doubt, Event::Exported(Exported::One(ProviderStatus::Rejected))).await;
            }
        }
        if before != Before::JustNow {
            self.pass(10 * QUIET);
        }
        self.batch("between", &[imei(2)]).await;
        self.order_one(10).await;
        self.make_room(1).await;
        self.presume_one().await
    }

    /// The newest order of this IMEI makes room, as it does once it isn't live any more.
    async fn make_room(&self, n: u32) {
        let retire = format!("UPDATE orders SET current = 0 WHERE imei = {} AND current = 1", imei(n));
        self.journal.write(move |tx| tx.execute_one("a test's order", &retire, [])).await.unwrap();
    }

    /// An order of the second IMEI whose first attempt was released, and which is found, once, after its second.
    async fn presume_one(&self) -> OrderId {
        self.batch("again", &[imei(1)]).await;
        let order = self.doubt_one().await;
        self.pass(2 * QUIET);
        self.said_of(Said::NotOrdered, 1).await;
        assert_eq!(self.doubt_one().await, order);
        self.tell(order, Event::Listed(vec![ProviderOrderId(15)])).await;
        assert_eq!((self.state(order), self.presumed(order)), (State::Ordered, 1));
        self.pass(QUIET);
        self.judge(vec![]).await;
        order
    }

    /// An order of another IMEI, late enough.
    async fn late_witness(&self) {
        self.pass(2 * QUIET);
        self.batch("late", &[imei(3)]).await;
        self.order_one(40).await;
    }

    /// The rows of all others, as they were ordered.
    fn rest(&self) -> Vec<(u32, Timestamp)> {
        [0, 2, 3].map(|n| (n, self.ordered(n))).to_vec()
    }
}

#[tokio::test]
async fn an_older_order_that_lies_apart_is_no_matter_shown_or_not() {
    for shows_older in [true, false] {
        let bench = Bench::new().await;
        let older = bench.now();
        let order = bench.with_older(Before::LongAgo).await;
        bench.late_witness().await;
        let (own, presumed) = (bench.ordered(1), bench.ordered(1).minus(2 * QUIET));
        let mut rows = [bench.rest(), vec![(1, own)]].concat();
        if shows_older {
            rows.push((1, older));
            let older_twice = [rows.clone(), vec![(1, older)]].concat();
            assert_eq!(bench.clear(bench.shown_at(&older_twice)).await, 0);
        }
        // As many rows as charges of the IMEI are booked, one of them of the attempt that is only presumed.
        let taken_twice = [rows.clone(), vec![(1, presumed)]].concat();
        assert_eq!(bench.clear(bench.shown_at(&taken_twice)).await, 0, "{shows_older}");
        let by_hand = [rows.clone(), vec![(1, older.plus(4 * QUIET))]].concat();
        assert_eq!(bench.clear(bench.shown_at(&by_hand)).await, 0, "{shows_older}");
        assert_eq!(bench.clear(bench.shown_at(&rows)).await, 1, "{shows_older}");
        assert_eq!(bench.presumed(order), 0);
    }
}

#[tokio::test]
async fn t13_t15_beside_an_older_order_that_can_be_meant_nothing_is_cleared() {
    for before in [Before::JustNow, Before::Unproven, Before::Unnamed] {
        let bench = Bench::new().await;
        let older = bench.now();
        let order = bench.with_older(before).await;
        bench.late_witness().await;
        let own = bench.ordered(1);
        for rows in [vec![(1, own)], vec![(1, older), (1, own)]] {
            let rows = [bench.rest(), rows].concat();
            assert_eq!(bench.clear(bench.shown_at(&rows)).await, 0, "{before:?}");
        }
        assert_eq!(bench.presumed(order), 1);
    }
}

#[tokio::test]
async fn t16_a_newer_order_is_shown_by_its_own_row_or_not_at_all() {
    for is_made_before_the_newer in [true, false] {
        let bench = Bench::new().await;
        let order = bench.with_older(Before::LongAgo).await;
        bench.late_witness().await;
        let (own, rest) = (bench.ordered(1), bench.rest());
        bench.tell(order, Event::Status(ProviderStatus::Completed)).await;
        bench.make_room(1).await;
        bench.pass(10 * QUIET);
        bench.batch("newer", &[imei(1)]).await;
        bench.order_one(50).await;
        let newer = (1, bench.ordered(1));
        let newer = if is_made_before_the_newer { vec![] } else { vec![newer] };
        let taken_twice = [rest.clone(), newer.clone(), vec![(1, own), (1, own.minus(2 * QUIET))]].concat();
        assert_eq!(bench.clear(bench.shown_at(&taken_twice)).await, 0, "{is_made_before_the_newer}");
        let once = [rest, newer, vec![(1, own)]].concat();
        assert_eq!(bench.clear(bench.shown_at(&once)).await, 1, "{is_made_before_the_newer}");
        assert_eq!((bench.state(order), bench.presumed(order)), (State::Completed, 0));
    }
}

#[tokio::test]
async fn t16_beside_a_newer_order_in_doubt_nothing_is_cleared() {
    let bench = Bench::new().await;
    let order = bench.with_older(Before::LongAgo).await;
    bench.late_witness().await;
    let own = bench.ordered(1);
    bench.tell(order, Event::Status(ProviderStatus::Completed)).await;
    bench.make_room(1).await;
    bench.pass(10 * QUIET);
    bench.batch("newer", &[imei(1)]).await;
    bench.doubt_one().await;
    let rows = [bench.rest(), vec![(1, own)]].concat();
    assert_eq!(bench.clear(bench.shown_at(&rows)).await, 0);
    assert_eq!(bench.presumed(order), 1);
}
