//! Listings, balances and exports, and the facts that the journal computes of them: true to what the provider shows,
//! and to nothing else.

use imeid::order::{Absence, BalanceFacts, Event, Exported, KeyFacts, NoIdFacts, State};
use imeid::types::ProviderStatus;

use super::actions::{self, Action};
use super::run::Ctx;
use super::setup::{Balance, Lists};
use super::world::{A, A2, KEY, SLOTS, Sold, Tracked, Verdict, World, id};

/// What could be read now.
pub(crate) fn readings(ctx: &Ctx<'_>, world: &World, out: &mut Vec<Action>) {
    let all = actions::sold(world);
    match ctx.setup.lists {
        Lists::No => {}
        Lists::Cached => out.extend((0..=all).map(|upto| Action::List { upto, without: 0 })),
        Lists::Patchy => {
            out.push(Action::List { upto: all, without: 0 });
            let young = |(_, sold): &(u8, &Sold)| sold.key < 2 && sold.at.saturating_add(1) >= world.tick;
            let young = (1..=all).zip(&world.sold).filter(young);
            out.extend(young.map(|(id, _)| Action::List { upto: all, without: id }));
        }
        Lists::Fresh | Lists::Filtered | Lists::Cut(_) => out.push(Action::List { upto: all, without: 0 }),
    }
    if actions::tells_balance(ctx) {
        let paid = paid(world);
        match ctx.setup.balance {
            Balance::None => {}
            Balance::Prompt => out.push(Action::Balance(paid)),
            Balance::Late => out.extend((0..=paid).map(Action::Balance)),
            Balance::Shared => out.extend((0..=paid.saturating_add(1)).map(Action::Balance)),
        }
    }
    if world.budget.exports > 0 {
        let from = if ctx.setup.old_exports { 0 } else { all };
        out.extend((from..=all).map(Action::Export));
    }
}

/// How many orders of the story are paid out of the balance.
fn paid(world: &World) -> u8 {
    let paid = world.sold.iter().filter(|s| s.key < 2 && s.status != ProviderStatus::Rejected).count();
    u8::try_from(paid).unwrap_or(u8::MAX)
}

/// What is known of the key beside this order.
pub(crate) fn key_facts(world: &World, slot: usize) -> KeyFacts {
    let earlier = if slot == A2 { world.order(A) } else { None };
    KeyFacts {
        others_unproven: earlier.is_some_and(|order| order.life.unproven() > 0),
        others_presumed: earlier.is_some_and(|order| order.life.presumed > 0),
        earlier_order: earlier.is_some_and(|order| order.life.charged > 0),
        was_copy: world.ours.was_copy,
    }
}

/// What a listing or an export shows.
struct View<'a> {
    world: &'a World,
    shown: Vec<(u8, Sold)>,
}

impl View<'_> {
    fn ids_of_ours(&self) -> impl Iterator<Item = (u8, Sold)> {
        self.shown.iter().copied().filter(|(id, _)| self.world.is_ours(*id))
    }

    /// Orders that can be this one: its key, of no order of ours, above what we knew at its first unproven attempt.
    fn can_be(&self, slot: usize, known: u8) -> Vec<(u8, Sold)> {
        let key = KEY.get(slot).copied();
        let fits =
            |(id, sold): &&(u8, Sold)| Some(sold.key) == key && *id > known && !self.world.is_ours(*id);
        self.shown.iter().filter(fits).copied().collect()
    }

    /// When the latest-begun order of ours in it was begun.
    fn freshest(&self) -> Option<u8> {
        let slot =
            |id: u8| self.world.ours.charges.iter().find(|(known, _)| *known == id).and_then(|(_, of)| *of);
        let begun = |order: &Tracked| {
            let taken = order.attempts.iter().filter(|a| a.verdict == Verdict::Taken && !a.assumed);
            taken.map(|a| a.begun).max()
        };
        self.ids_of_ours().filter_map(|(id, _)| self.world.order(slot(id)?).and_then(begun)).max()
    }

    /// What this tells of an order that isn't in it; `twice` left for whoever remembers the first time.
    fn absence(&self, slot: usize, known: u8) -> Absence {
        let quiet_until = self.world.order(slot).map_or(u8::MAX, |order| order.since.saturating_add(1));
        let reach = self.ids_of_ours().map(|(id, _)| id).filter(|id| *id <= known).max();
        let newest = self.shown.iter().map(|(id, _)| *id).max().unwrap_or(0);
        let finished = self.ids_of_ours().any(|(_, sold)| sold.status != ProviderStatus::Pending);
        let shows = |id: u8| self.shown.iter().any(|(shown, _)| *shown == id);
        let span = reach.unwrap_or(0)..=newest;
        let all =
            self.world.ours.charges.iter().filter(|(id, _)| span.contains(id)).all(|(id, _)| shows(*id));
        Absence {
            twice: false,
            whole: finished && all,
            reaches_back: reach.is_some(),
            fresh: self.freshest().is_some_and(|begun| begun >= quiet_until),
        }
    }
}

