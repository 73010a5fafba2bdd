//! `imeid run`: the daemon.

use std::path::Path;

use super::{Exit, complain, load, runtime};
use crate::clock::Clock;
use crate::daemon;

pub(super) fn run(config: &Path) -> Exit {
    let config = match load(config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let clock = Clock::system();
    if let Err(error) = daemon::log::init(&config.log, &clock) {
        complain(&format!("imeid: {error}"));
        return Exit::Usage;
    }
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    match runtime.block_on(daemon::run(config, clock)) {
        Ok(()) => Exit::Done,
        Err(error) => {
            tracing::error!("{error}");
            if error.is_config() { Exit::Usage } else { Exit::Failed }
        }
    }
}
