//! Calls that hang. A provider cuts its list to the latest orders, and while a call waits for its time-out hundreds of newer
//! ones can go by: when its doubt begins, the list may have moved past it. So what hangs is looked for before.
//!
//! What is found is only remembered, like an id that an unclear answer told: the call's own answer decides. Where it ends
//! in doubt, in a crash too, the id is looked up first. That nothing was found shows nothing.

use std::time::Duration;

use super::super::orders::IN_FLIGHT;
use super::super::view::View;
use super::super::{JournalError, books};
use super::Judging;
use crate::types::Timestamp;

impl View {
    /// When the oldest of the attempts began that are on their way.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn in_flight_since(&self) -> Result<Option<Timestamp>, JournalError> {
        let oldest = self.find("SELECT min(claimed_at) FROM attempts WHERE verdict IS NULL", [], |row| {
            row.get::<_, Option<i64>>(0)
        })?;
        Ok(oldest.flatten().map(Timestamp::from_millis))
    }
}

impl Judging<'_, '_> {
    /// Remembers what is listed of orders whose call hangs: of the same IMEI and service, of no order of ours, its id above
    /// all that we knew when the attempt began.
    pub(super) fn remember_in_flight(&self) -> Result<(), JournalError> {
        let begun_before = self.facts.asked_at.minus(hangs_after(self.rules.quiet));
        for order in self.those(&format!("{IN_FLIGHT} ORDER BY id"))? {
            let known_id = self.tx.find(
                "SELECT known_id FROM attempts WHERE order_id = ?1 AND verdict IS NULL AND claimed_at <= ?2",
                (order.id.0, begun_before.millis()),
                |row| row.get::<_, i64>(0),
            )?;
            let Some(known_id) = known_id else { continue };
            let same_imei = self.same_imei(&order, known_id);
            if same_imei.is_empty() || self.has_older_without_id(&order)? {
                continue;
            }
            for told in self.can_be(&order, &same_imei)? {
                if books::remember_told(self.tx, order.id, &[told.id])? > 0 {
                    let text = format!("{}, while its call was on its way", told.id);
                    self.tx.event(self.now, Some(order.id), None, "listed", &text)?;
                }
            }
        }
        Ok(())
    }
}

/// A call that takes longer than this hangs: 30 s of a quiet period of 120, which is no shorter than a call's time-out.
#[must_use]
pub fn hangs_after(quiet: Duration) -> Duration {
    quiet / 4
}
