//! What a row's note says: for its reader, of its order as it stands and of what came before.
//!
//! What was only inferred is told as that: an attempt that was taken as not ordered was sent all the same, and may have
//! been paid.

#[cfg(test)]
mod tests;

use crate::journal::{Link, ResultOrder, ResultRow};
use crate::order::State;
use crate::result::RowStatus;
use crate::types::Money;
use crate::words;

/// How a person says what he found out.
const ASK: &str = "Look the IMEI up at the provider, and say what you found with imeid resolve.";

/// The sentences of a row whose order tells it `status`. `source`: the order that its answer is from.
pub(super) fn notes(
    row: &ResultRow,
    order: &ResultOrder,
    source: &ResultOrder,
    status: RowStatus,
) -> Vec<String> {
    if row.link == Link::Left {
        return vec![left(order)];
    }
    let mut notes = Vec::new();
    if order.has_result {
        notes.push(answered_from_export(order));
        return notes;
    }
    if row.link == Link::Joined {
        notes.push(format!("same as {}", whose(order)));
    }
    match (row.link, status) {
        (Link::Own, RowStatus::Duplicate) if source.state == State::Rejected => {
            notes.push(not_taken_anew(order, source));
        }
        (_, RowStatus::Duplicate) => notes.push(duplicate_of(source)),
        (Link::Earlier, RowStatus::Rejected) => notes.push(duplicate_of(order)),
        // It may have been paid: no file orders it anew, and none has an answer of it.
        (Link::Earlier, _) => {
            notes.push(format!("Not ordered anew: {} is there.", its_order(order)));
        }
        _ => {}
    }
    notes.extend(what_it_means(order, status));
    if row.link == Link::Own {
        notes.extend(what_it_cost(order));
    }
    if order.is_taken_for_ours {
        let nowhere = if order.batch_name.is_empty() { ", in the cost of no row" } else { "" };
        notes.push(format!(
            "The journal is an older copy's, and knows of it from an export alone: it is taken for imeid's, {} is booked as \
             charged{nowhere}, but a person may have ordered it.",
            order.charged
        ));
    }
    notes
}

/// The row that an order belongs to.
fn whose(order: &ResultOrder) -> String {
    match order.batch_name.as_ref() {
        "" => "an order of no file here".to_owned(),
        name => format!("{name} row {}", order.first_row),
    }
}

fn its_order(order: &ResultOrder) -> String {
    let of = if order.batch_name.is_empty() { "" } else { "the order of " };
    format!("{of}{}", whose(order))
}

fn left(order: &ResultOrder) -> String {
    format!(
        "Stopped here, and nothing is paid here: the order went on for {} row {}.",
        order.batch_name, order.first_row
    )
}

fn answered_from_export(order: &ResultOrder) -> String {
    let exported = order.exported.clone().unwrap_or_default();
    let when = if exported.date.is_empty() {
        String::new()
    } else {
        format!(", on {} by the provider's clock", exported.date)
    };
    let outcome = match (exported.rejected, has_code(order)) {
        (false, _) => "",
        (true, true) => " The provider gave it back: its reason is in imeid_code.",
        (true, false) => " The provider gave it back and told no reason.",
    };
    format!(
        "Answered free from the provider's export: it was ordered before{when}, by no order of this journal's.{outcome}"
    )
}

/// When it was taken, behind a name.
fn ordered_on(order: &ResultOrder) -> String {
    order.ordered_at.map_or_else(String::new, |at| format!(", ordered on {} (UTC)", words::date(at)))
}

/// The provider has it from an order of ours: what became of that one.
fn duplicate_of(order: &ResultOrder) -> String {
    let whose = whose(order);
    let when = ordered_on(order);
    match order.state {
        State::Completed | State::Rejected => format!("Answered free from {whose}{when}."),
        _ => format!("The provider has it from {whose}{when}: its answer is that one's."),
    }
}

