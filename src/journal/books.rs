//! The books: attempts, ledger, totals, pauses and alarms, as an order's transition moves them.
//!
//! Every amount that is reserved, presumed or charged stands behind a row of `attempts`; the ledger has a line for
//! every move, and `totals` its sums, by day and by batch.
//!
//! - [`attempts`]: their rows. [`money`]: what their prices are booked as. [`alarms`]: what people must see.

mod alarms;
mod attempts;
mod money;

use std::time::Duration;

use super::JournalError;
use super::codes::{ASSUMED, EVIDENCE, Verdict};
use super::orders::{Loaded, Rules, Telling};
use super::pause;
use super::probing;
use super::tx::Tx;
use crate::clock::local_day;
use crate::gate::Scope;
use crate::order::{Alarm, Effect, Released, Source};
use crate::schedule;
use crate::types::{Money, OrderId, ProviderOrderId, ServiceId, Timestamp};

use alarms::alarm_text;
pub(super) use alarms::{
    alarm, alarm_about_batch, alarm_is_gone, alarm_of_order_is_gone, alarm_without_order, enter_alarm,
    log_alarm, open_alarm, shown,
};
pub(super) use attempts::AttemptRow;
use attempts::{end_as_claimed, in_flight, oldest, set_verdict, source};
pub(super) use money::reserved;
use money::{Account, move_money, refund};

/// Does what an effect says.
pub(super) fn apply(
    tx: &Tx<'_>,
    order: &mut Loaded,
    effect: &Effect,
    now: Timestamp,
    rules: &Rules,
    telling: &Telling<'_>,
) -> Result<(), JournalError> {
    match effect {
        // The claim itself enters the attempt: it knows the day and the price.
        Effect::Begin { .. } => {
            order.attempts = order.attempts.saturating_add(1);
            Ok(())
        }
        Effect::AssumeAttempt => {
            enter(tx, order, now, rules, Verdict::Unknown, &[("reserve", Account::Reserved)])
        }
        Effect::EndUnsent => end_in_flight(tx, order, now, Verdict::Unsent),
        Effect::EndRefused => end_in_flight(tx, order, now, Verdict::Refused),
        Effect::EndUnknown => end_in_flight(tx, order, now, Verdict::Unknown),
        Effect::Charge { from, id } => charge(tx, order, *from, *id, now, rules, telling),
        Effect::Unname(id) => tx.execute_one(
            "an order's id",
            "DELETE FROM charges WHERE account = (SELECT account FROM services WHERE id = ?1) AND provider_id = ?2 \
             AND order_id = ?3",
            (order.service.0, provider_id(*id), order.id.0),
        ),
        Effect::Presume(from) => presume(tx, order, *from, now, rules),
        Effect::PresumeUnaccounted => revise_all(
            tx,
            order,
            now,
            Verdict::Unknown,
            Verdict::Presumed,
            Account::Reserved,
            Account::Presumed,
        ),
        Effect::PresumeInferred => {
            for was in [Verdict::Absent, Verdict::Word, Verdict::Once] {
                revise_all(tx, order, now, was, Verdict::Presumed, Account::None, Account::Presumed)?;
            }
            Ok(())
        }
        Effect::Release(why) => release(tx, order, *why, now),
        Effect::ClearPresumed => {
            revise_all(tx, order, now, Verdict::Presumed, Verdict::Cleared, Account::Presumed, Account::None)
        }
        Effect::StartDoubt => {
            order.doubt_since = Some(now);
            order.rested_after = None;
            tx.rest().doubt_begins(order.id, rules.quiet);
            order.doubt_first = order.doubt_first.or(Some(now));
            order.due_at = now.plus(rules.quiet);
            Ok(())
        }
        Effect::LookUp(ids) => remember_told(tx, order.id, ids).map(drop),
        Effect::BackOff(wait) => {
            order.due_at = now.plus(back_off(order, *wait));
            Ok(())
        }
        Effect::PauseAll(reason) => pause::set(tx, Scope::All, *reason, telling.text, now),
        Effect::PauseService(reason) => {
            pause::set(tx, Scope::Service(order.service), *reason, telling.text, now)
        }
        Effect::Alarm(name @ Alarm::DoubleCharge) => {
            let first_given_back = order.first_given_back;
            probing::charged_twice(tx, order, &alarm_text(tx, *name, order)?, first_given_back, now)
        }
        Effect::Alarm(name) => {
            alarm(tx, now, *name, &alarm_text(tx, *name, order)?, order).map(drop)
        },
        Effect::ExpectRefund => refund(tx, order, now, "refund_due", 1),
        Effect::RefundReturned => refund(tx, order, now, "refund_void", -1),
        Effect::NameEarlier => name_earlier(tx, order),
        // Told by the caller; what they ask for is done where the word came in.
        Effect::NewOrder | Effect::KeepExport | Effect::Tell(_) => Ok(()),
    }
}

