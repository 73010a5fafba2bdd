//! The provider: the trait the stages speak to, and the HTTP client for GSM Fusion's ordering API behind it.
//!
//! Knows nothing of orders' lives or of the journal: it makes one call and says what the answer proves. What an
//! [`Answer`] proves is a pure matter of its bytes, however they came: [`read_placed`], [`read_orders`],
//! [`read_services`], [`read_account`].

mod ahead;
mod amount;
mod client;
mod kept;
mod listing;
mod paid;
mod place;
mod retry_after;
mod secret;
#[cfg(test)]
pub(crate) mod tests;
mod wire;
mod words;
mod xml;

use std::future::Future;
use std::pin::Pin;

pub use client::{ClientError, GsmFusion};
pub use listing::{account as read_account, orders as read_orders, services as read_services};
pub use place::sort as read_placed;
pub use wire::{Answer, BodyEnd};

use crate::types::{
    AccountInfo, CallError, Imei, NetworkId, Placed, ProviderOrder, ProviderOrderId, ProviderService, Reply,
};

/// A future in a box, so that the trait can be an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One paid order: exactly ONE IMEI, by type. The provider drops all but the last of several in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceOrder {
    /// The service.
    pub network_id: NetworkId,
    /// The IMEI.
    pub imei: Imei,
    /// Further parameters of the service (`[[service]] params`), as the provider names them.
    pub params: Vec<(String, String)>,
    /// It goes over a connection that has carried no other order, whatever that costs.
    pub apart: bool,
}

/// What imeid asks of a provider.
pub trait Provider: Send + Sync + 'static {
    /// Where it is asked, for people: its `base_url`, which holds no secret. `None`: it has no address.
    fn address(&self) -> Option<&str> {
        None
    }

    /// Places one order. PAID: called from one place only, with a durable attempt behind it, and never
    /// made again by anything below.
    fn place<'a>(&'a self, order: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>>;

    /// How far these orders are. The caller checks that it got the ids it asked for: some installs answer with one of N.
    fn orders<'a>(
        &'a self,
        ids: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>>;

    /// The recent orders, where the install lists them when no id is named.
    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>>;

    /// The products and their prices.
    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>>;

    /// The account's balance.
    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>>;
}
