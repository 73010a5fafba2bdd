//! The provider tells of another IMEI or service under an order's id: it was taken, and under which id isn't known.

use super::*;
use crate::types::ProviderStatus;

fn disproved() -> Order {
    run(order(), &[Event::Claim, taken(1), Event::Disproved]).0
}

#[test]
fn its_charge_stands_without_an_id_and_a_person_is_asked() {
    let (held, effects) = run(order(), &[Event::Claim, taken(1), Event::Disproved]);
    assert_eq!((held.state, held.id, held.charged, held.named), (State::Held, None, 1, 0));
    assert_eq!(effects, [Effect::Unname(id(1))]);
    // Given up before that: it is asked after all the same.
    let (given_up, _) = run(order(), &[Event::Claim, taken(1), Event::GiveUp, Event::Disproved]);
    assert_eq!(given_up, held);
}

#[test]
fn the_id_that_comes_then_is_put_to_the_charge_that_is_booked() {
    let word = Event::Word(Word::OrderId { id: id(2), quiet_over: true, booked: false });
    for event in [word, Event::Listed(vec![id(2)]), Event::LateId(id(2))] {
        let (after, effects) = run(disproved(), std::slice::from_ref(&event));
        assert_eq!((after.state, after.id, after.charged), (State::Ordered, Some(id(2)), 1), "{event:?}");
        assert_eq!(effects, [Effect::Charge { from: Source::Booked, id: Some(id(2)) }], "{event:?}");
    }
    let (after, effects) = run(disproved(), &[Event::Exported(Exported::One(ProviderStatus::Completed))]);
    assert_eq!((after.state, after.charged), (State::Completed, 1));
    assert_eq!(effects, []);
}

#[test]
fn it_is_not_said_to_be_not_ordered_and_never_sent_again() {
    let (after, effects) = run(disproved(), &[Event::Word(Word::NotOrdered { quiet_over: true })]);
    assert_eq!(after, disproved());
    assert!(matches!(effects[..], [Effect::Tell(_)]), "{effects:?}");
    for event in [Event::Claim, probe(), Event::Absent(PROVEN_ABSENT)] {
        assert!(step(&disproved(), &event).is_err(), "{event:?}");
    }
}

#[test]
fn one_with_several_ids_keeps_them_for_a_person_to_choose() {
    let twice = [Event::Claim, unclear(), Event::Listed(vec![id(1), id(2)])];
    let chosen = Event::Word(Word::OrderId { id: id(1), quiet_over: true, booked: true });
    let (ordered, _) = run(run(order(), &twice).0, &[chosen]);
    let (held, effects) = run(ordered, &[Event::Disproved]);
    assert_eq!((held.state, held.id, held.charged, held.named), (State::Held, Some(id(1)), 2, 2));
    assert_eq!(effects, []);
}
