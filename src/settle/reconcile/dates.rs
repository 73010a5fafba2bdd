//! Placing an export's dates on our clock.
//!
//! Its dates are in the provider's own, unknown time zone. Our own orders in it tell what that is: each was ordered
//! between its attempt's beginning and end, so that the provider's clock is ahead of ours by no less than its date less
//! the end, and by no more than its date less the beginning. Those nearest to a row's date are asked, for a zone changes
//! its clocks twice a year; what most of them agree on holds, for now and then a row is taken for an order of ours that
//! someone made by hand.

use std::collections::BTreeMap;

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// Kept for each of the export's days, those with the shortest calls.
const WITNESSES_A_DAY: usize = 64;
/// Asked for a date.
const ASKED: usize = 32;
/// Time zones reach from 12 hours behind UTC to 14 before it; clocks may be off a little.
const OFFSETS: std::ops::RangeInclusive<i64> = -(12 * HOUR + HOUR / 2)..=(14 * HOUR + HOUR / 2);

/// By how much the provider's clock is ahead of ours, in milliseconds: between these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Witness {
    told_at: i64,
    least: i64,
    most: i64,
}

/// What an export's own orders of ours say of its dates.
#[derive(Debug, Default)]
pub(super) struct Dates {
    days: BTreeMap<i64, Vec<Witness>>,
}

impl Dates {
    /// An order of ours was begun and ended at these times of our clock, and the export dates it `told_at` (in
    /// milliseconds, read as if it were UTC).
    pub(super) fn add(&mut self, told_at: i64, begun: i64, ended: i64) {
        // Dates are told to the second: it may have been ordered anywhere in it.
        let witness = Witness {
            told_at,
            least: told_at.saturating_sub(ended),
            most: told_at.saturating_add(SECOND).saturating_sub(begun),
        };
        let is_possible = witness.most >= *OFFSETS.start() && witness.least <= *OFFSETS.end();
        if ended < begun || !is_possible {
            return;
        }
        let day = self.days.entry(told_at.div_euclid(DAY)).or_default();
        day.push(witness);
        if day.len() > WITNESSES_A_DAY {
            day.sort_by_key(|witness| witness.most.saturating_sub(witness.least));
            day.truncate(WITNESSES_A_DAY);
        }
    }

    /// Between which times of our clock a row of this date was ordered; `None` where no order of ours can tell.
    pub(super) fn on_our_clock(&self, told_at: i64) -> Option<(i64, i64)> {
        let near = self.nearest(told_at);
        let (least, most) = agreed(&near)?;
        let distance = near.iter().map(|witness| witness.told_at.abs_diff(told_at)).min()?;
        // Between them and the row the zone's clocks may have been changed.
        let unsure = if distance <= DAY.unsigned_abs() { 0 } else { HOUR };
        let earliest = told_at.saturating_sub(most).saturating_sub(unsure);
        let latest = told_at.saturating_add(SECOND).saturating_sub(least).saturating_add(unsure);
        Some((earliest, latest))
    }

    fn nearest(&self, told_at: i64) -> Vec<Witness> {
        let day = told_at.div_euclid(DAY);
        let before = self.days.range(..=day).rev().flat_map(|(_, day)| day).take(2 * WITNESSES_A_DAY);
        let after =
            self.days.range(day.saturating_add(1)..).flat_map(|(_, day)| day).take(2 * WITNESSES_A_DAY);
        let mut near: Vec<Witness> = before.chain(after).copied().collect();
        near.sort_by_key(|witness| witness.told_at.abs_diff(told_at));
        near.truncate(ASKED);
        near
    }
}

/// The span that most of them share; `None` where no half of them agrees.
fn agreed(witnesses: &[Witness]) -> Option<(i64, i64)> {
    // The best span begins where one of theirs does.
    let (shared, _) = witnesses
        .iter()
        .map(|from| {
            let sharing: Vec<&Witness> = witnesses
                .iter()
                .filter(|other| other.least <= from.least && from.least <= other.most)
                .collect();
            let count = sharing.len();
            (sharing, count)
        })
        .max_by_key(|(_, count)| *count)?;
    if shared.len().saturating_mul(2) < witnesses.len() {
        return None;
    }
    let least = shared.iter().map(|witness| witness.least).max()?;
    let most = shared.iter().map(|witness| witness.most).min()?;
    Some((least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noon of some day, by our clock; the provider's is three hours ahead.
    const NOON: i64 = 20_000 * DAY + 12 * HOUR;
    const ZONE: i64 = 3 * HOUR;

    /// An order that the provider took `after` milliseconds into a call of four seconds.
    fn add(dates: &mut Dates, begun: i64, after: i64) {
        let told_at = (begun + after + ZONE).div_euclid(SECOND) * SECOND;
        dates.add(told_at, begun, begun + 4 * SECOND);
    }

    #[test]
    fn dates_in_an_unknown_zone_are_placed_by_our_own_orders() {
        let mut dates = Dates::default();
        for n in 0..100 {
            add(&mut dates, NOON + n * 7300, n * 37);
        }
        let at = NOON + 300 * SECOND;
        let (earliest, latest) = dates.on_our_clock(at + ZONE).unwrap();
        assert!(earliest <= at && at <= latest, "{earliest} {at} {latest}");
        assert!(latest - earliest <= 6 * SECOND, "{}", latest - earliest);
    }

    #[test]
    fn without_an_order_of_ours_nothing_is_placed() {
        assert_eq!(Dates::default().on_our_clock(NOON), None);
    }

    #[test]
    fn a_row_that_was_taken_for_ours_and_was_not_does_not_move_the_others() {
        let mut dates = Dates::default();
        for n in 0..5 {
            add(&mut dates, NOON + n * 5000, 1000);
        }
        // By hand two hours before, and one that no time zone explains.
        dates.add(NOON + ZONE - 2 * HOUR, NOON, NOON + 4000);
        dates.add(NOON - 9 * DAY, NOON, NOON + 4000);
        let (earliest, latest) = dates.on_our_clock(NOON + ZONE).unwrap();
        assert!(earliest <= NOON && NOON <= latest && latest - earliest < 10 * SECOND);
    }

    #[test]
    fn where_our_orders_contradict_each_other_nothing_is_placed() {
        let mut dates = Dates::default();
        for n in 0..6 {
            dates.add(NOON + n * HOUR, NOON, NOON + 1000);
        }
        assert_eq!(dates.on_our_clock(NOON), None);
    }

    #[test]
    fn far_from_our_orders_an_hour_may_have_been_moved() {
        let mut dates = Dates::default();
        add(&mut dates, NOON, 1000);
        let (near_from, near_to) = dates.on_our_clock(NOON + ZONE + HOUR).unwrap();
        let (far_from, far_to) = dates.on_our_clock(NOON + ZONE + 90 * DAY).unwrap();
        assert_eq!((far_to - far_from) - (near_to - near_from), 2 * HOUR);
    }

    #[test]
    fn years_of_orders_take_bounded_memory() {
        let mut dates = Dates::default();
        for n in 0..10_000 {
            add(&mut dates, NOON + n, 1000);
        }
        assert_eq!(dates.days.values().map(Vec::len).max(), Some(WITNESSES_A_DAY));
    }
}
