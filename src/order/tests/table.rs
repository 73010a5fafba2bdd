//! Every (kind of order, kind of event) pair, printed: a changed transition is a reviewed difference.

use std::fmt::Write as _;

use super::*;
use crate::types::ProviderStatus;

/// Every kind of order that the table tells apart, with a way that leads there.
fn orders() -> Vec<(&'static str, Order)> {
    let after = |events: &[Event]| run(order(), events).0;
    let in_doubt = after(&[Event::Claim, unclear()]);
    let used_up = after(&[Event::Claim, unclear(), probe(), unclear(), probe(), unclear()]);
    let listed_twice = after(&[Event::Claim, unclear(), Event::Listed(vec![id(1), id(2)])]);
    vec![
        ("queued", order()),
        ("queued after a release", after(&[Event::Claim, unclear(), Event::Absent(PROVEN_ABSENT)])),
        ("submitting", after(&[Event::Claim])),
        ("submitting a probe", after(&[Event::Claim, unclear(), probe()])),
        (
            "submitting after a release",
            after(&[Event::Claim, unclear(), Event::Absent(PROVEN_ABSENT), Event::Claim]),
        ),
        ("submitting, its id came late", after(&[Event::Claim, unclear(), probe(), Event::LateId(id(1))])),
        ("in doubt", in_doubt.clone()),
        ("in doubt, attempts used up", used_up),
        ("ordered", after(&[Event::Claim, taken(1)])),
        ("ordered, another attempt presumed", after(&[Event::Claim, unclear(), probe(), taken(1)])),
        ("ordered without id", after(&[Event::Claim, unclear(), probe(), exists()])),
        ("held without id", run(in_doubt, &[Event::Hold(POLICY_HOLDS)]).0),
        ("held with id", after(&[Event::Claim, taken(1), Event::GiveUp])),
        ("held, its id disproved", after(&[Event::Claim, taken(1), Event::Disproved])),
        ("held, listed twice", listed_twice),
        ("completed", after(&[Event::Claim, taken(1), Event::Status(ProviderStatus::Completed)])),
        (
            "completed as an export told, another attempt presumed",
            after(&[
                Event::Claim,
                unclear(),
                probe(),
                unclear(),
                Event::Exported(Exported::One(ProviderStatus::Completed)),
            ]),
        ),
        ("rejected", after(&[Event::Claim, taken(1), Event::Status(ProviderStatus::Rejected)])),
        ("refused", after(&[Event::Claim, Event::Answer(Answer::InvalidImei)])),
        ("ordered elsewhere", after(&[Event::Claim, exists()])),
        (
            "ordered elsewhere with result",
            after(&[Event::Exported(Exported::One(ProviderStatus::Completed))]),
        ),
        ("cancelled unsent", after(&[Event::Word(Word::Cancel)])),
        (
            "cancelled, released",
            after(&[Event::Claim, unclear(), Event::Absent(PROVEN_ABSENT), Event::Word(Word::Cancel)]),
        ),
        ("cancelled, charged", after(&[Event::Claim, taken(1), Event::GiveUp, Event::Word(Word::Cancel)])),
    ]
}

