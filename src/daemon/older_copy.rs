//! The stamp outside the journal, `archive/.imeid`: how far the journal is. A journal that is behind it is an older
//! copy, and one that isn't the stamp's own is taken as one. It is written after what it tells of is on disk, so no crash leaves it ahead of its own journal.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::durable;
use crate::journal::{Journal, JournalError, Mark, Stamp};
use crate::pulse;
use crate::settings::Settings;

const NAME: &str = ".imeid";
/// For the folder's group too: it names nothing.
const MODE: u32 = 0o664;
const WRITTEN_EVERY: Duration = Duration::from_secs(2);

/// Takes up a journal as the last process left it: what was in flight is in doubt; if it is an older copy, so is all
/// that it would send, and nothing goes until a person says so. Returns how many were in flight.
///
/// # Errors
/// The journal can't be written.
pub async fn recover(journal: &Journal, settings: &Settings, clock: &Clock) -> Result<usize, JournalError> {
    let rules = (*settings.rules).clone();
    let lost = journal.recover(clock.now(), rules.clone()).await?;
    let archive = settings.config.folders.archive.clone();
    let stamp = read(&archive);
    if let Some(found) = journal.take_as_older_copy(stamp, clock.now(), rules).await? {
        tracing::warn!(
            orders = found.orders,
            "what the journal would have sent is in doubt: nothing is sent and no file is taken in until imeid resume"
        );
        // What the original, or another journal, left is no longer about this one. Where it can't be written the next start finds that out.
        let stamp = journal.read(|view| view.stamp()).await?;
        if let Err(error) = write(&archive, &stamp) {
            tracing::warn!(folder = %archive.display(), "the stamp {NAME} can't be written: {error}");
        }
    }
    Ok(lost)
}

/// What lies there; one that can't be read says nothing.
fn read(archive: &Path) -> Option<Stamp> {
    let path = archive.join(NAME);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(file = %path.display(), "whether the journal is an older copy can't be told: {error}");
            return None;
        }
    };
    let stamp = serde_json::from_str(&text);
    if let Err(error) = &stamp {
        tracing::warn!(file = %path.display(), "whether the journal is an older copy can't be told: {error}");
    }
    stamp.ok()
}

fn write(archive: &Path, stamp: &Stamp) -> io::Result<()> {
    let text = serde_json::to_string(stamp).map_err(io::Error::other)?;
    durable::write_file(archive, OsStr::new(NAME), MODE, true, |out| writeln!(out, "{text}"))
}

/// Keeps the stamp up to date until `stop`, and once more then.
pub(super) async fn run(
    journal: Journal,
    clock: Clock,
    settings: watch::Receiver<Arc<Settings>>,
    stop: CancellationToken,
) {
    let (mut written, mut read) = (None, Mark::default());
    let mut broken = false;
    loop {
        let stopping = stop.is_cancelled();
        let archive = settings.borrow().config.folders.archive.clone();
        let stamp = journal.read_if_changed(&mut read, clock.now(), |view| view.stamp()).await;
        match keep(&archive, stamp, &written).await {
            Ok(Some(stamp)) => {
                written = Some(stamp);
                broken = false;
            }
            Ok(None) => {}
            Err(error) if !broken => {
                tracing::warn!(folder = %archive.display(), "the stamp {NAME} can't be written, trying again: {error}");
                (broken, read) = (true, Mark::default());
            }
            Err(_) => read = Mark::default(),
        }
        if stopping {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = pulse::tick(WRITTEN_EVERY) => {}
        }
    }
}

/// Writes the stamp if it isn't what was written last; `None`: the journal is as it was. Before the first attempt there is
/// nothing to tell.
async fn keep(
    archive: &Path,
    stamp: Result<Option<Stamp>, JournalError>,
    written: &Option<Stamp>,
) -> io::Result<Option<Stamp>> {
    let Some(stamp) = stamp.map_err(io::Error::other)? else { return Ok(None) };
    if stamp.attempt == 0 || written.as_ref() == Some(&stamp) {
        return Ok(Some(stamp));
    }
    let (archive, told) = (archive.to_owned(), stamp.clone());
    tokio::task::spawn_blocking(move || write(&archive, &told)).await.map_err(io::Error::other)??;
    Ok(Some(stamp))
}
