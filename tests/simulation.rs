//! Random worlds, each decided by one seed: files, faults, providers of every kind, crashes, restarts, clocks that jump.
//!
//! After every step the journal's books are held against the provider's, and at the end all must come to rest. A failure
//! prints its seed: `IMEID_SEED=17 cargo test --test simulation` runs that one alone, `IMEID_SEEDS=2000` that many.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a harness: what can't be is a failure"
)]

#[path = "simulation/accounts.rs"]
mod accounts;
#[path = "simulation/charging.rs"]
mod charging;
#[path = "simulation/copies.rs"]
mod copies;
#[path = "simulation/cut.rs"]
mod cut;
#[path = "simulation/empty.rs"]
mod empty;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use fastrand::Rng;
use imeid::journal::Said;
use imeid::simulator::{Account, Change, Delay, Duplicates, Entry, EntryKind, Options, Share};
use imeid::types::Money;

use world::clearing::file;
use world::life::Units;
use world::points::{self, Crashed};
use world::{Knobs, World, files, oracle};

const SEEDS: u64 = 200;
/// What happens in some of them: worlds in which it doesn't would show nothing.
const OFTEN: [&str; 11] = [
    "absent in_doubt -> queued",
    "already exists submitting -> ordered_elsewhere",
    "already exists submitting -> ordered_no_id",
    "cleared completed -> completed",
    "held in_doubt -> held",
    "listed in_doubt -> ordered",
    "looked up in_doubt -> ordered",
    "lost submitting -> in_doubt",
    "not sent submitting -> queued",
    "not taken submitting -> queued",
    "unclear submitting -> in_doubt",
];
/// Answers that never come, whether the order was taken or not.
const LOSSES: &str = "drop-before=12%,drop-after=10%,late-after=10%";
/// How far a provider's clock is ahead of UTC, minutes.
const ZONES: [i32; 8] = [180, 330, -720, 0, 840, -210, 765, -480];

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What this seed's provider is like.
fn provider(rng: &mut Rng, seed: u64) -> Options {
    Options {
        duplicates: rng.choice([Duplicates::Refuse, Duplicates::RefuseAsList, Duplicates::Charge]).unwrap(),
        listing: rng.u8(0..3) > 0,
        listing_lag: rng.choice([seconds(0), seconds(20), seconds(300), seconds(900)]).unwrap(),
        listing_limit: rng.choice([1_000, 1_000, 1_000, 2, 5, 0]).unwrap(),
        listing_finished: rng.u8(0..4) > 0,
        one_of_n: rng.u8(0..4) == 0,
        phpxml: rng.bool(),
        rejected: Share::from_ppm(100_000),
        completion: Delay::Uniform(seconds(5), seconds(300)),
        latency: Delay::LogNormal(Duration::from_millis(3600)),
        late_by: seconds(rng.u64(5..115)),
        // Not drawn: the seeds that are known go on telling the same stories.
        zone_minutes: ZONES[usize::try_from(seed / 4).unwrap() % ZONES.len()],
        reorder_rejected: seed / 4 % 4 == 1,
        ..world::provider(seed)
    }
}

fn knobs(rng: &mut Rng, lists: bool) -> Knobs {
    let list_recent = match rng.u8(0..6) {
        0 => "no",
        1 if lists => "yes",
        _ => "auto",
    };
    let workers = rng.usize(1..6);
    Knobs {
        workers,
        max_attempts: rng.u32(1..5),
        canary: if rng.u8(0..4) == 0 { 2 } else { 0 },
        hold: rng.u8(0..3) == 0,
        list_recent,
        per_day: (rng.u8(0..5) == 0).then_some("1.50"),
        // Not drawn either.
        keep_answers: if workers.is_multiple_of(2) { "10m" } else { "forever" },
        ..Knobs::default()
    }
}

/// What kind of a world it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All comes at once.
    Hasty,
    /// Doubts grow old while new files come.
    Patient,
    /// Listings of every kind, at a provider that charges whatever is sent twice: all hangs on their evidence.
    Listings,
    /// No listing, at a provider that refuses duplicates: all hangs on probes.
    Probes,
}

