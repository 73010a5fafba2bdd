//! A status for people.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::{Batch, DaemonState, DoubtLine, PauseLine, Status, WaitsFor};
use crate::inbox::{Waiting, Why};
use crate::journal::BatchState;
use crate::meter::Cause;
use crate::order::PauseReason;
use crate::types::{Money, Timestamp};
use crate::words::{self, plain};

/// The whole of it, without a line end behind it. File names and the provider's words can hold anything: what would
/// steer a terminal is shown as `\u{fffd}`.
#[must_use]
pub fn text(status: &Status) -> String {
    let mut parts = vec![head(status)];
    parts.extend(list(config_title(status), status.config_errors.iter().cloned()));
    parts.extend(files(status));
    parts.extend(list("Pauses", status.pauses.iter().map(|pause| self::pause(pause, status.at))));
    parts.extend(list(
        "Alarms",
        status.alarms.iter().map(|alarm| {
            let ago = words::span(status.at.since(alarm.since));
            let gone = match alarm.n {
                Some(n) => format!("seen? imeid ack {n}"),
                None => "until its cause is gone".to_owned(),
            };
            format!("{}: {} (for {ago}; {gone})", alarm.name, alarm.text)
        }),
    ));
    parts.extend(list("In doubt", doubts(status).into_iter()));
    let waiting = |folder, waiting: &Waiting| self::waiting(folder, waiting, status);
    parts.extend(list("In the inbox", status.inbox.iter().map(|file| waiting("the inbox", file))));
    parts.extend(list("In reconcile", status.reconcile.iter().map(|file| waiting("reconcile", file))));
    parts.push(figures(status));
    parts.join("\n\n")
}

fn head(status: &Status) -> String {
    let daemon = &status.daemon;
    let mut head = format!("imeid {}: ", status.version);
    head += match daemon.state {
        DaemonState::Stopped => "no daemon runs (systemctl status imeid says why, if it is a service)",
        state => state.as_str(),
    };
    if let Some(pid) = daemon.pid {
        let _ = write!(head, ", process {pid}");
    }
    if let Some(since) = daemon.since {
        let _ = write!(head, ", up {}", words::span(status.at.since(since)));
    }
    if status.disk.journal_bytes.is_none() {
        head += "\nThere is no journal yet: nothing was ever taken in.";
    }
    head
}

fn config_title(status: &Status) -> &'static str {
    if status.daemon.running {
        "The configuration has errors; the daemon goes on with what it read before. What is below is from the journal"
    } else {
        "The configuration has errors; no daemon starts with it. What is below is from the journal"
    }
}

