//! Reading the configuration anew, on SIGHUP. A bad one is refused with its reasons, and the old one stays in force.
//!
//! What is open, locked or connected can't change under the stages that work with it: those keys keep their values until
//! a restart, each named in the log.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use super::key::KeyInUse;
use super::log::LogHandle;
use super::open::{make_folders, warn_of_left_waiting};
use crate::config::{self, Config, Service};
use crate::journal::Journal;
use crate::settings::Settings;

/// What a reload works on.
pub(super) struct Reload<'a> {
    pub(super) journal: &'a Journal,
    pub(super) settings: &'a watch::Sender<Arc<Settings>>,
    pub(super) log: Option<&'a LogHandle>,
    pub(super) key: Option<&'a Arc<KeyInUse>>,
}

impl Reload<'_> {
    /// Reads the file of the configuration in force, and takes it over if nothing is wrong with it. False: refused.
    pub(super) async fn run(&self) -> bool {
        let old = self.settings.borrow().config.clone();
        match self.read(&old).await {
            Ok(settings) => {
                let log = settings.config.log.clone();
                let changed = told(&config::changes(&old, &settings.config));
                if let Err(error) = warn_of_left_waiting(self.journal, &settings).await {
                    tracing::warn!("whether orders wait for a service that is gone can't be told: {error}");
                }
                self.settings.send_replace(settings);
                self.ring();
                self.reopen_log(&log);
                tracing::info!(config = %old.path.display(), changed, "configuration read anew");
                self.look_at_key().await;
                true
            }
            Err(reasons) => {
                tell_refused(&reasons, true);
                self.reopen_log(&old.log);
                false
            }
        }
    }

    async fn read(&self, old: &Config) -> Result<Arc<Settings>, Vec<String>> {
        let (path, before) = (old.path.clone(), old.clone());
        let read = tokio::task::spawn_blocking(move || read_file(&path, &before)).await;
        let (config, kept) = read.map_err(|error| vec![error.to_string()])??;
        let entered = new_or_renamed(old, &config);
        let settings = Settings::new(config, self.journal).await.map_err(|error| {
            vec![format!(
                "{entered} can't be entered in the journal: {error}; reload again once it can be written"
            )]
        })?;
        for key in kept {
            tracing::warn!(key, "changed in the configuration: it needs a restart, the old value stays");
        }
        Ok(Arc::new(settings))
    }

    /// Says so if a restart would find another API key.
    async fn look_at_key(&self) {
        let Some(key) = self.key.map(Arc::clone) else { return };
        let in_force = Arc::clone(&self.settings.borrow());
        let look = tokio::task::spawn_blocking(move || key.what_changed(&in_force.config));
        if let Ok(Some(text)) = look.await {
            tracing::warn!("{text}");
        }
    }

    /// Stages that wait look at once whether the new configuration gives them something to do.
    fn ring(&self) {
        let wakes = self.journal.wakes();
        for bell in [&wakes.submit, &wakes.settle, &wakes.poll, &wakes.outbox] {
            bell.notify_one();
        }
    }

    fn reopen_log(&self, config: &config::LogConfig) {
        let Some(log) = self.log else { return };
        if let Err(error) = log.reconfigure(config) {
            tracing::error!("{error}; lines go on into the one that is open");
        }
    }
}

/// Warns, in one line, that a changed configuration is refused; and whether it would fail a start too.
pub(crate) fn tell_refused(reasons: &[String], fails_a_start: bool) {
    let reasons = reasons.join("; ");
    let rest = if fails_a_start { "; a restart would fail with it" } else { "" };
    tracing::warn!("the changed configuration is refused, the old one stays: {reasons}{rest}");
}

/// The services that the journal doesn't know so yet, in words: all that a reload writes.
fn new_or_renamed(old: &Config, new: &Config) -> String {
    let is_known = |service: &&Service| {
        let before = old.service(&service.network_id);
        before.is_some_and(|before| before.name == service.name)
    };
    let names: Vec<&str> = new
        .services
        .iter()
        .filter(|service| !is_known(service))
        .map(|service| service.name.as_str())
        .collect();
    match names[..] {
        [name] => format!("the service {name}"),
        _ => format!("the services {}", names.join(", ")),
    }
}

fn told(changes: &[String]) -> String {
    if changes.is_empty() { "nothing".to_owned() } else { changes.join("; ") }
}

/// The new configuration as far as it can be taken over, and the keys that keep their old values. Makes its folders.
fn read_file(path: &Path, old: &Config) -> Result<(Config, Vec<&'static str>), Vec<String>> {
    let mut config = config::load(path)
        .map_err(|errors| errors.to_string().lines().map(str::to_owned).collect::<Vec<_>>())?;
    let kept = keep_what_is_in_use(old, &mut config);
    make_folders(&config).map_err(|error| vec![error.to_string()])?;
    Ok((config, kept))
}

