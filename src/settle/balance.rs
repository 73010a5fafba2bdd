//! Looking at the balance at rest: a baseline while nothing is open, and what later looks say against it.

use std::time::Duration;

use super::{FIRST_LOOK, Settle};
use crate::balance::{self, Baseline, Beyond, Books, Verdict};
use crate::clock::local_stamp;
use crate::journal::{CantTell, Doubt, JournalError, Look, View, Weighed};
use crate::order::{Alarm, State};
use crate::types::{Money, Timestamp};

/// While nothing changes, two looks are at most so far apart.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The looks so far, by the steady clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Looks {
    /// The first of those that all found the same.
    same_since: Option<(Duration, Money, Books)>,
    last: Option<Duration>,
    /// Looks in a row to which no answer came.
    unanswered: u32,
    /// Whether it is settled what the balance was when this process began.
    has_begun: bool,
}

impl Looks {
    /// Whether balance and books were the same a quiet period before.
    fn are_unmoved(&mut self, now: Duration, balance: Money, books: Books, quiet: Duration) -> bool {
        match self.same_since {
            Some((since, seen, sums)) if seen == balance && sums == books => {
                now.saturating_sub(since) >= quiet
            }
            _ => {
                self.same_since = Some((now, balance, books));
                false
            }
        }
    }
}

/// What a round of settling knows of the balance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) verdict: Verdict,
    /// When another look can tell more; `None` where none is needed.
    pub(super) again_in: Option<Duration>,
    /// It was looked at just now, at rest, or can't be: what is in doubt has nothing more to wait for there.
    pub(super) looked: bool,
    /// What the look makes of a probe that went alone and was taken.
    pub(super) weighed: Weighed,
}

const NOTHING: Seen =
    Seen { verdict: Verdict::Silent, again_in: None, looked: false, weighed: Weighed::Nothing };
/// A balance that can't be read so often in a row isn't waited for.
const GIVEN_UP_AFTER: u32 = 3;

impl Settle {
    /// The balance when this process began, for the first doubts to be held against, if none is known yet: of a journal that
    /// nothing can be missing from, one that is new above all. Nothing is in flight or in doubt, nothing has moved for a
    /// quiet period, nor while the balance was read.
    ///
    /// # Errors
    /// The journal can't be read or written.
    pub(super) async fn begin_with_balance(&mut self) -> Result<(), JournalError> {
        if self.looks.has_begun {
            return Ok(());
        }
        let (now, quiet) = (self.clock.now(), self.settings.borrow().rules.quiet);
        let account = self.settings.borrow().config.provider.account.clone();
        let of = account.clone();
        let (books, line, baseline) = self.journal.read(move |view| view.books_and_baseline(&of)).await?;
        let is_at_rest = line.at.is_none_or(|at| at <= now && now.since(at) >= quiet);
        if baseline.is_some() || books.reserved != Money::ZERO || !is_at_rest {
            self.looks.has_begun = true;
            return Ok(());
        }
        // Until something is sent it is asked again.
        let Ok(told) = self.provider.account().await else { return Ok(()) };
        self.looks.has_begun = true;
        let Some(balance) = told.balance else { return Ok(()) };
        let first = Baseline::first(now, balance, books, line.n);
        self.journal.begin_with_baseline(account, first, line.n).await
    }

