//! Rules of the table left out, one at a time. Each wraps the real function: it lies to it about a fact, or does on top
//! of its step what a draft of the table did.

use imeid::order::{
    Absence, Answer, BalanceFacts, Effect, Event, HoldFacts, Illegal, KeyFacts, Order, ProbeFacts, Released,
    State, Step, Word, step,
};

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

pub(crate) fn a_refused_probe_acquits(order: &Order, event: &Event) -> Stepped {
    let stepped = step(order, event);
    match event {
        Event::Answer(Answer::Throttled(_) | Answer::NotSent | Answer::Maintenance) => {
            forgetting(stepped, |order| (order.state, order.unaccounted) = (State::Queued, 0))
        }
        _ => stepped,
    }
}

pub(crate) fn a_refused_probe_is_queued(order: &Order, event: &Event) -> Stepped {
    let stepped = step(order, event);
    match event {
        Event::Answer(Answer::Throttled(_)) => forgetting(stepped, |order| order.state = State::Queued),
        _ => stepped,
    }
}

pub(crate) fn an_invalid_imei_acquits(order: &Order, event: &Event) -> Stepped {
    let stepped = step(order, event);
    match event {
        Event::Answer(Answer::InvalidImei) => {
            forgetting(stepped, |order| (order.state, order.unaccounted) = (State::Refused, 0))
        }
        _ => stepped,
    }
}

// ---- an id that is another's -----------------------------------------------------------------------------------------

pub(crate) fn a_disproved_id_takes_its_charge_along(order: &Order, event: &Event) -> Stepped {
    let stepped = step(order, event);
    match event {
        Event::Disproved => forgetting(stepped, |order| order.charged = 0),
        _ => stepped,
    }
}

pub(crate) fn a_disproved_order_is_sent_again(order: &Order, event: &Event) -> Stepped {
    let stepped = step(order, event);
    match event {
        Event::Disproved => forgetting(stepped, |order| order.state = State::Queued),
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

pub(crate) fn stale_listings_release(order: &Order, event: &Event) -> Stepped {
    absent(order, event, |absence| Absence { fresh: true, ..absence })
}

pub(crate) fn one_absence_releases(order: &Order, event: &Event) -> Stepped {
    absent(order, event, |absence| Absence { twice: true, ..absence })
}

pub(crate) fn filtered_listings_release(order: &Order, event: &Event) -> Stepped {
    absent(order, event, |absence| Absence { whole: true, ..absence })
}

pub(crate) fn cut_listings_release(order: &Order, event: &Event) -> Stepped {
    absent(order, event, |absence| Absence { reaches_back: true, whole: true, ..absence })
}

// ---- T9: what clears a presumed charge -------------------------------------------------------------------------------

pub(crate) fn stale_exports_clear(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Cleared(absence) => {
            step(order, &Event::Cleared(Absence { fresh: true, twice: true, ..*absence }))
        }
        Event::Counted { rows, absence } => {
            let absence = Absence { fresh: true, twice: true, ..*absence };
            step(order, &Event::Counted { rows: *rows, absence })
        }
        _ => step(order, event),
    }
}

pub(crate) fn rows_are_not_counted(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Counted { absence, .. } => {
            step(order, &Event::Counted { rows: order.charged, absence: *absence })
        }
        _ => step(order, event),
    }
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

pub(crate) fn exists_is_elsewhere_after_a_release(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Answer(Answer::AlreadyExists(_)) => forgetting(step(order, event), |order| {
            order.state = State::OrderedElsewhere;
            forget_all(order);
        }),
        _ => step(order, event),
    }
}

pub(crate) fn exists_is_elsewhere_in_a_copy(order: &Order, event: &Event) -> Stepped {
    exists(order, event, |key| KeyFacts { was_copy: false, ..key })
}

pub(crate) fn a_release_forgets_its_attempts(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Absent(_) => forgetting(step(order, event), forget_all),
        _ => step(order, event),
    }
}

// ---- T4, T6: the balance -------------------------------------------------------------------------------------------

