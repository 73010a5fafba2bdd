//! The balance's side of the books: sums to hold it against, and the baseline.

use rusqlite::Row;

use super::books::AttemptRow;
use super::orders::{Loaded, OF_ACCOUNT, UNSURE};
use super::sums::Amounts;
use super::tx::Tx;
use super::view::View;
use super::{Journal, JournalError};
use crate::balance::{Baseline, Books, Moved};
use crate::types::{Money, OrderId, ServiceId, Timestamp};

/// A line of the ledger.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Its number; 0: there is none yet.
    pub n: i64,
    /// When it was written.
    pub at: Option<Timestamp>,
}

/// The last line of the ledger, which every order that is sent adds to.
const LAST: &str = "SELECT id, at FROM ledger ORDER BY id DESC LIMIT 1";

/// The kind of a line that takes back what was presumed.
pub(super) const UNPRESUME: &str = "unpresume";

/// Of the only account.
const ALL_SUMS: &str = "SELECT coalesce(sum(reserved), 0), coalesce(sum(presumed), 0), coalesce(sum(charged), 0), \
     coalesce(sum(refund), 0) FROM totals WHERE scope = 'day'";
/// Of one of several accounts, a file being of one service.
const SUMS_OF_ACCOUNT: &str = "SELECT coalesce(sum(reserved), 0), coalesce(sum(presumed), 0), coalesce(sum(charged), 0), \
     coalesce(sum(refund), 0) FROM totals JOIN batches ON batches.id = totals.key JOIN services ON services.id = batches.service \
     WHERE scope = 'batch' AND account = ?1";
/// Of all accounts: what belongs to no row.
const OF_NO_ROW: &str = "SELECT coalesce(sum(reserved + presumed + charged + refund), 0) FROM totals WHERE scope = 'batch' AND key = 0";

fn sums(row: &Row<'_>) -> rusqlite::Result<Books> {
    let sum = |column: usize| row.get(column).map(Money::from_micros);
    Ok(Books {
        reserved: sum(0)?,
        presumed: sum(1)?,
        charged: sum(2)?,
        refund_due: sum(3)?,
        ..Books::default()
    })
}

fn baseline_key(account: &str) -> String {
    format!("baseline:{account}")
}

/// In an older copy: what its original ordered since isn't in the books, so no balance from before is one to hold later
/// ones against.
pub(super) fn forget_baselines(tx: &Tx<'_>) -> Result<(), JournalError> {
    tx.execute("DELETE FROM facts WHERE key LIKE 'baseline:%'", [])?;
    Ok(())
}

/// The refund of this attempt's order becomes due. Where it was charged before the first balance, that one can have it in it:
/// it was read when nothing was open, so that every attempt of before was charged by then, if ever.
pub(super) fn refund_is_due(
    tx: &Tx<'_>,
    account: &str,
    order: OrderId,
    n: u32,
    price: Money,
) -> Result<(), JournalError> {
    let key = baseline_key(account);
    let Some(known) = tx.fact(&key)?.and_then(|text| read_baseline(&text)) else { return Ok(()) };
    let Some(first) = known.first else { return Ok(()) };
    // What was entered on evidence has no entry of the ledger before it.
    let before = "SELECT 1 FROM attempts WHERE order_id = ?1 AND n = ?2 AND entry < ?3 AND (kind < 2 OR claimed_at <= ?4)";
    if tx.find(before, (order.0, n, first.line, first.at_ms), |_| Ok(()))?.is_some() {
        tx.set_fact(&key, &written(&known.with_unclear(price)))?;
    }
    Ok(())
}

/// The price of this attempt is booked otherwise, and was neither reserved before nor is it then. Where it stood presumed in the
/// baseline's books it moves there too: these were read when nothing was open, so it was charged by then, if ever. Else what
/// is released would make less of what was charged since, and a fall be told that nobody made; and what becomes known of it
/// would explain a fall that it didn't make. Call before its line is in the ledger.
pub(super) fn moves(tx: &Tx<'_>, order: &Loaded, row: &AttemptRow, by: Amounts) -> Result<(), JournalError> {
    let key = baseline_key(&tx.account(order.service)?);
    let Some(known) = tx.fact(&key)?.and_then(|text| read_baseline(&text)) else { return Ok(()) };
    // What belongs to no row is in no account's sums where there are several.
    let is_in_books = order.batch.0 != 0 || known.books.of_no_row.is_none();
    if !is_in_books || !stood_presumed(tx, order.id, row.n, known.line, by.presumed < 0)? {
        return Ok(());
    }
    let charged = "SELECT 1 FROM attempts WHERE order_id = ?1 AND n <> ?2 AND verdict = 0 LIMIT 1";
    let is_alone = tx.find(charged, (order.id.0, row.n), |_| Ok(()))?.is_none();
    let presumed_alone = if is_alone { by.presumed } else { 0 };
    let moved = Moved { charged: by.charged, presumed: by.presumed, presumed_alone };
    tx.set_fact(&key, &written(&known.with_moved(moved)))
}

