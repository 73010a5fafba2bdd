//! Folders: there or can be made, usable by this user, and on filesystems that do.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD};

use super::filesystem::{self, Kind};
use super::{Finding, Grade, ok, rights, warning, wrong};
use crate::config::{self, Config, Folders};
use crate::durable::{self, User, how_to_make, how_to_share, user_name};
use crate::inbox;

/// Only whoever owns a file, or the folder, renames it away.
const STICKY: u32 = 0o1000;
/// What is put into the folder gets the folder's group.
const SETGID: u32 = 0o2000;
/// The group may change the folder.
const GROUP_WRITES: u32 = 0o020;
/// The group or anyone may.
const OTHERS_WRITE: u32 = 0o022;

/// What `LogsDirectory=` of the unit makes.
const UNITS_LOGS: &str = "/var/log/imeid";

/// What others do with a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// People drop files there, which are renamed away.
    DroppedInto,
    /// Only imeid writes there.
    Own,
}

/// All folders of a configuration.
pub(super) fn check(config: &Config) -> Vec<Finding> {
    let Folders { inbox, outbox, reconcile, archive, rejected, .. } = &config.folders;
    let units = rights::units_user(config);
    let user = units.as_ref().map(|user| user.uid).or_else(|| owner(config));
    let folder = |what: &str, path: &Path, used| {
        let kept_out = units.as_ref().and_then(|user| rights::kept_out(what, path, user));
        let no_use = kept_out.or_else(|| out_of_reach(what, path, user));
        no_use.unwrap_or_else(|| folder(what, path, used))
    };
    let mut findings = vec![folder("inbox", inbox, Use::DroppedInto)];
    for service in config.services.iter().filter(|service| service.folder != ".") {
        let path = inbox.join(&service.folder);
        findings.push(folder(&format!("folder of {}", service.name), &path, Use::DroppedInto));
        findings.extend(one_place_with(inbox, &path));
    }
    findings.extend(one_place_with(inbox, &inbox::taken_folder(&inbox::Settings::of_inbox(config))));
    findings.push(folder("outbox", outbox, Use::Own));
    findings.push(folder("reconcile", reconcile, Use::DroppedInto));
    findings.push(folder("archive", archive, Use::Own));
    findings.push(folder("rejected", rejected, Use::Own));
    findings.extend(journal(config, units.as_ref()));
    if let Some(parent) = config.log.file.as_deref().and_then(Path::parent) {
        findings.push(log_folder(parent, config.path == Path::new(config::USUAL_PATH)));
    }
    findings
}

fn folder(what: &str, path: &Path, used: Use) -> Finding {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => {
            wrong(format!("{what} {shown}: it is not a folder; move it away, or set another in [folders]"))
        }
        Ok(metadata) => match usable(path) {
            Ok(()) if used == Use::DroppedInto && keeps_others_files(&metadata) => wrong(format!(
                "{what} {shown}: files that others drop can't be taken out of it (sticky bit); chmod -t {shown}"
            )),
            Ok(()) if used == Use::DroppedInto && leaves_files_to_others(&metadata) => warning(format!(
                "{what} {shown}: a file that is dropped there keeps the group of whoever drops it, and may be unreadable \
                 for the daemon; chmod g+s {shown}"
            )),
            Ok(()) if used == Use::DroppedInto && leaves_files_to_umasks(path, &metadata) => {
                warning(format!(
                    "{what} {shown}: it has no default ACL: what a person's umask shuts off can't be read; {}",
                    how_to_share(path)
                ))
            }
            Ok(()) => ok(format!("{what} {shown}")),
            Err(error) => wrong(format!(
                "{what} {shown}: {error} for user {}; it must be able to read, write and enter it",
                rustix::process::geteuid().as_raw()
            )),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => missing(what, path),
        Err(error) => wrong(format!("{what} {shown}: {error}")),
    }
}

