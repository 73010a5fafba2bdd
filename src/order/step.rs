//! The function itself. Each state has its own short match; what holds for any state comes first.

mod books;
mod export;
mod word;

use crate::types::{ProviderOrderId, ProviderStatus};

use super::{
    Absence, Alarm, Answer, BalanceFacts, Effect, Event, HoldFacts, KeyFacts, NoIdFacts, Order, PauseReason,
    ProbeFacts, Released, Source, State,
};

/// What becomes of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The order afterwards.
    pub order: Order,
    /// What the books and the daemon do about it.
    pub effects: Vec<Effect>,
}

/// The table has no row for this pair: the order is unchanged, and a person must see it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {} can't be told {event}", from.as_str())]
pub struct Illegal {
    /// The state it is in.
    pub from: State,
    /// The event, in short.
    pub event: String,
}

/// What becomes of `order` when `event` happens: the table in the [module's documentation](super).
///
/// # Errors
/// [`Illegal`] where the table has no row for the pair.
pub fn step(order: &Order, event: &Event) -> Result<Step, Illegal> {
    let mut next = Draft { order: order.clone(), effects: Vec::new() };
    if next.apply(event) {
        Ok(Step { order: next.order, effects: next.effects })
    } else {
        Err(Illegal { from: order.state, event: format!("{event:?}") })
    }
}

/// An order on its way to what it will be. The methods return whether the table has such a row.
struct Draft {
    order: Order,
    effects: Vec<Effect>,
}

impl Draft {
    fn apply(&mut self, event: &Event) -> bool {
        match event {
            Event::Claim => self.claim(),
            Event::Probe(facts) => self.probe(*facts),
            Event::Answer(answer) => self.order.state == State::Submitting && self.answer(answer),
            Event::Lost => self.order.state == State::Submitting && self.unclear(Vec::new()),
            Event::Restored => self.restored(),
            Event::Listed(ids) => self.listed(ids),
            Event::Absent(absence) => self.absent(*absence),
            Event::BalanceFell(facts) => self.balance_fell(*facts),
            Event::Hold(facts) => self.hold(*facts),
            Event::HoldNoId(facts) => self.hold_no_id(*facts),
            Event::Exported(exported) => self.exported(*exported),
            Event::Status(status) => self.status(*status),
            Event::GiveUp => self.order.state == State::Ordered && self.to(State::Held),
            Event::Disproved => self.disproved(),
            Event::LateId(id) => self.late_id(*id),
            Event::Superseded => self.superseded(),
            Event::Cleared(absence) => self.cleared(*absence),
            Event::Counted { rows, absence } => self.counted(*rows, *absence),
            Event::Word(word) => self.word(*word),
        }
    }

    fn to(&mut self, state: State) -> bool {
        self.order.state = state;
        true
    }

    fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    // ---- sending -------------------------------------------------------------------------------------------

    fn claim(&mut self) -> bool {
        self.order.state == State::Queued && self.begin(false)
    }

    fn probe(&mut self, facts: ProbeFacts) -> bool {
        let ProbeFacts { quiet_over, can_list, policy_probe, older_order, within } = facts;
        self.order.state == State::InDoubt
            && self.order.id.is_none()
            && quiet_over
            && !can_list
            && policy_probe
            && !older_order
            && within
            && self.order.attempts_left()
            && self.begin(true)
    }

    fn begin(&mut self, probe: bool) -> bool {
        self.order.counted = self.order.counted.saturating_add(1);
        self.effect(Effect::Begin { probe });
        self.to(State::Submitting)
    }

    fn answer(&mut self, answer: &Answer) -> bool {
        match answer {
            Answer::Taken(id) => self.taken(*id),
            Answer::NotSent => self.not_taken(Effect::EndUnsent, Effect::BackOff(None)),
            Answer::Throttled(wait) => self.not_taken(Effect::EndRefused, Effect::BackOff(*wait)),
            Answer::Account => self.not_taken(Effect::EndRefused, Effect::PauseAll(PauseReason::Account)),
            Answer::Credit => self.not_taken(Effect::EndRefused, Effect::PauseAll(PauseReason::Credit)),
            Answer::Maintenance => {
                self.not_taken(Effect::EndRefused, Effect::PauseAll(PauseReason::Maintenance))
            }
            Answer::UnknownService => {
                self.not_taken(Effect::EndRefused, Effect::PauseService(PauseReason::Service))
            }
            Answer::InvalidImei => self.invalid_imei(),
            Answer::AlreadyExists(key) => self.already_exists(*key),
            Answer::Unclear(ids) => self.unclear(ids.clone()),
        }
    }

