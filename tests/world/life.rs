//! One process: what the daemon starts, its stages' units driven by hand instead of by their loops.
//!
//! Everything runs on one thread but the journal's writer, and nothing goes on before what was begun is recorded or on
//! the wire: that makes a run the same every time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use imeid::clock::Clock;
use imeid::config::Config;
use imeid::daemon::{self, Opened, StampKeeper};
use imeid::durable;
use imeid::inbox::{self, Inbox, Scanner, TakeError, Taken};
use imeid::intake::Work;
use imeid::journal::{Blocked, JournalError, NewRequest, PruneFrom, RequestAnswer, Said, Target};
use imeid::meter::Meter;
use imeid::outbox::Outbox;
use imeid::poll::{Poll, Stopped};
use imeid::provider::Provider;
use imeid::settings::Settings;
use imeid::settle::{Fault, OnceTold, Reconcile, Settle};
use imeid::submit::{Pool, claim_request, try_pauses};
use imeid::types::{BatchId, NetworkId, ServiceId};
use rusqlite::{Connection, OpenFlags};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::points::{self, Crashed, HANGS_AFTER, alive};
use super::wire::{Client, Time, Wire};

/// Statements that are kept prepared in the oracle's view: all that it asks after every step, with room.
const STATEMENTS: usize = 128;

/// Which stages have a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Units {
    pub(crate) intake: bool,
    pub(crate) submit: bool,
    pub(crate) settle: bool,
    pub(crate) poll: bool,
    pub(crate) pauses: bool,
    pub(crate) outbox: bool,
    pub(crate) prune: bool,
}

impl Units {
    pub(crate) const ALL: Self = Self {
        intake: true,
        submit: true,
        settle: true,
        poll: true,
        pauses: true,
        outbox: true,
        prune: true,
    };
}

/// A process. Dropping it ends its calls first, then its journal.
pub(crate) struct Life {
    runtime: Runtime,
    calls: Vec<JoinHandle<()>>,
    pub(crate) pool: Arc<Pool>,
    settle: Settle,
    poll: Poll,
    outbox: Outbox,
    stamp: StampKeeper,
    scanner: Scanner,
    /// Looks through `reconcile/`.
    exports: Scanner,
    /// Files that were heard of since the last look.
    pub(crate) heard: Vec<PathBuf>,
    settings: watch::Sender<Arc<Settings>>,
    can_list: watch::Receiver<Option<bool>>,
    provider: Arc<dyn Provider>,
    wire: Arc<Wire>,
    clock: Clock,
    meter: Arc<Meter>,
    after: BatchId,
    /// The oracle's own look into the journal.
    pub(crate) view: Connection,
    opened: Opened,
}

