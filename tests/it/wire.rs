//! The provider at its worst on the wire: answers that trickle, break off or don't end, peers that never read, TLS that
//! breaks, connections that are gone at the moment of reuse. None of it loses an order or pays one twice, and what
//! proves that nothing was sent, or that all is well, leaves nothing in doubt.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use imeid::simulator::{Delay, Duplicates, Options, Share};

use crate::front::{Exchange, Front, Then, ok};
use crate::support::{Sim, Workplace, books_agree, file_of, imei, orders_until, status};

const FLOOD_BYTES: usize = 200 << 20;

/// It would charge a duplicate, and lists its orders: every doubt can be settled, and every mistake is seen.
pub(crate) fn provider() -> Sim {
    Sim::start(Options {
        duplicates: Duplicates::Charge,
        listing: true,
        listing_limit: 20_000,
        latency: Delay::Fixed(Duration::from_millis(5)),
        completion: Delay::Fixed(Duration::from_millis(100)),
        rejected: Share::from_ppm(0),
        ..Options::default()
    })
}

pub(crate) fn workplace(url: &str) -> Workplace {
    Workplace::new(
        url,
        &[
            ("outbox", "held_after = \"1h\""),
            ("submit", "canary = 0"),
            ("provider", "timeout = \"1500ms\""),
            ("in_doubt", "quiet = \"1500ms\""),
        ],
    )
}

/// How many orders were ever in doubt.
pub(crate) fn doubts(place: &Workplace) -> usize {
    usize::try_from(place.ask("SELECT count(*) FROM orders WHERE doubt_first IS NOT NULL")).unwrap()
}

/// The daemon's largest size so far, in bytes.
fn peak_bytes(place: &Workplace) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", place.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
}

