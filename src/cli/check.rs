//! `imeid check`: what is wrong, before it costs anything.

use std::path::Path;

use super::{Exit, complain, load, runtime, say};
use crate::check::{self, Finding, Verdict};
use crate::clock::Clock;
use crate::config::{Config, read_api_key};

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

fn ask(config: &Config) -> Result<Vec<Finding>, Exit> {
    // Whatever is wrong with the key is among the findings already.
    let Ok(key) = read_api_key(config) else { return Ok(vec![check::not_asked()]) };
    let provider = match crate::provider::GsmFusion::new(&config.provider, key, Clock::system()) {
        Ok(provider) => provider,
        Err(error) => {
            complain(&format!("imeid: {error}"));
            return Err(Exit::Usage);
        }
    };
    Ok(runtime()?.block_on(check::online(config, &provider)))
}
