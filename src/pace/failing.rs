//! Whether failures are many: this provider fails now and then whatever the load, and a limit that went down for each of
//! them would never come back up.

/// So many calls are looked back at.
const CALLS: u32 = u64::BITS;
/// At least one in so many of them failed: that is more than now and then.
const ONE_IN: u32 = 10;

/// The last calls that ended, a bit each: 1 for one that failed. Those that are not there yet count as passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failing(u64);

impl Failing {
    /// One more that ended; whether too many of the last ones failed.
    pub(super) const fn add(&mut self, failed: bool) -> bool {
        self.0 = self.0 << 1 | if failed { 1 } else { 0 };
        self.0.count_ones() * ONE_IN >= CALLS
    }

    /// What has been acted on counts no more.
    pub(super) const fn forget(&mut self) {
        self.0 = 0;
    }
}
