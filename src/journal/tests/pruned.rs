//! Pruning of old raw answers: what goes, what never does, and going on after an end in the middle.

use super::*;
use crate::clock::local_stamp;

const KEPT_FOR: Duration = Duration::from_secs(90 * 86_400);

impl Bench {
    /// An order that was turned away once, taken under this id, and completed after a status that was another.
    async fn turned_away_then_done(&self, id: u64) -> OrderId {
        let ticket = self.claim(1).await.pop().unwrap();
        let (order, imei) = (ticket.order().unwrap(), ticket.imei().unwrap());
        self.finish(ticket, Placed::NotTaken(NotTaken::Throttled(None))).await;
        self.pass(Duration::from_secs(600));
        assert_eq!(self.order_one(id).await, order);
        self.answer(order, "status", 1).await;
        self.end(order, id, imei).await;
        order
    }

    async fn end(&self, order: OrderId, id: u64, imei: Imei) {
        self.polled(order, self.told(id, imei, ProviderStatus::Completed)).await;
    }

    /// A poll tells this of an order.
    pub(super) async fn polled(&self, order: OrderId, status: ProviderOrder) {
        let result = self.result(order, PollTold::Status(status));
        self.journal.record_polls(vec![result], self.now(), (*self.rules).clone()).await.unwrap();
    }

    /// So many raw answers more.
    async fn answer(&self, order: OrderId, kind: &'static str, times: u32) {
        let now = self.now();
        let insert = move |tx: &Tx<'_>| {
            for _ in 0..times {
                tx.execute(
                    "INSERT INTO answers (order_id, at, kind, body) VALUES (?1, ?2, ?3, x'3c')",
                    (order.0, now.millis(), kind),
                )?;
            }
            Ok(())
        };
        self.journal.write(insert).await.unwrap();
    }

    pub(super) async fn publish(&self, batch: BatchId, done: bool) {
        self.pass(Duration::from_secs(1));
        self.journal.begin_file(batch).await.unwrap();
        self.journal.published(batch, "stock.results.csv".to_owned(), done, self.now()).await.unwrap();
    }

    async fn slice(&self, from: PruneFrom) -> Pruned {
        self.journal.prune_answers(from, self.now().minus(KEPT_FOR), self.now()).await.unwrap()
    }

    /// A whole pass; gives how many answers went.
    async fn prune(&self) -> usize {
        let (mut from, mut answers) = (PruneFrom::default(), 0);
        loop {
            let pruned = self.slice(from).await;
            answers += pruned.answers;
            match pruned.next {
                Some(next) => from = next,
                None => return answers,
            }
        }
    }

    /// Kinds of an order's answers, each with its attempt.
    fn answers(&self, order: OrderId) -> Vec<(String, Option<u32>)> {
        self.journal
            .read_here(|view| {
                view.all("SELECT kind, n FROM answers WHERE order_id = ?1 ORDER BY id", [order.0], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
            })
            .unwrap()
    }

    fn set_back_for_later(&self) -> i64 {
        self.number("SELECT count(*) FROM prune_later")
    }
}

fn kept() -> [(String, Option<u32>); 2] {
    [("placed".to_owned(), Some(2)), ("status".to_owned(), None)]
}

