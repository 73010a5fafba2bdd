//! The one thread that writes. Everything that wants to write sends it an operation; it runs as many as wait in one
//! transaction, commits (fsync included), and only then tells those who sent them. One sync serves them all.
//!
//! An operation that fails is rolled back alone: the others of its transaction are run again, each by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio_util::sync::CancellationToken;

use super::damage::Found;
use super::opened::Opened;
use super::rest::Rest;
use super::standing::Standing;
use super::start::Start;
use super::tx::{Held, LogLine, Tx};
use super::unrecorded::Unrecorded;
use super::wake::Rung;
use super::{JournalError, Wakes, pause};
use crate::durable::crash_point;
use crate::gate::Pause;
use crate::order::Alarm;

/// At most this many operations in one transaction.
const GROUP_OPERATIONS: usize = 512;
/// A transaction takes in no more operations after this long.
const GROUP_TIME: Duration = Duration::from_millis(4);
/// With so many to write, nothing more is waited for. Below the number of answers that workers leave here without waiting, and
/// above half of the attempts that thirty workers have in hand, so that a claim, as a rule, comes before that.
pub(super) const LINGER_OPERATIONS: usize = 60;
/// Pause before an operation that must not be lost is tried again.
const KEEP_TRYING_EVERY: Duration = Duration::from_secs(1);

/// While answers are kept in memory.
const ALARM: &str = Alarm::Journal.as_str();

/// Something to write. `run` may be called more than once (each time on a clean transaction), `done` exactly once.
pub(super) trait Operation: Send {
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), JournalError>;
    fn done(self: Box<Self>, result: Result<(), JournalError>);
    /// Whether it is tried again until it succeeds: what it records has happened outside and can't be asked again.
    fn must_succeed(&self) -> bool;
    /// Whether somebody waits for its commit.
    fn is_waited_for(&self) -> bool;
}

/// What the writer shares with the journal's handle.
#[derive(Clone)]
pub(super) struct Common {
    pub(super) wakes: Wakes,
    pub(super) damage: Found,
    pub(super) standing: Standing,
    pub(super) start: Start,
    pub(super) rest: Rest,
    /// Alarms that are kept in memory.
    pub(super) unrecorded: Unrecorded,
    /// How long commits that nobody waits for linger, in milliseconds: one sync then serves many answers, mostly that of the next
    /// claim. A crash leaves the orders of those that wait here in doubt.
    pub(super) linger_ms: Arc<AtomicU64>,
    /// Operations that were sent since the writer last began with a transaction.
    pub(super) sent: Arc<AtomicUsize>,
    pub(super) opened: Arc<Opened>,
    /// Cancelled once the writer's thread has ended.
    pub(super) writer_gone: CancellationToken,
}

pub(super) struct Writer {
    operations: Receiver<Box<dyn Operation>>,
    /// What must be recorded and could not be yet.
    kept: Vec<Box<dyn Operation>>,
    /// Something is kept, and it was said.
    keeps: bool,
    /// Transactions committed: as many syncs, but for checkpoints.
    commits: u64,
    common: Common,
}

/// What follows from a transaction once it is committed.
struct Follows {
    rung: Rung,
    /// As they are then, if one began, ended or changed.
    pauses: Option<Vec<Pause>>,
    lines: Vec<LogLine>,
}

impl Follows {
    /// Writes what the transaction still has to write.
    fn of(tx: &Tx<'_>) -> Result<Self, JournalError> {
        tx.write_sums()?;
        let pauses = tx.have_pauses_changed().then(|| pause::list(tx)).transpose()?;
        Ok(Self { rung: tx.rung(), pauses, lines: tx.take_lines() })
    }
}

impl Common {
    /// One more operation is about to be sent. Whether the writer, if it lingers, is to go on with what it has then.
    pub(super) fn is_time_to_write(&self, is_waited_for: bool) -> bool {
        let sent = self.sent.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        is_waited_for || sent >= LINGER_OPERATIONS
    }
}

impl Writer {
    pub(super) fn new(operations: Receiver<Box<dyn Operation>>, common: Common) -> Self {
        Self { operations, kept: Vec::new(), keeps: false, commits: 0, common }
    }

    /// Writes until every sender is gone and nothing is left to write. The connection is closed before the opening ends.
    pub(super) fn run(mut self, connection: Connection) {
        let mut held = Held::default();
        while let Some(mut group) = self.next_group() {
            if self.run_group(&connection, &mut held, &mut group).is_ok() {
                for operation in group {
                    operation.done(Ok(()));
                    crash_point("journal.told");
                }
                self.tell_recorded();
                continue;
            }
            for operation in group {
                self.run_alone(&connection, &mut held, operation);
                crash_point("journal.told");
            }
            self.tell_recorded();
        }
        tracing::debug!(commits = self.commits, "the journal's writer ends");
        // SQLite checkpoints and removes the WAL as the last connection closes.
    }

