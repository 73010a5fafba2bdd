//! Rows that show another end than our order came to: gathered while an export is read, and held against the order once
//! the whole of it is.

use std::collections::BTreeMap;

use crate::journal::{ExportKey, ExportRow};
use crate::types::Timestamp;

use super::dates::Dates;

/// What is gathered.
#[derive(Default)]
pub(super) struct TurnedRows {
    /// By key, and how many rows of the key there are in all.
    rows: BTreeMap<ExportKey, (ExportRow, usize)>,
    /// Of the orders of ours in it, the one begun last: its date, its beginning and its end.
    latest: Option<(i64, Timestamp, Timestamp)>,
}

impl TurnedRows {
    pub(super) fn add(&mut self, row: ExportRow) {
        self.rows.entry(row.export_key()).or_insert((row, 0));
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

    /// A row of it, at the second reading.
    pub(super) fn count(&mut self, row: &ExportRow) {
        if let Some((_, count)) = self.rows.get_mut(&row.export_key()) {
            *count = count.saturating_add(1);
        }
    }

    /// Each row, its date placed, with the time after which the export was made for sure, where no other row of its key is
    /// in it.
    pub(super) fn placed(self, dates: &Dates) -> Vec<(ExportRow, Option<Timestamp>)> {
        let is_from_then = |(told_at, begun, ended): &(i64, Timestamp, Timestamp)| {
            let placed = dates.on_our_clock(*told_at);
            placed.is_some_and(|(earliest, latest)| earliest <= ended.millis() && latest >= begun.millis())
        };
        let made_after = self.latest.filter(is_from_then).map(|(_, begun, _)| begun);
        let place = |(mut row, count): (ExportRow, usize)| {
            row.placed = row.told_at.and_then(|told_at| dates.on_our_clock(told_at));
            (row, made_after.filter(|_| count == 1))
        };
        self.rows.into_values().map(place).collect()
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

    /// What comes of one row that there is `times`, in an export with orders of ours begun at these times, each dated as
    /// it was begun or `off` later.
    fn made_after(times: usize, ours: &[(i64, i64)]) -> Option<Timestamp> {
        let (mut turned, mut dates) = (TurnedRows::default(), Dates::default());
        turned.add(row(7));
        for (begun, off) in ours {
            let (begun, ended, told_at) = (*begun, begun + 2000, begun + off);
            turned.add_ours(told_at, (Timestamp::from_millis(begun), Timestamp::from_millis(ended)));
            dates.add(told_at, begun, ended);
        }
        turned.count(&row(8));
        (0..times).for_each(|_| turned.count(&row(7)));
        let [(row, made_after)] = &turned.placed(&dates)[..] else { panic!("one row") };
        assert_eq!(row.placed.is_some(), !ours.is_empty());
        *made_after
    }

    #[test]
    fn the_order_of_ours_begun_last_tells_when_an_export_was_made_at_the_earliest() {
        let last = DAY + 20_000;
        assert_eq!(
            made_after(1, &[(DAY, 0), (last, 0), (DAY + 9000, 0)]),
            Some(Timestamp::from_millis(last))
        );
        assert_eq!(made_after(2, &[(DAY, 0), (last, 0)]), None, "two rows of the key");
        assert_eq!(made_after(1, &[]), None, "none of ours");
    }

    #[test]
    fn a_row_by_hand_before_an_order_of_ours_does_not_make_an_export_late() {
        let others = [(DAY, 0), (DAY + 3000, 0), (DAY + 6000, 0)];
        let by_hand = (DAY + 3_600_000, -3_600_000);
        assert_eq!(made_after(1, &[&others[..], &[by_hand]].concat()), None);
    }
}
