//! What a day's log tells: few lines, and all that happened can be told from them, to the cent.

use std::collections::BTreeMap;
use std::time::Duration;

use imeid::simulator::{Change, Delay, LedgerSummary, Options, Share};
use imeid::types::Money;

use crate::support::{Sim, Table, Workplace, file_of, imei, orders_until, status};

const FILES: u32 = 5;
const ORDERS_A_FILE: u32 = 200;
/// Behind the numbers of the orders that come later.
const FIRST: u32 = 10_000;

/// A line of the log: its words, and its fields by name.
struct Line {
    level: String,
    words: String,
    fields: BTreeMap<String, String>,
}

impl Line {
    /// Reads one as it stands in the log.
    fn read(line: &str) -> Self {
        let mut parts = line.splitn(3, ' ');
        let (_, level) = (parts.next().unwrap(), parts.next().unwrap());
        let (mut words, mut fields) = (Vec::new(), BTreeMap::new());
        let mut rest = parts.next().unwrap_or_default().trim_start();
        while !rest.is_empty() {
            let end = if rest.split(' ').next().unwrap().contains("=\"") {
                let open = rest.find("=\"").unwrap() + 2;
                let is_end = |(at, _): &(usize, &str)| !rest[..open + at].ends_with('\\');
                open + rest[open..].match_indices('"').find(is_end).unwrap().0 + 1
            } else {
                rest.find(' ').unwrap_or(rest.len())
            };
            match rest[..end].split_once('=') {
                Some((key, value)) => {
                    fields.insert(key.to_owned(), value.trim_matches('"').to_owned());
                }
                None => words.push(&rest[..end]),
            }
            rest = rest[end..].trim_start();
        }
        Self { level: level.to_owned(), words: words.join(" "), fields }
    }

    fn number(&self, field: &str) -> u64 {
        self.fields.get(field).map_or(0, |value| value.parse().unwrap())
    }

    fn money(&self, field: &str) -> i64 {
        self.fields[field].parse::<Money>().unwrap().micros()
    }
}

struct Story(Vec<Line>);

impl Story {
    fn of(place: &Workplace) -> Self {
        Self(place.log().lines().map(Line::read).collect())
    }

    fn lines<'a>(&'a self, words: &'a str) -> impl Iterator<Item = &'a Line> {
        self.0.iter().filter(move |line| line.words == words)
    }

    fn sum(&self, words: &str, field: &str) -> u64 {
        self.lines(words).map(|line| line.number(field)).sum()
    }
}

/// The name of one of the files.
fn name(n: u32) -> String {
    format!("stock{n}")
}

/// 200 new IMEIs, one of them twice, one that the file before had, one row that is none.
fn file(n: u32) -> String {
    let first = FIRST + n * ORDERS_A_FILE;
    let own = (first..first + ORDERS_A_FILE).map(imei);
    let known = (n > 0).then(|| imei(first - 1));
    file_of(own.chain([imei(first), "3533221".to_owned()]).chain(known))
}

fn provider() -> Sim {
    Sim::start(Options {
        listing_limit: 20_000,
        rejected: Share::from_ppm(30_000),
        latency: Delay::Fixed(Duration::from_millis(20)),
        completion: Delay::Fixed(Duration::from_millis(200)),
        faults: "drop-after=1%,502-html-after=0.5%,odd-error-after=0.5%,429-before=1%".parse().unwrap(),
        credit: Money::from_micros(700 * 80_000),
        ..Options::default()
    })
}

