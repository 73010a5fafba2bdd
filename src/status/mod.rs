//! How things stand: one value, read from the journal beside a running daemon or without one, that every status is
//! made of. [`Status::read`] reads it; serialised it is `status --json`, [`text`] prints it for people.

mod batches;
mod error;
#[cfg(test)]
mod tests;
pub mod text;

use std::fs;
use std::io;
use std::path::Path;

use serde::{Serialize, Serializer};

use crate::balance::Baseline;
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::{self, Live, Unrecorded};
use crate::durable::{self, Holder};
use crate::gate::{Pause, Scope};
use crate::inbox::{self, Waiting};
use crate::journal::{AlarmLine, BatchState, DayMoney, JournalError, OrderCounts, ServiceQueue, View};
use crate::meter::Standstill;
use crate::order::PauseReason;
use crate::settings;
use crate::types::{Money, Timestamp};
use crate::words;

pub use batches::Batch;
pub use error::StatusError;

/// Batches that are done are told of, the last so many.
const DONE_BATCHES: u32 = 20;

/// How things stand.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Of the JSON; fields are added, never renamed.
    pub schema: u32,
    /// Ours.
    pub version: String,
    /// When it was read.
    pub at: Timestamp,
    /// The daemon.
    pub daemon: Daemon,
    /// What stands still.
    pub pauses: Vec<PauseLine>,
    /// What a person must see.
    pub alarms: Vec<Alarm>,
    /// Orders in work.
    pub orders: Orders,
    /// Calls at once.
    pub workers: Workers,
    /// Calls that ended a second, over the last minute.
    pub rate_per_s: Option<Rate>,
    /// How long they took.
    pub latency_ms: Latency,
    /// Today's money, and the balance.
    pub money: MoneyLine,
    /// Those that are open, oldest first, then the last ones that are done, newest first.
    pub batches: Vec<Batch>,
    /// What lies in the inbox and isn't taken.
    pub inbox: Vec<Waiting>,
    /// Space.
    pub disk: Disk,
}

/// The daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Daemon {
    /// Whether it holds the journal's lock.
    pub running: bool,
    /// Its process.
    pub pid: Option<u32>,
    /// When it started; unknown in its first two seconds.
    pub since: Option<Timestamp>,
    /// What it is doing.
    pub state: DaemonState,
}

/// What a daemon is doing. Of those that fit, the lowest here counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DaemonState {
    /// There is nothing to do.
    Idle,
    /// Files are taken in, orders go out and come back.
    Working,
    /// All submission stands still.
    Paused,
    /// A stop was asked for.
    Draining,
    /// There is none.
    Stopped,
}

impl DaemonState {
    /// The word in the JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PauseLine {
    /// The service that stands still, by our name; `None`: everything.
    pub service: Option<String>,
    /// Why, in a word.
    pub reason: &'static str,
    /// The provider's words, or ours.
    pub text: String,
    /// Since when; `None`: nobody saw it begin.
    pub since: Option<Timestamp>,
    /// When it is tried again; `None`: it waits for a person, or for its cause to be gone.
    pub next_try: Option<Timestamp>,
}

/// An alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// Its number, for `imeid ack`; `None`: it can't be recorded, and goes when its cause does.
    pub n: Option<i64>,
    /// Its name.
    pub name: String,
    /// What a person must know.
    pub text: String,
    /// Since when.
    pub since: Timestamp,
}

/// Orders in work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Orders {
    /// Not sent yet.
    pub queued: u64,
    /// On the wire.
    pub submitting: u64,
    /// In doubt.
    pub in_doubt: u64,
    /// Taken, not answered yet.
    pub ordered: u64,
    /// Waiting for a person.
    pub held: u64,
}

/// Calls at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Workers {
    /// On the wire; unknown until the daemon tells.
    pub busy: Option<usize>,
    /// As many as the daemon lets out now; `None` without a daemon.
    pub limit: Option<usize>,
    /// As many as the configuration allows.
    pub ceiling: usize,
}

/// Calls a second, given as those of a thousand seconds. In JSON a number with one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls in a thousand seconds.
    pub per_1000_s: u64,
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Through its text: what JSON shows is then what people are shown, to the digit.
        let number: f64 = words::rate(self.per_1000_s).parse().map_err(serde::ser::Error::custom)?;
        serializer.serialize_f64(number)
    }
}

/// How long calls took that ended in the last minute, milliseconds; `None` where none did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Half of them took at most this long.
    pub p50: Option<u64>,
    /// 99 of a hundred took at most this long.
    pub p99: Option<u64>,
}

/// Money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MoneyLine {
    /// The machine's local day.
    pub today: Today,
    /// The account's balance, as it was last told with nothing in flight or in doubt; `None`: it isn't known.
    pub balance: Option<Money>,
    /// When it was told.
    pub balance_at: Option<Timestamp>,
}

/// The local day's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Today {
    /// Charged.
    pub charged: Money,
    /// Presumed charged, and not in `charged`.
    pub presumed: Money,
    /// On the wire.
    pub in_flight: Money,
    /// In doubt.
    pub in_doubt: Money,
    /// Refunds that are expected.
    pub refund_due: Money,
    /// The cap; `None`: no limit.
    pub per_day: Option<Money>,
}

