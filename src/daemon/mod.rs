//! The daemon: opens what it needs, starts the stages, and stops them in order.
//!
//! Recovery is starting: the journal takes what was in flight as in doubt, intake works through what was taken, and
//! every stage finds its work as always. A stage that ends by itself takes the daemon down: half alive is worse.

mod account;
mod error;
mod faults;
mod first_look;
mod key;
mod line;
pub mod log;
mod manager;
mod older_copy;
mod open;
mod progress;
mod prune;
mod reload;
mod requests;
mod signals;
mod stages;
#[cfg(test)]
mod tests;
mod unrecorded;
mod watch_disk;

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;
use crate::config::{Config, read_api_key};
use crate::durable::LockFile;
use crate::journal::{Journal, JournalError, View};
use crate::meter::Meter;
use crate::provider::{GsmFusion, Provider};
use crate::pulse::Pulse;
use crate::settings::Settings;

pub use account::{Remembered, remembered};
pub use error::DaemonError;
pub(crate) use manager::tell_status;
pub use older_copy::{StampKeeper, recover};
pub use open::{Opened, journal_lock, open, running};
pub use progress::{LIVE_FACT, Live, eta};
pub(crate) use reload::tell_refused;
pub(crate) use signals::stop_on_signals;
pub use unrecorded::Unrecorded;

use faults::Ended;
use first_look::FirstLook;
use key::KeyInUse;
use line::Doing;
use log::LogHandle;
use manager::Watchdog;
use reload::Reload;
use stages::first_ended;

/// How long a stop waits for the last answers' commit before it tells what is in doubt.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// Runs the daemon until a signal stops it; SIGHUP has it read its configuration anew, and open its log file anew.
///
/// # Errors
/// It could not start, or a stage ended.
pub async fn run(config: Config, clock: Clock, log: LogHandle) -> Result<(), DaemonError> {
    let (stop, reload) = (CancellationToken::new(), Arc::new(Notify::new()));
    signals::heed_signals(stop.clone(), Arc::clone(&reload)).map_err(DaemonError::Signals)?;
    tell_status("starting: opening the journal");
    let key = read_api_key(&config)?;
    log.conceal(&key);
    let in_use = Arc::new(KeyInUse::new(&config, key.clone()));
    let provider = Arc::new(GsmFusion::new(&config.provider, key, clock.clone())?);
    let passed = Some(provider.passed());
    work(config, provider, clock, stop, Outside { reload, log: Some(log), key: Some(in_use), passed }).await
}

/// Runs the daemon against this provider until `stop`.
///
/// # Errors
/// It could not start, or a stage ended.
pub async fn run_with(
    config: Config,
    provider: Arc<dyn Provider>,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), DaemonError> {
    work(config, provider, clock, stop, Outside::default()).await
}

/// What can be asked of a daemon beside its work.
#[derive(Default)]
struct Outside {
    /// Rings when the configuration is to be read anew.
    reload: Arc<Notify>,
    log: Option<LogHandle>,
    key: Option<Arc<KeyInUse>>,
    /// Changes with each call that works; `None`: the provider can't be another than was meant.
    passed: Option<watch::Receiver<()>>,
}

async fn work(
    config: Config,
    provider: Arc<dyn Provider>,
    clock: Clock,
    stop: CancellationToken,
    outside: Outside,
) -> Result<(), DaemonError> {
    let locks = tokio::select! {
        biased;
        locks = open::lock(&config, &clock) => locks?,
        () = stop.cancelled() => return Ok(()),
    };
    let opened = open::recovered(config, locks, &clock).await?;
    daemon_of(opened, provider, clock, outside).run(stop).await
}

fn daemon_of(opened: Opened, provider: Arc<dyn Provider>, clock: Clock, outside: Outside) -> Daemon {
    let Opened { journal, settings, lock, _inbox_lock } = opened;
    Daemon {
        journal,
        provider,
        clock,
        settings: watch::channel(settings).0,
        meter: Arc::default(),
        pulse: Pulse::default(),
        refused: watch::channel(false).0,
        look_again: Arc::default(),
        lock: Arc::new(lock),
        _inbox_lock,
        outside,
    }
}

struct Daemon {
    journal: Journal,
    provider: Arc<dyn Provider>,
    clock: Clock,
    settings: watch::Sender<Arc<Settings>>,
    meter: Arc<Meter>,
    pulse: Pulse,
    /// A changed configuration was refused, and the old one is in force.
    refused: watch::Sender<bool>,
    /// Rings for the first look at the provider, while it isn't over.
    look_again: Arc<Notify>,
    /// The journal's.
    lock: Arc<LockFile>,
    /// Held for as long as it works.
    _inbox_lock: LockFile,
    outside: Outside,
}

