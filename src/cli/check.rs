//! `imeid check`: what is wrong, before it costs anything.

use std::path::Path;

use super::{Exit, load, runtime, say};
use crate::check::{self, Finding, Grade, Verdict};
use crate::clock::Clock;
use crate::config::{self, Config, read_api_key};
use crate::daemon;
use crate::provider::GsmFusion;

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Ask the provider too: the balance, and whether it has the services at their prices
    #[arg(long)]
    online: bool,
    /// As the unit's reload asks: one warning for the log if the configuration can't be taken over, else nothing
    #[arg(long, conflicts_with = "online")]
    reload: bool,
}

pub(super) fn run(path: &Path, args: &CheckArgs) -> Exit {
    if args.reload {
        return before_reload(path);
    }
    let config = match load(path) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let mut findings = check::offline(&config);
    if args.online {
        match ask(&config) {
            Ok(told) => findings.extend(told),
            Err(exit) => return exit,
        }
    }
    for finding in &findings {
        say(&finding.to_string());
    }
    exit_of(&findings)
}

/// Beside the daemon's lines in the journal, so in their form.
fn before_reload(path: &Path) -> Exit {
    daemon::log::init_without_config(&Clock::system());
    let config = match config::load(path) {
        Ok(config) => config,
        Err(errors) => {
            daemon::tell_refused(&errors.to_string().lines().map(str::to_owned).collect::<Vec<_>>(), true);
            return Exit::Usage;
        }
    };
    let mut findings = check::offline(&config);
    // The daemon has that pause already, or begins it: what is taken over may be just what ends it.
    findings.retain(|finding| finding.grade != Grade::NoRoom);
    let wrong = |finding: &&Finding| !matches!(finding.grade, Grade::Ok | Grade::Warning);
    let wrong: Vec<String> = findings.iter().filter(wrong).map(|finding| finding.text.clone()).collect();
    if !wrong.is_empty() {
        let is_config = |finding: &Finding| finding.grade == Grade::BadConfig;
        daemon::tell_refused(&wrong, findings.iter().any(is_config));
    }
    exit_of(&findings)
}

fn exit_of(findings: &[Finding]) -> Exit {
    match check::verdict(findings) {
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
