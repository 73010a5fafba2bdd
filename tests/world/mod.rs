//! A deterministic world around the real daemon, made to break its promises.
//!
//! Real: the journal (an SQLite file with its writer's thread), the folders, every stage's unit, recovery as the daemon
//! does it. The world's: time, the provider at the other end of the wire, the people who drop files, every crash. One
//! seed decides all of it, and the same seed gives the same run.
//!
//! - [`points`]: where a crash can come, and dying there. [`loss`]: what a power cut loses.
//! - [`wire`]: the provider. [`files`]: what people drop. [`life`]: one process, from start to end.
//! - [`clearing`], [`restored`], [`late`], [`empty`], [`turned`], [`twice`], [`accused`], [`probed`], [`brought`],
//!   [`followed`], [`moved`], [`denied`], [`wrong_ids`]: stories of their own; [`story`]: what they have in common.
//!   [`together`]: many worlds at once.
//! - [`copies`]: the state directory copied, and put back.
//! - [`accounts`]: another account of the provider's, and moving between the two.
//! - [`exports`]: what the provider's website tells a person, dropped into `reconcile/`.
//! - [`words`]: what operators say, and what each word may change.
//! - [`oracle`]: what must hold after every step, and at rest. [`outbox`]: the part of it that reads results.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness: what can't be is a failure, and each of its users needs another part"
)]

pub(crate) mod accounts;
pub(crate) mod accused;
pub(crate) mod brought;
pub(crate) mod clearing;
pub(crate) mod copies;
pub(crate) mod denied;
pub(crate) mod empty;
pub(crate) mod exports;
pub(crate) mod files;
pub(crate) mod followed;
pub(crate) mod late;
pub(crate) mod life;
pub(crate) mod loss;
pub(crate) mod moved;
pub(crate) mod oracle;
pub(crate) mod outbox;
pub(crate) mod points;
pub(crate) mod probed;
pub(crate) mod restored;
pub(crate) mod story;
pub(crate) mod together;
pub(crate) mod turned;
pub(crate) mod twice;
pub(crate) mod wire;
pub(crate) mod words;
pub(crate) mod wrong_ids;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use imeid::config::{self, Config};
use imeid::simulator::{Options, Service};
use imeid::types::{Money, NetworkId, Timestamp};
use tempfile::TempDir;

use files::{Dropped, SERVICES};
use life::Life;
use loss::Shadow;
use points::Crashed;
use wire::{Time, Wire};

/// What differs from world to world in the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    pub(crate) workers: usize,
    pub(crate) max_attempts: u32,
    pub(crate) canary: u32,
    pub(crate) hold: bool,
    pub(crate) list_recent: &'static str,
    pub(crate) per_day: Option<&'static str>,
    pub(crate) keep_answers: &'static str,
    /// What paid orders are remembered under.
    pub(crate) account: &'static str,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            workers: 3,
            max_attempts: 3,
            canary: 0,
            hold: false,
            list_recent: "auto",
            per_day: None,
            keep_answers: "forever",
            account: "reseller",
        }
    }
}

/// The world.
pub(crate) struct World {
    pub(crate) time: Time,
    pub(crate) wire: Arc<Wire>,
    /// What the provider was like when the world began.
    pub(crate) provider: Options,
    pub(crate) knobs: Knobs,
    pub(crate) dropped: Vec<Dropped>,
    /// Where each of them was put.
    places: Vec<PathBuf>,
    /// Exports that were dropped, and where.
    exports: Vec<(PathBuf, String)>,
    pub(crate) life: Option<Life>,
    pub(crate) seen: outbox::Seen,
    /// Since when, in the world's own time, an order was seen in doubt, by its number in the journal.
    doubted: BTreeMap<i64, Timestamp>,
    /// How often the machine's clock was set ahead.
    set_ahead: u32,
    /// The machine's clock was set at all.
    has_jumped: bool,
    /// Services that a person has paused, with how many of their orders had been sent when that was last looked at.
    still: BTreeMap<&'static str, usize>,
    /// How often an operator had orders of a key made anew.
    anew: BTreeMap<oracle::Key, i64>,
    /// What was done, for whoever reads a failure.
    pub(crate) log: Vec<String>,
    /// A crash is a power cut.
    pub(crate) loses: bool,
    /// Charges beyond the first of an IMEI that are allowed. One of all where the provider charges duplicates and tells
    /// nothing of its orders: until that is known no client can do right by it.
    pub(crate) may_pay_twice: i64,
    /// Operators say something even where little else happens.
    pub(crate) has_operator: bool,
    /// A person says what isn't so: the books lack what he denies, until there is evidence of it.
    pub(crate) is_lied_to: bool,
    /// Answers tell ids of other orders: until that is found out they are booked under those.
    pub(crate) is_misled: bool,
    /// A new process has other things to do before it reads on in an export.
    pub(crate) reads_exports_late: bool,
    folder: TempDir,
    _alone: points::Alone,
}

