//! Small filesystems, folders that can't be written, disks that fail. All need root, and the right to mount.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mount of the test's own; dropped, it is unmounted, whoever still uses it.
pub(super) struct Mount {
    at: PathBuf,
}

impl Mount {
    /// An empty filesystem of this size over a folder. `None`, with a word on standard output: mounting isn't permitted
    /// here, and the test can't be run.
    pub(super) fn small(at: &Path, kib: u32) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        Self::over(at, &["-t", "tmpfs", "-o", &format!("size={kib}k,mode=755"), "tmpfs"])
    }

    /// The folder itself, but that it can only be read.
    pub(super) fn read_only(at: &Path) -> Option<Self> {
        let folder = at.to_str().unwrap();
        let bound = Self::over(at, &["--bind", folder])?;
        let done = run(&["-o", "remount,bind,ro", folder]);
        done.then_some(bound)
    }

    fn over(at: &Path, args: &[&str]) -> Option<Self> {
        let mounted = run(&[args, &[at.to_str().unwrap()]].concat());
        if !mounted {
            println!("skipped: mounting isn't permitted here (it needs root)");
        }
        mounted.then(|| Self { at: at.to_owned() })
    }

    /// Takes every byte that is left; gives the file that has to go for there to be room again.
    pub(super) fn fill(&self) -> PathBuf {
        let path = self.at.join(".filler");
        let mut file = fs::File::create(&path).unwrap();
        for size in [65_536, 1] {
            while file.write(&vec![1; size]).is_ok() {}
        }
        path
    }
}

fn run(args: &[&str]) -> bool {
    runs("mount", args)
}

fn runs(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

/// A disk that can fail: an ext4 filesystem in a file, which the kernel makes read-only at its first error, whoever has
/// files on it open for writing.
pub(super) struct Disk {
    image: PathBuf,
    mount: Option<Mount>,
    at: PathBuf,
}

impl Disk {
    /// A new one over a folder. `None`, with a word on standard output: it can't be made here.
    pub(super) fn over(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let image = at.with_extension("disk");
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        if !runs("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]) {
            println!("skipped: there is no mkfs.ext4 here");
            return None;
        }
        let mut disk = Self { image, mount: None, at: at.to_owned() };
        disk.mount();
        if disk.mount.is_none() || !disk.trigger().is_some_and(|trigger| trigger.exists()) {
            println!(
                "skipped: no disk can be made to fail here (it needs loop devices, and ext4's own test of errors)"
            );
            return None;
        }
        Some(disk)
    }

    fn mount(&mut self) {
        let image = self.image.to_str().unwrap();
        self.mount = Mount::over(&self.at, &["-t", "ext4", "-o", "loop,errors=remount-ro", image]);
    }

    /// The file that an error is asked for with.
    fn trigger(&self) -> Option<PathBuf> {
        let args = ["-n", "-o", "SOURCE", self.at.to_str().unwrap()];
        let device = Command::new("findmnt").args(args).output().ok()?;
        let device = String::from_utf8(device.stdout).ok()?;
        let name = device.trim().strip_prefix("/dev/")?;
        Some(Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error"))
    }

    /// It has an error: from now on it is read-only.
    pub(super) fn fails(&self) {
        fs::write(self.trigger().unwrap(), "a test's error").unwrap();
    }

    /// An operator checks it and mounts it anew. Nobody may use it meanwhile.
    pub(super) fn repair(&mut self) {
        drop(self.mount.take());
        let image = self.image.to_str().unwrap();
        // 1: errors were corrected.
        let code = Command::new("fsck.ext4").args(["-y", "-f", image]).output().unwrap().status.code();
        assert!(matches!(code, Some(0 | 1)), "{code:?}");
        self.mount();
        assert!(self.mount.is_some());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}
