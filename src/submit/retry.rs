//! Trying pauses again: `accountinfo` first, then one order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::pool::Pool;
use crate::clock::Clock;
use crate::gate::{Pause, Scope};
use crate::journal::{Journal, JournalError};
use crate::order::PauseReason;
use crate::provider::Provider;
use crate::pulse;
use crate::settings::Settings;
use crate::types::{Money, ServiceId};

/// While a pause stands that is tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Without one it is told by the commit that makes one; it looks again after this long by itself.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Tries pauses whose time has come, and tells of a provider that is away, for ever.
pub(super) async fn run(
    journal: Journal,
    provider: Arc<dyn Provider>,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
    pool: Arc<Pool>,
) {
    let mut standing = journal.standing();
    loop {
        let is_tried = standing.borrow_and_update().iter().any(|pause| pause.next_try.is_some());
        let tried = if is_tried {
            let now_in_force = Arc::clone(&settings.borrow());
            try_pauses(&journal, &*provider, &clock, &now_in_force).await
        } else {
            Ok(())
        };
        match tried {
            Ok(()) => {
                if journal.serves("pauses") {
                    tracing::info!("pauses can be tried again");
                }
            }
            Err(error) => journal.fails("pauses", &format!("pauses can't be tried: {error}")),
        }
        pool.tell_if_away();
        let longest = if is_tried { LOOK_EVERY } else { LOOK_AGAIN };
        let pause = pool.alarm_due_in().map_or(longest, |due| due.min(longest));
        pulse::within(pause);
        tokio::select! {
            Ok(()) = standing.changed(), if !is_tried => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Tries every pause whose time has come, once: where `accountinfo` passes, one order may go to find out.
///
/// # Errors
/// The journal can't be read or written.
pub async fn try_pauses(
    journal: &Journal,
    provider: &dyn Provider,
    clock: &Clock,
    settings: &Settings,
) -> Result<(), JournalError> {
    let pauses = journal.pauses().await?;
    let now = clock.now();
    let due = |pause: &&Pause| !pause.one && pause.next_try.is_some_and(|at| at <= now);
    let cheapest = settings.rules.terms.values().map(|terms| terms.price).min().unwrap_or(Money::ZERO);
    let mut failed = None;
    for pause in pauses.iter().filter(due) {
        let passed = match (pause.reason, pause.scope) {
            (PauseReason::Price, Scope::Service(service)) => {
                price_is_right(service, provider, settings).await
            }
            (reason, _) => passes(reason, provider, cheapest).await,
        };
        let service = match pause.scope {
            Scope::All => None,
            Scope::Service(service) => Some(tracing::field::display(service)),
        };
        tracing::debug!(reason = pause.reason.as_str(), service, passed, "a pause was tried");
        // One that can't be recorded keeps no other back.
        let tried = journal.pause_tried(pause.scope, pause.reason, passed, clock.now()).await;
        failed = failed.or(tried.err());
    }
    failed.map_or(Ok(()), Err)
}

/// Whether the provider's list has the service at no more than its price.
async fn price_is_right(service: ServiceId, provider: &dyn Provider, settings: &Settings) -> bool {
    let Some(terms) = settings.rules.terms.get(&service) else { return false };
    match provider.services().await {
        Ok(offered) => offered.iter().any(|offer| {
            offer.network_id == terms.network_id.0 && offer.price.is_some_and(|price| price <= terms.price)
        }),
        Err(_) => false,
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
