//! A balance that later ones are held against.

use serde::{Deserialize, Serialize};

use super::{Books, Change};
use crate::types::{Money, Timestamp};

/// A balance at rest with nothing in flight or in doubt, and the books as they stood then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// When, in unix milliseconds.
    pub at_ms: i64,
    /// What the provider told.
    pub balance: Money,
    /// The books. What stood presumed in them moves here too as it moves since: it was charged before, if ever.
    pub books: Books,
    /// The ledger's last line then. Baselines of before have 0: their books stay as they are.
    #[serde(default)]
    pub line: i64,
    /// Of the refunds that became due since the first balance, so much wasn't in it, if none was in that first one.
    #[serde(default)]
    pub refunds_missing: Money,
    /// So much more came by then than was known to be due, and no more than what had not ended had cost: an order can be
    /// given back before anyone knows that it is rejected.
    #[serde(default)]
    pub refunds_early: Money,
    /// The first balance. Baselines of before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<First>,
}

/// The first balance that was read of an account, or since there was none to hold it against, and what came of the refunds
/// that can't have been in it: of orders that were charged since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct First {
    /// When, in unix milliseconds.
    pub at_ms: i64,
    /// The ledger's last line then; 0: there was none.
    pub line: i64,
    /// Of those refunds at least so much wasn't in the baseline.
    pub missing: Money,
    /// So much more came by then, and no more than what had not ended had cost.
    pub early: Money,
    /// So much became due since the baseline for orders that were charged before the first balance.
    pub unclear: Money,
}

/// What is booked otherwise, in micro-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Of what is charged.
    pub charged: i64,
    /// Of what is presumed.
    pub presumed: i64,
    /// Of that, for an order of which no charge is known.
    pub presumed_alone: i64,
}

impl Baseline {
    /// One that there is none before to hold against: what was given back until then is in it, booked or not.
    #[must_use]
    pub const fn first(at: Timestamp, balance: Money, books: Books, line: i64) -> Self {
        const NOTHING: Money = Money::ZERO;
        let first = First { at_ms: at.millis(), line, missing: NOTHING, early: NOTHING, unclear: NOTHING };
        Self {
            at_ms: at.millis(),
            balance,
            books,
            line,
            refunds_missing: NOTHING,
            refunds_early: NOTHING,
            first: Some(first),
        }
    }

    /// The next: the books as they stood then, and the ledger's last line. `unfinished`: the most that the orders have cost
    /// that haven't ended as far as is known. What came beyond that was paid in.
    #[must_use]
    pub fn followed_by(
        &self,
        at: Timestamp,
        balance: Money,
        (books, line): (Books, i64),
        unfinished: Money,
    ) -> Self {
        let change = Change::since(self, &books, balance);
        let of = |missing, early, due| {
            let (missing, early) = change.refunds(missing, early, due);
            (missing, early.min(unfinished))
        };
        let (refunds_missing, refunds_early) =
            of(self.refunds_missing, self.refunds_early, change.refund_due);
        let first = self.first.map(|first| {
            let due = change.refund_due.saturating_sub(first.unclear.micros());
            let (missing, early) = of(first.missing, first.early, due);
            First { missing, early, unclear: Money::ZERO, ..first }
        });
        Self { at_ms: at.millis(), balance, books, line, refunds_missing, refunds_early, first }
    }

