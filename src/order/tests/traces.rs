//! The traces that broke drafts of the table. Those about a listing's or a balance's facts are also tested where the
//! facts are made.

use super::*;
use crate::types::ProviderStatus;

#[test]
fn t1_an_answer_to_a_probe_proves_nothing_of_the_attempt_before_it() {
    for answer in [
        Answer::NotSent,
        Answer::Throttled(None),
        Answer::Account,
        Answer::Credit,
        Answer::Maintenance,
        Answer::UnknownService,
        Answer::InvalidImei,
    ] {
        let (after, effects) =
            run(order(), &[Event::Claim, unclear(), probe(), Event::Answer(answer.clone())]);
        assert_eq!((after.state, after.unaccounted), (State::InDoubt, 1), "{answer:?}");
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Release(_))), "{answer:?}");
    }
}

#[test]
fn t2_an_absence_without_a_fresh_witness_releases_nothing() {
    let (doubt, _) = run(order(), &[Event::Claim, unclear()]);
    assert!(step(&doubt, &Event::Absent(Absence { fresh: false, ..PROVEN_ABSENT })).is_err());
}

#[test]
fn t3_after_a_release_already_exists_means_ordered() {
    let (after, _) =
        run(order(), &[Event::Claim, unclear(), Event::Absent(PROVEN_ABSENT), Event::Claim, exists()]);
    assert_eq!((after.state, after.presumed), (State::OrderedNoId, 1));
}

#[test]
fn t4_no_event_of_the_balance_releases_anything() {
    let (doubt, _) = run(order(), &[Event::Claim, unclear()]);
    for bits in 0..16u8 {
        let bit = |n: u8| bits & (1 << n) != 0;
        let facts =
            BalanceFacts { quiet_over: bit(0), can_list: bit(1), at_rest: bit(2), fell_by_all: bit(3) };
        if let Ok(done) = step(&doubt, &Event::BalanceFell(facts)) {
            assert_eq!(done.order.state, State::OrderedNoId);
        }
    }
}

#[test]
fn t5_a_cancelled_order_with_a_charge_or_an_open_attempt_keeps_its_imei_taken() {
    let (given_up, _) = run(order(), &[Event::Claim, taken(1), Event::GiveUp, Event::Word(Word::Cancel)]);
    assert!(given_up.is_live(false, false));
    let (doubted, _) =
        run(order(), &[Event::Claim, unclear(), Event::Hold(POLICY_HOLDS), Event::Word(Word::Cancel)]);
    assert!(doubted.is_live(false, false));
    let (unsent, _) = run(order(), &[Event::Word(Word::Cancel)]);
    assert!(!unsent.is_live(false, false));
    for order in [given_up, doubted] {
        let (_, effects) = run(order, &[Event::Word(Word::Retry { not_charged: true })]);
        assert!(matches!(effects[..], [Effect::Tell(_)]), "{effects:?}");
    }
}

#[test]
fn t6_already_exists_after_a_doubt_is_presumed_never_charged_and_the_balance_can_contradict_it() {
    let (after, effects) = run(order(), &[Event::Claim, Event::Lost, probe(), exists()]);
    assert_eq!((after.state, after.presumed, after.charged), (State::OrderedNoId, 1, 0));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Charge { .. })));
    let facts = NoIdFacts { balance_contradicts: true, can_list: true, too_old: false };
    assert_eq!(run(after, &[Event::HoldNoId(facts)]).0.state, State::Held);
}

#[test]
fn t7_attempts_released_as_inferred_count() {
    let round = [Event::Claim, unclear(), Event::Absent(PROVEN_ABSENT)];
    let (after, _) = run(order(), &[&round[..], &round[..], &round[..]].concat());
    assert_eq!((after.state, after.inferred), (State::Held, 3));
}

#[test]
fn t8_a_cut_or_filtered_listing_releases_nothing() {
    let (doubt, _) = run(order(), &[Event::Claim, unclear()]);
    assert!(step(&doubt, &Event::Absent(Absence { whole: false, ..PROVEN_ABSENT })).is_err());
    assert!(step(&doubt, &Event::Absent(Absence { reaches_back: false, ..PROVEN_ABSENT })).is_err());
}

#[test]
fn t9_an_id_for_the_second_attempt_leaves_the_first_presumed() {
    let (after, _) = run(order(), &[Event::Claim, unclear(), probe(), taken(2)]);
    assert_eq!((after.state, after.charged, after.presumed), (State::Ordered, 1, 1));
    assert_eq!(run(after, &[Event::Cleared(PROVEN_ABSENT)]).0.presumed, 0);
}

#[test]
fn t10_a_key_with_an_older_order_is_never_probed() {
    let (doubt, _) = run(order(), &[Event::Claim, unclear()]);
    assert!(step(&doubt, &Event::Probe(ProbeFacts { older_order: true, ..MAY_PROBE })).is_err());
}

