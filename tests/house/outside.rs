//! What people read and install says what the code does.

use std::path::Path;

use assert_cmd::Command;
use imeid::config::{self, Config};
use imeid::result::RowStatus;

use crate::source::{root, text};

fn shipped() -> Config {
    config::parse(&edited(), Path::new("/etc/imeid/imeid.toml")).unwrap()
}

/// The shipped config as a person has edited it: with a provider's address.
fn edited() -> String {
    text("config/imeid.toml").replace("https://example.com", "https://provider.test")
}

/// The cells of the README's tables, a row each, without the signs that make them code.
fn readme_rows() -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let inside = line.strip_prefix("| ")?.strip_suffix(" |")?;
        Some(inside.split(" | ").map(|cell| cell.replace('`', "").trim().to_owned()).collect())
    };
    text("README.md").lines().filter_map(cells).collect()
}

/// The values of a setting in the unit.
fn unit(key: &str) -> Vec<String> {
    let unit = text("systemd/imeid.service");
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned).collect()
}

#[test]
fn the_readme_tells_of_every_status_in_the_programs_words() {
    let rows = readme_rows();
    let start = rows.iter().position(|row| row[0] == "imeid_status" && row.len() == 4).unwrap();
    let told = &rows[start + 1..];
    let told: Vec<_> = told.iter().take_while(|row| row.len() == 4).cloned().collect();
    let meant: Vec<_> = RowStatus::ALL
        .map(|status| {
            [status.as_str(), status.means(), status.to_do(), status.paid()].map(str::to_owned).to_vec()
        })
        .to_vec();
    assert_eq!(told, meant);
}

#[test]
fn the_readme_and_the_config_say_the_same_of_the_scripts_settings() {
    for key in ["batch_size", "max_workers", "max_retries", "enable_checkpointing"] {
        let with_key = edited().replace("[submit]\n", &format!("[submit]\n{key} = 1\n"));
        let errors = config::parse(&with_key, Path::new("/etc/imeid/imeid.toml")).unwrap_err();
        let said: Vec<_> = errors.errors().iter().map(|error| error.message.as_str()).collect();
        let row = readme_rows().into_iter().find(|row| row[0] == key).unwrap();
        assert_eq!(said, [format!("{key} was a key of the older script: {}", row[1])]);
    }
}

#[test]
fn the_readme_tells_of_every_command_and_alias() {
    let help = Command::cargo_bin("imeid").unwrap().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What is set in further is a description's second line.
    let commands =
        listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|word| !word.is_empty());
    let rows = readme_rows();
    let mut seen = 0;
    for command in commands.filter(|word| *word != "help") {
        assert!(rows.iter().any(|row| row[0] == format!("imeid {command}")), "imeid {command}");
        seen += 1;
    }
    assert!(seen >= 2, "{help}");

    let aliases: toml::Table = text(".cargo/config.toml").parse().unwrap();
    let mut aliases: Vec<_> =
        aliases["alias"].as_table().unwrap().keys().map(|name| format!("cargo {name}")).collect();
    let mut told: Vec<_> =
        rows.iter().map(|row| row[0].clone()).filter(|cell| cell.starts_with("cargo ")).collect();
    aliases.sort();
    told.sort();
    assert_eq!(told, aliases);
}

#[test]
fn the_readmes_links_lead_somewhere() {
    let readme = text("README.md");
    let targets: Vec<_> = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(targets.len() > 3, "{targets:?}");
    for target in targets.into_iter().filter(|target| !target.starts_with("http")) {
        assert!(root().join(target).is_file(), "{target}");
    }
}

#[test]
fn the_unit_waits_longer_than_the_drain() {
    let stop = unit("TimeoutStopSec");
    let seconds: u64 = stop[0].strip_suffix('s').unwrap().parse().unwrap();
    assert!(seconds >= shipped().submit.drain.as_secs() + 15, "{stop:?}");
    // A bad config or key: exit code 2; a key that systemd can't read: its own 243.
    assert_eq!(unit("RestartPreventExitStatus"), ["2 243"]);
}

