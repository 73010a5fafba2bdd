//! What there is: our journal in small, the provider, and the requests between them.
//!
//! Time is counted in quiet periods. What happens between two ticks happens less than a quiet period apart; a doubt
//! that began before the last tick has its quiet period behind it.

use imeid::order::{Effect, Event, Order, PauseReason, Released, Source, State};
use imeid::types::{ProviderOrderId, ProviderStatus};

use super::run::Ctx;

/// Orders of ours: A, A again once the first is no longer live, and B of another IMEI.
pub(crate) const SLOTS: usize = 3;
/// A's first order.
pub(crate) const A: usize = 0;
/// A's second order.
pub(crate) const A2: usize = 1;
/// B's order.
pub(crate) const B: usize = 2;

/// The key (account, service, IMEI) of each order.
pub(crate) const KEY: [u8; SLOTS] = [0, 0, 1];
/// The key of orders of ours that were there before the story begins.
pub(crate) const ANCHOR: u8 = 9;

/// How an attempt stands: the journal's verdicts, those left out that no fact is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verdict {
    Open,
    Taken,
    Unknown,
    Presumed,
    Absent,
    Word,
    Once,
    /// It was presumed, and then proven not to be there.
    Cleared,
}

/// One attempt, as the journal keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attempt {
    /// Entered without a request of ours behind it.
    pub(crate) assumed: bool,
    pub(crate) verdict: Verdict,
    /// The tick of its claim.
    pub(crate) begun: u8,
    /// The highest id that we knew then.
    pub(crate) known: u8,
}

/// An order of ours, with what the journal keeps beside its life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tracked {
    pub(crate) life: Order,
    pub(crate) attempts: Vec<Attempt>,
    /// The latest doubt's tick.
    pub(crate) since: u8,
    pub(crate) absent_since: Option<u8>,
    /// Ids that an unclear answer told and that weren't looked up yet.
    pub(crate) told: Vec<u8>,
    pub(crate) retried: bool,
    /// Times a person said "not ordered".
    pub(crate) words: u8,
}

impl Tracked {
    pub(crate) fn new(max_attempts: u32) -> Self {
        Self {
            life: Order::new(max_attempts),
            attempts: Vec::new(),
            since: 0,
            absent_since: None,
            told: Vec::new(),
            retried: false,
            words: 0,
        }
    }

    /// The highest id that we knew when the first unproven attempt began; of an order without an id, or the first that an
    /// export charged.
    pub(crate) fn first_unproven(&self) -> Option<u8> {
        let unnamed = self.life.id.is_none();
        let unproven = |a: &&Attempt| match a.verdict {
            Verdict::Open | Verdict::Cleared => false,
            Verdict::Taken => unnamed,
            _ => true,
        };
        self.attempts.iter().find(unproven).map(|a| a.known)
    }

    /// The highest id that we knew when the first of those began that were cleared.
    pub(crate) fn first_cleared(&self) -> Option<u8> {
        self.attempts.iter().find(|a| a.verdict == Verdict::Cleared).map(|a| a.known)
    }

    /// Whether an attempt of it may have been taken under an id that isn't known, one that was cleared too.
    pub(crate) fn lacks_an_id(&self) -> bool {
        let life = &self.life;
        life.unproven() > 0
            || life.charged > life.named
            || life.state == State::Submitting
            || self.count(&[Verdict::Cleared]) > 0
    }

    fn count(&self, of: &[Verdict]) -> u32 {
        let n = self.attempts.iter().filter(|a| of.contains(&a.verdict)).count();
        u32::try_from(n).unwrap_or(u32::MAX)
    }

    /// Whether the attempts tell the same as the order's own counters.
    pub(crate) fn books_agree(&self) -> bool {
        let life = &self.life;
        let open = u32::from(life.state == State::Submitting);
        self.count(&[Verdict::Open]) == open
            && self.count(&[Verdict::Unknown]) == life.unaccounted
            && self.count(&[Verdict::Presumed]) == life.presumed
            && self.count(&[Verdict::Absent, Verdict::Word, Verdict::Once]) == life.inferred
            && self.count(&[Verdict::Taken]) == life.charged
    }

    /// Attempts that were sent, or may have been.
    pub(crate) fn sent(&self) -> u32 {
        let n = self.attempts.iter().filter(|a| !a.assumed).count();
        u32::try_from(n).unwrap_or(u32::MAX)
    }
}

