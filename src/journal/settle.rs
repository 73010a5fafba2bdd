//! Doubts: what settle reads of them, and what evidence does to them.
//!
//! - [`tend`]: where there is none: probes, and what is held.

mod tend;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Params;

use super::books;
use super::listing::proof::waits_for_newer;
use super::listing::{Judging, is_out_of_reach};
use super::orders::{self, COLUMNS, OF_ACCOUNT, Rules, Telling, UNSURE};
use super::probing::{WAITS_FOR_WORD, Weighed};
use super::view::View;
use super::{Journal, JournalError};
use crate::balance::Verdict;
use crate::order::{Event, State};
use crate::schedule::Waited;
use crate::types::{Imei, OrderId, ProviderOrder, ProviderOrderId, ServiceId, Timestamp};

pub(super) use tend::has_older;

/// An order without a known outcome.
#[derive(Clone, Debug)]
pub struct Doubt {
    /// Which one.
    pub order: OrderId,
    /// Its service.
    pub service: ServiceId,
    /// Its IMEI.
    pub imei: Imei,
    /// `in_doubt`, `ordered_no_id` or `held`.
    pub state: State,
    /// The latest doubt's beginning.
    pub since: Timestamp,
    /// The first doubt's beginning.
    pub first: Timestamp,
    /// Its quiet period is over, by every clock.
    pub has_rested: bool,
    /// Ids that an unclear answer told and that weren't looked up yet.
    pub told: Vec<ProviderOrderId>,
    /// Settle asked for a probe already.
    pub probe_asked: bool,
    /// It is held because no listing reaches back to it any more.
    pub out_of_reach: bool,
    /// It is in doubt, and the provider's list doesn't show whether it was taken: why not.
    pub lacks: Option<String>,
    /// It is in doubt, and not sent again before a person has seen the alarm `duplicates`.
    pub waits_for_word: bool,
    /// Attempts that count.
    pub counted: u32,
}

/// What is known about listings when one is judged.
#[derive(Clone, Debug)]
pub struct ListingFacts {
    /// When the listing was asked for.
    pub asked_at: Timestamp,
    /// The titles that each service has at the provider.
    pub titles: BTreeMap<ServiceId, BTreeSet<String>>,
}

/// What a person's configuration says about doubts.
#[derive(Clone, Debug)]
pub struct DoubtTerms {
    /// The provider lists its orders.
    pub can_list: bool,
    /// The policy is `hold`.
    pub policy_hold: bool,
    /// `probe_within`.
    pub probe_within: std::time::Duration,
    /// What was really waited: by it, not by the wall clock, a doubt is too old.
    pub waited: Waited,
    /// What the balance said at rest.
    pub balance: Verdict,
    /// The account that orders go to.
    pub account: String,
    /// The balance was looked at just now, at rest, or can't be: a probe may go alone, if nothing has come in between.
    pub looked: bool,
    /// What that look makes of a probe that went alone and was taken.
    pub weighed: Weighed,
}

impl Doubt {
    /// The provider's list lacks newer orders of ours, which come by themselves: that is all it waits for.
    #[must_use]
    pub fn waits_for_newer(&self) -> bool {
        self.lacks.as_deref().is_some_and(waits_for_newer)
    }

    /// The list lacks more than that.
    #[must_use]
    pub fn lacks_proof(&self) -> bool {
        self.lacks.is_some() && !self.waits_for_newer()
    }
}

