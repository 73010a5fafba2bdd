//! The one line that says what the daemon is doing, for the service manager's status.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::{local_stamp, local_time};
use crate::gate::{Pause, Scope};
use crate::inbox::Waiting;
use crate::journal::{
    BatchState, BatchWork, DayMoney, Doubt, JournalError, Link, OrderCounts, TallyState, View,
};
use crate::meter::Standstill;
use crate::order::{PauseReason, State};
use crate::types::{Money, ServiceId, Timestamp};
use crate::words;

use super::progress::{Live, eta};

/// Of more doubts it isn't read what they wait for.
const DOUBTS_READ: u32 = 100;

/// What the journal tells for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Doing {
    pub(super) batches: Vec<BatchWork>,
    pub(super) orders: OrderCounts,
    pub(super) pauses: Vec<Pause>,
    /// How many that are in doubt wait for newer orders, and when the first of them is held.
    pub(super) for_newer: Option<(usize, Timestamp)>,
    pub(super) services: BTreeMap<ServiceId, String>,
    pub(super) today: DayMoney,
    /// The names of the alarms, one for each.
    pub(super) alarms: Vec<String>,
}

impl Doing {
    /// Reads sums and counts that are kept, never counted. `day`: the local one.
    ///
    /// # Errors
    /// What SQLite says.
    pub(super) fn read(view: &View, day: i64) -> Result<Self, JournalError> {
        Ok(Self {
            batches: view.busy_batches()?,
            orders: view.order_counts()?,
            for_newer: None,
            pauses: view.pauses()?,
            services: view.service_names()?,
            today: view.day_money(day)?,
            alarms: view.alarms()?.into_iter().map(|alarm| alarm.name).collect(),
        })
    }

    /// Reads which doubts wait for newer orders too. `patience`: a doubt is held after so long.
    ///
    /// # Errors
    /// What SQLite says.
    pub(super) fn with_doubts(mut self, view: &View, patience: Duration) -> Result<Self, JournalError> {
        if self.orders.in_doubt > 0 {
            let mut doubts = view.first_in_doubt(DOUBTS_READ)?;
            doubts.retain(Doubt::waits_for_newer);
            let first = doubts.iter().map(|doubt| doubt.first).min();
            self.for_newer = first.map(|first| (doubts.len(), first.plus(patience)));
        }
        Ok(self)
    }

    /// The disk brake can't be recorded on a disk that is full, nor can so many alarms: they are told all the same.
    pub(super) fn on_disk(
        mut self,
        has_room: bool,
        now: Timestamp,
        unrecorded: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        self.alarms.extend(unrecorded.into_iter().map(str::to_owned));
        if !has_room && self.pauses.iter().all(|pause| pause.reason != PauseReason::Disk) {
            self.pauses.push(Pause {
                scope: Scope::All,
                reason: PauseReason::Disk,
                text: "too little is free beside the journal".to_owned(),
                since: now,
                tries: 0,
                next_try: None,
                one: false,
            });
        }
        self
    }

