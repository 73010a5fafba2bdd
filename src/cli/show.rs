//! `imeid show`: everything that happened to an IMEI or a batch, from file and line to order and result.

#[cfg(test)]
mod tests;

use std::path::Path;

use clap::{Args, ValueHint};
use serde::Serialize;

use super::words::{Desk, Named, Trouble};
use super::{Exit, complain, say};
use crate::clock::local_stamp;
use crate::journal::{
    BatchWork, ShownAnswer, ShownAttempt, ShownBatch, ShownEvent, ShownOrder, ShownRow, ShownService, View,
};
use crate::order::State;
use crate::outbox::by_status;
use crate::types::{BatchId, Imei, Money, Timestamp};
use crate::words::plain;

const EXAMPLES: &str = "Examples:
  imeid show 353322110000008              one IMEI, from file and row to order and result
  imeid show stock                        a batch, and its rows that are still open
  imeid show 353322110000008.results.csv  a batch whose NAME is an IMEI, by one of its files";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ShowArgs {
    /// An IMEI, or the NAME of a batch in the outbox
    #[arg(value_name = "IMEI|BATCH")]
    name: String,
    /// For programs
    #[arg(long)]
    json: bool,
    /// The service, where the IMEI has orders of several
    #[arg(long, value_hint = ValueHint::Other)]
    service: Option<String>,
}

pub(super) fn run(config: &Path, args: &ShowArgs) -> Exit {
    let desk = match Desk::open(config) {
        Ok(desk) => desk,
        Err(exit) => return exit,
    };
    match shown(&desk, args) {
        Ok(text) => {
            say(&text);
            Exit::Done
        }
        Err(trouble) => trouble.tell(),
    }
}

fn shown(desk: &Desk, args: &ShowArgs) -> Result<String, Trouble> {
    match desk.named(&args.name, args.service.as_deref())? {
        Named::Imei(imei, services) => {
            if let Some(file) = desk.also_a_batch(&args.name)? {
                complain(&format!("imeid: a batch has this NAME too: imeid show {file}"));
            }
            let orders = orders(&desk.view, imei, &services)?;
            if args.json { json(&ImeiJson::new(imei, &orders)) } else { Ok(imei_text(imei, &orders)) }
        }
        Named::Batch(batch, name) => {
            let missing = || Trouble::failed(format!("the batch {name} is gone"));
            let (work, own) = batch_of(&desk.view, batch)?.ok_or_else(missing)?;
            if args.json { json(&BatchJson::new(&work, &own)) } else { Ok(batch_text(&work, &own)) }
        }
    }
}

fn orders(view: &View, imei: Imei, services: &[ShownService]) -> Result<Vec<ShownOrder>, Trouble> {
    let mut orders = Vec::new();
    for service in services {
        orders.extend(view.shown_orders(service, imei)?);
    }
    Ok(orders)
}

fn batch_of(view: &View, batch: BatchId) -> Result<Option<(BatchWork, ShownBatch)>, Trouble> {
    Ok(view.batch(batch)?.zip(view.shown_batch(batch)?))
}

fn json(value: &impl Serialize) -> Result<String, Trouble> {
    serde_json::to_string_pretty(value).map_err(|error| Trouble::failed(error.to_string()))
}

/// `show IMEI --json`.
#[derive(Serialize)]
struct ImeiJson<'a> {
    schema: u32,
    imei: String,
    orders: &'a [ShownOrder],
    timeline: Vec<Moment>,
}

impl<'a> ImeiJson<'a> {
    fn new(imei: Imei, orders: &'a [ShownOrder]) -> Self {
        Self { schema: 1, imei: imei.to_string(), orders, timeline: timeline(orders) }
    }
}

/// `show BATCH --json`.
#[derive(Serialize)]
struct BatchJson<'a> {
    schema: u32,
    batch: &'a str,
    state: &'static str,
    rows: u64,
    by_status: std::collections::BTreeMap<&'static str, u64>,
    charged: String,
    presumed: String,
    reserved: String,
    taken_at: Timestamp,
    opened_at: Option<Timestamp>,
    #[serde(flatten)]
    own: &'a ShownBatch,
}