/// It was made anew of one that the provider gave back, and the provider takes an IMEI once.
fn not_taken_anew(order: &ResultOrder, before: &ResultOrder) -> String {
    let is_of_this_row = (&before.batch_name, before.first_row) == (&order.batch_name, order.first_row);
    let whose = if is_of_this_row { "an earlier order of this row".to_owned() } else { whose(before) };
    let when = ordered_on(before);
    let reason = if has_code(before) { "its reason is in imeid_code" } else { "it told no reason" };
    format!(
        "The provider doesn't take it anew: it has it from {whose}{when}, and gave that one back: {reason}, and the price is due \
         back from it."
    )
}

fn what_it_means(order: &ResultOrder, status: RowStatus) -> Option<String> {
    let code = order.code.as_deref().unwrap_or_default();
    Some(match status {
        RowStatus::Completed | RowStatus::Duplicate | RowStatus::Invalid => return None,
        RowStatus::Rejected if has_code(order) => {
            "The provider took the order and gave it back: its reason is in imeid_code, and the price is due back from it.".to_owned()
        }
        RowStatus::Rejected => {
            "The provider took the order, gave it back and told no reason: the price is due back from it.".to_owned()
        }
        RowStatus::Refused => {
            let refused = format!("The provider does not take this IMEI ({code}).");
            match released(order) {
                Some(released) => format!("{refused} {released}: nothing was paid as far as can be told."),
                None => format!("{refused} Nothing was paid."),
            }
        }
        RowStatus::OrderedElsewhere => {
            "The provider says it was ordered before, by no order that imeid knows of: no charge is booked, and its answer is only at the provider.".to_owned()
        }
        RowStatus::Held => held(order),
        RowStatus::Cancelled => cancelled(order),
        RowStatus::Queued => match released(order) {
            Some(released) => format!("{released}: it waits to be sent again. Nothing to do."),
            None if order.was_sent => "Turned away for now, and waits to be sent again. Nothing to do.".to_owned(),
            None => "Not sent yet. Nothing to do.".to_owned(),
        },
        RowStatus::Submitting if order.charged > Money::ZERO => {
            "Ordered and paid; another attempt of it is still on its way. Nothing to do.".to_owned()
        }
        RowStatus::Submitting => "Being sent now. Nothing to do.".to_owned(),
        RowStatus::InDoubt => in_doubt(order),
        RowStatus::Ordered => ordered(order),
    })
}

fn in_doubt(order: &ResultOrder) -> String {
    let found_out = "Sent, or about to be, and no clear answer came: imeid finds out whether it was taken. Don't order it \
                     elsewhere meanwhile.";
    match &order.held_for {
        None => found_out.to_owned(),
        Some(why) => {
            format!(
                "{found_out} It waits: {why}. The provider's export, dropped into reconcile/, settles it if it was taken. {ASK}"
            )
        }
    }
}

fn ordered(order: &ResultOrder) -> String {
    match order.provider_id {
        Some(_) => "Ordered and paid; the answer isn't there yet. Nothing to do.".to_owned(),
        None if order.charged > Money::ZERO => {
            "Paid as the provider's export shows; the answer isn't there yet. A later export brings it.".to_owned()
        }
        None if order.presumed > Money::ZERO => {
            "The provider seems to have it and never told its order id: the charge is presumed.".to_owned()
        }
        None => {
            "The provider seems to have it from an earlier order, whose charge is presumed there: none is here.".to_owned()
        }
    }
}

fn cancelled(order: &ResultOrder) -> String {
    if order.charged > Money::ZERO {
        return "Given up after it was paid: it is not ordered again.".to_owned();
    }
    if order.presumed > Money::ZERO || order.reserved > Money::ZERO {
        return "Given up while it was not known whether it was paid: it is not ordered again.".to_owned();
    }
    if let Some(released) = released(order) {
        return format!(
            "{released}; then it was stopped. That proves nothing, so no file orders it again. If it was not charged at \
             the provider, imeid retry {} --not-charged does.",
            order.imei
        );
    }
    let what = if order.was_sent { "after the provider turned it away" } else { "before it was sent" };
    format!("Stopped {what}. Nothing was paid; drop it again to order it.")
}

