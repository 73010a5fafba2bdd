use std::path::Path;
use std::time::Duration;

use super::*;
use crate::balance::{Baseline, Books};
use crate::gate::Scope;
use crate::journal::View;
use crate::order::PauseReason;
use crate::provider::{BoxFuture, PlaceOrder};
use crate::types::{
    AccountInfo, CallError, Money, NotTaken, Placed, ProviderOrder, ProviderOrderId, ProviderService, Reply,
};

/// Answers nothing.
enum Silent {
    Unreachable,
    /// Asking after the account is a fault.
    Broken,
}

fn unreachable<T>() -> Result<T, CallError> {
    Err(CallError::Unreachable("nobody is there".to_owned()))
}

impl Provider for Silent {
    fn place<'a>(&'a self, _: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        let outcome = Placed::NotTaken(NotTaken::NotSent("nobody is there".to_owned()));
        Box::pin(async { Reply { outcome, http: None, body: Vec::new() } })
    }

    fn orders<'a>(
        &'a self,
        _: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(async { unreachable() })
    }

    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(async { unreachable() })
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        Box::pin(async { unreachable() })
    }

    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        match self {
            Self::Unreachable => Box::pin(async { unreachable() }),
            Self::Broken => panic!("a fault in the program"),
        }
    }
}

pub(super) fn config_in(dir: &Path) -> Config {
    let path = |name: &str| format!("\"{}\"", dir.join(name).display());
    let text = crate::config::edited()
        .replace("\"/srv/imeid/", &format!("\"{}/", dir.display()))
        .replace("\"/var/lib/imeid/journal.db\"", &path("state/journal.db"));
    crate::config::parse(&text, &dir.join("imeid.toml")).unwrap()
}

#[tokio::test]
async fn a_panic_of_the_journals_writer_takes_the_daemon_down() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let opened = open(config_in(dir.path()), &clock).await.unwrap();
    let journal = opened.journal.clone();
    let daemon = daemon_of(opened, Arc::new(Silent::Unreachable), clock, Outside::default());
    let panics = async {
        let written = journal.write(|_| -> Result<(), JournalError> { panic!("a fault in the program") });
        assert!(matches!(written.await, Err(JournalError::Closed)));
        std::future::pending::<()>().await
    };
    let ended = tokio::select! {
        ended = daemon.run(CancellationToken::new()) => ended,
        () = panics => unreachable!("it waits for ever"),
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("it goes on, half alive"),
    };
    assert!(matches!(ended, Err(DaemonError::Stage("journal"))), "{ended:?}");
}

/// What stands in the journal beside `dir`, and what its lock file notes.
fn alarms(dir: &Path) -> (Vec<String>, Vec<String>) {
    let config = config_in(dir);
    let view = View::open(&config.journal.path).unwrap();
    let recorded = view.alarms().unwrap().into_iter().map(|alarm| format!("{}: {}", alarm.name, alarm.text));
    let noted = Unrecorded::read(&config.journal.path)
        .into_iter()
        .map(|alarm| format!("{}: {}", alarm.name, alarm.text));
    (recorded.collect(), noted.collect())
}

