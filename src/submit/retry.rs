//! Trying pauses again: `accountinfo` first, then one order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::gate::Pause;
use crate::journal::Journal;
use crate::order::PauseReason;
use crate::provider::Provider;
use crate::settings::Settings;
use crate::types::Money;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tries pauses whose time has come, for ever.
pub(super) async fn run(
    journal: Journal,
    provider: Arc<dyn Provider>,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
) {
    loop {
        let pauses = match journal.pauses().await {
            Ok(pauses) => pauses,
            Err(error) => {
                tracing::error!(alarm = "journal", "pauses can't be read: {error}");
                Vec::new()
            }
        };
        let now = clock.now();
        let due = |pause: &&Pause| !pause.one && pause.next_try.is_some_and(|at| at <= now);
        for pause in pauses.iter().filter(due) {
            let cheapest = settings.borrow().rules.terms.values().map(|terms| terms.price).min();
            let passed = passes(pause.reason, &*provider, cheapest.unwrap_or(Money::ZERO)).await;
            if let Err(error) = journal.pause_tried(pause.scope, pause.reason, passed, clock.now()).await {
                tracing::error!(alarm = "journal", "a pause can't be tried: {error}");
            }
        }
        // Without a pause a ring of the submit bell isn't ours to take: it is looked at a second later.
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn passes(reason: PauseReason, provider: &dyn Provider, price: Money) -> bool {
    match provider.account().await {
        Ok(account) if reason == PauseReason::Credit => {
            account.balance.is_none_or(|balance| balance >= price)
        }
        Ok(_) => true,
        Err(_) => false,
    }
}
