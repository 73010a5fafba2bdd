use std::io::Write;

use super::*;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn write_text(dir: &Path, name: &str, replace: bool, text: &str) -> io::Result<()> {
    write_file(dir, OsStr::new(name), 0o664, replace, |out| out.write_all(text.as_bytes()))
}

/// A folder on another filesystem, where the machine has one.
fn folder_elsewhere(than: &Path) -> Option<tempfile::TempDir> {
    let elsewhere = tempfile::tempdir_in("/dev/shm").ok()?;
    let differ = fs::metadata(than).unwrap().dev() != fs::metadata(elsewhere.path()).unwrap().dev();
    differ.then_some(elsewhere)
}

#[test]
fn a_file_is_written_whole_with_its_mode_whatever_the_umask() {
    let dir = folder();
    write_text(dir.path(), "a.csv", false, "hello").unwrap();
    let path = dir.path().join("a.csv");
    assert_eq!(fs::read_to_string(&path).unwrap(), "hello");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o664);
    assert_eq!(names(dir.path()), ["a.csv"]);
}

#[test]
fn a_taken_name_is_overwritten_only_when_asked() {
    let dir = folder();
    write_text(dir.path(), "a.csv", false, "first").unwrap();
    let refused = write_text(dir.path(), "a.csv", false, "second").unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(dir.path().join("a.csv")).unwrap(), "first");
    write_text(dir.path(), "a.csv", true, "third").unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("a.csv")).unwrap(), "third");
    assert_eq!(names(dir.path()), ["a.csv"]);
}

#[test]
fn a_failed_write_leaves_nothing() {
    let dir = folder();
    let failed = write_file(dir.path(), OsStr::new("a.csv"), 0o664, true, |out| {
        out.write_all(b"half")?;
        Err(io::Error::other("disk full"))
    });
    assert!(failed.is_err());
    assert!(names(dir.path()).is_empty());
}

#[test]
fn what_a_crash_left_is_removed_and_nothing_else() {
    let dir = folder();
    write_temp(dir.path(), OsStr::new("a.csv"), 0o664, |file, _| file.write_all(b"half")).unwrap();
    for other in [".hidden", "a.tmp", ".a.tmp"] {
        fs::write(dir.path().join(other), "").unwrap();
    }
    assert_eq!(names(dir.path()).len(), 4);
    assert_eq!(remove_leftovers(dir.path()).unwrap(), 1);
    assert_eq!(names(dir.path()), [".a.tmp", ".hidden", "a.tmp"]);
}

#[test]
fn moving_takes_the_next_free_name() {
    let dir = folder();
    let to = dir.path().join("archive");
    fs::create_dir(&to).unwrap();
    for (n, expected) in ["stock.csv", "stock-2.csv", "stock-3.csv"].into_iter().enumerate() {
        let from = dir.path().join("in.csv");
        fs::write(&from, n.to_string()).unwrap();
        let moved = move_file(&from, &to, OsStr::new("stock.csv")).unwrap();
        assert_eq!(moved, to.join(expected));
        assert_eq!(fs::read_to_string(moved).unwrap(), n.to_string());
        assert!(!from.exists());
    }
}

#[test]
fn moving_to_another_filesystem_copies_and_keeps_mode_and_time() {
    let dir = folder();
    let Some(elsewhere) = folder_elsewhere(dir.path()) else { return };
    let from = dir.path().join("stock.csv");
    fs::write(&from, "rows").unwrap();
    fs::set_permissions(&from, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&from).unwrap();
    fs::write(elsewhere.path().join("stock.csv"), "another").unwrap();

    let moved = move_file(&from, elsewhere.path(), OsStr::new("stock.csv")).unwrap();

    assert_eq!(moved, elsewhere.path().join("stock-2.csv"));
    let after = fs::metadata(&moved).unwrap();
    assert_eq!((after.mode(), after.mtime()), (before.mode(), before.mtime()));
    assert_eq!(fs::read_to_string(&moved).unwrap(), "rows");
    assert!(!from.exists());
    assert_eq!(names(elsewhere.path()), ["stock-2.csv", "stock.csv"]);
}

#[test]
fn a_link_is_never_followed_when_moved() {
    let dir = folder();
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("link.csv")).unwrap();
    assert!(move_file(&dir.path().join("link.csv"), dir.path(), OsStr::new("x.csv")).is_err());
    assert_eq!(names(dir.path()), ["link.csv"]);
}

#[test]
fn a_number_goes_before_the_last_extension_and_the_name_stays_short_enough() {
    for (name, expected) in [
        ("stock.csv", "stock-2.csv"),
        ("stock", "stock-2"),
        ("a.b.csv", "a.b-2.csv"),
        (".csv", ".csv-2"),
        ("größe.csv", "größe-2.csv"),
    ] {
        assert_eq!(numbered(OsStr::new(name), 2), expected);
        assert_eq!(numbered(OsStr::new(name), 1), name);
    }
    let long = format!("{}.csv", "ß".repeat(125));
    let cut = numbered(OsStr::new(&long), 12).into_string().unwrap();
    assert!(cut.len() <= 255 && cut.ends_with("ß-12.csv"), "{cut}");
}

