//! The breadth-first search over every story, and what it saw.

use std::cell::RefCell;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::{Hash, Hasher};

use imeid::order::{Effect, Event, Illegal, Order, State, Step};

use super::actions::{self, Action};
use super::properties::{self, Property};
use super::rows::{self, Kind};
use super::setup::Setup;
use super::world::World;

/// The life of an order: the real function, or one with a rule left out.
pub(crate) type StepFn = fn(&Order, &Event) -> Result<Step, Illegal>;

/// What a step needs beside the world.
pub(crate) struct Ctx<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) step: StepFn,
    saw: RefCell<Seen>,
}

/// Which transitions were taken, and which effects they had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) transitions: BTreeSet<(State, Kind, State)>,
    pub(crate) effects: BTreeSet<&'static str>,
}

impl Seen {
    pub(crate) fn add(&mut self, other: &Self) {
        self.transitions.extend(&other.transitions);
        self.effects.extend(&other.effects);
    }
}

impl<'a> Ctx<'a> {
    pub(crate) fn new(setup: &'a Setup, step: StepFn) -> Self {
        Self { setup, step, saw: RefCell::default() }
    }

    pub(crate) fn saw(&self, from: State, event: &Event, to: State, effects: &[Effect]) {
        let mut saw = self.saw.borrow_mut();
        saw.transitions.insert((from, rows::kind(event), to));
        saw.effects.extend(effects.iter().map(rows::effect));
    }
}

/// What a search found.
pub(crate) struct Found {
    pub(crate) states: usize,
    /// Each property that broke, with the shortest story that breaks it.
    pub(crate) broken: BTreeMap<Property, Vec<Action>>,
    pub(crate) seen: Seen,
    /// Every story that the bounds allow was told.
    pub(crate) complete: bool,
}

impl Found {
    pub(crate) fn names(&self) -> Vec<Property> {
        self.broken.keys().copied().collect()
    }

    /// The story that breaks a property, one action a line.
    pub(crate) fn story(&self, property: Property) -> String {
        let actions = self.broken.get(&property).map_or(&[][..], Vec::as_slice);
        actions.iter().map(|action| format!("  {action:?}\n")).collect()
    }
}

/// Tells every story of a setup, shortest first, to at most `limit` worlds. `until`: stops when these are all broken.
pub(crate) fn search(setup: &Setup, step: StepFn, limit: usize, until: &[Property]) -> Found {
    let ctx = Ctx::new(setup, step);
    let mut broken = BTreeMap::new();
    let mut known = HashSet::new();
    let mut came: Vec<(usize, Action)> = Vec::new();
    let mut ahead = VecDeque::new();
    let mut complete = true;
    let first = setup.world();
    known.insert(fingerprint(&first));
    ahead.push_back((first, usize::MAX));
    let mut next = Vec::new();
    while let Some((world, at)) = ahead.pop_front() {
        next.clear();
        actions::all(&ctx, &world, &mut next);
        for (action, after) in next.drain(..) {
            if !known.insert(fingerprint(&after)) {
                continue;
            }
            came.push((at, action));
            let here = came.len().saturating_sub(1);
            for property in properties::broken(&ctx, &after) {
                broken.entry(property).or_insert_with(|| story(&came, here));
            }
            // What comes after a fault proves nothing more.
            if after.fault.is_none() {
                ahead.push_back((after, here));
            }
        }
        if !until.is_empty() && until.iter().all(|property| broken.contains_key(property)) {
            complete = false;
            break;
        }
        if known.len() >= limit {
            complete = ahead.is_empty();
            break;
        }
    }
    Found { states: known.len(), broken, seen: ctx.saw.into_inner(), complete }
}

/// Tells one story: each action must be possible. Says which isn't.
pub(crate) fn tell(setup: &Setup, step: StepFn, story: &[Action]) -> Result<(World, Vec<Property>), String> {
    let ctx = Ctx::new(setup, step);
    let mut world = setup.world();
    let mut broken = BTreeSet::new();
    for (n, action) in story.iter().enumerate() {
        let mut next = Vec::new();
        actions::all(&ctx, &world, &mut next);
        let Some((_, after)) = next.into_iter().find(|(can, _)| can == action) else {
            return Err(format!("{n}: {action:?} can't happen in {world:#?}"));
        };
        world = after;
        broken.extend(properties::broken(&ctx, &world));
    }
    Ok((world, broken.into_iter().collect()))
}

fn story(came: &[(usize, Action)], mut at: usize) -> Vec<Action> {
    let mut story = Vec::new();
    while let Some((before, action)) = came.get(at) {
        story.push(*action);
        at = *before;
    }
    story.reverse();
    story
}

/// 128 bits: that two of a few million worlds share them is past believing.
fn fingerprint(world: &World) -> (u64, u64) {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    let first = hasher.finish();
    0xa5u8.hash(&mut hasher);
    (first, hasher.finish())
}
