//! What goes wrong between the provider and its client, and how often.
//!
//! A fault is written `KIND-before` (the request is not executed) or `KIND-after` (it is, and charged), then `=`
//! and a share of the calls (`2%`) or a count (`3x`: the next three). Joined by commas:
//! `drop-after=2%,502-html-after=2%,hang-after=0.5%,any:503-retry-before=1x`. They strike `placeorder` only, or
//! every action with `any:` in front.
//!
//! | kind | what the client sees |
//! |---|---|
//! | `drop` | the connection closes, not a byte came |
//! | `hang` | nothing, until it gives up (or [`super::Options::hang_at_most`] is over; then as `drop`) |
//! | `NNN`, `NNN-html`, `NNN-retry` | this HTTP status, 300 to 599; with a proxy's HTML page; with `Retry-After: 2`. A 3xx points at the same address |
//! | `empty` | HTTP 200 without a body |
//! | `odd-error` | an `<error>` with a text that is in no list |
//! | `cut-after` | the answer's head and half of its body, then the connection closes |
//! | `wrong-imei-after` | an answer for another IMEI, with the true order's id |
//! | `several-after` | an answer that names a second order beside the true one |
//! | `late-after` | as `drop`; executed [`super::Options::late_by`] later |

use std::fmt;
use std::str::FromStr;

use fastrand::Rng;

use super::parse::{ParseError, Share};

/// What a struck call's client sees instead of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The connection closes without a byte.
    Drop,
    /// No answer, the connection stays open.
    Hang,
    /// Another HTTP status.
    Http {
        /// The status, 300 to 599.
        status: u16,
        /// With an HTML page as a proxy makes them.
        html: bool,
        /// With `Retry-After: 2`.
        retry_after: bool,
    },
    /// HTTP 200, no body.
    Empty,
    /// An `<error>` text that nobody knows.
    OddError,
    /// Half of the body.
    Cut,
    /// The answer names another IMEI.
    WrongImei,
    /// The answer names a second order.
    Several,
    /// As [`FaultKind::Drop`], and the order is executed much later.
    Late,
}

/// One kind of fault and whether the call is executed all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the client sees.
    pub kind: FaultKind,
    /// Whether the call is executed (an order taken and charged).
    pub executed: bool,
}

/// How often a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Often {
    Share(Share),
    Next(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    any_action: bool,
    fault: Fault,
    often: Often,
}

/// A set of faults, each with how often it strikes. [`Faults::default`] is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Faults(Vec<Rule>);

impl Faults {
    /// The fault that strikes this call, if one does. Counted ones (`3x`) come first and are used up.
    pub(super) fn strike(&mut self, is_place: bool, rng: &mut Rng) -> Option<Fault> {
        if self.0.is_empty() {
            return None;
        }
        let mut drawn = rng.u32(0..Share::WHOLE_PPM);
        let mut struck = None;
        for rule in self.0.iter_mut().filter(|rule| is_place || rule.any_action) {
            match &mut rule.often {
                Often::Next(0) => {}
                Often::Next(left) => {
                    *left -= 1;
                    return Some(rule.fault);
                }
                Often::Share(share) if struck.is_none() => match drawn.checked_sub(share.ppm()) {
                    Some(rest) => drawn = rest,
                    None => struck = Some(rule.fault),
                },
                Often::Share(_) => {}
            }
        }
        struck
    }
}

impl FromStr for Faults {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty() && *item != "none");
        let rules = items.map(rule).collect::<Result<Vec<_>, _>>()?;
        let shares = rules.iter().map(|rule| match rule.often {
            Often::Share(share) => u64::from(share.ppm()),
            Often::Next(_) => 0,
        });
        if shares.sum::<u64>() > u64::from(Share::WHOLE_PPM) {
            return Err(ParseError(format!("the faults in {text:?} add up to more than 100%")));
        }
        Ok(Self(rules))
    }
}

