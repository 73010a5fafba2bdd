//! What can happen next, and what then is.

use imeid::order::{Answer, Event, HoldFacts, NoIdFacts, State, Word};
use imeid::types::ProviderStatus;

use super::run::Ctx;
use super::setup::{Balance, Lists};
use super::world::{A, B, KEY, SLOTS, Sold, World};
use super::{evidence, people, wire};

/// Something that happens. Numbers are an order's slot, or an id at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A quiet period passes: what was given up before it is not executed any more, where the provider keeps to that.
    Tick,
    /// The gate lets it go, and its request leaves.
    Claim(usize),
    Probe(usize),
    /// The provider executes the oldest open request of the order.
    Execute(usize),
    /// An answer that says no comes back.
    Refused(usize, Refusal),
    /// "It exists already" comes back.
    Exists(usize),
    /// The answer with the id comes back; late, where nobody waits for it any more.
    Deliver(usize),
    /// It comes back with the id of another order.
    DeliverOther(usize),
    /// The answer comes back damaged; with the id in it where it says so.
    Garbled {
        slot: usize,
        told: bool,
    },
    /// No answer in time.
    TimeOut(usize),
    /// The daemon is killed and started again.
    Crash,
    /// An id that was told is looked up.
    LookUp(usize),
    /// The listing, as it was when the provider had so many orders; `without` one that isn't in it yet.
    List {
        upto: u8,
        without: u8,
    },
    /// The balance, read with so many orders paid out of it.
    Balance(u8),
    /// Too old, used up, or the policy.
    Hold(usize),
    HoldNoId(usize),
    /// The provider's export, as it was when it had so many orders.
    Export(u8),
    Poll(usize),
    /// A poll tells of another IMEI under its id.
    Disprove(usize),
    GiveUp(usize),
    /// The provider finishes an order, or changes how it finished.
    Finish(u8, ProviderStatus),
    SayId(usize, u8),
    SayNotOrdered(usize),
    SayCancel(usize),
    SayRetry(usize),
    /// A person orders A at the provider's site.
    ByHand,
    /// A's IMEI is dropped (again).
    Drop,
    Backup,
    Restore,
    Resume,
}

/// An answer that says: not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotSent,
    Throttled,
    Account,
    Credit,
    Maintenance,
    Service,
    Imei,
}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::Throttled,
        Self::Imei,
        Self::NotSent,
        Self::Account,
        Self::Credit,
        Self::Maintenance,
        Self::Service,
    ];

    pub(crate) fn answer(self) -> Answer {
        match self {
            Self::NotSent => Answer::NotSent,
            Self::Throttled => Answer::Throttled(None),
            Self::Account => Answer::Account,
            Self::Credit => Answer::Credit,
            Self::Maintenance => Answer::Maintenance,
            Self::Service => Answer::UnknownService,
            Self::Imei => Answer::InvalidImei,
        }
    }
}

/// Everything that can happen next, with the world after it.
pub(crate) fn all(ctx: &Ctx<'_>, world: &World, out: &mut Vec<(Action, World)>) {
    let mut could = Vec::new();
    candidates(ctx, world, &mut could);
    for action in could {
        let mut after = world.clone();
        if act(ctx, &mut after, action) && after != *world {
            tidy(&mut after);
            out.push((action, after));
        }
    }
}

