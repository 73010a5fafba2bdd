//! Whether calls take longer because there are more of them at once.
//!
//! The provider's own time wanders, by a factor of ten and more, so that no single call tells anything. Medians of
//! whole round trips do: one is held against that of the times when no more were on their way than were tested.

use std::time::Duration;

/// As many calls at once as were tested with the real provider, which bore them.
pub(super) const TESTED: usize = 30;
/// A window holds a round trip's calls, and no more than this.
const WINDOW_MOST: usize = 256;
/// So many windows make a base that can be relied on: one alone can be a third off where latency wanders.
const BASE_WINDOWS: u32 = 3;
/// Less than this may be our own machine's doing.
const SLACK: Duration = Duration::from_millis(10);

/// The latency at few calls at once, and what it has become with more.
#[derive(Clone, Debug, Default)]
pub(super) struct Latency {
    /// The smoothed median at no more than [`TESTED`] at once.
    base: Duration,
    /// Windows that the base was made of; no further than [`BASE_WINDOWS`].
    base_windows: u32,
    window: Vec<Duration>,
    /// The most at once in this window.
    most: usize,
    /// Calls still to end that tell of an earlier load.
    skip: usize,
    /// The last window had risen.
    risen: bool,
}

impl Latency {
    /// Whether it is known how long calls take at few at once.
    pub(super) const fn is_known(&self) -> bool {
        self.base_windows >= BASE_WINDOWS
    }

    /// Whether it looks as if it had risen: then nothing more is added until that is clear.
    pub(super) const fn has_risen(&self) -> bool {
        self.risen
    }

    /// The load is another from now on: the next `calls` that end tell of the earlier one.
    pub(super) fn begin_anew(&mut self, calls: usize) {
        self.window.clear();
        self.most = 0;
        self.skip = calls;
        self.risen = false;
    }

    /// Takes in a call that passed, among `at_once` when it began. `round`: how many make a round trip. Returns whether
    /// latency has risen with the load for sure: in two windows on end.
    pub(super) fn add(&mut self, took: Duration, at_once: usize, round: usize) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.window.push(took);
        self.most = self.most.max(at_once);
        if self.window.len() < round.clamp(TESTED, WINDOW_MOST) {
            return false;
        }
        let mut window = std::mem::take(&mut self.window);
        window.sort_unstable();
        let median = window.get(window.len() / 2).copied().unwrap_or_default();
        let most = std::mem::take(&mut self.most);
        let risen = self.judge(median, most);
        std::mem::replace(&mut self.risen, risen) && risen
    }

    /// Whether this window has risen above the base; the base follows what is measured at few at once.
    fn judge(&mut self, median: Duration, most: usize) -> bool {
        if most <= TESTED {
            let old = if self.base_windows == 0 { median } else { self.base };
            self.base = (old * 3 + median) / 4;
            self.base_windows = self.base_windows.saturating_add(1).min(BASE_WINDOWS);
            return false;
        }
        // A provider that has become faster since: clearly so, for the least of many medians is always low.
        if median < self.base / 8 * 7 {
            self.base = (self.base * 7 + median) / 8;
        }
        self.is_known() && median > self.base / 2 * 3 + SLACK
    }
}
