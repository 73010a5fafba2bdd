//! Many worlds at once: none knows of another.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How many are at work in this process, of all who ask for it: more of them than cores would only be in each other's way.
static AT_WORK: Mutex<usize> = Mutex::new(0);
static FREE: Condvar = Condvar::new();

/// A place among those at work.
struct Place;

impl Place {
    fn take() -> Self {
        let mut taken =
            FREE.wait_while(at_work(), |taken| *taken >= places()).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *at_work() -= 1;
        FREE.notify_one();
    }
}

fn at_work() -> MutexGuard<'static, usize> {
    AT_WORK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn places() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What is left to be done, and the first failure.
struct Left<I> {
    items: I,
    failure: Option<Box<dyn Any + Send>>,
}

/// Does this with each item, as many at once as there are cores. Gives what came of it, in their order; a failure is the
/// caller's, and nothing more is begun behind it.
pub(crate) fn side_by_side<I, T>(items: I, work: impl Fn(I::Item) -> T + Sync) -> Vec<T>
where
    I: IntoIterator,
    I::IntoIter: Send,
    I::Item: Send,
    T: Send,
{
    let left = Mutex::new(Left { items: items.into_iter().enumerate(), failure: None });
    let left = || left.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || {
        let mut left = left();
        if left.failure.is_some() { None } else { left.items.next() }
    };
    let work_on = || {
        let mut done = Vec::new();
        while let Some((n, item)) = next() {
            let place = Place::take();
            let worked = catch_unwind(AssertUnwindSafe(|| work(item)));
            drop(place);
            match worked {
                Ok(value) => done.push((n, value)),
                Err(failure) => left().failure = Some(failure),
            }
        }
        done
    };
    let mut done: Vec<(usize, T)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..places()).map(|_| scope.spawn(work_on)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    if let Some(failure) = left().failure.take() {
        resume_unwind(failure);
    }
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, value)| value).collect()
}
