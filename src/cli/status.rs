//! `imeid status`: how things stand, once or again and again.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Exit, complain, journal_despite, runtime};
use crate::clock::Clock;
use crate::config::{self, Config, ConfigErrors};
use crate::daemon::stop_on_signals;
use crate::status::{Status, text};

const EXAMPLES: &str =
    "Ends with 3 if someone should look: an alarm, a pause, something held, or no daemon; with 2 if the
configuration has errors: they are told, and what the journal knows is shown all the same.

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
    if args.watch {
        return runtime().map_or_else(|exit| exit, |runtime| runtime.block_on(watch(config, args)));
    }
    let told = By::find(config).and_then(|by| {
        let status = by.read()?;
        Ok((shown(&status, args)?, status, by))
    });
    match told {
        Ok((shown, status, by)) => {
            super::say(&shown);
            if args.json {
                by.complain_for_programs(&status);
            }
            verdict(&status)
        }
        Err(exit) => exit,
    }
}

/// What it is read by.
enum By {
    Config(Box<Config>),
    /// The configuration has errors, and the journal is where it says all the same.
    Journal(PathBuf, ConfigErrors),
}

impl By {
    fn find(path: &Path) -> Result<Self, Exit> {
        match config::load(path) {
            Ok(config) => Ok(Self::Config(Box::new(config))),
            Err(errors) => Ok(Self::Journal(journal_despite(&errors, path)?, errors)),
        }
    }

    fn read(&self) -> Result<Status, Exit> {
        let clock = Clock::system();
        match self {
            Self::Config(config) => Status::read(config, &clock).map_err(|error| {
                complain(&format!("imeid: {error}"));
                Exit::Failed
            }),
            Self::Journal(journal, errors) => {
                Status::read_without_config(journal, errors, &clock).map_err(|error| {
                    complain(&format!("{errors}\nimeid: {error}"));
                    Exit::Usage
                })
            }
        }
    }

    /// What a person reads in the text itself.
    fn complain_for_programs(&self, status: &Status) {
        let journal = match self {
            Self::Config(config) => &config.journal.path,
            Self::Journal(journal, errors) => {
                complain(&errors.to_string());
                journal
            }
        };
        if status.disk.journal_bytes.is_none() {
            complain(&format!("imeid: there is no journal yet at {}", journal.display()));
        }
    }
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
    match status.needs_attention() {
        _ if !status.config_errors.is_empty() => Exit::Usage,
        true => Exit::Wrong,
        false => Exit::Done,
    }
}

/// Shows it until a signal; the last one decides how the command ends.
async fn watch(config: &Path, args: &StatusArgs) -> Exit {
    let stop = CancellationToken::new();
    if let Err(error) = stop_on_signals(stop.clone()) {
        complain(&format!("imeid: signals can't be received: {error}"));
        return Exit::Failed;
    }
    loop {
        // Anew each time: while someone looks, a configuration is mended.
        let status = match By::find(config).and_then(|by| by.read()) {
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
