//! The provider's API key: a file of its own, never in the config.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use secrecy::zeroize::Zeroize;

use super::Config;

/// Longer than any key.
const KEY_BYTES_MAX: u64 = 4096;

/// Why there is no API key. No variant holds any of the file's text.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// `$CREDENTIALS_DIRECTORY` is set but can't be entered: systemd hides it from everything but the service itself.
    /// A check that runs beside the daemon can't do better; for the daemon it is an error.
    #[error(
        "the API key can't be seen from here: systemd shows {} only to the service itself",
        directory.display()
    )]
    Hidden {
        /// `$CREDENTIALS_DIRECTORY`.
        directory: PathBuf,
    },
    /// There is no such file.
    #[error("there is no API key at {}: write the provider's key, alone on one line, into {}", path.display(), mend.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// Where it belongs.
        mend: PathBuf,
    },
    /// The file is there and can't be read.
    #[error("the API key at {} can't be read: {source}; the user that imeid runs as must be able to", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is empty, as it is installed.
    #[error("the API key file is still empty: write the provider's key, alone on one line, into {}", mend.display())]
    Empty {
        /// Where it belongs.
        mend: PathBuf,
    },
    /// The file holds something that is no key.
    #[error("{} must hold the API key alone, on one line: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Reads the API key from where [`Config::api_key_path`] says, `$CREDENTIALS_DIRECTORY` as the environment has it.
/// White space around it comes off.
///
/// # Errors
/// A [`KeyError`] that says where to put the key.
pub fn read_api_key(config: &Config) -> Result<SecretString, KeyError> {
    let directory =
        std::env::var_os("CREDENTIALS_DIRECTORY").filter(|value| !value.is_empty()).map(PathBuf::from);
    read_api_key_with(config, directory.as_deref())
}

/// As [`read_api_key`], with `$CREDENTIALS_DIRECTORY` as an argument.
///
/// # Errors
/// A [`KeyError`] that says where to put the key.
pub fn read_api_key_with(
    config: &Config,
    credentials_directory: Option<&Path>,
) -> Result<SecretString, KeyError> {
    let path = config.api_key_path(credentials_directory);
    // A credential is systemd's copy: people write into the file that it is made from.
    let from_credentials = credentials_directory.filter(|directory| path.starts_with(directory));
    let mend = if from_credentials.is_some() { config.path.with_file_name("api-key") } else { path.clone() };
    let mut text = match read_text(&path) {
        Ok(text) => text,
        Err(source) if from_credentials.is_some_and(is_hidden) => {
            drop(source);
            return Err(KeyError::Hidden { directory: from_credentials.unwrap_or(&path).to_owned() });
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Err(KeyError::Missing { path, mend });
        }
        Err(source) if source.kind() == io::ErrorKind::InvalidData => {
            return Err(KeyError::Malformed { path, what: "it is not a line of text" });
        }
        Err(source) => return Err(KeyError::Unreadable { path, source }),
    };
    let key = check(text.trim_start_matches('\u{feff}').trim(), &path, &mend);
    text.zeroize();
    key
}

fn check(key: &str, path: &Path, mend: &Path) -> Result<SecretString, KeyError> {
    let wrong = |what| Err(KeyError::Malformed { path: path.to_owned(), what });
    if key.is_empty() {
        Err(KeyError::Empty { mend: mend.to_owned() })
    } else if key.contains(['\n', '\r']) {
        wrong("it has several lines")
    } else if key.contains(char::is_whitespace) {
        wrong("there is a space in it")
    } else if key.contains(char::is_control) {
        wrong("there is a control character in it")
    } else {
        Ok(SecretString::from(key.to_owned()))
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(KEY_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read <= KEY_BYTES_MAX) {
        Ok(text)
    } else {
        text.zeroize();
        Err(io::Error::from(io::ErrorKind::InvalidData))
    }
}

fn is_hidden(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_err()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use secrecy::ExposeSecret;

    use super::*;

    fn config_in(dir: &Path, key: Option<&str>) -> Config {
        if let Some(key) = key {
            fs::write(dir.join("api-key"), key).unwrap();
        }
        let path = dir.join("imeid.toml");
        super::super::parse(include_str!("../../config/imeid.toml"), &path).unwrap()
    }

    fn read(key: Option<&str>) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let config = config_in(dir.path(), key);
        read_api_key_with(&config, None)
            .map(|key| key.expose_secret().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_key_is_read_from_beside_the_config_without_blanks_around_it() {
        for text in ["K-1", "K-1\n", " \tK-1\r\n\n", "\u{feff}K-1"] {
            assert_eq!(read(Some(text)), Ok("K-1".to_owned()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        for text in ["SECRET ONE", "SECRET\nTWO", "SECRET\u{1}", &"SECRET".repeat(1_000)] {
            let error = read(Some(text)).unwrap_err();
            assert!(error.contains("alone, on one line") && !error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn an_empty_or_missing_key_says_where_it_belongs() {
        for key in [Some(""), Some(" \n"), None] {
            let error = read(key).unwrap_err();
            assert!(error.contains("write the provider's key") && error.contains("/api-key"), "{error}");
        }
    }

    #[test]
    fn an_empty_credential_names_the_file_it_is_made_from() {
        let (dir, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = config_in(dir.path(), Some("K-1"));
        fs::write(credentials.path().join("api-key"), "").unwrap();
        let error = read_api_key_with(&config, Some(credentials.path())).unwrap_err().to_string();
        assert!(error.contains(&dir.path().join("api-key").display().to_string()), "{error}");
    }

    #[test]
    fn a_credentials_directory_that_cannot_be_entered_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let config = config_in(dir.path(), Some("K-1"));
        let hidden = read_api_key_with(&config, Some(Path::new("/nonexistent/credentials")));
        assert!(matches!(hidden, Err(KeyError::Hidden { .. })));
    }

    #[test]
    fn a_named_key_file_wins_over_the_credentials() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config_in(dir.path(), None);
        let named = dir.path().join("named");
        fs::write(&named, "K-2").unwrap();
        config.provider.api_key_file = Some(named);
        let key = read_api_key_with(&config, Some(Path::new("/nonexistent"))).unwrap();
        assert_eq!(key.expose_secret(), "K-2");
        assert!(!format!("{key:?}").contains("K-2"));
    }
}
