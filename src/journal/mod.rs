//! The journal: one SQLite file that every row, order, attempt, charge, answer and event is durable in before anything
//! relies on it. It is the only bus: stages read their work from it and write the next state into it.
//!
//! * One thread writes, in group commits ([`writer`]); a caller hears of success only after the commit is on disk.
//! * Readers have connections of their own that can't write ([`Journal::read`]).
//! * [`Journal::begin_attempts`] gives [`AttemptTicket`]s only after the commit that makes the attempts durable:
//!   sending without a durable intent doesn't compile.
//! * A unique index makes two live orders for one (account, service, IMEI) impossible, whatever the code does.
//!
//! What a crash leaves: a transaction is there as a whole or not at all. An order found `submitting` at start-up has an
//! attempt that will never be answered: [`Journal::recover`] takes it as in doubt.

mod adopt;
mod again;
mod answer;
mod backup;
mod balance;
mod books;
mod cancel;
mod claim;
mod cleared;
mod codes;
mod damage;
mod error;
mod export;
mod exports;
mod files;
mod kept;
mod kept_wait;
mod listing;
mod mark;
mod open;
mod opened;
mod operator;
mod orders;
mod outbox;
mod pause;
mod plain;
mod poll;
mod probing;
mod prune;
mod requests;
mod resolve;
mod rest;
mod restore;
mod retry;
mod rows;
mod settle;
mod show;
mod standing;
mod start;
mod status;
mod sums;
#[cfg(test)]
mod tests;
mod ticket;
mod trouble;
mod tx;
mod undo;
mod unrecorded;
mod view;
mod wake;
mod wal;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use tokio::sync::oneshot;

pub use answer::Recorded;
pub use backup::{Copied, back_up};
pub use balance::Line;
pub use claim::{Blocked, ClaimRequest, Claimed, ProbeTerms};
pub use cleared::{ExportKey, Shown};
pub use codes::{BatchState, Link};
pub use error::JournalError;
pub use export::{ExportRow, ExportedCells, SettledBy, Sorted, TurnedBy, Unmatched};
pub use exports::ReadExport;
pub use files::{NewBatch, OpenFile, Refused};
pub use kept_wait::KeptWait;
pub use listing::hangs_after;
pub use mark::Mark;
pub use orders::{Rules, ServiceTerms};
pub use outbox::{BatchWork, CameOut, ResultFile, ResultOrder, ResultRow, Tally, TallyState, WhyReleased};
pub use pause::{say_pause, say_pause_ended};
pub use poll::{DuePoll, PollResult, PollTold};
pub use probing::{CantTell, Look, WAITS_FOR_WORD, Weighed};
pub use prune::{PruneFrom, Pruned};
pub use requests::{LetterBox, NewRequest, OpenRequest, RequestAnswer, Said, Target};
pub use resolve::Seen;
pub use restore::{InArchive, OlderCopy, Stamp};
pub use rows::{NewRow, OrderFor, RowOrder};
pub use settle::{Doubt, DoubtTerms, ListingFacts};
pub use show::{
    OpenRow, ShownAnswer, ShownAttempt, ShownBatch, ShownCharge, ShownEvent, ShownOrder, ShownRow,
    ShownService,
};
pub use status::{AlarmLine, DayMoney, OrderCounts, ServiceQueue};
pub use ticket::AttemptTicket;
pub use trouble::Trouble;
pub use tx::Tx;
pub use view::View;
pub use wake::Wakes;

use open::refuse_newer;
use writer::Common;

use crate::durable::crash_point;
use crate::pulse;
use crate::types::Timestamp;

/// The journal, open for writing. Clones share it; the writer ends when the last one is gone.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    operations: Mutex<Option<Sender<Box<dyn writer::Operation>>>>,
    readers: Mutex<Vec<View>>,
    common: Common,
    /// The writer's, to be woken while it lingers.
    thread: Thread,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The writer's connection must be the last: only that one brings the log into the file as it closes.
        if let Ok(mut readers) = self.readers.lock() {
            readers.clear();
        }
        // Closing the channel lets the writer finish what waits; what was acknowledged is on disk already.
        if let Ok(mut sender) = self.operations.lock() {
            sender.take();
        }
        self.thread.unpark();
        let writer = self.writer.lock().ok().and_then(|mut writer| writer.take());
        // The last holder can be the writer itself, telling someone who is gone: it ends by itself then.
        let is_elsewhere = |writer: &JoinHandle<()>| writer.thread().id() != std::thread::current().id();
        if let Some(writer) = writer.filter(is_elsewhere)
            && writer.join().is_err()
        {
            tracing::error!(alarm = "journal", "the journal's writer ended in a panic");
        }
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

/// Something to be written, with whoever waits for it.
struct Call<F, T> {
    run: F,
    value: Option<T>,
    reply: Reply<T>,
    must_succeed: bool,
}

/// Whom to tell. Nobody waits for an outcome; errors of those are logged.
enum Reply<T> {
    To(oneshot::Sender<Result<T, JournalError>>),
    With(Box<dyn FnOnce(Result<T, JournalError>) + Send>),
}

impl<F, T> writer::Operation for Call<F, T>
where
    F: FnMut(&Tx<'_>) -> Result<T, JournalError> + Send,
    T: Send,
{
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), JournalError> {
        self.value = Some((self.run)(tx)?);
        Ok(())
    }

    fn done(self: Box<Self>, result: Result<(), JournalError>) {
        let Self { value, reply, .. } = *self;
        let value = result.and_then(|()| value.ok_or(JournalError::Closed));
        match reply {
            // Whoever asked may be gone by now; what is committed stays committed.
            Reply::To(sender) => drop(sender.send(value)),
            Reply::With(tell) => tell(value),
        }
    }

    fn must_succeed(&self) -> bool {
        self.must_succeed
    }

    fn is_waited_for(&self) -> bool {
        !self.must_succeed
    }
}

