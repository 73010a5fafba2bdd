//! What has a line of its own in the log. One doubt is a problem and is named; in an outage they are an order's everyday, and a
//! line each would hide all else. `imeid show` names every one of them. So it is with outages that come and go.

use std::time::Duration;

use crate::types::Timestamp;

/// Within this time, after which it begins anew.
const WITHIN: Duration = Duration::from_secs(60);

/// How many there were in this stretch of time. So many are `NAMED`.
#[derive(Clone, Debug, Default)]
pub(super) struct Told<const NAMED: u32> {
    since: Option<Timestamp>,
    count: u32,
}

/// Of doubts.
pub(super) type ToldDoubts = Told<20>;

/// What to say of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// What it is, and why.
    Named,
    /// How many there were within a minute.
    Count(u32),
    /// Nothing.
    None,
}

impl<const NAMED: u32> Told<NAMED> {
    /// One more. Past those that are named the count is told whenever it has doubled.
    pub(super) fn add(&mut self, now: Timestamp) -> Line {
        if self.since.is_none_or(|since| now < since || now.since(since) >= WITHIN) {
            *self = Self { since: Some(now), count: 0 };
        }
        self.count = self.count.saturating_add(1);
        if self.count <= NAMED {
            Line::Named
        } else if self.count.is_multiple_of(NAMED) && (self.count / NAMED).is_power_of_two() {
            Line::Count(self.count)
        } else {
            Line::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_doubts_in_a_minute_are_told_in_a_few_lines_and_later_ones_are_named_again() {
        let mut told = ToldDoubts::default();
        let began = Timestamp::from_millis(1_000_000);
        let lines: Vec<Line> = (0..1_000).map(|n| told.add(began.plus(Duration::from_millis(n)))).collect();
        assert!(lines[..20].iter().all(|line| *line == Line::Named));
        let counts: Vec<Line> = lines[20..].iter().copied().filter(|line| *line != Line::None).collect();
        assert_eq!(counts, [40, 80, 160, 320, 640].map(Line::Count));
        assert_eq!(told.add(began.plus(WITHIN)), Line::Named);
        // The clock was set back.
        let lines: Vec<Line> = (0..30).map(|_| told.add(began)).collect();
        assert_eq!(lines.iter().filter(|line| **line == Line::Named).count(), 20);
    }
}
