//! The small texts that switches are given as: durations (`36ms`, `1.5s`) and shares (`2%`). Integers throughout.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Why a switch's text can't be read, in words for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError(pub(super) String);

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParseError {}

/// A number with at most six places as millionths: `0.5` is 500,000. `None` for anything else.
fn millionths(number: &str) -> Option<u64> {
    let (whole, places) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || places.len() > 6 || !digits(whole) || !digits(places) {
        return None;
    }
    let fraction: u64 = format!("{places:0<6}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(fraction)
}

/// Reads a duration: a number and one of `us ms s m h d`, as in `36ms`, `3.6s`, `10m`.
///
/// # Errors
/// A [`ParseError`] that shows what is accepted.
pub fn duration(text: &str) -> Result<Duration, ParseError> {
    let wrong = || ParseError(format!("{text:?} is not a duration such as \"36ms\", \"3.6s\" or \"10m\""));
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let micros_a_unit: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60 * 1_000_000,
        "h" => 3_600 * 1_000_000,
        "d" => 86_400 * 1_000_000,
        _ => return Err(wrong()),
    };
    let millionths = millionths(number.trim_end()).ok_or_else(wrong)?;
    let micros = u128::from(millionths) * u128::from(micros_a_unit) / 1_000_000;
    u64::try_from(micros).map(Duration::from_micros).map_err(|_| wrong())
}

/// A share of all, in parts per million. Read from a percentage: `2%`, `0.5 %`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Share(u32);

impl Share {
    /// A whole, in parts per million.
    pub const WHOLE_PPM: u32 = 1_000_000;

    /// This many parts per million; more than a million is a whole.
    #[must_use]
    pub const fn from_ppm(ppm: u32) -> Self {
        Self(if ppm > Self::WHOLE_PPM { Self::WHOLE_PPM } else { ppm })
    }

    /// In parts per million.
    #[must_use]
    pub const fn ppm(self) -> u32 {
        self.0
    }
}

impl FromStr for Share {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseError(format!("{text:?} is not a share from \"0%\" to \"100%\""));
        let number = text.trim().strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let ppm = millionths(number).ok_or_else(wrong)? / 100;
        u32::try_from(ppm).ok().filter(|ppm| *ppm <= Self::WHOLE_PPM).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Share {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, micros) in [
            ("36ms", 36_000),
            ("3.6s", 3_600_000),
            ("1 s", 1_000_000),
            ("10m", 600_000_000),
            ("0s", 0),
            ("5us", 5),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for text in ["", "5", "ms", "-1s", "1,5s", "1.s5", "1 fortnight", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_percentages() {
        for (text, ppm) in [("2%", 20_000), ("0.5 %", 5_000), ("100%", 1_000_000), ("0%", 0), ("0.0001%", 1)]
        {
            assert_eq!(text.parse::<Share>().map(Share::ppm), Ok(ppm), "{text}");
        }
        for text in ["2", "101%", "-1%", "%", "two %"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
