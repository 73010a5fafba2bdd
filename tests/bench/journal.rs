//! The journal alone, in this process: what its writer's thread costs an order, without HTTP, workers and files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use imeid::clock::Clock;
use imeid::journal::{
    AttemptTicket, ClaimRequest, Journal, NewBatch, NewRow, OrderFor, PollResult, PollTold, Rules,
    ServiceTerms,
};
use imeid::types::{
    BatchId, Imei, Money, NetworkId, OrderId, Placed, ProviderOrder, ProviderOrderId, ProviderStatus, Reply,
    ServiceId, Timestamp,
};

use crate::machine;
use crate::place::imei;
use crate::table::{Table, Target};

const ORDERS: u32 = 20_000;
/// Answers, and claims, that share a commit: as many as at 36 ms, and as many as at no latency.
const FEW: usize = 7;
const MANY: usize = 30;
/// Orders that are told of in one poll.
const TOLD_AT_ONCE: usize = 50;

/// What the writer's thread has used.
#[derive(Clone, Copy)]
struct Used {
    cpu: Duration,
    bytes: u64,
    writes: u64,
}

impl Used {
    fn per_order(self, before: Self) -> [f64; 3] {
        let each = |after: u64, before: u64| (after - before) as f64 / f64::from(ORDERS);
        [
            self.cpu.saturating_sub(before.cpu).as_secs_f64() * 1_000.0 / f64::from(ORDERS),
            each(self.bytes, before.bytes) / 1024.0,
            each(self.writes, before.writes),
        ]
    }
}

pub(crate) fn measure(table: &mut Table) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for together in [FEW, MANY] {
        let [sent, told] = runtime.block_on(run(together))?;
        let mut lines = |what: &str, [ms, kib, writes]: [f64; 3]| {
            table.line(&format!("{what}: CPU an order"), ms, 4, "ms", Target::None);
            table.line(&format!("{what}: written an order"), kib, 2, "KiB", Target::None);
            table.line(&format!("{what}: writes an order"), writes, 2, "", Target::None);
        };
        lines(&format!("claim and answer, {together} a commit"), sent);
        lines("told of by polls", told);
    }
    table.note(format!("{ORDERS} orders, {TOLD_AT_ONCE} told of at once; of the writer's thread alone"));
    Ok(())
}

/// A journal in a folder of its own.
struct Bench {
    _folder: tempfile::TempDir,
    journal: Journal,
    clock: Clock,
    service: ServiceId,
    rules: Arc<Rules>,
}

async fn run(together: usize) -> Result<[[f64; 3]; 2]> {
    let bench = Bench::new().await?;
    bench.fill().await?;
    let before = used()?;
    let orders = bench.send(together).await?;
    let sent = used()?;
    bench.tell(&orders).await?;
    let told = used()?;
    Ok([sent.per_order(before), told.per_order(sent)])
}

impl Bench {
    async fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("figures-").tempdir_in(machine::disk())?;
        let journal = Journal::open(&folder.path().join("journal.db"))?;
        journal.start_is_told();
        let network_id = NetworkId("1739".to_owned());
        let service = journal.service("bench".to_owned(), network_id.clone(), "check".to_owned()).await?;
        let price = Money::from_micros(80_000);
        let terms = ServiceTerms {
            id: service,
            network_id,
            name: "check".to_owned(),
            price,
            canary: 0,
            params: vec![],
        };
        let rules = Arc::new(Rules {
            max_attempts: 3,
            quiet: Duration::from_secs(120),
            first_poll: Duration::from_secs(10),
            terms: BTreeMap::from([(service, terms)]),
        });
        journal.linger(Duration::from_millis(10));
        Ok(Self { _folder: folder, journal, clock: Clock::system(), service, rules })
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn fill(&self) -> Result<()> {
        let new = NewBatch {
            key: "1739~stock".to_owned(),
            stem: "stock".to_owned(),
            file_name: "stock.csv".to_owned(),
            sha256: String::new(),
            bytes: 0,
            service: self.service,
            header: "{}".to_owned(),
            rows: u64::from(ORDERS),
            occupied: BTreeSet::new(),
        };
        let (id, _) = self.journal.begin_batch(new, self.now()).await?;
        let wanted = (0..ORDERS).map(|n| OrderFor { imei: imei(n), row: n + 1 }).collect();
        let linked = self.journal.link_orders(id, self.service, wanted, None).await?;
        let raw = |row: u32| format!("A{row},iPhone 14 Pro 256GB,{}", imei(row - 1)).into_bytes();
        let row = |row: u32, order| NewRow { row, order: Some(order), why_not: None, raw: raw(row) };
        let rows = linked.iter().map(|linked| row(linked.row, (linked.order, linked.link))).collect();
        self.journal.insert_rows(id, rows).await?;
        Ok(self.journal.open_batch(id, self.now()).await?)
    }

