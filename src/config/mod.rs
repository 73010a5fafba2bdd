//! The configuration: the model, reading it from TOML, and checking it.
//!
//! [`load`] gives a [`Config`] in which every value is checked and every default filled in, or *all* that is wrong with
//! the file, each with its line and the mend. A key with nothing behind it yet is refused unless it says off; an
//! unknown one always. No message ever shows a value that may be secret: the API key has a file of its own, which
//! [`read_api_key`] reads.

mod api_key;
mod changes;
mod checks;
mod errors;
mod keys;
mod load;
mod model;
mod rest;
mod section;
#[cfg(test)]
mod tests;
mod values;

/// Where the configuration lies, unless told otherwise: the one that the unit's daemon reads.
pub const USUAL_PATH: &str = "/etc/imeid/imeid.toml";

pub use api_key::{KeyError, api_key_home, read_api_key, read_api_key_with};
pub use changes::changes;
pub use errors::{ConfigError, ConfigErrors};
pub use load::{load, parse};
pub use model::{
    Budget, Config, DoubtPolicy, Folders, InDoubtConfig, JournalConfig, ListRecent, LogConfig, LogFormat,
    LogImei, OutboxConfig, PollConfig, ProviderConfig, Service, SubmitConfig,
};
pub use rest::{drop_folders, journal_path};

/// The shipped config as a person has edited it: with a provider's address.
#[cfg(test)]
pub(crate) fn edited() -> String {
    include_str!("../../config/imeid.toml").replace("https://example.com", "https://provider.test")
}
