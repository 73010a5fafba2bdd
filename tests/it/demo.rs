//! The newcomer's first command.

use std::path::Path;

use crate::support::{Table, program};

#[test]
fn the_demo_ends_well_and_tells_where_everything_lies() {
    let temporary = tempfile::tempdir().unwrap();
    let output = program().arg("demo").env("TMPDIR", temporary.path()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("Paid twice: 0."), "{told}");
    let path_of = |what: &str| {
        let line = told.lines().find(|line| line.trim_start().starts_with(what)).unwrap();
        Path::new(line.trim_start()[what.len()..].trim()).to_owned()
    };
    let table = Table::read(&path_of("result "));
    assert_eq!(table.rows.len(), 200);
    assert_eq!(table.counts("imeid_status")["invalid"], 8);
    assert!(path_of("original ").is_dir() && path_of("log ").is_file() && path_of("its words ").is_file());
}