fn keeps_others_files(metadata: &Metadata) -> bool {
    let user = rustix::process::geteuid();
    metadata.permissions().mode() & STICKY != 0 && !user.is_root() && metadata.uid() != user.as_raw()
}

/// A group shares the folder, and not what is put into it.
fn leaves_files_to_others(metadata: &Metadata) -> bool {
    let mode = metadata.permissions().mode();
    mode & GROUP_WRITES != 0 && mode & SETGID == 0
}

/// A group shares the folder, and a person's umask may keep what is put into it from the group.
fn leaves_files_to_umasks(path: &Path, metadata: &Metadata) -> bool {
    metadata.permissions().mode() & GROUP_WRITES != 0 && rights::has_default_acl(path) == Some(false)
}

/// The daemon makes a missing folder, with those above it.
fn missing(what: &str, path: &Path) -> Finding {
    let shown = path.display();
    // A dangling link has a name, so it can't be made; it says nothing of what lies above it.
    if fs::symlink_metadata(path).is_ok() {
        return wrong(format!("{what} {shown}: a link to something that isn't there"));
    }
    let above = path.ancestors().skip(1).find(|above| fs::symlink_metadata(above).is_ok());
    let above = above.unwrap_or(Path::new("/"));
    if !above.is_dir() {
        return wrong(format!("{what} {shown}: it isn't there, and {} is not a folder", above.display()));
    }
    match usable(above) {
        Ok(()) => ok(format!("{what} {shown}: not there yet, the daemon makes it")),
        Err(error) => wrong(format!(
            "{what} {shown}: it isn't there and can't be made in {}: {error}; make it, for the daemon's user",
            above.display()
        )),
    }
}

/// Whose the journal's folder or the inbox is: the daemon's user, where the unit's isn't known.
fn owner(config: &Config) -> Option<u32> {
    let is_root = rustix::process::geteuid().is_root();
    let places = [config.journal.path.parent(), Some(config.folders.inbox.as_path())];
    let mut owners = places.into_iter().flatten().filter_map(|path| Some(fs::metadata(path).ok()?.uid()));
    owners.find(|owner| is_root && *owner != 0)
}

/// A folder that isn't there, below one in which that user can make none.
fn out_of_reach(what: &str, path: &Path, user: Option<u32>) -> Option<Finding> {
    let user = user.filter(|_| fs::symlink_metadata(path).is_err())?;
    let above = path.ancestors().skip(1).find(|above| above.is_dir())?;
    let metadata = fs::metadata(above).ok()?;
    let is_shared = metadata.permissions().mode() & OTHERS_WRITE != 0;
    (metadata.uid() != user && !is_shared).then(|| {
        let (shown, above) = (path.display(), above.display());
        wrong(format!(
            "{what} {shown}: it isn't there, and the daemon's user can't make it in {above}; make it: {}",
            how_to_make(path, &user_name(user), 0o2775)
        ))
    })
}

/// Whether this process may list, change and enter a folder. The kernel's own answer: modes, lists, read-only mounts
/// and what systemd shuts off are in it.
fn usable(path: &Path) -> io::Result<()> {
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    Ok(rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS)?)
}

/// Taking a file is one rename from where it was dropped into `.taken`.
fn one_place_with(inbox: &Path, path: &Path) -> Option<Finding> {
    let (Ok(there), Ok(here)) = (filesystem::place(inbox), filesystem::place(path)) else { return None };
    (there != here).then(|| {
        wrong(format!(
            "{}: it is another mount than {}, so no file can be taken in one step; unmount it",
            path.display(),
            inbox.display()
        ))
    })
}

