//! What the daemon tells of itself while it works: a line a minute for each file, a note in the journal that `status`
//! shows, and the service manager's status line.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::inbox::Waiting;
use crate::journal::{BatchState, BatchWork, Journal, JournalError, Link, Mark, TallyState, View};
use crate::meter::{Meter, Reading, Standstill};
use crate::order::State;
use crate::pulse;
use crate::schedule;
use crate::settings::Settings;
use crate::types::Timestamp;
use crate::words;

use super::line::Doing;
use super::manager;

const LINE_EVERY: Duration = Duration::from_secs(60);
const NOTE_EVERY: Duration = Duration::from_secs(2);

/// What only the running daemon knows, as it leaves it in the journal every two seconds while it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// The process.
    pub pid: u32,
    /// When it started, in unix milliseconds.
    pub since_ms: i64,
    /// Calls on the wire.
    pub busy: usize,
    /// Calls at once, at most, as things are.
    pub workers: usize,
    /// Calls that ended in the last minute, a thousand seconds' worth.
    pub per_1000_s: u64,
    /// Half of the calls took at most this long.
    pub p50_ms: u64,
    /// 99 of a hundred took at most this long.
    pub p99_ms: u64,
    /// A stop was asked for: nothing more is sent, calls in flight are waited for.
    #[serde(default)]
    pub draining: bool,
    /// Why nothing is sent though no pause holds it.
    #[serde(default)]
    pub standstill: Option<Standstill>,
    /// What lies in the inbox and isn't taken: the first [`NOTED_FILES`].
    #[serde(default)]
    pub inbox: Vec<Waiting>,
    /// Likewise in `reconcile/`.
    #[serde(default)]
    pub reconcile: Vec<Waiting>,
}

impl Live {
    /// The note that a daemon left in the journal; `None` if none did, or one of another version did.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn read(view: &View) -> Result<Option<Self>, JournalError> {
        Ok(view.fact(LIVE_FACT)?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Whether this note, as it stands, still does for `now`. With no call on the wire nothing moves but the last
    /// minute's rate, which falls by itself: it is noted again when it has halved, or is over.
    fn still_tells(&self, now: &Self) -> bool {
        let rate = self.per_1000_s;
        let is_like = if now.busy > 0 {
            now.per_1000_s == rate
        } else {
            now.per_1000_s == rate || (rate / 2 + 1..rate).contains(&now.per_1000_s)
        };
        is_like && *self == Self { per_1000_s: rate, ..now.clone() }
    }
}

/// So many files of the inbox are noted: a note is written every two seconds while it changes.
const NOTED_FILES: usize = 1_000;

/// Where [`Live`] lies among the journal's facts.
pub const LIVE_FACT: &str = "live";

/// Tells how far things are.
pub(super) struct Progress {
    journal: Journal,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
    meter: Arc<Meter>,
    heard: Heard,
    since: Timestamp,
    noted: Option<Live>,
    /// What the journal told last, for which local day, and what it was read at.
    doing: (Doing, i64, Mark),
    told: String,
    /// Set once the status line was told that follows the start's.
    shown: watch::Sender<bool>,
}

/// What it hears from the others.
pub(super) struct Heard {
    /// What lies in the inbox and isn't taken.
    pub(super) waiting: watch::Receiver<Vec<Waiting>>,
    /// Likewise in `reconcile/`.
    pub(super) reconcile: watch::Receiver<Vec<Waiting>>,
    /// The first look through the inbox is done; the status line is the start's until then.
    pub(super) scanned: watch::Receiver<bool>,
    /// There is room on the journal's disk.
    pub(super) disk_ok: watch::Receiver<bool>,
    /// A changed configuration was refused.
    pub(super) refused: watch::Receiver<bool>,
    /// Nothing more is sent once it is cancelled.
    pub(super) draining: CancellationToken,
}

impl Progress {
    pub(super) fn new(
        journal: Journal,
        clock: Clock,
        settings: watch::Receiver<Arc<Settings>>,
        meter: Arc<Meter>,
        heard: Heard,
        shown: watch::Sender<bool>,
    ) -> Self {
        let since = clock.now();
        let doing = (Doing::default(), 0, Mark::default());
        Self { journal, clock, settings, meter, heard, since, noted: None, doing, told: String::new(), shown }
    }

