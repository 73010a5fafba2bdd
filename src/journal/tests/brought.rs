//! What an export brings to a journal that is an older copy: orders that only its original sent.

use super::exports::{COMPLETED, PENDING, REJECTED};
use super::*;

#[tokio::test]
async fn what_was_ordered_since_the_copy_and_is_not_finished_is_taken_for_ours() {
    let bench = Bench::new().await;
    let before = bench.batch("before", &imeis(1)).await;
    bench.said_of(Said::Cancel, 0).await;
    let bench = bench.put_back().await;
    let rows = |ns: std::ops::Range<u32>| ns.map(|n| bench.row(n, PENDING, bench.now())).collect::<Vec<_>>();
    assert_eq!(bench.sort(rows(0..1)).await, [Sorted::Unfinished], "it isn't known yet that it is a copy");
    bench.start(None).await;
    // One that the copy knows as never sent, and one that it never heard of; read again they change nothing.
    assert_eq!(bench.sort(rows(0..2)).await, [Sorted::Ours(None), Sorted::Ours(None)]);
    let picture = bench.picture();
    for again in rows(0..2) {
        bench.export(vec![again]).await;
    }
    assert_eq!(bench.picture(), picture);
    bench.pass(QUIET);
    assert!(bench.said(Said::Resume, Target::Everything).await.done);
    let service = ShownService { id: bench.service, name: "check".to_owned() };
    let shown = bench.journal.read_here(|view| view.shown_orders(&service, imei(1))).unwrap();
    let told = bench.now().minus(QUIET);
    assert_eq!(shown[0].attempts[0].claimed_at, told, "when it was told of, not the earliest that it can be");
    let ordered = || bench.journal.read_here(View::order_counts).unwrap().ordered;
    assert_eq!(ordered(), 2, "no row has them, and they are open");
    let batch = bench.batch("stock", &imeis(3)).await;
    assert_eq!(ordered(), 2);
    let sent: Vec<Imei> =
        bench.claim(9).await.iter().map(|ticket| ticket.place_order().unwrap().imei).collect();
    assert_eq!(sent, [imei(2)]);
    let [first, second] = [1, 2].map(|n| bench.row_of(batch, n).order.unwrap());
    assert_eq!([first.state, second.state], [State::OrderedNoId; 2]);
    assert_eq!((first.charged, second.charges), (PRICE, 1));
    assert_eq!(
        (first.batch_name.as_ref(), second.first_row),
        ("stock", 2),
        "its cost stands in the row that came for it"
    );
    assert!(first.is_taken_for_ours && second.is_taken_for_ours);
    // The third's answer is lost, now or in a moment.
    assert!(bench.tallies(batch).contains(&(TallyState::Order(State::OrderedNoId), Link::Own, 2)));
    let work = bench.journal.read_here(|view| view.batch(batch)).unwrap().unwrap();
    assert_eq!(work.charged, PRICE.checked_mul(2).unwrap());
    bench.check_books();
    assert_eq!(bench.row_of(before, 1).order.unwrap().state, State::Cancelled);
    assert_eq!(bench.sort(rows(3..4)).await, [Sorted::Unfinished], "a person has said that it goes on");
}

#[tokio::test]
async fn what_no_row_had_belongs_to_the_first_that_comes_and_to_none_again_where_its_file_is_taken_back() {
    let bench = Bench::new().await;
    let bench = bench.put_back().await;
    bench.start(None).await;
    bench.sort(vec![bench.row(0, PENDING, bench.now())]).await;
    bench.pass(QUIET);
    bench.said(Said::Resume, Target::Everything).await;
    let (batch, _) = bench.journal.begin_batch(bench.new_batch("gone", 2), bench.now()).await.unwrap();
    let link = async || {
        let wanted = vec![OrderFor { imei: imei(0), row: 1 }, OrderFor { imei: imei(0), row: 2 }];
        bench.journal.link_orders(batch, bench.service, wanted, None).await.unwrap()
    };
    let linked = link().await;
    let links: Vec<(Link, bool)> = linked.iter().map(|row| (row.link, row.is_known)).collect();
    assert_eq!(links, [(Link::Own, true), (Link::Joined, true)], "a repeat in the file shares it");
    assert_eq!(link().await, linked, "as after a crash before its rows were written");
    let charged = |batch: BatchId| {
        bench.number(&format!(
            "SELECT coalesce(sum(charged), 0) FROM totals WHERE scope = 'batch' AND key = {batch}"
        ))
    };
    assert_eq!((charged(batch), charged(BatchId(0))), (PRICE.micros(), 0));
    bench.fill(batch, &[imei(0), imei(0)]).await;
    bench.recount();
    // Its file is gone.
    bench.journal.take_back_without_file(BTreeSet::new(), bench.now()).await.unwrap();
    assert_eq!((charged(batch), charged(BatchId(0))), (0, PRICE.micros()));
    assert_eq!(bench.journal.read_here(View::order_counts).unwrap().ordered, 1);
    bench.check_books();
    let again = bench.batch("again", &[imei(0)]).await;
    assert_eq!(bench.row_of(again, 1).order.unwrap().batch_name.as_ref(), "again");
    assert_eq!(bench.tallies(again), [(TallyState::Order(State::OrderedNoId), Link::Own, 1)]);
    bench.recount();
    bench.check_books();
}

