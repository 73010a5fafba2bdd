//! Intake: complete files become batches, rows and orders; what can't is refused with a reason.
//!
//! A file is read as a stream: judged as a whole, its IMEIs gathered as they pass and then sorted to give each its order;
//! then read once more to write its rows. A file of more than a million rows is read twice for each further million.
//! Until the last row is committed its batch is `taking`, and nothing of it is sent; every step can be done again, so a
//! crash anywhere ends the same way (the table is in [`inbox`](crate::inbox)).

mod ahead;
mod file;
mod reader;
#[cfg(test)]
mod reader_tests;
mod reason;
mod scan;
mod sniff;
mod split;
mod told;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::inbox::{self, Inbox, Ready, TakeError, Taken};
use crate::journal::Journal;
use crate::meter::Meter;
use crate::pulse;
use crate::settings::Settings;

pub use file::{Work, WorkError};
pub use reader::{OpenError, ReadError, Row, Rows, Table};
pub use reason::{Refusal, invalid_note};
pub use told::{Looking, Told};

/// A file that could not be worked through is tried again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// How often it is looked whether someone said that files go on.
const RESUMED_EVERY: Duration = Duration::from_millis(500);

/// The stage.
pub struct Intake {
    /// Where batches go.
    pub journal: Journal,
    /// The time.
    pub clock: Clock,
    /// The configuration in force.
    pub settings: watch::Receiver<Arc<Settings>>,
    /// The folder that is watched.
    pub inbox: Inbox,
    /// How long calls take, for the estimate in the log.
    pub meter: Arc<Meter>,
    /// Set once the first look through the inbox is done.
    pub scanned: watch::Sender<bool>,
    /// Files that couldn't be taken or worked through, and the reason that was told.
    pub told: Told,
    /// Whether the inbox can be looked through.
    pub looking: Looking,
}

