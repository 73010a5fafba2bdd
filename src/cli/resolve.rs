//! `imeid resolve`: a person says what became of an order in doubt or held.

use std::path::Path;

use clap::{Args, ValueHint};

use super::Exit;
use super::words::Desk;
use crate::journal::Said;

const EXAMPLES: &str =
    "Look the IMEI up at the provider first, a quiet period after the order at the earliest.

Examples:
  imeid resolve 353322110000008 --order-id 15562209    it was ordered, under this id
  imeid resolve 353322110000008 --not-ordered          it was not: it is sent again";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ResolveArgs {
    /// The IMEI of an order that is in doubt or held
    imei: String,
    #[command(flatten)]
    outcome: Outcome,
    /// The service, where the IMEI has orders of several
    #[arg(long, value_hint = ValueHint::Other)]
    service: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Outcome {
    /// It was ordered: its order id at the provider
    #[arg(long, value_name = "N", value_hint = ValueHint::Other, value_parser = clap::value_parser!(u64).range(1..))]
    order_id: Option<u64>,
    /// It was not ordered: it is sent again
    #[arg(long)]
    not_ordered: bool,
}

pub(super) fn run(config: &Path, args: &ResolveArgs) -> Exit {
    let desk = match Desk::open(config) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    let said = args.outcome.order_id.map_or(Said::NotOrdered, Said::OrderId);
    match desk.target_of_imei(&args.imei, args.service.as_deref()) {
        Ok(target) => desk.say(said, target),
        Err(trouble) => trouble.tell(),
    }
}
