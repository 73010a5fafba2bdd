use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;

use tracing::{debug, error, info, trace, warn};

use super::*;
use crate::config::LogImei;
use crate::types::Timestamp;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn config(format: LogFormat) -> LogConfig {
    LogConfig { level: Level::INFO, format, imei: LogImei::Full, file: None }
}

/// The lines that `work` logs.
fn lines(config: &LogConfig, under_journald: bool, work: impl FnOnce(&LogHandle)) -> Vec<String> {
    let buffer = Buffer::default();
    let out = buffer.clone();
    let clock = Clock::from_fn(|| Timestamp::from_millis(1_763_091_180_007));
    let (subscriber, handle) = build(config, &clock, under_journald, move || out.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || work(&handle));
    buffer.lines()
}

#[test]
fn a_line_is_words_then_key_and_value_with_time_and_level_in_front() {
    let lines = lines(&config(LogFormat::Text), true, |_| {
        info!(batch = "stock", rows = 6000, cost = %"474.48", "file taken");
        error!(alarm = "double_charge", text = "Credit has been finished!", "alarm");
    });
    assert_eq!(
        lines,
        [
            "2025-11-14T03:33:00.007Z INFO  file taken batch=stock rows=6000 cost=474.48",
            "2025-11-14T03:33:00.007Z ERROR alarm alarm=double_charge text=\"Credit has been finished!\"",
        ]
    );
}

#[test]
fn the_journal_gets_its_priorities_and_no_time_stamps() {
    let config = LogConfig { level: Level::TRACE, ..config(LogFormat::Auto) };
    let lines = lines(&config, true, |_| {
        error!("a");
        warn!("b");
        info!(scope = "all", "c");
        debug!("d");
        trace!("e");
    });
    assert_eq!(lines, ["<3>a", "<4>b", "<6>c scope=all", "<7>d", "<7>e"]);
}

#[test]
fn json_is_one_object_a_line_with_the_fields_beside_the_message() {
    let lines = lines(&config(LogFormat::Json), true, |_| {
        info!(
            batch = "sto\nck",
            rows = 6000,
            late = true,
            level = "mine",
            none = Option::<u64>::None,
            "file taken"
        );
    });
    assert_eq!(lines.len(), 1);
    let object: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let expected = serde_json::json!({
        "at": "2025-11-14T03:33:00.007Z", "level": "info", "message": "file taken",
        "batch": "sto\nck", "rows": 6000, "late": true, "level_": "mine",
    });
    assert_eq!(object, expected);
}

