//! Rows of an export beyond our orders of their IMEI, and orders of ours that it shows twice.

use super::exports::{COMPLETED, PENDING, REJECTED};
use super::*;
use crate::order::{Absence, Event};

impl Bench {
    /// Which of these rows are beyond our orders of their IMEI.
    pub(super) async fn beyond(&self, rows: &[ExportRow]) -> Vec<u64> {
        let beyond =
            self.journal.beyond_ours(rows.to_vec(), self.now(), (*self.rules).clone()).await.unwrap();
        self.check_books();
        beyond
    }

    /// A row of the second IMEI, as an export has it.
    fn line(&self, line: u64, status: u8, at: Timestamp) -> ExportRow {
        ExportRow { line, raw: format!("{status} {at}"), ..self.row(1, status, at) }
    }

    /// When the second IMEI's presumed attempt and the one that is charged began.
    fn both(&self) -> [Timestamp; 2] {
        let presumed = self.number("SELECT min(claimed_at) FROM attempts WHERE verdict = 4");
        [Timestamp::from_millis(presumed), self.ordered(1)]
    }

    /// The open alarm's text, and how many there were.
    fn told_twice(&self) -> (String, i64) {
        let open =
            "SELECT coalesce(max(text), '') FROM alarms WHERE name = 'double_charge' AND gone_at IS NULL";
        let text = self.journal.read_here(|view| view.find(open, [], |row| row.get(0))).unwrap().unwrap();
        (text, self.double_charges())
    }
}

#[tokio::test]
async fn rows_of_an_imei_beyond_our_orders_of_it_are_none_of_ours() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let at = [bench.now(), bench.now().plus(QUIET * 9)];
    bench.order_one(17).await;
    let beyond = async |rows: &[(u32, Timestamp)]| {
        let rows =
            rows.iter().zip(2..).map(|((n, at), line)| ExportRow { line, ..bench.row(*n, COMPLETED, *at) });
        bench.journal.beyond_ours(rows.collect(), bench.now(), (*bench.rules).clone()).await.unwrap()
    };
    assert!(beyond(&[(0, at[0])]).await.is_empty());
    assert_eq!(beyond(&[(0, at[1]), (0, at[0])]).await, [2], "the one that was ordered at another time");
    assert_eq!(beyond(&[(0, at[0]), (0, at[0])]).await.len(), 1, "one of two that it can be");
    assert_eq!(beyond(&[(1, at[0])]).await, [2], "never sent");
    // Of one in doubt the price is reserved, and a row can be it; what was released is in no sum.
    let doubt = bench.doubt_one().await;
    assert!(beyond(&[(1, at[0])]).await.is_empty());
    bench.pass(QUIET);
    bench.said_of(Said::NotOrdered, 1).await;
    assert_eq!((bench.state(doubt), beyond(&[(1, at[0])]).await), (State::Queued, vec![2]));
}

#[tokio::test]
async fn an_export_that_shows_what_is_presumed_is_told_of_once_as_a_double_charge() {
    let bench = Bench::new().await;
    bench.with_presumed().await;
    let row = |line, at| ExportRow { line, ..bench.row(1, PENDING, at) };
    let tell = async |rows: Vec<ExportRow>| {
        bench.journal.beyond_ours(rows, bench.now(), (*bench.rules).clone()).await.unwrap()
    };
    let twice = || bench.number("SELECT count(*) FROM alarms WHERE name = 'double_charge'");
    let charged = bench.ordered(1);
    let presumed = bench.number("SELECT min(claimed_at) FROM attempts WHERE verdict = 4");
    assert_eq!((tell(vec![row(2, charged)]).await.len(), twice()), (0, 0));
    let both = vec![row(2, charged), row(3, Timestamp::from_millis(presumed))];
    for _ in 0..2 {
        assert_eq!((tell(both.clone()).await.len(), twice()), (0, 1));
    }
    bench.check_books();
}

#[tokio::test]
async fn two_orders_a_quiet_period_apart_are_both_ours_and_a_double_charge_however_the_rows_stand() {
    let bench = Bench::new().await;
    bench.with_presumed().await;
    let [presumed, charged] = bench.both();
    let later = charged.plus(Duration::from_secs(3));
    // By its date what was ordered as the quiet period ended can be either attempt's.
    for at in [[presumed, charged], [charged, presumed], [charged, later], [later, charged]] {
        let rows = [bench.row(1, COMPLETED, at[0]), ExportRow { line: 9, ..bench.row(1, COMPLETED, at[1]) }];
        assert!(bench.beyond(&rows).await.is_empty(), "{at:?}");
        assert_eq!(bench.double_charges(), 1, "{at:?}");
    }
}

