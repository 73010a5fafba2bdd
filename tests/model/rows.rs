//! The rows of DESIGN §3's table, and which of them the stories took.

use std::collections::BTreeSet;

use imeid::order::{Answer, Effect, Event, Exported, State, Word};
use imeid::types::ProviderStatus;

/// An event without its facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Claim,
    Probe,
    Taken,
    NotSent,
    Throttled,
    Account,
    Credit,
    Maintenance,
    UnknownService,
    InvalidImei,
    AlreadyExists,
    Unclear,
    Lost,
    Restored,
    ListedOnce,
    ListedTwice,
    Absent,
    BalanceFell,
    Hold,
    HoldNoId,
    ExportedOne,
    ExportedSeveral,
    ExportedOlder,
    Pending,
    Completed,
    Rejected,
    GiveUp,
    Disproved,
    LateId,
    Superseded,
    Cleared,
    Counted,
    SaidId,
    SaidNotOrdered,
    SaidCancel,
    SaidRetry,
}

/// Every kind of event.
pub(crate) const KINDS: [Kind; 36] = [
    Kind::Claim,
    Kind::Probe,
    Kind::Taken,
    Kind::NotSent,
    Kind::Throttled,
    Kind::Account,
    Kind::Credit,
    Kind::Maintenance,
    Kind::UnknownService,
    Kind::InvalidImei,
    Kind::AlreadyExists,
    Kind::Unclear,
    Kind::Lost,
    Kind::Restored,
    Kind::ListedOnce,
    Kind::ListedTwice,
    Kind::Absent,
    Kind::BalanceFell,
    Kind::Hold,
    Kind::HoldNoId,
    Kind::ExportedOne,
    Kind::ExportedSeveral,
    Kind::ExportedOlder,
    Kind::Pending,
    Kind::Completed,
    Kind::Rejected,
    Kind::GiveUp,
    Kind::Disproved,
    Kind::LateId,
    Kind::Superseded,
    Kind::Cleared,
    Kind::Counted,
    Kind::SaidId,
    Kind::SaidNotOrdered,
    Kind::SaidCancel,
    Kind::SaidRetry,
];

/// Every effect.
pub(crate) const EFFECTS: [&str; 24] = [
    "begin",
    "assume attempt",
    "end unsent",
    "end refused",
    "end unknown",
    "charge",
    "unname",
    "presume",
    "presume unaccounted",
    "presume inferred",
    "release",
    "clear presumed",
    "start doubt",
    "look up",
    "back off",
    "pause all",
    "pause service",
    "alarm",
    "expect refund",
    "refund returned",
    "name earlier",
    "new order",
    "keep export",
    "tell",
];

/// The kind of an event.
pub(crate) fn kind(event: &Event) -> Kind {
    match event {
        Event::Claim => Kind::Claim,
        Event::Probe(_) => Kind::Probe,
        Event::Answer(answer) => match answer {
            Answer::Taken(_) => Kind::Taken,
            Answer::NotSent => Kind::NotSent,
            Answer::Throttled(_) => Kind::Throttled,
            Answer::Account => Kind::Account,
            Answer::Credit => Kind::Credit,
            Answer::Maintenance => Kind::Maintenance,
            Answer::UnknownService => Kind::UnknownService,
            Answer::InvalidImei => Kind::InvalidImei,
            Answer::AlreadyExists(_) => Kind::AlreadyExists,
            Answer::Unclear(_) => Kind::Unclear,
        },
        Event::Lost => Kind::Lost,
        Event::Restored => Kind::Restored,
        Event::Listed(ids) if ids.len() == 1 => Kind::ListedOnce,
        Event::Listed(_) => Kind::ListedTwice,
        Event::Absent(_) => Kind::Absent,
        Event::BalanceFell(_) => Kind::BalanceFell,
        Event::Hold(_) => Kind::Hold,
        Event::HoldNoId(_) => Kind::HoldNoId,
        Event::Exported(Exported::One(_)) => Kind::ExportedOne,
        Event::Exported(Exported::Several) => Kind::ExportedSeveral,
        Event::Exported(Exported::Older(_)) => Kind::ExportedOlder,
        Event::Status(ProviderStatus::Pending) => Kind::Pending,
        Event::Status(ProviderStatus::Completed) => Kind::Completed,
        Event::Status(ProviderStatus::Rejected) => Kind::Rejected,
        Event::GiveUp => Kind::GiveUp,
        Event::Disproved => Kind::Disproved,
        Event::LateId(_) => Kind::LateId,
        Event::Superseded => Kind::Superseded,
        Event::Cleared(_) => Kind::Cleared,
        Event::Counted { .. } => Kind::Counted,
        Event::Word(Word::OrderId { .. }) => Kind::SaidId,
        Event::Word(Word::NotOrdered { .. }) => Kind::SaidNotOrdered,
        Event::Word(Word::Cancel) => Kind::SaidCancel,
        Event::Word(Word::Retry { .. }) => Kind::SaidRetry,
    }
}

