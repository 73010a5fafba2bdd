//! Signals: SIGTERM and SIGINT stop; a second one doesn't hurry it, because paid calls are in flight. SIGHUP has the
//! configuration read anew.

use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Cancels `stop` on SIGTERM and SIGINT, from a thread of its own.
///
/// # Errors
/// What the system says.
pub(crate) fn stop_on_signals(stop: CancellationToken) -> std::io::Result<()> {
    listen(Signals::new([SIGTERM, SIGINT])?, stop, Arc::default())
}

/// Likewise, and rings `reload` on SIGHUP.
///
/// # Errors
/// What the system says.
pub(super) fn heed_signals(stop: CancellationToken, reload: Arc<Notify>) -> std::io::Result<()> {
    listen(Signals::new([SIGTERM, SIGINT, SIGHUP])?, stop, reload)
}

fn listen(mut signals: Signals, stop: CancellationToken, reload: Arc<Notify>) -> std::io::Result<()> {
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                reload.notify_one();
                continue;
            }
            let name = if signal == SIGTERM { "SIGTERM" } else { "SIGINT" };
            if stop.is_cancelled() {
                tracing::warn!(
                    signal = name,
                    "stopping already: calls in flight are paid orders, and are waited for"
                );
            }
            stop.cancel();
        }
    })?;
    Ok(())
}
