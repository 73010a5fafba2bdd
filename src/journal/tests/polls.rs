//! What a poll does that tells nothing of an order yet.

use super::*;

#[tokio::test]
async fn a_poll_that_tells_of_no_end_puts_off_what_waits_for_one_and_nothing_else() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(4)).await;
    let [waits, pends, ended] =
        [bench.order_one(17).await, bench.order_one(18).await, bench.order_one(19).await];
    bench.polled(ended, bench.told(19, imei(2), ProviderStatus::Completed)).await;
    let queued = OrderId(4);
    let due = |order: OrderId| bench.number(&format!("SELECT due_at FROM orders WHERE id = {order}"));
    let before = [ended, queued].map(due);
    let next = bench.now().plus(Duration::from_secs(3600));
    let pending = || PollTold::Status(bench.told(18, imei(1), ProviderStatus::Pending));
    let tells =
        [(waits, PollTold::Nothing), (pends, pending()), (ended, PollTold::Nothing), (queued, pending())];
    let results =
        tells.into_iter().map(|(order, told)| PollResult { next, ..bench.result(order, told) }).collect();
    bench.journal.record_polls(results, bench.now(), (*bench.rules).clone()).await.unwrap();
    assert_eq!([waits, pends].map(due), [next.millis(); 2]);
    assert_eq!([ended, queued].map(due), before);
    assert_eq!([waits, pends].map(|order| bench.state(order)), [State::Ordered; 2]);
    assert_eq!(
        bench.number("SELECT count(*) FROM answers WHERE kind = 'status'"),
        1,
        "of the one that ended"
    );
    bench.check_books();
}
