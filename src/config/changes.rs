//! What a config that is read anew changes, in words for the log.

use super::values::{show_duration, show_size};
use super::{
    Budget, Config, DoubtPolicy, Folders, InDoubtConfig, JournalConfig, ListRecent, LogConfig, LogFormat,
    LogImei, OutboxConfig, PollConfig, ProviderConfig, Service, SubmitConfig,
};

/// Every key with another value, as `per_day in [budget]: 2000.00 -> 1999.00`, and services that came or went. A
/// service's parameters may hold a secret: only their names are told.
#[must_use]
pub fn changes(old: &Config, new: &Config) -> Vec<String> {
    let mut told = changed("", &keys(old), &keys(new));
    for service in &new.services {
        match old.service(&service.network_id) {
            None => told.push(format!("{} added", titled(service))),
            Some(before) => {
                let of = format!(" of service {}", service.name);
                told.extend(changed(&of, &service_keys(before), &service_keys(service)));
                if before.params != service.params {
                    told.push(format!("params{of} changed: {}", names(&service.params)));
                }
            }
        }
    }
    let gone = old.services.iter().filter(|service| new.service(&service.network_id).is_none());
    told.extend(gone.map(|service| format!("{} removed", titled(service))));
    told
}

fn titled(service: &Service) -> String {
    format!("service {} (network_id {})", service.name, service.network_id)
}

