//! What a row's result says: its order, as it stands, in the columns that imeid adds.

use crate::journal::{ExportedCells, Link, ResultOrder, ResultRow};
use crate::order::State;
use crate::result::{Header, ResultCells, RowStatus, fields};
use crate::types::Money;
use crate::words;

/// The cells of a row.
pub(super) fn cells(row: &ResultRow, header: &Header) -> ResultCells {
    let mut cells = match &row.order {
        None => invalid(row),
        Some(order) => of_order(row, order),
    };
    if row.row == 1 && !header.other_imei_columns.is_empty() {
        let others = header.other_imei_names().join(", ");
        add_note(&mut cells, &format!("Only the column {} was ordered, not {others}.", header.imei_name()));
    }
    cells
}

fn invalid(row: &ResultRow) -> ResultCells {
    let mut cells = ResultCells::new(RowStatus::Invalid);
    cells.cost = Some(Money::ZERO);
    cells.note = row.why_not.clone().unwrap_or_default();
    cells
}

/// The word for a row whose order is in this state.
pub(super) fn status(row: &ResultRow, order: &ResultOrder) -> RowStatus {
    match order.state {
        _ if row.link == Link::Left => RowStatus::Cancelled,
        State::Completed if row.link == Link::Earlier => RowStatus::Duplicate,
        State::Completed => RowStatus::Completed,
        State::Rejected => RowStatus::Rejected,
        State::Refused => RowStatus::Refused,
        State::OrderedElsewhere if order.has_result || row.earlier.is_some() => RowStatus::Duplicate,
        State::OrderedElsewhere => RowStatus::OrderedElsewhere,
        State::Held => RowStatus::Held,
        State::Cancelled => RowStatus::Cancelled,
        State::Queued => RowStatus::Queued,
        State::Submitting => RowStatus::Submitting,
        State::InDoubt => RowStatus::InDoubt,
        State::Ordered | State::OrderedNoId => RowStatus::Ordered,
    }
}

fn of_order(row: &ResultRow, order: &ResultOrder) -> ResultCells {
    let status = status(row, order);
    if row.link == Link::Left {
        let mut cells = ResultCells::new(status);
        cells.cost = Some(Money::ZERO);
        let note = format!(
            "Stopped before it was sent. Nothing was paid here; the IMEI was ordered for {} row {} all the same.",
            order.batch_name, order.first_row
        );
        add_note(&mut cells, &note);
        return cells;
    }
    // "Already exists" from an order of ours: the answer is that order's.
    let source = row.earlier.as_ref().unwrap_or(order);
    let mut cells = ResultCells::new(status);
    if let Some(code) = &source.code {
        match status {
            RowStatus::Completed | RowStatus::Duplicate => {
                cells = cells.with_fields(fields(code));
                if let Some(exported) = &source.exported {
                    fill_from_export(&mut cells, exported);
                }
            }
            RowStatus::Rejected => cells.code = fields(code).code,
            _ => {}
        }
    }
    cells.order_id = source.provider_id;
    cells.ordered_at = source.ordered_at;
    if matches!(source.state, State::Completed | State::Rejected) {
        cells.completed_at = source.done_at;
    }
    cells.cost = cost(row, order);
    for sentence in notes(row, order, source, status) {
        add_note(&mut cells, &sentence);
    }
    cells
}

/// An order belongs to one row: there, and only there, stands what was charged, so that the column sums to the
/// provider's bill. A charge that is only presumed stands there too, and the note says so.
fn cost(row: &ResultRow, order: &ResultOrder) -> Option<Money> {
    if row.link != Link::Own {
        return Some(Money::ZERO);
    }
    let own = match order.state {
        _ if order.charged > Money::ZERO => order.charged,
        _ if order.presumed > Money::ZERO => order.presumed,
        // Whether it is charged isn't known.
        _ if order.reserved > Money::ZERO => return None,
        _ => Money::ZERO,
    };
    own.checked_add(order.charged_before)
}

fn notes(row: &ResultRow, order: &ResultOrder, source: &ResultOrder, status: RowStatus) -> Vec<String> {
    let mut notes = Vec::new();
    match (row.link, status) {
        (_, RowStatus::Duplicate) if order.has_result => notes.push(answered_from_export(order)),
        (_, RowStatus::Duplicate) => notes.push(answered_from(source)),
        (Link::Joined, _) => notes.push(format!("same as {} row {}", order.batch_name, order.first_row)),
        (Link::Earlier, _) => notes.push(answered_from(order)),
        (Link::Own | Link::Invalid | Link::Left, _) => {}
    }
    if let Some(sentence) = what_it_means(order, status) {
        notes.push(sentence);
    }
    if row.link == Link::Own && order.charged > Money::ZERO && order.presumed > Money::ZERO {
        notes.push(format!(
            "An earlier attempt was never answered and may have been charged too: {} presumed, not in the cost here.",
            order.presumed
        ));
    }
    if row.link == Link::Own && order.charged_before > Money::ZERO {
        notes.push(format!(
            "Ordered anew: {} of the cost was for the order before, which the provider gave back.",
            order.charged_before
        ));
    }
    notes
}

