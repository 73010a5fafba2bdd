use super::*;

#[tokio::test]
async fn an_operation_that_fails_takes_no_other_with_it() {
    let bench = Bench::new().await;
    let journal = &bench.journal;
    let good = |n: u32| journal.set_fact(if n == 0 { "a" } else { "b" }, n.to_string());
    let bad = journal.write(|tx| {
        tx.set_fact("lost", "1")?;
        tx.execute("INSERT INTO nowhere VALUES (1)", [])
    });
    let (first, failed, second) = tokio::join!(good(0), bad, good(1));
    first.unwrap();
    assert!(failed.is_err());
    second.unwrap();
    let facts = journal.read_here(|view| Ok((view.fact("a")?, view.fact("b")?, view.fact("lost")?))).unwrap();
    assert_eq!(facts, (Some("0".to_owned()), Some("1".to_owned()), None));
}

#[tokio::test]
async fn what_a_transaction_logs_is_told_once_and_only_if_it_is_committed() {
    let bench = Bench::new().await;
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let say = |line: &'static str, sql: &'static str| {
        let told = Arc::clone(&told);
        bench.journal.write(move |tx| {
            let told = Arc::clone(&told);
            tx.log(move || told.lock().unwrap().push(line));
            tx.execute(sql, [])
        })
    };
    let good = "UPDATE facts SET value = value";
    // In one group, so that the good ones are run again.
    let (first, bad, second) =
        tokio::join!(say("first", good), say("bad", "INSERT INTO nowhere VALUES (1)"), say("second", good));
    assert_eq!((first.is_ok(), bad.is_ok(), second.is_ok()), (true, false, true));
    assert_eq!(*told.lock().unwrap(), ["first", "second"]);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_reopening() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    bench.order_one(5).await;
    let Bench { _folder: folder, path, journal, .. } = bench;
    drop(journal);
    let again = Journal::open(&path).unwrap();
    let count = again
        .read_here(|view| view.find("SELECT count(*) FROM charges", [], |row| row.get::<_, i64>(0)))
        .unwrap();
    assert_eq!(count, Some(1));
    drop(folder);
}

#[test]
fn the_migrations_are_valid() {
    migrations().validate().unwrap();
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    drop(Journal::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Journal::open(&path), Err(JournalError::Newer { found: 99, .. })));
}

#[test]
fn a_file_that_is_no_journal_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    std::fs::write(&path, b"IMEI;Model\r\n".repeat(500)).unwrap();
    assert!(Journal::open(&path).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"IMEI;Model\r\n".repeat(500));
}

#[tokio::test]
async fn the_ledger_and_the_events_only_grow() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    bench.order_one(5).await;
    for sql in [
        "DELETE FROM ledger",
        "UPDATE ledger SET micros = 0",
        "DELETE FROM events",
        "UPDATE events SET what = ''",
    ] {
        assert!(bench.journal.write(move |tx| tx.execute(sql, [])).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn what_nobody_waits_for_is_there_for_whoever_reads_behind_it() {
    const PATIENCE: Duration = Duration::from_secs(60);
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    bench.journal.linger(2 * PATIENCE);
    drop(ticket);
    let counts = bench.journal.read_behind(PATIENCE, View::order_counts).await.unwrap();
    assert_eq!((counts.submitting, counts.in_doubt), (0, 1));
}

#[tokio::test]
async fn what_nobody_waits_for_lingers_until_somebody_waits_or_it_is_enough_for_a_commit() {
    const FOR_EVER: Duration = Duration::from_secs(3_600);
    const PATIENCE: Duration = Duration::from_secs(60);
    let bench = Bench::new().await;
    bench.journal.linger(FOR_EVER);
    let (told, hears) = std::sync::mpsc::channel();
    let record = |key: String| {
        let told = told.clone();
        let run = move |tx: &Tx<'_>| tx.set_fact(&key, "1");
        bench.journal.record(run, move |done| {
            let _ = told.send(done.is_ok());
        });
    };
    let hears_of_one = || hears.recv_timeout(PATIENCE).unwrap();
    record("first".to_owned());
    let waited_for = bench.journal.set_fact("waited for", "1".to_owned());
    tokio::time::timeout(PATIENCE, waited_for).await.unwrap().unwrap();
    assert!(hears_of_one(), "it went with what was waited for");
    let enough = crate::journal::writer::LINGER_OPERATIONS;
    for n in 1..=enough {
        record(format!("{n} of many"));
    }
    assert!((0..enough).all(|_| hears_of_one()));
    // The end is waited for too.
    record("last".to_owned());
    let Bench { _folder: folder, path, journal, .. } = bench;
    let (closes, closed) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(journal);
        let _ = closes.send(());
    });
    closed.recv_timeout(PATIENCE).unwrap();
    assert!(hears_of_one());
    let again = Journal::open(&path).unwrap();
    for key in ["first", "1 of many", "last"] {
        assert_eq!(again.read_here(|view| view.fact(key)).unwrap(), Some("1".to_owned()), "{key}");
    }
    drop(folder);
}

