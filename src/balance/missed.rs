//! Whether it is only chance that probes in a row met no order that was taken. Pure.

/// Parts of a whole chance.
const WHOLE: u64 = 1_000_000_000;
/// What is less likely than one in so many isn't put down to chance.
const ONE_IN: u64 = 10;

/// Whether `probes` in a row that met none of the `taken` among `doubts` is likely enough to be put down to chance: at
/// least one in ten.
#[must_use]
pub fn is_likely(doubts: u64, probes: u64, taken: u64) -> bool {
    chance(doubts, probes, taken) >= WHOLE / ONE_IN
}

/// C(doubts − probes, taken) / C(doubts, taken), in billionths, rounded up.
fn chance(doubts: u64, probes: u64, taken: u64) -> u64 {
    // Which of the two is counted off one by one makes no difference.
    let (few, many) = (probes.min(taken), probes.max(taken));
    (0..few).fold(WHOLE, |chance, n| {
        let (left, missed) = (doubts.saturating_sub(n), doubts.saturating_sub(n).saturating_sub(many));
        if left == 0 { 0 } else { chance.saturating_mul(missed).div_ceil(left) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In thousandths.
    fn thousandths(doubts: u64, probes: u64, taken: u64) -> u64 {
        chance(doubts, probes, taken) / 1_000_000
    }

    #[test]
    fn the_chance_is_that_of_drawing_from_an_urn() {
        assert_eq!(thousandths(10, 1, 4), 600);
        assert_eq!(thousandths(10, 2, 4), 333, "6 · 5 of 10 · 9");
        assert_eq!(thousandths(10, 3, 4), 166, "6 · 5 · 4 of 10 · 9 · 8");
        assert_eq!(thousandths(10, 4, 3), thousandths(10, 3, 4));
        assert_eq!(thousandths(60, 30, 2), 245);
        assert_eq!([thousandths(10, 0, 4), thousandths(10, 7, 0)], [1000, 1000]);
        assert_eq!([thousandths(10, 7, 4), thousandths(10, 11, 1), thousandths(0, 1, 1)], [0, 0, 0]);
    }

    #[test]
    fn one_in_ten_is_likely_and_less_is_not() {
        assert!(is_likely(10, 9, 1) && !is_likely(10, 10, 1));
        assert!(is_likely(10, 3, 4) && !is_likely(10, 4, 4));
        assert!(is_likely(2, 1, 1), "of two doubts one was taken: one more goes");
        assert!(!is_likely(60, 1, 59) && is_likely(60, 1, 54));
    }

    #[test]
    fn of_a_million_it_is_told_as_of_ten() {
        assert_eq!(thousandths(1_000_000, 2, 400_000), 359);
        assert!(is_likely(1_000_000, 4, 400_000) && !is_likely(1_000_000, 5, 400_000));
    }
}
