//! The proof that an attempt is durable. Whoever holds one may send, once.

use std::fmt;
use std::sync::{Arc, Weak};

use super::orders::{self, Loaded, Rules, Telling};
use super::{Journal, Shared};
use crate::clock::Clock;
use crate::order::{Event, State};
use crate::provider::PlaceOrder;
use crate::types::{AttemptNo, Imei, Money, OrderId, ServiceId};

/// A durable attempt that nobody has sent yet. Made only by a committed [`Journal::begin_attempts`], ended only by
/// [`Journal::finish_attempt`] or [`Journal::return_attempt`]. Dropped without either (a panic, a cancelled task), its
/// order is in doubt at once: it may have been sent.
#[must_use = "an attempt that is neither sent nor returned leaves its order in doubt"]
pub struct AttemptTicket {
    /// `None` once it is spent.
    claim: Option<Claim>,
    journal: Weak<Shared>,
}

/// What a ticket is about.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) order: OrderId,
    pub(super) n: AttemptNo,
    pub(super) service: ServiceId,
    pub(super) place: PlaceOrder,
    pub(super) price: Money,
    pub(super) probe: bool,
    pub(super) canary: bool,
    /// A first probe, of which account: nothing of ours goes beside it.
    pub(super) first_probe_of: Option<String>,
    /// The one order that goes to find out whether a pause has ended.
    pub(super) finds_out: bool,
    /// The order as its claim left it, where it goes the usual way ([`plain`](super::plain)).
    pub(super) known: Option<Box<Loaded>>,
    pub(super) clock: Clock,
    pub(super) rules: Arc<Rules>,
}

impl AttemptTicket {
    pub(super) const fn new(claim: Claim, journal: Weak<Shared>) -> Self {
        Self { claim: Some(claim), journal }
    }

    /// Ends the ticket: what it was about.
    pub(super) fn spend(mut self) -> Option<Claim> {
        self.claim.take()
    }

    /// What to ask the provider for. Exactly one IMEI.
    #[must_use]
    pub fn place_order(&self) -> Option<&PlaceOrder> {
        self.claim.as_ref().map(|claim| &claim.place)
    }

    /// The order.
    #[must_use]
    pub fn order(&self) -> Option<OrderId> {
        self.claim.as_ref().map(|claim| claim.order)
    }

    /// Which attempt of the order it is, from 1.
    #[must_use]
    pub fn attempt(&self) -> Option<AttemptNo> {
        self.claim.as_ref().map(|claim| claim.n)
    }

    /// Its IMEI.
    #[must_use]
    pub fn imei(&self) -> Option<Imei> {
        self.claim.as_ref().map(|claim| claim.place.imei)
    }

    /// Its service.
    #[must_use]
    pub fn service(&self) -> Option<ServiceId> {
        self.claim.as_ref().map(|claim| claim.service)
    }

    /// What is reserved for it.
    #[must_use]
    pub fn price(&self) -> Money {
        self.claim.as_ref().map_or(Money::ZERO, |claim| claim.price)
    }

    /// Whether it is one of its service's first orders, which must prove right.
    #[must_use]
    pub fn is_canary(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.canary)
    }

    /// Whether it is a probe that goes alone, to show what the provider does with a duplicate.
    #[must_use]
    pub fn is_first_probe(&self) -> bool {
        self.first_probe_of().is_some()
    }

    /// The account whose first probe it is, if it is one.
    #[must_use]
    pub fn first_probe_of(&self) -> Option<&str> {
        self.claim.as_ref().and_then(|claim| claim.first_probe_of.as_deref())
    }

    /// Whether it goes to find out whether a pause has ended.
    #[must_use]
    pub fn finds_out(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.finds_out)
    }

    /// Whether it is a probe.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.probe)
    }
}

impl fmt::Debug for AttemptTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.claim {
            Some(claim) => write!(f, "AttemptTicket(order {}, attempt {})", claim.order, claim.n),
            None => f.write_str("AttemptTicket(spent)"),
        }
    }
}

impl Drop for AttemptTicket {
    fn drop(&mut self) {
        let (Some(claim), Some(shared)) = (self.claim.take(), self.journal.upgrade()) else { return };
        let journal = Journal { shared };
        let order = claim.order;
        let unrecorded = journal.shared.common.unrecorded.clone();
        journal.record(
            move |tx| {
                let mut loaded = orders::load(tx, claim.order)?;
                if loaded.life.state == State::Submitting && loaded.attempts == claim.n.0 {
                    let telling =
                        Telling { what: "lost", text: "its ticket was dropped", via: "", quiet: false };
                    orders::advance(
                        tx,
                        &mut loaded,
                        &Event::Lost,
                        claim.clock.now(),
                        &claim.rules,
                        &telling,
                    )?;
                }
                Ok(())
            },
            move |done| match done {
                Ok(()) => tracing::warn!(%order, "an attempt was dropped: in doubt"),
                // The next start finds it in flight, which comes to the same.
                Err(error) => {
                    let text = format!(
                        "that an attempt of order {order} was dropped can't be recorded: the next start takes it as in \
                         doubt: {error}"
                    );
                    unrecorded.fails("dropped", &text);
                }
            },
        );
    }
}
