use super::*;

/// Runs `both` in one transaction, the one behind the other: the writer is kept busy until they wait.
async fn in_one_transaction<T>(bench: &Bench, both: impl Future<Output = T>) -> T {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let busy = bench.journal.write(move |_| {
        let _ = wait.recv();
        Ok(())
    });
    let (busy, done, ()) = tokio::join!(busy, both, async { drop(go) });
    busy.unwrap();
    done
}

#[tokio::test]
async fn a_claim_sees_what_another_of_the_same_transaction_reserved() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(9)).await;
    let request = || {
        let cap = PRICE.checked_mul(3);
        bench.journal.begin_attempts(ClaimRequest { per_day: cap, ..bench.request(2) }, bench.clock())
    };
    let claims = async { tokio::join!(request(), request()) };
    let (first, second) = in_one_transaction(&bench, claims).await;
    let claimed = [first.unwrap().tickets, second.unwrap().tickets];
    assert_eq!(claimed.each_ref().map(Vec::len), [2, 1], "the day's cap is three");
    bench.check_books();
}

#[tokio::test]
async fn what_one_transaction_moves_to_and_fro_adds_up() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(4)).await;
    let mut tickets = bench.claim(3).await;
    let mut end = |outcome| {
        let reply = Reply { outcome, http: None, body: Vec::new() };
        bench.journal.finish_attempt(tickets.pop().unwrap(), reply)
    };
    let answers = async {
        let taken = [end(Placed::Taken(ProviderOrderId(17))), end(Placed::Taken(ProviderOrderId(5)))];
        let unsent = end(Placed::NotTaken(NotTaken::NotSent(String::new())));
        for told in taken.into_iter().chain([unsent]) {
            told.await.unwrap().unwrap();
        }
    };
    in_one_transaction(&bench, answers).await;
    let rows = |state| (TallyState::Order(state), Link::Own, 2);
    assert_eq!(bench.tallies(batch), [rows(State::Queued), rows(State::Ordered)]);
    assert_eq!(bench.number("SELECT known_id FROM watermarks"), 17, "the highest, whatever came last");
    bench.check_books();
}

#[tokio::test]
async fn a_sum_that_cannot_be_fails_its_own_operation_alone() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(2)).await;
    let wrong = bench.journal.write(move |tx| {
        tx.add(|sums| sums.tally(batch, 3, Link::Own, -1));
        Ok(())
    });
    let both = async { tokio::join!(wrong, bench.journal.set_fact("good", "1".to_owned())) };
    let (wrong, good) = in_one_transaction(&bench, both).await;
    assert!(matches!(wrong, Err(JournalError::Unexpected { .. })), "{wrong:?}");
    good.unwrap();
    assert_eq!(bench.tallies(batch), [(TallyState::Order(State::Queued), Link::Own, 2)]);
    bench.check_books();
}
