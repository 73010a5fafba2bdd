//! `imeid check`: what it says, its exit codes, and that it leaves nothing behind.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use imeid::simulator::{Account, Change, Delay, Options};

use crate::support::{Sim, Workplace};

const NOBODY: &str = "http://127.0.0.1:9";

fn quick() -> Options {
    Options { other_latency: Delay::NONE, ..Options::default() }
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn ends(output: &Output, code: i32, words: &[&str]) {
    let told = told(output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    for word in words {
        assert!(told.contains(word), "{word:?} is missing in:\n{told}");
    }
}

#[test]
fn a_fresh_installation_is_fine_and_stays_as_it_was() {
    let place = Workplace::new(NOBODY, &[]);
    ends(&place.run(&["check"]), 0, &["ok       inbox", "the daemon makes it", "the daemon is not running"]);
    assert_eq!(place.names(""), ["api-key", "imeid.toml"], "nothing is made or left");
}

#[test]
fn a_running_daemon_is_told_and_its_folders_stay_as_they_were() {
    let sim = Sim::start(quick());
    let mut place = Workplace::new(&sim.url(), &[]);
    place.start();
    let before = place.names("inbox");
    ends(&place.run(&["check"]), 0, &[&format!("the daemon is running, process {}", place.pid())]);
    assert_eq!(place.names("inbox"), before);
}

#[test]
fn a_missing_key_is_code_2_and_a_key_that_everyone_reads_a_warning() {
    let place = Workplace::new(NOBODY, &[]);
    std::fs::set_permissions(place.path("api-key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    ends(&place.run(&["check"]), 0, &["warning  API key: everyone", "chmod 600"]);
    std::fs::remove_file(place.path("api-key")).unwrap();
    ends(&place.run(&["check"]), 2, &["error    there is no API key at"]);
    std::fs::write(place.path("api-key"), "k\n").unwrap();
    for command in ["check", "run"] {
        ends(&place.run(&[command]), 2, &["api-key must hold the API key alone", "less than 8 characters"]);
    }
}

#[test]
fn a_credential_that_systemd_hides_is_a_warning_offline_and_not_found_out_online() {
    let place = Workplace::new(NOBODY, &[]);
    let hidden = |args: &[&str]| {
        let mut command = crate::support::program();
        command.args(args).arg("--config").arg(place.config());
        command.env("CREDENTIALS_DIRECTORY", place.path("hidden")).output().unwrap()
    };
    ends(&hidden(&["check"]), 0, &["warning  the API key can't be looked at from here", "api-key"]);
    ends(&hidden(&["check", "--online"]), 1, &["error    the provider was not asked"]);
}

#[test]
fn before_a_reload_one_warning_says_what_is_wrong_and_nothing_what_is_right() {
    let place = Workplace::new(NOBODY, &[]);
    let reload = || {
        let mut command = crate::support::program();
        command.args(["check", "--reload", "--config"]).arg(place.config());
        // As systemd runs it: beside a credential that it hides.
        command.env("CREDENTIALS_DIRECTORY", place.path("hidden")).output().unwrap()
    };
    let fine = reload();
    assert_eq!((fine.status.code(), told(&fine).as_str()), (Some(0), ""));
    place.configure(NOBODY, &[("submit", "wrokers = 3"), ("budget", "per_day = \"a lot\"")]);
    let refused = reload();
    ends(
        &refused,
        2,
        &["WARN  the changed configuration is refused, the old one stays: ", "wrokers", "per_day"],
    );
    assert_eq!(told(&refused).lines().count(), 1, "{}", told(&refused));
    // On a disk that is full the daemon takes it over all the same.
    place.configure(NOBODY, &[("journal", "min_free = \"900GiB\"")]);
    let full = reload();
    assert_eq!((full.status.code(), told(&full).as_str()), (Some(0), ""));
    ends(&place.run(&["check"]), 3, &["error    disk: ", "nothing would be submitted"]);
    place.configure(NOBODY, &[]);
    std::fs::write(place.path("outbox"), "x").unwrap();
    let unusable = reload();
    ends(&unusable, 3, &["WARN  the changed configuration is refused", "outbox", "not a folder"]);
    assert_eq!(told(&unusable).lines().count(), 1, "{}", told(&unusable));
}

#[test]
fn a_bad_config_is_code_2_with_its_line() {
    let place = Workplace::new(NOBODY, &[("submit", "wrokers = 3")]);
    ends(&place.run(&["check"]), 2, &["imeid.toml:", "wrokers", "workers"]);
}

#[test]
fn certificates_that_are_not_there_are_code_2_beside_everything_else() {
    let place = Workplace::new(NOBODY, &[("provider", "ca_file = \"none.pem\"")]);
    for args in [&["check"][..], &["check", "--online"]] {
        ends(&place.run(args), 2, &["ok       inbox", "error    provider: ca_file", "none.pem"]);
    }
}

#[test]
fn a_file_in_the_place_of_a_folder_is_code_3() {
    let place = Workplace::new(NOBODY, &[]);
    std::fs::write(place.path("outbox"), "x").unwrap();
    ends(&place.run(&["check"]), 3, &["error    outbox", "not a folder"]);
}

#[test]
fn a_config_without_a_cap_is_warned_of() {
    let place = Workplace::new(NOBODY, &[]);
    let text = std::fs::read_to_string(place.config()).unwrap();
    std::fs::write(place.config(), text.replace("per_day = \"2000\"\n", "")).unwrap();
    ends(&place.run(&["check"]), 0, &["warning  per_day"]);
}

#[test]
fn online_the_balance_and_the_prices_are_told() {
    let sim = Sim::start(quick());
    let place = Workplace::new(&sim.url(), &[]);
    ends(
        &place.run(&["check", "--online"]),
        0,
        &["ok       balance 1000.00", "ok       service iphone-check"],
    );
    assert_eq!(sim.ledger().charges, 0);
}

#[test]
fn online_a_price_above_the_configured_one_is_code_3() {
    let mut options = quick();
    options.services[0].price = "0.09".parse().unwrap();
    let sim = Sim::start(options);
    let place = Workplace::new(&sim.url(), &[]);
    ends(&place.run(&["check", "--online"]), 3, &["error    service iphone-check", "0.09", "0.08"]);
}

#[test]
fn online_a_service_that_the_provider_does_not_have_is_code_3() {
    let mut options = quick();
    options.services.clear();
    let sim = Sim::start(options);
    let place = Workplace::new(&sim.url(), &[]);
    ends(&place.run(&["check", "--online"]), 3, &["error    service iphone-check", "1739"]);
}

#[test]
fn online_an_account_that_is_refused_is_code_2() {
    let sim = Sim::start(quick());
    sim.change(&Change { account: Some(Account::InvalidKey), ..Change::default() });
    let place = Workplace::new(&sim.url(), &[]);
    ends(&place.run(&["check", "--online"]), 2, &["error    provider", "Invalid API Key!"]);
}

#[test]
fn online_a_provider_that_cannot_be_reached_is_code_1() {
    let place = Workplace::new(NOBODY, &[]);
    ends(&place.run(&["check", "--online"]), 1, &["error    provider", "can't be reached"]);
}

#[test]
fn a_wrong_address_or_account_is_told_once_the_daemon_is_ready() {
    let sim = Sim::start(quick());
    sim.change(&Change { account: Some(Account::InvalidKey), ..Change::default() });
    for (url, words) in [(NOBODY, "can't be reached"), (sim.url().as_str(), "refuses the account")] {
        let mut place = Workplace::new(url, &[]);
        place.start();
        place.until("the log tells it", |place| {
            let log = place.log();
            let ready = log.find("ready").unwrap_or(usize::MAX);
            log.find(words).is_some_and(|at| ready < at) && log.contains("imeid check --online asks too")
        });
        assert!(place.stop().success(), "{}", place.log());
    }
    assert_eq!(sim.ledger().place_calls, 0);
}
