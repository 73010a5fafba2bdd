//! Operators' words, carried out on a real journal.

use super::*;

impl Bench {
    pub(super) async fn said(&self, said: Said, target: Target) -> RequestAnswer {
        let new = NewRequest { who: "anna".to_owned(), said, target };
        let id = self.journal.leave_request(new, self.now()).await.unwrap();
        let answer = self.journal.carry_out(id, self.now(), (*self.rules).clone()).await.unwrap();
        let again = self.journal.carry_out(id, self.now(), (*self.rules).clone()).await.unwrap();
        assert_eq!(again, answer, "carried out once");
        self.recount();
        answer
    }

    pub(super) async fn said_seen(&self, said: Said, n: u32, seen: Seen) -> RequestAnswer {
        let new = NewRequest { who: "anna".to_owned(), said, target: Target::order(self.service, imei(n)) };
        let id = self.journal.leave_request(new, self.now()).await.unwrap();
        let rules = (*self.rules).clone();
        let answer = self.journal.carry_out_seen(id, seen, self.now(), rules).await.unwrap();
        self.recount();
        answer
    }

    pub(super) async fn said_of(&self, said: Said, n: u32) -> RequestAnswer {
        self.said(said, Target::order(self.service, imei(n))).await
    }

    pub(super) fn current(&self, n: u32) -> OrderId {
        OrderId(self.number(&format!("SELECT id FROM orders WHERE imei = {} AND current = 1", imei(n))))
    }

    pub(super) fn row_of(&self, batch: BatchId, row: u32) -> ResultRow {
        let rows = self.journal.read_here(|view| view.result_rows(batch, row - 1, 1)).unwrap();
        rows.into_iter().next().unwrap()
    }

    pub(super) fn batch_state(&self, batch: BatchId) -> BatchState {
        self.journal.read_here(|view| view.batch(batch)).unwrap().unwrap().state
    }

    pub(super) async fn reject(&self, order: OrderId, id: u64, n: u32) {
        let told = self.told(id, imei(n), ProviderStatus::Rejected);
        let result = self.result(order, PollTold::Status(told));
        self.journal.record_polls(vec![result], self.now(), (*self.rules).clone()).await.unwrap();
    }

    /// The tallies are what a count of the rows says, and the books agree.
    pub(super) fn recount(&self) {
        self.check_books();
        let counted = "SELECT count(*) FROM (SELECT rows.id >> 32 AS batch, rows.link AS link, \
             CASE WHEN rows.link = 4 THEN 10 WHEN o.id IS NULL THEN 100 \
             WHEN o.state = 9 AND o.earlier IS NULL AND o.has_result = 2 THEN 7 \
             WHEN o.state = 9 AND (o.has_result OR o.earlier IS NOT NULL) THEN 101 ELSE o.state END AS state, \
             count(*) AS n FROM rows LEFT JOIN orders o ON o.id = rows.order_id GROUP BY 1, 2, 3) c \
             LEFT JOIN tallies t ON t.batch = c.batch AND t.link = c.link AND t.state = c.state \
             WHERE t.n IS NOT c.n";
        assert_eq!(self.number(counted), 0, "tallies that a recount contradicts");
    }
}

#[tokio::test]
async fn an_order_id_from_a_person_settles_a_doubt_and_the_log_says_who() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    assert!(bench.said_of(Said::OrderId(17), 0).await.done);
    assert_eq!(bench.state(doubt), State::Ordered);
    assert_eq!(bench.number("SELECT count(*) FROM charges WHERE provider_id = 17 AND via = 'word'"), 1);
    assert_eq!(
        bench.number("SELECT count(*) FROM events WHERE what = 'word' AND detail LIKE '%anna%17%'"),
        1
    );
}

#[tokio::test]
async fn a_word_before_the_quiet_period_is_over_changes_nothing() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET - Duration::from_millis(1));
    for said in [Said::NotOrdered, Said::OrderId(17)] {
        let answer = bench.said_of(said, 0).await;
        assert!(!answer.done && answer.text.contains("quiet period"), "{answer:?}");
        assert_eq!(bench.state(doubt), State::InDoubt);
    }
    bench.pass(Duration::from_millis(1));
    assert!(bench.said_of(Said::NotOrdered, 0).await.done);
    assert_eq!(bench.state(doubt), State::Queued);
    assert_eq!(bench.claim(9).await.len(), 1);
}

