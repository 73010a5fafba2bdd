//! What is known about probes at the provider of an account: whether it refuses duplicates free of charge.
//!
//! Until that is proven probes go alone, and each waits for what the one before it showed. One that is refused as a duplicate
//! proves it. One that is taken shows nothing by itself: either its order's earlier attempt was never taken, or the provider
//! charges duplicates and this one was paid twice. So it is noted before it leaves, in the transaction that makes its attempt,
//! and no other goes until a look at the balance at rest, held against one of before the doubts.
//!
//! | the probe that went alone | then |
//! |---|---|
//! | refused as a duplicate | proven, once the balance was looked at: probes go like everything else |
//! | not sent, or not taken | the next one goes in its place |
//! | taken, and the balance, twice the same, fell by it and what else is known, and by nothing more | none of the doubts of that look was taken: all of them are probed like everything else. Later ones count anew |
//! | taken, and the balance fell by some of the doubts that are left too | a provider that refuses duplicates would tell at one of them: the next one goes, alone again, while it is likely that those before it only missed them |
//! | likewise, and that is less likely than one in ten | the alarm `duplicates`: nothing goes |
//! | taken, and the balance fell by more than all that is left | one was paid twice: the alarm, nothing goes |
//! | taken, and the balance can't tell (none is told or known from before, others use the account, it was topped up, what was given back hides it) | the alarm `duplicates`: nothing goes |
//! | lost, in a crash too, and the balance, twice the same, fell by nothing for it | it was refused, or never came: it shows nothing, and another goes in its place |
//! | lost, and it fell, or can't tell | as if taken, but it never shows that none was |
//!
//! With the alarm `duplicates` what is in doubt stays so, and waits for a person's word: once he has seen it the next one
//! goes, and where that is refused the others follow by themselves. Else it is held when it is older than `probe_within`.
//! Where the balance accuses, or an order is seen to have been charged twice (another alarm), it is held at once.
//!
//! Of n doubts of which k were taken, m probes miss all k with the chance C(n − m, k) / C(n, k), where duplicates are refused.
//! Below one in ten it isn't believed. Where they are charged, each probe costs a second price with the chance k in n: about
//! two prices on the average before it is held, whatever n. Where they are refused, what is in doubt is held by mistake in one
//! such case of ten at most; a proof is for good, so that is a matter of the first doubts of an account.
//!
//! What fell is money: k is that divided by the dearest price in doubt, rounded up, the fewest that can have been taken. With
//! unequal prices a provider that refuses duplicates is then never held sooner than said, and one that charges them costs
//! about two of the dearest. Every refund that is due counts as come, and every unfinished order as given back unseen: neither
//! can hide a charge. Of what was taken in doubt a part was rejected and given back, as of the orders whose end is known: k is
//! so many more, and as many more as can all have been given back unseen with a chance of one in ten
//! ([`given_back`](crate::balance::given_back)). Only where that is none shows a balance that fell by nothing in doubt that
//! none was taken. A top-up of just the price of what was taken hides it.
//!
//! - [`fell`]: a fall of the balance that nothing explains.
//! - [`weigh`]: what a look at the balance makes of one that was taken.
//! - [`twice`]: what it shows that an order was charged twice.
//! - [`words`]: what a person is told then.

mod fell;
mod twice;
mod weigh;
mod words;

use serde::{Deserialize, Serialize};

use super::books;
use super::orders::{IN_FLIGHT, Loaded, OF_ACCOUNT};
use super::settle::DoubtTerms;
use super::ticket::Claim;
use super::tx::Tx;
use super::{Journal, JournalError};
use crate::balance::Verdict;
use crate::order::{Alarm, State};
use crate::types::{Placed, Timestamp};

pub(super) use twice::{ToldOf, charged_twice, stood_at_once};
pub use weigh::{CantTell, Look, Weighed};
pub use words::WAITS_FOR_WORD;