fn names(params: &[(String, String)]) -> String {
    let names: Vec<&str> = params.iter().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

/// A key, and its value as the file would write it.
type Key = (&'static str, String);

/// Both sides have the same keys in the same order.
fn changed(of: &str, old: &[Key], new: &[Key]) -> Vec<String> {
    let pairs = old.iter().zip(new).filter(|(old, new)| old != new);
    pairs.map(|((key, old), (_, new))| format!("{key}{of}: {old} -> {new}")).collect()
}

/// Each table is taken apart whole: a field that is added and not told of doesn't compile.
fn keys(config: &Config) -> Vec<Key> {
    let Config {
        path: _,
        provider,
        folders,
        journal,
        submit,
        poll,
        in_doubt,
        budget: Budget { per_day },
        services: _,
        outbox,
        log,
    } = config;
    let JournalConfig { path, min_free_bytes, keep_answers } = journal;
    let OutboxConfig { held_after, publish_after, partial_every } = outbox;
    let mut keys = provider_keys(provider);
    keys.extend(folder_keys(folders));
    keys.extend([
        ("path in [journal]", path.display().to_string()),
        ("min_free in [journal]", show_size(*min_free_bytes)),
        ("keep_answers in [journal]", keep_answers.map_or_else(|| "forever".to_owned(), show_duration)),
    ]);
    keys.extend(submit_keys(submit));
    keys.extend(poll_keys(poll));
    keys.extend(doubt_keys(in_doubt));
    keys.push(("per_day in [budget]", or_none(per_day.as_ref())));
    keys.extend([
        ("held_after in [outbox]", show_duration(*held_after)),
        ("publish_after in [outbox]", show_duration(*publish_after)),
        ("partial_every in [outbox]", show_duration(*partial_every)),
    ]);
    keys.extend(log_keys(log));
    keys
}

fn provider_keys(provider: &ProviderConfig) -> Vec<Key> {
    let ProviderConfig {
        base_url,
        user_id,
        api_key_file,
        account,
        account_is_set: _,
        timeout,
        connect_timeout,
        proxy,
        ca_file,
        bind,
        list_recent,
        allow_http,
        shared_account,
    } = provider;
    let list_recent = match list_recent {
        ListRecent::Auto => "auto",
        ListRecent::Yes => "yes",
        ListRecent::No => "no",
    };
    // It may hold a password: that it is another says enough.
    let proxy = if proxy.is_some() { "set" } else { "none" };
    vec![
        ("base_url in [provider]", base_url.clone()),
        ("user_id in [provider]", user_id.clone()),
        ("api_key_file in [provider]", or_none(api_key_file.as_ref().map(|file| file.display()))),
        ("account in [provider]", account.clone()),
        ("timeout in [provider]", show_duration(*timeout)),
        ("connect_timeout in [provider]", show_duration(*connect_timeout)),
        ("proxy in [provider]", proxy.to_owned()),
        ("ca_file in [provider]", or_none(ca_file.as_ref().map(|file| file.display()))),
        ("bind in [provider]", or_none(bind.as_ref())),
        ("list_recent in [provider]", list_recent.to_owned()),
        ("allow_http in [provider]", allow_http.to_string()),
        ("shared_account in [provider]", shared_account.to_string()),
    ]
}

fn folder_keys(folders: &Folders) -> Vec<Key> {
    let Folders { inbox, outbox, reconcile, archive, rejected, settle, rescan } = folders;
    vec![
        ("inbox in [folders]", inbox.display().to_string()),
        ("outbox in [folders]", outbox.display().to_string()),
        ("reconcile in [folders]", reconcile.display().to_string()),
        ("archive in [folders]", archive.display().to_string()),
        ("rejected in [folders]", rejected.display().to_string()),
        ("settle in [folders]", show_duration(*settle)),
        ("rescan in [folders]", show_duration(*rescan)),
    ]
}

fn submit_keys(submit: &SubmitConfig) -> Vec<Key> {
    let SubmitConfig { workers, adaptive, max_attempts, canary, drain } = submit;
    vec![
        ("workers in [submit]", workers.to_string()),
        ("adaptive in [submit]", adaptive.to_string()),
        ("max_attempts in [submit]", max_attempts.to_string()),
        ("canary in [submit]", canary.to_string()),
        ("drain in [submit]", show_duration(*drain)),
    ]
}

fn poll_keys(poll: &PollConfig) -> Vec<Key> {
    let PollConfig { first_after, every, ids_per_call, give_up_after } = poll;
    vec![
        ("first_after in [poll]", show_duration(*first_after)),
        ("every in [poll]", show_duration(*every)),
        ("ids_per_call in [poll]", ids_per_call.to_string()),
        ("give_up_after in [poll]", show_duration(*give_up_after)),
    ]
}

fn doubt_keys(in_doubt: &InDoubtConfig) -> Vec<Key> {
    let InDoubtConfig { policy, quiet, probe_within } = in_doubt;
    let policy = match policy {
        DoubtPolicy::Probe => "probe",
        DoubtPolicy::Hold => "hold",
    };
    vec![
        ("policy in [in_doubt]", policy.to_owned()),
        ("quiet in [in_doubt]", show_duration(*quiet)),
        ("probe_within in [in_doubt]", show_duration(*probe_within)),
    ]
}

fn log_keys(log: &LogConfig) -> Vec<Key> {
    let LogConfig { level, format, imei, file } = log;
    let format = match format {
        LogFormat::Auto => "auto",
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let imei = match imei {
        LogImei::Full => "full",
        LogImei::Last4 => "last4",
    };
    vec![
        ("level in [log]", level.as_str().to_ascii_lowercase()),
        ("format in [log]", format.to_owned()),
        ("imei in [log]", imei.to_owned()),
        ("file in [log]", or_none(file.as_ref().map(|file| file.display()))),
    ]
}

/// Without the parameters, which are told of by name.
fn service_keys(service: &Service) -> Vec<Key> {
    let Service { name, network_id: _, price, folder, recheck_after, luhn, params: _ } = service;
    vec![
        ("name", name.clone()),
        ("price", price.to_string()),
        ("folder", folder.clone()),
        ("recheck_after", recheck_after.map_or_else(|| "never".to_owned(), show_duration)),
        ("luhn", luhn.to_string()),
    ]
}

fn or_none(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{edited, parse};

    fn told(edits: &[(&str, &str)]) -> Vec<String> {
        let path = Path::new("/etc/imeid/imeid.toml");
        let mut text = edited();
        for (from, to) in edits {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        changes(&parse(&edited(), path).unwrap(), &parse(&text, path).unwrap())
    }

    #[test]
    fn nothing_changed_is_nothing() {
        assert_eq!(told(&[]), Vec::<String>::new());
        assert_eq!(told(&[("# workers = 30", "workers = 30")]), Vec::<String>::new());
    }

    #[test]
    fn each_change_is_told_with_the_old_and_the_new_value() {
        let said = told(&[
            ("# workers = 30", "workers = 10"),
            ("per_day = \"2000\"", "# per_day"),
            ("# min_free = \"256MiB\"", "min_free = \"1GiB\""),
            ("# quiet = \"120s\"", "quiet = \"5m\""),
            ("# imei = \"full\"", "imei = \"last4\""),
        ]);
        assert_eq!(
            said,
            [
                "min_free in [journal]: 256MiB -> 1GiB",
                "workers in [submit]: 30 -> 10",
                "quiet in [in_doubt]: 120s -> 5m",
                "per_day in [budget]: 2000.00 -> none",
                "imei in [log]: full -> last4",
            ]
        );
    }

    #[test]
    fn services_that_come_go_or_change_are_told_and_no_parameter_s_value() {
        let path = Path::new("/etc/imeid/imeid.toml");
        let service = |id: &str, price: &str, more: &str| {
            format!(
                "[[service]]\nname = \"n{id}\"\nnetwork_id = \"{id}\"\nprice = \"{price}\"\nfolder = \"f{id}\"\n{more}\n"
            )
        };
        let with = |services: &[String]| {
            let shipped = edited();
            let (tables, _) = shipped.split_once("\n[[service]]\n").unwrap();
            let rest = shipped.split_once("\n[outbox]\n").unwrap().1;
            parse(&format!("{tables}\n{}\n[outbox]\n{rest}", services.concat()), path).unwrap()
        };
        let old = with(&[service("1", "0.08", ""), service("2", "0.10", "")]);
        let new = with(&[service("1", "0.09", "params = { pin = \"SECRET\" }"), service("3", "0.10", "")]);
        assert_eq!(
            changes(&old, &new),
            [
                "price of service n1: 0.08 -> 0.09",
                "params of service n1 changed: pin",
                "service n3 (network_id 3) added",
                "service n2 (network_id 2) removed",
            ]
        );
    }
}
