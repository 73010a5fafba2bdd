use std::path::Path;
use std::time::Duration;

use rstest::rstest;

use super::*;
use crate::types::{Money, NetworkId};

const SHIPPED: &str = include_str!("../../config/imeid.toml");
const PATH: &str = "/etc/imeid/imeid.toml";

/// The least that loads; `{}` is where a test adds something.
const LEAST: &str = r#"
[provider]
base_url = "https://provider.test/"
user_id = "reseller"
PROVIDER
[[service]]
name = "a"
network_id = "1"
price = "0.08"
SERVICE
"#;

fn with(provider: &str, service: &str, rest: &str) -> String {
    format!("{}{rest}", LEAST.replace("PROVIDER", provider).replace("SERVICE", service))
}

fn errors(text: &str) -> Vec<String> {
    match parse(text, Path::new(PATH)) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.to_string().lines().map(str::to_owned).collect(),
    }
}

/// The one error of this text.
#[track_caller]
fn error(text: &str) -> String {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors[0].clone()
}

#[test]
fn the_shipped_config_loads_with_the_defaults_that_the_design_names() {
    let config = parse(&edited(), Path::new(PATH)).unwrap();
    let bare = with("", "", "[budget]\nper_day = \"2000\"\n");
    let mut least = parse(&bare, Path::new(PATH)).unwrap();
    assert_eq!(config.provider, least.provider);
    assert_eq!(config.services.len(), 1);
    assert_eq!(config.services[0].network_id, NetworkId("1739".to_owned()));
    assert_eq!(config.services[0].price, "0.08".parse::<Money>().unwrap());
    least.services.clone_from(&config.services);
    assert_eq!(config, least, "every value that stands in the file is the default");
    assert_eq!(config.provider.base_url, "https://provider.test");
    assert_eq!(config.provider.account, "reseller");
    assert_eq!(config.folders.reconcile, Path::new("/srv/imeid/reconcile"));
    assert_eq!(config.submit.workers, 30);
    assert_eq!(config.in_doubt.quiet, Duration::from_secs(120));
    assert_eq!(config.journal.min_free_bytes, 256 << 20);
    assert_eq!(config.journal.keep_answers, None);
}

#[test]
fn every_value_behind_a_comment_sign_in_the_shipped_config_is_one_that_loads() {
    let is_value = |line: &str| {
        line.split_once(" = ").is_some_and(|(key, _)| {
            key.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
        })
    };
    let edited = edited();
    let uncommented: Vec<_> = edited
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_value(rest)).unwrap_or(line))
        .collect();
    assert!(uncommented.len() > 100);
    let config =
        parse(&uncommented.join("\n"), Path::new(PATH)).map_err(|errors| errors.to_string()).unwrap();
    let shipped = parse(&edited, Path::new(PATH)).unwrap();
    assert_eq!(
        (config.submit, config.poll, config.in_doubt),
        (shipped.submit, shipped.poll, shipped.in_doubt)
    );
    assert_eq!((config.outbox, config.budget), (shipped.outbox, shipped.budget));
}

#[test]
fn every_key_is_explained_in_the_shipped_config() {
    for (table, keys) in keys::TABLES {
        assert!(SHIPPED.contains(&keys::written(table)), "{table}");
        for key in *keys {
            assert!(
                SHIPPED.contains(&format!("{key} = ")) || SHIPPED.contains(&format!("# {key}: ")),
                "{table}.{key}"
            );
        }
    }
}