impl Kind {
    fn of(seed: u64) -> Self {
        match seed % 4 {
            0 => Self::Listings,
            1 => Self::Probes,
            2 => Self::Patient,
            _ => Self::Hasty,
        }
    }

    /// How much time passes at once at most, milliseconds.
    fn paces(self) -> [u64; 5] {
        match self {
            Self::Hasty => [100, 2_000, 5_000, 20_000, 150_000],
            Self::Patient => [2_000, 20_000, 130_000, 300_000, 900_000],
            Self::Listings | Self::Probes => [30_000, 90_000, 130_000, 130_000, 400_000],
        }
    }

    /// The number of files that are dropped at most, and of different IMEIs in them.
    fn stock(self) -> (usize, u32) {
        if self.is_calm() { (12, 900) } else { (5, 24) }
    }

    /// Nothing but files, losses on the way and crashes, and in some of them what operators say.
    fn is_calm(self) -> bool {
        matches!(self, Self::Listings | Self::Probes)
    }

    fn provider(self, options: Options) -> Options {
        match self {
            Self::Hasty | Self::Patient => options,
            Self::Listings => Options {
                duplicates: Duplicates::Charge,
                listing: true,
                listing_limit: options.listing_limit.max(2),
                // Some are finished long before others.
                completion: Delay::Uniform(seconds(5), seconds(1_500)),
                ..options
            },
            Self::Probes => Options { duplicates: Duplicates::Refuse, listing: false, ..options },
        }
    }

    fn knobs(self, knobs: Knobs) -> Knobs {
        if self.is_calm() {
            Knobs { list_recent: "auto", per_day: None, canary: 0, max_attempts: 3, hold: false, ..knobs }
        } else {
            knobs
        }
    }
}

fn faults(rng: &mut Rng) -> String {
    const KINDS: [&str; 18] = [
        "drop-before",
        "drop-after",
        "hang-before",
        "hang-after",
        "500-before",
        "502-html-after",
        "503-retry-before",
        "429-retry-before",
        "307-after",
        "empty-after",
        "cut-after",
        "wrong-imei-after",
        "several-after",
        "late-after",
        "odd-error-before",
        "any:500-before",
        "any:odd-error-before",
        "any:drop-after",
    ];
    let mut all = Vec::new();
    for _ in 0..rng.u8(0..5) {
        let kind = rng.choice(KINDS).unwrap();
        let often = if rng.bool() { format!("{}x", rng.u8(1..4)) } else { format!("{}%", rng.u8(5..25)) };
        all.push(format!("{kind}={often}"));
    }
    all.join(",")
}

