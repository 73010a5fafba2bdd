//! Rows of an IMEI beyond our orders of it: someone else's, or an order of ours that the provider took twice. Nothing is
//! booked for them, but the bill has them: people are told. So they are of a row that shows what was presumed only, or an
//! attempt that was taken as not ordered.
//!
//! What a row shows of that stays as it is in the books, also where it ended rejected. An export has no ids: by its date
//! alone a row is taken for an attempt's, and someone can have ordered the IMEI by hand in that time; what was given back can
//! be turned later, and nobody asks after an order whose id isn't known; and what an export's credits say of a refund isn't
//! known. So the books have a price too much where it was given back, never one too few. What was taken as not ordered is in no
//! sum: a listing, which tells ids, books it.

use rusqlite::Connection;

use super::super::cleared::{Span, span_of};
use super::super::codes::{ASSUMED, Verdict};
use super::super::orders::{Loaded, Rules};
use super::super::tx::Tx;
use super::super::view::View;
use super::super::{Journal, JournalError, books, probing};
use super::elsewhere::{Dated, remembered};
use super::orders_of;
use super::row::{ExportRow, first_is_given_back, one_each};
use crate::order::{Alarm, State};
use crate::types::{ProviderStatus, Timestamp};

/// What one of the rows can be.
enum Place {
    /// A charge: when it can have been ordered; `None`: at any time.
    Charge(Option<Span>),
    /// An order that isn't ours, as an export told of it before.
    Known(Dated),
}

impl Place {
    fn can_be(&self, row: &ExportRow) -> bool {
        match (self, row.placed) {
            (Self::Charge(Some(span)), Some(ordered)) => span.meets(ordered),
            (Self::Charge(_), _) => true,
            (Self::Known(known), _) => known.is(row),
        }
    }
}

/// How an order turned out to have been taken twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Twice {
    /// Its second charge is presumed.
    Presumed,
    /// Its attempt was released or cleared: nothing is booked for it.
    Released,
}

/// What rows of one key show beside our orders of it.
#[derive(Debug, Default)]
pub(in super::super) struct BeyondOurs {
    /// The lines of those that are none of the charges in the books, and weren't told of before.
    lines: Vec<u64>,
    twice: Option<Twice>,
    /// How the rows stand that are orders of ours.
    ends: Vec<ProviderStatus>,
}

/// What the rows of a key can be.
#[derive(Default)]
struct Places {
    /// Charges in the books, and attempts that are still open.
    known: Vec<Place>,
    /// Likewise, each at any time where it isn't sure which attempt it belongs to.
    surely: Vec<Place>,
    presumed: Vec<Place>,
    /// Attempts that were released or cleared.
    released: Vec<Place>,
    /// Orders that aren't ours.
    elsewhere: Vec<Place>,
    is_charged: bool,
}

impl Places {
    fn of(connection: &Connection, row: &ExportRow, rules: &Rules) -> rusqlite::Result<Self> {
        let mut places = Self::default();
        let Some((service, imei)) = row.key() else { return Ok(places) };
        // Two look-ups: an index serves each.
        for current in ["current = 0", "current = 1"] {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT claimed_at, ended_at, kind, verdict, via IS 'placed' \
                 FROM orders JOIN attempts ON attempts.order_id = orders.id \
                 LEFT JOIN charges ON charges.order_id = attempts.order_id AND charges.n = attempts.n \
                 WHERE service = ?1 AND imei = ?2 AND {current} AND (verdict IS NULL OR verdict IN (0, 3, 4, 5, 6, 7, 8))"
            ))?;
            let mut found = statement.query((service.0, i64::try_from(imei.as_u64()).unwrap_or(0)))?;
            while let Some(row) = found.next()? {
                let (ended, kind, verdict): (Option<i64>, i64, Option<i64>) =
                    (row.get(1)?, row.get(2)?, row.get(3)?);
                // One that an older copy was taken to have made began since the copy was made, if it did.
                let is_denied = kind == ASSUMED && verdict > Some(Verdict::Presumed.code());
                let kind = if is_denied { 0 } else { kind };
                // One on the wire can still be executed.
                let span = ended.and(span_of(row.get(0)?, ended, kind, rules.quiet));
                places.add(span, verdict, row.get(4)?);
            }
        }
        let elsewhere = remembered(connection, service, imei)?;
        places.elsewhere = elsewhere.into_iter().map(Place::Known).collect();
        Ok(places)
    }

    /// An attempt with this verdict. `is_own`: its own answer told what it was charged as.
    fn add(&mut self, span: Option<Span>, verdict: Option<i64>, is_own: bool) {
        self.is_charged |= verdict == Some(Verdict::Taken.code());
        match verdict {
            Some(verdict) if verdict == Verdict::Presumed.code() => self.presumed.push(Place::Charge(span)),
            Some(verdict) if verdict > Verdict::Presumed.code() => {
                // What was entered on evidence alone, and taken back, can't be told from anyone's.
                self.released.extend(span.map(|span| Place::Charge(Some(span))));
            }
            _ => {
                self.known.push(Place::Charge(span));
                self.surely.push(Place::Charge(span.filter(|_| is_own)));
            }
        }
    }
}

