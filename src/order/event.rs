//! What can happen to an order, and what follows from it.

use std::time::Duration;

use super::Alarm;
use crate::types::{NotTaken, Placed, ProviderOrderId, ProviderStatus};

/// Something that happened to an order, with the facts its meaning depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The gate lets it go; committed together with its attempt.
    Claim,
    /// The gate lets a probe go: the order is sent once more to find out.
    Probe(ProbeFacts),
    /// The answer to the attempt in flight.
    Answer(Answer),
    /// The attempt in flight will never be answered: found so at start-up, the drain ran out, its ticket was dropped.
    Lost,
    /// The journal is an older copy.
    Restored,
    /// These orders at the provider can be this one: same IMEI and service, of no other order of ours, ids above all
    /// that we knew when the first unproven attempt began.
    Listed(Vec<ProviderOrderId>),
    /// Not among the provider's orders.
    Absent(Absence),
    /// The balance accuses.
    BalanceFell(BalanceFacts),
    /// The doubt can't be settled by itself.
    Hold(HoldFacts),
    /// An order without an id can't be found.
    HoldNoId(NoIdFacts),
    /// An export has a row, or rows, that can be this order's.
    Exported(Exported),
    /// The provider tells how far its id is.
    Status(ProviderStatus),
    /// Ordered for longer than `give_up_after`, or its id is refused for it alone.
    GiveUp,
    /// The provider tells of another IMEI or service under its id: that id isn't its own.
    Disproved,
    /// An id that comes late, or a second one.
    LateId(ProviderOrderId),
    /// An older order of the key turned out to be taken.
    Superseded,
    /// Listings, or an export, show the ids that are booked for this order and no other order of its IMEI: what was
    /// presumed beside them is absent.
    Cleared(Absence),
    /// An export has so many rows of the IMEI in the time of this order's attempts, and no id of the order is known: where
    /// they are as many as its charges, what was presumed beside those is absent.
    Counted {
        /// Each of them an order at the provider, whoever made it.
        rows: u32,
        /// What else it shows.
        absence: Absence,
    },
    /// An operator says so.
    Word(Word),
}

/// What the answer to an attempt proved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Taken, with this id.
    Taken(ProviderOrderId),
    /// Never sent.
    NotSent,
    /// 429; how long it asks to wait.
    Throttled(Option<Duration>),
    /// The account is refused.
    Account,
    /// The credit is used up.
    Credit,
    /// The site is in maintenance.
    Maintenance,
    /// The service is not known.
    UnknownService,
    /// The IMEI is refused.
    InvalidImei,
    /// The provider has it already.
    AlreadyExists(KeyFacts),
    /// It may have been taken; ids that were told all the same.
    Unclear(Vec<ProviderOrderId>),
}

impl Answer {
    /// The answer behind a call's outcome; `key` is what the journal knows of the order's key.
    #[must_use]
    pub fn of(placed: &Placed, key: KeyFacts) -> Self {
        match placed {
            Placed::Taken(id) => Self::Taken(*id),
            Placed::NotTaken(NotTaken::NotSent(_)) => Self::NotSent,
            Placed::NotTaken(NotTaken::Throttled(wait)) => Self::Throttled(*wait),
            Placed::NotTaken(NotTaken::Account(_)) => Self::Account,
            Placed::NotTaken(NotTaken::Credit(_)) => Self::Credit,
            Placed::NotTaken(NotTaken::Maintenance(_)) => Self::Maintenance,
            Placed::NotTaken(NotTaken::UnknownService(_)) => Self::UnknownService,
            Placed::NotTaken(NotTaken::InvalidImei(_)) => Self::InvalidImei,
            Placed::AlreadyExists => Self::AlreadyExists(key),
            Placed::Unclear(unclear) => Self::Unclear(unclear.ids.clone()),
        }
    }
}

/// What is known of the (account, service, IMEI) beside the order itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyFacts {
    /// Another order of ours for the key has an unproven attempt.
    pub others_unproven: bool,
    /// Another order of ours for the key has a charge presumed: it is presumed once a key.
    pub others_presumed: bool,
    /// An earlier order of ours for the key exists.
    pub earlier_order: bool,
    /// The journal was once an older copy.
    pub was_copy: bool,
}

/// What must hold for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProbeFacts {
    /// The quiet period is over.
    pub quiet_over: bool,
    /// The provider lists its orders.
    pub can_list: bool,
    /// The policy is `probe`.
    pub policy_probe: bool,
    /// An older order of ours for the same key exists: its answer would be "already exists" for nothing.
    pub older_order: bool,
    /// Not older than `probe_within`.
    pub within: bool,
}

/// What makes an absence a proof good enough to release on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Absence {
    /// Absent from two listings a quiet period apart, both after the order's own; or from an export made so late.
    pub twice: bool,
    /// Every id of ours in their span is in them, finished ones among them. Where it clears: the order's own too.
    pub whole: bool,
    /// An older order of ours is in them: they reach back past the first unproven attempt.
    pub reaches_back: bool,
    /// An order of ours begun after this order's last quiet period is in them.
    pub fresh: bool,
}

/// What the balance tells. It accuses, it never acquits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BalanceFacts {
    /// The quiet period is over.
    pub quiet_over: bool,
    /// The provider lists its orders.
    pub can_list: bool,
    /// Nothing of ours in flight for a quiet period.
    pub at_rest: bool,
    /// It fell by exactly the known and all doubtful ones.
    pub fell_by_all: bool,
}