#[tokio::test]
async fn what_proves_an_order_and_carries_its_result_is_kept_and_show_tells_of_the_rest() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    let order = bench.turned_away_then_done(11).await;
    bench.answer(order, "export", 2).await;
    // A late one, which nobody can place: the proof isn't the newest of its kind then.
    bench.answer(order, "placed", 1).await;
    bench.publish(batch, true).await;
    assert_eq!(bench.answers(order).len(), 7);
    bench.pass(KEPT_FOR - Duration::from_secs(1));
    assert_eq!(bench.prune().await, 0, "none of it is old enough");
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.prune().await, 2);
    let export = || ("export".to_owned(), None);
    let [placed, status] = kept();
    let late = ("placed".to_owned(), None);
    assert_eq!(bench.answers(order), [placed, status, export(), export(), late]);
    let service = ShownService { id: bench.service, name: "check".to_owned() };
    let shown = bench.journal.read_here(|view| view.shown_orders(&service, imei(0))).unwrap();
    let event = shown[0].events.iter().find(|event| event.what == "answers pruned").unwrap();
    let before = local_stamp(bench.now().minus(KEPT_FOR));
    assert_eq!(event.at, bench.now());
    assert_eq!(event.text, format!("2 raw answers from before {before}; what proves the order is kept"));
    assert_eq!(bench.prune().await, 0, "once");
    bench.check_books();
}

#[tokio::test]
async fn an_order_that_was_refused_or_is_elsewhere_keeps_the_answer_that_says_so() {
    let bench = Bench::new().await;
    let ends = [Placed::NotTaken(NotTaken::InvalidImei("no".to_owned())), Placed::AlreadyExists];
    for (n, end) in (0..).zip(ends) {
        let batch = bench.batch(&format!("file {n}"), &[imei(n)]).await;
        let ticket = bench.claim(1).await.pop().unwrap();
        let order = ticket.order().unwrap();
        bench.finish(ticket, Placed::NotTaken(NotTaken::Throttled(None))).await;
        bench.pass(Duration::from_secs(600));
        let ticket = bench.claim(1).await.pop().unwrap();
        assert_eq!(ticket.order(), Some(order));
        bench.finish(ticket, end).await;
        bench.publish(batch, true).await;
    }
    bench.pass(KEPT_FOR);
    assert_eq!(bench.prune().await, 2);
    for order in [1, 2] {
        assert_eq!(bench.answers(OrderId(order)), [("placed".to_owned(), Some(2))]);
    }
}

#[tokio::test]
async fn nothing_is_pruned_of_an_order_that_can_need_it_yet() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    bench.finish(ticket, Placed::NotTaken(NotTaken::Throttled(None))).await;
    bench.pass(Duration::from_secs(600));
    let order = bench.order_one(11).await;
    bench.answer(order, "status", 2).await;
    bench.pass(KEPT_FOR * 2);
    assert_eq!(bench.prune().await, 0, "it is live");
    assert_eq!(bench.set_back_for_later(), 1);
    bench.end(order, 11, imei(0)).await;
    assert_eq!(bench.prune().await, 0, "it has only just ended");
    bench.pass(KEPT_FOR * 2);
    assert_eq!(bench.prune().await, 0, "its row isn't out");
    let others = [
        ("presumed = 1", "presumed = 0"),
        ("inferred = 1", "inferred = 0"),
        ("charged = 2", "charged = 1"),
        ("state = 5", "state = 6"),
    ];
    // Published as done: it is the order alone that holds it back now.
    bench.publish(batch, true).await;
    for (holds, lets_go) in others {
        let set = |what: &'static str| {
            bench.journal.write(move |tx| {
                tx.execute_one("a change", &format!("UPDATE orders SET {what} WHERE id = ?1"), [order.0])
            })
        };
        set(holds).await.unwrap();
        assert_eq!(bench.prune().await, 0, "{holds}");
        set(lets_go).await.unwrap();
    }
    let alarm = "INSERT INTO alarms (at, name, text, order_id) VALUES (1, 'status_changed', '', ?1)";
    bench.journal.write(move |tx| tx.execute(alarm, [order.0])).await.unwrap();
    assert_eq!(bench.prune().await, 0, "nobody has seen its alarm");
    bench.journal.write(|tx| tx.execute("UPDATE alarms SET acked_at = 1", [])).await.unwrap();
    assert_eq!(bench.prune().await, 3);
    assert_eq!(bench.answers(order), kept());
    assert_eq!(bench.set_back_for_later(), 0);
}