/// Holds these rows against the charges of their key: all of one key, their dates placed. Of rows that can't all be ours the
/// last ones are left over.
fn held_against(connection: &Connection, rows: &[ExportRow], rules: &Rules) -> rusqlite::Result<BeyondOurs> {
    let Some(first) = rows.first() else { return Ok(BeyondOurs::default()) };
    let Places { known, surely, presumed, released, elsewhere, is_charged } =
        Places::of(connection, first, rules)?;
    let rows = one_each(rows);
    let mut all: Vec<&Place> = known.iter().chain(&presumed).chain(&elsewhere).collect();
    let left = left_over(&rows, &all);
    all.extend(&released);
    let nobodys = left_over(&rows, &all);
    let all_sure: Vec<&Place> = surely.iter().chain(&elsewhere).collect();
    let twice = if !is_charged {
        None
    } else if nobodys.len() < left.len() {
        Some(Twice::Released)
    } else {
        (left_over(&rows, &all_sure).len() > left.len()).then_some(Twice::Presumed)
    };
    let is_ours = |row: &&&ExportRow| {
        nobodys.iter().all(|other| other.line != row.line) && elsewhere.iter().all(|place| !place.can_be(row))
    };
    let ends = rows.iter().filter(is_ours).map(|row| row.status()).collect();
    Ok(BeyondOurs { lines: left.into_iter().map(|row| row.line).collect(), twice, ends })
}

impl View {
    fn beyond_ours(&self, rows: &[ExportRow], rules: &Rules) -> Result<BeyondOurs, JournalError> {
        held_against(self.connection(), rows, rules).map_err(|error| self.named(error))
    }
}

impl Journal {
    /// Which of these rows, all of one key and their dates placed, are of no order of ours: more than there are charges in
    /// the books, or from another time. Raises the alarm where they show that an order was taken twice.
    ///
    /// # Errors
    /// The journal can't be read, or not be written.
    pub async fn beyond_ours(
        &self,
        rows: Vec<ExportRow>,
        now: Timestamp,
        rules: Rules,
    ) -> Result<Vec<u64>, JournalError> {
        let (of_read, held_against) = (rows.clone(), rules.clone());
        let beyond = self.read(move |view| view.beyond_ours(&of_read, &held_against)).await?;
        if beyond.twice.is_some() {
            // As it is by then.
            self.write(move |tx| tell_twice(tx, &rows, now, &rules)).await?;
        }
        Ok(beyond.lines)
    }
}

/// Raises the alarm where these rows, all of one key and their dates placed, show that an order of ours was taken twice.
pub(in super::super) fn tell_twice(
    tx: &Tx<'_>,
    rows: &[ExportRow],
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    let Some((service, imei)) = rows.first().and_then(ExportRow::key) else { return Ok(()) };
    let beyond = held_against(tx.connection(), rows, rules)?;
    let Some(twice) = beyond.twice else { return Ok(()) };
    let all = orders_of(tx, service, imei)?;
    let is_it = |order: &&Loaded| match twice {
        Twice::Presumed => order.life.presumed > 0 && order.life.charged > 0,
        Twice::Released => order.life.charged > 0,
    };
    let Some(order) = all.iter().rev().find(is_it) else { return Ok(()) };
    let head = format!("{} was ordered twice at the provider: an export shows ", books::shown(tx, order)?);
    let text = format!("{head}{}", words(twice, beyond.ends, order));
    raise(tx, order, &head, &text, first_is_given_back(rows), now)
}

