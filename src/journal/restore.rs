//! Whether the journal is an older copy, and what follows: orders may have been sent that it doesn't know of.
//!
//! A copy that was put back knows nothing of what its original did since. Whatever it would send next may be paid for
//! already, so all that is queued, in flight or in doubt is taken as sent when the copy was made, and nothing goes until
//! a person says so. The journal gets a new id then: what the original left outside is no longer about this one.
//!
//! A journal beside which another one's stamp lies is taken the same way: one that was begun anew because the old one was
//! lost, or the original itself, put back after a copy of it had worked. What the other ordered isn't in it either. Should
//! the stamp be gone, the files in the archive tell it of a journal that knows of no file at all.
//!
//! It is done in slices, each one transaction. What has begun is kept as a fact, so that a crash in between ends the
//! same way.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::balance;
use super::books;
use super::codes::ASSUMED;
use super::exports;
use super::orders::{self, COLUMNS, Rules, Telling};
use super::pause;
use super::start::{STARTS, counted};
use super::tx::Tx;
use super::view::View;
use super::{Journal, JournalError};
use crate::clock::local_stamp;
use crate::gate::Scope;
use crate::order::{Alarm, Event, PauseReason};
use crate::types::{OrderId, Timestamp};

/// The journal's own id, given when it is made.
pub(super) const JOURNAL_ID: &str = "journal_id";
/// In a copy: the id of the journal that it was made of.
pub(super) const COPY_OF: &str = "copy_of";
/// In a copy: when it was made, in unix milliseconds.
pub(super) const COPIED_AT: &str = "copied_at";
/// For good: whose stamp lay outside when the journal was found to be an older copy. "Already exists" proves less from
/// then on, and that stamp, should it still lie there, is no longer about this journal.
pub(super) const WAS_COPY: &str = "was_copy";
/// While orders are being taken as sent: how far that is.
const TAKING_BACK: &str = "restoring";
/// Orders in one transaction.
const SLICE: u32 = 200;

/// How far a journal is, kept outside of it too: one that is behind it is an older copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The journal's own id.
    pub journal: String,
    /// Its last attempt, as the number of the ledger's last line: every attempt has its line before it is sent.
    pub attempt: i64,
    /// How many of its starts have sent: counted, and told here, before the first order of each. A stamp of an earlier version
    /// has none.
    #[serde(default)]
    pub starts: i64,
}

impl Stamp {
    /// Whether nothing was ever sent.
    #[must_use]
    pub const fn is_blank(&self) -> bool {
        self.attempt == 0 && self.starts == 0
    }
}

/// What lies outside the journal, in the archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InArchive {
    /// The stamp, if one that can be read lies there.
    pub stamp: Option<Stamp>,
    /// Whether files that were taken lie there.
    pub has_originals: bool,
}

/// What an older copy was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OlderCopy {
    /// Orders that are in doubt now.
    pub orders: u64,
}

#[derive(Serialize, Deserialize)]
struct Progress {
    copied_at: i64,
    text: String,
    /// The last order that was looked at.
    cursor: i64,
    orders: u64,
}

/// Gives the journal an id of its own, once.
pub(super) fn give_id(connection: &Connection) -> Result<(), JournalError> {
    let sql = "INSERT OR IGNORE INTO facts (key, value) VALUES (?1, ?2)";
    if connection.execute(sql, (JOURNAL_ID, new_id()))? > 0 {
        // Into the file itself: one that is copied without its write-ahead log is then known as behind, not as another.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}

fn new_id() -> String {
    format!("{:032x}", fastrand::Rng::new().u128(..))
}

const LAST_LINE: &str = "SELECT coalesce(max(id), 0) FROM ledger";

impl View {
    /// How far the journal is.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn stamp(&self) -> Result<Stamp, JournalError> {
        Ok(Stamp {
            journal: self.fact(JOURNAL_ID)?.unwrap_or_default(),
            attempt: self.find(LAST_LINE, [], |row| row.get(0))?.unwrap_or(0),
            starts: counted(self.fact(STARTS)?),
        })
    }

    /// Whether it was found to be an older copy, and nobody has said yet that it goes on: files wait too.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn waits_as_older_copy(&self) -> Result<bool, JournalError> {
        Ok(self.pauses()?.iter().any(|pause| pause.reason == PauseReason::OlderCopy))
    }
}

