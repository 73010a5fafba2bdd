//! What is known about probes at the provider of an account: whether it refuses duplicates free of charge.
//!
//! Until that is proven one probe goes, the first, alone. One that is refused as a duplicate proves it. One that is taken
//! shows nothing: either the order's earlier attempt was never taken, or the provider charges duplicates and this one was
//! paid twice. So it is noted before it leaves, in the transaction that makes its attempt, and no other goes until it is
//! known what became of it: what a provider that charges duplicates can cost is one price, whatever crashes.
//!
//! | the first probe | then |
//! |---|---|
//! | refused as a duplicate | proven, once the balance was looked at: probes go like everything else |
//! | not sent, or not taken | the next one goes in its place |
//! | taken, and at rest the balance fell by it and what else is known, and by no other attempt | its earlier attempt was not taken: the next one goes |
//! | taken, and the balance can't tell; lost, in a crash too | an alarm; what is in doubt is held |
//!
//! That the balance fell by so little is believed of the earlier attempt alone, and only for one more probe: the first
//! probe's own charge shows that the balance isn't late, and no order of ours is unfinished that could have been given back
//! unseen. A top-up of just that price is left, and it costs one price more.

use serde::{Deserialize, Serialize};

use super::books;
use super::orders::Loaded;
use super::settle::DoubtTerms;
use super::ticket::Claim;
use super::tx::Tx;
use super::{Journal, JournalError};
use crate::balance::Verdict;
use crate::order::{Alarm, State};
use crate::types::{Placed, Timestamp};

/// What is known about probes at the provider of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probing {
    /// Nothing yet: the first probe goes alone, between two looks at the balance.
    Unproven,
    /// The first probe is on its way.
    Asked,
    /// The first probe was taken, or may have been, and it isn't known what that shows.
    Spent(First),
    /// Duplicates are refused free of charge.
    Proven,
    /// The provider may charge duplicates, or the balance showed a charge that nothing explains: no probe goes until the
    /// alarm about it is seen.
    Unsafe,
}

/// The first probe, noted before it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct First {
    order: i64,
    attempt: u32,
    /// When it was claimed, in unix milliseconds.
    at_ms: i64,
}

/// What a look at the balance makes of a first probe that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighed {
    /// There is none to be weighed, or its earlier attempt was not taken.
    Nothing,
    /// A later look can tell: orders of ours are unfinished.
    Later,
    /// The balance can't tell.
    Undecided,
}

const PROVEN: &str = "refused";

fn key(account: &str) -> String {
    format!("probing:{account}")
}

fn first_key(account: &str) -> String {
    format!("first_probe:{account}")
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
        let open = "SELECT 1 FROM alarms WHERE n = ?1 AND acked_at IS NULL AND gone_at IS NULL";
        if tx.find(open, [alarm], |_| Ok(()))?.is_some() {
            return Ok(Probing::Unsafe);
        }
    }
    let Some(text) = tx.fact(&first_key(account))? else { return Ok(Probing::Unproven) };
    // A note that can't be read is one all the same.
    let first: First = serde_json::from_str(&text).unwrap_or(First { order: 0, attempt: 0, at_ms: 0 });
    let in_flight = tx.find(
        "SELECT 1 FROM attempts WHERE order_id = ?1 AND n = ?2 AND verdict IS NULL",
        (first.order, first.attempt),
        |_| Ok(()),
    )?;
    Ok(if in_flight.is_some() { Probing::Asked } else { Probing::Spent(first) })
}

/// The first probe is claimed: in the same transaction as its attempt.
pub(super) fn first_goes(
    tx: &Tx<'_>,
    account: &str,
    claim: &Claim,
    now: Timestamp,
) -> Result<(), JournalError> {
    let first = First { order: claim.order.0, attempt: claim.n.0, at_ms: now.millis() };
    tx.set_fact(&first_key(account), &serde_json::to_string(&first).unwrap_or_default())
}

/// The first probe is answered: one that was surely not taken is none, and another goes in its place.
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

/// No probe goes until a person has seen this. Said once for the same text.
fn accuse(tx: &Tx<'_>, account: &str, name: Alarm, text: &str, now: Timestamp) -> Result<(), JournalError> {
    let known = word_of(tx, account)?;
    let open = books::open_alarm(tx, name, text)?;
    if open.is_some_and(|n| known.as_deref() == Some(&n.to_string())) {
        return Ok(());
    }
    let n = match open {
        Some(n) => n,
        None => books::alarm_without_order(tx, now, name, text)?,
    };
    tx.event(now, None, None, "probing", text)?;
    tx.set_fact(&key(account), &n.to_string())?;
    forget_first(tx, account)?;
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
    /// None goes: what would be probed is held.
    Hold,
}

