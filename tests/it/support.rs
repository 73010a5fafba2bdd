//! A workplace for one test: folders, a config, the simulator, the daemon as a process.

mod sim;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use imeid::simulator::{Change, OrderLine};
use imeid::types::Imei;

pub(crate) use sim::Sim;

/// No condition here takes longer, even on a machine that is busy with something else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(20);
const TAC: u32 = 35_332_211;

/// An IMEI that no phone has.
pub(crate) fn imei(serial: u32) -> String {
    Imei::from_parts(TAC, serial).to_string()
}

/// A file's text: a header, then a row an IMEI.
pub(crate) fn file_of(imeis: impl IntoIterator<Item = String>) -> String {
    let mut text = String::from("shelf,imei\n");
    for (n, imei) in imeis.into_iter().enumerate() {
        text.push_str(&format!("S{n},{imei}\n"));
    }
    text
}

/// The program under test.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imeid"));
    command.env_remove("IMEID_CONFIG").env_remove("CREDENTIALS_DIRECTORY").env_remove("NOTIFY_SOCKET");
    command
}

/// Folders and a config in a directory of the test's own. Dropped, it kills its daemon and removes everything.
pub(crate) struct Workplace {
    dir: tempfile::TempDir,
    daemon: Option<Child>,
    /// How often the log said "ready" before the last start.
    ready_before: usize,
    /// For the daemon's environment.
    env: Vec<(String, String)>,
}

