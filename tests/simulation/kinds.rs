//! What a seed's world is like: its kind, its provider, its configuration, its faults.

use std::time::Duration;

use fastrand::Rng;
use imeid::simulator::{Delay, Duplicates, Options, Share};

use super::seconds;
use super::world::{self, Knobs};

/// How far a provider's clock is ahead of UTC, minutes.
const ZONES: [i32; 8] = [180, 330, -720, 0, 840, -210, 765, -480];

/// What this seed's provider is like.
pub(super) fn provider(rng: &mut Rng, seed: u64) -> Options {
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

pub(super) fn knobs(rng: &mut Rng, lists: bool) -> Knobs {
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
pub(super) enum Kind {
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
    pub(super) fn of(seed: u64) -> Self {
        match seed % 4 {
            0 => Self::Listings,
            1 => Self::Probes,
            2 => Self::Patient,
            _ => Self::Hasty,
        }
    }

    /// How much time passes at once at most, milliseconds.
    pub(super) fn paces(self) -> [u64; 5] {
        match self {
            Self::Hasty => [100, 2_000, 5_000, 20_000, 150_000],
            Self::Patient => [2_000, 20_000, 130_000, 300_000, 900_000],
            Self::Listings | Self::Probes => [30_000, 90_000, 130_000, 130_000, 400_000],
        }
    }

    /// The number of files that are dropped at most, and of different IMEIs in them.
    pub(super) fn stock(self) -> (usize, u32) {
        if self.is_calm() { (12, 900) } else { (5, 24) }
    }

    /// Nothing but files, losses on the way and crashes, and in some of them what operators say.
    pub(super) fn is_calm(self) -> bool {
        matches!(self, Self::Listings | Self::Probes)
    }

    pub(super) fn provider(self, options: Options) -> Options {
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

    pub(super) fn knobs(self, knobs: Knobs) -> Knobs {
        if self.is_calm() {
            Knobs { list_recent: "auto", per_day: None, canary: 0, max_attempts: 3, hold: false, ..knobs }
        } else {
            knobs
        }
    }
}

pub(super) fn faults(rng: &mut Rng) -> String {
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