/// Whether an attempt stood presumed when this was the ledger's last line.
fn stood_presumed(
    tx: &Tx<'_>,
    order: OrderId,
    n: u32,
    line: i64,
    is_presumed: bool,
) -> Result<bool, JournalError> {
    // What was entered on evidence has no entry of the ledger before it: its own lines tell.
    let before = "SELECT 1 FROM attempts WHERE order_id = ?1 AND n = ?2 AND entry < ?3";
    if tx.find(before, (order.0, n, line), |_| Ok(()))?.is_none() {
        return Ok(false);
    }
    let since = "SELECT kind FROM ledger WHERE id > ?3 AND order_id = ?1 AND n = ?2 ORDER BY id LIMIT 1";
    let moved: Option<String> = tx.find(since, (order.0, n, line), |row| row.get(0))?;
    Ok(moved.map_or(is_presumed, |kind| kind == UNPRESUME))
}

/// One that can't be read is none: then a balance shows nothing, until the next.
fn read_baseline(text: &str) -> Option<Baseline> {
    serde_json::from_str(text).ok()
}

fn written(baseline: &Baseline) -> String {
    serde_json::to_string(baseline).unwrap_or_default()
}

fn is_last(tx: &Tx<'_>, line: i64) -> Result<bool, JournalError> {
    Ok(tx.find(LAST, [], |row| row.get::<_, i64>(0))?.unwrap_or(0) == line)
}

impl View {
    /// The sums that this account's balance is held against.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn books(&self, account: &str) -> Result<Books, JournalError> {
        let is_alone =
            self.find("SELECT 1 FROM services WHERE account <> ?1 LIMIT 1", [account], |_| Ok(()))?.is_none();
        let sums = if is_alone {
            self.find(ALL_SUMS, [], sums)?
        } else {
            self.find(SUMS_OF_ACCOUNT, [account], sums)?
        };
        let of_no_row = if is_alone { None } else { self.find(OF_NO_ROW, [], |row| row.get(0))? };
        let sums = sums.unwrap_or_default();
        // Whatever state its order is in: one that is given up may have been charged as well. SQLite is told to go through
        // these few orders, not through every attempt.
        let beside_a_charge: Option<i64> = self.find(
            &format!(
                "SELECT coalesce(sum(attempts.price), 0) FROM orders CROSS JOIN attempts ON attempts.order_id = orders.id \
                 WHERE presumed > 0 AND charged > 0 AND attempts.verdict = 4 AND (batch <> 0 OR ?2) AND {OF_ACCOUNT}"
            ),
            (account, is_alone),
            |row| row.get(0),
        )?;
        let alone = sums.presumed.micros().saturating_sub(beside_a_charge.unwrap_or(0));
        Ok(Books {
            presumed_alone: Money::from_micros(alone),
            of_no_row: of_no_row.map(Money::from_micros),
            ..sums
        })
    }

    /// The books of the account that this service is of.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn books_beside(&self, service: ServiceId) -> Result<Books, JournalError> {
        let of = "SELECT account FROM services WHERE id = ?1";
        let account: Option<String> = self.find(of, [service.0], |row| row.get(0))?;
        self.books(&account.unwrap_or_default())
    }

    /// The ledger's last line.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn last_line(&self) -> Result<Line, JournalError> {
        let found = self.find(LAST, [], |row| {
            Ok(Line { n: row.get(0)?, at: Some(Timestamp::from_millis(row.get(1)?)) })
        })?;
        Ok(found.unwrap_or(Line { n: 0, at: None }))
    }

    /// How many orders were taken, or may have been, and haven't ended.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn unfinished(&self) -> Result<u64, JournalError> {
        let sql = format!(
            "SELECT (SELECT count(*) FROM orders WHERE state = 3) + (SELECT count(*) FROM orders WHERE {UNSURE}) \
             + (SELECT count(*) FROM attempts WHERE verdict IS NULL)"
        );
        Ok(self.find(&sql, [], |row| row.get::<_, i64>(0))?.map_or(0, i64::unsigned_abs))
    }

    /// The last balance at rest with nothing open.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn baseline(&self, account: &str) -> Result<Option<Baseline>, JournalError> {
        Ok(self.fact(&baseline_key(account))?.and_then(|text| read_baseline(&text)))
    }

    /// The account's books, the ledger's last line, and the baseline, if they can be held against it, as they stood at one
    /// moment.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn books_and_baseline(&self, account: &str) -> Result<(Books, Line, Option<Baseline>), JournalError> {
        self.at_once(|view| {
            let books = view.books(account)?;
            let baseline = view.baseline(account)?.filter(|baseline| baseline.is_comparable(&books));
            Ok((books, view.last_line()?, baseline))
        })
    }
}

impl Journal {
    /// Keeps a balance at rest with nothing open, for later ones to be held against, unless the ledger went on meanwhile:
    /// `line` was its last when the books were read. Whether it is kept.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn set_baseline(
        &self,
        account: String,
        baseline: Baseline,
        line: i64,
    ) -> Result<bool, JournalError> {
        self.write(move |tx| {
            let is_kept = is_last(tx, line)?;
            if is_kept {
                tx.set_fact(&baseline_key(&account), &written(&baseline))?;
            }
            Ok(is_kept)
        })
        .await
    }

    /// Keeps a balance from before anything was sent, unless something was meanwhile: `line` was the ledger's last before the
    /// balance was read.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn begin_with_baseline(
        &self,
        account: String,
        baseline: Baseline,
        line: i64,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            let key = baseline_key(&account);
            if is_last(tx, line)? && tx.fact(&key)?.is_none() {
                tx.set_fact(&key, &written(&baseline))?;
            }
            Ok(())
        })
        .await
    }
}
