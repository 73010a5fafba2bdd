//! DOUBT's traces, those that need a provider, told word by word. Each broke a draft of the table.

use imeid::order::{Order, State, step};
use imeid::types::ProviderStatus;

use super::actions::{Action, Refusal};
use super::properties::Property;
use super::run;
use super::setup::{Balance, Duplicates, Lists, Setup};
use super::world::{A, A2, B, Budget};

use Action::{
    Backup, ByHand, Claim, Crash, Deliver, Drop, Execute, Exists, Export, Finish, Garbled, GiveUp, Hold,
    LookUp, Poll, Probe, Refused, Restore, Resume, SayCancel, SayNotOrdered, Tick, TimeOut,
};

/// Tells the story; gives where an order is then. Nothing breaks, but for what the provider does by itself.
fn after(setup: &Setup, story: &[Action], slot: usize) -> Order {
    let (world, broken) = run::tell(setup, step, story).unwrap();
    let may = if setup.duplicates == Duplicates::Charges { &[Property::PaidTwice][..] } else { &[] };
    let late = if setup.late { &[Property::Uncovered][..] } else { &[] };
    assert!(broken.iter().all(|p| may.contains(p) || late.contains(p)), "{broken:?}");
    assert!(world.order(slot).is_some(), "there is no such order");
    world.life(slot)
}

/// Tells the story, after which the action changes nothing, or can't happen.
fn nothing_comes_of(setup: &Setup, story: &[Action], action: Action) {
    run::tell(setup, step, story).unwrap();
    let and_then = [story, &[action]].concat();
    assert!(run::tell(setup, step, &and_then).is_err(), "{action:?} did something");
}

const fn list(upto: u8) -> Action {
    Action::List { upto, without: 0 }
}

fn probing(name: &'static str) -> Setup {
    let budget = Budget { crashes: 1, by_hand: 1, refusals: 1, words: 2, exports: 1, copies: 1, flips: 0 };
    Setup { budget, again: true, tells_ids: true, max_attempts: 3, ..Setup::new(name) }
}

/// A is swallowed, B is its witness, and two listings show that A isn't there.
const RELEASED: [Action; 8] = [Claim(A), TimeOut(A), Tick, Claim(B), Execute(B), Deliver(B), list(2), Tick];

#[test]
fn t1_a_429_to_the_probe_of_an_order_that_was_taken() {
    let story = [Claim(A), Execute(A), TimeOut(A), Tick, Probe(A), Refused(A, Refusal::Throttled)];
    let life = after(&probing("T1"), &story, A);
    assert_eq!((life.state, life.unaccounted), (State::InDoubt, 1));
}

#[test]
fn t2_a_cached_listing_from_between_two_orders() {
    let setup = Setup::lists("T2", Lists::Cached);
    let story =
        [Claim(A), TimeOut(A), Claim(B), Execute(B), Deliver(B), Execute(A), Tick, list(2), Tick, list(2)];
    assert_eq!(after(&setup, &story, A).state, State::InDoubt);
}

#[test]
fn t3_an_attempt_that_is_executed_after_its_release() {
    let setup = Setup { late: true, ..Setup::lists("T3", Lists::Fresh) };
    let story = [&RELEASED[..], &[list(2), Execute(A), Claim(A), Exists(A)]].concat();
    let life = after(&setup, &story, A);
    assert_eq!((life.state, life.presumed, life.charged), (State::OrderedNoId, 1, 0));
}

#[test]
fn t4_a_balance_that_does_not_show_a_charge_yet() {
    let setup = Setup { balance: Balance::Late, ..probing("T4") };
    let story = [Claim(A), Execute(A), TimeOut(A), Tick];
    nothing_comes_of(&setup, &story, Action::Balance(0));
    let accused = [&story[..], &[Action::Balance(1)]].concat();
    assert_eq!(after(&setup, &accused, A).state, State::OrderedNoId);
}

#[test]
fn t5_a_charged_order_that_was_given_up_and_cancelled_keeps_its_imei() {
    let setup = Setup { polls: true, ..probing("T5") };
    let story = [Claim(A), Execute(A), Deliver(A), GiveUp(A), SayCancel(A)];
    nothing_comes_of(&setup, &story, Drop);
}

#[test]
fn t6_an_order_by_hand_is_presumed_ours_and_the_balance_can_contradict_it() {
    let setup = Setup { balance: Balance::Shared, ..probing("T6") };
    let story = [Claim(A), Crash, ByHand, Tick, Probe(A), Exists(A)];
    let life = after(&setup, &story, A);
    assert_eq!((life.state, life.presumed, life.charged), (State::OrderedNoId, 1, 0));
    let contradicted = [&story[..], &[Tick, Action::Balance(0)]].concat();
    assert_eq!(after(&setup, &contradicted, A).state, State::Held);
}

#[test]
fn t7_an_order_that_is_always_swallowed_is_held() {
    let setup = Setup { max_attempts: 1, ..Setup::lists("T7", Lists::Fresh) };
    let life = after(&setup, &[&RELEASED[..], &[list(2)]].concat(), A);
    assert_eq!((life.state, life.inferred), (State::Held, 1));
}

#[test]
fn t8_an_order_that_a_cut_listing_does_not_show() {
    for lists in [Lists::Cut(1), Lists::Filtered] {
        let setup = Setup { finishes: true, ..Setup::lists("T8", lists) };
        let story = [
            Claim(A),
            Execute(A),
            TimeOut(A),
            Finish(2, ProviderStatus::Completed),
            Tick,
            Claim(B),
            Execute(B),
            Deliver(B),
            list(3),
            Tick,
            list(3),
        ];
        assert_eq!(after(&setup, &story, A).state, State::InDoubt, "{lists:?}");
    }
}

