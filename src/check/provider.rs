//! What the provider tells: the balance, the services and their prices. Only reading calls.

use super::{Finding, bad_config, ok, unknown, warning, wrong};
use crate::config::{Config, Service};
use crate::provider::Provider;
use crate::types::{AccountInfo, CallError, Money, ProviderService};

/// What the provider says to a configuration.
pub async fn online(config: &Config, provider: &dyn Provider) -> Vec<Finding> {
    let mut findings = match provider.account().await {
        Ok(account) => vec![balance(&account, config)],
        // It is the same for every call: the services needn't be asked for.
        Err(error) => return vec![failed(config, &error)],
    };
    match provider.services().await {
        Ok(offered) => findings.extend(config.services.iter().map(|service| price(service, &offered))),
        Err(error) => findings.push(failed(config, &error)),
    }
    findings
}

/// That the provider could not be asked: there is no key, or no client.
#[must_use]
pub fn not_asked() -> Finding {
    unknown("the provider was not asked: see above; root can read the API key".to_owned())
}

fn failed(config: &Config, error: &CallError) -> Finding {
    let told = format!("provider at {}: {error}; {}", config.provider.base_url, error.mend());
    match error {
        CallError::Account(_)
        | CallError::Http(404 | 301 | 302 | 307 | 308 | 403)
        | CallError::Unreadable(_) => bad_config(told),
        _ => unknown(told),
    }
}

fn balance(account: &AccountInfo, config: &Config) -> Finding {
    let dearest = config.services.iter().map(|service| service.price).max().unwrap_or(Money::ZERO);
    match account.balance {
        Some(balance) if balance < dearest => {
            warning(format!("balance {balance}: less than one order may cost ({dearest}); top it up"))
        }
        Some(balance) => ok(format!("balance {balance}")),
        None => warning(format!("balance: what the provider tells is no amount: {:?}", account.credits_raw)),
    }
}

fn price(service: &Service, offered: &[ProviderService]) -> Finding {
    let Service { name, network_id, price, .. } = service;
    let Some(found) = offered.iter().find(|offer| offer.network_id == network_id.0) else {
        return wrong(format!(
            "service {name}: the provider has none with the network_id {network_id} for this account (it told of {}); \
             ask it for the number",
            offered.len()
        ));
    };
    let title = &found.title;
    match found.price {
        Some(asked) if asked > *price => wrong(format!(
            "service {name} ({title:?}): it costs {asked}, above the configured {price}; set price to \"{asked}\" if that \
             is right"
        )),
        Some(asked) => {
            ok(format!("service {name} ({title:?}): it costs {asked}, at most {price} is configured"))
        }
        None => warning(format!("service {name} ({title:?}): the provider tells no price that can be read")),
    }
}
