//! What an operator's word does to an order, and what he is told where it does nothing.

use super::super::{Effect, Released, State, Word};
use super::Draft;
use crate::types::ProviderOrderId;

impl Draft {
    pub(super) fn word(&mut self, word: Word) -> bool {
        match word {
            Word::OrderId { id, quiet_over, booked } => self.told_id(id, quiet_over, booked),
            Word::NotOrdered { quiet_over } => self.told_not_ordered(quiet_over),
            Word::Cancel => self.told_cancel(),
            Word::Retry { not_charged } => self.told_retry(not_charged),
        }
    }

    fn tell(&mut self, why: &'static str) -> bool {
        self.effect(Effect::Tell(why));
        true
    }

    fn told_id(&mut self, id: ProviderOrderId, quiet_over: bool, booked: bool) -> bool {
        match (self.order.state, self.order.id) {
            (State::Held, Some(_)) => {
                // Of an order that was listed twice every id is booked: he says which one is to be asked after.
                if self.order.id != Some(id) && !booked {
                    self.book_id(id);
                }
                self.order.id = Some(id);
                self.to(State::Ordered)
            }
            (_, Some(known)) if known == id => self.tell("that is the id it has"),
            (State::InDoubt | State::Held, None) if quiet_over => {
                self.order.id = Some(id);
                self.book_id(id);
                self.presume_all_unproven();
                self.to(State::Ordered)
            }
            (State::InDoubt | State::Held, None) => {
                self.tell("its quiet period isn't over yet: say it again then")
            }
            _ => self.tell("it is neither in doubt nor held"),
        }
    }

    fn told_not_ordered(&mut self, quiet_over: bool) -> bool {
        match (self.order.state, self.order.id) {
            (State::InDoubt | State::Held, Some(_)) => self.tell("its order id is known, so it was ordered"),
            (State::Held, None) if self.order.charged > 0 => {
                self.tell("its charge is booked, so it was ordered")
            }
            (State::InDoubt | State::Held, None) if quiet_over => {
                self.release_all(Released::Word);
                self.to(State::Queued)
            }
            (State::InDoubt | State::Held, None) => {
                self.tell("its quiet period isn't over yet: say it again then")
            }
            _ => self.tell("it is neither in doubt nor held"),
        }
    }

    fn told_cancel(&mut self) -> bool {
        match self.order.state {
            State::Queued | State::Held => self.to(State::Cancelled),
            State::Cancelled => self.tell("it is cancelled already"),
            State::Submitting | State::InDoubt => {
                self.tell("it may be at the provider already: it can't be called back")
            }
            State::Ordered | State::OrderedNoId => {
                self.tell("it is ordered already: it can't be called back")
            }
            _ => self.tell("it has ended already"),
        }
    }

    fn told_retry(&mut self, not_charged: bool) -> bool {
        match self.order.state {
            State::Rejected | State::Refused | State::OrderedElsewhere | State::Cancelled => {}
            State::Completed => return self.tell("it is completed: its answer is there"),
            _ => return self.tell("it hasn't ended yet"),
        }
        // What was released was only taken as not ordered. In the queue it would have been sent again all the same; once it
        // was cancelled nothing is sent of it any more, and whoever wants it again says that it was not charged.
        let unproven = match self.order.state {
            State::Cancelled => self.order.unproven().saturating_sub(self.order.inferred),
            _ => self.order.unproven(),
        };
        if unproven > 0 {
            return self.tell("an attempt of it may have been taken: it would be paid twice");
        }
        if self.order.state == State::Cancelled && self.order.charged > 0 {
            return self.tell("it was charged: it would be paid twice");
        }
        if self.order.unproven() > 0 && !not_charged {
            return self.tell(
                "an attempt of it was sent and only taken as not ordered: if it was charged, it would be paid twice. Look the \
                 IMEI up at the provider, and say it with --not-charged if it was not",
            );
        }
        self.effect(Effect::NewOrder);
        true
    }
}
