//! What an export clears beside a charge that an export told of, and no id: its rows alone tell how many there are.

use super::exports::{COMPLETED, PENDING};
use super::*;
use crate::order::{Event, NoIdFacts};

impl Bench {
    /// An order of ours, and one of which no id is known: its first attempt was taken and its answer lost, the probe was lost
    /// on its way, and the next one refused as a duplicate. An export has its row since, and the probe is presumed.
    pub(super) async fn with_unnamed(&self) -> OrderId {
        let doubt = self.with_lost_probe().await;
        let probe = self.probe(doubt).await;
        self.finish(probe, Placed::AlreadyExists).await;
        assert_eq!((self.state(doubt), self.presumed(doubt)), (State::OrderedNoId, 1));
        self.is_shown(doubt, COMPLETED).await;
        doubt
    }

    /// Likewise, as the first probe is lost.
    pub(super) async fn with_lost_probe(&self) -> OrderId {
        // It is known to refuse duplicates.
        self.journal.write(|tx| tx.set_fact("probing:main", "refused")).await.unwrap();
        self.batch("stock", &imeis(4)).await;
        self.order_one(10).await;
        let doubt = self.doubt_one().await;
        let probe = self.probe(doubt).await;
        self.finish(probe, unclear()).await;
        doubt
    }

    async fn probe(&self, doubt: OrderId) -> AttemptTicket {
        self.pass(QUIET);
        self.tend(vec![doubt]).await;
        let probe = self.claim(1).await.pop().unwrap();
        assert!(probe.is_probe());
        probe
    }

    /// An export has a row of the first attempt.
    pub(super) async fn is_shown(&self, order: OrderId, status: u8) {
        let row = self.row(1, status, self.began(order, 1));
        assert_eq!(self.export(vec![row]).await, [SettledBy::Settled]);
        assert_eq!((self.books_of(order), self.presumed(order)), ((1, 0), 1));
    }

    fn began(&self, order: OrderId, n: u32) -> Timestamp {
        let sql = format!("SELECT claimed_at FROM attempts WHERE order_id = {order} AND n = {n}");
        Timestamp::from_millis(self.number(&sql))
    }

    /// The rows of the first order and of the witness.
    fn others(&self) -> Vec<(u32, Timestamp)> {
        [0, 2].map(|n| (n, self.ordered(n))).to_vec()
    }

    /// How many charges are booked for it, and of how many the id is known.
    fn books_of(&self, order: OrderId) -> (i64, i64) {
        let column = |name: &str| self.number(&format!("SELECT {name} FROM orders WHERE id = {order}"));
        (column("charged"), column("named"))
    }

    /// An order of another IMEI, late enough to show what was taken.
    pub(super) async fn witness(&self, id: u64) {
        self.pass(2 * QUIET);
        self.order_one(id).await;
    }
}

#[tokio::test]
async fn a_charge_that_an_export_told_of_is_cleared_of_what_is_presumed_by_a_later_one_with_its_row_alone() {
    let bench = Bench::new().await;
    let order = bench.with_unnamed().await;
    bench.witness(20).await;
    let keys = bench.journal.read_here(|view| view.presumed_keys("main")).unwrap();
    assert_eq!(keys, BTreeSet::from([(bench.service.0, imei(1).as_u64())]));
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 1);
    assert_eq!((bench.state(order), bench.presumed(order)), (State::Completed, 0));
    assert_eq!(bench.books_of(order), (1, 0));
    assert_eq!(bench.number("SELECT presumed FROM totals WHERE scope = 'day'"), 0);
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 0, "once");
}

#[tokio::test]
async fn whatever_state_an_export_left_it_in_a_later_one_clears_it() {
    for (is_held, shown) in [(false, State::OrderedNoId), (true, State::Held)] {
        let bench = Bench::new().await;
        let order = bench.with_lost_probe().await;
        bench.is_shown(order, PENDING).await;
        assert_eq!(bench.state(order), State::OrderedNoId);
        if is_held {
            let facts = NoIdFacts { balance_contradicts: false, can_list: false, too_old: false };
            bench.tell(order, Event::HoldNoId(facts)).await;
        }
        bench.witness(20).await;
        assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 1);
        assert_eq!((bench.state(order), bench.presumed(order), bench.books_of(order)), (shown, 0, (1, 0)));
    }
}

