//! One export, from `.taken` to the archive.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::durable;
use crate::inbox::{Stamp, Taken};
use crate::journal::{
    ExportRow, Journal, JournalError, OpenFile, ReadExport, Refused, SettledBy, Sorted, TurnedBy, Unmatched,
    View,
};
use crate::settings::Settings;
use crate::types::Titles;

use super::clearing::Clearing;
use super::dates::Dates;
use super::read::{Export, OpenError, ReadRow};
use super::reason::{Kind, Leftovers, not_an_export, repeated_lines};
use super::several::{Hashes, Several};
use super::turned::{OfKey, TurnedRows};

/// Rows in one operation: a slice of a few milliseconds, so that claims come between.
const SLICE_ROWS: usize = 200;
/// Rows of one IMEI that are looked at: two are an alarm already.
pub(super) const ROWS_OF_A_KEY: usize = 20;

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

/// What became of an export's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    rows: u64,
    /// They settled an order of ours, or would have if it weren't settled.
    settled: u64,
    /// Kept for the answer of an order on the wire.
    kept: u64,
    /// Orders of ours that need no settling.
    ours: u64,
    /// Of no order of ours: remembered with their result.
    remembered: u64,
    /// A line above, word for word.
    repeated: u64,
    unmatched: u64,
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
        let mut slice = Vec::with_capacity(SLICE_ROWS);
        loop {
            match export.next(&self.titles) {
                Ok(Some(row)) => {
                    reading.counts.rows = reading.counts.rows.saturating_add(1);
                    match row {
                        ReadRow::Row(row) => {
                            reading.clearing.add(&row);
                            slice.push(*row);
                        }
                        ReadRow::UnknownTitle(line, title) => {
                            reading.clearing.add_unknown();
                            reading.left.add(Kind::UnknownTitle, line, &title);
                        }
                        ReadRow::SharedTitle(line, title) => {
                            reading.clearing.add_unknown();
                            reading.left.add(Kind::SharedTitle, line, &title);
                        }
                        ReadRow::Unreadable(line, why) => {
                            reading.clearing.add_unknown();
                            reading.left.add(Kind::Unreadable, line, &why);
                        }
                    }
                }
                Ok(None) => break,
                // What lies behind it can't be told apart from it.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    reading.clearing.add_unknown();
                    let rest = format!("and all below: {error}");
                    reading.left.add(Kind::Unreadable, reading.counts.rows.saturating_add(2), &rest);
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            if slice.len() >= SLICE_ROWS {
                self.sort(&mut reading, std::mem::take(&mut slice)).await?;
            }
        }
        self.sort(&mut reading, slice).await?;
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

    async fn sort(&self, reading: &mut Reading, rows: Vec<ExportRow>) -> Result<(), WorkError> {
        if rows.is_empty() {
            return Ok(());
        }
        if self.stop.is_cancelled() {
            return Err(WorkError::Stopped);
        }
        let told: Vec<Told> = rows.iter().map(Told::of).collect();
        let rules = (*self.settings.rules).clone();
        let sorted = self.journal.sort_export(rows, self.clock.now(), rules).await?;
        for (told, sorted) in told.iter().zip(sorted) {
            reading.add(told, sorted);
        }
        Ok(())
    }

    /// The whole of it is read: its dates can be placed now, and each order has all rows that may be its own.
    async fn settle(&self, reading: &mut Reading) -> Result<(), WorkError> {
        for mut rows in std::mem::take(&mut reading.wanted).into_values() {
            for row in &mut rows {
                row.placed = row.told_at.and_then(|told_at| reading.dates.on_our_clock(told_at));
            }
            let lines: Vec<(u64, String)> =
                rows.iter().map(|row| (row.line, format!("IMEI {:015}", row.imei))).collect();
            let rules = (*self.settings.rules).clone();
            let settled = self.journal.settle_by_export(rows, self.clock.now(), rules).await?;
            for ((line, imei), settled) in lines.into_iter().zip(settled) {
                let count = match settled {
                    SettledBy::Settled => &mut reading.counts.settled,
                    SettledBy::Kept => &mut reading.counts.kept,
                    SettledBy::Unmatched(why) => {
                        reading.tell(Kind::Order(why), line, &imei);
                        continue;
                    }
                };
                *count = count.saturating_add(1);
            }
        }
        Ok(())
    }

    /// All rows of each IMEI of which it shows an order with another end, or several orders: which those are is known only
    /// now.
    fn read_again(&self, reading: &mut Reading) -> Result<(), WorkError> {
        if reading.turned.is_empty() && reading.several.is_empty() {
            return Ok(());
        }
        // It was an export a moment ago.
        let mut export =
            Export::open(durable::open_regular(&self.taken.path)?).map_err(|_| WorkError::Changed)?;
        loop {
            match export.next(&self.titles) {
                Ok(Some(ReadRow::Row(row))) => {
                    reading.several.add_again(&row);
                    if reading.turned.add_again(*row) {
                        reading.counts.ours = reading.counts.ours.saturating_add(1);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                // As at the first reading: what lies behind it isn't read.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Orders of ours that had ended otherwise.
    async fn turn(&self, reading: &mut Reading) -> Result<(), WorkError> {
        let (of_keys, made_after) = std::mem::take(&mut reading.turned).placed(&reading.dates);
        for OfKey { mut lines, rows } in of_keys {
            let Some(imei) = rows.first().map(|row| format!("IMEI {:015}", row.imei)) else { continue };
            let of_rows: Vec<u64> = rows.iter().map(|row| row.line).collect();
            let rules = (*self.settings.rules).clone();
            let turned = self.journal.turn_by_export(rows, made_after, self.clock.now(), rules).await?;
            // The others were counted as what they are at the first reading.
            for (line, by) in of_rows.into_iter().zip(turned).filter(|(line, _)| lines.remove(line)) {
                let kind = match by {
                    TurnedBy::Turned => {
                        reading.counts.settled = reading.counts.settled.saturating_add(1);
                        continue;
                    }
                    TurnedBy::AsKnown => {
                        reading.counts.ours = reading.counts.ours.saturating_add(1);
                        continue;
                    }
                    TurnedBy::Remembered => {
                        reading.counts.remembered = reading.counts.remembered.saturating_add(1);
                        reading.told.insert(line);
                        continue;
                    }
                    TurnedBy::NotOurs => Kind::Order(Unmatched::More),
                    TurnedBy::NoDate => Kind::Order(Unmatched::NoDate),
                    TurnedBy::Unsure => Kind::OtherEnd,
                    TurnedBy::WhichOrder => Kind::WhichOrder,
                };
                reading.tell(kind, line, &imei);
            }
            // More rows of one IMEI than are looked at.
            lines.into_iter().for_each(|line| reading.tell(Kind::WhichOrder, line, &imei));
        }
        Ok(())
    }

    /// Rows of IMEIs beyond our orders of them.
    async fn tell_beyond_ours(&self, reading: &mut Reading) -> Result<(), WorkError> {
        if let Some(left_out) = reading.several.what_is_left_out() {
            reading.left.note(left_out);
        }
        let (of_keys, repeated) = std::mem::take(&mut reading.several).placed(&reading.dates);
        reading.counts.repeated = reading.counts.repeated.saturating_add(repeated);
        reading.counts.ours = reading.counts.ours.saturating_sub(repeated);
        for mut rows in of_keys {
            rows.retain(|row| !reading.told.contains(&row.line));
            let Some(imei) = rows.first().map(|row| format!("IMEI {:015}", row.imei)) else { continue };
            let rules = &self.settings.rules;
            let now = self.clock.now();
            let beyond = self.journal.beyond_ours(rows.clone(), now, (**rules).clone()).await?;
            if beyond.is_empty() {
                continue;
            }
            rows.retain(|row| beyond.contains(&row.line));
            let kept = self.journal.keep_successor(rows, self.clock.now(), (**rules).clone()).await?;
            for line in beyond {
                reading.counts.ours = reading.counts.ours.saturating_sub(1);
                if kept.contains(&line) {
                    reading.tell(Kind::Successor, line, &imei);
                    continue;
                }
                reading.tell(Kind::Order(Unmatched::More), line, &imei);
            }
        }
        if reading.counts.repeated > 0 {
            reading.left.note(repeated_lines(reading.counts.repeated));
        }
        Ok(())
    }

    /// What was presumed of orders whose id is known, and isn't in it.
    async fn clear(&self, reading: &mut Reading) -> Result<(), WorkError> {
        if let Some(why) = reading.clearing.why_not() {
            tracing::warn!(file = %self.taken.shown_name(), "{why}");
            reading.left.note(why);
        }
        let Some(shown) = std::mem::take(&mut reading.clearing).shown(&reading.dates) else { return Ok(()) };
        let account = self.settings.config.provider.account.clone();
        let rules = (*self.settings.rules).clone();
        let dates = std::mem::take(&mut reading.dates);
        let placed = move |told_at| dates.on_our_clock(told_at);
        let cleared = self.journal.clear_by_export(account, shown, placed, self.clock.now(), rules).await?;
        if cleared > 0 {
            tracing::info!(cleared, "presumed charges cleared by the export");
        }
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

/// What is kept of a row while it is sorted.
struct Told {
    line: u64,
    at: Option<i64>,
    hashes: Hashes,
}

impl Told {
    fn of(row: &ExportRow) -> Self {
        Self { line: row.line, at: row.told_at, hashes: Hashes::of(row) }
    }
}

/// An export that is being read.
#[derive(Default)]
struct Reading {
    counts: Counts,
    left: Leftovers,
    /// Lines of orders of ours that people are told of.
    told: BTreeSet<u64>,
    dates: Dates,
    clearing: Clearing,
    /// By key: rows that may settle an order. No more of them than orders wait for evidence.
    wanted: BTreeMap<(i64, u64), Vec<ExportRow>>,
    turned: TurnedRows,
    several: Several,
}

impl Reading {
    fn add(&mut self, told: &Told, sorted: Sorted) {
        match sorted {
            Sorted::Wanted(row) => self.add_wanted(*row),
            Sorted::Ours(attempt) => {
                self.counts.ours = self.counts.ours.saturating_add(1);
                self.several.add(told.hashes);
                if let (Some((begun, ended)), Some(told_at)) = (attempt, told.at) {
                    self.turned.add_ours(told_at, (begun, ended));
                    self.dates.add(told_at, begun.millis(), ended.millis());
                }
            }
            Sorted::Turned(row) => {
                self.several.add(told.hashes);
                self.turned.add(&row);
            }
            Sorted::Remembered => self.counts.remembered = self.counts.remembered.saturating_add(1),
            Sorted::Unfinished => self.left.add(Kind::Unfinished, told.line, ""),
        }
    }

    fn add_wanted(&mut self, row: ExportRow) {
        let rows = self.wanted.entry(row.export_key()).or_default();
        if rows.iter().any(|known| known.raw == row.raw) {
            self.counts.repeated = self.counts.repeated.saturating_add(1);
        } else if rows.len() < ROWS_OF_A_KEY {
            rows.push(row);
        } else {
            self.left.add(Kind::Order(Unmatched::More), row.line, &format!("IMEI {:015}", row.imei));
        }
    }

    fn tell(&mut self, kind: Kind, line: u64, detail: &str) {
        self.told.insert(line);
        self.left.add(kind, line, detail);
    }
}

fn names_in(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        names.extend(entry?.file_name().to_str().map(str::to_owned));
    }
    Ok(names)
}