/// One random thing that people, the provider or the machine do.
fn act(world: &mut World, rng: &mut Rng, kind: Kind) -> Result<(), Crashed> {
    let (most_files, stock) = kind.stock();
    match rng.u8(0..40) {
        0..=5 if world.dropped.len() < most_files => {
            let rows = rng.usize(1..12);
            let file = files::random(rng, world.dropped.len(), rows, stock);
            world.drop_file(file);
        }
        7..=9 if kind.is_calm() && world.has_operator => world.say_something(rng)?,
        n if kind.is_calm() && n > 6 => pass(world, rng, kind)?,
        6 => return Err(Crashed),
        7 => points::stop_at(rng.usize(1..60)),
        8 => {
            // Where even the usual drain is too short, calls are given up.
            world.stop(seconds(rng.choice([0, 3, 130]).unwrap()))?;
            world.start()?;
        }
        9 => {
            let Knobs { canary, list_recent, per_day, account, .. } = world.knobs.clone();
            world.knobs = Knobs { canary, list_recent, per_day, account, ..knobs(rng, false) };
            world.note(format!("reload {:?}", world.knobs));
            let config = world.config();
            world.life.as_mut().map_or(Ok(()), |life| life.reload(config))?;
        }
        10 | 11 => change(world, &faults(rng), Change::default()),
        12 => {
            let account = rng.choice([Account::Ok, Account::NotActive]).unwrap();
            let maintenance = Some(rng.u8(0..3) == 0);
            change(world, &faults(rng), Change { account: Some(account), maintenance, ..Change::default() });
        }
        13 => {
            let credit = rng.choice([0, 100_000, 100_000_000]).map(Money::from_micros);
            change(world, &faults(rng), Change { credit, ..Change::default() });
        }
        14 => {
            let hours = rng.choice([-24, -1, 1, 30, 21 * 24]).unwrap();
            world.jump(hours);
        }
        15 => {
            let unreachable = rng.bool();
            world.note(format!("unreachable {unreachable}"));
            world.wire.set_unreachable(unreachable);
        }
        16 => {
            let service = files::SERVICES[rng.usize(0..files::SERVICES.len())];
            world.wire.order_by_hand(files::imei(rng.u32(0..stock)), service.network_id);
        }
        // What he says is true: an order that isn't wanted any more, and one that he found at the provider.
        17 => {
            let service = rng.usize(0..files::SERVICES.len());
            world.say(Said::Cancel, service, files::imei(rng.u32(0..stock)))?;
        }
        18 => {
            let ours = |entry: &Entry| {
                let order = entry.order.as_ref().filter(|_| entry.kind == EntryKind::Charge);
                order.is_some_and(|order| !world.wire.is_foreign(order.id))
            };
            let found: Vec<Entry> = world.wire.entries().into_iter().filter(ours).collect();
            if let Some(order) = rng.choice(found).and_then(|entry| entry.order) {
                let is_it = |service: &files::ServiceOf| service.network_id == order.network_id.0;
                let service = files::SERVICES.iter().position(is_it).unwrap();
                world.say(Said::OrderId(order.id.0), service, order.imei)?;
            }
        }
        19..=22 => world.say_something(rng)?,
        _ => pass(world, rng, kind)?,
    }
    let mut turn = || rng.u8(0..4) > 0;
    let units = Units {
        intake: turn(),
        submit: turn(),
        settle: turn(),
        poll: turn(),
        pauses: turn(),
        outbox: turn(),
        prune: true,
    };
    world.some_units(units)
}

fn pass(world: &mut World, rng: &mut Rng, kind: Kind) -> Result<(), Crashed> {
    let upto = rng.choice(kind.paces()).unwrap();
    world.pass(Duration::from_millis(rng.u64(1..=upto)))
}

/// Other faults from now on, and what else changes.
fn change(world: &mut World, faults: &str, change: Change) {
    let Change { account, maintenance, credit, .. } = &change;
    world.note(format!(
        "the provider: faults {faults:?}, {account:?}, maintenance {maintenance:?}, credit {credit:?}"
    ));
    world.wire.change(&Change { faults: Some(faults.parse().unwrap()), ..change });
}

/// A crash, and the next process, which may crash in its turn.
fn crash(world: &mut World) {
    world.crash();
    while world.start().is_err() {
        world.crash();
    }
}

/// Faults are over.
fn end_faults(world: &mut World) {
    points::stop_nowhere();
    let (account, maintenance, credit) =
        (Some(Account::Ok), Some(false), Some(Money::from_micros(100_000_000)));
    change(world, "", Change { account, maintenance, credit, ..Change::default() });
    world.wire.set_unreachable(false);
}

/// Faults are over, a person does what only a person can, time goes on.
fn come_to_rest(world: &mut World, check: fn(&mut World), is_at_rest: fn(&World) -> bool) {
    end_faults(world);
    let mut step = Duration::from_secs(3);
    for _ in 0..100 {
        let lived = world.life.as_mut().unwrap().resume().and_then(|()| world.turn());
        assert_eq!(lived, Ok(()), "nothing crashes any more");
        check(world);
        if is_at_rest(world) {
            break;
        }
        assert_eq!(world.pass(step), Ok(()));
        step = (step * 3 / 2).min(Duration::from_secs(3 * 3_600));
    }
}

/// Likewise, and every export is read.
fn is_at_rest_and_read(world: &World) -> bool {
    oracle::is_at_rest(world) && world.are_exports_read()
}

/// What happened in many worlds.
#[derive(Debug, Default)]
struct Told {
    /// The kinds of things that happened to orders, and in how many worlds.
    kinds: BTreeMap<String, u64>,
    /// Alarms that an operator saw while orders were held.
    seen: usize,
    /// Orders that may have been taken, and that he wanted made anew.
    refused: usize,
}

