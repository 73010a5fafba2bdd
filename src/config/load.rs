//! From the file to a [`Config`]: every key read with its default, every error collected.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use toml::de::{DeTable, DeValue};

use super::checks;
use super::errors::{ConfigError, ConfigErrors, explain, place};
use super::keys::TABLES;
use super::section::{At, Report, Section, report_unknown};
use super::{
    Budget, Config, DoubtPolicy, Folders, InDoubtConfig, JournalConfig, ListRecent, LogConfig, LogFormat,
    LogImei, OutboxConfig, PollConfig, ProviderConfig, Service, SubmitConfig,
};
use crate::types::{Money, NetworkId};

/// A larger file is none of ours.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Reads and checks a config file.
///
/// # Errors
/// Everything that is wrong with it, each with line, column and mend.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    parse(&read_text(&path)?, &path)
}

pub(super) fn read_text(path: &Path) -> Result<String, ConfigErrors> {
    let unreadable = |why: String| ConfigErrors::unplaced(path, format!("the config can't be read: {why}"));
    let size = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            unreadable("there is no such file; --config or IMEID_CONFIG names another".into())
        }
        kind => unreadable(with_mend(&error, kind)),
    })?;
    let size = size.len();
    if size > CONFIG_BYTES_MAX {
        return Err(unreadable("it has more than 1 MiB".to_owned()));
    }
    let bytes = fs::read(path).map_err(|error| unreadable(with_mend(&error, error.kind())))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default()).into_owned();
        let message = "here is a character that is not UTF-8: save the file as UTF-8".to_owned();
        ConfigErrors::new(path, vec![ConfigError { place: Some(place(&before, valid)), message }])
    })
}

fn with_mend(error: &io::Error, kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::PermissionDenied => format!(
            "{error}; the daemon's user must be able to, and may: the API key isn't in it. chmod 644, or run this as root"
        ),
        _ => error.to_string(),
    }
}

/// Checks a config's text as if it had been read from `path` (an absolute one).
///
/// # Errors
/// Everything that is wrong with it, each with line, column and mend.
pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigErrors> {
    let report = Report::new(text);
    let (root, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        // Message and place only: how toml prints an error shows the line, which may hold a secret.
        for error in syntax {
            let at = error.span().map_or(0, |span| span.start);
            report.error(at, format!("this is not TOML: {}", explain(text, at, error.message())));
        }
        return Err(ConfigErrors::new(path, report.into_errors()));
    }
    let config = read(root.get_ref(), path, &report);
    let errors = report.into_errors();
    if errors.is_empty() { Ok(config) } else { Err(ConfigErrors::new(path, errors)) }
}

/// The tables that values are read from; kept for the places of what is wrong between two of them.
pub(super) struct Sections<'a> {
    pub(super) provider: Section<'a>,
    pub(super) folders: Section<'a>,
    pub(super) journal: Section<'a>,
    pub(super) submit: Section<'a>,
    pub(super) in_doubt: Section<'a>,
    pub(super) log: Section<'a>,
}

/// What is missing without a default is reported and left empty.
fn read(root: &DeTable<'_>, path: &Path, report: &Report<'_>) -> Config {
    for (key, value) in root {
        if !TABLES.iter().any(|(table, _)| *table == key.get_ref()) {
            report_unknown("", key, value, report);
        }
    }
    let base = path.parent().unwrap_or(Path::new("/"));
    let section = |name| Section::of_root(root, name, report);
    let sections = Sections {
        provider: section("provider"),
        folders: section("folders"),
        journal: section("journal"),
        submit: section("submit"),
        in_doubt: section("in_doubt"),
        log: section("log"),
    };
    // Not read yet; opening them reports what they must not hold.
    section("metrics");
    let config = Config {
        path: path.to_owned(),
        provider: read_provider(&sections.provider, base, report),
        folders: read_folders(&sections.folders, base),
        journal: read_journal(&sections.journal, base),
        submit: read_submit(&sections.submit),
        poll: read_poll(&section("poll")),
        in_doubt: read_in_doubt(&sections.in_doubt),
        budget: read_budget(&section("budget"), report),
        services: read_services(root, report),
        outbox: read_outbox(&section("outbox")),
        log: read_log(&sections.log, base),
    };
    checks::check(&config, &sections, report);
    config
}

