//! Attempts and charges, counted: which of them an id, an export's row or a release is about.

use super::super::{Effect, Released, Source};
use super::Draft;
use crate::types::ProviderOrderId;

impl Draft {
    pub(super) fn end_proven(&mut self, end: Effect) {
        self.order.counted = self.order.counted.saturating_sub(1);
        self.effect(end);
    }

    /// The attempt that an id, or an export's row, most likely belongs to.
    pub(super) const fn any_source(&self) -> Source {
        if self.order.unaccounted > 0 {
            Source::Unaccounted
        } else if self.order.presumed > 0 {
            Source::Presumed
        } else if self.order.inferred > 0 {
            Source::Inferred
        } else {
            Source::None
        }
    }

    fn take_from(&mut self, from: Source) {
        let count = match from {
            Source::Unaccounted => &mut self.order.unaccounted,
            Source::Presumed => &mut self.order.presumed,
            Source::Inferred => &mut self.order.inferred,
            Source::InFlight | Source::Booked | Source::None => return,
        };
        *count = count.saturating_sub(1);
    }

    pub(super) fn charge(&mut self, from: Source, id: Option<ProviderOrderId>) {
        self.take_from(from);
        self.order.charged = self.order.charged.saturating_add(1);
        self.order.named = self.order.named.saturating_add(u32::from(id.is_some()));
        self.effect(Effect::Charge { from, id });
    }

    /// Books an id that isn't booked yet, unless its charge is there: an export tells of charges and no ids, and an id can
    /// be disproved, so the ids that come first are those of such charges.
    pub(super) fn book_id(&mut self, id: ProviderOrderId) {
        if self.has_unnamed() {
            self.order.named = self.order.named.saturating_add(1);
            self.effect(Effect::Charge { from: Source::Booked, id: Some(id) });
        } else {
            let from = self.any_source();
            self.charge(from, Some(id));
        }
    }

    /// An export told of a charge, or an id was disproved: it is booked, and its id isn't known.
    pub(super) const fn has_unnamed(&self) -> bool {
        self.order.charged > self.order.named
    }

    pub(super) fn presume_unaccounted(&mut self) {
        if self.order.unaccounted > 0 {
            self.order.presumed = self.order.presumed.saturating_add(self.order.unaccounted);
            self.order.unaccounted = 0;
            self.effect(Effect::PresumeUnaccounted);
        }
    }

    /// Which of several attempts an id from a listing belongs to can't be told: the others may be taken too.
    pub(super) fn presume_all_unproven(&mut self) {
        self.presume_unaccounted();
        if self.order.inferred > 0 {
            self.order.presumed = self.order.presumed.saturating_add(self.order.inferred);
            self.order.inferred = 0;
            self.effect(Effect::PresumeInferred);
        }
    }

    /// One charge is presumed for the key, and no more: the provider refuses duplicates.
    pub(super) fn presume_once(&mut self, presumed_elsewhere: bool) {
        let keep =
            if presumed_elsewhere || self.order.presumed > 0 { Source::None } else { self.any_source() };
        if keep != Source::None {
            self.take_from(keep);
            self.effect(Effect::Presume(keep));
        }
        if self.order.unaccounted > 0 {
            self.order.inferred = self.order.inferred.saturating_add(self.order.unaccounted);
            self.order.unaccounted = 0;
            self.effect(Effect::Release(Released::OnceAKey));
        }
        if keep != Source::None {
            self.order.presumed = self.order.presumed.saturating_add(1);
        } else if presumed_elsewhere {
            // Its charge stands in the books of the key's other order.
        } else if self.order.presumed == 0 {
            // Only another order's attempts, or the original of a copy, can be behind it: the charge is entered here.
            self.order.presumed = 1;
            self.effect(Effect::Presume(Source::None));
        }
    }

    pub(super) fn release_all(&mut self, why: Released) {
        let released = self.order.unaccounted.saturating_add(self.order.presumed);
        self.order.inferred = self.order.inferred.saturating_add(released);
        self.order.unaccounted = 0;
        self.order.presumed = 0;
        self.effect(Effect::Release(why));
    }
}