/// Enters a claimed attempt: the row and its reservation. The caller has stepped the order, which gave it its number.
pub(super) fn begin(
    tx: &Tx<'_>,
    order: &Loaded,
    probe: bool,
    row: &AttemptRow,
    now: Timestamp,
) -> Result<(), JournalError> {
    tx.execute(
        "INSERT INTO attempts (order_id, n, kind, price, day, claimed_at, known_id, entry) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, (SELECT coalesce(max(id), 0) FROM ledger))",
        (order.id.0, row.n, i64::from(probe), row.price.micros(), row.day, now.millis(), row.known_id),
    )?;
    move_money(tx, order, row, now, Account::None, Account::Reserved)
}

fn end_in_flight(tx: &Tx<'_>, order: &Loaded, now: Timestamp, verdict: Verdict) -> Result<(), JournalError> {
    let Some(row) = in_flight(tx, order.id)? else {
        return Err(JournalError::Unknown(format!("order {} has no attempt in flight", order.id)));
    };
    set_verdict(tx, order.id, row.n, verdict, now)?;
    match verdict {
        Verdict::Unsent | Verdict::Refused => {
            move_money(tx, order, &row, now, Account::Reserved, Account::None)
        }
        _ => Ok(()),
    }
}

fn charge(
    tx: &Tx<'_>,
    order: &mut Loaded,
    from: Source,
    id: Option<ProviderOrderId>,
    now: Timestamp,
    rules: &Rules,
    telling: &Telling<'_>,
) -> Result<(), JournalError> {
    // Beside what is charged and what is open there is one that was cleared at most.
    let found = match source(tx, order, from)? {
        None => oldest(tx, order.id, Verdict::Cleared)?.map(|row| (row, Account::None)),
        found => found,
    };
    let n = match found {
        Some((row, account)) => {
            match &order.attempt {
                Some(claimed) => end_as_claimed(tx, order.id, claimed, Verdict::Taken, now)?,
                None => set_verdict(tx, order.id, row.n, Verdict::Taken, now)?,
            }
            if account != Account::Charged {
                move_money(tx, order, &row, now, account, Account::Charged)?;
            }
            if from == Source::InFlight {
                note_order_of_ids(tx, order, &row, id)?;
            }
            row.n
        }
        None => {
            enter(tx, order, now, rules, Verdict::Taken, &[("charge", Account::Charged)])?;
            order.attempts
        }
    };
    if let Some(id) = id {
        tx.execute(
            "INSERT INTO charges (account, provider_id, order_id, n, via, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (tx.account(order.service)?, provider_id(id), order.id.0, n, telling.via, now.millis()),
        )?;
        tx.add(|sums| sums.known_id(order.service, id));
    }
    Ok(())
}

/// A fact of an account: an order of ours got an id below one that we knew before it was sent.
pub(super) fn ids_fall(account: &str) -> String {
    format!("ids fall {account}")
}

/// Whoever gives ids that rise gives an order one above all that were known before it was sent. Where one of our own
/// isn't, an id tells nothing of when its order was made, and no list shows by ids what isn't in it.
fn note_order_of_ids(
    tx: &Tx<'_>,
    order: &Loaded,
    row: &AttemptRow,
    id: Option<ProviderOrderId>,
) -> Result<(), JournalError> {
    let Some(id) = id.filter(|id| provider_id(*id) <= row.known_id) else { return Ok(()) };
    let key = ids_fall(&tx.account(order.service)?);
    if tx.fact(&key)?.is_none() {
        tx.set_fact(&key, &format!("{id} after {}", row.known_id))?;
    }
    Ok(())
}

/// The highest id of the provider's that we know in this service's account; 0 before the first.
pub(super) fn known_id(tx: &Tx<'_>, service: ServiceId) -> Result<i64, JournalError> {
    let found = tx.find(
        "SELECT watermarks.known_id FROM services JOIN watermarks USING (account) WHERE services.id = ?1",
        [service.0],
        |row| row.get(0),
    )?;
    Ok(found.unwrap_or(0))
}

/// The id as SQLite keeps it. Ids above 2⁶³ are refused where they are read.
pub(super) fn provider_id(id: ProviderOrderId) -> i64 {
    i64::try_from(id.0).unwrap_or(i64::MAX)
}

