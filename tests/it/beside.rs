//! Every command there is beside a working daemon: how it ends, what it says, and what it does.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, Read};
use std::process::{Output, Stdio};
use std::time::Duration;

use imeid::simulator::{Change, Delay, Options, Share};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::help::commands;
use crate::support::{Sim, Table, Workplace, file_of, imei, program};

/// Keeps which commands were tried.
struct Beside {
    place: Workplace,
    tried: BTreeSet<String>,
}

impl Beside {
    fn output(&mut self, args: &[&str]) -> Output {
        self.tried.insert(args[0].to_owned());
        self.place.run(args)
    }

    /// Runs a command that must end with `code` and say `words`; what it said.
    #[track_caller]
    fn says(&mut self, args: &[&str], code: i32, words: &[&str]) -> String {
        let output = self.output(args);
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{err}");
        for word in words {
            assert!(
                out.contains(word) || err.contains(word),
                "{args:?}: {word:?} is missing in:\n{out}{err}"
            );
        }
        out
    }

    /// How many rows a statement finds in the journal.
    fn count(&self, sql: &str) -> i64 {
        self.place.ask(sql)
    }
}

/// Three orders: one completed, one rejected, one held because its answer was lost.
fn working() -> (Sim, Beside) {
    let sim = Sim::start(Options {
        listing: false,
        reorder_rejected: true,
        latency: Delay::Fixed(Duration::from_millis(5)),
        completion: Delay::Fixed(Duration::from_millis(50)),
        rejected: Share::from_ppm(0),
        ..Options::default()
    });
    let changes = [
        ("provider", "list_recent = \"no\""),
        ("submit", "canary = 0"),
        ("in_doubt", "policy = \"hold\""),
        ("outbox", "held_after = \"500ms\""),
    ];
    let mut place = Workplace::new(&sim.url(), &changes);
    place.start();
    place.drop_file("good.csv", &file_of([imei(0)]));
    place.result("good.results.csv");
    sim.change(&Change { rejected: Some(Share::from_ppm(1_000_000)), ..Change::default() });
    place.drop_file("bad.csv", &file_of([imei(1)]));
    place.result("bad.results.csv");
    sim.change(&Change {
        rejected: Some(Share::from_ppm(0)),
        faults: Some("drop-after=1x".parse().unwrap()),
        ..Change::default()
    });
    place.drop_file("lost.csv", &file_of([imei(2), imei(3)]));
    let table = place.result("lost.results.csv");
    assert_eq!(table.counts("imeid_status")["held"], 1, "{}", place.log());
    (sim, Beside { place, tried: BTreeSet::new() })
}

/// The one that is held, and its order id at the provider.
fn held(beside: &Beside, sim: &Sim) -> (String, String) {
    let table = Table::read(&beside.place.path("outbox/lost.results.csv"));
    let at = table.column("imeid_status").iter().position(|status| *status == "held").unwrap();
    let imei = table.column("imei")[at].to_owned();
    let id = sim.orders().iter().find(|order| order.imei.to_string() == imei).unwrap().id.to_string();
    (imei, id)
}

/// Those that only look. None of them leaves a request.
fn look(beside: &mut Beside) {
    let pid = beside.place.pid();
    let runs = format!("process {pid}");
    beside.says(
        &["check"],
        0,
        &[&runs, "account tester: the journal remembers its orders", "ok       API key"],
    );
    beside.says(&["check", "--online"], 0, &[&runs, "balance 999.", "service iphone-check"]);
    // One order is held: someone should look.
    beside.says(&["status"], 3, &["good", "lost", "held"]);
    let status: Value = serde_json::from_str(&beside.says(&["status", "--json"], 3, &[])).unwrap();
    assert_eq!(
        (status["daemon"]["pid"].as_u64(), &status["orders"]["held"]),
        (Some(u64::from(pid)), &1.into())
    );
    assert_eq!(status["batches"].as_array().unwrap().len(), 3);
    beside.says(&["show", &imei(0)], 0, &["good.csv taken as good: row 1"]);
    beside.says(&["show", "lost", "--json"], 0, &["\"held\": 1"]);
    beside.says(&["balance"], 0, &["999."]);
    beside.says(&["services"], 0, &["1739", "iphone-check"]);
    let again = beside.output(&["export", "good"]);
    assert_eq!(again.stdout, std::fs::read(beside.place.path("outbox/good.results.csv")).unwrap());
    let copy = beside.place.path("copy.db");
    beside.says(&["backup", copy.to_str().unwrap()], 0, &["3 files, 4 rows, 4 orders", "checked"]);
    assert!(copy.is_file());
    beside.says(&["run"], 1, &[&pid.to_string()]);
    beside.says(&["completions", "bash"], 0, &["imeid"]);
    assert_eq!(beside.count("SELECT count(*) FROM requests"), 0);
}

/// `status --watch` shows what changes while it looks.
fn watch(beside: &mut Beside) {
    let mut watching = program()
        .args(["status", "--watch", "--json", "--config"])
        .arg(beside.place.config())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["pauses"], serde_json::json!([]));
    beside.says(&["pause"], 0, &["everything is paused"]);
    let paused = (0..10).map(|_| next()).find(|status| status["pauses"][0]["reason"] == "operator");
    assert!(paused.is_some_and(|status| status["daemon"]["state"] == "paused"));
    kill_process(Pid::from_child(&watching), Signal::INT).unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(3));
}

