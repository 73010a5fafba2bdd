//! What an export shows beside the rows that settle something: gathered while it is read, and only where a charge is
//! presumed that it may clear.

use std::collections::BTreeSet;

use crate::journal::{ExportKey, ExportRow, Shown};

use super::dates::Dates;

/// Rows whose key and date are kept, at most: 32 MiB of them. An export of more clears nothing.
const ROWS_MAX: usize = 1_400_000;

/// What is gathered.
#[derive(Default)]
pub(super) struct Clearing {
    /// Keys of which a charge is presumed.
    presumed: BTreeSet<ExportKey>,
    shown: Shown,
    /// A row couldn't be read or be put to a service: it can be any, and so clears nothing.
    has_unknown: bool,
    /// It has more rows than are kept.
    is_too_long: bool,
}

impl Clearing {
    pub(super) fn of(presumed: BTreeSet<ExportKey>) -> Self {
        Self { presumed, ..Self::default() }
    }

    /// A row that can be read.
    pub(super) fn add(&mut self, row: &ExportRow) {
        if self.presumed.is_empty() || self.has_unknown {
            return;
        }
        let key = row.export_key();
        if self.shown.dated.len() >= ROWS_MAX {
            self.is_too_long = true;
            return self.add_unknown();
        }
        if let Some(told_at) = row.told_at {
            self.shown.dated.push((key, told_at));
        }
        self.shown.has_finished |= row.status().has_ended();
        self.shown.has_pending |= !row.status().has_ended();
        if self.presumed.contains(&key) {
            self.shown.rows.entry(key).or_default().push(row.clone());
        }
    }

    /// A row that isn't told.
    pub(super) fn add_unknown(&mut self) {
        self.has_unknown = true;
        self.shown = Shown::default();
    }

    /// What a person is told where it could have cleared something and doesn't; `None`: there is nothing to tell.
    pub(super) fn why_not(&self) -> Option<String> {
        if self.presumed.is_empty() || !self.has_unknown {
            return None;
        }
        let why = if self.is_too_long {
            format!(
                "It has more than {ROWS_MAX} rows. Download one of a shorter time, from before those were ordered to now, \
                 all statuses in it, and drop that."
            )
        } else {
            "Not each of its rows could be read and put to a service that imeid orders.".to_owned()
        };
        let charges = charges_of(self.presumed.len());
        Some(format!("{charges} presumed beside a known order, and this export clears none of it. {why}"))
    }

    /// What the log tells of an export that has rows of what is presumed, and can't be known to be whole: somebody may have
    /// asked for those of one status alone. `None`: that isn't so.
    pub(super) fn is_of_one_kind(&self) -> Option<String> {
        let why = match (self.shown.has_finished, self.shown.has_pending) {
            (true, false) => "each order in it has ended",
            (false, true) => "no order in it has ended",
            _ => return None,
        };
        let charges = charges_of(self.shown.rows.len());
        (!self.shown.rows.is_empty()).then(|| {
            format!(
                "{charges} presumed beside a known order, and this export clears none of it, as {why}: one with all \
                 statuses, downloaded while orders are in work, can"
            )
        })
    }

    /// What the whole of it shows; `None`: it clears nothing.
    pub(super) fn shown(mut self, dates: &Dates) -> Option<Shown> {
        if self.has_unknown || self.shown.rows.is_empty() {
            return None;
        }
        for row in self.shown.rows.values_mut().flatten() {
            row.placed = row.told_at.and_then(|told_at| dates.on_our_clock(told_at));
        }
        self.shown.dated.sort_unstable();
        Some(self.shown)
    }
}

fn charges_of(imeis: usize) -> String {
    match imeis {
        1 => "1 IMEI's charge is".to_owned(),
        n => format!("the charges of {n} IMEIs are"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::ExportedCells;

    fn row(imei: u64, status: u8) -> ExportRow {
        ExportRow {
            line: 2,
            service: 1,
            imei,
            status,
            code: String::new(),
            cells: ExportedCells::default(),
            told_at: Some(i64::from(status)),
            placed: None,
            raw: String::new(),
        }
    }

    fn of(rows: &[ExportRow]) -> Clearing {
        let mut clearing = Clearing::of(BTreeSet::from([(1, 7)]));
        rows.iter().for_each(|row| clearing.add(row));
        clearing
    }

    #[test]
    fn every_row_is_shown_and_those_that_are_presumed_as_they_stand() {
        let shown = of(&[row(9, 2), row(7, 1), row(9, 3), row(7, 2)]).shown(&Dates::default()).unwrap();
        assert_eq!(shown.dated, [((1, 7), 1), ((1, 7), 2), ((1, 9), 2), ((1, 9), 3)]);
        assert_eq!(shown.rows[&(1, 7)].len(), 2);
        assert!(shown.has_finished && shown.has_pending);
    }

    #[test]
    fn an_export_that_clears_nothing_for_what_it_is_says_so_where_there_is_something_to_clear() {
        assert_eq!(of(&[row(9, 2), row(7, 1)]).why_not(), None);
        let mut unreadable = of(&[row(7, 2)]);
        unreadable.add_unknown();
        let said = unreadable.why_not().unwrap();
        assert!(
            said.starts_with("1 IMEI's charge is presumed") && said.contains("Not each of its rows"),
            "{said}"
        );

        let mut long = of(&[]);
        (0..ROWS_MAX).for_each(|_| long.add(&row(9, 2)));
        assert_eq!(long.why_not(), None);
        long.add(&row(7, 1));
        let said = long.why_not().unwrap();
        assert!(said.contains("more than 1400000 rows") && said.contains("one of a shorter time"), "{said}");
        assert!(long.shown(&Dates::default()).is_none());

        let mut nothing_to_clear = Clearing::default();
        nothing_to_clear.add_unknown();
        assert_eq!(nothing_to_clear.why_not(), None);
    }

    #[test]
    fn an_export_whose_orders_have_all_ended_or_none_of_them_says_that_it_clears_nothing() {
        let said = |rows: &[ExportRow]| of(rows).is_of_one_kind().unwrap_or_default();
        let ended = said(&[row(7, 2), row(9, 3)]);
        assert!(
            ended.starts_with("1 IMEI's charge is") && ended.contains("each order in it has ended"),
            "{ended}"
        );
        assert!(said(&[row(7, 1), row(9, 1)]).contains("no order in it has ended"));
        assert_eq!(said(&[row(7, 2), row(9, 1)]), "");
        assert_eq!(said(&[row(9, 2)]), "", "there is nothing to clear in it");
    }

    #[test]
    fn a_row_that_can_be_anything_leaves_all_as_it_is() {
        let mut clearing = of(&[row(7, 2)]);
        clearing.add_unknown();
        clearing.add(&row(7, 2));
        assert!(clearing.shown(&Dates::default()).is_none());
        assert!(of(&[row(9, 2)]).shown(&Dates::default()).is_none(), "none of those that are presumed");
    }
}
