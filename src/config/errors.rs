//! What is wrong with a config, with its place in the file.

use std::fmt;
use std::path::{Path, PathBuf};

/// Everything that is wrong with one config file, in the file's order. Prints one line an error:
/// `/etc/imeid/imeid.toml:12:3: what is wrong, and the mend`. Never holds the text of a value that may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    path: PathBuf,
    errors: Vec<ConfigError>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Line and column, from 1; none where it has no place in the file (it can't be read).
    pub place: Option<(usize, usize)>,
    /// What is wrong and the mend.
    pub message: String,
}

impl ConfigErrors {
    pub(super) fn new(path: &Path, errors: Vec<ConfigError>) -> Self {
        Self { path: path.to_owned(), errors }
    }

    pub(super) fn unplaced(path: &Path, message: String) -> Self {
        Self::new(path, vec![ConfigError { place: None, message }])
    }

    /// Each of them.
    #[must_use]
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.errors.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.path.display())?;
            if let Some((line, column)) = error.place {
                write!(f, ":{line}:{column}")?;
            }
            write!(f, ": {}", error.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Line and column (in characters), from 1, of the byte `at` in `source`.
pub(super) fn place(source: &str, at: usize) -> (usize, usize) {
    let at = (0..=at.min(source.len())).rev().find(|&at| source.is_char_boundary(at)).unwrap_or(0);
    let before = source.get(..at).unwrap_or("");
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}
