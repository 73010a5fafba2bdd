//! One export, from `.taken` to the archive.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::durable;
use crate::inbox::{Stamp, Taken};
use crate::journal::{Journal, JournalError, OpenFile, ReadExport, Refused, View};
use crate::settings::Settings;
use crate::types::Titles;

use super::clearing::Clearing;
use super::read::{Export, OpenError};
use super::reading::{Counts, Reading};
use super::reason::not_an_export;

/// Why an export isn't worked through now. It lies in `.taken`, and is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorkError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it was changed while it was being read")]
    Changed,
    #[error("the daemon stops; it is read again at the next start")]
    Stopped,
}

pub(super) struct Work {
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) settings: Arc<Settings>,
    pub(super) titles: Titles,
    pub(super) taken: Taken,
    pub(super) stop: CancellationToken,
}

impl Work {
    /// Does what is left to do for it, whatever the last process had done.
    pub(super) async fn finish(&self) -> Result<(), WorkError> {
        let key = self.key()?;
        if let Some(read) = self.journal.read_export(key.clone()).await? {
            return self.move_read(key, &read).await;
        }
        if let Some(OpenFile::Refused(refused)) = self.journal.open_file(key.clone()).await? {
            return self.move_refused(key, &refused).await;
        }
        let before = Stamp::of(&std::fs::symlink_metadata(&self.taken.path)?);
        match Export::open(durable::open_regular(&self.taken.path)?) {
            Ok(export) => self.read(key, export, before).await,
            Err(OpenError::NotAnExport { missing, found }) => self.refuse(key, &missing, &found).await,
            Err(OpenError::Io(error)) => Err(error.into()),
        }
    }

    /// Its folder in `.taken`, which is its identity.
    fn key(&self) -> Result<String, WorkError> {
        let place = self.taken.path.parent().and_then(Path::file_name).and_then(OsStr::to_str);
        place.map(str::to_owned).ok_or_else(|| io::Error::other("it lies in no folder of its own").into())
    }

    async fn read(&self, key: String, mut export: Export<File>, before: Stamp) -> Result<(), WorkError> {
        self.journal.begin_export(self.clock.now()).await?;
        let account = self.settings.config.provider.account.clone();
        let presumed = self.journal.read(move |view| view.presumed_keys(&account)).await?;
        let mut reading = Reading { clearing: Clearing::of(presumed), ..Reading::default() };
        // The original may have made one anew whose older row isn't in it.
        if self.journal.read(View::waits_as_older_copy).await? {
            reading.several.look_at_single_ones();
        }
        self.read_first(&mut reading, &mut export).await?;
        reading.several.end_of_first_reading();
        self.read_again(&mut reading)?;
        // A writer that held the file open could have changed it after it was taken.
        if Stamp::of(&std::fs::symlink_metadata(&self.taken.path)?) != before {
            return Err(WorkError::Changed);
        }
        self.settle(&mut reading).await?;
        self.turn(&mut reading).await?;
        self.tell_beyond_ours(&mut reading).await?;
        self.clear(&mut reading).await?;
        reading.counts.unmatched = reading.left.count();
        let name = self.taken.shown_name();
        let counts = serde_json::to_string(&reading.counts).map_err(io::Error::other)?;
        let reason = reading.left.text(&name, reading.counts.rows);
        let occupied = names_in(&self.settings.config.folders.rejected)?;
        let now = self.clock.now();
        let read = self.journal.enter_export(key.clone(), name, counts, reason, occupied, now).await?;
        self.move_read(key, &read).await?;
        self.tell(reading.counts, &read);
        Ok(())
    }

    /// The reason first, then the archive: an export that lies there has been told of.
    async fn move_read(&self, key: String, read: &ReadExport) -> Result<(), WorkError> {
        let folders = &self.settings.config.folders;
        if let Some((name, reason)) = &read.reason {
            durable::write_file(&folders.rejected, OsStr::new(name), 0o664, true, |out| {
                out.write_all(reason.as_bytes())
            })?;
        }
        let day = self.clock.local_day(self.taken.taken_at);
        let dated = format!("{:04}-{:02}-{:02}", day / 10_000, day / 100 % 100, day % 100);
        let folder = folders.archive.join(dated);
        match durable::make_dir(&folder, 0o2775) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        durable::move_file(&self.taken.path, &folder, &self.taken.name)?;
        self.journal.export_archived(key, self.clock.now()).await?;
        Ok(self.taken.remove_place()?)
    }

    fn tell(&self, counts: Counts, read: &ReadExport) {
        let see = read.reason.as_ref().map(|(name, _)| name.as_str());
        tracing::info!(
            file = %self.taken.shown_name(), rows = counts.rows, settled = counts.settled, kept = counts.kept,
            ours = counts.ours, remembered = counts.remembered,
            repeated = Some(counts.repeated).filter(|repeated| *repeated > 0), unmatched = counts.unmatched, see,
            "export read"
        );
    }

    async fn refuse(&self, key: String, missing: &[&str], found: &[String]) -> Result<(), WorkError> {
        let name = self.taken.shown_name();
        let reason = not_an_export(&name, missing, found);
        let occupied = names_in(&self.settings.config.folders.rejected)?;
        let refused = self.journal.refuse_file(key.clone(), name, reason, occupied, self.clock.now()).await?;
        self.move_refused(key, &refused).await
    }

    /// The reason first: a file in `rejected/` always has one beside it.
    async fn move_refused(&self, key: String, refused: &Refused) -> Result<(), WorkError> {
        let rejected: &PathBuf = &self.settings.config.folders.rejected;
        let dest = OsStr::new(&refused.dest_name);
        let reason_name = durable::with_suffix(dest, ".reason.txt");
        durable::write_file(rejected, &reason_name, 0o664, true, |out| {
            out.write_all(refused.reason.as_bytes())
        })?;
        durable::move_file(&self.taken.path, rejected, dest)?;
        self.journal.file_refused(key, self.clock.now()).await?;
        let name = self.taken.shown_name();
        tracing::warn!(file = %name, see = %reason_name.to_string_lossy(), "not the provider's export: refused");
        Ok(self.taken.remove_place()?)
    }
}

fn names_in(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        names.extend(entry?.file_name().to_str().map(str::to_owned));
    }
    Ok(names)
}