fn journal(config: &Config, user: Option<&User>) -> Vec<Finding> {
    let path = &config.journal.path;
    let parent = path.parent().unwrap_or(Path::new("/"));
    let kept_out = |what, path: &Path| user.and_then(|user| rights::kept_out(what, path, user));
    let what = "folder of the journal";
    let mut findings = vec![kept_out(what, parent).unwrap_or_else(|| folder(what, parent, Use::Own))];
    // As long as it isn't there, what lies above it tells.
    let Some(there) = parent.ancestors().find(|above| above.is_dir()) else { return findings };
    match filesystem::kind(there) {
        Ok(kind) => findings.extend(unfit(kind, path)),
        Err(error) => {
            findings.push(warning(format!("which filesystem the journal is on can't be told: {error}")))
        }
    }
    let is_there = fs::metadata(path).is_ok();
    findings.extend(kept_out("journal", path).filter(|_| is_there).or_else(|| journal_file(path)));
    match durable::free_bytes(there) {
        Ok(free) if free < config.journal.min_free_bytes => {
            let text = format!(
                "disk: {} MiB are free beside the journal and min_free is {} MiB: nothing would be submitted; free some",
                mebibytes(free),
                mebibytes(config.journal.min_free_bytes)
            );
            findings.push(Finding { grade: Grade::NoRoom, text });
        }
        Ok(free) => findings.push(ok(format!("disk: {} MiB are free beside the journal", mebibytes(free)))),
        Err(error) => findings.push(warning(format!("disk: the free space can't be told: {error}"))),
    }
    findings
}

fn mebibytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

fn journal_file(path: &Path) -> Option<Finding> {
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(wrong(format!("journal {shown}: {error}"))),
        Ok(metadata) if !metadata.is_file() => Some(wrong(format!("journal {shown}: it is not a file"))),
        Ok(_) => {
            let access = Access::READ_OK | Access::WRITE_OK;
            Some(match rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS) {
                Ok(()) => ok(format!("journal {shown}")),
                Err(error) => {
                    wrong(format!("journal {shown}: {error}; it must belong to the daemon's user: chown it"))
                }
            })
        }
    }
}

/// What speaks against keeping a journal there.
fn unfit(kind: Kind, journal: &Path) -> Option<Finding> {
    let shown = journal.display();
    match kind {
        Kind::Local => None,
        Kind::Network(name) => Some(warning(format!(
            "journal {shown}: it is on {name}, where what is written may not be safe and two machines could open it; \
             move it to a local disk"
        ))),
        Kind::Memory(name) => Some(warning(format!(
            "journal {shown}: it is on {name}, in memory: after a restart nothing is known of what was paid; move it to \
             a disk"
        ))),
        Kind::Layer(name) => Some(warning(format!(
            "journal {shown}: it is on {name}: if that is a container's own layer it goes with the container; mount a \
             volume there"
        ))),
    }
}

