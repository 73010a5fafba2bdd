//! The life of an order as one pure function: [`step`] takes an order and an event and says what becomes of it.
//!
//! No I/O, no clock: the same function decides live, in recovery and under the model checker. Whatever an event's
//! meaning depends on (is the quiet period over, can the provider list) comes with the event as a fact.
//!
//! # The table
//! Of rows that match, the upper one counts. `*`: the answer proves its own attempt only; while an earlier one is
//! unaccounted for the order goes to `in_doubt` instead, the earlier price still reserved. Where the order's id is
//! known by then (it came late, while this attempt was in flight), every answer leads to `ordered(id)`.
//!
//! | from | event | to | money and effects |
//! |---|---|---|---|
//! | queued | [`Event::Claim`] | submitting | price reserved, attempt begun |
//! | queued | operator cancels | cancelled | 0 |
//! | queued, submitting, in_doubt | [`Event::Restored`] | in_doubt | an attempt is assumed; doubt begins anew; pause all |
//! | submitting | [`Answer::Taken`] | ordered(id) | charged; an earlier attempt unaccounted for becomes presumed |
//! | submitting | [`Answer::NotSent`], [`Answer::Throttled`] | queued* | this price released; backs off |
//! | submitting | [`Answer::Account`], [`Answer::Credit`], [`Answer::Maintenance`] | queued* | likewise; pause all |
//! | submitting | [`Answer::UnknownService`] | queued* | likewise; pause the service |
//! | submitting | [`Answer::InvalidImei`] | refused* | this price released |
//! | submitting | [`Answer::AlreadyExists`], nothing of the key unproven, never an older copy | ordered_elsewhere | 0; an earlier order of ours is named |
//! | submitting | [`Answer::AlreadyExists`] otherwise | ordered(no id) | presumed, once a key |
//! | submitting | [`Answer::Unclear`] | in_doubt | reserved; quiet period starts; told ids are looked up |
//! | submitting | [`Event::Lost`] | in_doubt | likewise |
//! | in_doubt, ordered(no id), held without id, queued after a release | [`Event::Listed`] once | ordered(id) | charged; its other unproven attempts presumed |
//! | likewise | [`Event::Listed`] more often | held | each id charged; alarm |
//! | in_doubt | [`Event::Absent`], every part of [`Absence`] shown | queued, or held with no attempt left | released as inferred |
//! | in_doubt | [`Event::BalanceFell`] | ordered(no id) | presumed |
//! | in_doubt | [`Event::Probe`] | submitting | a new attempt |
//! | in_doubt | [`Event::Hold`] | held | still reserved |
//! | ordered(no id) | [`Event::HoldNoId`] | held | still presumed |
//! | in_doubt, ordered(no id), held, cancelled with something unproven, queued after a release | [`Event::Exported`] | completed, rejected, ordered(no id); two rows: held | as it says |
//! | likewise, queued with nothing unproven | [`Exported::Older`], [`Exported::Several`] | likewise | charged as an older order's attempt was; its own stay presumed |
//! | submitting | [`Event::Exported`] | stays | kept for its answer |
//! | queued with nothing unproven, ordered_elsewhere | [`Exported::One`], finished | ordered_elsewhere with its result | 0 |
//! | ordered(id), held with an id | [`Event::Status`] | completed, rejected | a rejection's refund is expected |
//! | ordered(id) | [`Event::GiveUp`] | held | charged, unanswered |
//! | ordered(id), held with an id | [`Event::Disproved`] | held without an id; of several ids it keeps them | charged, without an id |
//! | completed, rejected | [`Event::Status`], the other one | rejected, completed | alarm |
//! | in_doubt, held; no id; quiet period over | operator: order id, not ordered | ordered(id), queued | recorded |
//! | held with an id | operator: order id | ordered(id) | charged |
//! | held | operator: cancel | cancelled | what is charged, presumed or unproven stays |
//! | rejected, refused, ordered_elsewhere, cancelled; nothing unproven, but for what was released before it was cancelled and he says was not charged | operator: retry | stays | a new order is queued |
//! | any | [`Event::LateId`] | ordered(id) if it had none and isn't submitting, else stays | booked; a second one: alarm |
//! | queued with nothing unproven | [`Event::Superseded`] | ordered_elsewhere | 0; the row is a duplicate |
//! | any with an id but submitting | [`Event::Cleared`], every part of [`Absence`] shown | stays | presumed charges beside it are released |
//! | any without an id but submitting | [`Event::Counted`], as many rows as charges are booked, every part of [`Absence`] shown | stays | likewise |
//! | any | what is already known; an operator's word without a row | stays | nothing; he is told why |
//! | any other pair | | [`Illegal`] | unchanged; the caller raises an alarm |

