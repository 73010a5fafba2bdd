//! The table as a golden file, and the traces that broke its drafts.

mod booked_once;
mod disproved;
mod table;
mod traces;

use super::*;

/// A quiet period is over, and nothing but the policy `hold` ends the doubt.
const POLICY_HOLDS: HoldFacts = HoldFacts {
    quiet_over: true,
    can_list: false,
    policy_hold: true,
    too_old: false,
    listed_since: false,
    out_of_reach: false,
};

/// Steps `order` through `events`, each of which must be legal; returns where it ends and the last effects.
fn run(order: Order, events: &[Event]) -> (Order, Vec<Effect>) {
    let mut effects = Vec::new();
    let mut order = order;
    for event in events {
        let done = step(&order, event).unwrap_or_else(|illegal| panic!("{illegal}"));
        order = done.order;
        effects = done.effects;
    }
    (order, effects)
}

fn order() -> Order {
    Order::new(3)
}

fn id(n: u64) -> ProviderOrderId {
    ProviderOrderId(n)
}

fn taken(n: u64) -> Event {
    Event::Answer(Answer::Taken(id(n)))
}

fn unclear() -> Event {
    Event::Answer(Answer::Unclear(Vec::new()))
}

fn exists() -> Event {
    Event::Answer(Answer::AlreadyExists(KeyFacts::default()))
}

const MAY_PROBE: ProbeFacts =
    ProbeFacts { quiet_over: true, can_list: false, policy_probe: true, older_order: false, within: true };

const PROVEN_ABSENT: Absence = Absence { twice: true, whole: true, reaches_back: true, fresh: true };

fn probe() -> Event {
    Event::Probe(MAY_PROBE)
}
