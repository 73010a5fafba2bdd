//! The states that a crash leaves an export in, and what the next start does about each.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;
use crate::config;
use crate::provider::{BoxFuture, PlaceOrder};
use crate::types::{
    AccountInfo, CallError, Imei, Placed, ProviderOrder, ProviderOrderId, ProviderService, Reply, Timestamp,
};

/// A provider that only tells its services, or can't be reached.
struct Names(bool);

fn away<T: Send + 'static>() -> BoxFuture<'static, Result<T, CallError>> {
    Box::pin(async { Err(CallError::Unreachable("it is away".into())) })
}

impl Provider for Names {
    fn place<'a>(&'a self, _: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        panic!("an export orders nothing")
    }

    fn orders<'a>(
        &'a self,
        _: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
        away()
    }

    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
        away()
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        if !self.0 {
            return away();
        }
        Box::pin(async {
            let offered = [("1739", "iPhone Check"), ("1740", "iPhone Unlock")];
            Ok(offered
                .map(|(id, title)| ProviderService {
                    network_id: id.into(),
                    title: title.into(),
                    category: String::new(),
                    price: None,
                    time_taken: String::new(),
                })
                .into())
        })
    }

    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        away()
    }
}

struct Place {
    dir: tempfile::TempDir,
    reconcile: Reconcile,
}

const KEY: &str = "~1000~1";

impl Place {
    async fn new(reachable: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = "[provider]\nbase_url = \"http://127.0.0.1:1\"\nuser_id = \"tester\"\n\
             [folders]\ninbox = \"inbox\"\noutbox = \"outbox\"\nreconcile = \"reconcile\"\narchive = \"archive\"\n\
             rejected = \"rejected\"\n[journal]\npath = \"journal.db\"\n\
             [[service]]\nname = \"check\"\nnetwork_id = \"1739\"\nprice = \"0.08\"\n\
             [[service]]\nname = \"unlock\"\nnetwork_id = \"1740\"\nprice = \"0.15\"\nfolder = \"unlock\"\n";
        fs::write(dir.path().join("imeid.toml"), text).unwrap();
        for folder in ["inbox", "outbox", "reconcile", "archive", "rejected"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let config = config::load(&dir.path().join("imeid.toml")).unwrap();
        let journal = Journal::open(&config.journal.path).unwrap();
        let clock = Clock::from_fn(|| Timestamp::from_millis(1_763_091_180_000));
        let inbox = Inbox::new(inbox::Settings::of_reconcile(&config), clock.clone());
        let settings = Arc::new(Settings::new(config, &journal).await.unwrap());
        let reconcile = Reconcile {
            journal,
            provider: Arc::new(Names(reachable)),
            clock,
            settings: watch::channel(settings).1,
            inbox,
            told: OnceTold::default(),
            fault: Fault::default(),
        };
        Self { dir, reconcile }
    }

    /// An export as a crash may leave it after it was taken.
    fn taken(&self, text: &str) -> Taken {
        let place = self.dir.path().join("reconcile/.taken").join(KEY);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("export.csv"), text).unwrap();
        inbox::list_taken(&self.dir.path().join("reconcile")).unwrap().pop().unwrap()
    }

    async fn read(&mut self, taken: Taken) -> bool {
        self.reconcile.work_through(taken, &CancellationToken::new()).await
    }

    fn files(&self, folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.path().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.file_name().and_then(|name| name.to_str()).unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }

    async fn remembered(&self) -> bool {
        let imei = Imei::from_parts(35_000_000, 1);
        let known = self.reconcile.journal.read(move |view| view.services_of(imei)).await.unwrap();
        !known.is_empty()
    }
}

/// One row of a service that is known, one of another.
fn export() -> String {
    let row = |title: &str, n: u32| {
        let imei = Imei::from_parts(35_000_000, n);
        format!("{title},{imei},Completed,an answer,2025-11-14 3:33:00\n")
    };
    format!("SERVICE,IMEI NO.,STATUS,CODE,ORDER DATE\n{}{}", row("iPhone Check", 1), row("Samsung", 2))
}

#[tokio::test]
async fn an_export_is_read_told_of_and_archived() {
    let mut place = Place::new(true).await;
    assert!(place.read(place.taken(&export())).await);
    assert!(place.remembered().await);
    assert_eq!(
        (place.files("archive"), place.files("rejected")),
        (vec!["export.csv".to_owned()], vec!["export.csv.reason.txt".to_owned()])
    );
    assert!(!Path::exists(&place.dir.path().join("reconcile/.taken").join(KEY)));
}

