//! A provider that doesn't answer orders: nothing pauses by it, so people are told, and by an alarm where it lasts.

use std::time::Duration;

use crate::clock::local_stamp;
use crate::journal;
use crate::meter::{Cause, Standstill};
use crate::types::{NotTaken, Placed, Timestamp};

/// The alarm's name. It is over with the next answer, so it isn't recorded.
pub(super) const ALARM: &str = "provider";
/// A shorter time without an answer is one line in the log.
const LASTS: Duration = Duration::from_secs(60);

/// Since when, why the call failed that showed it, and whether its line was said.
#[derive(Clone, Debug, Default)]
pub(super) struct Away(Option<(Timestamp, String, bool)>);

impl Away {
    pub(super) fn begins(&mut self, now: Timestamp, why: &str) {
        self.0 = Some((now, why.to_owned(), false));
    }

    /// How it stands, to be said, once it has been looked at: when it is tried next isn't known before.
    pub(super) fn told(&mut self, stands: Option<Standstill>) -> Option<Standstill> {
        let (.., is_told) = self.0.as_mut()?;
        stands.filter(|_| !std::mem::replace(is_told, true))
    }

    /// True: it was away, and that was said.
    pub(super) fn ends(&mut self) -> bool {
        self.0.take().is_some_and(|(.., is_told)| is_told)
    }

    /// How long it is until it lasts; `None`: it isn't away, or lasts already.
    pub(super) fn due_in(&self, now: Timestamp) -> Option<Duration> {
        let (since, ..) = self.0.as_ref()?;
        LASTS.checked_sub(now.since(*since)).filter(|left| !left.is_zero())
    }

    /// The alarm's text, the same for as long as it lasts. `address`: where the provider is asked.
    pub(super) fn alarm(&self, address: Option<&str>, now: Timestamp) -> Option<String> {
        let (since, why, _) = self.0.as_ref().filter(|(since, ..)| now.since(*since) >= LASTS)?;
        let since = local_stamp(*since);
        let at = address.map(|address| format!(" ({address})")).unwrap_or_default();
        Some(format!(
            "the provider{at} doesn't answer orders since {since}: {why}. It is tried again and again, and goes on by itself; \
             `imeid check --online` says whether it can be reached"
        ))
    }
}

/// Its lines are those of a pause, though none is recorded: whoever asks the log what stood still finds both.
/// `next_try`: until something is tried, be it a call that only reads.
pub(super) fn say_begin(why: &str, next_try: Duration) {
    let text = format!("{why}: orders go one at a time until one is answered");
    journal::say_pause("all", Cause::Outage.as_str(), &text, Some(next_try), None);
}

pub(super) fn say_end() {
    journal::say_pause_ended("all", Cause::Outage.as_str());
}

/// What a call that failed came to, for people.
pub(super) fn why(outcome: &Placed) -> Option<&str> {
    match outcome {
        Placed::NotTaken(NotTaken::NotSent(why)) => Some(why),
        Placed::NotTaken(NotTaken::Throttled(_)) => Some("it refuses calls as too many (HTTP 429)"),
        Placed::Unclear(unclear) => Some(&unclear.what),
        Placed::Taken(_) | Placed::AlreadyExists | Placed::NotTaken(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_that_lasts_is_an_alarm_with_one_text_until_it_is_over() {
        let at = |seconds: u64| Timestamp::from_millis(1_000_000).plus(Duration::from_secs(seconds));
        let mut away = Away::default();
        assert_eq!((away.alarm(None, at(0)), away.due_in(at(0))), (None, None));
        away.begins(at(0), "connection refused");
        assert_eq!((away.alarm(None, at(59)), away.due_in(at(59))), (None, Some(Duration::from_secs(1))));
        assert_eq!(away.due_in(at(60)), None);
        let text = away.alarm(Some("https://provider.test"), at(60)).unwrap();
        let since = format!(
            "the provider (https://provider.test) doesn't answer orders since {}: connection refused",
            local_stamp(at(0))
        );
        assert!(text.starts_with(&since), "{text}");
        assert_eq!(away.alarm(Some("https://provider.test"), at(6_000)), Some(text));
        let stands = Standstill { cause: Cause::Outage, why: String::new(), since: None, next_try: None };
        assert!(away.told(Some(stands.clone())).is_some());
        assert_eq!(away.told(Some(stands.clone())), None, "it is said once");
        assert!(away.ends() && !away.ends());
        away.begins(at(6_001), "reset");
        assert!(!away.ends(), "what wasn't said to begin isn't said to end");
        assert_eq!(away.told(Some(stands)), None);
        assert_eq!(away.alarm(None, at(6_001)), None);
    }
}