/// Every kind of event, with its facts in every way that matters.
fn events() -> Vec<(String, Event)> {
    let mut all: Vec<(String, Event)> = Vec::new();
    let mut add = |name: &str, event: Event| all.push((name.to_owned(), event));
    add("claim", Event::Claim);
    add("probe", probe());
    add("probe, not quiet yet", Event::Probe(ProbeFacts { quiet_over: false, ..MAY_PROBE }));
    add("probe, it can list", Event::Probe(ProbeFacts { can_list: true, ..MAY_PROBE }));
    add("probe, policy hold", Event::Probe(ProbeFacts { policy_probe: false, ..MAY_PROBE }));
    add("probe, older order of the key", Event::Probe(ProbeFacts { older_order: true, ..MAY_PROBE }));
    add("probe, too old", Event::Probe(ProbeFacts { within: false, ..MAY_PROBE }));
    add("taken #1", taken(1));
    add("taken #9", taken(9));
    for (name, answer) in [
        ("not sent", Answer::NotSent),
        ("throttled", Answer::Throttled(None)),
        ("account", Answer::Account),
        ("credit", Answer::Credit),
        ("maintenance", Answer::Maintenance),
        ("unknown service", Answer::UnknownService),
        ("invalid imei", Answer::InvalidImei),
        ("unclear", Answer::Unclear(vec![])),
        ("unclear, told #9", Answer::Unclear(vec![id(9)])),
    ] {
        add(name, Event::Answer(answer));
    }
    let key = KeyFacts::default();
    add("exists", exists());
    for (name, key) in [
        ("exists, earlier order", KeyFacts { earlier_order: true, ..key }),
        ("exists, others unproven", KeyFacts { others_unproven: true, earlier_order: true, ..key }),
        ("exists, others presumed", KeyFacts { others_unproven: true, others_presumed: true, ..key }),
        ("exists, was a copy", KeyFacts { was_copy: true, ..key }),
    ] {
        add(name, Event::Answer(Answer::AlreadyExists(key)));
    }
    add("lost", Event::Lost);
    add("restored", Event::Restored);
    add("listed #1", Event::Listed(vec![id(1)]));
    add("listed #9", Event::Listed(vec![id(9)]));
    add("listed #8 #9", Event::Listed(vec![id(8), id(9)]));
    add("absent", Event::Absent(PROVEN_ABSENT));
    add("absent once", Event::Absent(Absence { twice: false, ..PROVEN_ABSENT }));
    add("absent, not whole", Event::Absent(Absence { whole: false, ..PROVEN_ABSENT }));
    add("absent, cut", Event::Absent(Absence { reaches_back: false, ..PROVEN_ABSENT }));
    add("absent, not fresh", Event::Absent(Absence { fresh: false, ..PROVEN_ABSENT }));
    for bits in 0..16u8 {
        let bit = |n: u8| bits & (1 << n) != 0;
        let facts =
            BalanceFacts { quiet_over: bit(0), can_list: bit(1), at_rest: bit(2), fell_by_all: bit(3) };
        add(
            &format!(
                "balance fell {}",
                flags(&[("quiet", bit(0)), ("lists", bit(1)), ("rest", bit(2)), ("all", bit(3))])
            ),
            Event::BalanceFell(facts),
        );
    }
    for bits in 0..64u8 {
        let bit = |n: u8| bits & (1 << n) != 0;
        let facts = HoldFacts {
            quiet_over: bit(0),
            can_list: bit(1),
            policy_hold: bit(2),
            too_old: bit(3),
            listed_since: bit(4),
            out_of_reach: bit(5),
        };
        add(
            &format!(
                "hold {}",
                flags(&[
                    ("quiet", bit(0)),
                    ("lists", bit(1)),
                    ("policy", bit(2)),
                    ("old", bit(3)),
                    ("listed", bit(4)),
                    ("beyond", bit(5))
                ])
            ),
            Event::Hold(facts),
        );
    }
    for bits in 0..8u8 {
        let bit = |n: u8| bits & (1 << n) != 0;
        let facts = NoIdFacts { balance_contradicts: bit(0), can_list: bit(1), too_old: bit(2) };
        add(
            &format!("hold no id {}", flags(&[("contradicted", bit(0)), ("lists", bit(1)), ("old", bit(2))])),
            Event::HoldNoId(facts),
        );
    }
    for status in [ProviderStatus::Pending, ProviderStatus::Completed, ProviderStatus::Rejected] {
        add(&format!("exported {status:?}"), Event::Exported(Exported::One(status)));
        add(&format!("exported {status:?}, an older one's"), Event::Exported(Exported::Older(status)));
        add(&format!("status {status:?}"), Event::Status(status));
    }
    add("exported twice", Event::Exported(Exported::Several));
    add("give up", Event::GiveUp);
    add("disproved", Event::Disproved);
    add("late id #1", Event::LateId(id(1)));
    add("late id #9", Event::LateId(id(9)));
    add("superseded", Event::Superseded);
    add("cleared", Event::Cleared(PROVEN_ABSENT));
    add("cleared, once", Event::Cleared(Absence { twice: false, ..PROVEN_ABSENT }));
    add("cleared, not whole", Event::Cleared(Absence { whole: false, ..PROVEN_ABSENT }));
    add("cleared, cut", Event::Cleared(Absence { reaches_back: false, ..PROVEN_ABSENT }));
    add("cleared, not fresh", Event::Cleared(Absence { fresh: false, ..PROVEN_ABSENT }));
    add("counted, 1 row", Event::Counted { rows: 1, absence: PROVEN_ABSENT });
    add("counted, 2 rows", Event::Counted { rows: 2, absence: PROVEN_ABSENT });
    add("counted, no row", Event::Counted { rows: 0, absence: PROVEN_ABSENT });
    for (name, absence) in [
        ("counted, once", Absence { twice: false, ..PROVEN_ABSENT }),
        ("counted, not whole", Absence { whole: false, ..PROVEN_ABSENT }),
        ("counted, cut", Absence { reaches_back: false, ..PROVEN_ABSENT }),
        ("counted, not fresh", Absence { fresh: false, ..PROVEN_ABSENT }),
    ] {
        add(name, Event::Counted { rows: 1, absence });
    }
    for quiet_over in [false, true] {
        let quiet = if quiet_over { "" } else { ", not quiet yet" };
        add(
            &format!("word: id #1{quiet}"),
            Event::Word(Word::OrderId { id: id(1), quiet_over, booked: false }),
        );
        add(
            &format!("word: id #9{quiet}"),
            Event::Word(Word::OrderId { id: id(9), quiet_over, booked: false }),
        );
        add(&format!("word: not ordered{quiet}"), Event::Word(Word::NotOrdered { quiet_over }));
    }
    add("word: id #9, booked", Event::Word(Word::OrderId { id: id(9), quiet_over: true, booked: true }));
    add("word: cancel", Event::Word(Word::Cancel));
    add("word: retry", Event::Word(Word::Retry { not_charged: false }));
    add("word: retry, not charged", Event::Word(Word::Retry { not_charged: true }));
    all
}

