//! One table of the file, read key by key. Whatever is wrong is reported with its place and a value that will do is
//! returned all the same, so that one look finds every error.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::errors::{ConfigError, place};
use super::keys::{self, UNAVAILABLE};
use super::values::{parse_duration, parse_size, show_duration};
use crate::types::Money;

/// Longer spans are typing errors, and keep sums of times from overflowing.
const DURATION_MAX: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

/// Collects what is wrong.
pub(super) struct Report<'s> {
    source: &'s str,
    found: RefCell<Vec<(usize, String)>>,
}

impl<'s> Report<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self { source, found: RefCell::default() }
    }

    /// Something is wrong at this byte of the source.
    pub(super) fn error(&self, at: usize, message: impl Into<String>) {
        self.found.borrow_mut().push((at, message.into()));
    }

    /// All of it, in the source's order.
    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|&(at, _)| at);
        found.dedup();
        found
            .into_iter()
            .map(|(at, message)| ConfigError {
                place: Some(place(self.source, at)),
                message: one_line(&message),
            })
            .collect()
    }
}

/// A quoted key may hold anything; one error stays one line.
fn one_line(message: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    message.chars().map(shown).collect()
}

/// A value with its place in the source.
#[derive(Clone, Copy)]
pub(super) struct At<T> {
    pub(super) at: usize,
    pub(super) value: T,
}

/// One table.
pub(super) struct Section<'a> {
    name: &'static str,
    /// Where it begins, for what is missing in it.
    pub(super) at: usize,
    table: Option<&'a DeTable<'a>>,
    report: &'a Report<'a>,
}

impl<'a> Section<'a> {
    /// The table `name` of the file; one that isn't there is an empty one.
    pub(super) fn of_root(root: &'a DeTable<'a>, name: &'static str, report: &'a Report<'a>) -> Self {
        match root.get(name) {
            None => Self { name, at: 0, table: None, report },
            Some(value) => Self::new(name, value, report),
        }
    }

    pub(super) fn new(name: &'static str, value: &'a Spanned<DeValue<'a>>, report: &'a Report<'a>) -> Self {
        let at = value.span().start;
        let table = value.get_ref().as_table();
        if table.is_none() {
            report.error(at, format!("{name} is a table: write {}", keys::written(name)));
        }
        let section = Self { name, at, table, report };
        section.report_unknown_keys();
        section.report_unavailable_keys();
        section
    }

    fn report_unknown_keys(&self) {
        for (key, value) in self.table.into_iter().flatten() {
            if !keys::keys_of(self.name).contains(&key.get_ref().as_ref()) {
                report_unknown(self.name, key, value, self.report);
            }
        }
    }

    fn report_unavailable_keys(&self) {
        for unavailable in UNAVAILABLE.iter().filter(|unavailable| unavailable.table == self.name) {
            let Some(found) = self.get(unavailable.key) else { continue };
            if !(unavailable.is_off)(found.value) {
                let mend = match unavailable.off {
                    Some(off) => format!("leave it out or set it to {off}"),
                    None => "leave it out".to_owned(),
                };
                let message = format!("{} is not available in this version yet: {mend}", unavailable.key);
                self.report.error(found.at, message);
            }
        }
    }

    fn get(&self, key: &str) -> Option<At<&'a DeValue<'a>>> {
        debug_assert!(keys::keys_of(self.name).contains(&key), "{key} is not in the list of keys");
        self.table?.get(key).map(|value| At { at: value.span().start, value: value.get_ref() })
    }

    /// Where the value of `key` stands, else where the table begins: the place for what is wrong with it.
    pub(super) fn place_of(&self, key: &str) -> usize {
        self.get(key).map_or(self.at, |found| found.at)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn wrong_kind(&self, key: &str, found: At<&DeValue<'_>>, wanted: &str) {
        self.report.error(found.at, format!("{key} must be {wanted}, not {}", kind(found.value)));
    }

    /// A text that isn't empty.
    pub(super) fn text(&self, key: &str, example: &str) -> Option<At<&'a str>> {
        let found = self.get(key)?;
        let Some(value) = found.value.as_str() else {
            self.wrong_kind(key, found, &format!("a text in quotes such as \"{example}\""));
            return None;
        };
        if value.trim().is_empty() || value.chars().any(char::is_control) {
            self.report
                .error(found.at, format!("{key} must be a text such as \"{example}\", without line breaks"));
            return None;
        }
        Some(At { at: found.at, value: value.trim() })
    }

