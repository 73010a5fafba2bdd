//! The commands, one file each.
//!
//! Exit codes: 0 done, 1 failed, 2 usage or bad config, 3 found something wrong.

mod ack;
mod ask;
mod backup;
mod balance;
mod cancel;
mod carry;
mod check;
mod completions;
mod demo;
mod export;
mod man;
mod pause;
mod resolve;
mod resume;
mod retry;
mod run;
mod services;
mod show;
mod simulate;
mod status;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Config, ConfigErrors};
use crate::simulator::SimulateArgs;

/// Orders a check for every IMEI in the CSV files dropped into a folder, once each, and puts the results back as CSV.
#[derive(Debug, Parser)]
#[command(name = "imeid", version, about, max_term_width = 100)]
struct Cli {
    /// The configuration file
    #[arg(
        long,
        global = true,
        env = "IMEID_CONFIG",
        default_value = config::USUAL_PATH,
        value_name = "FILE"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

const RUN: &str = "As a service it is started by systemd; by hand:
  imeid run --config imeid.toml";
const CHECK: &str = "Examples:
  imeid check             this machine alone
  imeid check --online    and what the provider says";
const DEMO: &str = "It needs no account and costs nothing:
  imeid demo";
const SIMULATE: &str = r#"Examples:
  imeid simulate --listen 127.0.0.1:8080
  imeid simulate --listen 127.0.0.1:8080 --faults drop-after=2%,502-html-after=2%,500-before=3x
  curl http://127.0.0.1:8080/sim/ledger     what was charged and given back, and how often twice
  curl http://127.0.0.1:8080/sim/orders     every order that it took
  curl http://127.0.0.1:8080/sim/entries    every movement of money
  curl -d '{"maintenance": true}' http://127.0.0.1:8080/sim/config
  curl -d '{"faults": "any:drop-before=100%"}' http://127.0.0.1:8080/sim/config

A fault is KIND-before (the request isn't executed) or KIND-after (it is, and charged), then = and a share of the orders (2%) or a count (3x: the next three). With any: in front it strikes other calls too. Kinds: drop (the connection closes without a byte), hang (no answer), an HTTP status from 300 to 599, alone or with -html (a proxy's page) or -retry (Retry-After: 2), empty, odd-error (a text that nobody knows); with -after only: cut (half of the answer), wrong-imei, several (a second order in the answer), late (executed long after the connection closed).

/sim/config changes it while it runs: credit, prices, duplicates, account, maintenance, listing, completion, rejected, latency, at_once, faults and more, each as on the command line. What it doesn't know it answers with the list of all that there are."#;

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground until SIGTERM or Ctrl-C
    #[command(after_help = RUN)]
    Run,
    /// Show everything that happened to an IMEI or a batch
    Show(show::ShowArgs),
    /// Say what became of an order that is in doubt or held
    Resolve(resolve::ResolveArgs),
    /// Order anew what ended rejected, refused, elsewhere or cancelled
    Retry(retry::RetryArgs),
    /// Stop what of a batch isn't sent yet, or give a held order up for good
    Cancel(cancel::CancelArgs),
    /// Let nothing more be sent, or nothing of one service, until `resume`
    Pause(pause::PauseArgs),
    /// End pauses that wait for a person, and try the others now
    Resume(resume::ResumeArgs),
    /// Say that you have seen an alarm
    Ack(ack::AckArgs),
    /// Write a batch's result again, from the journal; nothing is sent
    Export(export::ExportArgs),
    /// Copy the journal, beside a running daemon too; the copy is checked, and marked as one
    Backup(backup::BackupArgs),
    /// Ask the provider for the account's balance
    Balance(balance::BalanceArgs),
    /// Ask the provider for its services and their prices
    Services(services::ServicesArgs),
    /// Check the config, the folders, the rights and the API key; change nothing
    #[command(after_help = CHECK)]
    Check(check::CheckArgs),
    /// Show how things stand: files, orders, money, pauses, alarms
    Status(status::StatusArgs),
    /// Try everything at once, in a temporary folder: the real daemon and a sample file against the embedded simulator
    #[command(after_help = DEMO)]
    Demo,
    /// Run the simulator of the provider alone
    #[command(after_help = SIMULATE)]
    Simulate(Box<SimulateArgs>),
    /// Print what a shell needs to complete imeid's commands
    Completions(completions::CompletionsArgs),
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man(man::ManArgs),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done,
    Failed,
    Usage,
    Wrong,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0u8,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Wrong => 3,
        })
    }
}

/// Runs the program: reads the command line, does what it says, and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    keep_memory_private();
    // clap prints help, version and usage errors by itself, the latter with exit code 2.
    let cli = Cli::parse();
    let exit = match cli.command {
        Command::Run => run::run(&cli.config),
        Command::Show(args) => show::run(&cli.config, &args),
        Command::Resolve(args) => resolve::run(&cli.config, &args),
        Command::Retry(args) => retry::run(&cli.config, &args),
        Command::Cancel(args) => cancel::run(&cli.config, &args),
        Command::Pause(args) => pause::run(&cli.config, &args),
        Command::Resume(args) => resume::run(&cli.config, &args),
        Command::Ack(args) => ack::run(&cli.config, &args),
        Command::Export(args) => export::run(&cli.config, &args),
        Command::Backup(args) => backup::run(&cli.config, &args),
        Command::Balance(args) => balance::run(&cli.config, &args),
        Command::Services(args) => services::run(&cli.config, &args),
        Command::Check(args) => check::run(&cli.config, &args),
        Command::Status(args) => status::run(&cli.config, &args),
        Command::Demo => demo::run(),
        Command::Simulate(args) => simulate::run(*args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    exit.into()
}

/// The API key lies in this process's memory: no core dump is made of it, and no other process of its user may look
/// into it. The unit's `LimitCORE=0` alone wouldn't do: it doesn't hold where dumps are piped into a program.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            complain(&format!("imeid: core dumps can't be turned off: {error}"));
        }
    }
}

/// Reads the configuration; what is wrong with it goes to standard error.
fn load(path: &std::path::Path) -> Result<Config, Exit> {
    config::load(path).map_err(|errors| {
        complain(&errors.to_string());
        Exit::Usage
    })
}

/// Where the journal is by a configuration that has these errors; where that can't be told, they go to standard error.
fn journal_despite(errors: &ConfigErrors, path: &std::path::Path) -> Result<PathBuf, Exit> {
    config::journal_path(path).ok_or_else(|| {
        complain(&format!(
            "{errors}\nimeid: where the journal is can't be told from that; a daemon that runs goes on with what it read before"
        ));
        Exit::Usage
    })
}

/// A runtime for one command: one thread, which the journal's writer shares the work with.
fn runtime() -> Result<tokio::runtime::Runtime, Exit> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        complain(&format!("imeid: the runtime can't start: {error}"));
        Exit::Failed
    })
}

/// Says something to a person on standard error.
#[allow(clippy::print_stderr, reason = "the commands' one way to complain")]
fn complain(text: &str) {
    eprintln!("{text}");
}

/// Says something to a person, or a program, on standard output. A reader that is gone (`| head`) is no error.
fn say(text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
}
