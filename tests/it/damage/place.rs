//! Small filesystems, and folders that can't be written. Both need root, and the right to mount.

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
    Command::new("mount").args(args).output().is_ok_and(|output| output.status.success())
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}