    /// One look, if all has been at rest for a quiet period, every doubt too, and it could tell something new.
    ///
    /// # Errors
    /// The journal can't be read or written.
    pub(super) async fn look_at_balance(&mut self, doubts: &[Doubt]) -> Result<Seen, JournalError> {
        let (now, steady) = (self.clock.now(), self.clock.steady());
        let quiet = self.settings.borrow().rules.quiet;
        let Some(rested) = self.meter.at_rest_for(self.started, steady) else { return Ok(NOTHING) };
        if rested < quiet {
            return Ok(Seen { again_in: Some(quiet.saturating_sub(rested)), ..NOTHING });
        }
        // A doubt begins a moment after its call has ended; that it has rested is noted after this look.
        if doubts.iter().any(|doubt| doubt.state == State::InDoubt && !doubt.has_rested) {
            return Ok(Seen { again_in: Some(quiet / FIRST_LOOK), ..NOTHING });
        }
        let (account, shared) = {
            let settings = self.settings.borrow();
            (settings.config.provider.account.clone(), settings.config.provider.shared_account)
        };
        let of = account.clone();
        let (books, line, baseline) = self.journal.read(move |view| view.books_and_baseline(&of)).await?;
        // While refunds are missing they can come without a change in the books.
        let is_even = |baseline: Baseline| baseline.books == books && baseline.refunds_missing == Money::ZERO;
        if baseline.is_some_and(is_even) {
            return Ok(NOTHING);
        }
        // What stays open for a person must not cost a call every two minutes.
        let pause = (rested / 8).max(quiet).min(LONGEST_PAUSE.max(quiet));
        let waited = self.looks.last.map_or(pause, |last| steady.saturating_sub(last));
        if waited < pause {
            return Ok(Seen { again_in: Some(pause.saturating_sub(waited)), ..NOTHING });
        }
        self.looks.last = Some(steady);
        let Some(balance) = self.read_balance().await else {
            let seen = Seen { again_in: Some(quiet), ..NOTHING };
            if self.looks.unanswered > 0 && self.looks.unanswered < GIVEN_UP_AFTER {
                return Ok(seen);
            }
            let since = Err(CantTell::NotTold);
            let look = Look { since, beyond: Beyond::default(), is_unmoved: false, line: line.n };
            let weighed = self.journal.weigh_first_probe(account, look, quiet, now).await?;
            return Ok(Seen { looked: true, weighed, ..seen });
        };
        let verdict = baseline.map_or(Verdict::Silent, |baseline| balance::judge(&baseline, &books, balance));
        self.tell(&account, verdict, baseline, shared, now).await?;
        // What others order or pay in says nothing of ours.
        let ours = baseline.filter(|_| !shared);
        let is_unmoved = self.looks.are_unmoved(steady, balance, books, quiet);
        let since = ours.map(|baseline| baseline.at());
        let beyond = ours.map(|baseline| balance::beyond_known(&baseline, &books, balance));
        let look = Look {
            since: since.ok_or(if shared { CantTell::Shared } else { CantTell::NotKnownBefore }),
            beyond: beyond.unwrap_or_default(),
            is_unmoved,
            line: line.n,
        };
        let weighed = self.journal.weigh_first_probe(account.clone(), look, quiet, now).await?;
        // A balance that a charge may still be missing from is no baseline; what a later look can still tell is told
        // against the same one.
        if weighed != Weighed::Later && is_unmoved && books.reserved == Money::ZERO {
            let next = match ours {
                Some(known) => {
                    let unfinished = self.unfinished_cost().await?;
                    known.followed_by(now, balance, (books, line.n), unfinished)
                }
                None => Baseline::first(now, balance, books, line.n),
            };
            if self.journal.set_baseline(account, next, line.n).await? {
                self.looks.same_since = None;
            }
        }
        // An account that others order with too shows nothing about ours.
        let verdict = if shared { Verdict::Silent } else { verdict };
        Ok(Seen { verdict, again_in: Some(quiet), looked: true, weighed })
    }

    /// The most that the orders have cost that haven't ended as far as is known.
    async fn unfinished_cost(&self) -> Result<Money, JournalError> {
        let prices = self.settings.borrow().rules.terms.values().map(|terms| terms.price).max();
        let orders = self.journal.read(View::unfinished).await?;
        Ok(prices.and_then(|dearest| dearest.checked_mul(orders)).unwrap_or(Money::ZERO))
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
        let at = baseline.map_or(now, |baseline| baseline.at());
        let since = local_stamp(at);
        let text = match verdict {
            Verdict::Unexplained(over) => {
                format!("since {since} the balance fell by {over} more than our orders explain")
            }
            Verdict::Twice(over) => format!(
                "since {since} at least {over} was charged for orders that were sent twice, as their first answer was \
                 lost: this provider charges duplicates. What is in doubt is held from now on, and nothing of it is sent \
                 again until a person has seen this. Ask the provider to give it back: its export, dropped into reconcile, \
                 shows which orders they are. Set policy = \"hold\" in [in_doubt] before imeid ack of this alarm"
            ),
            Verdict::Silent | Verdict::AllTaken | Verdict::Contradicts => return Ok(()),
        };
        if shared {
            tracing::warn!("{text} (the account is shared)");
            return Ok(());
        }
        let account = account.to_owned();
        match verdict {
            Verdict::Unexplained(over) => self.journal.balance_fell(account, at, over, text, now).await,
            _ => self.journal.balance_accuses(account, Alarm::DoubleCharge, text, now).await,
        }
    }
}