    fn taken(&mut self, id: ProviderOrderId) -> bool {
        match self.order.id {
            // Its id came by another way while the answer was on its way: it is booked already, nothing more is owed.
            Some(known) if known == id => self.effect(Effect::EndRefused),
            Some(_) => {
                self.charge(Source::InFlight, Some(id));
                self.effect(Effect::Alarm(Alarm::DoubleCharge));
            }
            None => self.charge(Source::InFlight, Some(id)),
        }
        self.order.id = Some(id);
        self.presume_unaccounted();
        self.to(State::Ordered)
    }

    fn not_taken(&mut self, end: Effect, then: Effect) -> bool {
        self.end_proven(end);
        self.effect(then);
        if self.order.id.is_some() {
            return self.becomes_ordered();
        }
        // The answer proves this attempt only: an earlier one may still have been taken.
        let back = if self.order.unaccounted > 0 { State::InDoubt } else { State::Queued };
        self.to(back)
    }

    fn invalid_imei(&mut self) -> bool {
        self.end_proven(Effect::EndRefused);
        if self.order.id.is_some() {
            return self.becomes_ordered();
        }
        if self.order.unaccounted > 0 {
            self.effect(Effect::BackOff(None));
            return self.to(State::InDoubt);
        }
        self.to(State::Refused)
    }

    fn already_exists(&mut self, key: KeyFacts) -> bool {
        self.end_proven(Effect::EndRefused);
        if self.order.id.is_some() {
            return self.becomes_ordered();
        }
        if self.order.unproven() == 0 && !key.others_unproven && !key.was_copy {
            if key.earlier_order {
                self.effect(Effect::NameEarlier);
            }
            return self.to(State::OrderedElsewhere);
        }
        self.presume_once(key.others_presumed);
        self.to(State::OrderedNoId)
    }

    fn unclear(&mut self, ids: Vec<ProviderOrderId>) -> bool {
        self.effect(Effect::EndUnknown);
        self.order.unaccounted = self.order.unaccounted.saturating_add(1);
        if !ids.is_empty() {
            self.effect(Effect::LookUp(ids));
        }
        // Its id may have come by another way; this attempt's quiet period begins all the same.
        self.effect(Effect::StartDoubt);
        if self.order.id.is_some() {
            return self.becomes_ordered();
        }
        self.to(State::InDoubt)
    }

    /// The id is known: what is still unaccounted for beside it stays presumed.
    fn becomes_ordered(&mut self) -> bool {
        self.presume_unaccounted();
        self.to(State::Ordered)
    }

    fn restored(&mut self) -> bool {
        if !matches!(self.order.state, State::Queued | State::Submitting | State::InDoubt) {
            return false;
        }
        if self.order.state == State::Submitting {
            self.effect(Effect::EndUnknown);
            self.order.unaccounted = self.order.unaccounted.saturating_add(1);
        }
        // What the original did after the copy was made is not in the copy: it may have sent this order (again).
        self.effect(Effect::AssumeAttempt);
        self.order.unaccounted = self.order.unaccounted.saturating_add(1);
        self.order.counted = self.order.counted.saturating_add(1);
        self.effect(Effect::PauseAll(PauseReason::OlderCopy));
        self.effect(Effect::StartDoubt);
        if self.order.id.is_some() {
            return self.becomes_ordered();
        }
        self.to(State::InDoubt)
    }

    // ---- evidence ------------------------------------------------------------------------------------------

    fn listed(&mut self, ids: &[ProviderOrderId]) -> bool {
        let [first, more @ ..] = ids else { return false };
        if self.order.id == Some(*first) && more.is_empty() {
            return true;
        }
        if !self.seeks_id() {
            return false;
        }
        for id in ids {
            self.book_id(*id);
        }
        self.order.id = Some(*first);
        self.presume_all_unproven();
        if more.is_empty() {
            return self.to(State::Ordered);
        }
        self.effect(Effect::Alarm(Alarm::DoubleCharge));
        self.to(State::Held)
    }

    /// In doubt, ordered or held without an id, or queued after a release.
    const fn seeks_id(&self) -> bool {
        self.order.id.is_none()
            && match self.order.state {
                State::InDoubt | State::OrderedNoId | State::Held => true,
                State::Queued => self.order.inferred > 0,
                _ => false,
            }
    }

    fn absent(&mut self, absence: Absence) -> bool {
        if self.order.state != State::InDoubt || !is_proven(absence) {
            return false;
        }
        self.release_all(Released::Absence);
        let back = if self.order.attempts_left() { State::Queued } else { State::Held };
        self.to(back)
    }

