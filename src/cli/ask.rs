//! What the commands that ask the provider have in common. Only reading calls.

use std::path::Path;

use serde::Serialize;

use super::words::Trouble;
use super::{Exit, complain, load, say};
use crate::clock::Clock;
use crate::config::{Config, read_api_key};
use crate::provider::GsmFusion;
use crate::types::CallError;

/// The configuration, and its provider with the key.
pub(super) fn provider(path: &Path) -> Result<(Config, GsmFusion), Exit> {
    let config = load(path)?;
    let refused = |why: String| {
        complain(&format!("imeid: {why}"));
        Exit::Usage
    };
    let key = read_api_key(&config).map_err(|error| refused(error.to_string()))?;
    let provider = GsmFusion::new(&config.provider, key, Clock::system());
    let provider = provider.map_err(|error| refused(format!("provider: {error}")))?;
    Ok((config, provider))
}

/// Why the provider told nothing. An account that it refuses is a matter of the configuration.
pub(super) fn failed(error: &CallError) -> Trouble {
    match error {
        CallError::Account(_) => Trouble::usage(format!("{error}; look at user_id and the API key")),
        _ => Trouble::failed(error.to_string()),
    }
}

/// Prints a value for programs.
pub(super) fn json(value: &impl Serialize) -> Result<(), Trouble> {
    let text = serde_json::to_string_pretty(value);
    say(&text.map_err(|error| Trouble::failed(format!("it can't be written as JSON: {error}")))?);
    Ok(())
}