#[rstest]
#[case(
    "[submit]\nmax_rate = 5",
    "max_rate is not available in this version yet: leave it out or set it to 0"
)]
#[case(
    "[budget]\nconfirm_above = \"500\"",
    "confirm_above is not available in this version yet: leave it out"
)]
#[case(
    "[budget]\nmin_balance = \"20\"",
    "min_balance is not available in this version yet: leave it out or set it to \"0\""
)]
#[case(
    "[budget]\nstop_loss = 0.5",
    "stop_loss is not available in this version yet: leave it out or set it to 0"
)]
#[case(
    "[outbox]\nlayout = \"gsm-fusion\"",
    "layout is not available in this version yet: leave it out or set it to \"imeid\""
)]
#[case("[metrics]\nlisten = \"127.0.0.1:9464\"", "listen is not available in this version yet: leave it out")]
fn a_key_with_nothing_behind_it_yet_is_refused(#[case] rest: &str, #[case] expected: &str) {
    let error = error(&with("", "", rest));
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn such_a_key_may_say_off() {
    let off = "[submit]\nmax_rate = 0\n[budget]\n\
               min_balance = \"0\"\nstop_loss = 0.0\n[outbox]\nlayout = \"imeid\"\n[metrics]\n";
    assert!(errors(&with("", "", off)).is_empty());
}

#[rstest]
#[case("[submit]\nworker = 3", "12:1: unknown key worker in [submit]: did you mean workers?")]
#[case("[submit]\nquiet = \"2m\"", "12:1: quiet belongs into [in_doubt]")]
#[case("[poll]\nwrokers = 3", "12:1: unknown key wrokers in [poll]: did you mean workers in [submit]?")]
#[case("[submitt]\nworkers = 3", "11:2: unknown table [submitt]: did you mean [submit]?")]
#[case(
    "[poll]\nxyzzy = 1",
    "12:1: unknown key xyzzy in [poll]; there are first_after, every, ids_per_call, give_up_after"
)]
#[case(
    "[in_doubt]\npolicy = \"probes\"",
    "12:10: policy must be one of \"probe\", \"hold\", not \"probes\": did you mean \"probe\"?"
)]
#[case(
    "[log]\nlevel = \"warning\"",
    "12:9: level must be one of \"error\", \"warn\", \"info\", \"debug\", \"trace\", not \"warning\": did you mean \"warn\"?"
)]
#[case(
    "[log]\nimei = \"last_4\"",
    "12:8: imei must be one of \"full\", \"last4\", not \"last_4\": did you mean \"last4\"?"
)]
#[case(
    "[log]\nformat = 1",
    "12:10: format must be one of \"auto\", \"text\", \"json\", in quotes, not a number"
)]
fn an_unknown_word_is_answered_with_place_and_nearest_known_one(#[case] rest: &str, #[case] expected: &str) {
    assert_eq!(error(&with("", "", rest)), format!("{PATH}:{expected}"));
}

#[rstest]
#[case("[submit]\nbatch_size = 50", "ids_per_call in [poll]")]
#[case("[submit]\nmax_workers = 50", "write workers in [submit]")]
#[case("[poll]\nmax_retries = 5", "write max_attempts in [submit]")]
#[case("[journal]\nenable_checkpointing = true", "that is the journal")]
fn a_key_of_the_older_script_says_what_stands_for_it(#[case] rest: &str, #[case] expected: &str) {
    let error = error(&with("", "", rest));
    assert!(error.contains("older script") && error.contains(expected), "{error}");
}

#[test]
fn a_whole_table_of_the_older_script_is_explained_key_by_key() {
    let text = "max_workers = 3\n".to_owned()
        + &with("", "", "[processing]\nbatch_size = 50\nmax_retries = 3\nenable_checkpointing = true\n");
    let errors = errors(&text);
    assert_eq!(errors.len(), 5, "{errors:#?}");
    assert_eq!(errors.iter().filter(|error| error.contains("older script")).count(), 4);
}

#[rstest]
#[case(with("api_key = \"SECRET-1\"", "", ""))]
#[case(with("apiKey = \"SECRET-1\"", "", ""))]
#[case(with("", "", "[api]\nkey = \"SECRET-1\""))]
#[case(with("", "params = { apiAccessKey = \"SECRET-1\" }", ""))]
#[case(format!("API-KEY = \"SECRET-1\"\n{LEAST}").replace("PROVIDER", "").replace("SERVICE", ""))]
fn an_api_key_in_the_config_is_refused_without_being_shown(#[case] text: String) {
    let errors = errors(&text).join("\n");
    assert!(errors.contains("must not stand in this file") && errors.contains("api-key"), "{errors}");
    assert!(!errors.contains("SECRET"), "{errors}");
}

