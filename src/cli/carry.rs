//! How an operator's word is carried out.
//!
//! It is left in the journal as a request. A running daemon carries it out within two seconds; where none runs, the
//! command takes the journal's lock and does it itself, through the same code.

use std::path::Path;
use std::time::Duration;

use super::runtime;
use super::words::{Desk, Known, Trouble};
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::{journal_lock, recover};
use crate::durable::{LockError, LockFile, user_name};
use crate::journal::{Journal, LetterBox, NewRequest, RequestAnswer, Said, Target};
use crate::settings::Settings;

/// The daemon answers within two seconds; a word about a large batch takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Desk {
    /// Says it to whoever can carry it out, and waits for the answer.
    pub(super) fn carry(self, said: Said, target: Target) -> Result<RequestAnswer, Trouble> {
        let Self { config, journal, view } = self;
        // Opened for writing by what follows.
        drop(view);
        let clock = Clock::system();
        let request = NewRequest { who: who(), said, target };
        let lock_path = journal_lock(&journal);
        match LockFile::acquire_briefly(&lock_path) {
            Ok(lock) => match config {
                Known::All(config) => carry_out(*config, lock, Work::New(request), clock),
                Known::Not { .. } => Err(Trouble::usage(
                    "nothing was done: no daemon runs, and without one this needs the configuration, mend it first",
                )),
            },
            Err(LockError::Held { .. }) => {
                let letters = LetterBox::open(&journal)?;
                let id = letters.leave(&request, clock.now())?;
                wait(config, &lock_path, &letters, id, clock)
            }
            Err(error) => Err(Trouble::failed(error.to_string())),
        }
    }
}

/// What is to be carried out.
enum Work {
    New(NewRequest),
    Left(i64),
}

/// Waits for the daemon's answer; should it have ended meanwhile, does its work.
fn wait(
    config: Known,
    lock_path: &Path,
    letters: &LetterBox,
    id: i64,
    clock: Clock,
) -> Result<RequestAnswer, Trouble> {
    let until = clock.now().plus(PATIENCE);
    loop {
        if let Some(answer) = letters.answer(id)? {
            return Ok(answer);
        }
        if let Ok(lock) = LockFile::acquire_briefly(lock_path) {
            return match config {
                Known::All(config) => carry_out(*config, lock, Work::Left(id), clock),
                Known::Not { .. } => Err(Trouble::failed(
                    "the daemon ended before it answered; the word is in the journal, and the next start carries it out",
                )),
            };
        }
        if clock.now() >= until {
            return Err(Trouble::failed(
                "the daemon hasn't answered yet; the word is in the journal and will be carried out",
            ));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Does the daemon's work for one request, with its lock held.
fn carry_out(config: Config, lock: LockFile, work: Work, clock: Clock) -> Result<RequestAnswer, Trouble> {
    let runtime = runtime().map_err(|exit| Trouble::Said("nothing was done".to_owned(), exit))?;
    let done = runtime.block_on(async {
        let journal = Journal::open(&config.journal.path)?;
        let settings = Settings::new(config, &journal).await?;
        let rules = (*settings.rules).clone();
        // As at every start: what was in flight when the last process ended is in doubt, and so is all in an older copy.
        recover(&journal, &settings, &clock).await?;
        let id = match work {
            Work::New(request) => journal.leave_request(request, clock.now()).await?,
            Work::Left(id) => id,
        };
        journal.carry_out(id, clock.now(), rules).await
    });
    drop(lock);
    Ok(done?)
}

/// Who says it: the person behind sudo, where there is one.
fn who() -> String {
    let me = rustix::process::getuid().as_raw();
    let name = user_name(me);
    match std::env::var("SUDO_USER") {
        Ok(person) if me == 0 && !person.is_empty() && person != name => {
            let person: String = person.chars().filter(|c| !c.is_control()).take(64).collect();
            format!("{person} as {name}")
        }
        _ => name,
    }
}
