//! The disk brake: with less than `min_free` left beside the journal, nothing is submitted. And whether the journal's
//! files are still there: what is written to one that was removed would end with the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::unrecorded::Note;
use crate::clock::Clock;
use crate::durable::{self, LockFile};
use crate::gate::Scope;
use crate::journal::Journal;
use crate::order::PauseReason;
use crate::pulse;
use crate::settings::Settings;
use crate::words;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A pause that couldn't be written is tried again so much later.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// The alarm of a pause that can't be recorded has its reason's name.
const DISK: &str = PauseReason::Disk.as_str();

/// The watch over the journal's disk.
pub(super) struct DiskWatch {
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    /// Told whether there is enough.
    pub(super) ok: watch::Sender<bool>,
    /// The journal's, for what can't be recorded.
    pub(super) lock: Arc<LockFile>,
}

/// What was made of the last looks.
#[derive(Default)]
struct Made {
    /// Whether the journal says that there is enough. A pause of an earlier process may stand in it: unknown before it
    /// was written.
    recorded: Option<bool>,
    try_again_at: Duration,
    note: Note,
}

impl DiskWatch {
    /// Looks until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut made = Made::default();
        loop {
            // It is told by the journal itself, to whoever waits for damage.
            if self.journal.look_beneath().is_err() {
                return;
            }
            self.look(&mut made).await;
            made.note.keep(&self.lock, self.journal.unrecorded(), self.clock.now());
            tokio::select! {
                () = stop.cancelled() => return,
                () = pulse::tick(LOOK_EVERY) => {}
            }
        }
    }

    async fn look(&self, made: &mut Made) {
        let config = self.settings.borrow().config.journal.clone();
        let folder = config.path.parent().unwrap_or(&config.path);
        let free = match durable::free_bytes(folder) {
            Ok(free) => free,
            Err(error) => return tracing::warn!("the free space beside the journal can't be told: {error}"),
        };
        let enough = free >= config.min_free_bytes;
        self.ok.send_if_modified(|before| std::mem::replace(before, enough) != enough);
        match (enough, made.recorded) {
            // One that was recorded says so itself.
            (true, _) if self.journal.drop_unrecorded(DISK) => {
                tracing::info!(scope = "all", reason = DISK, "pause ended");
            }
            (true, Some(true)) | (false, Some(false)) => {}
            // Where it can't be written yet, the next look tries again.
            (true, _) => {
                let ended = self.journal.end_pause(Scope::All, PauseReason::Disk, self.clock.now()).await;
                made.recorded = ended.is_ok().then_some(true);
            }
            (false, _) => self.pause(made, words::disk_pause(free, config.min_free_bytes)).await,
        }
    }

    /// On a full disk the pause can't be written either: submission stands still all the same.
    async fn pause(&self, made: &mut Made, text: String) {
        let is_kept = self.journal.unrecorded().contains_key(DISK);
        if is_kept && self.clock.steady() < made.try_again_at {
            return;
        }
        let since = made.note.since(DISK).unwrap_or_else(|| self.clock.now());
        match self.journal.pause(Scope::All, PauseReason::Disk, text.clone(), since).await {
            Ok(()) => {
                made.recorded = Some(false);
                self.journal.drop_unrecorded(DISK);
            }
            Err(error) => {
                if !is_kept && self.journal.keep_unrecorded(DISK, &text) {
                    tracing::error!(
                        alarm = DISK,
                        "pause scope=all reason=disk text=\"{text}\" (it can't be recorded: {error})"
                    );
                }
                made.try_again_at = self.clock.steady().saturating_add(TRY_AGAIN_AFTER);
            }
        }
    }
}
