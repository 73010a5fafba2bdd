//! The error texts of the API (PROVIDER's table), told apart however they are written.
//!
//! Case, blanks and closing punctuation don't matter; everything else does. A text that isn't in the table is
//! [`Refusal::Unknown`]: it proves nothing.

use crate::types::Imei;

/// What an `<error>` text says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Account,
    Maintenance,
    Credit,
    UnknownService,
    /// `Invalid IMEI`, for no IMEI in particular or for this one.
    InvalidImei(Option<u64>),
    AlreadyExists,
    InvalidOrderId,
    Unknown,
}

/// The texts that stand alone, as [`normal`] leaves them.
const TEXTS: [(&str, Refusal); 10] = [
    ("invalid user", Refusal::Account),
    ("invalid api key", Refusal::Account),
    ("api access to you is not allowed", Refusal::Account),
    ("this user is not active", Refusal::Account),
    ("website is in maintenance, please try again later", Refusal::Maintenance),
    ("credit has been finished", Refusal::Credit),
    ("invalid value of network id", Refusal::UnknownService),
    ("imei already exists", Refusal::AlreadyExists),
    ("invalid order id", Refusal::InvalidOrderId),
    ("invalid imei", Refusal::InvalidImei(None)),
];

/// Sorts an error text.
pub(super) fn sort(text: &str) -> Refusal {
    let text = normal(text);
    if let Some((_, refusal)) = TEXTS.iter().find(|(known, _)| *known == text) {
        return *refusal;
    }
    if let Some(rest) = text.strip_prefix("invalid ip request")
        && is_bracketed_address(rest)
    {
        return Refusal::Account;
    }
    if let Some(rest) = text.strip_prefix("invalid imei:")
        && let Ok(imei) = Imei::parse(rest, false)
    {
        return Refusal::InvalidImei(Some(imei.as_u64()));
    }
    Refusal::Unknown
}

/// Lower case, single blanks, no punctuation at the end.
fn normal(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_end_matches(['!', '.', ',', ';', ':', ' ']).to_lowercase()
}

/// Nothing, or `![x.x.x.x]` with an address of either kind.
fn is_bracketed_address(rest: &str) -> bool {
    let rest = rest.trim_start_matches(['!', ' ']);
    let inner = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    rest.is_empty()
        || inner.is_some_and(|inner| {
            inner.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | ' ' | ',' | 'x'))
        })
}