/// What is known about probes at the provider of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probing {
    /// Nothing yet: the next probe goes alone, between two looks at the balance.
    Unproven,
    /// One that goes alone is on its way.
    Asked,
    /// It was taken, or may have been, and it isn't known what that shows.
    Spent(First),
    /// Duplicates are refused free of charge.
    Proven,
    /// The provider may charge duplicates: what is in doubt waits until the alarm about it is seen.
    Undecided,
    /// The balance showed a charge that nothing explains, or an order was charged twice: what is in doubt is held until the
    /// alarm about it is seen.
    Unsafe,
}

/// A probe that goes alone, noted before it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct First {
    order: i64,
    attempt: u32,
    /// When it was claimed, in unix milliseconds.
    at_ms: i64,
    /// The most that was charged beyond what is known before it went, in micro-dollars.
    #[serde(default)]
    beyond: Option<i64>,
}

/// What the probes that went alone have shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Trial {
    /// So many in a row were taken, and none refused.
    missed: u64,
    /// When the first of those was claimed, in unix milliseconds.
    since_ms: i64,
    /// Doubts that had rested by this line of the ledger were not taken.
    free_up_to: Option<i64>,
    /// The most that was charged beyond what is known at the last look before the next probe, in micro-dollars.
    beyond: Option<i64>,
}

const PROVEN: &str = "refused";

fn key(account: &str) -> String {
    format!("probing:{account}")
}

fn first_key(account: &str) -> String {
    format!("first_probe:{account}")
}

fn trial_key(account: &str) -> String {
    format!("trial:{account}")
}

