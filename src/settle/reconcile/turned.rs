//! Rows that show another end than our order came to: gathered while an export is read, and held against the order once
//! the whole of it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::{ExportKey, ExportRow};
use crate::types::Timestamp;

use super::dates::Dates;
use super::reading::ROWS_OF_A_KEY;

/// What is gathered.
#[derive(Default)]
pub(super) struct TurnedRows {
    rows: BTreeMap<ExportKey, OfKey>,
    /// Of the orders of ours in it, the one begun last: its date, its beginning and its end.
    latest: Option<(i64, Timestamp, Timestamp)>,
}

/// What is gathered of a key.
#[derive(Default)]
pub(super) struct OfKey {
    /// The lines that can show another end.
    pub(super) lines: BTreeSet<u64>,
    /// All its rows, those that show what is known too: by them it is told whose that other end is.
    pub(super) rows: Vec<ExportRow>,
}

impl TurnedRows {
    pub(super) fn add(&mut self, row: &ExportRow) {
        self.rows.entry(row.export_key()).or_default().lines.insert(row.line);
    }

    /// An order of ours is in it.
    pub(super) fn add_ours(&mut self, told_at: i64, (begun, ended): (Timestamp, Timestamp)) {
        if self.latest.is_none_or(|(_, before, _)| before < begun) {
            self.latest = Some((told_at, begun, ended));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A row of it, at the second reading. True: it can show another end, and is there once more, word for word.
    pub(super) fn add_again(&mut self, row: ExportRow) -> bool {
        let Some(of_key) = self.rows.get_mut(&row.export_key()) else { return false };
        if of_key.rows.iter().any(|known| known.raw == row.raw) {
            return of_key.lines.remove(&row.line);
        }
        if of_key.rows.len() < ROWS_OF_A_KEY {
            of_key.rows.push(row);
        }
        false
    }

    /// The rows by key, their dates placed, and the time after which the export was made for sure.
    pub(super) fn placed(self, dates: &Dates) -> (Vec<OfKey>, Option<Timestamp>) {
        let is_from_then = |(told_at, begun, ended): &(i64, Timestamp, Timestamp)| {
            let placed = dates.on_our_clock(*told_at);
            placed.is_some_and(|(earliest, latest)| earliest <= ended.millis() && latest >= begun.millis())
        };
        let made_after = self.latest.filter(is_from_then).map(|(_, begun, _)| begun);
        let place = |mut of_key: OfKey| {
            for row in &mut of_key.rows {
                row.placed = row.told_at.and_then(|told_at| dates.on_our_clock(told_at));
            }
            of_key
        };
        (self.rows.into_values().map(place).collect(), made_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::ExportedCells;

    const DAY: i64 = 86_400_000;

    fn row(imei: u64) -> ExportRow {
        ExportRow {
            line: 2,
            service: 1,
            imei,
            status: 3,
            code: String::new(),
            cells: ExportedCells::default(),
            told_at: Some(DAY),
            placed: None,
            raw: String::new(),
        }
    }

    /// When an export was made, one row of which shows another end, with orders of ours begun at these times, each dated as
    /// it was begun or `off` later.
    fn made_after(ours: &[(i64, i64)]) -> Option<Timestamp> {
        let (mut turned, mut dates) = (TurnedRows::default(), Dates::default());
        turned.add(&row(7));
        for (begun, off) in ours {
            let (begun, ended, told_at) = (*begun, begun + 2000, begun + off);
            turned.add_ours(told_at, (Timestamp::from_millis(begun), Timestamp::from_millis(ended)));
            dates.add(told_at, begun, ended);
        }
        for (imei, raw, repeats) in [(8, "a", false), (7, "b", false), (7, "c", false), (7, "b", true)] {
            let line = if repeats { 9 } else { 2 };
            turned.rows.entry((1, 7)).or_default().lines.extend(repeats.then_some(9));
            assert_eq!(turned.add_again(ExportRow { line, raw: raw.to_owned(), ..row(imei) }), repeats);
        }
        let (of_keys, made_after) = turned.placed(&dates);
        let [of_key] = &of_keys[..] else { panic!("one key") };
        assert_eq!((of_key.rows.len(), of_key.lines.len()), (2, 1), "all rows of the key");
        assert!(of_key.rows.iter().all(|row| row.placed.is_some() != ours.is_empty()));
        made_after
    }

    #[test]
    fn the_order_of_ours_begun_last_tells_when_an_export_was_made_at_the_earliest() {
        let last = DAY + 20_000;
        assert_eq!(made_after(&[(DAY, 0), (last, 0), (DAY + 9000, 0)]), Some(Timestamp::from_millis(last)));
        assert_eq!(made_after(&[]), None, "none of ours");
    }

    #[test]
    fn a_row_by_hand_before_an_order_of_ours_does_not_make_an_export_late() {
        let others = [(DAY, 0), (DAY + 3000, 0), (DAY + 6000, 0)];
        let by_hand = (DAY + 3_600_000, -3_600_000);
        assert_eq!(made_after(&[&others[..], &[by_hand]].concat()), None);
    }
}