impl Journal {
    /// Finds out whether the journal is an older copy: it is marked as one, or behind the stamp in the archive; or whether
    /// another one worked with the archive. Then all that was queued, in flight or in doubt is in doubt anew, and all
    /// submission is paused. Call at start-up, after [`Journal::recover`], before anything is submitted.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn take_as_older_copy(
        &self,
        archive: InArchive,
        now: Timestamp,
        rules: Rules,
    ) -> Result<Option<OlderCopy>, JournalError> {
        if !self.write(move |tx| begin(tx, &archive, now)).await? {
            return Ok(None);
        }
        loop {
            let rules = rules.clone();
            if let Some(orders) = self.write(move |tx| slice(tx, now, &rules)).await? {
                return Ok(Some(OlderCopy { orders }));
            }
        }
    }
}

/// What a person does about it: the end of its pause's text, and no answer to him who does it.
pub(super) const ADVICE: &str = ". Drop the provider's export into reconcile, then say imeid resume";

/// What an older copy lacks.
const SINCE: &str = "what was sent since is not in it";

/// Whether there is something to do.
pub(super) fn begin(tx: &Tx<'_>, archive: &InArchive, now: Timestamp) -> Result<bool, JournalError> {
    if tx.fact(TAKING_BACK)?.is_some() {
        return Ok(true);
    }
    let stamp = archive.stamp.as_ref();
    let own = tx.fact(JOURNAL_ID)?.unwrap_or_default();
    let (copied_at, name, what) = match (tx.fact(COPIED_AT)?, stamp) {
        (Some(at), _) => {
            let at = Timestamp::from_millis(at.parse().unwrap_or(0));
            let what = format!(
                "the journal is an older copy (it is a copy that imeid backup made at {}): {SINCE}",
                local_stamp(at)
            );
            (at, Alarm::OlderCopy, what)
        }
        (None, Some(stamp)) if stamp.journal == own => {
            let here: i64 = tx.find(LAST_LINE, [], |row| row.get(0))?.unwrap_or(0);
            let later = if here < stamp.attempt {
                "orders"
            } else if counted(tx.fact(STARTS)?) < stamp.starts {
                "starts"
            } else {
                return Ok(false);
            };
            // It was copied at some time after that.
            let at = last_event(tx)?.unwrap_or(now);
            let what = format!(
                "the journal is an older copy (archive/.imeid knows of later {later}; its last entry is of {}): {SINCE}",
                local_stamp(at)
            );
            (at, Alarm::OlderCopy, what)
        }
        // A blank one has ordered nothing.
        (None, Some(stamp)) if !stamp.is_blank() && tx.fact(WAS_COPY)?.as_ref() != Some(&stamp.journal) => {
            let what = format!(
                "another journal ({}), or an older copy of this one after which imeid resume was said, worked with this \
                 archive before: what that one ordered is not in this one and can be paid for again",
                stamp.journal
            );
            (last_event(tx)?.unwrap_or(now), Alarm::OtherJournal, what)
        }
        (None, _) if archive.has_originals && knows_of_no_file(tx)? => {
            let what = "this archive holds files that this journal doesn't know, and no stamp of the one that took them: \
                        what that one ordered is not in this one and can be paid for again";
            (now, Alarm::OtherJournal, what.to_owned())
        }
        (None, _) => return Ok(false),
    };
    let text = format!("{what}{ADVICE}");
    let progress = Progress { copied_at: copied_at.millis(), text, cursor: 0, orders: 0 };
    keep(tx, &progress)?;
    tx.set_fact(WAS_COPY, stamp.map_or(&own, |stamp| &stamp.journal))?;
    tx.set_fact(JOURNAL_ID, &new_id())?;
    tx.execute("DELETE FROM facts WHERE key IN (?1, ?2)", [COPY_OF, COPIED_AT])?;
    balance::forget_baselines(tx)?;
    pause::begin_anew(tx, Scope::All, PauseReason::OlderCopy, &progress.text, now)?;
    books::alarm_without_order(tx, now, name, &progress.text)?;
    Ok(true)
}

