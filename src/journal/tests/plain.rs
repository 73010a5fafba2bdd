//! What is written of orders that go the usual way, in few statements, and what comes in between.

use super::*;
use crate::gate::Scope;
use crate::order::PauseReason;

impl Bench {
    /// What the journal has of each order's attempts and of their money.
    fn booked(&self) -> Vec<(i64, i64, i64, String)> {
        self.journal
            .read_here(|view| {
                view.all(
                    "SELECT orders.id, orders.state, attempts.n, (SELECT group_concat(kind) FROM ledger \
                     WHERE ledger.order_id = orders.id AND ledger.n = attempts.n) FROM orders \
                     JOIN attempts ON attempts.order_id = orders.id ORDER BY orders.id, n",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
                )
            })
            .unwrap()
    }

    /// Answers all of these in one transaction.
    async fn finish_all(&self, answers: Vec<(AttemptTicket, Placed)>) -> Vec<Recorded> {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let busy = self.journal.write(move |_| {
            let _ = wait.recv();
            Ok(())
        });
        let told: Vec<_> = answers
            .into_iter()
            .map(|(ticket, outcome)| {
                let reply = Reply { outcome, http: Some(200), body: b"<raw/>".to_vec() };
                self.journal.finish_attempt(ticket, reply)
            })
            .collect();
        drop(go);
        busy.await.unwrap();
        let mut recorded = Vec::new();
        for told in told {
            recorded.push(told.await.unwrap().unwrap());
        }
        recorded
    }
}

fn taken(id: u64) -> Placed {
    Placed::Taken(ProviderOrderId(id))
}

#[tokio::test]
async fn orders_whose_numbers_do_not_follow_each_other_are_claimed_each_once() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(5)).await;
    // The one in the middle waits for its time.
    let waits = bench.now().plus(QUIET).millis();
    bench
        .journal
        .write(move |tx| tx.execute("UPDATE orders SET due_at = ?1 WHERE id = 3", [waits]))
        .await
        .unwrap();
    let tickets = bench.claim(9).await;
    assert_eq!(tickets.len(), 4);
    let begun = |id| (id, 1, 1, "reserve".to_owned());
    assert_eq!(bench.booked(), [begun(1), begun(2), begun(4), begun(5)]);
    let rows = |state, n| (TallyState::Order(state), Link::Own, n);
    assert_eq!(bench.tallies(batch), [rows(State::Queued, 1), rows(State::Submitting, 4)]);
    bench.check_books();
}

#[tokio::test]
async fn a_claim_of_two_files_and_of_an_order_sent_before_begins_one_attempt_each() {
    let bench = Bench::new().await;
    bench.batch("one", &imeis(3)).await;
    let second: Vec<Imei> = (3..6).map(imei).collect();
    bench.batch("two", &second).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    let sent = ticket.order().unwrap().0;
    let unsent = NotTaken::NotSent("given back unsent".to_owned());
    bench.finish(ticket, Placed::NotTaken(unsent)).await;
    let tickets = bench.claim(9).await;
    assert_eq!(tickets.len(), 6);
    let of = |id| bench.booked().into_iter().filter(|(order, ..)| *order == id).collect::<Vec<_>>();
    for id in 1..=6 {
        let before = (id == sent).then(|| (id, 1, 1, "reserve,release".to_owned()));
        let last = (id, 1, 1 + i64::from(before.is_some()), "reserve".to_owned());
        assert_eq!(of(id), before.into_iter().chain([last]).collect::<Vec<_>>());
    }
    bench.check_books();
}

#[tokio::test]
async fn a_row_that_joins_an_order_on_its_way_ends_as_the_order_ends() {
    let bench = Bench::new().await;
    let first = bench.batch("stock", &imeis(2)).await;
    let mut tickets = bench.claim(2).await;
    let second = bench.batch("again", &imeis(1)).await;
    let (other, joined) = (tickets.pop().unwrap(), tickets.pop().unwrap());
    let recorded = bench.finish_all(vec![(other, taken(8)), (joined, taken(7))]).await;
    assert_eq!(recorded.iter().map(|done| done.state).collect::<Vec<_>>(), [State::Ordered; 2]);
    let rows = |link, n| (TallyState::Order(State::Ordered), link, n);
    assert_eq!(bench.tallies(first), [rows(Link::Own, 2)]);
    assert_eq!(bench.tallies(second), [rows(Link::Joined, 1)]);
    bench.check_books();
}