#[rstest]
#[case("api_key = \"SECRET-1")]
#[case("api_key = SECRET-1")]
#[case("api_key \"SECRET-1\"")]
#[case("SECRET-1")]
#[case("user_id = \"SECRET-1\"")]
#[case("api_key_file = [\"SECRET-1\"]")]
#[case("proxy = \"user:SECRET-1@proxy\"")]
#[case("timeout = { a = \"SECRET-1\" }")]
fn no_error_shows_a_line_of_the_file(#[case] line: &str) {
    let errors = errors(&with(line, "", "")).join("\n");
    assert!(errors.contains(&format!("{PATH}:5:")), "{errors}");
    assert!(!errors.contains("SECRET"), "{errors}");
}

#[rstest]
#[case("timeout = \"2 minutes\"", "timeout must be a duration such as \"120s\"")]
#[case("timeout = 120", "timeout must be a duration in quotes such as \"120s\", not a number")]
#[case("timeout = \"0s\"", "timeout must be at least 1s")]
#[case("timeout = \"99999999d\"", "timeout must be a duration such as")]
#[case("connect_timeout = \"120s\"", "connect_timeout must be shorter than timeout")]
#[case("timeout = \"5s\"", "connect_timeout must be shorter than timeout")]
#[case("bind = \"eth0\"", "bind must be an IP address")]
#[case("allow_http = \"yes\"", "allow_http must be true or false, without quotes, not a text")]
#[case("list_recent = true", "list_recent must be one of")]
#[case("account = \"\"", "account must be a text")]
#[case("proxy = \"socks5://x\"", "proxy must be an address such as")]
fn a_wrong_value_in_provider_is_named(#[case] line: &str, #[case] expected: &str) {
    let error = error(&with(line, "", ""));
    assert!(error.starts_with(&format!("{PATH}:5:")) && error.contains(expected), "{error}");
}

#[rstest]
#[case("http://provider.test", "must be https://")]
#[case("http://127.0.0.1.provider.test", "must be https://")]
#[case("ftp://provider.test", "must begin with https://")]
#[case("provider.test", "must be an address such as")]
#[case("https://me:SECRET@provider.test", "must not hold a user name or password")]
#[case("https://provider.test/?key=SECRET", "after ? or #")]
#[case("https://provider.test/gsmfusion_api/index.php", "leave the path off")]
#[case("https://provider.test/gsmfusion_api", "leave the path off")]
fn a_base_url_must_be_https_and_hold_no_secret(#[case] url: &str, #[case] expected: &str) {
    let error = error(&with("", "", "").replace("https://provider.test/", url));
    assert!(error.contains(expected) && !error.contains("SECRET"), "{error}");
}

#[rstest]
#[case("http://127.0.0.1:8080", "")]
#[case("http://[::1]:8080", "")]
#[case("http://localhost:8080", "")]
#[case("http://provider.test", "allow_http = true")]
#[case("https://provider.test/panel", "")]
#[case("https://example.com", "")]
fn plain_http_is_for_loopback_unless_it_is_allowed(#[case] url: &str, #[case] line: &str) {
    let text = with(line, "", "").replace("https://provider.test/", url);
    assert_eq!(parse(&text, Path::new(PATH)).unwrap().provider.base_url, url);
}