/// Puts the old value back where it is open, locked or connected. Returns the keys whose change has to wait.
fn keep_what_is_in_use(old: &Config, new: &mut Config) -> Vec<&'static str> {
    let mut kept = Vec::new();
    let mut keep = |key, differs: bool| {
        if differs {
            kept.push(key);
        }
    };
    let (before, after) = (&old.provider, &new.provider);
    keep("base_url in [provider]", before.base_url != after.base_url);
    keep("user_id in [provider]", before.user_id != after.user_id);
    keep("account in [provider]", before.account != after.account);
    keep("api_key_file in [provider]", before.api_key_file != after.api_key_file);
    keep("timeout in [provider]", before.timeout != after.timeout);
    keep("connect_timeout in [provider]", before.connect_timeout != after.connect_timeout);
    keep("proxy in [provider]", before.proxy != after.proxy);
    keep("ca_file in [provider]", before.ca_file != after.ca_file);
    keep("bind in [provider]", before.bind != after.bind);
    keep("inbox in [folders]", old.folders.inbox != new.folders.inbox);
    keep("path in [journal]", old.journal.path != new.journal.path);
    keep("format in [log]", old.log.format != new.log.format);
    keep("file in [log]", old.log.file != new.log.file);
    // What the running client doesn't hold is taken over.
    let (list_recent, shared_account) = (new.provider.list_recent, new.provider.shared_account);
    new.provider = config::ProviderConfig { list_recent, shared_account, ..old.provider.clone() };
    new.folders.inbox.clone_from(&old.folders.inbox);
    new.journal.path.clone_from(&old.journal.path);
    new.log.format = old.log.format;
    new.log.file.clone_from(&old.log.file);
    // The file was right with its own time-out. With the one in force, a shorter quiet period would let a probe race a
    // call that is still on its way, and a shorter drain would leave doubts.
    let timeout = new.provider.timeout;
    if new.in_doubt.quiet < timeout || new.in_doubt.probe_within <= new.in_doubt.quiet {
        new.in_doubt.quiet = old.in_doubt.quiet;
        new.in_doubt.probe_within = old.in_doubt.probe_within;
        keep("quiet and probe_within in [in_doubt]", true);
    }
    if new.submit.drain <= timeout {
        new.submit.drain = old.submit.drain;
        keep("drain in [submit]", true);
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shipped() -> String {
        config::edited()
    }

    fn parse(text: &str) -> Config {
        config::parse(text, Path::new("/etc/imeid/imeid.toml")).unwrap()
    }

    fn reloaded(changes: &[(&str, &str)]) -> (Config, Vec<&'static str>) {
        let old = parse(&shipped());
        let mut text = shipped();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let mut new = parse(&text);
        let kept = keep_what_is_in_use(&old, &mut new);
        (new, kept)
    }

    #[test]
    fn an_unchanged_file_changes_nothing() {
        let (config, kept) = reloaded(&[]);
        assert_eq!((config, kept), (parse(&shipped()), vec![]));
    }

    #[test]
    fn what_can_change_is_taken_over() {
        let (config, kept) = reloaded(&[
            ("# workers = 30", "workers = 3"),
            ("per_day = \"2000\"", "per_day = \"1\""),
            ("# settle = \"2s\"", "settle = \"3s\""),
            ("# shared_account = false", "shared_account = true"),
            ("/srv/imeid/outbox", "/srv/imeid/out"),
        ]);
        assert_eq!(kept, Vec::<&str>::new());
        assert_eq!((config.submit.workers, config.provider.shared_account), (3, true));
        assert_eq!(config.folders.settle, Duration::from_secs(3));
        assert_eq!(config.folders.outbox, Path::new("/srv/imeid/out"));
        assert_eq!(config.budget.per_day.unwrap().to_string(), "1.00");
    }

    #[test]
    fn what_is_open_locked_or_connected_keeps_its_value_and_is_named() {
        let (config, kept) = reloaded(&[
            ("https://provider.test", "https://other.test"),
            ("\"reseller\"", "\"other\""),
            ("# connect_timeout = \"10s\"", "connect_timeout = \"9s\""),
            ("/srv/imeid/inbox", "/srv/imeid/in"),
            ("/var/lib/imeid/journal.db", "/var/lib/imeid/other.db"),
            ("# format = \"auto\"", "format = \"json\""),
        ]);
        assert_eq!(config, parse(&shipped()));
        let named = [
            "base_url in [provider]",
            "user_id in [provider]",
            "account in [provider]",
            "connect_timeout in [provider]",
            "inbox in [folders]",
            "path in [journal]",
            "format in [log]",
        ];
        assert_eq!(kept, named);
    }

    #[test]
    fn a_quiet_period_is_never_shorter_than_the_timeout_in_force() {
        let (config, kept) = reloaded(&[
            ("# timeout = \"120s\"", "timeout = \"30s\""),
            ("# quiet = \"120s\"", "quiet = \"31s\""),
            ("# drain = \"130s\"", "drain = \"32s\""),
        ]);
        assert_eq!(config.provider.timeout, Duration::from_secs(120));
        assert!(config.in_doubt.quiet >= config.provider.timeout, "{:?}", config.in_doubt);
        assert!(config.submit.drain > config.provider.timeout, "{:?}", config.submit);
        assert!(
            kept.contains(&"quiet and probe_within in [in_doubt]") && kept.contains(&"drain in [submit]")
        );
    }
}
