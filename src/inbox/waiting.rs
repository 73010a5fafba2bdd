//! What lies in the inbox and isn't taken, and why.

use std::fmt;

use crate::types::Timestamp;

/// Why something in the inbox isn't taken. Prints as in `status --json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub enum Why {
    /// It hasn't settled yet.
    #[serde(rename = "being written")]
    BeingWritten,
    /// It can't be read for now: no right to, or locked.
    #[serde(rename = "unreadable")]
    Unreadable,
    /// A link, fifo, device or socket. It is never opened or followed.
    #[serde(rename = "not a file")]
    NotAFile,
    /// No service has this folder.
    #[serde(rename = "no such service")]
    NoSuchService,
    /// A word to imeid about another file, of a kind that this version doesn't take.
    #[serde(rename = "not available yet")]
    NotAvailable,
    /// No file is taken until a person says that it goes on: the journal is an older copy.
    #[serde(rename = "waits for resume")]
    WaitsForResume,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeingWritten => "being written",
            Self::Unreadable => "unreadable",
            Self::NotAFile => "not a file",
            Self::NoSuchService => "no such service",
            Self::NotAvailable => "not available yet",
            Self::WaitsForResume => "waits for resume",
        })
    }
}

impl serde::Serialize for Why {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Something that lies in the inbox and isn't taken, for `status`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Waiting {
    /// Its name, relative to the inbox; "." is the inbox itself.
    pub name: String,
    /// Why it isn't taken.
    pub why: Why,
    /// Since when that is so.
    pub since: Timestamp,
}

impl Waiting {
    /// Whether it is the inbox itself: gone, or not to be looked into.
    #[must_use]
    pub fn is_the_folder(&self) -> bool {
        self.name == "."
    }
}