/// Where the code doesn't tell a field, the export's own column may.
fn fill_from_export(cells: &mut ResultCells, exported: &ExportedCells) {
    for (cell, told) in [
        (&mut cells.carrier, &exported.carrier),
        (&mut cells.simlock, &exported.simlock),
        (&mut cells.model, &exported.model),
        (&mut cells.fmi, &exported.fmi),
        (&mut cells.imei2, &exported.imei2),
    ] {
        if cell.is_none() && !told.is_empty() && told != "-" {
            *cell = Some(told.clone());
        }
    }
}

fn answered_from_export(order: &ResultOrder) -> String {
    let exported = order.exported.clone().unwrap_or_default();
    let when = if exported.date.is_empty() {
        String::new()
    } else {
        format!(", on {} by the provider's clock", exported.date)
    };
    let outcome =
        if exported.rejected { " The provider gave it back: its reason is in imeid_code." } else { "" };
    format!("Answered free from the provider's export: it was ordered before{when}, not by imeid.{outcome}")
}

fn answered_from(order: &ResultOrder) -> String {
    let when = order.ordered_at.map_or_else(String::new, |at| format!(", ordered on {}", words::date(at)));
    format!("Answered free from {} row {}{when}.", order.batch_name, order.first_row)
}

fn what_it_means(order: &ResultOrder, status: RowStatus) -> Option<String> {
    let code = order.code.as_deref().unwrap_or_default();
    Some(match status {
        RowStatus::Completed | RowStatus::Duplicate | RowStatus::Invalid => return None,
        RowStatus::Rejected => {
            "The provider took the order and gave it back: its reason is in imeid_code, the price is refunded.".to_owned()
        }
        RowStatus::Refused => format!("The provider does not take this IMEI ({code}). Nothing was paid."),
        RowStatus::OrderedElsewhere => {
            "The provider says it was ordered before, not by imeid: nothing was paid, and its answer is only at the provider.".to_owned()
        }
        RowStatus::Held => held(order),
        RowStatus::Cancelled if order.charged > Money::ZERO => "Given up after it was paid.".to_owned(),
        RowStatus::Cancelled if order.presumed > Money::ZERO || order.reserved > Money::ZERO => {
            "Given up while it was not known whether it was paid: it is not ordered again.".to_owned()
        }
        RowStatus::Cancelled => "Stopped before it was sent. Nothing was paid; drop it again to order it.".to_owned(),
        RowStatus::Queued => "Not sent yet. Nothing to do.".to_owned(),
        RowStatus::Submitting => "Being sent now. Nothing to do.".to_owned(),
        RowStatus::InDoubt => {
            "Sent, and no clear answer came: imeid finds out whether it was taken. Don't order it elsewhere meanwhile.".to_owned()
        }
        RowStatus::Ordered if order.provider_id.is_none() && order.charged > Money::ZERO => {
            "Paid as the provider's export shows; the answer isn't there yet. A later export brings it.".to_owned()
        }
        RowStatus::Ordered if order.provider_id.is_none() => {
            "The provider has it but never told its order id: the charge is presumed.".to_owned()
        }
        RowStatus::Ordered => "Ordered and paid; the answer isn't there yet. Nothing to do.".to_owned(),
    })
}

fn held(order: &ResultOrder) -> String {
    let ask = "Look the IMEI up at the provider, and say what you found with imeid resolve.";
    if let Some(id) = order.provider_id {
        return format!(
            "Paid, and no answer for too long: imeid asks on, more rarely. Ask the provider about order {id}."
        );
    }
    if order.charged > Money::ZERO {
        return format!(
            "Paid as the provider's export shows ({}), and its order id was never told. {ask}",
            order.charged
        );
    }
    if order.presumed > Money::ZERO {
        return format!(
            "The provider has it but never told imeid its order id: the charge ({}) is presumed. {ask}",
            order.presumed
        );
    }
    if order.reserved > Money::ZERO {
        if let Some(why) = &order.held_for {
            return format!(
                "Sent, and it could not be found out whether it was taken: {why}. Up to {} may be charged.",
                order.reserved
            );
        }
        return format!(
            "Sent, and it could not be found out whether it was taken: up to {} may be charged. {ask}",
            order.reserved
        );
    }
    format!("Sent more than once and not taken as far as can be told. {ask}")
}

fn add_note(cells: &mut ResultCells, sentence: &str) {
    if !cells.note.is_empty() {
        // "same as NAME row N" alone is no sentence; before one it is.
        let ends = cells.note.ends_with(['.', '!', '?']);
        cells.note.push_str(if ends { " " } else { ". " });
    }
    cells.note.push_str(sentence);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_a_sentence_ends_and_what_stands_alone_stays_as_it_is() {
        let mut cells = ResultCells::new(RowStatus::Rejected);
        add_note(&mut cells, "same as stock row 1");
        assert_eq!(cells.note, "same as stock row 1");
        add_note(&mut cells, "The provider gave it back.");
        add_note(&mut cells, "And more.");
        assert_eq!(cells.note, "same as stock row 1. The provider gave it back. And more.");
    }
}