impl Intake {
    /// Takes files in until `stop`: first those that were taken before the last process ended.
    pub async fn run(mut self, stop: CancellationToken) {
        self.wait_for_resume(&stop).await;
        if stop.is_cancelled() {
            // What was taken before waits too, should nobody have said that it goes on.
            return;
        }
        let mut found = self.inbox.waiting();
        let mut left = self.work_through_taken().await;
        self.told.record(&self.journal, &self.clock).await;
        self.look_first().await;
        while !stop.is_cancelled() {
            let again = tokio::time::sleep(AGAIN_AFTER);
            let ready = tokio::select! {
                ready = self.inbox.next_ready(&stop) => ready,
                () = again, if left => {
                    left = self.work_through_taken().await;
                    self.told.record(&self.journal, &self.clock).await;
                    continue;
                }
                Ok(()) = found.changed() => {
                    self.tell_looked().await;
                    continue;
                }
                Ok(()) = self.settings.changed() => {
                    self.inbox.reconfigure(inbox::Settings::of_inbox(&self.settings.borrow().config));
                    continue;
                }
            };
            match ready {
                Ok(Some(ready)) => {
                    left |= !self.take(ready).await;
                    self.told.record(&self.journal, &self.clock).await;
                }
                Ok(None) => return,
                Err(error) => {
                    self.looking.broke_off(&self.journal, &self.clock, &error).await;
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    /// The first look of this process, and the end of what the last one told of its own.
    async fn look_first(&mut self) {
        match self.inbox.look().await {
            Ok(()) => self.tell_looked().await,
            Err(error) => self.looking.broke_off(&self.journal, &self.clock, &error).await,
        }
        self.scanned.send_replace(true);
    }

    async fn tell_looked(&mut self) {
        let found = self.inbox.waiting().borrow().clone();
        let inbox = &self.inbox.settings().inbox;
        self.looking.looked(&self.journal, &self.clock, inbox, &found).await;
    }

    /// In an older copy of a journal files wait too: what they hold may have been ordered since. It is found out at
    /// start-up alone.
    async fn wait_for_resume(&mut self, stop: &CancellationToken) {
        if !waits_as_older_copy(&self.journal).await {
            return;
        }
        tracing::warn!("files wait in the inbox until imeid resume");
        self.inbox.hold(true);
        self.look_first().await;
        while self.still_waits(stop).await {
            self.inbox.reconfigure(inbox::Settings::of_inbox(&self.settings.borrow().config));
        }
        self.inbox.hold(false);
    }

    /// Looks at what comes until files go on, or a stop. True: the configuration is another one.
    async fn still_waits(&mut self, stop: &CancellationToken) -> bool {
        let Self { inbox, journal, settings, clock, looking, .. } = self;
        let mut next = std::pin::pin!(inbox.next_ready(stop));
        loop {
            tokio::select! {
                // Nothing is given out while it holds.
                looked = &mut next => match looked {
                    Ok(None) => return false,
                    Ok(Some(_)) => return true,
                    Err(error) => {
                        looking.broke_off(journal, clock, &error).await;
                        tokio::time::sleep(AGAIN_AFTER).await;
                        return true;
                    }
                },
                Ok(()) = settings.changed() => return true,
                () = tokio::time::sleep(RESUMED_EVERY) => if !waits_as_older_copy(journal).await {
                    return false;
                },
            }
        }
    }

    /// Takes one complete file and works it through. False: it lies in `.taken`, to be tried again.
    async fn take(&mut self, ready: Ready) -> bool {
        let (settings, now) = (self.inbox.settings().clone(), self.clock.now());
        let (path, shown) = (ready.path.clone(), ready.path.display().to_string());
        let taken = tokio::task::spawn_blocking(move || inbox::take(&settings, &ready, now)).await;
        match taken {
            Ok(Ok(taken)) => {
                self.told.remove(&path);
                let (bytes, service) = (taken.size, &taken.network_id);
                tracing::debug!(file = %shown, bytes, %service, "taken out of the inbox");
                self.work_through(taken).await
            }
            // It settles again, and is offered again.
            Ok(Err(TakeError::Changed)) => {
                tracing::debug!(file = %shown, "not taken: it is being written again");
                true
            }
            Ok(Err(TakeError::Io(error))) => {
                self.told.add(&path, &shown, format!("it can't be taken out of its folder: {error}"));
                true
            }
            Err(error) => {
                self.told.add(&path, &shown, told::fault(&error));
                true
            }
        }
    }

    /// Works through every file that was taken and isn't archived yet. True: some are left.
    async fn work_through_taken(&mut self) -> bool {
        let inbox: PathBuf = self.settings.borrow().config.folders.inbox.clone();
        let listed = tokio::task::spawn_blocking(move || {
            // Without that folder (a filesystem that isn't mounted) nothing can be said to be gone.
            let there = inbox.join(inbox::TAKEN).is_dir();
            inbox::list_taken(&inbox).map(|taken| (taken, there))
        });
        let mut left = false;
        let taken = match listed.await {
            Ok(Ok((taken, true))) => {
                let places = taken.iter().filter_map(Taken::key).collect();
                match self.journal.take_back_without_file(places, self.clock.now()).await {
                    Ok(_) => {
                        self.journal.serves("intake");
                    }
                    Err(error) => {
                        let why = format!("files that are gone can't be looked for: {error}");
                        self.journal.fails("intake", &why);
                        left = true;
                    }
                }
                taken
            }
            Ok(Ok((taken, false))) => taken,
            Ok(Err(error)) => {
                tracing::warn!("files taken before can't be listed, trying again: {error}");
                return true;
            }
            Err(_) => return true,
        };
        for file in taken {
            left |= !self.work_through(file).await;
        }
        left
    }

    /// Works a taken file through to the archive or to `rejected/`. False: not now.
    async fn work_through(&mut self, taken: Taken) -> bool {
        let (name, place) = (taken.shown_name(), taken.path.clone());
        let work = file::Work {
            journal: self.journal.clone(),
            clock: self.clock.clone(),
            settings: Arc::clone(&self.settings.borrow()),
            meter: Arc::clone(&self.meter),
            taken,
        };
        // It reads files: off the runtime's thread. The journal is waited for there too.
        let handle = tokio::runtime::Handle::current();
        let done = pulse::spawn_blocking(move || handle.block_on(work.finish())).await;
        match done {
            Ok(Ok(())) => {
                self.told.remove(&place);
                true
            }
            Ok(Err(error)) => {
                self.told.add(&place, &name, error.to_string());
                false
            }
            Err(error) => {
                self.told.add(&place, &name, told::fault(&error));
                false
            }
        }
    }
}

/// Whether nobody has said yet that an older copy goes on.
async fn waits_as_older_copy(journal: &Journal) -> bool {
    match journal.read(|view| view.waits_as_older_copy()).await {
        Ok(waits) => waits,
        Err(error) => {
            tracing::warn!("whether files must wait can't be told, they do: {error}");
            true
        }
    }
}
