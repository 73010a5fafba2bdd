//! Numbers in words, as people and FORMATS write them.

use std::fmt;
use std::time::Duration;

use crate::types::{Money, Timestamp};

/// A span as `11m52s`, `3h04m`, `45s`, `0s`.
#[must_use]
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

/// So many of them, where an `s` makes more of one: `1 file`, `2 files`.
#[must_use]
pub fn counted<N: fmt::Display + PartialEq + From<u8>>(n: N, word: &str) -> String {
    let ending = if n == N::from(1) { "" } else { "s" };
    format!("{n} {word}{ending}")
}

/// A rate a second, given as that of a thousand seconds: `8.3`.
#[must_use]
pub fn rate(per_1000_s: u64) -> String {
    let tenths = per_1000_s.saturating_add(50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What the disk brake says: how much is free beside the journal, and how much must be.
#[must_use]
pub fn disk_pause(free_bytes: u64, needed_bytes: u64) -> String {
    let mebibytes = |bytes: u64| bytes / (1024 * 1024);
    format!(
        "{} MiB are free beside the journal, {} are needed: make room, then it goes on by itself",
        mebibytes(free_bytes),
        mebibytes(needed_bytes)
    )
}

/// What is charged, and what is only presumed to be beside it: `0.08`, or `0.08, 0.16 presumed`.
#[must_use]
pub fn charged(charged: Money, presumed: Money) -> String {
    match presumed {
        Money::ZERO => charged.to_string(),
        presumed => format!("{charged}, {presumed} presumed"),
    }
}

/// The date of a time, in UTC: `2025-11-14`.
#[must_use]
pub fn date(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// A text of a file or of the provider without what would steer a terminal: that is shown as `\u{fffd}`.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// Control characters, and those that turn the direction of writing.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// Columns of a page of text.
const PAGE_WIDTH: usize = 76;

/// Adds a paragraph, broken at blanks so that it fits a page, and ends its line.
pub fn push_wrapped(text: &mut String, said: &str) {
    let mut width = 0usize;
    for word in said.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width.saturating_add(length) >= PAGE_WIDTH {
            text.push('\n');
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width = width.saturating_add(1);
        }
        text.push_str(word);
        width = width.saturating_add(length);
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_say_them() {
        for (seconds, words) in
            [(0, "0s"), (45, "45s"), (712, "11m52s"), (724, "12m04s"), (11_040, "3h04m"), (180_000, "2d02h")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn what_is_presumed_is_told_apart_and_only_where_there_is_any() {
        let (eight, sixteen) = (Money::from_micros(80_000), Money::from_micros(160_000));
        assert_eq!(charged(eight, Money::ZERO), "0.08");
        assert_eq!(charged(eight, sixteen), "0.08, 0.16 presumed");
    }

    #[test]
    fn one_of_them_is_no_plural() {
        assert_eq!([0u64, 1, 2].map(|n| counted(n, "file")), ["0 files", "1 file", "2 files"]);
    }

    #[test]
    fn rates_have_one_place() {
        assert_eq!(rate(8_333), "8.3");
        assert_eq!(rate(0), "0.0");
        assert_eq!(rate(9_960), "10.0");
    }
}
