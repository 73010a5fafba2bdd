//! What is wrong with a config is said with file, line and mend, and ends the start with code 2.

use std::process::Output;

use rstest::rstest;

use crate::support::{Workplace, program};

fn start_with(edit: impl FnOnce(String) -> String) -> Output {
    let place = Workplace::new("http://127.0.0.1:9", &[]);
    let text = std::fs::read_to_string(place.config()).unwrap();
    std::fs::write(place.config(), edit(text)).unwrap();
    place.run(&["run"])
}

fn refused(output: &Output, words: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    for word in words {
        assert!(told.contains(word), "{word:?} is missing in:\n{told}");
    }
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_nearest_known_one() {
    let output = start_with(|text| text.replace("drain =", "drian ="));
    refused(&output, &["imeid.toml", "drian", "drain"]);
}

#[test]
fn a_config_without_a_service_is_refused() {
    let output = start_with(|text| text.split("[[service]]").next().unwrap().to_owned());
    refused(&output, &["imeid.toml", "service"]);
}

#[test]
fn a_key_file_that_is_not_there_is_told_with_where_it_belongs() {
    let place = Workplace::new("http://127.0.0.1:9", &[]);
    std::fs::remove_file(place.path("api-key")).unwrap();
    refused(&place.run(&["run"]), &["api-key", "write the provider's key"]);
}

#[test]
fn plain_http_to_a_public_host_is_refused() {
    let output = start_with(|text| text.replace("http://127.0.0.1:9", "http://provider.test"));
    refused(&output, &["imeid.toml", "http", "allow_http"]);
}

#[test]
fn folders_on_top_of_each_other_are_refused() {
    let output = start_with(|text| text.replace("\"outbox\"", "\"inbox/results\""));
    refused(&output, &["imeid.toml", "inbox", "outbox", "inside"]);
}

#[test]
fn a_config_that_is_not_there_is_told() {
    let output = program().args(["run", "--config", "nowhere/imeid.toml"]).output().unwrap();
    refused(&output, &["nowhere/imeid.toml"]);
}

#[rstest]
#[case("batch_size = 50", "one")]
#[case("max_workers = 30", "workers")]
#[case("max_retries = 3", "max_attempts")]
#[case("enable_checkpointing = true", "journal")]
fn a_key_of_the_old_script_is_told_what_stands_for_it_here(#[case] line: &str, #[case] word: &str) {
    let output = start_with(|text| text.replace("[submit]\n", &format!("[submit]\n{line}\n")));
    refused(&output, &["imeid.toml", line.split(' ').next().unwrap(), word]);
}
