//! The daemon's end of the wire.

use std::sync::Arc;

use imeid::provider::{BoxFuture, PlaceOrder, Provider, read_account, read_orders, read_services};
use imeid::types::{
    AccountInfo, CallError, NotTaken, Placed, ProviderOrder, ProviderOrderId, ProviderService, Reply, Unclear,
};

use super::Wire;

/// The client's end.
pub(crate) struct Client(pub(crate) Arc<Wire>);

impl Provider for Client {
    fn place<'a>(&'a self, order: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        let sent = self.0.send(order);
        Box::pin(async move {
            let outcome = match sent {
                Ok(answer) => match answer.await {
                    Ok(reply) => return reply,
                    Err(_) => {
                        let what = "the connection broke".to_owned();
                        Placed::Unclear(Unclear { what, ids: Vec::new(), retry_after: None })
                    }
                },
                Err(why) => Placed::NotTaken(NotTaken::NotSent(why)),
            };
            Reply { outcome, http: None, body: Vec::new() }
        })
    }

    fn orders<'a>(
        &'a self,
        ids: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let answer = self.0.ask("getimeis", &[("orderIds", &ids.join(","))]);
        Box::pin(async move {
            let told = read_orders(&answer?)?;
            self.0.count_asked(&told);
            Ok(told)
        })
    }

    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
        let answer = self.0.ask("getimeis", &[]);
        Box::pin(async move { read_orders(&answer?) })
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        let answer = self.0.ask("imeiservices", &[]);
        Box::pin(async move { read_services(&answer?) })
    }

    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        let answer = self.0.ask("accountinfo", &[]);
        Box::pin(async move {
            let account = read_account(&answer?)?;
            let balance = account.balance.and_then(|balance| self.0.told_balance(balance));
            Ok(AccountInfo { balance, ..account })
        })
    }
}
