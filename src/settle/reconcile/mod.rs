//! `reconcile/`: the provider's own export, dropped by a person.
//!
//! It settles orders in doubt, held or without an id, and its finished orders that aren't ours are remembered with their
//! result, at 0, so that a later drop of them is answered free. It is read as a stream. Rows that may settle an order
//! wait until all of it was read, for only then can its dates, in the provider's unknown time zone, be placed by our own
//! orders in it ([`dates`]), and only then is it known whether an IMEI is in it twice.
//!
//! # An export's way, and what start-up does
//!
//! | it lies in | the journal says | what happened | start-up does |
//! |---|---|---|---|
//! | `reconcile/` | nothing | not complete, or not taken yet | the next look finds it as if new |
//! | `.taken` | nothing | a crash while it was read: some rows may be remembered, some orders settled | it is read again from the start: what is so already changes nothing |
//! | `.taken` | read | a crash before it was moved | its reason is written once more under its name, and it is moved |
//! | `.taken` and `archive/` | read | a crash between copy and unlink, across filesystems | it is moved again, as `NAME-2`: a copy too many, never one too few |
//! | `archive/` | read | done | nothing |
//! | `.taken` | refused | no export; a crash before it was moved | it is moved to `rejected/` |
//! | `rejected/` | refused | done | nothing |
//!
//! What it changes in files that are out comes out once, when it is read: the journal says as long as one is being read,
//! and the outbox waits for it, not without end. A crash leaves that standing, and the export in `.taken`; where the next
//! start finds none there, it says that none is read.
//!
//! Rows for an order on the wire are kept in the journal until its answer is there: a crash leaves them there, or the
//! export in `.taken`.

mod clearing;
mod dates;
mod fault;
mod file;
mod read;
mod reading;
mod reason;
mod several;
#[cfg(test)]
mod tests;
mod turned;
mod whole;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::inbox::{self, Inbox, Ready, TakeError, Taken};
use crate::journal::{Journal, JournalError};
use crate::provider::Provider;
use crate::pulse;
use crate::settings::Settings;
use crate::types::Titles;

pub use fault::Fault;

/// An export that could not be worked through is tried again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// Rows that were kept for an order's answer are looked at so often.
const KEPT_EVERY: Duration = Duration::from_secs(1);

/// The stage.
pub struct Reconcile {
    /// What exports are held against.
    pub journal: Journal,
    /// Who tells what the services are called.
    pub provider: Arc<dyn Provider>,
    /// The time.
    pub clock: Clock,
    /// The configuration in force.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// The folder that is watched.
    pub inbox: Inbox,
    /// Files that couldn't be taken or read, and the reason that was told.
    pub told: OnceTold,
    /// What a fault of our own keeps from being read.
    pub fault: Fault,
}

/// Why files wait, told once for each reason: they are tried again and again.
#[derive(Debug, Default)]
pub struct OnceTold(BTreeMap<PathBuf, String>);

impl OnceTold {
    /// `path` waits for this reason. True: it is to be told.
    fn is_new(&mut self, path: &Path, why: &str) -> bool {
        // Gone by another hand: one of the same name is another file.
        self.0.retain(|path, _| path.symlink_metadata().is_ok());
        self.0.insert(path.to_owned(), why.to_owned()).is_none_or(|before| before != why)
    }

    /// `path` waits no more.
    fn remove(&mut self, path: &Path) {
        self.0.remove(path);
    }
}

