//! One charge at the provider is one in the books, however often and by whatever way it is told.

use super::*;
use crate::types::ProviderStatus;

fn held() -> Event {
    Event::HoldNoId(NoIdFacts { balance_contradicts: false, can_list: false, too_old: false })
}

fn says(n: u64, booked: bool) -> Event {
    Event::Word(Word::OrderId { id: id(n), quiet_over: true, booked })
}

/// In doubt, and an export shows it still pending: charged, no id told.
fn exported() -> Order {
    run(order(), &[Event::Claim, unclear(), Event::Exported(Exported::One(ProviderStatus::Pending))]).0
}

#[test]
fn an_id_that_comes_after_an_exports_row_is_put_to_the_charge_that_is_booked() {
    for events in [&[Event::Listed(vec![id(5)])][..], &[Event::LateId(id(5))], &[held(), says(5, false)]] {
        let (after, effects) = run(exported(), events);
        assert_eq!((after.state, after.id, after.charged), (State::Ordered, Some(id(5)), 1), "{events:?}");
        let put = Effect::Charge { from: Source::Booked, id: Some(id(5)) };
        assert!(effects.contains(&put), "{events:?}: {effects:?}");
    }
}

#[test]
fn a_second_id_beside_an_exports_row_is_a_second_charge() {
    let (after, effects) = run(exported(), &[Event::Listed(vec![id(5), id(6)])]);
    assert_eq!((after.state, after.charged), (State::Held, 2));
    assert!(effects.contains(&Effect::Alarm(Alarm::DoubleCharge)));
}

#[test]
fn the_second_id_of_two_that_an_export_showed_is_put_to_the_charge_that_is_booked() {
    let twice = run(order(), &[Event::Claim, unclear(), Event::Exported(Exported::Several)]).0;
    let told = [Event::Listed(vec![id(5)]), says(5, false)];
    for first in told {
        for second in [Event::LateId(id(6)), says(6, false)] {
            let (named, _) = run(twice.clone(), std::slice::from_ref(&first));
            // Only who is held can be told which one it is.
            let held = Order { state: State::Held, ..named };
            let (after, effects) = run(held, std::slice::from_ref(&second));
            assert_eq!((after.charged, after.named), (2, 2), "{first:?}, {second:?}");
            assert_eq!(effects, [Effect::Charge { from: Source::Booked, id: Some(id(6)) }]);
            let (third, effects) = run(after, &[Event::LateId(id(7))]);
            assert_eq!((third.charged, third.named), (3, 3));
            assert!(effects.contains(&Effect::Alarm(Alarm::DoubleCharge)), "{effects:?}");
        }
    }
}

#[test]
fn who_says_which_of_two_listed_ids_it_is_books_nothing_again() {
    let (listed, _) = run(order(), &[Event::Claim, unclear(), Event::Listed(vec![id(1), id(2)])]);
    let (after, effects) = run(listed.clone(), &[says(2, true)]);
    assert_eq!((after.state, after.id, after.charged), (State::Ordered, Some(id(2)), 2));
    assert_eq!(effects, []);
    let (third, _) = run(listed, &[says(3, false)]);
    assert_eq!((third.id, third.charged), (Some(id(3)), 3));
}

#[test]
fn an_attempt_lost_beside_a_known_id_begins_a_quiet_period_of_its_own() {
    for lost in [Event::Lost, unclear()] {
        let (after, effects) = run(order(), &[Event::Claim, unclear(), probe(), Event::LateId(id(1)), lost]);
        assert_eq!((after.state, after.presumed), (State::Ordered, 1));
        assert!(effects.contains(&Effect::StartDoubt), "{effects:?}");
    }
}
