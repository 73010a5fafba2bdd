//! What is shown of how an order ended.

use super::*;

impl Bench {
    fn events_of(&self, n: u32) -> Vec<(Timestamp, String)> {
        let service = ShownService { id: self.service, name: "check".to_owned() };
        let shown = self.journal.read_here(|view| view.shown_orders(&service, imei(n))).unwrap();
        shown[0].events.iter().map(|event| (event.at, format!("{}: {}", event.what, event.text))).collect()
    }

    /// An order that was taken a minute ago, and what a look tells of it now.
    async fn ended(&self, id: u64, status: ProviderStatus) -> (OrderId, Timestamp) {
        let order = self.order_one(id).await;
        self.pass(Duration::from_secs(60));
        let of = self.journal.write(move |tx| Ok(orders::load(tx, order)?.imei)).await.unwrap();
        self.polled(order, self.told(id, of, status)).await;
        (order, self.now())
    }
}

#[tokio::test]
async fn an_order_that_a_look_completes_is_shown_so_though_the_log_has_no_line_of_it() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let (order, ended) = bench.ended(17, ProviderStatus::Completed).await;
    assert_eq!(bench.number("SELECT count(*) FROM events WHERE order_id IS NOT NULL"), 0);
    let completed = (ended, "status: ordered -> completed".to_owned());
    assert_eq!(bench.events_of(0), std::slice::from_ref(&completed));
    // Whatever it becomes later has its line, behind that one.
    bench.pass(Duration::from_secs(60));
    bench.tell(order, crate::order::Event::Status(ProviderStatus::Rejected)).await;
    let [first, second] = bench.events_of(0).try_into().unwrap();
    assert_eq!(first, completed);
    assert_eq!(second.0, bench.now());
    assert!(second.1.contains("completed -> rejected"), "{second:?}");
    let (_, ended) = bench.ended(18, ProviderStatus::Rejected).await;
    assert_eq!(bench.events_of(1), [(ended, "status: ordered -> rejected".to_owned())]);
}

#[tokio::test]
async fn the_line_that_an_earlier_version_wrote_of_an_orders_end_is_shown_once() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let (order, ended) = bench.ended(17, ProviderStatus::Completed).await;
    let line = move |tx: &Tx<'_>| tx.event(ended, Some(order), None, "status", "ordered -> completed: 2");
    bench.journal.write(line).await.unwrap();
    assert_eq!(bench.events_of(0), [(ended, "status: ordered -> completed: 2".to_owned())]);
}