#[tokio::test]
async fn an_id_that_is_another_orders_settles_nothing() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    bench.order_one(17).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    let answer = bench.said_of(Said::OrderId(17), 1).await;
    assert!(!answer.done && answer.text.contains(&imei(0).to_string()), "{answer:?}");
    assert_eq!(bench.state(doubt), State::InDoubt);
}

#[tokio::test]
async fn an_id_that_the_provider_does_not_tell_for_the_imei_changes_nothing() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    let order = |imei| Seen::Order { imei, package: "iPhone Check".to_owned() };
    let refused = [
        (order(Some(imei(7))), format!("IMEI {}'s (iPhone Check)", imei(7))),
        (order(None), "no IMEI".to_owned()),
        (Seen::Nothing, "knows no order id 17".to_owned()),
        (
            Seen::Unreachable("it is away".to_owned()),
            "(it is away): nothing was changed, try it again".to_owned(),
        ),
    ];
    for (seen, why) in refused {
        let answer = bench.said_seen(Said::OrderId(17), 0, seen.clone()).await;
        assert!(!answer.done && answer.text.contains(&why), "{answer:?}");
        assert_eq!(bench.state(doubt), State::InDoubt, "{seen:?}");
    }
    assert_eq!(bench.number("SELECT count(*) FROM charges"), 0);
    assert_eq!(bench.number("SELECT count(*) FROM events WHERE what = 'word'"), 0);
    let answer = bench.said_seen(Said::OrderId(17), 0, order(Some(imei(0)))).await;
    assert!(answer.done && answer.text.contains("iPhone Check"), "{answer:?}");
    assert_eq!(bench.state(doubt), State::Ordered);
    let told = format!("anna: its order id is 17 (the provider tells IMEI {}, iPhone Check)", imei(0));
    assert_eq!(bench.number(&format!("SELECT count(*) FROM events WHERE detail LIKE '%{told}'")), 1);
}

#[tokio::test]
async fn an_id_that_nobody_could_ask_about_is_said_to_be_taken_unseen() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    let new = NewRequest {
        who: "anna".to_owned(),
        said: Said::OrderId(17),
        target: Target::order(bench.service, imei(0)),
    };
    let id = bench.journal.leave_request(new, bench.now()).await.unwrap();
    let open = || bench.journal.read_here(|view| view.open_request(id)).unwrap();
    let waits = open().unwrap();
    assert_eq!((waits.who.as_str(), waits.id_to_look_up()), ("anna", Some(ProviderOrderId(17))));
    assert_eq!(waits.about, Some(format!("IMEI {}", imei(0))));
    let answer = bench.journal.carry_out(id, bench.now(), (*bench.rules).clone()).await.unwrap();
    assert!(answer.done && answer.text.contains("taken unseen"), "{answer:?}");
    assert_eq!(bench.state(doubt), State::Ordered);
    assert_eq!(open(), None);
    assert_eq!(bench.number("SELECT count(*) FROM events WHERE detail LIKE '%17 (taken unseen)%'"), 1);
}

#[tokio::test]
async fn not_ordered_is_refused_where_an_id_is_known() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let order = bench.order_one(17).await;
    let given_up = bench.result(order, PollTold::GivenUp("for too long".into()));
    bench.journal.record_polls(vec![given_up], bench.now(), (*bench.rules).clone()).await.unwrap();
    assert_eq!(bench.state(order), State::Held);
    let answer = bench.said_of(Said::NotOrdered, 0).await;
    assert!(!answer.done && answer.text.contains("order id is known"), "{answer:?}");
    assert!(bench.said_of(Said::Cancel, 0).await.text.contains("charged"));
    assert_eq!(bench.state(order), State::Cancelled);
    // Charged: the IMEI stays taken.
    assert!(!bench.said_of(Said::Retry, 0).await.done);
}