#[test]
fn t11_a_lost_attempt_is_in_doubt_at_once() {
    let (after, effects) = run(order(), &[Event::Claim, Event::Lost]);
    assert_eq!(after.state, State::InDoubt);
    assert!(effects.contains(&Effect::StartDoubt));
}

#[test]
fn t12_a_persons_word_waits_for_the_quiet_period() {
    let (doubt, _) = run(order(), &[Event::Claim, unclear()]);
    let done = step(&doubt, &Event::Word(Word::NotOrdered { quiet_over: false })).unwrap();
    assert_eq!(done.order, doubt);
    assert!(matches!(done.effects[..], [Effect::Tell(_)]));
    let hold = HoldFacts {
        quiet_over: false,
        can_list: false,
        policy_hold: true,
        too_old: true,
        listed_since: true,
        out_of_reach: false,
    };
    assert!(step(&doubt, &Event::Hold(hold)).is_err());
}

#[test]
fn t13_unproven_attempts_of_any_order_of_the_key_count() {
    let key = KeyFacts { others_unproven: true, earlier_order: true, ..KeyFacts::default() };
    let (after, _) = run(order(), &[Event::Claim, Event::Answer(Answer::AlreadyExists(key))]);
    assert_eq!((after.state, after.presumed), (State::OrderedNoId, 1));
    let key = KeyFacts { others_presumed: true, ..key };
    let (after, _) = run(order(), &[Event::Claim, Event::Answer(Answer::AlreadyExists(key))]);
    assert_eq!((after.state, after.presumed), (State::OrderedNoId, 0), "presumed once a key");
}

#[test]
fn t14_a_restored_copy_doubts_everything_unsent_and_never_says_elsewhere() {
    for events in [&[][..], &[Event::Claim], &[Event::Claim, unclear()]] {
        let (after, effects) = run(order(), &[events, &[Event::Restored]].concat());
        assert_eq!(after.state, State::InDoubt);
        assert!(after.unaccounted > 0);
        assert!(effects.contains(&Effect::StartDoubt));
        assert!(effects.contains(&Effect::PauseAll(PauseReason::OlderCopy)));
    }
    let key = KeyFacts { was_copy: true, ..KeyFacts::default() };
    let (after, _) = run(order(), &[Event::Claim, Event::Answer(Answer::AlreadyExists(key))]);
    assert_eq!((after.state, after.presumed), (State::OrderedNoId, 1));
}

#[test]
fn t15_an_export_leaves_the_other_unproven_attempts_presumed() {
    let (after, _) = run(
        order(),
        &[
            Event::Claim,
            unclear(),
            probe(),
            unclear(),
            Event::Exported(Exported::One(ProviderStatus::Completed)),
        ],
    );
    assert_eq!((after.state, after.charged, after.presumed), (State::Completed, 1, 1));
    let (asked, effects) =
        run(order(), &[Event::Claim, Event::Exported(Exported::One(ProviderStatus::Completed))]);
    assert_eq!(asked.state, State::Submitting);
    assert_eq!(effects, [Effect::KeepExport]);
}

#[test]
fn t16_an_older_order_that_has_its_id_books_a_second_one_without_changing() {
    let (older, _) = run(order(), &[Event::Claim, taken(1)]);
    let (after, effects) = run(older.clone(), &[Event::LateId(id(2))]);
    assert_eq!((after.state, after.id, after.charged), (older.state, older.id, 2));
    assert!(effects.contains(&Effect::Alarm(Alarm::DoubleCharge)));
    let (newer, _) = run(order(), &[Event::Claim, unclear(), Event::LateId(id(2))]);
    assert_eq!((newer.state, newer.id, newer.charged), (State::Ordered, Some(id(2)), 1));
}

#[test]
fn t17_one_id_for_two_attempts_clears_one_and_presumes_the_other() {
    for event in [
        Event::Listed(vec![id(5)]),
        Event::LateId(id(5)),
        Event::Word(Word::OrderId { id: id(5), quiet_over: true, booked: false }),
    ] {
        let (after, _) = run(order(), &[Event::Claim, unclear(), probe(), unclear(), event.clone()]);
        assert_eq!(
            (after.state, after.charged, after.presumed, after.unaccounted),
            (State::Ordered, 1, 1, 0),
            "{event:?}"
        );
    }
}

#[test]
fn t18_a_probe_is_an_event_of_its_own_that_only_the_gate_gives() {
    let (doubt, _) = run(order(), &[Event::Claim, unclear()]);
    assert!(step(&doubt, &Event::Claim).is_err(), "a doubt is never sent as if it were queued");
    let (probing, effects) = run(doubt, &[probe()]);
    assert_eq!(probing.state, State::Submitting);
    assert_eq!(effects, [Effect::Begin { probe: true }]);
}