/// What the provider of a world is like unless told otherwise: its services are those of the world.
pub(crate) fn provider(seed: u64) -> Options {
    let services = SERVICES.iter().map(|service| Service {
        network_id: NetworkId(service.network_id.to_owned()),
        title: service.title.to_owned(),
        price: Money::from_micros(service.micros),
        ..Service::default()
    });
    Options { services: services.collect(), seed, ..Options::default() }
}

impl World {
    /// A world in which nothing runs yet.
    pub(crate) fn new(options: Options, knobs: Knobs) -> Self {
        let alone = points::begin();
        let time = Time::default();
        // 2025-11-14, in the morning.
        time.set(Timestamp::from_millis(1_763_100_000_000));
        let wire = Wire::new(time.clone(), options.clone());
        Self {
            time,
            wire,
            provider: options,
            knobs,
            dropped: Vec::new(),
            places: Vec::new(),
            exports: Vec::new(),
            life: None,
            seen: outbox::Seen::default(),
            doubted: BTreeMap::new(),
            set_ahead: 0,
            has_jumped: false,
            still: BTreeMap::new(),
            anew: BTreeMap::new(),
            log: Vec::new(),
            loses: false,
            may_pay_twice: 0,
            has_operator: false,
            is_lied_to: false,
            is_misled: false,
            reads_exports_late: false,
            folder: folder_in_memory(),
            _alone: alone,
        }
    }

