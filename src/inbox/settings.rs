//! What the inbox needs to know of the configuration.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Config;
use crate::types::NetworkId;

/// What people call the inbox.
pub(super) const INBOX: &str = "inbox";

/// Where files are dropped, and what for.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The folder that is watched.
    pub inbox: PathBuf,
    /// What people call it: notes about its files are told from another's by this.
    pub called: &'static str,
    /// Where notes about files that aren't taken go.
    pub rejected: PathBuf,
    /// How long a file stays unchanged before it is complete.
    pub settle: Duration,
    /// How often everything is looked through, whatever events tell.
    pub rescan: Duration,
    /// Which folder is which service's; "." is the inbox itself.
    pub services: Vec<(String, NetworkId)>,
}

impl Settings {
    /// For the inbox.
    #[must_use]
    pub fn of_inbox(config: &Config) -> Self {
        let services = config
            .services
            .iter()
            .map(|service| (service.folder.clone(), service.network_id.clone()))
            .collect();
        Self {
            inbox: config.folders.inbox.clone(),
            called: INBOX,
            rejected: config.folders.rejected.clone(),
            settle: config.folders.settle,
            rescan: config.folders.rescan,
            services,
        }
    }

    /// For `reconcile/`, whose files are of no service: their network id is empty.
    #[must_use]
    pub fn of_reconcile(config: &Config) -> Self {
        let services = vec![(".".to_owned(), NetworkId(String::new()))];
        let inbox = config.folders.reconcile.clone();
        Self { inbox, called: "folder reconcile", services, ..Self::of_inbox(config) }
    }

    /// The service whose folder this is.
    #[must_use]
    pub fn network_id_of(&self, folder: &str) -> Option<&NetworkId> {
        self.services.iter().find(|(name, _)| name == folder).map(|(_, network_id)| network_id)
    }

    /// Every folder that files are dropped into.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let of_services =
            self.services.iter().filter(|(name, _)| name != ".").map(|(name, _)| self.inbox.join(name));
        std::iter::once(self.inbox.clone()).chain(of_services).collect()
    }

    /// The same for people.
    pub(super) fn shown_folders(&self) -> String {
        let shown = |(name, _): &(String, NetworkId)| {
            if name == "." {
                format!("the {} itself", self.called)
            } else {
                format!("the folder {name} in the {}", self.called)
            }
        };
        self.services.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}
