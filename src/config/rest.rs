//! What can be told of a config that has errors.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::errors::place;
use super::keys::TABLES;
use super::load::{journal_path_in, read_text};
use super::section::{Report, Section};

/// Where the journal is by a config that [`load`](super::load) refuses; `None`: that can't be told, as the file can't be
/// read, or what is wrong with it may be just this.
#[must_use]
pub fn journal_path(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    journal_path_of(&read_text(&path).ok()?, &path)
}

fn journal_path_of(text: &str, path: &Path) -> Option<PathBuf> {
    let report = Report::new(text);
    let (root, syntax) = DeTable::parse_recoverable(text);
    let root = root.get_ref();
    let section = Section::of_root(root, "journal", &report);
    let found = journal_path_in(&section, path.parent().unwrap_or(Path::new("/")));
    let is_named = section.has("path");
    let line_of = |at| place(text, at).0;
    let line = line_of(section.place_of("path"));
    // What stands in a line that is no TOML may be half of what was meant.
    let is_torn = syntax.iter().any(|error| error.span().is_none_or(|span| line_of(span.start) == line));
    let is_plain = root.iter().all(|(key, _)| TABLES.iter().any(|(table, _)| *table == key.get_ref()));
    // The default holds where nothing unknown can have been meant for another path.
    let is_sure = if is_named { !is_torn } else { syntax.is_empty() && is_plain };
    (is_sure && report.into_errors().is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        let found = journal_path_of(text, Path::new("/etc/imeid/imeid.toml"))?;
        Some(found.display().to_string())
    }

    #[test]
    fn errors_elsewhere_leave_the_journal_where_it_is() {
        for error in ["", "[budget]\nper_day = 20\n", "[submit]\nwrokers = 3\n", "[folders]\ninbox = \"in\n"]
        {
            let named = format!("{error}[journal]\npath = \"state/journal.db\"\n");
            assert_eq!(told(&named).as_deref(), Some("/etc/imeid/state/journal.db"), "{error}");
            let after = format!("[journal]\npath = \"/j/journal.db\"\n{error}");
            assert_eq!(told(&after).as_deref(), Some("/j/journal.db"), "{error}");
        }
        assert_eq!(told("[budget]\nper_day = 20\n").as_deref(), Some("/var/lib/imeid/journal.db"));
    }

    #[test]
    fn where_it_may_be_meant_elsewhere_nothing_is_told() {
        for text in [
            "[journal]\npath = 3\n",
            "[journal]\npath = \"\"\n",
            "[journal]\npath = \"/j/journal.db\n",
            "[journal]\npath = /j/journal.db\n",
            "[journal]\npth = \"/j/journal.db\"\n",
            "[jornal]\npath = \"/j/journal.db\"\n",
            "[journal\npath = \"/j/journal.db\"\n",
            "[folders\ninbox = 3\n",
            "journal = 3\n",
        ] {
            assert_eq!(told(text), None, "{text}");
        }
        assert_eq!(journal_path(Path::new("/nowhere/imeid.toml")), None);
    }
}
