//! Rules of the table left out, one at a time. Each wraps the real function: it lies to it about a fact, or does on top
//! of its step what a draft of the table did.

use imeid::order::{
    Absence, Answer, BalanceFacts, Effect, Event, HoldFacts, Illegal, KeyFacts, Order, ProbeFacts, Released,
    State, Step, Word, step,
};

use super::cases;
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

type Stepped = Result<Step, Illegal>;

/// A step to another state, its attempts as they are.
fn to(order: &Order, state: State, effects: Vec<Effect>) -> Stepped {
    Ok(Step { order: Order { state, ..order.clone() }, effects })
}

/// The step, with these of the order's unproven attempts forgotten.
fn forgetting(stepped: Stepped, forget: fn(&mut Order)) -> Stepped {
    stepped.map(|mut done| {
        forget(&mut done.order);
        done
    })
}

fn forget_all(order: &mut Order) {
    (order.unaccounted, order.inferred, order.presumed) = (0, 0, 0);
}

fn forget_unaccounted(order: &mut Order) {
    order.unaccounted = 0;
}

// ---- T1 ------------------------------------------------------------------------------------------------------------

fn a_refused_probe_acquits(order: &Order, event: &Event) -> Stepped {
    let stepped = step(order, event);
    match event {
        Event::Answer(Answer::Throttled(_) | Answer::NotSent | Answer::Maintenance) => {
            forgetting(stepped, |order| (order.state, order.unaccounted) = (State::Queued, 0))
        }
        _ => stepped,
    }
}

fn an_invalid_imei_acquits(order: &Order, event: &Event) -> Stepped {
    let stepped = step(order, event);
    match event {
        Event::Answer(Answer::InvalidImei) => {
            forgetting(stepped, |order| (order.state, order.unaccounted) = (State::Refused, 0))
        }
        _ => stepped,
    }
}

// ---- T2, T8: what makes an absence a proof -------------------------------------------------------------------------

fn absent(order: &Order, event: &Event, lie: fn(Absence) -> Absence) -> Stepped {
    match event {
        Event::Absent(absence) => step(order, &Event::Absent(lie(*absence))),
        _ => step(order, event),
    }
}

fn stale_listings_release(order: &Order, event: &Event) -> Stepped {
    absent(order, event, |absence| Absence { fresh: true, ..absence })
}

fn one_absence_releases(order: &Order, event: &Event) -> Stepped {
    absent(order, event, |absence| Absence { twice: true, ..absence })
}

fn filtered_listings_release(order: &Order, event: &Event) -> Stepped {
    absent(order, event, |absence| Absence { whole: true, ..absence })
}

fn cut_listings_release(order: &Order, event: &Event) -> Stepped {
    absent(order, event, |absence| Absence { reaches_back: true, whole: true, ..absence })
}

// ---- T3, T13, T14: "already exists" --------------------------------------------------------------------------------

fn exists(order: &Order, event: &Event, lie: fn(KeyFacts) -> KeyFacts) -> Stepped {
    match event {
        Event::Answer(Answer::AlreadyExists(key)) => {
            step(order, &Event::Answer(Answer::AlreadyExists(lie(*key))))
        }
        _ => step(order, event),
    }
}

fn exists_is_elsewhere_after_a_release(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Answer(Answer::AlreadyExists(_)) => forgetting(step(order, event), |order| {
            order.state = State::OrderedElsewhere;
            forget_all(order);
        }),
        _ => step(order, event),
    }
}

fn exists_is_elsewhere_in_a_copy(order: &Order, event: &Event) -> Stepped {
    exists(order, event, |key| KeyFacts { was_copy: false, ..key })
}

fn a_release_forgets_its_attempts(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Absent(_) => forgetting(step(order, event), forget_all),
        _ => step(order, event),
    }
}

// ---- T4, T6: the balance -------------------------------------------------------------------------------------------

fn the_balance_acquits(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::BalanceFell(BalanceFacts { quiet_over: true, at_rest: true, fell_by_all: false, .. })
            if order.state == State::InDoubt =>
        {
            let effects = vec![Effect::Release(Released::Absence)];
            let released = Order {
                inferred: order.inferred.saturating_add(order.unaccounted),
                unaccounted: 0,
                ..order.clone()
            };
            to(&released, State::Queued, effects)
        }
        _ => step(order, event),
    }
}

