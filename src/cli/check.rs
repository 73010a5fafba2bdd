//! `imeid check`: what is wrong, before it costs anything.

use std::path::Path;

use super::{Exit, load, runtime, say};
use crate::check::{self, Finding, Verdict};
use crate::clock::Clock;
use crate::config::{Config, read_api_key};
use crate::provider::GsmFusion;

pub(super) fn run(path: &Path, online: bool) -> Exit {
    let config = match load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let mut findings = check::offline(&config);
    if online {
        match ask(&config) {
            Ok(told) => findings.extend(told),
            Err(exit) => return exit,
        }
    }
    for finding in &findings {
        say(&finding.to_string());
    }
    match check::verdict(&findings) {
        Verdict::Fine => Exit::Done,
        Verdict::Unknown => Exit::Failed,
        Verdict::Wrong => Exit::Wrong,
        Verdict::BadConfig => Exit::Usage,
    }
}

/// What is wrong with key or client is among what was found offline already.
fn ask(config: &Config) -> Result<Vec<Finding>, Exit> {
    let provider =
        read_api_key(config).ok().and_then(|key| GsmFusion::new(&config.provider, key, Clock::system()).ok());
    match provider {
        Some(provider) => Ok(runtime()?.block_on(check::online(config, &provider))),
        None => Ok(vec![check::not_asked()]),
    }
}
