//! Every switch of the simulator, and how it is changed while it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::answer::Service;
use super::code::CodeKind;
use super::delay::Delay;
use super::faults::Faults;
use super::parse::{Share, duration};
use crate::types::{Money, NetworkId};

/// What happens to an IMEI that was ordered before for the same service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// `<error>IMEI already exists!</error>`, free of charge.
    #[default]
    Refuse,
    /// `<imeiduplicates>`, free of charge.
    #[serde(rename = "list")]
    #[value(name = "list")]
    RefuseAsList,
    /// A second order, charged again.
    Charge,
}

/// In which order `getimeis` lists when no id is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ListingOrder {
    /// The latest order first.
    #[default]
    NewestFirst,
    /// The first of the latest N first.
    OldestFirst,
    /// In no order.
    Shuffled,
}

/// What the provider thinks of the account. Everything but `Ok` refuses every call with its own text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Account {
    /// In good standing.
    #[default]
    Ok,
    /// `Invalid User!`
    InvalidUser,
    /// `Invalid API Key!`
    InvalidKey,
    /// `API access to you is not allowed!`
    NotAllowed,
    /// `This user is not active`
    NotActive,
    /// `Invalid IP request![127.0.0.1]`
    InvalidIp,
}

impl Account {
    /// The provider's words for it; `None` where all is well.
    #[must_use]
    pub const fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Ok => None,
            Self::InvalidUser => Some("Invalid User!"),
            Self::InvalidKey => Some("Invalid API Key!"),
            Self::NotAllowed => Some("API access to you is not allowed!"),
            Self::NotActive => Some("This user is not active"),
            Self::InvalidIp => Some("Invalid IP request![127.0.0.1]"),
        }
    }
}

/// Every switch. The default suits a demonstration: $1000 of credit, one service at $0.08, quick, no faults.
#[derive(Clone, Debug)]
pub struct Options {
    /// The only user id let in; any that isn't empty where unset.
    pub user: Option<String>,
    /// The only API key let in; any that isn't empty where unset.
    pub key: Option<String>,
    /// The balance to start with.
    pub credit: Money,
    /// The products on offer.
    pub services: Vec<Service>,
    /// What happens to an IMEI that was ordered before.
    pub duplicates: Duplicates,
    /// How long after it was taken an order is unknown to the duplicate rule: two calls racing each other both pass.
    pub duplicate_lag: Duration,
    /// Whether a rejected (refunded) IMEI may be ordered again where duplicates are refused.
    pub reorder_rejected: bool,
    /// What the provider thinks of the account.
    pub account: Account,
    /// The whole site is in maintenance.
    pub maintenance: bool,
    /// Whether `getimeis` lists recent orders when no id is named.
    pub listing: bool,
    /// In which order it lists them.
    pub listing_order: ListingOrder,
    /// How many it lists at most, the latest ones.
    pub listing_limit: usize,
    /// How old an order is before it is listed: a cached listing.
    pub listing_lag: Duration,
    /// Whether finished orders are listed too.
    pub listing_finished: bool,
    /// `getimeis` answers the first of the ids it is asked for and no other.
    pub one_of_n: bool,
    /// How long an order takes from the charge to its result.
    pub completion: Delay,
    /// The share of orders that end rejected and refunded.
    pub rejected: Share,
    /// The declaration reads `<?phpxml …?>`.
    pub phpxml: bool,
    /// How far the provider's clock is ahead of UTC, in minutes: `requestedat` is told in it.
    pub zone_minutes: i32,
    /// How long `placeorder` takes: half of it before the charge, half after.
    pub latency: Delay,
    /// How long every other action takes.
    pub other_latency: Delay,
    /// So many `placeorder` calls are worked on at once; more are refused at once, with 429. `None`: any number.
    pub at_once: Option<usize>,
    /// With so many `placeorder` calls in work already, one takes twice as long. `None`: never.
    pub slow_beyond: Option<usize>,
    /// What goes wrong on the way.
    pub faults: Faults,
    /// How long a `hang` lasts at most before the connection closes.
    pub hang_at_most: Duration,
    /// How much later a `late-after` is executed.
    pub late_by: Duration,
    /// What all chance is drawn from: the same seed, the same fate for the same IMEI.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user: None,
            key: None,
            credit: Money::from_micros(1_000_000_000),
            services: vec![Service::default()],
            duplicates: Duplicates::Refuse,
            duplicate_lag: Duration::ZERO,
            reorder_rejected: false,
            account: Account::Ok,
            maintenance: false,
            listing: true,
            listing_order: ListingOrder::NewestFirst,
            listing_limit: 1_000,
            listing_lag: Duration::ZERO,
            listing_finished: true,
            one_of_n: false,
            completion: Delay::Uniform(Duration::from_millis(500), Duration::from_secs(3)),
            rejected: Share::from_ppm(10_000),
            phpxml: false,
            zone_minutes: 180,
            latency: Delay::Fixed(Duration::from_millis(36)),
            other_latency: Delay::Fixed(Duration::from_millis(3)),
            at_once: None,
            slow_beyond: None,
            faults: Faults::default(),
            hang_at_most: Duration::from_secs(600),
            late_by: Duration::from_secs(60),
            seed: 1,
        }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self {
            network_id: NetworkId("1739".to_owned()),
            title: "iPhone Check".to_owned(),
            category_id: 12,
            category: "Apple services & checks".to_owned(),
            price: Money::from_micros(80_000),
            time_taken: "Instant - 5 Minutes".to_owned(),
            must_read: String::new(),
            code: CodeKind::Check,
        }
    }
}

