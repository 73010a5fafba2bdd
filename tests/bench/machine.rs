//! The machine, and what its kernel counts of a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Ticks of a process's CPU time in a second: what Linux shows to programs, on every machine.
const TICKS_A_SECOND: u64 = 100;
/// Filesystems in memory: a sync costs nothing there, and nothing measured there counts.
const IN_MEMORY: [&str; 3] = ["tmpfs", "ramfs", "devtmpfs"];

/// Where everything that is measured lies: beside what was built, where a disk has room.
pub(crate) fn disk() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// The filesystem that a path lies on.
fn filesystem(path: &Path) -> Result<String> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let place = fs::canonicalize(path)?;
    mounts
        .lines()
        .filter_map(|line| {
            let mut cells = line.split(' ').skip(1);
            Some((cells.next()?, cells.next()?))
        })
        .filter(|(at, _)| place.starts_with(at))
        .max_by_key(|(at, _)| at.len())
        .map(|(_, kind)| kind.to_owned())
        .context("no mount holds the folder")
}

/// One line about the machine.
///
/// # Errors
/// The folder to measure in is in memory.
pub(crate) fn describe() -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let kind = filesystem(&disk())?;
    if IN_MEMORY.contains(&kind.as_str()) {
        bail!("the folder to measure in lies on {kind}, which is no disk: set CARGO_TARGET_DIR to one");
    }
    let load = fs::read_to_string("/proc/loadavg")?;
    let busy = load.split(' ').next().unwrap_or_default();
    let now = imeid::clock::Clock::system().now();
    Ok(format!(
        "{cores} cores ({}), on {kind}, load {busy} before it began, {now}",
        model.unwrap_or("unknown")
    ))
}

/// CPU time that a process has used, in all of its threads, those that ended too; to 10 ms.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold blanks. Behind it the third cell comes first.
    let (_, cells) = stat.rsplit_once(") ").context("a process's line")?;
    let mut cells = cells.split(' ').skip(11);
    let mut ticks = || cells.next().and_then(|cell| cell.parse::<u64>().ok()).context("a process's time");
    Ok(Duration::from_millis((ticks()? + ticks()?) * 1_000 / TICKS_A_SECOND))
}

/// CPU time that the calling thread has used.
pub(crate) fn cpu_here() -> Result<Duration> {
    cpu_of_thread(Path::new("/proc/thread-self"))
}

/// CPU time that a thread has used; `task`: its folder in `/proc`.
pub(crate) fn cpu_of_thread(task: &Path) -> Result<Duration> {
    let nanos = fs::read_to_string(task.join("schedstat"))?;
    Ok(Duration::from_nanos(nanos.split(' ').next().context("a thread's time")?.parse()?))
}

/// The most memory that a process has had at once, in MiB.
pub(crate) fn peak_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("a process's peak")?;
    let kib: u32 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(f64::from(kib) / 1024.0)
}
