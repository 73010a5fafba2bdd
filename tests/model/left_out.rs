//! Which rules are left out in turn, where, and what must break then.

use super::cases;
use super::mutants::{
    a_cancel_forgets, a_charged_cancellation_makes_room, a_copy_forgets_what_is_queued,
    a_copy_keeps_its_old_quiet_periods, a_crash_means_retry, a_disproved_id_takes_its_charge_along,
    a_disproved_order_is_sent_again, a_probe_doesnt_wait, a_refused_probe_acquits, a_refused_probe_is_queued,
    a_release_forgets_its_attempts, a_time_out_means_retry, a_word_counts_at_once,
    an_export_clears_the_other_attempts, an_exports_id_is_charged_again, an_id_clears_the_other_attempts,
    an_invalid_imei_acquits, cut_listings_release, exists_is_charged, exists_is_elsewhere_after_a_release,
    exists_is_elsewhere_in_a_copy, filtered_listings_release, nothing_is_ever_too_old, one_absence_releases,
    released_attempts_dont_count, rows_are_not_counted, stale_exports_clear, stale_listings_release,
    the_balance_acquits, the_policy_is_always_probe, what_is_listed_is_probed,
};
use super::properties::Property;
use super::run::StepFn;
use super::setup::{Balance, Duplicates, Lists, Setup, Words};
use super::world::Budget;

/// A rule left out, and where that must show.
pub(crate) struct Mutant {
    pub(crate) rule: &'static str,
    pub(crate) step: StepFn,
    /// A setup in which the real function breaks none of `breaks`.
    pub(crate) setup: Setup,
    /// What must break.
    pub(crate) breaks: &'static [Property],
}

