//! `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;

use crate::types::Timestamp;

/// Longer than this nobody means: a wrong clock at the other end.
pub(super) const LIMIT: Duration = Duration::from_secs(86_400);

/// How long to wait from `now`; zero for a date that is over, at most a day. `None` where it is neither form.
pub(super) fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only digits: what doesn't fit is too large.
        return Some(value.parse().map_or(LIMIT, Duration::from_secs).min(LIMIT));
    }
    let date = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(value).ok()?;
    Some(Timestamp::from_millis(date.as_millisecond()).since(now).min(LIMIT))
}
