//! One look through the inbox: what lies there, what of it is complete, what waits and why.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::candidates::{Candidates, Next, Stamp};
use super::hash::hash_file;
use super::names::{ignored, is_control};
use super::notice::{self, Notice};
use super::settings::Settings;
use super::survey::changed_at;
use super::take::Ready;
use super::waiting::{Waiting, Why};
use crate::types::{NetworkId, Timestamp};

/// What has lain untaken for so long gets a note in `rejected/`.
const NOTICE_AFTER: Duration = Duration::from_secs(10 * 60);

/// What one look found.
#[derive(Debug, Default)]
pub struct Scan {
    /// Complete files, each offered once a `rescan` until it is taken, in the order of their names.
    pub ready: Vec<Ready>,
    /// What isn't complete or can't be taken, in the order of their names.
    pub waiting: Vec<Waiting>,
    /// When the next file may be complete, if none changes; `None` where none is waited for.
    pub next: Option<Timestamp>,
}

/// Looks through the inbox again and again, and remembers what it saw. All of it blocks.
#[derive(Debug)]
pub struct Scanner {
    settings: Settings,
    candidates: Candidates,
    known: HashMap<PathBuf, Known>,
    /// The number of the look, so that what it didn't find can be told.
    look: u64,
    swept: bool,
    /// What an earlier process told of and this one hasn't found yet, by the names that are shown.
    earlier: HashMap<String, Waiting>,
    /// Nothing is complete: all of it waits for a person.
    holds: bool,
}

/// What is remembered of something in the inbox.
#[derive(Debug)]
struct Known {
    name: OsString,
    shown: String,
    /// `None`: complete.
    why: Option<Why>,
    since: Timestamp,
    /// Here or by an earlier process; what came while nobody looked, when it came.
    first_seen: Timestamp,
    /// By this process.
    seen_here: Timestamp,
    /// Found so by this look.
    look: u64,
    /// Never gets a note.
    quiet: bool,
    noticed: bool,
    notice_failed: bool,
    /// When it was offered as complete, and in which state.
    offered: Option<(Timestamp, Stamp)>,
}

/// What one thing in the inbox turned out to be.
enum Found {
    Waits(Why, Option<io::Error>),
    Settling(Timestamp),
    Ready(Ready),
    /// Complete, and offered not long ago.
    Offered,
}

/// A look that is under way.
struct Look {
    now: Timestamp,
    scan: Scan,
    /// Folders that couldn't be listed: what is known to be in them isn't gone.
    unlisted: Vec<PathBuf>,
}

