//! What a status tells. Fields of the JSON are added, never renamed.

use serde::{Serialize, Serializer};

use super::{Batch, DoubtLine};
use crate::daemon::Unrecorded;
use crate::inbox::Waiting;
use crate::journal::{AlarmLine, BatchState, OrderCounts};
use crate::types::{Money, Timestamp};
use crate::words;

/// How things stand.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Of the JSON; fields are added, never renamed.
    pub schema: u32,
    /// Ours.
    pub version: String,
    /// When it was read.
    pub at: Timestamp,
    /// What is wrong with the configuration, an error each: what only it says is left out then.
    pub config_errors: Vec<String>,
    /// The daemon.
    pub daemon: Daemon,
    /// What stands still.
    pub pauses: Vec<PauseLine>,
    /// What a person must see.
    pub alarms: Vec<Alarm>,
    /// Orders in work.
    pub orders: Orders,
    /// What is in doubt, and what it waits for: the first twenty.
    pub doubts: Vec<DoubtLine>,
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
    /// Likewise of exports in `reconcile/`.
    pub reconcile: Vec<Waiting>,
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
    /// As many as the configuration allows; `None`: it has errors.
    pub ceiling: Option<usize>,
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
    /// Of all refunds that were due then, at least so much wasn't in it.
    pub refunds_missing: Option<Money>,
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
    /// What is due back for orders that were rejected. It stays here once it came: a balance can't tell a refund from a top-up.
    pub refund_due: Money,
    /// The cap; `None`: no limit, or the configuration has errors.
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

impl Status {
    /// Whether a person should look: an alarm, a pause, something held, an inbox or `reconcile/` that is gone, or no daemon.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        !self.daemon.running
            || !self.pauses.is_empty()
            || !self.alarms.is_empty()
            || self.inbox.iter().chain(&self.reconcile).any(Waiting::is_the_folder)
            || self.orders.held > 0
            || self.batches.iter().any(|batch| batch.state == BatchState::Held)
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
