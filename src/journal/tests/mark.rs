//! Marks: telling without a look inside that nothing was written.

use super::*;

impl Bench {
    /// As seen long after whatever was written last.
    fn mark_later(&self) -> Mark {
        self.journal.mark(Clock::system().now().plus(Duration::from_secs(3_600)))
    }
}

#[tokio::test]
async fn a_mark_stays_until_somebody_writes_whoever_that_is() {
    let bench = Bench::new().await;
    bench.journal.set_fact("a", "1".to_owned()).await.unwrap();
    let first = bench.mark_later();
    assert!(bench.mark_later().is_still(first));
    bench.journal.set_fact("a", "2".to_owned()).await.unwrap();
    let second = bench.mark_later();
    assert!(!second.is_still(first));
    // A command of another process: a connection of its own.
    let other = rusqlite::Connection::open(&bench.path).unwrap();
    other.execute("INSERT INTO facts (key, value) VALUES ('b', '1')", []).unwrap();
    assert!(!bench.mark_later().is_still(second));
}

#[tokio::test]
async fn right_after_a_commit_no_mark_is_believed() {
    let bench = Bench::new().await;
    bench.journal.set_fact("a", "1".to_owned()).await.unwrap();
    let mark = bench.journal.mark(Clock::system().now());
    assert!(!mark.is_still(mark), "another commit could come within the clock's tick");
    assert!(!Mark::default().is_still(Mark::default()));
}

#[tokio::test]
async fn it_is_read_again_only_if_something_was_written() {
    let bench = Bench::new().await;
    bench.journal.set_fact("a", "1".to_owned()).await.unwrap();
    let later = Clock::system().now().plus(Duration::from_secs(3_600));
    let mut seen = Mark::default();
    let mut reads = Vec::new();
    for write in [false, false, true, false] {
        if write {
            bench.journal.set_fact("a", "2".to_owned()).await.unwrap();
        }
        reads.push(bench.journal.read_if_changed(&mut seen, later, |view| view.fact("a")).await.unwrap());
    }
    let told = |value: &str| Some(Some(value.to_owned()));
    assert_eq!(reads, [told("1"), None, told("2"), None]);
    // A look that fails is no look.
    bench.journal.set_fact("a", "3".to_owned()).await.unwrap();
    let failed = bench.journal.read_if_changed(&mut seen, later, |_| Err::<(), _>(JournalError::Closed));
    assert!(failed.await.is_err());
    let read = bench.journal.read_if_changed(&mut seen, later, |view| view.fact("a"));
    assert_eq!(read.await.unwrap(), told("3"));
}
