//! What the provider's balance tells. It accuses, it never acquits. Pure.
//!
//! A balance read at rest is held against the last one that was read at rest with nothing open: what it fell by must be
//! explained by the books. A refund, a top-up or lag makes it fall by less, so a fall that is too small shows nothing;
//! a fall that is too large shows a charge that the books don't have, or one that was only presumed.
//!
//! Of refunds it can show that they are missing, never that they came: a top-up of the same amount would look the same.
//! Nor does it show what of them the first balance had in it already: where it is read while orders are open that were charged
//! before, as in an older copy, they can have been given back by then.
//!
//! - [`Baseline`]: what later balances are held against.
//! - [`missed`]: whether it is only chance that probes met no order that was taken.
//! - [`given_back`]: how many of those taken can have been given back unseen.

mod baseline;
pub mod given_back;
pub mod missed;

use serde::{Deserialize, Serialize};

use crate::types::Money;

pub use baseline::{Baseline, Moved};

/// Sums of the books of an account, since the journal began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// Charged: an id is known, or an export says so.
    pub charged: Money,
    /// Presumed charged, all of it.
    pub presumed: Money,
    /// Of that, what stands for orders of which no charge is known, whatever state they are in: the rest is presumed beside
    /// a charge.
    #[serde(alias = "presumed_without_id")]
    pub presumed_alone: Money,
    /// In flight or in doubt.
    pub reserved: Money,
    /// Refunds that rejected orders let expect.
    pub refund_due: Money,
    /// All that stands for orders of no row, where there are several accounts: of which of them they are isn't told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_no_row: Option<Money>,
}

/// What a balance says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that could be relied on.
    Silent,
    /// It fell by this much more than the books explain.
    Unexplained(Money),
    /// It fell as if attempts beside a known charge had been charged too, by this much: duplicates are charged.
    Twice(Money),
    /// It fell by exactly the known and all doubtful ones.
    AllTaken,
    /// It fell by less than the orders without an id would have cost.
    Contradicts,
}

/// Holds a balance at rest, and the books as they stand, against the baseline.
///
/// What was presumed when the baseline was read was charged before that, if ever, so it explains nothing of a fall since, whether
/// an id of it becomes known, a person denies it or an export clears it: what stands presumed in the baseline's books is
/// booked there too as it moves ([`Baseline::with_moved`]).
#[must_use]
pub fn judge(baseline: &Baseline, books: &Books, balance: Money) -> Verdict {
    let Change { fell, charged, alone, beside, reserved, refund_due } =
        Change::since(baseline, books, balance);
    // A refund that was taken back, as its order was completed after all, is charged once more.
    let taken_back = refund_due.saturating_neg().max(0);
    let explained = charged.saturating_add(alone).saturating_add(reserved).saturating_add(taken_back);
    let over = fell.saturating_sub(explained);
    if over > 0 {
        let rest = over.saturating_sub(beside.max(0));
        return if rest > 0 {
            Verdict::Unexplained(Money::from_micros(rest))
        } else {
            Verdict::Twice(Money::from_micros(over))
        };
    }
    // From here on a refund would be mistaken for an order that wasn't taken, or hide one that was.
    if refund_due != 0 {
        return Verdict::Silent;
    }
    // Beside a known charge another attempt can have been taken in a doubtful one's stead.
    if over == 0 && reserved > 0 && beside <= 0 {
        return Verdict::AllTaken;
    }
    if reserved == 0 && alone > 0 && fell >= charged && fell < explained {
        return Verdict::Contradicts;
    }
    Verdict::Silent
}

/// What was charged beyond what is known to be, since a baseline: for what is in doubt, presumed, or that the books lack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// The most that can have been. Every refund that is due is counted as come, so that none can hide a charge. `None`: it
    /// fell by less than is known, as after a top-up, or when a charge isn't in it yet.
    pub most: Option<Money>,
    /// The refunds that are counted as come: so much less it is, if none of them came.
    pub refunds: Money,
    /// What was charged for orders that are known to be taken.
    pub charged: Money,
    /// Of that, for those that ended rejected.
    pub rejected: Money,
}

/// Holds a balance at rest, and the books as they stand, against the baseline.
#[must_use]
pub fn beyond_known(baseline: &Baseline, books: &Books, balance: Money) -> Beyond {
    let change = Change::since(baseline, books, balance);
    let rejected = change.refund_due.max(0);
    let refunds = baseline.refunds_missing.micros().saturating_add(rejected);
    let beyond = change.fell.saturating_sub(change.charged).saturating_add(refunds);
    Beyond {
        most: (beyond >= 0).then(|| Money::from_micros(beyond)),
        refunds: Money::from_micros(refunds),
        charged: Money::from_micros(change.charged.max(0)),
        rejected: Money::from_micros(rejected),
    }
}

