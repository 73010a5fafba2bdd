//! The switches of `imeid simulate` on the command line.

use std::net::SocketAddr;

use super::delay::Delay;
use super::faults::Faults;
use super::options::{Duplicates, Options};
use super::parse::{ParseError, Share};
use crate::types::Money;

/// Starts a provider of our own on this machine, for tests and rehearsals. Nothing it does costs anything.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// Where to listen: an address of this machine; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// How long placing an order takes: 36ms, uniform:1s-18s, or lognormal:3.6s (its mean)
    #[arg(long, default_value = "36ms")]
    pub latency: Delay,
    /// How long every other call takes, likewise
    #[arg(long, default_value = "3ms")]
    pub other_latency: Delay,
    /// Refuse with 429 what comes while so many orders are being worked on
    #[arg(long, value_name = "N")]
    pub at_once: Option<usize>,
    /// Take twice as long for what comes while so many orders are being worked on
    #[arg(long, value_name = "N")]
    pub slow_beyond: Option<usize>,
    /// How long a check takes from its order to its result, likewise
    #[arg(long, default_value = "uniform:500ms-3s")]
    pub completion: Delay,
    /// The share of orders that end rejected and refunded
    #[arg(long, default_value = "1%")]
    pub rejected: Share,
    /// What happens to an IMEI that was ordered before
    #[arg(long, value_enum, default_value_t)]
    pub duplicates: Duplicates,
    /// Whether recent orders are listed when no order id is named: on or off
    #[arg(long, default_value = "on", value_parser = on_off, action = clap::ArgAction::Set)]
    pub listing: bool,
    /// The balance to start with, in dollars
    #[arg(long, default_value = "1000")]
    pub credit: Money,
    /// The price of a check, in dollars
    #[arg(long, default_value = "0.08")]
    pub price: Money,
    /// What goes wrong, and how often: drop-after=2%,502-html-after=2%,hang-after=0.5%,500-before=3x
    #[arg(long, default_value = "")]
    pub faults: Faults,
    /// What all chance is drawn from: the same seed, the same fate for the same IMEI
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Let this user id in only
    #[arg(long)]
    pub user: Option<String>,
    /// Let this API key in only
    #[arg(long)]
    pub key: Option<String>,
    /// Begin answers with the faulty declaration that the real provider sometimes sends
    #[arg(long)]
    pub phpxml: bool,
}

fn on_off(text: &str) -> Result<bool, ParseError> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(ParseError(format!("{text:?} is neither on nor off"))),
    }
}

impl From<SimulateArgs> for Options {
    fn from(args: SimulateArgs) -> Self {
        let mut options = Self {
            user: args.user,
            key: args.key,
            credit: args.credit,
            duplicates: args.duplicates,
            listing: args.listing,
            completion: args.completion,
            rejected: args.rejected,
            phpxml: args.phpxml,
            latency: args.latency,
            other_latency: args.other_latency,
            at_once: args.at_once,
            slow_beyond: args.slow_beyond,
            faults: args.faults,
            seed: args.seed,
            ..Self::default()
        };
        for service in &mut options.services {
            service.price = args.price;
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: SimulateArgs,
    }

    fn options(line: &[&str]) -> Options {
        Line::try_parse_from([&["simulate"], line].concat()).unwrap().args.into()
    }

    #[test]
    fn a_bare_command_line_means_the_default_options() {
        assert_eq!(format!("{:?}", options(&[])), format!("{:?}", Options::default()));
    }

    #[test]
    fn switches_reach_the_options() {
        let options = options(&[
            "--listing",
            "off",
            "--duplicates",
            "list",
            "--faults",
            "drop-after 2 %",
            "--price",
            "0.10",
            "--at-once",
            "100",
            "--slow-beyond",
            "40",
        ]);
        assert!(!options.listing);
        assert_eq!((options.at_once, options.slow_beyond), (Some(100), Some(40)));
        assert_eq!(options.duplicates, Duplicates::RefuseAsList);
        assert_eq!(Ok(options.faults), "drop-after=2%".parse());
        assert_eq!(options.services[0].price.to_string(), "0.10");
    }

    #[test]
    fn a_wrong_switch_is_refused_in_words() {
        let line = ["simulate", "--faults", "drop-after=2"];
        let error = Line::try_parse_from(line).err().unwrap().to_string();
        assert!(error.contains("\"2\" is not a share"), "{error}");
    }
}
