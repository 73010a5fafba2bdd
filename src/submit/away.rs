//! A provider that doesn't answer orders: nothing pauses by it, so people are told, and by an alarm where it lasts.

use std::time::Duration;

use super::told::{Line, Told};
use crate::clock::local_stamp;
use crate::journal;
use crate::meter::{Cause, Standstill};
use crate::types::{NotTaken, Placed, Timestamp};

/// The alarm's name. It is over with the next answer, so it isn't recorded.
pub(super) const ALARM: &str = "provider";
/// A shorter time without an answer is one line in the log.
const LASTS: Duration = Duration::from_secs(60);

/// One that isn't named at once, for there were many of late, is when it has lasted so long.
const NAMED_AFTER: Duration = Duration::from_secs(10);

/// The outage of the moment, and how many there were of late.
#[derive(Clone, Debug, Default)]
pub(super) struct Away {
    out: Option<Out>,
    told: Told<3>,
}

#[derive(Clone, Debug)]
struct Out {
    since: Timestamp,
    /// Why the call failed that showed it.
    why: String,
    line: Line,
    /// Its begin was said.
    is_told: bool,
}

/// What to say of an outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Say {
    /// It begins.
    Begin(Standstill),
    /// They come and go: so many within a minute, this one for this reason.
    Often(u32, String),
}

impl Away {
    pub(super) fn begins(&mut self, now: Timestamp, why: &str) {
        let line = self.told.add(now);
        self.out = Some(Out { since: now, why: why.to_owned(), line, is_told: false });
    }

    /// How it stands, to be said, once it has been looked at: when it is tried next isn't known before.
    pub(super) fn told(&mut self, stands: Option<Standstill>, now: Timestamp) -> Option<Say> {
        let out = self.out.as_mut().filter(|out| !out.is_told)?;
        let stands = stands?;
        if let Line::Count(outages) = out.line {
            out.line = Line::None;
            return Some(Say::Often(outages, out.why.clone()));
        }
        out.is_told = out.line == Line::Named || now.since(out.since) >= NAMED_AFTER;
        out.is_told.then_some(Say::Begin(stands))
    }

    /// True: it was away, and that was said.
    pub(super) fn ends(&mut self) -> bool {
        self.out.take().is_some_and(|out| out.is_told)
    }

    /// How long it is until it lasts; `None`: it isn't away, or lasts already.
    pub(super) fn due_in(&self, now: Timestamp) -> Option<Duration> {
        let out = self.out.as_ref()?;
        LASTS.checked_sub(now.since(out.since)).filter(|left| !left.is_zero())
    }

    /// The alarm's text, the same for as long as it lasts. `address`: where the provider is asked.
    pub(super) fn alarm(&self, address: Option<&str>, now: Timestamp) -> Option<String> {
        let out = self.out.as_ref().filter(|out| now.since(out.since) >= LASTS)?;
        let (since, why) = (local_stamp(out.since), &out.why);
        let at = address.map(|address| format!(" ({address})")).unwrap_or_default();
        Some(format!(
            "the provider{at} doesn't answer orders since {since}: {why}. It is tried again and again, and goes on by itself; \
             `imeid check --online` says whether it can be reached"
        ))
    }
}

/// Its lines are those of a pause, though none is recorded: whoever asks the log what stood still finds both. The next try may
/// be a call that only reads.
pub(super) fn say(what: Say, now: Timestamp) {
    match what {
        Say::Begin(Standstill { why, next_try, .. }) => {
            let text = format!("{why}: orders go one at a time until one is answered");
            let next_try = next_try.map_or(Duration::ZERO, |at| at.since(now));
            journal::say_pause("all", Cause::Outage.as_str(), &text, Some(next_try), None);
        }
        Say::Often(outages, why) => {
            tracing::warn!(
                outages,
                why,
                "outages come and go within a minute: only those that last are named now"
            );
        }
    }
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
        assert_eq!(away.told(Some(stands.clone()), at(0)), Some(Say::Begin(stands.clone())));
        assert_eq!(away.told(Some(stands.clone()), at(90)), None, "it is said once");
        assert!(away.ends() && !away.ends());
        away.begins(at(6_001), "reset");
        assert!(!away.ends(), "what wasn't said to begin isn't said to end");
        assert_eq!(away.told(Some(stands), at(6_001)), None);
        assert_eq!(away.alarm(None, at(6_001)), None);
    }

    #[test]
    fn many_in_a_minute_are_told_in_a_few_lines_and_one_that_lasts_is_named_all_the_same() {
        let at = |ms: u64| Timestamp::from_millis(1_000_000).plus(Duration::from_millis(ms));
        let stands =
            || Some(Standstill { cause: Cause::Outage, why: String::new(), since: None, next_try: None });
        let (mut away, mut said, mut ended) = (Away::default(), Vec::new(), 0);
        for n in 0..100 {
            away.begins(at(n * 100), "HTTP 429");
            for look in 0..3 {
                said.extend(away.told(stands(), at(n * 100 + look)));
            }
            ended += usize::from(away.ends());
        }
        let often = [6, 12, 24, 48, 96].map(|times| Say::Often(times, "HTTP 429".to_owned()));
        let begins = std::iter::repeat_n(Say::Begin(stands().unwrap()), 3);
        assert_eq!((said, ended), (begins.chain(often).collect(), 3));
        away.begins(at(20_000), "reset");
        assert_eq!(away.told(stands(), at(29_999)), None);
        assert!(matches!(away.told(stands(), at(30_000)), Some(Say::Begin(_))) && away.ends());
        away.begins(at(60_000), "reset");
        assert!(away.told(stands(), at(60_000)).is_some(), "a minute later they are named at once");
    }
}
