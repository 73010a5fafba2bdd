//! What changes while a file is written, and what waits for an export.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::config;
use crate::journal::{ExportRow, ExportedCells, NewBatch, NewRow, OrderFor};
use crate::result::Header;
use crate::submit::claim_request;
use crate::types::{Imei, NetworkId, Placed, Reply, ServiceId};

const ROWS: u32 = 3;
const START: i64 = 1_763_091_180_000;

/// An outbox, and a batch whose every IMEI was ordered before, by no order of ours.
struct Bench {
    folder: tempfile::TempDir,
    journal: Journal,
    settings: Arc<Settings>,
    now: Arc<AtomicI64>,
    clock: Clock,
    outbox: Outbox,
}

fn imei(n: u32) -> Imei {
    Imei::from_parts(35_000_000, n)
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("outbox")).unwrap();
        let text = "[provider]\nbase_url = \"https://provider.test\"\nuser_id = \"reseller\"\n\
             [folders]\ninbox = \"i\"\noutbox = \"outbox\"\nreconcile = \"r\"\narchive = \"a\"\nrejected = \"x\"\n\
             [[service]]\nname = \"check\"\nnetwork_id = \"1739\"\nprice = \"0.08\"\nfolder = \".\"\n[submit]\ncanary = 0\n";
        let config = config::parse(text, &folder.path().join("imeid.toml")).unwrap();
        let journal = Journal::open(&folder.path().join("journal.db")).unwrap();
        journal.start_is_told();
        let settings = Arc::new(Settings::new(config, &journal).await.unwrap());
        let now = Arc::new(AtomicI64::new(START));
        let told = Arc::clone(&now);
        let clock = Clock::from_fn(move || Timestamp::from_millis(told.load(Ordering::Relaxed)));
        let outbox = Outbox::new(journal.clone(), clock.clone(), watch::channel(Arc::clone(&settings)).1);
        let bench = Self { folder, journal, settings, now, clock, outbox };
        bench.batch().await;
        bench
    }

    fn service(&self) -> ServiceId {
        self.settings.number(&NetworkId("1739".to_owned())).unwrap()
    }

    async fn batch(&self) {
        let (service, now) = (self.service(), self.clock.now());
        let header = Header {
            delimiter: b',',
            columns: vec!["imei".to_owned()],
            imei_column: 0,
            has_header: true,
            other_imei_columns: Vec::new(),
            width: 1,
        };
        let new = NewBatch {
            key: "1739~1~1".to_owned(),
            stem: "stock".to_owned(),
            file_name: "stock.csv".to_owned(),
            sha256: String::new(),
            bytes: 0,
            service,
            header: serde_json::to_string(&header).unwrap(),
            rows: u64::from(ROWS),
            occupied: BTreeSet::new(),
        };
        let (batch, _) = self.journal.begin_batch(new, now).await.unwrap();
        let wanted = (1..=ROWS).map(|row| OrderFor { imei: imei(row), row }).collect();
        let linked = self.journal.link_orders(batch, service, wanted, None).await.unwrap();
        let row = |row: u32, order| NewRow {
            row,
            order: Some(order),
            why_not: None,
            raw: imei(row).to_string().into_bytes(),
        };
        let rows = linked.iter().map(|linked| row(linked.row, (linked.order, linked.link))).collect();
        self.journal.insert_rows(batch, rows).await.unwrap();
        self.journal.open_batch(batch, now).await.unwrap();
        let wanted = usize::try_from(ROWS).unwrap();
        let request = claim_request(&self.settings, Some(false), &self.clock, wanted, BatchId(0));
        for ticket in self.journal.begin_attempts(request, self.clock.clone()).await.unwrap().tickets {
            let reply = Reply { outcome: Placed::AlreadyExists, http: None, body: Vec::new() };
            self.journal.finish_attempt(ticket, reply).await.unwrap().unwrap();
        }
    }

    /// An export tells the answer of one row.
    async fn answer(&self, n: u32) {
        let row = ExportRow {
            line: 2,
            service: self.service().0,
            imei: imei(n).as_u64(),
            status: 2,
            code: format!("Model: {n}"),
            cells: ExportedCells::default(),
            told_at: Some(START),
            placed: None,
            raw: String::new(),
        };
        let rules = (*self.settings.rules).clone();
        self.journal.sort_export(vec![row], self.clock.now(), rules).await.unwrap();
    }

    async fn work(&self) -> BatchWork {
        self.journal.read(|view| view.batch(BatchId(1))).await.unwrap().unwrap()
    }

    fn publisher(&self) -> Publisher {
        let (journal, clock) = (self.journal.clone(), self.clock.clone());
        Publisher { journal, clock, folder: self.folder.path().join("outbox") }
    }

    /// The results in the outbox by their names, and how many of their rows have an answer.
    fn results(&self) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.folder.path().join("outbox")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.extension().is_some_and(|extension| extension == "csv") {
                let answered = fs::read_to_string(&path).unwrap().matches("Answered free").count();
                found.push((name, answered));
            }
        }
        found.sort();
        found
    }

    fn plant(&self, sql: &str) {
        let journal = rusqlite::Connection::open(self.folder.path().join("journal.db")).unwrap();
        journal.execute_batch(sql).unwrap();
    }
}

fn named(results: &[(&str, usize)]) -> Vec<(String, usize)> {
    results.iter().map(|(name, answered)| ((*name).to_owned(), *answered)).collect()
}

