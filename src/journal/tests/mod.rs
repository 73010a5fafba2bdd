//! The journal against a real file.

mod accounts;
mod again;
mod anew;
mod backup;
mod beyond;
mod brought;
mod claims;
mod cleared;
mod counted;
mod doubts;
mod elsewhere;
mod exports;
mod fell;
mod held_against;
mod in_flight;
mod intake;
mod listings;
mod mark;
mod older_shown;
mod pauses;
mod plain;
mod plans;
mod polls;
mod presumed;
mod probing;
mod proofs;
mod pruned;
mod refunds;
mod released;
mod restore;
mod result_rows;
mod second_ids;
mod shown;
mod successor;
mod sums;
mod titles;
mod turned;
mod twice;
mod weighed;
mod words;
mod writer;
mod wrong_answers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::open::{SCHEMA, migrations};
use super::*;
use crate::clock::Clock;
use crate::order::State;
use crate::types::Reply;
use crate::types::*;

/// A journal whose start is told of: orders can be claimed.
fn started(path: &Path) -> Journal {
    let journal = Journal::open(path).unwrap();
    journal.start_is_told();
    journal
}

/// A journal in a folder of its own, with a clock that the test turns.
struct Bench {
    _folder: tempfile::TempDir,
    path: PathBuf,
    journal: Journal,
    now: Arc<AtomicI64>,
    service: ServiceId,
    rules: Arc<Rules>,
}

const QUIET: Duration = Duration::from_secs(120);
const PRICE: Money = Money::from_micros(80_000);

/// Whether no other order's connection is used for it.
fn goes_apart(ticket: &AttemptTicket) -> bool {
    ticket.place_order().unwrap().apart
}

impl Bench {
    async fn new() -> Self {
        Self::with_canary(0).await
    }

    async fn with_canary(canary: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = started(&path);
        let network_id = NetworkId("1739".to_owned());
        let service =
            journal.service("main".to_owned(), network_id.clone(), "check".to_owned()).await.unwrap();
        let terms = ServiceTerms {
            id: service,
            network_id,
            name: "check".to_owned(),
            price: PRICE,
            canary,
            params: vec![],
        };
        let rules = Arc::new(Rules {
            max_attempts: 3,
            quiet: QUIET,
            first_poll: Duration::from_secs(10),
            terms: BTreeMap::from([(service, terms)]),
        });
        Self { _folder: folder, path, journal, now: Arc::new(AtomicI64::new(1_000_000)), service, rules }
    }

    /// A second service, on the first one's terms.
    async fn add_service(&mut self) -> ServiceId {
        self.add_service_of("main").await
    }

    /// Likewise, of this account.
    async fn add_service_of(&mut self, account: &str) -> ServiceId {
        let network_id = NetworkId("1740".to_owned());
        let id =
            self.journal.service(account.to_owned(), network_id.clone(), "unlock".to_owned()).await.unwrap();
        let mut rules = (*self.rules).clone();
        let terms = rules.terms[&self.service].clone();
        rules.terms.insert(id, ServiceTerms { id, network_id, name: "unlock".to_owned(), ..terms });
        self.rules = Arc::new(rules);
        id
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Clock::from_fn(move || Timestamp::from_millis(now.load(Ordering::Relaxed)))
    }

    fn now(&self) -> Timestamp {
        self.clock().now()
    }

    fn pass(&self, time: Duration) {
        self.now.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }

    /// A batch of these IMEIs, opened.
    async fn batch(&self, stem: &str, imeis: &[Imei]) -> BatchId {
        let (id, _) = self.journal.begin_batch(self.new_batch(stem, imeis.len()), self.now()).await.unwrap();
        self.fill(id, imeis).await;
        self.journal.open_batch(id, self.now()).await.unwrap();
        id
    }

    fn new_batch(&self, stem: &str, rows: usize) -> NewBatch {
        NewBatch {
            key: format!("1739~{stem}"),
            stem: stem.to_owned(),
            file_name: format!("{stem}.csv"),
            sha256: String::new(),
            bytes: 0,
            service: self.service,
            header: "{}".to_owned(),
            rows: u64::try_from(rows).unwrap(),
            occupied: BTreeSet::new(),
        }
    }

    async fn fill(&self, id: BatchId, imeis: &[Imei]) {
        let mut wanted: Vec<OrderFor> =
            imeis.iter().zip(1u32..).map(|(imei, row)| OrderFor { imei: *imei, row }).collect();
        wanted.sort();
        let linked = self.journal.link_orders(id, self.service, wanted, None).await.unwrap();
        let rows = linked
            .iter()
            .map(|row| NewRow {
                row: row.row,
                order: Some((row.order, row.link)),
                why_not: None,
                raw: vec![],
            })
            .collect();
        self.journal.insert_rows(id, rows).await.unwrap();
    }

