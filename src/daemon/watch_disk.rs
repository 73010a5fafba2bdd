//! The disk brake: with less than `min_free` left beside the journal, nothing is submitted. And whether the journal's
//! files are still there: what is written to one that was removed would end with the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::durable;
use crate::gate::Scope;
use crate::journal::{Journal, JournalError};
use crate::order::PauseReason;
use crate::pulse;
use crate::settings::Settings;
use crate::words;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A pause that couldn't be written is tried again so much later: each try says it in the log, which may lie on that disk.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Looks at the free space until `stop`; `ok` tells whether there is enough.
pub(super) async fn run(
    journal: Journal,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
    ok: watch::Sender<bool>,
    stop: CancellationToken,
) {
    // A pause of an earlier process may stand in the journal: what is recorded isn't known before it was written.
    let (mut recorded, mut said) = (None, None);
    let mut try_again_at = Duration::ZERO;
    loop {
        let config = settings.borrow().config.journal.clone();
        // It is told by the journal itself, to whoever waits for damage.
        if journal.look_beneath().is_err() {
            return;
        }
        let folder = config.path.parent().unwrap_or(&config.path);
        match durable::free_bytes(folder) {
            Ok(free) => {
                let enough = free >= config.min_free_bytes;
                ok.send_if_modified(|before| std::mem::replace(before, enough) != enough);
                let is_tried = !enough && said == Some(false) && clock.steady() < try_again_at;
                if recorded != Some(enough) && !is_tried {
                    let text = words::disk_pause(free, config.min_free_bytes);
                    match record(&journal, &clock, enough, text.clone()).await {
                        Ok(()) => (recorded, said) = (Some(enough), None),
                        // On a full disk the pause can't be written either: submission stands still all the same.
                        Err(error) if said != Some(enough) => {
                            said = Some(enough);
                            tracing::error!(
                                alarm = "disk",
                                "pause scope=all reason=disk text=\"{text}\" (it can't be recorded: {error})"
                            );
                        }
                        Err(_) => {}
                    }
                    try_again_at = clock.steady().saturating_add(TRY_AGAIN_AFTER);
                }
            }
            Err(error) => tracing::warn!("the free space beside the journal can't be told: {error}"),
        }
        pulse::within(LOOK_EVERY);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn record(journal: &Journal, clock: &Clock, enough: bool, text: String) -> Result<(), JournalError> {
    if enough {
        journal.end_pause(Scope::All, PauseReason::Disk, clock.now()).await.map(drop)
    } else {
        journal.pause(Scope::All, PauseReason::Disk, text, clock.now()).await
    }
}
