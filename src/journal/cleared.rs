//! What an export clears: a charge that is presumed beside a known id, where the whole of the export shows the charges
//! that are booked for its order and no other row of the IMEI.
//!
//! An export has no ids: its rows are told apart by their IMEIs and dates, and by the orders of ours that are in it. One
//! that is filtered by IMEI, date or status must clear nothing, nor one made too early. So it has to show every order of
//! ours from the last one before this order's first attempt to one begun two quiet periods after its last doubt, as good
//! as two listings that are one apart, and orders that are finished among them as well as some that aren't.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::export::{self, ExportRow};
use super::listing;
use super::orders::{self, COLUMNS, Loaded, Rules, Telling};
use super::view::View;
use super::{Journal, JournalError};
use crate::order::{Absence, Event, State};
use crate::types::{OrderId, ProviderStatus, Timestamp};

/// How many of the newest orders of ours in it are looked at to find one that was begun late enough.
const WITNESSES: usize = 256;

/// A key as an export tells it: the service's number, and the IMEI.
pub type ExportKey = (i64, u64);

/// What an export shows, as far as it can clear anything.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Every key in it, sorted.
    pub keys: Vec<ExportKey>,
    /// The rows of keys of which a charge is presumed, their dates placed.
    pub rows: BTreeMap<ExportKey, Vec<ExportRow>>,
    /// A finished order is in it.
    pub has_finished: bool,
    /// One that isn't finished is in it.
    pub has_pending: bool,
}

impl Shown {
    fn shows(&self, key: ExportKey) -> bool {
        self.keys.binary_search(&key).is_ok()
    }
}