type Act = fn(&mut Exchange<'_>) -> Then;

/// A break on the wire, and whether an order that it hits is in doubt.
struct Break {
    name: &'static str,
    in_doubt: bool,
    act: Act,
}

const BREAKS: [Break; 11] = [
    Break { name: "one byte a second", in_doubt: true, act: one_byte_a_second },
    Break { name: "200 MiB", in_doubt: true, act: flood },
    Break { name: "reset behind the head", in_doubt: true, act: reset_behind_the_head },
    Break {
        name: "closed behind a 100",
        in_doubt: true,
        act: |exchange| {
            exchange.ask();
            exchange.write("HTTP/1.1 100 Continue\r\n\r\n");
            Then::Close
        },
    },
    Break {
        name: "another order's answer",
        in_doubt: true,
        act: |exchange| {
            let answer = exchange.ask().replace(exchange.param("imei"), &imei(77));
            exchange.write(ok(&answer));
            Then::KeepOpen
        },
    },
    Break {
        name: "a byte at a time, quickly",
        in_doubt: false,
        act: |exchange| {
            let answer = ok(&exchange.ask());
            for byte in answer.as_bytes() {
                exchange.write([*byte]);
            }
            Then::KeepOpen
        },
    },
    Break {
        name: "HTTP/1.0",
        in_doubt: false,
        act: |exchange| {
            let answer = exchange.ask();
            exchange.write(format!("HTTP/1.0 200 OK\r\n\r\n{answer}"));
            Then::Close
        },
    },
    Break {
        name: "HTTP/1.0 that says keep-alive",
        in_doubt: false,
        act: |exchange| {
            let head = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length";
            let answer = exchange.ask();
            exchange.write(format!("{head}: {}\r\n\r\n{answer}", answer.len()));
            Then::KeepOpen
        },
    },
    Break {
        name: "100 and 103 first",
        in_doubt: false,
        act: |exchange| {
            let first = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
            let answer = ok(&exchange.ask());
            exchange.write(format!("{first}{answer}"));
            Then::KeepOpen
        },
    },
    Break {
        name: "garbage behind",
        in_doubt: false,
        act: |exchange| {
            let answer = ok(&exchange.ask());
            exchange.write(format!("{answer}\r\n\0\u{1}</html>"));
            Then::KeepOpen
        },
    },
    Break {
        name: "two answers in one segment",
        in_doubt: false,
        act: |exchange| {
            let answer = ok(&exchange.ask());
            // Read as the next order's answer, it would close an order that is taken.
            exchange.write(format!("{answer}{}", ok("<error>IMEI already exists!</error>")));
            Then::KeepOpen
        },
    },
];

/// Read as the next order's answer, it would send an order again that is taken. Where connections are used again, the first order to
/// meet one is the last.
const A_MOMENT_LATER: Break =
    Break { name: "a second answer a moment later", in_doubt: false, act: a_second_answer_a_moment_later };

fn a_second_answer_a_moment_later(exchange: &mut Exchange<'_>) -> Then {
    let answer = ok(&exchange.ask());
    exchange.write(answer);
    // Long enough for the next order to be on its way over the same connection.
    std::thread::sleep(Duration::from_millis(3));
    exchange.write(ok("<error>Credit has been finished!</error>"));
    Then::KeepOpen
}

fn one_byte_a_second(exchange: &mut Exchange<'_>) -> Then {
    let answer = ok(&exchange.ask());
    for byte in answer.as_bytes() {
        if !exchange.write([*byte]) {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Then::Close
}

fn reset_behind_the_head(exchange: &mut Exchange<'_>) -> Then {
    let answer = ok(&exchange.ask());
    let head = answer.find("\r\n\r\n").unwrap() + 4;
    exchange.write(&answer[..head]);
    exchange.reset()
}

/// The answer, and blanks until it is as long as a film.
fn flood(exchange: &mut Exchange<'_>) -> Then {
    let answer = exchange.ask();
    exchange.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {FLOOD_BYTES}\r\n\r\n{answer}"));
    let blanks = vec![b' '; 1 << 20];
    for _ in 0..FLOOD_BYTES >> 20 {
        if !exchange.write(&blanks) {
            break;
        }
    }
    Then::Close
}

/// Takes one of what is left.
fn take(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// `next`: so many orders that weren't hit may be in doubt.
fn broken(Break { name, in_doubt, act }: &Break, next: usize) {
    const WARM_UP: u32 = 2;
    // What leaves doubts strikes four times: more would only make the daemon wait.
    let (rows, strikes) = if *in_doubt { (8, 4) } else { (100, usize::MAX) };
    let sim = provider();
    let left = Arc::new(AtomicUsize::new(0));
    let (striking, act) = (Arc::clone(&left), *act);
    let front = Front::before(&sim, move |exchange| {
        if exchange.is_order() && take(&striking) { act(exchange) } else { exchange.relay() }
    });
    let mut place = workplace(&front.url());
    place.start();
    place.drop_file("before.csv", &file_of((0..WARM_UP).map(imei)));
    place.result("before.results.csv");
    left.store(strikes, Ordering::SeqCst);
    let imeis: Vec<String> = (100..100 + rows).map(imei).collect();
    place.drop_file("stock.csv", &file_of(imeis.clone()));
    place.until(name, |_| sim.ledger().charges >= 6);
    let calls = if *in_doubt { 4 } else { 0 };
    orders_until(&mut place, "outbox/stock.results.csv");
    println!("{name}: {} doubts, {} MiB", doubts(&place), peak_bytes(&place) >> 20);
    assert!((calls..=calls + next).contains(&doubts(&place)), "{name}:\n{}", place.log());
    assert!(peak_bytes(&place) < 128 << 20, "{name}: {}", peak_bytes(&place));
    books_agree(&place, &sim, "stock.results.csv", &imeis);
}

#[test]
fn any_break_on_the_wire_costs_no_order_and_nothing_twice_and_a_whole_answer_is_no_doubt() {
    std::thread::scope(|scope| {
        for one in &BREAKS {
            scope.spawn(move || broken(one, 0));
        }
        scope.spawn(|| broken(&A_MOMENT_LATER, 1));
    });
}

#[test]
fn polls_and_listings_without_an_end_stay_within_bounds_and_are_asked_again() {
    let sim = provider();
    let left = Arc::new(AtomicUsize::new(2));
    let striking = Arc::clone(&left);
    let front = Front::before(&sim, move |exchange| match exchange.param("action") {
        "getimeis" if take(&striking) => flood(exchange),
        _ => exchange.relay(),
    });
    let mut place = workplace(&front.url());
    place.start();
    let imeis: Vec<String> = (0..20).map(imei).collect();
    place.drop_file("stock.csv", &file_of(imeis.clone()));
    place.result("stock.results.csv");
    println!("lists: {} MiB", peak_bytes(&place) >> 20);
    assert_eq!(left.load(Ordering::SeqCst), 0);
    assert!(peak_bytes(&place) < 256 << 20, "{}", peak_bytes(&place));
    books_agree(&place, &sim, "stock.results.csv", &imeis);
}

#[test]
fn an_answer_cut_at_any_length_costs_no_order_and_nothing_twice() {
    // One order in four is cut, and no two alike: the others keep the daemon from waiting for an outage's end.
    const FIRST: u32 = 1_000;
    const ONE_IN: u32 = 4;
    let sim = provider();
    // The simulator's answers are all as long as this one: from nothing to all but the last byte.
    let like = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<result><imeis><id>15562209</id>\
                <imei>355473496054560</imei><status>Pending</status></imeis></result>";
    let lengths = u32::try_from(ok(like).len()).unwrap();
    let front = Front::before(&sim, move |exchange| {
        let serial = exchange.param("imei").get(8..14).and_then(|serial| serial.parse::<u32>().ok());
        let row = serial.and_then(|serial| serial.checked_sub(FIRST)).filter(|row| row % ONE_IN == 0);
        let Some(cut) = row.map(|row| row / ONE_IN) else { return exchange.relay() };
        let body = exchange.ask();
        // First with a length in its head, then ended by the end of the connection alone.
        let answer = if cut < lengths { ok(&body) } else { format!("HTTP/1.1 200 OK\r\n\r\n{body}") };
        let length = usize::try_from(cut % lengths).unwrap();
        exchange.write(&answer[..length.min(answer.len())]);
        Then::Close
    });
    let mut place = workplace(&front.url());
    place.start();
    place.drop_file("before.csv", &file_of((0..2).map(imei)));
    place.result("before.results.csv");
    let imeis: Vec<String> = (FIRST..FIRST + 2 * lengths * ONE_IN).map(imei).collect();
    place.drop_file("stock.csv", &file_of(imeis.clone()));
    orders_until(&mut place, "outbox/stock.results.csv");
    println!("{lengths} lengths, {} doubts", doubts(&place));
    // Without a length, only what is cut in front of the root's end is cut at all.
    assert!(doubts(&place) as u64 > u64::from(lengths), "{}", place.log());
    books_agree(&place, &sim, "stock.results.csv", &imeis);
}

type Hello = fn(&mut TcpStream);

/// What a plain TCP peer does with a ClientHello.
const HANDSHAKES: [(&str, Hello); 7] = [
    ("closes", |_| {}),
    ("resets", |stream| {
        rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
    }),
    ("says something", |stream| stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap_or_default()),
    ("speaks plain HTTP", |stream| stream.write_all(ok("").as_bytes()).unwrap_or_default()),
    ("sends an alert", |stream| stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).unwrap_or_default()),
    ("stalls", stall),
    ("stalls in its ServerHello", |stream| {
        stream.write_all(&[22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3, 1, 2, 3, 4]).unwrap_or_default();
        stall(stream);
    }),
];

fn stall(stream: &mut TcpStream) {
    let _ = std::io::copy(stream, &mut std::io::sink());
}

fn broken_handshake(name: &str, act: Hello) {
    let front = Front::raw(move |mut stream| {
        let mut hello = [0; 4096];
        if stream.read(&mut hello).is_ok_and(|count| count > 0) {
            assert_eq!(hello[0], 22, "no ClientHello");
            act(&mut stream);
        }
    });
    let mut place = workplace(&front.https_url());
    place.start();
    place.drop_file("stock.csv", &file_of((0..3).map(imei)));
    // While the account can't be asked either, the next try is minutes away.
    place.until("an order was tried", |place| {
        let shown = place.run(&["show", &imei(0)]);
        String::from_utf8_lossy(&shown.stdout).contains("not sent")
    });
    let ended = place.stop();
    assert!(ended.success(), "{name}: {ended}\n{}", place.log());
    assert_eq!(doubts(&place), 0, "{name}:\n{}", place.log());
    let status = status(&place);
    assert_eq!(
        (&status["orders"]["queued"], &status["orders"]["in_doubt"]),
        (&3.into(), &0.into()),
        "{name}"
    );
    let money = &status["money"]["today"];
    assert_eq!((&money["charged"], &money["in_doubt"]), (&"0.00".into(), &"0.00".into()), "{name}");
}

#[test]
fn tls_that_breaks_in_its_handshake_sends_nothing_and_leaves_nothing_in_doubt() {
    std::thread::scope(|scope| {
        for (name, act) in HANDSHAKES {
            scope.spawn(move || broken_handshake(name, act));
        }
    });
}
