//! `imeid cancel`: stops what isn't sent yet, or gives a held order up for good.

use std::path::Path;

use clap::{Args, ValueHint};

use super::Exit;
use super::words::Desk;
use crate::journal::Said;

const EXAMPLES: &str = "What was sent already ends as it does.

Examples:
  imeid cancel stock              what of the batch isn't sent yet
  imeid cancel 353322110000008    one order that isn't sent yet, or a held one for good

Where that is the NAME of a batch too: 353322110000008.results.csv is the batch, with --service it is the IMEI.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CancelArgs {
    /// An IMEI, or the NAME of a batch in the outbox
    #[arg(value_name = "BATCH|IMEI")]
    name: String,
    /// The service, where the IMEI has orders of several
    #[arg(long, value_hint = ValueHint::Other)]
    service: Option<String>,
}

pub(super) fn run(config: &Path, args: &CancelArgs) -> Exit {
    let desk = match Desk::open(config) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    match desk.target(&args.name, args.service.as_deref()) {
        Ok(target) => desk.say(Said::Cancel, target),
        Err(trouble) => trouble.tell(),
    }
}