impl Daemon {
    async fn run(self, stop: CancellationToken) -> Result<(), DaemonError> {
        // The first look through the inbox is over, and the status line says so.
        let (shown, mut is_shown) = watch::channel(false);
        // Stages beside submit go on while it drains: answers come in, and files are published.
        let rest = CancellationToken::new();
        manager::tell_status("starting: looking through the inbox");
        // What waits in the folders waits since before this start.
        let left = self.journal.read(Live::read).await.ok().flatten().unwrap_or_default();
        // Cancelled once the manager knows of a stop: whatever else it is told of it follows.
        let draining = CancellationToken::new();
        let (submit, mut others) = self.start(left, shown, &stop, &rest, &draining);
        let mut submit = submit;
        tokio::select! {
            () = async { drop(is_shown.wait_for(|shown| *shown).await) } => self.tell_ready().await,
            () = stop.cancelled() => {}
            _ = self.journal.damaged() => {}
            () = self.journal.writer_gone() => {}
        }
        let _look = self.outside.passed.clone().map(|passed| {
            let (journal, provider) = (self.journal.clone(), Arc::clone(&self.provider));
            let look = FirstLook { journal, provider, passed, again: Arc::clone(&self.look_again) };
            AbortOnDropHandle::new(tokio::spawn(look.run()))
        });
        let mut damaged = None;
        // Its promises are the stages': it ends with this.
        let watchdog = Watchdog {
            journal: self.journal.clone(),
            pulse: self.pulse.clone(),
            draining: draining.clone(),
            patience: sd_notify::watchdog_enabled(),
            tell: manager::tell,
        };
        let _watchdog = AbortOnDropHandle::new(tokio::spawn(watchdog.run()));
        let ended = tokio::select! {
            // A stage that ended because of the stop didn't end by itself.
            biased;
            () = stop.cancelled() => None,
            error = self.journal.damaged() => {
                tracing::error!(alarm = "journal", "{error}");
                damaged = Some(error);
                None
            }
            // Half alive is worse here too: what is sent couldn't be recorded.
            () = self.journal.writer_gone() => Some("journal"),
            name = first_ended(&mut others) => Some(name),
            _ = &mut submit => Some("submit"),
            () = self.reload_when_told() => None,
        };
        // A stop ends them all, some of them before it is noticed here.
        let by_itself = ended.filter(|_| !stop.is_cancelled());
        manager::tell(&[NotifyState::Stopping]);
        draining.cancel();
        tracing::info!("stopping: nothing more is sent, calls in flight are waited for");
        stop.cancel();
        let mut faults = Vec::from_iter(by_itself.map(Ended::ByItself));
        if ended != Some("submit") && submit.await.is_err() {
            faults.push(Ended::AtAStop("submit"));
        }
        rest.cancel();
        for (name, stage) in others {
            if ended != Some(name) && stage.await.is_err() {
                faults.push(Ended::AtAStop(name));
            }
        }
        faults::tell(&faults, &self.journal, &self.lock, &self.clock).await;
        let counts = self.journal.read_behind(LAST_COMMIT, View::order_counts).await.ok();
        tracing::info!(in_doubt = counts.map(|counts| counts.in_doubt), "stopped");
        tell_status("stopped");
        if self.journal.is_damaged() {
            // A stage that found it may have ended first.
            return Err(damaged.unwrap_or(self.journal.damaged().await).into());
        }
        by_itself.map_or(Ok(()), |name| Err(DaemonError::Stage(name)))
    }

    async fn doing(&self) -> Result<Doing, JournalError> {
        let day = self.clock.local_day(self.clock.now());
        self.journal.read(move |view| Doing::read(view, day)).await
    }

    async fn tell_ready(&self) {
        // Where it can't be read nothing is counted: ready it is all the same.
        let known = self.doing().await.ok();
        let count = |of: fn(&Doing) -> u64| known.as_ref().map(of);
        let unrecorded = self.journal.unrecorded().len();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            services = self.settings.borrow().config.services.len(),
            files = known.as_ref().map(|doing| doing.batches.len()),
            queued = count(|doing| doing.orders.queued),
            submitting = count(|doing| doing.orders.submitting),
            ordered = count(|doing| doing.orders.ordered),
            in_doubt = count(|doing| doing.orders.in_doubt),
            held = count(|doing| doing.orders.held),
            pauses = known.as_ref().map(|doing| doing.pauses.len()),
            alarms = known.as_ref().map(|doing| doing.alarms.len().saturating_add(unrecorded)),
            "ready"
        );
        manager::tell(&[NotifyState::Ready]);
    }

    /// Reads the configuration anew as often as somebody says so, for ever.
    async fn reload_when_told(&self) {
        let reload = Reload {
            journal: &self.journal,
            settings: &self.settings,
            log: self.outside.log.as_ref(),
            key: self.outside.key.as_ref(),
        };
        loop {
            self.outside.reload.notified().await;
            manager::tell_reloading();
            let is_taken_over = reload.run().await;
            self.refused.send_replace(!is_taken_over);
            self.look_again.notify_one();
            manager::tell(&[NotifyState::Ready]);
        }
    }
}