impl<'a> BatchJson<'a> {
    fn new(work: &'a BatchWork, own: &'a ShownBatch) -> Self {
        Self {
            schema: 1,
            batch: &work.name,
            state: work.state.as_str(),
            rows: work.rows_total,
            by_status: by_status(work).into_iter().map(|(status, n)| (status.as_str(), n)).collect(),
            charged: work.charged.to_string(),
            presumed: work.presumed.to_string(),
            reserved: work.reserved.to_string(),
            taken_at: work.taken_at,
            opened_at: work.opened_at,
            own,
        }
    }
}

/// Something that happened, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Moment {
    at: Timestamp,
    /// Of what happened at one time, what comes first.
    #[serde(skip)]
    rank: u8,
    /// The order in the journal that it is about.
    order: i64,
    text: String,
}

/// All that happened to these orders, in time order.
fn timeline(orders: &[ShownOrder]) -> Vec<Moment> {
    let mut moments = Vec::new();
    for order in orders {
        let mut add = |at, rank, text| moments.push(Moment { at, rank, order: order.id.0, text });
        for row in &order.rows {
            let was_there = order.attempts.first().is_some_and(|first| first.claimed_at < row.taken_at);
            add(row.taken_at, 0, row_text(row, was_there));
        }
        for attempt in &order.attempts {
            add(attempt.claimed_at, 1, begun_text(attempt));
            if let (Some(at), Some(verdict)) = (attempt.ended_at, attempt.verdict) {
                add(at, 4, ended_text(attempt, verdict));
            }
        }
        for answer in &order.answers {
            add(answer.at, 2, answer_text(answer));
        }
        for charge in &order.charges {
            add(charge.at, 3, format!("charged under order id {} ({})", charge.order_id, charge.via));
        }
        for ShownEvent { at, what, text } in &order.events {
            add(*at, 5, format!("{what}: {}", event_text(text)));
        }
    }
    moments.sort();
    moments
}

/// `was_there`: an attempt of the order is older than the row.
fn row_text(row: &ShownRow, was_there: bool) -> String {
    let ShownRow { batch, file, row, link, .. } = row;
    let how = match *link {
        "own" if was_there => "the order that is there is taken as made for it",
        "own" => "the order is made for it",
        "joined" => "waits for the order that is there",
        "left" => "its batch was cancelled, the order went on for another",
        _ => "answered free from the order that is there",
    };
    format!("{file} taken as {batch}: row {row}, {how}")
}

/// A transition that leaves the state as it is, as that of an order whose successor was made, is told as one.
fn event_text(text: &str) -> String {
    let (states, rest) = text.split_once(": ").map_or((text, None), |(states, rest)| (states, Some(rest)));
    match (states.split_once(" -> "), rest) {
        (Some((from, to)), Some(rest)) if from == to => format!("stays {to}: {rest}"),
        (Some((from, to)), None) if from == to => format!("stays {to}"),
        _ => text.to_owned(),
    }
}

/// The kind of an attempt that an older copy takes as made.
const ASSUMED: &str = "assumed";

fn begun_text(attempt: &ShownAttempt) -> String {
    let ShownAttempt { n, kind, price, .. } = attempt;
    match *kind {
        "probe" => format!("attempt {n}, a probe, begun: {price} reserved"),
        "evidence" => format!("attempt {n} entered on evidence: {price}"),
        ASSUMED => format!(
            "attempt {n} taken as made: {price}. The journal is an older copy's, and doesn't know what was sent after that"
        ),
        _ => format!("attempt {n} begun: {price} reserved"),
    }
}

