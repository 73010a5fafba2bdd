//! Looking at the balance at rest: a baseline while nothing is open, and what later looks say against it.

use std::time::Duration;

use super::Settle;
use crate::balance::{self, Baseline, Books, Verdict};
use crate::clock::local_stamp;
use crate::journal::JournalError;
use crate::order::Alarm;
use crate::types::{Money, Timestamp};

/// While nothing changes, two looks are at most so far apart.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The looks so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looks {
    /// The first of those that all found the same.
    same_since: Option<(Timestamp, Money, Books)>,
    last: Option<Timestamp>,
}

/// What a round of settling knows of the balance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    /// When another look can tell more; `None` where none is needed.
    pub(super) again_in: Option<Duration>,
}

const NOTHING: Seen = Seen { verdict: Verdict::Silent, again_in: None };

impl Settle {
    /// One look, if all has been at rest for a quiet period and it could tell something new.
    ///
    /// # Errors
    /// The journal can't be read or written.
    pub(super) async fn look_at_balance(&mut self) -> Result<Seen, JournalError> {
        let now = self.clock.now();
        let quiet = self.settings.borrow().rules.quiet;
        let Some(rest) = self.meter.at_rest_since(self.started) else { return Ok(NOTHING) };
        let rested = now.since(rest);
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
        let Some(balance) = self.read_balance().await else {
            self.looks.last = Some(now);
            return Ok(Seen { again_in: Some(quiet), ..NOTHING });
        };
        self.looks.last = Some(now);
        let verdict = baseline.map_or(Verdict::Silent, |baseline| balance::judge(&baseline, &books, balance));
        self.tell(verdict, baseline, shared, now).await?;
        // What others order or pay in says nothing of ours.
        let refunds_missing = baseline
            .filter(|_| !shared)
            .map_or(Money::ZERO, |baseline| balance::refunds_missing(&baseline, &books, balance));
        let next = Baseline { at_ms: now.millis(), balance, books, refunds_missing };
        self.keep_if_stable(account, next, now).await?;
        // An account that others order with too shows nothing about ours.
        Ok(Seen { verdict: if shared { Verdict::Silent } else { verdict }, again_in: Some(quiet) })
    }

    async fn read_balance(&self) -> Option<Money> {
        match self.provider.account().await {
            Ok(account) => account.balance,
            Err(error) => {
                tracing::debug!("the balance can't be read: {error}");
                None
            }
        }
    }

    async fn tell(
        &self,
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
            Verdict::Silent | Verdict::AllTaken | Verdict::Contradicts => return Ok(()),
        };
        if shared {
            tracing::warn!("{text} (the account is shared)");
            return Ok(());
        }
        self.journal.balance_accuses(name, text, now).await
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
