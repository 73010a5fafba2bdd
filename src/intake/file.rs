//! One taken file, from `.taken` to the archive or to `rejected/`.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::durable;
use crate::gate::Pause;
use crate::inbox::{Stamp, Taken, hash_file};
use crate::journal::{
    BatchState, Journal, JournalError, Link, NewBatch, NewRow, OpenFile, OrderFor, Refused, RowOrder,
};
use crate::meter::Meter;
use crate::result::{Header, name_in_outbox};
use crate::settings::Settings;
use crate::types::{BatchId, Money, OrderId, ServiceId, Timestamp};
use crate::words;

use super::ahead::Ahead;
use super::reader::{OpenError, ReadError, Table};
use super::reason::invalid_note;

/// Rows whose IMEIs are sorted in memory at once: 32 bytes each, whatever the file's size.
const SEGMENT_ROWS: u32 = 1_000_000;
/// Memory of so many sorted rows is given back at once.
const GIVEN_BACK_ROWS: usize = 64_000;
/// What a call takes until one was measured, for the estimate: the provider's average.
const USUAL_LATENCY: Duration = Duration::from_millis(3600);

/// Why a file isn't worked through now. It lies in `.taken`, and is tried again.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The journal can't be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The file can't be read or moved.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It isn't the file any more that was taken.
    #[error("it was changed while it was being read; nothing of it is sent")]
    Changed,
    /// Its service is no longer configured.
    #[error("no service has the network id {0} any more")]
    NoService(String),
}

/// One taken file, to be worked through.
pub struct Work {
    /// Where its rows go.
    pub journal: Journal,
    /// The time.
    pub clock: Clock,
    /// The configuration in force.
    pub settings: Arc<Settings>,
    /// How long calls take, for the estimate in the log.
    pub meter: Arc<Meter>,
    /// The file.
    pub taken: Taken,
}

/// What became of a file's rows.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    rows: u64,
    orders: u64,
    known: u64,
    invalid: u64,
}

impl Work {
    /// Does what is left to do for it, whatever the last process had done, up to the archive or `rejected/`. Blocks.
    ///
    /// # Errors
    /// Not now: it lies in `.taken`, and is tried again.
    pub async fn finish(&self) -> Result<(), WorkError> {
        let key = self.key()?;
        match self.journal.open_file(key.clone()).await? {
            None => self.begin(key).await,
            Some(OpenFile::Refused(refused)) => self.move_refused(key, refused).await,
            Some(OpenFile::Batch { state: BatchState::Taking, .. }) => self.begin(key).await,
            Some(OpenFile::Batch { id, .. }) => self.archive(id).await,
        }
    }

    /// Its folder in `.taken`, which is its identity.
    fn key(&self) -> Result<String, WorkError> {
        self.taken.key().ok_or_else(|| io::Error::other("it lies in no folder of its own").into())
    }

    async fn begin(&self, key: String) -> Result<(), WorkError> {
        let service = self.settings.config.service(&self.taken.network_id);
        let number = self.settings.number(&self.taken.network_id);
        let (Some(service), Some(number)) = (service, number) else {
            return Err(WorkError::NoService(self.taken.network_id.to_string()));
        };
        let (before, hash) = hash_file(&self.taken.path)?;
        let mut first: Vec<OrderFor> = Vec::new();
        let note = |row, imei| {
            if row <= SEGMENT_ROWS {
                first.push(OrderFor { imei, row });
            }
        };
        let file = durable::open_regular(&self.taken.path)?;
        let mut table = match Table::open_and_tell(file, service.luhn, note) {
            Ok(table) => table,
            Err(OpenError::Refused(refusal)) => {
                let reason = refusal.text(&self.taken.shown_name());
                return self.refuse(key, reason).await;
            }
            Err(OpenError::Io(error)) => return Err(error.into()),
        };
        let header = table.header().clone();
        let (rows, column) = (table.row_count(), header.imei_name());
        tracing::debug!(file = %self.taken.shown_name(), rows, %column, "read as a table");
        let new = NewBatch {
            key,
            stem: stem(&self.taken.shown_name()),
            file_name: self.taken.shown_name(),
            sha256: hash.to_string(),
            bytes: self.taken.size,
            service: number,
            header: serde_json::to_string(&header).map_err(io::Error::other)?,
            rows: u64::from(table.row_count()),
            occupied: occupied(&self.settings.config.folders.outbox, name_of_result)?,
        };
        let (batch, name) = self.journal.begin_batch(new, self.clock.now()).await?;
        let counts = self.fill(batch, number, &mut table, &header, first).await?;
        // A writer that held the file open could have changed it after it was taken.
        if Stamp::of(&std::fs::symlink_metadata(&self.taken.path)?) != before {
            return Err(WorkError::Changed);
        }
        self.journal.open_batch(batch, self.clock.now()).await?;
        self.tell(&name, &header, counts, service.price, number).await;
        self.archive(batch).await
    }

