//! What the provider's export says of an order.

use super::super::{Alarm, Effect, Exported, Source, State};
use super::Draft;
use crate::types::ProviderStatus;

impl Draft {
    pub(super) fn exported(&mut self, exported: Exported) -> bool {
        let status = match (self.order.state, exported) {
            (State::Submitting, _) => {
                self.effect(Effect::KeepExport);
                return true;
            }
            (
                State::Completed | State::Rejected | State::Ordered | State::Refused,
                Exported::One(_) | Exported::Older(_),
            ) => return true,
            (State::Queued, Exported::One(status)) if self.order.unproven() == 0 => {
                return self.elsewhere_with_result(status);
            }
            (State::OrderedElsewhere, Exported::One(status)) => return self.elsewhere_with_result(status),
            (State::Cancelled, _) if self.order.unproven() == 0 && self.order.charged == 0 => return false,
            (
                State::InDoubt | State::OrderedNoId | State::Held | State::Cancelled | State::Queued,
                exported,
            ) => match exported {
                Exported::One(status) => status,
                Exported::Older(status) => return self.older_is_shown(status),
                Exported::Several => return self.exported_twice(),
            },
            _ => return false,
        };
        if self.order.charged == 0 {
            let from = self.any_source();
            self.charge(from, None);
        }
        self.shown(status)
    }

    /// What it sent itself isn't what is shown, and may have been taken too. A charge that is presumed can be either; an id
    /// is its own, and then what is shown was charged beside it: people are told, and nothing is booked for it.
    fn older_is_shown(&mut self, status: ProviderStatus) -> bool {
        if self.order.id.is_some() {
            return true;
        }
        if self.order.charged == 0 {
            let from = if self.order.presumed > 0 { Source::Presumed } else { Source::None };
            self.charge(from, None);
        }
        self.shown(status)
    }

    fn shown(&mut self, status: ProviderStatus) -> bool {
        self.presume_all_unproven();
        match status {
            ProviderStatus::Completed => self.to(State::Completed),
            ProviderStatus::Rejected => self.rejected(),
            ProviderStatus::Pending if self.order.id.is_some() => self.to(State::Ordered),
            ProviderStatus::Pending => self.to(State::OrderedNoId),
        }
    }

    fn exported_twice(&mut self) -> bool {
        while self.order.charged < 2 {
            let from = self.any_source();
            self.charge(from, None);
        }
        self.presume_all_unproven();
        self.effect(Effect::Alarm(Alarm::DoubleCharge));
        self.to(State::Held)
    }

    fn elsewhere_with_result(&mut self, status: ProviderStatus) -> bool {
        if status == ProviderStatus::Pending {
            return true;
        }
        // A completed check beats a rejection.
        let is_answered = self.order.has_result && !self.order.is_result_rejected;
        self.order.has_result = true;
        self.order.is_result_rejected = status == ProviderStatus::Rejected && !is_answered;
        self.to(State::OrderedElsewhere)
    }
}