#[tokio::test]
async fn an_answer_with_another_ones_id_fails_none_that_are_recorded_with_it() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    let tickets = bench.claim(3).await;
    let answers = tickets.into_iter().zip([taken(7), taken(7), taken(9)]).collect();
    let recorded = bench.finish_all(answers).await;
    let states: Vec<_> = recorded.iter().map(|done| done.state).collect();
    assert_eq!(states, [State::Ordered, State::InDoubt, State::Ordered]);
    assert_eq!(bench.number("SELECT count(*) FROM charges"), 2);
    assert_eq!(bench.number("SELECT count(*) FROM answers"), 3, "each answer once");
    assert_eq!(bench.number("SELECT count(*) FROM alarms WHERE name = 'wrong_answer'"), 1);
    bench.check_books();
}

#[tokio::test]
async fn orders_of_two_accounts_that_are_answered_in_one_commit_are_booked_each_in_its_own() {
    let mut bench = Bench::new().await;
    bench.batch("ours", &[imei(0)]).await;
    let ours = bench.claim(1).await.pop().unwrap();
    bench.service = bench.add_service_of("other").await;
    bench.batch("theirs", &[imei(1)]).await;
    let theirs = bench.claim(1).await.pop().unwrap();
    let recorded = bench.finish_all(vec![(ours, taken(7)), (theirs, taken(8))]).await;
    assert_eq!(recorded.iter().map(|done| done.state).collect::<Vec<_>>(), [State::Ordered; 2]);
    for (account, order, id) in [("main", 1, 7), ("other", 2, 8)] {
        let of = |what: &str| bench.number(&format!("SELECT {what} WHERE account = '{account}'"));
        assert_eq!(of("order_id FROM charges"), order, "{account}");
        assert_eq!(of("known_id FROM watermarks"), id, "{account}");
    }
    bench.check_books();
}

#[tokio::test]
async fn several_answers_with_one_id_in_one_commit_leave_all_but_the_first_in_doubt() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(6)).await;
    let tickets = bench.claim(6).await;
    let answers = tickets.into_iter().zip([7, 7, 7, 8, 7, 8]);
    let recorded = bench.finish_all(answers.map(|(ticket, id)| (ticket, taken(id))).collect()).await;
    let states: Vec<_> = recorded.iter().map(|recorded| recorded.state).collect();
    use State::{InDoubt, Ordered};
    assert_eq!(states, [Ordered, InDoubt, InDoubt, Ordered, InDoubt, InDoubt]);
    assert_eq!(
        bench.number("SELECT count(*) FROM orders WHERE state = 1"),
        0,
        "none is left as if on its way"
    );
    bench.check_books();
}

#[tokio::test]
async fn an_answer_that_comes_when_its_order_is_in_doubt_already_is_a_late_one() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    bench.journal.recover(bench.now(), (*bench.rules).clone()).await.unwrap();
    let recorded = bench.finish(ticket, taken(7)).await;
    assert_eq!((recorded.state, recorded.id), (State::Ordered, Some(ProviderOrderId(7))));
    assert_eq!(bench.number("SELECT count(*) FROM events WHERE what = 'late answer'"), 1);
    assert_eq!(bench.booked(), [(1, 3, 1, "reserve,charge".to_owned())]);
    bench.check_books();
}

#[tokio::test]
async fn an_attempt_that_is_not_as_it_was_claimed_is_read_before_it_is_booked() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    let raise = ["UPDATE attempts SET price = 2 * price", "UPDATE totals SET reserved = 2 * reserved"];
    for sql in raise {
        bench.journal.write(|tx| tx.execute(sql, [])).await.unwrap();
    }
    assert_eq!(bench.finish(ticket, taken(7)).await.state, State::Ordered);
    assert_eq!(bench.number("SELECT charged FROM totals WHERE scope = 'day'"), 2 * PRICE.micros());
    bench.check_books();
}

#[tokio::test]
async fn the_one_order_that_finds_out_of_its_services_pause_goes_alone() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(4)).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    let unknown = NotTaken::UnknownService("Invalid value of Network Id!".to_owned());
    bench.finish(ticket, Placed::NotTaken(unknown)).await;
    // The next ones were never sent.
    let later = "UPDATE orders SET due_at = 9000000000000 WHERE attempts > 0";
    bench.journal.write(|tx| tx.execute(later, [])).await.unwrap();
    let scope = Scope::Service(bench.service);
    bench.journal.pause_tried(scope, PauseReason::Service, true, bench.now()).await.unwrap();
    assert_eq!(bench.claim(9).await.len(), 1);
}

impl Bench {
    /// Polls tell of these orders that they are completed. `is_read`: nothing was kept of them as they were asked after.
    async fn complete(&self, orders: &[OrderId], is_read: bool) {
        let told = |order: &OrderId| {
            let n = u32::try_from(order.0).unwrap() - 1;
            let told = self.told(self.id_of(*order), imei(n), ProviderStatus::Completed);
            PollTold::Status(ProviderOrder { code: "Model: X".into(), raw: b"<imeis/>".to_vec(), ..told })
        };
        let results = orders.iter().map(|order| self.result(*order, told(order)));
        let results = results.map(|result| if is_read { PollResult { of: None, ..result } } else { result });
        let results = results.collect();
        self.journal.record_polls(results, self.now(), (*self.rules).clone()).await.unwrap();
    }