#[tokio::test]
async fn what_had_rested_before_an_export_told_of_its_charge_has_rested() {
    let bench = Bench::new().await;
    let order = bench.with_lost_probe().await;
    bench.witness(20).await;
    bench.is_shown(order, COMPLETED).await;
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 1, "the same export once more");
}

#[tokio::test]
async fn t9_where_both_attempts_were_taken_nothing_is_cleared_and_people_are_told() {
    let bench = Bench::new().await;
    let order = bench.with_unnamed().await;
    bench.witness(20).await;
    let [first, probe] = [1, 2].map(|n| bench.began(order, n));
    for rows in [vec![first, probe], vec![first, first], vec![probe, probe]] {
        let rows: Vec<(u32, Timestamp)> = rows.into_iter().map(|at| (1, at)).collect();
        assert_eq!(bench.clear(bench.shown_at(&[bench.others(), rows].concat())).await, 0);
    }
    assert_eq!(bench.presumed(order), 1);
    bench.beyond(&[bench.row(1, COMPLETED, first), bench.row(1, COMPLETED, probe)]).await;
    assert_eq!(bench.double_charges(), 1);
    // The row can as well be the probe's: one was taken, and one is booked.
    assert_eq!(bench.clear(bench.shown_at(&[bench.others(), vec![(1, probe)]].concat())).await, 1);
    bench.beyond(&[bench.row(1, COMPLETED, first), bench.row(1, COMPLETED, probe)]).await;
    assert_eq!(bench.double_charges(), 2, "what was cleared is shown after all");
}

#[tokio::test]
async fn t15_a_row_from_another_time_is_nobodys_and_clears_nothing() {
    let bench = Bench::new().await;
    let order = bench.with_unnamed().await;
    bench.witness(20).await;
    let first = bench.began(order, 1);
    let (long_ago, later) = (Timestamp::from_millis(5), first.plus(9 * QUIET));
    for rows in [vec![], vec![long_ago], vec![first, long_ago], vec![later], vec![first, later]] {
        let shown: Vec<(u32, Timestamp)> = rows.iter().map(|at| (1, *at)).collect();
        assert_eq!(bench.clear(bench.shown_at(&[bench.others(), shown].concat())).await, 0, "{rows:?}");
    }
    let undated = ExportRow { placed: None, ..bench.row(1, COMPLETED, first) };
    let shown =
        Shown { rows: BTreeMap::from([(undated.export_key(), vec![undated])]), ..bench.shown(&[0, 1, 2]) };
    assert_eq!(bench.clear(shown).await, 0, "one whose date can't be told");
    assert_eq!(bench.presumed(order), 1);
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 1);
}

#[tokio::test]
async fn t2_t8_an_export_that_is_not_whole_or_made_too_early_clears_nothing() {
    let bench = Bench::new().await;
    let order = bench.with_unnamed().await;
    bench.order_one(17).await;
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 0, "no later order is in it");
    bench.witness(20).await;
    let whole = || bench.shown(&[0, 1, 2, 3]);
    for (what, missing) in [("the one before it", 0u32), ("one between", 2), ("the later one", 3)] {
        let keys: Vec<u32> = (0..4).filter(|n| *n != missing).collect();
        assert_eq!(bench.clear(bench.shown(&keys)).await, 0, "without {what}");
    }
    for shown in [Shown { has_pending: false, ..whole() }, Shown { has_finished: false, ..whole() }] {
        assert_eq!(bench.clear(shown).await, 0);
    }
    assert_eq!(bench.presumed(order), 1);
    assert_eq!(bench.clear(whole()).await, 1);
}

#[tokio::test]
async fn what_was_begun_before_two_quiet_periods_were_over_is_no_witness() {
    let bench = Bench::new().await;
    let order = bench.with_lost_probe().await;
    bench.is_shown(order, COMPLETED).await;
    bench.pass(2 * QUIET - Duration::from_millis(1));
    bench.order_one(20).await;
    bench.pass(QUIET);
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 0);
    bench.order_one(21).await;
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2, 3])).await, 1);
    assert_eq!(bench.presumed(order), 0);
}

