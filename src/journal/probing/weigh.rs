//! What a look at the balance at rest makes of a probe that went alone and was taken.

use std::time::Duration;

use super::super::orders::OF_ACCOUNT;
use super::super::tx::Tx;
use super::super::wake::Rung;
use super::super::{Journal, JournalError, rest};
use super::{
    First, Probing, Trial, count_anew_since, count_first, forget_first, is_at_rest, keep_trial, probing,
};
use crate::balance::missed;
use crate::types::{Money, Timestamp};

/// A look at the balance at rest.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// When the balance was read that this one is held against; `None`: there is none, or others use the account.
    pub since: Option<Timestamp>,
    /// The most that was charged since beyond what is known; `None`: it fell by less than that.
    pub beyond: Option<Money>,
    /// It was the same a quiet period before, and so were the books.
    pub is_unmoved: bool,
    /// The ledger's last line when the books were read.
    pub line: i64,
}

/// What a look at the balance makes of a probe that went alone and was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weighed {
    /// There is none to be weighed, none of the doubts was taken, or the next one may go.
    #[default]
    Nothing,
    /// A later look can tell.
    Later,
    /// The balance can't tell.
    CantTell,
    /// A provider that refuses duplicates would have told by now.
    Unlikely,
}

impl Journal {
    /// Holds a probe that went alone and was taken against a look at the balance at rest, after it.
    ///
    /// # Errors
    /// The journal can't be read or written.
    pub async fn weigh_first_probe(
        &self,
        account: String,
        look: Look,
        quiet: Duration,
        now: Timestamp,
    ) -> Result<Weighed, JournalError> {
        self.write(move |tx| {
            rest::note(tx, now, quiet)?;
            weigh(tx, &account, &look, now)
        })
        .await
    }
}

fn weigh(tx: &Tx<'_>, account: &str, look: &Look, now: Timestamp) -> Result<Weighed, JournalError> {
    let Probing::Spent(first) = probing(tx, account)? else { return Ok(Weighed::Nothing) };
    let Some(since) = look.since.filter(|since| since.millis() < first.at_ms) else {
        return Ok(Weighed::CantTell);
    };
    if !is_at_rest(tx, account)? || last_line(tx)? != look.line {
        return Ok(Weighed::Later);
    }
    let Some(beyond) = look.beyond else {
        // A charge that is late is in it by the next look; what was paid in stays.
        return Ok(if look.is_unmoved { Weighed::CantTell } else { Weighed::Later });
    };
    // One that was given back, and of which we don't know it yet, would hide a charge.
    let unfinished = unfinished(tx, account)?;
    let beyond = beyond.micros().saturating_add(unfinished);
    if beyond == 0 && was_taken(tx, &first)? {
        if !look.is_unmoved {
            return Ok(Weighed::Later);
        }
        forget_first(tx, account)?;
        keep_trial(tx, account, &Trial { free_up_to: Some(look.line), ..Trial::default() })?;
        tx.ring(MAY_GO);
        tx.event(now, None, None, "probing", NONE_TAKEN)?;
        return Ok(Weighed::Nothing);
    }
    let before = count_anew_since(tx, account, since)?;
    let doubts = Doubts::left(tx, account)?;
    if doubts.allow(before.saturating_add(1), beyond) {
        count_first(tx, account)?;
        tx.ring(MAY_GO);
        tx.event(now, None, None, "probing", ONE_MORE)?;
        return Ok(Weighed::Nothing);
    }
    // Where none is left nothing can be paid twice, and the next ones are told against the same baseline.
    Ok(if unfinished > 0 || doubts.left == 0 { Weighed::Later } else { Weighed::Unlikely })
}

/// Who has to know of it: what was asked for already is asked for no second time.
pub(super) const MAY_GO: Rung = Rung::SETTLE.and(Rung::SUBMIT);

const NONE_TAKEN: &str =
    "a probe was taken, and the balance fell by nothing that was in doubt: none of it had been taken";
const ONE_MORE: &str =
    "a probe was taken, and the balance fell by some of what is in doubt: one more goes, alone";

/// The orders in doubt that are left, and their prices in micro-dollars: of each order one, as who refuses duplicates takes
/// it once.
struct Doubts {
    left: i64,
    open: i64,
    dearest: i64,
}

impl Doubts {
    fn left(tx: &Tx<'_>, account: &str) -> Result<Self, JournalError> {
        let found = tx.find(
            &format!(
                "SELECT count(*), coalesce(sum(price), 0), coalesce(max(price), 0) \
                 FROM (SELECT max(price) AS price FROM orders JOIN attempts ON order_id = orders.id \
                 WHERE {OF_ACCOUNT} AND orders.state IN (1, 2, 4, 5) AND orders.state IN (2, 4, 5) AND verdict = 3 \
                 GROUP BY orders.id)"
            ),
            [account],
            |row| Ok(Self { left: row.get(0)?, open: row.get(1)?, dearest: row.get(2)? }),
        )?;
        Ok(found.unwrap_or(Self { left: 0, open: 0, dearest: 0 }))
    }

    /// Whether so many probes in a row can have missed all that were taken by chance, with `beyond` charged beyond what is
    /// known.
    fn allow(&self, probes: u64, beyond: i64) -> bool {
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        let taken = count(beyond).div_ceil(count(self.dearest).max(1)).max(1);
        self.left > 0
            && beyond <= self.open
            && missed::is_likely(count(self.left).saturating_add(probes), probes, taken)
    }
}

/// The prices of this account's orders that aren't finished as far as is known.
fn unfinished(tx: &Tx<'_>, account: &str) -> Result<i64, JournalError> {
    let prices = format!(
        "SELECT coalesce(sum(price), 0) FROM orders JOIN attempts ON order_id = orders.id \
         WHERE {OF_ACCOUNT} AND state = 3 AND verdict = 0"
    );
    Ok(tx.find(&prices, [account], |row| row.get(0))?.unwrap_or(0))
}

/// Whether a probe was answered as taken, so that its own charge shows that the balance isn't late.
fn was_taken(tx: &Tx<'_>, first: &First) -> Result<bool, JournalError> {
    let sql = "SELECT 1 FROM attempts WHERE order_id = ?1 AND n = ?2 AND verdict = 0";
    Ok(tx.find(sql, (first.order, first.attempt), |_| Ok(()))?.is_some())
}

fn last_line(tx: &Tx<'_>) -> Result<i64, JournalError> {
    Ok(tx.find("SELECT coalesce(max(id), 0) FROM ledger", [], |row| row.get(0))?.unwrap_or(0))
}
