//! A provider in virtual time, and orders that are sent to it at a pace.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use fastrand::Rng;

use super::*;

/// What befalls a call that arrives among `others` at `now`, and after how many milliseconds.
pub(super) type Answer<'a> = dyn FnMut(usize, u64, &mut Rng) -> (Ended, u64) + 'a;

/// Orders sent at a pace to a provider, in virtual time.
pub(super) struct World {
    pub(super) pace: Pace,
    pub(super) now: u64,
    pub(super) queue: VecDeque<u32>,
    pub(super) charged: BTreeMap<u32, u32>,
    pub(super) calls: BinaryHeap<Reverse<(u64, u32, CallNo)>>,
    pub(super) fates: BTreeMap<CallNo, (Ended, u64)>,
    pub(super) working: usize,
    pub(super) refused: usize,
    /// The limit and the calls at work after each call's end, and when.
    pub(super) seen: Vec<(u64, usize, usize)>,
}

impl World {
    pub(super) fn run(pace: Pace, orders: u32, answer: &mut Answer<'_>) -> Self {
        let mut world = Self {
            pace,
            now: 0,
            queue: (0..orders).collect(),
            charged: BTreeMap::new(),
            calls: BinaryHeap::new(),
            fates: BTreeMap::new(),
            working: 0,
            refused: 0,
            seen: Vec::new(),
        };
        let mut rng = Rng::with_seed(7);
        loop {
            world.send(answer, &mut rng);
            if !world.go_on() {
                break;
            }
        }
        assert_eq!(world.charged.len(), usize::try_from(orders).unwrap(), "none lost");
        assert!(world.charged.values().all(|times| *times == 1), "none doubled");
        world
    }

    pub(super) fn clock(&self) -> Timestamp {
        at(i64::try_from(self.now).unwrap())
    }

    pub(super) fn send(&mut self, answer: &mut Answer<'_>, rng: &mut Rng) {
        while self.pace.closed_until(self.clock()).is_none() && self.calls.len() < self.pace.limit() {
            let Some(order) = self.queue.pop_front() else { return };
            let (ended, takes) = answer(self.working, self.now, rng);
            let call = self.pace.began();
            self.working += usize::from(ended == Ended::Passed);
            self.fates.insert(call, (ended, takes));
            self.calls.push(Reverse((self.now + takes, order, call)));
        }
    }

    /// To the next moment at which anything happens; false: there is none.
    pub(super) fn go_on(&mut self) -> bool {
        let opens = self.pace.closed_until(self.clock()).map(|at| u64::try_from(at.millis()).unwrap());
        let next = self.calls.peek().map(|Reverse((at, ..))| *at);
        match (next, opens) {
            (Some(next), opens) if opens.is_none_or(|opens| next <= opens) => self.end_one(),
            (_, Some(opens)) if !self.queue.is_empty() => self.now = opens,
            (Some(_), _) => self.end_one(),
            (None, _) => return !self.queue.is_empty(),
        }
        true
    }

    pub(super) fn end_one(&mut self) {
        let Some(Reverse((now, order, call))) = self.calls.pop() else { return };
        self.now = now;
        let (ended, takes) = self.fates.remove(&call).unwrap();
        if ended == Ended::Passed {
            self.working -= 1;
            *self.charged.entry(order).or_default() += 1;
        } else {
            self.refused += 1;
            self.queue.push_back(order);
        }
        self.pace.ended(call, ended, ms(takes), self.clock());
        self.seen.push((now, self.pace.limit(), self.working));
    }

    /// The limits once so many calls had ended, and as long as there was more to do than the limit lets go.
    pub(super) fn settled(&self, after: usize) -> &[(u64, usize, usize)] {
        &self.seen[after..self.seen.len() - 400]
    }

    pub(super) fn mean_limit(&self, after: usize) -> usize {
        let settled = self.settled(after);
        settled.iter().map(|(_, limit, _)| limit).sum::<usize>() / settled.len()
    }
}