    /// `first`: the first segment's rows, as they were judged.
    async fn fill(
        &self,
        batch: BatchId,
        service: ServiceId,
        table: &mut Table<File>,
        header: &Header,
        first: Vec<OrderFor>,
    ) -> Result<Counts, WorkError> {
        let recheck = self.settings.service(service).and_then(|service| service.recheck_after);
        let finished_before = recheck.map(|after| self.clock.now().minus(after));
        let mut counts = Counts { rows: u64::from(table.row_count()), ..Counts::default() };
        let (mut from, mut judged) = (0u32, Some(first));
        while from < table.row_count() {
            let until = from.saturating_add(SEGMENT_ROWS);
            let wanted = match judged.take() {
                Some(first) => first,
                None => segment(table, from, until)?,
            };
            let mut linked = self.link(batch, service, wanted, finished_before).await?;
            linked.sort_unstable_by_key(|row| row.row);
            self.write_rows(batch, table, header, (from, until), &linked, &mut counts).await?;
            from = until;
        }
        Ok(counts)
    }

    /// Gives each of these rows its order, by IMEI. What is done is given back as it goes: a million rows lie in memory
    /// once, not twice.
    async fn link(
        &self,
        batch: BatchId,
        service: ServiceId,
        mut wanted: Vec<OrderFor>,
        finished_before: Option<Timestamp>,
    ) -> Result<Vec<RowOrder>, WorkError> {
        wanted.sort_unstable_by(|one, other| other.cmp(one));
        let mut linked: Vec<RowOrder> = Vec::new();
        let mut ahead = Ahead::default();
        while !wanted.is_empty() {
            let mut slice = wanted.split_off(wanted.len().saturating_sub(ahead.rows));
            slice.reverse();
            let journal = self.journal.clone();
            let written = async move { journal.link_orders(batch, service, slice, finished_before).await };
            linked.extend(ahead.write(written).await?.unwrap_or_default());
            if wanted.capacity().saturating_sub(wanted.len()) > GIVEN_BACK_ROWS {
                wanted.shrink_to_fit();
            }
        }
        linked.extend(ahead.end().await?.unwrap_or_default());
        Ok(linked)
    }

    async fn write_rows(
        &self,
        batch: BatchId,
        table: &mut Table<File>,
        header: &Header,
        (from, until): (u32, u32),
        linked: &[RowOrder],
        counts: &mut Counts,
    ) -> Result<(), WorkError> {
        let mut orders = linked.iter().peekable();
        let mut slice = Vec::new();
        let mut ahead = Ahead::default();
        for row in table.rows()? {
            let row = row.map_err(read_error)?;
            if row.number <= from || row.number > until {
                continue;
            }
            let linked = orders.next_if(|linked| linked.row == row.number);
            let order: Option<(OrderId, Link)> = linked.map(|linked| (linked.order, linked.link));
            let why_not = match &row.imei {
                Ok(_) if order.is_some() => None,
                Ok(_) => return Err(WorkError::Changed),
                Err(error) => Some(invalid_note(header, &row.imei_cell(header), error)),
            };
            let count = match linked {
                Some(linked) if !linked.is_known => &mut counts.orders,
                Some(_) => &mut counts.known,
                None => &mut counts.invalid,
            };
            *count = count.saturating_add(1);
            slice.push(NewRow { row: row.number, order, why_not, raw: row.raw });
            if slice.len() >= ahead.rows {
                let (journal, rows) = (self.journal.clone(), std::mem::take(&mut slice));
                ahead.write(async move { journal.insert_rows(batch, rows).await }).await?;
            }
        }
        ahead.end().await?;
        self.journal.insert_rows(batch, slice).await?;
        Ok(())
    }

    async fn tell(&self, name: &str, header: &Header, counts: Counts, price: Money, service: ServiceId) {
        let cost = price.checked_mul(counts.orders).unwrap_or(Money::ZERO);
        let eta =
            if self.goes(service).await { words::span(self.eta(counts.orders)) } else { "-".to_owned() };
        tracing::info!(
            batch = %name, rows = counts.rows, orders = counts.orders, known = counts.known,
            invalid = counts.invalid, cost = %cost, %eta, "file taken"
        );
        let others = header.other_imei_names();
        if !others.is_empty() {
            tracing::info!(batch = %name, column = %header.imei_name(), not = %others.join(", "), "several IMEI columns");
        }
    }

    /// Whether orders of this service go now: while they stand still nobody knows when they end.
    async fn goes(&self, service: ServiceId) -> bool {
        let is_paused = |pauses: Vec<Pause>| pauses.iter().any(|pause| pause.covers(service));
        self.meter.standstill(self.clock.now()).is_none() && !self.journal.pauses().await.is_ok_and(is_paused)
    }

