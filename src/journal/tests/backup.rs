//! Copies that are made while the journal is written.

use super::*;
use crate::journal::backup::{check, count};

fn fact(connection: &Connection, key: &str) -> Option<String> {
    connection.query_row("SELECT value FROM facts WHERE key = ?1", [key], |row| row.get(0)).ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_of_one_moment_whole_and_marked_while_orders_go_on() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(20_000)).await;
    let to = bench.path.with_file_name("copy.db");
    std::fs::write(&to, "").unwrap();
    let (from, copy, now) = (bench.path.clone(), to.clone(), bench.now());
    let copying = tokio::task::spawn_blocking(move || back_up(&from, &copy, now));
    let mut id = 1;
    while !copying.is_finished() {
        if bench.number("SELECT count(*) FROM orders WHERE state = 0") > 0 {
            bench.order_one(id).await;
            id += 1;
        } else {
            tokio::task::yield_now().await;
        }
    }
    assert!(id > 1, "orders went on meanwhile");
    let copied = copying.await.unwrap().unwrap();
    assert_eq!((copied.batches, copied.rows, copied.orders), (1, 20_000, 20_000));
    assert_eq!(std::fs::metadata(&to).unwrap().len(), copied.bytes);
    let mut names: Vec<_> = std::fs::read_dir(to.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("copy"))
        .collect();
    names.sort();
    assert_eq!(names, ["copy.db"], "nothing beside it");
    let connection = Connection::open(&to).unwrap();
    let own = Connection::open(&bench.path).unwrap();
    assert!(fact(&own, "journal_id").is_some_and(|id| id.len() == 32));
    assert_eq!(fact(&connection, "copy_of"), fact(&own, "journal_id"));
    assert_eq!(fact(&connection, "copied_at"), Some(now.millis().to_string()));
    assert_eq!((fact(&own, "copy_of"), fact(&own, "copied_at")), (None, None));
    drop(connection);
    // Its books are those of one moment, and it can be worked with.
    let copy = Bench { journal: Journal::open(&to).unwrap(), ..bench };
    copy.check_books();
}

#[tokio::test]
async fn a_copy_that_misses_something_is_not_taken_for_whole() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(30)).await;
    let to = bench.path.with_file_name("copy.db");
    for damage in [
        "DELETE FROM rows WHERE id IN (SELECT max(id) FROM rows)",
        "DROP TABLE titles",
        "PRAGMA user_version = 0",
        "DELETE FROM facts WHERE key = 'copy_of'",
    ] {
        let _ = std::fs::remove_file(&to);
        back_up(&bench.path, &to, bench.now()).unwrap();
        let counted = count(&Connection::open(&bench.path).unwrap()).unwrap();
        let schema = i64::try_from(SCHEMA).unwrap();
        check(&to, &counted, schema).unwrap();
        Connection::open(&to).unwrap().execute_batch(damage).unwrap();
        let error = check(&to, &counted, schema).unwrap_err().to_string();
        assert!(error.contains("not whole"), "{damage}: {error}");
    }
    let _ = std::fs::remove_file(&to);
    back_up(&bench.path, &to, bench.now()).unwrap();
    let whole = std::fs::read(&to).unwrap();
    std::fs::write(&to, &whole[..whole.len() / 2]).unwrap();
    let counted = count(&Connection::open(&bench.path).unwrap()).unwrap();
    assert!(check(&to, &counted, i64::try_from(SCHEMA).unwrap()).is_err(), "cut");
}
