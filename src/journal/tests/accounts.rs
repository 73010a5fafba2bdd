//! Two accounts in one journal: a balance is held against the books of the account that it is of.

use super::*;
use crate::balance::{Baseline, Books, Verdict};
use crate::order::Event;

impl Bench {
    fn books(&self, account: &str) -> Books {
        self.journal.read_here(|view| view.books(account)).unwrap()
    }

    /// An order of the other account ends like this, and one of ours is completed.
    async fn one_of_each(&mut self, outcome: Placed) -> OrderId {
        self.batch("ours", &[imei(60)]).await;
        let taken = self.order_one(17).await;
        self.tell(taken, Event::Status(ProviderStatus::Completed)).await;
        let ours = self.service;
        self.service = self.add_service_of("other").await;
        self.batch("theirs", &[imei(50)]).await;
        let ticket = self.claim(1).await.pop().unwrap();
        let order = ticket.order().unwrap();
        self.finish(ticket, outcome).await;
        self.service = ours;
        order
    }
}

#[tokio::test]
async fn each_accounts_books_tell_of_its_own_orders_alone() {
    let mut bench = Bench::new().await;
    let theirs = bench.one_of_each(Placed::Taken(ProviderOrderId(17))).await;
    bench.tell(theirs, Event::Status(ProviderStatus::Rejected)).await;
    let of_no_row = Some(Money::ZERO);
    assert_eq!(bench.books("main"), Books { charged: PRICE, of_no_row, ..Books::default() });
    let given_back = Books { charged: PRICE, refund_due: PRICE, of_no_row, ..Books::default() };
    assert_eq!(bench.books("other"), given_back);
    bench.check_books();
}

#[tokio::test]
async fn what_is_presumed_for_another_accounts_order_is_not_in_our_books() {
    let mut bench = Bench::new().await;
    let theirs = bench.one_of_each(unclear()).await;
    assert_eq!((bench.books("main").reserved, bench.books("other").reserved), (Money::ZERO, PRICE));
    bench.pass(QUIET);
    bench.tend_by(vec![theirs], DoubtTerms { balance: Verdict::AllTaken, ..bench.terms(false) }).await;
    assert_eq!(bench.state(theirs), State::OrderedNoId);
    let presumed = |account: &str| (bench.books(account).presumed, bench.books(account).presumed_alone);
    assert_eq!((presumed("main"), presumed("other")), ((Money::ZERO, Money::ZERO), (PRICE, PRICE)));
}

#[tokio::test]
async fn a_baseline_is_none_once_what_belongs_to_no_row_can_be_another_accounts() {
    let bench = Bench::new().await;
    let baseline = Baseline::first(bench.now(), PRICE, bench.books("main"), 0);
    assert!(bench.journal.set_baseline("main".to_owned(), baseline, 0).await.unwrap());
    let known = || bench.journal.read_here(|view| view.books_and_baseline("main")).unwrap().2;
    assert_eq!(known(), Some(baseline));
    bench
        .journal
        .service("other".to_owned(), NetworkId("1740".to_owned()), "check".to_owned())
        .await
        .unwrap();
    assert_eq!(known(), None, "it is of all accounts' books");
    let baseline = Baseline { books: bench.books("main"), ..baseline };
    assert!(bench.journal.set_baseline("main".to_owned(), baseline, 0).await.unwrap());
    assert_eq!(known(), Some(baseline));
    let moved = "INSERT INTO totals (scope, key, charged) VALUES ('batch', 0, 5)";
    bench.journal.write(|tx| tx.execute(moved, []).map(drop)).await.unwrap();
    assert_eq!(known(), None, "an export has told of what belongs to no row");
}

#[tokio::test]
async fn another_accounts_doubt_is_none_of_those_that_a_probe_is_weighed_with() {
    let mut bench = Bench::new().await;
    let theirs = bench.one_of_each(unclear()).await;
    let first = bench.doubts_to_probe(3).await;
    assert_eq!(bench.state(theirs), State::InDoubt);
    bench.first_is_taken().await;
    assert_eq!(bench.weigh(bench.look(3)).await, Weighed::Unlikely, "two of ours are left: {first:?}");
}
