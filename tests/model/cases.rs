//! Every provider that stories are told of, and what it breaks: nothing, or what no table can mend.

use imeid::types::ProviderStatus;

use super::properties::Property::{self, PaidTwice, Uncovered};
use super::setup::{Balance, Duplicates, Lists, Setup, Words};
use super::world::Budget;

/// A setup and the properties that break in it.
pub(crate) struct Case {
    pub(crate) setup: Setup,
    /// What breaks, and no more; empty where DESIGN promises that nothing does.
    pub(crate) breaks: &'static [Property],
}

fn holds(setup: Setup) -> Case {
    Case { setup, breaks: &[] }
}

fn breaks(setup: Setup, breaks: &'static [Property]) -> Case {
    Case { setup, breaks }
}

pub(crate) const TWO_BEFORE: &[ProviderStatus] = &[ProviderStatus::Completed, ProviderStatus::Pending];

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let mut all = probing();
    all.extend(listing());
    all.extend(generations());
    all.extend(copies());
    all
}

/// It answers with the id of another order of ours, and tells of that one under it.
pub(crate) fn swaps(name: &'static str) -> Setup {
    let budget = Budget { words: 1, ..Budget::default() };
    Setup { swaps: true, other: true, polls: true, ticks: 2, budget, ..Setup::new(name) }
}

/// It charges whatever is sent twice, and can't list: exports alone tell of what was lost, the second one of how often.
pub(crate) fn counted(name: &'static str) -> Setup {
    let budget = Budget { exports: 2, ..Budget::default() };
    let duplicates = Duplicates::Charges;
    Setup { duplicates, other: true, other_from: 3, finishes: true, ticks: 4, budget, ..Setup::new(name) }
}

/// It answers nothing for days, so that orders are given up, and charges whatever is sent twice.
pub(crate) fn given_up(name: &'static str) -> Setup {
    let budget = Budget { words: 2, ..Budget::default() };
    let duplicates = Duplicates::Charges;
    Setup { duplicates, probe: false, again: true, polls: true, ticks: 2, budget, ..Setup::new(name) }
}

/// A provider that can't list: probes, holds, balances.
fn probing() -> Vec<Case> {
    let base = Setup::new;
    let budget = Budget { refusals: 1, crashes: 1, by_hand: 1, ..Budget::default() };
    vec![
        holds(Setup { max_attempts: 3, ticks: 4, budget, tells_ids: true, ..base("refuses duplicates") }),
        holds(Setup { every_refusal: true, ..base("refuses duplicates, every refusal") }),
        holds(Setup {
            duplicates: Duplicates::Races,
            max_attempts: 3,
            ticks: 4,
            ..base("lets racing duplicates pass")
        }),
        holds(Setup { late: true, max_attempts: 3, ..base("refuses duplicates, late") }),
        holds(Setup {
            balance: Balance::Prompt,
            other: true,
            ticks: 2,
            ..base("refuses duplicates, prompt balance")
        }),
        holds(Setup {
            balance: Balance::Late,
            other: true,
            ticks: 2,
            ..base("refuses duplicates, late balance")
        }),
        holds(Setup { balance: Balance::Shared, budget, ..base("refuses duplicates, shared balance") }),
        holds(Setup { duplicates: Duplicates::Charges, probe: false, ..base("charges duplicates, hold") }),
        holds(swaps("answers with another's id")),
        holds(Setup {
            duplicates: Duplicates::Charges,
            probe: false,
            budget: Budget { exports: 1, ..Budget::default() },
            ..swaps("answers with another's id, charges, hold")
        }),
        breaks(Setup { duplicates: Duplicates::Charges, ..base("charges duplicates, probe") }, &[PaidTwice]),
        breaks(
            Setup {
                duplicates: Duplicates::Races,
                late: true,
                max_attempts: 3,
                ticks: 4,
                ..base("lets racing duplicates pass, late")
            },
            &[PaidTwice, Uncovered],
        ),
    ]
}

/// A provider that lists, in every way.
fn listing() -> Vec<Case> {
    let lists = Setup::lists;
    let charges = Duplicates::Charges;
    vec![
        holds(lists("lists fresh", Lists::Fresh)),
        holds(Setup { duplicates: charges, ..lists("lists fresh, charges", Lists::Fresh) }),
        holds(Setup { max_attempts: 1, ..lists("lists fresh, one attempt", Lists::Fresh) }),
        holds(lists("lists cached", Lists::Cached)),
        holds(Setup { duplicates: charges, ..lists("lists cached, charges", Lists::Cached) }),
        holds(Setup { duplicates: charges, ..lists("lists with gaps, charges", Lists::Patchy) }),
        holds(Setup {
            duplicates: charges,
            before: TWO_BEFORE,
            finishes: true,
            ticks: 3,
            ..lists("lists pending only, charges", Lists::Filtered)
        }),
        holds(Setup {
            duplicates: charges,
            again: true,
            ticks: 3,
            budget: Budget { words: 1, ..Budget::default() },
            ..lists("three orders, lists cached, charges", Lists::Cached)
        }),
        holds(Setup {
            again: true,
            ticks: 3,
            budget: Budget { words: 1, ..Budget::default() },
            ..lists("three orders, lists fresh", Lists::Fresh)
        }),
        holds(Setup { duplicates: charges, ..lists("lists the last one, charges", Lists::Cut(1)) }),
        holds(Setup { duplicates: charges, ..lists("lists the last two, charges", Lists::Cut(2)) }),
        breaks(Setup { late: true, ..lists("lists fresh, late", Lists::Fresh) }, &[Uncovered]),
        breaks(
            Setup {
                late: true,
                duplicates: charges,
                ticks: 3,
                budget: Budget { by_hand: 1, ..Budget::default() },
                ..lists("lists fresh, charges, late, by hand", Lists::Fresh)
            },
            &[PaidTwice, Uncovered],
        ),
        breaks(
            Setup { late: true, duplicates: charges, ..lists("lists fresh, charges, late", Lists::Fresh) },
            &[PaidTwice, Uncovered],
        ),
    ]
}

