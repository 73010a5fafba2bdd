//! The points at which a crash can come, and what a crash is: from the point on nothing durable happens any more.
//!
//! The daemon's code names its points (`durable::crash_point`), the world adds those of the wire. Here they are
//! counted; at the one that was asked for the thread panics with [`Crash`], and so does every thread at its next point:
//! the process is dead, and what is left of it can neither write, nor rename, nor send.
//!
//! Two threads pass points, the daemon's and the journal's writer. So that they always pass them in one order, nothing
//! is asked of the writer, and nothing goes on the wire, before it has told what became of what it was asked before.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, Once, PoisonError};

use imeid::durable;

use super::loss::Shadow;

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

static POINTS: Mutex<Points> =
    Mutex::new(Points { passed: 0, stop_at: None, dead: false, shadow: None, names: Vec::new(), asked: 0 });
static TOLD: Condvar = Condvar::new();
/// One world at a time: the points are the process's.
static WORLD: Mutex<()> = Mutex::new(());
static HOOKED: Once = Once::new();

fn points() -> MutexGuard<'static, Points> {
    POINTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to count for a new world, which is alone for as long as it keeps what is returned.
pub(crate) fn begin() -> MutexGuard<'static, ()> {
    let alone = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    HOOKED.call_once(|| {
        durable::set_crash_point_hook(pass);
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<Crash>() {
                report(info);
            }
        }));
    });
    *points() = Points::default();
    alone
}

fn pass(name: &'static str, path: Option<&Path>) {
    let mut points = points();
    match name {
        // No places for a crash: it would leave the same as one before the writer begins, or after it committed.
        "journal.ask" => {
            points = writer_is_done(points);
            points.asked += 1;
            return;
        }
        "journal.told" => {
            points.asked = points.asked.saturating_sub(1);
            TOLD.notify_all();
            return;
        }
        _ if !name.starts_with("journal.") => points = writer_is_done(points),
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
        die(&mut points);
    }
    drop(points);
    panic_any(Crash);
}

/// Waits for it, but not on its own thread, nor for a dead one.
fn writer_is_done(mut points: MutexGuard<'static, Points>) -> MutexGuard<'static, Points> {
    let is_writer = std::thread::current().name() == Some("journal");
    while points.asked > 0 && !points.dead && !is_writer {
        points = TOLD.wait(points).unwrap_or_else(PoisonError::into_inner);
    }
    points
}

fn die(points: &mut Points) {
    points.dead = true;
    TOLD.notify_all();
    points.stop_at = None;
    if let Some(shadow) = &mut points.shadow {
        shadow.cut_power();
    }
}

/// A point of the world's own.
pub(crate) fn point(name: &'static str) {
    durable::crash_point(name);
}

/// How many points were passed so far.
pub(crate) fn passed() -> usize {
    points().passed
}

/// The names of the last `n` points that were passed.
pub(crate) fn last(n: usize) -> Vec<&'static str> {
    let points = points();
    points.names[points.names.len().saturating_sub(n)..].to_vec()
}

/// Every point's name so far.
pub(crate) fn names() -> Vec<&'static str> {
    points().names.clone()
}

/// Dies at the `k`-th point from now, from 1.
pub(crate) fn stop_at(k: usize) {
    let mut points = points();
    points.stop_at = Some(points.passed + k);
}

/// How many points from now [`stop_at`] comes, if it was asked for.
pub(crate) fn to_go() -> Option<usize> {
    let points = points();
    points.stop_at.map(|at| at - points.passed)
}

/// Forgets a [`stop_at`] that hasn't come.
pub(crate) fn stop_nowhere() {
    points().stop_at = None;
}

/// Dies here, between two points.
pub(crate) fn kill() {
    die(&mut points());
}

/// Keeps a shadow of the folders from now on: a crash is then a power cut.
pub(crate) fn watch_power(shadow: Shadow) {
    points().shadow = Some(shadow);
}

/// A new process begins. Gives the shadow, whose losses are to be carried out before.
pub(crate) fn revive() -> Option<Shadow> {
    let mut points = points();
    points.dead = false;
    points.asked = 0;
    points.shadow.take()
}

pub(crate) fn is_dead() -> bool {
    points().dead
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
    if let Some(shadow) = &mut points().shadow {
        shadow.drop_in(folder);
    }
}
