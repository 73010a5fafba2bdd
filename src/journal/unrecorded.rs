//! Alarms that can't be recorded, or may not be: what they tell of is the disk that they would be recorded on, or whoever
//! would record them. They are kept in memory until their cause is gone, or until they can be recorded after all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Journal;
use crate::order::Alarm;

/// One text for an alarm's name and whoever has it to tell. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Unrecorded(Arc<Mutex<BTreeMap<(&'static str, &'static str), String>>>);

impl Unrecorded {
    /// True: it wasn't kept yet with this text, and is to be told.
    pub(super) fn keep(&self, name: &'static str, who: &'static str, text: &str) -> bool {
        self.lock().insert((name, who), text.to_owned()).is_none_or(|before| before != text)
    }

    /// True: it was kept.
    pub(super) fn drop(&self, name: &'static str, who: &'static str) -> bool {
        self.lock().remove(&(name, who)).is_some()
    }

    /// `who` can't do its work because of the journal. Said once, however the words change until it can.
    pub(super) fn fails(&self, who: &'static str, why: &str) {
        let name = Alarm::Journal.as_str();
        if !self.lock().contains_key(&(name, who)) {
            tracing::error!(alarm = name, "{why}");
            self.keep(name, who, why);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(&'static str, &'static str), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Keeps an alarm that can't be recorded. True: it wasn't kept yet with this text, and is to be told.
    pub fn keep_unrecorded(&self, name: &'static str, text: &str) -> bool {
        self.shared.common.unrecorded.keep(name, "", text)
    }

    /// The cause of such an alarm is gone, or it is recorded. True: it was kept.
    pub fn drop_unrecorded(&self, name: &'static str) -> bool {
        self.shared.common.unrecorded.drop(name, "")
    }

    /// Likewise where several may tell of one thing, each for itself: this is `who` has it to tell.
    pub fn keep_unrecorded_by(&self, who: &'static str, name: &'static str, text: &str) -> bool {
        self.shared.common.unrecorded.keep(name, who, text)
    }

    /// `who` has it to tell no more. True: it was kept.
    pub fn drop_unrecorded_by(&self, who: &'static str, name: &'static str) -> bool {
        self.shared.common.unrecorded.drop(name, who)
    }

    /// A stage can't do its work because of the journal, and why: an alarm until [`Journal::serves`]. Said once.
    pub fn fails(&self, stage: &'static str, why: &str) {
        self.shared.common.unrecorded.fails(stage, why);
    }

    /// The stage can do its work. True: it couldn't before.
    pub fn serves(&self, stage: &'static str) -> bool {
        self.shared.common.unrecorded.drop(Alarm::Journal.as_str(), stage)
    }

    /// The alarms that can't be recorded: one text for each name.
    #[must_use]
    pub fn unrecorded(&self) -> BTreeMap<&'static str, String> {
        let kept = self.shared.common.unrecorded.lock();
        // Of several that tell of one thing, the first.
        kept.iter().rev().map(|((name, _), text)| (*name, text.clone())).collect()
    }
}
