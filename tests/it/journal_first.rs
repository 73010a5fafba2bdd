//! The attempt is durable before the request leaves: a provider that looks into the journal's file, as another process
//! would, at the very moment it is asked.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use imeid::clock::Clock;
use imeid::config;
use imeid::daemon;
use imeid::types::{Imei, Placed, ProviderOrder, ProviderOrderId};
use rusqlite::{Connection, OpenFlags};
use tokio_util::sync::CancellationToken;

use crate::fake::{self, Fake, Taken};
use crate::support::{Table, Workplace, file_of, imei};

const ROWS: u32 = 60;

struct Watching {
    journal: PathBuf,
    taken: Taken,
    /// Requests that came without a durable attempt, or for a batch that wasn't all there.
    unannounced: Mutex<Vec<String>>,
}

impl Watching {
    /// What is wrong with the journal as it is on disk now, for this request.
    fn look(&self, imei: Imei) -> Option<String> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let journal = Connection::open_with_flags(&self.journal, flags).unwrap();
        let open: i64 = journal
            .query_row(
                "SELECT count(*) FROM attempts JOIN orders ON orders.id = attempts.order_id \
                 WHERE orders.imei = ?1 AND orders.state = 1 AND attempts.verdict IS NULL",
                [i64::try_from(imei.as_u64()).unwrap()],
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

impl Fake for Watching {
    fn place(&self, imei: Imei) -> Placed {
        self.unannounced.lock().unwrap().extend(self.look(imei));
        Placed::Taken(self.taken.take(imei))
    }

    fn orders(&self, ids: &[ProviderOrderId]) -> Vec<ProviderOrder> {
        self.taken.with(ids)
    }
}

#[tokio::test]
async fn every_request_finds_its_attempt_and_the_whole_file_in_the_journal() {
    let mut place = Workplace::new("http://127.0.0.1:9", &[]);
    place.drop_file("stock.csv", &file_of((0..ROWS).map(imei)));
    let provider = Arc::new(Watching {
        journal: place.path("state/journal.db"),
        taken: Taken::default(),
        unannounced: Mutex::default(),
    });
    let config = config::load(&place.config()).unwrap();
    let stop = CancellationToken::new();
    let fake = fake::provider(&provider);
    let daemon = tokio::spawn(daemon::run_with(config, fake, Clock::system(), stop.clone()));
    let path = place.path("outbox/stock.results.csv");
    let table = tokio::task::spawn_blocking(move || {
        place.until("the result is there", |_| path.exists());
        (Table::read(&path), place)
    });
    // The folders stay until the daemon has ended: a journal that goes while it is open is damage.
    let (table, _place) = table.await.unwrap();
    assert_eq!(table.rows.len(), ROWS as usize);
    stop.cancel();
    daemon.await.unwrap().unwrap();
    assert_eq!(*provider.unannounced.lock().unwrap(), Vec::<String>::new());
    assert_eq!(provider.taken.count(), ROWS as usize);
}