impl View<'_> {
    /// What this tells of the others of an order's attempts, where its id is known: that one must be in it.
    fn absence_beside(&self, slot: usize, known: u8) -> Absence {
        let absence = self.absence(slot, known);
        let own = self.world.ours.charges.iter().filter(|(_, of)| *of == Some(slot));
        let shows = |id: u8| self.shown.iter().any(|(shown, _)| *shown == id);
        let all = own.clone().all(|(id, _)| shows(*id));
        Absence { whole: absence.whole && all, ..absence }
    }
}

fn view<'a>(world: &'a World, upto: u8, without: u8, lists: Lists) -> View<'a> {
    let mut shown: Vec<(u8, Sold)> = (1..=upto).zip(world.sold.iter().copied()).collect();
    shown.retain(|(id, _)| *id != without);
    match lists {
        Lists::Filtered => shown.retain(|(_, sold)| sold.status == ProviderStatus::Pending),
        Lists::Cut(last) => drop(shown.drain(..shown.len().saturating_sub(last))),
        _ => {}
    }
    View { world, shown }
}

/// Judges a listing, as the journal does: a doubt is found in it, or its absence noted.
pub(crate) fn list(ctx: &Ctx<'_>, world: &mut World, upto: u8, without: u8) -> bool {
    let unsure = |order: &Tracked| seeks(order) || order.lacks_an_id();
    if !world.ours.orders.iter().flatten().any(unsure) {
        return false;
    }
    let before = world.clone();
    let view = view(&before, upto, without, ctx.setup.lists);
    for slot in 0..SLOTS {
        let Some(order) = before.order(slot) else { continue };
        let Some(known) = order.first_unproven().or_else(|| order.first_cleared()) else { continue };
        let can_be = view.can_be(slot, known);
        // What can be an older order's, whose charge is booked without an id, tells nothing.
        let unnamed = |older: &Tracked| older.life.id.is_none() && older.life.charged > 0;
        if slot == A2 && !can_be.is_empty() && before.order(A).is_some_and(unnamed) {
            continue;
        }
        if order.life.id.is_some() {
            beside_its_id(ctx, world, slot, &can_be, view.absence_beside(slot, known));
        } else if seeks(order) && !can_be.is_empty() {
            let ids = can_be.iter().map(|(found, _)| id(*found)).collect();
            world.must_tell(ctx, slot, &Event::Listed(ids));
            if let [(_, one)] = can_be[..]
                && world.state(slot) == Some(State::Ordered)
            {
                world.must_tell(ctx, slot, &Event::Status(one.status));
            }
        } else if order.life.state == State::InDoubt {
            absent(ctx, world, slot, view.absence(slot, known), Event::Absent);
        }
    }
    world.ours.listed_at = Some(world.tick);
    true
}

/// In doubt, ordered or held without an id, and queued after a release.
fn seeks(order: &Tracked) -> bool {
    order.life.id.is_none()
        && match order.life.state {
            State::InDoubt | State::OrderedNoId | State::Held => true,
            State::Queued => order.life.inferred > 0,
            _ => false,
        }
}

