//! The daemon: opens what it needs, starts the stages, and stops them in order.
//!
//! Recovery is starting: the journal takes what was in flight as in doubt, intake works through what was taken, and
//! every stage finds its work as always. A stage that ends by itself takes the daemon down: half alive is worse.

mod account;
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
#[cfg(test)]
mod tests;
mod unrecorded;
mod watch_disk;

use std::path::PathBuf;
use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::Clock;
use crate::config::{Config, KeyError, read_api_key};
use crate::durable::{LockError, LockFile};
use crate::inbox::{self, Inbox};
use crate::intake::{Intake, Told};
use crate::journal::{Journal, JournalError};
use crate::meter::Meter;
use crate::outbox::Outbox;
use crate::poll::Poll;
use crate::provider::{ClientError, GsmFusion, Provider};
use crate::pulse::Pulse;
use crate::settings::Settings;
use crate::settle::{OnceTold, Reconcile, Settle};
use crate::submit::Submit;

pub use account::{Remembered, remembered};
pub(crate) use manager::tell_status;
pub use older_copy::{StampKeeper, recover};
pub use open::{Opened, journal_lock, open, running};
pub use progress::{LIVE_FACT, Live, eta};
pub(crate) use reload::tell_refused;
pub(crate) use signals::stop_on_signals;
pub use unrecorded::Unrecorded;

use key::KeyInUse;
use log::LogHandle;
use manager::Watchdog;
use progress::{Heard, Progress};
use reload::Reload;
use requests::Requests;
use watch_disk::DiskWatch;

/// Why the daemon didn't start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Another one has the journal or the inbox.
    #[error("{0}")]
    Locked(#[from] LockError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The API key: what is configured can't work.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The HTTP client: what is configured can't work.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A folder isn't there and can't be made, or can't be used.
    #[error("the folder {path}: {why}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// The account's name stands for another provider.
    #[error("{0}")]
    OtherProvider(Remembered),
    /// Signals can't be received.
    #[error("signals can't be received: {0}")]
    Signals(std::io::Error),
    /// A stage ended by itself.
    #[error("the stage {0} ended by itself")]
    Stage(&'static str),
}

impl DaemonError {
    /// Whether the configuration is at fault, so that starting again changes nothing.
    #[must_use]
    pub const fn is_config(&self) -> bool {
        matches!(self, Self::Key(_) | Self::Client(_) | Self::OtherProvider(_))
    }
}

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
    work(config, provider, clock, stop, Outside { reload, log: Some(log), key: Some(in_use) }).await
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
}

async fn work(
    config: Config,
    provider: Arc<dyn Provider>,
    clock: Clock,
    stop: CancellationToken,
    outside: Outside,
) -> Result<(), DaemonError> {
    let Some(opened) = open::open_unless_stopped(config, &clock, &stop).await? else { return Ok(()) };
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
    /// The journal's.
    lock: Arc<LockFile>,
    /// Held for as long as it works.
    _inbox_lock: LockFile,
    outside: Outside,
}

