//! May an order go now? Pure: pauses, the day's spending and the cap come in, the brake that holds it comes out.

use crate::order::PauseReason;
use crate::types::{Money, ServiceId, Timestamp};

/// What stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Everything.
    All,
    /// One service.
    Service(ServiceId),
}

/// A pause as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// What stands still.
    pub scope: Scope,
    /// Why.
    pub reason: PauseReason,
    /// The provider's words, or ours.
    pub text: String,
    /// Since when.
    pub since: Timestamp,
    /// How often it was tried again.
    pub tries: u32,
    /// When it is tried next; `None`: it waits for a person, or for its cause to be gone.
    pub next_try: Option<Timestamp>,
    /// `accountinfo` passed: one order may go to find out.
    pub one: bool,
}

impl Pause {
    /// Whether an order of `service` stands still with it.
    #[must_use]
    pub fn covers(&self, service: ServiceId) -> bool {
        matches!(self.scope, Scope::All) || self.scope == Scope::Service(service)
    }
}

/// What keeps an order from going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brake {
    /// A pause.
    Paused,
    /// A pause that lets one order go, and nothing beside it.
    One,
}

fn strongest<'a>(pauses: impl Iterator<Item = &'a Pause>) -> Option<Brake> {
    pauses.fold(None, |brake, pause| match (brake, pause.one) {
        (Some(Brake::Paused), _) | (_, false) => Some(Brake::Paused),
        (_, true) => Some(Brake::One),
    })
}

/// The brake on everything.
#[must_use]
pub fn all(pauses: &[Pause]) -> Option<Brake> {
    strongest(pauses.iter().filter(|pause| pause.scope == Scope::All))
}

/// The brake on an order of `service`.
#[must_use]
pub fn service(pauses: &[Pause], service: ServiceId) -> Option<Brake> {
    strongest(pauses.iter().filter(|pause| pause.covers(service)))
}

/// Whether one more order of this price stays within the cap.
#[must_use]
pub fn fits(used: Money, price: Money, per_day: Option<Money>) -> bool {
    let Some(cap) = per_day else { return true };
    used.checked_add(price).is_some_and(|after| after <= cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(scope: Scope, one: bool) -> Pause {
        Pause {
            scope,
            reason: PauseReason::Credit,
            text: String::new(),
            since: Timestamp::default(),
            tries: 0,
            next_try: None,
            one,
        }
    }

    #[test]
    fn a_pause_of_one_service_holds_only_its_orders() {
        let pauses = [pause(Scope::Service(ServiceId(1)), false)];
        assert_eq!(all(&pauses), None);
        assert_eq!(service(&pauses, ServiceId(1)), Some(Brake::Paused));
        assert_eq!(service(&pauses, ServiceId(2)), None);
    }

    #[test]
    fn a_pause_that_lets_one_go_gives_way_to_one_that_lets_none_go() {
        let pauses = [pause(Scope::All, true), pause(Scope::All, false)];
        assert_eq!(all(&pauses), Some(Brake::Paused));
        assert_eq!(all(&pauses[..1]), Some(Brake::One));
    }

    #[test]
    fn the_cap_is_reached_exactly_and_never_passed() {
        let price = Money::from_micros(80_000);
        let cap = Some(Money::from_micros(160_000));
        assert!(fits(Money::from_micros(80_000), price, cap));
        assert!(!fits(Money::from_micros(80_001), price, cap));
        assert!(!fits(Money::from_micros(i64::MAX), price, cap));
        assert!(fits(Money::from_micros(i64::MAX), price, None));
    }
}