impl Journal {
    /// From now on the commit of what nobody waits for (answers) waits this long for more, so that one sync serves many. For
    /// the daemon at work; a caller that does one thing after the other only loses time by it.
    pub fn linger(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.shared.common.linger_ms.store(millis, Ordering::Relaxed);
    }

    /// What waits for more to come into its commit is committed now.
    pub fn hurry(&self) {
        self.write_then(|_| Ok(()), |_| {});
    }

    /// The stages' bells.
    #[must_use]
    pub fn wakes(&self) -> &Wakes {
        &self.shared.common.wakes
    }

    /// Waits until damage is found in it, by whoever reads or writes it.
    pub async fn damaged(&self) -> JournalError {
        self.shared.common.damage.wait().await
    }

    /// Whether damage was found in it: nothing is sent then.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.shared.common.damage.is_found()
    }

    /// Waits until its writer's thread has ended, which only a fault in it makes it do while this is there: nothing is
    /// recorded any more then, and every write fails.
    pub async fn writer_gone(&self) {
        self.shared.common.writer_gone.cancelled().await;
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    fn send(&self, operation: Box<dyn writer::Operation>) {
        crash_point("journal.ask");
        let wakes = self.shared.common.is_time_to_write(operation.is_waited_for());
        let refused = match self.shared.operations.lock() {
            Ok(sender) => match sender.as_ref() {
                Some(sender) => sender.send(operation).err().map(|refused| refused.0),
                None => Some(operation),
            },
            Err(_) => Some(operation),
        };
        if wakes {
            self.shared.thread.unpark();
        }
        if let Some(operation) = refused {
            operation.done(Err(JournalError::Closed));
        }
    }

    /// Writes; returns after the commit.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        run: impl FnMut(&Tx<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(Call { run, value: None, reply: Reply::To(reply), must_succeed: false }));
        let written = answer.await.unwrap_or(Err(JournalError::Closed));
        pulse::step();
        written
    }

    /// Returns once the writer has answered: it has come to this, and ended a transaction with nothing in it. An error
    /// that it tells of is an answer too.
    pub async fn writer_answers(&self) {
        let _ = self.write(|_| Ok(())).await;
    }

    /// Looks whether the journal's files are still where they were opened. Blocks.
    ///
    /// # Errors
    /// Somebody removed or replaced one: what is written from now on may be lost, which is damage.
    pub fn look_beneath(&self) -> Result<(), JournalError> {
        self.shared.common.opened.is_still().map_err(|error| self.shared.common.damage.note(error))
    }

    /// Writes; `tell` hears of it after the commit, on the writer's thread.
    pub(crate) fn write_then<T: Send + 'static>(
        &self,
        run: impl FnMut(&Tx<'_>) -> Result<T, JournalError> + Send + 'static,
        tell: impl FnOnce(Result<T, JournalError>) + Send + 'static,
    ) {
        self.send(Box::new(Call {
            run,
            value: None,
            reply: Reply::With(Box::new(tell)),
            must_succeed: false,
        }));
    }

    /// Writes without being waited for; `tell` hears of it after the commit. Tried again for as long as the process
    /// lives where the failure can pass: it records what has happened and can't be asked again.
    pub(crate) fn record<T: Send + 'static>(
        &self,
        run: impl FnMut(&Tx<'_>) -> Result<T, JournalError> + Send + 'static,
        tell: impl FnOnce(Result<T, JournalError>) + Send + 'static,
    ) {
        self.send(Box::new(Call {
            run,
            value: None,
            reply: Reply::With(Box::new(tell)),
            must_succeed: true,
        }));
    }

    /// Reads on a connection that can't write, off the caller's thread.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let journal = self.clone();
        let done = tokio::task::spawn_blocking(move || journal.read_here(read)).await;
        pulse::step();
        done.unwrap_or(Err(JournalError::Closed))
    }

    /// [`read`](Self::read)s what was handed over before, too, though nobody waits for its commit; waits for that at most as long.
    ///
    /// # Errors
    /// What SQLite says.
    pub async fn read_behind<T: Send + 'static>(
        &self,
        at_most: Duration,
        read: impl FnOnce(&View) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let _ = tokio::time::timeout(at_most, self.writer_answers()).await;
        self.read(read).await
    }

    /// Reads on this thread, which may wait for the disk.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn read_here<T>(
        &self,
        read: impl FnOnce(&View) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let spare = self.shared.readers.lock().ok().and_then(|mut readers| readers.pop());
        let view = match spare {
            Some(view) => view,
            None => View::open(&self.shared.path).map_err(|error| self.shared.common.damage.note(error))?,
        };
        let value = read(&view);
        if let Ok(mut readers) = self.shared.readers.lock() {
            readers.push(view);
        }
        pulse::step();
        value.map_err(|error| self.shared.common.damage.note(error))
    }

    /// Takes every order whose attempt was in flight when the last process ended as in doubt. Call once at start-up,
    /// before anything is submitted. Returns how many there were.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn recover(&self, now: Timestamp, rules: Rules) -> Result<usize, JournalError> {
        self.write(move |tx| orders::lose_all_in_flight(tx, now, &rules)).await
    }
}
