//! What `imeid check` finds out about a configuration that could be read: whether the daemon could work with it here.
//! Nothing is changed, made or left behind.

mod filesystem;
mod folders;
mod provider;
mod rights;
#[cfg(test)]
mod tests;
mod visitor;

use std::fmt;
use std::os::unix::fs::PermissionsExt;

use crate::clock::Clock;
use crate::config::{Config, KeyError, api_key_home, read_api_key};
use crate::daemon::{self, Remembered};
use crate::journal::{JournalError, View};
use crate::provider::{ClientError, GsmFusion};

pub use provider::{not_asked, online};

/// How one thing that was looked at is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// As it should be.
    Ok,
    /// It works, and someone should think about it.
    Warning,
    /// It can't work.
    Wrong,
    /// It can't work before there is room on the journal's disk: no reason to refuse a reload, which needs none.
    NoRoom,
    /// It can't work because of what is configured: starting again changes nothing.
    BadConfig,
    /// It could not be found out.
    Unknown,
}

/// One thing that was looked at. Prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub grade: Grade,
    /// What was looked at, what is the matter, and what to do about it.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.grade {
            Grade::Ok => "ok",
            Grade::Warning => "warning",
            Grade::Wrong | Grade::NoRoom | Grade::BadConfig | Grade::Unknown => "error",
        };
        write!(f, "{word:<8} {}", self.text)
    }
}

fn ok(text: String) -> Finding {
    Finding { grade: Grade::Ok, text }
}

fn warning(text: String) -> Finding {
    Finding { grade: Grade::Warning, text }
}

fn wrong(text: String) -> Finding {
    Finding { grade: Grade::Wrong, text }
}

fn bad_config(text: String) -> Finding {
    Finding { grade: Grade::BadConfig, text }
}

fn unknown(text: String) -> Finding {
    Finding { grade: Grade::Unknown, text }
}

/// What all findings together say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is wrong; there may be warnings.
    Fine,
    /// Something could not be found out.
    Unknown,
    /// Something can't work.
    Wrong,
    /// What is configured, or the key, can't work.
    BadConfig,
}

/// The worst of them.
#[must_use]
pub fn verdict(findings: &[Finding]) -> Verdict {
    let of = |finding: &Finding| match finding.grade {
        Grade::Ok | Grade::Warning => Verdict::Fine,
        Grade::Unknown => Verdict::Unknown,
        Grade::Wrong | Grade::NoRoom => Verdict::Wrong,
        Grade::BadConfig => Verdict::BadConfig,
    };
    findings.iter().map(of).max().unwrap_or(Verdict::Fine)
}

/// Everything that this machine alone can tell. Blocks.
#[must_use]
pub fn offline(config: &Config) -> Vec<Finding> {
    let mut findings = vec![ok(format!("config {}", config.path.display()))];
    if rustix::process::geteuid().is_root() {
        findings.push(warning(
            "rights: not looked at, root may do everything; `runuser -u imeid -- imeid check` says what the daemon's user \
             may"
                .to_owned(),
        ));
    }
    let visitor = visitor::Visitor::of(config);
    match &visitor {
        Some(visitor) => findings.extend(visitor.check(config)),
        None => {
            findings.extend(folders::check(config));
            findings.extend(account(config));
        }
    }
    findings.extend(credential(config));
    findings.push(cap(config));
    if visitor.is_none() {
        findings.push(daemon_line(config));
    }
    findings
}

fn credential(config: &Config) -> Vec<Finding> {
    match read_api_key(config) {
        Ok(key) => {
            let path = api_key_home(config);
            let mut findings = vec![ok(format!("API key {}", path.display()))];
            let mode = std::fs::metadata(&path).map_or(0, |metadata| metadata.permissions().mode());
            if mode & 0o004 != 0 {
                findings.push(warning(format!(
                    "API key: everyone on this machine can read it; chmod 600 {}",
                    path.display()
                )));
            }
            // Connects to nothing, but reads the certificates.
            match GsmFusion::new(&config.provider, key, Clock::system()) {
                Ok(_) => {}
                Err(error @ ClientError::Placeholder(_)) => {
                    findings.push(warning(format!("provider: {error}; the daemon doesn't start before")));
                }
                Err(error) => findings.push(bad_config(format!("provider: {error}"))),
            }
            findings
        }
        Err(KeyError::RootsAlone { home }) => vec![ok(format!(
            "API key {}: root's alone, as it is installed, and systemd hands it to the daemon; `imeid check` as root looks \
             into it",
            home.display()
        ))],
        Err(error @ KeyError::Hidden { .. }) => vec![warning(error.to_string())],
        Err(error) => vec![bad_config(error.to_string())],
    }
}

/// What paid orders are remembered under, as far as there is a journal that can say so.
fn account(config: &Config) -> Option<Finding> {
    let journal = &config.journal.path;
    if !journal.is_file() {
        return None;
    }
    let name = &config.provider.account;
    let found = View::glance(journal).and_then(|view| daemon::remembered(&view, config));
    Some(match found {
        Ok(found @ (Remembered::Same | Remembered::Nothing)) => ok(format!("account {name}: {found}")),
        Ok(found @ (Remembered::Others { .. } | Remembered::Moves { .. })) => {
            warning(format!("account {name}: {found}"))
        }
        Ok(found @ Remembered::OtherProvider { .. }) => bad_config(found.to_string()),
        Err(error @ (JournalError::Damaged { .. } | JournalError::Newer { .. })) => wrong(error.to_string()),
        Err(error) => warning(format!("account {name}: what the journal remembers can't be told: {error}")),
    })
}

fn cap(config: &Config) -> Finding {
    match config.budget.per_day {
        Some(cap) => ok(format!("per_day: at most {cap} a day")),
        None => {
            warning("per_day is not set: nothing limits what a day may cost; set it in [budget]".to_owned())
        }
    }
}

fn daemon_line(config: &Config) -> Finding {
    match daemon::running(&config.journal.path) {
        Ok(Some(holder)) => {
            let process = holder.pid.map(|pid| format!(", process {pid}")).unwrap_or_default();
            ok(format!("the daemon is running{process}"))
        }
        Ok(None) => ok("the daemon is not running".to_owned()),
        Err(error) => warning(format!("whether the daemon is running can't be told: {error}")),
    }
}