fn trial(tx: &Tx<'_>, account: &str) -> Result<Trial, JournalError> {
    // One that can't be read counts nothing and frees none.
    let text = tx.fact(&trial_key(account))?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

fn keep_trial(tx: &Tx<'_>, account: &str, trial: &Trial) -> Result<(), JournalError> {
    tx.set_fact(&trial_key(account), &serde_json::to_string(trial).unwrap_or_default())
}

/// "refused", or the number of an alarm.
fn word_of(tx: &Tx<'_>, account: &str) -> Result<Option<String>, JournalError> {
    if let Some(word) = tx.fact(&key(account))? {
        return Ok(Some(word));
    }
    // It was once kept without the account's name.
    let of_the_only_one = "SELECT value FROM facts WHERE key = 'probing' \
         AND (SELECT count(DISTINCT account) FROM services) = 1";
    tx.find(of_the_only_one, [], |row| row.get(0))
}

pub(super) fn probing(tx: &Tx<'_>, account: &str) -> Result<Probing, JournalError> {
    let word = word_of(tx, account)?;
    if word.as_deref() == Some(PROVEN) {
        return Ok(Probing::Proven);
    }
    if let Some(alarm) = word.and_then(|word| word.parse::<i64>().ok()) {
        let open = "SELECT name FROM alarms WHERE n = ?1 AND acked_at IS NULL AND gone_at IS NULL";
        if let Some(name) = tx.find(open, [alarm], |row| row.get::<_, String>(0))? {
            let is_undecided = name == Alarm::Duplicates.as_str();
            return Ok(if is_undecided { Probing::Undecided } else { Probing::Unsafe });
        }
    }
    alone(tx, account)
}

/// What became of the probe that went alone.
fn alone(tx: &Tx<'_>, account: &str) -> Result<Probing, JournalError> {
    let Some(text) = tx.fact(&first_key(account))? else { return Ok(Probing::Unproven) };
    // A note that can't be read is one all the same.
    let first: First =
        serde_json::from_str(&text).unwrap_or(First { order: 0, attempt: 0, at_ms: 0, beyond: None });
    let in_flight = tx.find(
        "SELECT 1 FROM attempts WHERE order_id = ?1 AND n = ?2 AND verdict IS NULL",
        (first.order, first.attempt),
        |_| Ok(()),
    )?;
    Ok(if in_flight.is_some() { Probing::Asked } else { Probing::Spent(first) })
}

/// Doubts that had rested by this line of the ledger are probed like everything else: they were not taken.
pub(super) fn free_up_to(tx: &Tx<'_>, account: &str) -> Result<Option<i64>, JournalError> {
    Ok(trial(tx, account)?.free_up_to)
}

/// The probe that goes alone is claimed: in the same transaction as its attempt.
pub(super) fn first_goes(
    tx: &Tx<'_>,
    account: &str,
    claim: &Claim,
    now: Timestamp,
) -> Result<(), JournalError> {
    let beyond = trial(tx, account)?.beyond;
    let first = First { order: claim.order.0, attempt: claim.n.0, at_ms: now.millis(), beyond };
    tx.set_fact(&first_key(account), &serde_json::to_string(&first).unwrap_or_default())
}

/// It is answered: one that was surely not taken is none, and another goes in its place.
pub(super) fn first_answered(tx: &Tx<'_>, claim: &Claim, outcome: &Placed) -> Result<(), JournalError> {
    let Some(account) = &claim.first_probe_of else { return Ok(()) };
    match outcome {
        Placed::NotTaken(_) | Placed::AlreadyExists => forget_first(tx, account),
        Placed::Taken(_) | Placed::Unclear(_) => Ok(()),
    }
}

fn forget_first(tx: &Tx<'_>, account: &str) -> Result<(), JournalError> {
    tx.execute("DELETE FROM facts WHERE key = ?1", [first_key(account)])?;
    Ok(())
}

/// A probe that was taken without a proof counts as one, and another may go. One that is on its way goes on being noted.
fn count_first(tx: &Tx<'_>, account: &str) -> Result<(), JournalError> {
    if let Probing::Spent(first) = alone(tx, account)? {
        let known = trial(tx, account)?;
        let since_ms = if known.missed == 0 { first.at_ms } else { known.since_ms };
        keep_trial(tx, account, &Trial { missed: known.missed.saturating_add(1), since_ms, ..known })?;
        forget_first(tx, account)?;
    }
    Ok(())
}

/// Those that were counted before this balance was read say nothing of what is in doubt since, and count no more.
fn count_anew_since(tx: &Tx<'_>, account: &str, since: Timestamp) -> Result<u64, JournalError> {
    let known = trial(tx, account)?;
    if known.missed > 0 && known.since_ms <= since.millis() {
        keep_trial(tx, account, &Trial { missed: 0, ..known })?;
        return Ok(0);
    }
    Ok(known.missed)
}

/// No probe goes until a person has seen this. Said once for the same text. Gives the alarm's number.
fn accuse(tx: &Tx<'_>, account: &str, name: Alarm, text: &str, now: Timestamp) -> Result<i64, JournalError> {
    let known = word_of(tx, account)?;
    let open = books::open_alarm(tx, name, text)?;
    if let Some(n) = open.filter(|n| known.as_deref() == Some(&n.to_string())) {
        return Ok(n);
    }
    let n = match open {
        Some(n) => n,
        None => books::alarm_without_order(tx, now, name, text)?,
    };
    forbid(tx, account, n, text, now)?;
    Ok(n)
}

/// Whether a person has seen an alarm with these words, which was this account's.
fn was_seen(tx: &Tx<'_>, account: &str, name: Alarm, text: &str) -> Result<bool, JournalError> {
    let seen = "SELECT 1 FROM alarms JOIN facts ON facts.key = ?3 AND CAST(facts.value AS INTEGER) >= alarms.n \
                WHERE acked_at IS NOT NULL AND name = ?1 AND text = ?2 LIMIT 1";
    Ok(tx.find(seen, (name.as_str(), text, key(account)), |_| Ok(()))?.is_some())
}

/// No probe goes until a person has seen this alarm.
fn forbid(tx: &Tx<'_>, account: &str, alarm: i64, text: &str, now: Timestamp) -> Result<(), JournalError> {
    tx.event(now, None, None, "probing", text)?;
    tx.set_fact(&key(account), &alarm.to_string())?;
    count_first(tx, account)?;
    tx.ring(super::wake::Rung::SETTLE);
    Ok(())
}

/// What may become of doubts that nothing but a probe can settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probes {
    /// They are asked for.
    Ask,
    /// Not now.
    Wait,
    /// Not before a person has seen the alarm `duplicates`.
    WaitForWord,
    /// None goes: what would be probed is held.
    Hold,
}