#[test]
fn rename_new_leaves_a_taken_name_alone() {
    let dir = folder();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::write(&a, "a").unwrap();
    fs::write(&b, "b").unwrap();
    assert_eq!(rename_new(&a, &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(link_and_unlink(&a, &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(&b).unwrap(), "b");
}

#[test]
fn where_the_filesystem_cannot_rename_so_a_link_does_it_and_a_crash_between_is_mended() {
    let dir = folder();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    fs::write(&a, "a").unwrap();
    link_and_unlink(&a, &b).unwrap();
    assert_eq!(names(dir.path()), ["b"]);

    fs::hard_link(&b, &a).unwrap(); // as after a crash between link and unlink
    rename_new(&a, &b).unwrap();
    assert_eq!(names(dir.path()), ["b"]);

    assert!(rename_new(&b, &b).is_err(), "onto itself");
    assert_eq!(names(dir.path()), ["b"]);
}

#[test]
fn a_second_holder_is_refused_and_told_the_first_ones_process() {
    let dir = folder();
    let path = dir.path().join("lock");
    fs::write(&path, "an older and longer text than a process id").unwrap();
    let held = LockFile::acquire(&path).unwrap();
    let refused = LockFile::acquire(&path).unwrap_err();
    let me = std::process::id();
    assert!(
        matches!(refused, LockError::Held { by: Holder { pid: Some(pid), briefly: false }, .. } if pid == me)
    );
    assert!(refused.to_string().starts_with(&format!("another imeid (process {me}) is")), "{refused}");
    drop(held);
    let held = LockFile::acquire_briefly(&path).unwrap();
    let refused = LockFile::acquire(&path).unwrap_err();
    assert!(
        matches!(refused, LockError::Held { by: Holder { pid: Some(pid), briefly: true }, .. } if pid == me)
    );
    assert!(refused.to_string().starts_with(&format!("a command of imeid (process {me}) is")), "{refused}");
    drop(held);
    assert!(path.exists(), "the file stays");
    LockFile::acquire(&path).unwrap();
}

#[test]
fn who_holds_a_lock_is_told_without_making_or_taking_it() {
    let dir = folder();
    let path = dir.path().join("lock");
    assert_eq!(LockFile::holder(&path).unwrap(), None);
    assert!(!path.exists());
    let held = LockFile::acquire(&path).unwrap();
    assert_eq!(
        LockFile::holder(&path).unwrap(),
        Some(Holder { pid: Some(std::process::id()), briefly: false })
    );
    drop(held);
    assert_eq!(LockFile::holder(&path).unwrap(), None);
}

#[test]
fn asking_who_holds_a_lock_keeps_nobody_from_getting_it() {
    let dir = folder();
    let path = dir.path().join("lock");
    let over = std::sync::atomic::AtomicBool::new(false);
    let begun = std::sync::Barrier::new(3);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                begun.wait();
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    LockFile::holder(&path).unwrap();
                }
            });
        }
        begun.wait();
        let refused = (0..500).filter(|_| LockFile::acquire(&path).is_err()).count();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(refused, 0);
    });
}

#[test]
fn a_lock_in_a_folder_that_is_not_there_is_an_error_with_its_path() {
    let refused = LockFile::acquire(Path::new("/nonexistent/lock")).unwrap_err();
    assert!(refused.to_string().contains("/nonexistent/lock"), "{refused}");
}

#[test]
fn a_lock_file_that_is_a_link_is_not_followed() {
    let dir = folder();
    let (target, link) = (dir.path().join("target"), dir.path().join("lock"));
    fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(LockFile::acquire(&link).is_err());
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[test]
fn free_space_is_told() {
    assert!(free_bytes(folder().path()).unwrap() > 0);
    assert!(free_bytes(Path::new("/nonexistent")).is_err());
}

#[test]
fn a_made_folder_has_exactly_its_mode() {
    let dir = folder();
    let path = dir.path().join(".taken");
    make_dir(&path, 0o700).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700);
    assert_eq!(make_dir(&path, 0o700).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    remove_dir(&path).unwrap();
}

#[test]
fn a_folder_for_the_group_is_so_inside_a_setgid_one_and_elsewhere() {
    let dir = folder();
    let outer = dir.path().join("inbox");
    make_dir(&outer, 0o2775).unwrap();
    let inner = outer.join("service");
    make_dir(&inner, 0o2775).unwrap();
    for path in [outer, inner] {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o2770, 0o2770, "{}: {mode:o}", path.display());
    }
}