    /// The line. `ceiling`: as many calls at once as are allowed; `refused`: the configuration was read anew and not taken over.
    pub(super) fn line(&self, live: &Live, ceiling: usize, refused: bool) -> String {
        let mut parts = vec![self.work(live)];
        parts.push(format!("{} today", self.today.charged));
        if self.today.presumed > Money::ZERO {
            parts.push(format!("{} presumed", self.today.presumed));
        }
        let counted = [(self.orders.in_doubt, "in doubt"), (self.orders.held, "held")];
        parts.extend(counted.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")));
        parts.extend(self.for_newer.map(|(n, held)| {
            let wait = if n == 1 { "doubt waits" } else { "doubts wait" };
            format!("{n} {wait} for newer orders (else held from {} on)", local_stamp(held))
        }));
        if live.busy > 0 && live.workers < ceiling {
            parts.push(format!("at most {} of {ceiling} calls at once", live.workers));
        }
        parts.extend(self.eta(live));
        if !self.alarms.is_empty() {
            let names: BTreeSet<&str> = self.alarms.iter().map(String::as_str).collect();
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            parts.push(format!("{} ({names})", words::counted(self.alarms.len(), "alarm")));
        }
        if refused {
            parts.push("a changed configuration was refused, see the log".to_owned());
        }
        format!("{}: {}", self.state(live), parts.join(", "))
    }

    fn state(&self, live: &Live) -> String {
        let mut pauses: Vec<String> = self.pauses.iter().map(|pause| self.pause(pause)).collect();
        // With nothing to send it holds nothing up.
        let standstill = live.standstill.as_ref().filter(|_| self.orders.queued > 0);
        pauses.extend(standstill.map(stands_still));
        if live.draining {
            format!("stopping, {} in flight waited for", words::counted(live.busy, "call"))
        } else if standstill.is_some() || self.pauses.iter().any(|pause| pause.scope == Scope::All) {
            format!("paused ({})", pauses.join("; "))
        } else if !pauses.is_empty() {
            format!("working, {}", pauses.join("; "))
        } else if self.is_idle() {
            "idle".to_owned()
        } else {
            "working".to_owned()
        }
    }

    fn is_idle(&self) -> bool {
        let OrderCounts { queued, submitting, in_doubt, ordered, .. } = self.orders;
        queued.saturating_add(submitting).saturating_add(in_doubt).saturating_add(ordered) == 0
            && !self.batches.iter().any(|batch| batch.state == BatchState::Taking)
    }

    fn pause(&self, pause: &Pause) -> String {
        let reason = pause.reason.as_str();
        let next = next_try(pause.next_try);
        match pause.scope {
            Scope::All => format!("{reason}: {}{next}", pause.text),
            Scope::Service(id) => {
                let name = self.services.get(&id).cloned().unwrap_or_else(|| id.to_string());
                format!("service {name} paused ({reason}: {}{next})", pause.text)
            }
        }
    }

    fn work(&self, live: &Live) -> String {
        let is_gone = live.inbox.iter().any(Waiting::is_the_folder);
        let waiting = match live.inbox.iter().filter(|waiting| !waiting.is_the_folder()).count() {
            _ if is_gone => ", the inbox is gone".to_owned(),
            0 => String::new(),
            n => format!(", {n} waiting in the inbox"),
        };
        let [batch] = &self.batches[..] else {
            let Some((orders, unsent)) = self.sent() else { return format!("no file open{waiting}") };
            let sent = orders.saturating_sub(unsent);
            let files = words::counted(self.batches.len(), "file");
            return format!("{files}, {sent}/{orders} sent, {}{waiting}", self.rows());
        };
        let (orders, unsent) = (own(batch), unsent(batch));
        let sent = orders.saturating_sub(unsent);
        format!("{} {sent}/{orders} sent, {}{waiting}", batch.name, self.rows())
    }

    /// Orders of all open files, and those of them that aren't sent.
    fn sent(&self) -> Option<(u64, u64)> {
        let add = |(orders, left): (u64, u64), batch: &BatchWork| {
            (orders.saturating_add(own(batch)), left.saturating_add(unsent(batch)))
        };
        (!self.batches.is_empty()).then(|| self.batches.iter().fold((0, 0), add))
    }

    fn rows(&self) -> String {
        let sum = |of: fn(&BatchWork) -> u64| self.batches.iter().map(of).fold(0u64, u64::saturating_add);
        let all = sum(|batch| batch.rows_total);
        let open = sum(BatchWork::open_rows);
        format!("{}/{all} rows done", all.saturating_sub(open))
    }

    /// When the last order is sent, of those that nothing holds back.
    fn eta(&self, live: &Live) -> Option<String> {
        if live.standstill.is_some() {
            return None;
        }
        let goes = |batch: &&BatchWork| {
            batch.state == BatchState::Working && !self.pauses.iter().any(|pause| pause.covers(batch.service))
        };
        let left = self.batches.iter().filter(goes).map(unsent).fold(0u64, u64::saturating_add);
        let wait = if left > 0 { eta(left, live.per_1000_s) } else { None };
        wait.map(|wait| format!("all sent in {}", words::span(wait)))
    }
}

fn stands_still(standstill: &Standstill) -> String {
    format!("{}: {}{}", standstill.cause.as_str(), standstill.why, next_try(standstill.next_try))
}

/// A point in time, by the machine's clock on the wall, not a countdown: the line is told anew only when something has changed.
fn next_try(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!(", tried again at {}", local_time(at)))
}

fn own(batch: &BatchWork) -> u64 {
    batch.count(|tally| tally.link == Link::Own)
}

