//! The providers and daemons that stories are told of.

use imeid::types::ProviderStatus;

use super::world::{ANCHOR, B, Budget, Journal, SLOTS, Sold, Tracked, World};

/// What the provider does with an IMEI that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duplicates {
    Refuses,
    /// Refuses, but two requests that it works on within one quiet period both pass.
    Races,
    Charges,
}

/// How the provider lists its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lists {
    No,
    Fresh,
    /// As it was at any earlier time.
    Cached,
    /// An order may be missing from it for up to a quiet period.
    Patchy,
    /// Pending ones only.
    Filtered,
    /// The last so many.
    Cut(usize),
}

/// What the provider's balance tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Balance {
    None,
    Prompt,
    /// Some of the last charges aren't in it yet.
    Late,
    /// Others' payments and top-ups are in it.
    Shared,
}

/// What operators say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// What is true as they say it.
    True,
    /// "Not ordered", whatever is true.
    Wrong,
}

/// A provider, a configuration and the bounds of the stories told of them.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) duplicates: Duplicates,
    pub(crate) lists: Lists,
    pub(crate) balance: Balance,
    /// It executes requests later than a quiet period after we gave up.
    pub(crate) late: bool,
    /// The policy is `probe`.
    pub(crate) probe: bool,
    /// B is ordered too.
    pub(crate) other: bool,
    /// From this tick on: as a witness of all that was before.
    pub(crate) other_from: u8,
    /// A is dropped again when its first order is no longer live.
    pub(crate) again: bool,
    /// A is dropped in the course of the story.
    pub(crate) arrives: bool,
    /// A completed order expires: `recheck_after`.
    pub(crate) recheck: bool,
    /// The provider completes orders.
    pub(crate) finishes: bool,
    /// It rejects some, too, and we poll and give up.
    pub(crate) polls: bool,
    /// Every kind of refusal, not only one that backs off and one that ends the order.
    pub(crate) every_refusal: bool,
    /// An unclear answer may tell ids.
    pub(crate) tells_ids: bool,
    /// An answer may tell the id of an order of another IMEI, which a poll then tells of.
    pub(crate) swaps: bool,
    pub(crate) words: Words,
    /// An export is dropped as it was at any earlier time, too.
    pub(crate) old_exports: bool,
    /// Our orders from before, oldest first; B's and A's come after.
    pub(crate) before: &'static [ProviderStatus],
    pub(crate) max_attempts: u32,
    /// The last tick. It stands for a long time: whatever can be too old is, and nothing more is claimed.
    pub(crate) ticks: u8,
    pub(crate) budget: Budget,
}

impl Setup {
    /// The provider that the defaults are made for: it refuses duplicates and can't list; A alone, two attempts.
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            duplicates: Duplicates::Refuses,
            lists: Lists::No,
            balance: Balance::None,
            late: false,
            probe: true,
            other: false,
            other_from: 0,
            again: false,
            arrives: false,
            recheck: false,
            finishes: false,
            polls: false,
            every_refusal: false,
            tells_ids: false,
            swaps: false,
            words: Words::True,
            old_exports: false,
            before: &[ProviderStatus::Completed],
            max_attempts: 2,
            ticks: 3,
            budget: Budget { refusals: 1, crashes: 1, ..Budget::default() },
        }
    }

    /// It lists, in this way: B is a witness, and there are four quiet periods.
    pub(crate) fn lists(name: &'static str, lists: Lists) -> Self {
        let budget = Budget { refusals: 0, crashes: 0, ..Budget::default() };
        Self { lists, other: true, ticks: 4, budget, ..Self::new(name) }
    }

    pub(crate) fn can_list(&self) -> bool {
        self.lists != Lists::No
    }

    /// The world as the story begins.
    pub(crate) fn world(&self) -> World {
        let sold: Vec<Sold> = self
            .before
            .iter()
            .map(|status| Sold { key: ANCHOR, ours: true, status: *status, at: 0 })
            .collect();
        let known = u8::try_from(sold.len()).unwrap_or(u8::MAX);
        let mut orders = [const { None }; SLOTS];
        for (slot, place) in orders.iter_mut().enumerate() {
            let there = match slot {
                0 => !self.arrives,
                B => self.other,
                _ => false,
            };
            *place = there.then(|| Tracked::new(self.max_attempts));
        }
        let ours = Journal {
            orders,
            charges: (1..=known).map(|id| (id, None)).collect(),
            known,
            listed_at: None,
            was_copy: false,
            paused_at: None,
        };
        World {
            tick: 0,
            ours,
            sold,
            requests: Vec::new(),
            copy: None,
            lost_keys: [false; 2],
            budget: self.budget,
            fault: None,
        }
    }
}
