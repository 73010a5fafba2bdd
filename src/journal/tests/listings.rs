//! Doubts held against listings: found, absent, or left as they are.

use super::super::listing::is_out_of_reach;
use super::*;
use crate::order::{Event, Exported};

#[tokio::test]
async fn an_order_found_in_a_listing_gets_its_id() {
    let bench = Bench::new().await;
    let (doubt, mut listing) = bench.with_witnesses().await;
    listing.push(bench.told(15, imei(1), ProviderStatus::Pending));
    assert_eq!(bench.judge(listing).await, 1);
    assert_eq!(bench.state(doubt), State::Ordered);
    bench.check_books();
}

#[tokio::test]
async fn an_order_absent_from_two_good_listings_a_quiet_period_apart_is_queued_again() {
    let bench = Bench::new().await;
    let (doubt, listing) = bench.with_witnesses().await;
    bench.judge(listing.clone()).await;
    assert_eq!(bench.state(doubt), State::InDoubt);
    bench.pass(QUIET - Duration::from_millis(1));
    bench.judge(listing.clone()).await;
    assert_eq!(bench.state(doubt), State::InDoubt);
    bench.pass(Duration::from_millis(1));
    bench.judge(listing).await;
    assert_eq!(bench.state(doubt), State::Queued);
    bench.check_books();
}

#[tokio::test]
async fn an_order_queued_after_a_release_is_found_in_a_listing_that_shows_it_after_all() {
    let bench = Bench::new().await;
    let (doubt, mut listing) = bench.with_witnesses().await;
    bench.judge(listing.clone()).await;
    bench.pass(QUIET);
    bench.judge(listing.clone()).await;
    assert_eq!(bench.state(doubt), State::Queued);
    listing.push(bench.told(15, imei(1), ProviderStatus::Pending));
    assert_eq!(bench.judge(listing).await, 1);
    assert_eq!(bench.state(doubt), State::Ordered);
    assert!(bench.claim(1).await.is_empty(), "it isn't sent again");
    bench.check_books();
}

#[tokio::test]
async fn t2_a_listing_without_a_later_order_of_ours_is_no_absence() {
    let bench = Bench::new().await;
    let (doubt, listing) = bench.with_witnesses().await;
    // Cached from before: the newer order of ours isn't in it.
    bench.judge_thrice(&listing[1..]).await;
    assert_eq!(bench.state(doubt), State::InDoubt);
}

#[tokio::test]
async fn t2_an_order_begun_before_the_quiet_period_was_over_is_no_witness() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    bench.order_one(10).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET - Duration::from_millis(1));
    bench.order_one(20).await;
    let listing = vec![
        bench.told(20, imei(2), ProviderStatus::Pending),
        bench.told(10, imei(0), ProviderStatus::Completed),
    ];
    for _ in 0..3 {
        bench.pass(QUIET);
        bench.judge(listing.clone()).await;
    }
    assert_eq!(bench.state(doubt), State::InDoubt);
}

#[tokio::test]
async fn an_order_begun_before_the_clock_was_set_back_is_no_witness() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let hour = Duration::from_secs(3_600);
    bench.pass(hour);
    bench.order_one(10).await;
    bench.now.fetch_sub(3_600_000, Ordering::Relaxed);
    let doubt = bench.doubt_one().await;
    let listing = vec![bench.told(10, imei(0), ProviderStatus::Completed)];
    for wait in [QUIET, QUIET, hour, QUIET] {
        bench.pass(wait);
        assert_eq!(bench.judge(listing.clone()).await, 0);
        assert_eq!(bench.state(doubt), State::InDoubt);
    }
}

#[test]
fn what_an_earlier_version_said_of_an_order_out_of_reach_is_known() {
    let before = "the provider's list of orders no longer reaches back to it; the export settles it";
    assert!(is_out_of_reach(before));
    assert!(!is_out_of_reach("the provider's list of orders has it twice; the export settles it"));
}

#[tokio::test]
async fn t8_a_listing_without_finished_orders_is_no_absence() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(4)).await;
    bench.order_one(8).await;
    bench.order_one(10).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.order_one(20).await;
    let listing = vec![
        bench.told(20, imei(3), ProviderStatus::Pending),
        bench.told(8, imei(0), ProviderStatus::Pending),
    ];
    bench.judge_thrice(&listing).await;
    assert_eq!(bench.state(doubt), State::InDoubt);
}

