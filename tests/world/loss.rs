//! What a power cut loses: names whose folder was not fsynced are as they were, files that were not fsynced are empty.
//!
//! A shadow of the folders is kept at the points around every fsync: what a folder's or a file's last fsync saw is what
//! it has after the cut. The journal's file and its WAL are put back as they were at that very point, a torn page behind
//! what was committed: between two commits SQLite has fsynced all that it was told to.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A page of a WAL that was being written: its checksum can't be right.
const TORN_BYTES: usize = 1500;

#[derive(Clone)]
enum Name {
    Folder,
    /// By inode.
    File(u64),
}

struct Content {
    /// Keeps the inode from being used again.
    _open: File,
    bytes: Vec<u8>,
}

/// What is durable.
pub(crate) struct Shadow {
    root: PathBuf,
    journal: PathBuf,
    folders: BTreeMap<PathBuf, BTreeMap<OsString, Name>>,
    files: BTreeMap<u64, Content>,
    /// The journal's files as they were when the power went.
    image: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl Shadow {
    /// All that is there now below `root` is durable; `journal` is looked after by SQLite.
    pub(crate) fn new(root: &Path, journal: &Path) -> Self {
        let mut shadow = Self {
            root: root.to_owned(),
            journal: journal.to_owned(),
            folders: BTreeMap::new(),
            files: BTreeMap::new(),
            image: Vec::new(),
        };
        shadow.keep_all(root);
        shadow
    }

    fn is_journals(&self, path: &Path) -> bool {
        path.parent() == self.journal.parent()
    }

    fn keep_all(&mut self, folder: &Path) {
        self.keep_names(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                self.keep_all(&path);
            } else {
                self.keep_content(&path);
            }
        }
    }

    fn keep_names(&mut self, folder: &Path) {
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let name = if metadata.is_dir() { Name::Folder } else { Name::File(metadata.ino()) };
            names.insert(entry.file_name(), name);
        }
        self.folders.insert(folder.to_owned(), names);
    }

    fn keep_content(&mut self, path: &Path) {
        if self.is_journals(path) {
            return;
        }
        let open = File::open(path).unwrap();
        let inode = open.metadata().unwrap().ino();
        self.files.insert(inode, Content { _open: open, bytes: fs::read(path).unwrap() });
    }

    /// A user's file that is in the inbox by now, its name durable, its content not.
    pub(crate) fn drop_in(&mut self, folder: &Path) {
        self.keep_names(folder);
    }

    /// A point about this path was passed.
    pub(crate) fn see(&mut self, point: &'static str, path: &Path) {
        if !path.starts_with(&self.root) {
            return;
        }
        match point {
            "durable.fsync_dir.after" => self.keep_names(path),
            "durable.fsync_file.after" => self.keep_content(path),
            _ => {}
        }
    }

    /// The power goes, now.
    pub(crate) fn cut_power(&mut self) {
        let beside = |suffix: &str| {
            let mut name = self.journal.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        let files = [self.journal.clone(), beside("-wal"), beside("-shm")];
        self.image = files
            .into_iter()
            .map(|path| {
                // What SQLite shares between processes is memory.
                let is_memory = path.to_string_lossy().ends_with("-shm");
                let bytes = fs::read(&path).ok().filter(|_| !is_memory);
                (path, bytes)
            })
            .collect();
    }

    /// Carries the losses out, once nothing of the dead process is left.
    pub(crate) fn lose(self) {
        for (path, bytes) in &self.image {
            match bytes {
                Some(bytes) if path.to_string_lossy().ends_with("-wal") => {
                    let torn = bytes.iter().copied().take(TORN_BYTES);
                    let whole: Vec<u8> = bytes.iter().copied().chain(torn).collect();
                    fs::write(path, whole).unwrap();
                }
                Some(bytes) => fs::write(path, bytes).unwrap(),
                None => drop(fs::remove_file(path)),
            }
        }
        self.restore(&self.root);
    }

    fn restore(&self, folder: &Path) {
        let none = BTreeMap::new();
        let durable = self.folders.get(folder).unwrap_or(&none);
        let mut there = BTreeMap::new();
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if self.is_journals(&entry.path()) {
                continue;
            }
            let metadata = entry.metadata().unwrap();
            there.insert(entry.file_name(), metadata);
        }
        for (name, metadata) in &there {
            let path = folder.join(name);
            let stays = match durable.get(name) {
                Some(Name::Folder) => metadata.is_dir(),
                Some(Name::File(inode)) => metadata.ino() == *inode,
                None => false,
            };
            if !stays && metadata.is_dir() {
                fs::remove_dir_all(&path).unwrap();
            } else if !stays {
                fs::remove_file(&path).unwrap();
            }
        }
        for (name, what) in durable {
            let path = folder.join(name);
            if self.is_journals(&path) {
                continue;
            }
            match what {
                Name::Folder => {
                    fs::create_dir_all(&path).unwrap();
                    self.restore(&path);
                }
                Name::File(inode) => {
                    let bytes = self.files.get(inode).map_or(&[][..], |content| &content.bytes);
                    if fs::read(&path).is_ok_and(|there| there == bytes) {
                        continue;
                    }
                    fs::write(&path, bytes).unwrap();
                }
            }
        }
    }
}
