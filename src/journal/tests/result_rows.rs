//! What a result's rows tell of their orders.

use super::*;

/// What an order's attempts come to, each sum asked for alone.
const APART: &str = "SELECT coalesce(sum(price) FILTER (WHERE verdict = 0), 0), \
     coalesce(sum(price) FILTER (WHERE verdict = 4), 0), \
     coalesce(sum(price) FILTER (WHERE verdict IS NULL OR verdict = 3), 0), \
     coalesce(max(verdict IS NOT 1), 0), coalesce(max(verdict IS 6), 0), coalesce(max(verdict IS 5), 0), \
     (SELECT name FROM batches WHERE id = (SELECT batch FROM orders WHERE id = ?1)) \
     FROM attempts WHERE order_id = ?1";

/// Money charged, presumed and reserved; sent, released by a word, released on absence; its batch.
type Told = (i64, i64, i64, bool, bool, bool, String);

const ROWS: u32 = 50;

#[tokio::test]
async fn a_page_of_any_length_tells_of_every_attempt_of_its_orders() {
    let bench = Bench::new().await;
    // Of each ten rows nine wait for an order of the first file's.
    let all = imeis(ROWS);
    let first: Vec<Imei> =
        all.iter().enumerate().filter(|(at, _)| at % 10 > 0).map(|(_, imei)| *imei).collect();
    bench.batch("first", &first).await;
    let batch = bench.batch("second", &all).await;
    let planted = Connection::open(&bench.path).unwrap();
    // None to four attempts an order, each with another end.
    let plant = "UPDATE orders SET inferred = 1; \
         WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 4) \
         INSERT INTO attempts (order_id, n, kind, price, day, claimed_at, verdict, known_id) \
         SELECT id, n, 0, id * 100 + n, 20251114, 0, nullif((id * 7 + n * 5) % 9, 8), 0 \
         FROM orders JOIN number ON n <= id % 5;";
    planted.execute_batch(plant).unwrap();
    let apart = |order: OrderId| -> Told {
        let read = |row: &rusqlite::Row<'_>| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
        };
        planted.query_row(APART, [order.0], read).unwrap()
    };
    for limit in [1, 2, 7, ROWS, 100] {
        let mut last = 0;
        loop {
            let page = bench.journal.read_here(|view| view.result_rows(batch, last, limit)).unwrap();
            assert_eq!(page.len(), usize::try_from(limit.min(ROWS - last)).unwrap());
            for row in &page {
                last += 1;
                assert_eq!(row.row, last);
                let order = row.order.as_ref().unwrap();
                let (money, why) = ([order.charged, order.presumed, order.reserved], &order.released);
                let [charged, presumed, reserved] = money.map(Money::micros);
                let name = order.batch_name.to_string();
                let told = (charged, presumed, reserved, order.was_sent, why.by_word, why.on_absence, name);
                assert_eq!(told, apart(order.id), "row {last} of pages of {limit}");
            }
            if page.is_empty() {
                break;
            }
        }
        assert_eq!(last, ROWS);
    }
}