    /// Claims and answers all, so many to a commit.
    async fn send(&self, together: usize) -> Result<Vec<(OrderId, Imei)>> {
        let mut orders = Vec::new();
        loop {
            let request = ClaimRequest {
                want: together,
                day: self.clock.local_day(self.now()),
                per_day: None,
                after: BatchId(0),
                rules: Arc::clone(&self.rules),
                probe: None,
                keep_witness: true,
            };
            let claimed = self.journal.begin_attempts(request, self.clock.clone()).await?;
            if claimed.tickets.is_empty() {
                break;
            }
            for ticket in claimed.tickets {
                orders.push(self.answer(ticket)?);
            }
        }
        ensure!(orders.len() == usize::try_from(ORDERS)?, "{} were claimed", orders.len());
        Ok(orders)
    }

    fn answer(&self, ticket: AttemptTicket) -> Result<(OrderId, Imei)> {
        let order = ticket.order().context("an order")?;
        let imei = ticket.imei().context("an IMEI")?;
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<result><imeis><item><id>{id}</id><imei>{imei}</imei>\
             <status>1</status><package>iPhone check</package></item></imeis></result>",
            id = id_of(order)
        );
        let outcome = Placed::Taken(id_of(order));
        drop(
            self.journal.finish_attempt(ticket, Reply { outcome, http: Some(200), body: body.into_bytes() }),
        );
        Ok((order, imei))
    }

    /// Ends all, as polls do.
    async fn tell(&self, orders: &[(OrderId, Imei)]) -> Result<()> {
        let now = self.now();
        for some in orders.chunks(TOLD_AT_ONCE) {
            let results = some
                .iter()
                .map(|(order, imei)| PollResult {
                    order: *order,
                    of: Some((BatchId(1), self.service)),
                    told: told(*order, *imei),
                    next: now,
                })
                .collect();
            self.journal.record_polls(results, now, (*self.rules).clone()).await?;
        }
        Ok(())
    }
}

fn id_of(order: OrderId) -> ProviderOrderId {
    ProviderOrderId(1_000_000 + order.0.unsigned_abs())
}

fn told(order: OrderId, imei: Imei) -> PollTold {
    let code = format!("Model: iPhone 14 Pro 256GB<br>IMEI: {imei}<br>Find My: OFF<br>Carrier: Unlocked");
    PollTold::Status(ProviderOrder {
        id: id_of(order),
        imei: Some(imei),
        package: "iPhone check".to_owned(),
        status: ProviderStatus::Completed,
        status_raw: "2".to_owned(),
        raw: format!(
            "<imeis><id>{}</id><imei>{imei}</imei><statusId>2</statusId><code>{code}</code></imeis>",
            id_of(order)
        )
        .into_bytes(),
        code,
        requested_at: String::new(),
    })
}

/// By what the kernel counts of the thread of that name.
fn used() -> Result<Used> {
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim() != "journal" {
            continue;
        }
        let cpu = machine::cpu_of_thread(&task)?;
        let io = fs::read_to_string(task.join("io"))?;
        let count = |name: &str| -> Result<u64> {
            let line = io.lines().find_map(|line| line.strip_prefix(name)).context("what a thread wrote")?;
            Ok(line.trim().parse()?)
        };
        return Ok(Used { cpu, bytes: count("wchar:")?, writes: count("syscw:")? });
    }
    anyhow::bail!("the journal has no writer")
}
