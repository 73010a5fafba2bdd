//! What the provider's balance tells. It accuses, it never acquits. Pure.
//!
//! A balance read at rest is held against the last one that was read at rest with nothing open: what it fell by must be
//! explained by the books. A refund, a top-up or lag makes it fall by less, so a fall that is too small shows nothing;
//! a fall that is too large shows a charge that the books don't have, or one that was only presumed.

use serde::{Deserialize, Serialize};

use crate::types::{Money, Timestamp};

/// Sums of the books, since the journal began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// Charged: an id is known, or an export says so.
    pub charged: Money,
    /// Presumed charged, all of it.
    pub presumed: Money,
    /// Of that, what stands for orders whose id isn't known.
    pub presumed_without_id: Money,
    /// In flight or in doubt.
    pub reserved: Money,
    /// Refunds that rejected orders let expect.
    pub refund_due: Money,
}

/// A balance at rest with nothing in flight or in doubt, and the books as they stood then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// When, in unix milliseconds.
    pub at_ms: i64,
    /// What the provider told.
    pub balance: Money,
    /// The books.
    pub books: Books,
}

impl Baseline {
    /// When it was read.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at_ms)
    }
}

/// What a balance says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that could be relied on.
    Silent,
    /// It fell by this much more than the books explain.
    Unexplained(Money),
    /// It fell as if attempts beside a known id had been charged too, by this much: duplicates are charged.
    Twice(Money),
    /// It fell by exactly the known and all doubtful ones.
    AllTaken,
    /// It fell by exactly the known ones, which attempts beside a known id are not: neither they nor any doubtful one cost
    /// anything, unless a refund or a top-up of just that hides it.
    Once,
    /// It fell by less than the orders without an id would have cost.
    Contradicts,
}

/// Holds a balance at rest, and the books as they stand, against the baseline.
#[must_use]
pub fn judge(baseline: &Baseline, books: &Books, balance: Money) -> Verdict {
    let delta = |of: fn(&Books) -> Money| of(books).micros().saturating_sub(of(&baseline.books).micros());
    let fell = baseline.balance.micros().saturating_sub(balance.micros());
    let charged = delta(|books| books.charged);
    let without_id = delta(|books| books.presumed_without_id);
    let beside_an_id = delta(|books| books.presumed).saturating_sub(without_id);
    let reserved = delta(|books| books.reserved);
    let explained = charged.saturating_add(without_id).saturating_add(reserved);
    let over = fell.saturating_sub(explained);
    if over > 0 {
        let rest = over.saturating_sub(beside_an_id.max(0));
        return if rest > 0 {
            Verdict::Unexplained(Money::from_micros(rest))
        } else {
            Verdict::Twice(Money::from_micros(over))
        };
    }
    // From here on a refund would be mistaken for an order that wasn't taken, or hide one that was.
    if delta(|books| books.refund_due) != 0 {
        return Verdict::Silent;
    }
    // Beside a known id another attempt can have been taken in a doubtful one's stead.
    if over == 0 && reserved > 0 && beside_an_id <= 0 {
        return Verdict::AllTaken;
    }
    if beside_an_id > 0 && without_id == 0 && fell == charged {
        return Verdict::Once;
    }
    if reserved == 0 && without_id > 0 && fell >= charged && fell < explained {
        return Verdict::Contradicts;
    }
    Verdict::Silent
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: i64 = 80_000;

    fn prices(n: i64) -> Money {
        Money::from_micros(n * PRICE)
    }

    fn baseline() -> Baseline {
        Baseline { at_ms: 0, balance: prices(1000), books: Books { charged: prices(50), ..Books::default() } }
    }

    /// The verdict on a fall of so many prices.
    fn after(fell: i64, books: Books) -> Verdict {
        let books = Books { charged: prices(50).checked_add(books.charged).unwrap(), ..books };
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
        assert_eq!(after(1, probed), Verdict::Once);
        assert_eq!(after(2, probed), Verdict::Twice(prices(1)));
        assert_eq!(after(3, probed), Verdict::Unexplained(prices(1)));
    }

    #[test]
    fn an_order_without_an_id_that_cost_nothing_is_contradicted() {
        let presumed = Books {
            charged: prices(3),
            presumed: prices(1),
            presumed_without_id: prices(1),
            ..Books::default()
        };
        assert_eq!(after(3, presumed), Verdict::Contradicts);
        assert_eq!(after(4, presumed), Verdict::Silent);
        assert_eq!(after(-90, presumed), Verdict::Silent, "a top-up says nothing");
    }
}