/// What may become of each doubt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    all: Probes,
    free_up_to: Option<i64>,
}

impl Standing {
    /// What may become of this one.
    pub(super) fn of(&self, order: &Loaded) -> Probes {
        let is_free = self.free_up_to.is_some_and(|line| order.rested_after.is_some_and(|rest| rest <= line));
        if self.all == Probes::Wait && is_free { Probes::Ask } else { self.all }
    }
}

/// Whether probes are asked for now of these doubts, all that aren't held.
pub(super) fn probes(
    tx: &Tx<'_>,
    doubts: &[Loaded],
    terms: &DoubtTerms,
    now: Timestamp,
) -> Result<Standing, JournalError> {
    if terms.can_list {
        return Ok(Standing { all: Probes::Wait, free_up_to: None });
    }
    let waits = |order: &Loaded| order.life.state == State::InDoubt && order.rested_after.is_some();
    let may_hold = !terms.policy_hold && terms.balance != Verdict::AllTaken && doubts.iter().any(waits);
    let all = match probing(tx, &terms.account)? {
        Probing::Proven => Probes::Ask,
        Probing::Unproven if terms.looked && is_at_rest(tx, &terms.account)? => Probes::Ask,
        Probing::Spent(_) if may_hold && let Some(seen) = words::of(terms.weighed) => {
            accuse(tx, &terms.account, Alarm::Duplicates, &seen, now)?;
            Probes::WaitForWord
        }
        Probing::Undecided => Probes::WaitForWord,
        Probing::Unsafe => Probes::Hold,
        Probing::Unproven | Probing::Asked | Probing::Spent(_) => Probes::Wait,
    };
    Ok(Standing { all, free_up_to: free_up_to(tx, &terms.account)? })
}

/// Whether nothing of this account's is on its way and every doubt's quiet period is over.
fn is_at_rest(tx: &Tx<'_>, account: &str) -> Result<bool, JournalError> {
    // Two looks: an index serves each.
    let unquiet = format!(
        "SELECT 1 FROM orders WHERE {OF_ACCOUNT} AND {IN_FLIGHT} UNION ALL \
         SELECT 1 FROM orders WHERE {OF_ACCOUNT} AND state = 2 AND rested_after IS NULL LIMIT 1"
    );
    let unquiet = tx.find(&unquiet, [account], |_| Ok(()))?;
    Ok(unquiet.is_none())
}

impl Journal {
    /// The first probe was refused as a duplicate, free of charge as far as the balance shows: from now on probes go
    /// like everything else.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn probes_are_refused(&self, account: String, now: Timestamp) -> Result<(), JournalError> {
        self.write(move |tx| match probing(tx, &account)? {
            Probing::Proven | Probing::Undecided | Probing::Unsafe => Ok(()),
            Probing::Unproven | Probing::Asked | Probing::Spent(_) => {
                tx.set_fact(&key(&account), PROVEN)?;
                forget_first(tx, &account)?;
                tx.execute("DELETE FROM facts WHERE key = ?1", [trial_key(&account)])?;
                tx.ring(weigh::MAY_GO);
                tx.event(now, None, None, "probing", "duplicates are refused free of charge")
            }
        })
        .await
    }

    /// The balance accuses: an alarm, and no probe goes until a person has seen it. Said once for the same text.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn balance_accuses(
        &self,
        account: String,
        name: Alarm,
        text: String,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            // Each look finds the same until the balance can be held against a later one.
            if !was_seen(tx, &account, name, &text)? {
                accuse(tx, &account, name, &text, now)?;
            }
            Ok(())
        })
        .await
    }

    /// Whether no probe may go because of an alarm that nobody has seen.
    ///
    /// # Errors
    /// The journal can't be read.
    pub async fn probes_are_unsafe(&self, account: String) -> Result<bool, JournalError> {
        let is_unsafe = |probing| matches!(probing, Probing::Undecided | Probing::Unsafe);
        self.write(move |tx| Ok(is_unsafe(probing(tx, &account)?))).await
    }
}