    /// Tells until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut draining = false;
        let mut line_due = tokio::time::Instant::now() + LINE_EVERY;
        loop {
            let now = tokio::time::Instant::now();
            let told = if now >= line_due {
                line_due = now + LINE_EVERY;
                self.lines().await
            } else {
                Ok(())
            };
            let (live, scanned) = (self.live(), *self.heard.scanned.borrow_and_update());
            let told = told.and(if scanned { self.tell_status(&live).await } else { Ok(()) });
            // Whether it could be told or not: nothing waits for it any longer.
            self.shown.send_if_modified(|shown| std::mem::replace(shown, scanned) != scanned);
            if let Err(error) = told.and(self.note(live).await) {
                tracing::debug!("progress can't be told: {error}");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.heard.draining.cancelled(), if !draining => draining = true,
                Ok(()) = self.heard.refused.changed() => {}
                Ok(()) = self.heard.scanned.changed() => {}
                // What was taken is told as a batch from then on, and nowhere as lying in the inbox.
                Ok(()) = self.heard.waiting.changed() => {}
                Ok(()) = self.heard.reconcile.changed() => {}
                () = pulse::tick(NOTE_EVERY) => {}
            }
        }
    }

    fn live(&self) -> Live {
        let reading = self.meter.read(self.clock.now());
        let ceiling = self.settings.borrow().config.submit.workers;
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Live {
            pid: std::process::id(),
            since_ms: self.since.millis(),
            busy: reading.busy,
            workers: reading.limit.map_or(ceiling, |limit| limit.min(ceiling)),
            per_1000_s: reading.per_1000_s,
            p50_ms: millis(reading.p50),
            p99_ms: millis(reading.p99),
            draining: self.heard.draining.is_cancelled(),
            standstill: self.meter.standstill(self.clock.now()),
            inbox: noted(&self.heard.waiting),
            reconcile: noted(&self.heard.reconcile),
        }
    }

    /// Says in a line what is going on, if that has changed.
    async fn tell_status(&mut self, live: &Live) -> Result<(), JournalError> {
        let now = self.clock.now();
        let day = self.clock.local_day(now);
        let (doing, of_day, mark) = &mut self.doing;
        if *of_day != day {
            (*of_day, *mark) = (day, Mark::default());
        }
        let probe_within = self.settings.borrow().config.in_doubt.probe_within;
        // Only a list shows that newer orders are needed.
        let patience = schedule::doubt_patience(probe_within, true);
        let read = move |view: &View| Doing::read(view, day)?.with_doubts(view, patience);
        if let Some(read) = self.journal.read_if_changed(mark, now, read).await? {
            *doing = read;
        }
        let unrecorded = self.journal.unrecorded().into_keys();
        let doing = doing.clone().on_disk(*self.heard.disk_ok.borrow(), now, unrecorded);
        let ceiling = self.settings.borrow().config.submit.workers;
        let line = doing.line(live, ceiling, *self.heard.refused.borrow());
        if line != self.told {
            manager::tell_status(&line);
            self.told = line;
        }
        Ok(())
    }

    async fn note(&mut self, live: Live) -> Result<(), JournalError> {
        if self.noted.as_ref().is_some_and(|noted| noted.still_tells(&live)) {
            return Ok(());
        }
        let text = serde_json::to_string(&live).unwrap_or_default();
        self.journal.set_fact(LIVE_FACT, text).await?;
        self.noted = Some(live);
        Ok(())
    }

    async fn lines(&self) -> Result<(), JournalError> {
        let now = self.clock.now();
        let reading = self.meter.read(now);
        let all_still = self.meter.standstill(now).is_some() || !*self.heard.disk_ok.borrow();
        let (batches, pauses) = self.journal.read(|view| Ok((view.busy_batches()?, view.pauses()?))).await?;
        for batch in batches {
            if batch.state == BatchState::Working {
                let is_still = all_still || pauses.iter().any(|pause| pause.covers(batch.service));
                line(&batch, reading, !is_still);
            }
        }
        Ok(())
    }
}

fn noted(waiting: &watch::Receiver<Vec<Waiting>>) -> Vec<Waiting> {
    waiting.borrow().iter().take(NOTED_FILES).cloned().collect()
}