/// Whether nothing was ever taken in, and nobody has said yet that it begins all the same.
fn knows_of_no_file(tx: &Tx<'_>) -> Result<bool, JournalError> {
    let sql = "SELECT 1 FROM batches UNION ALL SELECT 1 FROM exports UNION ALL SELECT 1 FROM ledger LIMIT 1";
    Ok(tx.fact(WAS_COPY)?.is_none() && tx.find(sql, [], |_| Ok(()))?.is_none())
}

fn keep(tx: &Tx<'_>, progress: &Progress) -> Result<(), JournalError> {
    let text = serde_json::to_string(progress).map_err(|error| JournalError::Unknown(error.to_string()))?;
    tx.set_fact(TAKING_BACK, &text)
}

/// The journal's last event or answer before this start, or one that broke off before it: what is found in flight as it
/// begins is told as of now, however long ago the copy was made.
fn last_event(tx: &Tx<'_>) -> Result<Option<Timestamp>, JournalError> {
    let at = |row: &rusqlite::Row<'_>| row.get(0).map(Timestamp::from_millis);
    let event = tx.find("SELECT at FROM events WHERE what <> 'lost' ORDER BY id DESC LIMIT 1", [], at)?;
    // Most answers have no event beside them.
    let answer = tx.find("SELECT at FROM answers ORDER BY id DESC LIMIT 1", [], at)?;
    Ok(event.max(answer))
}

/// The next orders. How many there were in all, if these were the last.
pub(super) fn slice(tx: &Tx<'_>, now: Timestamp, rules: &Rules) -> Result<Option<u64>, JournalError> {
    let Some(text) = tx.fact(TAKING_BACK)? else { return Ok(Some(0)) };
    let mut progress: Progress = serde_json::from_str(&text)
        .map_err(|error| JournalError::Unknown(format!("how far an older copy is taken back: {error}")))?;
    let mut found = Vec::new();
    {
        let sql =
            format!("SELECT {COLUMNS} FROM orders WHERE id > ?1 AND state IN (0, 1, 2) ORDER BY id LIMIT ?2");
        let mut statement = tx.prepare(&sql)?;
        let mut rows = statement.query((progress.cursor, SLICE))?;
        while let Some(row) = rows.next()? {
            found.push(orders::read(row)?);
        }
    }
    let telling = Telling { what: "older copy", text: &progress.text, via: "", quiet: false };
    for order in &mut found {
        // Its age begins now, whatever doubt it was in.
        order.doubt_first = None;
        orders::advance(tx, order, &Event::Restored, now, rules, &telling)?;
        began_at(tx, order.id, order.attempts, progress.copied_at)?;
    }
    let Some(last) = found.last() else {
        tx.execute("DELETE FROM facts WHERE key = ?1", [TAKING_BACK])?;
        return Ok(Some(progress.orders));
    };
    progress.cursor = last.id.0;
    progress.orders = progress.orders.saturating_add(u64::try_from(found.len()).unwrap_or(0));
    keep(tx, &progress)?;
    Ok(None)
}

/// Whether it ever was found to be an older copy.
pub(super) fn was_copy(tx: &Tx<'_>) -> Result<bool, JournalError> {
    Ok(tx.fact(WAS_COPY)?.is_some())
}

/// What it is told by that the journal is an older copy, as long as nobody has said that it goes on.
pub(super) fn waits(tx: &Tx<'_>) -> Result<Option<String>, JournalError> {
    let sql = "SELECT text FROM pauses WHERE reason = ?1";
    tx.find(sql, [PauseReason::OlderCopy.as_str()], |row| row.get(0))
}

/// Whether it waits and no export was read since: what its original ordered isn't known.
pub(super) fn lacks_export(tx: &Tx<'_>) -> Result<bool, JournalError> {
    let waits = pause::list(tx)?.into_iter().find(|pause| pause.reason == PauseReason::OlderCopy);
    waits.map_or(Ok(false), |pause| Ok(!exports::was_read_since(tx, pause.since)?))
}

/// The attempt that is taken as made began when the copy was made, not when that was found out: evidence from in
/// between is about it.
fn began_at(tx: &Tx<'_>, order: OrderId, n: u32, copied_at: i64) -> Result<(), JournalError> {
    tx.execute_one(
        "an assumed attempt's beginning",
        "UPDATE attempts SET claimed_at = ?3 WHERE order_id = ?1 AND n = ?2 AND kind = ?4",
        (order.0, n, copied_at, ASSUMED),
    )
}