#[tokio::test]
async fn a_double_charge_is_told_by_what_the_two_orders_came_to_and_stays_in_the_books() {
    let give_back = "Ask the provider to give one back.";
    let given_back = "What it rejects the provider gives back: see that its bill has the refund.";
    let later = "What isn't finished can still be given back: drop a later export then.";
    for (ends, says, to_do) in [
        ([COMPLETED, COMPLETED], "shows 2 completed. ", give_back),
        ([COMPLETED, REJECTED], "shows 1 completed and 1 rejected. ", given_back),
        ([REJECTED, COMPLETED], "shows 1 completed and 1 rejected. ", given_back),
        ([REJECTED, REJECTED], "shows 2 rejected. ", given_back),
        ([PENDING, COMPLETED], "shows 1 completed and 1 not finished. ", later),
        ([REJECTED, PENDING], "shows 1 rejected and 1 not finished. ", later),
    ] {
        let bench = Bench::new().await;
        let order = bench.with_presumed().await;
        let known = bench.row(1, ends[1], bench.now()).status();
        bench.tell(order, Event::Status(known)).await;
        let [presumed, charged] = bench.both();
        let rows = [bench.line(2, ends[0], presumed), bench.line(3, ends[1], charged)];
        for row in &rows {
            assert_eq!(bench.sort(vec![row.clone()]).await, [Sorted::Loose], "{ends:?}");
        }
        assert!(bench.beyond(&rows).await.is_empty());
        let (text, alarms) = bench.told_twice();
        assert_eq!(alarms, 1, "{ends:?}");
        assert!(text.contains(says) && text.contains(to_do), "{ends:?}: {text}");
        assert!(text.contains("The second charge stays presumed in the books"), "{text}");
        assert_eq!(
            text.contains("this provider charges duplicates"),
            ends[0] != REJECTED,
            "{ends:?}: {text}"
        );
        assert_eq!(bench.presumed(order), 1, "{ends:?}");
    }
}

#[tokio::test]
async fn what_an_older_copy_denied_and_sent_is_told_of_once_an_export_shows_what_its_original_sent() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let bench = bench.put_back().await;
    bench.pass(QUIET);
    let sent_by_the_original = bench.now();
    bench.pass(QUIET);
    bench.start(None).await;
    bench.pass(QUIET);
    assert!(bench.said_of(Said::NotOrdered, 1).await.done);
    assert!(bench.said(Said::Resume, Target::Everything).await.done);
    let sent_again = bench.now();
    bench.order_one(10).await;
    bench.pass(QUIET);
    let long_ago = bench.line(2, COMPLETED, Timestamp::from_millis(5));
    assert_eq!(bench.beyond(&[long_ago, bench.line(3, COMPLETED, sent_again)]).await, [2]);
    assert_eq!(bench.double_charges(), 0, "by hand, before the copy was made");
    let rows = [bench.line(2, COMPLETED, sent_by_the_original), bench.line(3, COMPLETED, sent_again)];
    bench.beyond(&rows).await;
    assert_eq!(bench.double_charges(), 1);
}

#[tokio::test]
async fn a_later_export_that_shows_another_end_says_so_in_the_place_of_what_was_told() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    bench.tell(order, Event::Status(ProviderStatus::Completed)).await;
    let [presumed, charged] = bench.both();
    let early = [bench.line(2, PENDING, presumed), bench.line(3, COMPLETED, charged)];
    let late = [bench.line(2, REJECTED, presumed), bench.line(3, COMPLETED, charged)];
    for rows in [&early, &late, &late, &early] {
        bench.beyond(rows).await;
    }
    let open = bench.number("SELECT count(*) FROM alarms WHERE name = 'double_charge' AND gone_at IS NULL");
    let (text, alarms) = bench.told_twice();
    assert_eq!((open, alarms), (1, 2), "{text}");
    assert!(text.contains("1 completed and 1 rejected"), "{text}");
}

