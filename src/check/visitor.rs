//! What somebody may do who is neither root nor the daemon's user: drop files and fetch results. What the daemon may do he
//! can't find out, and what he may not do is no fault of the machine's.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD};

use super::{Finding, ok, warning, wrong};
use crate::config::{self, Config, Folders};
use crate::durable::{DAEMONS_USER, User, user_name};

/// Who asks.
pub(super) struct Visitor {
    name: String,
    /// The daemon's user.
    daemon: String,
}

impl Visitor {
    /// `None`: root asks, or the daemon's user, or who that is isn't known.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let me = rustix::process::geteuid();
        if me.is_root() {
            return None;
        }
        let units =
            (config.path == Path::new(config::USUAL_PATH)).then(|| User::named(DAEMONS_USER)).flatten();
        let state = || config.journal.path.parent().and_then(|parent| Some(fs::metadata(parent).ok()?.uid()));
        let daemon = units.map(|user| user.uid).or_else(state)?;
        (daemon != me.as_raw() && daemon != 0)
            .then(|| Self { name: user_name(me.as_raw()), daemon: user_name(daemon) })
    }

    /// What he may do, folder by folder.
    pub(super) fn check(&self, config: &Config) -> Vec<Finding> {
        let Folders { inbox, outbox, reconcile, archive, rejected, .. } = &config.folders;
        let mut findings = vec![warning(format!(
            "rights: you are {}, the daemon is {}: told is what you may do, not what the daemon may; `imeid check` as root \
             looks at that",
            self.name, self.daemon
        ))];
        findings.push(self.folder("inbox", inbox, Use::Drop));
        for service in config.services.iter().filter(|service| service.folder != ".") {
            let path = inbox.join(&service.folder);
            findings.push(self.folder(&format!("folder of {}", service.name), &path, Use::Drop));
        }
        findings.push(self.folder("outbox", outbox, Use::Fetch));
        findings.push(self.folder("reconcile", reconcile, Use::Drop));
        findings.push(self.folder("archive", archive, Use::Fetch));
        findings.push(self.folder("rejected", rejected, Use::Fetch));
        findings.push(ok(format!(
            "journal {}: root's and the daemon's alone, as are the commands that read it (status, show, export) or change \
             something. Whether the daemon runs, and what it does: systemctl status imeid",
            config.journal.path.display()
        )));
        findings
    }

    fn folder(&self, what: &str, path: &Path, used: Use) -> Finding {
        let shown = path.display();
        let (access, may) = match used {
            Use::Drop => (Access::WRITE_OK | Access::EXEC_OK, "drop files there"),
            Use::Fetch => (Access::READ_OK | Access::EXEC_OK, "fetch files there"),
        };
        match rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS).map_err(io::Error::from) {
            Ok(()) => ok(format!("{what} {shown}: you can {may}")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                warning(format!("{what} {shown}: it isn't there; the daemon makes it when it starts"))
            }
            Err(error) => wrong(format!(
                "{what} {shown}: {error}: you can't {may}. That takes the folder's group, for the package's folders: \
                 usermod --append --groups imeid {}, as root, and a new login",
                self.name
            )),
        }
    }
}

/// What people do with a folder.
#[derive(Clone, Copy)]
enum Use {
    Drop,
    Fetch,
}