#[tokio::test]
async fn a_word_about_what_no_row_has_says_what_is_so() {
    let bench = Bench::new().await;
    let bench = bench.put_back().await;
    bench.start(None).await;
    bench.sort(vec![bench.row(0, PENDING, bench.now())]).await;
    bench
        .tell(
            bench.current(0),
            crate::order::Event::HoldNoId(crate::order::NoIdFacts {
                balance_contradicts: false,
                can_list: false,
                too_old: false,
            }),
        )
        .await;
    assert_eq!(bench.journal.read_here(View::order_counts).unwrap().held, 1);
    let said = bench.said_of(Said::Cancel, 0).await;
    assert!(said.done && said.text.ends_with("it is not ordered again"), "{said:?}");
    let said = bench.said_of(Said::Retry, 0).await;
    assert!(!said.done && said.text.ends_with("it was charged: it would be paid twice"), "{said:?}");
    bench.pass(QUIET);
    bench.said(Said::Resume, Target::Everything).await;
    let batch = bench.batch("stock", &[imei(0)]).await;
    let row = bench.row_of(batch, 1);
    assert_eq!((row.link, row.order.unwrap().charged), (Link::Own, PRICE));
}

#[tokio::test]
async fn what_was_taken_for_ours_unfinished_is_answered_by_what_tells_more_of_it() {
    let bench = Bench::new().await;
    bench.batch("before", &[imei(0), imei(3)]).await;
    bench.order_one(10).await;
    let bench = bench.put_back().await;
    let made = bench.now();
    // The copy is put back a good while after they were made, and a list finds one that it knows before the export does.
    bench.pass(Duration::from_secs(5 * 3600));
    bench.start(None).await;
    let ours = bench.told(10, imei(0), ProviderStatus::Pending);
    bench.judge(vec![bench.told(900, imei(3), ProviderStatus::Pending), ours.clone()]).await;
    let unfinished = [1, 2].map(|n| bench.row(n, PENDING, made)).to_vec();
    assert_eq!(bench.sort(unfinished).await, [Sorted::Ours(None), Sorted::Ours(None)]);
    bench.pass(QUIET);
    assert!(bench.said(Said::Resume, Target::Everything).await.done);
    let batch = bench.batch("stock", &[imei(1), imei(2)]).await;
    bench.export(vec![bench.row(1, COMPLETED, made)]).await;
    bench.judge(vec![bench.told(890, imei(2), ProviderStatus::Pending), ours]).await;
    let [exported, listed] = [1, 2].map(|n| bench.row_of(batch, n).order.unwrap());
    assert_eq!((exported.state, listed.state), (State::Completed, State::Ordered));
    assert_eq!(listed.provider_id, Some(ProviderOrderId(890)));
    bench.check_books();
}

#[tokio::test]
async fn what_the_provider_has_already_of_what_only_the_original_sent_is_answered_by_an_export() {
    let bench = Bench::new().await;
    bench.batch("before", &imeis(1)).await;
    bench.order_one(10).await;
    let bench = bench.put_back().await;
    let made = bench.now();
    bench.pass(Duration::from_secs(5 * 3600));
    bench.start(None).await;
    bench.pass(QUIET);
    bench.read_an_export("since").await;
    assert!(bench.said(Said::Resume, Target::Everything).await.done);
    let batch = bench.batch("stock", &[imei(1)]).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    bench.finish(ticket, Placed::AlreadyExists).await;
    assert_eq!(bench.row_of(batch, 1).order.unwrap().state, State::OrderedNoId);
    bench.export(vec![bench.row(1, COMPLETED, made)]).await;
    assert_eq!(bench.row_of(batch, 1).order.unwrap().state, State::Completed);
    bench.check_books();
}

