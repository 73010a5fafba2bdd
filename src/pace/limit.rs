//! How many calls at once the provider bears: up step by step while they pass, down at the first sign of trouble.
//!
//! | what is seen | what it does |
//! |---|---|
//! | a call passes, below the last limit that was good and no more at once than were tested | one more: doubles a round trip |
//! | likewise, above those | one more for eight calls: an eighth more a round trip |
//! | likewise, once there was a sign of trouble | one more for a round trip |
//! | 429 | a tenth less, or as many less as are refused, but no less than half |
//! | 5xx, no answer, above what was tested | a tenth less |
//! | likewise, no more at once than were tested, for a tenth of the last calls | a tenth less |
//! | likewise, now and then | nothing: it is no sign of load |
//! | latency has risen with the load, above what was tested | a tenth less, never below what was tested |
//! | a start, a pause | begins at a few |
//! | an outage | begins at one |
//!
//! It goes down at most once a round trip: a call that was sent before the last step down tells nothing new, but that it is one
//! more that was refused. It goes up only while it is used, or an idle night would end in a burst.

use std::collections::BTreeMap;
use std::time::Duration;

use super::failing::Failing;
use super::latency::{Latency, TESTED};

/// How many go at once at first.
const START: usize = 4;
/// Above what was tested one more is let go for so many that passed.
const CAREFUL: usize = 8;

/// A call on its way, by the order in which they were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallNo(u64);

/// Calls of one round trip that were refused.
#[derive(Clone, Copy, Debug)]
struct Refused {
    /// How many were on their way.
    from: usize,
    calls: usize,
}

impl Refused {
    /// How many the provider seems to bear.
    fn leaves(self) -> usize {
        self.from.saturating_sub(self.calls).max(self.from / 2).max(1)
    }
}

/// The limit, and what it was learnt from.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    limit: usize,
    /// The most that a person allows.
    ceiling: usize,
    /// Up to here it grows fast.
    fast_below: usize,
    /// The last limit at which calls passed, before things went wrong.
    good: usize,
    /// Calls that passed since it last grew.
    passed: usize,
    /// Nothing has passed since it last went down.
    is_fresh_down: bool,
    /// Calls that were sent before this one tell nothing new.
    news_from: CallNo,
    next: CallNo,
    /// Calls on their way, and among how many each began.
    on_their_way: BTreeMap<CallNo, usize>,
    /// The first call of this round trip.
    round: CallNo,
    /// The most at once in the last round trip, and in this one.
    peaks: (usize, usize),
    /// Those that the limit went down for, until anything else is learnt.
    refused: Option<Refused>,
    latency: Latency,
    failing: Failing,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            limit: START,
            ceiling: usize::MAX,
            fast_below: usize::MAX,
            good: usize::MAX,
            passed: 0,
            is_fresh_down: false,
            news_from: CallNo(0),
            next: CallNo(0),
            on_their_way: BTreeMap::new(),
            round: CallNo(0),
            peaks: (0, 0),
            refused: None,
            latency: Latency::default(),
            failing: Failing::default(),
        }
    }
}

impl Limit {
    /// How many may be on their way at once.
    pub(super) fn now(&self) -> usize {
        self.limit.min(self.ceiling)
    }

    /// The most that a person allows.
    pub(super) const fn set_ceiling(&mut self, ceiling: usize) {
        self.ceiling = ceiling;
    }

    /// It learns nothing and stays at the ceiling.
    pub(super) const fn pin(&mut self, ceiling: usize) {
        self.ceiling = ceiling;
        self.limit = ceiling;
        self.fast_below = usize::MAX;
        self.good = usize::MAX;
    }

    /// A call is sent.
    pub(super) fn begin(&mut self) -> CallNo {
        let call = self.next;
        self.next = CallNo(call.0.saturating_add(1));
        let at_once = self.on_their_way.len().saturating_add(1);
        self.on_their_way.insert(call, at_once);
        self.peaks.1 = self.peaks.1.max(at_once);
        call
    }

    /// A call is on its way no more: among how many it began.
    pub(super) fn end(&mut self, call: CallNo) -> usize {
        self.on_their_way.remove(&call).unwrap_or(1)
    }

