//! Writes a result as CSV: the input's own columns as they were, then those that imeid adds.
//!
//! In the input's delimiter, UTF-8 with a byte order mark and CRLF, as spreadsheets want it. Columns of an earlier
//! result are left out where they stood: the new ones replace them at the end.

use std::borrow::Cow;
use std::io::{self, Write};

use csv::{Terminator, WriterBuilder};

use crate::result::{Header, ResultCells, record};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 64 << 10;
/// What spreadsheets know UTF-8 by.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Writes one result table, row after row. What isn't finished with [`ResultWriter::finish`] is not whole.
pub struct ResultWriter<W: Write> {
    csv: csv::Writer<W>,
    /// For each of the input's columns whether it stays.
    keeps: Vec<bool>,
}

impl<W: Write> ResultWriter<W> {
    /// Begins a table with its header line.
    ///
    /// # Errors
    /// Where `out` can't be written.
    pub fn new(mut out: W, header: &Header) -> io::Result<Self> {
        out.write_all(BYTE_ORDER_MARK)?;
        let mut csv = WriterBuilder::new()
            .delimiter(header.delimiter)
            .terminator(Terminator::CRLF)
            .buffer_capacity(BUFFER_BYTES)
            .from_writer(out);
        let names: Vec<String> = header.names().collect();
        let keeps: Vec<bool> = names.iter().map(|name| !Header::is_result_column(name)).collect();
        for (name, _) in names.iter().zip(&keeps).filter(|(_, keeps)| **keeps) {
            csv.write_field(name).map_err(io_error)?;
        }
        csv.write_record(ResultCells::columns()).map_err(io_error)?;
        Ok(Self { csv, keeps })
    }

