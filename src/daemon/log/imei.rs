//! IMEIs in a line, cut down to their last four digits.
//!
//! It is done to the finished text, not where a line is made: an IMEI also comes in the provider's own words, in a file's
//! name, in a cell of it or in an operator's answer.

use crate::types::Imei;

/// Digits in a row that are taken for an IMEI: without its check digit, whole, with a software version in its place.
const IMEI_DIGITS: std::ops::RangeInclusive<usize> = 14..=16;
/// Blanks and dashes between two groups of one IMEI, at most.
const FILLERS_MAX: usize = 3;
const SHOWN_DIGITS: usize = 4;

/// A run of digits: where it begins and ends, in bytes.
#[derive(Clone, Copy)]
struct Run {
    start: usize,
    end: usize,
}

impl Run {
    const fn digits(self) -> usize {
        self.end.saturating_sub(self.start)
    }
}

/// `text` with `…` and the last four digits in the place of every IMEI. Digits in one run are taken for one by their
/// number, in several groups (`35-332211-000001-5`) only where the check digit is right.
pub(super) fn last4(text: &str) -> String {
    let runs = runs(text);
    let mut shown = String::with_capacity(text.len());
    let (mut copied, mut at) = (0, 0);
    while let Some(first) = runs.get(at) {
        let groups = imei_groups(text, runs.get(at..).unwrap_or_default());
        if let Some(last) = groups.checked_sub(1).and_then(|more| runs.get(at.saturating_add(more))) {
            let digits: String = digits(text, *first, *last);
            shown.push_str(text.get(copied..first.start).unwrap_or_default());
            shown.push('…');
            shown.push_str(digits.get(digits.len().saturating_sub(SHOWN_DIGITS)..).unwrap_or_default());
            copied = last.end;
        }
        at = at.saturating_add(groups.max(1));
    }
    shown.push_str(text.get(copied..).unwrap_or_default());
    shown
}

fn runs(text: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, _) in text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        let end = at.saturating_add(1);
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = end,
            _ => runs.push(Run { start: at, end }),
        }
    }
    runs
}

/// How many of the runs, from the first on, make up an IMEI: 0 if they don't.
fn imei_groups(text: &str, runs: &[Run]) -> usize {
    let Some(first) = runs.first() else { return 0 };
    if IMEI_DIGITS.contains(&first.digits()) {
        return 1;
    }
    let (mut total, mut before) = (first.digits(), *first);
    for (at, run) in runs.iter().enumerate().skip(1) {
        let between = text.get(before.end..run.start).unwrap_or_default();
        total = total.saturating_add(run.digits());
        let is_one = is_filler(between) && total <= *IMEI_DIGITS.end();
        if !is_one {
            return 0;
        }
        if Imei::parse(&digits(text, *first, *run), true).is_ok() {
            return at.saturating_add(1);
        }
        before = *run;
    }
    0
}

fn is_filler(between: &str) -> bool {
    between.chars().count() <= FILLERS_MAX
        && between
            .chars()
            .all(|c| c.is_whitespace() || matches!(c, '-' | '/' | '.' | '\u{2010}'..='\u{2015}'))
}

fn digits(text: &str, first: Run, last: Run) -> String {
    let span = text.get(first.start..last.end).unwrap_or_default();
    span.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imei() -> String {
        Imei::from_parts(35_000_000, 123_456).to_string()
    }

    #[test]
    fn every_imei_in_a_text_keeps_its_last_four_digits() {
        let imei = imei();
        let end = &imei[11..];
        let (tac, rest) = imei.split_at(8);
        let grouped = format!("{}-{}-{}-{}", &tac[..2], &tac[2..], &rest[..6], &rest[6..]);
        for (text, shown) in [
            (format!("IMEI {imei} was ordered twice"), format!("IMEI …{end} was ordered twice")),
            (imei.clone(), format!("…{end}")),
            (format!("Invalid IMEI: {imei}<br>"), format!("Invalid IMEI: …{end}<br>")),
            (format!("{imei},{imei};x"), format!("…{end},…{end};x")),
            (format!("stock_{imei}.csv"), format!("stock_…{end}.csv")),
            (format!("row 3 {grouped}, row 4"), format!("row 3 …{end}, row 4")),
            (format!("é{tac} {rest}é"), format!("é…{end}é")),
            (format!("short {}", &imei[..14]), format!("short …{}", &imei[10..14])),
            (format!("{imei}0"), format!("…{}0", &imei[12..])),
        ] {
            assert_eq!(last4(&text), shown);
        }
    }

    #[test]
    fn what_is_no_imei_stays_as_it_is() {
        for text in [
            "",
            "orders 5931, cost 474.48, 3120/5931",
            "2025-11-14T03:33:00.007Z order 15562209",
            "2025-11-14 03:33:00 1763091180007",
            "12345678901234567890",
            "35-000000-123456-0",
        ] {
            assert_eq!(last4(text), text);
        }
    }
}
