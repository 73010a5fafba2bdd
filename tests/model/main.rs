//! The life of an order under a model checker: the real [`imeid::order::step`], not a copy of it, in every story that a
//! small provider and a small daemon can tell within bounds.
//!
//! A story is a path of [`actions::Action`]s: requests that leave, are executed, answered or lost, kills, listings and
//! balances and exports as each provider gives them, operators' words, backups and restores. Facts of events are computed
//! as the journal computes them. Every world on the way is held against [`properties`]; [`cases`] names every provider and
//! what it breaks, which is nothing but what no table can mend.
//!
//! The search is our own, breadth first over hashed worlds: a hundred lines that also tell which rows of the table were
//! taken ([`rows`]) and go on after a property broke. Time is bounded, so no story has a cycle that matters, and progress
//! is checked where time ends.
//!
//! The bounds are small, so that this runs with the other tests. `IMEID_MODEL=1 cargo test --test model` widens them: by
//! one quiet period, attempt, crash and word more; 2 by two of each, which wants many minutes and a few gigabytes.

mod actions;
mod cases;
mod evidence;
mod left_out;
mod mutants;
mod people;
mod properties;
mod rows;
mod run;
mod setup;
#[cfg(test)]
mod traces;
mod wire;
mod world;

use std::sync::Mutex;

use cases::Case;
use imeid::order::step;
use left_out::Mutant;
use run::{Found, Seen};
use setup::Setup;

/// Worlds that a search looks at, at most. With the small bounds none comes near it.
const LIMIT: usize = 1_000_000;
/// Likewise, with wider bounds, where a search may end there.
const WIDE_LIMIT: usize = 2_000_000;

/// By how much the bounds are wider.
fn wider_by() -> u8 {
    std::env::var("IMEID_MODEL").ok().and_then(|by| by.parse().ok()).unwrap_or(0)
}

fn widened(mut setup: Setup) -> Setup {
    let by = wider_by();
    setup.ticks = setup.ticks.saturating_add(by);
    // One that has a single attempt is about that.
    if setup.max_attempts > 1 {
        setup.max_attempts = setup.max_attempts.saturating_add(u32::from(by));
    }
    for spent in [&mut setup.budget.crashes, &mut setup.budget.words, &mut setup.budget.refusals] {
        if *spent > 0 {
            *spent = spent.saturating_add(by);
        }
    }
    setup
}

/// Does each piece of work, on two threads, in the order in which they come.
fn on_two_threads<T: Send, R: Send>(work: Vec<T>, run: impl Fn(T) -> R + Sync) -> Vec<R> {
    let work = Mutex::new(work.into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = work.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
                    let Some((n, piece)) = next else { return };
                    let result = run(piece);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((n, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, result)| result).collect()
}

#[test]
fn each_provider_breaks_what_no_table_can_mend_and_nothing_else() {
    let limit = if wider_by() > 0 { WIDE_LIMIT } else { LIMIT };
    let tried: Vec<(Case, Found)> = on_two_threads(cases::all(), |case| {
        let setup = widened(case.setup);
        let found = run::search(&setup, step, limit, &[]);
        (Case { setup, ..case }, found)
    });
    let mut seen = Seen::default();
    let mut wrong = String::new();
    for (case, found) in &tried {
        let name = case.setup.name;
        let all = if found.complete { "" } else { " and more" };
        println!("{:>9} worlds{all}: {name}: breaks {:?}", found.states, found.names());
        seen.add(&found.seen);
        if found.names() != case.breaks {
            wrong += &format!("{name} breaks {:?}, not {:?}\n", found.names(), case.breaks);
        }
        for property in found.names().iter().filter(|property| !case.breaks.contains(property)) {
            wrong += &format!("{property:?}:\n{}", found.story(*property));
        }
        if !found.complete && wider_by() == 0 {
            wrong += &format!("{name}: the bounds are too wide\n");
        }
    }
    let worlds: usize = tried.iter().map(|(_, found)| found.states).sum();
    println!(
        "{worlds} worlds, {} transitions: {} rows of the table, {} of {} kinds of events, {} of {} effects",
        seen.transitions.len(),
        rows::ROWS.len(),
        rows::KINDS.iter().filter(|kind| seen.transitions.iter().any(|(_, took, _)| took == *kind)).count(),
        rows::KINDS.len(),
        seen.effects.len(),
        rows::EFFECTS.len()
    );
    for kind in rows::KINDS.into_iter().filter(|kind| !rows::ROWS.iter().any(|row| row.has(*kind))) {
        wrong += &format!("no row has the event {kind:?}\n");
    }
    for effect in rows::EFFECTS.into_iter().filter(|effect| !seen.effects.contains(effect)) {
        wrong += &format!("no story has the effect \"{effect}\"\n");
    }
    for (row, why) in rows::NOT_MODELLED {
        println!("not in it: {row}: {why}");
    }
    for row in rows::ROWS {
        let missing = row.missing(&seen.transitions);
        if !missing.is_empty() {
            wrong += &format!("no story takes the row \"{}\": {missing:?}\n", row.says);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_rule_left_out_breaks_what_it_is_there_for() {
    let tried: Vec<(Mutant, Found, Found)> = on_two_threads(left_out::all(), |mutant| {
        let honest = run::search(&mutant.setup, step, LIMIT, &[]);
        let found = run::search(&mutant.setup, mutant.step, LIMIT, mutant.breaks);
        (mutant, honest, found)
    });
    let mut wrong = String::new();
    for (mutant, honest, found) in &tried {
        println!("{}: without it {:?}", mutant.rule, mutant.breaks);
        for property in mutant.breaks {
            if honest.broken.contains_key(property) {
                wrong += &format!("{}: the rule itself breaks {property:?}\n", mutant.rule);
            }
            if !found.broken.contains_key(property) {
                wrong += &format!("{}: leaving it out does not break {property:?}\n", mutant.rule);
            }
        }
        if mutant.breaks.is_empty() {
            wrong += &format!("{}: nothing is expected to break\n", mutant.rule);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