/// One world from its beginning to its end. Gives what happened, as a number, and counts the kinds of it.
fn run(seed: u64, told: &mut Told) -> u64 {
    in_world(seed, |world, rng, kind| {
        let more = if kind == Kind::Listings { 20 } else { 0 };
        let acts = rng.usize(15..50) + more;
        live(world, rng, kind, acts, World::check);
        come_to_rest(world, World::check, oracle::is_at_rest);
        oracle::check_rest(world);
        if !kind.is_calm() {
            // What is out already changes by it, by many rows at once.
            world.drop_export();
            come_to_rest(world, World::check, is_at_rest_and_read);
            oracle::check_rest(world);
        }
        let said = world.say_what_changes_nothing();
        let (seen, refused) = said.unwrap_or_else(|_| panic!("nothing crashes any more"));
        told.seen += seen;
        told.refused += refused;
        come_to_rest(world, World::check, oracle::is_at_rest);
        oracle::check_rest(world);
        for kind in oracle::kinds(world) {
            *told.kinds.entry(kind).or_default() += 1;
        }
        oracle::digest(world)
    })
}

/// So many random things happen.
fn live(world: &mut World, rng: &mut Rng, kind: Kind, acts: usize, check: fn(&mut World)) {
    for _ in 0..acts {
        if act(world, rng, kind).is_err() {
            crash(world);
        }
        check(world);
    }
}

/// A world in which things go on until the process is gone: stopped, or killed.
fn live_and_end(world: &mut World, rng: &mut Rng, kind: Kind, acts: usize, check: fn(&mut World)) {
    live(world, rng, kind, acts, check);
    points::stop_nowhere();
    if rng.bool() {
        assert_eq!(world.stop(seconds(130)), Ok(()));
    } else {
        world.crash();
    }
}

/// A world of this seed, begun, and what happens in it. A failure tells its story.
fn in_world<T>(seed: u64, happens: impl FnOnce(&mut World, &mut Rng, Kind) -> T) -> T {
    let mut rng = world::rng(seed);
    fastrand::seed(seed);
    let kind = Kind::of(seed);
    let options = kind.provider(provider(&mut rng, seed));
    let knobs = kind.knobs(knobs(&mut rng, options.listing));
    let mut world = World::new(options.clone(), knobs);
    let lists = options.listing && options.listing_limit > 0 && world.knobs.list_recent != "no";
    world.may_pay_twice = if options.duplicates == Duplicates::Charge && !lists { 6 } else { 0 };
    world.has_operator = !(seed / 4).is_multiple_of(2);
    let told = catch_unwind(AssertUnwindSafe(|| {
        crash(&mut world);
        let first = if kind.is_calm() { LOSSES.to_owned() } else { faults(&mut rng) };
        change(&mut world, &first, Change::default());
        happens(&mut world, &mut rng, kind)
    }));
    told.unwrap_or_else(|failure| {
        eprintln!("{options:?}\n{:?}\n{}\n{}", world.knobs, oracle::story(&world), world.log.join("\n"));
        eprintln!("SEED {seed} FAILED: IMEID_SEED={seed} runs it again");
        drop(world);
        resume_unwind(failure)
    })
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn nothing_is_lost_and_nothing_paid_twice_in_any_world() {
    if let Some(seed) = number("IMEID_SEED") {
        run(seed, &mut Told::default());
        return;
    }
    let (seeds, began) = (number("IMEID_SEEDS").unwrap_or(SEEDS), Instant::now());
    let from = number("IMEID_FROM").unwrap_or(0);
    let mut told = Told::default();
    for seed in from..from + seeds {
        run(seed, &mut told);
    }
    eprintln!("{seeds} worlds in {:?}: {told:#?}", began.elapsed());
    for kind in OFTEN.into_iter().filter(|_| seeds >= SEEDS) {
        assert!(told.kinds.contains_key(kind), "in none of {seeds} worlds was an order {kind:?}");
    }
    assert!(
        seeds < SEEDS || (told.seen > 50 && told.refused > 100),
        "{} alarms, {} orders",
        told.seen,
        told.refused
    );
}

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in [1, 2, 3, 17] {
        let run = || run(seed, &mut Told::default());
        assert_eq!(run(), run(), "seed {seed}");
    }
}