#[tokio::test]
async fn a_charge_that_nothing_but_a_refusal_tells_of_is_not_cleared() {
    let bench = Bench::new().await;
    let doubt = bench.with_lost_probe().await;
    let probe = bench.probe(doubt).await;
    bench.finish(probe, Placed::AlreadyExists).await;
    let rested = format!("UPDATE orders SET rested_after = 1 WHERE id = {doubt}");
    bench.journal.write(move |tx| tx.execute_one("a doubt's rest", &rested, [])).await.unwrap();
    bench.witness(20).await;
    let rows = vec![(1, bench.began(doubt, 1))];
    for rows in [vec![], rows] {
        assert_eq!(bench.clear(bench.shown_at(&[bench.others(), rows].concat())).await, 0);
    }
    assert_eq!((bench.state(doubt), bench.presumed(doubt)), (State::OrderedNoId, 1));
}

#[tokio::test]
async fn a_line_that_is_pasted_in_twice_clears_nothing_where_no_id_is_known() {
    let bench = Bench::new().await;
    let order = bench.with_unnamed().await;
    bench.witness(20).await;
    let whole = || bench.shown(&[0, 1, 2]);
    let row = bench.row(1, PENDING, bench.ordered(1));
    let once = |rows: Vec<ExportRow>| Shown { rows: BTreeMap::from([(row.export_key(), rows)]), ..whole() };
    let later = ExportRow { status: COMPLETED, ..row.clone() };
    for pasted in [row.clone(), later] {
        assert_eq!(bench.clear(once(vec![row.clone(), pasted])).await, 0);
    }
    assert_eq!(bench.presumed(order), 1);
    assert_eq!(bench.clear(once(vec![row.clone()])).await, 1);
}

#[tokio::test]
async fn t13_t16_beside_any_other_order_of_the_imei_nothing_is_counted() {
    for is_newer in [false, true] {
        let bench = Bench::new().await;
        let order = bench.with_unnamed().await;
        bench.witness(20).await;
        // One that was given back, as far away as can be.
        let began = if is_newer { bench.began(order, 1).plus(99 * QUIET) } else { Timestamp::from_millis(5) };
        let (id, began) = (if is_newer { 99 } else { 0 }, began.millis());
        let other = format!(
            "INSERT INTO orders (id, service, imei, batch, first_row, state, current, attempts, charged, named, provider_id) \
             SELECT {id}, service, imei, batch, first_row, 7, 0, 1, 1, 1, 1 FROM orders WHERE id = {order}"
        );
        let attempt = format!(
            "INSERT INTO attempts (order_id, n, kind, price, day, claimed_at, ended_at, verdict, known_id) \
             VALUES ({id}, 1, 0, 0, 1, {began}, {began}, 0, 0)"
        );
        bench.journal.write(move |tx| tx.execute_one("an order", &other, [])).await.unwrap();
        bench.journal.write(move |tx| tx.execute_one("an attempt", &attempt, [])).await.unwrap();
        let rows = [bench.others(), vec![(1, bench.began(order, 1))]].concat();
        let (now, rules) = (bench.now(), (*bench.rules).clone());
        let placed = |at| Some((at - 2000, at + 2000));
        let shown = bench.shown_at(&rows);
        let cleared = bench.journal.clear_by_export("main".to_owned(), shown, placed, now, rules).await;
        assert_eq!((cleared.unwrap(), bench.presumed(order)), (0, 1), "newer: {is_newer}");
    }
}

#[tokio::test]
async fn t14_an_attempt_that_was_entered_on_evidence_or_taken_as_made_may_have_been_made_at_any_time() {
    for kind in [2, 3] {
        let bench = Bench::new().await;
        let order = bench.with_unnamed().await;
        bench.witness(20).await;
        let entered = format!("UPDATE attempts SET kind = {kind} WHERE order_id = {order} AND verdict = 4");
        bench.journal.write(move |tx| tx.execute_one("an attempt", &entered, [])).await.unwrap();
        assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 0, "{kind}");
        assert_eq!(bench.presumed(order), 1);
    }
}

