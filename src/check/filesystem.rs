//! What kind of filesystem a folder is on, and which mount of it.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags};

/// What matters about a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing is known against it.
    Local,
    /// On another machine: locks, shared memory and fsync may not hold what SQLite needs of them.
    Network(&'static str),
    /// In memory: gone with the next boot.
    Memory(&'static str),
    /// A container's own layer: gone with the container.
    Layer(&'static str),
}

/// The kind that `path` is on.
///
/// # Errors
/// What `statfs` says.
pub(super) fn kind(path: &Path) -> io::Result<Kind> {
    // The type's width and sign differ by platform; the magic numbers have 32 bits.
    let magic = i128::from(rustix::fs::statfs(path)?.f_type) & 0xffff_ffff;
    Ok(kind_of(u32::try_from(magic).unwrap_or(0)))
}

/// By the magic numbers of `statfs(2)`.
pub(super) const fn kind_of(magic: u32) -> Kind {
    match magic {
        0x6969 => Kind::Network("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Kind::Network("SMB"),
        0x00c3_6400 => Kind::Network("Ceph"),
        0x0102_1997 => Kind::Network("9P"),
        0x5346_414f | 0x6b41_4653 => Kind::Network("AFS"),
        0x0bd0_0bd0 => Kind::Network("Lustre"),
        0x7375_7245 => Kind::Network("Coda"),
        0x4750_4653 => Kind::Network("GPFS"),
        0x6573_5546 => Kind::Network("FUSE"),
        0x0102_1994 => Kind::Memory("tmpfs"),
        0x8584_58f6 => Kind::Memory("ramfs"),
        0x794c_7630 => Kind::Layer("overlayfs"),
        _ => Kind::Local,
    }
}

/// Within one of these a rename is one step: the filesystem and, where the kernel tells it (5.8), the mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    device: (u32, u32),
    mount: Option<u64>,
}

/// Where `path` lies.
///
/// # Errors
/// What `statx` says.
pub(super) fn place(path: &Path) -> io::Result<Place> {
    let mask = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let stat = rustix::fs::statx(CWD, path, AtFlags::empty(), mask)?;
    let has_mount = stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    Ok(Place {
        device: (stat.stx_dev_major, stat.stx_dev_minor),
        mount: has_mount.then_some(stat.stx_mnt_id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_that_a_journal_must_not_lie_on_are_known() {
        assert_eq!(kind_of(0x6969), Kind::Network("NFS"));
        assert_eq!(kind_of(0xff53_4d42), Kind::Network("SMB"));
        assert_eq!(kind_of(0x0102_1994), Kind::Memory("tmpfs"));
        assert_eq!(kind_of(0xef53), Kind::Local, "ext4");
        assert_eq!(kind_of(0x9123_683e), Kind::Local, "btrfs");
    }

    #[test]
    fn a_folder_is_in_one_place_with_its_parent_and_proc_in_another() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        let here = place(dir.path()).unwrap();
        assert_eq!(place(&dir.path().join("a")).unwrap(), here);
        assert_ne!(place(Path::new("/proc")).unwrap(), here);
        assert!(kind(dir.path()).is_ok());
        assert!(kind(&dir.path().join("none")).is_err());
    }
}
