//! `imeid demo`: the real daemon and a sample file against the embedded simulator, in a temporary folder that stays.

mod sample;

use std::fs;
use std::io::{self, IsTerminal};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::{Exit, complain, runtime, say};
use crate::daemon::stop_on_signals;
use crate::journal::{BatchWork, Link, TallyState, View};
use crate::order::State;
use crate::outbox::by_status;
use crate::result::RowStatus;
use crate::simulator::{self, Change, Delay, LedgerSummary, Options, Running, Share};
use crate::types::Money;
use crate::words;

/// The sample's rows.
const ROWS: u32 = 200;
/// Nothing in the demo takes longer; if it does, something is wrong.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Without a terminal, progress is a line now and then.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// After so many charges two answers are lost on their way back, so that a doubt and its end can be seen.
const LOSE_ANSWERS_AFTER: u64 = 40;

const CONFIG: &str = include_str!("demo/imeid.toml");

pub(super) fn run() -> Exit {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(exit) => return exit,
    };
    match runtime.block_on(demo()) {
        Ok(true) => Exit::Done,
        Ok(false) => Exit::Failed,
        Err(error) => {
            complain(&format!("imeid demo: {error:#}"));
            Exit::Failed
        }
    }
}

/// True: all figures agree.
async fn demo() -> Result<bool> {
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone()).context("signals can't be received")?;
    let folder =
        tempfile::Builder::new().prefix("imeid-demo-").tempdir().context("no temporary folder")?.keep();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let provider = simulator::start(options(), any).await.context("the simulator can't start")?;
    lay_out(&folder, &provider.url()).context("the demo's folder can't be laid out")?;
    introduce(&folder, &provider);
    let mut daemon = Daemon::start(&folder)?;
    let done = follow(&folder, &provider, &mut daemon, &stop).await;
    daemon.stop().await?;
    let ledger = provider.stop().await;
    match done? {
        Some(batch) => Ok(sum_up(&folder, &batch, &ledger)),
        None => bail!("stopped before the file was done; what there is lies in {}", folder.display()),
    }
}

fn options() -> Options {
    Options {
        latency: Delay::LogNormal(Duration::from_millis(1500)),
        completion: Delay::Uniform(Duration::from_secs(1), Duration::from_secs(5)),
        rejected: Share::from_ppm(40_000),
        phpxml: true,
        ..Options::default()
    }
}

fn lay_out(folder: &Path, url: &str) -> io::Result<()> {
    fs::write(folder.join("imeid.toml"), CONFIG.replace("BASE_URL", url))?;
    fs::write(folder.join("api-key"), "no-secret-the-simulator-takes-any-key\n")?;
    fs::create_dir(folder.join("inbox"))?;
    fs::write(folder.join("inbox/stock.csv"), sample::file(ROWS))
}

fn introduce(folder: &Path, provider: &Running) {
    say(&format!(
        "A provider of our own answers at {}: nothing here costs anything.\n\
         It takes about 1.5 s an order, gives some back, and will lose two answers on their way.\n\
         {ROWS} rows, some of them invalid, some repeated, lie in {}.\n",
        provider.url(),
        folder.join("inbox/stock.csv").display()
    ));
}

