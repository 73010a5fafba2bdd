//! `imeid services`: what the provider offers, and which of it is configured.

use std::path::Path;

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::{Exit, ask, complain, runtime, say};
use crate::config::{Config, Service};
use crate::provider::Provider;
use crate::types::{Money, ProviderService};
use crate::words::plain;

const EXAMPLES: &str =
    "Asks the provider; nothing is ordered. The NETWORK ID is what a [[service]] is configured by. \
Ends with 3 if a configured one isn't offered, or costs more than its price.

Examples:
  imeid services
  imeid services --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServicesArgs {
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: u32,
    services: Vec<Line<'a>>,
    /// Configured, and not offered.
    missing: Vec<&'a str>,
}

#[derive(Serialize)]
struct Line<'a> {
    network_id: &'a str,
    title: &'a str,
    category: &'a str,
    price: Option<Money>,
    time_taken: &'a str,
    /// Our name for it; null: it isn't configured.
    configured: Option<&'a str>,
    /// The most that it may cost.
    configured_price: Option<Money>,
}

pub(super) fn run(config: &Path, args: &ServicesArgs) -> Exit {
    let (config, provider) = match ask::provider(config) {
        Ok(provider) => provider,
        Err(exit) => return exit,
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    let offered = match runtime.block_on(provider.services()) {
        Ok(offered) => offered,
        Err(error) => return ask::failed(&error).tell(),
    };
    let told = Json {
        schema: 1,
        services: offered.iter().map(|offer| line(offer, &config)).collect(),
        missing: missing(&config, &offered).map(|service| service.name.as_str()).collect(),
    };
    if args.json {
        if let Err(trouble) = ask::json(&told) {
            return trouble.tell();
        }
    } else {
        say(&table(&told.services));
    }
    if wrong(&told, &config) { Exit::Wrong } else { Exit::Done }
}

fn line<'a>(offer: &'a ProviderService, config: &'a Config) -> Line<'a> {
    let configured = config.services.iter().find(|service| service.network_id.0 == offer.network_id);
    Line {
        network_id: &offer.network_id,
        title: &offer.title,
        category: &offer.category,
        price: offer.price,
        time_taken: &offer.time_taken,
        configured: configured.map(|service| service.name.as_str()),
        configured_price: configured.map(|service| service.price),
    }
}

fn missing<'a>(config: &'a Config, offered: &'a [ProviderService]) -> impl Iterator<Item = &'a Service> {
    let is_offered = |service: &Service| offered.iter().any(|offer| offer.network_id == service.network_id.0);
    config.services.iter().filter(move |service| !is_offered(service))
}

fn table(services: &[Line<'_>]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["NETWORK ID", "TITLE", "PRICE", "TIME", "CONFIGURED"]);
    for service in services {
        table.add_row([
            plain(service.network_id),
            plain(service.title),
            service.price.map_or_else(|| "not told".to_owned(), |price| price.to_string()),
            plain(service.time_taken),
            match (service.configured, service.configured_price) {
                (Some(name), Some(price)) => format!("{name}, at most {price}"),
                _ => String::new(),
            },
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Says what of the configuration the provider doesn't offer, or not at that price.
fn wrong(told: &Json<'_>, config: &Config) -> bool {
    let mut wrong = false;
    for service in config.services.iter().filter(|service| told.missing.contains(&service.name.as_str())) {
        complain(&format!(
            "imeid: service {}: the provider offers none with the network_id {}",
            service.name, service.network_id
        ));
        wrong = true;
    }
    for service in &told.services {
        let (Some(name), Some(asked), Some(most)) =
            (service.configured, service.price, service.configured_price)
        else {
            continue;
        };
        if asked > most {
            complain(&format!("imeid: service {name}: it costs {asked}, above the configured {most}"));
            wrong = true;
        }
    }
    wrong
}
