//! What single values can't show: values that contradict each other.

use std::path::{Component, Path, PathBuf};

use super::keys;
use super::load::Sections;
use super::section::{At, Report, Section};
use super::values::show_duration;
use super::{Config, Service};

/// Longest `network_id`, bytes: it is part of file names.
const NETWORK_ID_BYTES_MAX: usize = 64;

/// All parameters of a service together, bytes as they are sent.
const PARAMS_BYTES_MAX: usize = 1024;

/// Parameters of `placeorder` that imeid writes itself.
const OWN_PARAMS: [&str; 6] = ["apikey", "userid", "action", "imei", "networkid", "orderids"];

/// Everything that concerns more than one table.
pub(super) fn check(config: &Config, sections: &Sections<'_>, report: &Report<'_>) {
    check_times(config, sections, report);
    check_folders(config, sections, report);
    check_files(config, sections, report);
}

fn check_times(config: &Config, sections: &Sections<'_>, report: &Report<'_>) {
    let timeout = config.provider.timeout;
    // The key that was written is the place; where both are written, the one that depends on the other.
    let place = |section: &Section<'_>, key: &str| {
        if section.has(key) { section.place_of(key) } else { sections.provider.place_of("timeout") }
    };
    let is = |duration| format!("it is {}, timeout is {}", show_duration(duration), show_duration(timeout));
    let connect = config.provider.connect_timeout;
    if connect >= timeout {
        let why = "only then is it known that a call that couldn't connect sent nothing";
        let message = format!("connect_timeout must be shorter than timeout, {why}; {}", is(connect));
        report.error(place(&sections.provider, "connect_timeout"), message);
    }
    let quiet = config.in_doubt.quiet;
    if quiet < timeout {
        let message =
            format!("quiet in [in_doubt] must not be shorter than timeout in [provider]; {}", is(quiet));
        report.error(place(&sections.in_doubt, "quiet"), message);
    }
    let drain = config.submit.drain;
    if drain <= timeout {
        let why = "so that a clean stop leaves nothing in doubt";
        let message =
            format!("drain in [submit] must be longer than timeout in [provider], {why}; {}", is(drain));
        report.error(place(&sections.submit, "drain"), message);
    }
    let probe_within = config.in_doubt.probe_within;
    if probe_within <= quiet {
        let at = sections.in_doubt.place_of("probe_within");
        report.error(at, "probe_within must be longer than quiet, else no doubt is ever probed");
    }
}

fn check_folders(config: &Config, sections: &Sections<'_>, report: &Report<'_>) {
    let folders = named_folders(config);
    for (at, (key, path)) in folders.iter().enumerate() {
        for (earlier, other) in folders.iter().take(at) {
            let place = if sections.folders.has(key) { key } else { earlier };
            if lies_in(path, other) || lies_in(other, path) {
                let how = if plain(path) == plain(other) {
                    "are the same folder"
                } else {
                    "lie one inside the other"
                };
                let message = format!("{earlier} and {key} {how}: give each a folder of its own");
                report.error(sections.folders.place_of(place), message);
            }
        }
    }
}

/// A file of ours in one of the folders would be taken as a dropped one, or be in people's way.
fn check_files(config: &Config, sections: &Sections<'_>, report: &Report<'_>) {
    let files = [
        (&sections.journal, "path", "the journal", Some(&config.journal.path)),
        (&sections.provider, "api_key_file", "the API key", config.provider.api_key_file.as_ref()),
        (&sections.log, "file", "the log file", config.log.file.as_ref()),
    ];
    for (section, key, what, path) in files {
        let Some(path) = path else { continue };
        for (folder, inside) in named_folders(config) {
            if lies_in(path, inside) {
                report.error(section.place_of(key), format!("{what} must not lie in the {folder} folder"));
            }
        }
    }
}

fn named_folders(config: &Config) -> [(&'static str, &Path); 5] {
    let folders = &config.folders;
    [
        ("inbox", &folders.inbox),
        ("outbox", &folders.outbox),
        ("reconcile", &folders.reconcile),
        ("archive", &folders.archive),
        ("rejected", &folders.rejected),
    ]
}

fn lies_in(path: &Path, folder: &Path) -> bool {
    plain(path).starts_with(plain(folder))
}

/// `path` without `.` and `..`, by its text alone: the folders need not be there yet.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// What concerns one service.
pub(super) fn check_service(service: &Service, section: &Section<'_>, report: &Report<'_>) {
    if service.network_id.0.len() > NETWORK_ID_BYTES_MAX {
        let message = format!("network_id must have at most {NETWORK_ID_BYTES_MAX} bytes");
        report.error(section.place_of("network_id"), message);
    }
    let folder = service.folder.as_str();
    if folder != "." && (folder.starts_with('.') || folder.contains('/') || folder.len() > 255) {
        let message = "folder must be \".\", the inbox itself, or the name of a folder in it: without / and not \
                       beginning with a dot";
        report.error(section.place_of("folder"), message);
    }
}

/// Two services that couldn't be told apart.
pub(super) fn check_against_earlier(
    service: &Service,
    earlier: &[Service],
    section: &Section<'_>,
    report: &Report<'_>,
) {
    // What is missing is reported already.
    let has_id = !service.network_id.0.is_empty();
    for other in earlier {
        let clashes = [
            (
                "name",
                !service.name.is_empty() && service.name == other.name,
                "a command couldn't say which is meant",
            ),
            (
                "network_id",
                has_id && service.network_id == other.network_id,
                "an IMEI could be paid for under both",
            ),
            ("folder", service.folder == other.folder, "a file dropped there could be for either"),
        ];
        for (key, clash, why) in clashes {
            if clash {
                let message = format!("two services with one {key} (the other is {:?}): {why}", other.name);
                report.error(section.place_of(key), message);
            }
        }
    }
}

/// The parameters without those that imeid writes itself; they are reported.
pub(super) fn checked_params(
    params: Vec<At<(String, String)>>,
    report: &Report<'_>,
) -> Vec<(String, String)> {
    let mut checked = Vec::new();
    let mut bytes = 0usize;
    for At { at, value: (name, text) } in params {
        let is_too_long = bytes > PARAMS_BYTES_MAX;
        bytes = bytes.saturating_add(sent_bytes(&name)).saturating_add(sent_bytes(&text)).saturating_add(2);
        if let Some(message) = keys::banned(&name) {
            report.error(at, message);
        } else if name.is_empty() {
            report.error(at, "a parameter must have a name");
        } else if OWN_PARAMS.contains(&name.to_ascii_lowercase().as_str()) {
            report.error(at, format!("params must not hold {name}: imeid writes it itself"));
        } else if bytes > PARAMS_BYTES_MAX {
            // A request of a few packets leaves at once; what waits in a socket's buffer for a provider that reads slowly
            // could still be leaving when the quiet period is over.
            if !is_too_long {
                let message = format!(
                    "params are too long: up to {name} they take {bytes} bytes of each order's request, and at most \
                     {PARAMS_BYTES_MAX} may be sent, so that it leaves at once"
                );
                report.error(at, message);
            }
        } else {
            checked.push((name, text));
        }
    }
    checked
}

/// How many bytes a name or a text takes in a form: what isn't plain is written as `%` and two digits.
fn sent_bytes(text: &str) -> usize {
    let of = |byte: u8| if byte.is_ascii_alphanumeric() || b" *-._".contains(&byte) { 1 } else { 3 };
    text.bytes().map(of).sum()
}
