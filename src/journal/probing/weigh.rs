//! What a look at the balance at rest makes of a probe that went alone and was taken.

use std::time::Duration;

use super::super::orders::{OF_ACCOUNT, UNSURE};
use super::super::tx::Tx;
use super::super::wake::Rung;
use super::super::{Journal, JournalError, rest};
use super::{
    First, Probing, Trial, count_anew_since, count_first, forget_first, is_at_rest, keep_trial, probing,
    trial,
};
use crate::balance::given_back::Ended;
use crate::balance::{Beyond, missed};
use crate::types::{Money, Timestamp};

/// A look at the balance at rest.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// When the balance was read that this one is held against, or why there is none.
    pub since: Result<Timestamp, CantTell>,
    /// What was charged since, beyond what is known.
    pub beyond: Beyond,
    /// It was the same a quiet period before, and so were the books.
    pub is_unmoved: bool,
    /// The ledger's last line when the books were read.
    pub line: i64,
}

/// Why the balance can't tell what a probe showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CantTell {
    /// The provider tells none, or it can't be read.
    NotTold,
    /// Others use the account.
    Shared,
    /// None is known from before the probe.
    NotKnownBefore,
    /// It fell by less than is known to be charged.
    FellByLess,
    /// What was given back for rejected orders can hide what was taken, or looks like it as long as it doesn't come.
    GivenBack,
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
    CantTell(CantTell),
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
    let first = match probing(tx, account)? {
        Probing::Spent(first) => first,
        Probing::Unproven => {
            keep_beyond(tx, account, look)?;
            return Ok(Weighed::Nothing);
        }
        _ => return Ok(Weighed::Nothing),
    };
    let since = match look.since {
        Ok(since) if since.millis() < first.at_ms => since,
        Ok(_) => return Ok(Weighed::CantTell(CantTell::NotKnownBefore)),
        Err(why) => return Ok(Weighed::CantTell(why)),
    };
    if !is_at_rest(tx, account)? || last_line(tx)? != look.line {
        return Ok(Weighed::Later);
    }
    let Some(most) = look.beyond.most else {
        // A charge that is late is in it by the next look; what was paid in stays.
        return Ok(if look.is_unmoved { Weighed::CantTell(CantTell::FellByLess) } else { Weighed::Later });
    };
    let scales = Scales::set_up(tx, account, look, most)?;
    let was_taken = was_taken(tx, &first)?;
    if scales.beyond == 0 && was_taken && !scales.ended.can_hide_one() {
        if !look.is_unmoved {
            return Ok(Weighed::Later);
        }
        forget_first(tx, account)?;
        keep_trial(tx, account, &Trial { free_up_to: Some(look.line), ..Trial::default() })?;
        return goes_on(tx, account, look, NONE_TAKEN, now);
    }
    let before = count_anew_since(tx, account, since)?;
    if !was_taken && scales.shows_no_cost(&first, most) && scales.allow(before) {
        if !look.is_unmoved {
            return Ok(Weighed::Later);
        }
        forget_first(tx, account)?;
        return goes_on(tx, account, look, LOST, now);
    }
    let probes = before.saturating_add(1);
    if scales.allow(probes) {
        count_first(tx, account)?;
        return goes_on(tx, account, look, ONE_MORE, now);
    }
    // Where none is left nothing can be paid twice, and the next ones are told against the same baseline.
    if scales.unfinished > 0 || scales.left == 0 {
        return Ok(Weighed::Later);
    }
    if scales.without_refunds(look).allow(probes) {
        // A refund that is late is in it by the next look.
        return Ok(if look.is_unmoved { Weighed::CantTell(CantTell::GivenBack) } else { Weighed::Later });
    }
    Ok(Weighed::Unlikely)
}

