//! What the program says of itself.

use crate::support::program;

fn said(args: &[&str]) -> String {
    let output = program().args(args).env("COLUMNS", "100").output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The commands, as the help lists them.
pub(crate) fn commands() -> Vec<String> {
    let help = said(&["--help"]);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed.take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty() && name != "help").then(|| name.to_owned())
    });
    names.collect()
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let mut all = said(&["--help"]);
    for command in commands() {
        let help = said(&[&command, "--help"]);
        let example = help.contains(&format!("\n  imeid {command}"));
        assert!(example, "imeid {command} --help has no example:\n{help}");
        all.push_str(&format!("\n──── imeid {command} ────\n\n{help}"));
    }
    insta::assert_snapshot!("help", all);
}

#[test]
fn each_shell_gets_something_to_complete_every_command_with() {
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&["completions", shell]);
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
    }
    assert_eq!(program().args(["completions", "abacus"]).output().unwrap().status.code(), Some(2));
}