#[tokio::test]
async fn one_answer_under_another_services_title_does_not_make_that_title_nobodys() {
    let mut place = Place::new(true).await;
    let settings = Arc::clone(&place.reconcile.settings.borrow());
    let [check, unlock] =
        ["1739", "1740"].map(|id| settings.number(&crate::types::NetworkId(id.to_owned())).unwrap());
    // The order of the second one was told of as the first one's, before anything noticed that.
    for (service, title) in [(check, "iPhone Check"), (unlock, "iPhone Unlock"), (unlock, "iPhone Check")] {
        let sql = format!("INSERT INTO titles (service, title) VALUES ({}, '{title}')", service.0);
        rusqlite::Connection::open(place.dir.path().join("journal.db")).unwrap().execute(&sql, []).unwrap();
    }
    assert!(place.read(place.taken(&export())).await);
    assert!(place.remembered().await);
    let reason = fs::read_to_string(place.dir.path().join("rejected/export.csv.reason.txt")).unwrap();
    assert!(reason.contains("1 of its 2 rows") && reason.contains("Samsung"), "{reason}");
}

#[tokio::test]
async fn after_a_crash_behind_the_reading_it_is_moved_and_not_read_again() {
    let mut place = Place::new(true).await;
    let taken = place.taken(&export());
    let reason = Some("what it says\r\n".to_owned());
    let now = place.reconcile.clock.now();
    let enter = place.reconcile.journal.enter_export(
        KEY.into(),
        "export.csv".into(),
        "{}".into(),
        reason,
        BTreeSet::from(["export.csv.reason.txt".to_owned()]),
        now,
    );
    let entered = enter.await.unwrap();
    assert_eq!(entered.reason.unwrap().0, "export-2.csv.reason.txt", "another file has the name");
    // The reason may be there already, or not: it is the same afterwards.
    for _ in 0..2 {
        assert!(place.read(taken.clone()).await);
        assert_eq!(place.files("rejected"), ["export-2.csv.reason.txt"]);
        fs::create_dir_all(taken.path.parent().unwrap()).unwrap();
        fs::write(&taken.path, export()).unwrap();
    }
    assert!(!place.remembered().await, "read again");
    assert_eq!(place.files("archive"), ["export-2.csv", "export.csv"]);
}

#[tokio::test]
async fn after_a_crash_amid_the_reading_it_is_read_again_and_nothing_comes_twice() {
    let mut place = Place::new(true).await;
    let taken = place.taken(&export());
    assert!(place.read(taken.clone()).await);
    // As if the crash had come before the journal knew that it was read: another place, the same rows.
    let again = place.dir.path().join("reconcile/.taken/~1000~2");
    fs::create_dir_all(&again).unwrap();
    fs::write(again.join("export.csv"), export()).unwrap();
    assert!(!place.reconcile.work_through_taken(&CancellationToken::new()).await);
    let imei = Imei::from_parts(35_000_000, 1);
    let journal = &place.reconcile.journal;
    let orders = journal.read(move |view| {
        let services = view.services_of(imei)?;
        view.shown_orders(&services[0], imei)
    });
    assert_eq!(orders.await.unwrap().len(), 1);
}

#[tokio::test]
async fn without_a_title_that_is_known_an_export_waits() {
    let mut place = Place::new(false).await;
    let taken = place.taken(&export());
    assert!(!place.read(taken.clone()).await);
    assert!(taken.path.exists() && place.files("rejected").is_empty() && place.files("archive").is_empty());
}

#[tokio::test]
async fn what_is_no_export_is_refused_whole() {
    let mut place = Place::new(true).await;
    assert!(place.read(place.taken("imei\n1\n")).await);
    assert_eq!(place.files("rejected"), ["export.csv", "export.csv.reason.txt"]);
    assert!(place.files("archive").is_empty());
}

#[tokio::test]
async fn a_stop_amid_the_reading_leaves_it_for_the_next_start() {
    let mut place = Place::new(true).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let taken = place.taken(&export());
    assert!(!place.reconcile.work_through(taken.clone(), &stop).await);
    assert!(taken.path.exists() && place.files("rejected").is_empty());
    assert!(place.read(taken).await && place.remembered().await);
}

#[test]
fn why_an_export_waits_is_told_once_until_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("export.csv");
    fs::write(&path, "").unwrap();
    let mut told = OnceTold::default();
    assert!(told.is_new(&path, "no right to"));
    assert!(!told.is_new(&path, "no right to"));
    assert!(told.is_new(&path, "no room"));
    told.remove(&path);
    assert!(told.is_new(&path, "no room"), "it was taken in between");
    fs::remove_file(&path).unwrap();
    let other = dir.path().join("other.csv");
    fs::write(&other, "").unwrap();
    assert!(told.is_new(&other, "no room"));
    fs::write(&path, "").unwrap();
    assert!(told.is_new(&path, "no room"), "another file of that name");
}
