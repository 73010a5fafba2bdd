//! Carries out what operators say: requests that commands left in the journal.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::log_imei;
use crate::journal::{Journal, JournalError};
use crate::pulse;
use crate::settings::Settings;
use crate::types::Imei;

/// A command waits for its answer: it is looked for well within the two seconds that are promised.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Carries requests out until `stop`.
pub(super) async fn run(
    journal: Journal,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
    stop: CancellationToken,
) {
    loop {
        if let Err(error) = unit(&journal, &clock, &settings).await {
            tracing::warn!("what an operator said can't be carried out yet, trying again: {error}");
        }
        pulse::within(LOOK_EVERY);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Carries out every request that waits.
async fn unit(
    journal: &Journal,
    clock: &Clock,
    settings: &watch::Receiver<Arc<Settings>>,
) -> Result<(), JournalError> {
    let rules = Arc::clone(&settings.borrow().rules);
    for id in journal.read(|view| view.open_requests()).await? {
        let answer = journal.carry_out(id, clock.now(), (*rules).clone()).await?;
        tracing::info!(done = answer.done, answer = %for_log(&answer.text), "an operator's word");
    }
    for batch in journal.read(|view| view.cancelled_batches()).await? {
        journal.sweep_cancelled(batch, clock.now(), (*rules).clone()).await?;
    }
    Ok(())
}

/// An answer as log lines may show it: its IMEIs as `[log]` says.
fn for_log(answer: &str) -> String {
    let shown = |word: &str| {
        let digits = word.trim_matches(|c: char| !c.is_ascii_digit());
        match Imei::parse(digits, false) {
            Ok(imei) => word.replace(digits, &log_imei(imei)),
            Err(_) => word.to_owned(),
        }
    };
    answer.split(' ').map(shown).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_logged_as_it_is_but_for_its_imeis() {
        let imei = Imei::from_parts(35_000_000, 1);
        let answer = format!("IMEI {imei}: 12 rows of stock-3 ended");
        assert_eq!(for_log(&answer), answer.replace(&imei.to_string(), &log_imei(imei)));
    }
}
