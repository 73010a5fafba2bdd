//! What the balance tells of a first probe and of a service's first orders, recorded before anything else goes.

use super::super::JOURNAL_RETRY;
use super::Pool;
use super::call::Held;
use crate::journal::JournalError;
use crate::order::Alarm;
use crate::types::{Money, Placed, ServiceId};

impl Pool {
    /// What the first probe showed: it was alone between two looks at the balance. Only a refusal proves that duplicates
    /// are refused, and only while the balance doesn't show that it cost something.
    pub(super) async fn judge_first_probe(&self, account: String, outcome: &Placed, before: Option<Money>) {
        if *outcome != Placed::AlreadyExists {
            return;
        }
        let after = match before {
            Some(_) => self.balance().await,
            None => None,
        };
        let fell = before.zip(after).and_then(|(before, after)| before.checked_sub(after));
        let now = self.clock.now();
        let accuses = fell.filter(|fell| *fell > Money::ZERO).map(|fell| {
            format!("a probe was refused as a duplicate, and the balance fell by {fell} all the same")
        });
        let record = || {
            let (journal, account, accuses) = (self.journal.clone(), account.clone(), accuses.clone());
            async move {
                match accuses {
                    None => journal.probes_are_refused(account, now).await,
                    Some(text) => journal.balance_accuses(account, Alarm::Balance, text, now).await,
                }
            }
        };
        self.until_recorded("first probe", "what a first probe showed", record).await;
    }

    /// Records what was seen and can't be seen again. Nothing is claimed until it is recorded: what it says may be that
    /// nothing must go.
    pub(in super::super) async fn until_recorded<F>(
        &self,
        who: &'static str,
        what: &str,
        record: impl Fn() -> F,
    ) where
        F: Future<Output = Result<(), JournalError>>,
    {
        let _held = Held::new(&self.pausing);
        loop {
            let Err(error) = record().await else { break };
            let why = format!("{what} can't be recorded, nothing is submitted until it is: {error}");
            self.journal.fails(who, &why);
            if !error.can_pass() {
                return;
            }
            tokio::time::sleep(JOURNAL_RETRY).await;
        }
        if self.journal.serves(who) {
            tracing::info!("{what} is recorded");
        }
    }

    pub(super) async fn balance(&self) -> Option<Money> {
        self.provider.account().await.ok().and_then(|account| account.balance)
    }

    /// A first order must cost one price. The balance accuses, it never acquits: it may lag behind.
    pub(super) async fn compare_balance(&self, service: ServiceId, before: Option<Money>, price: Money) {
        let (Some(before), Some(after)) = (before, self.balance().await) else { return };
        let Some(fell) = before.checked_sub(after).filter(|fell| *fell > price) else { return };
        // What is in doubt may have been charged meanwhile.
        let open =
            self.journal.read(move |view| view.books_beside(service)).await.map(|books| books.reserved);
        if open.is_ok_and(|reserved| reserved > Money::ZERO) {
            return;
        }
        let text = format!("one of the service's first orders cost {fell}, its price is {price}");
        let now = self.clock.now();
        let record = || {
            let (journal, text) = (self.journal.clone(), text.clone());
            async move { journal.price_is_higher(service, text, now).await }
        };
        self.until_recorded("price", "a pause because of a price", record).await;
    }
}
