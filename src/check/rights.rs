//! What the daemon's user may do in a folder, as root can tell without being that user.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::io::Errno;

use super::{Finding, wrong};
use crate::config::{self, Config};
use crate::durable::{DAEMONS_USER, User, how_to_hand_over};

/// List, change and enter.
const ALL: u32 = 0o7;
const READ_AND_WRITE: u32 = 0o6;
const ENTER: u32 = 0o1;

/// Who the daemon is: what root may do tells nothing of what that user may. None where this isn't root, who asks for
/// another, or where that user isn't known.
pub(super) fn units_user(config: &Config) -> Option<User> {
    let is_root = rustix::process::geteuid().is_root();
    // With a configuration of its own the daemon may be anyone.
    let is_units = config.path == Path::new(config::USUAL_PATH);
    if is_root && is_units { User::named(DAEMONS_USER) } else { None }
}

/// What keeps that user from something that is there: a folder above it, or whose it is itself.
pub(super) fn kept_out(what: &str, path: &Path, user: &User) -> Option<Finding> {
    let shown = path.display();
    let mut above: Vec<_> = path.ancestors().skip(1).collect();
    above.reverse();
    let shut =
        above.into_iter().find(|above| fs::metadata(above).is_ok_and(|it| !may(above, &it, user, ENTER)));
    if let Some(shut) = shut {
        return Some(wrong(format!(
            "{what} {shown}: the daemon is {} ({}), which can't enter {}: {}",
            user.name,
            user.uid,
            shut.display(),
            how_to_hand_over(path)
        )));
    }
    let metadata = fs::metadata(path).ok()?;
    let needed = if metadata.is_dir() { ALL } else { READ_AND_WRITE };
    (!may(path, &metadata, user, needed)).then(|| {
        wrong(format!(
            "{what} {shown}: it belongs to user {}, the daemon is {} ({}): {}",
            metadata.uid(),
            user.name,
            user.uid,
            how_to_hand_over(path)
        ))
    })
}

/// By the mode. What an access ACL allows besides isn't read: then it is taken for allowed.
fn may(path: &Path, metadata: &Metadata, user: &User, needed: u32) -> bool {
    let mode = metadata.permissions().mode();
    let bits = if metadata.uid() == user.uid {
        mode >> 6
    } else if user.gids.contains(&metadata.gid()) {
        mode >> 3
    } else {
        mode
    };
    bits & needed == needed || has_acl(path, "system.posix_acl_access") == Some(true)
}

/// Whether what is put into a folder gets an ACL of the folder's. None where the filesystem has none.
pub(super) fn has_default_acl(path: &Path) -> Option<bool> {
    has_acl(path, "system.posix_acl_default")
}

fn has_acl(path: &Path, kind: &str) -> Option<bool> {
    let mut room = [0_u8; 256];
    match rustix::fs::getxattr(path, kind, &mut room) {
        Ok(_) | Err(Errno::RANGE) => Some(true),
        Err(Errno::NODATA) => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_another_user_is_wrong_unless_its_group_or_anyone_may_use_it() {
        let dir = tempfile::tempdir().unwrap();
        let own = fs::metadata(dir.path()).unwrap();
        let user = |uid, gids: &[u32]| User { name: "imeid".to_owned(), uid, gids: gids.to_vec() };
        let (me, member, stranger) =
            (user(own.uid(), &[]), user(own.uid() + 1, &[own.gid()]), user(own.uid() + 1, &[own.gid() + 1]));
        for (mode, allowed) in [
            (0o700, [true, false, false]),
            (0o750, [true, false, false]),
            (0o2775, [true, true, false]),
            (0o777, [true, true, true]),
            (0o070, [false, true, false]),
        ] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            let metadata = fs::metadata(dir.path()).unwrap();
            let found = [&me, &member, &stranger].map(|user| may(dir.path(), &metadata, user, ALL));
            assert_eq!(found, allowed, "{mode:o}");
        }
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let inner = dir.path().join("inbox");
        fs::create_dir(&inner).unwrap();
        let told = kept_out("inbox", &inner, &stranger).unwrap().to_string();
        assert!(told.contains("chown -R imeid:imeid"), "{told}");
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let told = kept_out("inbox", &inner, &stranger).unwrap().to_string();
        assert!(told.contains("can't enter"), "{told}");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(kept_out("inbox", &inner, &me).is_none_or(|told| !told.text.contains("belongs to")));
    }
}
