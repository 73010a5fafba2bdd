//! The state folder becomes read-only under the daemon, as a disk does at its first error. (At the start: `folders`.)

use super::place::Disk;
use super::{provider, status};
use crate::support::{Workplace, file_of, imei};

#[test]
fn a_state_folder_that_becomes_read_only_under_the_daemon_is_named_and_nothing_more_is_sent() {
    const ROWS: u32 = 40;
    let sim = provider(1500);
    let mut place = Workplace::new(&sim.url(), &[("submit", "canary = 0"), ("submit", "workers = 10")]);
    let Some(mut disk) = Disk::over(&place.path("state")) else { return };
    place.start();
    place.drop_file("stock.csv", &file_of((0..ROWS).map(imei)));
    place.until("calls are on their way", |_| sim.ledger().place_calls >= 10);
    disk.fails();
    place.until("it is told", |place| {
        let log = place.log();
        log.contains("answers are kept in memory")
            && log.contains("nothing is submitted until the journal can be written")
    });
    let (code, told) = status(&place);
    assert_eq!(code, Some(3), "{told}");
    let state = place.path("state").display().to_string();
    for word in ["everything: disk: the filesystem of", state.as_str(), "can only be read"] {
        assert!(told.contains(word), "no {word:?} in {told}");
    }
    // What was claimed before ends; nothing begins after it.
    place.until("the calls end", |_| sim.in_work() == 0);
    let called = sim.ledger().place_calls;
    assert!(called < u64::from(ROWS), "{called}");
    let mut looks = 0;
    place.until("someone looks again and again", |place| {
        assert_eq!(sim.ledger().place_calls, called, "{}", place.log());
        assert_eq!(place.ended(), None);
        looks += 1;
        status(place).0 == Some(3) && looks > 40
    });

    // It has to be checked before it can be written again, and nobody may use it meanwhile. The answers that were kept in
    // memory are gone with the process: what they told is found in the provider's list.
    place.kill();
    disk.repair();
    place.start();
    let table = place.result("stock.results.csv");
    assert_eq!(table.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("completed", 40)]);
    assert_eq!((sim.ledger().charges, sim.ledger().paid_twice), (40, 0), "{}", place.log());
    assert!(place.stop().success());
}