/// A stage that runs, with its name.
type Stage = (&'static str, JoinHandle<()>);

impl Daemon {
    async fn run(self, stop: CancellationToken) -> Result<(), DaemonError> {
        // The first look through the inbox is over, and the status line says so.
        let (shown, mut is_shown) = watch::channel(false);
        // Stages beside submit go on while it drains: answers come in, and files are published.
        let rest = CancellationToken::new();
        manager::tell_status("starting: looking through the inbox");
        // What waits in the folders waits since before this start.
        let left = self.journal.read(Live::read).await.ok().flatten().unwrap_or_default();
        let (submit, mut others) = self.start(left, shown, &stop, &rest);
        let mut submit = submit;
        tokio::select! {
            _ = is_shown.wait_for(|shown| *shown) => self.tell_ready(),
            () = stop.cancelled() => {}
            _ = self.journal.damaged() => {}
            () = self.journal.writer_gone() => {}
        }
        let mut damaged = None;
        // Its promises are the stages': it ends with this.
        let watchdog = Watchdog {
            journal: self.journal.clone(),
            pulse: self.pulse.clone(),
            draining: stop.clone(),
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
        tracing::info!("stopping: nothing more is sent, calls in flight are waited for");
        stop.cancel();
        if ended != Some("submit") && submit.await.is_err() {
            tracing::error!(alarm = "stage", "submit ended in a panic");
        }
        rest.cancel();
        for (name, stage) in others {
            if ended != Some(name) && stage.await.is_err() {
                tracing::error!(alarm = "stage", stage = name, "a stage ended in a panic");
            }
        }
        tracing::info!("stopped");
        tell_status("stopped");
        if self.journal.is_damaged() {
            // A stage that found it may have ended first.
            return Err(damaged.unwrap_or(self.journal.damaged().await).into());
        }
        by_itself.map_or(Ok(()), |name| Err(DaemonError::Stage(name)))
    }

    fn tell_ready(&self) {
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
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
            manager::tell(&[NotifyState::Ready]);
        }
    }

    fn start(
        &self,
        left: Live,
        shown: watch::Sender<bool>,
        stop: &CancellationToken,
        rest: &CancellationToken,
    ) -> (JoinHandle<()>, Vec<Stage>) {
        let (scanned, is_scanned) = watch::channel(false);
        let (can_list, lists) = watch::channel(None);
        let (disk, disk_ok) = watch::channel(true);
        let settings = || self.settings.subscribe();
        let submit = Submit {
            journal: self.journal.clone(),
            provider: Arc::clone(&self.provider),
            clock: self.clock.clone(),
            settings: settings(),
            can_list: lists,
            meter: Arc::clone(&self.meter),
            disk_ok: disk_ok.clone(),
        };
        let config = self.settings.borrow().config.clone();
        let inbox = Inbox::new(inbox::Settings::of_inbox(&config), self.clock.clone()).take_up(left.inbox);
        let waiting = inbox.waiting();
        let intake = Intake {
            journal: self.journal.clone(),
            clock: self.clock.clone(),
            settings: settings(),
            inbox,
            meter: Arc::clone(&self.meter),
            scanned,
            told: Told::default(),
        };
        let (journal, provider, clock) = (&self.journal, &self.provider, &self.clock);
        let poll = Poll::new(journal.clone(), Arc::clone(provider), clock.clone(), settings());
        let settle = Settle::new(
            journal.clone(),
            Arc::clone(provider),
            clock.clone(),
            settings(),
            can_list,
            Arc::clone(&self.meter),
        );
        let exports =
            Inbox::new(inbox::Settings::of_reconcile(&config), clock.clone()).take_up(left.reconcile);
        let exports_waiting = exports.waiting();
        let reconcile = Reconcile {
            journal: journal.clone(),
            provider: Arc::clone(provider),
            clock: clock.clone(),
            settings: settings(),
            inbox: exports,
            told: OnceTold::default(),
        };
        let outbox = Outbox::new(journal.clone(), clock.clone(), settings());
        let meter = Arc::clone(&self.meter);
        let heard = Heard {
            waiting,
            reconcile: exports_waiting,
            scanned: is_scanned,
            disk_ok,
            refused: self.refused.subscribe(),
            draining: stop.clone(),
        };
        let progress = Progress::new(journal.clone(), clock.clone(), settings(), meter, heard, shown);
        let disk = DiskWatch {
            journal: journal.clone(),
            clock: clock.clone(),
            settings: settings(),
            ok: disk,
            lock: Arc::clone(&self.lock),
        };
        let stamp = StampKeeper::new(journal.clone(), clock.clone(), settings()).run(rest.clone());
        let prune = prune::run(journal.clone(), clock.clone(), settings(), rest.clone());
        let requests = Requests {
            journal: journal.clone(),
            provider: Arc::clone(provider),
            clock: clock.clone(),
            settings: settings(),
        };
        let others = vec![
            // A stop takes nothing more in.
            self.stage("intake", intake.run(stop.clone())),
            self.stage("poll", poll.run(rest.clone())),
            self.stage("settle", settle.run(stop.clone())),
            self.stage("reconcile", reconcile.run(stop.clone())),
            self.stage("outbox", outbox.run(rest.clone())),
            self.stage("progress", progress.run(rest.clone())),
            self.stage("disk", disk.run(rest.clone())),
            self.stage("requests", requests.run(rest.clone())),
            self.stage("stamp", stamp),
            self.stage("prune", prune),
        ];
        (self.stage("submit", submit.run(stop.clone())).1, others)
    }

    /// Starts a stage that the watchdog looks after.
    fn stage(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> Stage {
        let pulse = self.pulse.clone();
        (name, tokio::spawn(async move { pulse.attend(name, work).await }))
    }
}

/// The name of the first stage that ends.
async fn first_ended(stages: &mut [Stage]) -> &'static str {
    std::future::poll_fn(|context| {
        for (name, stage) in stages.iter_mut() {
            if std::pin::Pin::new(stage).poll(context).is_ready() {
                return std::task::Poll::Ready(*name);
            }
        }
        std::task::Poll::Pending
    })
    .await
}
