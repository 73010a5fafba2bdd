//! `imeid run`: the daemon.

use std::path::Path;

use super::{Exit, complain, runtime};
use crate::clock::Clock;
use crate::config;
use crate::daemon;

pub(super) fn run(config: &Path) -> Exit {
    // The service manager's status keeps the reason, beside the log.
    let config = match config::load(config) {
        Ok(config) => config,
        Err(errors) => {
            complain(&errors.to_string());
            daemon::tell_status(&errors.to_string());
            return Exit::Usage;
        }
    };
    let clock = Clock::system();
    let log = match daemon::log::init(&config.log, &clock) {
        Ok(log) => log,
        Err(error) => {
            complain(&format!("imeid: {error}"));
            daemon::tell_status(&error.to_string());
            return Exit::Usage;
        }
    };
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
