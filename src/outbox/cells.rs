//! What a row's result says: its order, as it stands, in the columns that imeid adds.

use crate::journal::{ExportedCells, Link, ResultOrder, ResultRow};
use crate::order::State;
use crate::result::{Header, ResultCells, RowStatus, fields};
use crate::types::Money;

use super::notes::notes;

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
        State::OrderedElsewhere if row.earlier.is_some() => RowStatus::Duplicate,
        State::OrderedElsewhere if order.is_result_rejected => RowStatus::Rejected,
        State::OrderedElsewhere if order.has_result => RowStatus::Duplicate,
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
    // "Already exists" from an order of ours: the answer is that order's.
    let source = row.earlier.as_deref().unwrap_or(order);
    let mut cells = ResultCells::new(status);
    if row.link == Link::Left {
        cells.cost = Some(Money::ZERO);
        for sentence in notes(row, order, source, status) {
            add_note(&mut cells, &sentence);
        }
        return cells;
    }
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
        // Whether it is charged isn't known; what was charged before it is.
        _ if order.reserved > Money::ZERO && order.charged_before == Money::ZERO => return None,
        _ => Money::ZERO,
    };
    own.checked_add(order.charged_before)
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
