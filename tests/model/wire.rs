//! Requests, what the provider does with them, and what comes back.

use imeid::order::{Answer, Event, ProbeFacts, State};
use imeid::types::ProviderStatus;

use super::actions::{Refusal, at_end, may_send, sold, spend};
use super::evidence;
use super::run::Ctx;
use super::setup::Duplicates;
use super::world::{A2, KEY, Request, SLOTS, Sold, World, id};

pub(crate) fn tick(ctx: &Ctx<'_>, world: &mut World) -> bool {
    if at_end(ctx, world) {
        return false;
    }
    let now = world.tick;
    world.tick = now.saturating_add(1);
    // A request's time is never longer than a quiet period.
    let end = at_end(ctx, world);
    if world.requests.iter().any(|r| r.awaited && (end || r.begun < now)) {
        return false;
    }
    world.requests.retain(|r| r.awaited || (ctx.setup.late && r.taken.is_none()));
    true
}

pub(crate) fn sent(world: &mut World, slot: usize) -> bool {
    world.requests.push(Request { slot, awaited: true, taken: None, begun: world.tick });
    true
}

pub(crate) fn probe(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    // Whatever ids were told are looked up first.
    if !may_send(ctx, world) || world.order(slot).is_none_or(|order| !order.told.is_empty()) {
        return false;
    }
    let facts = ProbeFacts {
        quiet_over: world.quiet_over(slot),
        can_list: ctx.setup.can_list(),
        policy_probe: ctx.setup.probe,
        older_order: slot == A2,
        within: true,
    };
    world.tell(ctx, slot, &Event::Probe(facts)) && sent(world, slot)
}

pub(crate) fn has(world: &World, key: u8) -> bool {
    world.sold.iter().any(|sold| sold.key == key && sold.status != ProviderStatus::Rejected)
}

pub(crate) fn sell(world: &mut World, key: u8, ours: bool) -> bool {
    world.sold.push(Sold { key, ours, status: ProviderStatus::Pending, at: world.tick });
    true
}

pub(crate) fn key_of(slot: usize) -> u8 {
    KEY.get(slot).copied().unwrap_or(u8::MAX)
}

/// Whether the provider takes an order for the key now.
fn passes(ctx: &Ctx<'_>, world: &World, key: u8) -> bool {
    let same = |sold: &&Sold| sold.key == key && sold.status != ProviderStatus::Rejected;
    match ctx.setup.duplicates {
        Duplicates::Charges => true,
        Duplicates::Refuses => !has(world, key),
        Duplicates::Races => world.sold.iter().filter(same).all(|sold| sold.at == world.tick),
    }
}

pub(crate) fn execute(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    let key = key_of(slot);
    if !passes(ctx, world, key) {
        return false;
    }
    let next = sold(world).saturating_add(1);
    // The oldest first: given up ones sort before the awaited one.
    let open = world.requests.iter_mut().find(|r| r.slot == slot && r.taken.is_none());
    let Some(request) = open else { return false };
    request.taken = Some(next);
    sell(world, key, true)
}

/// Takes the request that we wait for out of the world.
fn answered(world: &mut World, slot: usize) -> Option<Request> {
    let at = world.requests.iter().position(|r| r.slot == slot && r.awaited)?;
    Some(world.requests.remove(at))
}

pub(crate) fn refused(ctx: &Ctx<'_>, world: &mut World, slot: usize, refusal: Refusal) -> bool {
    if !spend(&mut world.budget.refusals) || answered(world, slot).is_none_or(|r| r.taken.is_some()) {
        return false;
    }
    world.must_tell(ctx, slot, &Event::Answer(refusal.answer()));
    true
}

pub(crate) fn exists(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    if answered(world, slot).is_none_or(|r| r.taken.is_some())
        || ctx.setup.duplicates == Duplicates::Charges
        || !has(world, key_of(slot))
    {
        return false;
    }
    let key = evidence::key_facts(world, slot);
    world.must_tell(ctx, slot, &Event::Answer(Answer::AlreadyExists(key)));
    true
}

pub(crate) fn deliver(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    let Some(at) = world.requests.iter().position(|r| r.slot == slot && r.taken.is_some()) else {
        return false;
    };
    let request = world.requests.remove(at);
    let Some(taken) = request.taken else { return false };
    // What a listing has brought already is known.
    if request.awaited {
        // One id, one order: what is booked for another proves nothing.
        let is_anothers = world.booked_for(taken).is_some_and(|of| of != slot);
        let answer = if is_anothers { Answer::Unclear(Vec::new()) } else { Answer::Taken(id(taken)) };
        world.must_tell(ctx, slot, &Event::Answer(answer));
    } else if !world.is_ours(taken) {
        world.must_tell(ctx, slot, &Event::LateId(id(taken)));
    }
    true
}

pub(crate) fn deliver_other(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    let others =
        (1..=sold(world)).zip(&world.sold).filter(|(_, sold)| sold.key < 2 && sold.key != key_of(slot));
    // One that is booked already is known to be no answer.
    let Some(other) = others.map(|(id, _)| id).find(|id| !world.is_ours(*id)) else { return false };
    if !world.requests.iter().any(|r| r.slot == slot && r.awaited && r.taken.is_some()) {
        return false;
    }
    answered(world, slot);
    world.must_tell(ctx, slot, &Event::Answer(Answer::Taken(id(other))));
    true
}

pub(crate) fn garbled(ctx: &Ctx<'_>, world: &mut World, slot: usize, told: bool) -> bool {
    let Some(taken) = answered(world, slot).and_then(|request| request.taken) else { return false };
    let ids = if told { vec![id(taken)] } else { Vec::new() };
    world.must_tell(ctx, slot, &Event::Answer(Answer::Unclear(ids)));
    true
}

pub(crate) fn give_up(world: &mut World, slot: usize) {
    for request in world.requests.iter_mut().filter(|r| r.slot == slot) {
        request.awaited = false;
    }
}

pub(crate) fn crash(ctx: &Ctx<'_>, world: &mut World) -> bool {
    if !spend(&mut world.budget.crashes) {
        return false;
    }
    disconnect(world);
    for slot in 0..SLOTS {
        if world.state(slot) == Some(State::Submitting) {
            world.must_tell(ctx, slot, &Event::Lost);
        }
    }
    true
}

/// No answer reaches us any more; what is open may still be executed.
pub(crate) fn disconnect(world: &mut World) {
    world.requests.retain(|r| r.taken.is_none());
    for request in &mut world.requests {
        request.awaited = false;
    }
}

pub(crate) fn look_up(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    let Some(order) = world.order_mut(slot) else { return false };
    let told = std::mem::take(&mut order.told);
    let seeks = order.life.id.is_none();
    let found = told.iter().copied().find(|told| !world.is_ours(*told));
    if let Some(found) = found.filter(|_| seeks) {
        world.must_tell(ctx, slot, &Event::LateId(id(found)));
    }
    !told.is_empty()
}

pub(crate) fn finish(world: &mut World, id: u8, status: ProviderStatus) -> bool {
    let Some(sold) = world.sold.get_mut(usize::from(id).saturating_sub(1)) else { return false };
    let flips = sold.status != ProviderStatus::Pending;
    let changed = sold.status != status;
    sold.status = status;
    let key = sold.key;
    // Two that both stand after one was given back are the provider's own doing.
    let stands = |sold: &&Sold| sold.key == key && sold.status != ProviderStatus::Rejected;
    let alone = world.sold.iter().filter(stands).count() < 2;
    changed && key < 2 && (!flips || alone && spend(&mut world.budget.flips))
}
