//! The stamp outside the journal, `archive/.imeid`: how far the journal is. A journal that is behind it is an older
//! copy, and one that isn't the stamp's own is taken as one.
//!
//! It tells how many starts have sent, and the last attempt. The first is on disk before the first order of a start is
//! claimed: a copy from before a start that sent is always known. The second follows every two seconds while there are
//! attempts: a copy that was made while the daemon ran, and is put back before another start sent, is known unless the
//! daemon ended within that time after the first order that it lacks.
//!
//! It is written after what it tells of is on disk, so no crash leaves it ahead of its own journal.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::durable;
use crate::journal::{InArchive, Journal, JournalError, Mark, Stamp, Trouble};
use crate::order::Alarm;
use crate::pulse;
use crate::settings::Settings;

const NAME: &str = ".imeid";
/// For all to read, as it names nothing, and for imeid alone to write.
const MODE: u32 = 0o644;
const WRITTEN_EVERY: Duration = Duration::from_secs(2);
const STAGE: &str = "stamp";

/// Takes up a journal as the last process left it: what was in flight is in doubt; if it is an older copy, so is all
/// that it would send, and nothing goes until a person says so. Returns how many were in flight.
///
/// # Errors
/// The journal can't be written.
pub async fn recover(journal: &Journal, settings: &Settings, clock: &Clock) -> Result<usize, JournalError> {
    let rules = (*settings.rules).clone();
    let lost = journal.recover(clock.now(), rules.clone()).await?;
    let archive = settings.config.folders.archive.clone();
    let in_archive = look(&archive);
    let is_missing = in_archive.stamp.is_none();
    if let Some(found) = journal.take_as_older_copy(in_archive, clock.now(), rules).await? {
        tracing::warn!(
            orders = found.orders,
            "what the journal would have sent is in doubt: nothing is sent and no file is taken in until imeid resume"
        );
        // What the original, or another journal, left is no longer about this one. Where it can't be written the next start finds that out.
        let stamp = journal.read(|view| view.stamp()).await?;
        if let Err(error) = write(&archive, &stamp) {
            tracing::warn!(folder = %archive.display(), "the stamp {NAME} can't be written: {error}");
        }
    } else if is_missing && !journal.read(|view| view.stamp()).await?.is_blank() {
        tracing::warn!(
            folder = %archive.display(),
            "there is no stamp {NAME}: whether the journal is an older copy can't be told. It is written anew; if the journal \
             was put back from a copy, stop the daemon, and follow \"An unmarked copy\" in the README"
        );
    }
    Ok(lost)
}

fn look(archive: &Path) -> InArchive {
    let stamp = read(archive);
    let has_originals = has_originals(archive).unwrap_or_else(|error| {
        tracing::warn!(folder = %archive.display(), "whether files lie in the archive can't be told: {error}");
        false
    });
    InArchive { stamp, has_originals }
}

/// Whether a folder of a day has something in it.
fn has_originals(archive: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(archive)? {
        let entry = entry?;
        let is_day = entry.file_name().to_str().is_some_and(|name| name.parse::<jiff::civil::Date>().is_ok());
        if is_day && entry.file_type()?.is_dir() && std::fs::read_dir(entry.path())?.next().is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What lies there; one that can't be read says nothing.
fn read(archive: &Path) -> Option<Stamp> {
    let path = archive.join(NAME);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(file = %path.display(), "whether the journal is an older copy can't be told: {error}");
            return None;
        }
    };
    let stamp = serde_json::from_str(&text);
    if let Err(error) = &stamp {
        tracing::warn!(file = %path.display(), "whether the journal is an older copy can't be told: {error}");
    }
    stamp.ok()
}

fn write(archive: &Path, stamp: &Stamp) -> io::Result<()> {
    let text = serde_json::to_string(stamp).map_err(io::Error::other)?;
    durable::write_file(archive, OsStr::new(NAME), MODE, true, |out| writeln!(out, "{text}"))
}

/// Keeps the stamp up to date, and tells of a start in it before the start's first order is claimed.
pub struct StampKeeper {
    journal: Journal,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
    /// What was written last, and into which archive.
    written: Option<(PathBuf, Stamp)>,
    /// Whether the last look found that somebody had taken it away or changed it.
    was_disturbed: bool,
    read: Mark,
    told: Trouble,
}

/// Why the stamp isn't kept.
#[derive(Debug, thiserror::Error)]
enum NotKept {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Archive(#[from] io::Error),
}

impl StampKeeper {
    /// With nothing written yet.
    #[must_use]
    pub fn new(journal: Journal, clock: Clock, settings: watch::Receiver<Arc<Settings>>) -> Self {
        let (read, told) = (Mark::default(), Trouble::new(Alarm::Stamp));
        Self { journal, clock, settings, written: None, was_disturbed: false, read, told }
    }

    /// Keeps it until `stop`, and once more then.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let journal = self.journal.clone();
        loop {
            let stopping = stop.is_cancelled();
            self.unit().await;
            if stopping {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = journal.wakes().stamp.notified() => {}
                // The archive may be another.
                Ok(()) = self.settings.changed() => {}
                () = pulse::tick(WRITTEN_EVERY) => {}
            }
        }
    }