pub(crate) fn the_balance_acquits(order: &Order, event: &Event) -> Stepped {
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

pub(crate) fn exists_is_charged(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::HoldNoId(facts) if facts.balance_contradicts => forgetting(step(order, event), |order| {
            order.charged = order.charged.saturating_add(order.presumed).saturating_add(1);
            order.presumed = 0;
        }),
        _ => step(order, event),
    }
}

// ---- T5, T7, T9, T11, T12, T15, T17 --------------------------------------------------------------------------------

pub(crate) fn a_cancel_forgets(order: &Order, event: &Event) -> Stepped {
    let forget = |order: &mut Order| {
        forget_all(order);
        order.charged = 0;
    };
    match event {
        Event::Word(Word::Cancel) => forgetting(step(order, event), forget),
        _ => step(order, event),
    }
}

pub(crate) fn a_charged_cancellation_makes_room(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Word(Word::Retry { .. }) if order.state == State::Cancelled && order.unproven() == 0 => {
            to(order, State::Cancelled, vec![Effect::NewOrder])
        }
        _ => step(order, event),
    }
}

pub(crate) fn released_attempts_dont_count(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Absent(_) => forgetting(step(order, event), |order| {
            order.counted = 0;
            order.state = State::Queued;
        }),
        _ => step(order, event),
    }
}

pub(crate) fn an_id_clears_the_other_attempts(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Answer(Answer::Taken(_)) => {
            forgetting(step(&Order { unaccounted: 0, ..order.clone() }, event), forget_all)
        }
        _ => step(order, event),
    }
}

pub(crate) fn a_crash_means_retry(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Lost => forgetting(step(order, event), |order| {
            order.state = State::Queued;
            forget_unaccounted(order);
        }),
        _ => step(order, event),
    }
}

pub(crate) fn a_time_out_means_retry(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Answer(Answer::Unclear(_)) => forgetting(step(order, event), |order| {
            order.state = State::Queued;
            order.inferred = order.inferred.saturating_add(order.unaccounted);
            order.unaccounted = 0;
        }),
        _ => step(order, event),
    }
}

pub(crate) fn a_word_counts_at_once(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Word(Word::NotOrdered { .. }) => {
            step(order, &Event::Word(Word::NotOrdered { quiet_over: true }))
        }
        _ => step(order, event),
    }
}

pub(crate) fn an_export_clears_the_other_attempts(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Exported(_) if order.state != State::Submitting => forgetting(step(order, event), forget_all),
        _ => step(order, event),
    }
}

// ---- probes, holds, copies -----------------------------------------------------------------------------------------

pub(crate) fn a_probe_doesnt_wait(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Probe(facts) => step(order, &Event::Probe(ProbeFacts { quiet_over: true, ..*facts })),
        _ => step(order, event),
    }
}

pub(crate) fn the_policy_is_always_probe(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Probe(facts) => step(order, &Event::Probe(ProbeFacts { policy_probe: true, ..*facts })),
        _ => step(order, event),
    }
}

pub(crate) fn what_is_listed_is_probed(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Probe(facts) => step(order, &Event::Probe(ProbeFacts { can_list: false, ..*facts })),
        _ => step(order, event),
    }
}

pub(crate) fn a_copy_forgets_what_is_queued(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Restored if order.state == State::Queued => to(order, State::Queued, Vec::new()),
        _ => step(order, event),
    }
}

pub(crate) fn a_copy_keeps_its_old_quiet_periods(order: &Order, event: &Event) -> Stepped {
    let stepped = step(order, event);
    match event {
        Event::Restored => stepped.map(|mut done| {
            done.effects.retain(|effect| !matches!(effect, Effect::StartDoubt | Effect::PauseAll(_)));
            done
        }),
        _ => stepped,
    }
}

pub(crate) fn nothing_is_ever_too_old(order: &Order, event: &Event) -> Stepped {
    match event {
        Event::Hold(facts) => step(order, &Event::Hold(HoldFacts { too_old: false, ..*facts })),
        _ => step(order, event),
    }
}

pub(crate) fn an_exports_id_is_charged_again(order: &Order, event: &Event) -> Stepped {
    let again = matches!(event, Event::Word(Word::OrderId { .. })) && order.id.is_none() && order.charged > 0;
    let stepped = step(order, event);
    if again { forgetting(stepped, |order| order.charged = order.charged.saturating_add(1)) } else { stepped }
}
