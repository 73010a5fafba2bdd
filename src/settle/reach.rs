//! Doubts of which a listing tells nothing: that no listing reaches back to any more, and the journal holds; or of which
//! none can show that they were not taken, and that wait. A person is told once, not once an order.

use super::Settle;
use crate::journal::{Doubt, Journal, JournalError};
use crate::order::Alarm;
use crate::types::Timestamp;

/// Of how many orders such an alarm told last.
#[derive(Debug)]
pub(super) struct Told {
    name: Alarm,
    orders: Option<usize>,
}

impl Told {
    pub(super) const fn new(name: Alarm) -> Self {
        Self { name, orders: None }
    }

    /// Says so as long as there are any; that they become more or fewer changes the words, and isn't said again.
    async fn tell(
        &mut self,
        journal: &Journal,
        orders: usize,
        text: impl Fn(usize) -> String,
        now: Timestamp,
    ) -> Result<(), JournalError> {
        if self.orders == Some(orders) {
            return Ok(());
        }
        let name = self.name;
        if orders == 0 {
            journal.trouble_gone(name, now).await?;
        } else {
            let text = text(orders);
            let alarms = journal.read(|view| view.alarms()).await?;
            let is_open = alarms.iter().any(|alarm| alarm.name == name.as_str());
            let are_fewer = self.orders.is_some_and(|before| orders < before);
            // Once someone has seen it, more of them are news.
            if !((is_open || are_fewer) && journal.reword_trouble(name, text.clone()).await?) {
                journal.trouble(name, text, now).await?;
            }
        }
        self.orders = Some(orders);
        Ok(())
    }
}

impl Settle {
    /// Tells a person of doubts that only he can settle, or had better.
    pub(super) async fn tell_unsettled(&mut self, doubts: &[Doubt]) -> Result<(), JournalError> {
        let now = self.clock.now();
        let count = |is_so: fn(&Doubt) -> bool| doubts.iter().filter(|doubt| is_so(doubt)).count();
        let out_of_reach = count(|doubt| doubt.out_of_reach);
        self.out_of_reach.tell(&self.journal, out_of_reach, out_of_reach_text, now).await?;
        let lacks_proof = count(Doubt::lacks_proof);
        self.no_proof.tell(&self.journal, lacks_proof, no_proof_text, now).await
    }
}

fn out_of_reach_text(orders: usize) -> String {
    let (are, them) = if orders == 1 { ("order is", "it was") } else { ("orders are", "they were") };
    format!(
        "{orders} {are} held: whether {them} taken is not known, and the provider's list of orders no longer reaches back \
         so far. Drop the provider's export into reconcile/: it settles what was taken. For the rest, look the IMEI up at the \
         provider and say what you found with imeid resolve"
    )
}

fn no_proof_text(orders: usize) -> String {
    let (wait, them) =
        if orders == 1 { ("order in doubt waits", "it was") } else { ("orders in doubt wait", "they were") };
    format!(
        "{orders} {wait}: {them} not found in the provider's list of orders, which doesn't show either that {them} not \
         taken (imeid show IMEI says why). Drop the provider's export into reconcile/: it settles what was taken. For the \
         rest, look the IMEI up at the provider and say what you found with imeid resolve"
    )
}