/// An order whose id is known, with others of its attempts unproven: a second id is booked for the newest order that it
/// can be, none clears what is presumed.
fn beside_its_id(ctx: &Ctx<'_>, world: &mut World, slot: usize, can_be: &[(u8, Sold)], absence: Absence) {
    let is_presumed = |world: &World| world.order(slot).is_some_and(|order| order.life.presumed > 0);
    let lacks_an_id = |world: &World| world.order(slot).is_some_and(Tracked::lacks_an_id);
    for (second, _) in can_be {
        if lacks_an_id(world) && !(slot == A && can_be_newer(world, *second)) {
            world.must_tell(ctx, slot, &Event::LateId(id(*second)));
            // One that was made since and never sent would be paid on top of it.
            let is_unsent = |newer: &Tracked| newer.life.state == State::Queued && newer.life.unproven() == 0;
            if slot == A && world.order(A2).is_some_and(is_unsent) {
                world.must_tell(ctx, A2, &Event::Superseded);
            }
        }
    }
    let on_its_way = world.state(slot) == Some(State::Submitting);
    if can_be.is_empty() && is_presumed(world) && !on_its_way {
        if absence.twice {
            world.tell(ctx, slot, &Event::Cleared(absence));
        } else {
            absent(ctx, world, slot, absence, Event::Cleared);
        }
    }
}

/// Whether an id can be A's newer order's.
fn can_be_newer(world: &World, id: u8) -> bool {
    let begun_below = |order: &Tracked| order.attempts.iter().any(|attempt| attempt.known < id);
    world.order(A2).is_some_and(|order| order.lacks_an_id() && begun_below(order))
}

/// The first absence is noted, the second a quiet period later is told.
fn absent(ctx: &Ctx<'_>, world: &mut World, slot: usize, absence: Absence, event: fn(Absence) -> Event) {
    let noted = world.order(slot).and_then(|order| order.absent_since);
    let twice = noted.is_some_and(|at| at < world.tick);
    if world.tell(ctx, slot, &event(Absence { twice, ..absence })) {
        return;
    }
    // It counts as the first one where a second one like it would prove it.
    let counts = (ctx.step)(&world.life(slot), &event(Absence { twice: true, ..absence })).is_ok();
    let now = world.tick;
    if let Some(order) = world.order_mut(slot).filter(|_| counts && noted.is_none() && !twice) {
        order.absent_since = Some(now);
    }
}

/// Compares the balance with the books: it accuses, it never acquits.
pub(crate) fn balance(ctx: &Ctx<'_>, world: &mut World, fell_by: u8) -> bool {
    let orders: Vec<&Tracked> = world.ours.orders.iter().flatten().collect();
    let refunded: u32 =
        orders.iter().filter(|o| o.life.state == State::Rejected).map(|o| o.life.charged).sum();
    let charged: u32 = orders.iter().map(|o| o.life.charged + o.life.presumed).sum();
    let doubtful: u32 = orders.iter().map(|o| o.life.unaccounted).sum();
    let known = charged.saturating_sub(refunded);
    let unquiet = |slot: usize| world.state(slot) == Some(State::InDoubt) && !world.quiet_over(slot);
    let in_flight = world.requests.iter().any(|r| r.awaited || r.begun == world.tick);
    let just_sent = orders.iter().flat_map(|o| &o.attempts).any(|a| a.begun == world.tick);
    let at_rest = !in_flight && !just_sent && !(0..SLOTS).any(unquiet);
    let mut told = false;
    for slot in 0..SLOTS {
        let facts = BalanceFacts {
            quiet_over: world.quiet_over(slot),
            can_list: ctx.setup.can_list(),
            at_rest,
            fell_by_all: doubtful > 0 && u32::from(fell_by) == known.saturating_add(doubtful),
        };
        told |= match world.state(slot) {
            Some(State::InDoubt) => world.tell(ctx, slot, &Event::BalanceFell(facts)),
            Some(State::OrderedNoId) if at_rest && u32::from(fell_by) < known => {
                let facts = NoIdFacts { balance_contradicts: true, can_list: true, too_old: false };
                world.tell(ctx, slot, &Event::HoldNoId(facts))
            }
            _ => false,
        };
    }
    told
}

