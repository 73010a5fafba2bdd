//! The provider's API key: a file of its own, never in the config.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use secrecy::zeroize::Zeroize;

use super::Config;

/// What people put around a text.
const QUOTES: [char; 6] = ['"', '\'', '`', '“', '”', '„'];
/// Longer than any key.
const KEY_BYTES_MAX: u64 = 4096;
/// No key is so short: it is hidden wherever it stands in an answer, and what is short stands there by chance.
const KEY_CHARACTERS_MIN: usize = 8;

/// Why there is no API key. No variant holds any of the file's text. Each names the file that people write the key into,
/// never systemd's copy of it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// `$CREDENTIALS_DIRECTORY` is set but can't be entered: systemd hides it from everything but the service itself.
    /// A check that runs beside the daemon can't do better; for the daemon it is an error.
    #[error(
        "the API key can't be looked at from here: systemd shows it to the running service alone; \
         `imeid check` as root looks into {}",
        home.display()
    )]
    Hidden {
        /// Where it belongs.
        home: PathBuf,
    },
    /// There is no such file.
    #[error("there is no API key at {}: write the provider's key there, alone on one line", home.display())]
    Missing {
        /// Where it belongs.
        home: PathBuf,
    },
    /// The file is there, and systemd hands no copy of it over.
    #[error("systemd doesn't hand the API key over: the unit needs LoadCredential=api-key:{}", home.display())]
    NotHandedOver {
        /// The file.
        home: PathBuf,
    },
    /// Root alone may read the file, as it is installed.
    #[error(
        "root alone can read the API key in {}, and systemd hands it to the service: run this as root",
        home.display()
    )]
    RootsAlone {
        /// The file.
        home: PathBuf,
    },
    /// The file is there and can't be read.
    #[error("the API key at {} can't be read: {source}; the user that imeid runs as must be able to", home.display())]
    Unreadable {
        /// The file.
        home: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is empty, as it is installed.
    #[error("the API key file is still empty: write the provider's key, alone on one line, into {}", home.display())]
    Empty {
        /// The file.
        home: PathBuf,
    },
    /// The file holds something that is no key.
    #[error("{} must hold the API key alone, on one line: {what}", home.display())]
    Malformed {
        /// The file.
        home: PathBuf,
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
    read_api_key_with(config, credentials_directory().as_deref())
}

/// The file that people write the API key into, `$CREDENTIALS_DIRECTORY` as the environment has it. It isn't the one that
/// is read where systemd hands a copy over.
#[must_use]
pub fn api_key_home(config: &Config) -> PathBuf {
    home(config, credentials_directory().as_deref())
}

fn credentials_directory() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A credential is systemd's copy: people write into the file that it is made from.
fn home(config: &Config, credentials_directory: Option<&Path>) -> PathBuf {
    match (&config.provider.api_key_file, credentials_directory) {
        (None, Some(_)) => config.path.with_file_name("api-key"),
        _ => config.api_key_path(credentials_directory),
    }
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
    let home = home(config, credentials_directory);
    let mut text = read_text(&path).map_err(|source| {
        let copies = credentials_directory.filter(|_| path != home);
        why_unread(&home, copies, config.provider.api_key_file.is_none(), source)
    })?;
    let key = check(text.trim_start_matches('\u{feff}').trim(), &home);
    text.zeroize();
    match key {
        // The unit hands an empty key over where there is no file, so that the sentence is ours.
        Err(KeyError::Empty { home }) if is_missing(&home) => Err(KeyError::Missing { home }),
        key => key,
    }
}

/// `copies`: where systemd's copy was looked for, if it was. `installed`: the file is where the package puts it.
fn why_unread(home: &Path, copies: Option<&Path>, installed: bool, source: io::Error) -> KeyError {
    let home = home.to_owned();
    match source.kind() {
        _ if copies.is_some_and(is_hidden) => KeyError::Hidden { home },
        io::ErrorKind::NotFound if copies.is_some() && !is_missing(&home) => KeyError::NotHandedOver { home },
        io::ErrorKind::NotFound => KeyError::Missing { home },
        io::ErrorKind::InvalidData => KeyError::Malformed { home, what: "it is not a line of text" },
        io::ErrorKind::PermissionDenied if installed && is_roots(&home) => match std::fs::metadata(&home) {
            // That much can be seen from outside.
            Ok(metadata) if metadata.len() == 0 => KeyError::Empty { home },
            _ => KeyError::RootsAlone { home },
        },
        _ => KeyError::Unreadable { home, source },
    }
}

fn is_missing(file: &Path) -> bool {
    std::fs::metadata(file).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn is_roots(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.uid() == 0)
}

fn check(key: &str, home: &Path) -> Result<SecretString, KeyError> {
    let wrong = |what| Err(KeyError::Malformed { home: home.to_owned(), what });
    if key.is_empty() {
        Err(KeyError::Empty { home: home.to_owned() })
    } else if key.contains(['\n', '\r']) {
        wrong("it has several lines")
    } else if key.starts_with(QUOTES) && key.ends_with(QUOTES) {
        wrong("it is in quotes; write it without them")
    } else if key.contains(char::is_whitespace) {
        wrong("there is a space in it")
    } else if key.contains(char::is_control) {
        wrong("there is a control character in it")
    } else if key.chars().count() < KEY_CHARACTERS_MIN {
        wrong("it has less than 8 characters, as no key of the provider's has; write the whole of it")
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
        super::super::parse(&super::super::edited(), &path).unwrap()
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
        for text in ["KEY-0001", "KEY-0001\n", " \tKEY-0001\r\n\n", "\u{feff}KEY-0001"] {
            assert_eq!(read(Some(text)), Ok("KEY-0001".to_owned()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        for text in
            ["SECRET ONE", "SECRET\nTWO", "SECRET\u{1}", "\"SECRET\"", "'SECRET'", &"SECRET".repeat(1_000)]
        {
            let error = read(Some(text)).unwrap_err();
            assert!(error.contains("alone, on one line") && !error.contains("SECRET"), "{error}");
        }
    }

    #[test]
    fn a_key_that_hides_what_stands_in_answers_by_chance_is_refused() {
        for text in ["a", "Pending", "ÄÖÜ-007"] {
            let error = read(Some(text)).unwrap_err();
            assert!(
                error.contains("/api-key must hold") && error.contains("less than 8 characters"),
                "{error}"
            );
            assert!(!error.contains(text) || text == "a", "{error}");
        }
        assert_eq!(read(Some("12345678")), Ok("12345678".to_owned()));
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
        let config = config_in(dir.path(), Some("KEY-0001"));
        fs::write(credentials.path().join("api-key"), "").unwrap();
        let error = read_api_key_with(&config, Some(credentials.path())).unwrap_err().to_string();
        assert!(error.contains(&dir.path().join("api-key").display().to_string()), "{error}");
    }

    #[test]
    fn whatever_is_wrong_with_a_credential_the_file_that_people_know_is_named() {
        for (handed, theirs, words) in [
            (Some("SECRET ONE"), Some("SECRET ONE"), "must hold the API key alone"),
            (Some("\n"), Some("\n"), "is still empty"),
            // As the unit hands it over where there is no file.
            (Some("\n"), None, "there is no API key at"),
            (None, None, "there is no API key at"),
            (None, Some("KEY-0001"), "the unit needs LoadCredential=api-key:"),
        ] {
            let (dir, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let config = config_in(dir.path(), theirs);
            if let Some(handed) = handed {
                fs::write(credentials.path().join("api-key"), handed).unwrap();
            }
            let error = read_api_key_with(&config, Some(credentials.path())).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("SECRET"), "{error}");
            assert!(error.contains(&dir.path().join("api-key").display().to_string()), "{error}");
            assert!(!error.contains(&credentials.path().display().to_string()), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let hidden = Some(Path::new("/nonexistent/credentials"));
        let error =
            read_api_key_with(&config_in(dir.path(), Some("KEY-0001")), hidden).unwrap_err().to_string();
        assert!(error.contains(&dir.path().join("api-key").display().to_string()), "{error}");
        assert!(!error.contains("/nonexistent"), "{error}");
    }

    #[test]
    fn a_key_that_is_roots_alone_is_no_broken_one() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("api-key");
        let said = |installed| {
            let denied = io::Error::from(io::ErrorKind::PermissionDenied);
            why_unread(&key, None, installed, denied).to_string()
        };
        fs::write(&key, "").unwrap();
        let mine = fs::metadata(&key).unwrap().uid() != 0;
        assert!(mine || said(true).contains("still empty"), "{}", said(true));
        fs::write(&key, "KEY-0001").unwrap();
        assert!(mine || said(true).contains("run this as root"), "{}", said(true));
        assert!(said(false).contains("can't be read"), "{}", said(false));
    }

    #[test]
    fn a_credentials_directory_that_cannot_be_entered_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let config = config_in(dir.path(), Some("KEY-0001"));
        let hidden = read_api_key_with(&config, Some(Path::new("/nonexistent/credentials")));
        assert!(matches!(hidden, Err(KeyError::Hidden { .. })));
    }

    #[test]
    fn a_named_key_file_wins_over_the_credentials() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config_in(dir.path(), None);
        let named = dir.path().join("named");
        fs::write(&named, "KEY-0002").unwrap();
        config.provider.api_key_file = Some(named);
        let key = read_api_key_with(&config, Some(Path::new("/nonexistent"))).unwrap();
        assert_eq!(key.expose_secret(), "KEY-0002");
        assert!(!format!("{key:?}").contains("KEY-0002"));
    }
}