fn candidates(ctx: &Ctx<'_>, world: &World, out: &mut Vec<Action>) {
    let setup = ctx.setup;
    out.push(Action::Tick);
    for slot in 0..SLOTS {
        let Some(order) = world.order(slot) else { continue };
        match order.life.state {
            State::Queued => out.push(Action::Claim(slot)),
            State::Submitting => {
                let kinds = if setup.every_refusal { 7 } else { 2 };
                let refusals = Refusal::ALL.into_iter().take(kinds);
                out.extend(refusals.map(|refusal| Action::Refused(slot, refusal)));
                out.extend([Action::Exists(slot), Action::TimeOut(slot)]);
                out.push(Action::Garbled { slot, told: false });
                if setup.tells_ids {
                    out.push(Action::Garbled { slot, told: true });
                }
            }
            State::InDoubt => out.extend([Action::Probe(slot), Action::Hold(slot)]),
            State::OrderedNoId => out.push(Action::HoldNoId(slot)),
            State::Ordered if setup.polls => out.push(Action::GiveUp(slot)),
            _ => {}
        }
        out.extend([Action::Execute(slot), Action::Deliver(slot), Action::LookUp(slot)]);
        if setup.polls {
            out.push(Action::Poll(slot));
        }
        if setup.swaps {
            out.extend([Action::DeliverOther(slot), Action::Disprove(slot)]);
        }
        if world.budget.words > 0 {
            out.extend([Action::SayNotOrdered(slot), Action::SayCancel(slot), Action::SayRetry(slot)]);
            out.extend((1..=sold(world)).map(|id| Action::SayId(slot, id)));
        }
    }
    if (0..SLOTS).any(|slot| world.state(slot) == Some(State::Submitting)) {
        out.push(Action::Crash);
    }
    evidence::readings(ctx, world, out);
    if setup.finishes {
        for id in 1..=sold(world) {
            out.push(Action::Finish(id, ProviderStatus::Completed));
            if setup.polls {
                out.push(Action::Finish(id, ProviderStatus::Rejected));
            }
        }
    }
    out.extend([Action::ByHand, Action::Drop, Action::Backup, Action::Restore, Action::Resume]);
}

/// How many orders the provider has.
pub(crate) fn sold(world: &World) -> u8 {
    u8::try_from(world.sold.len()).unwrap_or(u8::MAX)
}

/// Does it; false where it can't happen now.
fn act(ctx: &Ctx<'_>, world: &mut World, action: Action) -> bool {
    match action {
        Action::Tick => wire::tick(ctx, world),
        Action::Claim(slot) => {
            let is_there = slot != B || world.tick >= ctx.setup.other_from;
            is_there
                && may_send(ctx, world)
                && world.tell(ctx, slot, &Event::Claim)
                && wire::sent(world, slot)
        }
        Action::Probe(slot) => wire::probe(ctx, world, slot),
        Action::Execute(slot) => wire::execute(ctx, world, slot),
        Action::Refused(slot, refusal) => wire::refused(ctx, world, slot, refusal),
        Action::Exists(slot) => wire::exists(ctx, world, slot),
        Action::Deliver(slot) => wire::deliver(ctx, world, slot),
        Action::DeliverOther(slot) => wire::deliver_other(ctx, world, slot),
        Action::Garbled { slot, told } => wire::garbled(ctx, world, slot, told),
        Action::TimeOut(slot) => {
            wire::give_up(world, slot);
            world.must_tell(ctx, slot, &Event::Answer(Answer::Unclear(Vec::new())));
            true
        }
        Action::Crash => wire::crash(ctx, world),
        Action::LookUp(slot) => wire::look_up(ctx, world, slot),
        Action::List { upto, without } => evidence::list(ctx, world, upto, without),
        Action::Balance(paid) => evidence::balance(ctx, world, paid),
        Action::Hold(slot) => world.tell(ctx, slot, &Event::Hold(hold_facts(ctx, world, slot))),
        Action::HoldNoId(slot) => world.tell(ctx, slot, &Event::HoldNoId(no_id_facts(ctx, world))),
        Action::Export(upto) => spend(&mut world.budget.exports) && evidence::export(ctx, world, upto),
        Action::Poll(slot) => poll(ctx, world, slot),
        Action::Disprove(slot) => disprove(ctx, world, slot),
        Action::GiveUp(slot) => world.tell(ctx, slot, &Event::GiveUp),
        Action::Finish(id, status) => wire::finish(world, id, status),
        Action::SayId(slot, id) => people::say_id(ctx, world, slot, id),
        Action::SayNotOrdered(slot) => people::say_not_ordered(ctx, world, slot),
        Action::SayCancel(slot) => people::say(ctx, world, slot, Word::Cancel),
        Action::SayRetry(slot) => people::say_retry(ctx, world, slot),
        Action::ByHand => {
            spend(&mut world.budget.by_hand) && !wire::has(world, KEY[A]) && wire::sell(world, KEY[A], false)
        }
        Action::Drop => people::drop_again(ctx, world),
        Action::Backup => {
            let may = world.copy.is_none() && world.budget.copies > 0;
            world.copy = Some(Box::new(world.ours.clone()));
            may
        }
        Action::Restore => people::restore(ctx, world),
        Action::Resume => world.ours.paused_at.take().is_some_and(|since| since < world.tick),
    }
}