impl View {
    /// This account's orders whose outcome isn't known.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn doubts(&self, account: &str) -> Result<Vec<Doubt>, JournalError> {
        self.doubts_where(&format!("provider_id IS NULL AND {OF_ACCOUNT} ORDER BY id"), [account])
    }

    /// The first `most` orders that are in doubt, of whatever account.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn first_in_doubt(&self, most: u32) -> Result<Vec<Doubt>, JournalError> {
        self.doubts_where("state = 2 AND provider_id IS NULL ORDER BY id LIMIT ?1", [most])
    }

    fn doubts_where(&self, which: &str, params: impl Params) -> Result<Vec<Doubt>, JournalError> {
        let sql = format!("SELECT {COLUMNS}, probe_ok, held_for FROM orders WHERE {UNSURE} AND {which}");
        let mut doubts = self.all(&sql, params, |row| {
            let order = orders::read(row)?;
            let since = order.doubt_since.or(order.ordered_at).unwrap_or_default();
            let why = row.get::<_, Option<String>>(25)?;
            Ok(Doubt {
                order: order.id,
                service: order.service,
                imei: order.imei,
                state: order.life.state,
                since,
                first: order.doubt_first.unwrap_or(since),
                has_rested: order.rested_after.is_some(),
                told: Vec::new(),
                probe_asked: row.get(24)?,
                out_of_reach: order.life.state == State::Held && why.as_deref().is_some_and(is_out_of_reach),
                waits_for_word: order.life.state == State::InDoubt && why.as_deref() == Some(WAITS_FOR_WORD),
                lacks: why.filter(|why| order.life.state == State::InDoubt && why != WAITS_FOR_WORD),
                counted: order.life.counted,
            })
        })?;
        for doubt in &mut doubts {
            doubt.told = self.all(
                "SELECT provider_id FROM told_ids WHERE order_id = ?1 AND looked_at IS NULL",
                [doubt.order.0],
                |row| Ok(ProviderOrderId(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0))),
            )?;
        }
        Ok(doubts)
    }

    /// The latest beginning of a doubt of this account of which a charge is presumed beside its order's id: a listing can
    /// clear it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn presumed_since(&self, account: &str) -> Result<Option<Timestamp>, JournalError> {
        let latest = self.find(
            "SELECT max(doubt_since) FROM orders WHERE presumed > 0 AND charged > 0 AND provider_id IS NOT NULL \
             AND service IN (SELECT id FROM services WHERE account = ?1)",
            [account],
            |row| row.get::<_, Option<i64>>(0),
        )?;
        Ok(latest.flatten().map(Timestamp::from_millis))
    }

    /// The latest beginning of a doubt of this account, after `after`, of whose order an attempt was released and another
    /// one got an id: a listing can still show the first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn released_since(&self, account: &str, after: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        let latest = self.find(
            "SELECT max(doubt_since) FROM orders WHERE inferred > 0 AND provider_id IS NOT NULL AND doubt_since > ?1 \
             AND service IN (SELECT id FROM services WHERE account = ?2)",
            (after.millis(), account),
            |row| row.get::<_, Option<i64>>(0),
        )?;
        Ok(latest.flatten().map(Timestamp::from_millis))
    }

    /// The highest id of the provider's that is known in this account; 0 before the first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn highest_id(&self, account: &str) -> Result<i64, JournalError> {
        let known =
            self.find("SELECT known_id FROM watermarks WHERE account = ?1", [account], |row| row.get(0))?;
        Ok(known.unwrap_or(0))
    }

    /// An order of this account whose id is no higher than `up_to` and that isn't finished as far as is known.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn an_unfinished_id(
        &self,
        account: &str,
        up_to: i64,
    ) -> Result<Option<ProviderOrderId>, JournalError> {
        self.find(
            "SELECT provider_id FROM orders JOIN services ON services.id = orders.service \
             WHERE state = 3 AND provider_id <= ?2 AND account = ?1 ORDER BY due_at DESC LIMIT 1",
            (account, up_to),
            |row| Ok(ProviderOrderId(u64::try_from(row.get::<_, i64>(0)?).unwrap_or(0))),
        )
    }

    /// Whether any order has an id, so that a listing without one of ours would show something.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn knows_an_id(&self, id: ProviderOrderId, account: &str) -> Result<bool, JournalError> {
        let found = self.find(
            "SELECT 1 FROM charges WHERE account = ?1 AND provider_id = ?2",
            (account, books::provider_id(id)),
            |_| Ok(()),
        )?;
        Ok(found.is_some())
    }
}

impl Journal {
    /// Judges a listing: finds orders in it, and, where it is whole and fresh, notes the absence of others. Returns how
    /// many orders it settled.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn judge_listing(
        &self,
        account: String,
        listing: Vec<ProviderOrder>,
        facts: ListingFacts,
        now: Timestamp,
        rules: Rules,
    ) -> Result<usize, JournalError> {
        self.write(move |tx| Judging::new(tx, &account, &listing, &facts, now, &rules)?.run()).await
    }

    /// Records what looking up told ids showed: those `found` can be the order's.
    ///
    /// # Errors
    /// The journal can't be written.
    pub async fn looked_up(
        &self,
        order: OrderId,
        asked: Vec<ProviderOrderId>,
        found: Vec<ProviderOrderId>,
        now: Timestamp,
        rules: Rules,
    ) -> Result<(), JournalError> {
        self.write(move |tx| {
            for id in &asked {
                tx.execute(
                    "UPDATE told_ids SET looked_at = ?3 WHERE order_id = ?1 AND provider_id = ?2",
                    (order.0, books::provider_id(*id), now.millis()),
                )?;
            }
            let mut loaded = orders::load(tx, order)?;
            if loaded.life.id.is_some() {
                return Ok(());
            }
            let mut its_own = Vec::new();
            for id in &found {
                if orders::owner(tx, loaded.service, *id)?.is_none() {
                    its_own.push(*id);
                }
            }
            let (event, text) = match its_own[..] {
                [] => return Ok(()),
                [id] => {
                    (Event::LateId(id), format!("id {id}, told by an unclear answer or listed meanwhile"))
                }
                _ => (Event::Listed(its_own.clone()), format!("{its_own:?}")),
            };
            let telling = Telling { what: "looked up", text: &text, via: "told", quiet: false };
            orders::advance(tx, &mut loaded, &event, now, &rules, &telling)?;
            Ok(())
        })
        .await
    }
}
