//! `imeid status`: how things stand, once or again and again.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Exit, complain, load, runtime};
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::stop_on_signals;
use crate::status::{Status, text};

const EXAMPLES: &str = "Ends with 3 if someone should look: an alarm, a pause, something held, or no daemon.

Examples:
  imeid status
  imeid status --watch
  imeid status --json | jq .orders";

/// With `--watch`.
const EVERY: Duration = Duration::from_secs(2);
/// To the upper left, and what was there is gone.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct StatusArgs {
    /// As JSON, for programs; with --watch a line each time
    #[arg(long)]
    json: bool,
    /// Again every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

pub(super) fn run(config: &Path, args: &StatusArgs) -> Exit {
    let config = match load(config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    if args.watch {
        return runtime().map_or_else(|exit| exit, |runtime| runtime.block_on(watch(&config, args)));
    }
    match read(&config).and_then(|status| Ok((shown(&status, args)?, status))) {
        Ok((shown, status)) => {
            super::say(&shown);
            if args.json && status.disk.journal_bytes.is_none() {
                complain(&format!("imeid: there is no journal yet at {}", config.journal.path.display()));
            }
            verdict(&status)
        }
        Err(exit) => exit,
    }
}

fn read(config: &Config) -> Result<Status, Exit> {
    Status::read(config, &Clock::system()).map_err(|error| {
        complain(&format!("imeid: {error}"));
        Exit::Failed
    })
}

fn shown(status: &Status, args: &StatusArgs) -> Result<String, Exit> {
    let json = match (args.json, args.watch) {
        (false, _) => return Ok(text::text(status)),
        (true, false) => serde_json::to_string_pretty(status),
        (true, true) => serde_json::to_string(status),
    };
    json.map_err(|error| {
        complain(&format!("imeid: the status can't be written as JSON: {error}"));
        Exit::Failed
    })
}

fn verdict(status: &Status) -> Exit {
    if status.needs_attention() { Exit::Wrong } else { Exit::Done }
}

/// Shows it until a signal; the last one decides how the command ends.
async fn watch(config: &Config, args: &StatusArgs) -> Exit {
    let stop = CancellationToken::new();
    if let Err(error) = stop_on_signals(stop.clone()) {
        complain(&format!("imeid: signals can't be received: {error}"));
        return Exit::Failed;
    }
    loop {
        let status = match read(config) {
            Ok(status) => status,
            Err(exit) => return exit,
        };
        match shown(&status, args) {
            // Nobody reads it any more.
            Ok(shown) if draw(&shown, args.json).is_err() => return verdict(&status),
            Ok(_) => {}
            Err(exit) => return exit,
        }
        tokio::select! {
            () = stop.cancelled() => return verdict(&status),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// On a terminal in place of the last one, elsewhere below it.
fn draw(shown: &str, is_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if is_json {
        writeln!(out, "{shown}")?;
    } else if out.is_terminal() {
        writeln!(out, "{CLEAR}{shown}")?;
    } else {
        writeln!(out, "{shown}\n")?;
    }
    out.flush()
}
