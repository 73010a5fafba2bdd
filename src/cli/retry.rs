//! `imeid retry`: orders anew what ended rejected, refused, elsewhere or cancelled.

use std::path::Path;

use clap::{Args, ValueHint};

use super::words::{Desk, Trouble};
use super::{Exit, say};
use crate::config::Config;
use crate::journal::{Said, Target, View};
use crate::order::State;
use crate::types::{BatchId, Money, ServiceId};

const EXAMPLES: &str = "Each is a new order, and is paid for.

Examples:
  imeid retry stock          tells the cost
  imeid retry stock --yes    does it

Where an IMEI is the NAME of a batch too: NAME.results.csv is the batch, with --service it is the IMEI.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RetryArgs {
    /// An IMEI, or the NAME of a batch in the outbox
    #[arg(value_name = "BATCH|IMEI")]
    name: String,
    /// Do it; without this only the cost is told
    #[arg(long)]
    yes: bool,
    /// The service, where the IMEI has orders of several
    #[arg(long, value_hint = ValueHint::Other)]
    service: Option<String>,
}

pub(super) fn run(config: &Path, args: &RetryArgs) -> Exit {
    let desk = match Desk::open(config) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    let quoted = desk
        .target(&args.name, args.service.as_deref())
        .and_then(|target| quote(&desk.view, desk.whole_config()?, target).map(|quote| (target, quote)));
    match quoted {
        Ok((target, _)) if args.yes => desk.say(Said::Retry, target),
        Ok((_, quote)) => {
            say(&quote);
            Trouble::usage("nothing was done: say it again with --yes").tell()
        }
        Err(trouble) => trouble.tell(),
    }
}

/// What it would cost, in a sentence.
fn quote(view: &View, config: &Config, target: Target) -> Result<String, Trouble> {
    let (service, orders) = match target {
        Target::Batch(id) => view.retryable(BatchId(id))?,
        Target::Order { service, imei } => {
            let state = view.state_of(ServiceId(service), imei)?;
            if !matches!(
                state,
                Some(State::Rejected | State::Refused | State::OrderedElsewhere | State::Cancelled)
            ) {
                let state = state.map_or("unknown", State::as_str);
                return Err(Trouble::failed(format!("its order is {state}: there is nothing to order anew")));
            }
            (ServiceId(service), 1)
        }
        Target::Everything | Target::Service(_) | Target::Alarm(_) => {
            return Err(Trouble::usage("only an IMEI or a batch can be ordered anew"));
        }
    };
    if orders == 0 {
        return Err(Trouble::failed("nothing in it ended rejected, refused, elsewhere or cancelled"));
    }
    let network_id = view.network_id(service)?;
    let Some(price) = network_id.and_then(|id| config.service(&id).map(|service| service.price)) else {
        return Err(Trouble::failed("its service is no longer configured"));
    };
    let cost = price.checked_mul(orders).unwrap_or(Money::ZERO);
    let noun = if orders == 1 { "order" } else { "orders" };
    let mut quote = format!("{orders} {noun} anew at {price} each: {cost} at most");
    if let Target::Order { service, imei } = target
        && view.was_released(ServiceId(service), imei)?
    {
        quote.push_str(
            ". An attempt of it was sent and taken as not ordered: if it was charged all the same, it is paid twice, \
             unless the provider refuses duplicates",
        );
    }
    Ok(quote)
}