/// Minutes pass, one after the other, or ten at once where there are many.
fn minutes(world: &mut World, n: u64) {
    let at_once = if n > 30 { 10 } else { 1 };
    for _ in 0..n / at_once {
        assert_eq!(world.turn().and_then(|()| world.pass(seconds(60 * at_once))), Ok(()));
        world.check();
    }
}

/// A file of three orders, the answer to the first of which is lost.
fn doubt_one(world: &mut World, first: u32) {
    world.wire.change(&Change { faults: Some("drop-after=1x".parse().unwrap()), ..Change::default() });
    world.drop_file(file("from", first, first..first + 3));
}

/// So many seconds pass, with a turn of these stages every two.
fn pass_with(world: &mut World, units: Units, time: u64) {
    for _ in 0..time / 2 {
        assert_eq!(world.some_units(units).and_then(|()| world.pass(seconds(2))), Ok(()));
    }
    world.check();
}

/// How many orders are in this state.
fn orders_in(world: &World, state: u8) -> i64 {
    let count = format!("SELECT count(*) FROM orders WHERE state = {state}");
    world.life.as_ref().unwrap().view.query_row(&count, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_clock_that_is_weeks_ahead_for_one_start_gives_up_no_order_and_holds_no_doubt() {
    for listing in [true, false] {
        let options = Options {
            listing,
            latency: Delay::Fixed(seconds(2)),
            completion: Delay::Fixed(seconds(2 * 3_600)),
            rejected: Share::from_ppm(0),
            ..world::provider(1)
        };
        fastrand::seed(1);
        let mut world = World::new(options, Knobs::default());
        assert_eq!(world.start(), Ok(()));
        world.drop_file(file("older", 40, 40..42));
        minutes(&mut world, 180);
        doubt_one(&mut world, 0);
        world.wire.change(&Change { faults: Some("drop-before=1x".parse().unwrap()), ..Change::default() });
        pass_with(&mut world, Units { settle: false, ..Units::ALL }, 10);
        assert_eq!((orders_in(&world, 2), orders_in(&world, 3)), (1, 2));
        let start_with = |world: &mut World, hours| {
            assert_eq!(world.stop(seconds(130)), Ok(()));
            world.jump(hours);
            assert_eq!(world.start(), Ok(()));
        };
        start_with(&mut world, 21 * 24);
        minutes(&mut world, 20);
        assert_eq!((orders_in(&world, 2), orders_in(&world, 3), orders_in(&world, 5)), (1, 2, 0));
        start_with(&mut world, -21 * 24);
        // What comes later shows what isn't there.
        world.drop_file(file("later", 50, 50..55));
        minutes(&mut world, 360);
        assert_eq!(orders_in(&world, 6), 10, "listing {listing}");
    }
}

#[test]
fn an_order_that_was_given_up_is_answered_all_the_same_when_its_result_comes() {
    let options = Options {
        latency: Delay::Fixed(seconds(2)),
        completion: Delay::Fixed(seconds(16 * 86_400)),
        rejected: Share::from_ppm(0),
        ..world::provider(1)
    };
    fastrand::seed(1);
    let mut world = World::new(options, Knobs::default());
    assert_eq!(world.start(), Ok(()));
    doubt_one(&mut world, 0);
    world.wire.change(&Change { faults: Some(String::new().parse().unwrap()), ..Change::default() });
    let hours = |world: &mut World, n| {
        for _ in 0..n {
            assert_eq!(world.turn().and_then(|()| world.pass(seconds(3_600))), Ok(()));
        }
        world.check();
    };
    hours(&mut world, 13 * 24);
    assert_eq!((orders_in(&world, 3), orders_in(&world, 5)), (3, 0));
    hours(&mut world, 2 * 24);
    assert_eq!((orders_in(&world, 3), orders_in(&world, 5)), (0, 3));
    // One is given up for good: it is charged, and never made anew.
    assert!(world.say(Said::Cancel, 0, files::imei(2)).unwrap().done);
    for said in [Said::Retry, Said::RetryNotCharged] {
        let answer = world.say(said, 0, files::imei(2)).unwrap();
        assert!(!answer.done, "{}", answer.text);
    }
    hours(&mut world, 3 * 24);
    assert_eq!((orders_in(&world, 6), orders_in(&world, 10)), (2, 1));
}