#[tokio::test]
async fn what_changes_between_reading_the_rows_and_the_commit_that_they_are_out_comes_out_next() {
    let mut bench = Bench::new().await;
    let publisher = bench.publisher();
    for (n, so_far) in [(1, 0), (2, 1)] {
        let batch = bench.work().await;
        let written = publisher.write_anew(&batch).await.unwrap();
        bench.answer(n).await;
        publisher.put_out(batch, written, true).await.unwrap();
        assert_eq!(bench.work().await.state, BatchState::Published, "answer {n} isn't out");
        assert_eq!(bench.results().last().unwrap().1, so_far);
    }
    bench.outbox.unit().await.unwrap();
    assert_eq!(bench.work().await.state, BatchState::Done);
    let results = [("stock.results.csv", 0), ("stock.settled-2.csv", 2), ("stock.settled.csv", 1)];
    assert_eq!(bench.results(), named(&results));
}

#[tokio::test]
async fn a_file_that_comes_out_as_it_is_out_already_makes_no_other() {
    let mut bench = Bench::new().await;
    for state in [BatchState::Working, BatchState::Published] {
        bench.plant(&format!("UPDATE batches SET state = {}", state.code()));
        bench.outbox.unit().await.unwrap();
        assert_eq!(bench.work().await.state, BatchState::Done);
        assert_eq!(bench.results(), named(&[("stock.results.csv", 0)]));
    }
}

#[tokio::test]
async fn the_newest_file_has_the_highest_number_though_an_older_one_says_the_same() {
    let bench = Bench::new().await;
    let (publisher, folder) = (bench.publisher(), bench.folder.path().join("outbox"));
    let sha256 = |text: &str| hex_of(text);
    for (name, text) in [("results", "a"), ("settled", "b"), ("settled-2", "c")] {
        fs::write(folder.join(format!("stock.{name}.csv")), text).unwrap();
        let name = format!("stock.{name}.csv");
        bench.journal.published(BatchId(1), name, true, bench.clock.now()).await.unwrap();
    }
    let batch = bench.work().await;
    for (text, name) in [("c", "settled-2"), ("b", "settled-3"), ("a", "settled-3"), ("d", "settled-3")] {
        let (found, _) = publisher.settled_name(&batch, &sha256(text)).await.unwrap();
        assert_eq!(found, format!("stock.{name}.csv"), "{text}");
    }
    // Fetched and taken away, or of somebody else.
    fs::remove_file(folder.join("stock.settled.csv")).unwrap();
    fs::write(folder.join("stock.settled-3.csv"), "not ours").unwrap();
    let (found, _) = publisher.settled_name(&batch, &sha256("d")).await.unwrap();
    assert_eq!(found, "stock.settled-4.csv");
}

fn hex_of(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn an_export_makes_one_settled_file_when_it_is_read() {
    let mut bench = Bench::new().await;
    bench.outbox.unit().await.unwrap();
    bench.journal.begin_export(bench.clock.now()).await.unwrap();
    for n in 1..=ROWS {
        bench.answer(n).await;
        assert!(bench.outbox.unit().await.unwrap() > Duration::ZERO);
        assert_eq!(bench.results(), named(&[("stock.results.csv", 0)]));
    }
    let entered = bench.journal.enter_export(
        "k".into(),
        "x.csv".into(),
        "{}".into(),
        None,
        BTreeSet::new(),
        bench.clock.now(),
    );
    entered.await.unwrap();
    bench.outbox.unit().await.unwrap();
    let results = [("stock.results.csv", 0), ("stock.settled.csv", 3)];
    assert_eq!(bench.results(), named(&results));
    assert_eq!(bench.work().await.state, BatchState::Done);
}

#[tokio::test]
async fn nothing_waits_for_an_export_without_end() {
    let later = i64::try_from(EXPORT_TAKES.as_millis()).unwrap();
    for (passes, is_out) in [(0, false), (later - 1, false), (later, true), (-1, true)] {
        let mut bench = Bench::new().await;
        bench.outbox.unit().await.unwrap();
        bench.journal.begin_export(bench.clock.now()).await.unwrap();
        bench.answer(1).await;
        bench.now.fetch_add(passes, Ordering::Relaxed);
        bench.outbox.unit().await.unwrap();
        assert_eq!(bench.results().len() == 2, is_out, "after {passes} ms");
    }
}

#[tokio::test]
async fn a_partial_of_a_journal_that_was_lost_is_told_of_and_left_alone() {
    let mut bench = Bench::new().await;
    let outbox = bench.folder.path().join("outbox");
    for name in ["stock.partial.csv", "lost.partial.csv", "list.csv", ".hidden.partial.csv"] {
        fs::write(outbox.join(name), "theirs").unwrap();
    }
    let strange = async |bench: &Bench| {
        let batches = bench.journal.read(|view| view.busy_batches()).await.unwrap();
        bench.publisher().strange_partials(&batches).await.unwrap()
    };
    assert_eq!(strange(&bench).await, ["lost.partial.csv"]);
    bench.outbox.unit().await.unwrap();
    assert_eq!(fs::read_to_string(outbox.join("lost.partial.csv")).unwrap(), "theirs");
    assert!(!outbox.join("stock.partial.csv").exists(), "its batch is done");
    fs::write(outbox.join("stock.partial.csv"), "theirs").unwrap();
    assert_eq!(strange(&bench).await, ["lost.partial.csv", "stock.partial.csv"]);
    bench.plant("UPDATE batches SET state = 3");
    assert_eq!(strange(&bench).await, ["lost.partial.csv", "stock.partial.csv"], "it is out already");
}