    /// Whether any call is on its way.
    pub(super) fn is_busy(&self) -> bool {
        !self.on_their_way.is_empty()
    }

    /// The next call to be sent.
    pub(super) const fn next(&self) -> CallNo {
        self.next
    }

    /// Calls sent before this one that have no answer yet.
    pub(super) fn standing(&self, call: CallNo) -> usize {
        self.on_their_way.range(..call).count()
    }

    /// A call passed that began among `at_once`.
    pub(super) fn passed(&mut self, call: CallNo, at_once: usize, took: Duration) {
        self.failing.add(false);
        let has_risen = self.latency.add(took, at_once, self.now());
        if has_risen && self.limit > TESTED {
            let less = tenth_less(self.now()).max(TESTED);
            self.go_down(call, less);
        }
        if call >= self.round {
            self.round = self.next;
            self.peaks = (self.peaks.1, self.on_their_way.len().saturating_add(1));
        }
        if call >= self.news_from {
            self.is_fresh_down = false;
            self.refused = None;
            self.grow();
        }
    }

    fn grow(&mut self) {
        let limit = self.limit;
        let unsure = limit >= TESTED && (!self.latency.is_known() || self.latency.has_risen());
        if limit >= self.ceiling || unsure {
            self.passed = 0;
            return;
        }
        let needed = match limit {
            _ if limit >= self.fast_below => limit,
            _ if limit >= TESTED => CAREFUL,
            _ => 1,
        };
        // While it doubles, this round trip's limit is twice what the last one could use.
        let used = self.used();
        let is_used = if needed == 1 { used.saturating_mul(2) > limit } else { used >= limit / 4 * 3 };
        if !is_used {
            return;
        }
        self.passed = self.passed.saturating_add(1);
        if self.passed >= needed {
            self.passed = 0;
            self.limit = limit.saturating_add(1);
        }
    }

    /// The most at once of late.
    fn used(&self) -> usize {
        self.peaks.0.max(self.peaks.1)
    }

    /// The provider refused a call for there being too many: each that it refuses is one of them. How many were on their way
    /// before it, or are left, says less: connections are opened in any order, and after a stall of ours all others' answers
    /// may have been read before this one's.
    pub(super) fn throttled(&mut self, call: CallNo) {
        if call >= self.news_from {
            let from = self.now().min(self.used());
            self.go_down(call, tenth_less(from));
            self.refused = Some(Refused { from, calls: 1 });
        } else if let Some(refused) = &mut self.refused {
            refused.calls = refused.calls.saturating_add(1);
            self.limit = self.limit.min(refused.leaves());
            self.fast_below = self.fast_below.min(self.limit);
        }
    }

    /// A call got an error of the server's, or no answer.
    pub(super) fn overloaded(&mut self, call: CallNo) {
        let are_many = self.failing.add(true);
        if are_many || self.now() > TESTED {
            let less = tenth_less(self.now().min(self.used()));
            self.go_down(call, less);
        }
    }

    fn go_down(&mut self, call: CallNo, to: usize) {
        if call < self.news_from {
            return;
        }
        if !std::mem::replace(&mut self.is_fresh_down, true) {
            self.good = self.now();
        }
        self.limit = to.max(1);
        self.refused = None;
        self.fast_below = self.limit;
        self.passed = 0;
        self.news_from = self.next;
        self.latency.begin_anew(self.on_their_way.len());
        self.failing.forget();
    }

    /// It stood still: what was known may be old.
    pub(super) fn begin_again(&mut self) {
        self.fast_below = self.fast_below.max(self.limit);
        self.limit = self.limit.min(START);
        self.refused = None;
        self.passed = 0;
        self.news_from = self.next;
        self.latency.begin_anew(self.on_their_way.len());
    }

    /// An outage: one at a time, and from there up to what was good before.
    pub(super) fn outage(&mut self) {
        self.begin_again();
        self.fast_below = self.good;
        self.limit = 1;
    }
}

const fn tenth_less(limit: usize) -> usize {
    limit.saturating_sub(limit.div_ceil(10))
}
