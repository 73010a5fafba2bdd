//! What a person must see, until its cause is gone or someone has seen it.

use super::super::JournalError;
use super::super::orders::Loaded;
use super::super::pause;
use super::super::tx::Tx;
use crate::order::Alarm;
use crate::types::{BatchId, Timestamp};

pub(super) fn alarm_text(tx: &Tx<'_>, name: Alarm, order: &Loaded) -> Result<String, JournalError> {
    let shown = shown(tx, order)?;
    Ok(match name {
        Alarm::DoubleCharge => twice(tx, &shown, order)?,
        Alarm::StatusChanged => format!("the provider changed a finished status of {shown}"),
        Alarm::IllegalEvent
        | Alarm::WrongAnswer
        | Alarm::Journal
        | Alarm::Balance
        | Alarm::Duplicates
        | Alarm::FileGone
        | Alarm::FileChanged
        | Alarm::Intake
        | Alarm::Outbox
        | Alarm::Stamp
        | Alarm::OlderCopy
        | Alarm::OtherJournal
        | Alarm::Listing
        | Alarm::OutOfReach
        | Alarm::NoProof
        | Alarm::Stage
        | Alarm::Inbox
        | Alarm::Reconcile => format!("order {}: {shown}", order.id),
    })
}

/// What a person does about an order that was charged twice.
fn twice(tx: &Tx<'_>, shown: &str, order: &Loaded) -> Result<String, JournalError> {
    let sql = "SELECT provider_id FROM charges WHERE order_id = ?1 ORDER BY provider_id";
    let ids: Vec<i64> = tx.all(sql, [order.id.0], |row| row.get(0))?;
    let ids = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(" and ");
    let of = if ids.contains(' ') { format!(", under the order ids {ids}") } else { String::new() };
    let ask = if order.first_given_back {
        // Which one isn't always known.
        "One was given back: see that the provider's bill has its refund".to_owned()
    } else {
        format!(
            "Ask the provider to give one back, if it hasn't: imeid show {} tells what is known of each",
            order.imei
        )
    };
    Ok(format!("{shown} was ordered twice at the provider{of}. {ask}"))
}

/// An order in an alarm's words: its IMEI, its service, and the file whose row it is.
pub(in super::super) fn shown(tx: &Tx<'_>, order: &Loaded) -> Result<String, JournalError> {
    let service = pause::service_name(tx, order.service)?;
    let file = "SELECT name FROM batches WHERE id = ?1";
    let file: Option<String> = tx.find(file, [order.batch.0], |row| row.get(0))?;
    let of = file.map_or_else(String::new, |name| format!(" of {name}"));
    Ok(format!("IMEI {}{of} (service {service})", order.imei))
}

/// Says an alarm once it is recorded.
pub(in super::super) fn log_alarm(tx: &Tx<'_>, name: Alarm, text: &str) {
    let text = text.to_owned();
    tx.log(move || tracing::error!(alarm = name.as_str(), "{text}"));
}

/// The number of such an alarm, if one is there, its cause isn't gone, and nobody has seen it.
pub(in super::super) fn open_alarm(
    tx: &Tx<'_>,
    name: Alarm,
    text: &str,
) -> Result<Option<i64>, JournalError> {
    tx.find(
        "SELECT n FROM alarms WHERE gone_at IS NULL AND acked_at IS NULL AND name = ?1 AND text = ?2",
        (name.as_str(), text),
        |row| row.get(0),
    )
}

/// Puts an alarm where people see it until its cause is gone or someone has seen it. Gives its number.
pub(in super::super) fn alarm(
    tx: &Tx<'_>,
    now: Timestamp,
    name: Alarm,
    text: &str,
    order: &Loaded,
) -> Result<i64, JournalError> {
    log_alarm(tx, name, text);
    tx.execute(
        "INSERT INTO alarms (at, name, text, order_id, batch) VALUES (?1, ?2, ?3, ?4, ?5)",
        (now.millis(), name.as_str(), text, order.id.0, order.batch.0),
    )?;
    Ok(tx.connection().last_insert_rowid())
}

/// An alarm about a batch as a whole.
pub(in super::super) fn alarm_about_batch(
    tx: &Tx<'_>,
    now: Timestamp,
    name: Alarm,
    text: &str,
    batch: BatchId,
) -> Result<(), JournalError> {
    let n = alarm_without_order(tx, now, name, text)?;
    tx.execute_one("an alarm's batch", "UPDATE alarms SET batch = ?2 WHERE n = ?1", (n, batch.0))
}

/// An alarm about no order in particular. Gives its number.
pub(in super::super) fn alarm_without_order(
    tx: &Tx<'_>,
    now: Timestamp,
    name: Alarm,
    text: &str,
) -> Result<i64, JournalError> {
    log_alarm(tx, name, text);
    enter_alarm(tx, now, name, text)
}

/// Such an alarm, without a word in the log.
pub(in super::super) fn enter_alarm(
    tx: &Tx<'_>,
    now: Timestamp,
    name: Alarm,
    text: &str,
) -> Result<i64, JournalError> {
    tx.execute(
        "INSERT INTO alarms (at, name, text) VALUES (?1, ?2, ?3)",
        (now.millis(), name.as_str(), text),
    )?;
    Ok(tx.connection().last_insert_rowid())
}

/// The cause of every open alarm of this name is gone.
pub(in super::super) fn alarm_is_gone(tx: &Tx<'_>, name: Alarm, now: Timestamp) -> Result<(), JournalError> {
    tx.execute(
        "UPDATE alarms SET gone_at = ?2 WHERE gone_at IS NULL AND acked_at IS NULL AND name = ?1",
        (name.as_str(), now.millis()),
    )?;
    Ok(())
}

/// Likewise of one about this order.
pub(in super::super) fn alarm_of_order_is_gone(
    tx: &Tx<'_>,
    name: Alarm,
    order: &Loaded,
    now: Timestamp,
) -> Result<(), JournalError> {
    tx.execute(
        "UPDATE alarms SET gone_at = ?3 WHERE gone_at IS NULL AND acked_at IS NULL AND name = ?1 AND order_id = ?2",
        (name.as_str(), order.id.0, now.millis()),
    )?;
    Ok(())
}