impl Life {
    /// What the daemon does up to the moment when its stages run, and the first they do.
    pub(crate) fn start(
        config: Config,
        wire: Arc<Wire>,
        time: &Time,
        reads_exports_late: bool,
    ) -> Result<Self, Crashed> {
        let hook = durable::crash_point_hook();
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(4)
            .on_thread_start(move || durable::set_crash_point_hook(hook.clone()))
            .build()
            .unwrap();
        let clock = time.clock();
        let opened = alive(|| runtime.block_on(daemon::open(config, &clock)))?.unwrap();
        let journal = opened.journal.clone();
        let settings = watch::channel(Arc::clone(&opened.settings)).0;
        let config = &opened.settings.config;
        let provider: Arc<dyn Provider> = Arc::new(Client(Arc::clone(&wire)));
        let (tell_can_list, can_list) = watch::channel(None);
        let subscribe = || settings.subscribe();
        let (provider_of, clock_of) = (|| Arc::clone(&provider), || clock.clone());
        let meter = Arc::new(Meter::default());
        let settle = Settle::new(
            journal.clone(),
            provider_of(),
            clock_of(),
            subscribe(),
            tell_can_list,
            Arc::clone(&meter),
        );
        let poll = Poll::new(journal.clone(), provider_of(), clock_of(), subscribe());
        let outbox = Outbox::new(journal.clone(), clock_of(), subscribe());
        let stamp = StampKeeper::new(journal.clone(), clock_of(), subscribe());
        let pool = Arc::new(Pool::new(journal, provider_of(), clock_of(), Arc::clone(&meter)));
        let view =
            Connection::open_with_flags(&config.journal.path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        // The oracle asks the same after every step.
        view.set_prepared_statement_cache_capacity(STATEMENTS);
        let scanner = Scanner::new(inbox::Settings::of_inbox(config));
        let exports = Scanner::new(inbox::Settings::of_reconcile(config));
        let mut life = Self {
            runtime,
            calls: Vec::new(),
            pool,
            settle,
            poll,
            outbox,
            stamp,
            scanner,
            exports,
            heard: Vec::new(),
            settings,
            can_list,
            provider,
            wire,
            clock,
            meter,
            after: BatchId(0),
            view,
            opened,
        };
        life.work_through_taken()?;
        if !reads_exports_late {
            life.work_through_exports()?;
        }
        Ok(life)
    }

    fn now_in_force(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.borrow())
    }

    /// Another configuration from now on.
    pub(crate) fn reload(&mut self, config: Config) -> Result<(), Crashed> {
        let settings = Settings::new(config, &self.opened.journal);
        let settings = alive(|| self.runtime.block_on(settings))?.unwrap();
        self.scanner.set_settings(inbox::Settings::of_inbox(&settings.config));
        let submit = settings.config.submit.clone();
        self.settings.send_replace(Arc::new(settings));
        // As the claiming loop does at its next round: more workers, more slots.
        self.pool.want(&submit, self.clock.now());
        self.let_calls_run()
    }

    /// A person ends every pause that waits for one.
    pub(crate) fn resume(&mut self) -> Result<(), Crashed> {
        let (journal, now) = (self.opened.journal.clone(), self.clock.now());
        let ended = alive(|| {
            self.runtime.block_on(async {
                for pause in journal.pauses().await?.iter().filter(|pause| pause.next_try.is_none()) {
                    journal.end_pause(pause.scope, pause.reason, now).await?;
                }
                Ok::<_, JournalError>(())
            })
        })?;
        ended.unwrap();
        Ok(())
    }

    /// A service's number in the journal.
    pub(crate) fn service(&self, network_id: &str) -> ServiceId {
        self.now_in_force().number(&NetworkId(network_id.to_owned())).unwrap()
    }

    /// An operator's word, as a command leaves it and the daemon carries it out.
    pub(crate) fn say(&mut self, said: Said, target: Target) -> Result<RequestAnswer, Crashed> {
        let (journal, now, settings) = (&self.opened.journal, self.clock.now(), self.now_in_force());
        let new = NewRequest { who: "anna".to_owned(), said, target };
        let answer = alive(|| {
            self.runtime.block_on(async {
                let id = journal.leave_request(new, now).await?;
                journal.carry_out(id, now, (*settings.rules).clone()).await
            })
        })?;
        Ok(answer.unwrap())
    }

    /// Carries out what words the last process left, and cancels what came back to the queue of a batch that was cancelled,
    /// as the daemon does twice a second.
    fn carry_out(&mut self) -> Result<(), Crashed> {
        let (journal, now, settings) = (&self.opened.journal, self.clock.now(), self.now_in_force());
        let done = alive(|| {
            self.runtime.block_on(async {
                for request in journal.read(|view| view.open_requests()).await? {
                    journal.carry_out(request, now, (*settings.rules).clone()).await?;
                }
                for batch in journal.read(|view| view.cancelled_batches()).await? {
                    journal.sweep_cancelled(batch, now, (*settings.rules).clone()).await?;
                }
                Ok::<_, JournalError>(())
            })
        })?;
        done.unwrap();
        Ok(())
    }