/// What changed since a baseline, in micro-dollars.
struct Change {
    fell: i64,
    charged: i64,
    alone: i64,
    beside: i64,
    reserved: i64,
    refund_due: i64,
}

impl Change {
    fn since(baseline: &Baseline, books: &Books, balance: Money) -> Self {
        let delta = |of: fn(&Books) -> Money| of(books).micros().saturating_sub(of(&baseline.books).micros());
        let alone = delta(|books| books.presumed_alone);
        Self {
            fell: baseline.balance.micros().saturating_sub(balance.micros()),
            charged: delta(|books| books.charged),
            alone,
            beside: delta(|books| books.presumed).saturating_sub(alone),
            reserved: delta(|books| books.reserved),
            refund_due: delta(|books| books.refund_due),
        }
    }

    /// Of refunds of which so much was missing, and so much had come early, when `due` more became due: how much is missing
    /// at least, and how much more came than is known to be due.
    fn refunds(&self, missing: Money, early: Money, due: i64) -> (Money, Money) {
        let due = missing.micros().saturating_add(due).max(0);
        // All that can have been charged: a refund may have made up for it.
        let charged = self.charged.saturating_add(self.alone).saturating_add(self.beside.max(0));
        let came = charged.saturating_add(self.reserved.max(0)).saturating_sub(self.fell).max(0);
        let missing = due.saturating_sub(came).saturating_sub(early.micros());
        (Money::from_micros(missing.max(0)), Money::from_micros(missing.saturating_neg().max(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Timestamp;

    const PRICE: i64 = 80_000;

    fn prices(n: i64) -> Money {
        Money::from_micros(n * PRICE)
    }

    fn baseline() -> Baseline {
        let books = Books { charged: prices(50), refund_due: prices(3), ..Books::default() };
        Baseline::first(Timestamp::from_millis(0), prices(1000), books, 0)
    }

    /// The books with so much more in them than in the baseline's.
    fn since_then(books: Books) -> Books {
        let add = |a: Money, b: Money| a.checked_add(b).unwrap();
        Books {
            charged: add(prices(50), books.charged),
            refund_due: add(prices(3), books.refund_due),
            ..books
        }
    }

    /// The refunds that aren't in a balance which fell by so many prices.
    fn missing(baseline: &Baseline, fell: i64, books: Books) -> Money {
        let at = Timestamp::from_millis(1);
        let next = baseline.followed_by(at, prices(1000 - fell), (since_then(books), 0), Money::ZERO);
        next.refunds_surely_missing()
    }

    /// A baseline from which so many refunds were missing.
    fn with_missing(refunds: i64) -> Baseline {
        Baseline { refunds_missing: prices(refunds), first: None, ..baseline() }
    }

    /// The verdict on a fall of so many prices.
    fn after(fell: i64, books: Books) -> Verdict {
        let books = since_then(books);
        judge(&baseline(), &books, prices(1000 - fell))
    }

    #[test]
    fn a_fall_that_the_books_explain_says_nothing() {
        assert_eq!(after(7, Books { charged: prices(7), ..Books::default() }), Verdict::Silent);
        assert_eq!(after(0, Books::default()), Verdict::Silent);
    }

    #[test]
    fn a_top_up_a_refund_or_lag_never_acquits_a_doubt() {
        for fell in [-500, 0, 5, 6] {
            let doubts = Books { charged: prices(5), reserved: prices(2), ..Books::default() };
            assert_eq!(after(fell, doubts), Verdict::Silent, "fell by {fell}");
        }
        let refunded =
            Books { charged: prices(5), reserved: prices(2), refund_due: prices(1), ..Books::default() };
        assert_eq!(after(7, refunded), Verdict::Silent, "a refund could hide a doubt that wasn't taken");
    }

    #[test]
    fn a_fall_by_the_known_and_all_doubtful_ones_means_that_all_were_taken() {
        let doubts = Books { charged: prices(5), reserved: prices(2), ..Books::default() };
        assert_eq!(after(7, doubts), Verdict::AllTaken);
    }

    #[test]
    fn a_fall_that_nothing_explains_is_told_with_its_size() {
        let books = Books { charged: prices(5), reserved: prices(2), ..Books::default() };
        assert_eq!(after(10, books), Verdict::Unexplained(prices(3)));
    }

    #[test]
    fn what_was_presumed_beside_an_id_and_charged_after_all_was_paid_twice() {
        let probed = Books { charged: prices(1), presumed: prices(1), ..Books::default() };
        assert_eq!(after(1, probed), Verdict::Silent);
        assert_eq!(after(2, probed), Verdict::Twice(prices(1)));
        assert_eq!(after(3, probed), Verdict::Unexplained(prices(1)));
    }

    #[test]
    fn beside_a_known_id_a_fall_by_all_in_doubt_does_not_show_that_they_were_taken() {
        let probed =
            Books { charged: prices(1), presumed: prices(1), reserved: prices(2), ..Books::default() };
        assert_eq!(after(3, probed), Verdict::Silent);
    }

    #[test]
    fn no_refund_that_may_have_come_hides_a_charge() {
        let beyond = |fell: i64, missing: i64, books: Books| {
            let baseline = Baseline { refunds_missing: prices(missing), ..baseline() };
            let beyond = beyond_known(&baseline, &since_then(books), prices(1000 - fell));
            beyond.most.map(|most| most.micros() / PRICE)
        };
        let doubts = Books { charged: prices(5), reserved: prices(3), ..Books::default() };
        assert_eq!([beyond(5, 0, doubts), beyond(7, 0, doubts)], [Some(0), Some(2)]);
        assert_eq!([beyond(4, 0, doubts), beyond(-90, 0, doubts)], [None, None], "late, or topped up");
        let refunded = Books { refund_due: prices(2), ..doubts };
        assert_eq!(beyond(3, 0, refunded), Some(0), "both came, and nothing was taken");
        assert_eq!(beyond(5, 0, refunded), Some(2), "none came, or two hide two charges");
        assert_eq!(beyond(5, 1, doubts), Some(1), "one of before can have come");
        let taken_back = Books { refund_due: prices(-1), ..doubts };
        assert_eq!(beyond(5, 0, taken_back), Some(0), "a refund that was to come back hides nothing either");
    }

    #[test]
    fn what_is_known_to_be_charged_and_given_back_is_told_beside_it() {
        let baseline = Baseline { refunds_missing: prices(1), ..baseline() };
        let books = Books { charged: prices(5), refund_due: prices(2), ..Books::default() };
        let beyond = beyond_known(&baseline, &since_then(books), prices(1000 - 3));
        let told = [beyond.refunds, beyond.charged, beyond.rejected];
        assert_eq!(told, [prices(3), prices(5), prices(2)], "one of those due was missing before");
    }

    #[test]
    fn an_order_without_an_id_that_cost_nothing_is_contradicted() {
        let presumed =
            Books { charged: prices(3), presumed: prices(1), presumed_alone: prices(1), ..Books::default() };
        assert_eq!(after(3, presumed), Verdict::Contradicts);
        assert_eq!(after(4, presumed), Verdict::Silent);
        assert_eq!(after(-90, presumed), Verdict::Silent, "a top-up says nothing");
    }

    #[test]
    fn a_refund_that_is_taken_back_explains_its_price() {
        let turned = Books { charged: prices(2), refund_due: prices(-1), ..Books::default() };
        assert_eq!(after(3, turned), Verdict::Silent);
        assert_eq!(after(4, turned), Verdict::Unexplained(prices(1)));
    }

    #[test]
    fn a_balance_shows_what_refunds_are_missing_and_never_more_than_are_due() {
        // Five orders, two of them given back, and so many of the prices of those that were missing before.
        let left = |before: i64, fell: i64| {
            let books = Books { charged: prices(5), refund_due: prices(2), ..Books::default() };
            missing(&with_missing(before), fell, books).micros() / PRICE
        };
        assert_eq!([left(0, 5), left(0, 4), left(0, 3)], [2, 1, 0]);
        assert_eq!([left(1, 5), left(1, 3), left(1, 2)], [3, 1, 0], "those of before, a day later");
        assert_eq!(left(1, -500), 0, "a top-up: it can't be told any more");
        assert_eq!(left(0, 9), 2, "what else was charged is no refund");
    }

    #[test]
    fn what_may_have_been_charged_beside_a_known_id_may_have_hidden_a_refund() {
        let twice = |books| missing(&baseline(), 5, books).micros() / PRICE;
        let sent_twice =
            Books { charged: prices(5), presumed: prices(2), refund_due: prices(3), ..Books::default() };
        assert_eq!(twice(sent_twice), 1, "of three two can have come, and two seconds been charged");
        assert_eq!(twice(Books { presumed: Money::ZERO, reserved: prices(3), ..sent_twice }), 0, "or doubts");
        assert_eq!(twice(Books { presumed: Money::ZERO, ..sent_twice }), 3);
    }

    #[test]
    fn a_refund_that_is_due_no_more_is_not_missing() {
        let turned = Books { refund_due: prices(-1), ..Books::default() };
        for (before, fell, left) in [(1, 0, 0), (2, 0, 1), (0, 1, 0)] {
            let found = missing(&with_missing(before), fell, turned);
            assert_eq!(found, prices(left), "{before} before, fell by {fell}");
        }
    }
}
