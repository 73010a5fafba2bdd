//! Orders of ours that had ended, and that an export shows with the other end.
//!
//! An export doesn't say when it was made, and an old one shows what was so then. It is taken at its word where an order of
//! ours that began after the last answer is in it. Otherwise people are told, and nothing is changed.
//!
//! Of an IMEI that was ordered several times the date says which of its orders a row is. Where it can be several of them, and
//! more rows show an end than orders can have come to it, people are told that.

use super::super::JournalError;
use super::super::books;
use super::super::orders::{self, Loaded, Rules, Telling};
use super::super::poll;
use super::super::tx::Tx;
use super::row::ExportRow;
use super::settle::keep_raw;
use super::{anew, attempt_of, elsewhere, may_be_at_the_provider, orders_of, successor};
use crate::journal::listing::has_other_end;
use crate::order::{Alarm, Event, State};
use crate::types::{ProviderStatus, Timestamp};

/// What came of a row of a key of which a row shows another end than an order of ours came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedBy {
    /// The order has that end now.
    Turned,
    /// It shows what is known.
    AsKnown,
    /// It can't be told whether the row or our last answer is the newer one: people are told, the order is as it was.
    Unsure,
    /// It can't be told which of several orders of ours it is: people are told, they are as they were.
    WhichOrder,
    /// Its date can't be placed.
    NoDate,
    /// It was ordered at another time than ours: by hand.
    NotOurs,
    /// Likewise, and the original of an older copy can have made it: its result is remembered, now or before.
    Remembered,
}

/// Orders of a key that a row can be, as far as they were or may have been taken.
fn taken(mut all: Vec<Loaded>) -> Vec<Loaded> {
    all.retain(|order| may_be_at_the_provider(order) || order.life.state == State::Ordered);
    all
}

/// Whether a row of this status can show another end than one of a key's orders came to.
pub(super) fn may_turn(tx: &Tx<'_>, all: &[Loaded], status: ProviderStatus) -> Result<bool, JournalError> {
    if !all.iter().any(|order| has_other_end(order, status)) {
        return Ok(false);
    }
    match &taken(all.to_vec())[..] {
        // When it was ordered isn't known: then a row of it can't be told from one by hand.
        [one] => Ok(attempt_of(tx, one)?.is_some()),
        _ => Ok(true),
    }
}

/// Holds all rows of a key against its orders. `made_after`: when an order of ours began that is in the same export.
pub(super) fn turn(
    tx: &Tx<'_>,
    rows: &[ExportRow],
    made_after: Option<Timestamp>,
    now: Timestamp,
    rules: &Rules,
) -> Result<Vec<TurnedBy>, JournalError> {
    let Some((service, imei)) = rows.first().and_then(ExportRow::key) else { return Ok(Vec::new()) };
    let mut ours = taken(orders_of(tx, service, imei)?);
    let mut windows = Vec::with_capacity(ours.len());
    for order in &ours {
        windows.push(attempt_of(tx, order)?);
    }
    let fits: Vec<Vec<usize>> = rows.iter().map(|row| orders_it_can_be(row, &windows)).collect();
    let judged: Vec<Judged> = (0..rows.len()).map(|at| judge(at, rows, &fits, &ours)).collect();
    let mut came = Vec::with_capacity(rows.len());
    for (row, judged) in rows.iter().zip(judged) {
        came.push(match judged {
            Judged::Is(TurnedBy::NotOurs) => not_ours(tx, row, now, rules)?,
            Judged::Is(by) => by,
            Judged::Of(which, is_alone) => match ours.get_mut(which) {
                Some(order) => turn_one(tx, order, row, made_after.filter(|_| is_alone), now, rules)?,
                None => TurnedBy::NotOurs,
            },
            Judged::OneOf(which) => {
                let which: Vec<&Loaded> = which.iter().filter_map(|at| ours.get(*at)).collect();
                tell_which(tx, &which, row, now)?;
                TurnedBy::WhichOrder
            }
        });
    }
    Ok(came)
}

/// A row of no order of ours. What only the original of an older copy made anew had better be known.
fn not_ours(tx: &Tx<'_>, row: &ExportRow, now: Timestamp, rules: &Rules) -> Result<TurnedBy, JournalError> {
    let Some((service, imei)) = row.key() else { return Ok(TurnedBy::NotOurs) };
    let all = orders_of(tx, service, imei)?;
    let Some(newest) = all.last() else { return Ok(TurnedBy::NotOurs) };
    if elsewhere::remembered(tx.connection(), service, imei)?.iter().any(|known| known.is(row)) {
        return Ok(TurnedBy::Remembered);
    }
    if !row.status().has_ended() || !anew::the_original_may_have_made_anew(tx, newest)? {
        return Ok(TurnedBy::NotOurs);
    }
    anew::enter(tx, &all, row, now, rules)?;
    Ok(TurnedBy::Remembered)
}

