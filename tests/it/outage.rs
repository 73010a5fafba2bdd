//! The provider gone, closed to us, or without one of our services, in the middle of a file: nothing is in doubt, and it
//! goes on soon after the end.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use imeid::simulator::{Account, Change, Delay, Duplicates, Options, Service, Share};
use imeid::types::NetworkId;

use crate::front::{Front, Then, ok};
use crate::support::{Sim, Workplace, books_agree, file_of, imei};

const WORKERS: usize = 8;
const ROWS: u32 = 300;
/// Charged before it happens.
const BEFORE: u64 = 100;
/// The longest that a look may be away that costs nothing, and what a busy machine adds.
const BACK_WITHIN: Duration = Duration::from_millis(5_000 + 1_500);
const LOOKS: usize = 4;

/// It would charge a duplicate, so that every order sent twice is seen.
fn options() -> Options {
    Options {
        duplicates: Duplicates::Charge,
        listing_limit: 20_000,
        latency: Delay::Fixed(Duration::from_millis(40)),
        completion: Delay::Fixed(Duration::from_millis(100)),
        rejected: Share::from_ppm(0),
        ..Options::default()
    }
}

fn workplace(url: &str) -> Workplace {
    let workers = format!("workers = {WORKERS}");
    let changes = [
        ("submit", "canary = 0"),
        ("submit", &workers),
        ("outbox", "held_after = \"1h\""),
        ("log", "level = \"debug\""),
    ];
    Workplace::new(url, &changes)
}

fn imeis() -> Vec<String> {
    (0..ROWS).map(imei).collect()
}

/// Drops the file; returns in the middle of it.
fn in_the_middle(place: &mut Workplace, sim: &Sim) {
    place.start();
    place.drop_file("stock.csv", &file_of(imeis()));
    place.until("it is in the middle of the file", |_| sim.ledger().charges >= BEFORE);
    assert!(sim.ledger().charges < u64::from(ROWS), "too late to show anything");
}

/// Nothing was in doubt, and all came out well.
fn ends_well(mut place: Workplace, sim: &Sim) {
    place.result("stock.results.csv");
    assert!(!place.log().contains("in doubt imei="), "{}", place.log());
    books_agree(&place, sim, "stock.results.csv", &imeis());
}

/// It lasts until it was looked at so often that a back-off that only doubled would have come to more than what is allowed.
fn is_looked_at(place: &mut Workplace) {
    place.until("it is looked at", |place| {
        place.log().matches("looked whether the outage is over").count() >= LOOKS
    });
}

/// Orders that wait at the server for their answer to be let go.
#[derive(Default)]
struct Hold {
    state: Mutex<(bool, usize)>,
    changed: Condvar,
}

impl Hold {
    fn set(&self, hold: bool) {
        self.state.lock().unwrap().0 = hold;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        let mut state = self.changed.wait_while(state, |(hold, _)| *hold).unwrap();
        state.1 -= 1;
    }

    fn held(&self) -> usize {
        let state = self.state.lock().unwrap();
        if state.0 { state.1 } else { 0 }
    }
}

#[test]
fn a_provider_that_is_gone_and_back_leaves_nothing_in_doubt_and_is_found_back_within_seconds() {
    let sim = Sim::start(options());
    let (hold, leaving) = (Arc::new(Hold::default()), Arc::new(AtomicBool::new(false)));
    let (held, goes) = (Arc::clone(&hold), Arc::clone(&leaving));
    let mut front = Front::before(&sim, move |exchange| {
        if exchange.is_order() {
            held.pass();
        }
        if !goes.load(Ordering::SeqCst) {
            return exchange.relay();
        }
        let answer = ok(&exchange.ask()).replacen("\r\n", "\r\nconnection: close\r\n", 1);
        exchange.write(answer);
        Then::Close
    });
    let mut place = workplace(&front.url());
    in_the_middle(&mut place, &sim);
    // As a server that is stopped: it answers what it has taken in, and lets nobody in any more. With every worker
    // waiting there, none is just connecting, which would be a doubt of its own.
    hold.set(true);
    place.until("every worker waits there", |_| hold.held() == WORKERS);
    front.close();
    leaving.store(true, Ordering::SeqCst);
    hold.set(false);
    place.until("it is noticed", |place| place.log().contains("doesn't answer orders since"));
    let charges = sim.ledger().charges;
    is_looked_at(&mut place);
    assert_eq!(sim.ledger().charges, charges);
    leaving.store(false, Ordering::SeqCst);
    front.open();
    let back = Instant::now();
    place.until("it is found back", |_| {
        assert!(back.elapsed() < BACK_WITHIN, "not found back yet");
        sim.ledger().charges > charges
    });
    println!("found back after {:?}", back.elapsed());
    place.until("more than one go at once again", |_| sim.in_work() > WORKERS / 2);
    ends_well(place, &sim);
}

