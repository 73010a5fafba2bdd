//! A person says what became of an order that is in doubt or held.

use super::JournalError;
use super::books;
use super::orders::{self, Loaded, Moved, Rules, Telling};
use super::requests::{Request, RequestAnswer};
use super::rest;
use super::tx::Tx;
use crate::order::{Effect, Event, State, Word};
use crate::types::{OrderId, ProviderOrderId, Timestamp};

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
    let owner = owner(tx, order, id)?;
    if let Some(owner) = owner
        && owner != order.id
    {
        let other = orders::load(tx, owner)?;
        return Ok(RequestAnswer::nothing(format!("order id {id} is IMEI {}'s already", other.imei)));
    }
    let word = Word::OrderId { id, quiet_over: quiet_over(tx, order, now, rules), booked: owner.is_some() };
    let moved = say(tx, request, order, word, now, rules)?;
    Ok(moved.unwrap_or_else(|| {
        RequestAnswer::done(format!("IMEI {} is ordered under id {id}: its answer is asked for", order.imei))
    }))
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
            why_not(&moved).map(|why| RequestAnswer::nothing(format!("IMEI {}: {why}", order.imei)))
        }
    })
}

/// What the operator is told where nothing came of his word.
pub(super) fn why_not(moved: &Moved) -> Option<&'static str> {
    moved.effects.iter().find_map(|effect| match effect {
        Effect::Tell(why) => Some(*why),
        _ => None,
    })
}

/// Whether no request of this order can still be worked on at the provider.
fn quiet_over(tx: &Tx<'_>, order: &Loaded, now: Timestamp, rules: &Rules) -> bool {
    let is_over = |since| rest::is_over(tx, order.id, since, order.rested_after, now, rules.quiet);
    order.life.state != State::Submitting && order.doubt_since.is_none_or(is_over)
}

/// The order of ours that an id is booked for.
fn owner(tx: &Tx<'_>, like: &Loaded, id: ProviderOrderId) -> Result<Option<OrderId>, JournalError> {
    tx.find(
        "SELECT charges.order_id FROM charges JOIN services ON services.account = charges.account \
         WHERE services.id = ?1 AND charges.provider_id = ?2",
        (like.service.0, books::provider_id(id)),
        |row| row.get(0).map(OrderId),
    )
}
