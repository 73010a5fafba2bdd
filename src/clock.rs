//! The one place that reads the machine's clock. Everything else is given a [`Timestamp`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::types::Timestamp;

/// Tells the time; a test gives its own.
///
/// The wall clock is for days, stamps and people: anyone may set it. What must really have passed is measured by the
/// steady reading, which goes on at its pace whatever the wall clock does.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    steady: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        let wall = || {
            #[allow(clippy::disallowed_methods, reason = "the one place")]
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        };
        let made = Instant::now();
        Self::from_fns(wall, move || made.elapsed())
    }

    /// A clock that tells what `read` returns, its steady reading likewise.
    #[must_use]
    pub fn from_fn(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let wall = Arc::new(read);
        let steady = {
            let wall = Arc::clone(&wall);
            Arc::new(move || wall().since(Timestamp::default()))
        };
        Self { wall, steady }
    }

    /// A clock whose wall clock can be set, as this machine's can.
    #[must_use]
    pub fn from_fns(
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
        steady: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Self { wall: Arc::new(wall), steady: Arc::new(steady) }
    }

    /// How much time has really passed, from a beginning that nobody needs to know.
    #[must_use]
    pub fn steady(&self) -> Duration {
        (self.steady)()
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.wall)()
    }

    /// The machine's local day that holds `at`, as the number 20251114.
    #[must_use]
    pub fn local_day(&self, at: Timestamp) -> i64 {
        local_day(at)
    }
}

/// The machine's local day that holds `at`, as the number 20251114.
#[must_use]
pub fn local_day(at: Timestamp) -> i64 {
    let date = local(at).date();
    i64::from(date.year()) * 10_000 + i64::from(date.month()) * 100 + i64::from(date.day())
}

/// `at` as a clock on the wall beside the machine shows it: `22:29:08`.
#[must_use]
pub fn local_time(at: Timestamp) -> String {
    local(at).strftime("%H:%M:%S").to_string()
}

/// `at` for people to read, by the machine's local clock: `2025-11-14 04:33:00 +01:00`.
#[must_use]
pub fn local_stamp(at: Timestamp) -> String {
    stamp(&local(at))
}

fn stamp(at: &jiff::ZonedDateTime) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

fn local(at: Timestamp) -> jiff::ZonedDateTime {
    let time = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or_default();
    time.to_zoned_datetime(jiff::tz::TimeZone::system())
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_for_people_has_its_offset_summer_and_winter() {
        let zone = jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = |millis| {
            let time = jiff::Timestamp::from_millisecond(millis).unwrap();
            stamp(&time.to_zoned_datetime(zone.clone()))
        };
        assert_eq!(at(1_763_091_180_999), "2025-11-14 04:33:00 +01:00");
        assert_eq!(at(1_752_000_000_000), "2025-07-08 20:40:00 +02:00");
    }
}