#[tokio::test]
async fn an_order_whose_id_was_anothers_is_not_counted_by_rows() {
    let bench = Bench::new().await;
    let order = bench.with_presumed().await;
    let anothers = PollTold::Anothers("the provider tells of another".to_owned());
    let result = bench.result(order, anothers);
    bench.journal.record_polls(vec![result], bench.now(), (*bench.rules).clone()).await.unwrap();
    bench.export(vec![bench.row(1, COMPLETED, bench.ordered(1))]).await;
    assert_eq!((bench.state(order), bench.books_of(order)), (State::Completed, (1, 0)));
    bench.witness(20).await;
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 0);
    assert_eq!(bench.presumed(order), 1);
}

#[tokio::test]
async fn a_journal_of_before_has_it_cleared_once_its_rest_is_noted() {
    let bench = Bench::new().await;
    let order = bench.with_unnamed().await;
    let Bench { _folder, path, journal, now, service, rules } = bench;
    drop(journal);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "UPDATE orders SET rested_after = NULL WHERE presumed > 0; DROP INDEX orders_presumed; \
             CREATE INDEX orders_presumed ON orders (rested_after, id) WHERE presumed > 0 AND provider_id IS NOT NULL; \
             PRAGMA user_version = 3",
        )
        .unwrap();
    drop(connection);
    let bench = Bench { _folder, journal: started(&path), path, now, service, rules };
    bench.witness(20).await;
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 1);
    assert_eq!(bench.presumed(order), 0);
}

#[tokio::test]
async fn a_clock_that_is_set_forward_ends_no_quiet_period_of_it() {
    let bench = Bench::new().await;
    let order = bench.with_lost_probe().await;
    bench.is_shown(order, COMPLETED).await;
    let (wall, steady) = (Arc::clone(&bench.now), Arc::new(AtomicI64::new(0)));
    let passed = Arc::clone(&steady);
    let clock = Clock::from_fns(
        move || Timestamp::from_millis(wall.load(Ordering::Relaxed)),
        move || Duration::from_millis(passed.load(Ordering::Relaxed).unsigned_abs()),
    );
    bench.journal.keep_steady(&clock);
    bench.witness(20).await;
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 0, "by the steady clock no time has passed");
    steady.fetch_add(i64::try_from(QUIET.as_millis()).unwrap(), Ordering::Relaxed);
    bench.witness(21).await;
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 0, "begun before it had rested");
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2, 3])).await, 1);
    assert_eq!(bench.presumed(order), 0);
}

#[tokio::test]
async fn an_id_that_comes_after_it_was_cleared_is_put_to_its_charge() {
    let bench = Bench::new().await;
    let order = bench.with_unnamed().await;
    bench.witness(20).await;
    assert_eq!(bench.clear(bench.shown(&[0, 1, 2])).await, 1);
    bench.tell(order, Event::LateId(ProviderOrderId(15))).await;
    bench.check_books();
    assert_eq!((bench.books_of(order), bench.double_charges()), ((1, 1), 0));
    bench.tell(order, Event::LateId(ProviderOrderId(16))).await;
    bench.check_books();
    assert_eq!((bench.books_of(order), bench.double_charges()), ((2, 2), 1));
    let alarms = bench.journal.read_here(View::alarms).unwrap();
    let told = "(service check) was ordered twice at the provider, under the order ids 15 and 16. Ask the provider to give one \
                back, if it hasn't: imeid show";
    let tells = alarms.iter().any(|alarm| alarm.text.contains(told));
    assert!(tells, "which file's and which service's it is, and what to do: {alarms:?}");
}

#[tokio::test]
async fn where_ids_fall_no_export_is_known_to_be_whole() {
    for is_named in [true, false] {
        let bench = Bench::new().await;
        let order = if is_named { bench.with_presumed().await } else { bench.with_unnamed().await };
        bench.order_one(5).await;
        bench.witness(20).await;
        for keys in [&[0, 1, 3][..], &[0, 1, 2, 3]] {
            assert_eq!(bench.clear(bench.shown(keys)).await, 0, "{is_named}: {keys:?}");
        }
        assert_eq!(bench.presumed(order), 1);
    }
}