fn exists_is_charged(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::HoldNoId(facts) if facts.balance_contradicts => forgetting(step(order, event), |order| {
            order.charged = order.charged.saturating_add(order.presumed).saturating_add(1);
            order.presumed = 0;
        }),
        _ => step(order, event),
    }
}

// ---- T5, T7, T9, T11, T12, T15, T17 --------------------------------------------------------------------------------

fn a_cancel_forgets(order: &Order, event: &Event) -> Stepped {
    let forget = |order: &mut Order| {
        forget_all(order);
        order.charged = 0;
    };
    match event {
        Event::Word(Word::Cancel) => forgetting(step(order, event), forget),
        _ => step(order, event),
    }
}

fn released_attempts_dont_count(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Absent(_) => forgetting(step(order, event), |order| {
            order.counted = 0;
            order.state = State::Queued;
        }),
        _ => step(order, event),
    }
}

fn an_id_clears_the_other_attempts(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Answer(Answer::Taken(_)) => {
            forgetting(step(&Order { unaccounted: 0, ..order.clone() }, event), forget_all)
        }
        _ => step(order, event),
    }
}

fn a_crash_means_retry(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Lost => forgetting(step(order, event), |order| {
            order.state = State::Queued;
            forget_unaccounted(order);
        }),
        _ => step(order, event),
    }
}

fn a_time_out_means_retry(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Answer(Answer::Unclear(_)) => forgetting(step(order, event), |order| {
            order.state = State::Queued;
            order.inferred = order.inferred.saturating_add(order.unaccounted);
            order.unaccounted = 0;
        }),
        _ => step(order, event),
    }
}

fn a_word_counts_at_once(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Word(Word::NotOrdered { .. }) => {
            step(order, &Event::Word(Word::NotOrdered { quiet_over: true }))
        }
        _ => step(order, event),
    }
}

fn an_export_clears_the_other_attempts(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Exported(_) if order.state != State::Submitting => forgetting(step(order, event), forget_all),
        _ => step(order, event),
    }
}

// ---- probes, holds, copies -----------------------------------------------------------------------------------------

fn a_probe_doesnt_wait(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Probe(facts) => step(order, &Event::Probe(ProbeFacts { quiet_over: true, ..*facts })),
        _ => step(order, event),
    }
}

fn the_policy_is_always_probe(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Probe(facts) => step(order, &Event::Probe(ProbeFacts { policy_probe: true, ..*facts })),
        _ => step(order, event),
    }
}

fn what_is_listed_is_probed(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Probe(facts) => step(order, &Event::Probe(ProbeFacts { can_list: false, ..*facts })),
        _ => step(order, event),
    }
}

fn a_copy_forgets_what_is_queued(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Restored if order.state == State::Queued => to(order, State::Queued, Vec::new()),
        _ => step(order, event),
    }
}

fn a_copy_keeps_its_old_quiet_periods(order: &Order, event: &Event) -> Stepped {
    let stepped = step(order, event);
    match event {
        Event::Restored => stepped.map(|mut done| {
            done.effects.retain(|effect| !matches!(effect, Effect::StartDoubt | Effect::PauseAll(_)));
            done
        }),
        _ => stepped,
    }
}

fn nothing_is_ever_too_old(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Hold(facts) => step(order, &Event::Hold(HoldFacts { too_old: false, ..*facts })),
        _ => step(order, event),
    }
}

fn an_exports_id_is_charged_again(order: &Order, event: &Event) -> Stepped {
    let again = matches!(event, Event::Word(Word::OrderId { .. })) && order.id.is_none() && order.charged > 0;
    let stepped = step(order, event);
    if again { forgetting(stepped, |order| order.charged = order.charged.saturating_add(1)) } else { stepped }
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
    vec![
        mutant(
            "T1: a 429 to a probe proves nothing of the order",
            a_refused_probe_acquits,
            one("probes"),
            &[Property::Forgotten, Property::Uncovered],
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