#[test]
fn a_provider_that_answers_errors_is_shown_with_its_next_try_and_found_back_within_seconds() {
    let sim = Sim::start(options());
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let front = Front::before(&sim, move |exchange| {
        if failing.load(Ordering::SeqCst) {
            exchange.write("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
            return Then::KeepOpen;
        }
        exchange.relay()
    });
    let mut place = workplace(&front.url());
    in_the_middle(&mut place, &sim);
    fails.store(true, Ordering::SeqCst);
    place.until("it is noticed", |place| place.log().contains("doesn't answer orders since"));
    place.until("it is shown", |place| {
        let status = place.run(&["status", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        let pause = &json["pauses"][0];
        pause["reason"] == "outage" && pause["text"] == "HTTP 502" && pause["next_try"].is_string()
    });
    is_looked_at(&mut place);
    let charges = sim.ledger().charges;
    fails.store(false, Ordering::SeqCst);
    let back = Instant::now();
    place.until("it is found back", |_| {
        assert!(back.elapsed() < BACK_WITHIN, "not found back yet");
        sim.ledger().charges > charges
    });
    // Few were risked, and what became of those is found out.
    place.result("stock.results.csv");
    let doubts = place.log().matches("in doubt imei=").count();
    assert!((3..=WORKERS + 12).contains(&doubts), "{doubts} doubts");
    books_agree(&place, &sim, "stock.results.csv", &imeis());
    assert_eq!(place.run(&["status"]).status.code(), Some(0), "nothing stands still any more");
}

/// All calls are refused for a while; what was sent meanwhile is at most what was in flight.
fn refused_for_a_while(off: &Change, on: &Change, reason: &str) {
    let sim = Sim::start(options());
    let mut place = workplace(&sim.url());
    in_the_middle(&mut place, &sim);
    sim.change(off);
    let pause = format!("pause scope=all reason={reason}");
    place.until("the pause is told", |place| place.log().contains(&pause));
    sim.change(on);
    place.until("it ends", |place| place.log().contains(&format!("pause ended scope=all reason={reason}")));
    place.result("stock.results.csv");
    let ledger = sim.ledger();
    let refused = ledger.place_calls - ledger.charges;
    assert!((1..=WORKERS as u64).contains(&refused), "{refused} were sent for nothing:\n{}", place.log());
    ends_well(place, &sim);
}

fn account_switched_off_and_on() {
    let account = |account| Change { account: Some(account), ..Change::default() };
    refused_for_a_while(&account(Account::NotActive), &account(Account::Ok), "account");
}

fn maintenance_for_a_while() {
    let maintenance = |on| Change { maintenance: Some(on), ..Change::default() };
    refused_for_a_while(&maintenance(true), &maintenance(false), "maintenance");
}

/// The provider doesn't know one service for a while: it stands still, the other goes on.
fn a_service_unknown_for_a_while() {
    let other = Service { network_id: NetworkId("1740".to_owned()), ..Service::default() };
    let sim = Sim::start(Options { services: vec![Service::default(), other], ..options() });
    let known = Arc::new(AtomicBool::new(false));
    let knows = Arc::clone(&known);
    let front = Front::before(&sim, move |exchange| {
        if exchange.is_order() && exchange.param("networkId") == "1740" && !knows.load(Ordering::SeqCst) {
            exchange.write(ok("<error>Invalid value of Network Id!</error>"));
            return Then::KeepOpen;
        }
        exchange.relay()
    });
    let mut place = workplace(&front.url());
    let mut config = fs::read_to_string(place.config()).unwrap();
    config.push_str(
        "[[service]]\nname = \"other\"\nnetwork_id = \"1740\"\nprice = \"0.08\"\nfolder = \"other\"\n",
    );
    fs::write(place.config(), config).unwrap();
    place.start();
    let theirs: Vec<String> = (0..20).map(imei).collect();
    fs::write(place.path("inbox/other/theirs.csv"), file_of(theirs.clone())).unwrap();
    let is_paused = |place: &Workplace| {
        let log = place.log();
        log.contains("reason=service") && !log.contains("pause ended")
    };
    place.until("its service stands still", |place| is_paused(place));
    place.drop_file("stock.csv", &file_of(imeis()));
    place.result("stock.results.csv");
    assert!(is_paused(&place), "it was no test:\n{}", place.log());
    assert!(!place.log().contains("scope=all"), "{}", place.log());
    known.store(true, Ordering::SeqCst);
    place.result("theirs.results.csv");
    books_agree(&place, &sim, "theirs.results.csv", &theirs);
    ends_well(place, &sim);
}

#[test]
fn what_is_refused_for_a_while_pauses_what_it_concerns_and_goes_on_by_itself() {
    std::thread::scope(|scope| {
        for run in [account_switched_off_and_on, maintenance_for_a_while, a_service_unknown_for_a_while] {
            scope.spawn(run);
        }
    });
}
