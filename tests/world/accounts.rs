//! Another account of the provider's, with orders of its own, and ids that are those of the first one's over again.
//!
//! A person changes the account in the configuration, and back later. What the one account tells, and what it doesn't, shows
//! nothing of the other one's orders.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::copies::LATER;
use super::oracle::Key;
use super::wire::Wire;
use super::{World, oracle};

/// The account that isn't configured.
pub(crate) struct Other {
    name: &'static str,
    wire: Arc<Wire>,
    anew: BTreeMap<Key, i64>,
}

impl Other {
    /// Another account at the provider of this world, without orders.
    pub(crate) fn of(world: &World) -> Self {
        let wire = Wire::new(world.time.clone(), world.provider.clone());
        Self { name: "another", wire, anew: BTreeMap::new() }
    }
}

impl World {
    /// Between two processes: what is on the wire comes to its end, and from now on this account is the configured one.
    pub(crate) fn change_account(&mut self, other: &mut Other) {
        assert!(self.life.is_none(), "no reload takes another account over");
        assert_eq!(self.pass(LATER), Ok(()), "nobody is there who could die");
        std::mem::swap(&mut self.knobs.account, &mut other.name);
        std::mem::swap(&mut self.wire, &mut other.wire);
        std::mem::swap(&mut self.anew, &mut other.anew);
        // What was sent for it is counted at its own wire.
        self.still.clear();
        self.note(format!("the account is {}", self.knobs.account));
    }

    /// What must hold of the configured account's orders, and of the journal as a whole.
    pub(crate) fn check_account(&mut self) {
        oracle::check_account(self);
    }
}
