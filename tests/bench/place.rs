//! A daemon at work: folders on a disk, a config, the real binary as a process, the simulator in this one.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use imeid::simulator::{self, Delay, Options, Running};
use imeid::types::{Imei, Money};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::Runtime;

use crate::machine;

/// Calls at once, the daemon's and the load generator's.
pub(crate) const CONNECTIONS: u32 = 30;
/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(600);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The IMEIs of one type allocation code.
const SERIALS: u32 = 1_000_000;
const TAC: u32 = 35_332_211;

/// The IMEI of this number, which no phone has.
pub(crate) fn imei(n: u32) -> Imei {
    Imei::from_parts(TAC + n / SERIALS, n % SERIALS)
}

/// A provider on loopback, on a thread of its own.
pub(crate) struct Sim {
    running: Running,
    // Behind what runs on it.
    _runtime: Runtime,
}

impl Sim {
    pub(crate) fn start(latency: Delay, completion: Delay) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let options = Options {
            latency,
            completion,
            credit: Money::from_micros(1_000_000_000_000),
            ..Options::default()
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let running = runtime.block_on(simulator::start(options, any))?;
        Ok(Self { running, _runtime: runtime })
    }

    pub(crate) fn running(&self) -> &Running {
        &self.running
    }
}

/// Dropped, it kills its daemon and removes everything.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Place {
    /// For the provider at `url`: the shipped defaults, but that nothing keeps the workers from opening at once.
    pub(crate) fn new(url: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("figures-").tempdir_in(machine::disk())?;
        fs::write(dir.path().join("api-key"), "a-key-of-no-account\n")?;
        let config = format!(
            "[provider]\nbase_url = \"{url}\"\nuser_id = \"bench\"\n\
             [folders]\ninbox = \"inbox\"\noutbox = \"outbox\"\nreconcile = \"reconcile\"\narchive = \"archive\"\n\
             rejected = \"rejected\"\nsettle = \"500ms\"\n\
             [journal]\npath = \"state/journal.db\"\n\
             [submit]\nworkers = {CONNECTIONS}\ncanary = 0\nadaptive = false\n\
             [[service]]\nname = \"check\"\nnetwork_id = \"1739\"\nprice = \"0.08\"\n"
        );
        fs::write(dir.path().join("imeid.toml"), config)?;
        Ok(Self { dir, daemon: None })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The binary, for one of its commands.
    pub(crate) fn program(&self, command: &[&str]) -> Command {
        // Another build, to compare this one with.
        let built = std::env::var_os("IMEID_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_imeid").into());
        let mut program = Command::new(built);
        program.args(command).arg("--config").arg(self.path("imeid.toml"));
        program.env_remove("CREDENTIALS_DIRECTORY").env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
        program
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Starts the daemon with an empty log; gives how long it took to be ready.
    pub(crate) fn start(&mut self) -> Result<Duration> {
        let log = fs::File::create(self.path("log"))?;
        let began = Instant::now();
        self.daemon = Some(self.program(&["run"]).stdout(Stdio::null()).stderr(log).spawn()?);
        self.until("it is ready", |place| place.log().contains("INFO  ready "))?;
        Ok(began.elapsed())
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(self.daemon.as_ref().context("no daemon runs")?.id())
    }

    /// Waits for a condition, as long as the daemon lives.
    pub(crate) fn until(&mut self, what: &str, is: impl Fn(&Self) -> bool) -> Result<()> {
        let began = Instant::now();
        while !is(self) {
            let ended = self.daemon.as_mut().map(Child::try_wait).transpose()?.flatten();
            if let Some(status) = ended.filter(|_| !is(self)) {
                bail!("the daemon ended with {status} before {what}:\n{}", self.log());
            }
            if began.elapsed() > PATIENCE {
                bail!("{what}: not within {PATIENCE:?}:\n{}", self.log());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Drops `stock.csv` with these IMEIs, complete at once.
    pub(crate) fn drop_file(&self, imeis: impl IntoIterator<Item = Imei>) -> Result<()> {
        fs::create_dir_all(self.path("inbox"))?;
        let written = self.path("inbox/.stock");
        let mut out = std::io::BufWriter::new(fs::File::create(&written)?);
        writeln!(out, "shelf,model,imei")?;
        for (n, imei) in imeis.into_iter().enumerate() {
            writeln!(out, "A{n},iPhone 14 Pro 256GB,{imei}")?;
        }
        out.flush()?;
        drop(out);
        // Renamed in, which the daemon sees: it settles for as long as the config says, and no longer.
        Ok(imeid::durable::rename_within(&written, &self.path("inbox/stock.csv"))?)
    }

    pub(crate) fn has_result(&self) -> bool {
        self.path("outbox/stock.results.csv").exists()
    }

    /// From now on the daemon logs every word: seven lines an order, without which it is measured, as it is shipped.
    pub(crate) fn log_every_word(&mut self) -> Result<()> {
        let mut config = fs::OpenOptions::new().append(true).open(self.path("imeid.toml"))?;
        config.write_all(b"[log]\nlevel = \"debug\"\n")?;
        self.signal(Signal::HUP)?;
        self.until("it has read its configuration anew", |place| {
            place.log().contains("INFO  configuration read anew")
        })
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let daemon = self.daemon.as_ref().context("no daemon runs")?;
        Ok(kill_process(Pid::from_child(daemon), signal)?)
    }

    /// Stops the daemon in order.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if self.daemon.is_none() {
            return Ok(());
        }
        self.signal(Signal::TERM)?;
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        let status = daemon.wait()?;
        if !status.success() {
            bail!("the daemon ended with {status}:\n{}", self.log());
        }
        Ok(())
    }

    /// Ends the daemon as a power cut would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        let Some(mut daemon) = self.daemon.take() else { return Ok(()) };
        daemon.kill()?;
        daemon.wait()?;
        Ok(())
    }

    /// A number from the journal, which nobody writes any more.
    pub(crate) fn ask(&self, sql: &str) -> Result<i64> {
        let journal = rusqlite::Connection::open(self.path("state/journal.db"))?;
        Ok(journal.query_row(sql, [], |row| row.get(0))?)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            println!("a daemon can't be ended: {error}");
        }
    }
}
