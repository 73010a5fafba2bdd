use std::path::Path;
use std::time::Duration;

use super::*;
use crate::provider::{BoxFuture, PlaceOrder};
use crate::types::{
    AccountInfo, CallError, NotTaken, Placed, ProviderOrder, ProviderOrderId, ProviderService, Reply,
};

/// Answers nothing.
struct Silent;

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
        Box::pin(async { unreachable() })
    }
}

pub(super) fn config_in(dir: &Path) -> Config {
    let path = |name: &str| format!("\"{}\"", dir.join(name).display());
    let text = include_str!("../../config/imeid.toml")
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
    let daemon = daemon_of(opened, Arc::new(Silent), clock, Outside::default());
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
