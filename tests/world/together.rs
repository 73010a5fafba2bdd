//! Many worlds at once: none knows of another.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;

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
            match catch_unwind(AssertUnwindSafe(|| work(item))) {
                Ok(value) => done.push((n, value)),
                Err(failure) => left().failure = Some(failure),
            }
        }
        done
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<(usize, T)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work_on)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    if let Some(failure) = left().failure.take() {
        resume_unwind(failure);
    }
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, value)| value).collect()
}
