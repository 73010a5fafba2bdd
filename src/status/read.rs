//! Reading it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::doubts::{TOLD, Terms};
use super::model::{
    Alarm, Daemon, DaemonState, Disk, Latency, MoneyLine, Orders, PauseLine, Rate, Status, Today, Workers,
};
use super::{Batch, DoubtLine, StatusError, batches};
use crate::balance::Baseline;
use crate::clock::Clock;
use crate::config::{Config, ConfigErrors};
use crate::daemon::{self, Live, Unrecorded};
use crate::durable::{self, Holder};
use crate::gate::{Pause, Scope};
use crate::inbox;
use crate::journal::{BatchState, BatchWork, DayMoney, JournalError, ServiceQueue, View};
use crate::meter::Standstill;
use crate::order::PauseReason;
use crate::settings;
use crate::types::{BatchId, Money, ServiceId, Timestamp};
use crate::words;

/// Batches that are done are told of, the last so many.
const DONE_BATCHES: u32 = 20;

/// What the journal tells.
#[derive(Default)]
struct Told {
    /// What the daemon that runs now left.
    live: Option<Live>,
    pauses: Vec<PauseLine>,
    all_paused: bool,
    alarms: Vec<Alarm>,
    orders: Orders,
    doubts: Vec<DoubtLine>,
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
            self.batches.iter_mut().for_each(|batch| batch.eta = None);
            self.pauses.push(PauseLine { service: None, reason, text, since, next_try: None });
        }
    }

    /// The disk brake can't be recorded on a disk that is full or can't be written: it is seen from here, before the
    /// daemon has noted it, and without one.
    /// `needed`: bytes that must be free, where that is known.
    fn add_what_the_disk_shows(&mut self, folder: &Path, needed: Option<u64>) {
        let needed = needed.unwrap_or(0);
        if durable::is_read_only(folder).is_ok_and(|is_so| is_so) {
            let text = format!(
                "the filesystem of {} can only be read: once it can be written, it goes on by itself",
                folder.display()
            );
            self.add_disk_pause(text, None);
        } else if let Some(free) = durable::free_bytes(folder).ok().filter(|free| *free < needed) {
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
        read(&config.journal.path, Some(config), clock)
    }

    /// Likewise where the configuration has errors, from the journal alone. A daemon that runs does so by what it read
    /// before, which nobody else knows: what only the configuration says is left out.
    ///
    /// # Errors
    /// As of [`Status::read`].
    pub fn read_without_config(
        journal: &Path,
        errors: &ConfigErrors,
        clock: &Clock,
    ) -> Result<Self, StatusError> {
        let config_errors = errors.to_string().lines().map(str::to_owned).collect();
        Ok(Self { config_errors, ..read(journal, None, clock)? })
    }
}

fn read(journal: &Path, config: Option<&Config>, clock: &Clock) -> Result<Status, StatusError> {
    let holder = daemon::running(journal)?;
    let journal_bytes = journal_bytes(journal)?;
    let now = clock.now();
    let mut told = Told::default();
    let folder = journal.parent().unwrap_or(journal);
    if journal_bytes.is_some() {
        let view = View::open(journal)?;
        told = view.at_once(|view| tell(view, config, holder, clock.local_day(now), now))?;
    }
    if holder.is_some() {
        told.add_unrecorded(Unrecorded::read(journal));
    }
    if journal_bytes.is_some() {
        told.add_what_the_disk_shows(folder, config.map(|config| config.journal.min_free_bytes));
    }
    if let Some(config) = config.filter(|_| journal_bytes.is_none()) {
        may_look_into(&config.folders.inbox)?;
    }
    let disk = Disk { journal_bytes, free_bytes: durable::free_bytes(folder).ok() };
    Ok(put_together(told, config, holder, disk, now))
}