    /// Writes a row: its own cells, as intake encoded them, and what imeid says of it. A row shorter than the header
    /// is filled with empty cells.
    ///
    /// # Errors
    /// Where the output can't be written; [`io::ErrorKind::InvalidData`] for a row with text beyond the header's
    /// width, which can't be a row of that header.
    pub fn row(&mut self, raw: &[u8], cells: &ResultCells) -> io::Result<()> {
        let mut own = record::cells(raw);
        for keeps in &self.keeps {
            let cell = own.next().unwrap_or_default();
            if *keeps {
                self.csv.write_field(cell).map_err(io_error)?;
            }
        }
        if own.any(|cell| !String::from_utf8_lossy(&cell).trim().is_empty()) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a row is wider than its header says"));
        }
        for text in cells.texts() {
            self.csv.write_field(defused(&text).as_bytes()).map_err(io_error)?;
        }
        self.csv.write_record(None::<&[u8]>).map_err(io_error)
    }

    /// Writes what is still gathered and gives the output back, to be made durable.
    ///
    /// # Errors
    /// Where the output can't be written.
    pub fn finish(self) -> io::Result<W> {
        self.csv.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

/// The provider's text comes from strangers: a spreadsheet must not run it as a formula.
fn defused(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Keeps what kind of error it is: a full disk is treated otherwise than the rest.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::Table;
    use crate::result::{COLUMNS, RowStatus, fields};
    use crate::types::{Imei, Money};
    use proptest::prelude::*;
    use std::io::Cursor;

    fn imei(serial: u32) -> String {
        Imei::from_parts(35_000_000, serial).to_string()
    }

    fn open(bytes: &[u8]) -> Table<Cursor<Vec<u8>>> {
        Table::open(Cursor::new(bytes.to_vec()), true).unwrap()
    }

    fn answered(code: &str) -> ResultCells {
        let mut cells = ResultCells::new(RowStatus::Completed).with_fields(fields(code));
        cells.cost = Some(Money::from_micros(80_000));
        cells
    }

    /// The result of a whole file whose every row is answered alike.
    fn written(table: &mut Table<Cursor<Vec<u8>>>, cells: &ResultCells) -> Vec<u8> {
        let header = table.header().clone();
        let mut writer = ResultWriter::new(Vec::new(), &header).unwrap();
        for row in table.rows().unwrap() {
            writer.row(&row.unwrap().raw, cells).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read_back(bytes: &[u8], delimiter: u8) -> Vec<Vec<String>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(bytes);
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn a_result_is_the_input_with_our_columns_behind_it() {
        let text = format!("IMEI;model;\n{};\"a;\r\n\"\"b\"\"\";\n{};=1+1;;beyond\nx\n", imei(1), imei(2));
        let result = written(&mut open(text.as_bytes()), &answered("Carrier: A - Model: B"));
        let text = String::from_utf8(result.clone()).unwrap();
        assert!(text.starts_with("\u{feff}IMEI;model;;column4;imeid_status;imeid_order_id;"), "{text}");
        let lines = read_back(&result, b';');
        assert_eq!(lines[1][..5], [imei(1).as_str(), "a;\r\n\"b\"", "", "", "completed"]);
        assert_eq!(lines[2][..5], [imei(2).as_str(), "=1+1", "", "beyond", "completed"]);
        assert_eq!(lines[3][..5], ["x", "", "", "", "completed"]);
        assert_eq!(lines[1][6..10], ["Carrier: A - Model: B", "A", "", "B"]);
        assert_eq!(lines[1][12], "0.08");
        assert_eq!(text.matches("\r\n").count(), 1 + lines.len());
    }

    #[test]
    fn a_file_without_a_header_gets_one() {
        let text = format!("x,{}\ny,{}\n", imei(1), imei(2));
        let result = written(&mut open(text.as_bytes()), &ResultCells::new(RowStatus::Queued));
        let lines = read_back(&result, b',');
        assert_eq!(
            (lines.len(), &lines[0][..3]),
            (3, ["column1", "imei", "imeid_status"].map(String::from).as_slice())
        );
    }

    #[test]
    fn an_earlier_results_columns_are_replaced() {
        let text = format!("imeid_status,imei,IMEID_Note,model\nheld,{},old,m\n", imei(1));
        let result = written(&mut open(text.as_bytes()), &ResultCells::new(RowStatus::Queued));
        let lines = read_back(&result, b',');
        let names: Vec<&str> = ["imei", "model"].into_iter().chain(COLUMNS).collect();
        assert_eq!(lines[0], names);
        assert_eq!(lines[1][..3], [imei(1).as_str(), "m", "queued"]);
    }

    #[test]
    fn nothing_that_we_add_runs_in_a_spreadsheet() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            let mut cells = ResultCells::new(RowStatus::Rejected);
            cells.code = formula.to_owned();
            let text = format!("imei,own\n{},\"{formula}\"\n", imei(1));
            let lines = read_back(&written(&mut open(text.as_bytes()), &cells), b',');
            assert_eq!((lines[1][1].as_str(), &lines[1][4]), (formula, &format!("'{formula}")));
        }
    }

    #[test]
    fn a_row_of_another_header_is_refused_rather_than_cut() {
        let table = open(format!("imei\n{}\n", imei(1)).as_bytes());
        let mut writer = ResultWriter::new(Vec::new(), table.header()).unwrap();
        let error = writer.row(b"1,2", &ResultCells::new(RowStatus::Queued)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_full_disk_is_told_as_one() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if bytes == BYTE_ORDER_MARK {
                    Ok(bytes.len())
                } else {
                    Err(io::ErrorKind::StorageFull.into())
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let table = open(format!("imei\n{}\n", imei(1)).as_bytes());
        let Err(error) = ResultWriter::new(Full, table.header()).and_then(ResultWriter::finish) else {
            panic!("written to a full disk");
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    fn own_cell() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z =;,|\t\"ä€📱-]{0,9}",
            "[a-z]{1,3}(\r\n|\n)[a-z]{1,3}",
            (0..999_999u32).prop_map(imei)
        ]
    }

    proptest! {
        #[test]
        fn a_result_read_back_is_what_went_in_and_can_be_dropped_again(
            rows in proptest::collection::vec(proptest::collection::vec(own_cell(), 0..4), 1..12),
            delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t'), Just(b'|')],
            code in any::<String>(), note in "[ -~\r\n]{0,20}",
        ) {
            let mut input = WriterBuilder::new().flexible(true).delimiter(delimiter).from_writer(Vec::new());
            input.write_record(["first", "Imei No.", "imeid_code"]).unwrap();
            input.write_record(["x", imei(1).as_str(), "old"]).unwrap();
            for row in &rows {
                input.write_record(["r"].into_iter().chain(row.iter().map(String::as_str))).unwrap();
            }
            let mut cells = answered(&code);
            cells.note = note;
            let mut table = open(&input.into_inner().unwrap());
            let (width, count) = (table.header().width, table.row_count());
            let result = written(&mut table, &cells);

            let lines = read_back(&result, delimiter);
            let kept = |row: &[String]| -> Vec<String> {
                let cell = |at: usize| row.get(at).cloned().unwrap_or_default();
                (0..width).filter(|at| *at != 2).map(cell).collect()
            };
            let added: Vec<String> = cells.texts().iter().map(|text| defused(text).into_owned()).collect();
            for (line, row) in lines.iter().skip(2).zip(&rows) {
                let row: Vec<String> = std::iter::once("r".to_owned()).chain(row.iter().cloned()).collect();
                prop_assert_eq!(line, &[kept(&row), added.clone()].concat());
            }

            let mut again = open(&result);
            prop_assert_eq!(again.header().delimiter, delimiter);
            prop_assert_eq!((again.header().imei_name(), again.row_count()), ("Imei No.", count));
            // A second round changes nothing any more.
            prop_assert_eq!(written(&mut again, &cells), result);
        }
    }
}
