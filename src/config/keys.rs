//! Which keys there are, which have nothing behind them yet, which stood for something once, and what a mistyped one
//! was meant to be.

use toml::de::DeValue;

use crate::types::Money;

/// Every table with every key that it may have.
pub(super) const TABLES: &[(&str, &[&str])] = &[
    (
        "provider",
        &[
            "base_url",
            "user_id",
            "api_key_file",
            "account",
            "timeout",
            "connect_timeout",
            "proxy",
            "ca_file",
            "bind",
            "list_recent",
            "allow_http",
            "shared_account",
        ],
    ),
    ("folders", &["inbox", "outbox", "reconcile", "archive", "rejected", "settle", "rescan"]),
    ("journal", &["path", "min_free", "keep_answers"]),
    ("submit", &["workers", "adaptive", "max_attempts", "max_rate", "canary", "drain"]),
    ("poll", &["first_after", "every", "ids_per_call", "give_up_after"]),
    ("in_doubt", &["policy", "quiet", "probe_within"]),
    ("budget", &["per_day", "confirm_above", "min_balance", "stop_loss"]),
    ("service", &["name", "network_id", "price", "folder", "recheck_after", "luhn", "params"]),
    ("outbox", &["layout", "held_after", "publish_after", "partial_every"]),
    ("metrics", &["listen"]),
    ("log", &["level", "format", "imei", "file"]),
];

/// The keys of this table.
pub(super) fn keys_of(table: &str) -> &'static [&'static str] {
    TABLES.iter().find(|(name, _)| *name == table).map_or(&[], |(_, keys)| keys)
}

/// How a table is written: `[submit]`, `[[service]]`.
pub(super) fn written(table: &str) -> String {
    if table == "service" { "[[service]]".to_owned() } else { format!("[{table}]") }
}

/// A key with nothing behind it yet.
pub(super) struct Unavailable {
    pub(super) table: &'static str,
    pub(super) key: &'static str,
    /// How "off" is written; `None`: only by leaving it out.
    pub(super) off: Option<&'static str>,
    pub(super) is_off: fn(&DeValue<'_>) -> bool,
}

pub(super) const UNAVAILABLE: &[Unavailable] = &[
    unavailable("submit", "max_rate", Some("0"), is_zero),
    unavailable("budget", "confirm_above", None, |_| false),
    unavailable("budget", "min_balance", Some("\"0\""), is_zero),
    unavailable("budget", "stop_loss", Some("0"), is_zero),
    unavailable("outbox", "layout", Some("\"imeid\""), |value| value.as_str() == Some("imeid")),
    unavailable("metrics", "listen", None, |_| false),
];

const fn unavailable(
    table: &'static str,
    key: &'static str,
    off: Option<&'static str>,
    is_off: fn(&DeValue<'_>) -> bool,
) -> Unavailable {
    Unavailable { table, key, off, is_off }
}

fn is_zero(value: &DeValue<'_>) -> bool {
    let text = match value {
        DeValue::Integer(number) => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        DeValue::String(text) => text.as_ref(),
        _ => return false,
    };
    text.parse() == Ok(Money::ZERO)
}

/// What is wrong with a key that must stand nowhere: one of the script that `imeid` takes over from, or the secret.
pub(super) fn banned(key: &str) -> Option<String> {
    let stands_for = match key {
        "batch_size" => {
            "nothing stands for it: by the provider's rule every IMEI is a call of its own. How many ids one poll \
             asks for is ids_per_call in [poll]"
        }
        "max_workers" => "write workers in [submit]",
        "max_retries" => {
            "write max_attempts in [submit], and not the same number: it is not the same thing, for a retry of whatever \
             failed can pay twice"
        }
        "enable_checkpointing" => "leave it out, it is always on: that is the journal",
        _ if looks_secret(key) => {
            return Some(format!(
                "{key}: the API key must not stand in this file. Write it alone on one line into the file api-key \
                 beside this one, or into the file that api_key_file in [provider] names"
            ));
        }
        _ => return None,
    };
    Some(format!("{key} was a key of the older script: {stands_for}"))
}

fn looks_secret(key: &str) -> bool {
    let plain: String =
        key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let words = ["apikey", "accesskey", "secret", "password", "token"];
    key != "api_key_file" && (plain == "key" || words.iter().any(|word| plain.contains(word)))
}

/// The sentence for a key that `table` doesn't have ("" is the top level).
pub(super) fn unknown_key(table: &str, key: &str) -> String {
    if let Some((home, _)) = TABLES.iter().find(|(_, keys)| keys.contains(&key)) {
        return format!("{key} belongs into {}", written(home));
    }
    let here = if table.is_empty() { String::new() } else { format!(" in {}", written(table)) };
    let hint = match nearest(key, keys_of(table).iter().copied()) {
        Some(meant) => format!(": did you mean {meant}?"),
        None => elsewhere(key).unwrap_or_else(|| one_of(table)),
    };
    format!("unknown key {key}{here}{hint}")
}

fn elsewhere(key: &str) -> Option<String> {
    let meant = nearest(key, TABLES.iter().flat_map(|(_, keys)| keys.iter().copied()))?;
    let (home, _) = TABLES.iter().find(|(_, keys)| keys.contains(&meant))?;
    Some(format!(": did you mean {meant} in {}?", written(home)))
}

fn one_of(table: &str) -> String {
    let keys = keys_of(table);
    if keys.is_empty() { String::new() } else { format!("; there are {}", keys.join(", ")) }
}

/// The sentence for a table that there isn't.
pub(super) fn unknown_table(name: &str) -> String {
    match nearest(name, TABLES.iter().map(|(table, _)| *table)) {
        Some(meant) => format!("unknown table [{name}]: did you mean {}?", written(meant)),
        None => {
            let all: Vec<_> = TABLES.iter().map(|(table, _)| written(table)).collect();
            format!("unknown table [{name}]; there are {}", all.join(", "))
        }
    }
}

/// The one of `known` that `word` was most likely meant to be, if any is near: up to a third of it mistyped, or one
/// is part of the other.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    let mistakes = |key: &str| strsim::damerau_levenshtein(&word, key);
    let part = |key: &str| word.len() >= 3 && (key.contains(&word) || word.contains(key));
    known
        .into_iter()
        .map(|key| (mistakes(key), key))
        .filter(|&(mistakes, key)| mistakes * 3 <= key.len().max(word.len()) || part(key))
        .min_by_key(|&(mistakes, _)| mistakes)
        .map(|(_, key)| key)
}
