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
        let is_new = |due: &DuePoll| {
            told.iter().any(|order| order.id == due.id && !titles.has_seen(due.service, &order.package))
        };
        let is_old = self.listed_at.is_none_or(|at| at > now || now.since(at) >= LIST_FOR);
        if is_old && asked.iter().any(is_new) {
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
