//! The first look at the provider, once the daemon is ready: a wrong address, name or key is told then, not with the first
//! file.
//!
//! It asks for the account, which is free and orders nothing. Nothing waits for it.

use std::sync::Arc;

use crate::journal::Journal;
use crate::provider::Provider;

/// Warns where the provider can't be asked, or refuses the account: no order would go through.
pub(super) async fn look(journal: Journal, provider: Arc<dyn Provider>) {
    // Who tries a pause asks already. A journal that can't be read has its own alarm.
    match journal.pauses().await {
        Ok(pauses) if pauses.iter().all(|pause| pause.next_try.is_none()) => {}
        _ => return,
    }
    if let Err(error) = provider.account().await {
        tracing::warn!("{error}; {}. imeid check --online asks again", error.mend());
    }
}
