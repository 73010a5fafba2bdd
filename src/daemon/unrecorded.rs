//! What the daemon can't record, for `status`: on a full disk nothing can be written, and what is wrong must be seen all
//! the same. It lies in the journal's lock file, which has its room already.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::journal_lock;
use crate::durable::LockFile;
use crate::types::Timestamp;

/// An alarm that lives in the daemon's memory alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unrecorded {
    /// Its name.
    pub name: String,
    /// What a person must know.
    pub text: String,
    /// Since when.
    pub since: Timestamp,
}

/// A longer text is cut: a few of them have room.
const TEXT_CHARS: usize = 400;
/// A note that is just being written is read again so often.
const READ_TIMES: usize = 3;

impl Unrecorded {
    /// What the daemon that holds this journal's lock noted; nothing where it can't be read. Blocks.
    #[must_use]
    pub fn read(journal: &Path) -> Vec<Self> {
        let path = journal_lock(journal);
        let read = || serde_json::from_str(&LockFile::noted(&path).ok()?).ok();
        (0..READ_TIMES).find_map(|_| read()).unwrap_or_default()
    }
}

/// Keeps the note as the alarms are, with the time at which each was first found.
#[derive(Default)]
pub(super) struct Note {
    since: BTreeMap<&'static str, Timestamp>,
    written: Vec<Unrecorded>,
}

impl Note {
    /// Since when this one is kept.
    pub(super) fn since(&self, name: &str) -> Option<Timestamp> {
        self.since.get(name).copied()
    }

    /// Writes the note anew if it changed. Blocks for the one write.
    pub(super) fn keep(&mut self, lock: &LockFile, kept: BTreeMap<&'static str, String>, now: Timestamp) {
        self.since.retain(|name, _| kept.contains_key(name));
        let mut alarms: Vec<Unrecorded> = kept
            .into_iter()
            .map(|(name, text)| Unrecorded {
                name: name.to_owned(),
                text: text.chars().take(TEXT_CHARS).collect(),
                since: *self.since.entry(name).or_insert(now),
            })
            .collect();
        if alarms == self.written {
            return;
        }
        self.written.clone_from(&alarms);
        loop {
            let text = serde_json::to_string(&alarms).unwrap_or_default();
            if text.len() <= LockFile::NOTE_BYTES || alarms.pop().is_none() {
                if let Err(error) = lock.note(&text) {
                    tracing::debug!("what can't be recorded can't be noted either: {error}");
                }
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_the_time_of_the_first_look_and_is_gone_with_its_cause() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let lock = LockFile::acquire(&path).unwrap();
        let read = || serde_json::from_str::<Vec<Unrecorded>>(&LockFile::noted(&path).unwrap()).unwrap();
        let mut note = Note::default();
        let one = |text: &str| BTreeMap::from([("disk", text.to_owned())]);
        note.keep(&lock, one("full"), Timestamp::from_millis(1_000));
        note.keep(&lock, one(&"ä".repeat(9_000)), Timestamp::from_millis(2_000));
        let [alarm] = &read()[..] else { panic!("{:?}", read()) };
        assert_eq!((alarm.name.as_str(), alarm.since), ("disk", Timestamp::from_millis(1_000)));
        assert_eq!(alarm.text.chars().count(), TEXT_CHARS);
        note.keep(&lock, BTreeMap::new(), Timestamp::from_millis(3_000));
        assert_eq!((read(), note.since("disk")), (vec![], None));
        let many = ["a", "b", "c", "d", "e", "f", "g"].map(|name| (name, "ä".repeat(TEXT_CHARS)));
        note.keep(&lock, BTreeMap::from(many), Timestamp::from_millis(4_000));
        assert_eq!(read().len(), 4, "as many as have room");
    }
}