/// Space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// The journal's size, its write-ahead log included; `None`: there is no journal yet.
    pub journal_bytes: Option<u64>,
    /// Free beside the journal; `None`: it can't be told.
    pub free_bytes: Option<u64>,
}

/// What the journal tells.
#[derive(Default)]
struct Told {
    /// What the daemon that runs now left.
    live: Option<Live>,
    pauses: Vec<PauseLine>,
    all_paused: bool,
    alarms: Vec<Alarm>,
    orders: Orders,
    today: DayMoney,
    balance: Option<Baseline>,
    batches: Vec<Batch>,
}

impl Told {
    /// What the daemon keeps in its memory, as it can't be recorded.
    fn add_unrecorded(&mut self, unrecorded: Vec<Unrecorded>) {
        for alarm in unrecorded {
            if alarm.name == PauseReason::Disk.as_str() {
                self.add_disk_pause(alarm.text.clone(), Some(alarm.since));
            }
            self.alarms.push(alarm.into());
        }
    }

    fn add_disk_pause(&mut self, text: String, since: Option<Timestamp>) {
        let reason = PauseReason::Disk.as_str();
        if self.pauses.iter().all(|pause| pause.reason != reason) {
            self.all_paused = true;
            self.pauses.push(PauseLine { service: None, reason, text, since, next_try: None });
        }
    }

    /// The disk brake can't be recorded on a disk that is full or can't be written: it is seen from here, before the
    /// daemon has noted it, and without one.
    fn add_what_the_disk_shows(&mut self, config: &Config) {
        let folder = config.journal.path.parent().unwrap_or(&config.journal.path);
        let (free, needed) = (durable::free_bytes(folder), config.journal.min_free_bytes);
        if durable::is_read_only(folder).is_ok_and(|is_so| is_so) {
            let text = format!(
                "the filesystem of {} can only be read: once it can be written, it goes on by itself",
                folder.display()
            );
            self.add_disk_pause(text, None);
        } else if let Some(free) = free.ok().filter(|free| *free < needed) {
            self.add_disk_pause(words::disk_pause(free, needed), None);
        }
    }
}

impl Status {
    /// Reads how things stand, beside a running daemon or without one. Takes nothing, changes nothing. Blocks.
    ///
    /// # Errors
    /// The journal is there and can't be read by this user. One that isn't there yet is no error: see
    /// [`Disk::journal_bytes`].
    pub fn read(config: &Config, clock: &Clock) -> Result<Self, StatusError> {
        let holder = daemon::running(config)?;
        let journal_bytes = journal_bytes(&config.journal.path)?;
        let now = clock.now();
        let told = match journal_bytes {
            Some(_) => {
                let view = View::open(&config.journal.path)?;
                view.at_once(|view| tell(view, config, holder, clock.local_day(now), now))?
            }
            None => Told::default(),
        };
        Ok(Self::put_together(config, now, holder, journal_bytes, told))
    }

    fn put_together(
        config: &Config,
        now: Timestamp,
        holder: Option<Holder>,
        journal_bytes: Option<u64>,
        told: Told,
    ) -> Self {
        let mut told = told;
        if holder.is_some() {
            told.add_unrecorded(Unrecorded::read(config));
        }
        if journal_bytes.is_some() {
            told.add_what_the_disk_shows(config);
        }
        let live = told.live.as_ref();
        let moving = live.filter(|live| live.per_1000_s > 0);
        let folder = config.journal.path.parent().unwrap_or(&config.journal.path);
        Self {
            schema: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: now,
            daemon: daemon_line(holder, live, &told),
            workers: Workers {
                busy: if holder.is_some() { live.map(|live| live.busy) } else { Some(0) },
                limit: live.map(|live| live.workers),
                ceiling: config.submit.workers,
            },
            rate_per_s: live.map(|live| Rate { per_1000_s: live.per_1000_s }),
            latency_ms: Latency { p50: moving.map(|live| live.p50_ms), p99: moving.map(|live| live.p99_ms) },
            money: money(&told.today, config.budget.per_day, told.balance),
            inbox: match live {
                Some(live) => live.inbox.clone(),
                None => inbox::survey(&inbox::Settings::of_inbox(config)),
            },
            disk: Disk { journal_bytes, free_bytes: durable::free_bytes(folder).ok() },
            pauses: told.pauses,
            alarms: told.alarms,
            orders: told.orders,
            batches: told.batches,
        }
    }

    /// Whether a person should look: an alarm, a pause, something held, an inbox that is gone, or no daemon.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        !self.daemon.running
            || !self.pauses.is_empty()
            || !self.alarms.is_empty()
            || self.inbox.iter().any(|waiting| waiting.name == ".")
            || self.orders.held > 0
            || self.batches.iter().any(|batch| batch.state == BatchState::Held)
    }
}

