//! The twelve columns that imeid adds to a row.

use std::borrow::Cow;

use super::RowStatus;
use crate::types::{Money, ProviderOrderId, Timestamp};

/// The names of the added columns, in their order. They are an interface: added to, never renamed.
pub const COLUMNS: [&str; 12] = [
    "imeid_status",
    "imeid_order_id",
    "imeid_code",
    "imeid_carrier",
    "imeid_simlock",
    "imeid_model",
    "imeid_fmi",
    "imeid_imei2",
    "imeid_cost",
    "imeid_ordered_at",
    "imeid_completed_at",
    "imeid_note",
];

/// What imeid says of one row. What isn't known or not told is `None` or empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultCells {
    /// How it ended, or how far it is.
    pub status: RowStatus,
    /// The provider's id of its order.
    pub order_id: Option<ProviderOrderId>,
    /// The provider's answer, or its reason, in plain text.
    pub code: String,
    /// From the answer.
    pub carrier: Option<String>,
    /// From the answer.
    pub simlock: Option<String>,
    /// From the answer.
    pub model: Option<String>,
    /// From the answer: Find My iPhone.
    pub fmi: Option<String>,
    /// From the answer: the device's second IMEI, as it stands there.
    pub imei2: Option<String>,
    /// What was charged for this very row; zero for a row that shares another's order.
    pub cost: Option<Money>,
    /// When the order was taken.
    pub ordered_at: Option<Timestamp>,
    /// When its answer was seen.
    pub completed_at: Option<Timestamp>,
    /// A sentence for its reader: what it means and what to do.
    pub note: String,
}

impl ResultCells {
    /// A row of this status about which nothing else is known.
    #[must_use]
    pub const fn new(status: RowStatus) -> Self {
        Self {
            status,
            order_id: None,
            code: String::new(),
            carrier: None,
            simlock: None,
            model: None,
            fmi: None,
            imei2: None,
            cost: None,
            ordered_at: None,
            completed_at: None,
            note: String::new(),
        }
    }

    /// The same with what an answer says.
    #[must_use]
    pub fn with_fields(mut self, fields: super::Fields) -> Self {
        self.code = fields.code;
        self.carrier = fields.carrier;
        self.simlock = fields.simlock;
        self.model = fields.model;
        self.fmi = fields.fmi;
        self.imei2 = fields.imei2;
        self
    }

    /// The names of the columns.
    #[must_use]
    pub const fn columns() -> [&'static str; 12] {
        COLUMNS
    }

    /// The cells in the columns' order: money as `0.08`, times in RFC 3339 and UTC, unknown as empty.
    #[must_use]
    pub fn texts(&self) -> [Cow<'_, str>; 12] {
        [
            Cow::Borrowed(self.status.as_str()),
            shown(self.order_id),
            Cow::Borrowed(&self.code),
            told(self.carrier.as_deref()),
            told(self.simlock.as_deref()),
            told(self.model.as_deref()),
            told(self.fmi.as_deref()),
            told(self.imei2.as_deref()),
            shown(self.cost),
            shown(self.ordered_at),
            shown(self.completed_at),
            Cow::Borrowed(&self.note),
        ]
    }
}

fn told(field: Option<&str>) -> Cow<'_, str> {
    Cow::Borrowed(field.unwrap_or_default())
}

fn shown<T: std::fmt::Display>(value: Option<T>) -> Cow<'static, str> {
    value.map_or(Cow::Borrowed(""), |value| Cow::Owned(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_an_empty_cell() {
        let cells = ResultCells::new(RowStatus::Queued);
        let texts = cells.texts();
        assert_eq!(texts[0], "queued");
        assert!(texts[1..].iter().all(|text| text.is_empty()));
    }

    #[test]
    fn money_ids_and_times_are_written_for_programs() {
        let mut cells = ResultCells::new(RowStatus::Completed)
            .with_fields(super::super::fields("Carrier: Unlocked - Find My iPhone: OFF"));
        cells.order_id = Some(ProviderOrderId(15_562_209));
        cells.cost = Some(Money::from_micros(80_000));
        cells.ordered_at = Some(Timestamp::from_millis(1_763_091_180_999));
        let texts = cells.texts();
        let of = |name: &str| &texts[COLUMNS.iter().position(|column| *column == name).unwrap()];
        assert_eq!(of("imeid_order_id"), "15562209");
        assert_eq!(of("imeid_cost"), "0.08");
        assert_eq!(of("imeid_ordered_at"), "2025-11-14T03:33:00Z");
        assert_eq!(of("imeid_completed_at"), "");
        assert_eq!((of("imeid_carrier").as_ref(), of("imeid_fmi").as_ref()), ("Unlocked", "OFF"));
        assert_eq!(of("imeid_code"), "Carrier: Unlocked - Find My iPhone: OFF");
    }
}
