//! What an export clears: a charge that is presumed beside a known one, where the whole of the export shows the charges
//! that are booked for its order and no other row of the IMEI.
//!
//! An export has no ids: its rows are told apart by their IMEIs and dates, and by the orders of ours that are in it. One
//! that is filtered by IMEI, date or status must clear nothing, nor one made too early. So it has to show every order of
//! ours from the last one before this order's first attempt to one begun two quiet periods after its last doubt, as good
//! as two listings that are one apart, and orders that are finished among them as well as some that aren't. Which those
//! are their ids tell: where ids don't rise nothing is cleared. An order of ours is shown by a row of its IMEI that was
//! ordered while its attempt was under way: the row of another order of the same IMEI shows nothing of it.
//!
//! # Several orders of an IMEI
//! Which of its rows is whose can be told by their dates alone, and only where the others' attempts lie apart from this
//! order's, by a quiet period and by what the dates leave open. Then this order is cleared as if it were the only one.
//! Nothing is cleared
//! - beside an order with an unproven attempt: a row could be that one's, and what was taken for this order be presumed
//!   of the other (T13, T16). Two that are both presumed are left to listings, which tell ids;
//! - beside a charge without an id, or one that was entered on evidence alone: when it was ordered isn't known;
//! - where an attempt of another order began, or may have been executed, while one of this order's may have been: a row
//!   from then can be either's (T15);
//! - where a row is no order's of ours: it was made by hand, or by an attempt that was executed later than believed.
//!
//! # An order without an id
//! Its charge is known through an export alone. Which attempt it was, or whether someone ordered the IMEI by hand, no row
//! tells. But each attempt of it that was taken has a row of its own in an export that is whole: where there are as many
//! rows of the IMEI as charges, no more were taken than are booked. So it is cleared by their number, and nothing else may
//! bear on that. Nothing is cleared
//! - beside any other order of the IMEI, wherever that lies;
//! - where an attempt of it was entered on evidence, or taken as made after an older copy was: when it began isn't known;
//! - where its own answer told a charge under an id that turned out to be another's: which row that one has, if it has one
//!   under this IMEI, isn't known;
//! - where two of its rows are taken for one order, as of an export that was pasted together: they could be two.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::codes::EVIDENCE;
use super::export::{ExportRow, one_each};
use super::listing;
use super::orders::{self, COLUMNS, Loaded, Rules, Telling};
use super::view::View;
use super::{Journal, JournalError, books, poll};
use crate::order::{Absence, Event, State};
use crate::types::{OrderId, Timestamp};

/// How many of the newest orders of ours in it are looked at to find one that was begun late enough.
const WITNESSES: usize = 256;

/// A key as an export tells it: the service's number, and the IMEI.
pub type ExportKey = (i64, u64);

/// What an export shows, as far as it can clear anything.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Every row's key and date, as [`ExportRow::told_at`] tells it, sorted. A date that can't be read shows nothing.
    pub dated: Vec<(ExportKey, i64)>,
    /// The rows of keys of which a charge is presumed, their dates placed.
    pub rows: BTreeMap<ExportKey, Vec<ExportRow>>,
    /// A finished order is in it.
    pub has_finished: bool,
    /// One that isn't finished is in it.
    pub has_pending: bool,
}

/// Between which times of our clock, in unix milliseconds, a row of this date was ordered; `None`: it can't be told.
pub trait OnOurClock: Fn(i64) -> Option<(i64, i64)> + Send + 'static {}

impl<F: Fn(i64) -> Option<(i64, i64)> + Send + 'static> OnOurClock for F {}

/// A span of our clock in which a request can have been executed, in unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    from: i64,
    to: i64,
}

impl Span {
    pub(super) const fn meets(self, (earliest, latest): (i64, i64)) -> bool {
        earliest <= self.to && latest >= self.from
    }
}

/// A charge that is booked: whose it is, and when its attempt was under way.
struct Charge {
    order: OrderId,
    /// The attempt's number.
    n: i64,
    key: ExportKey,
    /// `None`: it was entered on evidence, and when it was ordered isn't known.
    span: Option<Span>,
}

impl Shown {
    fn of_key(&self, key: ExportKey) -> &[(ExportKey, i64)] {
        let from = self.dated.partition_point(|(other, _)| *other < key);
        let rest = self.dated.get(from..).unwrap_or_default();
        rest.get(..rest.partition_point(|(other, _)| *other == key)).unwrap_or_default()
    }

    /// Whether a row shows this very charge.
    fn shows(&self, charge: &Charge, placed: &impl OnOurClock) -> bool {
        let Some(span) = charge.span else { return false };
        let of_key = self.of_key(charge.key);
        of_key.iter().filter_map(|(_, told_at)| placed(*told_at)).any(|ordered| span.meets(ordered))
    }