    fn committed(&mut self, follows: Follows) {
        self.commits = self.commits.saturating_add(1);
        crash_point("journal.commit.after");
        if let Some(pauses) = follows.pauses {
            self.common.standing.set(pauses);
        }
        follows.lines.into_iter().for_each(|line| line());
        self.common.wakes.ring(follows.rung);
    }

    fn tell_recorded(&mut self) {
        if self.kept.is_empty() && std::mem::take(&mut self.keeps) {
            self.common.unrecorded.drop(ALARM, "");
            tracing::info!("the journal can be written again: the answers that were kept are recorded");
        }
    }

    fn next_group(&mut self) -> Option<Vec<Box<dyn Operation>>> {
        let first = if self.kept.is_empty() {
            self.operations.recv().ok()?
        } else {
            match self.operations.recv_timeout(KEEP_TRYING_EVERY) {
                Ok(operation) => operation,
                Err(RecvTimeoutError::Timeout) => return Some(std::mem::take(&mut self.kept)),
                Err(RecvTimeoutError::Disconnected) => {
                    // The process ends: what could not be recorded is found as in doubt at the next start.
                    for operation in self.kept.drain(..) {
                        operation.done(Err(JournalError::Closed));
                    }
                    return None;
                }
            }
        };
        let mut group = std::mem::take(&mut self.kept);
        group.push(first);
        self.linger(&mut group);
        Some(group)
    }

    /// Takes in what comes within the time to linger, until somebody waits for the commit or it is enough for one. Whoever sends
    /// that wakes this thread; what comes before doesn't, or each answer would cost two switches of threads.
    fn linger(&self, group: &mut Vec<Box<dyn Operation>>) {
        let time = Duration::from_millis(self.common.linger_ms.load(Ordering::Relaxed));
        let began = Instant::now();
        while group.len() < LINGER_OPERATIONS && group.last().is_some_and(|last| !last.is_waited_for()) {
            match self.operations.try_recv() {
                Ok(operation) => group.push(operation),
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => match time.checked_sub(began.elapsed()) {
                    Some(rest) if !rest.is_zero() => std::thread::park_timeout(rest),
                    _ => break,
                },
            }
        }
        self.common.sent.store(0, Ordering::Release);
    }

    /// Runs `group`, and whatever else arrives meanwhile, in one transaction.
    fn run_group<'c>(
        &mut self,
        connection: &'c Connection,
        held: &mut Held<'c>,
        group: &mut Vec<Box<dyn Operation>>,
    ) -> Result<(), JournalError> {
        let began = Instant::now();
        crash_point("journal.begin.before");
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let tx = Tx::new(connection, &self.common.rest, std::mem::take(held));
        for operation in group.iter_mut() {
            operation.run(&tx)?;
        }
        while group.len() < GROUP_OPERATIONS && began.elapsed() < GROUP_TIME {
            match self.operations.try_recv() {
                Ok(operation) => {
                    // In the group first: if it fails it is run again like the others, never lost.
                    group.push(operation);
                    if let Some(last) = group.last_mut() {
                        last.run(&tx)?;
                    }
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        self.commit(transaction, tx, held)
    }

    fn commit<'c>(
        &mut self,
        transaction: Transaction<'c>,
        tx: Tx<'c>,
        held: &mut Held<'c>,
    ) -> Result<(), JournalError> {
        let follows = Follows::of(&tx)?;
        *held = tx.into_held();
        crash_point("journal.commit.before");
        transaction.commit()?;
        self.committed(follows);
        Ok(())
    }

    fn run_alone<'c>(
        &mut self,
        connection: &'c Connection,
        held: &mut Held<'c>,
        mut operation: Box<dyn Operation>,
    ) {
        let mut done = self.commit_alone(connection, held, operation.as_mut());
        // One that its group didn't come to has believed what it knew for the first time here: now it reads the journal.
        if operation.must_succeed() && done.as_ref().is_err_and(|error| !error.can_pass()) {
            done = self.commit_alone(connection, held, operation.as_mut());
        }
        match done {
            Ok(()) => operation.done(Ok(())),
            Err(error) if operation.must_succeed() && error.can_pass() => {
                // Said once, not every second for each of them.
                if self.kept.is_empty() && !std::mem::replace(&mut self.keeps, true) {
                    let text = format!(
                        "the journal can't be written: answers are kept in memory and recorded when it can: {error}"
                    );
                    tracing::error!(alarm = ALARM, "{text}");
                    self.common.unrecorded.keep(ALARM, "", &text);
                }
                self.kept.push(operation);
            }
            Err(error) => operation.done(Err(self.common.damage.note(error))),
        }
    }

    fn commit_alone<'c>(
        &mut self,
        connection: &'c Connection,
        held: &mut Held<'c>,
        operation: &mut dyn Operation,
    ) -> Result<(), JournalError> {
        crash_point("journal.begin.before");
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let tx = Tx::new(connection, &self.common.rest, std::mem::take(held));
        operation.run(&tx)?;
        self.commit(transaction, tx, held)
    }
}
