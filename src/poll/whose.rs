//! Whose an order is that the provider tells of under an id of ours: by its IMEI, and by the title of its service.
//!
//! The provider answers an order with another one's id now and then. Under that id it tells of the other order then, and
//! what it tells is no answer to ours. Told so twice in a row, the id isn't taken for ours any more.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::journal::{DuePoll, Journal, JournalError};
use crate::provider::Provider;
use crate::settings::Settings;
use crate::types::{OrderId, ProviderOrder, Timestamp, Titles};

/// The provider's list of services is asked for again after this long, where an order is told of under a title that none
/// of its service was.
const LIST_FOR: Duration = Duration::from_secs(600);

/// Whose what is told under an order's id is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TellsOf {
    /// The order's own, as far as can be told.
    Its,
    /// Another one's, and it is the first time that it is: in which words.
    AnotherOnce(String),
    /// Likewise, twice in a row.
    AnotherAgain(String),
}

/// What is known of titles, and which orders were told of as another one's when they were last asked after.
#[derive(Debug, Default)]
pub(super) struct Whose {
    listed: Vec<(crate::types::ServiceId, String)>,
    listed_at: Option<Timestamp>,
    titles: Titles,
    doubtful: BTreeSet<OrderId>,
}

impl Whose {
    /// Learns what services are called, as far as it matters for what is told.
    pub(super) async fn learn(
        &mut self,
        asked: &[DuePoll],
        told: &[ProviderOrder],
        journal: &Journal,
        (provider, settings): (&dyn Provider, &Settings),
        now: Timestamp,
    ) -> Result<(), JournalError> {
        let account = settings.config.provider.account.clone();
        let mut titles = Titles::default();
        for (service, title) in journal.read(move |view| view.titles(&account)).await? {
            titles.see(service, &title);
        }
        let is_old = self.listed_at.is_none_or(|at| at > now || now.since(at) >= LIST_FOR);
        if is_old && has_new_title(asked, told, &titles) {
            self.listed_at = Some(now);
            match provider.services().await {
                Ok(offered) => self.listed = settings.titles_among(offered),
                Err(error) => tracing::debug!("the provider's services can't be asked for: {error}"),
            }
        }
        self.listed.iter().for_each(|(service, title)| titles.list(*service, title));
        self.titles = titles;
        Ok(())
    }

    /// Whose that is which was told under an order's id.
    pub(super) fn judge(&mut self, due: &DuePoll, told: &ProviderOrder, settings: &Settings) -> TellsOf {
        let Some(other) = self.other(due, told, settings) else {
            self.doubtful.remove(&due.order);
            return TellsOf::Its;
        };
        let why = format!("the provider tells of {other} under the order id {} that it gave for it", due.id);
        if self.doubtful.insert(due.order) {
            return TellsOf::AnotherOnce(why);
        }
        TellsOf::AnotherAgain(why)
    }

    /// It is recorded that its id is another one's.
    pub(super) fn is_recorded(&mut self, order: OrderId) {
        self.doubtful.remove(&order);
    }

    /// What it is an order of, where that isn't what was ordered.
    fn other(&self, due: &DuePoll, told: &ProviderOrder, settings: &Settings) -> Option<String> {
        if let Some(imei) = told.imei.filter(|imei| *imei != due.imei) {
            return Some(format!("IMEI {imei}"));
        }
        let other = self.titles.anothers(due.service, &told.package)?;
        let name = settings.rules.terms.get(&other).map_or("another one", |terms| terms.name.as_str());
        Some(format!("an order of the service {name} ({})", told.package.trim()))
    }
}

/// Whether an order is told of under a title that none of its service was.
fn has_new_title(asked: &[DuePoll], told: &[ProviderOrder], titles: &Titles) -> bool {
    let mut services: Vec<_> = asked.iter().map(|due| (due.id, due.service)).collect();
    services.sort_unstable();
    told.iter().any(|order| {
        let from = services.partition_point(|(id, _)| *id < order.id);
        let mut its = services.iter().skip(from).take_while(|(id, _)| *id == order.id);
        its.any(|(_, service)| !titles.has_seen(*service, &order.package))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{BatchId, Imei, ProviderOrderId, ProviderStatus, ServiceId};

    fn due(id: u64, service: i64) -> DuePoll {
        let (order, id, service) = (OrderId(1), ProviderOrderId(id), ServiceId(service));
        let ordered_at = Timestamp::from_millis(0);
        let (imei, batch) = (Imei::from_parts(35_332_211, 1), BatchId(1));
        DuePoll { order, id, imei, service, batch, ordered_at, is_held: false }
    }

    fn told(id: u64, package: &str) -> ProviderOrder {
        ProviderOrder {
            id: ProviderOrderId(id),
            imei: None,
            package: package.to_owned(),
            status: ProviderStatus::Pending,
            status_raw: String::new(),
            code: String::new(),
            requested_at: String::new(),
            raw: Vec::new(),
        }
    }

    #[test]
    fn a_title_is_new_where_an_order_that_was_asked_after_has_it_and_none_of_its_service_had() {
        let mut titles = Titles::default();
        titles.see(ServiceId(1), "Check");
        titles.see(ServiceId(2), "Unlock");
        let asked = [due(9, 1), due(7, 1), due(10, 2), due(8, 1), due(6, 2)];
        let known =
            [told(8, "Check"), told(6, "unlock"), told(9, " check "), told(10, "Unlock"), told(7, "Check")];
        assert!(!has_new_title(&asked, &known, &titles));
        assert!(!has_new_title(&asked, &[told(5, "New"), told(11, "New")], &titles));
        for order in &asked {
            for title in ["New", if order.service == ServiceId(1) { "Unlock" } else { "Check" }] {
                let new = [&known[..], &[told(order.id.0, title)]].concat();
                assert!(has_new_title(&asked, &new, &titles), "{} {title}", order.id);
            }
        }
    }
}
