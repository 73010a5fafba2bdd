//! The attempt is durable before the request leaves: a provider that looks into the journal's file, as another process
//! would, at the very moment it is asked.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use imeid::clock::Clock;
use imeid::config;
use imeid::daemon;
use imeid::provider::{BoxFuture, PlaceOrder, Provider};
use imeid::types::{
    AccountInfo, CallError, Placed, ProviderOrder, ProviderOrderId, ProviderService, ProviderStatus, Reply,
};
use rusqlite::{Connection, OpenFlags};
use tokio_util::sync::CancellationToken;

use crate::support::{Table, Workplace, file_of, imei};

const ROWS: u32 = 60;

struct Watching {
    journal: PathBuf,
    next_id: AtomicU64,
    taken: Mutex<Vec<ProviderOrder>>,
    /// Requests that came without a durable attempt, or for a batch that wasn't all there.
    unannounced: Mutex<Vec<String>>,
}

impl Watching {
    /// What is wrong with the journal as it is on disk now, for this request.
    fn look(&self, imei: &str) -> Option<String> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let journal = Connection::open_with_flags(&self.journal, flags).unwrap();
        let open: i64 = journal
            .query_row(
                "SELECT count(*) FROM attempts JOIN orders ON orders.id = attempts.order_id \
                 WHERE orders.imei = ?1 AND orders.state = 1 AND attempts.verdict IS NULL",
                [imei.parse::<i64>().unwrap()],
                |row| row.get(0),
            )
            .unwrap();
        let rows: i64 = journal.query_row("SELECT count(*) FROM rows", [], |row| row.get(0)).unwrap();
        match (open, rows) {
            (1, rows) if rows == i64::from(ROWS) => None,
            (open, rows) => Some(format!("{imei}: {open} open attempts, {rows} rows")),
        }
    }
}

impl Provider for Watching {
    fn place<'a>(&'a self, order: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        let wrong = self.look(&order.imei.to_string());
        self.unannounced.lock().unwrap().extend(wrong);
        let id = ProviderOrderId(self.next_id.fetch_add(1, Ordering::Relaxed));
        self.taken.lock().unwrap().push(ProviderOrder {
            id,
            imei: Some(order.imei),
            package: "Check".to_owned(),
            status: ProviderStatus::Completed,
            status_raw: "Completed".to_owned(),
            code: "Model: iPhone".to_owned(),
            requested_at: String::new(),
            raw: Vec::new(),
        });
        Box::pin(async move { Reply { outcome: Placed::Taken(id), http: Some(200), body: Vec::new() } })
    }

    fn orders<'a>(
        &'a self,
        ids: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
        let taken = self.taken.lock().unwrap();
        let found = taken.iter().filter(|order| ids.contains(&order.id)).cloned().collect();
        Box::pin(async move { Ok(found) })
    }

    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        Box::pin(async { Ok(AccountInfo { balance: None, credits_raw: String::new() }) })
    }
}

#[tokio::test]
async fn every_request_finds_its_attempt_and_the_whole_file_in_the_journal() {
    let mut place = Workplace::new("http://127.0.0.1:9", &[]);
    place.drop_file("stock.csv", &file_of((0..ROWS).map(imei)));
    let provider = Arc::new(Watching {
        journal: place.path("state/journal.db"),
        next_id: AtomicU64::new(100),
        taken: Mutex::default(),
        unannounced: Mutex::default(),
    });
    let config = config::load(&place.config()).unwrap();
    let stop = CancellationToken::new();
    let daemon = tokio::spawn(daemon::run_with(config, provider.clone(), Clock::system(), stop.clone()));
    let path = place.path("outbox/stock.results.csv");
    let table = tokio::task::spawn_blocking(move || {
        place.until("the result is there", |_| path.exists());
        Table::read(&path)
    });
    assert_eq!(table.await.unwrap().rows.len(), ROWS as usize);
    stop.cancel();
    daemon.await.unwrap().unwrap();
    assert_eq!(*provider.unannounced.lock().unwrap(), Vec::<String>::new());
    assert_eq!(provider.taken.lock().unwrap().len(), ROWS as usize);
}