fn flags(named: &[(&str, bool)]) -> String {
    let on: Vec<&str> = named.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    if on.is_empty() { "[-]".to_owned() } else { format!("[{}]", on.join(" ")) }
}

fn books(order: &Order) -> String {
    let id = order.id.map_or_else(|| "-".to_owned(), |id| format!("#{id}"));
    format!(
        "{} id={id} counted={} unaccounted={} inferred={} presumed={} charged={}",
        order.state.as_str(),
        order.counted,
        order.unaccounted,
        order.inferred,
        order.presumed,
        order.charged
    )
}

#[test]
fn every_pair_of_order_and_event_does_what_the_golden_table_says() {
    let mut table = String::new();
    for (name, from) in orders() {
        writeln!(table, "## {name}: {}", books(&from)).unwrap();
        let mut illegal = Vec::new();
        for (event_name, event) in events() {
            match step(&from, &event) {
                Err(_) => illegal.push(event_name),
                Ok(done) if done.order == from && done.effects.is_empty() => {
                    writeln!(table, "{event_name} -> stays").unwrap();
                }
                Ok(done) => {
                    writeln!(table, "{event_name} -> {} | {:?}", books(&done.order), done.effects).unwrap();
                }
            }
        }
        writeln!(table, "illegal: {}\n", illegal.join("; ")).unwrap();
    }
    insta::assert_snapshot!("life_of_an_order", table);
}

#[test]
fn the_kinds_of_order_reach_every_state() {
    let reached: std::collections::BTreeSet<State> =
        orders().into_iter().map(|(_, order)| order.state).collect();
    assert_eq!(reached.len(), State::ALL.len());
}

#[test]
fn what_may_have_been_taken_is_never_forgotten() {
    for (name, from) in orders() {
        for (event_name, event) in events() {
            let Ok(done) = step(&from, &event) else { continue };
            let in_flight = |order: &Order| u32::from(order.state == State::Submitting);
            let before = from.unproven() + from.charged + in_flight(&from);
            let after = done.order.unproven() + done.order.charged + in_flight(&done.order);
            let proven = done
                .effects
                .iter()
                .any(|e| matches!(e, Effect::EndUnsent | Effect::EndRefused | Effect::ClearPresumed));
            assert!(after >= before || proven, "{name}, {event_name}: {from:?} -> {:?}", done.order);
            if matches!(done.order.state, State::Queued | State::Refused | State::OrderedElsewhere) {
                assert_eq!(
                    done.order.unaccounted, 0,
                    "{name}, {event_name}: unaccounted for, and not looked at"
                );
            }
        }
    }
}

#[test]
fn nothing_with_a_known_id_is_sent_again() {
    for (name, from) in orders() {
        for (event_name, event) in events() {
            let Ok(done) = step(&from, &event) else { continue };
            if done.order.id.is_some() && from.state != State::Submitting {
                assert!(
                    !matches!(done.order.state, State::Queued | State::Submitting | State::InDoubt),
                    "{name}, {event_name}: {:?}",
                    done.order
                );
            }
        }
    }
}

/// The balance counts what is presumed as either beside a charge or alone, and takes none for the other later.
#[test]
fn what_is_presumed_without_a_charge_is_one_attempt_and_the_first_to_be_charged() {
    let events = events();
    let mut seen = std::collections::HashSet::from([order()]);
    let mut last = vec![order()];
    for _ in 0..7 {
        let mut next = Vec::new();
        for (from, (name, event)) in
            last.iter().flat_map(|from| events.iter().map(move |event| (from, event)))
        {
            let Ok(Step { order: to, effects }) = step(from, event) else { continue };
            if to.charged == 0 && to.presumed > 0 {
                assert_eq!((to.presumed, to.unaccounted), (1, 0), "{from:?}: {name}");
            }
            if from.charged == 0 && from.presumed > 0 && to.charged > 0 {
                let charge = effects.iter().find(|effect| matches!(effect, Effect::Charge { .. }));
                let is_its_own = matches!(charge, Some(Effect::Charge { from: Source::Presumed, .. }));
                assert!(is_its_own, "{from:?}: {name}: {effects:?}");
            }
            if to.charged <= 3 && seen.insert(to.clone()) {
                next.push(to);
            }
        }
        last = next;
    }
    assert!(seen.len() > 300, "only {} were come to", seen.len());
}
