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
        let orders = numbered_orders(document).map_err(|defect| CallError::Unreadable(defect.to_string()))?;
        Ok(orders.iter().map(Numbered::to_order).collect())
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
pub(super) fn numbered_orders<'a>(document: &'a Document<'_>) -> Result<Vec<Numbered<'a>>, OrdersDefect> {
    let mut orders = Vec::new();
    for item in document.items.iter().filter(|item| item.name == "imeis") {
        let runs = runs(&item.fields);
        let first = runs.first().ok_or(OrdersDefect::NoId)?;
        if !runs.iter().all(|run| names(run).eq(names(first))) {
            return Err(OrdersDefect::RunTogether);
        }
        for run in &runs {
            let id = field(run, "id").and_then(order_id).ok_or(OrdersDefect::NoId)?;
            orders.push(Numbered { id, fields: run, raw: slice(item, run, runs.len() == 1) });
        }
    }
    Ok(orders)
}

fn names<'a>(run: &'a [Field<'_>]) -> impl Iterator<Item = &'a str> {
    run.iter().map(|field| field.name)
}

/// The fields of an `<imeis>`, cut where a name comes again.
fn runs<'a, 'b>(fields: &'a [Field<'b>]) -> Vec<&'a [Field<'b>]> {
    let mut runs = Vec::new();
    let mut rest = fields;
    while let Some((first, others)) = rest.split_first() {
        let mut seen = HashSet::from([first.name]);
        let more = others.iter().take_while(|field| seen.insert(field.name));
        let (run, after) = rest.split_at(more.count().saturating_add(1));
        runs.push(run);
        rest = after;
    }
    runs
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
            status_raw: format!("{status_id} {}", self.text("status").trim()).trim().to_owned(),
            code: self.text("code").to_owned(),
            requested_at: self.text("requestedat").trim().to_owned(),
            raw: self.raw.as_bytes().to_vec(),
        }
    }
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