fn presume(
    tx: &Tx<'_>,
    order: &mut Loaded,
    from: Source,
    now: Timestamp,
    rules: &Rules,
) -> Result<(), JournalError> {
    match source(tx, order, from)? {
        Some((row, account)) => {
            set_verdict(tx, order.id, row.n, Verdict::Presumed, now)?;
            move_money(tx, order, &row, now, account, Account::Presumed)
        }
        None => enter(tx, order, now, rules, Verdict::Presumed, &[("presume", Account::Presumed)]),
    }
}

/// Enters an attempt that there is evidence of and no row. When it was made nobody knows: it counts to the day on which it
/// is found, the one whose cap can still hold something back.
fn enter(
    tx: &Tx<'_>,
    order: &mut Loaded,
    now: Timestamp,
    rules: &Rules,
    verdict: Verdict,
    to: &[(&str, Account); 1],
) -> Result<(), JournalError> {
    let last: Option<i64> = tx.find(
        "SELECT price FROM attempts WHERE order_id = ?1 ORDER BY n DESC LIMIT 1",
        [order.id.0],
        |row| row.get(0),
    )?;
    let price = last.map_or_else(|| rules.price_of(order.service), Money::from_micros);
    let day = local_day(now);
    order.attempts = order.attempts.saturating_add(1);
    let known_id = known_id(tx, order.service)?;
    let kind = if verdict == Verdict::Unknown { ASSUMED } else { EVIDENCE };
    tx.execute(
        "INSERT INTO attempts (order_id, n, kind, price, day, claimed_at, ended_at, verdict, known_id) \
         VALUES (?1, ?2, ?8, ?3, ?4, ?5, ?5, ?6, ?7)",
        (order.id.0, order.attempts, price.micros(), day, now.millis(), verdict.code(), known_id, kind),
    )?;
    let row = AttemptRow { n: order.attempts, price, day, known_id };
    for (_, account) in to {
        move_money(tx, order, &row, now, Account::None, *account)?;
    }
    Ok(())
}

fn release(tx: &Tx<'_>, order: &Loaded, why: Released, now: Timestamp) -> Result<(), JournalError> {
    let verdict = match why {
        Released::Absence => Verdict::Absent,
        Released::Word => Verdict::Word,
        Released::OnceAKey => Verdict::Once,
    };
    revise_all(tx, order, now, Verdict::Unknown, verdict, Account::Reserved, Account::None)?;
    if why == Released::OnceAKey {
        return Ok(());
    }
    revise_all(tx, order, now, Verdict::Presumed, verdict, Account::Presumed, Account::None)
}

fn revise_all(
    tx: &Tx<'_>,
    order: &Loaded,
    now: Timestamp,
    was: Verdict,
    becomes: Verdict,
    from: Account,
    to: Account,
) -> Result<(), JournalError> {
    while let Some(row) = oldest(tx, order.id, was)? {
        set_verdict(tx, order.id, row.n, becomes, now)?;
        move_money(tx, order, &row, now, from, to)?;
    }
    Ok(())
}

/// Remembers ids that can be an order's, to be looked up when it is in doubt. Returns how many are new.
pub(super) fn remember_told(
    tx: &Tx<'_>,
    order: OrderId,
    ids: &[ProviderOrderId],
) -> Result<usize, JournalError> {
    let mut new = 0usize;
    for id in ids {
        let added = tx.execute(
            "INSERT OR IGNORE INTO told_ids (order_id, provider_id) VALUES (?1, ?2)",
            (order.0, provider_id(*id)),
        )?;
        new = new.saturating_add(added);
    }
    Ok(new)
}

/// A full wait where the provider named one; else doubling with the attempts, with jitter by the order's own number, so
/// that orders turned away together don't come back together. Never long: in an outage the whole pool backs off, and the
/// last order of a file must not lie for minutes behind its end.
fn back_off(order: &Loaded, wait: Option<Duration>) -> Duration {
    let own = schedule::back_off(order.attempts, schedule::LONGEST_FREE_WAIT, order.id.0.unsigned_abs());
    wait.map_or(own, |wait| wait.max(own).min(schedule::LONGEST_WAIT))
}

fn name_earlier(tx: &Tx<'_>, order: &mut Loaded) -> Result<(), JournalError> {
    let earlier = tx.find(
        "SELECT id FROM orders WHERE service = ?1 AND imei = ?2 AND current = 0 AND charged > 0 ORDER BY id DESC LIMIT 1",
        (order.service.0, i64::try_from(order.imei.as_u64()).unwrap_or(0)),
        |row| row.get(0).map(OrderId),
    )?;
    order.earlier = earlier;
    Ok(())
}