    /// When it was read.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at_ms)
    }

    /// Whether these books tell of the same orders as those of then, and of what came since.
    #[must_use]
    pub fn is_comparable(&self, books: &Books) -> bool {
        self.books.of_no_row == books.of_no_row
    }

    /// Of all refunds that were due by then at least so much wasn't in it. What came beside them, a top-up for one, makes it
    /// less; so does what is presumed and wasn't charged, and what can have been in the first balance. A charge that the books
    /// don't have makes it more.
    #[must_use]
    pub fn refunds_surely_missing(&self) -> Money {
        self.first.map_or(self.refunds_missing, |first| first.missing)
    }

    /// The price of an attempt that stood presumed in its books is booked otherwise now: in these too. Nothing was charged for
    /// it since, whatever it comes to.
    #[must_use]
    pub fn with_moved(self, by: Moved) -> Self {
        let add = |sum: Money, more: i64| Money::from_micros(sum.micros().saturating_add(more));
        let books = Books {
            charged: add(self.books.charged, by.charged),
            presumed: add(self.books.presumed, by.presumed),
            presumed_alone: add(self.books.presumed_alone, by.presumed_alone),
            ..self.books
        };
        Self { books, ..self }
    }

    /// The refund of an order that was charged before the first balance becomes due. It can have been in that one.
    #[must_use]
    pub fn with_unclear(self, refund: Money) -> Self {
        let first = self.first.map(|first| {
            let unclear = first.unclear.micros().saturating_add(refund.micros());
            First { unclear: Money::from_micros(unclear), ..first }
        });
        Self { first, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::beyond_known;

    const AT: Timestamp = Timestamp::from_millis(1_000);

    fn prices(n: i64) -> Money {
        Money::from_micros(n * 80_000)
    }

    /// So much is charged, and so much due for rejected orders.
    fn books(charged: i64, due: i64) -> Books {
        Books { charged: prices(charged), refund_due: prices(due), ..Books::default() }
    }

    /// A first balance: twenty orders are open as far as is known.
    fn first() -> Baseline {
        Baseline::first(AT, prices(1000), books(20, 0), 60)
    }

    /// The next one, with so many orders open.
    fn next(known: Baseline, balance: i64, books: Books, open: i64) -> Baseline {
        known.followed_by(AT, prices(balance), (books, 60), prices(open))
    }

    /// What is told as missing, and what can be.
    fn missing(of: Baseline) -> [i64; 2] {
        [of.refunds_surely_missing(), of.refunds_missing].map(|money| money.micros() / 80_000)
    }

    #[test]
    fn what_can_have_been_in_the_first_balance_is_not_told_as_missing() {
        // Eleven had been given back by then, and three more were ordered since.
        let known = next(first().with_unclear(prices(11)), 1000 - 3, books(23, 11), 9);
        assert_eq!(missing(known), [0, 11]);
        assert_eq!(missing(next(known, 1000 - 3, books(23, 11), 0)), [0, 11]);
        let all_were_new = next(first(), 1000 - 3, books(23, 11), 9);
        assert_eq!(missing(all_were_new), [11, 11]);
    }

    #[test]
    fn what_is_missing_of_later_orders_is_told_all_the_same() {
        let known = first().with_unclear(prices(11));
        assert_eq!(
            missing(next(known, 1000 - 3, books(23, 13), 0)),
            [2, 13],
            "two of three later ones are due"
        );
        let later = next(next(known, 1000 - 3, books(23, 11), 3), 1000 - 3, books(23, 13), 0);
        assert_eq!(missing(later), [2, 13], "they become due by the next look");
        assert_eq!(missing(next(later, 1000 - 1, books(23, 13), 0)), [0, 11], "they come");
    }

    #[test]
    fn what_came_early_for_later_orders_is_not_taken_for_what_is_unclear() {
        let unclear = next(first().with_unclear(prices(11)), 1000 - 3, books(23, 11), 3);
        let early = next(unclear, 1000 - 1, books(23, 11), 3);
        assert_eq!(missing(early), [0, 9], "two came, and it isn't known for which");
        assert_eq!(missing(next(early, 1000 - 1, books(23, 13), 0)), [0, 11]);
        assert_eq!(missing(next(early, 1000 - 1, books(23, 14), 0)), [1, 12], "the third didn't come");
    }

    #[test]
    fn what_was_paid_in_hides_nothing_that_is_due_later() {
        let paid_in = next(first().with_unclear(prices(11)), 1000 + 500, books(20, 11), 0);
        assert_eq!(missing(paid_in), [0, 0]);
        assert_eq!(missing(next(paid_in, 1000 + 500 - 3, books(23, 13), 0)), [2, 2]);
    }

    #[test]
    fn what_is_unclear_can_hide_no_charge() {
        let unclear = next(first().with_unclear(prices(11)), 1000, books(20, 11), 0);
        let doubts = Books { reserved: prices(3), ..books(20, 11) };
        let beyond = beyond_known(&unclear, &doubts, prices(1000 - 1));
        let told = (beyond.most, beyond.refunds);
        assert_eq!(told, (Some(prices(12)), prices(11)), "each of them can have come by now");
    }

    #[test]
    fn a_refund_that_came_before_it_was_known_to_be_due_is_not_missing_then() {
        // Three were ordered, and two are given back; that is known of one.
        let early = next(first(), 1000 - 1, books(23, 1), 2);
        assert_eq!((missing(early), early.refunds_early), ([0, 0], prices(1)));
        assert_eq!(missing(next(early, 1000 - 1, books(23, 2), 1)), [0, 0]);
        assert_eq!(missing(next(early, 1000 - 1, books(23, 3), 0)), [1, 1], "the third didn't come");
        let paid_in = next(first(), 1000 - 1, books(23, 1), 0);
        assert_eq!(missing(next(paid_in, 1000 - 1, books(23, 2), 0)), [1, 1], "nothing was open");
    }

    #[test]
    fn a_baseline_of_before_can_be_read() {
        let known = Baseline { first: None, refunds_missing: prices(2), ..first() };
        assert_eq!(known.refunds_surely_missing(), prices(2));
        let none = Baseline { refunds_missing: Money::ZERO, ..known };
        let text = serde_json::to_string(&none).unwrap();
        let text = text.replace(",\"line\":60,\"refunds_missing\":\"0.00\",\"refunds_early\":\"0.00\"", "");
        let text = text.replace("presumed_alone", "presumed_without_id");
        for newer in ["refunds_missing", "first", "line"] {
            assert!(!text.contains(newer), "{text}");
        }
        assert_eq!(serde_json::from_str::<Baseline>(&text).unwrap(), Baseline { line: 0, ..none });
    }
}
