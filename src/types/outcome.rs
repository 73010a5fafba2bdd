//! What a call to the provider can say, sorted by what it *proves*, not by how it looks.

use std::time::Duration;

use super::{Imei, Money, ProviderOrderId};

/// What one `placeorder` call proved about the one order it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// Exactly one order, for the IMEI that was sent, with this id: it was taken and charged.
    Taken(ProviderOrderId),
    /// This call took no order and cost nothing. That is proven.
    NotTaken(NotTaken),
    /// The provider has an order for this IMEI and service; this call cost nothing.
    AlreadyExists,
    /// Everything else. It may have been taken.
    Unclear(Unclear),
}

/// A proven "no order came of this call", by how far it reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// No byte of the request left: DNS, connection refused, TLS handshake.
    NotSent(String),
    /// 429: refused before it was looked at; `retry_after` where it said so.
    Throttled(Option<Duration>),
    /// The account: every further call fails alike. The provider's words.
    Account(String),
    /// The balance is used up. The provider's words.
    Credit(String),
    /// The whole site is down for a while. The provider's words.
    Maintenance(String),
    /// The provider doesn't know the service. Its words.
    UnknownService(String),
    /// The provider refuses this IMEI. Its words.
    InvalidImei(String),
}

/// An answer, or its absence, that leaves open whether an order was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclear {
    /// What was seen, in a sentence's worth of words: "timed out after 120s", "HTTP 502".
    pub what: String,
    /// Order ids that the answer named all the same (several orders, another IMEI's order).
    pub ids: Vec<ProviderOrderId>,
    /// `Retry-After`, where a 503 said so: slows the pool, proves nothing about this order.
    pub retry_after: Option<Duration>,
}

/// A call's meaning with the raw evidence for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<T> {
    /// What it means.
    pub outcome: T,
    /// The HTTP status, where an answer began.
    pub http: Option<u16>,
    /// The answer's body as it came, up to the limit and with `***` for the API key; empty where none came.
    pub body: Vec<u8>,
}

/// The provider's word for how far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProviderStatus {
    /// `statusId` 1, 4, one not known, or none: still being worked on.
    Pending,
    /// `statusId` 2.
    Completed,
    /// `statusId` 3: given back, and refunded.
    Rejected,
}

impl ProviderStatus {
    /// Whether the provider is done with it.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Rejected)
    }
}

/// One order as `getimeis` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderOrder {
    /// The provider's id.
    pub id: ProviderOrderId,
    /// Its IMEI, where the answer holds a well-formed one.
    pub imei: Option<Imei>,
    /// The service's title (`package`); the network id is not told.
    pub package: String,
    /// How far it is.
    pub status: ProviderStatus,
    /// `statusId` and `status` as they stand, for the log where they are not known.
    pub status_raw: String,
    /// The check's answer, or a rejection's reason: text with markup taken out of the XML, the HTML in it still there.
    pub code: String,
    /// `requestedat` as it stands, in the provider's own, unknown time zone.
    pub requested_at: String,
    /// This order's own slice of the answer, raw, in UTF-8 whatever the answer was in.
    pub raw: Vec<u8>,
}

/// One product as `imeiservices` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderService {
    /// `PackageId`: what our config calls `network_id`.
    pub network_id: String,
    /// `PackageTitle`.
    pub title: String,
    /// `Category`.
    pub category: String,
    /// `PackagePrice`, where it could be read.
    pub price: Option<Money>,
    /// `TimeTaken` as it stands.
    pub time_taken: String,
}

/// What `accountinfo` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountInfo {
    /// The balance, where `ClientCredits` could be read (`$ 150.00 USD`).
    pub balance: Option<Money>,
    /// `ClientCredits` as it stands.
    pub credits_raw: String,
}

/// Why a call that only reads (everything but `placeorder`) gave nothing. Those may be made again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// DNS, connect, TLS, time-out, reset.
    #[error("the provider can't be reached: {0}")]
    Unreachable(String),
    /// 429, or 503 with `Retry-After`.
    #[error("the provider asks to slow down")]
    Throttled(Option<Duration>),
    /// Another HTTP status than 200.
    #[error("the provider answered HTTP {0}")]
    Http(u16),
    /// The account itself is refused. The provider's words.
    #[error("the provider refuses the account: {0}")]
    Account(String),
    /// The whole site is down for a while. The provider's words.
    #[error("the provider is in maintenance: {0}")]
    Maintenance(String),
    /// `Invalid Order ID`.
    #[error("the provider knows no such order id")]
    InvalidOrderId,
    /// An answer of known form with an error text that is not known.
    #[error("the provider answered: {0}")]
    Refused(String),
    /// An answer that can't be read, too large or cut.
    #[error("the provider's answer can't be read: {0}")]
    Unreadable(String),
}

impl CallError {
    /// What a person can do about it, where a call that orders nothing failed.
    #[must_use]
    pub const fn mend(&self) -> &'static str {
        match self {
            Self::Account(_) => "look at user_id and the API key, or ask the provider",
            Self::Unreachable(_) => "look at base_url, the network and [provider] proxy",
            Self::Http(404 | 301 | 302 | 307 | 308 | 403) | Self::Unreadable(_) => {
                "base_url may be another site's: ask the provider for its address"
            }
            _ => "try again later",
        }
    }
}
