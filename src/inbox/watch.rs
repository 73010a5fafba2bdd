//! The kernel's word that something changed. It is only ever a hint: one that is lost costs time, nothing else.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use notify::event::{AccessKind, AccessMode, Event, EventKind, ModifyKind, RenameMode};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::{Notify, mpsc};

/// Hints that wait to be looked at. One that finds no room asks for a look at everything instead.
const HINTS_MAX: usize = 4_096;

/// Files known to be open for writing: of more nothing is known.
const OPEN_MAX: usize = 4_096;

/// Watches folders for files that are closed after writing or renamed in. Where the kernel can't watch (its limit is
/// reached, some network mounts) it never gives a hint.
#[derive(Debug)]
pub struct Watcher {
    inner: Option<RecommendedWatcher>,
    hints: mpsc::Receiver<PathBuf>,
    heard: Vec<PathBuf>,
    rescan: Arc<Rescan>,
    open: Arc<Open>,
    /// Folders that can't be watched, so that it is said once.
    unwatched: HashSet<PathBuf>,
}

/// That everything must be looked through: events were lost.
#[derive(Debug, Default)]
struct Rescan {
    wanted: AtomicBool,
    wake: Notify,
}

impl Rescan {
    fn want(&self) {
        self.wanted.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

/// Files that were written to and not closed since: whoever writes them still has them open. Known only of what was
/// written while its folder was watched, by a process of this machine; Samba's is one.
#[derive(Debug, Default)]
struct Open(Mutex<HashSet<PathBuf>>);

impl Open {
    fn lock(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, event: &Event) {
        match event.kind {
            EventKind::Modify(ModifyKind::Data(_)) => {
                let mut open = self.lock();
                for path in event.paths.iter().take(OPEN_MAX.saturating_sub(open.len())) {
                    if !open.contains(path) {
                        open.insert(path.clone());
                    }
                }
            }
            // Under another name it is another file, that nothing is known of.
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_)) => {
                let mut open = self.lock();
                for path in &event.paths {
                    open.remove(path);
                }
            }
            _ => {}
        }
    }
}

impl Watcher {
    /// Watches nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let (sender, hints) = mpsc::channel(HINTS_MAX);
        let rescan = Arc::new(Rescan::default());
        let open = Arc::new(Open::default());
        let (to_handler, noted) = (Arc::clone(&rescan), Arc::clone(&open));
        let made = notify::recommended_watcher(move |event| handle(event, &sender, &to_handler, &noted));
        if let Err(error) = &made {
            tracing::warn!(%error, "folders can't be watched: new files are found by looking, which takes longer");
        }
        Self { inner: made.ok(), hints, heard: Vec::new(), rescan, open, unwatched: HashSet::new() }
    }

    /// Watches these folders (not what is in their subfolders). Call it again now and then: a folder that was removed
    /// and made anew has no watch any more.
    pub fn watch(&mut self, folders: &[PathBuf]) {
        let Some(inner) = &mut self.inner else { return };
        for folder in folders {
            match inner.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.unwatched.remove(folder);
                }
                Err(error) => {
                    if self.unwatched.insert(folder.clone()) {
                        tracing::debug!(folder = %folder.display(), %error, "a folder can't be watched");
                    }
                }
            }
        }
    }

    /// Waits until there is a hint. Nothing is lost if it is dropped while it waits.
    pub async fn hinted(&mut self) {
        if !self.heard.is_empty() || self.rescan.wanted.load(Ordering::Acquire) {
            return;
        }
        tokio::select! {
            hint = self.hints.recv(), if self.inner.is_some() => match hint {
                Some(path) => self.heard.push(path),
                None => {
                    tracing::warn!("folders aren't watched any more: new files are found by looking");
                    self.inner = None;
                }
            },
            () = self.rescan.wake.notified() => {}
        }
    }

    /// Files that are known to be open for writing, as far as was heard.
    #[must_use]
    pub fn open_for_writing(&self) -> HashSet<PathBuf> {
        self.open.lock().clone()
    }

    /// All hints so far, none twice.
    pub fn take_hints(&mut self) -> Vec<PathBuf> {
        self.rescan.wanted.store(false, Ordering::Release);
        let mut hints = std::mem::take(&mut self.heard);
        while let Ok(hint) = self.hints.try_recv() {
            hints.push(hint);
        }
        hints.sort();
        hints.dedup();
        hints
    }
}

