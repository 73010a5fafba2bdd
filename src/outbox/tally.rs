//! A batch's rows by the words of `imeid_status`, from the counts that the journal keeps.

use std::collections::BTreeMap;

use crate::journal::{BatchWork, Link, Tally, TallyState};
use crate::order::State;
use crate::result::RowStatus;

/// The word for rows of this kind.
#[must_use]
pub const fn row_status(state: TallyState, link: Link) -> RowStatus {
    match state {
        TallyState::Invalid => RowStatus::Invalid,
        TallyState::Duplicate => RowStatus::Duplicate,
        TallyState::Order(State::Completed) => match link {
            Link::Earlier => RowStatus::Duplicate,
            _ => RowStatus::Completed,
        },
        TallyState::Order(State::Rejected) => RowStatus::Rejected,
        TallyState::Order(State::Refused) => RowStatus::Refused,
        TallyState::Order(State::OrderedElsewhere) => RowStatus::OrderedElsewhere,
        TallyState::Order(State::Held) => RowStatus::Held,
        TallyState::Order(State::Cancelled) => RowStatus::Cancelled,
        TallyState::Order(State::Queued) => RowStatus::Queued,
        TallyState::Order(State::Submitting) => RowStatus::Submitting,
        TallyState::Order(State::InDoubt) => RowStatus::InDoubt,
        TallyState::Order(State::Ordered | State::OrderedNoId) => RowStatus::Ordered,
    }
}

/// How many rows of a batch have each word.
#[must_use]
pub fn by_status(batch: &BatchWork) -> BTreeMap<RowStatus, u64> {
    let mut counts = BTreeMap::new();
    for Tally { state, link, n } in &batch.tallies {
        let count = counts.entry(row_status(*state, *link)).or_insert(0u64);
        *count = count.saturating_add(*n);
    }
    counts
}