/// Orders that end and come again, operators, exports.
fn generations() -> Vec<Case> {
    let words = Budget { words: 2, by_hand: 1, refusals: 1, ..Budget::default() };
    let again = |name| Setup { again: true, budget: words, ..Setup::new(name) };
    let exports = Budget { exports: 2, by_hand: 1, words: 1, refusals: 1, ..Budget::default() };
    vec![
        holds(again("again, true words")),
        holds(Setup {
            duplicates: Duplicates::Charges,
            probe: false,
            ..again("again, true words, charges, hold")
        }),
        // Not ordered, cancelled, and ordered anew.
        holds(Setup {
            budget: Budget { words: 3, ..Budget::default() },
            ..again("again, retried after a release")
        }),
        holds(Setup {
            duplicates: Duplicates::Charges,
            probe: false,
            budget: Budget { words: 3, ..Budget::default() },
            ..again("again, retried after a release, charges, hold")
        }),
        holds(given_up("again, given up and cancelled, charges, hold")),
        breaks(Setup { words: Words::Wrong, ..again("again, wrong words") }, &[Uncovered]),
        // A wrong word, cancelled, and made anew: an export shows what was sent first.
        breaks(
            Setup {
                words: Words::Wrong,
                duplicates: Duplicates::Charges,
                probe: false,
                again: true,
                finishes: true,
                other: false,
                ticks: 2,
                budget: Budget { words: 3, exports: 1, ..Budget::default() },
                ..Setup::new("again, wrong words, retried after a release, exports, charges, hold")
            },
            &[PaidTwice, Uncovered],
        ),
        // A word that was wrong is listed when the answer has expired, and an order made since was not sent yet.
        breaks(
            Setup {
                words: Words::Wrong,
                duplicates: Duplicates::Charges,
                again: true,
                recheck: true,
                finishes: true,
                polls: true,
                other: false,
                ticks: 2,
                budget: Budget { words: 1, ..Budget::default() },
                ..Setup::lists("again, recheck_after, wrong words, charges", Lists::Fresh)
            },
            &[PaidTwice, Uncovered],
        ),
        breaks(
            Setup {
                words: Words::Wrong,
                duplicates: Duplicates::Charges,
                probe: false,
                ..again("again, wrong words, charges, hold")
            },
            &[PaidTwice, Uncovered],
        ),
        holds(Setup {
            finishes: true,
            polls: true,
            budget: Budget { flips: 1, by_hand: 0, ..words },
            ..again("again, finishes")
        }),
        breaks(
            Setup {
                finishes: true,
                polls: true,
                recheck: true,
                duplicates: Duplicates::Charges,
                probe: false,
                budget: Budget::default(),
                ..again("again, recheck_after, charges, hold")
            },
            &[PaidTwice],
        ),
        holds(Setup { budget: exports, old_exports: true, ..again("exports") }),
        holds(Setup {
            duplicates: Duplicates::Refuses,
            finishes: false,
            budget: Budget { exports: 2, by_hand: 1, ..Budget::default() },
            ..counted("exports twice")
        }),
        breaks(Setup { old_exports: true, ..counted("exports twice, charges") }, &[PaidTwice]),
        holds(Setup {
            budget: Budget { exports: 1, words: 1, ..Budget::default() },
            again: true,
            finishes: true,
            polls: true,
            other: false,
            ticks: 2,
            ..Setup::lists("exports, lists fresh", Lists::Fresh)
        }),
        holds(Setup {
            budget: exports,
            finishes: true,
            polls: true,
            ticks: 2,
            ..again("exports of finished orders")
        }),
    ]
}

/// Older copies.
fn copies() -> Vec<Case> {
    let budget = Budget { copies: 1, ..Budget::default() };
    let copy = |name| Setup { budget, again: true, ..Setup::new(name) };
    vec![
        holds(copy("restored")),
        holds(Setup { arrives: true, ..copy("restored, lacks an order") }),
        holds(Setup { duplicates: Duplicates::Charges, probe: false, ..copy("restored, charges, hold") }),
        breaks(
            Setup {
                duplicates: Duplicates::Charges,
                arrives: true,
                probe: false,
                ..copy("restored, lacks an order, charges, hold")
            },
            &[PaidTwice],
        ),
        holds(Setup {
            budget,
            duplicates: Duplicates::Charges,
            ticks: 3,
            ..Setup::lists("restored, lists cached, charges", Lists::Cached)
        }),
        holds(Setup { budget: Budget { exports: 1, ..budget }, ..copy("restored, export") }),
    ]
}
