//! What happens in a random world, one thing after the other.

use std::time::Duration;

use fastrand::Rng;
use imeid::journal::Said;
use imeid::simulator::{Account, Change, Entry, EntryKind};
use imeid::types::Money;

use super::kinds::{Kind, faults, knobs};
use super::seconds;
use super::world::life::Units;
use super::world::points::{self, Crashed};
use super::world::{Knobs, World, files};

/// One random thing that people, the provider or the machine do.
pub(super) fn act(world: &mut World, rng: &mut Rng, kind: Kind) -> Result<(), Crashed> {
    let (most_files, stock) = kind.stock();
    match rng.u8(0..40) {
        0..=5 if world.dropped.len() < most_files => {
            let rows = rng.usize(1..12);
            let file = files::random(rng, world.dropped.len(), rows, stock);
            world.drop_file(file);
        }
        7..=9 if kind.is_calm() && world.has_operator => world.say_something(rng)?,
        n if kind.is_calm() && n > 6 => pass(world, rng, kind)?,
        6 => return Err(Crashed),
        7 => points::stop_at(rng.usize(1..60)),
        8 => {
            // Where even the usual drain is too short, calls are given up.
            world.stop(seconds(rng.choice([0, 3, 130]).unwrap()))?;
            world.start()?;
        }
        9 => {
            let Knobs { canary, list_recent, per_day, account, .. } = world.knobs.clone();
            world.knobs = Knobs { canary, list_recent, per_day, account, ..knobs(rng, false) };
            world.note(format!("reload {:?}", world.knobs));
            let config = world.config();
            world.life.as_mut().map_or(Ok(()), |life| life.reload(config))?;
        }
        10 | 11 => change(world, &faults(rng), Change::default()),
        12 => {
            let account = rng.choice([Account::Ok, Account::NotActive]).unwrap();
            let maintenance = Some(rng.u8(0..3) == 0);
            change(world, &faults(rng), Change { account: Some(account), maintenance, ..Change::default() });
        }
        13 => {
            let credit = rng.choice([0, 100_000, 100_000_000]).map(Money::from_micros);
            change(world, &faults(rng), Change { credit, ..Change::default() });
        }
        14 => {
            let hours = rng.choice([-24, -1, 1, 30, 21 * 24]).unwrap();
            world.jump(hours);
        }
        15 => {
            let unreachable = rng.bool();
            world.note(format!("unreachable {unreachable}"));
            world.wire.set_unreachable(unreachable);
        }
        16 => {
            let service = files::SERVICES[rng.usize(0..files::SERVICES.len())];
            world.wire.order_by_hand(files::imei(rng.u32(0..stock)), service.network_id);
        }
        // What he says is true: an order that isn't wanted any more, and one that he found at the provider.
        17 => {
            let service = rng.usize(0..files::SERVICES.len());
            world.say(Said::Cancel, service, files::imei(rng.u32(0..stock)))?;
        }
        18 => {
            let ours = |entry: &Entry| {
                let order = entry.order.as_ref().filter(|_| entry.kind == EntryKind::Charge);
                order.is_some_and(|order| !world.wire.is_foreign(order.id))
            };
            let found: Vec<Entry> = world.wire.entries().into_iter().filter(ours).collect();
            if let Some(order) = rng.choice(found).and_then(|entry| entry.order) {
                let is_it = |service: &files::ServiceOf| service.network_id == order.network_id.0;
                let service = files::SERVICES.iter().position(is_it).unwrap();
                world.say(Said::OrderId(order.id.0), service, order.imei)?;
            }
        }
        19..=22 => world.say_something(rng)?,
        _ => pass(world, rng, kind)?,
    }
    let mut turn = || rng.u8(0..4) > 0;
    let units = Units {
        intake: turn(),
        submit: turn(),
        settle: turn(),
        poll: turn(),
        pauses: turn(),
        outbox: turn(),
        prune: true,
    };
    world.some_units(units)
}

fn pass(world: &mut World, rng: &mut Rng, kind: Kind) -> Result<(), Crashed> {
    let upto = rng.choice(kind.paces()).unwrap();
    world.pass(Duration::from_millis(rng.u64(1..=upto)))
}

/// Other faults from now on, and what else changes.
pub(super) fn change(world: &mut World, faults: &str, change: Change) {
    let Change { account, maintenance, credit, .. } = &change;
    world.note(format!(
        "the provider: faults {faults:?}, {account:?}, maintenance {maintenance:?}, credit {credit:?}"
    ));
    world.wire.change(&Change { faults: Some(faults.parse().unwrap()), ..change });
}
