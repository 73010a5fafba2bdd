//! Whether the API key was changed since the start. It is read then only: a client that pays isn't exchanged while its
//! calls are on their way.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::config::{Config, api_key_home, read_api_key};

/// The key that is in use.
pub(super) struct KeyInUse {
    key: SecretString,
    /// The file that people write and systemd hands a copy of to the daemon at its start, as it was then. `None` where
    /// the daemon reads people's own file.
    original: Option<(PathBuf, Option<Mark>)>,
}

/// What tells a file that was written from one that wasn't: number, size in bytes, and when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark(u64, u64, i64, i64);

impl KeyInUse {
    /// `key`, as it was just read.
    pub(super) fn new(config: &Config, key: SecretString) -> Self {
        let home = api_key_home(config);
        let is_copied = key_path(config) != home;
        Self { key, original: is_copied.then(|| (home.clone(), mark(&home))) }
    }

    /// What to say of the key, if the next start would find another one than is in use, or none. Reads the key's file.
    pub(super) fn what_changed(&self, config: &Config) -> Option<String> {
        match read_api_key(config) {
            Ok(found) if found.expose_secret() != self.key.expose_secret() => Some(format!(
                "the API key in {} was changed: it needs a restart, the old one stays in use",
                api_key_home(config).display()
            )),
            Ok(_) => {
                let (path, was) = self.original.as_ref()?;
                (mark(path) != *was).then(|| {
                    format!(
                        "{} was written since the start: a new API key needs a restart, the old one stays in use",
                        path.display()
                    )
                })
            }
            Err(error) => Some(format!("the API key in use stays so, but a restart would fail: {error}")),
        }
    }
}

fn key_path(config: &Config) -> PathBuf {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|value| !value.is_empty());
    config.api_key_path(directory.as_deref().map(Path::new))
}

fn mark(path: &Path) -> Option<Mark> {
    let metadata = fs::metadata(path).ok()?;
    Some(Mark(metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}
