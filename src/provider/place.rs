//! What an answer of `placeorder` PROVES.
//!
//! There is one way to each of the good answers, and everything that leaves it is [`Unclear`]: an order may have been
//! taken. In particular no text that isn't in PROVIDER's table, no status but 200 and 429, and no body without its
//! root's end tag ever proves that nothing was taken.

use std::time::Duration;

use memchr::memchr_iter;

use super::listing::{Numbered, numbered_orders};
use super::wire::{Answer, BodyEnd, decode};
use super::words::{self, Refusal};
use super::xml::{self, Document, ERROR, Item, shorten};
use crate::types::{Imei, NotTaken, Placed, ProviderOrderId, Unclear};

/// More ids than this in an answer to a call for one order are noise.
const IDS_LIMIT: usize = 100;

/// What an answer of `placeorder` proves about the one order for `imei`.
#[must_use]
pub fn sort(imei: Imei, answer: &Answer) -> Placed {
    let text = decode(&answer.body);
    match proven(imei, answer, &text) {
        Ok(placed) => placed,
        Err(what) => unclear(what, told_ids(&text), answer.retry_after),
    }
}

/// An outcome that proves nothing.
pub(super) fn unclear(what: String, ids: Vec<ProviderOrderId>, retry_after: Option<Duration>) -> Placed {
    Placed::Unclear(Unclear { what, ids, retry_after })
}

/// What is proven, or why nothing is.
fn proven(imei: Imei, answer: &Answer, text: &str) -> Result<Placed, String> {
    match answer.http {
        200 => {}
        429 if told_ids(text).is_empty() => {
            return Ok(Placed::NotTaken(NotTaken::Throttled(answer.retry_after)));
        }
        other => return Err(format!("HTTP {other}")),
    }
    match &answer.end {
        BodyEnd::Whole => {}
        end => return Err(format!("HTTP 200, but {end}")),
    }
    let document = xml::parse(text);
    if let Some(defect) = &document.defect {
        return Err(format!("HTTP 200 with {defect}"));
    }
    match document.root {
        ERROR if told_ids(text).is_empty() => refusal(imei, &document.text),
        ERROR => Err("an error text with an order in it".to_owned()),
        "result" => result(imei, &document),
        other => Err(format!("an answer to another question, <{other}>")),
    }
}

fn refusal(imei: Imei, text: &str) -> Result<Placed, String> {
    let words = shorten(text);
    let not_taken = match words::sort(text) {
        Refusal::Account => NotTaken::Account(words),
        Refusal::Maintenance => NotTaken::Maintenance(words),
        Refusal::Credit => NotTaken::Credit(words),
        Refusal::UnknownService => NotTaken::UnknownService(words),
        Refusal::InvalidImei(named) if named.is_none_or(|named| named == imei.as_u64()) => {
            NotTaken::InvalidImei(words)
        }
        Refusal::AlreadyExists => return Ok(Placed::AlreadyExists),
        Refusal::InvalidImei(_) | Refusal::InvalidOrderId | Refusal::Unknown => {
            return Err(format!("the error text {words:?}"));
        }
    };
    Ok(Placed::NotTaken(not_taken))
}

/// `<result>`: one order for our IMEI, or our IMEI named as a duplicate, and nothing that speaks against it.
fn result(imei: Imei, document: &Document<'_>) -> Result<Placed, String> {
    if let Some(error) = document.items.iter().find(|item| item.name == ERROR) {
        return Err(format!("a result with the error text {:?}", shorten(&error.text)));
    }
    let orders = numbered_orders(document).collect::<Result<Vec<_>, _>>();
    let orders = orders.map_err(|defect| defect.to_string())?;
    let duplicates = duplicates(document);
    match (orders.as_slice(), duplicates.as_slice()) {
        ([order], []) => one_order(imei, order),
        ([], [first, rest @ ..]) if is_ours(imei, first) && rest.iter().all(|other| is_ours(imei, other)) => {
            if document.items.iter().all(|item| item.name == DUPLICATES) {
                Ok(Placed::AlreadyExists)
            } else {
                Err("a duplicate among things not known".to_owned())
            }
        }
        ([], []) => Err("a result without an order".to_owned()),
        ([], _) => Err("another IMEI named as a duplicate".to_owned()),
        (_, []) => Err(format!("{} orders for one IMEI", orders.len())),
        (_, _) => Err("an order and a duplicate at once".to_owned()),
    }
}

fn one_order(imei: Imei, order: &Numbered<'_>) -> Result<Placed, String> {
    match order.imei() {
        Some(named) if named == imei => Ok(Placed::Taken(order.id)),
        Some(_) => Err("an order for another IMEI".to_owned()),
        None => Err("an order without a readable IMEI".to_owned()),
    }
}

const DUPLICATES: &str = "imeiduplicates";

/// Every text in `<imeiduplicates>`, which may hold several parted by commas.
fn duplicates<'a>(document: &'a Document<'_>) -> Vec<&'a str> {
    let lists = document.items.iter().filter(|item| item.name == DUPLICATES);
    let fields = lists.flat_map(|item: &Item<'_>| &item.fields);
    fields.flat_map(|field| field.text.split(',')).map(str::trim).filter(|text| !text.is_empty()).collect()
}

fn is_ours(imei: Imei, text: &str) -> bool {
    Imei::parse(text, false) == Ok(imei)
}

/// Every order id that the text tells in whole, in whatever state the rest of it is: `<id>…</id>` behind an `<imeis`.
/// Evidence to look up, no proof.
fn told_ids(text: &str) -> Vec<ProviderOrderId> {
    let mut ids = Vec::new();
    let mut is_behind_an_order = false;
    // Where the text of the last `<id>` begins, until its end was seen.
    let mut open = None;
    for at in memchr_iter(b'<', text.as_bytes()) {
        let tag = text.get(at..).unwrap_or_default();
        if !is_behind_an_order {
            is_behind_an_order = tag.starts_with("<imeis");
        } else if tag.starts_with("<id>") {
            open = at.checked_add("<id>".len());
        } else if tag.starts_with("</id>")
            && let Some(id) = open.take().and_then(|from| super::listing::order_id(text.get(from..at)?))
            && !ids.contains(&id)
            && ids.len() < IDS_LIMIT
        {
            ids.push(id);
        }
    }
    ids
}
