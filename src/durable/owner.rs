//! Whose folders are: the machine's users as its own files tell them, and the commands that mend it.

use std::fs;
use std::path::Path;

/// The user that the unit runs the daemon as.
pub const DAEMONS_USER: &str = "imeid";

/// What the package makes, with owner, mode and default ACL.
const SHIPPED: [&str; 6] = [
    "/srv/imeid/inbox",
    "/srv/imeid/outbox",
    "/srv/imeid/reconcile",
    "/srv/imeid/archive",
    "/srv/imeid/rejected",
    "/var/lib/imeid",
];
/// What belongs to the daemon from here on down.
const TOPS: [&str; 2] = ["/srv/imeid", "/var/lib/imeid"];

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// As people know it.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The numbers of the groups it is in.
    pub gids: Vec<u32>,
}

impl User {
    /// The user of that name, if `/etc/passwd` has one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::find(&read("/etc/passwd"), &read("/etc/group"), name)
    }

    fn find(users: &str, groups: &str, name: &str) -> Option<Self> {
        let cells = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let (uid, gid) = cells.into_iter().find_map(|cells| match cells.as_slice() {
            [found, _, uid, gid, ..] if *found == name => Some((uid.parse().ok()?, gid.parse().ok()?)),
            _ => None,
        })?;
        let of_group = |line: &str| match line.split(':').collect::<Vec<_>>().as_slice() {
            [_, _, gid, members] if members.split(',').any(|member| member == name) => gid.parse().ok(),
            _ => None,
        };
        let gids = std::iter::once(gid).chain(groups.lines().filter_map(of_group)).collect();
        Some(Self { name: name.to_owned(), uid, gids })
    }
}

/// The user's name, or `uid N` where `/etc/passwd` has none.
#[must_use]
pub fn user_name(uid: u32) -> String {
    name_in(&read("/etc/passwd"), uid).unwrap_or_else(|| format!("uid {uid}"))
}

fn name_in(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut cells = line.split(':');
        let (name, number) = (cells.next()?, cells.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The command that makes a folder for that user. One that a group writes into also gets the default ACL, without which a
/// person's umask shuts the daemon out of what is dropped.
#[must_use]
pub fn how_to_make(path: &Path, user: &str, mode: u32) -> String {
    if SHIPPED.iter().any(|shipped| path == Path::new(shipped)) {
        return "systemd-tmpfiles --create imeid.conf".to_owned();
    }
    let shown = path.display();
    let make = format!("install -d -o {user} -g imeid -m {mode:o} {shown}");
    if mode & 0o020 == 0 {
        return make;
    }
    format!("{make} && {}", how_to_share(path))
}

/// The command that gives a folder its default ACL.
#[must_use]
pub fn how_to_share(path: &Path) -> String {
    format!("setfacl --default --modify user::rwx,group::rwx,other::--- {}", path.display())
}

/// The command that gives the daemon's user a folder that is another's, with all that is in it.
#[must_use]
pub fn how_to_hand_over(path: &Path) -> String {
    let top = TOPS.iter().map(Path::new).find(|top| path.starts_with(top)).unwrap_or(path);
    format!("chown -R {DAEMONS_USER}:{DAEMONS_USER} {}", top.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/sh\nanna:x:1000:1000::/srv/anna:/bin/sh\nbroken\n:x:7:7\n";

    #[test]
    fn a_user_is_told_by_his_name_or_else_by_his_number() {
        assert_eq!(name_in(USERS, 0).as_deref(), Some("root"));
        assert_eq!(name_in(USERS, 1000).as_deref(), Some("anna"));
        assert_eq!(name_in(USERS, 7), None);
        assert_eq!(name_in(USERS, 4), None);
    }

    #[test]
    fn a_user_is_found_with_its_groups() {
        let groups = "anna:x:1000:\nimeid:x:993:bob,anna\nother:x:50:annabel\nbroken\n";
        let anna = User { name: "anna".to_owned(), uid: 1000, gids: vec![1000, 993] };
        assert_eq!(User::find(USERS, groups, "anna"), Some(anna));
        assert_eq!(User::find(USERS, groups, "broken"), None);
    }

    #[test]
    fn the_mend_makes_a_folder_that_works_for_every_umask() {
        let make = |path, mode| how_to_make(Path::new(path), "anna", mode);
        assert_eq!(make("/srv/imeid/inbox", 0o2775), "systemd-tmpfiles --create imeid.conf");
        let own = make("/data/in", 0o2775);
        assert!(
            own.starts_with("install -d -o anna -g imeid -m 2775 /data/in && setfacl --default "),
            "{own}"
        );
        // One of a service: the package knows nothing of it.
        assert!(make("/srv/imeid/inbox/mac", 0o2775).contains("setfacl"));
        assert_eq!(make("/data/journal", 0o700), "install -d -o anna -g imeid -m 700 /data/journal");
        assert_eq!(how_to_hand_over(Path::new("/srv/imeid/inbox")), "chown -R imeid:imeid /srv/imeid");
        assert_eq!(how_to_hand_over(Path::new("/data/in")), "chown -R imeid:imeid /data/in");
    }
}
