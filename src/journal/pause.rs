//! Pauses: submission, all of it or one service's, stands still.

use std::time::Duration;

use super::tx::Tx;
use super::wake::Rung;
use super::{Journal, JournalError, View};
use crate::gate::{Pause, Scope};
use crate::order::PauseReason;
use crate::schedule;
use crate::types::{ServiceId, Timestamp};

const fn code(scope: Scope) -> i64 {
    match scope {
        Scope::All => 0,
        Scope::Service(service) => service.0,
    }
}

const fn scope_of(code: i64) -> Scope {
    if code == 0 { Scope::All } else { Scope::Service(ServiceId(code)) }
}

pub(super) fn list(tx: &Tx<'_>) -> Result<Vec<Pause>, JournalError> {
    tx.all(SELECT, [], read)
}

pub(super) const SELECT: &str =
    "SELECT scope, reason, text, since, tries, next_try, one FROM pauses ORDER BY since, scope, reason";

pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Pause> {
    let word: String = row.get(1)?;
    // A reason of a newer version still pauses; here it can only be shown as an operator's.
    let reason = PauseReason::ALL.into_iter().find(|reason| reason.as_str() == word);
    Ok(Pause {
        scope: scope_of(row.get(0)?),
        reason: reason.unwrap_or(PauseReason::Operator),
        text: row.get(2)?,
        since: Timestamp::from_millis(row.get(3)?),
        tries: row.get(4)?,
        next_try: row.get::<_, Option<i64>>(5)?.map(Timestamp::from_millis),
        one: row.get(6)?,
    })
}

/// Pauses, or, where it is paused for this reason already, puts the next try off.
pub(super) fn set(
    tx: &Tx<'_>,
    scope: Scope,
    reason: PauseReason,
    text: &str,
    now: Timestamp,
) -> Result<(), JournalError> {
    let before = tries_of(tx, scope, reason)?;
    let tries = match before {
        // Thirty calls in flight fail alike: that is one try, not thirty.
        Some((tries, false)) if reason.is_retried() => tries,
        Some((tries, _)) => tries.saturating_add(1),
        None => 0,
    };
    let wait: Option<Duration> = reason.is_retried().then(|| schedule::next_pause_try(tries));
    let next_try = wait.map(|wait| now.plus(wait));
    tx.execute(
        "INSERT INTO pauses (scope, reason, text, since, tries, next_try, one) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0) \
         ON CONFLICT (scope, reason) DO UPDATE SET text = excluded.text, tries = excluded.tries, \
         next_try = excluded.next_try, one = 0",
        (code(scope), reason.as_str(), text, now.millis(), tries, next_try.map(Timestamp::millis)),
    )?;
    tx.pauses_changed();
    if before.is_none() {
        let scope = scope_word(tx, scope)?;
        tx.event(now, None, None, "pause", &format!("{scope} {}: {text}", reason.as_str()))?;
        let text = text.to_owned();
        tx.log(move || say_pause(&scope, reason.as_str(), &text, wait, None));
    }
    tx.ring(Rung::SUBMIT);
    Ok(())
}

/// Says why anew, without another line in the log. Whether there is such a pause.
pub(super) fn reword(
    tx: &Tx<'_>,
    scope: Scope,
    reason: PauseReason,
    text: &str,
) -> Result<bool, JournalError> {
    let sql = "UPDATE pauses SET text = ?3 WHERE scope = ?1 AND reason = ?2";
    let stands = tx.execute(sql, (code(scope), reason.as_str(), text))? > 0;
    if stands {
        tx.pauses_changed();
    }
    Ok(stands)
}

/// The line of a pause. `since`: where it began before the line.
pub fn say_pause(scope: &str, reason: &str, text: &str, wait: Option<Duration>, since: Option<Timestamp>) {
    tracing::warn!(
        scope, reason, text,
        next_try = %wait.map_or_else(|| "-".to_owned(), shown_wait),
        since = since.map(tracing::field::display),
        "pause"
    );
}

/// How long until something is tried, as the log has it: `now`, `450ms`, `10s`, `300s`.
fn shown_wait(wait: Duration) -> String {
    match (wait.as_secs(), wait.subsec_millis()) {
        (0, 0) => "now".to_owned(),
        (0, millis) => format!("{millis}ms"),
        (seconds, _) => format!("{seconds}s"),
    }
}

/// The line of its end.
pub fn say_pause_ended(scope: &str, reason: &str) {
    tracing::info!(scope, reason, "pause ended");
}

