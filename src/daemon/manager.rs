//! What the service manager is told: systemd, by its socket in `$NOTIFY_SOCKET`. Without one nothing is told.
//!
//! The watchdog is fed by progress alone: the journal's writer has answered since the last time, every stage has come
//! round within the time that it said ([`pulse`](crate::pulse)), and the runtime turns, for this is a task on it. A
//! provider that doesn't answer, or days without a file, leave all of that as it is.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;
use crate::pulse::Pulse;
use crate::words;

/// The alarm of a stage that is late; whether it can be recorded isn't waited for.
const LATE: &str = "watchdog";
/// While it stops, the manager is asked for more time so often, and for so much each time.
const EXTEND_EVERY: Duration = Duration::from_secs(5);
const EXTEND_BY_US: u32 = 15_000_000;
/// A status line has at most so many characters.
const STATUS_CHARS: usize = 600;

/// Tells the service manager. That it can't be told stops nothing.
pub(crate) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager can't be told: {error}");
    }
}

/// Tells it in one line what the daemon is doing; `systemctl status` shows it, also after the daemon's end. What a file
/// or the provider put into the line can't add to the message: a line end in it would.
pub(crate) fn tell_status(line: &str) {
    tell(&[NotifyState::Status(&one_line(line))]);
}

pub(super) fn one_line(text: &str) -> String {
    let joined = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let plain = words::plain(&joined);
    match plain.char_indices().nth(STATUS_CHARS) {
        Some((end, _)) => format!("{}…", plain.get(..end).unwrap_or_default()),
        None => plain,
    }
}

/// Says that the configuration is being read anew; to be followed by `READY=1`.
pub(super) fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!("the monotonic clock can't be read: {error}"),
    }
}

/// Feeds the watchdog, and asks for more time while the daemon stops.
pub(super) struct Watchdog {
    /// Whose writer must answer.
    pub(super) journal: Journal,
    /// What the stages have promised.
    pub(super) pulse: Pulse,
    /// Cancelled once a stop was asked for.
    pub(super) draining: CancellationToken,
    /// How long the manager waits for a sign of life; `None`: it doesn't.
    pub(super) patience: Option<Duration>,
    /// How the manager is told: [`tell`].
    pub(super) tell: fn(&[NotifyState<'_>]),
}

impl Watchdog {
    /// For as long as it is awaited.
    pub(super) async fn run(self) {
        let mut is_late = false;
        loop {
            let every = self.patience.map(|patience| patience / 3);
            let pause = if self.draining.is_cancelled() {
                every.map_or(EXTEND_EVERY, |every| every.min(EXTEND_EVERY))
            } else {
                every.unwrap_or(EXTEND_EVERY)
            };
            if self.writer_was_late(pause).await {
                // A stage that is late all the same is told of anew.
                is_late = false;
            }
            match self.pulse.late() {
                None => {
                    if std::mem::take(&mut is_late) {
                        self.journal.drop_unrecorded(LATE);
                        tracing::info!("the stage came round");
                    }
                    self.feed();
                }
                Some(late) if !is_late => {
                    is_late = true;
                    let text = format!("{late}: the watchdog isn't fed any more");
                    tracing::error!(alarm = LATE, "{text}");
                    self.journal.keep_unrecorded(LATE, &text);
                }
                Some(_) => {}
            }
            let was_draining = self.draining.is_cancelled();
            tokio::select! {
                () = self.draining.cancelled(), if !was_draining => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Waits until the journal's writer has answered; whether that took longer than this.
    async fn writer_was_late(&self, within: Duration) -> bool {
        let mut answer = std::pin::pin!(self.journal.writer_answers());
        if tokio::time::timeout(within, &mut answer).await.is_ok() {
            return false;
        }
        let text = "the journal's writer doesn't answer: the watchdog isn't fed until it does";
        tracing::error!(alarm = LATE, "{text}");
        self.journal.keep_unrecorded(LATE, text);
        answer.await;
        self.journal.drop_unrecorded(LATE);
        tracing::info!("the journal's writer answers again");
        true
    }

    fn feed(&self) {
        if self.patience.is_some() {
            (self.tell)(&[NotifyState::Watchdog]);
        }
        if self.draining.is_cancelled() {
            (self.tell)(&[NotifyState::ExtendTimeoutUsec(EXTEND_BY_US)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    static FED: AtomicUsize = AtomicUsize::new(0);

    fn count(states: &[NotifyState<'_>]) {
        let fed = states.iter().filter(|state| matches!(state, NotifyState::Watchdog)).count();
        FED.fetch_add(fed, Ordering::AcqRel);
    }

    #[tokio::test]
    async fn a_stage_that_hangs_starves_the_watchdog_until_it_comes_round() {
        let dir = tempfile::tempdir().unwrap();
        let pulse = Pulse::new(Duration::ZERO);
        let watchdog = Watchdog {
            journal: Journal::open(&dir.path().join("journal.db")).unwrap(),
            pulse: pulse.clone(),
            draining: CancellationToken::new(),
            patience: Some(Duration::from_millis(30)),
            tell: count,
        };
        let told = watchdog.journal.clone();
        // Late at once, for half a second; then it comes round, and is in time.
        let stage = pulse.attend("stage", async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let starved = FED.load(Ordering::Acquire);
            let alarm = told.unrecorded().get(LATE).cloned().unwrap_or_default();
            assert!(alarm.starts_with("the stage stage should have come round"), "{alarm}");
            crate::pulse::within(Duration::from_secs(600));
            while FED.load(Ordering::Acquire) == starved {
                tokio::task::yield_now().await;
            }
            assert!(told.unrecorded().is_empty());
            starved
        });
        let starved = tokio::select! {
            biased;
            starved = stage => starved,
            () = watchdog.run() => unreachable!("it runs for as long as it is awaited"),
        };
        assert_eq!(starved, 0);
    }

    #[test]
    fn a_status_stays_one_line_whatever_is_in_it() {
        assert_eq!(
            one_line("paused: no credit\nREADY=1\r\n WATCHDOG=1"),
            "paused: no credit; READY=1; WATCHDOG=1"
        );
        assert_eq!(one_line("a\u{b}b\u{202e}c\rd"), "a\u{fffd}b\u{fffd}c\u{fffd}d");
        let long = one_line(&"ä".repeat(STATUS_CHARS * 2));
        assert_eq!(long.chars().count(), STATUS_CHARS + 1);
    }
}