#[test]
fn no_value_can_forge_a_line_or_a_field() {
    let name = "a.csv alarm=x \"b\"\n<3>forged\r\u{1b}[2J\u{202e}\u{2028}\\";
    let expected = r#"\"b\"\n<3>forged\r\u{1b}[2J\u{202e}\u{2028}\\""#;
    for under_journald in [true, false] {
        let lines = lines(&config(LogFormat::Auto), under_journald, |_| {
            info!(name, "taken");
            info!(name = %name, "taken");
            info!("taken {name}");
            info!(name = "\"a\" alarm=\"x\"", "quotes around it");
        });
        assert_eq!(lines.len(), 4, "{lines:#?}");
        for line in &lines[..2] {
            assert!(line.ends_with(&format!("taken name=\"a.csv alarm=x {expected}")), "{line}");
        }
        assert!(!lines[2].contains(['\u{1b}', '\u{202e}', '\r']), "{lines:#?}");
        assert!(lines[3].ends_with(r#"name="\"a\" alarm=\"x\"""#), "{lines:#?}");
    }
}

#[test]
fn a_value_is_quoted_only_where_it_must_be() {
    let lines = lines(&config(LogFormat::Auto), true, |_| {
        info!(a = "", b = "x y", c = "3120/5931", d = "größe.csv", e = "a=b", f = -1, g = 8.5, "m");
    });
    assert_eq!(lines, ["<6>m a=\"\" b=\"x y\" c=3120/5931 d=größe.csv e=\"a=b\" f=-1 g=8.5"]);
}

#[test]
fn an_error_is_told_with_what_caused_it() {
    #[derive(Debug, thiserror::Error)]
    #[error("can't open")]
    struct Outer(#[source] io::Error);
    let error = Outer(io::Error::other("disk on fire"));
    let lines = lines(&config(LogFormat::Auto), true, |_| {
        warn!(error = &error as &dyn std::error::Error, "m");
    });
    assert_eq!(lines, ["<4>m error=\"can't open: disk on fire\""]);
}

#[test]
fn libraries_are_heard_only_when_they_warn() {
    let config = LogConfig { level: Level::DEBUG, ..config(LogFormat::Auto) };
    let lines = lines(&config, true, |_| {
        info!(target: "hyper_util::client", "chatter");
        info!(target: "reqwest::connect", "chatter");
        warn!(target: "rustls::conn", "heard");
        debug!(target: "imeid::inbox", "ours");
    });
    assert_eq!(lines, ["<4>heard", "<7>ours"]);
}

#[test]
fn the_level_can_be_changed_while_it_runs() {
    let lines = lines(&config(LogFormat::Auto), true, |handle| {
        debug!("not yet");
        handle.set_level(Level::DEBUG);
        debug!("now");
        handle.set_level(Level::ERROR);
        warn!("no more");
        warn!(target: "hyper", "not even a library");
    });
    assert_eq!(lines, ["<7>now"]);
}

#[test]
fn a_log_file_is_appended_to_with_time_stamps_and_opened_anew_after_it_was_moved() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("imeid.log");
    fs::write(&path, "older\n").unwrap();
    let moved = dir.path().join("imeid.log.1");
    let config = LogConfig { file: Some(path.clone()), ..config(LogFormat::Auto) };
    let on_stderr = lines(&config, true, |handle| {
        info!("one");
        crate::durable::rename_within(&path, &moved).unwrap();
        info!("two");
        handle.reopen().unwrap();
        info!("three");
    });
    assert_eq!(on_stderr, ["<6>one", "<6>two", "<6>three"]);
    let stamp = "2025-11-14T03:33:00.007Z INFO ";
    assert_eq!(fs::read_to_string(&moved).unwrap(), format!("older\n{stamp} one\n{stamp} two\n"));
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{stamp} three\n"));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0, "not for others");
}

#[test]
fn a_log_file_that_cannot_be_opened_is_named() {
    let config = LogConfig { file: Some("/nonexistent/imeid.log".into()), ..config(LogFormat::Auto) };
    let Err(error) = build(&config, &Clock::system(), false, io::sink) else { panic!("it opened") };
    assert!(error.to_string().contains("/nonexistent/imeid.log"), "{error}");
}

#[test]
fn a_reopen_that_fails_goes_on_with_the_file_that_was_open() {
    let dir = tempfile::tempdir().unwrap();
    let (logs, moved) = (dir.path().join("logs"), dir.path().join("moved"));
    fs::create_dir(&logs).unwrap();
    let config = LogConfig { file: Some(logs.join("imeid.log")), ..config(LogFormat::Auto) };
    lines(&config, true, |handle| {
        crate::durable::rename_within(&logs, &moved).unwrap();
        assert!(handle.reopen().is_err());
        info!("still");
    });
    assert!(fs::read_to_string(moved.join("imeid.log")).unwrap().ends_with("still\n"));
}

#[test]
fn standard_error_is_the_journal_only_where_device_and_inode_match() {
    let stat = rustix::fs::fstat(io::stderr()).unwrap();
    assert!(is_journal(Some(&format!("{}:{}", stat.st_dev, stat.st_ino))));
    for other in [None, Some(""), Some("8:1"), Some("x")] {
        assert!(!is_journal(other), "{other:?}");
    }
}

/// In the environment of the process that the next test starts to panic in.
const PANICS: &str = "IMEID_TEST_PANICS";
const KEY: &str = "a-key-of-no-account";

#[test]
fn a_panic_is_one_line_without_key_or_imei() {
    let imei = crate::types::Imei::from_parts(35_332_211, 7).to_string();
    if std::env::var_os(PANICS).is_some() {
        let handle = init(&config(LogFormat::Text), &Clock::system()).unwrap();
        handle.tell_panics();
        handle.conceal(&KEY.to_owned().into());
        let stage = std::thread::Builder::new().name("stage".to_owned());
        let ended = stage.spawn(move || panic!("no\n<3>order of {imei} with {KEY}")).unwrap().join();
        assert!(ended.is_err());
        return;
    }
    // The hook is the whole process's: others' panics are none of this test's.
    let name = "daemon::log::tests::a_panic_is_one_line_without_key_or_imei";
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    let output = process.args([name, "--exact", "--nocapture"]).env(PANICS, "1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "{said}");
    let (_, line) = lines[0].split_once("Z ").unwrap();
    let text = format!("text=\"no\\n<3>order of …{} with ***\"", &imei[11..]);
    let begins = format!(
        "ERROR a fault in imeid itself, please report it alarm=panic {text} at=src/daemon/log/tests.rs:"
    );
    assert!(line.starts_with(&begins) && line.ends_with(" thread=stage"), "{line}");
}
