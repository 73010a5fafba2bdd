//! What is known of an input file's columns: found once by intake, kept in the journal as JSON, and used again to
//! write the result.

use serde::{Deserialize, Serialize};

/// The columns of an input file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The byte between cells: `,`, `;`, tab, `|`, or what a first line `sep=…` says.
    pub delimiter: u8,
    /// The columns' names as the file writes them, those of an earlier result included; made up where the file has
    /// no header (`imei`, `column2`…).
    pub columns: Vec<String>,
    /// The place (from 0) of the column that is ordered.
    pub imei_column: usize,
    /// Whether the file's first line is a header.
    pub has_header: bool,
    /// The places of columns that hold IMEIs too and are not ordered.
    pub other_imei_columns: Vec<usize>,
    /// Cells in the widest row, empty ones at its end not counted; never less than `columns`.
    pub width: usize,
}

impl Header {
    /// The name of the column that is ordered.
    #[must_use]
    pub fn imei_name(&self) -> &str {
        self.columns.get(self.imei_column).map_or("imei", String::as_str)
    }

    /// The names of the columns that hold IMEIs too and are not ordered.
    #[must_use]
    pub fn other_imei_names(&self) -> Vec<&str> {
        self.other_imei_columns.iter().filter_map(|at| self.columns.get(*at)).map(String::as_str).collect()
    }

    /// A name for each of the `width` columns: the file's own, then `columnN` for cells beyond its header.
    pub fn names(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.width.max(self.columns.len()))
            .map(|at| self.columns.get(at).cloned().unwrap_or_else(|| Self::made_up(at)))
    }

    /// The name of a column (place from 0) that has none: `column2` for the second.
    #[must_use]
    pub fn made_up(at: usize) -> String {
        format!("column{}", at.saturating_add(1))
    }

    /// Whether a column of this name is of an earlier result, and so is replaced.
    #[must_use]
    pub fn is_result_column(name: &str) -> bool {
        name.trim().get(..6).is_some_and(|start| start.eq_ignore_ascii_case("imeid_"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            delimiter: b';',
            columns: vec!["IMEI".into(), "IMEI 2".into()],
            imei_column: 0,
            has_header: true,
            other_imei_columns: vec![1],
            width: 4,
        }
    }

    #[test]
    fn cells_beyond_the_header_get_names() {
        assert_eq!(header().names().collect::<Vec<_>>(), ["IMEI", "IMEI 2", "column3", "column4"]);
        assert_eq!((header().imei_name(), header().other_imei_names()), ("IMEI", vec!["IMEI 2"]));
    }

    #[test]
    fn a_header_survives_the_journal() {
        let json = serde_json::to_string(&header()).unwrap();
        assert_eq!(serde_json::from_str::<Header>(&json).unwrap(), header());
    }

    #[test]
    fn only_columns_of_a_result_are_replaced() {
        for name in ["imeid_status", " IMEID_code", "imeid_"] {
            assert!(Header::is_result_column(name), "{name}");
        }
        for name in ["imei", "imei_status", "imeid", "ïmeid_", ""] {
            assert!(!Header::is_result_column(name), "{name}");
        }
    }
}
