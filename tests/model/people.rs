//! What people do: an operator's words, files that are dropped, copies that are restored.

use imeid::order::{Effect, Event, State, Word};

use super::actions::{at_end, sold, spend};
use super::run::Ctx;
use super::setup::Words;
use super::wire::{disconnect, key_of};
use super::world::{A, A2, SLOTS, Tracked, World, id};

pub(crate) fn say(ctx: &Ctx<'_>, world: &mut World, slot: usize, word: Word) -> bool {
    spend(&mut world.budget.words) && {
        let before = world.ours.clone();
        world.tell(ctx, slot, &Event::Word(word)) && world.ours != before
    }
}

pub(crate) fn say_id(ctx: &Ctx<'_>, world: &mut World, slot: usize, said: u8) -> bool {
    let theirs = world.ours.charges.iter().any(|(known, of)| *known == said && *of != Some(slot));
    let fits = world.sold.get(usize::from(said).saturating_sub(1)).is_some_and(|s| s.key == key_of(slot));
    // The function can't tell whether it is not an older order's, whose charge an export told of.
    let older = slot == A2 && world.order(A).is_some_and(|older| older.life.charged > older.life.named);
    // What is given up was asked after for days: an id that is another's was disproved by then.
    if super::actions::told_of(world, slot).is_some_and(|sold| sold.key != key_of(slot)) {
        return false;
    }
    let booked = world.is_ours(said);
    let word = Word::OrderId { id: id(said), quiet_over: world.quiet_over(slot), booked };
    fits && !theirs && !older && say(ctx, world, slot, word)
}

pub(crate) fn say_not_ordered(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    if !may_deny(ctx, world, slot) {
        return false;
    }
    let quiet_over = world.quiet_over(slot);
    let said = say(ctx, world, slot, Word::NotOrdered { quiet_over });
    if let Some(order) = world.order_mut(slot).filter(|_| said) {
        order.words = order.words.saturating_add(1);
    }
    said
}

/// Whether someone says that what isn't booked was not ordered: where words are true he has looked.
fn may_deny(ctx: &Ctx<'_>, world: &World, slot: usize) -> bool {
    let key = key_of(slot);
    let is_its = |id: u8| world.booked_for(id).is_some_and(|of| key_of(of) == key);
    let there = (1..=sold(world)).zip(&world.sold).any(|(id, sold)| sold.key == key && !is_its(id));
    !there || ctx.setup.words != Words::True
}

pub(crate) fn say_retry(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    let life = world.life(slot);
    let not_charged = life.state == State::Cancelled && life.inferred > 0;
    if not_charged && !may_deny(ctx, world, slot) {
        return false;
    }
    let word = Word::Retry { not_charged };
    let asks =
        (ctx.step)(&life, &Event::Word(word)).is_ok_and(|done| done.effects.contains(&Effect::NewOrder));
    if !asks || slot != A || world.order(A2).is_some() || world.ours.paused_at.is_some() {
        return false;
    }
    if !spend(&mut world.budget.words) || !world.tell(ctx, slot, &Event::Word(word)) {
        return false;
    }
    if let Some(order) = world.order_mut(slot) {
        order.retried = true;
    }
    queue_again(ctx, world)
}

fn is_live(ctx: &Ctx<'_>, order: &Tracked) -> bool {
    order.life.is_live(ctx.setup.recheck, order.retried)
}

fn queue_again(ctx: &Ctx<'_>, world: &mut World) -> bool {
    let new = Tracked::new(ctx.setup.max_attempts);
    let free = world.ours.orders.iter_mut().take(2).find(|place| place.is_none());
    free.map(|place| *place = Some(new)).is_some()
}

pub(crate) fn drop_again(ctx: &Ctx<'_>, world: &mut World) -> bool {
    let may = match (world.order(A), world.order(A2)) {
        (None, _) => ctx.setup.arrives,
        (Some(first), None) => ctx.setup.again && !is_live(ctx, first),
        _ => false,
    };
    may && world.ours.paused_at.is_none() && !at_end(ctx, world) && queue_again(ctx, world)
}

pub(crate) fn restore(ctx: &Ctx<'_>, world: &mut World) -> bool {
    let Some(copy) = world.copy.take() else { return false };
    if !spend(&mut world.budget.copies) || at_end(ctx, world) {
        return false;
    }
    for slot in 0..SLOTS {
        let had = world.order(slot).is_some();
        let has = copy.orders.get(slot).is_some_and(Option::is_some);
        if had
            && !has
            && let Some(lost) = world.lost_keys.get_mut(usize::from(key_of(slot)))
        {
            *lost = true;
        }
    }
    world.ours = *copy;
    world.ours.was_copy = true;
    world.ours.paused_at = Some(world.tick);
    disconnect(world);
    for slot in 0..SLOTS {
        if matches!(world.state(slot), Some(State::Queued | State::Submitting | State::InDoubt)) {
            world.must_tell(ctx, slot, &Event::Restored);
        }
    }
    true
}
