//! `imeid ack`: a person has seen an alarm.

use std::path::Path;

use clap::{Args, ValueHint};

use super::Exit;
use super::words::Desk;
use crate::journal::{Said, Target};

const EXAMPLES: &str =
    "`imeid status` shows the open alarms, each with its number. One that was seen is shown no more; \
it stays in the journal.

Example:
  imeid ack 3";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct AckArgs {
    /// The alarm's number
    #[arg(value_name = "N", value_hint = ValueHint::Other, value_parser = clap::value_parser!(i64).range(1..))]
    n: i64,
}

pub(super) fn run(config: &Path, args: &AckArgs) -> Exit {
    match Desk::open(config) {
        Ok(desk) => desk.say(Said::Ack, Target::Alarm(args.n)),
        Err(exit) => exit,
    }
}