fn files(status: &Status) -> Option<String> {
    if status.batches.is_empty() {
        return None;
    }
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["FILE", "SERVICE", "STATE", "DONE", "ROWS", "COST", "SENT IN", "RESULT"]);
    for batch in &status.batches {
        table.add_row([
            middle_out(&plain(&batch.name)),
            batch.service.clone(),
            state(batch),
            format!("{}/{}", batch.done_rows(), batch.rows),
            counts(batch),
            words::charged(batch.cost, batch.presumed),
            batch.eta.map_or_else(|| "-".to_owned(), |eta| words::span(eta.since(status.at))),
            batch.result.as_deref().map_or_else(|| "-".to_owned(), |name| middle_out(&plain(name))),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    Some(table.trim_fmt())
}

/// A name that a table has room for: of a longer one both ends, which are what tells names apart.
fn middle_out(name: &str) -> String {
    const START: usize = 28;
    const END: usize = 19;
    let length = name.chars().count();
    if length <= START + END + 1 {
        return name.to_owned();
    }
    let start = name.chars().take(START);
    let end = name.chars().skip(length.saturating_sub(END));
    start.chain(['…']).chain(end).collect()
}

fn state(batch: &Batch) -> String {
    match &batch.why {
        Some(why) => format!("{}: {}", batch.state.as_str(), plain(why)),
        None if batch.state == BatchState::Published => "published, rows open".to_owned(),
        None => batch.state.as_str().to_owned(),
    }
}

fn counts(batch: &Batch) -> String {
    let counts = batch.by_status.iter().map(|(status, n)| format!("{n} {status}"));
    counts.collect::<Vec<_>>().join(", ")
}

fn pause(pause: &PauseLine, now: Timestamp) -> String {
    let scope = match &pause.service {
        Some(service) => format!("service {service}"),
        None => "everything".to_owned(),
    };
    let ago = pause.since.map(|since| format!("for {}, ", words::span(now.since(since))));
    let next = match pause.next_try {
        Some(at) if at.since(now) < Duration::from_secs(1) => "tried again now".to_owned(),
        Some(at) => format!("tried again in {}", words::span(at.since(now))),
        None => until(pause.reason).to_owned(),
    };
    format!("{scope}: {}: {} ({}{next})", pause.reason, pause.text, ago.unwrap_or_default())
}

/// When a pause ends that isn't tried by itself.
fn until(reason: &str) -> &'static str {
    let is = |of: PauseReason| reason == of.as_str();
    if reason == Cause::Outage.as_str() {
        "it is being tried"
    } else if is(PauseReason::Operator) || is(PauseReason::OlderCopy) {
        "until someone says imeid resume"
    } else if is(PauseReason::Cap) {
        "until the day is over, per_day is higher or money is free again"
    } else {
        "until its cause is gone"
    }
}

fn doubts(status: &Status) -> Vec<String> {
    let mut lines: Vec<String> = status.doubts.iter().map(|line| doubt(line, status.at)).collect();
    let told = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    let more = status.orders.in_doubt.saturating_sub(told);
    if more > 0 && told > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn doubt(doubt: &DoubtLine, now: Timestamp) -> String {
    let until = doubt.until.map(|at| words::span(at.since(now)));
    let until = match (until, doubt.waits_for) {
        (Some(left), WaitsFor::QuietPeriod) => format!("{left} more, "),
        (Some(left), _) => format!("else held in {left}, "),
        (None, _) => String::new(),
    };
    format!(
        "{} ({}): waits for {} ({until}in doubt for {})",
        doubt.imei,
        doubt.service,
        doubt.text,
        words::span(now.since(doubt.since))
    )
}

/// `folder`: what people call it.
fn waiting(folder: &str, waiting: &Waiting, status: &Status) -> String {
    // Of what can't be looked at the time isn't known either.
    let is_known = waiting.since != Timestamp::default();
    let ago = if is_known {
        format!(", for {}", words::span(status.at.since(waiting.since)))
    } else {
        String::new()
    };
    if waiting.is_the_folder() {
        return format!(
            "{folder} itself: it is gone or can't be looked into{ago}; what is dropped is taken once it is back"
        );
    }
    let why = match waiting.why {
        Why::BeingWritten if !status.daemon.running => "waits for the daemon".to_owned(),
        Why::NotAvailable => "names ending in .go or .stop do nothing in this version yet".to_owned(),
        Why::WaitsForResume => "waits until someone says imeid resume".to_owned(),
        why => why.to_string(),
    };
    format!("{}: {why}{ago}", waiting.name)
}

fn list(title: &str, lines: impl Iterator<Item = String>) -> Option<String> {
    let lines: Vec<String> = lines.map(|line| format!("  {}", plain(&line))).collect();
    (!lines.is_empty()).then(|| format!("{title}\n{}", lines.join("\n")))
}

fn figures(status: &Status) -> String {
    let orders = &status.orders;
    let mut figures = format!(
        "Orders   {} queued, {} submitting, {} in doubt, {} ordered, {} held",
        orders.queued, orders.submitting, orders.in_doubt, orders.ordered, orders.held
    );
    if let (Some(busy), Some(limit)) = (status.workers.busy, status.workers.limit) {
        let rate = status.rate_per_s.map_or(0, |rate| rate.per_1000_s);
        let ceiling = status.workers.ceiling.filter(|ceiling| limit < *ceiling);
        let fewer = ceiling.map(|ceiling| format!(" ({ceiling} are allowed)")).unwrap_or_default();
        let _ =
            write!(figures, "\nWorkers  {busy} of {limit} busy{fewer}, {} calls a second", words::rate(rate));
        if let (Some(p50), Some(p99)) = (status.latency_ms.p50, status.latency_ms.p99) {
            let _ = write!(figures, ", half within {p50} ms, 99% within {p99} ms");
        }
    }
    let today = &status.money.today;
    let cap = match today.per_day {
        Some(cap) => format!(", {cap} allowed"),
        None if status.config_errors.is_empty() => ", no limit".to_owned(),
        None => String::new(),
    };
    let _ = write!(
        figures,
        "\nToday    {} charged, {} presumed, {} in flight, {} in doubt{cap}",
        today.charged, today.presumed, today.in_flight, today.in_doubt
    );
    if today.presumed > Money::ZERO && today.per_day.is_some() {
        figures += " (what is presumed counts too, until the provider's list or export shows that it wasn't charged)";
    }
    if today.refund_due > Money::ZERO {
        let _ = write!(figures, ", {} due back for rejected orders", today.refund_due);
    }
    if let (Some(balance), Some(at)) = (status.money.balance, status.money.balance_at) {
        let _ = write!(figures, "\nBalance  {balance} ({} ago)", words::span(status.at.since(at)));
        if let Some(missing) = status.money.refunds_missing.filter(|missing| *missing > Money::ZERO) {
            let _ = write!(figures, ", at least {missing} of refunds not in it");
        }
    }
    if let (Some(journal), Some(free)) = (status.disk.journal_bytes, status.disk.free_bytes) {
        let _ = write!(figures, "\nDisk     journal {}, {} free", mebibytes(journal), mebibytes(free));
    }
    figures
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_says_how_it_ends_and_its_age_where_it_is_known() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let told = |reason: PauseReason, since, next_try| {
            let text = "why".to_owned();
            pause(&PauseLine { service: None, reason: reason.as_str(), text, since, next_try }, at(100))
        };
        for (reason, until) in [
            (PauseReason::Operator, "until someone says imeid resume"),
            (PauseReason::OlderCopy, "until someone says imeid resume"),
            (PauseReason::Cap, "until the day is over, per_day is higher or money is free again"),
            (PauseReason::Disk, "until its cause is gone"),
        ] {
            let line = format!("everything: {}: why (for 40s, {until})", reason.as_str());
            assert_eq!(told(reason, Some(at(60)), None), line);
        }
        assert_eq!(told(PauseReason::Disk, None, None), "everything: disk: why (until its cause is gone)");
        let credit = told(PauseReason::Credit, Some(at(60)), Some(at(110)));
        assert_eq!(credit, "everything: credit: why (for 40s, tried again in 10s)");
        let due = told(PauseReason::Credit, Some(at(60)), Some(at(90)));
        assert_eq!(due, "everything: credit: why (for 40s, tried again now)");
    }

    #[test]
    fn a_long_name_keeps_both_its_ends_and_one_that_fits_stays() {
        assert_eq!(middle_out(&"n".repeat(48)), "n".repeat(48));
        let long = format!("{}-ä-17.results.csv", "n".repeat(200));
        let cut = middle_out(&long);
        assert_eq!(cut.chars().count(), 48);
        assert!(cut.starts_with("nnn") && cut.contains('…') && cut.ends_with("-ä-17.results.csv"), "{cut}");
    }
}
