//! IMEIs that imeid ordered and that are in an export more than once: gathered while it is read, and held against our
//! orders of them once the whole of it is.
//!
//! Nearly every row is of an IMEI that is in it once. So of each only hashes are kept, 16 bytes, and which IMEIs are in it
//! several times is told by them; their rows are gathered at a second reading.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::journal::{ExportKey, ExportRow};

use super::dates::Dates;
use super::reading::ROWS_OF_A_KEY;

/// Rows of orders of ours that are looked at, at most: 32 MiB of hashes.
const ROWS_MAX: usize = 2_000_000;

/// Where IMEIs that are in it once are looked at too, so many rows at most: half a kilobyte each.
const SINGLE_ROWS_MAX: usize = 200_000;

/// Of a row: its key, and all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hashes {
    key: u64,
    row: u64,
}

impl Hashes {
    pub(super) fn of(row: &ExportRow) -> Self {
        Self { key: hash(&row.export_key()), row: hash(&row.raw) }
    }
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// What is gathered.
#[derive(Default)]
pub(super) struct Several {
    rows: Vec<Hashes>,
    /// It has more than are looked at.
    is_too_long: bool,
    /// IMEIs that are in it once are looked at too.
    of_single_ones: bool,
    /// Lines that are there once more, word for word.
    repeated: u64,
    /// The keys whose rows are looked at: those with several.
    keys: BTreeSet<u64>,
    of_keys: BTreeMap<ExportKey, Vec<ExportRow>>,
}

impl Several {
    /// Every row is held against our orders of its IMEI, as an older copy needs it.
    pub(super) const fn look_at_single_ones(&mut self) {
        self.of_single_ones = true;
    }

    /// A row of an order of ours, at the first reading.
    pub(super) fn add(&mut self, row: Hashes) {
        if self.rows.len() < ROWS_MAX {
            self.rows.push(row);
        } else {
            self.is_too_long = true;
        }
    }

    /// Likewise, and the rows of its key are looked at however many there are.
    pub(super) fn add_to_look_at(&mut self, row: Hashes) {
        self.add(row);
        self.keys.insert(row.key);
    }

    /// Finds the keys with several rows.
    pub(super) fn end_of_first_reading(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        let before = rows.len();
        rows.sort_unstable();
        rows.dedup();
        self.repeated = u64::try_from(before.saturating_sub(rows.len())).unwrap_or(u64::MAX);
        if self.of_single_ones {
            self.is_too_long |= rows.len() > SINGLE_ROWS_MAX;
            self.keys.extend(rows.iter().take(SINGLE_ROWS_MAX).map(|row| row.key));
            return;
        }
        let pairs = rows.iter().zip(rows.iter().skip(1));
        self.keys.extend(pairs.filter(|(row, next)| row.key == next.key).map(|(row, _)| row.key));
    }

    /// What a person is told where not all of its rows are looked at.
    pub(super) fn what_is_left_out(&self) -> Option<String> {
        let why = "rows of imeid's own orders: whether those below are of IMEIs that were ordered once more was not looked at";
        let most = if self.of_single_ones { SINGLE_ROWS_MAX } else { ROWS_MAX };
        self.is_too_long.then(|| format!("It has more than {most} {why}."))
    }

    /// There is nothing to read again.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A row, at the second reading.
    pub(super) fn add_again(&mut self, row: &ExportRow) {
        if !self.keys.contains(&Hashes::of(row).key) {
            return;
        }
        let rows = self.of_keys.entry(row.export_key()).or_default();
        if rows.len() < ROWS_OF_A_KEY && rows.iter().all(|known| known.raw != row.raw) {
            rows.push(row.clone());
        }
    }

    /// The rows by key, their dates placed, and how many lines there are once more.
    pub(super) fn placed(self, dates: &Dates) -> (Vec<Vec<ExportRow>>, u64) {
        let place = |mut rows: Vec<ExportRow>| {
            for row in &mut rows {
                row.placed = row.told_at.and_then(|told_at| dates.on_our_clock(told_at));
            }
            rows
        };
        (self.of_keys.into_values().map(place).collect(), self.repeated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::ExportedCells;

    fn row(imei: u64, raw: &str) -> ExportRow {
        ExportRow {
            line: 2,
            service: 1,
            imei,
            status: 2,
            code: String::new(),
            cells: ExportedCells::default(),
            told_at: None,
            placed: None,
            raw: raw.to_owned(),
        }
    }

    #[test]
    fn imeis_with_several_rows_are_gathered_and_lines_that_stand_twice_are_counted() {
        let rows = [row(7, "a"), row(8, "b"), row(7, "c"), row(9, "d"), row(9, "d"), row(7, "a")];
        let mut several = Several::default();
        rows.iter().for_each(|row| several.add(Hashes::of(row)));
        several.end_of_first_reading();
        assert!(!several.is_empty() && several.what_is_left_out().is_none());
        rows.iter().for_each(|row| several.add_again(row));
        let (of_keys, repeated) = several.placed(&Dates::default());
        let raw: Vec<&str> = of_keys.iter().flatten().map(|row| row.raw.as_str()).collect();
        assert_eq!((of_keys.len(), raw, repeated), (1, vec!["a", "c"], 2));
    }

    #[test]
    fn of_an_export_without_end_no_more_is_kept_and_that_is_told() {
        let mut several = Several::default();
        let one = Hashes::of(&row(7, "a"));
        (0..=ROWS_MAX).for_each(|_| several.add(one));
        assert_eq!(several.rows.len(), ROWS_MAX);
        assert!(several.what_is_left_out().unwrap().starts_with("It has more than 2000000 rows"));
    }
}
