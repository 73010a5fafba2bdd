//! `imeid completions`: what a shell completes.

use std::io::Write;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Exit};

const EXAMPLES: &str = "Examples:
  imeid completions bash > /usr/share/bash-completion/completions/imeid
  imeid completions zsh > /usr/share/zsh/vendor-completions/_imeid
  imeid completions fish > /usr/share/fish/vendor_completions.d/imeid.fish";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> Exit {
    // Made in memory first: a reader that is gone is no error.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut shown(&Cli::command()), "imeid", &mut script);
    let _ = std::io::stdout().lock().write_all(&script);
    Exit::Done
}

/// The program without what its help doesn't list: the scripts would offer that too.
fn shown(all: &Command) -> Command {
    let listed = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("imeid")
        .version(env!("CARGO_PKG_VERSION"))
        .args(all.get_arguments().cloned())
        .subcommands(listed)
}
