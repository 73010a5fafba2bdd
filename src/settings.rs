//! What the stages are told: the configuration, with the journal's numbers for its services.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Config, ListRecent, Service};
use crate::journal::{Journal, JournalError, Rules, ServiceQueue, ServiceTerms, View};
use crate::types::{NetworkId, ProviderService, ServiceId};

/// The configuration in force. A reload makes a new one; stages hold a `watch` of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file's content.
    pub config: Config,
    /// What it says about orders' lives.
    pub rules: Arc<Rules>,
    numbers: BTreeMap<NetworkId, ServiceId>,
}

impl Settings {
    /// Looks the services up in the journal, entering those that are new.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn new(config: Config, journal: &Journal) -> Result<Self, JournalError> {
        let mut numbers = BTreeMap::new();
        let mut terms = BTreeMap::new();
        for service in &config.services {
            let account = config.provider.account.clone();
            let id = journal.service(account, service.network_id.clone(), service.name.clone()).await?;
            numbers.insert(service.network_id.clone(), id);
            terms.insert(id, terms_of(service, id, config.submit.canary));
        }
        let rules = Rules {
            max_attempts: config.submit.max_attempts,
            quiet: config.in_doubt.quiet,
            first_poll: config.poll.first_after,
            terms,
        };
        Ok(Self { config, rules: Arc::new(rules), numbers })
    }

    /// The journal's number of a configured service.
    #[must_use]
    pub fn number(&self, network_id: &NetworkId) -> Option<ServiceId> {
        self.numbers.get(network_id).copied()
    }

    /// The configured services among those that the provider offers, with their titles there.
    #[must_use]
    pub fn titles_among(&self, offered: Vec<ProviderService>) -> Vec<(ServiceId, String)> {
        let number = |id: String| self.number(&NetworkId(id));
        offered.into_iter().filter_map(|one| Some((number(one.network_id)?, one.title))).collect()
    }

    /// The configured service with this number.
    #[must_use]
    pub fn service(&self, id: ServiceId) -> Option<&Service> {
        self.rules.terms.get(&id).and_then(|terms| self.config.service(&terms.network_id))
    }
}

/// The account whose provider was seen to list its orders, among the journal's facts: that isn't forgotten over a restart.
pub const LISTS_FACT: &str = "lists";
/// The account whose provider was found to list nothing, likewise.
pub const LISTS_NOTHING_FACT: &str = "lists_nothing";

/// The account whose provider refused to list any, when it was last asked. Each process asks anew: it is kept for those who
/// can't ask.
pub const REFUSES_TO_LIST_FACT: &str = "refuses_to_list";

/// Whether the provider lists recent orders, by the configuration, or as it was found out; `None`: it isn't known.
///
/// # Errors
/// The journal can't be read.
pub fn can_list(view: &View, config: &Config) -> Result<Option<bool>, JournalError> {
    let is_of = |fact| Ok::<_, JournalError>(view.fact(fact)?.as_ref() == Some(&config.provider.account));
    Ok(match config.provider.list_recent {
        ListRecent::Yes => Some(true),
        ListRecent::No => Some(false),
        ListRecent::Auto if is_of(LISTS_FACT)? => Some(true),
        ListRecent::Auto => is_of(LISTS_NOTHING_FACT)?.then_some(false),
    })
}

/// Likewise as far as the last answer told it, for whoever can't ask.
///
/// # Errors
/// The journal can't be read.
pub fn can_list_as_last_told(view: &View, config: &Config) -> Result<Option<bool>, JournalError> {
    let known = can_list(view, config)?;
    if known.is_some() {
        return Ok(known);
    }
    let refuses = view.fact(REFUSES_TO_LIST_FACT)?;
    Ok((refuses.as_ref() == Some(&config.provider.account)).then_some(false))
}

/// What waits to be sent for services that this configuration doesn't have, or for an answer of another account than its:
/// it waits for ever.
///
/// # Errors
/// The journal can't be read.
pub fn left_waiting(view: &View, config: &Config) -> Result<Vec<ServiceQueue>, JournalError> {
    let is_configured = |queue: &ServiceQueue| {
        queue.account == config.provider.account && config.service(&queue.network_id).is_some()
    };
    let mut queues = view.queues()?;
    queues.retain(|queue| !is_configured(queue));
    queues.extend(view.unanswered_elsewhere(&config.provider.account)?);
    Ok(queues)
}

/// That it waits, and what to do, in a sentence.
#[must_use]
pub fn why_left_waiting(queue: &ServiceQueue, config: &Config) -> String {
    if queue.are_sent {
        let (orders, wait) = if queue.orders == 1 { ("order", "waits") } else { ("orders", "wait") };
        return format!(
            "{} {orders} of the account {} {wait} (network_id {}): that account isn't the configured one, so nobody asks what \
             became of them. Set account in [provider] back to it, with its user_id and key, until they are settled",
            queue.orders, queue.account, queue.network_id
        );
    }
    let whose = if queue.account == config.provider.account {
        String::new()
    } else {
        format!(" of the account {}", queue.account)
    };
    let (orders, wait, their) =
        if queue.orders == 1 { ("order", "waits", "its batch") } else { ("orders", "wait", "their batches") };
    format!(
        "{} {orders} {wait} for a service that is no longer configured (network_id {}{whose}): put it back, or give them up with imeid cancel and the names of {their}",
        queue.orders, queue.network_id
    )
}

fn terms_of(service: &Service, id: ServiceId, canary: u32) -> ServiceTerms {
    ServiceTerms {
        id,
        network_id: service.network_id.clone(),
        name: service.name.clone(),
        price: service.price,
        canary,
        params: service.params.clone(),
    }
}
