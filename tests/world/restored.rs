//! A story of a copy of the state directory that is put back.
//!
//! The daemon is stopped with orders queued and a file in the inbox, and its state directory copied. Another process goes
//! on, and dies. Its stamp is as it was when it began: a daemon that lives for less than two seconds writes no other. Then
//! the copy is put back. The provider lists nothing and charges whatever is sent twice, so whatever the copy sends of what
//! it doesn't know is paid twice.
//!
//! Where orders take long, the export shows those unfinished that the copy knows nothing of: they are taken for ours, and a
//! later export answers them.

use std::collections::BTreeMap;
use std::time::Duration;

use imeid::simulator::{Change, Delay, Duplicates, EntryKind, Options, Share};

use super::clearing::file;
use super::copies::{Copy, LATER};
use super::life::Units;
use super::points::{self, Crashed};
use super::{Knobs, World};

const WAITING: u32 = 10;
/// The file in the inbox is taken and all is sent by then.
const LIVED_TURNS: u32 = 12;
const TURNS: u32 = 14;

/// What happened so far.
#[derive(Debug, Default)]
pub(crate) struct Story {
    copy: Copy,
    /// Orders at the provider when the copy was made.
    known: usize,
    has_lived: bool,
    /// Orders at the provider when the copy was put back.
    sent: Option<usize>,
    /// A person has said that it goes on.
    pub(crate) is_resumed: bool,
    /// Orders are unfinished until the copy has gone on.
    takes_long: bool,
}

impl Story {
    /// The world up to the copy.
    pub(crate) fn begin(takes_long: bool, power_cut: bool, seed: u64) -> (Self, World) {
        let completion = Duration::from_secs(if takes_long { 1_000_000 } else { 5 });
        let options = Options {
            listing: false,
            duplicates: Duplicates::Charge,
            latency: Delay::Fixed(Duration::from_millis(400)),
            completion: Delay::Fixed(completion),
            rejected: Share::from_ppm(0),
            ..super::provider(seed)
        };
        let knobs = Knobs { workers: 2, hold: true, list_recent: "no", ..Knobs::default() };
        let mut world = World::of_story(options, knobs, power_cut);
        let mut story = Self { takes_long, ..Self::default() };
        story.until_the_copy(&mut world).unwrap();
        (story, world)
    }

    fn until_the_copy(&mut self, world: &mut World) -> Result<(), Crashed> {
        world.start()?;
        world.drop_file(file("known", 0, 0..2));
        for _ in 0..12 {
            world.turn()?;
            world.pass(Duration::from_secs(10))?;
        }
        world.drop_file(file("queued", 1, 2..6));
        for _ in 0..3 {
            world.some_units(Units { submit: false, ..Units::ALL })?;
            world.pass(Duration::from_secs(10))?;
        }
        world.stop(Duration::from_secs(130))?;
        world.drop_file(file("waiting", 2, WAITING..WAITING + 4));
        self.copy = world.copy_state();
        self.known = world.wire.orders().len();
        assert_eq!(self.known, 2);
        Ok(())
    }

    /// One process's part of it, unless it dies: the original's until the copy is put back, then the copy's.
    pub(crate) fn live(&mut self, world: &mut World) -> Result<(), Crashed> {
        if !std::mem::replace(&mut self.has_lived, true) {
            world.start()?;
            for _ in 0..LIVED_TURNS {
                world.turn()?;
                world.pass(Duration::from_secs(3))?;
            }
            let to_go = points::to_go();
            world.crash();
            to_go.into_iter().for_each(points::stop_at);
        }
        if self.sent.is_none() {
            self.put_back(world);
        }
        self.live_on_the_copy(world)
    }

    fn put_back(&mut self, world: &mut World) {
        assert_eq!(world.pass(LATER), Ok(()), "nobody is there who could die");
        let sent = world.wire.orders().len();
        world.note(format!("{sent} orders at the provider, {} in the copy", self.known));
        world.put_back(&self.copy);
        self.sent = Some(sent);
    }

    fn live_on_the_copy(&mut self, world: &mut World) -> Result<(), Crashed> {
        world.start()?;
        let sent = self.sent.unwrap();
        for turn in 0..TURNS {
            let waits = world.waits_as_older_copy();
            if sent > self.known {
                assert!(waits || self.is_resumed, "the copy isn't known as older");
            }
            world.turn()?;
            if waits {
                assert_eq!(world.wire.orders().len(), sent, "it sends what it doesn't know of");
            }
            if waits && turn > 2 && world.exports() == 0 {
                world.drop_export();
            } else if waits && says(world, "SELECT EXISTS (SELECT 1 FROM exports)") {
                self.is_resumed = true;
                world.life.as_mut().unwrap().resume()?;
                self.drop_again(world);
            }
            world.pass(LATER)?;
            nothing_is_paid_twice(world);
        }
        assert!(!world.waits_as_older_copy(), "nobody said that it goes on");
        if self.takes_long { Self::live_on_to_the_answers(world) } else { Ok(()) }
    }

    /// The provider finishes what it has, and an export tells of it.
    fn live_on_to_the_answers(world: &mut World) -> Result<(), Crashed> {
        world.wire.change(&Change { finish_now: true, ..Change::default() });
        if world.exports() == 1 {
            world.drop_export();
        }
        for _ in 0..TURNS {
            world.turn()?;
            world.pass(LATER)?;
            nothing_is_paid_twice(world);
        }
        // What the copy knew as waiting, and the original died before sending: no export shows that it was not sent.
        let open = "SELECT EXISTS (SELECT 1 FROM orders WHERE state NOT IN (6, 7) AND NOT (state = 5 AND unaccounted > 0))";
        assert!(!says(world, open), "what was taken for ours is never answered");
        let orders = world.wire.orders().len();
        let booked = format!("SELECT sum(charged) = {orders} FROM orders");
        assert!(says(world, &booked), "the books and the provider's {orders} charges");
        Ok(())
    }

    /// What was taken since the copy was made is dropped again.
    fn drop_again(&self, world: &mut World) {
        let waiting =
            world.dropped.iter().zip(&world.places).find(|(file, _)| file.name.starts_with("waiting"));
        if !waiting.unwrap().1.exists() {
            let again = file("waiting", 3, WAITING..WAITING + 4);
            world.drop_file(again);
        }
    }

    /// How many orders were sent that the copy knows nothing of.
    pub(crate) fn unknown(&self) -> usize {
        self.sent.map_or(0, |sent| sent - self.known)
    }
}

fn says(world: &World, sql: &str) -> bool {
    world.life.as_ref().unwrap().view.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn nothing_is_paid_twice(world: &World) {
    let mut charges = BTreeMap::new();
    for order in world.wire.orders() {
        *charges.entry(order.imei.to_string()).or_insert(0) += 1;
    }
    let charged = world.wire.entries().iter().filter(|entry| entry.kind == EntryKind::Charge).count();
    assert_eq!(charged, charges.values().sum::<usize>());
    charges.retain(|_, times| *times > 1);
    assert!(charges.is_empty(), "paid twice: {charges:?}");
}
