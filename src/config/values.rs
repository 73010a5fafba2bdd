//! The texts that stand for durations and sizes.

use std::time::Duration;

/// A duration as the config writes it: a whole number with one unit, `500ms 2s 5m 3h 14d`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let (count, unit) = number_and_unit(text)?;
    let seconds = |each: u64| count.checked_mul(each).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(count)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(60 * 60),
        "d" => seconds(24 * 60 * 60),
        _ => None,
    }
}

/// The text that [`parse_duration`] reads as this duration, in the largest unit that fits.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let fits = |&&(each, unit): &&(u128, &str)| {
        millis > 0 && millis.is_multiple_of(each) && !(unit == "m" && millis < 300_000)
    };
    match units.iter().find(fits) {
        Some((each, unit)) => format!("{}{unit}", millis / each),
        None => format!("{millis}ms"),
    }
}

/// A size as the config writes it, in bytes: a whole number with one unit, `256MiB`, `1GB`.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (count, unit) = number_and_unit(text)?;
    let each: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    count.checked_mul(each)
}

/// The text that [`parse_size`] reads as this size, in the largest unit of 1024 that fits.
pub(super) fn show_size(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fits = |&&(each, _): &&(u64, &str)| bytes > 0 && bytes.is_multiple_of(each);
    match units.iter().find(fits) {
        Some((each, unit)) => format!("{}{unit}", bytes / each),
        None => format!("{bytes}B"),
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_with_one_unit() {
        for (text, millis) in [
            ("500ms", 500),
            ("2s", 2_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("14d", 1_209_600_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "5 m",
            "-5s",
            "1.5s",
            "1h30m",
            "5min",
            "5M",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_shown_as_it_would_be_written() {
        for text in ["500ms", "2s", "120s", "130s", "5m", "24h", "14d", "1500ms", "0ms"] {
            let shown = show_duration(parse_duration(text).unwrap());
            assert!(shown == text || (text == "24h" && shown == "1d"), "{text} as {shown}");
        }
    }

    #[test]
    fn a_size_is_a_whole_number_with_one_unit() {
        for (text, bytes) in [("256MiB", 268_435_456), ("1GB", 1_000_000_000), ("0B", 0), ("4KiB", 4_096)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "256", "256 MiB", "MiB", "256mib", "1.5GiB", "99999999999TiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
