//! The stages, wired: what each is given, and who rings whom.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::progress::{Heard, Live, Progress};
use super::requests::Requests;
use super::watch_disk::DiskWatch;
use super::{Daemon, StampKeeper, prune};
use crate::inbox::{self, Inbox};
use crate::intake::{Intake, Looking, Told};
use crate::outbox::Outbox;
use crate::poll::Poll;
use crate::settle::{Fault, OnceTold, Reconcile, Settle};
use crate::submit::Submit;

/// A stage that runs, with its name.
pub(super) type Stage = (&'static str, JoinHandle<()>);

impl Daemon {
    pub(super) fn start(
        &self,
        left: Live,
        shown: watch::Sender<bool>,
        stop: &CancellationToken,
        rest: &CancellationToken,
        draining: &CancellationToken,
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
            looking: Looking::default(),
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
            fault: Fault::default(),
        };
        let outbox = Outbox::new(journal.clone(), clock.clone(), settings());
        let meter = Arc::clone(&self.meter);
        let heard = Heard {
            waiting,
            reconcile: exports_waiting,
            scanned: is_scanned,
            disk_ok,
            refused: self.refused.subscribe(),
            draining: draining.clone(),
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
pub(super) async fn first_ended(stages: &mut [Stage]) -> &'static str {
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