    /// How long so many orders take, every worker at it.
    fn eta(&self, orders: u64) -> Duration {
        let latency = Some(self.meter.read(self.clock.now()).p50).filter(|p50| !p50.is_zero());
        let workers = u64::try_from(self.settings.config.submit.workers).unwrap_or(1).max(1);
        let calls_each = u32::try_from(orders.div_ceil(workers)).unwrap_or(u32::MAX);
        latency.unwrap_or(USUAL_LATENCY).saturating_mul(calls_each)
    }

    async fn archive(&self, batch: BatchId) -> Result<(), WorkError> {
        let day = self.clock.local_day(self.taken.taken_at);
        let archive = &self.settings.config.folders.archive;
        let folder = archive.join(dated(day));
        match durable::make_dir(&folder, 0o2775) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|error| in_folder(archive, &error))?,
        }
        let path = durable::move_file(&self.taken.path, &folder, &self.taken.name)
            .map_err(|error| in_folder(archive, &error))?;
        let bytes = std::fs::metadata(&path)?.len();
        self.journal.batch_archived(batch, path.display().to_string(), bytes, self.clock.now()).await?;
        Ok(self.taken.remove_place()?)
    }

    async fn refuse(&self, key: String, reason: String) -> Result<(), WorkError> {
        let taken = occupied(&self.settings.config.folders.rejected, |name| Some(name.to_owned()))?;
        let name = self.taken.shown_name();
        let refused = self.journal.refuse_file(key.clone(), name, reason, taken, self.clock.now()).await?;
        self.move_refused(key, refused).await
    }

    /// The reason first: a file in `rejected/` always has one beside it.
    async fn move_refused(&self, key: String, refused: Refused) -> Result<(), WorkError> {
        let rejected = &self.settings.config.folders.rejected;
        let dest = OsStr::new(&refused.dest_name);
        let reason_name = durable::with_suffix(dest, ".reason.txt");
        durable::write_file(rejected, &reason_name, 0o664, true, |out| {
            out.write_all(refused.reason.as_bytes())
        })
        .map_err(|error| in_folder(rejected, &error))?;
        durable::move_file(&self.taken.path, rejected, dest).map_err(|error| in_folder(rejected, &error))?;
        self.journal.file_refused(key, self.clock.now()).await?;
        let why = super::reason::why(&refused.reason);
        tracing::warn!(file = %self.taken.shown_name(), reason = %why, see = %reason_name.to_string_lossy(), "file refused");
        Ok(self.taken.remove_place()?)
    }
}

/// The rows of one segment that hold an IMEI.
fn segment(table: &mut Table<File>, from: u32, until: u32) -> Result<Vec<OrderFor>, WorkError> {
    let mut wanted: Vec<OrderFor> = Vec::new();
    for row in table.rows()? {
        let row = row.map_err(read_error)?;
        if let (true, Ok(imei)) = (row.number > from && row.number <= until, row.imei) {
            wanted.push(OrderFor { imei, row: row.number });
        }
    }
    Ok(wanted)
}

/// `error`, with the folder that it is about and what to do.
fn in_folder(folder: &Path, error: &io::Error) -> io::Error {
    let text = format!(
        "{}: {error} (the folder must be there, have room, and be writable for imeid's user)",
        folder.display()
    );
    io::Error::new(error.kind(), text)
}

fn read_error(error: ReadError) -> WorkError {
    match error {
        ReadError::Io(error) => WorkError::Io(error),
        ReadError::Changed(_) => WorkError::Changed,
    }
}

/// Longest NAME, bytes: its files' names, temporary ones too, stay below what a file system takes (255).
const NAME_BYTES_MAX: usize = 200;

/// A file's name without its last extension; a name that is all extension stays. Too long a one is cut.
fn stem(name: &str) -> String {
    let stem = match name.rfind('.') {
        Some(dot) if dot > 0 => name.get(..dot).unwrap_or(name),
        _ => name,
    };
    stem.char_indices()
        .take_while(|(at, character)| at.saturating_add(character.len_utf8()) <= NAME_BYTES_MAX)
        .map(|(_, character)| character)
        .collect()
}

fn dated(day: i64) -> PathBuf {
    PathBuf::from(format!("{:04}-{:02}-{:02}", day / 10_000, day / 100 % 100, day % 100))
}

fn name_of_result(file: &str) -> Option<String> {
    name_in_outbox(file).map(str::to_owned)
}

fn occupied(folder: &Path, name_of: impl Fn(&str) -> Option<String>) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(|error| in_folder(folder, &error))? {
        names.extend(entry?.file_name().to_str().and_then(&name_of));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_the_files_name_without_its_last_extension() {
        for (file, name) in [("stock.csv", "stock"), ("a.b.csv", "a.b"), ("stock", "stock"), (".csv", ".csv")]
        {
            assert_eq!(stem(file), name);
        }
        assert_eq!(stem(&format!("{}.csv", "ä".repeat(120))), "ä".repeat(100));
    }
}
