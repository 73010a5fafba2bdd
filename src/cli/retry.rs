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
  imeid retry 353322110000008 --yes --not-charged
                             an IMEI that was sent, taken as not ordered and cancelled

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
    /// You have seen at the provider that what was sent of this IMEI before was not charged
    #[arg(long)]
    not_charged: bool,
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
        .and_then(|target| Quote::of(&desk.view, desk.whole_config()?, target).map(|quote| (target, quote)));
    match quoted {
        Ok((target, quote)) if args.yes && args.not_charged == quote.may_be_charged => {
            let said = if args.not_charged { Said::RetryNotCharged } else { Said::Retry };
            desk.say(said, target)
        }
        Ok((_, quote)) => {
            say(&quote.text);
            Trouble::usage(quote.how_to_say_it(args.not_charged)).tell()
        }
        Err(trouble) => trouble.tell(),
    }
}

/// What it would cost.
struct Quote {
    /// In a sentence.
    text: String,
    /// An attempt was sent and taken as not ordered: that it was not charged must be said too.
    may_be_charged: bool,
}

impl Quote {
    /// What was missing, or too much.
    const fn how_to_say_it(&self, not_charged: bool) -> &'static str {
        match (self.may_be_charged, not_charged) {
            (true, _) => {
                "nothing was done: look the IMEI up at the provider. If it was not charged there, say it again with --yes \
                 --not-charged"
            }
            (false, false) => "nothing was done: say it again with --yes",
            (false, true) => {
                "nothing was done: --not-charged is for an IMEI that was sent, taken as not ordered and then cancelled"
            }
        }
    }

    fn of(view: &View, config: &Config, target: Target) -> Result<Self, Trouble> {
        let (service, orders) = match target {
            Target::Batch(id) => view.retryable(BatchId(id))?,
            Target::Order { service, imei } => {
                let state = view.state_of(ServiceId(service), imei)?;
                if !matches!(
                    state,
                    Some(State::Rejected | State::Refused | State::OrderedElsewhere | State::Cancelled)
                ) {
                    let state = state.map_or("unknown", State::as_str);
                    return Err(Trouble::failed(format!(
                        "its order is {state}: there is nothing to order anew"
                    )));
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
        let mut text = format!("{orders} {noun} anew at {price} each: {cost} at most");
        let may_be_charged = match target {
            Target::Order { service, imei } => view.was_released(ServiceId(service), imei)?,
            _ => false,
        };
        if may_be_charged {
            text.push_str(
                ". An attempt of it was sent and taken as not ordered: if it was charged all the same, it is paid twice, \
                 unless the provider refuses duplicates",
            );
        }
        Ok(Self { text, may_be_charged })
    }
}