impl Reconcile {
    /// Reads exports until `stop`: first those that were taken before the last process ended.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut left = self.work_through_taken(&stop).await;
        while !stop.is_cancelled() {
            let kept = self.use_kept().await;
            self.fault.may_be_over(&self.journal, &self.clock).await;
            let pause = if kept > 0 { KEPT_EVERY } else { AGAIN_AFTER };
            let ready = tokio::select! {
                ready = self.inbox.next_ready(&stop) => ready,
                // Otherwise there is nothing to come back to: rows are kept by this stage alone.
                () = tokio::time::sleep(pause), if left || kept > 0 || self.fault.stands() => {
                    if left {
                        left = self.work_through_taken(&stop).await;
                    }
                    continue;
                }
                Ok(()) = self.settings.changed() => {
                    self.inbox.reconfigure(inbox::Settings::of_reconcile(&self.settings.borrow().config));
                    continue;
                }
            };
            match ready {
                Ok(Some(ready)) => left |= !self.take(ready, &stop).await,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!("a look through the folder reconcile broke off: {error}");
                    self.fault.of_looks(&self.journal, &self.clock).await;
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Uses rows that were kept for an order's answer, where it is there. How many orders still wait.
    async fn use_kept(&self) -> usize {
        let rules = (*self.settings.borrow().rules).clone();
        match self.journal.use_kept_rows(self.clock.now(), rules).await {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!("rows kept from an export can't be used yet, trying again: {error}");
                1
            }
        }
    }

    /// Takes one complete file and works it through. False: it lies in `.taken`, to be tried again.
    async fn take(&mut self, ready: Ready, stop: &CancellationToken) -> bool {
        let (settings, now) = (self.inbox.settings().clone(), self.clock.now());
        let (path, shown) = (ready.path.clone(), ready.path.display().to_string());
        let taken = tokio::task::spawn_blocking(move || inbox::take(&settings, &ready, now)).await;
        match taken {
            Ok(Ok(taken)) => {
                self.told.remove(&path);
                self.work_through(taken, stop).await
            }
            // It settles again, and is offered again.
            Ok(Err(TakeError::Changed)) => true,
            Ok(Err(TakeError::Io(error))) => {
                if self.told.is_new(&path, &error.to_string()) {
                    tracing::warn!(file = %shown, "can't be taken now, trying again: {error}");
                }
                true
            }
            Err(error) => {
                tracing::debug!(file = %shown, "taking it broke off: {error}");
                self.fault.at(&path, &self.journal, &self.clock).await;
                true
            }
        }
    }

    /// Works through every export that was taken and isn't archived yet. True: some are left.
    async fn work_through_taken(&mut self, stop: &CancellationToken) -> bool {
        let folder: PathBuf = self.settings.borrow().config.folders.reconcile.clone();
        let listed = tokio::task::spawn_blocking(move || inbox::list_taken(&folder)).await;
        let taken = match listed {
            Ok(Ok(taken)) => taken,
            Ok(Err(error)) => {
                tracing::warn!("exports taken before can't be listed, trying again: {error}");
                return true;
            }
            Err(_) => return true,
        };
        let mut left = false;
        if taken.is_empty() {
            self.let_come_out(stop).await;
        }
        for file in taken {
            left |= !self.work_through(file, stop).await;
        }
        left
    }

    /// Works a taken export through to the archive or to `rejected/`, unless `stop` comes before its end. False: not now.
    pub async fn work_through(&mut self, taken: Taken, stop: &CancellationToken) -> bool {
        let (name, place) = (taken.shown_name(), taken.path.clone());
        let read = self.read_through(taken, stop).await;
        self.let_come_out(stop).await;
        match read {
            Ok(is_done) => {
                self.told.remove(&place);
                is_done
            }
            Err(why) => {
                if self.told.is_new(&place, &why) {
                    tracing::warn!(file = %name, "not read yet, trying again: {why}");
                }
                false
            }
        }
    }

    /// No export is being read: what one changed, as far as it was read, needn't wait for more. One that `stop` ended is
    /// read on by the next start.
    async fn let_come_out(&self, stop: &CancellationToken) {
        if !stop.is_cancelled()
            && let Err(error) = self.journal.no_export().await
        {
            tracing::debug!("that no export is being read can't be told: {error}");
        }
    }

    /// Whether it is read through; an error is why it isn't, for people.
    async fn read_through(&mut self, taken: Taken, stop: &CancellationToken) -> Result<bool, String> {
        let (name, place) = (taken.shown_name(), taken.path.clone());
        let settings = Arc::clone(&self.settings.borrow());
        let titles = match self.titles(&settings).await {
            Ok(Some(titles)) => titles,
            Ok(None) => {
                let why = "it names services by their titles, and the provider can't be asked for them";
                return Err(why.to_owned());
            }
            Err(error) => return Err(error.to_string()),
        };
        let (journal, clock) = (self.journal.clone(), self.clock.clone());
        let work = file::Work { journal, clock, settings, titles, taken, stop: stop.clone() };
        // It reads files: off the runtime's thread. The journal is waited for there too.
        let handle = tokio::runtime::Handle::current();
        let done = pulse::spawn_blocking(move || handle.block_on(work.finish())).await;
        match done {
            Ok(Ok(())) => Ok(true),
            Ok(Err(file::WorkError::Stopped)) => Ok(false),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => {
                tracing::debug!(file = %name, "reading it broke off: {error}");
                self.fault.at(&place, &self.journal, &self.clock).await;
                Ok(false)
            }
        }
    }

    /// What the provider calls our services, as it says now and as seen at our own orders. `None`: a configured service
    /// has no title that is known, and the provider can't be asked.
    async fn titles(&self, settings: &Settings) -> Result<Option<Titles>, JournalError> {
        let account = settings.config.provider.account.clone();
        let mut titles = Titles::default();
        for (service, title) in self.journal.read(move |view| view.titles(&account)).await? {
            titles.see(service, &title);
        }
        match super::titles_at(self.provider.as_ref(), settings).await {
            Ok(told) => told.iter().for_each(|(service, title)| titles.list(*service, title)),
            Err(error) => {
                tracing::debug!("the provider's services can't be asked for: {error}");
                if settings.rules.terms.keys().any(|service| !titles.knows(*service)) {
                    return Ok(None);
                }
            }
        }
        Ok(Some(titles))
    }
}