fn read_provider(section: &Section<'_>, base: &Path, report: &Report<'_>) -> ProviderConfig {
    let allow_http = section.boolean("allow_http", false);
    let base_url = section.required_text("base_url", "https://example.com", "the provider's address");
    let user_id = section.required_text("user_id", "reseller", "the provider's name for you");
    let account = section.text("account", "main");
    let bind = section.text("bind", "192.0.2.7").and_then(|found| {
        let address = found.value.parse::<IpAddr>();
        address.map_err(|_| report.error(found.at, "bind must be an IP address of this machine")).ok()
    });
    let user_id = user_id.map(|found| found.value.to_owned()).unwrap_or_default();
    ProviderConfig {
        base_url: base_url.map(|found| read_base_url(found, allow_http, report)).unwrap_or_default(),
        api_key_file: section.path("api_key_file", base),
        account: account.map_or_else(|| user_id.clone(), |found| found.value.to_owned()),
        account_is_set: account.is_some(),
        user_id,
        timeout: section.duration("timeout", "120s", SECOND),
        connect_timeout: section.duration("connect_timeout", "10s", MILLISECOND),
        proxy: section.text("proxy", "http://proxy:3128").map(|proxy| read_proxy(proxy, report)),
        ca_file: section.path("ca_file", base),
        bind,
        list_recent: section.word(
            "list_recent",
            ListRecent::Auto,
            &[("auto", ListRecent::Auto), ("yes", ListRecent::Yes), ("no", ListRecent::No)],
        ),
        allow_http,
        shared_account: section.boolean("shared_account", false),
    }
}

