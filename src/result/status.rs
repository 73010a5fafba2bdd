//! The words of `imeid_status`, and what people are told of them. Every table of them is made from here.

use std::fmt;
use std::str::FromStr;

/// How a row ended, or how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowStatus {
    /// The answer is there.
    Completed,
    /// Answered free from an earlier order.
    Duplicate,
    /// The provider took it and gave it back.
    Rejected,
    /// The provider did not take it.
    Refused,
    /// The provider has an order for it that we know nothing of.
    OrderedElsewhere,
    /// Not an IMEI.
    Invalid,
    /// Waits for a person.
    Held,
    /// Stopped, or given up by a person.
    Cancelled,
    /// Not sent yet.
    Queued,
    /// Being sent.
    Submitting,
    /// Sent, and its outcome isn't known.
    InDoubt,
    /// Taken by the provider, not answered yet.
    Ordered,
}

/// A word that is no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a word of imeid_status")]
pub struct UnknownStatus(String);

/// What people are told of a status.
struct Words {
    word: &'static str,
    means: &'static str,
    to_do: &'static str,
    paid: &'static str,
}

impl RowStatus {
    /// All of them, in the order in which tables show them.
    pub const ALL: [Self; 12] = [
        Self::Completed,
        Self::Duplicate,
        Self::Rejected,
        Self::Refused,
        Self::OrderedElsewhere,
        Self::Invalid,
        Self::Held,
        Self::Cancelled,
        Self::Queued,
        Self::Submitting,
        Self::InDoubt,
        Self::Ordered,
    ];

    const fn words(self) -> Words {
        let (word, means, to_do, paid) = match self {
            Self::Completed => {
                ("completed", "The answer is in imeid_code and the columns beside it.", "Nothing.", "yes")
            }
            Self::Duplicate => (
                "duplicate",
                "Answered free from an earlier order, ours or one that an export told of: its id (an export tells none), date and answer are shown.",
                "Nothing.",
                "no",
            ),
            Self::Rejected => (
                "rejected",
                "The provider took it and gave it back; its reason is in imeid_code.",
                "Read the reason. The price is due back from the provider: its bill shows whether it came.",
                "refunded",
            ),
            Self::Refused => (
                "refused",
                "The provider did not take it (\"Invalid IMEI\").",
                "Compare the IMEI with the device (*#06#), and drop it again corrected.",
                "no",
            ),
            Self::OrderedElsewhere => (
                "ordered_elsewhere",
                "The provider says it was ordered before, and we know of no such order: there is no answer here.",
                "Drop the provider's export into the folder reconcile: it brings the answer.",
                "no",
            ),
            Self::Invalid => (
                "invalid",
                "It is not an IMEI: nothing was sent. The note names the cell and the mend.",
                "Correct the cell and drop the file again: what was answered is not paid for again.",
                "no",
            ),
            Self::Held => (
                "held",
                "A person must look at it: the note says at what.",
                "Do what the note says.",
                "the note says",
            ),
            Self::Cancelled => (
                "cancelled",
                "It was stopped before it was sent, or given up by a person while it was held.",
                "Nothing. Drop it again if it is wanted after all; the note says where that can't be.",
                "no; the note says where it was",
            ),
            Self::Queued => ("queued", "It waits for its turn.", "Wait.", "not yet"),
            Self::Submitting => ("submitting", "It is being sent to the provider.", "Wait.", "unknown"),
            Self::InDoubt => (
                "in_doubt",
                "It was sent, and whether the provider took it is not known yet. It is found out, never paid for twice.",
                "Wait; never order it by hand meanwhile.",
                "unknown",
            ),
            Self::Ordered => (
                "ordered",
                "The provider took it and has not answered yet.",
                "Wait.",
                "yes (without an order id: presumed)",
            ),
        };
        Words { word, means, to_do, paid }
    }

    /// The word in the column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.words().word
    }

    /// What it means, in a sentence.
    #[must_use]
    pub const fn means(self) -> &'static str {
        self.words().means
    }

    /// What its reader does about it, in a sentence.
    #[must_use]
    pub const fn to_do(self) -> &'static str {
        self.words().to_do
    }

    /// Whether it was paid for, in a few words.
    #[must_use]
    pub const fn paid(self) -> &'static str {
        self.words().paid
    }

    /// Whether nothing more is expected of the row. One that is held may still be settled.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Completed
            | Self::Duplicate
            | Self::Rejected
            | Self::Refused
            | Self::OrderedElsewhere
            | Self::Invalid
            | Self::Cancelled => true,
            Self::Held | Self::Queued | Self::Submitting | Self::InDoubt | Self::Ordered => false,
        }
    }
}

impl fmt::Display for RowStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RowStatus {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

impl serde::Serialize for RowStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

const INTRODUCTION: &str = "\
What is in this folder

  NAME.results.csv    the results of NAME: your columns, then ours
  NAME.settled.csv    the same again, when rows that took longer have ended
                      or more is known of one
  NAME.partial.csv    what is known so far; it goes when the file is done

Only NAME.results.csv and NAME.settled.csv are final. Files here can be moved,
copied and deleted: imeid never reads them again.

The words in the column imeid_status

";

const ENDING: &str = "\
imeid_note says in a sentence what a row means and what to do about it. A row
that shares another row's order has the cost 0.00, so that the column
imeid_cost adds up to what the provider charged.
";

/// `READ ME.txt` of the outbox: each status, what it means, what to do, whether it was paid for. CRLF, for Notepad.
#[must_use]
pub fn read_me() -> String {
    let mut text = INTRODUCTION.to_owned();
    for status in RowStatus::ALL {
        let words = status.words();
        text.push_str(words.word);
        text.push('\n');
        for (what, said) in [("means", words.means), ("to do", words.to_do), ("paid", words.paid)] {
            push_wrapped(&mut text, &format!("  {what:<7}"), said);
        }
        text.push('\n');
    }
    text.push_str(ENDING);
    text.replace('\n', "\r\n")
}

/// Columns of a page of text.
const PAGE_WIDTH: usize = 78;

/// A paragraph behind `lead`, its further lines set in as far as the first.
fn push_wrapped(text: &mut String, lead: &str, said: &str) {
    let indent = " ".repeat(lead.len());
    let mut line = lead.to_owned();
    for word in said.split_whitespace() {
        if line.len().saturating_add(word.len()) >= PAGE_WIDTH && line.trim() != "" {
            text.push_str(line.trim_end());
            text.push('\n');
            line.clone_from(&indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back() {
        for status in RowStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        assert!("done".parse::<RowStatus>().is_err());
    }

    #[test]
    fn what_a_partial_file_may_show_is_not_final() {
        let open: Vec<&str> =
            RowStatus::ALL.into_iter().filter(|status| !status.is_final()).map(RowStatus::as_str).collect();
        assert_eq!(open, ["held", "queued", "submitting", "in_doubt", "ordered"]);
    }

    #[test]
    fn the_read_me_tells_of_every_status_in_lines_that_fit() {
        let text = read_me();
        for status in RowStatus::ALL {
            assert!(text.contains(&format!("\r\n{status}\r\n  means  ")), "{status}");
            assert!(text.contains(&format!("  paid   {}", status.paid())), "{status}");
        }
        assert!(text.replace("\r\n", "").chars().all(|c| c != '\n' && c != '\r'));
        assert!(text.lines().all(|line| line.len() <= PAGE_WIDTH), "{text}");
    }
}