/// What a person must know of it, by what the export shows.
fn words(twice: Twice, mut ends: Vec<ProviderStatus>, order: &Loaded) -> String {
    if ends.len() < 2 {
        // It has the second one alone.
        ends.push(match order.life.state {
            State::Completed => ProviderStatus::Completed,
            State::Rejected => ProviderStatus::Rejected,
            _ => ProviderStatus::Pending,
        });
    }
    let count = |end| ends.iter().filter(|other| **other == end).count();
    let (completed, rejected) = (count(ProviderStatus::Completed), count(ProviderStatus::Rejected));
    let pending = count(ProviderStatus::Pending);
    let shown: Vec<String> = [(completed, "completed"), (rejected, "rejected"), (pending, "not finished")]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, end)| format!("{count} {end}"))
        .collect();
    let to_do = match (completed, pending) {
        (2.., _) => "Ask the provider to give one back",
        (_, 1..) => "What isn't finished can still be given back: drop a later export then",
        _ => "What it rejects the provider gives back: see that its bill has the refund",
    };
    let books = match twice {
        Twice::Presumed => "The second charge stays presumed in the books",
        Twice::Released => {
            "The second charge isn't in the books, for its attempt was taken as not ordered (or someone ordered it by hand then)"
        }
    };
    format!("{}. {to_do}. {books}", shown.join(" and "))
}

/// Once, however often it is shown. One that says what an earlier export showed makes room for what is so since.
fn raise(
    tx: &Tx<'_>,
    order: &Loaded,
    head: &str,
    text: &str,
    first_given_back: bool,
    now: Timestamp,
) -> Result<(), JournalError> {
    let name = Alarm::DoubleCharge;
    let mut told: Vec<String> = Vec::new();
    {
        let mut statement = tx.prepare("SELECT text FROM alarms WHERE order_id = ?1 AND name = ?2")?;
        for known in statement.query_map((order.id.0, name.as_str()), |row| row.get(0))? {
            told.push(known?);
        }
    }
    if told.iter().any(|known| known.starts_with(text) || !known.starts_with(head)) {
        return Ok(());
    }
    tx.execute(
        "UPDATE alarms SET gone_at = ?3 WHERE order_id = ?1 AND name = ?2 AND gone_at IS NULL AND acked_at IS NULL",
        (order.id.0, name.as_str(), now.millis()),
    )?;
    probing::charged_twice(tx, order, text, first_given_back, now)
}

/// The rows that no place is left for, when as many as can be have one.
fn left_over<'a>(rows: &[&'a ExportRow], places: &[&Place]) -> Vec<&'a ExportRow> {
    let mut taken: Vec<Option<usize>> = vec![None; places.len()];
    let finds = |at: usize| {
        let mut tried = vec![false; places.len()];
        finds_place(at, rows, places, &mut taken, &mut tried)
    };
    let found: Vec<bool> = (0..rows.len()).map(finds).collect();
    rows.iter().zip(found).filter(|(_, found)| !found).map(|(row, _)| *row).collect()
}

/// Whether the row gets a place, those that have one moved to others where they can.
fn finds_place(
    at: usize,
    rows: &[&ExportRow],
    places: &[&Place],
    taken: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    let Some(row) = rows.get(at) else { return false };
    for (n, place) in places.iter().enumerate() {
        // One that it can't be stays to be tried: for another row, which is moved for its sake.
        if !place.can_be(row) || tried.get_mut(n).is_none_or(|tried| std::mem::replace(tried, true)) {
            continue;
        }
        let has_it = taken.get(n).copied().flatten();
        if has_it.is_none_or(|other| finds_place(other, rows, places, taken, tried)) {
            if let Some(taken) = taken.get_mut(n) {
                *taken = Some(at);
            }
            return true;
        }
    }
    false
}
