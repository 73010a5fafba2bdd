//! Attempts that no worker has begun with, and the workers' tasks. A task takes one attempt after the other: to make one for
//! each costs more than everything else that is done about it here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::task::TaskTracker;

use super::pool::Pool;
use crate::journal::AttemptTicket;

/// Attempts in the order in which they were claimed. Each was [taken in](Pool::take_in).
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// Tasks that will look here again once they have ended what they are at.
    tasks: usize,
}

/// An attempt, and whether its account is shared.
type Waiting = (AttemptTicket, bool);

/// A task, counted until it finds nothing more to do, or panics: then another takes its place.
struct Counted<'a> {
    queue: &'a Queue,
    is_counted: bool,
}

impl Queue {
    pub(super) fn put(&self, ticket: AttemptTicket, shared_account: bool) {
        self.with(|state| state.waiting.push_back((ticket, shared_account)));
    }

    /// Begins as many tasks as there are workers, or attempts that wait for one.
    pub(super) fn begin(self: &Arc<Self>, workers: usize, pool: &Arc<Pool>, calls: &TaskTracker) {
        while let Some(first) = self.first_of_a_task(workers) {
            let (queue, pool) = (Arc::clone(self), Arc::clone(pool));
            calls.spawn(async move { queue.work(&pool, first).await });
        }
    }

    fn first_of_a_task(&self, workers: usize) -> Option<Waiting> {
        self.with(|state| {
            let first = if state.tasks < workers { state.waiting.pop_front() } else { None };
            state.tasks = state.tasks.saturating_add(usize::from(first.is_some()));
            first
        })
    }

    async fn work(&self, pool: &Pool, first: Waiting) {
        let mut task = Counted { queue: self, is_counted: true };
        let mut next = Some(first);
        while let Some((ticket, shared_account)) = next {
            pool.work(ticket, shared_account).await;
            next = task.next();
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        // Nothing that holds it panics, and what is in it is whole at any time.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Counted<'_> {
    /// What comes next. Where nothing does it isn't counted from then on: what is put in behind that has another task begun.
    fn next(&mut self) -> Option<Waiting> {
        self.queue.with(|state| {
            let next = state.waiting.pop_front();
            if next.is_none() {
                state.tasks = state.tasks.saturating_sub(1);
                self.is_counted = false;
            }
            next
        })
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        if self.is_counted {
            self.queue.with(|state| state.tasks = state.tasks.saturating_sub(1));
        }
    }
}
