//! Rows of an IMEI beyond our orders of it: someone else's, or an order of ours that the provider took twice. Nothing is
//! booked for them, but the bill has them: people are told.

use super::super::cleared::{Span, span_of};
use super::super::orders::Rules;
use super::super::view::View;
use super::super::{Journal, JournalError};
use super::row::{ExportRow, one_each};

/// When a charge that is in the books can have been ordered; `None`: at any time.
type Place = Option<Span>;

impl View {
    /// The lines of those of these rows, all of one key and their dates placed, that are none of the charges in the books.
    fn beyond_ours(&self, rows: &[ExportRow], rules: &Rules) -> Result<Vec<u64>, JournalError> {
        let Some((service, imei)) = rows.first().and_then(ExportRow::key) else { return Ok(Vec::new()) };
        let mut places: Vec<Place> = Vec::new();
        // Two look-ups: an index serves each.
        for current in ["current = 0", "current = 1"] {
            let sql = format!(
                "SELECT claimed_at, ended_at, kind FROM orders JOIN attempts ON attempts.order_id = orders.id \
                 WHERE service = ?1 AND imei = ?2 AND {current} AND (verdict IS NULL OR verdict IN (0, 3, 4))"
            );
            places.extend(self.all(&sql, (service.0, i64::try_from(imei.as_u64()).unwrap_or(0)), |row| {
                let ended: Option<i64> = row.get(1)?;
                // One on the wire can still be executed.
                Ok(ended.and(span_of(row.get(0)?, ended, row.get(2)?, rules.quiet)))
            })?);
        }
        Ok(left_over(&one_each(rows), &places).into_iter().map(|row| row.line).collect())
    }
}

impl Journal {
    /// The lines of those of these rows, all of one key and their dates placed, that are of no order of ours: more than
    /// there are charges in the books, or from another time.
    ///
    /// # Errors
    /// The journal can't be read.
    pub async fn beyond_ours(&self, rows: Vec<ExportRow>, rules: Rules) -> Result<Vec<u64>, JournalError> {
        self.read(move |view| view.beyond_ours(&rows, &rules)).await
    }
}

/// The rows that no charge is left for, when as many as can be have one.
fn left_over<'a>(rows: &[&'a ExportRow], places: &[Place]) -> Vec<&'a ExportRow> {
    let mut taken: Vec<Option<usize>> = vec![None; places.len()];
    let finds = |at: usize| {
        let mut tried = vec![false; places.len()];
        finds_place(at, rows, places, &mut taken, &mut tried)
    };
    let found: Vec<bool> = (0..rows.len()).map(finds).collect();
    rows.iter().zip(found).filter(|(_, found)| !found).map(|(row, _)| *row).collect()
}

/// Whether the row gets a charge, those that have one moved to others where they can.
fn finds_place(
    at: usize,
    rows: &[&ExportRow],
    places: &[Place],
    taken: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    let Some(row) = rows.get(at) else { return false };
    for (place, span) in places.iter().enumerate() {
        let can_be = match (span, row.placed) {
            (Some(span), Some(ordered)) => span.meets(ordered),
            _ => true,
        };
        let is_new = tried.get_mut(place).is_some_and(|tried| !std::mem::replace(tried, true));
        if !can_be || !is_new {
            continue;
        }
        let has_it = taken.get(place).copied().flatten();
        if has_it.is_none_or(|other| finds_place(other, rows, places, taken, tried)) {
            if let Some(taken) = taken.get_mut(place) {
                *taken = Some(at);
            }
            return true;
        }
    }
    false
}
