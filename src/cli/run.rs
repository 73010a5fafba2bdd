//! `imeid run`: the daemon.

use std::path::Path;

use super::{Exit, runtime};
use crate::clock::Clock;
use crate::config;
use crate::daemon;

pub(super) fn run(config: &Path) -> Exit {
    let config = match config::load(config) {
        Ok(config) => config,
        Err(errors) => {
            return refuse(&errors.to_string());
        }
    };
    let clock = Clock::system();
    let log = match daemon::log::init(&config.log, &clock) {
        Ok(log) => log,
        Err(error) => {
            return refuse(&error.to_string());
        }
    };
    log.tell_panics();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    match runtime.block_on(daemon::run(config, clock, log)) {
        Ok(()) => Exit::Done,
        Err(error) => {
            tracing::error!("{error}");
            daemon::tell_status(&error.to_string());
            if error.is_config() { Exit::Usage } else { Exit::Failed }
        }
    }
}

/// Before there is a log: its lines are errors all the same, one each. The service manager's status keeps them too.
fn refuse(reasons: &str) -> Exit {
    daemon::log::init_without_config(&Clock::system());
    for reason in reasons.lines() {
        tracing::error!("{reason}");
    }
    daemon::tell_status(reasons);
    Exit::Usage
}