#[tokio::test]
async fn an_export_that_has_the_second_order_alone_shows_a_double_charge_and_one_that_has_the_first_none() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    bench.tell(order, Event::Status(ProviderStatus::Completed)).await;
    bench.pass(QUIET);
    let [presumed, charged] = bench.both();
    bench.beyond(&[bench.line(2, COMPLETED, charged)]).await;
    assert_eq!(bench.double_charges(), 0, "the one that is known");
    assert!(bench.beyond(&[bench.line(2, REJECTED, presumed)]).await.is_empty());
    let (text, alarms) = bench.told_twice();
    assert!(alarms == 1 && text.contains("1 completed and 1 rejected"), "{text}");
}

#[tokio::test]
async fn where_it_is_not_sure_which_attempt_is_charged_a_row_of_either_shows_nothing() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    bench.order_one(10).await;
    let first = bench.now();
    bench.doubt_one().await;
    bench.pass(QUIET);
    bench.said_of(Said::NotOrdered, 1).await;
    let second = bench.now();
    let order = bench.doubt_one().await;
    bench.tell(order, Event::Listed(vec![ProviderOrderId(15)])).await;
    bench.tell(order, Event::Status(ProviderStatus::Completed)).await;
    assert_eq!((bench.state(order), bench.presumed(order)), (State::Completed, 1));
    for at in [first, second] {
        assert!(bench.beyond(&[bench.line(2, COMPLETED, at)]).await.is_empty());
        assert_eq!(bench.double_charges(), 0);
    }
    bench.beyond(&[bench.line(2, COMPLETED, first), bench.line(3, COMPLETED, second)]).await;
    assert_eq!(bench.double_charges(), 1);
}

#[tokio::test]
async fn what_was_taken_as_not_ordered_or_cleared_and_is_shown_all_the_same_is_told_of_as_a_double_charge() {
    for cleared in [false, true] {
        let bench = Bench::new().await;
        let (order, verdict) = if cleared {
            let order = bench.with_presumed().await;
            let absence = Absence { twice: true, whole: true, reaches_back: true, fresh: true };
            bench.tell(order, Event::Cleared(absence)).await;
            (order, 8)
        } else {
            (bench.with_released().await, 6)
        };
        bench.tell(order, Event::Status(ProviderStatus::Completed)).await;
        let sent = bench.number(&format!("SELECT claimed_at FROM attempts WHERE verdict = {verdict}"));
        assert!(bench.beyond(&[bench.line(2, COMPLETED, bench.ordered(1))]).await.is_empty());
        assert_eq!(bench.double_charges(), 0);
        let shown = [bench.line(2, REJECTED, Timestamp::from_millis(sent))];
        for _ in 0..2 {
            assert_eq!(bench.beyond(&shown).await, [2], "it is in no sum");
        }
        let (text, alarms) = bench.told_twice();
        assert!(alarms == 1 && text.contains("isn't in the books"), "{text}");
        // Of another time it is someone else's.
        let by_hand = bench.now().plus(QUIET * 9);
        assert_eq!(
            (bench.beyond(&[bench.line(4, COMPLETED, by_hand)]).await, bench.double_charges()),
            (vec![4], 1)
        );
    }
}

#[tokio::test]
async fn what_an_export_brought_is_known_to_the_next_one() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    bench.order_one(10).await;
    let at = bench.now();
    let order = bench.order_one(11).await;
    bench.reject(order, 11, 1).await;
    let bench = bench.put_back().await;
    bench.start(None).await;
    bench.pass(QUIET);
    // What the original made anew is remembered; all of it is there once more in the next export.
    let rows = [bench.line(2, REJECTED, at), bench.line(3, COMPLETED, bench.now())];
    let turn = async || {
        let (now, rules) = (bench.now(), (*bench.rules).clone());
        bench.journal.turn_by_export(rows.to_vec(), Some(now), now, rules).await.unwrap()
    };
    assert_eq!(turn().await, [TurnedBy::AsKnown, TurnedBy::Remembered]);
    let picture = bench.picture();
    assert_eq!(turn().await, [TurnedBy::AsKnown, TurnedBy::Remembered]);
    assert!(bench.beyond(&rows).await.is_empty());
    let other = bench.line(4, COMPLETED, bench.now().plus(QUIET));
    assert_eq!(bench.beyond(&[&rows[..], &[other]].concat()).await, [4], "one more is nobody's");
    assert_eq!(bench.picture(), picture);
}
