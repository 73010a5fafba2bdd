//! A file of a million rows: how fast they get into the journal, in how much memory, and what a journal with a million
//! orders is like to start and to look into.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use imeid::simulator::Delay;

use crate::machine;
use crate::place::{Place, Sim, imei};
use crate::table::{Table, Target};

const ROWS: u32 = 1_000_000;
/// For so long it goes on sending, with a million orders waiting, before its memory is read.
const AT_WORK: Duration = Duration::from_secs(5);
const SHOWN: [u32; 5] = [7, 250_000, 500_000, 750_000, 999_999];

pub(crate) fn measure(table: &mut Table) -> Result<()> {
    let sim =
        Sim::start(Delay::Fixed(Duration::from_millis(3_600)), Delay::Fixed(Duration::from_secs(3_600)))?;
    let mut place = Place::new(&sim.running().url())?;
    let mut order: Vec<u32> = (0..ROWS).collect();
    fastrand::Rng::with_seed(1).shuffle(&mut order);
    place.start()?;
    place.drop_file(order.into_iter().map(imei))?;
    let began = Instant::now();
    place.until("the file is taken", |place| place.log().contains("file taken"))?;
    let whole = began.elapsed();
    std::thread::sleep(AT_WORK);
    let peak = machine::peak_mib(place.pid()?)?;
    place.kill()?;
    let millis = place.ask("SELECT opened_at - taken_at FROM batches")?;
    let seconds = Duration::from_millis(u64::try_from(millis)?).as_secs_f64();
    table.line(
        "rows a second into the journal",
        f64::from(ROWS) / seconds,
        0,
        "rows/s",
        Target::AtLeast(250_000.0),
    );
    table.line(
        "the same, from the drop to the open batch",
        f64::from(ROWS) / whole.as_secs_f64(),
        0,
        "rows/s",
        Target::None,
    );
    table.line("peak memory", peak, 1, "MiB", Target::AtMost(48.0));
    rustix::fs::sync();
    let ready = place.start()?.as_secs_f64();
    table.line("ready with 1,000,000 orders, after a kill", ready, 3, "s", Target::AtMost(1.0));
    let mut slowest = Duration::ZERO;
    for n in SHOWN {
        let imei = imei(n).to_string();
        let began = Instant::now();
        let shown = place.program(&["show", &imei]).stderr(Stdio::inherit()).output()?;
        slowest = slowest.max(began.elapsed());
        ensure!(shown.status.success(), "show {n} ended with {}", shown.status);
    }
    table.line(
        "show IMEI, the slowest of five",
        slowest.as_secs_f64() * 1_000.0,
        1,
        "ms",
        Target::AtMost(50.0),
    );
    table.note(format!("{whole:.1?} from the drop, half a second of it for the file to settle"));
    Ok(())
}
