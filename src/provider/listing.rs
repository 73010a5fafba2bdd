//! What the answers of the reading calls mean: `getimeis`, `imeiservices`, `accountinfo`.

use std::collections::HashSet;

use super::amount;
use super::wire::{Answer, BodyEnd, decode};
use super::words::{self, Refusal};
use super::xml::{self, Document, ERROR, Field, Item, shorten};
use crate::types::{
    AccountInfo, CallError, Imei, ProviderOrder, ProviderOrderId, ProviderService, ProviderStatus,
};

/// The orders of a `getimeis` answer.
///
/// All or nothing: an order without a readable id makes the whole answer [`CallError::Unreadable`], because what is
/// absent from a listing is evidence, and an order that was skipped would look absent.
///
/// # Errors
/// Everything that isn't a whole answer of that form.
pub fn orders(answer: &Answer) -> Result<Vec<ProviderOrder>, CallError> {
    read(answer, "result", |document| {
        let orders = numbered_orders(document).map(|order| order.map(|order| order.to_order()));
        orders.collect::<Result<_, _>>().map_err(|defect| CallError::Unreadable(defect.to_string()))
    })
}

/// The products of an `imeiservices` answer. One without a `PackageId` can't be ordered and is left out.
///
/// # Errors
/// Everything that isn't a whole answer of that form.
pub fn services(answer: &Answer) -> Result<Vec<ProviderService>, CallError> {
    read(answer, "Packages", |document| {
        let packages = document.items.iter().filter(|item| item.name == "Package");
        Ok(packages.map(service).filter(|service| !service.network_id.is_empty()).collect())
    })
}

/// The account of an `accountinfo` answer.
///
/// # Errors
/// Everything that isn't a whole answer of that form.
pub fn account(answer: &Answer) -> Result<AccountInfo, CallError> {
    read(answer, "Client", |document| {
        let credits = document.items.iter().find(|item| item.name == "ClientCredits");
        let credits_raw = credits.map(|item| item.text.trim().to_owned()).unwrap_or_default();
        Ok(AccountInfo { balance: amount::parse(&credits_raw), credits_raw })
    })
}

/// Sorts an answer: `meaning` is asked only for a whole document with this root and no error in it.
fn read<T>(
    answer: &Answer,
    root: &str,
    meaning: impl FnOnce(&Document<'_>) -> Result<T, CallError>,
) -> Result<T, CallError> {
    match (answer.http, answer.retry_after) {
        (200, _) => {}
        (429, wait) | (503, wait @ Some(_)) => return Err(CallError::Throttled(wait)),
        (other, _) => return Err(CallError::Http(other)),
    }
    match &answer.end {
        BodyEnd::Whole => {}
        BodyEnd::TimedOut(_) => return Err(CallError::Unreachable(answer.end.to_string())),
        BodyEnd::TooLarge(_) | BodyEnd::Broken(_) => {
            return Err(CallError::Unreadable(answer.end.to_string()));
        }
    }
    let text = decode(&answer.body);
    let document = xml::parse(&text);
    if let Some(defect) = &document.defect {
        return Err(CallError::Unreadable(defect.to_string()));
    }
    let error = document.items.iter().find(|item| item.name == ERROR);
    match error {
        _ if document.root == ERROR => Err(refusal(&document.text)),
        Some(error) if document.items.len() == 1 => Err(refusal(&error.text)),
        Some(error) => {
            Err(CallError::Unreadable(format!("an answer with the error text {:?}", shorten(&error.text))))
        }
        None if document.root == root => meaning(&document),
        None => Err(CallError::Unreadable(format!("an answer to another question, <{}>", document.root))),
    }
}

fn refusal(text: &str) -> CallError {
    let words = shorten(text);
    match words::sort(text) {
        Refusal::Account => CallError::Account(words),
        Refusal::Maintenance => CallError::Maintenance(words),
        Refusal::InvalidOrderId => CallError::InvalidOrderId,
        _ => CallError::Refused(words),
    }
}

/// An order of an answer that has an id.
pub(super) struct Numbered<'a> {
    pub(super) id: ProviderOrderId,
    fields: &'a [Field<'a>],
    raw: &'a str,
}

/// Why the orders of a whole answer can't be told from one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OrdersDefect {
    #[error("an order without a readable id")]
    NoId,
    #[error("orders run together in one <imeis>")]
    RunTogether,
}

/// The orders of a `<result>`, every one with an id.
///
/// One `<imeis>` is one order; where a field comes again inside one, the next order begins with it, if all of them
/// then have the same fields in the same order.
pub(super) fn numbered_orders<'a>(
    document: &'a Document<'_>,
) -> impl Iterator<Item = Result<Numbered<'a>, OrdersDefect>> {
    document.items.iter().filter(|item| item.name == "imeis").flat_map(orders_of)
}

