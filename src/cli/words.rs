//! An operator's word: whom it may come from, what it is about, and how it is carried out.
//!
//! It is left in the journal as a request. A running daemon carries it out within two seconds; where none runs, the
//! command takes the journal's lock and does it itself, through the same code.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::{Exit, complain, load, runtime, say};
use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::{journal_lock, recover};
use crate::durable::{LockError, LockFile, user_name};
use crate::journal::{
    Journal, JournalError, LetterBox, NewRequest, RequestAnswer, Said, ShownService, Target, View,
};
use crate::result::name_in_outbox;
use crate::settings::Settings;
use crate::types::{BatchId, Imei};

/// The daemon answers within two seconds; a word about a large batch takes longer.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why a command can't do its work.
pub(super) enum Trouble {
    /// What is wrong, and what to do.
    Said(String, Exit),
    Journal(JournalError),
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl Trouble {
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self::Said(text.into(), Exit::Failed)
    }

    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::Said(text.into(), Exit::Usage)
    }

    pub(super) fn tell(self) -> Exit {
        match self {
            Self::Said(text, exit) => {
                complain(&format!("imeid: {text}"));
                exit
            }
            Self::Journal(error) => {
                complain(&format!("imeid: {error}"));
                Exit::Failed
            }
        }
    }
}

/// What the person named.
pub(super) enum Named {
    /// An IMEI with orders of these services: one, unless none was named and it has several.
    Imei(Imei, Vec<ShownService>),
    Batch(BatchId, String),
}

/// Why nothing is known by this NAME.
pub(super) fn no_such_batch(name: &str) -> String {
    format!("there is no batch {name:?}: give the NAME of its files in the outbox (NAME.results.csv)")
}

/// The journal of this configuration, open for reading.
pub(super) struct Desk {
    pub(super) config: Config,
    pub(super) view: View,
}

impl Desk {
    /// Reads the configuration and opens the journal, for root and the daemon's own user.
    pub(super) fn open(config: &Path) -> Result<Self, Exit> {
        let config = load(config)?;
        allowed(&config.journal.path).map_err(Trouble::tell)?;
        let view = View::open(&config.journal.path).map_err(|error| Trouble::from(error).tell())?;
        Ok(Self { config, view })
    }

    /// What `name` is: an IMEI that has orders, or the NAME of a batch. Of a name that is both, the IMEI: the batch is named
    /// by one of its files then, see [`Desk::also_a_batch`].
    pub(super) fn named(&self, name: &str, service: Option<&str>) -> Result<Named, Trouble> {
        let imei = Imei::parse(name, false).ok();
        if let Some(imei) = imei {
            let known = self.view.services_of(imei)?;
            if !known.is_empty() {
                return Ok(Named::Imei(imei, self.of_service(known, service)?));
            }
        }
        if let Some((batch, name)) = self.batch(name)? {
            return match service {
                None => Ok(Named::Batch(batch, name)),
                Some(_) => Err(Trouble::usage("--service goes with an IMEI: a batch has one service")),
            };
        }
        Err(Trouble::failed(match imei {
            Some(imei) => format!("IMEI {imei} is in no file that was taken"),
            None => format!("{}, or an IMEI", no_such_batch(name)),
        }))
    }