    /// One unit of each of these stages.
    pub(crate) fn turn(&mut self, units: Units) -> Result<(), Crashed> {
        self.carry_out()?;
        if units.intake {
            self.take_files()?;
            self.take_exports()?;
        }
        if units.pauses {
            let (settings, journal) = (self.now_in_force(), self.opened.journal.clone());
            let tried = try_pauses(&journal, &*self.provider, &self.clock, &settings);
            alive(|| self.runtime.block_on(tried))?.unwrap();
            alive(|| self.runtime.block_on(self.pool.look_if_due()))?;
        }
        if units.submit {
            self.claim()?;
        }
        if units.settle {
            alive(|| self.runtime.block_on(self.settle.unit()))?.unwrap();
        }
        if units.poll
            && let Err(Stopped::Journal(error)) = alive(|| self.runtime.block_on(self.poll.unit()))?
        {
            panic!("polls can't be recorded: {error}");
        }
        if units.outbox {
            alive(|| self.runtime.block_on(self.outbox.unit()))?.unwrap();
        }
        if units.prune {
            self.prune()?;
        }
        Ok(())
    }

    /// A pass that deletes old raw answers, where the configuration says so.
    fn prune(&mut self) -> Result<(), Crashed> {
        let Some(keep) = self.now_in_force().config.journal.keep_answers else { return Ok(()) };
        let (journal, now) = (&self.opened.journal, self.clock.now());
        let mut from = Some(PruneFrom::default());
        while let Some(next) = from {
            let slice = journal.prune_answers(next, now.minus(keep), now);
            from = alive(|| self.runtime.block_on(slice))?.unwrap().next;
        }
        Ok(())
    }

    /// Whether files wait too, as an older copy has them do.
    fn files_wait(&self) -> Result<bool, Crashed> {
        let waits = self.opened.journal.read(|view| view.waits_as_older_copy());
        Ok(alive(|| self.runtime.block_on(waits))?.unwrap())
    }

    fn take_files(&mut self) -> Result<(), Crashed> {
        if self.files_wait()? {
            return Ok(());
        }
        let (now, heard) = (self.clock.now(), std::mem::take(&mut self.heard));
        let scan = alive(|| self.scanner.scan_once(heard, now))?;
        let settings = inbox::Settings::of_inbox(&self.now_in_force().config);
        for ready in scan.ready {
            match alive(|| inbox::take(&settings, &ready, now))? {
                Ok(taken) => self.work_through(taken)?,
                Err(TakeError::Changed) => {}
                Err(error) => panic!("{} can't be taken: {error}", ready.path.display()),
            }
        }
        Ok(())
    }

    fn work_through_taken(&mut self) -> Result<(), Crashed> {
        if self.files_wait()? {
            return Ok(());
        }
        let inbox = self.now_in_force().config.folders.inbox.clone();
        for taken in alive(|| inbox::list_taken(&inbox))?.unwrap() {
            self.work_through(taken)?;
        }
        Ok(())
    }

    fn work_through(&self, taken: Taken) -> Result<(), Crashed> {
        let work = Work {
            journal: self.opened.journal.clone(),
            clock: self.clock.clone(),
            settings: self.now_in_force(),
            meter: Arc::clone(&self.meter),
            taken,
        };
        alive(|| self.runtime.block_on(work.finish()))?.unwrap();
        Ok(())
    }

    /// Takes what lies in `reconcile/`, and reads it.
    fn take_exports(&mut self) -> Result<(), Crashed> {
        let now = self.clock.now();
        let settings = inbox::Settings::of_reconcile(&self.now_in_force().config);
        for ready in alive(|| self.exports.scan_once(Vec::new(), now))?.ready {
            let taken = alive(|| inbox::take(&settings, &ready, now))?;
            assert!(
                matches!(taken, Ok(_) | Err(TakeError::Changed)),
                "{} can't be taken",
                ready.path.display()
            );
        }
        self.work_through_exports()
    }

