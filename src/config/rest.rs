//! What can be told of a config that has errors.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::errors::place;
use super::keys::TABLES;
use super::load::{folder_in, journal_path_in, read_text};
use super::section::{Report, Section};

/// Where the journal is by a config that [`load`](super::load) refuses; `None`: that can't be told, as the file can't be
/// read, or what is wrong with it may be just this.
#[must_use]
pub fn journal_path(path: &Path) -> Option<PathBuf> {
    told_of(path, |text, path| told_in(text, path, "journal", "path", journal_path_in))
}

/// Where files are dropped by such a config: the inbox and `reconcile/`; `None` likewise.
#[must_use]
pub fn drop_folders(path: &Path) -> Option<[PathBuf; 2]> {
    told_of(path, drop_folders_in)
}

fn drop_folders_in(text: &str, path: &Path) -> Option<[PathBuf; 2]> {
    let folder = |key| told_in(text, path, "folders", key, |section, base| folder_in(section, key, base));
    Some([folder("inbox")?, folder("reconcile")?])
}

fn told_of<T>(path: &Path, tell: impl FnOnce(&str, &Path) -> Option<T>) -> Option<T> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    tell(&read_text(&path).ok()?, &path)
}

/// What `read` makes of a key, where it is sure that the key is meant so.
fn told_in(
    text: &str,
    path: &Path,
    table: &'static str,
    key: &str,
    read: impl FnOnce(&Section<'_>, &Path) -> PathBuf,
) -> Option<PathBuf> {
    let report = Report::new(text);
    let (root, syntax) = DeTable::parse_recoverable(text);
    let root = root.get_ref();
    let section = Section::of_root(root, table, &report);
    let found = read(&section, path.parent().unwrap_or(Path::new("/")));
    let is_named = section.has(key);
    let line_of = |at| place(text, at).0;
    let line = line_of(section.place_of(key));
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
        let path = Path::new("/etc/imeid/imeid.toml");
        Some(told_in(text, path, "journal", "path", journal_path_in)?.display().to_string())
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

    #[test]
    fn the_folders_that_files_are_dropped_into_are_told_where_both_are_sure() {
        let told = |text: &str| {
            let found = drop_folders_in(text, Path::new("/etc/imeid/imeid.toml"))?;
            Some(found.map(|folder| folder.display().to_string()))
        };
        let usual = ["/srv/imeid/inbox", "/srv/imeid/reconcile"].map(str::to_owned);
        assert_eq!(told("[budget]\nper_day = 20\n"), Some(usual));
        let own = ["/etc/imeid/in", "/r"].map(str::to_owned);
        assert_eq!(told("[submit]\nwrokers = 3\n[folders]\ninbox = \"in\"\nreconcile = \"/r\"\n"), Some(own));
        for text in ["[folders]\ninbox = 3\n", "[folders]\nreconcle = \"/r\"\n", "[folders]\ninbox = \"in\n"]
        {
            assert_eq!(told(text), None, "{text}");
        }
    }
}