#[test]
fn a_thousand_orders_are_told_in_less_than_a_hundred_lines_that_add_up() {
    let sim = provider();
    let mut place =
        Workplace::new(&sim.url(), &[("submit", "canary = 3"), ("outbox", "held_after = \"1h\"")]);
    place.start();
    place.drop_file("never.csv", "a,b\n1,2\n");
    for n in 0..2 {
        place.drop_file(&format!("{}.csv", name(n)), &file(n));
        place.result(&format!("{}.results.csv", name(n)));
    }
    // A stop in the middle of a file, and the credit is used up in the next one.
    place.drop_file("stock2.csv", &file(2));
    place.until("orders go out", |_| sim.ledger().charges > 430);
    assert!(place.stop().success(), "{}", place.log());
    place.start();
    place.result("stock2.results.csv");
    place.drop_file("stock3.csv", &file(3));
    place.until("the credit is used up", |place| place.log().contains("reason=credit"));
    sim.change(&Change { add_credit: Some(Money::from_micros(100_000_000)), ..Change::default() });
    place.result("stock3.results.csv");
    sim.change(&Change { faults: Some("drop-after=2%".parse().unwrap()), ..Change::default() });
    place.drop_file("stock4.csv", &file(4));
    let later = orders_until(&mut place, "outbox/stock4.results.csv");
    place.until("the balance is known at rest", |place| {
        status(place)["money"]["balance"] == sim.ledger().balance.to_string().as_str()
    });
    // Money that nothing explains; it is looked for when the books have changed.
    sim.change(&Change { add_credit: Some(Money::from_micros(-5_000_000)), ..Change::default() });
    place.drop_file("last.csv", &file_of([imei(FIRST - 1)]));
    place.result("last.results.csv");
    let later = later + 1;
    place.until("the balance is missed", |place| place.log().contains("alarm=balance"));
    assert!(place.stop().success(), "{}", place.log());

    let story = Story::of(&place);
    let log = place.log();
    let ledger = sim.ledger();
    println!("{} lines for {} orders", story.0.len(), ledger.charges);
    assert!(story.0.len() < 100, "{} lines:\n{log}", story.0.len());
    assert!(story.0.iter().all(|line| ["INFO", "WARN", "ERROR"].contains(&line.level.as_str())), "{log}");
    it_adds_up(&story, &place, &ledger, later);
    // What stood still, why, and that it went on; what a person must see.
    let paused = story.0.iter().filter(|line| line.words == "pause" && line.fields["reason"] == "credit");
    let ended = story.lines("pause ended").filter(|line| line.fields["reason"] == "credit");
    assert_eq!((paused.count(), ended.count()), (1, 1), "{log}");
    assert_eq!(story.0.iter().filter(|line| line.fields.contains_key("alarm")).count(), 1, "{log}");
    assert_eq!((story.lines("ready").count(), story.lines("stopped").count()), (2, 2));
    assert_eq!(story.lines("file refused").count(), 1);
}

/// The lines against the provider's ledger and the results.
fn it_adds_up(story: &Story, place: &Workplace, ledger: &LedgerSummary, later: u64) {
    let log = place.log();
    let orders = u64::from(FILES * ORDERS_A_FILE);
    assert_eq!((ledger.charges, ledger.paid_twice), (orders + later, 0), "{log}");
    assert_eq!(story.lines("file taken").count() as u64, u64::from(FILES) + later);
    assert_eq!(story.sum("file taken", "orders"), orders + later, "{log}");
    assert_eq!(story.sum("file taken", "invalid"), u64::from(FILES), "{log}");
    let done: Vec<_> = story.lines("file done").collect();
    assert_eq!(done.len() as u64, u64::from(FILES) + later, "{log}");
    for line in &done {
        let table = Table::read(&place.path("outbox").join(&line.fields["result"]));
        for (word, count) in table.counts("imeid_status") {
            assert_eq!(line.number(word), count as u64, "{word} of {}:\n{log}", line.fields["batch"]);
        }
        assert_eq!(line.money("cost"), table.cost(), "{}", line.fields["batch"]);
    }
    let paid: i64 = done.iter().map(|line| line.money("cost")).sum();
    assert_eq!(paid, ledger.charged.micros(), "{log}");
    let doubts = story.lines("in doubt").count() as u64;
    assert!(doubts > 0, "{log}");
    assert_eq!(story.sum("doubts settled by the provider's listing", "settled"), doubts, "{log}");
}
