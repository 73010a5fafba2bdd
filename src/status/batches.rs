//! Files as a status tells of them.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::daemon;
use crate::gate::Pause;
use crate::journal::{BatchState, BatchWork, Link, TallyState};
use crate::order::State;
use crate::outbox;
use crate::result::RowStatus;
use crate::types::{BatchId, Money, ServiceId, Timestamp};

/// A batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Batch {
    /// Its NAME in the outbox.
    pub name: String,
    /// Its service, by our name.
    pub service: String,
    /// How far it is.
    #[serde(serialize_with = "state_word")]
    pub state: BatchState,
    /// Why it is held.
    pub why: Option<String>,
    /// Its data rows.
    pub rows: u64,
    /// How many of them have which `imeid_status`; words of which there are none are left out.
    #[serde(serialize_with = "status_words")]
    pub by_status: BTreeMap<RowStatus, u64>,
    /// Charged so far.
    pub cost: Money,
    /// Presumed charged, and not in `cost`.
    pub presumed: Money,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// When its last order is sent at the present rate; `None`: it can't be told, or all are sent.
    pub eta: Option<Timestamp>,
    /// The newest result's name in the outbox, once one is published.
    pub result: Option<String>,
}

fn state_word<S: Serializer>(state: &BatchState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.as_str())
}

fn status_words<S: Serializer>(counts: &BTreeMap<RowStatus, u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().map(|(status, n)| (status.to_string(), n)))
}

impl Batch {
    /// Rows that have ended.
    #[must_use]
    pub fn done_rows(&self) -> u64 {
        let open = [
            RowStatus::Held,
            RowStatus::Queued,
            RowStatus::Submitting,
            RowStatus::InDoubt,
            RowStatus::Ordered,
        ];
        self.by_status.iter().filter(|(status, _)| !open.contains(status)).map(|(_, n)| *n).sum()
    }
}

/// The open ones, then those that are done. `published`: the newest result of those that have one.
pub(super) fn lines(
    open: &[BatchWork],
    done: &[BatchWork],
    names: &BTreeMap<ServiceId, String>,
    published: &BTreeMap<BatchId, String>,
    pauses: &[Pause],
    per_1000_s: u64,
    now: Timestamp,
) -> Vec<Batch> {
    let going: Vec<&BatchWork> = open.iter().filter(|batch| goes(batch, pauses)).collect();
    let eta =
        |batch: &BatchWork| if goes(batch, pauses) { eta(batch, &going, per_1000_s, now) } else { None };
    let line =
        |batch| Batch { eta: eta(batch), result: published.get(&batch.id).cloned(), ..line(batch, names) };
    open.iter().chain(done).map(line).collect()
}

/// Whether its orders are being sent.
fn goes(batch: &BatchWork, pauses: &[Pause]) -> bool {
    batch.state == BatchState::Working && unsent(batch) > 0 && !pauses.iter().any(|p| p.covers(batch.service))
}

fn unsent(batch: &BatchWork) -> u64 {
    batch.count(|tally| {
        tally.link == Link::Own && matches!(tally.state, TallyState::Order(State::Queued | State::Submitting))
    })
}

/// Files take turns, an order each: before this one's last order every other one sends as many, or all that it has.
fn eta(batch: &BatchWork, going: &[&BatchWork], per_1000_s: u64, now: Timestamp) -> Option<Timestamp> {
    let own = unsent(batch);
    let before = going.iter().fold(0u64, |sum, other| sum.saturating_add(unsent(other).min(own)));
    daemon::eta(before, per_1000_s).map(|wait| now.plus(wait))
}

fn line(batch: &BatchWork, names: &BTreeMap<ServiceId, String>) -> Batch {
    let mut by_status = outbox::by_status(batch);
    by_status.retain(|_, n| *n > 0);
    Batch {
        name: batch.name.clone(),
        service: names.get(&batch.service).cloned().unwrap_or_else(|| batch.service.to_string()),
        state: batch.state,
        why: batch.held_for.clone().filter(|_| batch.state == BatchState::Held),
        rows: batch.rows_total,
        by_status,
        cost: batch.charged,
        presumed: batch.presumed,
        taken_at: batch.taken_at,
        eta: None,
        result: None,
    }
}
