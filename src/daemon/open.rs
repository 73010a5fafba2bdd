//! Opening what the daemon works on: folders, locks, the journal, and what the last process left in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::account;
use super::manager::tell_status;
use super::older_copy::recover;
use super::{DaemonError, Unrecorded, faults};
use crate::clock::Clock;
use crate::config::{Config, Folders};
use crate::durable::{self, Holder, LockError, LockFile};
use crate::journal::{Journal, JournalError};
use crate::settings::{self, Settings};

/// A command that writes the journal while no daemon runs is done by then, as a rule.
const COMMAND_NEEDS: Duration = Duration::from_secs(10);
/// How often its end is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a daemon works on, recovered from the last one's end.
#[derive(Debug)]
pub struct Opened {
    /// The journal: nothing in it is in flight.
    pub journal: Journal,
    /// The configuration, with the journal's numbers.
    pub settings: Arc<Settings>,
    /// The journal's. Held for as long as it works.
    pub(super) lock: LockFile,
    pub(super) _inbox_lock: LockFile,
}

/// Makes the folders, locks them, opens the journal and recovers: what was in flight when the last process ended is in
/// doubt.
///
/// # Errors
/// Another daemon has them, or something can't be made, opened or written.
pub async fn open(config: Config, clock: &Clock) -> Result<Opened, DaemonError> {
    let locks = lock(&config, clock).await?;
    recovered(config, locks, clock).await
}

pub(super) async fn recovered(config: Config, locks: Locks, clock: &Clock) -> Result<Opened, DaemonError> {
    let path = config.journal.path.clone();
    recover_all(config, locks, clock).await.map_err(|error| {
        let free = path.parent().and_then(|folder| durable::free_bytes(folder).ok());
        error.at(&path, free)
    })
}

async fn recover_all(config: Config, locks: Locks, clock: &Clock) -> Result<Opened, DaemonError> {
    let Locks { journal: lock, inbox: inbox_lock, noted } = locks;
    let start = clock.now();
    sweep(&config);
    let journal = Journal::open(&config.journal.path)?;
    journal.keep_steady(clock);
    account::check(&journal, &config).await?;
    let settings = Arc::new(Settings::new(config, &journal).await?);
    let lost = recover(&journal, &settings, clock).await?;
    if lost > 0 {
        tracing::warn!(orders = lost, "in flight when the last process ended: in doubt");
    }
    faults::take_up(noted, &journal).await;
    journal.try_account_at_once(clock.now()).await?;
    journal.say_kept_pauses(start, clock.now()).await?;
    warn_of_left_waiting(&journal, &settings).await?;
    Ok(Opened { journal, settings, lock, _inbox_lock: inbox_lock })
}

/// Orders that no stage will ever send are told of: nothing else would.
pub(super) async fn warn_of_left_waiting(
    journal: &Journal,
    settings: &Arc<Settings>,
) -> Result<(), JournalError> {
    let in_force = Arc::clone(settings);
    let queues = journal.read(move |view| settings::left_waiting(view, &in_force.config)).await?;
    for queue in queues {
        let why = settings::why_left_waiting(&queue, &settings.config);
        tracing::warn!(service = %queue.name, orders = queue.orders, "{why}");
    }
    Ok(())
}

/// Makes what is missing of the folders, for the group too.
pub(super) fn make_folders(config: &Config) -> Result<(), DaemonError> {
    let Folders { inbox, outbox, reconcile, archive, rejected, .. } = &config.folders;
    let services = config
        .services
        .iter()
        .filter(|service| service.folder != ".")
        .map(|service| inbox.join(&service.folder));
    let journal = config.journal.path.parent().map(Path::to_owned);
    // People only fetch from there; whoever could delete the stamp could make it blind to an older copy of the journal.
    make_folder(archive, 0o2755)?;
    for path in [inbox, outbox, reconcile, rejected].into_iter().cloned().chain(services) {
        make_folder(&path, 0o2775)?;
    }
    journal.map_or(Ok(()), |path| make_folder(&path, 0o700))
}

fn make_folder(path: &Path, mode: u32) -> Result<(), DaemonError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        // Whether it is there isn't known, so nothing says that it must be made.
        Err(why) if why.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(DaemonError::Shut { path: path.to_owned(), why });
        }
        _ => {}
    }
    let failed = |why| DaemonError::Folder { path: path.to_owned(), mode, why };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    durable::make_dir(path, mode).map_err(failed)
}

/// The lock of whoever writes the journal: the daemon, or a command while there is none.
#[must_use]
pub fn journal_lock(journal: &Path) -> PathBuf {
    let mut beside = journal.as_os_str().to_owned();
    beside.push(".lock");
    PathBuf::from(beside)
}

/// The daemon that has this journal, if one has: a command that writes it for a moment is none.
///
/// # Errors
/// The lock is there and can't be asked.
pub fn running(journal: &Path) -> Result<Option<Holder>, LockError> {
    Ok(LockFile::holder(&journal_lock(journal))?.filter(|holder| !holder.briefly))
}

/// What one daemon alone may have.
pub(super) struct Locks {
    journal: LockFile,
    inbox: LockFile,
    /// What the last process noted where the journal's lock is now.
    noted: Vec<Unrecorded>,
}

/// Makes the folders; one daemon a journal, and one an inbox. A command that writes the journal is waited for.
pub(super) async fn lock(config: &Config, clock: &Clock) -> Result<Locks, DaemonError> {
    make_folders(config)?;
    let noted = Unrecorded::read(&config.journal.path);
    let journal = lock_journal(&journal_lock(&config.journal.path), clock).await?;
    let inbox = LockFile::acquire(&config.folders.inbox.join(".imeid.lock"))?;
    Ok(Locks { journal, inbox, noted })
}

async fn lock_journal(path: &Path, clock: &Clock) -> Result<LockFile, LockError> {
    let until = clock.steady().saturating_add(COMMAND_NEEDS);
    // Whoever has just got the lock hasn't written yet who it is: a daemon is known by two looks.
    let (mut told, mut is_daemon) = (false, false);
    loop {
        let refused = match LockFile::acquire(path) {
            Ok(lock) => return Ok(lock),
            Err(refused) => refused,
        };
        let LockError::Held { by, .. } = &refused else { return Err(refused) };
        if clock.steady() >= until || (is_daemon && !by.briefly) {
            return Err(refused);
        }
        is_daemon = !by.briefly;
        if by.briefly && !std::mem::replace(&mut told, true) {
            tracing::info!("{refused}; it is waited for, up to {} s", COMMAND_NEEDS.as_secs());
            tell_status("starting: a command of imeid is at work on the journal");
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Removes temporary files that a crash left.
fn sweep(config: &Config) {
    let Folders { outbox, archive, rejected, .. } = &config.folders;
    for folder in [outbox, archive, rejected] {
        if let Err(error) = durable::remove_leftovers(folder) {
            tracing::warn!(folder = %folder.display(), "temporary files of a crash can't be removed: {error}");
        }
    }
}
