//! What people are told of an export: what in it settles nothing, or why the file is no export at all.

use std::collections::BTreeMap;

use crate::journal::Unmatched;
use crate::words::push_wrapped;

/// How many lines of a kind are named.
const NAMED: usize = 5;
/// The most characters of a cell, or of a file's name, that are shown.
const MAX_SHOWN: usize = 60;

/// Why a row of an export settles nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Unreadable,
    UnknownTitle,
    SharedTitle,
    Unfinished,
    /// It shows another end than our order came to.
    OtherEnd,
    /// It shows an end that one of several orders of ours didn't come to.
    WhichOrder,
    /// The original of an older copy made it after an order that is known.
    Successor,
    Order(Unmatched),
}

impl Kind {
    const fn what(self) -> &'static str {
        match self {
            Self::Unreadable => "can't be read",
            Self::UnknownTitle => "are of a service that no title is known for",
            Self::SharedTitle => "are of a title that several services have",
            Self::Unfinished => "were not ordered by imeid and have no answer yet",
            Self::OtherEnd => "show another end than imeid was told, and may be older than what it was told",
            Self::WhichOrder => {
                "show an end that was not told, of one of several orders of ours for that IMEI"
            }
            Self::Successor => {
                "were ordered since this copy of the journal was made, and after an order of their IMEI that it knows"
            }
            Self::Order(Unmatched::NoDate) => "can't be dated: no order of ours near them has an id",
            Self::Order(Unmatched::Before) => "were ordered before imeid ever sent that IMEI",
            Self::Order(Unmatched::OlderOrder) => "are of an older order of ours for that IMEI",
            Self::Order(Unmatched::NoAttempt) => "are of an IMEI of which no attempt of ours is known",
            Self::Order(Unmatched::More) => "are orders beyond imeid's own, of IMEIs that imeid ordered",
        }
    }

    const fn to_do(self) -> &'static str {
        match self {
            Self::Unreadable => "Download the export again, or correct these lines, and drop it once more.",
            Self::UnknownTitle => {
                "Nothing, unless it is one that imeid orders: then its network_id is missing in the config."
            }
            Self::SharedTitle => {
                "Look those of them that are in doubt or held up at the provider, then say what became of them with \"imeid \
                 resolve\"."
            }
            Self::Unfinished => "Drop a later export when they have ended.",
            Self::Order(Unmatched::NoDate) => {
                "Download an export that reaches over the day in question, all statuses in it, and drop that."
            }
            Self::OtherEnd => {
                "Nothing was changed. Look the IMEI up at the provider, or drop a newer export that has a later order of \
                 imeid's in it: that one is taken at its word."
            }
            Self::WhichOrder => {
                "Nothing was changed. Look the IMEI's orders up at the provider: \"imeid show\" has their ids and what they came \
                 to. A refund that is due for one of them is not in imeid's sums."
            }
            Self::Successor => {
                "They are remembered: their IMEIs are not ordered again for it. Nothing is booked for them until that order is \
                 given back, and the provider's bill has them. Drop a later export when they have ended."
            }
            Self::Order(Unmatched::More) => {
                "Nothing is booked for them, and the provider's bill has them: look each IMEI up there, and compare it with what \
                 \"imeid show\" has of it. They were ordered by hand, or taken twice."
            }
            Self::Order(_) => {
                "Look the IMEI up at the provider, then say what became of it with \"imeid resolve\"."
            }
        }
    }
}

/// The rows of an export that settle nothing, by kind.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    kinds: BTreeMap<Kind, (u64, Vec<String>)>,
    /// What else a person must know of it.
    notes: Vec<String>,
}

impl Leftovers {
    pub(super) fn add(&mut self, kind: Kind, line: u64, detail: &str) {
        let (count, named) = self.kinds.entry(kind).or_default();
        *count = count.saturating_add(1);
        if named.len() < NAMED {
            let detail = shown(detail);
            named.push(if detail.is_empty() {
                format!("line {line}")
            } else {
                format!("line {line} ({detail})")
            });
        }
    }

