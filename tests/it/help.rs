//! What the program says of itself.

use std::fs;

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
fn the_simulators_help_names_every_fault_that_it_takes() {
    let help = said(&["simulate", "--help"]);
    let refused = program().args(["simulate", "--faults", "abacus-after=1%"]).output().unwrap();
    let refused = String::from_utf8(refused.stderr).unwrap();
    let named = refused.split_once("is no fault: ").expect("it lists them").1;
    let named = named.split_once("each with").expect("up to what each has").0;
    let words = named.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|word| !word.is_empty());
    let kinds: Vec<_> = words.filter(|word| !["to", "with", "or"].contains(word)).collect();
    assert!(kinds.len() > 10, "{kinds:?}");
    for kind in kinds {
        assert!(help.contains(kind), "{kind}:\n{help}");
    }
}

#[test]
fn each_shell_gets_something_to_complete_every_command_with() {
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&["completions", shell]);
        for command in commands() {
            assert!(script.contains(&command), "{shell}: {command}");
        }
        // For packaging: the help doesn't list it either.
        let has_man = script.split(|c: char| !c.is_alphanumeric()).any(|word| word == "man");
        let has_config = script.contains("--config") || script.contains("-l config ");
        assert!(!has_man && has_config, "{shell}:\n{script}");
    }
    assert_eq!(program().args(["completions", "abacus"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn each_command_has_a_manual_page_that_says_what_its_help_says() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("man1");
    said(&["man", folder.to_str().unwrap()]);
    let read =
        |name: &str| fs::read_to_string(folder.join(name)).unwrap().replace("\\*(Aq", "'").replace('\\', "");
    let first = read("imeid.1");
    for command in commands() {
        let page = read(&format!("imeid-{command}.1"));
        let help = said(&[&command, "--help"]);
        let about = help.lines().next().unwrap();
        assert!(page.contains(about), "{command}: {about}\n{page}");
        assert!(first.contains(&format!("imeid-{command}(1)")), "{command}\n{first}");
        let examples = help.lines().filter_map(|line| line.strip_prefix("  imeid "));
        for example in examples {
            assert!(page.contains(&format!("\nimeid {example}\n")), "{command}: {example}\n{page}");
        }
        for option in help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split(' ').next())
        {
            assert!(page.contains(option), "{command}: --{option}\n{page}");
        }
        for section in ["NAME", "SYNOPSIS", "OPTIONS", "EXAMPLES", "FILES", "\"EXIT STATUS\"", "\"SEE ALSO\""]
        {
            assert!(page.contains(&format!(".SH {section}\n")), "{command}: {section}\n{page}");
        }
    }
    let pages = fs::read_dir(&folder).unwrap().count();
    assert_eq!(pages, commands().len() + 1, "what is hidden has none");
    let in_the_way = dir.path().join("file");
    fs::write(&in_the_way, "").unwrap();
    assert_eq!(program().arg("man").arg(&in_the_way).output().unwrap().status.code(), Some(1));
}