    fn request(&self, want: usize) -> ClaimRequest {
        ClaimRequest {
            want,
            day: self.clock().local_day(self.now()),
            per_day: None,
            after: BatchId(0),
            rules: Arc::clone(&self.rules),
            probe: Some(ProbeTerms { account: "main".to_owned(), within_ms: 86_400_000 }),
            keep_witness: false,
        }
    }

    async fn claim(&self, want: usize) -> Vec<AttemptTicket> {
        self.journal.begin_attempts(self.request(want), self.clock()).await.unwrap().tickets
    }

    async fn finish(&self, ticket: AttemptTicket, outcome: Placed) -> Recorded {
        let reply = Reply { outcome, http: Some(200), body: b"<raw/>".to_vec() };
        self.journal.finish_attempt(ticket, reply).await.unwrap().unwrap()
    }

    /// Sends one order and takes it.
    async fn order_one(&self, id: u64) -> OrderId {
        let ticket = self.claim(1).await.pop().unwrap();
        let order = ticket.order().unwrap();
        self.finish(ticket, Placed::Taken(ProviderOrderId(id))).await;
        order
    }

    /// A poll's result, with what was read of the order as it was asked after.
    fn result(&self, order: OrderId, told: PollTold) -> PollResult {
        let of = |what: &str| self.number(&format!("SELECT {what} FROM orders WHERE id = {order}"));
        let of = Some((BatchId(of("batch")), ServiceId(of("service"))));
        PollResult { order, of, told, next: self.now() }
    }

    fn tallies(&self, batch: BatchId) -> Vec<(TallyState, Link, u64)> {
        let work = self.journal.read_here(|view| view.batch(batch)).unwrap().unwrap();
        work.tallies.iter().map(|tally| (tally.state, tally.link, tally.n)).collect()
    }

    fn number(&self, sql: &str) -> i64 {
        self.journal.read_here(|view| Ok(number(view, sql))).unwrap()
    }

    /// The ledger's lines sum to what `totals` says, and the attempts agree with both.
    fn check_books(&self) {
        // At one moment: a ticket that is dropped on the way here is still being written down.
        let check = |view: &View| {
            check_books(view);
            Ok(())
        };
        self.journal.read_here(|view| view.at_once(check)).unwrap();
    }
}

fn number(view: &View, sql: &str) -> i64 {
    view.find(sql, [], |row| row.get(0)).unwrap().unwrap()
}

fn check_books(view: &View) {
    let number = |sql: &str| number(view, sql);
    for scope in ["day", "batch"] {
        let ledger = number(&format!(
            "SELECT coalesce(sum(CASE kind WHEN 'charge' THEN micros END), 0) FROM ledger WHERE '{scope}' = '{scope}'"
        ));
        assert_eq!(
            number(&format!("SELECT coalesce(sum(charged), 0) FROM totals WHERE scope = '{scope}'")),
            ledger
        );
        for (column, verdicts) in [
            ("reserved", "verdict IS NULL OR verdict = 3"),
            ("presumed", "verdict = 4"),
            ("charged", "verdict = 0"),
        ] {
            assert_eq!(
                number(&format!("SELECT coalesce(sum({column}), 0) FROM totals WHERE scope = '{scope}'")),
                number(&format!("SELECT coalesce(sum(price), 0) FROM attempts WHERE {verdicts}")),
                "{scope}.{column}"
            );
        }
    }
    assert_eq!(number("SELECT count(*) FROM attempts WHERE price > 0 AND day = 0"), 0, "attempts of no day");
    for (column, verdicts) in
        [("unaccounted", "3"), ("inferred", "5, 6, 7"), ("presumed", "4"), ("charged", "0")]
    {
        assert_eq!(
            number(&format!("SELECT coalesce(sum({column}), 0) FROM orders")),
            number(&format!("SELECT count(*) FROM attempts WHERE verdict IN ({verdicts})")),
            "{column}"
        );
    }
    assert_eq!(
        number("SELECT coalesce(sum(named), 0) FROM orders"),
        number("SELECT count(*) FROM charges"),
        "named"
    );
    assert_eq!(
        number("SELECT coalesce(sum(n), 0) FROM tallies"),
        number("SELECT count(*) FROM rows"),
        "tallies"
    );
}

/// An answer that never came.
fn unclear() -> Placed {
    Placed::Unclear(Unclear { what: "timed out".into(), ids: vec![], retry_after: None })
}

fn imei(n: u32) -> Imei {
    Imei::from_parts(35_000_000, n)
}

fn imeis(count: u32) -> Vec<Imei> {
    (0..count).map(imei).collect()
}
