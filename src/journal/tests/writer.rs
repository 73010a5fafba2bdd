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
            "DROP INDEX orders_unsure; PRAGMA user_version = 2; \
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