/// Those that change something: the daemon does it, and the journal has it.
fn change(beside: &mut Beside, sim: &Sim) {
    assert_eq!(beside.count("SELECT count(*) FROM pauses WHERE reason = 'operator'"), 1);
    beside.place.drop_file("stop.csv", &file_of([imei(10), imei(11)]));
    beside.place.until("it is taken", |place| place.log().contains("file taken batch=stop"));
    beside.says(&["cancel", "stop"], 0, &["stop: 2 rows are cancelled"]);
    beside.says(&["resume"], 0, &["no longer paused"]);
    assert_eq!(beside.count("SELECT count(*) FROM pauses"), 0);
    assert_eq!(beside.place.result("stop.results.csv").counts("imeid_status")["cancelled"], 2);

    let (imei_held, id) = held(beside, sim);
    beside.says(&["resolve", &imei_held, "--order-id", &id], 0, &[&id]);
    let settled = beside.place.result("lost.settled.csv");
    assert_eq!(settled.counts("imeid_status")["completed"], 2);
    assert_eq!(beside.count("SELECT count(*) FROM charges WHERE via = 'word'"), 1);

    beside.says(&["retry", "bad"], 2, &["1 order anew at 0.08 each"]);
    beside.says(&["retry", "bad", "--yes"], 0, &[]);
    assert_eq!(beside.place.result("bad.settled.csv").counts("imeid_status")["completed"], 1);
    assert_eq!(beside.count("SELECT count(*) FROM orders WHERE current = 0"), 1);

    beside.says(&["ack", "1"], 1, &["no alarm 1"]);
    // The daemon keeps what it is told in order of coming, each with its answer.
    assert_eq!(beside.count("SELECT count(*) FROM requests WHERE answer IS NULL"), 0);
}

/// Those that need no daemon have their own folders and their own port beside it.
fn apart(beside: &mut Beside) {
    beside.tried.insert("simulate".to_owned());
    let mut simulator =
        program().args(["simulate", "--credit", "12.50"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut said = std::io::BufReader::new(simulator.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
    let place = Workplace::new(url, &[]);
    assert_eq!(place.run(&["balance"]).stdout, b"12.50\n");
    kill_process(Pid::from_child(&simulator), Signal::TERM).unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(simulator.wait().unwrap().success());
    assert!(rest.starts_with("stopped place_calls=0 other_calls=1 orders=0 "), "{rest}");
    assert!(rest.ends_with(" charged=0.00 refunded=0.00 balance=12.50\n"), "{rest}");

    beside.tried.insert("demo".to_owned());
    let demo = program().arg("demo").env("TMPDIR", beside.place.path("")).output().unwrap();
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    assert!(String::from_utf8(demo.stdout).unwrap().contains("Paid twice: 0."));
}

#[test]
fn every_command_does_its_work_beside_a_running_daemon() {
    let (sim, mut beside) = working();
    look(&mut beside);
    watch(&mut beside);
    change(&mut beside, &sim);
    apart(&mut beside);
    let missing: Vec<_> = commands().into_iter().filter(|name| !beside.tried.contains(name)).collect();
    assert!(missing.is_empty(), "never tried beside a daemon: {missing:?}");
    // Those that were there, and the one that was ordered anew.
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (5, 0), "{}", beside.place.log());
    assert!(beside.place.ended().is_none(), "the daemon works on");
    assert!(beside.place.stop().success());
}

#[test]
fn what_needs_no_configuration_is_done_though_it_broke_since_the_daemon_read_it() {
    let (sim, mut beside) = working();
    let good = fs::read_to_string(beside.place.config()).unwrap();
    fs::write(beside.place.config(), good.replace("drain =", "drian =")).unwrap();
    let warned = |beside: &mut Beside, args: &[&str], code: i32, words: &[&str]| {
        let warning = ["imeid.toml:", "drian", "goes on with what it read before"];
        beside.says(args, code, &[&warning, words].concat())
    };
    warned(&mut beside, &["pause"], 0, &["everything is paused"]);
    warned(&mut beside, &["pause", "--service", "iphone-check"], 0, &["iphone-check"]);
    assert_eq!(beside.count("SELECT count(*) FROM pauses WHERE reason = 'operator'"), 2);
    warned(&mut beside, &["pause", "--service", "another"], 2, &["the journal has iphone-check"]);
    warned(&mut beside, &["resume"], 0, &["no longer paused"]);
    warned(&mut beside, &["ack", "1"], 1, &["no alarm 1"]);
    let (imei_held, _) = held(&beside, &sim);
    warned(&mut beside, &["cancel", &imei_held], 0, &["cancelled"]);
    warned(&mut beside, &["show", "good"], 0, &["batch good: done"]);
    let again = beside.output(&["export", "good"]);
    assert_eq!(again.stdout, fs::read(beside.place.path("outbox/good.results.csv")).unwrap());
    let [copy, dropped] = ["copy.db", "inbox/copy.db"].map(|name| beside.place.path(name));
    warned(&mut beside, &["backup", copy.to_str().unwrap()], 0, &["checked"]);
    warned(&mut beside, &["backup", dropped.to_str().unwrap()], 2, &["lies in the folder inbox"]);
    // What costs is told by the configuration, and whom to ask.
    warned(&mut beside, &["retry", "bad", "--yes"], 2, &["nothing was done: this needs the configuration"]);
    beside.says(&["balance"], 2, &["drian"]);

    assert!(beside.place.stop().success());
    warned(&mut beside, &["pause"], 2, &["nothing was done: no daemon runs"]);
    warned(&mut beside, &["show", "good"], 0, &["batch good: done"]);
    assert_eq!(beside.count("SELECT count(*) FROM pauses"), 0);
    assert_eq!(beside.count("SELECT count(*) FROM requests WHERE answer IS NULL"), 0);
    fs::write(beside.place.config(), good.replace("[journal]", "[jornal]")).unwrap();
    beside.says(&["pause"], 2, &["jornal", "where the journal is can't be told"]);
    fs::write(beside.place.config(), good).unwrap();
    beside.place.start();
}
