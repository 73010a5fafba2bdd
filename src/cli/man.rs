//! `imeid man`: the manual pages, from the same definition as `--help`. For packaging, so the help doesn't list it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::{Cli, Exit, complain};

const EXAMPLES: &str = "Example:
  imeid man man1";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ManArgs {
    /// Where the pages are written, `imeid.1` and one for each command; pages that are there are overwritten
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(super) fn run(args: &ManArgs) -> Exit {
    match write_all(&args.folder) {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&format!(
                "imeid: the manual pages can't be written into {}: {error}",
                args.folder.display()
            ));
            Exit::Failed
        }
    }
}

fn write_all(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, page) in pages()? {
        std::fs::write(folder.join(name), page)?;
    }
    Ok(())
}

/// Every page, with its file's name.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let commands: Vec<_> =
        program.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let mut pages = vec![page(program)?];
    for command in commands {
        pages.push(page(command)?);
    }
    Ok(pages)
}

/// The page of the program, or of one command.
fn page(command: Command) -> io::Result<(String, Vec<u8>)> {
    let (text, examples) = told_after(&command);
    let of_program = command.has_subcommands();
    let man =
        Man::new(command).source(concat!("imeid ", env!("CARGO_PKG_VERSION"))).manual("Manual of imeid");
    let name = man.get_filename();

    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    paragraphs(&text).to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    if of_program {
        man.render_subcommands_section(&mut page)?;
    }
    if !examples.is_empty() {
        as_typed("EXAMPLES", &examples).to_writer(&mut page)?;
    }
    files().to_writer(&mut page)?;
    exit_status().to_writer(&mut page)?;
    see_also(of_program).to_writer(&mut page)?;
    page.flush()?;
    Ok((name, page))
}

/// What the help says behind the options: its paragraphs, and the lines of its examples.
fn told_after(command: &Command) -> (String, String) {
    let told = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (examples, text): (Vec<_>, Vec<_>) = told.split("\n\n").partition(|part| part.contains("\n  "));
    let examples = examples.iter().flat_map(|part| part.lines());
    let examples: Vec<_> = examples.filter(|line| !["Example:", "Examples:"].contains(line)).collect();
    (text.join("\n\n"), examples.join("\n"))
}

fn paragraphs(text: &str) -> Roff {
    let mut roff = Roff::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        roff.control("PP", []);
        roff.text([roman(paragraph)]);
    }
    roff
}

/// A section whose lines stay as they are.
fn as_typed(heading: &str, lines: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    roff.control("nf", []);
    for line in lines.lines() {
        roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    roff.control("fi", []);
    roff
}

fn files() -> Roff {
    const FILES: [(&str, &str); 5] = [
        (crate::config::USUAL_PATH, "The configuration; another by --config or IMEID_CONFIG."),
        ("/etc/imeid/api-key", "The provider's API key, alone on one line; for root only."),
        ("/srv/imeid/inbox, /srv/imeid/outbox", "Where files are dropped, and where the results come."),
        (
            "/srv/imeid/archive, /srv/imeid/rejected, /srv/imeid/reconcile",
            "The files that were taken; those that were refused, each with its reason; where the provider's export is \
             dropped.",
        ),
        (
            "/var/lib/imeid/journal.db",
            "Every row, order, attempt and cent. Never edit, copy back or delete it: it alone knows what was paid.",
        ),
    ];
    section("FILES", &FILES)
}

fn exit_status() -> Roff {
    const CODES: [(&str, &str); 4] = [
        ("0", "Done."),
        ("1", "Failed."),
        ("2", "Wrong usage, or a bad configuration."),
        ("3", "Something is wrong that a person should look at."),
    ];
    section("EXIT STATUS", &CODES)
}

fn section(heading: &str, entries: &[(&str, &str)]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    for (term, meaning) in entries {
        roff.control("TP", []);
        roff.text([italic(*term)]);
        roff.text([roman(*meaning)]);
    }
    roff
}

fn see_also(of_program: bool) -> Roff {
    let page = if of_program { "systemctl" } else { "imeid" };
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold(page), roman("(1), ")]);
    roff.text([italic("/usr/share/doc/imeid/README.md")]);
    roff
}
