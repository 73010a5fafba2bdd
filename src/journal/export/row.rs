//! A row of an export, as it is read, and as it is kept.

use serde::{Deserialize, Serialize};

use super::super::probing::{ToldOf, stood_at_once};
use crate::types::{Imei, ProviderStatus, ServiceId};

/// What an export's row says of the check beside its code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedCells {
    /// `CARRIER`
    pub carrier: String,
    /// `SIMLOCK`
    pub simlock: String,
    /// `MODEL`
    pub model: String,
    /// `FMI`
    pub fmi: String,
    /// `IMEI 2`
    pub imei2: String,
    /// `ORDER DATE` as it stands, in the provider's own, unknown time zone.
    pub date: String,
    /// The provider gave it back.
    pub rejected: bool,
}

/// A row of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRow {
    /// Its line in the file, from 1.
    pub line: u64,
    /// The service that its title stands for.
    pub service: i64,
    /// Its IMEI.
    pub imei: u64,
    /// 1 pending, 2 completed, 3 rejected.
    pub status: u8,
    /// `CODE`
    pub code: String,
    /// What else it says.
    pub cells: ExportedCells,
    /// `ORDER DATE` in milliseconds, read as if it were UTC; `None`: can't be read.
    pub told_at: Option<i64>,
    /// Between which times of our clock, in unix milliseconds, it was ordered, once its date is placed.
    pub placed: Option<(i64, i64)>,
    /// The row as it stands, as one CSV record.
    pub raw: String,
}

impl ExportRow {
    /// How far it is.
    #[must_use]
    pub const fn status(&self) -> ProviderStatus {
        match self.status {
            2 => ProviderStatus::Completed,
            3 => ProviderStatus::Rejected,
            _ => ProviderStatus::Pending,
        }
    }

    /// Where it stands, and of when it says it is, for people.
    pub(super) fn told(&self) -> String {
        match self.cells.date.as_str() {
            "" => format!("line {} of an export", self.line),
            date => format!("line {} of an export, ordered on {date} by the provider's clock", self.line),
        }
    }

    /// Whether both show the same order: the same line, word for word, or one from before it was finished. Exports are pasted
    /// together, and dropped again later.
    #[must_use]
    pub fn is_same_order(&self, other: &Self) -> bool {
        if self.export_key() != other.export_key() {
            return false;
        }
        let is_later_look = self.told_at.is_some()
            && self.told_at == other.told_at
            && self.status().has_ended() != other.status().has_ended();
        self.raw == other.raw || is_later_look
    }

    pub(super) fn key(&self) -> Option<(ServiceId, Imei)> {
        Imei::from_u64(self.imei).map(|imei| (ServiceId(self.service), imei))
    }
}

/// One row of each order: the one that tells more.
pub(in super::super) fn one_each<'a>(rows: impl IntoIterator<Item = &'a ExportRow>) -> Vec<&'a ExportRow> {
    let mut each: Vec<&ExportRow> = Vec::new();
    for row in rows {
        match each.iter_mut().find(|known| known.is_same_order(row)) {
            Some(known) if row.status().has_ended() && !known.status().has_ended() => *known = row,
            Some(_) => {}
            None => each.push(row),
        }
    }
    each
}

/// Whether each of these rows, all of one key, may have been given back before the next was ordered.
pub(super) fn first_is_given_back<'a>(rows: impl IntoIterator<Item = &'a ExportRow>) -> bool {
    let told =
        |row: &ExportRow| ToldOf { rejected: row.status() == ProviderStatus::Rejected, place: row.placed };
    let told: Vec<ToldOf> = one_each(rows).into_iter().map(told).collect();
    !stood_at_once(&told)
}