#[tokio::test]
async fn cancelling_a_batch_stops_what_is_not_sent_and_leaves_the_rest() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(500)).await;
    let ordered = bench.order_one(17).await;
    let doubt = bench.doubt_one().await;
    let answer = bench.said(Said::Cancel, Target::batch(batch)).await;
    assert!(answer.done, "{answer:?}");
    assert!(answer.text.contains("498 rows are cancelled, 2 are ordered"), "{answer:?}");
    assert_eq!((bench.state(ordered), bench.state(doubt)), (State::Ordered, State::InDoubt));
    assert!(bench.claim(9).await.is_empty());
    bench.journal.begin_file(batch).await.unwrap();
    bench.journal.published(batch, "a file".to_owned(), false, bench.now()).await.unwrap();
    assert!(bench.said(Said::Cancel, Target::batch(batch)).await.done, "said twice, it stays so");
}

#[tokio::test]
async fn cancelling_a_batch_that_has_nothing_left_to_cancel_changes_nothing() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(2)).await;
    let first = bench.order_one(17).await;
    bench.order_one(18).await;
    bench.reject(first, 17, 0).await;
    let answer = bench.said(Said::Cancel, Target::batch(batch)).await;
    assert!(!answer.done, "{answer:?}");
    assert_eq!(
        answer.text,
        "stock: nothing is left to cancel, 1 is ordered or on its way and ends as it does"
    );
    assert_eq!(bench.number("SELECT count(*) FROM batches WHERE cancelled_at IS NOT NULL"), 0);
    assert_eq!(bench.number("SELECT count(*) FROM events WHERE what = 'word'"), 0);
    assert!(bench.said(Said::Retry, Target::batch(batch)).await.done, "what was given back can be made anew");
}

#[tokio::test]
async fn nothing_of_a_batch_is_sent_once_its_cancelling_is_durable() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(3)).await;
    let new = NewRequest { who: "anna".to_owned(), said: Said::Cancel, target: Target::batch(batch) };
    let id = bench.journal.leave_request(new, bench.now()).await.unwrap();
    // Its first slice, and a crash.
    let (now, rules) = (bench.now(), (*bench.rules).clone());
    let first = bench
        .journal
        .write(move |tx| super::super::requests::carry_out_slice(tx, id, Seen::Unasked, now, &rules))
        .await;
    assert_eq!(first.unwrap(), None);
    assert_eq!(bench.tallies(batch), [(TallyState::Order(State::Queued), Link::Own, 3)]);
    assert!(bench.claim(9).await.is_empty());
    assert!(bench.journal.carry_out(id, bench.now(), (*bench.rules).clone()).await.unwrap().done);
    assert_eq!(bench.tallies(batch), [(TallyState::Order(State::Cancelled), Link::Own, 3)]);
}

#[tokio::test]
async fn an_order_that_comes_back_to_the_queue_of_a_cancelled_batch_is_cancelled_too() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    bench.said(Said::Cancel, Target::batch(batch)).await;
    bench.finish(ticket, Placed::NotTaken(NotTaken::Throttled(None))).await;
    assert!(bench.claim(9).await.is_empty());
    assert_eq!(bench.journal.read_here(View::cancelled_batches).unwrap(), [batch]);
    bench.journal.sweep_cancelled(batch, bench.now(), (*bench.rules).clone()).await.unwrap();
    assert_eq!(bench.tallies(batch), [(TallyState::Order(State::Cancelled), Link::Own, 1)]);
    assert!(bench.journal.read_here(View::cancelled_batches).unwrap().is_empty());
    bench.journal.begin_file(batch).await.unwrap();
    bench.journal.published(batch, "a file".to_owned(), true, bench.now()).await.unwrap();
    assert_eq!(bench.batch_state(batch), BatchState::Cancelled);
}

#[tokio::test]
async fn a_retry_in_a_cancelled_batch_that_is_not_out_says_what_it_waits_for() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(2)).await;
    bench.doubt_one().await;
    bench.said(Said::Cancel, Target::batch(batch)).await;
    assert_eq!(bench.state(bench.current(1)), State::Cancelled);
    let said = bench.said_of(Said::Retry, 1).await;
    let why = "its batch stock was cancelled and isn't out yet, for 1 row that has not ended (imeid show stock has them)";
    assert!(!said.done && said.text.contains(why) && said.text.contains("held_after"), "{said:?}");
}