#[tokio::test]
async fn the_writer_is_woken_by_whoever_waits_and_by_enough_for_a_commit() {
    use crate::journal::writer::LINGER_OPERATIONS;
    let bench = Bench::new().await;
    let common = &bench.journal.shared.common;
    common.sent.store(0, Ordering::Release);
    assert!(common.is_time_to_write(true), "who waits");
    assert!((2..LINGER_OPERATIONS).all(|_| !common.is_time_to_write(false)), "too few");
    assert!(common.is_time_to_write(false), "enough");
    bench.journal.set_fact("written", "1".to_owned()).await.unwrap();
    assert!(!common.is_time_to_write(false), "a commit begins anew");
}

#[tokio::test]
async fn a_journal_whose_doubts_had_another_index_finds_them_all() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(4)).await;
    let mut tickets = bench.claim(3).await;
    for id in [Some(7), None] {
        let unclear = Unclear { what: "HTTP 502".to_owned(), ids: Vec::new(), retry_after: None };
        let outcome = id.map_or(Placed::Unclear(unclear), |id| Placed::Taken(ProviderOrderId(id)));
        bench.finish(tickets.pop().unwrap(), outcome).await;
    }
    let last = tickets.pop().unwrap();
    let Bench { _folder: folder, path, journal, rules, .. } = bench;
    // Nobody answers the last one: it is in flight when the journal is closed.
    std::mem::forget(last);
    drop(journal);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "DROP INDEX orders_unsure; DROP INDEX orders_presumed; PRAGMA user_version = 2; \
             CREATE INDEX orders_presumed ON orders (rested_after, id) WHERE presumed > 0 AND provider_id IS NOT NULL; \
             CREATE INDEX orders_unsure ON orders (state, due_at, id) WHERE state IN (1, 2, 4, 5)",
        )
        .unwrap();
    drop(connection);
    let again = Journal::open(&path).unwrap();
    let whole =
        again.read_here(|view| view.find("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)));
    assert_eq!(whole.unwrap().unwrap(), "ok");
    assert_eq!(again.recover(Timestamp::from_millis(1), (*rules).clone()).await.unwrap(), 1);
    let doubts = again.read_here(|view| view.doubts("main")).unwrap();
    assert_eq!(doubts.len(), 2);
    let work = again.read_here(|view| view.batch(batch)).unwrap().unwrap();
    assert_eq!(work.unsent_rows(), 1);
    drop(folder);
}

/// What is told of orders that are on their way, in doubt, ordered or held.
fn told_of_open_orders(view: &View) -> Result<impl PartialEq + std::fmt::Debug + use<>, JournalError> {
    let doubts: Vec<_> =
        view.doubts("main")?.iter().map(|doubt| (doubt.order, doubt.state, doubt.since)).collect();
    Ok((
        view.order_counts()?,
        view.in_flight_since()?,
        view.unfinished()?,
        view.unanswered_elsewhere("another")?,
        doubts,
    ))
}

/// The orders that a start looks at.
fn looked_at(path: &Path) -> BTreeSet<i64> {
    let connection = Connection::open(path).unwrap();
    let of_orders = damage::IN_WORK.iter().filter(|sql| sql.starts_with("SELECT * FROM orders WHERE"));
    let ids = |sql: &&str| {
        let mut statement = connection.prepare(sql).unwrap();
        let ids = statement.query_map([], |row| row.get("id")).unwrap();
        ids.collect::<rusqlite::Result<Vec<i64>>>().unwrap()
    };
    of_orders.flat_map(ids).collect()
}

#[tokio::test]
async fn a_journal_whose_index_had_orders_in_flight_is_read_the_same_without_them() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(5)).await;
    let ordered = bench.order_one(7).await;
    let held = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.tend_by(vec![held], DoubtTerms { policy_hold: true, ..bench.terms(false) }).await;
    let doubt = bench.doubt_one().await;
    bench.pass(Duration::from_secs(1));
    let ticket = bench.claim(1).await.pop().unwrap();
    let (in_flight, since) = (ticket.order().unwrap(), bench.now());
    let Bench { _folder, path, journal, now, service, rules } = bench;
    // Nobody answers it: it is in flight when the journal is closed.
    std::mem::forget(ticket);
    let told = journal.read_here(told_of_open_orders).unwrap();
    drop(journal);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "DROP INDEX orders_unsure; PRAGMA user_version = 4; CREATE INDEX orders_unsure ON orders (state, due_at, id) \
             WHERE state = 1 OR state = 2 OR state = 4 OR state = 5",
        )
        .unwrap();
    drop(connection);
    let open = BTreeSet::from([ordered, held, doubt, in_flight].map(|order| order.0));
    let before = looked_at(&path);
    assert!(before.is_superset(&open), "{before:?}");
    assert_eq!(
        told_of_open_orders(&View::open(&path).unwrap()).unwrap(),
        told,
        "before it is brought up to date"
    );

    let bench = Bench { _folder, journal: started(&path), path, now, service, rules };
    assert_eq!(bench.number("PRAGMA user_version"), i64::try_from(SCHEMA).unwrap());
    assert_eq!(bench.number("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    let indexed = "SELECT count(*) FROM sqlite_schema WHERE name = 'orders_unsure' AND sql LIKE '%state = ";
    let has = |state: u32| bench.number(&format!("{indexed}{state}%'")) == 1;
    assert_eq!([1, 2, 4, 5].map(has), [false, true, true, true]);
    assert_eq!(looked_at(&bench.path), before);
    assert_eq!(bench.journal.read_here(told_of_open_orders).unwrap(), told);
    let counts = OrderCounts { queued: 1, submitting: 1, in_doubt: 1, ordered: 1, held: 1 };
    let doubts = |view: &View| Ok(view.doubts("main")?.iter().map(|doubt| doubt.order).collect::<Vec<_>>());
    let read = |view: &View| Ok((view.order_counts()?, view.in_flight_since()?, view.unfinished()?));
    assert_eq!(bench.journal.read_here(read).unwrap(), (counts, Some(since), 4));
    assert_eq!(bench.journal.read_here(doubts).unwrap(), [held, doubt]);

    assert_eq!(bench.journal.recover(bench.now(), (*bench.rules).clone()).await.unwrap(), 1);
    assert_eq!(bench.journal.read_here(doubts).unwrap(), [held, doubt, in_flight]);
    assert_eq!((bench.state(held), bench.state(in_flight)), (State::Held, State::InDoubt));
    assert_eq!(bench.journal.read_here(View::in_flight_since).unwrap(), None);
    let work = bench.journal.read_here(|view| view.batch(batch)).unwrap().unwrap();
    assert_eq!(work.unsent_rows(), 1);
    bench.check_books();
}