/// The next one may go.
fn goes_on(
    tx: &Tx<'_>,
    account: &str,
    look: &Look,
    why: &str,
    now: Timestamp,
) -> Result<Weighed, JournalError> {
    keep_beyond(tx, account, look)?;
    tx.ring(MAY_GO);
    tx.event(now, None, None, "probing", why)?;
    Ok(Weighed::Nothing)
}

/// What a probe whose answer is lost cost is told by what was charged before it.
fn keep_beyond(tx: &Tx<'_>, account: &str, look: &Look) -> Result<(), JournalError> {
    let known = trial(tx, account)?;
    let beyond = look.since.ok().and(look.beyond.most).map(Money::micros);
    if known.beyond == beyond {
        return Ok(());
    }
    keep_trial(tx, account, &Trial { beyond, ..known })
}

/// Who has to know of it: what was asked for already is asked for no second time.
pub(super) const MAY_GO: Rung = Rung::SETTLE.and(Rung::SUBMIT);

const NONE_TAKEN: &str =
    "a probe was taken, and the balance fell by nothing that was in doubt: none of it had been taken";
const ONE_MORE: &str =
    "a probe was taken, and the balance fell by some of what is in doubt: one more goes, alone";
const LOST: &str =
    "a probe's answer was lost, and the balance fell by nothing for it: another goes in its place";

/// The orders in doubt that are left, and their prices in micro-dollars: of each order one, as who refuses duplicates takes
/// it once. What they are weighed against, in micro-dollars too.
#[derive(Clone, Copy)]
struct Scales {
    left: i64,
    open: i64,
    dearest: i64,
    /// The most that was charged beyond what is known, and beyond what was given back unseen for those that are known.
    beyond: i64,
    unfinished: i64,
    ended: Ended,
}

impl Scales {
    fn set_up(tx: &Tx<'_>, account: &str, look: &Look, most: Money) -> Result<Self, JournalError> {
        let left = format!(
            "SELECT count(*), coalesce(sum(price), 0), coalesce(max(price), 0) \
             FROM (SELECT max(price) AS price FROM orders JOIN attempts ON order_id = orders.id \
             WHERE {OF_ACCOUNT} AND {UNSURE} AND verdict = 3 \
             GROUP BY orders.id)"
        );
        let found: Option<(i64, i64, i64)> =
            tx.find(&left, [account], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let (left, open, dearest) = found.unwrap_or_default();
        // One that was given back, and of which we don't know it yet, would hide a charge.
        let unfinished = unfinished(tx, account)?;
        let price = count(dearest).max(1);
        let ended = count(look.beyond.charged.micros().saturating_sub(unfinished)) / price;
        let rejected = count(look.beyond.rejected.micros()).div_ceil(price);
        Ok(Self {
            left,
            open,
            dearest,
            beyond: most.micros().saturating_add(unfinished),
            unfinished,
            ended: Ended { all: ended, rejected },
        })
    }

    /// As if none of the refunds had come that are counted as come, and none in doubt had been given back.
    fn without_refunds(self, look: &Look) -> Self {
        let least = self.beyond.saturating_sub(look.beyond.refunds.micros()).max(0);
        Self { beyond: least, ended: Ended::default(), ..self }
    }

    /// Whether nothing was charged for a probe whose answer is lost: then it shows nothing. It was refused, or never came.
    fn shows_no_cost(&self, first: &First, most: Money) -> bool {
        self.unfinished == 0
            && !self.ended.can_hide_one()
            && first.beyond.is_some_and(|before| most.micros() <= before)
    }

    /// Whether so many probes in a row can have missed all that were taken by chance.
    fn allow(&self, probes: u64) -> bool {
        let all = count(self.left).saturating_add(probes);
        let seen = count(self.beyond).div_ceil(count(self.dearest).max(1));
        self.left > 0
            && self.beyond <= self.open
            && self
                .ended
                .most_taken(seen)
                .is_some_and(|taken| missed::is_likely(all, probes, taken.max(1).min(all)))
    }
}

fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
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