#[rstest]
#[case(
    "[in_doubt]\nquiet = \"60s\"",
    "quiet in [in_doubt] must not be shorter than timeout in [provider]; it is 60s, timeout is 120s"
)]
#[case("[submit]\ndrain = \"120s\"", "drain in [submit] must be longer than timeout in [provider]")]
#[case("[in_doubt]\nprobe_within = \"60s\"", "probe_within must be longer than quiet")]
#[case("[submit]\nworkers = 0", "workers must be from 1 to 1000")]
#[case("[submit]\nworkers = 1001", "workers must be from 1 to 1000")]
#[case("[submit]\nworkers = -1", "workers must be from 1 to 1000")]
#[case("[submit]\nworkers = \"30\"", "workers must be a whole number without quotes such as 30, not a text")]
#[case("[poll]\nids_per_call = 1001", "ids_per_call must be from 1 to 1000")]
#[case("[journal]\nmin_free = \"256\"", "min_free must be a size in quotes such as \"256MiB\"")]
#[case("[journal]\nmin_free = 256", "min_free must be a size in quotes")]
#[case("[journal]\nkeep_answers = \"always\"", "keep_answers must be a duration")]
#[case("[budget]\nper_day = 2000", "written in quotes: per_day = \"2000\"")]
#[case("[budget]\nper_day = \"0\"", "per_day must be more than 0")]
#[case("[budget]\nper_day = \"2.000,00\"", "is not an amount in dollars")]
#[case(
    "[[service]]\nname = \"a\"\nnetwork_id = \"2\"\nprice = \"1\"\nfolder = \"b\"",
    "two services with one name"
)]
#[case(
    "[[service]]\nname = \"b\"\nnetwork_id = \"1\"\nprice = \"1\"\nfolder = \"b\"",
    "two services with one network_id"
)]
#[case("[[service]]\nname = \"b\"\nnetwork_id = \"2\"\nprice = \"1\"", "two services with one folder")]
#[case("[folders]\noutbox = \"/srv/imeid/inbox\"", "inbox and outbox are the same folder")]
#[case("[folders]\narchive = \"/srv/imeid/inbox/done\"", "inbox and archive lie one inside the other")]
#[case("[folders]\nrejected = \"/srv/imeid/x/../inbox/./no\"", "inbox and rejected lie one inside the other")]
#[case("[journal]\npath = \"/srv/imeid/outbox/journal.db\"", "the journal must not lie in the outbox folder")]
#[case("[log]\nfile = \"/srv/imeid/inbox/log\"", "the log file must not lie in the inbox folder")]
#[case("[folders]\ninbox = \"\"", "inbox must be a text such as")]
fn a_wrong_value_or_two_that_contradict_are_named(#[case] rest: &str, #[case] expected: &str) {
    let error = error(&with("", "", rest));
    assert!(error.contains(expected), "{error}");
}

#[rstest]
#[case("folder = \"a/b\"", "without /")]
#[case("folder = \"..\"", "not beginning with a dot")]
#[case("folder = \".hidden\"", "not beginning with a dot")]
#[case("folder = \"\"", "folder must be a text")]
#[case("recheck_after = \"nevr\"", "recheck_after must be a duration")]
#[case("params = { mep = 12 }", "params.mep must be a text in quotes")]
#[case("params = { networkId = \"2\" }", "params must not hold networkId")]
#[case(&format!("params = {{ mep = \"{}\" }}", "x".repeat(1_020)), "params are too long: up to mep they take 1025 bytes")]
#[case(&format!("params = {{ mep = \"{}\" }}", "é".repeat(171)), "params are too long: up to mep they take 1031 bytes")]
#[case("params = \"mep=12\"", "params must be a table of texts")]
#[case("luhn = 1", "luhn must be true or false")]
fn a_wrong_value_in_a_service_is_named(#[case] line: &str, #[case] expected: &str) {
    let error = error(&with("", line, ""));
    assert!(error.starts_with(&format!("{PATH}:10:")) && error.contains(expected), "{error}");
}