/// Holds the provider's export against the orders that wait for evidence, and against those that were never sent.
pub(crate) fn export(ctx: &Ctx<'_>, world: &mut World, upto: u8) -> bool {
    let before = world.clone();
    let view = view(&before, upto, 0, Lists::Fresh);
    for slot in 0..SLOTS {
        let Some(order) = before.order(slot) else { continue };
        // A row goes to the newest order of the key that it can be.
        if slot == A && before.order(A2).is_some() {
            continue;
        }
        let Some(known) = order.first_unproven() else {
            if slot == A2 && stands_for_older(&before) {
                older_is_shown(ctx, world, &view);
                continue;
            }
            not_ours(ctx, world, slot, &view.can_be(slot, 0));
            continue;
        };
        // A row that can be an older order's, whose charge is booked without an id, settles nothing.
        if slot == A2 && before.order(A).is_some_and(|older| older.life.charged > older.life.named) {
            continue;
        }
        let can_be = view.can_be(slot, known);
        if order.life.id.is_some() {
            // It is one look; made two quiet periods later, it is as good as two that are one apart.
            let twice = view.freshest().is_some_and(|begun| begun > order.since.saturating_add(1));
            beside_its_id(ctx, world, slot, &can_be, Absence { twice, ..view.absence_beside(slot, known) });
        } else if !order.life.state.is_final() || order.life.state == State::Cancelled {
            let exported = match can_be[..] {
                [] => continue,
                [(_, one)] => Exported::One(one.status),
                _ => Exported::Several,
            };
            world.must_tell(ctx, slot, &Event::Exported(exported));
        }
        if let Some(event) = counted(&before, &view, slot, known) {
            world.tell(ctx, slot, &event);
        }
    }
    true
}

/// Of an order without an id, the only one of its key, whose charge an earlier export told of: how many rows there are of
/// its key, whoever made them. Nothing is read of one from before its attempts, or where one of those was entered only.
fn counted(before: &World, view: &View<'_>, slot: usize, known: u8) -> Option<Event> {
    let order = before.order(slot)?;
    let has_others = (0..SLOTS)
        .any(|other| other != slot && KEY.get(other) == KEY.get(slot) && before.order(other).is_some());
    let is_entered = order.attempts.iter().any(|a| a.assumed && a.verdict != Verdict::Cleared);
    let is_presumed = order.life.id.is_none() && order.life.charged > 0 && order.life.presumed > 0;
    let rows = view.shown.iter().filter(|(_, sold)| Some(&sold.key) == KEY.get(slot));
    if !is_presumed || has_others || is_entered || rows.clone().any(|(id, _)| *id <= known) {
        return None;
    }
    // It is one look, as for one whose id is known.
    let twice = view.freshest().is_some_and(|begun| begun > order.since.saturating_add(1));
    let absence = Absence { twice, ..view.absence(slot, known) };
    Some(Event::Counted { rows: u32::try_from(rows.count()).unwrap_or(u32::MAX), absence })
}

/// Whether A was made anew, was never sent, and what was sent of it before was only taken as not ordered.
fn stands_for_older(world: &World) -> bool {
    let is_unsent =
        world.order(A2).is_some_and(|newer| newer.life.state == State::Queued && newer.life.unproven() == 0);
    is_unsent && world.order(A).is_some_and(|older| older.retried && older.life.inferred > 0)
}

/// Then it takes the row of what was sent before, and isn't sent.
fn older_is_shown(ctx: &Ctx<'_>, world: &mut World, view: &View<'_>) {
    let Some(known) = world.order(A).and_then(Tracked::first_unproven) else { return };
    let exported = match view.can_be(A, known)[..] {
        [] => return,
        [(_, one)] => Exported::Older(one.status),
        _ => Exported::Several,
    };
    world.must_tell(ctx, A2, &Event::Exported(exported));
}

/// A finished row of no order of ours answers an order that was never sent, or that was ordered elsewhere.
fn not_ours(ctx: &Ctx<'_>, world: &mut World, slot: usize, rows: &[(u8, Sold)]) {
    let asks = matches!(world.state(slot), Some(State::Queued | State::OrderedElsewhere | State::Submitting));
    let finished = rows.iter().rev().find(|(_, sold)| sold.status != ProviderStatus::Pending);
    if let Some((_, row)) = finished.filter(|_| asks) {
        world.must_tell(ctx, slot, &Event::Exported(Exported::One(row.status)));
    }
}
