//! The numbers that stand for states, links and verdicts in the journal. They are on disk: add, never change.

use crate::order::State;

/// A state's number in `orders.state` and `tallies.state`.
pub(crate) const fn state_code(state: State) -> i64 {
    match state {
        State::Queued => 0,
        State::Submitting => 1,
        State::InDoubt => 2,
        State::Ordered => 3,
        State::OrderedNoId => 4,
        State::Held => 5,
        State::Completed => 6,
        State::Rejected => 7,
        State::Refused => 8,
        State::OrderedElsewhere => 9,
        State::Cancelled => 10,
    }
}

/// The state behind a number; `None` for one that a newer version wrote.
pub(crate) fn state_of(code: i64) -> Option<State> {
    State::ALL.into_iter().find(|state| state_code(*state) == code)
}

/// `orders.has_result`: whether an export brought the result of an order that isn't ours, and if so which.
pub(crate) const fn result_code(has_result: bool, is_rejected: bool) -> i64 {
    match (has_result, is_rejected) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => RESULT_REJECTED,
    }
}

/// `orders.has_result` of one that the provider gave back.
pub(crate) const RESULT_REJECTED: i64 = 2;

/// `tallies.state` of rows that are no IMEI.
pub(crate) const TALLY_INVALID: i64 = 100;
/// `tallies.state` of rows whose order the provider had already, from an order of ours or one that an export told of.
pub(crate) const TALLY_DUPLICATE: i64 = 101;

/// How a row stands to its order (`rows.link`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// The order belongs to this row.
    Own,
    /// The order was in work when the row came: it ends as the order ends.
    Joined,
    /// The order had ended when the row came: answered free from it.
    Earlier,
    /// Not an IMEI: no order.
    Invalid,
    /// Its batch was cancelled, and the order that was its own went on for another batch's row.
    Left,
}

impl Link {
    /// Every link.
    pub const ALL: [Self; 5] = [Self::Own, Self::Joined, Self::Earlier, Self::Invalid, Self::Left];

    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Own => 0,
            Self::Joined => 1,
            Self::Earlier => 2,
            Self::Invalid => 3,
            Self::Left => 4,
        }
    }

    pub(crate) fn of(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|link| link.code() == code)
    }
}

/// `attempts.kind` of one that was entered on evidence: it began whenever it did, its row tells when it was found.
pub(crate) const EVIDENCE: i64 = 2;

/// `attempts.kind` of one that is taken as made after an older copy was: its row tells when it began at the earliest.
/// Journals of before have [`EVIDENCE`] there.
pub(crate) const ASSUMED: i64 = 3;

/// How an attempt ended (`attempts.verdict`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Charged.
    Taken,
    /// Never sent.
    Unsent,
    /// Refused by an answer.
    Refused,
    /// Not known.
    Unknown,
    /// Its charge is presumed.
    Presumed,
    /// Released on absence.
    Absent,
    /// Released on a person's word.
    Word,
    /// Released because the provider takes an IMEI once.
    Once,
    /// Presumed for a while, then proven not to be there.
    Cleared,
}

impl Verdict {
    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Taken => 0,
            Self::Unsent => 1,
            Self::Refused => 2,
            Self::Unknown => 3,
            Self::Presumed => 4,
            Self::Absent => 5,
            Self::Word => 6,
            Self::Once => 7,
            Self::Cleared => 8,
        }
    }

    const ALL: [Self; 9] = [
        Self::Taken,
        Self::Unsent,
        Self::Refused,
        Self::Unknown,
        Self::Presumed,
        Self::Absent,
        Self::Word,
        Self::Once,
        Self::Cleared,
    ];

    pub(crate) fn of(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.code() == code)
    }

    /// The word in `show --json`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Unsent => "unsent",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Presumed => "presumed",
            Self::Absent => "absent",
            Self::Word => "word",
            Self::Once => "once",
            Self::Cleared => "cleared",
        }
    }
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BatchState {
    /// Its rows are being journaled.
    Taking,
    /// Its orders go out and come back.
    Working,
    /// Waits for a person.
    Held,
    /// Its result is out, some rows are still open.
    Published,
    /// All is settled and out.
    Done,
    /// Stopped by a person, and out.
    Cancelled,
}

impl BatchState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Taking, Self::Working, Self::Held, Self::Published, Self::Done, Self::Cancelled];

    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Taking => 0,
            Self::Working => 1,
            Self::Held => 2,
            Self::Published => 3,
            Self::Done => 4,
            Self::Cancelled => 5,
        }
    }

    pub(crate) fn of(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }

    /// Whether nothing more becomes of the batch.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Cancelled)
    }

    /// The word in `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taking => "taking",
            Self::Working => "working",
            Self::Held => "held",
            Self::Published => "published",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}