#[rstest]
#[case("price = \"0.08\"", "price = 0.08", "written in quotes: price = \"0.08\"")]
#[case("price = \"0.08\"", "price = \"0\"", "price must be more than 0")]
#[case("price = \"0.08\"", "price = \"-1\"", "price must be more than 0")]
#[case("price = \"0.08\"", "", "price is missing in [[service]]")]
#[case("name = \"a\"", "", "name is missing in [[service]]")]
#[case("network_id = \"1\"", "", "write network_id = \"1739\"")]
#[case(
    "network_id = \"1\"",
    "network_id = 1",
    "network_id must be a text in quotes such as \"1739\", not a number"
)]
#[case("[[service]]", "[service]", "write [[service]], with two brackets")]
#[case("user_id = \"reseller\"", "", "write user_id = \"reseller\"")]
#[case("base_url = \"https://provider.test/\"", "", "write base_url = \"https://example.com\"")]
fn what_is_missing_is_named_with_the_mend(#[case] line: &str, #[case] instead: &str, #[case] expected: &str) {
    let error = error(&with("", "", "").replace(line, instead));
    assert!(error.contains(expected), "{error}");
}

#[test]
fn an_empty_file_names_everything_that_is_missing() {
    let errors = errors("").join("\n");
    for expected in
        ["base_url is missing in [provider]", "user_id is missing", "no service: write a table [[service]]"]
    {
        assert!(errors.contains(expected), "{errors}");
    }
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_file() {
    let errors =
        errors(&with("timeout = 5", "luhn = 2", "[submit]\nworkers = 0\nnope = 1\n[log]\nlevel = \"loud\""));
    let lines: Vec<_> = errors.iter().map(|error| error.split(':').nth(1).unwrap().to_owned()).collect();
    assert_eq!(lines, ["5", "10", "12", "13", "15"], "{errors:#?}");
}

#[test]
fn relative_paths_are_relative_to_the_config_file() {
    let rest = "[folders]\ninbox = \"in\"\n[journal]\npath = \"j/journal.db\"\n[log]\nfile = \"log\"";
    let config = parse(&with("ca_file = \"ca.pem\"", "", rest), Path::new("/opt/x/imeid.toml")).unwrap();
    assert_eq!(config.folders.inbox, Path::new("/opt/x/in"));
    assert_eq!(config.journal.path, Path::new("/opt/x/j/journal.db"));
    assert_eq!(config.log.file.as_deref(), Some(Path::new("/opt/x/log")));
    assert_eq!(config.provider.ca_file.as_deref(), Some(Path::new("/opt/x/ca.pem")));
    assert_eq!(config.api_key_path(None), Path::new("/opt/x/api-key"));
}

#[test]
fn a_service_keeps_its_parameters_in_the_order_of_the_file() {
    let line = "params = { zte = \"1\", mep = \"2\", kbh = \"3\" }\nrecheck_after = \"90d\"\nfolder = \"iPhone checks\"";
    let config = parse(&with("", line, ""), Path::new(PATH)).unwrap();
    let names: Vec<_> = config.services[0].params.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["zte", "mep", "kbh"]);
    assert_eq!(config.services[0].recheck_after, Some(Duration::from_secs(90 * 86_400)));
    assert_eq!(config.service_of_folder("iPhone checks").map(|service| service.name.as_str()), Some("a"));
}

#[test]
fn a_config_that_cannot_be_read_names_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let missing = load(&dir.path().join("none.toml")).unwrap_err().to_string();
    assert!(missing.contains("none.toml: the config can't be read"), "{missing}");
    assert!(missing.contains("--config or IMEID_CONFIG"), "{missing}");

    let latin = dir.path().join("latin.toml");
    std::fs::write(&latin, b"# ok\n# Gr\xf6\xdfe\n").unwrap();
    let error = load(&latin).unwrap_err().to_string();
    assert!(error.contains("latin.toml:2:5: ") && error.contains("UTF-8"), "{error}");

    let good = dir.path().join("imeid.toml");
    std::fs::write(&good, format!("\u{feff}{}", edited()).replace('\n', "\r\n")).unwrap();
    assert_eq!(load(&good).unwrap().path, good, "a byte order mark and CRLF do no harm");
}

#[test]
fn a_quoted_key_cannot_forge_a_line() {
    let error = error(&with("\"a\\nb\" = 1", "", ""));
    assert!(error.contains("a\\nb"), "{error}");
}
