//! An operator's word about submission as a whole, or about an alarm.

use super::books;
use super::exports;
use super::orders::Rules;
use super::pause;
use super::requests::{Request, RequestAnswer};
use super::restore::ADVICE;
use super::tx::Tx;
use super::{JournalError, Said};
use crate::gate::{Pause, Scope};
use crate::order::{Alarm, PauseReason};
use crate::types::Timestamp;

/// "Nothing more is sent", or "go on".
pub(super) fn about_submission(
    tx: &Tx<'_>,
    request: &Request,
    scope: Scope,
    now: Timestamp,
    rules: &Rules,
) -> Result<RequestAnswer, JournalError> {
    match request.said {
        Said::Pause => stop(tx, request, scope, now),
        Said::Resume => go_on(tx, request, scope, now, rules),
        _ => Ok(RequestAnswer::nothing("that can be said of an IMEI or a batch, not of submission")),
    }
}

fn stop(tx: &Tx<'_>, request: &Request, scope: Scope, now: Timestamp) -> Result<RequestAnswer, JournalError> {
    let (shown, command) = match scope {
        Scope::All => ("everything".to_owned(), "imeid resume".to_owned()),
        Scope::Service(service) => {
            let name = pause::service_name(tx, service)?;
            (format!("service {name}"), format!("imeid resume --service {name}"))
        }
    };
    let is_ours = |pause: &Pause| pause.scope == scope && pause.reason == PauseReason::Operator;
    if pause::list(tx)?.iter().any(is_ours) {
        return Ok(RequestAnswer::done(format!("{shown} is paused already; {command} lets it go on")));
    }
    pause::set(tx, scope, PauseReason::Operator, &format!("by {}", request.who), now)?;
    tx.event(now, None, None, "word", &request.told())?;
    Ok(RequestAnswer::done(format!(
        "{shown} is paused: nothing more is sent, calls on their way still end; {command} lets it go on"
    )))
}

/// What a person's "go on" does to a pause.
enum GoesOn {
    /// It ends. If its cause is still there, it comes back with the next order.
    Ends,
    /// Its cause lies with the provider: it is tried at once, as if its time had come.
    Tried,
    /// It stays, and why.
    Stays(String),
}

fn goes_on(pause: &Pause, now: Timestamp, rules: &Rules) -> GoesOn {
    match pause.reason {
        PauseReason::Account
        | PauseReason::Credit
        | PauseReason::Maintenance
        | PauseReason::Service
        | PauseReason::Price => GoesOn::Tried,
        PauseReason::Cap => GoesOn::Stays(
            "it ends with the day, with a higher per_day, or once money is free again".to_owned(),
        ),
        PauseReason::Disk => GoesOn::Stays("it ends by itself once there is space".to_owned()),
        PauseReason::OlderCopy => {
            let from = pause.since.plus(rules.quiet);
            if from > now {
                let wait = from.since(now).as_secs().saturating_add(1);
                GoesOn::Stays(format!("a quiet period must pass first: say it again in {wait} s"))
            } else {
                GoesOn::Ends
            }
        }
        _ => GoesOn::Ends,
    }
}

fn go_on(
    tx: &Tx<'_>,
    request: &Request,
    scope: Scope,
    now: Timestamp,
    rules: &Rules,
) -> Result<RequestAnswer, JournalError> {
    let pauses = pause::list(tx)?;
    let mut said = Vec::new();
    let mut moved = false;
    for pause in &pauses {
        let covered = match scope {
            Scope::All => true,
            Scope::Service(service) => pause.covers(service),
        };
        if !covered {
            continue;
        }
        let shown = shown(tx, pause)?;
        if scope != Scope::All && pause.scope == Scope::All {
            said.push(format!("still paused: {shown} (imeid resume)"));
            continue;
        }
        match goes_on(pause, now, rules) {
            GoesOn::Ends if pause::end(tx, pause.scope, pause.reason, now)? => {
                if pause.reason == PauseReason::OlderCopy {
                    books::alarm_is_gone(tx, Alarm::OlderCopy, now)?;
                    books::alarm_is_gone(tx, Alarm::OtherJournal, now)?;
                }
                moved = true;
                said.push(format!("no longer paused: {shown}"));
                if pause.reason == PauseReason::OlderCopy && !exports::was_read_since(tx, pause.since)? {
                    said.push(format!("warning: {NO_EXPORT}"));
                }
            }
            GoesOn::Tried => {
                pause::try_now(tx, pause.scope, pause.reason, now)?;
                moved = true;
                said.push(format!(
                    "still paused, being tried now (imeid status shows whether it went): {shown}"
                ));
            }
            GoesOn::Stays(why) => said.push(format!("still paused: {shown}; {why}")),
            GoesOn::Ends => said.push(format!("still paused: {shown}")),
        }
    }
    if said.is_empty() {
        return Ok(RequestAnswer::done("nothing is paused there"));
    }
    tx.event(now, None, None, "word", &request.told())?;
    Ok(RequestAnswer { done: moved, text: said.join("\n") })
}

/// What he risks who lets an older copy go on without one.
const NO_EXPORT: &str = "no export of the provider's was read since that pause began. What was ordered after the copy was made \
                         is not in it: ordered anew it is paid for again where the provider doesn't refuse it. To be safe \
                         stop it again at once (imeid pause), drop the provider's export into reconcile, and let it go on \
                         when the log tells of it (export read)";

/// Whether one was read to its end since then.
fn shown(tx: &Tx<'_>, pause: &Pause) -> Result<String, JournalError> {
    let scope = match pause.scope {
        Scope::All => "everything".to_owned(),
        Scope::Service(service) => format!("service {}", pause::service_name(tx, service)?),
    };
    let text = pause.text.strip_suffix(ADVICE).unwrap_or(&pause.text);
    Ok(format!("{scope}: {}: {text}", pause.reason.as_str()))
}

/// "I have seen it."
pub(super) fn ack(
    tx: &Tx<'_>,
    request: &Request,
    n: i64,
    now: Timestamp,
) -> Result<RequestAnswer, JournalError> {
    if request.said != Said::Ack {
        return Ok(RequestAnswer::nothing("an alarm can only be seen"));
    }
    let found: Option<(String, String, Option<i64>, Option<i64>)> =
        tx.find("SELECT name, text, acked_at, gone_at FROM alarms WHERE n = ?1", [n], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
    let Some((name, text, acked, gone)) = found else {
        return Ok(RequestAnswer::nothing(format!(
            "there is no alarm {n}: imeid status shows those that are open"
        )));
    };
    let alarm = format!("alarm {n}, {name}: {text}");
    if acked.is_some() {
        return Ok(RequestAnswer::done(format!("{alarm}\nwas seen before")));
    }
    tx.execute_one("an alarm's seeing", "UPDATE alarms SET acked_at = ?2 WHERE n = ?1", (n, now.millis()))?;
    tx.event(now, None, None, "alarm seen", &format!("{}: {n}", request.who))?;
    // Whatever waited for someone to look may go on.
    tx.ring(super::wake::Rung::SUBMIT.and(super::wake::Rung::SETTLE));
    let rest = if gone.is_some() { "seen; its cause was gone already" } else { "seen: it is shown no more" };
    Ok(RequestAnswer::done(format!("{alarm}\n{rest}")))
}