/// What a row shows.
enum Judged {
    Is(TurnedBy),
    /// Another end of this order; whether no other row can be of it.
    Of(usize, bool),
    /// An end that one of these didn't come to.
    OneOf(Vec<usize>),
}

/// Which orders a row can be, by its date. One of which it isn't known when it was taken it can always be.
fn orders_it_can_be(row: &ExportRow, windows: &[Option<(Timestamp, Timestamp)>]) -> Vec<usize> {
    let can_be = |window: &Option<(Timestamp, Timestamp)>| match (row.placed, window) {
        (Some((earliest, latest)), Some((begun, ended))) => {
            latest >= begun.millis() && earliest <= ended.millis()
        }
        _ => true,
    };
    (0..windows.len()).filter(|at| windows.get(*at).is_some_and(can_be)).collect()
}

fn judge(at: usize, rows: &[ExportRow], fits: &[Vec<usize>], ours: &[Loaded]) -> Judged {
    let (Some(row), Some(own)) = (rows.get(at), fits.get(at)) else { return Judged::Is(TurnedBy::NotOurs) };
    let differs = |which: &&usize| ours.get(**which).is_some_and(|order| has_other_end(order, row.status()));
    if own.is_empty() {
        return Judged::Is(TurnedBy::NotOurs);
    }
    // As many orders as there are such rows can have come to that end, or still can.
    let is_rival = |(other, fit): &(&ExportRow, &Vec<usize>)| {
        other.status == row.status && fit.iter().any(|which| own.contains(which))
    };
    let rivals = rows.iter().zip(fits).filter(is_rival).count();
    let places = own.len().saturating_sub(own.iter().filter(differs).count());
    if places == own.len() || rivals <= places {
        return Judged::Is(TurnedBy::AsKnown);
    }
    if row.placed.is_none() {
        return Judged::Is(TurnedBy::NoDate);
    }
    match own[..] {
        [one] => {
            let others = fits.iter().filter(|fit| fit.contains(&one)).count();
            // Of an IMEI that was ordered once any other row can be a second order.
            let is_alone = if ours.len() == 1 { rows.len() == 1 } else { others == 1 };
            Judged::Of(one, is_alone)
        }
        _ => Judged::OneOf(own.clone()),
    }
}

fn turn_one(
    tx: &Tx<'_>,
    order: &mut Loaded,
    row: &ExportRow,
    made_after: Option<Timestamp>,
    now: Timestamp,
    rules: &Rules,
) -> Result<TurnedBy, JournalError> {
    let answered = poll::last_answered(tx, order)?;
    if made_after.is_none_or(|after| after <= answered || after > now) {
        let text = format!(
            "an export says {:?} of {}, which is {} here, and it can't be told which is newer: look it up at \
             the provider. An export that has a later order of ours in it is taken at its word",
            row.status(),
            books::shown(tx, order)?,
            order.life.state.as_str()
        );
        tell(tx, order, &text, now)?;
        return Ok(TurnedBy::Unsure);
    }
    keep_raw(tx, order.id, row, now)?;
    elsewhere::set_result(tx, order.id, row)?;
    let text = row.told();
    let telling = Telling { what: "exported", text: &text, via: "export", quiet: false };
    orders::advance(tx, order, &Event::Status(row.status()), now, rules, &telling)?;
    successor::enter(tx, order, now, rules)?;
    Ok(TurnedBy::Turned)
}

fn tell_which(tx: &Tx<'_>, which: &[&Loaded], row: &ExportRow, now: Timestamp) -> Result<(), JournalError> {
    let Some(newest) = which.last() else { return Ok(()) };
    let known: Vec<String> =
        which.iter().map(|order| format!("order {} {}", order.id, order.life.state.as_str())).collect();
    let text = format!(
        "an export says {:?} of IMEI {} once more than it is known here ({}), and it can't be told of which order: look them \
         up at the provider, imeid show {} has their ids",
        row.status(),
        newest.imei,
        known.join(", "),
        newest.imei
    );
    tell(tx, newest, &text, now)
}

/// Once, until someone has seen it: an export is read again after a crash.
fn tell(tx: &Tx<'_>, order: &Loaded, text: &str, now: Timestamp) -> Result<(), JournalError> {
    if books::open_alarm(tx, Alarm::StatusChanged, text)?.is_some() {
        return Ok(());
    }
    books::alarm(tx, now, Alarm::StatusChanged, text, order).map(drop)
}