    /// The unit: writes the stamp if the journal is further than it says. What can't be written is an alarm, and written by
    /// a later call.
    pub async fn unit(&mut self) {
        let archive = self.settings.borrow_and_update().config.folders.archive.clone();
        let begins = self.journal.waits_for_stamp();
        let trouble = match self.keep(&archive, begins).await {
            Ok(()) => None,
            Err(NotKept::Journal(error)) => {
                return self.journal.fails(STAGE, &format!("how far the journal is can't be told: {error}"));
            }
            Err(NotKept::Archive(error)) => {
                self.read = Mark::default();
                Some(trouble(&archive, &error, begins))
            }
        };
        self.journal.serves(STAGE);
        match trouble {
            Some(text) => self.told.is(&self.journal, text, self.clock.now()).await,
            None => {
                if self.told.is_gone(&self.journal, self.clock.now()).await {
                    tracing::info!("the stamp {NAME} can be written again");
                }
            }
        }
    }

    /// `begins`: orders wait for it, so that this start is to be told of.
    async fn keep(&mut self, archive: &Path, begins: bool) -> Result<(), NotKept> {
        let stamp = if begins {
            self.journal.count_start().await?
        } else {
            if self.written.as_ref().is_some_and(|(folder, _)| folder != archive) {
                self.read = Mark::default();
            }
            let now = self.clock.now();
            match self.journal.read_if_changed(&mut self.read, now, |view| view.stamp()).await? {
                Some(stamp) => stamp,
                None => match &self.written {
                    Some((_, stamp)) => stamp.clone(),
                    None => return Ok(()),
                },
            }
        };
        if !stamp.is_blank() {
            self.put(archive, stamp).await?;
        }
        if begins {
            self.journal.start_is_told();
        }
        Ok(())
    }

    /// Sees to it that it lies there. Whoever may drop files may have taken it away, and the next start would be blind.
    async fn put(&mut self, archive: &Path, stamp: Stamp) -> io::Result<()> {
        let before =
            self.written.as_ref().filter(|(folder, _)| folder == archive).map(|(_, stamp)| stamp.clone());
        let (folder, now) = (archive.to_owned(), stamp.clone());
        let put = move || {
            let is_disturbed = before.as_ref().is_some_and(|before| !lies(&folder, before));
            if is_disturbed || before.as_ref() != Some(&now) {
                write(&folder, &now)?;
            }
            Ok(is_disturbed)
        };
        let is_disturbed = tokio::task::spawn_blocking(put).await.map_err(io::Error::other).flatten()?;
        self.written = Some((archive.to_owned(), stamp));
        if is_disturbed && !self.was_disturbed {
            tracing::warn!(
                folder = %archive.display(),
                "the stamp {NAME} was removed or changed, and is written again: it is imeid's alone, and tells a journal that \
                 is an older copy"
            );
        }
        self.was_disturbed = is_disturbed;
        Ok(())
    }
}

/// Whether this very stamp lies there.
fn lies(archive: &Path, stamp: &Stamp) -> bool {
    let found = std::fs::read(archive.join(NAME)).ok();
    found.and_then(|text| serde_json::from_slice(&text).ok()).is_some_and(|found: Stamp| found == *stamp)
}

fn trouble(archive: &Path, error: &io::Error, begins: bool) -> String {
    let what = format!("the stamp {NAME} can't be written into {}: {error}", archive.display());
    let until = "the folder is there, has room, and is writable for imeid's user";
    if begins {
        format!("nothing is sent: {what}. Orders go when {until}")
    } else {
        format!(
            "{what}. It is written when {until}; a copy of the journal that is put back meanwhile may not be noticed"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::config_in;
    use super::*;
    use crate::journal::View;

    fn stamp_in(archive: &Path) -> Option<Stamp> {
        let text = std::fs::read_to_string(archive.join(NAME)).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    #[tokio::test]
    async fn a_start_is_told_once_its_stamp_is_in_the_archive_and_follows_the_archive() {
        let dir = tempfile::tempdir().unwrap();
        let opened = super::super::open(config_in(dir.path()), &Clock::system()).await.unwrap();
        let (journal, archive) = (opened.journal.clone(), dir.path().join("archive"));
        let (reload, settings) = watch::channel(Arc::clone(&opened.settings));
        let mut keeper = StampKeeper::new(journal.clone(), Clock::system(), settings);
        keeper.unit().await;
        assert_eq!(stamp_in(&archive), None, "nothing was sent, and nothing waits");
        std::fs::remove_dir(&archive).unwrap();
        journal.await_stamp().await;
        keeper.unit().await;
        let alarms = journal.read(View::alarms).await.unwrap();
        assert_eq!((alarms.len(), alarms[0].name.as_str()), (1, "stamp"));
        assert!(alarms[0].text.starts_with("nothing is sent: "), "{}", alarms[0].text);
        assert!(journal.waits_for_stamp());
        std::fs::create_dir(&archive).unwrap();
        keeper.unit().await;
        assert!(!journal.waits_for_stamp());
        let told = stamp_in(&archive).unwrap();
        assert_eq!(told.starts, 1);
        assert!(journal.read(View::alarms).await.unwrap().is_empty());
        // Whoever may drop files may do that, while nothing else happens.
        std::fs::remove_file(archive.join(NAME)).unwrap();
        keeper.unit().await;
        assert_eq!(stamp_in(&archive).as_ref(), Some(&told), "it was removed");
        write(&archive, &Stamp { starts: 0, ..told.clone() }).unwrap();
        keeper.unit().await;
        assert_eq!(stamp_in(&archive), Some(told), "it was changed");
        let mut config = opened.settings.config.clone();
        config.folders.archive = dir.path().join("elsewhere");
        std::fs::create_dir(&config.folders.archive).unwrap();
        let other = config.folders.archive.clone();
        reload.send_replace(Arc::new(Settings::new(config, &journal).await.unwrap()));
        keeper.unit().await;
        assert_eq!(stamp_in(&other), stamp_in(&archive), "the journal is as it was");
    }
}
