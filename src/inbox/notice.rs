//! The note in `rejected/` about a file that has lain in the inbox untaken for long.
//!
//! Its first line says that it is one of these and for which file of which folder, so that after a restart it is known
//! again, and that a refusal's reason of the same name, or a note of another folder, is never overwritten or removed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::settings::INBOX;
use super::waiting::Why;
use crate::durable;

const SUFFIX: &str = ".reason.txt";
const MODE: u32 = 0o664;
/// How many names are tried where others' reasons have the first ones.
const NAMES_MAX: u32 = 100;
/// Longer first lines are none of ours.
const FIRST_LINE_BYTES_MAX: u64 = 8 * 1024;

/// What a note says.
pub(super) struct Notice<'a> {
    /// What people call the folder that is watched.
    pub(super) place: &'a str,
    /// The file or folder, relative to the inbox, for people.
    pub(super) shown: &'a str,
    /// Its own name.
    pub(super) name: &'a OsStr,
    /// Why it wasn't taken; `None`: it is complete, and nobody took it.
    pub(super) why: Option<Why>,
    /// Folders that files can be dropped into, for people.
    pub(super) folders: &'a str,
}

/// Writes the note, or writes it anew. False: it is there as it would be written.
pub(super) fn write(rejected: &Path, notice: &Notice<'_>) -> io::Result<bool> {
    let mark = mark(notice.place, notice.shown);
    for path in paths(rejected, notice.name) {
        let free = !fs::exists(&path)?;
        if free || is_ours(&path, &mark) {
            let name = path.file_name().unwrap_or_default().to_owned();
            let text = format!("{mark}\r\n\r\n{}", body(notice)).replace('\n', "\r\n").replace("\r\r", "\r");
            if !free && fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
                return Ok(false);
            }
            durable::write_file(rejected, &name, MODE, !free, |out| out.write_all(text.as_bytes()))?;
            return Ok(true);
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "every name for the note is taken"))
}

/// Removes the note about this file, if there is one.
pub(super) fn remove(rejected: &Path, place: &str, shown: &str, name: &OsStr) -> io::Result<()> {
    let mark = mark(place, shown);
    for path in paths(rejected, name) {
        if !fs::exists(&path)? {
            break;
        }
        if is_ours(&path, &mark) {
            return durable::remove_file(&path);
        }
    }
    Ok(())
}

/// Removes the notes about files of this folder that are gone: taken or removed while nobody looked.
pub(super) fn sweep(rejected: &Path, place: &str, inbox: &Path) -> io::Result<()> {
    let begin = begin(place);
    for entry in fs::read_dir(rejected)? {
        let path = entry?.path();
        if !path.to_string_lossy().ends_with(SUFFIX) {
            continue;
        }
        let Some(line) = first_line(&path) else { continue };
        let Some(shown) = line.strip_prefix(&begin) else { continue };
        // A name that is no UTF-8 isn't found under the one that is shown; its note is written again in ten minutes.
        if fs::symlink_metadata(inbox.join(shown)).is_err() {
            durable::remove_file(&path)?;
        }
    }
    Ok(())
}

/// How the first line of every note about a file of this folder begins.
fn begin(place: &str) -> String {
    if place == INBOX { "Not taken yet: ".to_owned() } else { format!("Not taken yet from the {place}: ") }
}

fn mark(place: &str, shown: &str) -> String {
    let plain: String = shown.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{}{plain}", begin(place))
}

fn paths(rejected: &Path, name: &OsStr) -> impl Iterator<Item = PathBuf> {
    let named = |n| -> OsString { durable::with_suffix(&durable::numbered(name, n), SUFFIX) };
    (1..=NAMES_MAX).map(move |n| rejected.join(named(n)))
}

fn is_ours(path: &Path, mark: &str) -> bool {
    first_line(path).is_some_and(|line| line == mark)
}

fn first_line(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    durable::open_regular(path)
        .and_then(|file: File| file.take(FIRST_LINE_BYTES_MAX).read_to_end(&mut bytes))
        .ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.lines().next().map(str::to_owned)
}