    fn id_of(&self, order: OrderId) -> u64 {
        let id = self.number(&format!("SELECT coalesce(provider_id, 0) FROM orders WHERE id = {order}"));
        u64::try_from(id).unwrap()
    }

    /// All that the journal has of an order, but for what is each order's own.
    fn all_of(&self, order: OrderId) -> Vec<String> {
        let text = |sql: &str| {
            let found = self.journal.read_here(|view| view.all(sql, [], |row| row.get::<_, String>(0)));
            found.unwrap().join("; ")
        };
        let columns = "SELECT group_concat(name, ', ') FROM pragma_table_info('orders') \
                       WHERE name NOT IN ('id', 'imei', 'first_row', 'provider_id')";
        let columns = text(columns);
        [
            format!("SELECT json_array({columns}) FROM orders WHERE id = {order}"),
            format!("SELECT kind || at || hex(body) FROM answers WHERE order_id = {order} ORDER BY id"),
            format!("SELECT code || coalesce(exported, '-') FROM results WHERE order_id = {order}"),
            format!("SELECT what || detail FROM events WHERE order_id = {order}"),
            format!("SELECT kind || micros FROM ledger WHERE order_id = {order} ORDER BY id"),
        ]
        .map(|sql| text(&sql))
        .to_vec()
    }
}

#[tokio::test]
async fn an_order_that_is_completed_without_being_read_is_written_as_one_that_is_read() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(3)).await;
    let [one, other, _] = [bench.order_one(17).await, bench.order_one(18).await, bench.order_one(19).await];
    bench.pass(QUIET);
    bench.complete(&[one], false).await;
    bench.complete(&[other], true).await;
    assert_eq!(bench.all_of(one), bench.all_of(other));
    let rows = |state, n| (TallyState::Order(state), Link::Own, n);
    assert_eq!(bench.tallies(batch), [rows(State::Ordered, 1), rows(State::Completed, 2)]);
    assert_eq!(bench.number("SELECT count(*) FROM titles"), 1);
    bench.recount();
}

#[tokio::test]
async fn what_came_between_its_taking_and_its_end_is_read() {
    let bench = Bench::new().await;
    let first = bench.batch("stock", &imeis(5)).await;
    let mut tickets = bench.claim(5).await;
    tickets.reverse();
    let [joined, again, ended, held, usual] = [(); 5].map(|()| tickets.pop().unwrap());
    // A second row waits for the first, and the second is taken by its second attempt.
    let second = bench.batch("again", &imeis(1)).await;
    bench.finish(joined, taken(1)).await;
    bench.finish(again, Placed::NotTaken(NotTaken::NotSent("given back unsent".to_owned()))).await;
    bench.order_one(2).await;
    for (ticket, id) in [(ended, 3), (held, 4), (usual, 5)] {
        bench.finish(ticket, taken(id)).await;
    }
    bench.complete(&[OrderId(3)], false).await;
    let given_up = bench.result(OrderId(4), PollTold::GivenUp("for too long".into()));
    bench.journal.record_polls(vec![given_up], bench.now(), (*bench.rules).clone()).await.unwrap();
    let all = [1, 2, 3, 4, 5].map(OrderId);
    bench.complete(&all, false).await;
    assert_eq!(all.map(|order| bench.state(order)), [State::Completed; 5]);
    let rows = |link, n| [(TallyState::Order(State::Completed), link, n)];
    assert_eq!(bench.tallies(first), rows(Link::Own, 5));
    assert_eq!(bench.tallies(second), rows(Link::Joined, 1));
    assert_eq!(bench.number("SELECT count(*) FROM answers WHERE kind = 'status'"), 5, "each is told once");
    bench.recount();
}

#[tokio::test]
async fn an_order_between_two_that_ended_goes_on_waiting() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(4)).await;
    let [first, between, third, fourth] = [
        bench.order_one(1).await,
        bench.order_one(2).await,
        bench.order_one(3).await,
        bench.order_one(4).await,
    ];
    bench.complete(&[first, third, fourth], false).await;
    let states = [first, between, third, fourth].map(|order| bench.state(order));
    assert_eq!(states, [State::Completed, State::Ordered, State::Completed, State::Completed]);
    let rows = |state, n| (TallyState::Order(state), Link::Own, n);
    assert_eq!(bench.tallies(batch), [rows(State::Ordered, 1), rows(State::Completed, 3)]);
    bench.recount();
}
