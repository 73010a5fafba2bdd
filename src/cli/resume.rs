//! `imeid resume`: what a person paused, or must look at, goes on.

use std::path::Path;

use clap::{Args, ValueHint};

use super::Exit;
use super::words::Desk;
use crate::journal::Said;

const EXAMPLES: &str =
    "Ends what `imeid pause` began, and pauses that wait for a person to look; one whose cause lies \
with the provider is tried at once. Tells what remains paused, and why; and warns where an older copy of the journal goes on \
without an export of the provider's in `reconcile` since.

Examples:
  imeid resume                          every pause
  imeid resume --service iphone-check   those of this service alone";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ResumeArgs {
    /// Only this service, by its name in the configuration
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    service: Option<String>,
}

pub(super) fn run(config: &Path, args: &ResumeArgs) -> Exit {
    let desk = match Desk::open(config) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    match desk.submission(args.service.as_deref()) {
        Ok(target) => desk.say(Said::Resume, target),
        Err(trouble) => trouble.tell(),
    }
}