    /// Tells something of the export as a whole.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(super) fn count(&self) -> u64 {
        self.kinds.values().map(|(count, _)| *count).sum()
    }

    /// `FILE.reason.txt`: plain text with CRLF, at most a screen; `None` where every row was matched and there is nothing
    /// else to tell.
    pub(super) fn text(&self, file_name: &str, rows: u64) -> Option<String> {
        if self.kinds.is_empty() && self.notes.is_empty() {
            return None;
        }
        let mut text = String::new();
        let mut intro = format!("{} was read, and lies in the archive.", shown(file_name));
        if !self.kinds.is_empty() {
            intro.push_str(&format!(" {} of its {rows} rows settle nothing:", self.count()));
        }
        push_wrapped(&mut text, &intro);
        for (kind, (count, named)) in &self.kinds {
            let more = count.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            text.push('\n');
            push_wrapped(&mut text, &format!("{count} {}: {}{more}.", kind.what(), named.join(", ")));
            push_wrapped(&mut text, kind.to_do());
        }
        for note in &self.notes {
            text.push('\n');
            push_wrapped(&mut text, note);
        }
        text.push('\n');
        push_wrapped(&mut text, "That a row is missing from an export proves nothing, and changed nothing.");
        Some(text.replace('\n', "\r\n"))
    }
}

/// That lines are in it once more.
pub(super) fn repeated_lines(lines: u64) -> String {
    let are = if lines == 1 { "1 line is" } else { &format!("{lines} lines are") };
    format!(
        "{are} in it once more, word for word, and taken as the same order, as in an export that was pasted together. If it was \
         not, the provider may have taken an IMEI twice in one second: compare its bill."
    )
}

/// Why a file is no export.
pub(super) fn not_an_export(file_name: &str, missing: &[&str], found: &[String]) -> String {
    let mut text = String::new();
    push_wrapped(&mut text, &format!("{} was refused: it is not the provider's export.", shown(file_name)));
    let found: Vec<String> = found.iter().take(12).map(|cell| shown(cell)).collect();
    let what = format!(
        "Its first line lacks the columns {}. It reads: {}",
        missing.join(", "),
        if found.is_empty() { "(nothing)".to_owned() } else { found.join(", ") }
    );
    for (title, said) in [
        ("What is wrong", what.as_str()),
        (
            "What to do",
            "Use the \"Advanced Export\" of the provider's order list, with all its columns, as CSV. IMEIs to order \
             belong into the inbox, not here.",
        ),
    ] {
        text.push_str(&format!("\n{title}:\n"));
        push_wrapped(&mut text, said);
    }
    text.push_str("\nThe file itself is in this folder, unchanged.\n");
    text.replace('\n', "\r\n")
}

/// Text on one line and not too long.
fn shown(text: &str) -> String {
    let mut characters = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = characters.by_ref().take(MAX_SHOWN).collect();
    if characters.next().is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_at_most_a_screen_whatever_is_in_the_export() {
        let mut left = Leftovers::default();
        let kinds = [
            Kind::Unreadable,
            Kind::UnknownTitle,
            Kind::Unfinished,
            Kind::Order(Unmatched::NoDate),
            Kind::Order(Unmatched::Before),
        ];
        for n in 0..1000u64 {
            for kind in kinds {
                left.add(kind, n, &"a very long title\r\n".repeat(20));
            }
        }
        let text = left.text("export.csv", 9000).unwrap();
        assert!(text.lines().count() <= 50, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 90), "{text}");
        assert!(text.starts_with("export.csv was read, and lies in the archive. 5000 of its 9000 rows"));
        assert!(text.contains("and 995 more."));
        assert!(!text.replace("\r\n", "").contains(['\n', '\r']));
    }

    #[test]
    fn an_export_of_which_every_row_was_matched_needs_no_words() {
        assert_eq!(Leftovers::default().text("export.csv", 9), None);
        let mut left = Leftovers::default();
        left.note("It clears nothing.".to_owned());
        let text = left.text("export.csv", 9).unwrap();
        assert!(
            text.starts_with("export.csv was read, and lies in the archive.\r\n\r\nIt clears nothing.\r\n"),
            "{text}"
        );
    }
}
