//! What lies in the inbox while no daemon looks: one look that remembers nothing, writes nothing and takes nothing.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::names::{ignored, is_control};
use super::settings::Settings;
use super::waiting::{Waiting, Why};
use crate::durable;
use crate::types::Timestamp;

/// What lies in the inbox, in the order of the names. Whether a file is complete can't be told by one look: each that
/// a daemon would take counts as [`Why::BeingWritten`]. Since when is the time that its entry was changed last, which
/// is when it was written, renamed or copied in. Blocks.
#[must_use]
pub fn survey(settings: &Settings) -> Vec<Waiting> {
    let mut found = Vec::new();
    look_into(settings, &settings.inbox, "", settings.network_id_of(".").is_some(), &mut found);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn look_into(settings: &Settings, folder: &Path, prefix: &str, has_service: bool, found: &mut Vec<Waiting>) {
    let entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        // Before the first start there is none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(_) => {
            let name = if prefix.is_empty() { "." } else { prefix.trim_end_matches('/') };
            let since = fs::metadata(folder).map(|metadata| changed_at(&metadata)).unwrap_or_default();
            found.push(Waiting { name: name.to_owned(), why: Why::Unreadable, since });
            return;
        }
    };
    for entry in entries {
        let name = entry.file_name();
        // Gone meanwhile where it tells nothing.
        let Ok(metadata) = entry.metadata() else { continue };
        let shown = format!("{prefix}{}", name.to_string_lossy());
        if prefix.is_empty() && metadata.is_dir() && is_service_folder(settings, &name) {
            look_into(settings, &entry.path(), &format!("{shown}/"), true, found);
        } else if !ignored(&name) {
            let why = why(&entry, &metadata, has_service);
            found.push(Waiting { name: shown, why, since: changed_at(&metadata) });
        }
    }
}

fn is_service_folder(settings: &Settings, name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| settings.network_id_of(name).is_some())
}

fn why(entry: &DirEntry, metadata: &Metadata, has_service: bool) -> Why {
    if metadata.is_dir() {
        Why::NoSuchService
    } else if !metadata.is_file() {
        Why::NotAFile
    } else if is_control(&entry.file_name()) {
        Why::NotAvailable
    } else if !has_service {
        Why::NoSuchService
    } else if durable::open_regular(&entry.path()).is_err() {
        Why::Unreadable
    } else {
        Why::BeingWritten
    }
}

/// When the entry was changed last: written, renamed or copied in, or its rights changed. It is the clock of where it lies,
/// and nobody can set it: an SMB client gives a copy the time of change of its original, which may be years ago.
pub(super) fn changed_at(metadata: &Metadata) -> Timestamp {
    Timestamp::from_millis(metadata.ctime().saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::NetworkId;

    fn settings(inbox: &Path, folders: &[&str]) -> Settings {
        Settings {
            inbox: inbox.to_owned(),
            rejected: inbox.with_file_name("rejected"),
            called: "inbox",
            settle: Duration::from_secs(2),
            rescan: Duration::from_secs(30),
            services: folders.iter().map(|name| ((*name).to_owned(), NetworkId("1739".to_owned()))).collect(),
        }
    }

    #[test]
    fn a_look_without_a_daemon_names_what_lies_there_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let inbox = dir.path().join("inbox");
        fs::create_dir_all(inbox.join("other")).unwrap();
        fs::create_dir_all(inbox.join("stranger")).unwrap();
        fs::create_dir_all(inbox.join(".taken/1")).unwrap();
        for name in ["b.csv", "other/a.csv", "stranger/c.csv", "b.go", "b.csv.part", ".hidden"] {
            fs::write(inbox.join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("b.csv", inbox.join("link.csv")).unwrap();

        let found = survey(&settings(&inbox, &[".", "other"]));

        let told: Vec<_> = found.iter().map(|waiting| (waiting.name.as_str(), waiting.why)).collect();
        assert_eq!(
            told,
            [
                ("b.csv", Why::BeingWritten),
                ("b.go", Why::NotAvailable),
                ("link.csv", Why::NotAFile),
                ("other/a.csv", Why::BeingWritten),
                ("stranger", Why::NoSuchService),
            ]
        );
        assert!(found.iter().all(|waiting| waiting.since > Timestamp::from_millis(1_600_000_000_000)));
        assert!(!dir.path().join("rejected").exists());
    }

    #[test]
    fn files_of_no_service_are_told_and_a_missing_inbox_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.csv"), "x").unwrap();
        let found = survey(&settings(dir.path(), &["other"]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].why, Why::NoSuchService);
        assert_eq!(survey(&settings(&dir.path().join("none"), &["."])), []);
    }
}
