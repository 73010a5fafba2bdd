//! What can happen next, and what then is.

use imeid::order::{Answer, Effect, Event, HoldFacts, NoIdFacts, ProbeFacts, State, Word, step};
use imeid::types::ProviderStatus;

use super::evidence;
use super::run::Ctx;
use super::setup::{Balance, Duplicates, Words};
use super::world::{A, A2, KEY, Request, SLOTS, Sold, Tracked, World, id};

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

    fn answer(self) -> Answer {
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
        Action::Tick => tick(ctx, world),
        Action::Claim(slot) => {
            may_send(ctx, world) && world.tell(ctx, slot, &Event::Claim) && sent(world, slot)
        }
        Action::Probe(slot) => probe(ctx, world, slot),
        Action::Execute(slot) => execute(ctx, world, slot),
        Action::Refused(slot, refusal) => refused(ctx, world, slot, refusal),
        Action::Exists(slot) => exists(ctx, world, slot),
        Action::Deliver(slot) => deliver(ctx, world, slot),
        Action::Garbled { slot, told } => garbled(ctx, world, slot, told),
        Action::TimeOut(slot) => {
            give_up(world, slot);
            world.must_tell(ctx, slot, &Event::Answer(Answer::Unclear(Vec::new())));
            true
        }
        Action::Crash => crash(ctx, world),
        Action::LookUp(slot) => look_up(ctx, world, slot),
        Action::List { upto, without } => evidence::list(ctx, world, upto, without),
        Action::Balance(paid) => evidence::balance(ctx, world, paid),
        Action::Hold(slot) => world.tell(ctx, slot, &Event::Hold(hold_facts(ctx, world, slot))),
        Action::HoldNoId(slot) => world.tell(ctx, slot, &Event::HoldNoId(no_id_facts(ctx, world))),
        Action::Export(upto) => spend(&mut world.budget.exports) && evidence::export(ctx, world, upto),
        Action::Poll(slot) => poll(ctx, world, slot),
        Action::GiveUp(slot) => world.tell(ctx, slot, &Event::GiveUp),
        Action::Finish(id, status) => finish(world, id, status),
        Action::SayId(slot, id) => say_id(ctx, world, slot, id),
        Action::SayNotOrdered(slot) => say_not_ordered(ctx, world, slot),
        Action::SayCancel(slot) => say(ctx, world, slot, Word::Cancel),
        Action::SayRetry(slot) => say_retry(ctx, world, slot),
        Action::ByHand => {
            spend(&mut world.budget.by_hand) && !has(world, KEY[A]) && sell(world, KEY[A], false)
        }
        Action::Drop => drop_again(ctx, world),
        Action::Backup => {
            let may = world.copy.is_none() && world.budget.copies > 0;
            world.copy = Some(Box::new(world.ours.clone()));
            may
        }
        Action::Restore => restore(ctx, world),
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

fn spend(budget: &mut u8) -> bool {
    let left = *budget > 0;
    *budget = budget.saturating_sub(1);
    left
}

/// The end of the story, and a long time after everything else.
pub(crate) fn at_end(ctx: &Ctx<'_>, world: &World) -> bool {
    world.tick >= ctx.setup.ticks
}

fn may_send(ctx: &Ctx<'_>, world: &World) -> bool {
    world.ours.paused_at.is_none() && !at_end(ctx, world)
}

fn tick(ctx: &Ctx<'_>, world: &mut World) -> bool {
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

fn sent(world: &mut World, slot: usize) -> bool {
    world.requests.push(Request { slot, awaited: true, taken: None, begun: world.tick });
    true
}

fn probe(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
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

fn has(world: &World, key: u8) -> bool {
    world.sold.iter().any(|sold| sold.key == key && sold.status != ProviderStatus::Rejected)
}

fn sell(world: &mut World, key: u8, ours: bool) -> bool {
    world.sold.push(Sold { key, ours, status: ProviderStatus::Pending, at: world.tick });
    true
}

fn key_of(slot: usize) -> u8 {
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

fn execute(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
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

fn refused(ctx: &Ctx<'_>, world: &mut World, slot: usize, refusal: Refusal) -> bool {
    if !spend(&mut world.budget.refusals) || answered(world, slot).is_none_or(|r| r.taken.is_some()) {
        return false;
    }
    world.must_tell(ctx, slot, &Event::Answer(refusal.answer()));
    true
}

fn exists(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
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

fn deliver(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    let Some(at) = world.requests.iter().position(|r| r.slot == slot && r.taken.is_some()) else {
        return false;
    };
    let request = world.requests.remove(at);
    let Some(taken) = request.taken else { return false };
    // What a listing has brought already is known.
    if request.awaited {
        world.must_tell(ctx, slot, &Event::Answer(Answer::Taken(id(taken))));
    } else if !world.is_ours(taken) {
        world.must_tell(ctx, slot, &Event::LateId(id(taken)));
    }
    true
}

fn garbled(ctx: &Ctx<'_>, world: &mut World, slot: usize, told: bool) -> bool {
    let Some(taken) = answered(world, slot).and_then(|request| request.taken) else { return false };
    let ids = if told { vec![id(taken)] } else { Vec::new() };
    world.must_tell(ctx, slot, &Event::Answer(Answer::Unclear(ids)));
    true
}

fn give_up(world: &mut World, slot: usize) {
    for request in world.requests.iter_mut().filter(|r| r.slot == slot) {
        request.awaited = false;
    }
}

fn crash(ctx: &Ctx<'_>, world: &mut World) -> bool {
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
fn disconnect(world: &mut World) {
    world.requests.retain(|r| r.taken.is_none());
    for request in &mut world.requests {
        request.awaited = false;
    }
}

fn look_up(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    let Some(order) = world.order_mut(slot) else { return false };
    let told = std::mem::take(&mut order.told);
    let seeks = order.life.id.is_none();
    let found = told.iter().copied().find(|told| !world.is_ours(*told));
    if let Some(found) = found.filter(|_| seeks) {
        world.must_tell(ctx, slot, &Event::LateId(id(found)));
    }
    !told.is_empty()
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
    }
}

/// Why an order without an id would go to a person now.
pub(crate) fn no_id_facts(ctx: &Ctx<'_>, world: &World) -> NoIdFacts {
    NoIdFacts { balance_contradicts: false, can_list: ctx.setup.can_list(), too_old: at_end(ctx, world) }
}

fn poll(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    let known = world.order(slot).and_then(|order| order.life.id);
    let Some(at) = known.and_then(|id| usize::try_from(id.0).ok()) else { return false };
    let Some(sold) = world.sold.get(at.saturating_sub(1)) else { return false };
    let status = sold.status;
    // A finished order is asked after again only where someone looks; what it says then is an event all the same.
    !matches!(world.state(slot), Some(State::Submitting | State::Cancelled | State::Queued | State::InDoubt))
        && world.tell(ctx, slot, &Event::Status(status))
}

fn finish(world: &mut World, id: u8, status: ProviderStatus) -> bool {
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

fn say(ctx: &Ctx<'_>, world: &mut World, slot: usize, word: Word) -> bool {
    spend(&mut world.budget.words) && {
        let before = world.ours.clone();
        world.tell(ctx, slot, &Event::Word(word)) && world.ours != before
    }
}

fn say_id(ctx: &Ctx<'_>, world: &mut World, slot: usize, said: u8) -> bool {
    let theirs = world.ours.charges.iter().any(|(known, of)| *known == said && *of != Some(slot));
    let fits = world.sold.get(usize::from(said).saturating_sub(1)).is_some_and(|s| s.key == key_of(slot));
    // Which of two charges has its id the function can't tell, where an export showed both.
    let unclear =
        world.order(slot).is_some_and(|o| o.life.id.is_some() && o.unnamed(&world.ours.charges, slot));
    let booked = world.is_ours(said);
    let word = Word::OrderId { id: id(said), quiet_over: world.quiet_over(slot), booked };
    fits && !theirs && !unclear && say(ctx, world, slot, word)
}

fn say_not_ordered(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    let key = key_of(slot);
    let there = (1..=sold(world)).zip(&world.sold).any(|(id, sold)| sold.key == key && !world.is_ours(id));
    if there && ctx.setup.words == Words::True {
        return false;
    }
    let quiet_over = world.quiet_over(slot);
    let said = say(ctx, world, slot, Word::NotOrdered { quiet_over });
    if let Some(order) = world.order_mut(slot).filter(|_| said) {
        order.words = order.words.saturating_add(1);
    }
    said
}

fn say_retry(ctx: &Ctx<'_>, world: &mut World, slot: usize) -> bool {
    let newer_live = slot == A && world.order(A2).is_some_and(|order| is_live(ctx, order));
    let word = Word::Retry { newer_live };
    let life = world.life(slot);
    let asks = step(&life, &Event::Word(word)).is_ok_and(|done| done.effects.contains(&Effect::NewOrder));
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

fn drop_again(ctx: &Ctx<'_>, world: &mut World) -> bool {
    let may = match (world.order(A), world.order(A2)) {
        (None, _) => ctx.setup.arrives,
        (Some(first), None) => ctx.setup.again && !is_live(ctx, first),
        _ => false,
    };
    may && world.ours.paused_at.is_none() && !at_end(ctx, world) && queue_again(ctx, world)
}

fn restore(ctx: &Ctx<'_>, world: &mut World) -> bool {
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

/// The balance is read only where the provider tells one.
pub(crate) fn tells_balance(ctx: &Ctx<'_>) -> bool {
    ctx.setup.balance != Balance::None
}