/// An effect without what it is about.
pub(crate) fn effect(effect: &Effect) -> &'static str {
    match effect {
        Effect::Begin { .. } => "begin",
        Effect::AssumeAttempt => "assume attempt",
        Effect::EndUnsent => "end unsent",
        Effect::EndRefused => "end refused",
        Effect::EndUnknown => "end unknown",
        Effect::Charge { .. } => "charge",
        Effect::Unname(_) => "unname",
        Effect::Presume(_) => "presume",
        Effect::PresumeUnaccounted => "presume unaccounted",
        Effect::PresumeInferred => "presume inferred",
        Effect::Release(_) => "release",
        Effect::ClearPresumed => "clear presumed",
        Effect::StartDoubt => "start doubt",
        Effect::LookUp(_) => "look up",
        Effect::BackOff(_) => "back off",
        Effect::PauseAll(_) => "pause all",
        Effect::PauseService(_) => "pause service",
        Effect::Alarm(_) => "alarm",
        Effect::ExpectRefund => "expect refund",
        Effect::RefundReturned => "refund returned",
        Effect::NameEarlier => "name earlier",
        Effect::NewOrder => "new order",
        Effect::KeepExport => "keep export",
        Effect::Tell(_) => "tell",
    }
}

/// A row of the table: each of these states was told each of these events, and led to each of those.
pub(crate) struct Row {
    pub(crate) says: &'static str,
    from: &'static [State],
    kinds: &'static [Kind],
    to: &'static [State],
}

impl Row {
    /// Whether it has this kind of event.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// What of it no story took.
    pub(crate) fn missing(&self, taken: &BTreeSet<(State, Kind, State)>) -> Vec<String> {
        let fits = |(from, kind, to): &&(State, Kind, State)| {
            self.from.contains(from) && self.kinds.contains(kind) && self.to.contains(to)
        };
        let took: Vec<_> = taken.iter().filter(fits).collect();
        let mut missing = Vec::new();
        missing.extend(
            self.from.iter().filter(|s| !took.iter().any(|t| t.0 == **s)).map(|s| format!("from {s:?}")),
        );
        missing
            .extend(self.kinds.iter().filter(|k| !took.iter().any(|t| t.1 == **k)).map(|k| format!("{k:?}")));
        missing
            .extend(self.to.iter().filter(|s| !took.iter().any(|t| t.2 == **s)).map(|s| format!("to {s:?}")));
        missing
    }
}

/// The rows that no story takes, and why.
pub(crate) const NOT_MODELLED: &[(&str, &str)] = &[
    ("a row of a batch makes an order", "no event of the function: `Drop` in the stories does it"),
    ("any other pair is illegal", "the golden table has every pair"),
];

