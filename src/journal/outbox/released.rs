//! Attempts that were taken as not ordered: on what grounds, and by whose word.

use super::super::JournalError;
use super::super::requests::Said;
use super::super::view::View;
use super::ResultOrder;

/// Why attempts were taken as not ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WhyReleased {
    /// A person said so.
    pub by_word: bool,
    /// Who said it last.
    pub who: Option<String>,
    /// The provider's listings didn't have them.
    pub on_absence: bool,
}

impl View {
    /// Whose word it was that an order was not ordered.
    pub(super) fn add_who_released(&self, order: &mut ResultOrder) -> Result<(), JournalError> {
        if !order.released.by_word {
            return Ok(());
        }
        let said = Said::NotOrdered.told();
        let told: Option<String> = self.find(
            "SELECT detail FROM events WHERE order_id IS NOT NULL AND order_id = ?1 AND what = 'word' \
             AND instr(detail, ?2) > 0 ORDER BY id DESC LIMIT 1",
            (order.id.0, format!(": {said}")),
            |row| row.get(0),
        )?;
        // "held -> queued: anna: it was not ordered"
        let who = told.as_deref().and_then(|told| told.split(": ").nth(1));
        order.released.who = who.map(str::to_owned);
        Ok(())
    }
}
