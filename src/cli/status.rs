//! `imeid status`: how things stand.

use std::path::Path;

use super::{Exit, complain, load, say};
use crate::clock::Clock;
use crate::status::{Status, text};

pub(super) fn run(config: &Path, json: bool) -> Exit {
    let config = match load(config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let status = match Status::read(&config, &Clock::system()) {
        Ok(status) => status,
        Err(error) => {
            complain(&format!("imeid: {error}"));
            return Exit::Failed;
        }
    };
    if json {
        match serde_json::to_string_pretty(&status) {
            Ok(json) => say(&json),
            Err(error) => {
                complain(&format!("imeid: the status can't be written as JSON: {error}"));
                return Exit::Failed;
            }
        }
        if status.disk.journal_bytes.is_none() {
            complain(&format!("imeid: there is no journal yet at {}", config.journal.path.display()));
        }
    } else {
        say(&text::text(&status));
    }
    if status.needs_attention() { Exit::Wrong } else { Exit::Done }
}
