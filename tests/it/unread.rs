//! A peer that takes a request's start and never reads it: the kernel, which sends on after we gave up or were killed, lets
//! go within one more time-out. So it does inside the quiet period, which is never shorter than that.

use std::fs;
use std::io::Read;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::front::Front;
use crate::support::{Workplace, file_of, imei};
use crate::wire::{doubts, workplace};

/// One request's time-out, and the quiet period, in [`workplace`].
const TIMEOUT: Duration = Duration::from_millis(1_500);
/// What a clock and a busy machine add to a time.
const SLACK: Duration = Duration::from_millis(700);

/// Bytes on their way to this port on loopback: those that the sending kernel still holds, and those that its peer's
/// took and nobody has read.
fn on_the_way(port: u16) -> (u64, u64) {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = format!(":{port:04X}");
    let (mut unsent, mut unread) = (0, 0);
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let (sends, receives) = cells[4].split_once(':').unwrap();
        let number = |hex| u64::from_str_radix(hex, 16).unwrap();
        unsent += if cells[2].ends_with(&port) { number(sends) } else { 0 };
        unread += if cells[1].ends_with(&port) && cells[3] != LISTEN { number(receives) } else { 0 };
    }
    (unsent, unread)
}

/// The state of a listening socket in the kernel's table.
const LISTEN: &str = "0A";
/// The largest parameters that a service may have: with them a request is larger than what the peer's kernel takes.
const PARAMS_BYTES: usize = 1_000;

/// An order whose whole request has left the daemon, for a peer that takes the start of it and doesn't read.
struct Stuck {
    front: Front,
    place: Workplace,
    read_on: mpsc::Sender<()>,
    read: mpsc::Receiver<usize>,
    /// The request's length.
    bytes: u64,
}

impl Stuck {
    fn start() -> Self {
        let (read_on, wait) = mpsc::channel::<()>();
        let (tell, read) = mpsc::channel();
        let wait = Mutex::new(wait);
        let front = Front::receiving(Some(1), move |mut stream| {
            // Nobody reads anything until the test says so.
            let _ = wait.lock().unwrap().recv();
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            let _ = tell.send(bytes.len());
        });
        let mut place = workplace(&front.url());
        let mut config = fs::read_to_string(place.config()).unwrap();
        config.push_str(&format!("params = {{ other = \"{}\" }}\n", "x".repeat(PARAMS_BYTES)));
        fs::write(place.config(), config).unwrap();
        place.start();
        place.drop_file("stock.csv", &file_of([imei(0)]));
        let mut bytes = 0;
        place.until("all of it has left the daemon", |_| {
            let (unsent, unread) = on_the_way(front.port());
            bytes = unsent + unread;
            unsent > 0 && bytes > PARAMS_BYTES as u64
        });
        Self { front, place, read_on, read, bytes }
    }

    /// From now on the daemon is no longer there for it: the kernel lets go within one more time-out, and who reads then
    /// never sees the whole request.
    fn ends_in_the_kernel(mut self) {
        let began = Instant::now();
        let port = self.front.port();
        self.place.until("the kernel lets go", |_| {
            let (unsent, _) = on_the_way(port);
            assert!(began.elapsed() < TIMEOUT + SLACK, "it still holds {unsent} bytes");
            unsent == 0
        });
        println!("the kernel let go after {:?}", began.elapsed());
        // Every connection is read to its end, the order's among them.
        drop(self.read_on);
        while let Ok(bytes) = self.read.recv_timeout(Duration::from_secs(1)) {
            assert!((bytes as u64) < self.bytes, "the whole request came: {bytes} bytes");
        }
    }
}

#[test]
fn a_request_that_nobody_reads_is_off_the_wire_one_time_out_after_the_daemon_gave_up() {
    let mut stuck = Stuck::start();
    stuck.place.until("it gave up", |place| doubts(place) > 0);
    stuck.ends_in_the_kernel();
}

#[test]
fn a_request_that_nobody_reads_is_off_the_wire_one_time_out_after_a_kill() {
    let mut stuck = Stuck::start();
    stuck.place.kill();
    stuck.ends_in_the_kernel();
}