/// Brings worlds that differ in nothing that matters to one form.
fn tidy(world: &mut World) {
    world.requests.sort_unstable();
    if world.budget.copies == 0 {
        world.copy = None;
    }
    for order in world.ours.orders.iter_mut().flatten() {
        let life = &order.life;
        if life.unproven() == 0 && !matches!(life.state, State::InDoubt | State::OrderedNoId | State::Held) {
            order.since = 0;
        }
        if life.id.is_some() || life.state.is_final() {
            order.told.clear();
        }
    }
}

pub(crate) fn spend(budget: &mut u8) -> bool {
    let left = *budget > 0;
    *budget = budget.saturating_sub(1);
    left
}

/// The end of the story, and a long time after everything else.
pub(crate) fn at_end(ctx: &Ctx<'_>, world: &World) -> bool {
    world.tick >= ctx.setup.ticks
}

pub(crate) fn may_send(ctx: &Ctx<'_>, world: &World) -> bool {
    world.ours.paused_at.is_none() && !at_end(ctx, world)
}

/// Why a doubt would go to a person now.
pub(crate) fn hold_facts(ctx: &Ctx<'_>, world: &World, slot: usize) -> HoldFacts {
    let since = world.order(slot).map_or(0, |order| order.since);
    HoldFacts {
        quiet_over: world.quiet_over(slot),
        can_list: ctx.setup.can_list(),
        policy_hold: !ctx.setup.probe,
        too_old: at_end(ctx, world),
        listed_since: world.ours.listed_at.is_some_and(|at| at > since),
        // No proof is needed to call a person: whenever it is said, nothing may come of it.
        out_of_reach: matches!(ctx.setup.lists, Lists::Cut(_)),
    }
}

/// Why an order without an id would go to a person now.
pub(crate) fn no_id_facts(ctx: &Ctx<'_>, world: &World) -> NoIdFacts {
    NoIdFacts { balance_contradicts: false, can_list: ctx.setup.can_list(), too_old: at_end(ctx, world) }
}

/// What the provider has under an order's id.
pub(crate) fn told_of(world: &World, slot: usize) -> Option<Sold> {
    let known = world.order(slot).and_then(|order| order.life.id)?;
    let at = usize::try_from(known.0).ok()?;
    world.sold.get(at.saturating_sub(1)).copied()
}

fn disprove(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    let is_anothers = told_of(world, slot).is_some_and(|sold| sold.key != wire::key_of(slot));
    let is_asked_after = matches!(world.state(slot), Some(State::Ordered | State::Held));
    if is_anothers && is_asked_after {
        world.must_tell(ctx, slot, &Event::Disproved);
    }
    is_anothers && is_asked_after
}

fn poll(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    // What is told of another IMEI is no answer.
    let Some(sold) = told_of(world, slot).filter(|sold| sold.key == wire::key_of(slot)) else { return false };
    let status = sold.status;
    // A finished order is asked after again only where someone looks; what it says then is an event all the same.
    !matches!(world.state(slot), Some(State::Submitting | State::Cancelled | State::Queued | State::InDoubt))
        && world.tell(ctx, slot, &Event::Status(status))
}

/// The balance is read only where the provider tells one.
pub(crate) fn tells_balance(ctx: &Ctx<'_>) -> bool {
    ctx.setup.balance != Balance::None
}