/// The log file's folder isn't made by the daemon, but its unit makes the usual one. `is_units`: it is the unit's
/// configuration.
fn log_folder(path: &Path, is_units: bool) -> Finding {
    match usable(path) {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && is_units && path == Path::new(UNITS_LOGS) =>
        {
            ok(format!("folder of the log file {}: not there yet, the unit makes it", path.display()))
        }
        Ok(()) => ok(format!("folder of the log file {}", path.display())),
        Err(error) => wrong(format!("folder of the log file {}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Grade;

    #[test]
    fn a_journal_in_memory_or_on_a_network_is_warned_of() {
        let path = Path::new("/var/lib/imeid/journal.db");
        assert_eq!(unfit(Kind::Local, path), None);
        for (kind, word) in [
            (Kind::Network("NFS"), "local disk"),
            (Kind::Memory("tmpfs"), "in memory"),
            (Kind::Layer("overlayfs"), "volume"),
        ] {
            let finding = unfit(kind, path).unwrap();
            assert_eq!(finding.grade, Grade::Warning);
            assert!(finding.text.contains(word), "{finding}");
        }
    }

    #[test]
    fn a_missing_folder_of_the_log_file_is_wrong_unless_the_unit_makes_it() {
        let dir = tempfile::tempdir().unwrap();
        let grade = |path: &Path, is_units| log_folder(path, is_units).grade;
        assert_eq!(grade(dir.path(), false), Grade::Ok);
        assert_eq!(grade(&dir.path().join("logs"), true), Grade::Wrong);
        if !Path::new(UNITS_LOGS).exists() {
            assert_eq!(grade(Path::new(UNITS_LOGS), true), Grade::Ok);
            assert_eq!(grade(Path::new(UNITS_LOGS), false), Grade::Wrong);
        }
    }

    #[test]
    fn a_folder_that_is_missing_can_be_made_below_a_folder_and_not_below_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c");
        assert_eq!(folder("inbox", &path, Use::DroppedInto).grade, Grade::Ok);
        assert!(!dir.path().join("a").exists(), "nothing is made");
        fs::write(dir.path().join("a"), "x").unwrap();
        assert_eq!(folder("inbox", &path, Use::DroppedInto).grade, Grade::Wrong);
        assert_eq!(folder("inbox", &dir.path().join("a"), Use::Own).grade, Grade::Wrong);
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        assert_eq!(folder("inbox", &dir.path().join("link"), Use::Own).grade, Grade::Wrong);
    }

    #[test]
    fn what_root_could_make_and_the_daemons_user_cant_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let owner = fs::metadata(dir.path()).unwrap().uid();
        let look = |user| out_of_reach("outbox", &dir.path().join("a/b"), user).map(|found| found.grade);
        assert_eq!(look(Some(owner + 1)), Some(Grade::Wrong));
        assert_eq!((look(Some(owner)), look(None)), (None, None));
        assert_eq!(out_of_reach("outbox", dir.path(), Some(owner + 1)), None, "it is there");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
        assert_eq!(look(Some(owner + 1)), None, "its group may be the user's");
    }

    #[test]
    fn a_folder_that_cant_be_written_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        // Root is kept out of nothing: there the modes that this is about don't count.
        let expected = if rustix::process::geteuid().is_root() { Grade::Ok } else { Grade::Wrong };
        for mode in [0o500, 0o600, 0o300] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(folder("outbox", dir.path(), Use::Own).grade, expected, "{mode:o}");
            assert_eq!(folder("outbox", &dir.path().join("none"), Use::Own).grade, expected, "{mode:o}");
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[test]
    fn a_folder_that_a_group_shares_hands_its_group_on() {
        let dir = tempfile::tempdir().unwrap();
        let grade = |mode, used| {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            folder("inbox", dir.path(), used).grade
        };
        assert_eq!(grade(0o770, Use::DroppedInto), Grade::Warning);
        // user::rwx, group::rwx, other::---, as the kernel keeps it.
        let entry =
            |(tag, may): (u16, u16)| [&tag.to_le_bytes()[..], &may.to_le_bytes(), &[0xff; 4]].concat();
        let acl = [2_u32.to_le_bytes().to_vec(), [(1, 7), (4, 7), (0x20, 0)].map(entry).concat()].concat();
        let (name, flags) = ("system.posix_acl_default", rustix::fs::XattrFlags::empty());
        let has_acls = rustix::fs::setxattr(dir.path(), name, &acl, flags).is_ok();
        assert_eq!(grade(0o2770, Use::DroppedInto), Grade::Ok);
        if has_acls {
            rustix::fs::removexattr(dir.path(), name).unwrap();
            assert_eq!(grade(0o2770, Use::DroppedInto), Grade::Warning, "umasks count");
        }
        assert_eq!(grade(0o700, Use::DroppedInto), Grade::Ok, "nobody else drops anything");
        assert_eq!(grade(0o770, Use::Own), Grade::Ok);
    }

    #[test]
    fn a_mount_inside_the_inbox_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("x")).unwrap();
        assert_eq!(one_place_with(dir.path(), &dir.path().join("x")), None);
        assert_eq!(one_place_with(dir.path(), &dir.path().join("none")), None);
        let mount = one_place_with(dir.path(), Path::new("/proc"));
        assert_eq!(mount.map(|finding| finding.grade), Some(Grade::Wrong));
    }
}
