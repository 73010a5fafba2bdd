//! What was taken and given back unseen. Pure.
//!
//! An order in doubt that was taken can have ended rejected, and its price have come back: the balance shows nothing of it
//! then, and no id of it is known to ask after. How many of those in doubt this can be true of is told by the orders whose
//! end is known: the lost ones are as good as drawn from among them.

/// What is less likely than one in so many isn't counted on.
const ONE_IN: u64 = 10;
/// No file has so many orders in doubt.
const ENOUGH: u64 = 100_000;

/// How the orders of the same time ended whose end is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// All of them.
    pub all: u64,
    /// Those that were rejected, and so given back or to be.
    pub rejected: u64,
}

impl Ended {
    /// The most that were taken where the balance shows `seen` of them: as many more as were given back of the others, and
    /// as many as can all have been given back, none of them seen, with a chance of one in ten. `None`: any number, as all
    /// others were rejected.
    #[must_use]
    pub fn most_taken(self, seen: u64) -> Option<u64> {
        if self.rejected == 0 {
            return Some(seen);
        }
        let kept = self.all.checked_sub(self.rejected).filter(|kept| *kept > 0)?;
        let as_the_others = seen.saturating_mul(self.all) / kept;
        Some(as_the_others.saturating_add(self.all_unseen()))
    }

    /// Whether one that was taken can have been given back unseen.
    #[must_use]
    pub fn can_hide_one(self) -> bool {
        self.most_taken(0) != Some(0)
    }

    /// How many in a row can all have been rejected, with a chance of one in ten. One more rejected than known: few ends
    /// tell little.
    fn all_unseen(self) -> u64 {
        let (rejected, all) = (self.rejected.saturating_add(1), self.all.saturating_add(1));
        let mut chance: u64 = 1_000_000_000;
        let least = chance / ONE_IN;
        let mut orders: u64 = 0;
        loop {
            chance = chance.saturating_mul(rejected) / all;
            if chance < least || orders == ENOUGH {
                return orders;
            }
            orders = orders.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn most(all: u64, rejected: u64, seen: u64) -> Option<u64> {
        Ended { all, rejected }.most_taken(seen)
    }

    #[test]
    fn where_none_was_rejected_what_was_taken_is_seen() {
        assert_eq!([most(0, 0, 3), most(60, 0, 0), most(60, 0, 4)], [Some(3), Some(0), Some(4)]);
    }

    #[test]
    fn the_more_were_rejected_the_more_can_have_been_given_back_unseen() {
        assert_eq!(most(6000, 61, 0), Some(0), "a usual day: one in a hundred");
        assert_eq!(most(60, 5, 0), Some(0), "one in ten, at most, is a little too few");
        assert_eq!(most(60, 6, 0), Some(1));
        assert_eq!(most(60, 30, 0), Some(3), "a half, a half of it, and a half of that");
        assert_eq!(most(60, 54, 0), Some(22));
        assert_eq!(most(60, 30, 4), Some(11), "four more, as they were likely given back too");
        assert_eq!(most(3, 1, 0), Some(3), "of three it can't be told better");
    }

    #[test]
    fn where_all_were_rejected_any_number_can_have_been_taken() {
        assert_eq!([most(1, 1, 0), most(60, 60, 5), most(2, 3, 0)], [None; 3]);
        assert!(Ended { all: 60, rejected: 60 }.can_hide_one());
        assert!(
            !Ended { all: 60, rejected: 1 }.can_hide_one() && Ended { all: 9, rejected: 1 }.can_hide_one()
        );
    }

    #[test]
    fn it_ends_whatever_the_numbers() {
        assert!(most(1_000_000, 999_999, 0).is_some());
        assert_eq!(most(u64::MAX, u64::MAX - 1, u64::MAX).map(|most| most > 0), Some(true));
    }
}