    /// Reads the exports that were taken, and uses what was kept of them.
    fn work_through_exports(&self) -> Result<(), Crashed> {
        let settings = self.now_in_force();
        for taken in alive(|| inbox::list_taken(&settings.config.folders.reconcile))?.unwrap() {
            let mut reconcile = Reconcile {
                journal: self.opened.journal.clone(),
                provider: Arc::clone(&self.provider),
                clock: self.clock.clone(),
                settings: self.settings.subscribe(),
                inbox: Inbox::new(inbox::Settings::of_reconcile(&settings.config), self.clock.clone()),
                told: OnceTold::default(),
                fault: Fault::default(),
            };
            let stop = CancellationToken::new();
            alive(|| self.runtime.block_on(reconcile.work_through(taken, &stop)))?;
        }
        let rules = (*settings.rules).clone();
        let used = self.opened.journal.use_kept_rows(self.clock.now(), rules);
        alive(|| self.runtime.block_on(used))?.unwrap();
        Ok(())
    }

    /// Begins as many attempts as the pool wants, and lets them go. What of the stamp is written every two seconds is left
    /// out: that this start is told of in it must be enough.
    fn claim(&mut self) -> Result<(), Crashed> {
        let settings = self.now_in_force();
        let want = self.pool.want(&settings.config.submit, self.clock.now());
        if want == 0 {
            return Ok(());
        }
        let can_list = *self.can_list.borrow();
        let request = claim_request(&settings, can_list, &self.clock, want, self.after);
        let journal = self.opened.journal.clone();
        let begin = || journal.begin_attempts(request.clone(), self.clock.clone());
        let mut claimed = alive(|| self.runtime.block_on(begin()))?.unwrap();
        if claimed.blocked == Some(Blocked::Stamp) {
            alive(|| self.runtime.block_on(self.stamp.unit()))?;
            claimed = alive(|| self.runtime.block_on(begin()))?.unwrap();
        }
        self.after = claimed.last.unwrap_or(self.after);
        for ticket in claimed.tickets {
            self.pool.take_in();
            let (pool, shared_account) = (Arc::clone(&self.pool), settings.config.provider.shared_account);
            let call = async move { pool.work(ticket, shared_account).await };
            self.calls.push(self.runtime.spawn(call));
        }
        self.let_calls_run()
    }

    /// Lets every call go on until it waits for the provider or for a slot, and waits until what they came to is
    /// recorded.
    pub(crate) fn let_calls_run(&mut self) -> Result<(), Crashed> {
        let (pool, began) = (Arc::clone(&self.pool), Instant::now());
        loop {
            alive(|| {
                self.runtime.block_on(async {
                    for _ in 0..4 {
                        tokio::task::yield_now().await;
                    }
                });
            })?;
            self.calls.retain(|call| !call.is_finished());
            let (waiting, limit) = (self.wire.waiting(), self.pool.limit());
            if self.calls.len() == waiting || (waiting >= limit && self.calls.len() > waiting) {
                break;
            }
            assert!(began.elapsed() < HANGS_AFTER, "a call neither ends nor waits: {:?}", points::last(8));
            std::thread::yield_now();
        }
        alive(|| self.runtime.block_on(pool.all_recorded()))
    }

    /// Nothing of it is on the wire or waits for a slot.
    pub(crate) fn is_idle_for_good(&self) -> bool {
        self.calls.is_empty()
    }

    /// The drain is over: what is still on the wire is in doubt.
    pub(crate) fn give_up_calls(&mut self) -> Result<(), Crashed> {
        self.pool.abort();
        self.wire.hang_up();
        let calls = std::mem::take(&mut self.calls);
        alive(|| {
            self.runtime.block_on(async {
                for call in calls {
                    drop(call.await);
                }
            });
        })
    }
}