    /// Whether a row can be this charge's, when its date isn't known.
    fn may_show(&self, charge: &Charge) -> bool {
        charge.span.is_none() && !self.of_key(charge.key).is_empty()
    }
}

impl View {
    /// The keys of this account of which a charge is presumed beside a known one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn presumed_keys(&self, account: &str) -> Result<BTreeSet<ExportKey>, JournalError> {
        let keys = self.all(
            "SELECT service, imei FROM orders JOIN services ON services.id = orders.service \
             WHERE presumed > 0 AND charged > 0 AND account = ?1",
            [account],
            |row| Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0))),
        )?;
        Ok(keys.into_iter().collect())
    }

    /// The orders that the export proves to have nothing but their booked charges, as they stand now.
    fn cleared_by(
        &self,
        account: &str,
        (shown, placed): (&Shown, &impl OnOurClock),
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
            for order in all.iter().filter(|order| order.life.presumed > 0 && order.life.charged > 0) {
                let others: Vec<&Loaded> = all.iter().filter(|other| other.id != order.id).collect();
                if self.shows_all_of(order, &others, rows, rules)?
                    && self.proves(account, (shown, placed), order, now, rules)?
                {
                    cleared.push(order.clone());
                }
            }
        }
        Ok(cleared)
    }

    /// Whether the rows from its time are as many as its charges, and every other row is another order's.
    fn shows_all_of(
        &self,
        order: &Loaded,
        others: &[&Loaded],
        rows: &[ExportRow],
        rules: &Rules,
    ) -> Result<bool, JournalError> {
        let life = &order.life;
        if life.state == State::Submitting {
            return Ok(false);
        }
        if life.charged != life.named && !(others.is_empty() && self.can_be_counted(order, rows)?) {
            return Ok(false);
        }
        let is_by_dates_alone = !others.is_empty() || life.id.is_none();
        let Some(own) = self.time_of(order, is_by_dates_alone, rules)? else { return Ok(false) };
        let Some(spans) = self.times_of_charges(others, rules)? else { return Ok(false) };
        if spans.iter().any(|span| own.meets((span.from, span.to))) {
            return Ok(false);
        }
        let (mut of_own, mut of_others) = (0usize, 0usize);
        for row in one_each(rows) {
            let Some(ordered) = row.placed else { return Ok(false) };
            match (own.meets(ordered), spans.iter().any(|span| span.meets(ordered))) {
                (true, false) => of_own = of_own.saturating_add(1),
                (false, true) => of_others = of_others.saturating_add(1),
                // It can be either's, or is nobody's.
                _ => return Ok(false),
            }
        }
        Ok(u32::try_from(of_own).is_ok_and(|rows| rows == life.charged) && of_others <= spans.len())
    }

    /// Whether the rows of an order without an id, the only one of its key, tell how often it was charged.
    fn can_be_counted(&self, order: &Loaded, rows: &[ExportRow]) -> Result<bool, JournalError> {
        if order.life.id.is_some() || order.life.unaccounted > 0 || one_each(rows).len() != rows.len() {
            return Ok(false);
        }
        let had_an_id = self.find(
            "SELECT 1 FROM events WHERE order_id = ?1 AND what = ?2 LIMIT 1",
            (order.id.0, poll::NOT_ITS_ID),
            |_| Ok(()),
        )?;
        Ok(had_an_id.is_none())
    }

    /// When its attempts that may have been taken can have been executed. Where dates alone tell its rows none of them may
    /// be one that was entered on evidence.
    fn time_of(
        &self,
        order: &Loaded,
        is_by_dates_alone: bool,
        rules: &Rules,
    ) -> Result<Option<Span>, JournalError> {
        let found = self.find(
            "SELECT min(claimed_at), max(coalesce(ended_at, claimed_at)), max(kind) FROM attempts \
             WHERE order_id = ?1 AND verdict IN (0, 3, 4, 5, 6, 7)",
            [order.id.0],
            |row| {
                Ok((
                    row.get::<_, Option<i64>>(0)?,
                    row.get::<_, Option<i64>>(1)?,
                    row.get::<_, Option<i64>>(2)?,
                ))
            },
        )?;
        let Some((Some(from), Some(ended), kind)) = found else { return Ok(None) };
        if is_by_dates_alone && kind >= Some(EVIDENCE) {
            return Ok(None);
        }
        let ended = order.doubt_since.map_or(ended, |since| since.millis().max(ended));
        Ok(Some(Span { from, to: Timestamp::from_millis(ended).plus(rules.quiet).millis() }))
    }

    /// When each charge of these orders was ordered; `None`: it isn't known of all of them, or not what they were charged.
    fn times_of_charges(&self, orders: &[&Loaded], rules: &Rules) -> Result<Option<Vec<Span>>, JournalError> {
        let mut spans = Vec::new();
        for order in orders {
            let life = &order.life;
            if life.state == State::Submitting || life.unproven() > 0 || life.charged != life.named {
                return Ok(None);
            }
            for span in self.all(
                "SELECT claimed_at, ended_at, kind FROM attempts WHERE order_id = ?1 AND verdict = 0",
                [order.id.0],
                |row| Ok(span_of(row.get(0)?, row.get(1)?, row.get(2)?, rules.quiet)),
            )? {
                let Some(span) = span else { return Ok(None) };
                spans.push(span);
            }
        }
        Ok(Some(spans))
    }

    /// Whether it is whole, reaches back, and is late enough to show every attempt of this order that was taken.
    fn proves(
        &self,
        account: &str,
        shown: (&Shown, &impl OnOurClock),
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
        // Then ids don't tell which orders of ours it must have.
        if self.fact(&books::ids_fall(account))?.is_some() {
            return Ok(false);
        }
        let Some(newest) = self.newest_if_whole(account, shown, reach, rules)? else { return Ok(false) };
        let from = since.plus(rules.quiet).plus(rules.quiet).millis();
        for witness in newest {
            let found = self.find(
                "SELECT 1 FROM attempts WHERE order_id = ?1 AND n = ?6 AND verdict = 0 AND kind < 2 \
                 AND claimed_at BETWEEN ?2 AND ?3 AND known_id >= ?4 AND entry >= ?5",
                (witness.order.0, from, now.millis(), known, rested_after, witness.n),
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
        (shown, placed): (&Shown, &impl OnOurClock),
        reach: i64,
        rules: &Rules,
    ) -> Result<Option<VecDeque<Charge>>, JournalError> {
        let mut ours: Vec<Charge> = self.all(
            "SELECT orders.id, orders.service, orders.imei, charges.n, claimed_at, ended_at, coalesce(kind, 2) \
             FROM charges JOIN orders ON orders.id = charges.order_id \
             LEFT JOIN attempts ON attempts.order_id = charges.order_id AND attempts.n = charges.n \
             WHERE charges.account = ?1 AND charges.provider_id >= ?2 ORDER BY charges.provider_id",
            (account, reach),
            |row| {
                let imei = u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
                Ok(Charge {
                    order: OrderId(row.get(0)?),
                    n: row.get::<_, Option<i64>>(3)?.unwrap_or(0),
                    key: (row.get(1)?, imei),
                    span: span_of(row.get::<_, Option<i64>>(4)?.unwrap_or(0), row.get(5)?, row.get(6)?, rules.quiet),
                })
            },
        )?;
        // What comes after the last one was ordered after it was made.
        while ours.last().is_some_and(|charge| !shown.shows(charge, placed)) {
            ours.pop();
        }
        let is_whole = !ours.is_empty()
            && ours.iter().all(|charge| shown.shows(charge, placed) || shown.may_show(charge));
        Ok(is_whole.then(|| ours.into_iter().rev().take(WITNESSES).collect()))
    }
}

/// When an attempt can have been executed: until a quiet period after we gave it up.
pub(super) fn span_of(claimed_at: i64, ended_at: Option<i64>, kind: i64, quiet: Duration) -> Option<Span> {
    let to = Timestamp::from_millis(ended_at.unwrap_or(claimed_at)).plus(quiet).millis();
    (kind < EVIDENCE).then_some(Span { from: claimed_at, to })
}

impl Journal {
    /// Clears what the whole of an export shows not to be there; `placed` places its dates. Returns how many orders it
    /// cleared.
    ///
    /// # Errors
    /// The journal can't be read or written.
    pub async fn clear_by_export(
        &self,
        account: String,
        shown: Shown,
        placed: impl OnOurClock,
        now: Timestamp,
        rules: Rules,
    ) -> Result<usize, JournalError> {
        let held_against = rules.clone();
        // It can be long, and nothing is to wait for it.
        let cleared =
            self.read(move |view| view.cleared_by(&account, (&shown, &placed), now, &held_against)).await?;
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
                // Its rows are as many as its charges.
                let event = match order.life.id {
                    Some(_) => Event::Cleared(absence),
                    None => Event::Counted { rows: order.life.charged, absence },
                };
                orders::advance(tx, &mut order, &event, now, &rules, &telling)?;
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
}
