//! A provider of a test's own, in the test's process: the daemon's stages run against it without a wire.

use std::sync::{Arc, Mutex};

use imeid::provider::{BoxFuture, PlaceOrder, Provider};
use imeid::types::{
    AccountInfo, CallError, Imei, Placed, ProviderOrder, ProviderOrderId, ProviderService, ProviderStatus,
    Reply,
};

const FIRST_ID: u64 = 100;

/// What it does with orders. Else it has nothing to tell: no services, no balance.
pub(crate) trait Fake: Send + Sync + 'static {
    /// What becomes of a paid call.
    fn place(&self, imei: Imei) -> Placed;

    /// How far these orders are.
    fn orders(&self, ids: &[ProviderOrderId]) -> Vec<ProviderOrder>;

    /// What it lists.
    fn recent(&self) -> Result<Vec<ProviderOrder>, CallError> {
        Ok(Vec::new())
    }
}

/// It, as the daemon calls it.
pub(crate) fn provider(fake: &Arc<impl Fake>) -> Arc<dyn Provider> {
    Arc::new(Called(Arc::clone(fake)))
}

struct Called<F>(Arc<F>);

impl<F: Fake> Provider for Called<F> {
    fn place<'a>(&'a self, order: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        let outcome = self.0.place(order.imei);
        Box::pin(async { Reply { outcome, http: Some(200), body: Vec::new() } })
    }

    fn orders<'a>(
        &'a self,
        ids: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
        let told = self.0.orders(ids);
        Box::pin(async { Ok(told) })
    }

    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
        let told = self.0.recent();
        Box::pin(async { told })
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        Box::pin(async { Ok(AccountInfo { balance: None, credits_raw: String::new() }) })
    }
}

/// The orders that one took, each completed at once.
#[derive(Default)]
pub(crate) struct Taken(Mutex<Vec<ProviderOrder>>);

impl Taken {
    /// Takes an order; its id.
    pub(crate) fn take(&self, imei: Imei) -> ProviderOrderId {
        let mut taken = self.0.lock().unwrap();
        let id = ProviderOrderId(FIRST_ID + taken.len() as u64);
        taken.push(ProviderOrder {
            id,
            imei: Some(imei),
            package: "Check".to_owned(),
            status: ProviderStatus::Completed,
            status_raw: "Completed".to_owned(),
            code: "Model: iPhone".to_owned(),
            requested_at: String::new(),
            raw: Vec::new(),
        });
        id
    }

    pub(crate) fn has(&self, imei: Imei) -> bool {
        self.0.lock().unwrap().iter().any(|order| order.imei == Some(imei))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Those with these ids.
    pub(crate) fn with(&self, ids: &[ProviderOrderId]) -> Vec<ProviderOrder> {
        self.0.lock().unwrap().iter().filter(|order| ids.contains(&order.id)).cloned().collect()
    }
}