    pub(crate) fn root(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn outbox(&self) -> PathBuf {
        self.root().join("outbox")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.root().join("state/journal.db")
    }

    pub(crate) fn note(&mut self, what: impl Into<String>) {
        self.log.push(format!("{} {}", self.time.now(), what.into()));
    }

    pub(crate) fn config(&self) -> Config {
        let Knobs { workers, max_attempts, canary, hold, list_recent, per_day, keep_answers, account } =
            &self.knobs;
        let policy = if *hold { "hold" } else { "probe" };
        let budget = per_day.map_or(String::new(), |cap| format!("per_day = \"{cap}\""));
        let mut text = format!(
            "[provider]\nbase_url = \"https://provider.test\"\nuser_id = \"{account}\"\nlist_recent = \"{list_recent}\"\n\
             [folders]\ninbox = \"inbox\"\noutbox = \"outbox\"\nreconcile = \"reconcile\"\narchive = \"archive\"\n\
             rejected = \"rejected\"\n[journal]\npath = \"state/journal.db\"\nkeep_answers = \"{keep_answers}\"\n\
             [submit]\nworkers = {workers}\nmax_attempts = {max_attempts}\ncanary = {canary}\n\
             [in_doubt]\npolicy = \"{policy}\"\n[budget]\n{budget}\n"
        );
        for service in SERVICES {
            let price = Money::from_micros(service.micros);
            text += &format!(
                "[[service]]\nname = \"s{}\"\nnetwork_id = \"{}\"\nprice = \"{price}\"\nfolder = \"{}\"\n",
                service.network_id, service.network_id, service.folder
            );
        }
        config::parse(&text, &self.root().join("imeid.toml")).unwrap()
    }

    /// The machine's clock jumps.
    pub(crate) fn jump(&mut self, hours: i64) {
        self.note(format!("the clock jumps {hours} hours"));
        self.set_ahead += u32::from(hours > 0);
        self.has_jumped = true;
        self.time.jump(hours * 3_600_000);
    }

    /// Someone drops a file. It is whole when it appears.
    pub(crate) fn drop_file(&mut self, file: Dropped) {
        let folder = self.root().join("inbox").join(SERVICES[file.service].folder);
        fs::create_dir_all(&folder).unwrap();
        let mut path = folder.join(&file.name);
        let mut n = 2;
        while path.exists() {
            path = folder.join(format!("{n} {}", file.name));
            n += 1;
        }
        fs::write(&path, &file.text).unwrap();
        points::dropped(&folder);
        if let Some(life) = &mut self.life {
            life.heard.push(path.clone());
        }
        self.places.push(path);
        self.note(format!("dropped {} of {} rows", file.name, file.lines.len()));
        self.dropped.push(file);
    }

    /// Starts a process.
    pub(crate) fn start(&mut self) -> Result<(), Crashed> {
        self.note("start");
        if self.loses {
            points::watch_power(Shadow::new(self.root(), &self.journal()));
        }
        let config = self.config();
        let life = Life::start(config, Arc::clone(&self.wire), &self.time, self.reads_exports_late)?;
        self.life = Some(life);
        Ok(())
    }

    /// The process is gone, at this very moment, if it wasn't already.
    pub(crate) fn crash(&mut self) {
        self.note(format!("crash after {:?}", points::last(3)));
        if !points::is_dead() {
            points::kill();
        }
        self.life = None;
        self.wire.hang_up();
        if let Some(shadow) = points::revive() {
            shadow.lose();
            self.drop_again();
        }
    }

    /// A file that was dropped just before the power went and is empty now is dropped again.
    fn drop_again(&mut self) {
        let files = self.places.iter().zip(self.dropped.iter().map(|file| &file.text));
        let exports = self.exports.iter().map(|(path, text)| (path, text));
        for (path, text) in files.chain(exports) {
            if fs::read(path).is_ok_and(|bytes| bytes.is_empty()) {
                fs::write(path, text).unwrap();
            }
        }
    }

    /// A clean stop: what is on the wire gets its time, the rest is in doubt.
    pub(crate) fn stop(&mut self, drain: Duration) -> Result<(), Crashed> {
        self.note(format!("stop within {drain:?}"));
        let Some(life) = &self.life else { return Ok(()) };
        life.pool.close();
        let until = self.time.now().plus(drain);
        while self.life.as_ref().is_some_and(|life| !life.is_idle_for_good()) {
            match self.wire.next().filter(|at| *at <= until) {
                Some(at) => self.pass_until(at)?,
                None => break,
            }
        }
        self.life.as_mut().map_or(Ok(()), Life::give_up_calls)?;
        self.life = None;
        self.wire.hang_up();
        // What was still to be recorded can have run into a crash: then it was no clean stop.
        points::alive(|| ())?;
        oracle::check_stopped(&self.journal());
        Ok(())
    }

    /// Lets time pass; what happens on the wire meanwhile happens, one thing after the other.
    pub(crate) fn pass(&mut self, time: Duration) -> Result<(), Crashed> {
        self.pass_until(self.time.now().plus(time))
    }

    fn pass_until(&mut self, until: Timestamp) -> Result<(), Crashed> {
        while let Some(at) = self.wire.next().filter(|at| *at <= until) {
            self.time.set(at.max(self.time.now()));
            let what = self.wire.step();
            if let Some(life) = &mut self.life {
                points::alive(|| points::point(what))?;
                life.let_calls_run()?;
            }
        }
        self.time.set(until.max(self.time.now()));
        Ok(())
    }

    /// Every stage's unit, once.
    pub(crate) fn turn(&mut self) -> Result<(), Crashed> {
        self.some_units(life::Units::ALL)
    }

    /// Some stages' units, once.
    pub(crate) fn some_units(&mut self, units: life::Units) -> Result<(), Crashed> {
        self.life.as_mut().map_or(Ok(()), |life| life.turn(units))
    }

    /// Everything that must hold now.
    pub(crate) fn check(&mut self) {
        oracle::check(self);
    }
}

/// Memory is fast, and what a power cut loses is the world's business here, not the disk's.
fn folder_in_memory() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap()
}

/// Seeds that nothing else hangs on.
pub(crate) fn rng(seed: u64) -> Rng {
    Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed)
}