impl Default for Watcher {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs on the watcher's own thread and must not wait. Only a close after writing and a rename into the folder count:
/// our own reading raises events too.
fn handle(event: notify::Result<Event>, hints: &mpsc::Sender<PathBuf>, rescan: &Rescan, open: &Open) {
    let Ok(event) = event else { return rescan.want() };
    if event.need_rescan() {
        // A close may be among what was lost.
        open.lock().clear();
        rescan.want();
    }
    open.note(&event);
    let counts = matches!(
        event.kind,
        EventKind::Modify(ModifyKind::Name(RenameMode::To))
            | EventKind::Access(AccessKind::Close(AccessMode::Write))
    );
    for path in event.paths.into_iter().filter(|_| counts) {
        if hints.try_send(path).is_err() {
            rescan.want();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn hints(watcher: &mut Watcher) -> Vec<PathBuf> {
        tokio::time::timeout(Duration::from_secs(10), watcher.hinted()).await.unwrap();
        watcher.take_hints()
    }

    #[tokio::test]
    async fn a_close_and_a_rename_are_hints_and_reading_is_none() {
        let (inbox, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut watcher = Watcher::new();
        watcher.watch(&[inbox.path().to_owned()]);
        let (a, b) = (inbox.path().join("a.csv"), inbox.path().join("b.csv"));
        std::fs::write(&a, "x").unwrap();
        assert_eq!(hints(&mut watcher).await, std::slice::from_ref(&a));

        std::fs::read(&a).unwrap();
        std::fs::write(elsewhere.path().join("b"), "x").unwrap();
        crate::durable::rename_within(&elsewhere.path().join("b"), &b).unwrap();
        assert_eq!(hints(&mut watcher).await, [b], "and nothing of the reading before it");
    }

    #[tokio::test]
    async fn who_writes_a_file_has_it_open_until_it_is_closed() {
        use std::io::Write;
        let inbox = tempfile::tempdir().unwrap();
        let mut watcher = Watcher::new();
        watcher.watch(&[inbox.path().to_owned()]);
        let (a, b) = (inbox.path().join("a.csv"), inbox.path().join("b.csv"));
        let mut file = std::fs::File::create(&a).unwrap();
        file.write_all(b"half").unwrap();
        // Events come in order: once b's close was heard, so was all that happened to a.
        std::fs::write(&b, "whole").unwrap();
        assert_eq!(hints(&mut watcher).await, [b]);
        assert_eq!(watcher.open_for_writing(), HashSet::from([a.clone()]));
        std::fs::read(&a).unwrap();
        drop(file);
        assert_eq!(hints(&mut watcher).await, [a]);
        assert_eq!(watcher.open_for_writing(), HashSet::new());
    }

    #[test]
    fn what_is_open_is_forgotten_when_events_were_lost() {
        let (sender, _receiver) = mpsc::channel(1);
        let (rescan, open) = (Rescan::default(), Open::default());
        let write = EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any));
        handle(Ok(Event::new(write).add_path("a".into())), &sender, &rescan, &open);
        assert_eq!(open.lock().len(), 1);
        let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        handle(Ok(lost), &sender, &rescan, &open);
        assert_eq!(open.lock().len(), 0);
    }

    #[tokio::test]
    async fn a_folder_that_is_made_anew_is_watched_again() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = dir.path().join("inbox");
        let mut watcher = Watcher::new();
        watcher.watch(std::slice::from_ref(&inbox));
        std::fs::create_dir(&inbox).unwrap();
        watcher.watch(std::slice::from_ref(&inbox));
        std::fs::remove_dir(&inbox).unwrap();
        std::fs::create_dir(&inbox).unwrap();
        watcher.watch(std::slice::from_ref(&inbox));
        std::fs::write(inbox.join("a.csv"), "x").unwrap();
        assert_eq!(hints(&mut watcher).await, [inbox.join("a.csv")]);
    }

    #[tokio::test]
    async fn hints_without_room_ask_for_a_look_at_everything() {
        let (sender, receiver) = mpsc::channel(1);
        let rescan = Arc::new(Rescan::default());
        let close = EventKind::Access(AccessKind::Close(AccessMode::Write));
        for name in ["a", "b"] {
            handle(Ok(Event::new(close).add_path(name.into())), &sender, &rescan, &Open::default());
        }
        assert!(rescan.wanted.load(Ordering::Acquire));
        let unwatched = HashSet::new();
        let (heard, open) = (Vec::new(), Arc::default());
        let mut watcher = Watcher { inner: None, hints: receiver, heard, rescan, open, unwatched };
        assert_eq!(hints(&mut watcher).await, [PathBuf::from("a")]);
        assert!(!watcher.rescan.wanted.load(Ordering::Acquire));
    }
}