fn put_together(
    told: Told,
    config: Option<&Config>,
    holder: Option<Holder>,
    disk: Disk,
    now: Timestamp,
) -> Status {
    let live = told.live.as_ref();
    let moving = live.filter(|live| live.per_1000_s > 0);
    let survey = |of: fn(&Config) -> inbox::Settings| {
        config.map(|config| inbox::survey(&of(config))).unwrap_or_default()
    };
    Status {
        schema: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: now,
        config_errors: Vec::new(),
        daemon: daemon_line(holder, live, &told),
        workers: Workers {
            ceiling: config.map(|config| config.submit.workers),
            ..workers(live, holder.is_some(), told.orders.submitting)
        },
        rate_per_s: live.map(|live| Rate { per_1000_s: live.per_1000_s }),
        latency_ms: Latency { p50: moving.map(|live| live.p50_ms), p99: moving.map(|live| live.p99_ms) },
        money: money(&told.today, config.and_then(|config| config.budget.per_day), told.balance),
        inbox: match live {
            Some(live) => live.inbox.clone(),
            None => survey(inbox::Settings::of_inbox),
        },
        reconcile: match live {
            Some(live) => live.reconcile.clone(),
            None => survey(inbox::Settings::of_reconcile),
        },
        disk,
        pauses: told.pauses,
        alarms: told.alarms,
        orders: told.orders,
        doubts: told.doubts,
        batches: told.batches,
    }
}

fn tell(
    view: &View,
    config: Option<&Config>,
    holder: Option<Holder>,
    day: i64,
    now: Timestamp,
) -> Result<Told, JournalError> {
    let names = view.service_names()?;
    let mut pauses = view.pauses()?;
    let recorded = pauses.len();
    if let Some(config) = config {
        let left = settings::left_waiting(view, config)?;
        pauses.extend(left.iter().map(|queue| left_waiting(queue, config, now)));
    }
    // A note of an earlier process says nothing of this one.
    let is_its_own = |live: &Live| holder.is_some_and(|holder| holder.pid == Some(live.pid));
    let live = Live::read(view)?.filter(is_its_own);
    let open = view.busy_batches()?;
    let done = view.done_batches(DONE_BATCHES)?;
    // While everything stands still the rate of the last minute tells of no end.
    let going = live.as_ref().filter(|live| live.standstill.is_none());
    let rate = going.map_or(0, |live| live.per_1000_s);
    let published = last_published(view, open.iter().chain(&done))?;
    let batches = batches::lines(&open, &done, &names, &published, &pauses, rate, now);
    let name = |id: ServiceId| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
    let service = |scope| match scope {
        Scope::All => None,
        Scope::Service(id) => Some(name(id)),
    };
    let lines = pauses.iter().enumerate().map(|(n, pause)| {
        // Nobody saw when the others' service left the configuration.
        let since = Some(pause.since).filter(|_| n < recorded);
        PauseLine { since, ..pause_line(pause, service(pause.scope)) }
    });
    let orders = Orders::from(view.order_counts()?);
    let terms = Terms::read(view, config)?;
    let doubts = view.first_in_doubt(TOLD)?;
    let doubts = doubts.iter().map(|doubt| terms.line(doubt, name(doubt.service), now)).collect();
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
        doubts,
        today: view.day_money(day)?,
        balance: config.map(|config| view.baseline(&config.provider.account)).transpose()?.flatten(),
        batches,
    })
}

/// The daemon's note of its calls is up to two seconds old, and has no order that a look at the balance comes before: of
/// what is `submitting` now the journal is newer.
fn workers(live: Option<&Live>, is_running: bool, submitting: u64) -> Workers {
    let submitting = usize::try_from(submitting).unwrap_or(usize::MAX);
    let busy = |live: &Live| live.busy.max(live.workers.min(submitting)).min(submitting);
    let busy = if is_running { live.map(busy) } else { Some(0) };
    // In an outage calls may still be waited for beside the one that is let go.
    let limit = live.map(|live| live.workers.max(busy.unwrap_or(0)));
    Workers { busy, limit, ceiling: None }
}

fn last_published<'a>(
    view: &View,
    batches: impl Iterator<Item = &'a BatchWork>,
) -> Result<BTreeMap<BatchId, String>, JournalError> {
    let mut published = BTreeMap::new();
    for batch in batches {
        published.extend(view.last_published(batch.id)?.map(|file| (batch.id, file)));
    }
    Ok(published)
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
        refunds_missing: at_rest.map(|known| known.refunds_surely_missing()),
    }
}

/// The journal's size with its write-ahead log; `None` if there is none.
/// Who is kept out of the inbox would else be told that nothing was ever taken in.
fn may_look_into(inbox: &Path) -> Result<(), StatusError> {
    match fs::read_dir(inbox) {
        Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
            Err(StatusError::Inbox { path: inbox.display().to_string(), why })
        }
        _ => Ok(()),
    }
}

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
