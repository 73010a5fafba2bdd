//! A request as the provider reads it, and what the simulator will do with it.

use std::time::Duration;

use super::faults::Fault;

/// A request's parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    params: Vec<(String, String)>,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller<'a> {
    /// `userId`.
    pub user: &'a str,
    /// `apiKey`.
    pub key: &'a str,
}

impl Call {
    /// A request with these parameters, `apiKey`, `userId` and `action` among them.
    #[must_use]
    pub const fn new(params: Vec<(String, String)>) -> Self {
        Self { params }
    }

    /// A parameter's value; empty where it was left out.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.params.iter().find(|(param, _)| param == name).map_or("", |(_, value)| value)
    }

    /// Who calls.
    #[must_use]
    pub fn caller(&self) -> Caller<'_> {
        Caller { user: self.get("userId"), key: self.get("apiKey") }
    }

    /// Whether it asks for an order.
    #[must_use]
    pub fn is_place(&self) -> bool {
        self.get("action") == "placeorder"
    }
}

/// The IMEIs that an `imei` parameter names, split at its commas.
pub(super) fn imeis(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|imei| !imei.is_empty())
}

/// What befalls a request, decided when it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The fault that strikes it, if one does.
    pub fault: Option<Fault>,
    /// Refused for there being too many at once: it is none of those worked on.
    pub turned_away: bool,
    /// How long before it is executed.
    pub before: Duration,
    /// How long from then to the answer.
    pub after: Duration,
    /// How long it hangs at most, where the fault is a hang.
    pub hang_at_most: Duration,
    /// How much later it is executed, where the fault is a late execution.
    pub late_by: Duration,
}

impl Plan {
    /// Whether it takes no time and nothing goes wrong.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.fault.is_none() && self.before.is_zero() && self.after.is_zero()
    }
}
