//! What must hold in every world.

use imeid::order::{Event, State};
use imeid::types::ProviderStatus;

use super::actions;
use super::run::Ctx;
use super::world::{SLOTS, Sold, Tracked, World};

/// A property, by DOUBT's letters where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Property {
    /// S1: never two charges of a key by our doing, but for one that was given back.
    PaidTwice,
    /// S2: what was taken is charged, reserved, presumed or at least inferred somewhere; never forgotten.
    Forgotten,
    /// S3: charged + reserved + presumed cover every charge.
    Uncovered,
    /// S4: nothing is reported as charged that wasn't.
    ChargedForNothing,
    /// L: at the end every order has ended, is held, waits unsent, or can still be told something.
    Stuck,
    /// L: what is unaccounted for is on its way, in doubt, or a person's: nobody looks after it elsewhere.
    Invisible,
    /// L: an order is sent no more often than `max_attempts` and a person's words allow.
    Endless,
    /// The daemon did what the table has no row for, or the books and the order disagree.
    Fault,
}

/// Which properties this world breaks.
pub(crate) fn broken(ctx: &Ctx<'_>, world: &World) -> Vec<Property> {
    let mut broken = Vec::new();
    let mut check = |fails: bool, property: Property| {
        if fails {
            broken.push(property);
        }
    };
    for key in 0..2u8 {
        let sums = Sums::of(world, key);
        check(sums.paid > 1, Property::PaidTwice);
        // What a copy never knew it can't book; but it must not say that it isn't ours.
        let lost = world.lost_keys.get(usize::from(key)).copied().unwrap_or(false);
        if !lost || sums.elsewhere {
            check(sums.taken > sums.covered.saturating_add(sums.inferred), Property::Forgotten);
            check(sums.to_cover > sums.covered, Property::Uncovered);
        }
        check(sums.charged > sums.there, Property::ChargedForNothing);
    }
    let mut orders = world.ours.orders.iter().flatten();
    check(
        orders.clone().any(|order| order.sent() > order.life.max_attempts + u32::from(order.words)),
        Property::Endless,
    );
    check(orders.clone().any(is_invisible), Property::Invisible);
    check((0..SLOTS).any(|slot| is_stuck(ctx, world, slot)), Property::Stuck);
    check(world.fault.is_some() || !orders.all(Tracked::books_agree), Property::Fault);
    check((0..SLOTS).any(|slot| world.life(slot).named != named(world, slot)), Property::Fault);
    broken.dedup();
    broken
}

/// Ids that are booked for an order.
fn named(world: &World, slot: usize) -> u32 {
    let booked = world.ours.charges.iter().filter(|(_, of)| *of == Some(slot));
    u32::try_from(booked.count()).unwrap_or(u32::MAX)
}

fn is_invisible(order: &Tracked) -> bool {
    let watched =
        matches!(order.life.state, State::Submitting | State::InDoubt | State::Held | State::Cancelled);
    order.life.unaccounted > 0 && !watched
}

/// A key's orders, at the provider and in our books.
struct Sums {
    /// Taken from us, and not given back.
    paid: u32,
    /// Taken from us.
    taken: u32,
    /// Those but such as were given back before we knew of them.
    to_cover: u32,
    /// Taken from anyone.
    there: u32,
    charged: u32,
    covered: u32,
    inferred: u32,
    /// An order of the key is said not to be ours.
    elsewhere: bool,
}

impl Sums {
    fn of(world: &World, key: u8) -> Self {
        let count = |fits: &dyn Fn(bool, ProviderStatus) -> bool| {
            let sold = world.sold.iter().filter(|sold| sold.key == key && fits(sold.ours, sold.status));
            u32::try_from(sold.count()).unwrap_or(u32::MAX)
        };
        let to_cover = |(id, sold): &(u8, &Sold)| {
            let back = sold.status == ProviderStatus::Rejected && !world.is_ours(*id);
            sold.key == key && sold.ours && !back
        };
        let mut sums = Self {
            paid: count(&|ours, status| ours && status != ProviderStatus::Rejected),
            taken: count(&|ours, _| ours),
            to_cover: u32::try_from((1..).zip(&world.sold).filter(to_cover).count()).unwrap_or(u32::MAX),
            there: count(&|_, _| true),
            charged: 0,
            covered: 0,
            inferred: 0,
            elsewhere: false,
        };
        for slot in (0..SLOTS).filter(|slot| super::world::KEY.get(*slot) == Some(&key)) {
            let life = world.life(slot);
            let in_flight = u32::from(life.state == State::Submitting);
            sums.charged += life.charged;
            sums.covered += life.charged + life.unaccounted + life.presumed + in_flight;
            sums.inferred += life.inferred;
            sums.elsewhere |= life.state == State::OrderedElsewhere;
        }
        sums
    }
}

/// At the end, with nothing more to come from the provider, it is neither final nor held nor unsent, and the daemon has
/// nothing to tell it that would bring it there.
fn is_stuck(ctx: &Ctx<'_>, world: &World, slot: usize) -> bool {
    let Some(order) = world.order(slot) else { return false };
    if !actions::at_end(ctx, world) {
        return false;
    }
    let event = match order.life.state {
        State::InDoubt => Event::Hold(actions::hold_facts(ctx, world, slot)),
        State::OrderedNoId => Event::HoldNoId(actions::no_id_facts(ctx, world)),
        State::Ordered => Event::GiveUp,
        // The end comes only when no request is on its way.
        State::Submitting => return true,
        _ => return false,
    };
    (ctx.step)(&order.life, &event).map_or(true, |done| !matches!(done.order.state, State::Held))
}