    /// A text that must be there; reported if it isn't.
    pub(super) fn required_text(&self, key: &str, example: &str, is: &str) -> Option<At<&'a str>> {
        if !self.has(key) {
            let table = keys::written(self.name);
            self.report
                .error(self.at, format!("{key} is missing in {table}, {is}: write {key} = \"{example}\""));
        }
        self.text(key, example)
    }

    pub(super) fn boolean(&self, key: &str, default: bool) -> bool {
        let Some(found) = self.get(key) else { return default };
        found.value.as_bool().unwrap_or_else(|| {
            self.wrong_kind(key, found, "true or false, without quotes");
            default
        })
    }

    /// A whole number in `range`.
    pub(super) fn number(&self, key: &str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let Some(found) = self.get(key) else { return default };
        let DeValue::Integer(number) = found.value else {
            self.wrong_kind(key, found, &format!("a whole number without quotes such as {default}"));
            return default;
        };
        let parsed = u32::from_str_radix(number.as_str(), number.radix()).ok();
        parsed.filter(|number| range.contains(number)).unwrap_or_else(|| {
            self.report.error(found.at, format!("{key} must be from {} to {}", range.start(), range.end()));
            default
        })
    }

    /// A duration of at least `least`.
    pub(super) fn duration(&self, key: &str, default: &str, least: Duration) -> Duration {
        let default_value = parse_duration(default).unwrap_or_default();
        let Some(found) = self.get(key) else { return default_value };
        let Some(text) = found.value.as_str() else {
            self.wrong_kind(key, found, &format!("a duration in quotes such as \"{default}\""));
            return default_value;
        };
        let Some(duration) = parse_duration(text).filter(|duration| *duration <= DURATION_MAX) else {
            let message = format!(
                "{key} must be a duration such as \"{default}\": a whole number and one of ms, s, m, h, d; not {text:?}"
            );
            self.report.error(found.at, message);
            return default_value;
        };
        if duration < least {
            self.report.error(found.at, format!("{key} must be at least {}", show_duration(least)));
            return default_value;
        }
        duration
    }

    /// A size in bytes.
    pub(super) fn size(&self, key: &str, default: &str) -> u64 {
        let default_value = parse_size(default).unwrap_or_default();
        let Some(found) = self.get(key) else { return default_value };
        found.value.as_str().and_then(parse_size).unwrap_or_else(|| {
            let units = "a whole number and one of B, KiB, MiB, GiB, TiB";
            self.report
                .error(found.at, format!("{key} must be a size in quotes such as \"{default}\": {units}"));
            default_value
        })
    }

    /// An amount of dollars, in quotes: a bare `0.08` would be a binary fraction.
    pub(super) fn money(&self, key: &str, example: &str) -> Option<At<Money>> {
        let found = self.get(key)?;
        let text = match found.value {
            DeValue::String(text) => text.as_ref(),
            DeValue::Float(number) => return self.unquoted(key, found.at, number.as_str()),
            DeValue::Integer(number) => return self.unquoted(key, found.at, number.as_str()),
            _ => {
                self.wrong_kind(key, found, &format!("an amount in quotes such as \"{example}\""));
                return None;
            }
        };
        match text.parse() {
            Ok(value) => Some(At { at: found.at, value }),
            Err(error) => {
                self.report.error(found.at, format!("{key}: {error}"));
                None
            }
        }
    }

    fn unquoted<T>(&self, key: &str, at: usize, number: &str) -> Option<T> {
        self.report
            .error(at, format!("{key} is an amount of dollars, written in quotes: {key} = \"{number}\""));
        None
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, key: &str, default: T, words: &[(&str, T)]) -> T {
        let Some(found) = self.get(key) else { return default };
        let names = || words.iter().map(|(word, _)| *word);
        let list = names().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let Some(text) = found.value.as_str() else {
            self.wrong_kind(key, found, &format!("one of {list}, in quotes"));
            return default;
        };
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return *value;
        }
        let meant = keys::nearest(text, names())
            .map(|word| format!(": did you mean \"{word}\"?"))
            .unwrap_or_default();
        self.report.error(found.at, format!("{key} must be one of {list}, not {text:?}{meant}"));
        default
    }

    /// A path; a relative one is relative to `base`.
    pub(super) fn path(&self, key: &str, base: &Path) -> Option<PathBuf> {
        self.text(key, "/a/path").map(|found| base.join(found.value))
    }

    /// A table of texts, in the file's order.
    pub(super) fn texts(&self, key: &str) -> Vec<At<(String, String)>> {
        let Some(found) = self.get(key) else { return Vec::new() };
        let Some(table) = found.value.as_table() else {
            self.wrong_kind(key, found, "a table of texts such as { mep = \"12\" }");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (name, value) in table {
            let at = name.span().start;
            match value.get_ref().as_str() {
                Some(text) => texts.push(At { at, value: (name.get_ref().to_string(), text.to_owned()) }),
                None => self.report.error(at, format!("{key}.{} must be a text in quotes", name.get_ref())),
            }
        }
        texts.sort_by_key(|text| text.at);
        texts
    }
}

/// Reports a key that `table` ("": the top level) doesn't have, and what must stand nowhere in a table under it.
pub(super) fn report_unknown(
    table: &str,
    key: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    report: &Report<'_>,
) {
    let (name, at) = (key.get_ref().as_ref(), key.span().start);
    let is_table = value.get_ref().is_table() || value.get_ref().is_array();
    let message = keys::banned(name).unwrap_or_else(|| {
        if table.is_empty() && is_table { keys::unknown_table(name) } else { keys::unknown_key(table, name) }
    });
    report.error(at, message);
    report_banned_in(value.get_ref(), report);
}

fn report_banned_in(value: &DeValue<'_>, report: &Report<'_>) {
    match value {
        DeValue::Table(table) => {
            for (key, value) in table {
                if let Some(message) = keys::banned(key.get_ref()) {
                    report.error(key.span().start, message);
                }
                report_banned_in(value.get_ref(), report);
            }
        }
        DeValue::Array(values) => values.iter().for_each(|value| report_banned_in(value.get_ref(), report)),
        _ => {}
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
