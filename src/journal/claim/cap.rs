//! The day's cap: a pause of its own, which begins and ends where the next order is claimed.

use std::fmt::Write;

use super::super::JournalError;
use super::super::pause;
use super::{Blocked, Claiming};
use crate::clock::local_day;
use crate::gate::{self, Pause, Scope};
use crate::order::PauseReason;
use crate::types::Money;

impl Claiming<'_, '_> {
    /// Lets this claim go on where money has become free under the cap. The pause itself stays until the claim shows whether
    /// there is room for more than it takes: orders that come back free, one by one, would end it and begin it again with
    /// each. Returns its text, if it stays so.
    pub(super) fn lift_cap_if_there_is_room(&mut self) -> Result<Option<String>, JournalError> {
        let is_cap = |pause: &Pause| pause.reason == PauseReason::Cap;
        if !self.has_room() {
            return Ok(None);
        }
        let Some(at) = self.pauses.iter().position(is_cap) else { return Ok(None) };
        let capped = self.pauses.remove(at);
        // Another day's is over, whatever becomes of this one.
        if local_day(capped.since) != self.request.day {
            pause::end(self.tx, Scope::All, PauseReason::Cap, self.now)?;
            return Ok(None);
        }
        Ok(Some(capped.text))
    }

    /// Whether one more order of the cheapest service stays within the cap.
    fn has_room(&self) -> bool {
        let prices = self.request.rules.terms.values().map(|terms| terms.price);
        gate::fits(self.used, prices.min().unwrap_or(Money::ZERO), self.request.per_day)
    }

    /// Ends the pause once there is room for more than was claimed. While all that could go waits for its own time it stays:
    /// what was turned away and waits to be sent again would fill the day at once. `text`: what it says until now.
    pub(super) fn end_cap_if_it_is_over(&mut self, text: &str) -> Result<(), JournalError> {
        if self.draft.blocked == Some(Blocked::Cap) {
            return Ok(());
        }
        let backs_off =
            self.draft.claims.is_empty() && self.draft.blocked.is_none() && self.draft.next_due.is_some();
        if self.has_room() && !backs_off {
            return pause::end(self.tx, Scope::All, PauseReason::Cap, self.now).map(drop);
        }
        let now = self.cap_text()?;
        if now != text {
            pause::reword(self.tx, Scope::All, PauseReason::Cap, &now)?;
        }
        Ok(())
    }

    /// An order doesn't fit.
    pub(super) fn cap(&mut self) -> Result<bool, JournalError> {
        let text = self.cap_text()?;
        if !pause::reword(self.tx, Scope::All, PauseReason::Cap, &text)? {
            pause::set(self.tx, Scope::All, PauseReason::Cap, &text, self.now)?;
        }
        self.draft.blocked = Some(Blocked::Cap);
        self.left = 0;
        Ok(false)
    }

    fn cap_text(&self) -> Result<String, JournalError> {
        let cap = self.request.per_day.unwrap_or(Money::ZERO);
        let mut text = format!("{} of {cap} a day are spent, in flight or in doubt", self.used);
        let sql = "SELECT presumed FROM totals WHERE scope = 'day' AND key = ?1";
        let presumed = self.tx.find(sql, [self.request.day], |row| row.get(0).map(Money::from_micros))?;
        if let Some(presumed) = presumed.filter(|presumed| *presumed > Money::ZERO) {
            let _ = write!(
                text,
                ", {presumed} of it presumed until the provider's list or export shows that it wasn't charged"
            );
        }
        Ok(text)
    }
}
