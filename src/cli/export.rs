//! `imeid export`: a batch's result again, from the journal. Nothing is sent and nothing is changed.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::words::{Desk, Trouble, no_such_batch};
use super::{Exit, complain};
use crate::durable;
use crate::journal::{BatchState, BatchWork};
use crate::outbox::{PublishError, write_result};
use crate::types::Imei;

const EXAMPLES: &str =
    "The result is made of the journal, as it stands: of a batch in work, what is known so far. \
Nothing is sent. A file that is there already is never overwritten.

Examples:
  imeid export stock                    to standard output
  imeid export stock stock.again.csv    into a file";

/// What people write, in the outbox for the group; elsewhere for whoever may read the folder.
const MODE: u32 = 0o644;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ExportArgs {
    /// The NAME of a batch in the outbox
    #[arg(value_name = "BATCH")]
    name: String,
    /// Where to write it; else standard output
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(config: &Path, args: &ExportArgs) -> Exit {
    let desk = match Desk::open(config) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    match export(&desk, args) {
        Ok(()) => Exit::Done,
        Err(trouble) => trouble.tell(),
    }
}

fn export(desk: &Desk, args: &ExportArgs) -> Result<(), Trouble> {
    let batch = batch(desk, &args.name)?;
    let Some(path) = &args.file else { return to_standard_output(desk, &batch) };
    let (folder, name) = place(&desk.drop_folders()?, path)?;
    let written = durable::write_file(folder, name, MODE, false, |out| {
        write_result(&desk.view, &batch, out).map_err(as_io)
    });
    written.map_err(|error| not_written(path, &error))?;
    complain(&format!("{}: {} rows", path.display(), batch.rows_total));
    Ok(())
}

fn batch(desk: &Desk, name: &str) -> Result<BatchWork, Trouble> {
    // Only a batch has a result: a NAME that looks like an IMEI is one all the same.
    let Some((id, name)) = desk.batch(name)? else {
        return Err(if Imei::parse(name, false).is_ok() {
            Trouble::usage("an IMEI has no result file: give the NAME of a batch, or try imeid show")
        } else {
            Trouble::failed(no_such_batch(name))
        });
    };
    let batch = desk.view.batch(id)?.ok_or_else(|| Trouble::failed(format!("the batch {name} is gone")))?;
    if batch.state == BatchState::Taking {
        return Err(Trouble::failed(format!("{name} is still being taken in: say it again in a moment")));
    }
    Ok(batch)
}

fn to_standard_output(desk: &Desk, batch: &BatchWork) -> Result<(), Trouble> {
    let mut out = BufWriter::new(io::stdout().lock());
    let written = write_result(&desk.view, batch, &mut out).map_err(as_io).and_then(|()| out.flush());
    match written {
        // A reader that has enough (`| head`) is no error.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Trouble::failed(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// The kind tells a full disk and a reader that is gone from the rest.
fn as_io(error: PublishError) -> io::Error {
    match error {
        PublishError::Io(error) => error,
        error => io::Error::other(error),
    }
}

/// The folder and the name that the path of a new file is made of. In a folder that files are dropped into it would be taken
/// for one of them.
pub(super) fn place<'p>(dropped: &[PathBuf; 2], path: &'p Path) -> Result<(&'p Path, &'p OsStr), Trouble> {
    let name = path.file_name();
    let name = name.ok_or_else(|| Trouble::usage(format!("{} is no file's name", path.display())))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A folder that isn't there is told of by whoever writes into it.
    let to = folder.canonicalize().unwrap_or_default();
    let lies_in = |dropped: &Path| dropped.canonicalize().is_ok_and(|dropped| to.starts_with(dropped));
    for (watched, dropped) in ["inbox", "reconcile"].into_iter().zip(dropped) {
        if lies_in(dropped) {
            return Err(Trouble::usage(format!(
                "{} lies in the folder {watched}, and what lies there is taken for a file that was dropped: put it elsewhere",
                path.display()
            )));
        }
    }
    Ok((folder, name))
}

/// Why there is no file.
pub(super) fn not_written(path: &Path, error: &io::Error) -> Trouble {
    let path = path.display();
    Trouble::failed(match error.kind() {
        io::ErrorKind::AlreadyExists => format!("{path} is there already: it is never overwritten"),
        _ => format!("{path}: {error}"),
    })
}
