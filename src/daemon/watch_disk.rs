//! The disk brake: with less than `min_free` left beside the journal, nothing is submitted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::durable;
use crate::gate::Scope;
use crate::journal::Journal;
use crate::order::PauseReason;
use crate::pulse;
use crate::settings::Settings;

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks at the free space until `stop`; `ok` tells whether there is enough.
pub(super) async fn run(
    journal: Journal,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
    ok: watch::Sender<bool>,
    stop: CancellationToken,
) {
    loop {
        let config = settings.borrow().config.journal.clone();
        let folder = config.path.parent().unwrap_or(&config.path);
        match durable::free_bytes(folder) {
            Ok(free) => note(&journal, &clock, &ok, free, config.min_free_bytes).await,
            Err(error) => tracing::warn!("the free space beside the journal can't be told: {error}"),
        }
        pulse::within(LOOK_EVERY);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn note(journal: &Journal, clock: &Clock, ok: &watch::Sender<bool>, free: u64, needed: u64) {
    let enough = free >= needed;
    let before = ok.send_replace(enough);
    if before == enough && enough {
        return;
    }
    let mebibytes = |bytes: u64| bytes / (1024 * 1024);
    let told = if enough {
        journal.end_pause(Scope::All, PauseReason::Disk, clock.now()).await.map(drop)
    } else {
        let text =
            format!("{} MiB are free beside the journal, {} are needed", mebibytes(free), mebibytes(needed));
        journal.pause(Scope::All, PauseReason::Disk, text, clock.now()).await
    };
    // On a full disk the pause can't be written either: submission stands still all the same.
    if let Err(error) = told {
        tracing::error!(
            alarm = "disk",
            free_mib = mebibytes(free),
            "the disk brake can't be recorded: {error}"
        );
    }
}