fn held(order: &ResultOrder) -> String {
    let times = order.charges;
    if times > 1 {
        let which = match order.provider_id {
            Some(_) => ", and say by imeid resolve which order's answer counts",
            None => "",
        };
        return format!(
            "The provider has it {times} times, {} charged in all. Look the IMEI up at the provider{which}.",
            order.charged
        );
    }
    if let Some(id) = order.provider_id {
        return format!(
            "Paid, and its answer doesn't come: imeid asks on, more rarely. Ask the provider about order {id}."
        );
    }
    if order.charged > Money::ZERO
        && let Some(why) = &order.held_for
    {
        return format!("Paid ({}), and under which order id isn't known: {why}. {ASK}", order.charged);
    }
    if order.charged > Money::ZERO {
        return format!(
            "Paid as the provider's export shows ({}), and its order id was never told. {ASK}",
            order.charged
        );
    }
    if order.presumed > Money::ZERO {
        return format!(
            "The provider seems to have it and never told imeid its order id: the charge ({}) is presumed. {ASK}",
            order.presumed
        );
    }
    if order.reserved > Money::ZERO {
        if let Some(why) = &order.held_for {
            return format!(
                "It may have been sent, and it could not be found out whether it was taken: {why}. Up to {} may be charged.",
                order.reserved
            );
        }
        return format!(
            "It may have been sent, and it could not be found out whether it was taken: up to {} may be charged. {ASK}",
            order.reserved
        );
    }
    let was_released = order.released.by_word || order.released.on_absence;
    match order.inferred {
        1 if was_released => format!("Sent once and not taken as far as can be told. {ASK}"),
        times if was_released => format!("Sent {times} times and not taken as far as can be told. {ASK}"),
        _ => format!(
            "The provider seems to have it from an earlier order, whose charge is presumed there. {ASK}"
        ),
    }
}

/// That an attempt was sent, and by whose word or on what grounds it was taken as not ordered: the beginning of a
/// sentence. `None`: none was.
fn released(order: &ResultOrder) -> Option<String> {
    if order.inferred == 0 {
        return None;
    }
    let why = &order.released;
    let mut grounds = Vec::new();
    if why.by_word {
        let who = why.who.as_deref().map_or_else(|| "a person's".to_owned(), |who| format!("{who}'s"));
        grounds.push(format!("by {who} word"));
    }
    if why.on_absence {
        grounds.push("as the provider's listing didn't have it".to_owned());
    }
    if grounds.is_empty() {
        grounds.push("as the provider takes an IMEI once".to_owned());
    }
    let attempts = match order.inferred {
        1 => "An attempt was sent, or may have been, and was".to_owned(),
        times => format!("{times} attempts were sent, or may have been, and were"),
    };
    Some(format!("{attempts} taken as not ordered {}", grounds.join(" and ")))
}

/// What its cost is made of, where that isn't one order's price.
fn what_it_cost(order: &ResultOrder) -> Vec<String> {
    let mut notes = Vec::new();
    if order.charges > 1 && order.state != State::Held {
        notes.push(format!("The provider charged it {} times: imeid_cost is the sum.", order.charges));
    }
    if order.charged > Money::ZERO && order.presumed > Money::ZERO {
        notes.push(format!(
            "Another attempt may have been charged too: {} presumed, not in the cost here.",
            order.presumed
        ));
    }
    if order.charged_before > Money::ZERO {
        let back = if order.before_was_given_back { ", which the provider gave back" } else { "" };
        notes.push(format!(
            "Ordered anew: {} of the cost was for the order before{back}.",
            order.charged_before
        ));
    }
    notes
}

fn has_code(order: &ResultOrder) -> bool {
    order.code.as_deref().is_some_and(|code| !code.trim().is_empty())
}