impl Workplace {
    /// For a provider at `url`. `changes`: TOML lines by table, in place of or beside those of the test's own config.
    pub(crate) fn new(url: &str, changes: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("api-key"), "a-key-of-no-account\n").unwrap();
        let place = Self { dir, daemon: None, ready_before: 0, env: Vec::new() };
        place.configure(url, changes);
        place
    }

    /// The daemons that are started from now on have this in their environment.
    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Writes the config anew.
    pub(crate) fn configure(&self, url: &str, changes: &[(&str, &str)]) {
        let mut tables: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
        let url = format!("base_url = \"{url}\"");
        let base = [
            ("provider", url.as_str()),
            ("provider", "user_id = \"tester\""),
            ("provider", "timeout = \"2s\""),
            ("provider", "connect_timeout = \"1s\""),
            ("folders", "inbox = \"inbox\""),
            ("folders", "outbox = \"outbox\""),
            ("folders", "reconcile = \"reconcile\""),
            ("folders", "archive = \"archive\""),
            ("folders", "rejected = \"rejected\""),
            ("folders", "settle = \"200ms\""),
            ("folders", "rescan = \"2s\""),
            ("journal", "path = \"state/journal.db\""),
            ("journal", "min_free = \"1MiB\""),
            ("submit", "drain = \"5s\""),
            ("poll", "first_after = \"500ms\""),
            ("poll", "every = \"2s\""),
            ("in_doubt", "quiet = \"2s\""),
            ("budget", "per_day = \"2000\""),
        ];
        for (table, line) in base.iter().chain(changes) {
            let (key, value) = line.split_once('=').unwrap();
            tables.entry(table).or_default().insert(key.trim().to_owned(), value.trim().to_owned());
        }
        let mut text = String::new();
        for (table, lines) in tables {
            text.push_str(&format!("[{table}]\n"));
            for (key, value) in lines {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        text.push_str("[[service]]\nname = \"iphone-check\"\nnetwork_id = \"1739\"\nprice = \"0.08\"\n");
        fs::write(self.config(), text).unwrap();
    }

    /// Adds lines to the config's end.
    pub(crate) fn add_to_config(&self, lines: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), text + lines).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("imeid.toml")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the daemon; returns once it is ready.
    pub(crate) fn start(&mut self) {
        self.spawn();
        self.until_ready();
    }

    /// Starts the daemon, and doesn't wait for it.
    pub(crate) fn spawn(&mut self) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        self.ready_before = self.times_ready();
        let child = program()
            .arg("run")
            .arg("--config")
            .arg(self.config())
            .envs(self.env.iter().cloned())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(child);
    }

    /// Returns once the daemon is ready that was started last.
    pub(crate) fn until_ready(&mut self) {
        self.until("the daemon is ready", |place| {
            if let Some(status) = place.ended() {
                panic!("the daemon ended with {status}:\n{}", place.log());
            }
            place.times_ready() > place.ready_before
        });
    }

    /// As often as the log says so, whatever its format.
    fn times_ready(&self) -> usize {
        let log = self.log();
        log.matches("INFO  ready ").count() + log.matches("\"message\":\"ready\"").count()
    }

    /// How the daemon ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.daemon.as_mut().and_then(|daemon| daemon.try_wait().unwrap())
    }

    /// How a daemon ends that must end by itself.
    pub(crate) fn ends(&mut self, daemon: Child) -> ExitStatus {
        self.daemon = Some(daemon);
        let mut status = None;
        self.until("the daemon ends by itself", |place| {
            status = place.ended();
            status.is_some()
        });
        self.daemon = None;
        status.unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().unwrap().id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(self.daemon.as_ref().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.stop_by(rustix::process::Signal::TERM)
    }

    /// A signal that ends it, and how it ended.
    pub(crate) fn stop_by(&mut self, signal: rustix::process::Signal) -> ExitStatus {
        self.signal(signal);
        let began = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                self.daemon = None;
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "it doesn't stop:\n{}", self.log());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Runs another command of the program to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        program().args(args).arg("--config").arg(self.config()).output().unwrap()
    }

    /// Drops a file as most programs do: written under another name, then renamed in.
    pub(crate) fn drop_file(&self, name: &str, text: &str) {
        let file = self.path("inbox").join(name);
        let temporary = file.with_file_name(format!(".{}.part", file.file_name().unwrap().display()));
        fs::create_dir_all(self.path("inbox")).unwrap();
        fs::write(&temporary, text).unwrap();
        // A drop isn't the daemon's doing: nothing of it need be durable.
        #[allow(clippy::disallowed_methods, reason = "as another program does it")]
        fs::rename(temporary, file).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits for a condition.
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < PATIENCE, "not in time: {what}\n{}", self.log());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits for a file in the outbox and reads it as a table.
    pub(crate) fn result(&mut self, name: &str) -> Table {
        let path = self.path("outbox").join(name);
        self.until(name, |place| {
            if let Some(status) = place.ended() {
                panic!("the daemon ended with {status}:\n{}", place.log());
            }
            path.exists()
        });
        Table::read(&path)
    }

    /// What the journal answers.
    pub(crate) fn ask(&self, sql: &str) -> i64 {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let journal = rusqlite::Connection::open_with_flags(self.path("state/journal.db"), flags).unwrap();
        journal.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// The names in one of the folders, sorted; without the daemon's own stamp.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(folder))
            .map(|entries| entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        names.retain(|name| name != ".imeid");
        names.sort();
        names
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if self.daemon.is_some() {
            self.kill();
        }
    }
}

/// A result file, by the names of its columns.
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let text = text.strip_prefix('\u{feff}').expect("a BOM, as spreadsheets want it");
        let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
        let columns = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        Self { columns, rows }
    }

    pub(crate) fn column(&self, name: &str) -> Vec<&str> {
        let at = self.columns.iter().position(|column| column == name).unwrap();
        self.rows.iter().map(|row| row[at].as_str()).collect()
    }

    /// How often each word stands in a column.
    pub(crate) fn counts(&self, name: &str) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for word in self.column(name) {
            *counts.entry(word).or_default() += 1;
        }
        counts
    }

    /// The sum of `imeid_cost`, in micro-dollars.
    pub(crate) fn cost(&self) -> i64 {
        let money = |text: &&str| text.parse::<imeid::types::Money>().unwrap().micros();
        self.column("imeid_cost").iter().filter(|text| !text.is_empty()).map(money).sum()
    }
}

