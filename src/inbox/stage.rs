//! The loop that waits, around the look that works.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::notice;
use super::scan::{Scan, Scanner};
use super::settings::Settings;
use super::take::{self, Ready, TakeError, Taken};
use super::waiting::Waiting;
use super::watch::Watcher;
use crate::clock::Clock;
use crate::pulse;
use crate::types::Timestamp;

/// Between two looks lies at least this, so that a thousand files dropped one by one aren't a thousand looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// A look takes no longer, unless its folder is on a network share that is gone for good.
const LOOK_AT_MOST: Duration = Duration::from_secs(600);

/// A folder that files are dropped into, watched and looked through.
#[derive(Debug)]
pub struct Inbox {
    settings: Settings,
    clock: Clock,
    watcher: Watcher,
    scanner: Arc<Mutex<Scanner>>,
    queue: VecDeque<Ready>,
    waiting: watch::Sender<Vec<Waiting>>,
    /// When the next look is due; `None`: at once.
    due: Option<Instant>,
}

impl Inbox {
    /// Begins to watch. Needs a tokio runtime once it is waited for.
    #[must_use]
    pub fn new(settings: Settings, clock: Clock) -> Self {
        let scanner = Arc::new(Mutex::new(Scanner::new(settings.clone())));
        let mut watcher = Watcher::new();
        // Before the first look: what comes after it is heard of.
        watcher.watch(&settings.folders());
        let (waiting, _) = watch::channel(Vec::new());
        Self { settings, clock, watcher, scanner, queue: VecDeque::new(), waiting, due: None }
    }

    /// What an earlier process last told to wait here: told so until the first look, and since then after it.
    #[must_use]
    pub fn take_up(self, earlier: Vec<Waiting>) -> Self {
        if let Ok(mut scanner) = self.scanner.lock() {
            scanner.take_up(earlier.clone());
        }
        self.waiting.send_replace(earlier);
        self
    }

    /// Whether nothing is given out from the next look on, which comes at once: what could be taken waits for a person.
    pub fn hold(&mut self, holds: bool) {
        if let Ok(mut scanner) = self.scanner.lock() {
            scanner.hold(holds);
        }
        self.queue.clear();
        self.due = None;
    }

    /// The next complete file, or `None` once `stop` is cancelled. A file that isn't taken is offered again after
    /// `rescan`. Dropping the future loses nothing but time.
    ///
    /// # Errors
    /// Only if a look itself broke off by a defect. What is wrong with files and folders is logged, told by
    /// [`Inbox::waiting`], and tried again.
    pub async fn next_ready(&mut self, stop: &CancellationToken) -> io::Result<Option<Ready>> {
        loop {
            if stop.is_cancelled() {
                return Ok(None);
            }
            if let Some(ready) = self.queue.pop_front() {
                return Ok(Some(ready));
            }
            // Whatever was promised since the last look: until the next one nothing need come round.
            let until = self.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()));
            pulse::within(until.saturating_add(BETWEEN_LOOKS));
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = wait(&mut self.watcher, self.due) => {}
            }
            self.look().await?;
        }
    }

    /// One look through everything, now. [`Inbox::next_ready`] gives what it found.
    ///
    /// # Errors
    /// Only if the look itself broke off by a defect.
    pub async fn look(&mut self) -> io::Result<()> {
        // First, so that the files of a folder made meanwhile are found by the look.
        self.watcher.watch(&self.settings.folders());
        // In this order: who is heard to have closed a file is known then not to have it open.
        let (events, open) = (self.watcher.take_hints(), self.watcher.open_for_writing());
        let now = self.clock.now();
        let scanner = Arc::clone(&self.scanner);
        pulse::within(LOOK_AT_MOST);
        let looked = pulse::spawn_blocking(move || {
            let mut scanner = scanner.lock().map_err(|_| broken())?;
            scanner.set_open(open);
            Ok::<_, io::Error>(scanner.scan_once(events, now))
        });
        let scan = looked.await.map_err(io::Error::other)??;
        let pause = self.pause(&scan, now);
        pulse::within(pause.saturating_add(BETWEEN_LOOKS));
        self.due = Some(Instant::now() + pause);
        self.queue.extend(scan.ready);
        self.waiting.send_if_modified(|waiting| {
            let changed = *waiting != scan.waiting;
            *waiting = scan.waiting;
            changed
        });
        Ok(())
    }

    fn pause(&self, scan: &Scan, now: Timestamp) -> Duration {
        // Those that are taken now leave notes behind; those that can't be taken are offered again.
        let until = scan.next.map_or(self.settings.rescan, |next| next.since(now));
        until.clamp(BETWEEN_LOOKS.min(self.settings.rescan), self.settings.rescan)
    }

    /// What lies in the folder and isn't taken, as the last look found it.
    #[must_use]
    pub fn waiting(&self) -> watch::Receiver<Vec<Waiting>> {
        self.waiting.subscribe()
    }

    /// What it works with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Other settings from the next look on, which comes at once.
    pub fn reconfigure(&mut self, settings: Settings) {
        if let Ok(mut scanner) = self.scanner.lock() {
            scanner.set_settings(settings.clone());
        }
        self.settings = settings;
        self.queue.clear();
        self.due = None;
    }
}

/// Takes a complete file, and its note in `rejected/` away if there is one. Blocks.
///
/// Crash: before, the file is in the inbox; inside, there or in `.taken`, perhaps beside an empty folder; after, in
/// `.taken`. Whichever it is, [`list_taken`](super::list_taken) or the next look finds it.
///
/// # Errors
/// [`TakeError::Changed`] if it isn't the file any more that was found complete; it stays, or goes back, where it was.
/// Else what the system says.
pub fn take(settings: &Settings, ready: &Ready, now: Timestamp) -> Result<Taken, TakeError> {
    let taken = take::take(&settings.inbox, ready, now)?;
    let shown =
        ready.path.strip_prefix(&settings.inbox).unwrap_or(&ready.path).to_string_lossy().into_owned();
    if let Err(error) = notice::remove(&settings.rejected, settings.called, &shown, &ready.name) {
        tracing::debug!(name = %shown, %error, "a note in rejected can't be removed");
    }
    Ok(taken)
}

async fn wait(watcher: &mut Watcher, due: Option<Instant>) {
    let Some(due) = due else { return };
    tokio::select! {
        () = tokio::time::sleep_until(due) => {}
        () = watcher.hinted() => tokio::time::sleep_until(due.min(Instant::now() + BETWEEN_LOOKS)).await,
    }
}

fn broken() -> io::Error {
    io::Error::other("an earlier look at the inbox broke off")
}

/// Where taken files lie; see [`list_taken`](super::list_taken).
#[must_use]
pub fn taken_folder(settings: &Settings) -> PathBuf {
    settings.inbox.join(take::TAKEN)
}