/// Our side: what an `imeid backup` copies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Journal {
    pub(crate) orders: [Option<Tracked>; SLOTS],
    /// Ids that are booked, and whose they are; `None`: the orders before the story.
    pub(crate) charges: Vec<(u8, Option<usize>)>,
    /// The highest id that we know.
    pub(crate) known: u8,
    /// When a listing was last judged.
    pub(crate) listed_at: Option<u8>,
    pub(crate) was_copy: bool,
    /// Since when everything stands still because it is an older copy.
    pub(crate) paused_at: Option<u8>,
}

/// An order at the provider; its id is its place, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sold {
    pub(crate) key: u8,
    /// Asked for by us, not by a person at the provider's site.
    pub(crate) ours: bool,
    pub(crate) status: ProviderStatus,
    pub(crate) at: u8,
}

/// A request that may still have an effect or an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Request {
    pub(crate) slot: usize,
    /// We wait for its answer; else it was given up.
    pub(crate) awaited: bool,
    /// It was executed, and this id is on its way back.
    pub(crate) taken: Option<u8>,
    pub(crate) begun: u8,
}

/// What may still be spent of what would make the story endless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    pub(crate) crashes: u8,
    pub(crate) by_hand: u8,
    pub(crate) words: u8,
    pub(crate) exports: u8,
    pub(crate) copies: u8,
    pub(crate) refusals: u8,
    pub(crate) flips: u8,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) tick: u8,
    pub(crate) ours: Journal,
    pub(crate) sold: Vec<Sold>,
    pub(crate) requests: Vec<Request>,
    pub(crate) copy: Option<Box<Journal>>,
    /// Keys of which the copy that was restored lacks an order.
    pub(crate) lost_keys: [bool; 2],
    pub(crate) budget: Budget,
    /// Something happened that can't: an illegal event, or an attempt that the books don't have.
    pub(crate) fault: Option<&'static str>,
}

/// The provider's id as the order knows it.
pub(crate) fn id(n: u8) -> ProviderOrderId {
    ProviderOrderId(u64::from(n))
}

impl World {
    pub(crate) fn order(&self, slot: usize) -> Option<&Tracked> {
        self.ours.orders.get(slot).and_then(Option::as_ref)
    }

    pub(crate) fn order_mut(&mut self, slot: usize) -> Option<&mut Tracked> {
        self.ours.orders.get_mut(slot).and_then(Option::as_mut)
    }

    pub(crate) fn state(&self, slot: usize) -> Option<State> {
        self.order(slot).map(|order| order.life.state)
    }

    pub(crate) fn life(&self, slot: usize) -> Order {
        self.order(slot).map_or_else(Order::default, |order| order.life.clone())
    }

    pub(crate) fn is_ours(&self, id: u8) -> bool {
        self.ours.charges.iter().any(|(known, _)| *known == id)
    }

    /// The order of ours that an id is booked for.
    pub(crate) fn booked_for(&self, id: u8) -> Option<usize> {
        self.ours.charges.iter().find(|(known, _)| *known == id).and_then(|(_, of)| *of)
    }

    pub(crate) fn quiet_over(&self, slot: usize) -> bool {
        self.order(slot).is_some_and(|order| order.since < self.tick)
    }

    /// Carries an order through the real function and books what follows; false where the table has no such row.
    pub(crate) fn tell(&mut self, ctx: &Ctx<'_>, slot: usize, event: &Event) -> bool {
        let Some(order) = self.order(slot) else { return false };
        let from = order.life.state;
        let Ok(done) = (ctx.step)(&order.life, event) else { return false };
        let to = done.order.state;
        ctx.saw(from, event, to, &done.effects);
        let (tick, known) = (self.tick, self.ours.known);
        if let Some(order) = self.order_mut(slot) {
            let same = order.life.id == done.order.id && order.life.charged == done.order.charged;
            let beside = same && done.order.id.is_some() && done.order.presumed > 0;
            if to != State::InDoubt && !beside {
                order.absent_since = None;
            }
            order.life = done.order;
        }
        for effect in &done.effects {
            if !self.book(slot, effect, tick, known) {
                self.fault = Some("the books lack an attempt");
            }
        }
        true
    }

    /// Likewise, for what the daemon only does where the table has a row for it.
    pub(crate) fn must_tell(&mut self, ctx: &Ctx<'_>, slot: usize, event: &Event) {
        if !self.tell(ctx, slot, event) {
            self.fault = Some("an event of the daemon's own is illegal");
        }
    }