impl Scanner {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let candidates = Candidates::new(settings.settle);
        Self {
            settings,
            candidates,
            known: HashMap::new(),
            look: 0,
            swept: false,
            earlier: HashMap::new(),
            holds: false,
        }
    }

    /// What an earlier process last told to wait: it waits since then, and isn't told of once more.
    pub fn take_up(&mut self, earlier: Vec<Waiting>) {
        self.earlier = earlier.into_iter().map(|waiting| (waiting.name.clone(), waiting)).collect();
    }

    /// Whether nothing is complete from now on: what could be taken waits for a person.
    pub fn hold(&mut self, holds: bool) {
        self.holds = holds;
    }

    /// Other settings from now on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.candidates.set_settle(settings.settle);
        self.settings = settings;
    }

    /// Files that are known to be open for writing at the next look, and no others.
    pub fn set_open(&mut self, open: HashSet<PathBuf>) {
        self.candidates.set_open(open);
    }

    /// One look through all folders. `events` are the files that were closed or renamed in since the last one.
    pub fn scan_once(&mut self, events: Vec<PathBuf>, now: Timestamp) -> Scan {
        events.into_iter().for_each(|path| self.candidates.closed(path));
        self.look += 1;
        let mut look = Look { now, scan: Scan::default(), unlisted: Vec::new() };
        self.sweep_notices_once();
        let inbox = self.settings.inbox.clone();
        let service = self.settings.network_id_of(".").cloned();
        self.look_into(&inbox, "", service.as_ref(), &mut look);
        self.forget_what_is_gone(&look);
        self.write_notices(now);
        self.list_waiting(&mut look.scan);
        look.scan.ready.sort_by(|a, b| a.path.cmp(&b.path));
        look.scan
    }

    /// Looks into one folder; `prefix` is its name with a slash, "" for the inbox itself.
    fn look_into(&mut self, folder: &Path, prefix: &str, service: Option<&NetworkId>, look: &mut Look) {
        let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => {
                look.unlisted.push(folder.to_owned());
                let shown = if prefix.is_empty() { "." } else { prefix.trim_end_matches('/') };
                let name = OsString::from(shown);
                let found = Found::Waits(Why::Unreadable, Some(error));
                self.remember(folder, &name, shown, look.now, found, look);
                return;
            }
        };
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            let shown = format!("{prefix}{}", name.to_string_lossy());
            let Some(metadata) = metadata_of(&entry) else { continue };
            if prefix.is_empty() && metadata.is_dir() {
                let of_folder = name.to_str().and_then(|name| self.settings.network_id_of(name)).cloned();
                if let Some(network_id) = of_folder {
                    self.look_into(&path, &format!("{shown}/"), Some(&network_id), look);
                    continue;
                }
            }
            if ignored(&name) {
                // Hidden ones nobody wonders about, and some are ours.
                if !name.as_encoded_bytes().starts_with(b".") {
                    tracing::debug!(name = %shown, "left alone: its name is that of no finished file");
                }
            } else {
                let found = self.classify(&path, &name, &metadata, service, look.now);
                if let Some(found) = found {
                    // Of what was there before the first look: times of change can be told by whoever copies a file,
                    // that of its entry can't.
                    let came = if self.look == 1 { changed_at(&metadata) } else { look.now };
                    self.remember(&path, &name, &shown, came, found, look);
                }
            }
        }
    }

    /// `None` if it vanished meanwhile.
    fn classify(
        &mut self,
        path: &Path,
        name: &OsStr,
        metadata: &Metadata,
        service: Option<&NetworkId>,
        now: Timestamp,
    ) -> Option<Found> {
        if metadata.is_dir() {
            return Some(Found::Waits(Why::NoSuchService, None));
        }
        if !metadata.is_file() {
            return Some(Found::Waits(Why::NotAFile, None));
        }
        if is_control(name) {
            return Some(Found::Waits(Why::NotAvailable, None));
        }
        let Some(network_id) = service else {
            return Some(Found::Waits(Why::NoSuchService, None));
        };
        if self.holds {
            return Some(Found::Waits(Why::WaitsForResume, None));
        }
        let stamp = Stamp::of(metadata);
        if self.was_offered_lately(path, stamp, now) {
            return Some(Found::Offered);
        }
        let next = match self.candidates.observed(path, stamp, now) {
            Next::Hash => match hash_file(path) {
                Ok((read, hash)) if read == stamp => self.candidates.hashed(path, hash, now),
                // Changed between the look and the reading: the next look begins anew.
                Ok(_) => Next::Wait(now.plus(self.settings.settle)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(error) => return Some(Found::Waits(Why::Unreadable, Some(error))),
            },
            next => next,
        };
        Some(match next {
            Next::Ready(hash) => Found::Ready(Ready {
                path: path.to_owned(),
                name: name.to_owned(),
                network_id: network_id.clone(),
                stamp,
                hash,
            }),
            Next::Wait(until) => Found::Settling(until),
            Next::Hash => Found::Settling(now.plus(self.settings.settle)),
        })
    }

    /// Whether it is with the intake, or the intake couldn't take it and is asked again later.
    fn was_offered_lately(&self, path: &Path, stamp: Stamp, now: Timestamp) -> bool {
        let offered = self.known.get(path).and_then(|known| known.offered);
        offered.is_some_and(|(at, state)| state == stamp && at <= now && now.since(at) < self.settings.rescan)
    }

    /// `came`: when it was put there, as far as can be told.
    fn remember(
        &mut self,
        path: &Path,
        name: &OsStr,
        shown: &str,
        came: Timestamp,
        found: Found,
        look: &mut Look,
    ) {
        let now = look.now;
        let earlier = &mut self.earlier;
        let known = self
            .known
            .entry(path.to_owned())
            .or_insert_with(|| Known::new(name, shown, came.min(now), earlier.remove(shown), now));
        let is_new = known.look == 0;
        known.look = self.look;
        known.quiet = shown == ".";
        let (why, error) = match found {
            Found::Waits(why, error) => (Some(why), error),
            Found::Settling(until) => {
                look.scan.next = Some(look.scan.next.map_or(until, |next| next.min(until)));
                (Some(Why::BeingWritten), None)
            }
            Found::Ready(ready) => {
                known.offered = Some((now, ready.stamp));
                look.scan.ready.push(ready);
                (None, None)
            }
            Found::Offered => (None, None),
        };
        if known.why != why {
            let since = if is_new && known.why.is_none() { known.since } else { now };
            known.changed(path, why, error, since);
        }
    }

    fn forget_what_is_gone(&mut self, look: &Look) {
        let current = self.look;
        let (rejected, place) = (&self.settings.rejected, self.settings.called);
        self.known.retain(|path, known| {
            let unlisted = look.unlisted.iter().any(|folder| path.starts_with(folder));
            let stays = known.look == current || unlisted;
            // A missing folder is no reason to warn once more: there was a note only if it could be written.
            if !stays && let Err(error) = notice::remove(rejected, place, &known.shown, &known.name) {
                tracing::debug!(name = %known.shown, %error, "a note in rejected can't be removed");
            }
            stays
        });
        self.candidates.keep_only(|path| self.known.contains_key(path));
        if look.unlisted.is_empty() {
            self.earlier.clear();
        }
    }

    fn sweep_notices_once(&mut self) {
        if !self.swept && fs::exists(&self.settings.inbox).is_ok_and(|there| there) {
            self.swept = true;
            let Settings { rejected, called, inbox, .. } = &self.settings;
            if let Err(error) = notice::sweep(rejected, called, inbox) {
                tracing::debug!(%error, "old notes in rejected can't be looked through");
            }
        }
    }

    fn write_notices(&mut self, now: Timestamp) {
        let folders = self.settings.shown_folders();
        // What came while nobody looked is about to be taken, unless it still hasn't settled after this.
        let settled_by = self.candidates.longest().saturating_add(self.settings.rescan).min(NOTICE_AFTER);
        let due = |known: &&mut Known| {
            // One that was written for long and is complete now is about to be taken.
            let from = if known.why.is_some() { known.first_seen } else { known.since };
            let had_its_time =
                known.why != Some(Why::BeingWritten) || now.since(known.seen_here) >= settled_by;
            // Whoever dropped a word waits for what it does: that it does nothing is told at once.
            let is_due = known.why == Some(Why::NotAvailable) || now.since(from) >= NOTICE_AFTER;
            !known.quiet && !known.noticed && had_its_time && is_due
        };
        for known in self.known.values_mut().filter(due) {
            let (place, folders) = (self.settings.called, folders.as_str());
            let note = Notice { place, shown: &known.shown, name: &known.name, why: known.why, folders };
            match notice::write(&self.settings.rejected, &note) {
                // An earlier process wrote it, and said so.
                Ok(false) => known.noticed = true,
                Ok(true) => {
                    known.noticed = true;
                    if known.why == Some(Why::NotAvailable) {
                        // It was said as it was found.
                        continue;
                    }
                    let why = known.why.map_or_else(|| "complete".to_owned(), |why| why.to_string());
                    tracing::warn!(name = %known.shown, %why, "not taken for ten minutes: see the note in rejected");
                }
                Err(error) if !known.notice_failed => {
                    known.notice_failed = true;
                    tracing::warn!(name = %known.shown, %error, "not taken for ten minutes, and the note can't be written");
                }
                Err(_) => {}
            }
        }
    }

    fn list_waiting(&self, scan: &mut Scan) {
        let waiting = |known: &Known| {
            known.why.map(|why| Waiting { name: known.shown.clone(), why, since: known.since })
        };
        scan.waiting = self.known.values().filter_map(waiting).collect();
        scan.waiting.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

impl Known {
    /// Found for the first time by this process.
    fn new(name: &OsStr, shown: &str, came: Timestamp, earlier: Option<Waiting>, now: Timestamp) -> Self {
        let since = earlier.as_ref().map_or(came, |earlier| earlier.since.min(now));
        Self {
            name: name.to_owned(),
            shown: shown.to_owned(),
            why: earlier.map(|earlier| earlier.why),
            since,
            first_seen: since.min(came),
            seen_here: now,
            look: 0,
            quiet: false,
            noticed: false,
            notice_failed: false,
            offered: None,
        }
    }

    /// It waits for another reason now: said once, and in a note that is there already.
    fn changed(&mut self, path: &Path, why: Option<Why>, error: Option<io::Error>, since: Timestamp) {
        self.why = why;
        self.since = since;
        self.noticed = false;
        // The folder itself has no name in it.
        let name = if self.quiet { path.display().to_string() } else { self.shown.clone() };
        match (why, error) {
            (Some(Why::Unreadable), error) => {
                let error = error.map(|error| error.to_string()).unwrap_or_default();
                tracing::warn!(%name, %error, "can't be read for now, tried again later");
            }
            (Some(Why::NotAFile), _) => tracing::warn!(%name, "not a regular file, left alone"),
            (Some(Why::NoSuchService), _) => {
                tracing::warn!(%name, "no service is configured for it, left alone")
            }
            (Some(Why::NotAvailable), _) => tracing::warn!(
                %name,
                "files ending in .go or .stop do nothing in this version yet: `imeid cancel` stops a file"
            ),
            (Some(Why::WaitsForResume), _) => tracing::debug!(%name, "waits for `imeid resume`"),
            (Some(Why::BeingWritten), _) => tracing::debug!(%name, "waits until it has stayed unchanged"),
            (None, _) => tracing::debug!(%name, "complete"),
        }
    }
}

/// `None` if it vanished. What else goes wrong can't for an entry of a folder that was just listed.
fn metadata_of(entry: &DirEntry) -> Option<Metadata> {
    entry.metadata().ok()
}
