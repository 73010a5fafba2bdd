//! Writing a result, and putting it where people see it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::durable;
use crate::journal::{BatchState, BatchWork, CameOut, Journal, JournalError, ResultFile, ResultRow, View};
use crate::pulse;
use crate::result::{Header, RowStatus, read_me};
use crate::types::{BatchId, Timestamp};
use crate::words;

use super::cells;
use super::partial::partial_name;
use super::table::ResultWriter;
use super::tally::by_status;

/// Rows read from the journal at a time: a short transaction each.
const PAGE_ROWS: u32 = 2000;
/// The mode of what is put into the outbox: for the folder's group too.
pub(super) const MODE: u32 = 0o664;
const READ_ME: &str = "READ ME.txt";

/// Why nothing could be put into the outbox. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The journal can't be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The outbox can't be written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What the journal says about how to read a batch's rows makes no sense.
    #[error("the header of batch {0} can't be read: {1}")]
    Header(BatchId, serde_json::Error),
    /// A defect of ours ended it, or not every row was there.
    #[error("writing broke off")]
    Broken,
}

pub(super) struct Publisher {
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) folder: PathBuf,
}

/// A file that is written, and that nobody sees yet.
pub(super) struct Written {
    file: ResultFile,
    temporary: PathBuf,
    sha256: String,
}

impl Publisher {
    /// The words of `imeid_status`, for people. Written where it is missing or another version's.
    pub(super) async fn lay_read_me(&self) -> Result<(), PublishError> {
        let folder = self.folder.clone();
        blocking(move || {
            let text = read_me();
            if std::fs::read(folder.join(READ_ME)).is_ok_and(|there| there == text.as_bytes()) {
                return Ok(());
            }
            durable::write_file(&folder, OsStr::new(READ_ME), MODE, true, |out| {
                out.write_all(text.as_bytes())
            })?;
            Ok(())
        })
        .await
    }

    /// Publishes `NAME.results.csv`, or, if that is out already, `NAME.settled.csv`. `all`: no row is open any more.
    pub(super) async fn publish(&self, batch: BatchWork, all: bool) -> Result<(), PublishError> {
        let written = self.write_anew(&batch).await?;
        self.put_out(batch, written, all).await
    }

    /// Writes what is known of the rows, under a name that isn't seen. From here on the journal notes what changes.
    pub(super) async fn write_anew(&self, batch: &BatchWork) -> Result<Written, PublishError> {
        let file =
            if batch.state == BatchState::Published { ResultFile::Settled } else { ResultFile::Results };
        self.journal.begin_file(batch.id).await?;
        let temporary = self.folder.join(format!(".{}.{}.csv.new", batch.name, kind(file)));
        let sha256 = self.write_temporary(batch, &temporary).await?;
        Ok(Written { file, temporary, sha256 })
    }

    /// Puts what was written where people see it.
    pub(super) async fn put_out(
        &self,
        batch: BatchWork,
        written: Written,
        all: bool,
    ) -> Result<(), PublishError> {
        let Written { file, temporary, sha256 } = written;
        let (name, there) = match file {
            ResultFile::Results => self.result_name(&batch).await?,
            ResultFile::Settled => self.settled_name(&batch, &sha256).await?,
        };
        let path = self.folder.join(&name);
        let done = match there {
            // It is out as it is, or a crash came between the rename and the journal. What became of open rows since then
            // goes into the settled one.
            Some(there) if file == ResultFile::Settled || Some(&there) == batch.result_sha256.as_ref() => {
                self.remove(temporary).await?;
                all && there == sha256
            }
            Some(_) => {
                self.remove(temporary).await?;
                return self.under_another_name(batch).await;
            }
            None => {
                self.journal.will_publish(batch.id, file, sha256).await?;
                if !self.rename(temporary, path).await? {
                    // Someone was faster with that name: the next look finds another.
                    return Err(PublishError::Io(io::ErrorKind::AlreadyExists.into()));
                }
                all
            }
        };
        self.remove(self.folder.join(partial_name(&batch))).await?;
        let out = self.journal.published(batch.id, name.clone(), done, self.clock.now()).await?;
        self.tell(&batch, &name, out);
        Ok(())
    }