    /// Does what an effect says, as the journal's books do it.
    fn book(&mut self, slot: usize, effect: &Effect, tick: u8, known: u8) -> bool {
        let mut charged = None;
        let Some(order) = self.order_mut(slot) else { return false };
        let done = match effect {
            Effect::Begin { .. } => order.enter(false, Verdict::Open, tick, known),
            Effect::AssumeAttempt => order.enter(true, Verdict::Unknown, tick, known),
            Effect::EndUnsent | Effect::EndRefused => order.forget(Verdict::Open),
            Effect::EndUnknown => order.revise(Verdict::Open, Verdict::Unknown),
            Effect::Charge { from, id } => {
                charged = *id;
                order.move_from(*from, Verdict::Taken, tick, known)
            }
            Effect::Unname(id) => {
                let booked = self.ours.charges.len();
                self.ours.charges.retain(|(known, of)| u64::from(*known) != id.0 || *of != Some(slot));
                self.ours.charges.len() < booked
            }
            Effect::Presume(from) => order.move_from(*from, Verdict::Presumed, tick, known),
            Effect::PresumeUnaccounted => order.revise_all(&[Verdict::Unknown], Verdict::Presumed),
            Effect::PresumeInferred => {
                order.revise_all(&[Verdict::Absent, Verdict::Word, Verdict::Once], Verdict::Presumed)
            }
            Effect::Release(Released::Absence) => {
                order.revise_all(&[Verdict::Unknown, Verdict::Presumed], Verdict::Absent)
            }
            Effect::Release(Released::Word) => {
                order.revise_all(&[Verdict::Unknown, Verdict::Presumed], Verdict::Word)
            }
            Effect::Release(Released::OnceAKey) => order.revise_all(&[Verdict::Unknown], Verdict::Once),
            Effect::ClearPresumed => order.revise_all(&[Verdict::Presumed], Verdict::Cleared),
            Effect::StartDoubt => {
                order.since = tick;
                order.absent_since = None;
                true
            }
            Effect::LookUp(ids) => {
                order.told.extend(ids.iter().filter_map(|id| u8::try_from(id.0).ok()));
                true
            }
            Effect::PauseAll(PauseReason::OlderCopy) => {
                self.ours.paused_at = Some(tick);
                true
            }
            _ => true,
        };
        if let Some(told) = charged.and_then(|id| u8::try_from(id.0).ok()) {
            if self.is_ours(told) {
                self.fault = Some("an id is booked twice");
            }
            self.ours.charges.push((told, Some(slot)));
            self.ours.charges.sort_unstable();
            self.ours.known = self.ours.known.max(told);
        }
        done
    }
}

impl Tracked {
    fn enter(&mut self, assumed: bool, verdict: Verdict, begun: u8, known: u8) -> bool {
        self.attempts.push(Attempt { assumed, verdict, begun, known });
        true
    }

    fn oldest(&self, of: &[Verdict]) -> Option<usize> {
        of.iter().find_map(|verdict| self.attempts.iter().position(|a| a.verdict == *verdict))
    }

    /// Unsent and refused attempts have no part in any fact: the model drops them.
    fn forget(&mut self, was: Verdict) -> bool {
        let found = self.oldest(&[was]);
        if let Some(at) = found {
            self.attempts.remove(at);
        }
        found.is_some()
    }

    fn revise(&mut self, was: Verdict, becomes: Verdict) -> bool {
        let found = self.oldest(&[was]);
        if let Some(attempt) = found.and_then(|at| self.attempts.get_mut(at)) {
            attempt.verdict = becomes;
        }
        found.is_some()
    }

    fn revise_all(&mut self, was: &[Verdict], becomes: Verdict) -> bool {
        for attempt in self.attempts.iter_mut().filter(|a| was.contains(&a.verdict)) {
            attempt.verdict = becomes;
        }
        true
    }

    fn move_from(&mut self, from: Source, becomes: Verdict, tick: u8, known: u8) -> bool {
        match from {
            Source::InFlight => self.revise(Verdict::Open, becomes),
            Source::Unaccounted => self.revise(Verdict::Unknown, becomes),
            Source::Presumed => self.revise(Verdict::Presumed, becomes),
            Source::Inferred => [Verdict::Absent, Verdict::Word, Verdict::Once]
                .into_iter()
                .any(|was| self.revise(was, becomes)),
            Source::Booked => self.oldest(&[Verdict::Taken]).is_some(),
            // Beside what is charged and what is open there is one that was cleared at most.
            Source::None if becomes == Verdict::Taken && self.revise(Verdict::Cleared, becomes) => true,
            Source::None => self.enter(true, becomes, tick, known),
        }
    }
}