impl TryFrom<String> for Faults {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// One item: `[any:]FAULT=2%`, `FAULT 2 %`, `FAULT=3x`.
fn rule(item: &str) -> Result<Rule, ParseError> {
    let (any_action, rest) = match item.strip_prefix("any:") {
        Some(rest) => (true, rest.trim_start()),
        None => (false, item),
    };
    let name_end = rest.find(|c: char| c == '=' || c.is_whitespace()).ok_or_else(|| {
        ParseError(format!("{item:?} doesn't say how often: \"{rest}=2%\" or \"{rest}=1x\" (the next one)"))
    })?;
    let (name, often) = rest.split_at(name_end);
    let often = often.trim_start().trim_start_matches('=').trim();
    let often = match often.strip_suffix('x') {
        Some(count) => Often::Next(
            count
                .trim_end()
                .parse()
                .map_err(|_| ParseError(format!("{often:?} in {item:?} is no count such as \"3x\"")))?,
        ),
        None => Often::Share(often.parse().map_err(|error| ParseError(format!("in {item:?}: {error}")))?),
    };
    Ok(Rule { any_action, fault: name.parse()?, often })
}

impl FromStr for Fault {
    type Err = ParseError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let (kind, executed) = if let Some(kind) = name.strip_suffix("-before") {
            (kind, false)
        } else if let Some(kind) = name.strip_suffix("-after") {
            (kind, true)
        } else {
            return Err(ParseError(format!("the fault {name:?} must end in -before or -after (the charge)")));
        };
        let kind = match kind {
            "drop" => FaultKind::Drop,
            "hang" => FaultKind::Hang,
            "empty" => FaultKind::Empty,
            "odd-error" => FaultKind::OddError,
            "cut" => FaultKind::Cut,
            "wrong-imei" => FaultKind::WrongImei,
            "several" => FaultKind::Several,
            "late" => FaultKind::Late,
            status => http(status).ok_or_else(|| {
                ParseError(format!(
                    "{status:?} is no fault: drop, hang, 300 to 599 (with -html, -retry), empty, odd-error, cut, \
                     wrong-imei, several or late, each with -before or -after"
                ))
            })?,
        };
        let needs_the_order =
            matches!(kind, FaultKind::Cut | FaultKind::WrongImei | FaultKind::Several | FaultKind::Late);
        if needs_the_order && !executed {
            return Err(ParseError(format!("{name:?} makes no sense before the charge: use -after")));
        }
        Ok(Self { kind, executed })
    }
}

/// `502`, `502-html`, `429-retry`, `503-html-retry`.
fn http(text: &str) -> Option<FaultKind> {
    let mut parts = text.split('-');
    let status = parts.next()?.parse().ok().filter(|status| (300..600).contains(status))?;
    let (mut html, mut retry_after) = (false, false);
    for part in parts {
        match part {
            "html" => html = true,
            "retry" => retry_after = true,
            _ => return None,
        }
    }
    Some(FaultKind::Http { status, html, retry_after })
}

/// The name it is parsed from.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FaultKind::Drop => f.write_str("drop")?,
            FaultKind::Hang => f.write_str("hang")?,
            FaultKind::Http { status, html, retry_after } => {
                let (html, retry) =
                    (if html { "-html" } else { "" }, if retry_after { "-retry" } else { "" });
                write!(f, "{status}{html}{retry}")?;
            }
            FaultKind::Empty => f.write_str("empty")?,
            FaultKind::OddError => f.write_str("odd-error")?,
            FaultKind::Cut => f.write_str("cut")?,
            FaultKind::WrongImei => f.write_str("wrong-imei")?,
            FaultKind::Several => f.write_str("several")?,
            FaultKind::Late => f.write_str("late")?,
        }
        f.write_str(if self.executed { "-after" } else { "-before" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 17] = [
        "drop-before",
        "drop-after",
        "hang-before",
        "hang-after",
        "500-before",
        "500-after",
        "502-html-before",
        "502-html-after",
        "429-before",
        "429-retry-before",
        "503-html-retry-before",
        "307-after",
        "empty-after",
        "cut-after",
        "wrong-imei-after",
        "several-after",
        "late-after",
    ];

    #[test]
    fn every_fault_prints_as_it_is_written() {
        for name in NAMES {
            assert_eq!(name.parse::<Fault>().map(|fault| fault.to_string()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn both_ways_to_write_a_share_mean_the_same() {
        let with: Faults = "drop-after=2%,500-before=0.5%".parse().unwrap();
        assert_eq!(Ok(with), "drop-after 2 %, 500-before = 0.5 %,".parse());
    }

    #[test]
    fn what_is_wrong_with_a_fault_is_said() {
        for (text, word) in [
            ("drop-after", "how often"),
            ("drop=2%", "-before or -after"),
            ("fire-after=2%", "no fault"),
            ("200-after=2%", "no fault"),
            ("cut-before=2%", "no sense"),
            ("drop-after=60%,drop-before=60%", "more than 100%"),
            ("drop-after=2", "share"),
            ("drop-after=yx", "count"),
        ] {
            let error = text.parse::<Faults>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn faults_strike_as_often_as_they_say() {
        let mut faults: Faults = "drop-after=2%,hang-before=10%".parse().unwrap();
        let mut rng = Rng::with_seed(1);
        let struck: Vec<Option<Fault>> = (0..100_000).map(|_| faults.strike(true, &mut rng)).collect();
        let count = |kind| struck.iter().flatten().filter(|fault| fault.kind == kind).count();
        assert!((1_800..2_200).contains(&count(FaultKind::Drop)));
        assert!((9_500..10_500).contains(&count(FaultKind::Hang)));
    }

    #[test]
    fn counted_faults_are_used_up_and_only_any_strikes_other_actions() {
        let mut faults: Faults = "drop-after=2x,any:500-before=1x".parse().unwrap();
        let mut rng = Rng::with_seed(1);
        let mut strike = |place| faults.strike(place, &mut rng).map(|fault| fault.to_string());
        assert_eq!(strike(true).as_deref(), Some("drop-after"));
        assert_eq!(strike(false).as_deref(), Some("500-before"));
        assert_eq!(strike(false), None);
        assert_eq!(strike(true).as_deref(), Some("drop-after"));
        assert_eq!(strike(true), None);
    }
}