    /// Of a name that [`Desk::named`] takes for an IMEI: the file that names the batch which has this NAME too.
    pub(super) fn also_a_batch(&self, name: &str) -> Result<Option<String>, Trouble> {
        let Some(batch) = self.view.batch_named(name)? else { return Ok(None) };
        for ending in ["results.csv", "csv", "settled.csv"] {
            let file = format!("{name}.{ending}");
            if matches!(self.batch(&file), Ok(Some((found, _))) if found == batch) {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// The batch of this NAME, or, if there is none, the one that has a file of this name.
    pub(super) fn batch(&self, name: &str) -> Result<Option<(BatchId, String)>, Trouble> {
        if let Some(batch) = self.view.batch_named(name)? {
            return Ok(Some((batch, name.to_owned())));
        }
        let mut found = Vec::new();
        for name in names_of_file(name) {
            found.extend(self.view.batch_named(name)?.map(|batch| (batch, name.to_owned())));
        }
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => {
                let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
                Err(Trouble::usage(format!(
                    "{name} is a file of several batches: say which with its NAME, {}",
                    names.join(" or ")
                )))
            }
        }
    }

    fn of_service(
        &self,
        known: Vec<ShownService>,
        service: Option<&str>,
    ) -> Result<Vec<ShownService>, Trouble> {
        let Some(wanted) = service else { return Ok(known) };
        let names: Vec<String> = known.iter().map(|known| known.name.clone()).collect();
        let found: Vec<_> = known.into_iter().filter(|known| known.name == wanted).collect();
        if found.is_empty() {
            let names = names.join(", ");
            return Err(Trouble::failed(format!(
                "it has no order of the service {wanted:?}, only of {names}"
            )));
        }
        Ok(found)
    }

    /// The one thing that a word about an IMEI or a batch can be about. Nothing is done on a guess: a name that is both is
    /// refused, unless a service says that the IMEI is meant.
    pub(super) fn target(&self, name: &str, service: Option<&str>) -> Result<Target, Trouble> {
        if service.is_none()
            && let Named::Imei(imei, services) = self.named(name, None)?
            && let Some(file) = self.also_a_batch(name)?
        {
            let services: Vec<String> =
                services.iter().map(|service| format!("--service {}", service.name)).collect();
            return Err(Trouble::usage(format!(
                "{name} is an IMEI and the NAME of a batch: say {file} for the batch, or {imei} with {} for the IMEI",
                services.join(" or ")
            )));
        }
        self.target_of_imei(name, service)
    }

    /// The one order that a word can be about.
    pub(super) fn target_of_imei(&self, name: &str, service: Option<&str>) -> Result<Target, Trouble> {
        match self.named(name, service)? {
            Named::Batch(batch, _) => Ok(Target::batch(batch)),
            Named::Imei(imei, services) => match &services[..] {
                [one] => Ok(Target::order(one.id, imei)),
                several => {
                    let names: Vec<&str> = several.iter().map(|service| service.name.as_str()).collect();
                    Err(Trouble::usage(format!(
                        "IMEI {imei} has orders of several services: say which with --service {}",
                        names.join(" or --service ")
                    )))
                }
            },
        }
    }

    /// All submission, or that of the service of this name: a configured one, or one that was.
    pub(super) fn submission(&self, service: Option<&str>) -> Result<Target, Trouble> {
        let Some(name) = service else { return Ok(Target::Everything) };
        let account = &self.config.provider.account;
        let configured = self.config.services.iter().find(|service| service.name == name);
        let number = match configured {
            Some(service) => self.view.service_number(account, &service.network_id)?,
            None => {
                let named = self.view.service_names()?;
                named.into_iter().find(|(_, known)| known == name).map(|(id, _)| id)
            }
        };
        match (number, configured) {
            (Some(id), _) => Ok(Target::service(id)),
            (None, Some(_)) => Err(Trouble::failed(format!(
                "the daemon hasn't started with the service {name:?} yet: there is nothing of it to pause"
            ))),
            (None, None) => {
                let names: Vec<&str> =
                    self.config.services.iter().map(|service| service.name.as_str()).collect();
                Err(Trouble::usage(format!(
                    "there is no service {name:?}: the configuration has {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// Says it, waits for the answer, and prints it.
    pub(super) fn say(self, said: Said, target: Target) -> Exit {
        match self.carry(said, target) {
            Ok(answer) if answer.done => {
                say(&answer.text);
                Exit::Done
            }
            Ok(answer) => {
                complain(&format!("imeid: {}", answer.text));
                Exit::Failed
            }
            Err(trouble) => trouble.tell(),
        }
    }

    fn carry(self, said: Said, target: Target) -> Result<RequestAnswer, Trouble> {
        // Opened for writing by what follows.
        drop(self.view);
        let clock = Clock::system();
        let request = NewRequest { who: who(), said, target };
        let lock_path = journal_lock(&self.config.journal.path);
        match LockFile::acquire_briefly(&lock_path) {
            Ok(lock) => carry_out(self.config, lock, Work::New(request), clock),
            Err(LockError::Held { .. }) => {
                let letters = LetterBox::open(&self.config.journal.path)?;
                let id = letters.leave(&request, clock.now())?;
                wait(self.config, &lock_path, &letters, id, clock)
            }
            Err(error) => Err(Trouble::failed(error.to_string())),
        }
    }
}

/// The NAMEs of which this can be a file: one in the outbox, or the one that was dropped.
fn names_of_file(file: &str) -> impl Iterator<Item = &str> {
    let dropped = file.rsplit_once('.').map(|(name, _)| name);
    name_in_outbox(file).into_iter().chain(dropped).filter(|name| !name.is_empty())
}

/// What is to be carried out.
enum Work {
    New(NewRequest),
    Left(i64),
}

/// Waits for the daemon's answer; should it have ended meanwhile, does its work.
fn wait(
    config: Config,
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
            return carry_out(config, lock, Work::Left(id), clock);
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

/// A word is for root and the daemon's own user, and so is a look at what it would be about.
fn allowed(journal: &Path) -> Result<(), Trouble> {
    let own = match std::fs::metadata(journal) {
        Ok(metadata) => metadata.uid(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let path = journal.display();
            return Err(Trouble::failed(format!("there is no journal yet ({path}): no file was ever taken")));
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(Trouble::failed(not_allowed("the daemon's own user")));
        }
        Err(error) => return Err(Trouble::failed(format!("{}: {error}", journal.display()))),
    };
    let me = rustix::process::geteuid().as_raw();
    if me == 0 || me == own {
        return Ok(());
    }
    Err(Trouble::failed(not_allowed(&format!("the user {}", user_name(own)))))
}

fn not_allowed(user: &str) -> String {
    format!("this is for root and {user}: try it with sudo")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_of_its_batch_in_the_outbox_or_as_it_was_dropped() {
        let names = |file| names_of_file(file).collect::<Vec<_>>();
        assert_eq!(names("stock.csv"), ["stock"]);
        assert_eq!(names("a.b.txt"), ["a.b"]);
        for file in ["stock.results.csv", "stock.settled.csv", "stock.settled-2.csv", "stock.partial.csv"] {
            // A result that was dropped again is a batch of its own.
            assert_eq!(names(file), ["stock", file.strip_suffix(".csv").unwrap()]);
        }
        assert_eq!(names(".csv"), [""; 0]);
        assert_eq!(names("stock"), [""; 0]);
    }
}