#[test]
fn t9_an_id_for_the_second_of_two_attempts_that_were_both_taken() {
    let setup = Setup { duplicates: Duplicates::Charges, ..probing("T9") };
    let story = [Claim(A), Execute(A), TimeOut(A), Tick, Probe(A), Execute(A), Deliver(A)];
    let life = after(&setup, &story, A);
    assert_eq!((life.state, life.charged, life.presumed), (State::Ordered, 1, 1));
}

#[test]
fn t10_no_probe_of_a_key_that_was_ordered_before() {
    let setup = Setup { recheck: true, finishes: true, polls: true, ..probing("T10") };
    let done = [Claim(A), Execute(A), Deliver(A), Finish(2, ProviderStatus::Completed), Poll(A)];
    let story = [&done[..], &[Drop, Claim(A2), TimeOut(A2), Tick]].concat();
    nothing_comes_of(&setup, &story, Probe(A2));
}

#[test]
fn t11_a_kill_with_an_order_on_its_way_leaves_a_doubt() {
    let life = after(&probing("T11"), &[Claim(A), Execute(A), Crash], A);
    assert_eq!((life.state, life.unaccounted), (State::InDoubt, 1));
}

#[test]
fn t12_a_truthful_not_ordered_while_the_request_is_on_the_wire() {
    let setup = probing("T12");
    nothing_comes_of(&setup, &[Claim(A), TimeOut(A)], SayNotOrdered(A));
    let life = after(&setup, &[Claim(A), TimeOut(A), Tick, SayNotOrdered(A)], A);
    assert_eq!((life.state, life.inferred), (State::Queued, 1));
}

#[test]
fn t13_a_cancelled_order_with_a_released_attempt_makes_no_room() {
    let setup = Setup { late: true, ..probing("T13") };
    let story = [Claim(A), TimeOut(A), Tick, SayNotOrdered(A), SayCancel(A)];
    nothing_comes_of(&setup, &story, Drop);
}

#[test]
fn t14_an_order_that_the_restored_copy_lacks() {
    let setup = Setup { arrives: true, ..probing("T14") };
    let story = [Backup, Drop, Claim(A), Execute(A), Restore, Tick, Resume, Drop, Claim(A), Exists(A)];
    let life = after(&setup, &story, A);
    assert_eq!((life.state, life.presumed, life.charged), (State::OrderedNoId, 1, 0));
}

#[test]
fn t15_an_exports_row_leaves_the_other_attempt_presumed() {
    let story = [Claim(A), Execute(A), TimeOut(A), Tick, Probe(A), TimeOut(A), Export(2)];
    let life = after(&probing("T15"), &story, A);
    assert_eq!((life.state, life.charged, life.presumed), (State::OrderedNoId, 1, 1));
    // One by hand, from before its first attempt, is not this order's.
    let setup = Setup { lists: Lists::Fresh, other: true, ..probing("T15") };
    let story = [ByHand, Claim(B), Execute(B), Deliver(B), Claim(A), TimeOut(A), Tick];
    for evidence in [list(3), Export(3)] {
        let life = after(&setup, &[&story[..], &[evidence]].concat(), A);
        assert_eq!((life.state, life.unaccounted), (State::InDoubt, 1), "{evidence:?}");
    }
}

#[test]
fn t16_an_id_of_the_newer_of_two_orders_is_the_newer_ones() {
    let setup = Setup {
        lists: Lists::Fresh,
        duplicates: Duplicates::Charges,
        recheck: true,
        finishes: true,
        polls: true,
        ..probing("T16")
    };
    let done = [Claim(A), Execute(A), Deliver(A), Finish(2, ProviderStatus::Completed), Poll(A)];
    let story = [&done[..], &[Drop, Claim(A2), Execute(A2), TimeOut(A2), Tick, list(3)]].concat();
    let (older, newer) = (after(&setup, &story, A), after(&setup, &story, A2));
    assert_eq!((older.state, older.charged), (State::Completed, 1));
    assert_eq!((newer.state, newer.charged), (State::Ordered, 1));
}

#[test]
fn t17_one_id_for_two_attempts_that_are_unaccounted_for() {
    let setup = Setup { duplicates: Duplicates::Charges, ..probing("T17") };
    let told = Garbled { slot: A, told: true };
    let story = [Claim(A), Execute(A), TimeOut(A), Tick, Probe(A), Execute(A), told, LookUp(A)];
    let life = after(&setup, &story, A);
    assert_eq!((life.state, life.charged, life.presumed), (State::Ordered, 1, 1));
}

#[test]
fn t18_no_probe_while_an_older_copy_pauses_all() {
    let setup = probing("T18");
    let story = [Claim(A), TimeOut(A), Backup, Restore, Tick];
    nothing_comes_of(&setup, &story, Probe(A));
    let life = after(&setup, &[&story[..], &[Resume, Probe(A)]].concat(), A);
    assert_eq!(life.state, State::Submitting);
}

#[test]
fn a_doubt_without_a_later_order_of_ours_is_held_in_the_end() {
    let setup = Setup { other: false, ..Setup::lists("no witness", Lists::Fresh) };
    let story = [Claim(A), TimeOut(A), Tick, list(1), Tick, list(1), Tick, list(1), Tick, Hold(A)];
    let life = after(&setup, &story, A);
    assert_eq!((life.state, life.unaccounted), (State::Held, 1));
}
