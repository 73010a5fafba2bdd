//! `imeid balance`: what the provider says is left in the account.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::words::Trouble;
use super::{Exit, ask, runtime, say};
use crate::clock::Clock;
use crate::provider::Provider;
use crate::types::{Money, Timestamp};

const EXAMPLES: &str = "Asks the provider; nothing is ordered.

Examples:
  imeid balance
  imeid balance --json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BalanceArgs {
    /// As JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: u32,
    account: &'a str,
    balance: Option<Money>,
    /// The provider's own words.
    told: &'a str,
    at: Timestamp,
}

pub(super) fn run(config: &Path, args: &BalanceArgs) -> Exit {
    let (config, provider) = match ask::provider(config) {
        Ok(provider) => provider,
        Err(exit) => return exit,
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    match runtime.block_on(provider.account()) {
        Ok(told) => {
            let (balance, told) = (told.balance, told.credits_raw);
            let shown = match (args.json, balance) {
                (true, _) => {
                    let (account, at) = (config.provider.account.as_str(), Clock::system().now());
                    ask::json(&Json { schema: 1, account, balance, told: &told, at })
                }
                (false, Some(balance)) => {
                    say(&balance.to_string());
                    Ok(())
                }
                (false, None) => {
                    Err(Trouble::failed(format!("what the provider tells is no amount: {told:?}")))
                }
            };
            shown.map_or_else(Trouble::tell, |()| Exit::Done)
        }
        Err(error) => ask::failed(&error).tell(),
    }
}
