//! A daemon with nothing to do: its file is done.

use std::time::Duration;

use anyhow::Result;
use imeid::simulator::Delay;

use crate::machine;
use crate::place::{Place, Sim, imei};
use crate::table::{Table, Target};

/// Long enough for what comes round every thirty seconds to come round twice, and for ticks of 10 ms to say something.
const WATCHED: Duration = Duration::from_secs(61);

pub(crate) fn measure(table: &mut Table) -> Result<()> {
    let sim = Sim::start(Delay::Fixed(Duration::from_millis(36)), Delay::NONE)?;
    let mut place = Place::new(&sim.running().url())?;
    place.start()?;
    place.drop_file((0..30).map(imei))?;
    place.until("the result is published", Place::has_result)?;
    let before = machine::cpu(place.pid()?)?;
    std::thread::sleep(WATCHED);
    let used = machine::cpu(place.pid()?)?.saturating_sub(before);
    let a_second = used.as_secs_f64() * 1_000.0 / WATCHED.as_secs_f64();
    table.line("CPU while idle", a_second, 3, "ms/s", Target::AtMost(1.0));
    place.stop()
}
