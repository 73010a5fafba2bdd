//! The configuration as the daemon uses it: checked, defaults filled in, paths absolute, words parsed.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::types::{Money, NetworkId};

/// Everything that `imeid.toml` says. [`super::load`] makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where it was read from.
    pub path: PathBuf,
    /// `[provider]`
    pub provider: ProviderConfig,
    /// `[folders]`
    pub folders: Folders,
    /// `[journal]`
    pub journal: JournalConfig,
    /// `[submit]`
    pub submit: SubmitConfig,
    /// `[poll]`
    pub poll: PollConfig,
    /// `[in_doubt]`
    pub in_doubt: InDoubtConfig,
    /// `[budget]`
    pub budget: Budget,
    /// `[[service]]`, at least one; exactly one has the folder ".", or there is none for the inbox itself.
    pub services: Vec<Service>,
    /// `[outbox]`
    pub outbox: OutboxConfig,
    /// `[log]`
    pub log: LogConfig,
}

/// `[provider]`
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderConfig {
    /// `https://…` (or `http://` to loopback), without a trailing slash.
    pub base_url: String,
    /// The provider's user name.
    pub user_id: String,
    /// Where the API key lies, if told; else see [`Config::api_key_path`].
    pub api_key_file: Option<PathBuf>,
    /// What paid orders are remembered under.
    pub account: String,
    /// Whether `account` was written in the file (then another `base_url` under it is meant).
    pub account_is_set: bool,
    /// One request, from connecting to the last byte of the answer.
    pub timeout: Duration,
    /// Connecting, TLS included. Shorter than `timeout`.
    pub connect_timeout: Duration,
    /// An HTTP proxy; `None`: none, whatever the environment says.
    pub proxy: Option<String>,
    /// More root certificates, PEM.
    pub ca_file: Option<PathBuf>,
    /// The local address to connect from.
    pub bind: Option<IpAddr>,
    /// Whether `getimeis` without ids lists recent orders.
    pub list_recent: ListRecent,
    /// `http://` to other hosts than loopback.
    pub allow_http: bool,
    /// Others order with this account too.
    pub shared_account: bool,
}

/// `list_recent`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListRecent {
    /// Find out.
    Auto,
    /// It does.
    Yes,
    /// It doesn't.
    No,
}

/// `[folders]`
#[derive(Clone, Debug, PartialEq)]
pub struct Folders {
    /// Files are dropped here.
    pub inbox: PathBuf,
    /// Results come here.
    pub outbox: PathBuf,
    /// The provider's exports are dropped here.
    pub reconcile: PathBuf,
    /// Originals that were taken end here, by date.
    pub archive: PathBuf,
    /// Originals that were refused end here.
    pub rejected: PathBuf,
    /// How long a closed file stays unchanged before it is taken.
    pub settle: Duration,
    /// How often all is looked through, whatever events tell.
    pub rescan: Duration,
}

/// `[journal]`
#[derive(Clone, Debug, PartialEq)]
pub struct JournalConfig {
    /// The SQLite file.
    pub path: PathBuf,
    /// Bytes; with less free, nothing is submitted.
    pub min_free_bytes: u64,
    /// Raw answers older than this that prove nothing are deleted; `None`: never.
    pub keep_answers: Option<Duration>,
}

/// `[submit]`
#[derive(Clone, Debug, PartialEq)]
pub struct SubmitConfig {
    /// Calls at once, at most.
    pub workers: usize,
    /// Fewer where the provider bears fewer.
    pub adaptive: bool,
    /// Attempts an order; those not sent, or refused by an answer, don't count.
    pub max_attempts: u32,
    /// A service's first orders go one by one until this many proved right; 0 = off.
    pub canary: u32,
    /// How long a stop waits for the calls in flight. Longer than the request time-out.
    pub drain: Duration,
}

/// `[poll]`
#[derive(Clone, Debug, PartialEq)]
pub struct PollConfig {
    /// First look after an order was taken.
    pub first_after: Duration,
    /// The longest pause between two looks.
    pub every: Duration,
    /// Ids in one call.
    pub ids_per_call: usize,
    /// Then a person must look.
    pub give_up_after: Duration,
}

/// `[in_doubt]`
#[derive(Clone, Debug, PartialEq)]
pub struct InDoubtConfig {
    /// What settles a doubt where the provider can't list.
    pub policy: DoubtPolicy,
    /// The quiet period. Never shorter than the request time-out.
    pub quiet: Duration,
    /// Older doubts are held, not probed.
    pub probe_within: Duration,
}

/// `policy`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoubtPolicy {
    /// Send once more: only where duplicates are refused free of charge.
    Probe,
    /// Wait for a person.
    Hold,
}

/// `[budget]`: a missing amount is no limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// Dollars in the machine's local day, in flight and in doubt included.
    pub per_day: Option<Money>,
}

/// `[[service]]`
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Our name for it.
    pub name: String,
    /// The provider's.
    pub network_id: NetworkId,
    /// The most one order may cost.
    pub price: Money,
    /// The folder in the inbox, as written: "." is the inbox itself.
    pub folder: String,
    /// A finished order older than this doesn't answer for a new row; `None`: never ordered again.
    pub recheck_after: Option<Duration>,
    /// Whether check digits are checked.
    pub luhn: bool,
    /// Further parameters of `placeorder`, in the file's order.
    pub params: Vec<(String, String)>,
}

/// `[outbox]`
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxConfig {
    /// How long a held row, or one in doubt, keeps a file back.
    pub held_after: Duration,
    /// How long an ordered row does.
    pub publish_after: Duration,
    /// How often a partial is written.
    pub partial_every: Duration,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: tracing::Level,
    /// How a line looks.
    pub format: LogFormat,
    /// How much of an IMEI a line shows.
    pub imei: LogImei,
    /// A file beside standard error.
    pub file: Option<PathBuf>,
}

/// `format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text; with journald's priorities and no time stamps where standard error is the journal.
    Auto,
    /// Text with time stamps.
    Text,
    /// One JSON object a line.
    Json,
}

/// `imei`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogImei {
    /// All digits.
    Full,
    /// The last four.
    Last4,
}

impl Config {
    /// Where the API key is read from: `api_key_file`, else `$CREDENTIALS_DIRECTORY/api-key`, else `api-key` beside
    /// the config file. `credentials_directory` is that variable's value.
    #[must_use]
    pub fn api_key_path(&self, credentials_directory: Option<&Path>) -> PathBuf {
        match (&self.provider.api_key_file, credentials_directory) {
            (Some(file), _) => file.clone(),
            (None, Some(directory)) => directory.join("api-key"),
            (None, None) => self.path.with_file_name("api-key"),
        }
    }

    /// The service whose folder this is ("." for the inbox itself).
    #[must_use]
    pub fn service_of_folder(&self, folder: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.folder == folder)
    }

    /// The service with this network id.
    #[must_use]
    pub fn service(&self, network_id: &NetworkId) -> Option<&Service> {
        self.services.iter().find(|service| service.network_id == *network_id)
    }
}