#[tokio::test]
async fn a_row_of_another_file_that_waits_for_the_order_holds_its_answers_back() {
    let bench = Bench::new().await;
    let first = bench.batch("first", &imeis(1)).await;
    let second = bench.batch("second", &imeis(1)).await;
    bench.turned_away_then_done(11).await;
    bench.publish(first, true).await;
    bench.pass(KEPT_FOR * 2);
    assert_eq!(bench.prune().await, 0);
    // Published before its last row was settled: that row comes out later.
    bench.publish(second, false).await;
    assert_eq!(bench.prune().await, 2);
}

#[tokio::test]
async fn a_row_that_ended_after_its_file_came_out_waits_for_the_settled_one() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    bench.publish(batch, false).await;
    bench.pass(Duration::from_secs(60));
    bench.turned_away_then_done(11).await;
    bench.pass(KEPT_FOR * 2);
    assert_eq!(bench.prune().await, 0);
    bench.publish(batch, true).await;
    assert_eq!(bench.prune().await, 2);
}

/// Also where one order alone has more than a slice takes, and where the process ends in the middle: each slice is one
/// commit, and what was begun is gone on with.
#[tokio::test]
async fn a_slice_is_small_and_an_end_between_two_loses_nothing_of_the_way() {
    let mut bench = Bench::new().await;
    let mut orders = Vec::new();
    for n in 0..3 {
        let batch = bench.batch(&format!("file {n}"), &[imei(n)]).await;
        let order = bench.turned_away_then_done(11 + u64::from(n)).await;
        bench.answer(order, "status", 300).await;
        bench.publish(batch, true).await;
        orders.push(order);
    }
    bench.pass(KEPT_FOR * 2);
    let (mut from, mut gone, mut slices) = (PruneFrom::default(), 0, 0);
    loop {
        let pruned = bench.slice(from).await;
        assert!(pruned.answers <= 256, "{pruned:?}");
        gone += pruned.answers;
        slices += 1;
        assert!(slices < 50, "it comes to an end");
        // Another process, which knows of the way only what the journal does.
        bench.journal = started(&bench.path);
        match pruned.next {
            Some(_) if pruned.answers > 0 => from = PruneFrom::default(),
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!(gone, 3 * (1 + 1 + 300));
    for order in orders {
        assert_eq!(bench.answers(order), kept());
    }
    bench.check_books();
}

#[tokio::test]
async fn answers_from_the_future_keep_the_walk_from_nothing() {
    let bench = Bench::new().await;
    let first = bench.batch("first", &[imei(0)]).await;
    bench.pass(KEPT_FOR * 9);
    let ahead = bench.turned_away_then_done(11).await;
    bench.publish(first, true).await;
    bench.now.store(2_000_000, Ordering::Relaxed);
    let second = bench.batch("second", &[imei(1)]).await;
    let order = bench.turned_away_then_done(12).await;
    bench.publish(second, true).await;
    bench.pass(KEPT_FOR * 2);
    assert_eq!(bench.prune().await, 2);
    assert_eq!(bench.answers(order), kept());
    bench.pass(KEPT_FOR * 9);
    assert_eq!(bench.prune().await, 2, "they are old in the end");
    assert_eq!(bench.answers(ahead), kept());
}

#[tokio::test]
async fn a_journal_of_the_first_schema_is_brought_up_to_date() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let Bench { journal, path, _folder, .. } = bench;
    drop(journal);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("DROP TABLE prune_later; PRAGMA user_version = 1").unwrap();
    drop(connection);
    let journal = Journal::open(&path).unwrap();
    let pruned =
        journal.prune_answers(PruneFrom::default(), Timestamp::from_millis(9), Timestamp::from_millis(9));
    assert_eq!(pruned.await.unwrap().answers, 0);
    assert_eq!(journal.read_here(|view| Ok(number(view, "SELECT count(*) FROM orders"))).unwrap(), 1);
}