#[tokio::test]
async fn an_order_that_another_batch_waits_for_passes_to_its_row() {
    let bench = Bench::new().await;
    let first = bench.batch("first", &imeis(2)).await;
    let second = bench.batch("second", &[imei(1), imei(2)]).await;
    assert!(bench.said(Said::Cancel, Target::batch(first)).await.done);
    assert_eq!(
        bench.tallies(first),
        [
            (TallyState::Order(State::Cancelled), Link::Own, 1),
            (TallyState::Order(State::Cancelled), Link::Left, 1)
        ]
    );
    assert_eq!(bench.tallies(second), [(TallyState::Order(State::Queued), Link::Own, 2)]);
    let tickets = bench.claim(9).await;
    assert_eq!(tickets.len(), 2, "both of the second batch");
    for (ticket, id) in tickets.into_iter().zip(10..) {
        bench.finish(ticket, Placed::Taken(ProviderOrderId(id))).await;
    }
    bench.recount();
    let left = bench.row_of(first, 2);
    assert_eq!(left.link, Link::Left);
    assert_eq!(
        bench.number(&format!("SELECT charged FROM totals WHERE scope = 'batch' AND key = {second}")),
        160_000
    );
}

#[tokio::test]
async fn a_command_beside_the_daemon_leaves_its_word_and_reads_the_answer() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let letters = LetterBox::open(&bench.path).unwrap();
    let target = Target::order(bench.service, imei(0));
    let new = NewRequest { who: "anna".to_owned(), said: Said::Cancel, target };
    let id = letters.leave(&new, bench.now()).unwrap();
    assert_eq!(letters.answer(id).unwrap(), None);
    assert_eq!(bench.journal.read_here(View::open_requests).unwrap(), [id]);
    let answer = bench.journal.carry_out(id, bench.now(), (*bench.rules).clone()).await.unwrap();
    assert_eq!(letters.answer(id).unwrap(), Some(answer));
    assert!(bench.journal.read_here(View::open_requests).unwrap().is_empty());
}

#[tokio::test]
async fn an_order_of_a_file_that_is_still_being_taken_in_is_left_alone() {
    let bench = Bench::new().await;
    let (batch, _) = bench.journal.begin_batch(bench.new_batch("stock", 1), bench.now()).await.unwrap();
    let wanted = vec![OrderFor { imei: imei(0), row: 1 }];
    bench.journal.link_orders(batch, bench.service, wanted, None).await.unwrap();
    let new = |target| NewRequest { who: "anna".to_owned(), said: Said::Cancel, target };
    for target in [Target::order(bench.service, imei(0)), Target::batch(batch)] {
        let id = bench.journal.leave_request(new(target), bench.now()).await.unwrap();
        let answer = bench.journal.carry_out(id, bench.now(), (*bench.rules).clone()).await.unwrap();
        assert!(!answer.done && answer.text.contains("still being taken in"), "{answer:?}");
    }
    bench.fill(batch, &imeis(1)).await;
    bench.journal.open_batch(batch, bench.now()).await.unwrap();
    bench.recount();
    assert_eq!(bench.claim(9).await.len(), 1);
}

#[tokio::test]
async fn a_person_says_which_of_two_listed_orders_it_is_and_nothing_is_charged_again() {
    let bench = Bench::new().await;
    let (doubt, mut listing) = bench.with_witnesses().await;
    listing.push(bench.told(15, imei(1), ProviderStatus::Pending));
    listing.push(bench.told(16, imei(1), ProviderStatus::Pending));
    bench.judge(listing).await;
    assert_eq!(bench.state(doubt), State::Held);
    let charged = bench.number("SELECT charged FROM totals WHERE scope = 'day'");
    assert!(bench.said_of(Said::OrderId(16), 1).await.done);
    assert_eq!(bench.number(&format!("SELECT provider_id FROM orders WHERE id = {doubt}")), 16);
    assert_eq!(bench.number("SELECT charged FROM totals WHERE scope = 'day'"), charged);
}
