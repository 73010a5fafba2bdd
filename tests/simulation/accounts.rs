//! Random worlds with two accounts: a person configures the one, the other, and the one again, with orders open.

use imeid::simulator::Change;

use super::world::accounts::Other;
use super::world::clearing::file;
use super::world::together::side_by_side;
use super::world::{World, oracle};
use super::{LOSSES, change, come_to_rest, crash, end_faults, in_world, live_and_end, number, seconds};

/// How many of them there are.
const WORLDS: u64 = 40;

/// One world in which the account is changed several times, and each comes to rest at last. How many orders were open as
/// their account went.
fn run_with_two_accounts(seed: u64) -> usize {
    in_world(seed, |world, rng, kind| {
        let (mut other, mut left_open) = (Other::of(world), 0);
        for stint in 0..rng.u32(2..6) {
            let before = oracle::of_other_accounts(world);
            let acts = rng.usize(5..30);
            live_and_end(world, rng, kind, acts, World::check_account);
            crash(world);
            leave_some_open(world, stint);
            assert_eq!(oracle::of_other_accounts(world), before, "another account's orders were changed");
            left_open += oracle::open(world);
            world.crash();
            world.change_account(&mut other);
            crash(world);
            change(world, LOSSES, Change::default());
        }
        for _ in 0..2 {
            let before = oracle::of_other_accounts(world);
            end_faults(world);
            come_to_rest(world, World::check_account, oracle::is_account_at_rest);
            assert!(oracle::is_account_at_rest(world), "something isn't settled");
            assert_eq!(oracle::of_other_accounts(world), before, "another account's orders were changed");
            assert_eq!(world.stop(seconds(130)), Ok(()));
            world.change_account(&mut other);
            crash(world);
        }
        world.check_account();
        left_open
    })
}

/// Orders are sent, and some of the answers lost, just before the account goes.
fn leave_some_open(world: &mut World, stint: u32) {
    change(world, "drop-after=1x,drop-before=1x", Change::default());
    let first = 10_000 + 10 * stint;
    world.drop_file(file(world.knobs.account, stint, first..first + 6));
    for _ in 0..6 {
        assert_eq!(world.turn().and_then(|()| world.pass(seconds(2))), Ok(()));
    }
}

#[test]
fn what_one_account_tells_changes_no_order_of_another() {
    let from = number("IMEID_FROM").unwrap_or(3_000);
    let seeds = number("IMEID_SEED")
        .map_or(from..from + number("IMEID_SEEDS").unwrap_or(WORLDS), |seed| seed..seed + 1);
    let worlds = seeds.end - seeds.start;
    let left_open = side_by_side(seeds, run_with_two_accounts);
    let left_open = left_open.into_iter().filter(|orders| *orders > 0).count();
    assert!(worlds < WORLDS || left_open > 20, "orders were left open in {left_open} worlds");
}