impl Bench {
    /// A quiet period apart: two would do to prove an absence.
    async fn judge_thrice(&self, listing: &[ProviderOrder]) {
        for _ in 0..3 {
            self.judge(listing.to_vec()).await;
            self.pass(QUIET);
        }
    }

    fn told_out_of_reach(&self) -> i64 {
        self.number("SELECT count(*) FROM events WHERE what = 'out of reach'")
    }

    fn out_of_reach(&self) -> usize {
        let doubts = self.journal.read_here(|view| view.doubts("main")).unwrap();
        doubts.iter().filter(|doubt| doubt.out_of_reach).count()
    }
}

#[tokio::test]
async fn t8_a_listing_that_is_cut_is_no_absence_and_a_doubt_that_it_has_left_behind_twice_is_a_persons() {
    let bench = Bench::new().await;
    let (doubt, listing) = bench.with_witnesses().await;
    let cut = || listing.iter().filter(|told| told.id.0 == 20).cloned().collect::<Vec<_>>();
    bench.judge(cut()).await;
    bench.pass(QUIET - Duration::from_millis(1));
    bench.judge(cut()).await;
    assert_eq!((bench.state(doubt), bench.told_out_of_reach()), (State::InDoubt, 1), "told once");
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.judge(cut()).await, 1);
    assert_eq!((bench.state(doubt), bench.out_of_reach()), (State::Held, 1));
    let row = bench.row_of(BatchId(1), 2);
    let why = row.order.unwrap().held_for.unwrap();
    assert!(why.contains("reconcile/") && why.contains("imeid resolve"), "{why}");
    assert!(bench.claim(1).await.is_empty(), "it isn't sent again");
    bench.check_books();
    // It is listed after all.
    let mut found = cut();
    found.push(bench.told(15, imei(1), ProviderStatus::Pending));
    bench.judge(found).await;
    assert_eq!((bench.state(doubt), bench.out_of_reach()), (State::Ordered, 0));
    bench.check_books();
}

#[tokio::test]
async fn a_listing_that_proves_nothing_leaves_no_doubt_behind() {
    let unreadable =
        |bench: &Bench| ProviderOrder { imei: None, ..bench.told(19, imei(1), ProviderStatus::Pending) };
    for what in
        ["an IMEI can't be read", "an order of ours is missing", "no order of ours is older", "not fresh"]
    {
        let bench = Bench::new().await;
        bench.batch("stock", &imeis(5)).await;
        if what != "no order of ours is older" {
            bench.order_one(10).await;
        }
        let doubt = bench.doubt_one().await;
        if what != "not fresh" {
            bench.pass(QUIET);
        }
        bench.order_one(20).await;
        bench.order_one(21).await;
        bench.order_one(22).await;
        if what == "not fresh" {
            bench.pass(QUIET);
        }
        let orders = "SELECT imei FROM orders WHERE provider_id = 2";
        let imei_of =
            |id: u64| Imei::from_u64(u64::try_from(bench.number(&format!("{orders}{id}"))).unwrap());
        let shown = |id: u64| bench.told(20 + id, imei_of(id).unwrap(), ProviderStatus::Pending);
        let mut listing = vec![shown(2), shown(1), shown(0)];
        match what {
            "an IMEI can't be read" => listing.push(unreadable(&bench)),
            "an order of ours is missing" => drop(listing.remove(1)),
            _ => {}
        }
        bench.judge_thrice(&listing).await;
        assert_eq!(bench.state(doubt), State::InDoubt, "{what}");
    }
}

#[tokio::test]
async fn a_listing_that_reaches_back_in_between_makes_a_cut_one_the_first_again() {
    let bench = Bench::new().await;
    let (doubt, listing) = bench.with_witnesses().await;
    let cut: Vec<_> = listing.iter().filter(|told| told.id.0 == 20).cloned().collect();
    bench.judge(cut.clone()).await;
    bench.pass(QUIET);
    // One of pending orders alone: it reaches back, and proves nothing else.
    let pending = ProviderOrder { status: ProviderStatus::Pending, ..listing[1].clone() };
    bench.judge(vec![listing[0].clone(), pending]).await;
    bench.judge(cut.clone()).await;
    assert_eq!(bench.state(doubt), State::InDoubt);
    bench.pass(QUIET);
    bench.judge(cut).await;
    assert_eq!(bench.state(doubt), State::Held);
}

