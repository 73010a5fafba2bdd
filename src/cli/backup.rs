//! `imeid backup`: a copy of the journal, beside a running daemon or without one.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::export::{not_written, place};
use super::words::{Desk, Trouble};
use super::{Exit, say};
use crate::clock::Clock;
use crate::durable;
use crate::journal::{Copied, back_up};
use crate::words;

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
    match write(&desk, &args.file) {
        Ok(copied) => {
            let Copied { batches, rows, orders, bytes } = copied;
            let mebibytes = bytes.div_ceil(1024 * 1024);
            let path = args.file.display();
            let [batches, rows, orders] = [(batches, "file"), (rows, "row"), (orders, "order")]
                .map(|(n, word)| words::counted(n, word));
            say(&format!("{path}: {batches}, {rows}, {orders}, {mebibytes} MiB; checked"));
            Exit::Done
        }
        Err(trouble) => trouble.tell(),
    }
}

fn write(desk: &Desk, file: &Path) -> Result<Copied, Trouble> {
    let (folder, name) = place(&desk.drop_folders()?, file)?;
    // Found out before the work, and again by the rename.
    if file.symlink_metadata().is_ok() {
        return Err(not_written(file, &io::ErrorKind::AlreadyExists.into()));
    }
    let mut copied = None;
    let now = Clock::system().now();
    let written = durable::write_file_at(folder, name, MODE, |temporary| {
        copied = Some(back_up(&desk.journal, temporary, now).map_err(io::Error::other)?);
        Ok(())
    });
    written.map_err(|error| not_written(file, &error))?;
    copied.ok_or_else(|| Trouble::failed("nothing was copied"))
}