/// Every rule that is left out in turn.
pub(crate) fn all() -> Vec<Mutant> {
    let mutant = |rule, step: StepFn, setup, breaks| Mutant { rule, step, setup, breaks };
    let charges = Duplicates::Charges;
    let one =
        |name| Setup { budget: Budget { crashes: 1, refusals: 1, ..Budget::default() }, ..Setup::new(name) };
    let lists = |how| Setup { duplicates: charges, ..Setup::lists("lists", how) };
    let words = Budget { words: 2, ..Budget::default() };
    let said = |name| Setup { budget: words, again: true, ..Setup::new(name) };
    let exports = Budget { exports: 1, words: 1, ..Budget::default() };
    let filtered = Setup { before: cases::TWO_BEFORE, finishes: true, ticks: 3, ..lists(Lists::Filtered) };
    let copy =
        Setup { budget: Budget { copies: 1, ..Budget::default() }, again: true, ..Setup::new("restored") };
    let lists_late = Setup { late: true, ..Setup::lists("lists fresh, late", Lists::Fresh) };
    let late_balance = Setup { balance: Balance::Late, ..one("late balance") };
    let counted = cases::counted("exports twice, charges");
    let swaps = cases::swaps("answers with another's id");
    let swaps_charging = Setup { duplicates: charges, probe: false, ..swaps.clone() };
    vec![
        mutant(
            "an id that is another's doesn't take its charge along",
            a_disproved_id_takes_its_charge_along,
            swaps,
            &[Property::Forgotten, Property::Uncovered],
        ),
        mutant(
            "nor does its order go again",
            a_disproved_order_is_sent_again,
            swaps_charging,
            &[Property::PaidTwice],
        ),
        mutant(
            "an order that is charged and cancelled isn't made anew",
            a_charged_cancellation_makes_room,
            cases::given_up("given up and cancelled"),
            &[Property::PaidTwice],
        ),
        mutant(
            "T1: a 429 to a probe proves nothing of the order",
            a_refused_probe_acquits,
            one("probes"),
            &[Property::Forgotten, Property::Uncovered],
        ),
        mutant(
            "T1: nor does it send the order back",
            a_refused_probe_is_queued,
            one("probes"),
            &[Property::Invisible],
        ),
        mutant(
            "T1: nor does an invalid IMEI",
            an_invalid_imei_acquits,
            one("probes"),
            &[Property::Forgotten, Property::Uncovered],
        ),
        mutant(
            "T2: an absence needs a fresh witness",
            stale_listings_release,
            lists(Lists::Cached),
            &[Property::PaidTwice, Property::Uncovered],
        ),
        mutant(
            "an absence counts when it is seen twice",
            one_absence_releases,
            lists(Lists::Patchy),
            &[Property::PaidTwice, Property::Uncovered],
        ),
        mutant(
            "T8: a listing of pending orders is not whole",
            filtered_listings_release,
            filtered,
            &[Property::PaidTwice, Property::Uncovered],
        ),
        mutant(
            "T8: a cut listing does not reach back",
            cut_listings_release,
            lists(Lists::Cut(1)),
            &[Property::PaidTwice, Property::Uncovered],
        ),
        mutant(
            "T3: after a release, already exists means ordered",
            exists_is_elsewhere_after_a_release,
            lists_late.clone(),
            &[Property::Forgotten],
        ),
        mutant(
            "T3: a release remembers its attempts",
            a_release_forgets_its_attempts,
            lists_late,
            &[Property::Forgotten],
        ),
        mutant("T4: the balance never acquits", the_balance_acquits, late_balance, &[Property::Uncovered]),
        mutant(
            "T6: already exists is presumed, never charged",
            exists_is_charged,
            Setup { balance: Balance::Late, ..one("late balance") },
            &[Property::ChargedForNothing],
        ),
        mutant(
            "T5: a cancelled order keeps what is charged or unproven",
            a_cancel_forgets,
            Setup { probe: false, ..said("words") },
            &[Property::Forgotten, Property::Uncovered],
        ),
        mutant(
            "T7: released attempts count",
            released_attempts_dont_count,
            Setup { max_attempts: 1, ..lists(Lists::Fresh) },
            &[Property::Endless],
        ),
        mutant(
            "T9: an id clears no other attempt",
            an_id_clears_the_other_attempts,
            Setup { duplicates: charges, ..one("charges, probes") },
            &[Property::Forgotten, Property::Uncovered],
        ),
        mutant(
            "T9: what clears a presumed charge is fresh",
            stale_exports_clear,
            Setup { duplicates: charges, budget: exports, old_exports: true, ..one("exports, charges") },
            &[Property::Uncovered],
        ),
        mutant(
            "T9: so is what clears one beside a charge without an id",
            stale_exports_clear,
            Setup { old_exports: true, ..counted.clone() },
            &[Property::Uncovered],
        ),
        mutant(
            "T9: there an export has as many rows as charges",
            rows_are_not_counted,
            counted,
            &[Property::Uncovered],
        ),
        mutant(
            "T11: a crash means doubt",
            a_crash_means_retry,
            Setup { duplicates: charges, probe: false, ..one("crashes") },
            &[Property::PaidTwice, Property::Forgotten, Property::Uncovered],
        ),
        mutant(
            "a time-out means doubt",
            a_time_out_means_retry,
            Setup { duplicates: charges, probe: false, ..one("times out") },
            &[Property::PaidTwice, Property::Uncovered],
        ),
        mutant(
            "T12: a word waits for the quiet period",
            a_word_counts_at_once,
            Setup { duplicates: charges, probe: false, words: Words::True, ..said("words") },
            &[Property::PaidTwice, Property::Uncovered],
        ),
        mutant(
            "T14: in a copy already exists never means elsewhere",
            exists_is_elsewhere_in_a_copy,
            Setup { arrives: true, ..copy.clone() },
            &[Property::Forgotten, Property::Uncovered],
        ),
        mutant(
            "T14: what is queued in a copy may have been sent",
            a_copy_forgets_what_is_queued,
            copy,
            &[Property::Forgotten, Property::Uncovered],
        ),
        mutant(
            "T14: a copy's quiet periods begin at the restore",
            a_copy_keeps_its_old_quiet_periods,
            Setup {
                budget: Budget { copies: 1, words: 1, ..Budget::default() },
                duplicates: charges,
                probe: false,
                ..Setup::new("restored, words")
            },
            &[Property::PaidTwice, Property::Uncovered],
        ),
        mutant(
            "T15: an export clears no other attempt",
            an_export_clears_the_other_attempts,
            Setup { duplicates: charges, budget: exports, ..one("exports, charges") },
            &[Property::Forgotten, Property::Uncovered],
        ),
        mutant(
            "an export's charge is not booked again by its id",
            an_exports_id_is_charged_again,
            Setup { budget: exports, ..one("exports") },
            &[Property::ChargedForNothing],
        ),
        mutant(
            "a probe waits for the quiet period",
            a_probe_doesnt_wait,
            Setup { duplicates: Duplicates::Races, ..one("races") },
            &[Property::PaidTwice],
        ),
        mutant(
            "what must be held is never probed",
            the_policy_is_always_probe,
            Setup { duplicates: charges, probe: false, ..one("charges, hold") },
            &[Property::PaidTwice],
        ),
        mutant(
            "what can be listed is never probed",
            what_is_listed_is_probed,
            lists(Lists::Fresh),
            &[Property::PaidTwice],
        ),
        mutant("what is too old is held", nothing_is_ever_too_old, lists(Lists::Fresh), &[Property::Stuck]),
    ]
}
