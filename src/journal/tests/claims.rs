use super::*;
use crate::gate::Scope;
use crate::order::PauseReason;

#[tokio::test]
async fn an_attempt_is_on_disk_before_its_ticket_is_handed_out() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    let tickets = bench.claim(2).await;
    // A second process, as after a power cut: it sees what is committed, and nothing else.
    let view = View::open(&bench.path).unwrap();
    let open = view
        .find("SELECT count(*) FROM attempts WHERE verdict IS NULL", [], |row| row.get::<_, i64>(0))
        .unwrap();
    assert_eq!(open, Some(2));
    assert_eq!(tickets.len(), 2);
    assert_eq!(tickets[0].place_order().unwrap().imei, imei(0));
    bench.check_books();
    drop(tickets);
}

#[tokio::test]
async fn an_order_taken_is_charged_once_and_polled() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    let order = bench.order_one(17).await;
    assert_eq!(bench.tallies(batch), [(TallyState::Order(State::Ordered), Link::Own, 1)]);
    bench.pass(Duration::from_secs(10));
    let now = bench.now();
    let due = bench.journal.read_here(|view| view.due_polls("main", now, 10)).unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].order, due[0].id), (order, ProviderOrderId(17)));
    bench.check_books();
}

#[tokio::test]
async fn a_dropped_ticket_leaves_its_order_in_doubt_at_once() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    drop(bench.claim(1).await);
    // Writes are in order: once this one is committed, the drop's is too.
    bench.journal.set_fact("after", "1".to_owned()).await.unwrap();
    assert_eq!(bench.journal.read_here(|view| view.doubts("main")).unwrap().len(), 1);
    assert_eq!(bench.claim(9).await.len(), 1, "the one in doubt is not claimed again");
    bench.check_books();
}

#[tokio::test]
async fn what_was_in_flight_at_a_kill_is_in_doubt_after_it() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(5)).await;
    let tickets = bench.claim(3).await;
    std::mem::forget(tickets);
    let lost = bench.journal.recover(bench.now(), (*bench.rules).clone()).await.unwrap();
    assert_eq!(lost, 3);
    assert_eq!(bench.claim(9).await.len(), 2);
    bench.check_books();
}

#[tokio::test]
async fn an_attempt_given_back_is_free_and_may_go_at_once() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    for _ in 0..5 {
        let ticket = bench.claim(1).await.pop().unwrap();
        bench.journal.return_attempt(ticket).await.unwrap().unwrap();
    }
    bench.check_books();
    assert_eq!(bench.number("SELECT counted FROM orders"), 0);
}

#[tokio::test]
async fn an_order_that_was_throttled_waits_before_it_goes_again() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    assert!(!goes_apart(&ticket));
    let wait = Duration::from_secs(7);
    bench.finish(ticket, Placed::NotTaken(NotTaken::Throttled(Some(wait)))).await;
    let claimed = bench.journal.begin_attempts(bench.request(1), bench.clock()).await.unwrap();
    assert!(claimed.tickets.is_empty());
    assert_eq!(claimed.next_due, Some(bench.now().plus(wait)));
    bench.pass(wait);
    let again = bench.claim(1).await.pop().unwrap();
    assert!(goes_apart(&again), "an answer to the attempt before may still come");
}

#[tokio::test]
async fn the_cap_counts_what_is_in_flight_and_in_doubt_and_pauses_by_name() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(9)).await;
    let cap =
        |cents: i64| ClaimRequest { per_day: Some(Money::from_micros(cents * 10_000)), ..bench.request(9) };
    let claimed = bench.journal.begin_attempts(cap(24), bench.clock()).await.unwrap();
    assert_eq!(claimed.tickets.len(), 3);
    assert_eq!(claimed.blocked, Some(Blocked::Cap));
    let mut tickets = claimed.tickets.into_iter();
    bench.finish(tickets.next().unwrap(), Placed::Taken(ProviderOrderId(1))).await;
    drop(tickets);
    let again = bench.journal.begin_attempts(cap(31), bench.clock()).await.unwrap();
    assert!(again.tickets.is_empty(), "one is charged, two in doubt");
    assert_eq!(bench.journal.pauses().await.unwrap()[0].reason, PauseReason::Cap);
    let raised = bench.journal.begin_attempts(cap(32), bench.clock()).await.unwrap();
    assert_eq!(raised.tickets.len(), 1);
    let today = cap(32);
    let tomorrow = ClaimRequest { day: today.day + 1, ..today };
    assert_eq!(bench.journal.begin_attempts(tomorrow, bench.clock()).await.unwrap().tickets.len(), 4);
    bench.check_books();
}

#[tokio::test]
async fn a_services_first_orders_go_one_by_one_until_they_proved_right() {
    let bench = Bench::with_canary(2).await;
    bench.batch("stock", &imeis(20)).await;
    let first = bench.claim(9).await;
    assert_eq!(first.len(), 1);
    assert!(first[0].is_canary() && goes_apart(&first[0]));
    assert!(bench.claim(9).await.is_empty());
    // A free refusal doubles how many go at once.
    bench.finish(first.into_iter().next().unwrap(), Placed::AlreadyExists).await;
    let mut two = bench.claim(9).await;
    assert_eq!(two.len(), 2);
    bench.finish(two.pop().unwrap(), Placed::Taken(ProviderOrderId(1))).await;
    assert!(bench.claim(9).await.is_empty(), "the first order taken brings it back to one");
    bench.finish(two.pop().unwrap(), Placed::Taken(ProviderOrderId(2))).await;
    assert_eq!(bench.claim(9).await.len(), 9);
}

