//! A journal with work in it, and what a status is read by.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::{self, LIVE_FACT, Live};
use crate::durable::LockFile;
use crate::inbox::{Waiting, Why};
use crate::journal::{AttemptTicket, ClaimRequest, Journal, NewBatch, NewRow, OrderFor, Rules, ServiceTerms};
use crate::status::Status;
use crate::types::{BatchId, Imei, NetworkId, Placed, Reply, ServiceId, Timestamp};

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_763_091_180_000);

pub(super) fn clock() -> Clock {
    Clock::from_fn(|| NOW)
}

pub(super) fn config(dir: &Path) -> Config {
    let text = r#"
        [provider]
        base_url = "https://provider.test"
        user_id = "reseller"
        [folders]
        inbox = "inbox"
        outbox = "outbox"
        reconcile = "reconcile"
        archive = "archive"
        rejected = "rejected"
        [journal]
        path = "journal.db"
        [budget]
        per_day = "2000"
        [[service]]
        name = "iphone-check"
        network_id = "1739"
        price = "0.08"
    "#;
    crate::config::parse(text, &dir.join("imeid.toml")).unwrap()
}

/// A journal with work in it.
pub(super) struct Bench {
    _dir: tempfile::TempDir,
    pub(super) config: Config,
    pub(super) journal: Journal,
    pub(super) service: ServiceId,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let journal = Journal::open(&config.journal.path).unwrap();
        journal.start_is_told();
        let network_id = NetworkId("1739".to_owned());
        let service =
            journal.service("reseller".to_owned(), network_id, "iphone-check".to_owned()).await.unwrap();
        Self { _dir: dir, config, journal, service }
    }

    /// A batch of `count` orders and a row that is none.
    pub(super) async fn batch(&self, stem: &str, serial: u32, count: u32) -> BatchId {
        let new = NewBatch {
            key: format!("1739~{stem}"),
            stem: stem.to_owned(),
            file_name: format!("{stem}.csv"),
            sha256: String::new(),
            bytes: 0,
            service: self.service,
            header: "{}".to_owned(),
            rows: u64::from(count) + 1,
            occupied: BTreeSet::new(),
        };
        let (id, _) = self.journal.begin_batch(new, NOW.minus(Duration::from_secs(600))).await.unwrap();
        let imei = |row: u32| Imei::from_parts(35_000_000, serial + row);
        let mut wanted: Vec<_> = (1..=count).map(|row| OrderFor { imei: imei(row), row }).collect();
        wanted.sort();
        let linked = self.journal.link_orders(id, self.service, wanted, None).await.unwrap();
        let ordered = linked.iter().map(|row| (row.row, Some((row.order, row.link)), None));
        let invalid = (count + 1, None, Some("too short".to_owned()));
        let row = |(row, order, why_not)| NewRow { row, order, why_not, raw: vec![] };
        let rows = ordered.chain([invalid]).map(row).collect();
        self.journal.insert_rows(id, rows).await.unwrap();
        self.journal.open_batch(id, NOW).await.unwrap();
        id
    }

    pub(super) async fn claim(&self, want: usize) -> Vec<AttemptTicket> {
        let terms = ServiceTerms {
            id: self.service,
            network_id: NetworkId("1739".to_owned()),
            name: "iphone-check".to_owned(),
            price: self.config.services[0].price,
            canary: 0,
            params: vec![],
        };
        let rules = Rules {
            max_attempts: 3,
            quiet: Duration::from_secs(120),
            first_poll: Duration::from_secs(10),
            terms: BTreeMap::from([(self.service, terms)]),
        };
        let request = ClaimRequest {
            want,
            day: clock().local_day(NOW),
            per_day: None,
            after: BatchId(0),
            rules: Arc::new(rules),
            probe: None,
            keep_witness: false,
        };
        self.journal.begin_attempts(request, clock()).await.unwrap().tickets
    }

    pub(super) async fn finish(&self, ticket: AttemptTicket, outcome: Placed) {
        let reply = Reply { outcome, http: Some(200), body: vec![] };
        self.journal.finish_attempt(ticket, reply).await.unwrap().unwrap();
    }

    /// The note of a daemon in this process.
    pub(super) async fn note(&self, change: impl FnOnce(&mut Live)) {
        let mut live = Live {
            pid: std::process::id(),
            since_ms: NOW.minus(Duration::from_secs(3_600)).millis(),
            busy: 1,
            workers: 30,
            per_1000_s: 8_333,
            p50_ms: 3_600,
            p99_ms: 9_000,
            reconcile: Vec::new(),
            draining: false,
            standstill: None,
            inbox: vec![Waiting {
                name: "late.csv".to_owned(),
                why: Why::BeingWritten,
                since: NOW.minus(Duration::from_secs(5)),
            }],
        };
        change(&mut live);
        let note = serde_json::to_string(&live).unwrap();
        self.journal.set_fact(LIVE_FACT, note).await.unwrap();
    }

    pub(super) fn lock(&self) -> LockFile {
        LockFile::acquire(&daemon::journal_lock(&self.config.journal.path)).unwrap()
    }

    /// As if something had been written that nothing here can be brought to write.
    pub(super) fn plant(&self, sql: &str) {
        Connection::open(&self.config.journal.path).unwrap().execute(sql, []).unwrap();
    }

    pub(super) fn read(&self) -> Status {
        Status::read(&self.config, &clock()).unwrap()
    }
}
