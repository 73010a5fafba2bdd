//! Rows of an IMEI beyond our orders of it: someone else's, or an order of ours that the provider took twice. Nothing is
//! booked for them, but the bill has them: people are told. So they are of a row that shows what was presumed only.

use super::super::books;
use super::super::cleared::{Span, span_of};
use super::super::codes::Verdict;
use super::super::orders::Rules;
use super::super::view::View;
use super::super::{Journal, JournalError};
use super::orders_of;
use super::row::{ExportRow, one_each};
use crate::order::Alarm;
use crate::types::Timestamp;

/// When a charge that is in the books can have been ordered; `None`: at any time.
type Place = Option<Span>;

/// What rows of one key show beside our orders of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BeyondOurs {
    /// The lines of those that are none of the charges in the books.
    pub lines: Vec<u64>,
    /// There are more than the charges that are known, and one of them can only be one that is presumed.
    pub shows_presumed: bool,
}

impl View {
    /// `rows`: all of one key, their dates placed.
    fn beyond_ours(&self, rows: &[ExportRow], rules: &Rules) -> Result<BeyondOurs, JournalError> {
        let Some((service, imei)) = rows.first().and_then(ExportRow::key) else {
            return Ok(BeyondOurs::default());
        };
        let mut places: Vec<(Place, bool)> = Vec::new();
        // Two look-ups: an index serves each.
        for current in ["current = 0", "current = 1"] {
            let sql = format!(
                "SELECT claimed_at, ended_at, kind, verdict FROM orders JOIN attempts ON attempts.order_id = orders.id \
                 WHERE service = ?1 AND imei = ?2 AND {current} AND (verdict IS NULL OR verdict IN (0, 3, 4))"
            );
            places.extend(self.all(&sql, (service.0, i64::try_from(imei.as_u64()).unwrap_or(0)), |row| {
                let ended: Option<i64> = row.get(1)?;
                // One on the wire can still be executed.
                let place = ended.and(span_of(row.get(0)?, ended, row.get(2)?, rules.quiet));
                Ok((place, row.get::<_, Option<i64>>(3)? == Some(Verdict::Presumed.code())))
            })?);
        }
        let rows = one_each(rows);
        let known: Vec<Place> =
            places.iter().filter(|(_, presumed)| !presumed).map(|(place, _)| *place).collect();
        let all: Vec<Place> = places.into_iter().map(|(place, _)| place).collect();
        let lines: Vec<u64> = left_over(&rows, &all).into_iter().map(|row| row.line).collect();
        let shows_presumed = !known.is_empty() && left_over(&rows, &known).len() > lines.len();
        Ok(BeyondOurs { lines, shows_presumed })
    }
}

impl Journal {
    /// Which of these rows, all of one key and their dates placed, are of no order of ours: more than there are charges in
    /// the books, or from another time. Raises the alarm where one shows that an order was taken twice.
    ///
    /// # Errors
    /// The journal can't be read, or not be written.
    pub async fn beyond_ours(
        &self,
        rows: Vec<ExportRow>,
        now: Timestamp,
        rules: Rules,
    ) -> Result<Vec<u64>, JournalError> {
        let key = rows.first().and_then(ExportRow::key);
        let beyond = self.read(move |view| view.beyond_ours(&rows, &rules)).await?;
        if let Some((service, imei)) = key.filter(|_| beyond.shows_presumed) {
            self.write(move |tx| {
                let all = orders_of(tx, service, imei)?;
                let twice = |life: &crate::order::Order| life.presumed > 0 && life.id.is_some();
                let Some(order) = all.iter().rev().find(|order| twice(&order.life)) else { return Ok(()) };
                let text = format!(
                    "{} was ordered twice at the provider: an export has the second order, of which a charge is presumed. It \
                     stays presumed in the books: ask the provider to give one back",
                    books::shown(tx, order)?
                );
                // Each export shows it again.
                let told = "SELECT 1 FROM alarms WHERE order_id = ?1 AND name = ?2";
                let name = Alarm::DoubleCharge;
                if tx.find(told, (order.id.0, name.as_str()), |_| Ok(()))?.is_some() {
                    return Ok(());
                }
                books::alarm(tx, now, name, &text, order)
            })
            .await?;
        }
        Ok(beyond.lines)
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
        // One that it can't be stays to be tried: for another row, which is moved for its sake.
        if !can_be || tried.get_mut(place).is_none_or(|tried| std::mem::replace(tried, true)) {
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
