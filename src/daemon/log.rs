//! Log lines: words, then `key=value`.
//!
//! Standard error always, a file beside it where the config names one. Text has a time stamp and the level in front;
//! where standard error is the journal of systemd, the level is its `<n>` prefix and the time is the journal's own.
//! JSON is one object a line. Whatever a value holds (a file name may hold anything), a line stays one line, and no
//! value can pass for a key: see [`line`]. With `imei = "last4"` no line shows a whole IMEI, whoever wrote the text that
//! it stands in: see [`imei`]. A panic is a line too: see [`panic`].

mod file;
mod imei;
mod line;
mod panic;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use secrecy::SecretString;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, reload};

use crate::clock::Clock;
use crate::config::{LogConfig, LogFormat, LogImei};

use file::LogFile;
use line::{Line, Style};

/// Libraries whose everyday words nobody needs; their warnings are kept.
const QUIET: [&str; 10] = [
    "rusqlite_migration",
    "hyper",
    "hyper_util",
    "reqwest",
    "rustls",
    "h2",
    "tower",
    "mio",
    "notify",
    "axum",
];

/// Why logging can't begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The log file can't be opened or made.
    #[error("the log file {} can't be opened: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// This process logs already.
    #[error("logging is set up already")]
    Twice,
}

/// Changes the logging of a process that runs.
#[derive(Clone)]
pub struct LogHandle {
    level: reload::Handle<Targets, Registry>,
    file: Option<Arc<LogFile>>,
    /// Lines show the last four digits of an IMEI only.
    last4: Arc<AtomicBool>,
    /// What no panic may tell.
    key: Arc<OnceLock<SecretString>>,
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").field("file", &self.file).finish_non_exhaustive()
    }
}

impl LogHandle {
    /// From now on lines of this level and above are written.
    pub fn set_level(&self, level: Level) {
        // Fails only when the subscriber is gone, and nothing is logged then.
        let _ = self.level.reload(filter(level));
    }

    /// From now on a panic is a line of this log, and not what the standard library prints.
    pub fn tell_panics(&self) {
        panic::tell(Arc::clone(&self.key));
    }

    /// From now on no panic's line holds this key. Every other line is made of texts that it isn't in.
    pub fn conceal(&self, key: &SecretString) {
        // A process has one key.
        let _ = self.key.set(key.clone());
    }

    /// Opens the log file anew under its name, after it was moved away. Without a log file it does nothing.
    ///
    /// # Errors
    /// [`LogError::File`]; the file that was open goes on being written then.
    pub fn reopen(&self) -> Result<(), LogError> {
        self.file.as_ref().map_or(Ok(()), |file| file.reopen())
    }

    /// Takes over what a re-read config can change while running: level, IMEIs, and the file opened anew under its old
    /// name. Another format or another file needs a restart.
    ///
    /// # Errors
    /// [`LogError::File`], as [`LogHandle::reopen`]; all else has been taken over then.
    pub fn reconfigure(&self, config: &LogConfig) -> Result<(), LogError> {
        self.last4.store(config.imei == LogImei::Last4, Ordering::Relaxed);
        self.set_level(config.level);
        self.reopen()
    }
}

/// Begins to log, for the whole process.
///
/// # Errors
/// If the log file can't be opened, or if it is called a second time.
pub fn init(config: &LogConfig, clock: &Clock) -> Result<LogHandle, LogError> {
    let under_journald = is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref());
    let (subscriber, handle) = build(config, clock, under_journald, io::stderr)?;
    subscriber.try_init().map_err(|_| LogError::Twice)?;
    Ok(handle)
}

/// Begins to log without a configuration: there is none, or it isn't in force. Warnings and errors alone, to standard
/// error.
pub fn init_without_config(clock: &Clock) {
    let config = LogConfig { level: Level::WARN, format: LogFormat::Auto, imei: LogImei::Full, file: None };
    // It opens nothing, so all that can fail is that this process logs already.
    let _ = init(&config, clock);
}

/// The subscriber that [`init`] installs, writing to `out` in place of standard error.
fn build<W>(
    config: &LogConfig,
    clock: &Clock,
    under_journald: bool,
    out: W,
) -> Result<(impl Subscriber + Send + Sync + 'static, LogHandle), LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let file = config.file.as_deref().map(LogFile::open).transpose()?.map(Arc::new);
    let (filter, level) = reload::Layer::new(filter(config.level));
    let last4 = Arc::new(AtomicBool::new(config.imei == LogImei::Last4));
    let line = |under_journald| Line {
        style: style(config.format, under_journald),
        clock: clock.clone(),
        last4: Arc::clone(&last4),
    };
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(layer(line(under_journald), out))
        .with(file.clone().map(|file| layer(line(false), file::Writer(file))));
    Ok((subscriber, LogHandle { level, file, last4, key: Arc::default() }))
}

fn layer<S, W>(line: Line, out: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // A standard error that was closed must not end the process: by default failures are printed there.
    tracing_subscriber::fmt::layer()
        .log_internal_errors(false)
        .with_ansi(false)
        .event_format(line)
        .with_writer(out)
}

fn style(format: LogFormat, under_journald: bool) -> Style {
    match format {
        LogFormat::Auto if under_journald => Style::Journald,
        LogFormat::Auto | LogFormat::Text => Style::Text,
        LogFormat::Json => Style::Json,
    }
}

fn filter(level: Level) -> Targets {
    let quiet = level.min(Level::WARN);
    Targets::new()
        .with_default(LevelFilter::from_level(level))
        .with_targets(QUIET.map(|target| (target, LevelFilter::from_level(quiet))))
}

/// Whether standard error is the journal's: systemd tells its device and inode in `$JOURNAL_STREAM`.
fn is_journal(stream: Option<&str>) -> bool {
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    stream == Some(format!("{}:{}", stat.st_dev, stat.st_ino).as_str())
}