fn tell(
    view: &View,
    config: &Config,
    holder: Option<Holder>,
    day: i64,
    now: Timestamp,
) -> Result<Told, JournalError> {
    let names = view.service_names()?;
    let mut pauses = view.pauses()?;
    let left = settings::left_waiting(view, config)?;
    let recorded = pauses.len();
    pauses.extend(left.iter().map(|queue| left_waiting(queue, config, now)));
    // A note of an earlier process says nothing of this one.
    let is_its_own = |live: &Live| holder.is_some_and(|holder| holder.pid == Some(live.pid));
    let live = Live::read(view)?.filter(is_its_own);
    let open = view.busy_batches()?;
    let done = view.done_batches(DONE_BATCHES)?;
    let rate = live.as_ref().map_or(0, |live| live.per_1000_s);
    let batches = batches::lines(&open, &done, &names, &pauses, rate, now);
    let service = |scope| match scope {
        Scope::All => None,
        Scope::Service(id) => Some(names.get(&id).cloned().unwrap_or_else(|| id.to_string())),
    };
    let lines = pauses.iter().enumerate().map(|(n, pause)| {
        // Nobody saw when the others' service left the configuration.
        let since = Some(pause.since).filter(|_| n < recorded);
        PauseLine { since, ..pause_line(pause, service(pause.scope)) }
    });
    let orders = Orders::from(view.order_counts()?);
    // With nothing to send it holds nothing up.
    let standstill = live
        .as_ref()
        .and_then(|live| live.standstill.as_ref())
        .filter(|_| orders.queued > 0)
        .map(stands_still);
    Ok(Told {
        all_paused: standstill.is_some() || pauses.iter().any(|pause| pause.scope == Scope::All),
        live,
        pauses: lines.chain(standstill).collect(),
        alarms: view.alarms()?.into_iter().map(Alarm::from).collect(),
        orders,
        today: view.day_money(day)?,
        balance: view.baseline(&config.provider.account)?,
        batches,
    })
}

/// It isn't the journal's to know: it ends with the process.
fn stands_still(standstill: &Standstill) -> PauseLine {
    let Standstill { cause, why, since, next_try } = standstill.clone();
    PauseLine { service: None, reason: cause.as_str(), text: why, since, next_try }
}

/// Orders that wait for a service that is no longer configured stand still as in a pause, until it is back.
fn left_waiting(queue: &ServiceQueue, config: &Config, now: Timestamp) -> Pause {
    Pause {
        scope: Scope::Service(queue.service),
        reason: PauseReason::Service,
        text: settings::why_left_waiting(queue, config),
        since: now,
        tries: 0,
        next_try: None,
        one: false,
    }
}

fn daemon_line(holder: Option<Holder>, live: Option<&Live>, told: &Told) -> Daemon {
    let Orders { queued, submitting, in_doubt, ordered, .. } = told.orders;
    let is_taking = told.batches.iter().any(|batch| batch.state == BatchState::Taking);
    let state = if holder.is_none() {
        DaemonState::Stopped
    } else if live.is_some_and(|live| live.draining) {
        DaemonState::Draining
    } else if told.all_paused {
        DaemonState::Paused
    } else if is_taking || [queued, submitting, in_doubt, ordered].iter().any(|count| *count > 0) {
        DaemonState::Working
    } else {
        DaemonState::Idle
    };
    Daemon {
        running: holder.is_some(),
        pid: holder.and_then(|holder| holder.pid),
        since: live.map(|live| Timestamp::from_millis(live.since_ms)),
        state,
    }
}

fn pause_line(pause: &Pause, service: Option<String>) -> PauseLine {
    PauseLine {
        service,
        reason: pause.reason.as_str(),
        text: pause.text.clone(),
        since: Some(pause.since),
        next_try: pause.next_try,
    }
}

fn money(today: &DayMoney, per_day: Option<Money>, at_rest: Option<Baseline>) -> MoneyLine {
    let DayMoney { charged, presumed, in_flight, in_doubt, refund_due } = *today;
    let today = Today { charged, presumed, in_flight, in_doubt, refund_due, per_day };
    MoneyLine {
        today,
        balance: at_rest.map(|known| known.balance),
        balance_at: at_rest.map(|known| known.at()),
    }
}

impl From<AlarmLine> for Alarm {
    fn from(alarm: AlarmLine) -> Self {
        let AlarmLine { n, name, text, since } = alarm;
        Self { n: Some(n), name, text, since }
    }
}

impl From<Unrecorded> for Alarm {
    fn from(alarm: Unrecorded) -> Self {
        let Unrecorded { name, text, since } = alarm;
        Self { n: None, name, text, since }
    }
}

impl From<OrderCounts> for Orders {
    fn from(counts: OrderCounts) -> Self {
        let OrderCounts { queued, submitting, in_doubt, ordered, held } = counts;
        Self { queued, submitting, in_doubt, ordered, held }
    }
}

/// The journal's size with its write-ahead log; `None` if there is none.
fn journal_bytes(path: &Path) -> Result<Option<u64>, StatusError> {
    let size = |path: &Path| match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(StatusError::Unreachable { path: path.display().to_string(), why }),
    };
    let Some(bytes) = size(path)? else { return Ok(None) };
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = size(Path::new(&log))?.unwrap_or(0);
    Ok(Some(bytes.saturating_add(log)))
}
