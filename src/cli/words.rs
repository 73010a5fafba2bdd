//! An operator's word: whom it may come from, and what it is about. How it is carried out: [`carry`](super::carry).

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Exit, complain, journal_despite, say};
use crate::config::{self, Config};
use crate::durable::user_name;
use crate::journal::{JournalError, Said, ShownService, Target, View};
use crate::result::name_in_outbox;
use crate::types::{BatchId, Imei};

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
    pub(super) config: Known,
    pub(super) journal: PathBuf,
    pub(super) view: View,
}

/// What is known of the configuration.
pub(super) enum Known {
    All(Box<Config>),
    /// It has errors, which were told. A daemon that runs does so by what it read before.
    Not {
        file: PathBuf,
    },
}

impl Desk {
    /// Reads the configuration and opens the journal, for root and the daemon's own user. Of a configuration that has errors,
    /// which are told, only where the journal is.
    pub(super) fn open(file: &Path) -> Result<Self, Exit> {
        let (journal, config) = match config::load(file) {
            Ok(config) => (config.journal.path.clone(), Known::All(Box::new(config))),
            Err(errors) => {
                let journal = journal_despite(&errors, file)?;
                complain(&format!(
                    "{errors}\nimeid: the configuration has errors, so this goes by the journal alone; a daemon that runs goes on \
                     with what it read before"
                ));
                (journal, Known::Not { file: file.to_owned() })
            }
        };
        allowed(&journal).map_err(Trouble::tell)?;
        let view = View::open(&journal).map_err(|error| Trouble::from(error).tell())?;
        Ok(Self { config, journal, view })
    }

    /// The configuration, for what can't be told or done without it.
    pub(super) fn whole_config(&self) -> Result<&Config, Trouble> {
        match &self.config {
            Known::All(config) => Ok(config),
            Known::Not { .. } => {
                Err(Trouble::usage("nothing was done: this needs the configuration, mend it first"))
            }
        }
    }

    /// The folders that files are dropped into: the inbox and `reconcile/`.
    pub(super) fn drop_folders(&self) -> Result<[PathBuf; 2], Trouble> {
        match &self.config {
            Known::All(config) => Ok([config.folders.inbox.clone(), config.folders.reconcile.clone()]),
            Known::Not { file } => config::drop_folders(file).ok_or_else(|| {
                Trouble::usage(
                    "nothing was written: where files are dropped can't be told from the configuration, mend it first",
                )
            }),
        }
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
        if let Known::All(config) = &self.config
            && let Some(service) = config.services.iter().find(|service| service.name == name)
        {
            let number = self.view.service_number(&config.provider.account, &service.network_id)?;
            return number.map(Target::service).ok_or_else(|| {
                Trouble::failed(format!(
                    "the daemon hasn't started with the service {name:?} yet: there is nothing of it to pause"
                ))
            });
        }
        let known = self.view.service_names()?;
        let (whose, names): (_, BTreeSet<&str>) = match &self.config {
            Known::All(config) => {
                ("configuration", config.services.iter().map(|service| service.name.as_str()).collect())
            }
            Known::Not { .. } => ("journal", known.values().map(String::as_str).collect()),
        };
        let mut found = known.iter().filter(|(_, known)| *known == name).map(|(id, _)| *id);
        match (found.next(), found.next()) {
            (Some(id), None) => Ok(Target::service(id)),
            (Some(_), Some(_)) => Err(Trouble::usage(format!(
                "the journal has several services that are called {name:?}: with a configuration that has it, it is told which"
            ))),
            (None, _) => Err(Trouble::usage(format!(
                "there is no service {name:?}: the {whose} has {}",
                Vec::from_iter(names).join(", ")
            ))),
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
}

/// The NAMEs of which this can be a file: one in the outbox, or the one that was dropped.
fn names_of_file(file: &str) -> impl Iterator<Item = &str> {
    let dropped = file.rsplit_once('.').map(|(name, _)| name);
    name_in_outbox(file).into_iter().chain(dropped).filter(|name| !name.is_empty())
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
