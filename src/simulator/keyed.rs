//! Randomness that hangs on *what* is asked, not on *when*: concurrent calls come in any order, and a run with
//! the same seed must still reject the same orders and drop the same requests.

use fastrand::Rng;

/// A generator for this seed and these keys; the same ones give the same numbers.
pub(super) fn rng(seed: u64, keys: &[u64]) -> Rng {
    let state = keys.iter().fold(scramble(seed), |state, key| scramble(state ^ scramble(*key)));
    Rng::with_seed(state)
}

/// A text as a key (FNV-1a). The standard hasher's numbers may change between releases.
pub(super) fn text(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finaliser of `SplitMix64`: near keys give unrelated numbers.
fn scramble(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_keys_give_the_same_numbers_and_near_ones_others() {
        assert_eq!(rng(1, &[2, 3]).u64(..), rng(1, &[2, 3]).u64(..));
        assert_ne!(rng(1, &[2, 3]).u64(..), rng(1, &[2, 4]).u64(..));
        assert_ne!(rng(1, &[2, 3]).u64(..), rng(1, &[3, 2]).u64(..));
        assert_ne!(rng(2, &[2, 3]).u64(..), rng(1, &[2, 3]).u64(..));
    }
}