/// Why a doubt would go to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HoldFacts {
    /// The quiet period is over.
    pub quiet_over: bool,
    /// The provider lists its orders.
    pub can_list: bool,
    /// The policy is `hold`.
    pub policy_hold: bool,
    /// Older than `probe_within`; where the provider lists, three times that.
    pub too_old: bool,
    /// A listing since the doubt settled nothing.
    pub listed_since: bool,
    /// It is in no listing, and none will reach back to it again: they are cut to the latest orders, up to date, and their
    /// oldest one is newer than what we knew as its first unproven attempt began, in two of them a quiet period apart.
    pub out_of_reach: bool,
}

/// Why an order without an id would go to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoIdFacts {
    /// The balance contradicts the presumed charge.
    pub balance_contradicts: bool,
    /// The provider lists its orders.
    pub can_list: bool,
    /// Older than `probe_within`.
    pub too_old: bool,
}

/// What an export says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exported {
    /// One row that can be this order's.
    One(ProviderStatus),
    /// One row that can't be this order's, and can be an attempt's of an older order of its key, which a person had made anew
    /// as this one: that attempt was taken as not ordered.
    Older(ProviderStatus),
    /// Two or more.
    Several,
}

/// An operator's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// "It was ordered, under this id."
    OrderId {
        /// The provider's id.
        id: ProviderOrderId,
        /// Whether the quiet period is over.
        quiet_over: bool,
        /// The id is booked for this order already: one of two that were listed.
        booked: bool,
    },
    /// "It was not ordered."
    NotOrdered {
        /// Whether the quiet period is over.
        quiet_over: bool,
    },
    /// "Leave it."
    Cancel,
    /// "Order it anew." It is asked of the newest order of its key alone.
    Retry {
        /// He has seen at the provider that what was sent before was not charged.
        not_charged: bool,
    },
}

/// Which attempt of the order an effect is about. Of several the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The one in flight.
    InFlight,
    /// One that ended unknown.
    Unaccounted,
    /// One whose charge is presumed.
    Presumed,
    /// One that was released on an inference.
    Inferred,
    /// One that is charged without an id, as an export told of it or its id was disproved: the id is put to it, no money
    /// moves.
    Booked,
    /// None: the order has no attempt that it can be.
    None,
}

/// What a price was released on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Released {
    /// Absence from two listings.
    Absence,
    /// A person's word.
    Word,
    /// The provider refuses duplicates: one of several attempts was taken at most.
    OnceAKey,
}

/// Why submission stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PauseReason {
    /// The account is refused.
    Account,
    /// The credit is used up.
    Credit,
    /// The provider is in maintenance.
    Maintenance,
    /// The provider doesn't know the service.
    Service,
    /// The day's cap is reached.
    Cap,
    /// A service's first orders didn't prove right.
    Canary,
    /// An order cost more than the service's price.
    Price,
    /// The journal is an older copy.
    OlderCopy,
    /// The disk is nearly full, or the journal can't be written.
    Disk,
    /// A person said so.
    Operator,
}

impl PauseReason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Account,
        Self::Credit,
        Self::Maintenance,
        Self::Service,
        Self::Cap,
        Self::Canary,
        Self::Price,
        Self::OlderCopy,
        Self::Disk,
        Self::Operator,
    ];

    /// The word in logs and in `status`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Credit => "credit",
            Self::Maintenance => "maintenance",
            Self::Service => "service",
            Self::Cap => "cap",
            Self::Canary => "canary",
            Self::Price => "price",
            Self::OlderCopy => "older_copy",
            Self::Disk => "disk",
            Self::Operator => "operator",
        }
    }

    /// Whether it is tried again by itself, first by `accountinfo`, then by one order.
    #[must_use]
    pub const fn is_retried(self) -> bool {
        !matches!(self, Self::Operator | Self::OlderCopy | Self::Cap | Self::Disk)
    }
}

/// What follows from a step, for whoever keeps the books.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// A new attempt is begun and its price reserved.
    Begin {
        /// It is a probe.
        probe: bool,
    },
    /// An attempt that we may have made is entered as unaccounted for, its price reserved.
    AssumeAttempt,
    /// The attempt in flight was not sent: its price is released.
    EndUnsent,
    /// The attempt in flight was refused by an answer: its price is released.
    EndRefused,
    /// The attempt in flight ended unknown: its price stays reserved.
    EndUnknown,
    /// An attempt's price is charged; without an id where an export told of it.
    Charge {
        /// Which attempt.
        from: Source,
        /// The provider's id.
        id: Option<ProviderOrderId>,
    },
    /// This id isn't the order's: its charge stands, without an id.
    Unname(ProviderOrderId),
    /// One attempt's charge is presumed.
    Presume(Source),
    /// The charge of every unaccounted attempt is presumed.
    PresumeUnaccounted,
    /// The charge of every inferred attempt is presumed again.
    PresumeInferred,
    /// Every unaccounted or presumed attempt is released.
    Release(Released),
    /// Presumed charges are released: they are proven not to be there.
    ClearPresumed,
    /// Doubt begins now: the quiet period and the age count from here, absences seen are forgotten.
    StartDoubt,
    /// Ids that an unclear answer told are looked up before anything is sent again.
    LookUp(Vec<ProviderOrderId>),
    /// It isn't sent again at once; how long the provider asks to wait.
    BackOff(Option<Duration>),
    /// Nothing is submitted.
    PauseAll(PauseReason),
    /// Nothing of this service is submitted.
    PauseService(PauseReason),
    /// A person must see this.
    Alarm(Alarm),
    /// A refund of the charge is expected.
    ExpectRefund,
    /// A refund that was expected is taken back.
    RefundReturned,
    /// The row names an earlier order of ours.
    NameEarlier,
    /// A new order of the key is queued.
    NewOrder,
    /// The export's row is kept until the answer is there.
    KeepExport,
    /// The operator is told why nothing happened.
    Tell(&'static str),
}
