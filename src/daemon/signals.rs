//! Signals: SIGTERM and SIGINT stop; a second one doesn't hurry it, because paid calls are in flight.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio_util::sync::CancellationToken;

/// Cancels `stop` on SIGTERM and SIGINT, from a thread of its own.
///
/// # Errors
/// What the system says.
pub(crate) fn stop_on_signals(stop: CancellationToken) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
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
