//! Rows of an export beyond our orders of their IMEI, and orders of ours that it shows twice.

use super::exports::{COMPLETED, PENDING};
use super::*;

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
    let presumed = bench.number("SELECT min(claimed_at) FROM attempts WHERE verdict = 4");
    // By its date the second one can have been ordered by either attempt.
    let at = [Timestamp::from_millis(presumed), bench.ordered(1)];
    for order in [[0, 1], [1, 0]] {
        let rows = order
            .map(|n| ExportRow { line: 2 + n, ..bench.row(1, COMPLETED, at[usize::try_from(n).unwrap()]) });
        let beyond =
            bench.journal.beyond_ours(rows.to_vec(), bench.now(), (*bench.rules).clone()).await.unwrap();
        assert!(beyond.is_empty(), "{order:?}: {beyond:?}");
        assert_eq!(bench.number("SELECT count(*) FROM alarms WHERE name = 'double_charge'"), 1, "{order:?}");
    }
}
