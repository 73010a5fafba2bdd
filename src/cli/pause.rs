//! `imeid pause`: nothing more is sent until a person says so.

use std::path::Path;

use clap::{Args, ValueHint};

use super::Exit;
use super::words::Desk;
use crate::journal::Said;

const EXAMPLES: &str =
    "Calls on their way still end, files are still taken in, answers still come. A pause is kept \
across restarts.

Examples:
  imeid pause                          nothing more is sent
  imeid pause --service iphone-check   nothing more of this service";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PauseArgs {
    /// Only this service, by its name in the configuration
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    service: Option<String>,
}

pub(super) fn run(config: &Path, args: &PauseArgs) -> Exit {
    let desk = match Desk::open(config) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    match desk.submission(args.service.as_deref()) {
        Ok(target) => desk.say(Said::Pause, target),
        Err(trouble) => trouble.tell(),
    }
}