#[tokio::test]
async fn what_a_copy_takes_as_sent_counts_to_the_day_on_which_it_was_put_back() {
    let bench = Bench::new().await;
    bench.batch("before", &imeis(2)).await;
    let bench = bench.put_back().await;
    bench.pass(Duration::from_secs(3 * 86_400));
    bench.start(None).await;
    let today = |bench: &Bench| {
        let day = bench.clock().local_day(bench.now());
        let money = bench.journal.read_here(|view| view.day_money(day)).unwrap();
        [money.in_doubt, money.presumed, money.charged].map(|money| money.micros() / PRICE.micros())
    };
    assert_eq!(today(&bench), [2, 0, 0]);
    // One that the copy knew, and one that it never heard of, are found at the provider.
    bench.export(vec![bench.row(0, PENDING, bench.now())]).await;
    assert_eq!(bench.sort(vec![bench.row(9, PENDING, bench.now())]).await, [Sorted::Ours(None)]);
    assert_eq!(today(&bench), [1, 0, 2]);
    bench.recount();
    bench.pass(QUIET);
    assert!(bench.said(Said::Resume, Target::Everything).await.done);
    bench.batch("stock", &[imei(3), imei(4), imei(5)]).await;
    let request = ClaimRequest { per_day: PRICE.checked_mul(4), ..bench.request(9) };
    let claimed = bench.journal.begin_attempts(request, bench.clock()).await.unwrap();
    assert_eq!((claimed.tickets.len(), claimed.blocked), (1, Some(Blocked::Cap)));
    drop(claimed);
    bench.check_books();
}

impl Bench {
    /// A copy that knows an order as given back, taken at the first of these times, and waits since the second.
    async fn copy_of_rejected(self) -> (Self, Timestamp, Timestamp) {
        self.batch("stock", &imeis(1)).await;
        let ordered = self.now();
        let order = self.order_one(10).await;
        self.reject(order, 10, 0).await;
        self.pass(QUIET * 2);
        let bench = self.put_back().await;
        bench.start(None).await;
        let waits_since = bench.now();
        bench.pass(QUIET);
        (bench, ordered, waits_since)
    }
}

#[tokio::test]
async fn what_a_copy_knows_as_given_back_is_not_made_anew_before_an_export_is_read() {
    let (bench, ..) = Bench::new().await.copy_of_rejected().await;
    let before = bench.current(0);
    let said = bench.said_of(Said::Retry, 0).await;
    assert!(!said.done && said.text.contains("older copy") && said.text.contains("reconcile"), "{said:?}");
    assert_eq!(bench.current(0), before);
    bench.read_an_export("7").await;
    let said = bench.said_of(Said::Retry, 0).await;
    assert!(said.done, "it shows nothing newer: {said:?}");
    assert_ne!(bench.current(0), before);
}

/// An export that was too old to tell was read before.
#[tokio::test]
async fn what_a_copy_made_anew_stands_for_what_its_original_made_once_an_export_shows_that() {
    for (status, state) in
        [(PENDING, State::OrderedNoId), (COMPLETED, State::Completed), (REJECTED, State::Rejected)]
    {
        let (bench, _, since) = Bench::new().await.copy_of_rejected().await;
        bench.read_an_export("7").await;
        assert!(bench.said_of(Said::Retry, 0).await.done);
        let anew = bench.current(0);
        let row = bench.row(0, status, since);
        assert_eq!(bench.beyond(std::slice::from_ref(&row)).await, [row.line]);
        let answer = async || {
            let (row, rules) = (row.clone(), (*bench.rules).clone());
            bench.journal.answer_unsent(vec![row], bench.now(), rules).await.unwrap()
        };
        assert_eq!(answer().await, Some(row.line));
        assert_eq!((bench.current(0), bench.state(anew)), (anew, state));
        assert_eq!(bench.number("SELECT sum(charged) FROM totals WHERE scope = 'day'"), 2 * PRICE.micros());
        bench.recount();
        assert_eq!(answer().await, None, "read again");
        bench.pass(QUIET);
        bench.said(Said::Resume, Target::Everything).await;
        assert!(bench.claim(9).await.is_empty(), "it is paid for again");
    }
}