    fn balance_fell(&mut self, facts: BalanceFacts) -> bool {
        let BalanceFacts { quiet_over, can_list, at_rest, fell_by_all } = facts;
        if self.order.state != State::InDoubt || !quiet_over || can_list || !at_rest || !fell_by_all {
            return false;
        }
        self.presume_once(false);
        self.to(State::OrderedNoId)
    }

    fn hold(&mut self, facts: HoldFacts) -> bool {
        let HoldFacts { quiet_over, can_list, policy_hold, too_old, listed_since, out_of_reach } = facts;
        let used_up = !self.order.attempts_left() && (!can_list || listed_since);
        self.order.state == State::InDoubt
            && quiet_over
            && ((!can_list && policy_hold) || too_old || out_of_reach || used_up)
            && self.to(State::Held)
    }

    fn hold_no_id(&mut self, facts: NoIdFacts) -> bool {
        let NoIdFacts { balance_contradicts, can_list, too_old } = facts;
        self.order.state == State::OrderedNoId
            && (balance_contradicts || !can_list || too_old)
            && self.to(State::Held)
    }

    fn status(&mut self, status: ProviderStatus) -> bool {
        match (self.order.state, status) {
            (State::Ordered, ProviderStatus::Pending)
            | (State::Completed, ProviderStatus::Completed | ProviderStatus::Pending)
            | (State::Rejected, ProviderStatus::Rejected | ProviderStatus::Pending) => true,
            (State::Held, _) if self.order.id.is_none() => false,
            (State::Held, ProviderStatus::Pending) => true,
            (State::Ordered | State::Held, ProviderStatus::Completed) => self.to(State::Completed),
            (State::Ordered | State::Held, ProviderStatus::Rejected) => self.rejected(),
            (State::Completed, ProviderStatus::Rejected) => {
                self.effect(Effect::Alarm(Alarm::StatusChanged));
                self.rejected()
            }
            (State::Rejected, ProviderStatus::Completed) => {
                self.effect(Effect::Alarm(Alarm::StatusChanged));
                self.effect(Effect::RefundReturned);
                self.to(State::Completed)
            }
            _ => false,
        }
    }

    fn rejected(&mut self) -> bool {
        self.effect(Effect::ExpectRefund);
        self.to(State::Rejected)
    }

    /// What was answered when it was taken proves that it was, so its charge stands; under which id isn't known any more.
    fn disproved(&mut self) -> bool {
        let Some(id) = self.order.id else { return false };
        if !matches!(self.order.state, State::Ordered | State::Held) {
            return false;
        }
        // Of one with several ids a person says which one's answer counts.
        if self.order.named == 1 {
            self.order.id = None;
            self.order.named = 0;
            self.effect(Effect::Unname(id));
        }
        self.to(State::Held)
    }

    fn late_id(&mut self, id: ProviderOrderId) -> bool {
        match self.order.id {
            Some(known) if known == id => return true,
            // Of two charges that an export told of: the alarm was raised then.
            Some(_) if self.has_unnamed() => {
                self.book_id(id);
                return true;
            }
            Some(_) => {
                self.book_id(id);
                self.effect(Effect::Alarm(Alarm::DoubleCharge));
                return true;
            }
            None => {}
        }
        self.order.id = Some(id);
        self.book_id(id);
        match self.order.state {
            State::Submitting | State::Completed | State::Rejected => true,
            _ => self.becomes_ordered(),
        }
    }

    fn superseded(&mut self) -> bool {
        if self.order.state != State::Queued || self.order.unproven() > 0 {
            return false;
        }
        self.effect(Effect::NameEarlier);
        self.to(State::OrderedElsewhere)
    }

    fn cleared(&mut self, absence: Absence) -> bool {
        if self.order.id.is_none() || self.order.state == State::Submitting || !is_proven(absence) {
            return false;
        }
        // An export told of a charge whose id isn't known: then what shows one order of the IMEI doesn't show all.
        if !self.has_unnamed() {
            self.clear_presumed();
        }
        true
    }

    /// Whichever of its attempts a row is of, or whoever ordered it: no more of them were taken than there are rows.
    fn counted(&mut self, rows: u32, absence: Absence) -> bool {
        let is_open = self.order.state == State::Submitting || self.order.unaccounted > 0;
        if self.order.id.is_some() || is_open || !is_proven(absence) {
            return false;
        }
        if self.order.charged == 0 || rows != self.order.charged {
            return false;
        }
        self.clear_presumed();
        true
    }

    fn clear_presumed(&mut self) {
        if self.order.presumed > 0 {
            self.order.presumed = 0;
            self.effect(Effect::ClearPresumed);
        }
    }
}

/// Every part of the proof is there.
const fn is_proven(absence: Absence) -> bool {
    let Absence { twice, whole, reaches_back, fresh } = absence;
    twice && whole && reaches_back && fresh
}
