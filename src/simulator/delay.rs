//! How long something takes: a fixed time, or one drawn from a distribution.

use std::str::FromStr;
use std::time::Duration;

use fastrand::Rng;

use super::parse::{ParseError, duration};

/// A distribution of durations. Read from `36ms`, `uniform:1s-18s`, `lognormal:3.6s` (its mean).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Delay {
    /// Always this.
    Fixed(Duration),
    /// Anything from the first to the second, equally likely.
    Uniform(Duration, Duration),
    /// Skewed, with this mean: few are below a third of it, a few reach five times it. With a mean of 3.6 s this
    /// is what the real `placeorder` showed: 1 s at best, 18 s at worst.
    LogNormal(Duration),
}

/// The skewed distribution's quantiles: (how many of a thousand are below, thousandths of the mean). A log-normal
/// of sigma 0.55 cut off at both ends, as a table because whole numbers are the rule here.
const QUANTILES: [(u64, u64); 16] = [
    (0, 278),
    (50, 345),
    (100, 422),
    (200, 537),
    (300, 639),
    (400, 742),
    (500, 853),
    (600, 981),
    (700, 1138),
    (800, 1355),
    (900, 1727),
    (950, 2108),
    (980, 2640),
    (990, 3067),
    (997, 3867),
    (1000, 4963),
];

impl Delay {
    /// No time at all.
    pub const NONE: Self = Self::Fixed(Duration::ZERO);

    /// One duration drawn from the distribution.
    pub fn sample(&self, rng: &mut Rng) -> Duration {
        match *self {
            Self::Fixed(time) => time,
            Self::Uniform(from, to) => Duration::from_micros(rng.u64(micros(from)..=micros(to))),
            Self::LogNormal(mean) => skewed(mean, rng),
        }
    }
}

fn skewed(mean: Duration, rng: &mut Rng) -> Duration {
    let drawn = rng.u64(0..1_000_000);
    let above = QUANTILES.partition_point(|(share, _)| share * 1000 <= drawn).clamp(1, QUANTILES.len() - 1);
    let ((low, from), (high, to)) = (QUANTILES[above - 1], QUANTILES[above]);
    let permille = from + (to - from) * (drawn - low * 1000) / ((high - low) * 1000);
    Duration::from_micros(micros(mean).saturating_mul(permille) / 1000)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl FromStr for Delay {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().split_once(':') {
            None => Ok(Self::Fixed(duration(text)?)),
            Some(("uniform", range)) => {
                let (from, to) = range
                    .split_once('-')
                    .ok_or_else(|| ParseError(format!("{text:?} lacks its end: \"uniform:1s-18s\"")))?;
                let (from, to) = (duration(from)?, duration(to)?);
                if from > to {
                    return Err(ParseError(format!("{text:?} ends before it begins")));
                }
                Ok(Self::Uniform(from, to))
            }
            Some(("lognormal", mean)) => Ok(Self::LogNormal(duration(mean)?)),
            Some((kind, _)) => Err(ParseError(format!(
                "{kind:?} is not known: use \"36ms\", \"uniform:1s-18s\" or \"lognormal:3.6s\""
            ))),
        }
    }
}

impl TryFrom<String> for Delay {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_delay_is_read() {
        assert_eq!("36ms".parse(), Ok(Delay::Fixed(Duration::from_millis(36))));
        let range = Delay::Uniform(Duration::from_secs(1), Duration::from_secs(18));
        assert_eq!("uniform:1s-18s".parse(), Ok(range));
        assert_eq!("lognormal:3.6s".parse(), Ok(Delay::LogNormal(Duration::from_millis(3600))));
        for text in ["", "uniform:1s", "uniform:2s-1s", "poisson:1s", "lognormal:"] {
            assert!(text.parse::<Delay>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_skewed_delay_has_its_mean_and_stays_between_the_times_seen() {
        let mut rng = Rng::with_seed(7);
        let delay = Delay::LogNormal(Duration::from_millis(3600));
        let drawn: Vec<Duration> = (0..50_000).map(|_| delay.sample(&mut rng)).collect();
        let mean = drawn.iter().sum::<Duration>() / 50_000;
        assert!((3_550..3_650).contains(&mean.as_millis()), "{mean:?}");
        assert!(drawn.iter().all(|time| (1_000..=18_000).contains(&time.as_millis())));
    }

    #[test]
    fn the_uniform_delay_stays_in_its_range() {
        let mut rng = Rng::with_seed(7);
        let delay = Delay::Uniform(Duration::from_millis(2), Duration::from_millis(4));
        assert!((0..1000).all(|_| (2_000..=4_000).contains(&delay.sample(&mut rng).as_micros())));
    }
}