/// Whether probes are asked for now of these doubts, all that aren't held.
pub(super) fn probes(
    tx: &Tx<'_>,
    doubts: &[Loaded],
    terms: &DoubtTerms,
    now: Timestamp,
) -> Result<Probes, JournalError> {
    if terms.can_list {
        return Ok(Probes::Wait);
    }
    let waits = |order: &Loaded| order.life.state == State::InDoubt && order.rested_after.is_some();
    Ok(match probing(tx, &terms.account)? {
        Probing::Proven => Probes::Ask,
        Probing::Unproven if terms.first_may_go && is_at_rest(tx)? => Probes::Ask,
        Probing::Spent(_)
            if terms.first_undecided
                && !terms.policy_hold
                && terms.balance != Verdict::AllTaken
                && doubts.iter().any(waits) =>
        {
            cant_tell(tx, &terms.account, now)?;
            Probes::Hold
        }
        Probing::Unsafe => Probes::Hold,
        Probing::Unproven | Probing::Asked | Probing::Spent(_) => Probes::Wait,
    })
}

/// The first probe was taken, and nothing tells what that shows: others wait that could be paid twice.
fn cant_tell(tx: &Tx<'_>, account: &str, now: Timestamp) -> Result<(), JournalError> {
    accuse(tx, account, Alarm::Duplicates, CANT_TELL, now)
}

const CANT_TELL: &str = "an order in doubt was sent once more and not refused as a duplicate, or its answer was lost, and the \
     balance doesn't show what that cost: this provider may charge duplicates. Nothing in doubt is sent again; it is held. Drop the \
     provider's export into reconcile/, or look the IMEIs up there and say what you found (imeid resolve). Where it charges \
     duplicates set policy = \"hold\" in [in_doubt]; where it refuses them free of charge, imeid ack of this alarm lets the next \
     order in doubt be sent to find out";

/// Whether nothing of ours is on its way and every doubt's quiet period is over.
fn is_at_rest(tx: &Tx<'_>) -> Result<bool, JournalError> {
    let unquiet = tx.find(
        "SELECT 1 FROM orders WHERE state IN (1, 2, 4, 5) AND (state = 1 OR state = 2 AND rested_after IS NULL) LIMIT 1",
        [],
        |_| Ok(()),
    )?;
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
            Probing::Proven | Probing::Unsafe => Ok(()),
            Probing::Unproven | Probing::Asked | Probing::Spent(_) => {
                tx.set_fact(&key(&account), PROVEN)?;
                forget_first(tx, &account)?;
                tx.ring(super::wake::Rung::SETTLE);
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
        self.write(move |tx| accuse(tx, &account, name, &text, now)).await
    }

    /// Holds a first probe that was taken against a look at the balance at rest, after it. `since`: when the balance was
    /// read that this one is held against; `None`: it shows nothing.
    ///
    /// # Errors
    /// The journal can't be read or written.
    pub async fn weigh_first_probe(
        &self,
        account: String,
        verdict: Verdict,
        since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Weighed, JournalError> {
        self.write(move |tx| {
            let Probing::Spent(first) = probing(tx, &account)? else { return Ok(Weighed::Nothing) };
            if since.is_none_or(|since| since.millis() >= first.at_ms) {
                return Ok(Weighed::Undecided);
            }
            // One that was given back, and of which we don't know it yet, would hide a charge.
            let unfinished =
                tx.find("SELECT 1 FROM orders WHERE state = 3 LIMIT 1", [], |_| Ok(()))?.is_some();
            match verdict {
                Verdict::Once if !unfinished => {
                    forget_first(tx, &account)?;
                    tx.event(
                        now,
                        None,
                        None,
                        "probing",
                        "the first probe was taken, its earlier attempt was not",
                    )?;
                    Ok(Weighed::Nothing)
                }
                Verdict::Once | Verdict::Silent if unfinished => Ok(Weighed::Later),
                _ => Ok(Weighed::Undecided),
            }
        })
        .await
    }

    /// Whether no probe may go because of an alarm that nobody has seen.
    ///
    /// # Errors
    /// The journal can't be read.
    pub async fn probes_are_unsafe(&self, account: String) -> Result<bool, JournalError> {
        self.write(move |tx| Ok(probing(tx, &account)? == Probing::Unsafe)).await
    }
}