/// `goes`: its orders don't stand still, so that there is a time to tell.
fn line(batch: &BatchWork, reading: Reading, goes: bool) {
    let orders = batch.count(|tally| tally.link == Link::Own);
    let unsent = batch.count(|tally| {
        tally.link == Link::Own && matches!(tally.state, TallyState::Order(State::Queued | State::Submitting))
    });
    let in_doubt = batch.count(|tally| tally.state == TallyState::Order(State::InDoubt));
    let done = batch.rows_total.saturating_sub(batch.open_rows());
    let presumed = batch.presumed_as_told();
    let left = eta(unsent, reading.per_1000_s).filter(|_| goes);
    let eta = left.map_or_else(|| "-".to_owned(), words::span);
    tracing::info!(
        batch = %batch.name, sent = %format_args!("{}/{orders}", orders.saturating_sub(unsent)),
        done = %format_args!("{done}/{}", batch.rows_total), rate = %format_args!("{}/s", words::rate(reading.per_1000_s)),
        spent = %batch.charged, presumed, in_doubt, %eta,
        "progress"
    );
}

/// How long `unsent` orders take at this rate.
#[must_use]
pub fn eta(unsent: u64, per_1000_s: u64) -> Option<Duration> {
    unsent.saturating_mul(1000).checked_div(per_1000_s).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::Why;

    /// What the note in the journal says of the inbox, once it says `names`; it is read for half of [`NOTE_EVERY`].
    async fn noted_soon(journal: &Journal, names: &[&str]) -> bool {
        let said = async {
            loop {
                let live = journal.read(Live::read).await.unwrap();
                if live.is_some_and(|live| live.inbox.iter().map(|waiting| &waiting.name).eq(names)) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(NOTE_EVERY / 2, said).await.is_ok()
    }

    #[tokio::test]
    async fn what_was_taken_out_of_the_inbox_is_noted_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let config = crate::daemon::tests::config_in(dir.path());
        let clock = Clock::system();
        std::fs::create_dir(dir.path().join("state")).unwrap();
        let journal = Journal::open(&config.journal.path).unwrap();
        let settings = Arc::new(Settings::new(config, &journal).await.unwrap());
        let lies = Waiting { name: "stock.csv".to_owned(), why: Why::BeingWritten, since: clock.now() };
        let (inbox, waiting) = watch::channel(vec![lies]);
        let (others, settings) = (watch::channel(Vec::new()), watch::channel(settings));
        let (scanned, disk, refused) = (watch::channel(false), watch::channel(true), watch::channel(false));
        let heard = Heard {
            waiting,
            reconcile: others.1,
            scanned: scanned.1,
            disk_ok: disk.1,
            refused: refused.1,
            draining: CancellationToken::new(),
        };
        let shown = watch::channel(false).0;
        let progress =
            Progress::new(journal.clone(), clock, settings.1, Arc::new(Meter::default()), heard, shown);
        let stop = CancellationToken::new();
        let runs = tokio::spawn(progress.run(stop.clone()));
        assert!(noted_soon(&journal, &["stock.csv"]).await);
        inbox.send_replace(Vec::new());
        assert!(noted_soon(&journal, &[]).await, "it waits for the next round");
        stop.cancel();
        runs.await.unwrap();
    }

    #[test]
    fn at_rest_a_falling_rate_is_noted_as_it_halves_and_everything_else_at_once() {
        let at = |per_1000_s, busy| Live { per_1000_s, busy, workers: 30, ..Live::default() };
        for (before, now, still) in [
            (8_000, 8_000, true),
            (8_000, 4_001, true),
            (8_000, 4_000, false),
            (8_000, 8_001, false),
            (1, 0, false),
            (0, 0, true),
        ] {
            assert_eq!(at(before, 0).still_tells(&at(now, 0)), still, "{before} {now}");
        }
        assert!(
            !at(8_000, 3).still_tells(&at(7_999, 3)),
            "while calls are on the wire every change is noted"
        );
        assert!(!at(8_000, 1).still_tells(&at(8_000, 0)));
        assert!(!at(8_000, 0).still_tells(&Live { workers: 29, ..at(7_000, 0) }));
    }
}