fn ended_text(attempt: &ShownAttempt, verdict: &str) -> String {
    let n = attempt.n;
    let how = match verdict {
        "taken" if attempt.kind == ASSUMED => {
            "the provider has an order of it, its price is charged; a person may have made it"
        }
        "taken" => "it was taken, its price is charged",
        "unsent" => "it was never sent, its price is free again",
        "refused" => "it was refused by an answer, its price is free again",
        "unknown" => "its outcome isn't known, its price stays reserved",
        "presumed" => "its charge is presumed",
        "absent" => "released: the provider's listing doesn't have it",
        "word" => "released on a person's word",
        "once" => "released: the provider takes an IMEI once",
        "cleared" => "presumed for a while, then proven not to be there",
        other => other,
    };
    format!("attempt {n} ended; as it stands now: {how}")
}

/// An answer on one line, cut where it is long: the whole of it is in `--json`.
fn answer_text(answer: &ShownAnswer) -> String {
    const MOST: usize = 300;
    let line: String = answer.body.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut shown: String = line.trim().chars().take(MOST).collect();
    if line.trim().chars().count() > MOST {
        shown.push('…');
    }
    let http = answer.http.map(|http| format!(" (HTTP {http})")).unwrap_or_default();
    let what = match answer.kind.as_str() {
        "placed" => "answer to the order",
        "status" => "answer to a look at its status",
        "listed" => "as a list of orders has it",
        "export" => "as an export has it",
        other => other,
    };
    format!("{what}{http}: {shown}")
}

fn imei_text(imei: Imei, orders: &[ShownOrder]) -> String {
    let mut lines = vec![format!("IMEI {imei}")];
    for order in orders {
        let id = order.order_id.map(|id| format!(", order id {id}")).unwrap_or_default();
        let older = if order.newest { "" } else { ", a newer one took its place" };
        let export = if order.from_export { ", answered by an export" } else { "" };
        lines.push(format!("order {} of {}: {}{id}{export}{older}", order.id, order.service, order.state));
        if let Some(code) = &order.code {
            lines.push(format!("  {}", crate::result::fields(code).code));
        }
        if order.state == State::Rejected.as_str() {
            let due = due_back(order);
            lines
                .push(format!("  {due} is due back from the provider: its bill alone shows whether it came"));
        }
    }
    let several = orders.len() > 1;
    for Moment { at, order, text, .. } in timeline(orders) {
        let which = if several { format!("order {order}: ") } else { String::new() };
        lines.push(format!("{}  {which}{text}", local_stamp(at)));
    }
    one_line_each(&lines)
}

/// What a rejected order was charged.
fn due_back(order: &ShownOrder) -> Money {
    let charged = order.attempts.iter().filter(|attempt| attempt.verdict == Some("taken"));
    charged.fold(Money::ZERO, |sum, attempt| sum.checked_add(attempt.price).unwrap_or(sum))
}

/// File names and the provider's words can hold anything: none begins a line of its own or steers the terminal.
fn one_line_each(lines: &[String]) -> String {
    lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n")
}

fn batch_text(work: &BatchWork, own: &ShownBatch) -> String {
    let mut lines = vec![format!("batch {}: {}", work.name, work.state.as_str())];
    lines.push(format!(
        "  from {} ({} bytes), {} rows, service {}, archived as {}",
        own.file,
        own.bytes,
        work.rows_total,
        own.service,
        own.archived.as_deref().unwrap_or("(not yet)")
    ));
    let counts: Vec<String> =
        by_status(work).into_iter().map(|(status, n)| format!("{status} {n}")).collect();
    lines.push(format!("  {}", counts.join(", ")));
    lines.push(format!(
        "  charged {}, presumed {}, in flight or in doubt {}",
        work.charged, work.presumed, work.reserved
    ));
    for open in &own.open {
        lines.push(format!("  row {} IMEI {}: {}", open.row, open.imei, open.state));
    }
    for ShownEvent { at, what, text } in &own.events {
        lines.push(format!("{}  {what}: {text}", local_stamp(*at)));
    }
    one_line_each(&lines)
}