/// The address without a trailing slash. It goes into every request and into the log: nothing secret may be in it.
fn read_base_url(found: At<&str>, allow_http: bool, report: &Report<'_>) -> String {
    let wrong = |why: &str| report.error(found.at, format!("base_url {why}"));
    match Url::parse(found.value) {
        Ok(url) if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() => {
            wrong("must begin with https://");
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            wrong("must not hold a user name or password: user_id and the file api-key are their places");
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            wrong("must not have anything after ? or #");
        }
        Ok(url) if url.path().contains("gsmfusion_api") || url.path().ends_with(".php") => {
            wrong(
                "must be the site's address alone: leave the path off, imeid adds /gsmfusion_api/index.php",
            );
        }
        Ok(url) if url.scheme() == "http" && !allow_http && !is_loopback(&url) => {
            wrong(
                "must be https://: over http:// anyone on the way reads the API key (allow_http = true allows it)",
            );
        }
        Ok(_) => {}
        Err(_) => wrong("must be an address such as \"https://example.com\""),
    }
    found.value.trim_end_matches('/').to_owned()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// May hold a password, so no message shows it.
fn read_proxy(found: At<&str>, report: &Report<'_>) -> String {
    let fits = |url: &Url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    if !Url::parse(found.value).is_ok_and(|url| fits(&url)) {
        report.error(found.at, "proxy must be an address such as \"http://proxy.example.com:3128\"");
    }
    found.value.to_owned()
}

fn read_folders(section: &Section<'_>, base: &Path) -> Folders {
    let folder = |key| folder_in(section, key, base);
    Folders {
        inbox: folder("inbox"),
        outbox: folder("outbox"),
        reconcile: folder("reconcile"),
        archive: folder("archive"),
        rejected: folder("rejected"),
        settle: section.duration("settle", "2s", MILLISECOND),
        rescan: section.duration("rescan", "30s", MILLISECOND),
    }
}

/// Where the journal is; by default where the package has it.
pub(super) fn folder_in(section: &Section<'_>, key: &str, base: &Path) -> PathBuf {
    section.path(key, base).unwrap_or_else(|| Path::new("/srv/imeid").join(key))
}

pub(super) fn journal_path_in(section: &Section<'_>, base: &Path) -> PathBuf {
    section.path("path", base).unwrap_or_else(|| PathBuf::from("/var/lib/imeid/journal.db"))
}

fn read_journal(section: &Section<'_>, base: &Path) -> JournalConfig {
    let forever_or = section.text("keep_answers", "forever").filter(|found| found.value != "forever");
    JournalConfig {
        path: journal_path_in(section, base),
        min_free_bytes: section.size("min_free", "256MiB"),
        keep_answers: forever_or.map(|_| section.duration("keep_answers", "90d", SECOND)),
    }
}

fn read_submit(section: &Section<'_>) -> SubmitConfig {
    SubmitConfig {
        workers: section.number("workers", 30, 1..=1_000).try_into().unwrap_or(30),
        adaptive: section.boolean("adaptive", true),
        max_attempts: section.number("max_attempts", 3, 1..=100),
        canary: section.number("canary", 3, 0..=1_000),
        drain: section.duration("drain", "130s", MILLISECOND),
    }
}

fn read_poll(section: &Section<'_>) -> PollConfig {
    PollConfig {
        first_after: section.duration("first_after", "10s", MILLISECOND),
        every: section.duration("every", "5m", MILLISECOND),
        ids_per_call: section.number("ids_per_call", 100, 1..=1_000).try_into().unwrap_or(100),
        give_up_after: section.duration("give_up_after", "14d", SECOND),
    }
}

fn read_in_doubt(section: &Section<'_>) -> InDoubtConfig {
    let policies = [("probe", DoubtPolicy::Probe), ("hold", DoubtPolicy::Hold)];
    InDoubtConfig {
        policy: section.word("policy", DoubtPolicy::Probe, &policies),
        quiet: section.duration("quiet", "120s", MILLISECOND),
        probe_within: section.duration("probe_within", "24h", MILLISECOND),
    }
}

fn read_budget(section: &Section<'_>, report: &Report<'_>) -> Budget {
    let per_day = section.money("per_day", "2000");
    if let Some(found) = per_day.filter(|found| found.value <= Money::ZERO) {
        report.error(
            found.at,
            "per_day must be more than 0, else nothing is ever ordered; leave it out for no limit",
        );
    }
    Budget { per_day: per_day.map(|found| found.value) }
}

fn read_outbox(section: &Section<'_>) -> OutboxConfig {
    OutboxConfig {
        held_after: section.duration("held_after", "24h", MILLISECOND),
        publish_after: section.duration("publish_after", "3d", MILLISECOND),
        partial_every: section.duration("partial_every", "5m", SECOND),
    }
}

fn read_log(section: &Section<'_>, base: &Path) -> LogConfig {
    use tracing::Level;
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    let formats = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    LogConfig {
        level: section.word("level", Level::INFO, &levels),
        format: section.word("format", LogFormat::Auto, &formats),
        imei: section.word("imei", LogImei::Full, &[("full", LogImei::Full), ("last4", LogImei::Last4)]),
        file: section.path("file", base),
    }
}

fn read_services(root: &DeTable<'_>, report: &Report<'_>) -> Vec<Service> {
    let mend = "write a table [[service]] with name, network_id and price";
    let tables = match root.get("service").map(|value| (value.span().start, value.get_ref())) {
        None => {
            report.error(0, format!("no service: {mend}"));
            return Vec::new();
        }
        Some((_, DeValue::Array(tables))) => tables,
        Some((at, _)) => {
            report.error(at, "service is a list of tables: write [[service]], with two brackets");
            return Vec::new();
        }
    };
    if tables.is_empty() {
        report.error(0, format!("no service: {mend}"));
    }
    let mut services: Vec<Service> = Vec::new();
    for table in tables.iter() {
        let section = Section::new("service", table, report);
        let service = read_service(&section, report);
        checks::check_against_earlier(&service, &services, &section, report);
        services.push(service);
    }
    services
}

fn read_service(section: &Section<'_>, report: &Report<'_>) -> Service {
    let name = section.required_text("name", "iphone-check", "your own name for it");
    let network_id = section.required_text("network_id", "1739", "the provider's number for it");
    if !section.has("price") {
        report.error(
            section.at,
            "price is missing in [[service]], the most one order may cost: write price = \"0.08\"",
        );
    }
    let price = section.money("price", "0.08");
    if let Some(found) = price.filter(|found| found.value <= Money::ZERO) {
        report.error(found.at, "price must be more than 0: it is the most that one order may cost");
    }
    let folder = section.text("folder", ".").map_or(".", |found| found.value).to_owned();
    let never_or = section.text("recheck_after", "never").filter(|found| found.value != "never");
    let recheck_after = never_or.map(|_| section.duration("recheck_after", "90d", SECOND));
    let service = Service {
        name: name.map(|found| found.value.to_owned()).unwrap_or_default(),
        network_id: NetworkId(network_id.map(|found| found.value.to_owned()).unwrap_or_default()),
        price: price.map(|found| found.value).unwrap_or_default(),
        folder,
        recheck_after,
        luhn: section.boolean("luhn", true),
        params: checks::checked_params(section.texts("params"), report),
    };
    checks::check_service(&service, section, report);
    service
}
