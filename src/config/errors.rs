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

/// What is wrong with text that isn't TOML, and the mend where it is one that people need: `said` by the reader of TOML, at
/// the byte `at`. Shows no value that may be secret.
pub(super) fn explain(source: &str, at: usize, said: &str) -> String {
    let (line, column) = place(source, at);
    let lines: Vec<&str> = source.lines().take(line).map(str::trim_end).collect();
    let Some((here, earlier)) = lines.split_last() else { return said.to_owned() };
    let found = match said {
        "duplicate key" => already_there(here, earlier),
        _ => without_quotes(here, column),
    };
    found.unwrap_or_else(|| said.to_owned())
}

/// `here` repeats a table, or a key of its table.
fn already_there(here: &str, earlier: &[&str]) -> Option<String> {
    if let Some(name) = table_of(here) {
        let first = earlier.iter().position(|line| table_of(line) == Some(name))?;
        let shown = super::keys::written(name);
        return Some(format!("{shown} is there already, line {}: put its keys there", first + 1));
    }
    let (key, _) = value_of(here)?;
    let table = earlier.iter().rposition(|line| table_of(line).is_some()).unwrap_or(0);
    let is_same = |line: &&str| value_of(line).is_some_and(|(other, _)| other == key);
    let first = table + earlier.iter().skip(table).position(is_same)?;
    Some(format!("{key} is there already, line {}: leave one of the two out", first + 1))
}

/// `here` has a bare word where a text belongs.
fn without_quotes(here: &str, column: usize) -> Option<String> {
    let (key, value) = value_of(here)?;
    let is_word = value.chars().all(|c| c.is_alphanumeric() || "_-.:/@".contains(c));
    let is_in_value = here.chars().take(column).any(|c| c == '=');
    if !is_word || !value.contains(char::is_alphabetic) || !is_in_value {
        return None;
    }
    // A proxy's address may hold a password, and a key that isn't ours anything.
    let is_shown = key != "proxy" && super::keys::TABLES.iter().any(|(_, keys)| keys.contains(&key));
    let example = if is_shown { format!(": {key} = \"{value}\"") } else { String::new() };
    Some(format!("a text needs quotes{example}"))
}

/// The name in `[name]` or `[[name]]`.
fn table_of(line: &str) -> Option<&str> {
    let inner = line.trim_start().strip_prefix('[')?;
    let (name, _) = inner.strip_prefix('[').unwrap_or(inner).split_once(']')?;
    Some(name.trim())
}

/// The key and the value of `key = value # why`.
fn value_of(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    Some((key.trim(), value.split('#').next().unwrap_or_default().trim()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// It ends with line 4.
    const BEFORE: &str = "[provider]\nuser_id = \"me\"\n[[service]]\nname = \"a\"\n";

    #[rstest]
    #[case("[submit]\nworkers = thirty", "6:11: this is not TOML: a text needs quotes: workers = \"thirty\"")]
    #[case("[poll]\nevery = 5m # long", "6:9: this is not TOML: a text needs quotes: every = \"5m\"")]
    #[case("[log]\nsecret = SECRET", "6:10: this is not TOML: a text needs quotes")]
    #[case(
        "[provider]\nproxy = \"a\"",
        "5:2: this is not TOML: [provider] is there already, line 1: put its keys there"
    )]
    #[case(
        "[submit]\nworkers = 3\ndrain = \"3m\"\nworkers = 4",
        "8:1: this is not TOML: workers is there already, line 6: leave one of the two out"
    )]
    #[case("[service]", "5:2: this is not TOML: [[service]] is there already, line 3: put its keys there")]
    fn what_is_no_toml_is_told_with_the_mend(#[case] rest: &str, #[case] expected: &str) {
        let told =
            super::super::parse(&format!("{BEFORE}{rest}\n"), Path::new("/c")).unwrap_err().to_string();
        assert_eq!(told.strip_prefix("/c:"), Some(expected));
    }
}