/// The orders of one `<imeis>`, or why they can't be told.
fn orders_of<'a>(item: &'a Item<'_>) -> impl Iterator<Item = Result<Numbered<'a>, OrdersDefect>> {
    let is_alone = run_length(&item.fields) == item.fields.len();
    let defect = if item.fields.is_empty() {
        Some(OrdersDefect::NoId)
    } else if !is_alone && !are_alike(&item.fields) {
        Some(OrdersDefect::RunTogether)
    } else {
        None
    };
    let fields = if defect.is_none() { item.fields.as_slice() } else { &[] };
    let orders = runs(fields).map(move |run| {
        let id = field(run, "id").and_then(order_id).ok_or(OrdersDefect::NoId)?;
        Ok(Numbered { id, fields: run, raw: slice(item, run, is_alone) })
    });
    defect.map(Err).into_iter().chain(orders)
}

/// Whether all runs of these fields have the same names in the same order.
fn are_alike(fields: &[Field<'_>]) -> bool {
    let first = fields.get(..run_length(fields)).unwrap_or_default();
    runs(fields).all(|run| names(run).eq(names(first)))
}

fn names<'a>(run: &'a [Field<'_>]) -> impl Iterator<Item = &'a str> {
    run.iter().map(|field| field.name)
}

/// The fields of an `<imeis>`, cut where a name comes again.
fn runs<'a, 'b>(fields: &'a [Field<'b>]) -> impl Iterator<Item = &'a [Field<'b>]> {
    let mut rest = fields;
    std::iter::from_fn(move || {
        let (run, after) = rest.split_at_checked(run_length(rest)).filter(|(run, _)| !run.is_empty())?;
        rest = after;
        Some(run)
    })
}

/// So many names are compared each with each; a set of them costs more.
const FEW_FIELDS: usize = 16;

/// How many fields there are before a name comes again.
fn run_length(fields: &[Field<'_>]) -> usize {
    let again = if fields.len() <= FEW_FIELDS {
        let mut numbered = names(fields).enumerate();
        numbered.position(|(at, name)| names(fields).take(at).any(|earlier| earlier == name))
    } else {
        let mut seen = HashSet::new();
        names(fields).position(|name| !seen.insert(name))
    };
    again.unwrap_or(fields.len())
}

/// The order's own slice of the answer.
fn slice<'a>(item: &Item<'a>, run: &[Field<'_>], is_alone: bool) -> &'a str {
    match (run.first(), run.last()) {
        (Some(first), Some(last)) if !is_alone => {
            item.raw.get(first.span.start..last.span.end).unwrap_or(item.raw)
        }
        _ => item.raw,
    }
}

impl Numbered<'_> {
    /// Its IMEI, where it tells a well-formed one.
    pub(super) fn imei(&self) -> Option<Imei> {
        Imei::parse(self.text("imei"), false).ok()
    }

    fn text(&self, name: &str) -> &str {
        field(self.fields, name).unwrap_or_default()
    }

    fn to_order(&self) -> ProviderOrder {
        let status_id = self.text("statusId").trim();
        let status = match status_id {
            "2" => ProviderStatus::Completed,
            "3" => ProviderStatus::Rejected,
            _ => ProviderStatus::Pending,
        };
        ProviderOrder {
            id: self.id,
            imei: self.imei(),
            package: self.text("package").trim().to_owned(),
            status,
            status_raw: joined(status_id, self.text("status").trim()),
            code: self.text("code").to_owned(),
            requested_at: self.text("requestedat").trim().to_owned(),
            raw: self.raw.as_bytes().to_vec(),
        }
    }
}

/// Both with a blank between them, where there are both.
fn joined(first: &str, second: &str) -> String {
    let blank = if first.is_empty() || second.is_empty() { "" } else { " " };
    [first, blank, second].concat()
}

fn field<'a>(fields: &'a [Field<'_>], name: &str) -> Option<&'a str> {
    fields.iter().find(|field| field.name == name).map(|field| field.text.as_ref())
}

/// An order's id: digits only, not zero, and small enough to be stored as a signed number.
pub(super) fn order_id(text: &str) -> Option<ProviderOrderId> {
    let text = text.trim();
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let id = text.parse::<i64>().ok().and_then(|id| u64::try_from(id).ok())?;
    (id > 0).then_some(ProviderOrderId(id))
}

fn service(item: &Item<'_>) -> ProviderService {
    let text = |name| field(&item.fields, name).unwrap_or_default().trim().to_owned();
    ProviderService {
        network_id: text("PackageId"),
        title: text("PackageTitle"),
        category: text("Category"),
        price: amount::parse(&text("PackagePrice")),
        time_taken: text("TimeTaken"),
    }
}