/// The table's rows.
pub(crate) const ROWS: &[Row] = {
    use Kind as K;
    use State::{
        Cancelled, Completed, Held, InDoubt, Ordered, OrderedElsewhere, OrderedNoId, Queued, Refused,
        Rejected, Submitting,
    };
    const fn row(
        says: &'static str,
        from: &'static [State],
        kinds: &'static [Kind],
        to: &'static [State],
    ) -> Row {
        Row { says, from, kinds, to }
    }
    &[
        row("the gate lets it go", &[Queued], &[K::Claim], &[Submitting]),
        row("an operator cancels what is unsent", &[Queued], &[K::SaidCancel], &[Cancelled]),
        row("the journal is an older copy", &[Queued, Submitting, InDoubt], &[K::Restored], &[InDoubt]),
        row("taken", &[Submitting], &[K::Taken], &[Ordered]),
        row("not sent, 429", &[Submitting], &[K::NotSent, K::Throttled], &[Queued, InDoubt]),
        row(
            "account, credit, maintenance",
            &[Submitting],
            &[K::Account, K::Credit, K::Maintenance],
            &[Queued, InDoubt],
        ),
        row("the service is unknown", &[Submitting], &[K::UnknownService], &[Queued, InDoubt]),
        row("the IMEI is refused", &[Submitting], &[K::InvalidImei], &[Refused, InDoubt]),
        row("it exists, not from us", &[Submitting], &[K::AlreadyExists], &[OrderedElsewhere]),
        row("it exists, perhaps from us", &[Submitting], &[K::AlreadyExists], &[OrderedNoId]),
        row("anything else", &[Submitting], &[K::Unclear], &[InDoubt]),
        row("lost", &[Submitting], &[K::Lost], &[InDoubt]),
        row("listed once", &[InDoubt, OrderedNoId, Held, Queued], &[K::ListedOnce], &[Ordered]),
        row("listed twice", &[InDoubt, Held, Queued], &[K::ListedTwice], &[Held]),
        row("absent twice", &[InDoubt], &[K::Absent], &[Queued, Held]),
        row("the balance fell by all", &[InDoubt], &[K::BalanceFell], &[OrderedNoId]),
        row("a probe", &[InDoubt], &[K::Probe], &[Submitting]),
        row("too old, used up, or the policy", &[InDoubt], &[K::Hold], &[Held]),
        row("without id, and it can't be found", &[OrderedNoId], &[K::HoldNoId], &[Held]),
        row(
            "an export's row",
            &[InDoubt, OrderedNoId, Held, Cancelled, Queued],
            &[K::ExportedOne],
            &[Completed, Rejected, OrderedNoId],
        ),
        row("two rows of an export", &[InDoubt, Held], &[K::ExportedSeveral], &[Held]),
        row(
            "an export of what was sent before it was made anew",
            &[Queued],
            &[K::ExportedOlder],
            &[OrderedNoId, Completed],
        ),
        row("an export while it is on its way", &[Submitting], &[K::ExportedOne], &[Submitting]),
        row(
            "an export of others' orders",
            &[Queued, OrderedElsewhere],
            &[K::ExportedOne],
            &[OrderedElsewhere],
        ),
        row("its answer", &[Ordered, Held], &[K::Completed, K::Rejected], &[Completed, Rejected]),
        row("still pending", &[Ordered], &[K::Pending], &[Ordered]),
        row("given up", &[Ordered], &[K::GiveUp], &[Held]),
        row("its id is another's", &[Ordered, Held], &[K::Disproved], &[Held]),
        row("completed, then rejected", &[Completed], &[K::Rejected], &[Rejected]),
        row("rejected, then completed", &[Rejected], &[K::Completed], &[Completed]),
        row("told its id", &[InDoubt, Held], &[K::SaidId], &[Ordered]),
        row("told that it was not ordered", &[InDoubt, Held], &[K::SaidNotOrdered], &[Queued]),
        row("an operator cancels what is held", &[Held], &[K::SaidCancel], &[Cancelled]),
        row(
            "an operator orders anew",
            &[Rejected, Refused, OrderedElsewhere, Cancelled],
            &[K::SaidRetry],
            &[Rejected, Refused, OrderedElsewhere, Cancelled],
        ),
        row("a late id", &[InDoubt, Queued], &[K::LateId], &[Ordered]),
        row("a late id while another attempt is on its way", &[Submitting], &[K::LateId], &[Submitting]),
        row("a second id", &[Ordered], &[K::LateId], &[Ordered]),
        row(
            "a newer order never sent ends as its duplicate",
            &[Queued],
            &[K::Superseded],
            &[OrderedElsewhere],
        ),
        row("what was presumed is cleared", &[Ordered, Completed], &[K::Cleared], &[Ordered, Completed]),
        row(
            "what was presumed beside a charge without id is cleared",
            &[OrderedNoId, Completed],
            &[K::Counted],
            &[OrderedNoId, Completed],
        ),
    ]
};