#[tokio::test]
async fn what_only_the_original_made_anew_and_is_not_finished_is_taken_for_ours_and_not_made_anew_again() {
    let (bench, ordered, since) = Bench::new().await.copy_of_rejected().await;
    let before = bench.current(0);
    // As an old export shows it: it is the order that is known.
    let old = bench.row(0, PENDING, ordered);
    assert_eq!(bench.export(vec![old.clone()]).await, [SettledBy::Settled]);
    let not_placed = ExportRow { placed: None, ..bench.row(0, PENDING, since) };
    assert_eq!(bench.export(vec![not_placed]).await, [SettledBy::Unmatched(Unmatched::NoDate)]);
    assert_eq!(bench.current(0), before, "nothing shows another one");
    let anew = [bench.row(0, PENDING, since), bench.row(0, PENDING, since.plus(QUIET))];
    let came = bench.export(vec![anew[0].clone(), old, anew[1].clone()]).await;
    assert_eq!(
        came,
        [SettledBy::Settled, SettledBy::Settled, SettledBy::Unmatched(Unmatched::More)],
        "one of them is taken, the other is told of"
    );
    assert_ne!(bench.current(0), before);
    assert_eq!(bench.state(bench.current(0)), State::OrderedNoId);
    assert_eq!(bench.number("SELECT sum(charged) FROM totals WHERE scope = 'day'"), 2 * PRICE.micros());
    let said = bench.said_of(Said::Retry, 0).await;
    assert!(!said.done, "{said:?}");
    let picture = bench.picture();
    bench.export(vec![anew[0].clone()]).await;
    assert_eq!(bench.picture(), picture, "read again");
    bench.pass(QUIET);
    bench.said(Said::Resume, Target::Everything).await;
    bench.batch("again", &imeis(1)).await;
    assert!(bench.claim(1).await.is_empty());
    bench.check_books();
}

#[tokio::test]
async fn the_result_of_what_only_the_original_made_anew_is_remembered_and_answers_the_next_file() {
    let (bench, _, since) = Bench::new().await.copy_of_rejected().await;
    let before = bench.current(0);
    let row = bench.row(0, COMPLETED, since);
    assert!(matches!(bench.sort(vec![row.clone()]).await[..], [Sorted::Turned(_)]));
    let turn = async |row: ExportRow| {
        let (now, rules) = (bench.now(), (*bench.rules).clone());
        bench.journal.turn_by_export(vec![row], None, now, rules).await.unwrap()
    };
    assert_eq!(turn(row.clone()).await, [TurnedBy::Remembered]);
    assert_eq!(bench.state(bench.current(0)), State::OrderedElsewhere);
    assert_ne!(bench.current(0), before);
    assert_eq!(turn(row).await, [TurnedBy::Remembered], "read again");
    assert!(!bench.said_of(Said::Retry, 0).await.done);
    bench.pass(QUIET);
    bench.said(Said::Resume, Target::Everything).await;
    let batch = bench.batch("again", &imeis(1)).await;
    assert!(bench.claim(1).await.is_empty());
    assert_eq!(bench.tallies(batch), [(TallyState::Duplicate, Link::Earlier, 1)]);
    bench.check_books();
}

/// As if a crash had come between two commits of it.
#[tokio::test]
async fn what_made_room_and_has_no_successor_gets_it_when_the_export_is_read_again() {
    let pictures = async |status: u8, is_split: bool| {
        let (bench, _, since) = Bench::new().await.copy_of_rejected().await;
        if is_split {
            let made_room = "UPDATE orders SET current = 0";
            bench.journal.write(move |tx| tx.execute_one("a test's order", made_room, [])).await.unwrap();
            bench.recount();
        }
        let row = bench.row(0, status, since);
        let sorted = bench.sort(vec![row.clone()]).await;
        let (now, rules) = (bench.now(), (*bench.rules).clone());
        match &sorted[..] {
            [Sorted::Wanted(_)] => assert_eq!(bench.settle(vec![row]).await, [SettledBy::Settled]),
            [Sorted::Turned(_)] => {
                let turned = bench.journal.turn_by_export(vec![row], None, now, rules).await.unwrap();
                assert_eq!(turned, [TurnedBy::Remembered]);
            }
            other => panic!("{other:?}"),
        }
        bench.check_books();
        bench.picture()
    };
    for status in [PENDING, COMPLETED] {
        assert_eq!(pictures(status, true).await, pictures(status, false).await, "{status}");
    }
}

#[tokio::test]
async fn a_row_from_another_time_of_what_was_given_back_is_not_taken_for_ours_where_no_copy_waits() {
    let (bench, _, since) = Bench::new().await.copy_of_rejected().await;
    bench.pass(QUIET);
    bench.said(Said::Resume, Target::Everything).await;
    let before = bench.current(0);
    assert_eq!(bench.sort(vec![bench.row(0, PENDING, since)]).await.len(), 1);
    let row = bench.row(0, COMPLETED, since);
    bench.sort(vec![row.clone()]).await;
    let (now, rules) = (bench.now(), (*bench.rules).clone());
    assert_eq!(bench.journal.turn_by_export(vec![row], None, now, rules).await.unwrap(), [TurnedBy::NotOurs]);
    assert_eq!(bench.current(0), before);
}