/// `imeid run` as a process of its own, as systemd would start it.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn start(folder: &Path) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let log = folder.join("imeid.log");
        let program = std::env::current_exe().context("this program can't be found")?;
        let child = Command::new(program)
            .args(["run", "--config"])
            .arg(folder.join("imeid.toml"))
            .env_remove("CREDENTIALS_DIRECTORY")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            // Ctrl-C is for the demo, which then stops it in order.
            .process_group(0)
            .spawn()
            .context("the daemon can't be started")?;
        Ok(Self { child, log })
    }

    fn is_running(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    async fn stop(mut self) -> Result<()> {
        if self.is_running()? {
            let pid = rustix::process::Pid::from_child(&self.child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        let began = Instant::now();
        while self.is_running()? {
            if began.elapsed() > PATIENCE {
                self.child.kill()?;
                bail!("the daemon doesn't stop:\n{}", self.said());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

/// Shows how far the file is until it is done, or `stop`.
async fn follow(
    folder: &Path,
    provider: &Running,
    daemon: &mut Daemon,
    stop: &CancellationToken,
) -> Result<Option<BatchWork>> {
    let bar = progress_bar();
    let began = Instant::now();
    let mut line_due = LINE_EVERY;
    let mut answers_lost = false;
    loop {
        if !daemon.is_running()? {
            bail!("the daemon ended by itself:\n{}", daemon.said());
        }
        if began.elapsed() > PATIENCE {
            bail!("the file isn't done after {} s:\n{}", PATIENCE.as_secs(), daemon.said());
        }
        if !answers_lost && provider.ledger().charges >= LOSE_ANSWERS_AFTER {
            answers_lost = true;
            provider.change(&Change { faults: "drop-after=2x".parse().ok(), ..Change::default() });
        }
        let seen = look(folder)?;
        if let Some(batch) = &seen {
            let text = how_far(batch);
            bar.set_length(batch.rows_total);
            bar.set_position(batch.rows_total.saturating_sub(batch.open_rows()));
            bar.set_message(text.clone());
            if bar.is_hidden() && began.elapsed() >= line_due {
                line_due = line_due.saturating_add(LINE_EVERY);
                say(&text);
            }
        }
        if let Some(batch) = seen.filter(|batch| batch.state.is_over()) {
            bar.finish_and_clear();
            return Ok(Some(batch));
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn progress_bar() -> ProgressBar {
    if !io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::from(ROWS));
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} rows  {msg}") {
        bar.set_style(style);
    }
    bar
}

/// The file's batch, once there is one.
fn look(folder: &Path) -> Result<Option<BatchWork>> {
    let journal = folder.join("state/journal.db");
    if !journal.exists() {
        return Ok(None);
    }
    // A journal that is just being made can't be read yet.
    let Ok(view) = View::open(&journal) else { return Ok(None) };
    let Ok(busy) = view.busy_batches() else { return Ok(None) };
    let found = busy.into_iter().next();
    Ok(match found {
        Some(batch) => Some(batch),
        None => view.done_batches(1)?.into_iter().next(),
    })
}

fn how_far(batch: &BatchWork) -> String {
    let of = |states: &[State]| {
        batch.count(|tally| {
            tally.link == Link::Own
                && matches!(tally.state, TallyState::Order(state) if states.contains(&state))
        })
    };
    let orders = batch.count(|tally| tally.link == Link::Own);
    let waiting = of(&[State::Queued]);
    format!(
        "sent {}/{orders}, on their way {}, in doubt {}, charged ${}",
        orders.saturating_sub(waiting),
        of(&[State::Submitting]),
        of(&[State::InDoubt]),
        words::charged(batch.charged, batch.presumed)
    )
}

/// What became of it, and whether our books are the provider's.
fn sum_up(folder: &Path, batch: &BatchWork, ledger: &LedgerSummary) -> bool {
    let mut text = String::from("Done. What became of the rows:\n");
    for (status, n) in by_status(batch) {
        text.push_str(&format!("  {n:>4}  {:<10}  {}\n", status.as_str(), status.means()));
    }
    let doubts = ledger.faults.values().sum::<u64>();
    text.push_str(&format!(
        "\nAnswers lost on their way: {doubts}. Each order was found in the provider's listing, and not sent again.\n\
         Charged by the provider's ledger: {} orders, ${}. By the journal: ${}. Paid twice: {}.\n\n",
        ledger.charges,
        ledger.charged,
        words::charged(batch.charged, batch.presumed),
        ledger.paid_twice
    ));
    for (what, path) in [
        ("result", "outbox/stock.results.csv"),
        ("its words", "outbox/READ ME.txt"),
        ("original", "archive"),
        ("log", "imeid.log"),
        ("config", "imeid.toml"),
        ("journal", "state/journal.db"),
    ] {
        text.push_str(&format!("  {what:<10} {}\n", folder.join(path).display()));
    }
    say(&text);
    let rows: u64 = by_status(batch).values().sum();
    let open = by_status(batch).iter().any(|(status, _)| !RowStatus::is_final(*status));
    let agree = ledger.charged == batch.charged
        && ledger.paid_twice == 0
        && batch.presumed == Money::ZERO
        && rows == u64::from(ROWS)
        && !open
        && folder.join("outbox/stock.results.csv").exists();
    if !agree {
        complain("imeid demo: the figures don't agree");
    }
    agree
}