/// Every row that has an order id has that of the order which the provider took for its IMEI.
pub(crate) fn every_id_is_on_its_own_row(table: &Table, orders: &[OrderLine]) {
    let by_id: BTreeMap<String, String> =
        orders.iter().map(|order| (order.id.to_string(), order.imei.to_string())).collect();
    let rows = table.column("imei").into_iter().zip(table.column("imeid_order_id"));
    for (imei, id) in rows.filter(|(_, id)| !id.is_empty()) {
        assert_eq!(by_id.get(id).map(String::as_str), Some(imei), "order {id}");
    }
}

/// What `imeid status --json` tells.
pub(crate) fn status(place: &Workplace) -> serde_json::Value {
    let told = place.run(&["status", "--json"]);
    serde_json::from_slice(&told.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&told.stderr)))
}

/// The provider is found to refuse duplicates, by two orders from this serial on: one whose answer is lost, and one that never
/// got there. Of many doubts it depends on chance whether those that are probed first show it, and a person may have to be asked.
pub(crate) fn refusal_is_proven(place: &mut Workplace, sim: &Sim, serial: u32) {
    let before = sim.ledger().charges;
    sim.change(&Change {
        faults: Some("drop-after=1x,drop-before=1x".parse().unwrap()),
        ..Change::default()
    });
    place.drop_file("proof.csv", &file_of([imei(serial), imei(serial + 1)]));
    place.until("a probe is refused", |place| {
        place.ask("SELECT count(*) FROM facts WHERE key LIKE 'probing:%' AND value = 'refused'") == 1
    });
    place.until("both are paid", |_| sim.ledger().charges == before + 2);
}

/// How often it is asked whether anything is queued: a process each time.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// An order now and then once nothing is queued, as a day's work brings them, until a file is there: that an order is
/// absent from a listing counts only beside a later one that is in it. Gives how many there were.
pub(crate) fn orders_until(place: &mut Workplace, path: &str) -> u64 {
    let (path, mut n) = (place.path(path), 0);
    let mut next = Instant::now() + Duration::from_secs(2);
    place.until("the result is there", |place| {
        if Instant::now() >= next {
            next = Instant::now() + ASK_EVERY;
            if status(place)["orders"]["queued"] == 0 {
                place.drop_file(&format!("later{n}.csv"), &file_of([imei(900_000 + n)]));
                n += 1;
                next = Instant::now() + Duration::from_secs(2);
            }
        }
        path.exists()
    });
    for n in 0..n {
        place.result(&format!("later{n}.results.csv"));
    }
    u64::from(n)
}

/// The end of every test in which nothing is held: `name`'s rows are those that were dropped, in their order, and what
/// all results say was ordered and paid is what the provider took and charged, nothing twice.
pub(crate) fn books_agree(place: &Workplace, sim: &Sim, name: &str, dropped: &[String]) {
    let path = |name: &str| place.path("outbox").join(name);
    assert_eq!(Table::read(&path(name)).column("imei"), dropped, "rows out are rows in");
    let (mut rows, mut paid) = (0, 0);
    for name in place.names("outbox").iter().filter(|name| name.ends_with(".results.csv")) {
        let table = Table::read(&path(name));
        let counts = table.counts("imeid_status");
        assert_eq!(counts.get("completed"), Some(&table.rows.len()), "{name}: {counts:?}\n{}", place.log());
        every_id_is_on_its_own_row(&table, &sim.orders());
        rows += table.rows.len();
        paid += table.cost();
    }
    let ledger = sim.ledger();
    assert_eq!((ledger.paid_twice, ledger.batched_calls), (0, 0), "{}", place.log());
    assert_eq!((ledger.charges, ledger.charged.micros()), (rows as u64, paid), "{}", place.log());
}
