//! Doubts that no listing reaches back to any more: the journal holds them, and a person is told once, not once an order.

use super::Settle;
use crate::journal::{Doubt, JournalError};
use crate::order::Alarm;

impl Settle {
    /// Says so as long as there are any; that they become more or fewer changes the words, and isn't said again.
    pub(super) async fn tell_out_of_reach(&mut self, doubts: &[Doubt]) -> Result<(), JournalError> {
        let orders = doubts.iter().filter(|doubt| doubt.out_of_reach).count();
        if self.out_of_reach == Some(orders) {
            return Ok(());
        }
        let (name, now) = (Alarm::OutOfReach, self.clock.now());
        if orders == 0 {
            self.journal.trouble_gone(name, now).await?;
        } else {
            let text = text(orders);
            let alarms = self.journal.read(|view| view.alarms()).await?;
            let is_open = alarms.iter().any(|alarm| alarm.name == name.as_str());
            let are_fewer = self.out_of_reach.is_some_and(|before| orders < before);
            // Once someone has seen it, more of them are news.
            if !((is_open || are_fewer) && self.journal.reword_trouble(name, text.clone()).await?) {
                self.journal.trouble(name, text, now).await?;
            }
        }
        self.out_of_reach = Some(orders);
        Ok(())
    }
}

fn text(orders: usize) -> String {
    let (are, them) = if orders == 1 { ("order is", "it was") } else { ("orders are", "they were") };
    format!(
        "{orders} {are} held: whether {them} taken is not known, and the provider's list of orders no longer reaches back \
         so far. Drop the provider's export into reconcile/: it settles that"
    )
}
