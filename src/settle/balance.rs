//! Looking at the balance at rest: a baseline while nothing is open, and what later looks say against it.

use std::time::Duration;

use super::Settle;
use crate::balance::{self, Baseline, Books, Verdict};
use crate::clock::local_stamp;
use crate::journal::{Doubt, JournalError, Weighed};
use crate::order::{Alarm, State};
use crate::types::{Money, Timestamp};

/// While nothing changes, two looks are at most so far apart.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The looks so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looks {
    /// The first of those that all found the same.
    same_since: Option<(Timestamp, Money, Books)>,
    last: Option<Timestamp>,
    /// Looks in a row to which no answer came.
    unanswered: u32,
}

/// What a round of settling knows of the balance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    /// When another look can tell more; `None` where none is needed.
    pub(super) again_in: Option<Duration>,
    /// It was looked at just now, at rest, or can't be: what is in doubt has nothing more to wait for there.
    pub(super) looked: bool,
    /// A first probe was taken, and the balance can't tell what that shows.
    pub(super) undecided: bool,
}

const NOTHING: Seen = Seen { verdict: Verdict::Silent, again_in: None, looked: false, undecided: false };
/// A balance that can't be read so often in a row isn't waited for.
const GIVEN_UP_AFTER: u32 = 3;

impl Settle {
    /// One look, if all has been at rest for a quiet period, every doubt too, and it could tell something new.
    ///
    /// # Errors
    /// The journal can't be read or written.
    pub(super) async fn look_at_balance(&mut self, doubts: &[Doubt]) -> Result<Seen, JournalError> {
        let now = self.clock.now();
        let quiet = self.settings.borrow().rules.quiet;
        let Some(rest) = self.meter.at_rest_since(self.started) else { return Ok(NOTHING) };
        // A doubt begins a moment after its call has ended.
        let in_doubt = doubts.iter().filter(|doubt| doubt.state == State::InDoubt);
        let rested = now.since(in_doubt.map(|doubt| doubt.since).fold(rest, Timestamp::max));
        if rested < quiet {
            return Ok(Seen { again_in: Some(quiet.saturating_sub(rested)), ..NOTHING });
        }
        let (account, shared) = {
            let settings = self.settings.borrow();
            (settings.config.provider.account.clone(), settings.config.provider.shared_account)
        };
        let of = account.clone();
        let (books, baseline) =
            self.journal.read(move |view| Ok((view.books()?, view.baseline(&of)?))).await?;
        // While refunds are missing they can come without a change in the books.
        let is_even = |baseline: Baseline| baseline.books == books && baseline.refunds_missing == Money::ZERO;
        if baseline.is_some_and(is_even) {
            return Ok(NOTHING);
        }
        // What stays open for a person must not cost a call every two minutes.
        let pause = (rested / 8).max(quiet).min(LONGEST_PAUSE.max(quiet));
        let waited = self.looks.last.map_or(pause, |last| now.since(last));
        if waited < pause {
            return Ok(Seen { again_in: Some(pause.saturating_sub(waited)), ..NOTHING });
        }
        self.looks.last = Some(now);
        let Some(balance) = self.read_balance().await else {
            let seen = Seen { again_in: Some(quiet), ..NOTHING };
            if self.looks.unanswered > 0 && self.looks.unanswered < GIVEN_UP_AFTER {
                return Ok(seen);
            }
            let weighed = self.journal.weigh_first_probe(account, Verdict::Silent, None, now).await?;
            return Ok(Seen { looked: true, undecided: weighed == Weighed::Undecided, ..seen });
        };
        let verdict = baseline.map_or(Verdict::Silent, |baseline| balance::judge(&baseline, &books, balance));
        self.tell(&account, verdict, baseline, shared, now).await?;
        // What others order or pay in says nothing of ours.
        let refunds_missing = baseline
            .filter(|_| !shared)
            .map_or(Money::ZERO, |baseline| balance::refunds_missing(&baseline, &books, balance));
        let next = Baseline { at_ms: now.millis(), balance, books, refunds_missing };
        // An account that others order with too shows nothing about ours.
        let (verdict, since) =
            if shared { (Verdict::Silent, None) } else { (verdict, baseline.map(|baseline| baseline.at())) };
        let weighed = self.journal.weigh_first_probe(account.clone(), verdict, since, now).await?;
        // What a later look can still tell is told against the same baseline.
        if weighed != Weighed::Later {
            self.keep_if_stable(account, next, now).await?;
        }
        let undecided = weighed == Weighed::Undecided;
        Ok(Seen { verdict, again_in: Some(quiet), looked: true, undecided })
    }

    /// What the provider tells, if it tells one.
    async fn read_balance(&mut self) -> Option<Money> {
        match self.provider.account().await {
            Ok(account) => {
                self.looks.unanswered = 0;
                account.balance
            }
            Err(error) => {
                self.looks.unanswered = self.looks.unanswered.saturating_add(1);
                tracing::debug!("the balance can't be read: {error}");
                None
            }
        }
    }

    async fn tell(
        &self,
        account: &str,
        verdict: Verdict,
        baseline: Option<Baseline>,
        shared: bool,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let since = local_stamp(baseline.map_or(now, |baseline| baseline.at()));
        let (name, text) = match verdict {
            Verdict::Unexplained(over) => (
                Alarm::Balance,
                format!("since {since} the balance fell by {over} more than our orders explain"),
            ),
            Verdict::Twice(over) => (
                Alarm::DoubleCharge,
                format!(
                    "since {since} {over} was charged for attempts beside a known id: the provider charges duplicates"
                ),
            ),
            Verdict::Silent | Verdict::AllTaken | Verdict::Once | Verdict::Contradicts => return Ok(()),
        };
        if shared {
            tracing::warn!("{text} (the account is shared)");
            return Ok(());
        }
        self.journal.balance_accuses(account.to_owned(), name, text, now).await
    }

    /// A balance that a charge may still be missing from is no baseline: it must be the same a quiet period later.
    async fn keep_if_stable(
        &mut self,
        account: String,
        next: Baseline,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let Baseline { balance, books, .. } = next;
        if books.reserved != Money::ZERO {
            self.looks.same_since = None;
            return Ok(());
        }
        match self.looks.same_since {
            Some((since, seen, sums)) if seen == balance && sums == books => {
                if now.since(since) >= self.settings.borrow().rules.quiet {
                    self.journal.set_baseline(account, next).await?;
                    self.looks.same_since = None;
                }
            }
            _ => self.looks.same_since = Some((now, balance, books)),
        }
        Ok(())
    }
}
