//! `imeid backup`: a copy of the journal, beside a running daemon or without one.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::export::{not_written, place};
use super::words::{Desk, Trouble};
use super::{Exit, say};
use crate::clock::Clock;
use crate::config::{Config, Folders};
use crate::durable;
use crate::journal::{Copied, back_up};

const EXAMPLES: &str = "Beside a running daemon too: it goes on. The copy is checked before it gets its name, and \
marked as one: a daemon that is started on it knows that orders may have been sent since, and sends nothing before \
`imeid resume`. A file that is there already is never overwritten.

Example:
  imeid backup /var/backups/imeid-2025-11-14.db";

/// For its owner alone, like the journal.
const MODE: u32 = 0o600;

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BackupArgs {
    /// The copy
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(config: &Path, args: &BackupArgs) -> Exit {
    let desk = match Desk::open(config) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    match write(&desk.config, &args.file) {
        Ok(copied) => {
            let Copied { batches, rows, orders, bytes } = copied;
            let mebibytes = bytes.div_ceil(1024 * 1024);
            let path = args.file.display();
            say(&format!("{path}: {batches} files, {rows} rows, {orders} orders, {mebibytes} MiB; checked"));
            Exit::Done
        }
        Err(trouble) => trouble.tell(),
    }
}

fn write(config: &Config, file: &Path) -> Result<Copied, Trouble> {
    let (folder, name) = place(file)?;
    refuse_drop_folders(&config.folders, folder, file)?;
    // Found out before the work, and again by the rename.
    if file.symlink_metadata().is_ok() {
        return Err(not_written(file, &io::ErrorKind::AlreadyExists.into()));
    }
    let mut copied = None;
    let now = Clock::system().now();
    let written = durable::write_file_at(folder, name, MODE, |temporary| {
        copied = Some(back_up(&config.journal.path, temporary, now).map_err(io::Error::other)?);
        Ok(())
    });
    written.map_err(|error| not_written(file, &error))?;
    copied.ok_or_else(|| Trouble::failed("nothing was copied"))
}

/// A copy in a folder that files are dropped into would be taken for one of them.
fn refuse_drop_folders(folders: &Folders, folder: &Path, file: &Path) -> Result<(), Trouble> {
    // A folder that isn't there is told of by whoever writes into it.
    let Ok(to) = folder.canonicalize() else { return Ok(()) };
    let lies_in = |dropped: &Path| dropped.canonicalize().is_ok_and(|dropped| to.starts_with(dropped));
    for (name, dropped) in [("inbox", &folders.inbox), ("reconcile", &folders.reconcile)] {
        if lies_in(dropped) {
            return Err(Trouble::usage(format!(
                "{} lies in the folder {name}, and what lies there is taken for a file that was dropped: put the copy \
                 elsewhere, best on another disk",
                file.display()
            )));
        }
    }
    Ok(())
}