#[tokio::test]
async fn a_provider_that_answers_nothing_is_an_alarm_until_any_call_works() {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(config_in(dir.path()), &Clock::system()).await.unwrap();
    let (journal, (works, passed)) = (opened.journal.clone(), watch::channel(()));
    // What worked before says nothing of now.
    works.send_replace(());
    let look = first_look::FirstLook {
        journal: journal.clone(),
        provider: Arc::new(Silent::Unreachable),
        passed,
        again: Arc::default(),
    };
    let looks = tokio::spawn(look.run());
    let alarm = || journal.unrecorded().get("provider").cloned();
    let told = async {
        while alarm().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.unwrap();
    let text = alarm().unwrap();
    assert!(text.starts_with("no order would go through: the provider can't be reached: nobody is there; "));
    // The pool has one of the same name to tell, and ends that alone.
    journal.keep_unrecorded("provider", "it is away");
    assert!(journal.drop_unrecorded("provider") && alarm() == Some(text));
    works.send_replace(());
    tokio::time::timeout(Duration::from_secs(60), looks).await.unwrap().unwrap();
    assert_eq!(alarm(), None);
}

#[tokio::test]
async fn a_stage_that_ends_by_itself_is_an_alarm_that_outlives_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    for _ in 0..2 {
        let opened = open(config_in(dir.path()), &clock).await.unwrap();
        // Tried at once, by asking after the account.
        opened.journal.pause(Scope::All, PauseReason::Account, String::new(), clock.now()).await.unwrap();
        opened.journal.try_account_at_once(clock.now()).await.unwrap();
        // Else settling would ask too, for a balance to begin with.
        let known = Baseline::first(clock.now(), Money::ZERO, Books::default(), 0);
        let account = opened.settings.config.provider.account.clone();
        assert!(opened.journal.set_baseline(account, known, 0).await.unwrap());
        let daemon = daemon_of(opened, Arc::new(Silent::Broken), clock.clone(), Outside::default());
        let ended = tokio::time::timeout(Duration::from_secs(60), daemon.run(CancellationToken::new()));
        let ended = ended.await.unwrap();
        assert!(matches!(ended, Err(DaemonError::Stage("submit"))), "{ended:?}");
        let (recorded, noted) = alarms(dir.path());
        let [alarm] = &recorded[..] else { panic!("one for one story: {recorded:?}") };
        assert!(
            alarm.starts_with("stage: the stage submit ended by itself, and the daemon with it"),
            "{alarm}"
        );
        assert_eq!(noted, [""; 0]);
    }
}

#[tokio::test]
async fn a_stages_end_that_cant_be_recorded_is_noted_and_recorded_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let opened = open(config_in(dir.path()), &clock).await.unwrap();
    let (journal, lock) = (opened.journal, opened.lock);
    drop((opened.settings, opened._inbox_lock));
    let rename = |from: &str, to: &str| {
        let other = rusqlite::Connection::open(journal.path()).unwrap();
        other.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}")).unwrap();
    };
    rename("alarms", "away");
    faults::tell(&[Ended::AtAStop("poll")], &journal, &lock, &clock).await;
    rename("away", "alarms");
    drop((journal, lock));
    let (recorded, noted) = alarms(dir.path());
    assert_eq!((recorded.len(), noted.len()), (0, 1), "{noted:?}");
    assert!(noted[0].starts_with("stage: the stage poll ended in a panic while"), "{noted:?}");
    drop(open(config_in(dir.path()), &clock).await.unwrap());
    assert_eq!(alarms(dir.path()), (noted, Vec::new()));
}

#[tokio::test]
async fn a_wrong_address_can_be_mended_until_something_was_sent_under_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let at = |url: &str| {
        let mut config = config_in(dir.path());
        config.provider.base_url = url.to_owned();
        config
    };
    let opened = open(at("https://wrong.provider.test"), &clock).await.unwrap();
    let account = opened.settings.config.provider.account.clone();
    drop(opened);
    let execute = |sql: &str| {
        let other = rusqlite::Connection::open(&at("").journal.path).unwrap();
        other.execute_batch(sql).unwrap();
    };
    // One that waits says nothing of a provider.
    execute(
        "INSERT INTO orders (service, imei, batch, first_row, state) VALUES (1, 353322110000008, 1, 1, 0)",
    );
    drop(open(at("https://right.provider.test"), &clock).await.unwrap());
    let view = View::open(&at("").journal.path).unwrap();
    assert_eq!(view.known_url(&account).unwrap().as_deref(), Some("https://right.provider.test"));
    execute("UPDATE orders SET unaccounted = 1, state = 2");
    let refused = open(at("https://wrong.provider.test"), &clock).await;
    assert!(matches!(refused, Err(DaemonError::OtherProvider(_))), "{refused:?}");
    drop(open(at("https://right.provider.test"), &clock).await.unwrap());
    // A new name would pay for every IMEI anew: what is said first keeps the orders, and works.
    let told = refused.unwrap_err().to_string();
    let (keeps, pays) = (told.find(&format!("write account = \"{account}\"")), told.find("a new name"));
    assert!(keeps.is_some() && keeps < pays, "{told}");
    let mut moved = at("https://moved.provider.test");
    moved.provider.account_is_set = true;
    drop(open(moved, &clock).await.unwrap());
    assert_eq!(view.known_url(&account).unwrap().as_deref(), Some("https://moved.provider.test"));
}