    /// The name of a batch's result, which is the batch's own, and the hash of what has it already.
    async fn result_name(&self, batch: &BatchWork) -> Result<(String, Option<String>), PublishError> {
        let name = format!("{}.{}.csv", batch.name, kind(ResultFile::Results));
        let there = hash_of(self.folder.join(&name)).await?;
        Ok((name, there))
    }

    /// The name to publish once more under, and the hash if this very content has it: that of the newest file, where
    /// nothing in it changed, else the next one behind it that is free. It steps aside for another's file, and for one of
    /// ours that says what isn't so any more; an older one is never taken for the newest.
    pub(super) async fn settled_name(
        &self,
        batch: &BatchWork,
        sha256: &str,
    ) -> Result<(String, Option<String>), PublishError> {
        let id = batch.id;
        let last = self.journal.read(move |view| view.last_published(id)).await?;
        if let Some(last) = &last {
            let there = hash_of(self.folder.join(last)).await?;
            if there.as_deref() == Some(sha256) {
                return Ok((last.clone(), there));
            }
        }
        let mut n = last.map_or(1, |last| settled_number(&last).saturating_add(1));
        loop {
            let name = settled_file(&batch.name, n);
            let there = hash_of(self.folder.join(&name)).await?;
            if there.as_deref().is_none_or(|there| there == sha256) {
                return Ok((name, there));
            }
            n = n.saturating_add(1);
        }
    }

    /// Another file has the name: never an overwrite. The batch gets the next free NAME, and the next look publishes it.
    async fn under_another_name(&self, batch: BatchWork) -> Result<(), PublishError> {
        self.remove(self.folder.join(partial_name(&batch))).await?;
        let folder = self.folder.clone();
        let occupied = blocking(move || {
            let mut names = BTreeSet::new();
            for entry in std::fs::read_dir(folder)? {
                let file = entry?.file_name();
                let name = file.to_str().and_then(|file| file.strip_suffix(".results.csv"));
                names.extend(name.map(str::to_owned));
            }
            Ok(names)
        })
        .await?;
        let now = self.journal.rename_batch(batch.id, occupied, self.clock.now()).await?;
        tracing::warn!(batch = %batch.name, now = %now, "another file has the result's name");
        self.journal.wakes().outbox.notify_one();
        Ok(())
    }

    async fn write_temporary(&self, batch: &BatchWork, temporary: &Path) -> Result<String, PublishError> {
        let (journal, folder, batch) = (self.journal.clone(), self.folder.clone(), batch.clone());
        let name = temporary.file_name().unwrap_or_default().to_owned();
        blocking(move || {
            let mut sha256 = String::new();
            durable::write_file(&folder, &name, MODE, true, |out| {
                let mut hashing = Hashing { out, hash: Sha256::new() };
                write(&journal, &batch, &mut hashing).map_err(io::Error::other)?;
                sha256 = hex(&hashing.hash.finalize());
                Ok(())
            })?;
            Ok(sha256)
        })
        .await
    }

    async fn rename(&self, from: PathBuf, to: PathBuf) -> Result<bool, PublishError> {
        blocking(move || match durable::rename_new(&from, &to) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.into()),
        })
        .await
    }

    async fn remove(&self, path: PathBuf) -> Result<(), PublishError> {
        blocking(move || match durable::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => Ok(removed?),
        })
        .await
    }

    fn tell(&self, batch: &BatchWork, result: &str, out: CameOut) {
        let counts = by_status(batch);
        let n = |status| counts.get(&status).copied().unwrap_or(0);
        let rest: Vec<String> = counts
            .iter()
            .filter(|(status, _)| {
                !matches!(
                    status,
                    RowStatus::Completed | RowStatus::Rejected | RowStatus::Duplicate | RowStatus::Invalid
                )
            })
            .map(|(status, n)| format!("{status}:{n}"))
            .collect();
        let other = (!rest.is_empty()).then(|| rest.join(","));
        let presumed = batch.presumed_as_told();
        let took = took(batch.taken_at, self.clock.now());
        // What a person must look at is a warning.
        let held = n(RowStatus::Held);
        if held > 0 {
            tracing::warn!(batch = %batch.name, held, result = %result, "rows are held: their notes say what to do");
        }
        tracing::info!(
            batch = %batch.name, completed = n(RowStatus::Completed), rejected = n(RowStatus::Rejected),
            duplicate = n(RowStatus::Duplicate), invalid = n(RowStatus::Invalid), other,
            cost = %batch.charged, presumed, took, result = %result,
            "{}", told(out)
        );
    }
}

