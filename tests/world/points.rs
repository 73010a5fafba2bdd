//! The points at which a crash can come, and what a crash is: from the point on nothing durable happens any more.
//!
//! The daemon's code names its points (`durable::crash_point`), the world adds those of the wire. Here they are
//! counted; at the one that was asked for the thread panics with [`Crash`], and so does every thread at its next point:
//! the process is dead, and what is left of it can neither write, nor rename, nor send.
//!
//! Every world has points of its own, so that many worlds are played at once. Two threads pass them, the daemon's and the
//! journal's writer. So that they always pass them in one order, nothing is asked of the writer, and nothing goes on the
//! wire, before it has told what became of what it was asked before.

use std::any::Any;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use imeid::durable;

use super::loss::Shadow;

/// If the machine needs longer than this for what takes no time, something hangs.
pub(crate) const HANGS_AFTER: Duration = Duration::from_secs(60);

/// What a thread of a dead process panics with.
struct Crash;

/// The process is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crashed;

#[derive(Default)]
struct Points {
    /// Counted since the world began.
    passed: usize,
    stop_at: Option<usize>,
    dead: bool,
    /// What a power cut would lose, where that is asked for.
    shadow: Option<Shadow>,
    names: Vec<&'static str>,
    /// What the journal's writer was asked and hasn't told the end of.
    asked: usize,
}

/// A world's points. Its every thread passes them.
#[derive(Default)]
struct World {
    points: Mutex<Points>,
    told: Condvar,
}

thread_local! {
    /// The world that this thread plays in.
    static HERE: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}
static SILENT: Once = Once::new();

/// A thread has one world at a time.
#[derive(Debug)]
pub(crate) struct Alone(PhantomData<*const ()>);

impl Drop for Alone {
    fn drop(&mut self) {
        durable::set_crash_point_hook(None);
        HERE.set(None);
    }
}

/// Begins to count for a new world, which is this thread's only one for as long as it keeps what is returned. Others are
/// played on other threads meanwhile, and know nothing of it.
pub(crate) fn begin() -> Alone {
    SILENT.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Crash>() {
                report(info);
            }
        }));
    });
    let world = Arc::new(World::default());
    let before = HERE.replace(Some(Arc::clone(&world)));
    assert!(before.is_none(), "two worlds on one thread");
    durable::set_crash_point_hook(Some(Arc::new(move |name, path| world.pass(name, path))));
    Alone(PhantomData)
}

impl World {
    fn points(&self) -> MutexGuard<'_, Points> {
        self.points.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, name: &'static str, path: Option<&Path>) {
        let mut points = self.points();
        match name {
            // No places for a crash: it would leave the same as one before the writer begins, or after it committed.
            "journal.ask" => {
                points = self.writer_is_done(points);
                points.asked += 1;
                return;
            }
            "journal.told" => {
                points.asked = points.asked.saturating_sub(1);
                self.told.notify_all();
                return;
            }
            _ if !name.starts_with("journal.") => points = self.writer_is_done(points),
            _ => {}
        }
        if !points.dead {
            points.passed += 1;
            points.names.push(name);
            if let (Some(shadow), Some(path)) = (&mut points.shadow, path) {
                shadow.see(name, path);
            }
            if points.stop_at != Some(points.passed) {
                return;
            }
            self.die(&mut points);
        }
        drop(points);
        panic_any(Crash);
    }

    /// Waits for it, but not on its own thread, nor for a dead one.
    fn writer_is_done<'a>(&'a self, points: MutexGuard<'a, Points>) -> MutexGuard<'a, Points> {
        if std::thread::current().name() == Some("journal") {
            return points;
        }
        let is_asked = |points: &mut Points| points.asked > 0 && !points.dead;
        let waited = self.told.wait_timeout_while(points, HANGS_AFTER, is_asked);
        let (points, time) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!time.timed_out() || std::thread::panicking(), "the journal's writer doesn't answer");
        points
    }

    fn die(&self, points: &mut Points) {
        points.dead = true;
        self.told.notify_all();
        points.stop_at = None;
        if let Some(shadow) = &mut points.shadow {
            shadow.cut_power();
        }
    }
}

/// Does something with the points of this thread's world.
fn here<T>(work: impl FnOnce(&mut Points) -> T) -> T {
    HERE.with_borrow(|world| work(&mut world.as_ref().unwrap().points()))
}

/// A point of the world's own.
pub(crate) fn point(name: &'static str) {
    durable::crash_point(name);
}

/// How many points were passed so far.
pub(crate) fn passed() -> usize {
    here(|points| points.passed)
}

/// The names of the last `n` points that were passed.
pub(crate) fn last(n: usize) -> Vec<&'static str> {
    here(|points| points.names[points.names.len().saturating_sub(n)..].to_vec())
}

/// Every point's name so far.
pub(crate) fn names() -> Vec<&'static str> {
    here(|points| points.names.clone())
}

/// Dies at the `k`-th point from now, from 1.
pub(crate) fn stop_at(k: usize) {
    here(|points| points.stop_at = Some(points.passed + k));
}

/// How many points from now [`stop_at`] comes, if it was asked for.
pub(crate) fn to_go() -> Option<usize> {
    here(|points| points.stop_at.map(|at| at - points.passed))
}

/// Forgets a [`stop_at`] that hasn't come.
pub(crate) fn stop_nowhere() {
    here(|points| points.stop_at = None);
}

/// Dies here, between two points.
pub(crate) fn kill() {
    HERE.with_borrow(|world| {
        let world = world.as_ref().unwrap();
        world.die(&mut world.points());
    });
}

/// Keeps a shadow of the folders from now on: a crash is then a power cut.
pub(crate) fn watch_power(shadow: Shadow) {
    here(|points| points.shadow = Some(shadow));
}

/// A new process begins. Gives the shadow, whose losses are to be carried out before.
pub(crate) fn revive() -> Option<Shadow> {
    here(|points| {
        points.dead = false;
        points.asked = 0;
        points.shadow.take()
    })
}

pub(crate) fn is_dead() -> bool {
    here(|points| points.dead)
}

/// Does something that may run into the crash.
pub(crate) fn alive<T>(work: impl FnOnce() -> T) -> Result<T, Crashed> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) if !is_dead() => Ok(done),
        Ok(_) => Err(Crashed),
        Err(payload) => died_of(payload),
    }
}

fn died_of<T>(payload: Box<dyn Any + Send>) -> Result<T, Crashed> {
    if payload.is::<Crash>() || is_dead() { Err(Crashed) } else { resume_unwind(payload) }
}

/// A user's file has appeared in this folder.
pub(crate) fn dropped(folder: &Path) {
    here(|points| {
        if let Some(shadow) = &mut points.shadow {
            shadow.drop_in(folder);
        }
    });
}