fn body(notice: &Notice<'_>) -> String {
    let (why, mend) = match notice.why {
        Some(Why::BeingWritten) => (
            "It keeps changing: a program is still writing it, or copying it isn't finished.".to_owned(),
            "Close it in the program that has it open, or let the copying end. If nothing writes it any more, copy it \
             into the inbox again under another name."
                .to_owned(),
        ),
        Some(Why::Unreadable) => (
            "imeid can't read it: it has no right to, or another program has it locked.".to_owned(),
            "Close it in the program that has it open. If that doesn't help, give the group of the inbox the right to \
             read it, or copy it into the inbox again."
                .to_owned(),
        ),
        Some(Why::NotAFile) => (
            "It is a link, a pipe or a device, or it lies in the place of a folder. imeid never opens such a thing."
                .to_owned(),
            "Copy the file itself into the inbox.".to_owned(),
        ),
        Some(Why::NoSuchService) => (
            "No service is configured for this place, so imeid can't know what to order.".to_owned(),
            format!("Move the files to where a service is configured for: {}.", notice.folders),
        ),
        Some(Why::NotAvailable) => (
            "Its name ends in .go or .stop, which makes it a word to imeid about another file, and this version takes \
             none yet. Nothing was let go or stopped by it."
                .to_owned(),
            "Remove it. Whoever looks after imeid can stop a file: \"imeid cancel NAME\".".to_owned(),
        ),
        Some(Why::WaitsForResume) => (
            "imeid's journal is an older copy of itself, and no file is taken before a person has made sure of what was \
             ordered since."
                .to_owned(),
            "Nothing with the file. Whoever looks after imeid says \"imeid resume\" then; \"imeid status\" tells more."
                .to_owned(),
        ),
        None => (
            "It is complete, but imeid isn't taking files at present.".to_owned(),
            "Nothing: it is taken when imeid goes on. \"imeid status\" says why it waits.".to_owned(),
        ),
    };
    let since = match notice.why {
        Some(Why::NotAvailable) => String::new(),
        _ => format!(
            "It has lain in the {} for more than ten minutes. Nothing of it was ordered.\n\n",
            notice.place
        ),
    };
    format!(
        "{since}Why: {why}\n\nWhat to do: \
         {mend}\n\nThis note goes by itself when the file is taken or removed.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(why: Option<Why>) -> Notice<'static> {
        Notice {
            place: INBOX,
            shown: "sub/a.csv",
            name: OsStr::new("a.csv"),
            why,
            folders: "the inbox itself",
        }
    }

    #[test]
    fn a_note_is_plain_text_with_crlf_and_is_written_anew_in_place() {
        let rejected = tempfile::tempdir().unwrap();
        let path = rejected.path().join("a.csv.reason.txt");
        for why in [
            Some(Why::BeingWritten),
            Some(Why::Unreadable),
            Some(Why::NotAFile),
            Some(Why::NoSuchService),
            Some(Why::NotAvailable),
            Some(Why::WaitsForResume),
            None,
        ] {
            assert!(write(rejected.path(), &notice(why)).unwrap());
            assert!(!write(rejected.path(), &notice(why)).unwrap(), "it is there");
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("Not taken yet: sub/a.csv\r\n\r\n"), "{text:?}");
            assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "{text:?}");
            assert!(!text.contains("\r\r"));
        }
        assert_eq!(fs::read_dir(rejected.path()).unwrap().count(), 1);
        remove(rejected.path(), INBOX, "sub/a.csv", OsStr::new("a.csv")).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn the_reason_of_a_refused_file_of_the_same_name_is_left_alone() {
        let rejected = tempfile::tempdir().unwrap();
        let refused = rejected.path().join("a.csv.reason.txt");
        fs::write(&refused, "Refused: no IMEI column").unwrap();
        write(rejected.path(), &notice(None)).unwrap();
        assert!(rejected.path().join("a-2.csv.reason.txt").exists());
        remove(rejected.path(), INBOX, "sub/a.csv", OsStr::new("a.csv")).unwrap();
        assert!(!rejected.path().join("a-2.csv.reason.txt").exists());
        remove(rejected.path(), INBOX, "sub/a.csv", OsStr::new("a.csv")).unwrap();
        assert_eq!(fs::read_to_string(&refused).unwrap(), "Refused: no IMEI column");
    }

    #[test]
    fn notes_about_files_that_are_gone_are_swept_at_start() {
        let (rejected, inbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(inbox.path().join("there.csv"), "").unwrap();
        for name in ["there.csv", "gone.csv"] {
            let notice = Notice { shown: name, name: OsStr::new(name), ..notice(None) };
            write(rejected.path(), &notice).unwrap();
        }
        fs::write(rejected.path().join("x.csv.reason.txt"), "Refused").unwrap();
        sweep(rejected.path(), INBOX, inbox.path()).unwrap();
        let left = |name: &str| rejected.path().join(format!("{name}.csv.reason.txt")).exists();
        assert!(left("there") && left("x") && !left("gone"));
    }
}
