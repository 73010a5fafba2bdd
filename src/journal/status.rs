//! What `status` reads: sums and counts that are kept, never counted.

use super::JournalError;
use super::orders::{IN_FLIGHT, UNSURE};
use super::restore::WAS_COPY;
use super::view::View;
use crate::types::{Money, NetworkId, ServiceId, Timestamp};

/// An alarm that nobody has seen yet and whose cause isn't gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmLine {
    /// Its number, for `imeid ack`.
    pub n: i64,
    /// Its name.
    pub name: String,
    /// What a person must know.
    pub text: String,
    /// Since when.
    pub since: Timestamp,
}

/// A day's money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayMoney {
    /// Charged.
    pub charged: Money,
    /// Presumed charged.
    pub presumed: Money,
    /// On the wire.
    pub in_flight: Money,
    /// In doubt.
    pub in_doubt: Money,
    /// Refunds that rejected orders let expect.
    pub refund_due: Money,
}

/// Orders that are in work, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderCounts {
    /// Not sent yet.
    pub queued: u64,
    /// On the wire.
    pub submitting: u64,
    /// In doubt.
    pub in_doubt: u64,
    /// Taken, with an id or without.
    pub ordered: u64,
    /// Waiting for a person.
    pub held: u64,
}

/// A service that has orders in its queue, or at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceQueue {
    /// The service.
    pub service: ServiceId,
    /// The account whose it is.
    pub account: String,
    /// The provider's name for it.
    pub network_id: NetworkId,
    /// Our name for it.
    pub name: String,
    /// Its orders that aren't sent yet, or, where they are, that aren't answered.
    pub orders: u64,
    /// They are sent, or may have been.
    pub are_sent: bool,
}

/// A row of a service's id, account, network id and name, and a count of orders.
fn read_queue(row: &rusqlite::Row<'_>, are_sent: bool) -> rusqlite::Result<ServiceQueue> {
    Ok(ServiceQueue {
        service: ServiceId(row.get(0)?),
        account: row.get(1)?,
        network_id: NetworkId(row.get(2)?),
        name: row.get(3)?,
        orders: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
        are_sent,
    })
}

impl View {
    /// What waits to be sent, by service; of services that are no longer configured too.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn queues(&self) -> Result<Vec<ServiceQueue>, JournalError> {
        self.all(
            "SELECT services.id, services.account, services.network_id, services.name, sum(tallies.n) FROM batches \
             JOIN tallies ON tallies.batch = batches.id JOIN services ON services.id = batches.service \
             WHERE batches.state NOT IN (4, 5) AND tallies.link = 0 AND tallies.state = 0 AND tallies.n > 0 \
             GROUP BY services.id ORDER BY services.id",
            [],
            |row| read_queue(row, false),
        )
    }

    /// What of other accounts is sent and not answered, by service: only this account is asked.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn unanswered_elsewhere(&self, account: &str) -> Result<Vec<ServiceQueue>, JournalError> {
        let mut found: Vec<ServiceQueue> = Vec::new();
        // Three looks: an index serves each.
        for sent in [IN_FLIGHT, &format!("{UNSURE} AND state IN (2, 4)"), "state = 3"] {
            let sql = format!(
                "SELECT services.id, services.account, services.network_id, services.name, count(*) FROM orders \
                 JOIN services ON services.id = orders.service WHERE {sent} AND services.account <> ?1 \
                 GROUP BY services.id ORDER BY services.id"
            );
            let of_those = self.all(&sql, [account], |row| read_queue(row, true))?;
            for queue in of_those {
                match found.iter_mut().find(|known| known.service == queue.service) {
                    Some(known) => known.orders = known.orders.saturating_add(queue.orders),
                    None => found.push(queue),
                }
            }
        }
        Ok(found)
    }

    /// The alarms that are open.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn alarms(&self) -> Result<Vec<AlarmLine>, JournalError> {
        let mut alarms = self.all(
            "SELECT n, name, text, at FROM alarms WHERE gone_at IS NULL AND acked_at IS NULL ORDER BY n LIMIT 100",
            [],
            |row| {
                Ok(AlarmLine {
                    n: row.get(0)?,
                    name: row.get(1)?,
                    text: row.get(2)?,
                    since: Timestamp::from_millis(row.get(3)?),
                })
            },
        )?;
        for AlarmLine { text, since, .. } in &mut alarms {
            self.tell_export_read(text, *since)?;
        }
        Ok(alarms)
    }

    /// The orders in work.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn order_counts(&self) -> Result<OrderCounts, JournalError> {
        let mut counts = OrderCounts::default();
        // CROSS JOIN is SQLite's word for this order: left to itself it reads the tallies of every batch that ever was.
        let sums = self.all(
            "SELECT tallies.state, sum(tallies.n) FROM batches CROSS JOIN tallies ON tallies.batch = batches.id \
             WHERE batches.state NOT IN (4, 5) AND tallies.link = 0 GROUP BY tallies.state",
            [],
            |row| Ok((row.get::<_, i64>(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0))),
        )?;
        for (state, n) in sums.into_iter().chain(self.orders_of_no_row()?) {
            let count = match state {
                0 => &mut counts.queued,
                1 => &mut counts.submitting,
                2 => &mut counts.in_doubt,
                3 | 4 => &mut counts.ordered,
                5 => &mut counts.held,
                _ => continue,
            };
            *count = count.saturating_add(n);
        }
        Ok(counts)
    }

    /// Those that an export brought to an older copy: no file of it has a row for them, so no tally counts them.
    fn orders_of_no_row(&self) -> Result<Vec<(i64, u64)>, JournalError> {
        let mut sums = Vec::new();
        if self.fact(WAS_COPY)?.is_none() {
            return Ok(sums);
        }
        // Three look-ups: an index serves each, which has what is open and nothing else.
        for open in [IN_FLIGHT, UNSURE, "state = 3"] {
            let sql = format!("SELECT state, count(*) FROM orders WHERE {open} AND batch = 0 GROUP BY state");
            sums.extend(
                self.all(&sql, [], |row| {
                    Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
                })?,
            );
        }
        Ok(sums)
    }

    /// A local day's money.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn day_money(&self, day: i64) -> Result<DayMoney, JournalError> {
        let (reserved, presumed, charged, refund): (i64, i64, i64, i64) = self
            .find(
                "SELECT reserved, presumed, charged, refund FROM totals WHERE scope = 'day' AND key = ?1",
                [day],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )?
            .unwrap_or_default();
        let in_flight: i64 = self
            .find(
                "SELECT coalesce(sum(price), 0) FROM attempts WHERE verdict IS NULL AND day = ?1",
                [day],
                |row| row.get(0),
            )?
            .unwrap_or(0);
        Ok(DayMoney {
            charged: Money::from_micros(charged),
            presumed: Money::from_micros(presumed),
            in_flight: Money::from_micros(in_flight),
            in_doubt: Money::from_micros(reserved.saturating_sub(in_flight)),
            refund_due: Money::from_micros(refund),
        })
    }
}