fn unsent(batch: &BatchWork) -> u64 {
    batch.count(|tally| {
        tally.link == Link::Own && matches!(tally.state, TallyState::Order(State::Queued | State::Submitting))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::Why;
    use crate::meter::Cause;

    #[test]
    fn an_outage_is_told_with_its_next_try_while_there_is_something_to_send() {
        let at = Timestamp::from_millis(4_000);
        let standstill =
            Standstill { cause: Cause::Outage, why: "HTTP 502".to_owned(), since: None, next_try: Some(at) };
        let live = Live { standstill: Some(standstill), ..Live::default() };
        let mut doing = Doing::default();
        assert!(doing.line(&live, 30, false).starts_with("idle: "));
        doing.orders.queued = 1;
        let line = doing.line(&live, 30, false);
        assert!(
            line.starts_with(&format!("paused (outage: HTTP 502, tried again at {}): ", local_time(at))),
            "{line}"
        );
        assert!(!line.contains("all sent in"), "{line}");
    }

    #[test]
    fn an_inbox_that_is_gone_is_told_and_is_no_file_that_waits() {
        let waits =
            |name: &str| Waiting { name: name.to_owned(), why: Why::Unreadable, since: Timestamp::default() };
        let line = |names: &[&str]| {
            let inbox = names.iter().map(|name| waits(name)).collect();
            Doing::default().line(&Live { inbox, ..Live::default() }, 30, false)
        };
        assert_eq!(line(&["a.csv"]), "idle: no file open, 1 waiting in the inbox, 0.00 today");
        assert_eq!(line(&["."]), "idle: no file open, the inbox is gone, 0.00 today");
        assert_eq!(line(&[".", "a.csv"]), "idle: no file open, the inbox is gone, 0.00 today");
    }

    #[test]
    fn doubts_that_wait_for_newer_orders_are_told_with_when_they_are_held() {
        let held = Timestamp::from_millis(1_763_091_180_000);
        let mut doing = Doing { for_newer: Some((1, held)), ..Doing::default() };
        doing.orders.in_doubt = 2;
        let line = doing.line(&Live::default(), 30, false);
        let told =
            format!(", 2 in doubt, 1 doubt waits for newer orders (else held from {} on)", local_stamp(held));
        assert!(line.ends_with(&told), "{line}");
    }

    #[test]
    fn alarms_are_counted_and_named_once_each() {
        let line = |recorded: &[&str], unrecorded: &[&'static str]| {
            let alarms = recorded.iter().map(|name| (*name).to_owned()).collect();
            let doing = Doing { alarms, ..Doing::default() };
            doing.on_disk(true, Timestamp::default(), unrecorded.iter().copied()).line(
                &Live::default(),
                30,
                false,
            )
        };
        assert_eq!(line(&[], &["provider"]), "idle: no file open, 0.00 today, 1 alarm (provider)");
        assert_eq!(
            line(&["stamp", "balance", "stamp"], &["provider"]),
            "idle: no file open, 0.00 today, 4 alarms (balance, provider, stamp)"
        );
    }

    #[test]
    fn what_is_presumed_is_told_apart_where_there_is_any() {
        let live = Live::default();
        let line = |presumed: i64| {
            let today = DayMoney {
                charged: Money::from_micros(80_000),
                presumed: Money::from_micros(presumed),
                ..DayMoney::default()
            };
            Doing { today, ..Doing::default() }.line(&live, 30, false)
        };
        assert_eq!(line(0), "idle: no file open, 0.08 today");
        assert_eq!(line(160_000), "idle: no file open, 0.08 today, 0.16 presumed");
    }

    #[test]
    fn a_full_disk_is_told_though_its_pause_is_not_in_the_journal_and_once_if_it_is() {
        let live = Live {
            pid: 1,
            since_ms: 0,
            busy: 0,
            workers: 30,
            per_1000_s: 0,
            p50_ms: 0,
            p99_ms: 0,
            draining: false,
            standstill: None,
            inbox: Vec::new(),
            reconcile: Vec::new(),
        };
        let line = |doing: &Doing| doing.line(&live, 30, false);
        let now = Timestamp::from_millis(0);
        assert!(line(&Doing::default().on_disk(true, now, [])).starts_with("idle: "));
        let full = Doing::default().on_disk(false, now, []);
        assert!(
            line(&full).starts_with("paused (disk: too little is free beside the journal): "),
            "{}",
            line(&full)
        );
        assert_eq!(full.clone().on_disk(false, now, ["disk"]).pauses, full.pauses);
    }
}
