//! Reading an export: its rows sorted in slices, and what is gathered of them until the whole of it is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;

use serde::Serialize;

use crate::durable;
use crate::journal::{ExportRow, Sorted, Unmatched};

use super::clearing::Clearing;
use super::dates::Dates;
use super::file::{Work, WorkError};
use super::read::{Export, ReadRow};
use super::reason::{Kind, Leftovers};
use super::several::{Hashes, Several};
use super::turned::TurnedRows;

/// Rows in one operation: a slice of a few milliseconds, so that claims come between.
const SLICE_ROWS: usize = 200;
/// Rows of one IMEI that are looked at: two are an alarm already.
pub(super) const ROWS_OF_A_KEY: usize = 20;

/// What became of an export's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) rows: u64,
    /// They settled an order of ours, or would have if it weren't settled.
    pub(super) settled: u64,
    /// Kept for the answer of an order on the wire.
    pub(super) kept: u64,
    /// Orders of ours that need no settling.
    pub(super) ours: u64,
    /// Of no order of ours: remembered with their result.
    pub(super) remembered: u64,
    /// A line above, word for word.
    pub(super) repeated: u64,
    pub(super) unmatched: u64,
}

impl Work {
    /// All its rows, once.
    pub(super) async fn read_first(
        &self,
        reading: &mut Reading,
        export: &mut Export<File>,
    ) -> Result<(), WorkError> {
        let mut slice = Vec::with_capacity(SLICE_ROWS);
        loop {
            match export.next(&self.titles) {
                Ok(Some(row)) => slice.extend(reading.see(row)),
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
                self.sort(reading, std::mem::take(&mut slice)).await?;
            }
        }
        self.sort(reading, slice).await
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

    /// All rows of each IMEI of which it shows an order with another end, or several orders: which those are is known only
    /// now.
    pub(super) fn read_again(&self, reading: &mut Reading) -> Result<(), WorkError> {
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
pub(super) struct Reading {
    pub(super) counts: Counts,
    pub(super) left: Leftovers,
    /// Lines of orders of ours that people are told of.
    pub(super) told: BTreeSet<u64>,
    pub(super) dates: Dates,
    pub(super) clearing: Clearing,
    /// By key: rows that may settle an order. No more of them than orders wait for evidence.
    pub(super) wanted: BTreeMap<(i64, u64), Vec<ExportRow>>,
    pub(super) turned: TurnedRows,
    pub(super) several: Several,
}

impl Reading {
    /// A row as it is read; given back where it can be.
    fn see(&mut self, row: ReadRow) -> Option<ExportRow> {
        self.counts.rows = self.counts.rows.saturating_add(1);
        let (kind, line, detail) = match row {
            ReadRow::Row(row) => {
                self.clearing.add(&row);
                return Some(*row);
            }
            ReadRow::UnknownTitle(line, title) => (Kind::UnknownTitle, line, title),
            ReadRow::SharedTitle(line, title) => (Kind::SharedTitle, line, title),
            ReadRow::Unreadable(line, why) => (Kind::Unreadable, line, why),
        };
        self.clearing.add_unknown();
        self.left.add(kind, line, &detail);
        None
    }

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
            Sorted::Loose => {
                self.counts.ours = self.counts.ours.saturating_add(1);
                self.several.add_to_look_at(told.hashes);
            }
            Sorted::Turned(row) => {
                self.several.add_to_look_at(told.hashes);
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

    pub(super) fn tell(&mut self, kind: Kind, line: u64, detail: &str) {
        self.told.insert(line);
        self.left.add(kind, line, detail);
    }
}
