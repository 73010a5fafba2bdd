//! A person says what became of an order that is in doubt or held.

use super::JournalError;
use super::export;
use super::orders::{self, Loaded, Rules, Telling};
use super::pause;
use super::requests::{Request, RequestAnswer};
use super::rest;
use super::tx::Tx;
use crate::order::{Effect, Event, State, Word};
use crate::types::{Imei, ProviderOrderId, Timestamp};

/// What the provider tells of an order id that a person names. A wrong one can't be taken back: another IMEI's would
/// keep that one from its answer, one that isn't would stand in the books as a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was not asked: only the daemon has the key, and none runs.
    Unasked,
    /// There is such an order.
    Order {
        /// Its IMEI, where it tells one.
        imei: Option<Imei>,
        /// What it is an order of, in the provider's words.
        package: String,
    },
    /// It knows no such id, or tells nothing of it.
    Nothing,
    /// It could not be asked: why.
    Unreachable(String),
}

impl Seen {
    /// As the event log tells it behind the word.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Order { imei, package } => {
                let imei = imei.map_or_else(|| "no IMEI".to_owned(), |imei| format!("IMEI {imei}"));
                format!(" (the provider tells {imei}, {package})")
            }
            Self::Unasked => " (taken unseen)".to_owned(),
            Self::Nothing | Self::Unreachable(_) => String::new(),
        }
    }

    /// Why this id can't be believed to be the order of this IMEI.
    fn against(&self, id: ProviderOrderId, own: Imei) -> Option<String> {
        let why = match self {
            Self::Unasked => return None,
            Self::Order { imei: Some(imei), .. } if *imei == own => return None,
            Self::Order { imei: Some(imei), package } => {
                format!(
                    "at the provider order id {id} is IMEI {imei}'s ({package}), not {own}'s: nothing was changed"
                )
            }
            Self::Order { imei: None, .. } => {
                format!("the provider tells no IMEI that can be read for order id {id}: nothing was changed")
            }
            Self::Nothing => format!("the provider knows no order id {id}: nothing was changed"),
            Self::Unreachable(why) => {
                format!(
                    "order id {id} could not be looked up ({why}): nothing was changed, try it again later"
                )
            }
        };
        Some(why)
    }
}

/// "It was ordered, under this id."
pub(super) fn order_id(
    tx: &Tx<'_>,
    request: &Request,
    order: &mut Loaded,
    id: ProviderOrderId,
    now: Timestamp,
    rules: &Rules,
) -> Result<RequestAnswer, JournalError> {
    if id.0 == 0 || i64::try_from(id.0).is_err() {
        return Ok(RequestAnswer::nothing(format!("{id} is no order id of the provider's")));
    }
    // One id, one order: a slip of the finger must not settle one IMEI with another's answer.
    let owner = orders::owner(tx, order.service, id)?;
    if let Some(owner) = owner
        && owner != order.id
    {
        let other = orders::load(tx, owner)?;
        let service = pause::service_name(tx, other.service)?;
        let of = if other.service == order.service { String::new() } else { format!(" (service {service})") };
        return Ok(RequestAnswer::nothing(format!("order id {id} is IMEI {}'s already{of}", other.imei)));
    }
    if let Some(why) = request.seen.against(id, order.imei) {
        return Ok(RequestAnswer::nothing(why));
    }
    if let Some(why) = another_services(tx, order, id, &request.seen)? {
        return Ok(RequestAnswer::nothing(why));
    }
    let word = Word::OrderId { id, quiet_over: quiet_over(tx, order, now, rules), booked: owner.is_some() };
    let moved = say(tx, request, order, word, now, rules)?;
    if let (None, Seen::Order { package, .. }) = (&moved, &request.seen) {
        // By a person's word this is what the provider calls its service: no poll takes it for another one's then.
        export::note_title(tx, order.service, package)?;
    }
    Ok(moved.unwrap_or_else(|| {
        let done = format!("IMEI {} is ordered under id {id}", order.imei);
        RequestAnswer::done(match &request.seen {
            Seen::Order { package, .. } => format!("{done} ({package}): its answer is asked for"),
            _ => format!("{done}: the id was taken unseen, for no daemon runs that could ask the provider"),
        })
    }))
}

/// Why an id can't be believed to be of the order's service: another one's orders are called so, and its own otherwise.
fn another_services(
    tx: &Tx<'_>,
    order: &Loaded,
    id: ProviderOrderId,
    seen: &Seen,
) -> Result<Option<String>, JournalError> {
    let Seen::Order { package, .. } = seen else { return Ok(None) };
    let account: Option<String> =
        tx.find("SELECT account FROM services WHERE id = ?1", [order.service.0], |row| row.get(0))?;
    let titles = export::seen_titles(tx, &account.unwrap_or_default())?;
    let Some(other) = titles.anothers(order.service, package) else { return Ok(None) };
    let (name, own) = (pause::service_name(tx, other)?, pause::service_name(tx, order.service)?);
    Ok(Some(format!(
        "at the provider order id {id} is of {package}, which is the service {name}, not {own}: nothing was changed"
    )))
}

/// "It was not ordered."
pub(super) fn not_ordered(
    tx: &Tx<'_>,
    request: &Request,
    order: &mut Loaded,
    now: Timestamp,
    rules: &Rules,
) -> Result<RequestAnswer, JournalError> {
    let word = Word::NotOrdered { quiet_over: quiet_over(tx, order, now, rules) };
    let moved = say(tx, request, order, word, now, rules)?;
    Ok(moved.unwrap_or_else(|| {
        RequestAnswer::done(format!("IMEI {} is queued and will be sent again", order.imei))
    }))
}

/// Carries an order through a word. Some: nothing came of it, and why.
pub(super) fn say(
    tx: &Tx<'_>,
    request: &Request,
    order: &mut Loaded,
    word: Word,
    now: Timestamp,
    rules: &Rules,
) -> Result<Option<RequestAnswer>, JournalError> {
    let text = request.told();
    let telling = Telling { what: "word", text: &text, via: "word", quiet: false };
    let moved = orders::advance(tx, order, &Event::Word(word), now, rules, &telling)?;
    Ok(match moved {
        None => Some(RequestAnswer::nothing("that isn't possible now: see the alarm")),
        Some(moved) => {
            told(&moved.effects).map(|why| RequestAnswer::nothing(format!("IMEI {}: {why}", order.imei)))
        }
    })
}

/// What the operator is told where nothing came of his word.
pub(super) fn told(effects: &[Effect]) -> Option<&'static str> {
    effects.iter().find_map(|effect| match effect {
        Effect::Tell(why) => Some(*why),
        _ => None,
    })
}

/// Whether no request of this order can still be worked on at the provider.
fn quiet_over(tx: &Tx<'_>, order: &Loaded, now: Timestamp, rules: &Rules) -> bool {
    let is_over = |since| rest::is_over(tx, order.id, since, order.rested_after, now, rules.quiet);
    order.life.state != State::Submitting && order.doubt_since.is_none_or(is_over)
}