/// How often a pause was tried, and whether an order is on its way to find out; `None`: there is no such pause.
fn tries_of(tx: &Tx<'_>, scope: Scope, reason: PauseReason) -> Result<Option<(u32, bool)>, JournalError> {
    tx.find(
        "SELECT tries, one FROM pauses WHERE scope = ?1 AND reason = ?2",
        (code(scope), reason.as_str()),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Pauses from now on, where it is paused for this reason already too: what is true of a pause that a copy brought along
/// isn't true of this one, its age above all.
pub(super) fn begin_anew(
    tx: &Tx<'_>,
    scope: Scope,
    reason: PauseReason,
    text: &str,
    now: Timestamp,
) -> Result<(), JournalError> {
    remove(tx, scope, reason)?;
    set(tx, scope, reason, text, now)
}

/// Whether there was one.
fn remove(tx: &Tx<'_>, scope: Scope, reason: PauseReason) -> Result<bool, JournalError> {
    let sql = "DELETE FROM pauses WHERE scope = ?1 AND reason = ?2";
    Ok(tx.execute(sql, (code(scope), reason.as_str()))? > 0)
}

fn scope_word(tx: &Tx<'_>, scope: Scope) -> Result<String, JournalError> {
    Ok(match scope {
        Scope::All => "all".to_owned(),
        Scope::Service(service) => format!("service:{}", service_name(tx, service)?),
    })
}

/// What people call a service; its number where the journal has no name for it.
pub(super) fn service_name(tx: &Tx<'_>, service: ServiceId) -> Result<String, JournalError> {
    let found = tx.find("SELECT name FROM services WHERE id = ?1", [service.0], |row| row.get(0))?;
    Ok(found.unwrap_or_else(|| service.to_string()))
}

/// Ends a pause, if there is one.
pub(super) fn end(
    tx: &Tx<'_>,
    scope: Scope,
    reason: PauseReason,
    now: Timestamp,
) -> Result<bool, JournalError> {
    let ended = remove(tx, scope, reason)?;
    if ended {
        tx.pauses_changed();
        let scope = scope_word(tx, scope)?;
        tx.event(now, None, None, "pause ended", &format!("{scope} {}", reason.as_str()))?;
        tx.log(move || say_pause_ended(&scope, reason.as_str()));
        tx.ring(Rung::SUBMIT);
    }
    Ok(ended)
}

/// It is tried at once, unless an order is on its way to find out.
pub(super) fn try_now(
    tx: &Tx<'_>,
    scope: Scope,
    reason: PauseReason,
    now: Timestamp,
) -> Result<(), JournalError> {
    tx.execute(
        "UPDATE pauses SET next_try = ?3 WHERE scope = ?1 AND reason = ?2 AND one = 0",
        (code(scope), reason.as_str(), now.millis()),
    )?;
    tx.pauses_changed();
    Ok(())
}

/// An answer of the provider that passed: it ends every pause that let this order go to find out.
pub(super) fn passed(tx: &Tx<'_>, service: ServiceId, now: Timestamp) -> Result<(), JournalError> {
    // Asked after every order, and nearly always in vain.
    if tx.find("SELECT 1 FROM pauses WHERE one = 1 LIMIT 1", [], |_| Ok(()))?.is_none() {
        return Ok(());
    }
    for pause in list(tx)? {
        if pause.one && pause.covers(service) {
            end(tx, pause.scope, pause.reason, now)?;
        }
    }
    Ok(())
}

impl Journal {
    /// What stands still.
    ///
    /// # Errors
    /// The journal can't be read.
    pub async fn pauses(&self) -> Result<Vec<Pause>, JournalError> {
        self.read(|view| view.pauses()).await
    }

    /// Pauses submission.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn pause(
        &self,
        scope: Scope,
        reason: PauseReason,
        text: String,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.write(move |tx| set(tx, scope, reason, &text, now)).await
    }

    /// A first order cost more than its price: the service pauses, and its first orders prove nothing any more.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn price_is_higher(
        &self,
        service: ServiceId,
        text: String,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            tx.execute_one(
                "a service's canary",
                "UPDATE services SET canary_proved = 0, canary_width = 1 WHERE id = ?1",
                [service.0],
            )?;
            set(tx, Scope::Service(service), PauseReason::Price, &text, now)
        })
        .await
    }

    /// At a start: a pause for the account is tried at once, however long the wait had become. The key, which a start alone
    /// takes over, may be another one, and a try costs nothing. Whether it is can't be told: no trace of a key is kept.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn try_account_at_once(&self, now: Timestamp) -> Result<(), JournalError> {
        self.write(move |tx| try_now(tx, Scope::All, PauseReason::Account, now)).await
    }

    /// At a start: says again what stands still since before `start`, for the line that began it is in another process's
    /// log.
    ///
    /// # Errors
    /// The journal can't be read.
    pub async fn say_kept_pauses(&self, start: Timestamp, now: Timestamp) -> Result<(), JournalError> {
        let names = self.read(View::service_names).await?;
        for pause in self.pauses().await?.into_iter().filter(|pause| pause.since < start) {
            let scope = match pause.scope {
                Scope::All => "all".to_owned(),
                Scope::Service(id) => {
                    format!("service:{}", names.get(&id).cloned().unwrap_or_else(|| id.to_string()))
                }
            };
            let wait = pause.next_try.map(|at| at.since(now));
            say_pause(&scope, pause.reason.as_str(), &pause.text, wait, Some(pause.since));
        }
        Ok(())
    }

    /// Ends a pause, if there is one.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn end_pause(
        &self,
        scope: Scope,
        reason: PauseReason,
        now: Timestamp,
    ) -> Result<bool, JournalError> {
        self.write(move |tx| end(tx, scope, reason, now)).await
    }

    /// The try of a pause by `accountinfo` came out: it passed, so one order may go, or it didn't, so later.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn pause_tried(
        &self,
        scope: Scope,
        reason: PauseReason,
        passed: bool,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            let Some((tries, _)) = tries_of(tx, scope, reason)? else { return Ok(()) };
            let tries = tries.saturating_add(1);
            // With one order on its way the next look is due as if it had failed: its answer comes sooner.
            let next = now.plus(schedule::next_pause_try(tries));
            tx.execute(
                "UPDATE pauses SET one = ?3, tries = ?4, next_try = ?5 WHERE scope = ?1 AND reason = ?2",
                (code(scope), reason.as_str(), passed, tries, next.millis()),
            )?;
            tx.pauses_changed();
            if passed {
                tx.ring(Rung::SUBMIT);
            }
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_below_a_second_is_told_too() {
        for (millis, words) in [(0, "now"), (450, "450ms"), (1_999, "1s"), (300_000, "300s")] {
            assert_eq!(shown_wait(Duration::from_millis(millis)), words);
        }
    }
}