impl View {
    /// The keys of this account of which a charge is presumed beside a known id.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn presumed_keys(&self, account: &str) -> Result<BTreeSet<ExportKey>, JournalError> {
        let keys = self.all(
            "SELECT service, imei FROM orders JOIN services ON services.id = orders.service \
             WHERE presumed > 0 AND provider_id IS NOT NULL AND account = ?1",
            [account],
            |row| Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0))),
        )?;
        Ok(keys.into_iter().collect())
    }

    /// The orders that the export proves to have nothing but their booked charges, as they stand now.
    fn cleared_by(
        &self,
        account: &str,
        shown: &Shown,
        now: Timestamp,
        rules: &Rules,
    ) -> Result<Vec<Loaded>, JournalError> {
        let mut cleared = Vec::new();
        if !(shown.has_finished && shown.has_pending) {
            return Ok(cleared);
        }
        for (key, rows) in &shown.rows {
            let sql = format!("SELECT {COLUMNS} FROM orders WHERE service = ?1 AND imei = ?2");
            let of_key = (key.0, i64::try_from(key.1).unwrap_or(0));
            let mut all = self.all(&format!("{sql} AND current = 0"), of_key, orders::read)?;
            all.extend(self.all(&format!("{sql} AND current = 1"), of_key, orders::read)?);
            // Which row is which of several orders' can't be told.
            let [order] = &all[..] else { continue };
            if self.shows_all_of(order, rows)? && self.proves(account, shown, order, now, rules)? {
                cleared.push(order.clone());
            }
        }
        Ok(cleared)
    }

    /// Whether the rows are as many as its charges, each with its id, and ordered since its first attempt.
    fn shows_all_of(&self, order: &Loaded, rows: &[ExportRow]) -> Result<bool, JournalError> {
        let life = &order.life;
        let is_open = life.presumed > 0 && life.id.is_some() && life.state != State::Submitting;
        let begun: Option<i64> = self
            .find(
                "SELECT min(claimed_at) FROM attempts WHERE order_id = ?1 AND verdict IN (0, 3, 4, 5, 6, 7)",
                [order.id.0],
                |row| row.get(0),
            )?
            .flatten();
        let from = begun.map(Timestamp::from_millis);
        let as_many = u32::try_from(rows.len()).is_ok_and(|rows| rows == life.charged);
        Ok(is_open
            && as_many
            && life.charged == life.named
            && rows.iter().all(|row| export::judge(row, from, &[]).is_none()))
    }

    /// Whether it is whole, reaches back, and is late enough to show every attempt of this order that was taken.
    fn proves(
        &self,
        account: &str,
        shown: &Shown,
        order: &Loaded,
        now: Timestamp,
        rules: &Rules,
    ) -> Result<bool, JournalError> {
        let known: Option<i64> = self.find(listing::FIRST_UNPROVEN, [order.id.0], |row| row.get(0))?;
        let (Some(known), Some(since), Some(rested_after)) = (known, order.doubt_since, order.rested_after)
        else {
            return Ok(false);
        };
        let reach: Option<i64> = self
            .find(
                "SELECT max(provider_id) FROM charges WHERE account = ?1 AND provider_id <= ?2",
                (account, known),
                |row| row.get(0),
            )?
            .flatten();
        let Some(reach) = reach else { return Ok(false) };
        let Some(newest) = self.newest_if_whole(account, shown, reach)? else { return Ok(false) };
        let from = since.plus(rules.quiet).plus(rules.quiet).millis();
        for witness in newest {
            let found = self.find(
                "SELECT 1 FROM attempts WHERE order_id = ?1 AND verdict = 0 AND kind < 2 AND claimed_at BETWEEN ?2 AND ?3 \
                 AND known_id >= ?4 AND entry >= ?5",
                (witness.0, from, now.millis(), known, rested_after),
                |_| Ok(()),
            )?;
            if found.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The newest orders of ours that it shows, if it shows every one from the id `reach` up to them.
    fn newest_if_whole(
        &self,
        account: &str,
        shown: &Shown,
        reach: i64,
    ) -> Result<Option<VecDeque<OrderId>>, JournalError> {
        let ours: Vec<(OrderId, ExportKey)> = self.all(
            "SELECT orders.id, orders.service, orders.imei FROM charges JOIN orders ON orders.id = charges.order_id \
             WHERE charges.account = ?1 AND charges.provider_id >= ?2 ORDER BY charges.provider_id",
            (account, reach),
            |row| {
                let imei = u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
                Ok((OrderId(row.get(0)?), (row.get(1)?, imei)))
            },
        )?;
        // What comes after the last one was ordered after it was made.
        let upto =
            ours.iter().rposition(|(_, key)| shown.shows(*key)).map_or(0, |last| last.saturating_add(1));
        let span = ours.get(..upto).unwrap_or_default();
        if span.is_empty() || !span.iter().all(|(_, key)| shown.shows(*key)) {
            return Ok(None);
        }
        Ok(Some(span.iter().rev().take(WITNESSES).map(|(order, _)| *order).collect()))
    }
}

impl Journal {
    /// Clears what the whole of an export shows not to be there. Returns how many orders it cleared.
    ///
    /// # Errors
    /// The journal can't be read or written.
    pub async fn clear_by_export(
        &self,
        account: String,
        shown: Shown,
        now: Timestamp,
        rules: Rules,
    ) -> Result<usize, JournalError> {
        let held_against = rules.clone();
        // It can be long, and nothing is to wait for it.
        let cleared = self.read(move |view| view.cleared_by(&account, &shown, now, &held_against)).await?;
        if cleared.is_empty() {
            return Ok(0);
        }
        self.write(move |tx| {
            let mut count = 0usize;
            for proven in &cleared {
                let mut order = orders::load(tx, proven.id)?;
                // Whatever came meanwhile tells more than the export.
                if order.life != proven.life || order.doubt_since != proven.doubt_since {
                    continue;
                }
                let absence = Absence { twice: true, whole: true, reaches_back: true, fresh: true };
                let text = "an export shows the charges that are booked for it, and no other";
                let telling = Telling { what: "cleared", text, via: "", quiet: false };
                orders::advance(tx, &mut order, &Event::Cleared(absence), now, &rules, &telling)?;
                count = count.saturating_add(1);
            }
            Ok(count)
        })
        .await
    }
}

impl ExportRow {
    /// Its key.
    #[must_use]
    pub const fn export_key(&self) -> ExportKey {
        (self.service, self.imei)
    }

    /// Whether the provider has finished it.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        !matches!(self.status(), ProviderStatus::Pending)
    }
}