#[tokio::test]
async fn t8_a_listing_in_which_an_id_of_ours_is_missing_is_no_absence() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(4)).await;
    bench.order_one(10).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.order_one(20).await;
    bench.order_one(21).await;
    let listing = vec![
        bench.told(21, imei(3), ProviderStatus::Pending),
        bench.told(10, imei(0), ProviderStatus::Completed),
    ];
    bench.judge_thrice(&listing).await;
    assert_eq!(bench.state(doubt), State::InDoubt);
}

#[tokio::test]
async fn an_older_order_of_the_same_imei_made_by_hand_is_not_taken_for_ours() {
    let bench = Bench::new().await;
    let (doubt, mut listing) = bench.with_witnesses().await;
    listing.push(bench.told(9, imei(1), ProviderStatus::Completed));
    bench.judge(listing).await;
    assert_eq!(bench.state(doubt), State::InDoubt);
}

#[tokio::test]
async fn an_order_of_another_service_is_not_taken_for_ours_and_proves_no_absence() {
    let bench = Bench::new().await;
    let (doubt, mut listing) = bench.with_witnesses().await;
    listing.push(ProviderOrder {
        package: "Samsung Unlock".to_owned(),
        ..bench.told(15, imei(1), ProviderStatus::Pending)
    });
    bench.judge_thrice(&listing).await;
    assert_eq!(bench.state(doubt), State::InDoubt);
}

#[tokio::test]
async fn an_order_listed_twice_is_held_with_both_charges_and_an_alarm() {
    let bench = Bench::new().await;
    let (doubt, mut listing) = bench.with_witnesses().await;
    listing.push(bench.told(15, imei(1), ProviderStatus::Pending));
    listing.push(bench.told(16, imei(1), ProviderStatus::Pending));
    bench.judge(listing).await;
    assert_eq!(bench.state(doubt), State::Held);
    assert_eq!(bench.number("SELECT count(*) FROM charges"), 4);
    assert_eq!(bench.journal.read_here(View::alarms).unwrap()[0].name, "double_charge");
    bench.check_books();
}

#[tokio::test]
async fn a_late_answer_with_an_id_that_a_listing_brought_changes_nothing() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    bench.order_one(10).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    let order = ticket.order().unwrap();
    bench.journal.recover(bench.now(), (*bench.rules).clone()).await.unwrap();
    let mut listing = [15, 16].map(|id| bench.told(id, imei(1), ProviderStatus::Pending)).to_vec();
    listing.push(bench.told(10, imei(0), ProviderStatus::Pending));
    bench.judge(listing).await;
    assert_eq!(bench.state(order), State::Held, "listed twice");
    let recorded = bench.finish(ticket, Placed::Taken(ProviderOrderId(16))).await;
    assert_eq!((recorded.state, recorded.id), (State::Held, Some(ProviderOrderId(15))));
    assert_eq!(bench.number("SELECT count(*) FROM charges"), 3);
    bench.check_books();
}

#[tokio::test]
async fn an_id_listed_after_an_exports_row_is_put_to_the_charge_that_is_booked() {
    let bench = Bench::new().await;
    let (doubt, mut listing) = bench.with_witnesses().await;
    bench.tell(doubt, Event::Exported(Exported::One(ProviderStatus::Pending))).await;
    listing.push(bench.told(15, imei(1), ProviderStatus::Pending));
    bench.judge(listing).await;
    assert_eq!(bench.state(doubt), State::Ordered);
    assert_eq!(bench.number(&format!("SELECT charged FROM orders WHERE id = {doubt}")), 1);
    assert_eq!(bench.number(&format!("SELECT count(*) FROM charges WHERE order_id = {doubt}")), 1);
    bench.check_books();
}

#[tokio::test]
async fn what_can_be_an_older_order_without_an_id_settles_nothing() {
    let bench = Bench::new().await;
    let (older, listing) = bench.with_witnesses().await;
    bench.tell(older, Event::Exported(Exported::One(ProviderStatus::Rejected))).await;
    let retire = format!("UPDATE orders SET current = 0 WHERE id = {older}");
    bench.journal.write(move |tx| tx.execute_one("a test's order", &retire, [])).await.unwrap();
    bench.batch("again", &[imei(1)]).await;
    let newer = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.batch("witness", &[imei(9)]).await;
    bench.order_one(30).await;
    let shown = bench.told(25, imei(1), ProviderStatus::Rejected);
    for _ in 0..3 {
        let witness = bench.told(30, imei(9), ProviderStatus::Pending);
        bench.judge([&listing[..], &[shown.clone(), witness]].concat()).await;
        bench.pass(QUIET);
    }
    assert_eq!(bench.state(newer), State::InDoubt);
    bench.check_books();
}