/// Switches to change while it runs: the body of `POST /sim/config`. What is left out stays as it is. Durations,
/// delays, shares and faults are texts as on the command line.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    /// Sets the balance to this.
    pub credit: Option<Money>,
    /// Adds this to the balance; it may be negative.
    pub add_credit: Option<Money>,
    /// New prices, by network id.
    pub prices: BTreeMap<String, Money>,
    /// Finishes every order in work now.
    pub finish_now: bool,
    /// [`Options::duplicates`].
    pub duplicates: Option<Duplicates>,
    /// [`Options::duplicate_lag`].
    pub duplicate_lag: Option<Span>,
    /// [`Options::reorder_rejected`].
    pub reorder_rejected: Option<bool>,
    /// [`Options::account`].
    pub account: Option<Account>,
    /// [`Options::maintenance`].
    pub maintenance: Option<bool>,
    /// [`Options::listing`].
    pub listing: Option<bool>,
    /// [`Options::listing_order`].
    pub listing_order: Option<ListingOrder>,
    /// [`Options::listing_limit`].
    pub listing_limit: Option<usize>,
    /// [`Options::listing_lag`].
    pub listing_lag: Option<Span>,
    /// [`Options::listing_finished`].
    pub listing_finished: Option<bool>,
    /// [`Options::one_of_n`].
    pub one_of_n: Option<bool>,
    /// [`Options::completion`], for orders from now on.
    pub completion: Option<Delay>,
    /// [`Options::rejected`], for orders from now on.
    pub rejected: Option<Share>,
    /// [`Options::phpxml`].
    pub phpxml: Option<bool>,
    /// [`Options::latency`].
    pub latency: Option<Delay>,
    /// [`Options::other_latency`].
    pub other_latency: Option<Delay>,
    /// [`Options::at_once`].
    pub at_once: Option<usize>,
    /// [`Options::slow_beyond`].
    pub slow_beyond: Option<usize>,
    /// [`Options::faults`]: replaces all of them; `""` ends them.
    pub faults: Option<Faults>,
    /// [`Options::hang_at_most`].
    pub hang_at_most: Option<Span>,
    /// [`Options::late_by`].
    pub late_by: Option<Span>,
}

/// A duration read from a text such as `"1.5s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = super::parse::ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        duration(&text).map(Self)
    }
}

impl Options {
    /// Takes over the switches that `change` names; money and orders are the model's business.
    pub(super) fn apply(&mut self, change: &Change) {
        fn set<T: Clone>(switch: &mut T, new: Option<&T>) {
            if let Some(new) = new {
                switch.clone_from(new);
            }
        }
        let span = |span: Option<Span>| span.map(|span| span.0);
        set(&mut self.duplicates, change.duplicates.as_ref());
        set(&mut self.duplicate_lag, span(change.duplicate_lag).as_ref());
        set(&mut self.reorder_rejected, change.reorder_rejected.as_ref());
        set(&mut self.account, change.account.as_ref());
        set(&mut self.maintenance, change.maintenance.as_ref());
        set(&mut self.listing, change.listing.as_ref());
        set(&mut self.listing_order, change.listing_order.as_ref());
        set(&mut self.listing_limit, change.listing_limit.as_ref());
        set(&mut self.listing_lag, span(change.listing_lag).as_ref());
        set(&mut self.listing_finished, change.listing_finished.as_ref());
        set(&mut self.one_of_n, change.one_of_n.as_ref());
        set(&mut self.completion, change.completion.as_ref());
        set(&mut self.rejected, change.rejected.as_ref());
        set(&mut self.phpxml, change.phpxml.as_ref());
        set(&mut self.latency, change.latency.as_ref());
        set(&mut self.other_latency, change.other_latency.as_ref());
        set(&mut self.at_once, change.at_once.map(Some).as_ref());
        set(&mut self.slow_beyond, change.slow_beyond.map(Some).as_ref());
        set(&mut self.faults, change.faults.as_ref());
        set(&mut self.hang_at_most, span(change.hang_at_most).as_ref());
        set(&mut self.late_by, span(change.late_by).as_ref());
    }
}