#[tokio::test]
async fn a_first_order_that_comes_back_unclear_pauses_its_service() {
    let bench = Bench::with_canary(1).await;
    bench.batch("stock", &imeis(5)).await;
    let ticket = bench.claim(9).await.pop().unwrap();
    let unclear = Unclear { what: "three orders came back".to_owned(), ids: vec![], retry_after: None };
    bench.finish(ticket, Placed::Unclear(unclear)).await;
    let pauses = bench.journal.pauses().await.unwrap();
    assert_eq!((pauses[0].scope, pauses[0].reason), (Scope::Service(bench.service), PauseReason::Canary));
    assert!(bench.claim(9).await.is_empty());
}

#[tokio::test]
async fn a_pause_lets_one_order_go_after_accountinfo_passed_and_its_answer_ends_it() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(5)).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    bench.finish(ticket, Placed::NotTaken(NotTaken::Credit("Credit has been finished!".to_owned()))).await;
    assert!(bench.claim(9).await.is_empty());
    bench.pass(Duration::from_secs(10));
    bench.journal.pause_tried(Scope::All, PauseReason::Credit, true, bench.now()).await.unwrap();
    let mut one = bench.claim(9).await;
    assert_eq!(one.len(), 1);
    assert!(bench.claim(9).await.is_empty());
    bench
        .finish(
            one.pop().unwrap(),
            Placed::NotTaken(NotTaken::Credit("Credit has been finished!".to_owned())),
        )
        .await;
    assert!(bench.claim(9).await.is_empty());
    bench.journal.pause_tried(Scope::All, PauseReason::Credit, true, bench.now()).await.unwrap();
    let mut one = bench.claim(9).await;
    bench.finish(one.pop().unwrap(), Placed::Taken(ProviderOrderId(5))).await;
    assert!(bench.journal.pauses().await.unwrap().is_empty());
    assert_eq!(bench.claim(9).await.len(), 4);
}

#[tokio::test]
async fn files_share_the_workers() {
    let bench = Bench::new().await;
    let large = bench.batch("large", &imeis(1000)).await;
    let small = bench.batch("small", &(2000..2012).map(imei).collect::<Vec<_>>()).await;
    let mut after = BatchId(0);
    let mut small_left = 12;
    for _ in 0..24 {
        let request = ClaimRequest { after, ..bench.request(1) };
        let claimed = bench.journal.begin_attempts(request, bench.clock()).await.unwrap();
        after = claimed.last.unwrap();
        if after == small {
            small_left -= 1;
        } else {
            assert_eq!(after, large);
        }
        std::mem::forget(claimed.tickets);
    }
    assert_eq!(small_left, 0);
}

#[tokio::test]
async fn an_id_that_is_another_orders_proves_nothing() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    bench.order_one(7).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    let recorded = bench.finish(ticket, Placed::Taken(ProviderOrderId(7))).await;
    assert_eq!(recorded.state, State::InDoubt);
    assert_eq!(bench.journal.read_here(View::alarms).unwrap().len(), 1);
    bench.check_books();
}

#[tokio::test]
async fn ids_told_by_an_unclear_answer_are_kept_to_be_looked_up() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    let ids = vec![ProviderOrderId(3), ProviderOrderId(4)];
    bench
        .finish(
            ticket,
            Placed::Unclear(Unclear { what: "two orders".into(), ids: ids.clone(), retry_after: None }),
        )
        .await;
    assert_eq!(bench.journal.read_here(|view| view.doubts("main")).unwrap()[0].told, ids);
}

#[tokio::test]
async fn a_paused_services_doubt_keeps_no_other_service_from_its_probe() {
    for (proven, braked) in
        [(true, "pause"), (false, "pause"), (true, "unconfigured"), (false, "unconfigured")]
    {
        let mut bench = Bench::new().await;
        let first = bench.service;
        bench.batch("first", &imeis(3)).await;
        let mut doubts = Vec::new();
        for _ in 0..3 {
            doubts.push(bench.doubt_one().await);
        }
        let second = bench.add_service().await;
        bench.service = second;
        bench.batch("second", &imeis(1)).await;
        doubts.push(bench.doubt_one().await);
        bench.pass(QUIET);
        bench.tend(doubts).await;
        if proven {
            bench.journal.probes_are_refused("main".to_owned(), bench.now()).await.unwrap();
        }
        if braked == "pause" {
            let pause = |scope| bench.journal.pause(scope, PauseReason::Operator, String::new(), bench.now());
            pause(Scope::Service(first)).await.unwrap();
        } else {
            let mut rules = (*bench.rules).clone();
            rules.terms.remove(&first);
            bench.rules = Arc::new(rules);
        }
        for want in [1, 9] {
            let probes = bench.claim(want).await;
            let services: Vec<_> = probes.iter().map(AttemptTicket::service).collect();
            assert_eq!(services, [Some(second)], "{want}, {proven}, {braked}");
            assert!(probes[0].is_probe());
            for probe in probes {
                bench.journal.return_attempt(probe).await.unwrap().unwrap();
            }
            bench.pass(QUIET);
            bench
                .tend(
                    bench
                        .journal
                        .read_here(|view| view.doubts("main"))
                        .unwrap()
                        .iter()
                        .map(|d| d.order)
                        .collect(),
                )
                .await;
        }
    }
}