#[test]
fn the_unit_lets_write_where_the_shipped_config_writes() {
    let config = shipped();
    // One path: renames between two mounts fail.
    let [writable] = &unit("ReadWritePaths")[..] else { panic!("one path for all folders") };
    let tmpfiles = text("systemd/imeid.tmpfiles.conf");
    let folders = &config.folders;
    for folder in [&folders.inbox, &folders.outbox, &folders.reconcile, &folders.archive, &folders.rejected] {
        assert!(folder.starts_with(writable), "{}", folder.display());
        let mode = if *folder == folders.archive { "2755" } else { "2775" };
        let made = tmpfiles
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .any(|line| line.starts_with(&["d", folder.to_str().unwrap(), mode, "imeid", "imeid"]));
        assert!(made, "{} is made for the group", folder.display());
    }
    let state = Path::new("/var/lib").join(&unit("StateDirectory")[0]);
    assert!(config.journal.path.starts_with(state));
    let logs = format!("file = \"/var/log/{}/", unit("LogsDirectory")[0]);
    assert!(text("config/imeid.toml").contains(&logs));
    // Folders made in setgid ones are so by inheritance, and with this umask the group's.
    assert_eq!((unit("RestrictSUIDSGID"), unit("UMask")), (vec!["yes".to_owned()], vec!["0007".to_owned()]));
}

#[test]
fn the_unit_hands_over_the_key_that_the_config_looks_for() {
    let config = shipped();
    let credential = &unit("LoadCredential")[0];
    let (name, from) = credential.split_once(':').unwrap();
    assert_eq!(config.api_key_path(Some(Path::new("/run/c"))), Path::new("/run/c").join(name));
    assert_eq!(config.api_key_path(None), Path::new(from));
    assert!(text("systemd/imeid.tmpfiles.conf").contains(&format!("f {from}   0600 root  root")));
}

#[test]
fn the_unit_runs_as_the_user_that_is_made_for_it() {
    let user = &unit("User")[0];
    assert_eq!(&unit("Group")[0], user);
    let made = text("systemd/imeid.sysusers.conf");
    assert!(made.lines().any(|line| line.starts_with(&format!("u {user} - "))));
}

#[test]
fn the_share_and_the_logs_snippet_are_of_the_units_places() {
    let [folders, user, group, logs] =
        ["ReadWritePaths", "User", "Group", "LogsDirectory"].map(|key| unit(key)[0].clone());
    let share = text("config/samba.conf");
    for setting in [
        format!("path = {folders}"),
        format!("force group = {group}"),
        format!("valid users = @{group}"),
        "veto files = /.imeid/.imeid.lock/.taken/".to_owned(),
    ] {
        assert!(share.lines().any(|line| line.trim() == setting), "{setting}");
    }
    let snippet = text("config/logrotate");
    for setting in [format!("/var/log/{logs}/*.log {{"), format!("su {user} {group}")] {
        assert!(snippet.lines().any(|line| line.trim() == setting), "{setting}");
    }
}

#[test]
fn the_package_puts_things_where_the_unit_and_the_program_look_for_them() {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let has = |source: &str, target: &str| {
        assets.iter().any(|asset| asset[0].as_str() == Some(source) && asset[1].as_str() == Some(target))
    };
    let program = unit("ExecStart")[0].replace(" run", "");
    assert!(
        has("target/release/imeid", program.trim_start_matches('/').trim_end_matches("imeid")),
        "{program}"
    );
    assert!(has("config/imeid.toml", "etc/imeid/imeid.toml"), "where --config looks if it isn't told");
    let reference = ("config/imeid.toml", "usr/share/doc/imeid/examples/");
    assert!(has(reference.0, reference.1), "what there is to set, once /etc's is edited");
    assert!(text("README.md").contains(&format!("/{}imeid.toml", reference.1)));
    // An empty key is made on the machine: one that is packed would be overwritten with each upgrade.
    assert!(assets.iter().all(|asset| !asset[1].as_str().unwrap().contains("api-key")));
}