mod alarm;
mod event;
mod step;
#[cfg(test)]
mod tests;

pub use alarm::Alarm;
pub use event::{
    Absence, Answer, BalanceFacts, Effect, Event, Exported, HoldFacts, KeyFacts, NoIdFacts, PauseReason,
    ProbeFacts, Released, Source, Word,
};
pub use step::{Illegal, Step, step};

use crate::types::ProviderOrderId;

/// Where an order is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Waits to be sent.
    Queued,
    /// One attempt is durable and may be on the wire.
    Submitting,
    /// An attempt was started and its outcome isn't known.
    InDoubt,
    /// Taken; the id is known.
    Ordered,
    /// Presumed taken; no id was told.
    OrderedNoId,
    /// Waits for a person.
    Held,
    /// The answer is there.
    Completed,
    /// Taken, and given back by the provider.
    Rejected,
    /// Not taken: the provider refuses the IMEI.
    Refused,
    /// The provider had it before, and not from an order of ours that we know of.
    OrderedElsewhere,
    /// Stopped before it was sent, or given up by a person.
    Cancelled,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 11] = [
        Self::Queued,
        Self::Submitting,
        Self::InDoubt,
        Self::Ordered,
        Self::OrderedNoId,
        Self::Held,
        Self::Completed,
        Self::Rejected,
        Self::Refused,
        Self::OrderedElsewhere,
        Self::Cancelled,
    ];

    /// The state's name in events and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Submitting => "submitting",
            Self::InDoubt => "in_doubt",
            Self::Ordered => "ordered",
            Self::OrderedNoId => "ordered_no_id",
            Self::Held => "held",
            Self::Completed => "completed",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::OrderedElsewhere => "ordered_elsewhere",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether an order can rest here for good.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Rejected | Self::Refused | Self::OrderedElsewhere | Self::Cancelled
        )
    }
}

/// What the life of an order depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Order {
    /// Where it is.
    pub state: State,
    /// The provider's id, once one is known.
    pub id: Option<ProviderOrderId>,
    /// Attempts that count towards `max_attempts`: all but those not sent or refused by an answer. The one in flight included.
    pub counted: u32,
    /// `max_attempts` of the configuration.
    pub max_attempts: u32,
    /// Attempts that ended, and it isn't known whether they were taken; their price is reserved.
    pub unaccounted: u32,
    /// Attempts released on absence or a person's word.
    pub inferred: u32,
    /// Attempts whose charge is presumed.
    pub presumed: u32,
    /// Charges booked, by id or by an export.
    pub charged: u32,
    /// Those of them whose id is known: an export tells none, and one can be disproved.
    pub named: u32,
    /// Ordered elsewhere, and an export brought the result.
    pub has_result: bool,
    /// That result is a rejection.
    pub is_result_rejected: bool,
}

#[allow(clippy::derivable_impls, reason = "the first state is a decision, not the first of a list")]
impl Default for State {
    fn default() -> Self {
        Self::Queued
    }
}

impl Order {
    /// A new order.
    #[must_use]
    pub fn new(max_attempts: u32) -> Self {
        Self { max_attempts, ..Self::default() }
    }

    /// Attempts of which it isn't proven whether they were taken, the one in flight left out.
    #[must_use]
    pub const fn unproven(&self) -> u32 {
        self.unaccounted.saturating_add(self.inferred).saturating_add(self.presumed)
    }

    /// Whether an attempt is left.
    #[must_use]
    pub const fn attempts_left(&self) -> bool {
        self.counted < self.max_attempts
    }

    /// Whether it keeps its IMEI taken. `expired`: completed or rejected longer ago than `recheck_after`;
    /// `retried`: a person ordered it anew.
    #[must_use]
    pub const fn is_live(&self, expired: bool, retried: bool) -> bool {
        if retried {
            return false;
        }
        match self.state {
            State::Refused => false,
            State::OrderedElsewhere => self.has_result,
            State::Cancelled => self.charged > 0 || self.unproven() > 0,
            State::Completed | State::Rejected => !expired,
            _ => true,
        }
    }
}