/// What a result file is called between its batch's name and its extension.
const fn kind(file: ResultFile) -> &'static str {
    match file {
        ResultFile::Results => "results",
        ResultFile::Settled => "settled",
    }
}

/// `NAME.settled.csv`, `NAME.settled-2.csv`…
fn settled_file(name: &str, n: u32) -> String {
    let kind = kind(ResultFile::Settled);
    if n == 1 { format!("{name}.{kind}.csv") } else { format!("{name}.{kind}-{n}.csv") }
}

/// The number of a settled file, 0 of any other.
fn settled_number(file: &str) -> u32 {
    let kind = file.strip_suffix(".csv").and_then(|file| file.rsplit_once('.')).map(|(_, kind)| kind);
    match kind.and_then(|kind| kind.strip_prefix("settled")) {
        Some("") => 1,
        Some(n) => n.strip_prefix('-').and_then(|n| n.parse().ok()).unwrap_or(0),
        None => 0,
    }
}

/// The log's words for how a file came out.
const fn told(out: CameOut) -> &'static str {
    match out {
        CameOut::Whole => "file done",
        CameOut::RowsOpen => "file published, some rows still open",
        CameOut::Outdated => "file published, rows changed meanwhile: it comes out again",
    }
}

/// How long a file was at work; `None`: by a clock that was set back since it was taken it isn't known.
fn took(taken_at: Timestamp, now: Timestamp) -> Option<String> {
    (now >= taken_at).then(|| words::span(now.since(taken_at)))
}

/// Writes a batch's rows, page by page, as they stand.
pub(super) fn write(journal: &Journal, batch: &BatchWork, out: &mut dyn Write) -> Result<(), PublishError> {
    write_pages(batch, out, |after| journal.read_here(|view| view.result_rows(batch.id, after, PAGE_ROWS)))
}

/// Writes what is known of a batch's rows, for whoever only reads the journal: a batch in work as it stands.
///
/// # Errors
/// The journal can't be read, `out` not written, or not every row is there (the batch is being taken in).
pub fn write_result(view: &View, batch: &BatchWork, out: &mut dyn Write) -> Result<(), PublishError> {
    write_pages(batch, out, |after| view.result_rows(batch.id, after, PAGE_ROWS))
}

/// Each page is a transaction of its own: a long table holds nothing up.
fn write_pages(
    batch: &BatchWork,
    out: &mut dyn Write,
    page_after: impl Fn(u32) -> Result<Vec<ResultRow>, JournalError>,
) -> Result<(), PublishError> {
    let header: Header =
        serde_json::from_str(&batch.header).map_err(|error| PublishError::Header(batch.id, error))?;
    let mut writer = ResultWriter::new(out, &header)?;
    let mut after = 0u32;
    let mut rows = 0u64;
    loop {
        let page = page_after(after)?;
        let Some(last) = page.last() else { break };
        after = last.row;
        for row in &page {
            writer.row(&row.raw, &cells::cells(row, &header))?;
            rows = rows.saturating_add(1);
        }
    }
    writer.finish()?;
    // One line a row, or nothing is published.
    if rows == batch.rows_total { Ok(()) } else { Err(PublishError::Broken) }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PublishError> + Send + 'static,
) -> Result<T, PublishError> {
    pulse::spawn_blocking(work).await.unwrap_or(Err(PublishError::Broken))
}

/// The hash of what is at `path`, if anything is.
async fn hash_of(path: PathBuf) -> Result<Option<String>, PublishError> {
    blocking(move || match std::fs::File::open(&path) {
        Ok(mut file) => {
            let mut hash = Sha256::new();
            io::copy(&mut file, &mut hash)?;
            Ok(Some(hex(&hash.finalize())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    })
    .await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Hashing<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        if let Some(written) = bytes.get(..written) {
            self.hash.update(written);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_a_file_took_is_left_out_where_the_clock_was_set_back_behind_it() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        assert_eq!(took(at(60), at(784)).as_deref(), Some("12m04s"));
        assert_eq!(took(at(60), at(60)).as_deref(), Some("0s"));
        assert_eq!(took(at(60), at(59)), None);
    }
}
