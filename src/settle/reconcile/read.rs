//! The provider's export as a stream of rows.
//!
//! A machine wrote it, perhaps a spreadsheet after it: comma, tab or semicolon, UTF-8, UTF-16 or Windows-1252, columns
//! in any order. Memory doesn't grow with it; a quotation mark that isn't closed draws in a record's worth at most.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use encoding_rs::WINDOWS_1252;
use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};

use crate::journal::{ExportRow, ExportedCells};
use crate::result::record;
use crate::types::{Imei, TitleOf, Titles};

/// The longest record, in bytes.
const MAX_RECORD_BYTES: usize = 1 << 20;
const DELIMITERS: [u8; 3] = *b",\t;";

/// Why a file is no export.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// It lacks columns; what it has instead.
    #[error("not an export")]
    NotAnExport {
        /// The columns that are missing.
        missing: Vec<&'static str>,
        /// The first line's cells.
        found: Vec<String>,
    },
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What a row of the file is.
#[derive(Debug)]
pub(super) enum ReadRow {
    /// Of a service that is known.
    Row(Box<ExportRow>),
    /// Of a title that no service has; the line and the title.
    UnknownTitle(u64, String),
    /// Of a title that several services have; the line and the title.
    SharedTitle(u64, String),
    /// It can't be read: the line, and what is wrong.
    Unreadable(u64, String),
}

/// The places of the columns.
#[derive(Clone, Debug, Default)]
struct Columns {
    service: usize,
    imei: usize,
    status: usize,
    code: usize,
    date: usize,
    carrier: Option<usize>,
    simlock: Option<usize>,
    model: Option<usize>,
    fmi: Option<usize>,
    imei2: Option<usize>,
}

impl Columns {
    fn of(header: &[String]) -> Result<Self, Vec<&'static str>> {
        let names: Vec<String> = header.iter().map(|name| reduced(name)).collect();
        let at = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
        let mut missing = Vec::new();
        let mut need = |title: &'static str, wanted: &[&str]| {
            at(wanted).unwrap_or_else(|| {
                missing.push(title);
                0
            })
        };
        let columns = Self {
            service: need("SERVICE", &["service", "servicename"]),
            imei: need("IMEI NO.", &["imeino", "imei", "imeinumber"]),
            status: need("STATUS", &["status"]),
            code: need("CODE", &["code"]),
            date: need("ORDER DATE", &["orderdate"]),
            carrier: at(&["carrier"]),
            simlock: at(&["simlock"]),
            model: at(&["model"]),
            fmi: at(&["fmi"]),
            imei2: at(&["imei2"]),
        };
        if missing.is_empty() { Ok(columns) } else { Err(missing) }
    }
}

/// `IMEI NO.` as `imeino`.
fn reduced(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Gives no more bytes than a record may have until it is told that the next one begins.
struct Guard<R> {
    inner: R,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            let why = "a line is longer than a million characters: a quotation mark may not be closed";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let room = buffer.len().min(left);
        let read = self.inner.read(buffer.get_mut(..room).unwrap_or_default())?;
        self.left.set(left.saturating_sub(read));
        Ok(read)
    }
}

/// An export that is being read.
pub(super) struct Export<F: Read> {
    reader: csv::Reader<Guard<DecodeReaderBytes<F, Vec<u8>>>>,
    left: Rc<Cell<usize>>,
    record: csv::ByteRecord,
    columns: Columns,
    delimiter: u8,
}

impl<F: Read + Seek> Export<F> {
    /// Reads the header.
    pub(super) fn open(mut file: F) -> Result<Self, OpenError> {
        let mut best: Option<(Vec<&'static str>, Vec<String>)> = None;
        for delimiter in DELIMITERS {
            file.seek(SeekFrom::Start(0))?;
            let header = {
                let (mut reader, _) = reader_of(&mut file, delimiter);
                let mut record = csv::ByteRecord::new();
                // What can't be read as a table isn't one: the next delimiter, or the refusal, says so.
                let _ = reader.read_byte_record(&mut record);
                record.iter().map(text).collect::<Vec<_>>()
            };
            match Columns::of(&header) {
                Ok(columns) => {
                    file.seek(SeekFrom::Start(0))?;
                    let (reader, left) = reader_of(file, delimiter);
                    let mut export =
                        Self { reader, left, record: csv::ByteRecord::new(), columns, delimiter };
                    export.advance()?;
                    return Ok(export);
                }
                Err(missing) => {
                    if best.as_ref().is_none_or(|(least, _)| missing.len() < least.len()) {
                        best = Some((missing, header));
                    }
                }
            }
        }
        let (missing, found) = best.unwrap_or_default();
        Err(OpenError::NotAnExport { missing, found })
    }

    fn advance(&mut self) -> io::Result<bool> {
        self.left.set(MAX_RECORD_BYTES);
        self.reader.read_byte_record(&mut self.record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, format!("{other:?}")),
        })
    }

    /// The next row that isn't blank.
    pub(super) fn next(&mut self, titles: &Titles) -> io::Result<Option<ReadRow>> {
        while self.advance()? {
            if self.record.iter().all(|cell| cell.trim_ascii().is_empty()) {
                continue;
            }
            return Ok(Some(self.row(titles)));
        }
        Ok(None)
    }

    fn row(&self, titles: &Titles) -> ReadRow {
        let line = self.record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| self.record.get(at).map(text).unwrap_or_default();
        let told = |at: Option<usize>| at.map(cell).unwrap_or_default().trim().to_owned();
        let columns = &self.columns;
        let code = cell(columns.code);
        if let Some(why) = self.swallowed(&code) {
            return ReadRow::Unreadable(line, why);
        }
        let imei = match Imei::parse(&cell(columns.imei), false) {
            Ok(imei) => imei,
            Err(error) => return ReadRow::Unreadable(line, error.to_string()),
        };
        let title = cell(columns.service);
        let service = match titles.title_of(&title) {
            TitleOf::One(service) => service,
            TitleOf::Nobody => return ReadRow::UnknownTitle(line, title.trim().to_owned()),
            TitleOf::Several => return ReadRow::SharedTitle(line, title.trim().to_owned()),
        };
        let date = cell(columns.date).trim().to_owned();
        let status = status(&cell(columns.status));
        ReadRow::Row(Box::new(ExportRow {
            line,
            service: service.0,
            imei: imei.as_u64(),
            status,
            code: code.trim().to_owned(),
            told_at: date_of(&date),
            cells: ExportedCells {
                carrier: told(columns.carrier),
                simlock: told(columns.simlock),
                model: told(columns.model),
                fmi: told(columns.fmi),
                imei2: told(columns.imei2),
                date,
                rejected: status == 3,
            },
            placed: None,
            raw: self.raw(),
        }))
    }

    /// A cell that goes over several lines, one of which is a row of its own, was not meant to.
    fn swallowed(&self, code: &str) -> Option<String> {
        let is_row = |line: &str| {
            line.split(char::from(self.delimiter))
                .nth(self.columns.imei)
                .is_some_and(|cell| Imei::parse(cell.trim_matches('"'), false).is_ok())
        };
        let swallowed = code.lines().skip(1).any(is_row);
        swallowed.then(|| "a quotation mark is not closed: rows below run into its CODE".to_owned())
    }

    fn raw(&self) -> String {
        let cells: Vec<String> = self.record.iter().map(text).collect();
        String::from_utf8_lossy(&record::encode(cells.iter().map(String::as_str))).into_owned()
    }
}

type Reader<F> = csv::Reader<Guard<DecodeReaderBytes<F, Vec<u8>>>>;

fn reader_of<F: Read>(file: F, delimiter: u8) -> (Reader<F>, Rc<Cell<usize>>) {
    let left = Rc::new(Cell::new(MAX_RECORD_BYTES));
    // UTF-16 by its mark; all else as it is, its cells are looked at one by one.
    let decoded = DecodeReaderBytesBuilder::new().utf8_passthru(true).strip_bom(true).build(file);
    let guard = Guard { inner: decoded, left: Rc::clone(&left) };
    let reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .has_headers(false)
        // A CR before it is cut off the cell: told of both, the reader counts its lines one too few.
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(guard);
    (reader, left)
}

/// A cell as text: UTF-8, else what Western Windows programs write.
fn text(cell: &[u8]) -> String {
    let cell = cell.strip_suffix(b"\r").unwrap_or(cell);
    match std::str::from_utf8(cell) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(cell).0.into_owned(),
    }
}

/// 2 completed, 3 rejected; every other word is still pending.
fn status(word: &str) -> u8 {
    match word.trim().to_lowercase().as_str() {
        "completed" | "2" => 2,
        "rejected" | "3" => 3,
        "pending" | "in process" | "1" | "4" => 1,
        unknown => {
            tracing::debug!(status = %unknown, "an export's status that is not known: taken as pending");
            1
        }
    }
}

/// `2025-11-14 3:33:00` in milliseconds, read as if it were UTC.
fn date_of(text: &str) -> Option<i64> {
    let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"];
    let date = formats.into_iter().find_map(|format| jiff::civil::DateTime::strptime(format, text).ok())?;
    jiff::tz::Offset::UTC.to_timestamp(date).ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::types::ServiceId;

    const HEADER: &str =
        "SERVICE,IMEI NO.,CREDITS,STATUS,CODE,IMEI 2,CARRIER,SIMLOCK,MODEL,FMI,ORDER DATE,NOTES";

    fn titles() -> Titles {
        let mut titles = Titles::default();
        for (service, title) in [(1, "iPhone Check"), (1, "twice"), (2, "Twice")] {
            titles.see(ServiceId(service), title);
        }
        titles
    }

    fn read(bytes: impl Into<Vec<u8>>) -> Vec<ReadRow> {
        let mut export = Export::open(Cursor::new(bytes.into())).unwrap();
        std::iter::from_fn(|| export.next(&titles()).unwrap()).collect()
    }

    fn row(n: u32) -> String {
        let imei = Imei::from_parts(35_000_000, n);
        format!(
            "iPhone  Check,{imei},$0.08,Completed,\"Model: X - Carrier: Y\",,Unlocked,Locked,iPhone,OFF,2025-11-14 3:33:00,"
        )
    }

    #[test]
    fn rows_are_read_whatever_the_delimiter_and_the_encoding() {
        let commas = format!("{HEADER}\r\n{}\r\n", row(1));
        let tabs = commas.replace(',', "\t");
        let mut utf16 = vec![0xff, 0xfe];
        utf16.extend(commas.encode_utf16().flat_map(u16::to_le_bytes));
        let files =
            [commas.clone().into_bytes(), tabs.into_bytes(), format!("\u{feff}{commas}").into_bytes(), utf16];
        for file in files {
            let rows = read(file);
            let [ReadRow::Row(row)] = &rows[..] else { panic!("{rows:?}") };
            assert_eq!((row.line, row.service, row.status), (2, 1, 2));
            assert_eq!(row.told_at, Some(1_763_091_180_000));
            assert_eq!((row.cells.carrier.as_str(), row.cells.simlock.as_str()), ("Unlocked", "Locked"));
            assert_eq!(row.code, "Model: X - Carrier: Y");
        }
    }

    #[test]
    fn a_file_that_lacks_a_column_is_no_export() {
        let refused = Export::open(Cursor::new("imei,shelf\n1,2\n".as_bytes().to_vec()));
        let Err(OpenError::NotAnExport { missing, found }) = refused else { panic!("read") };
        assert_eq!(missing, ["SERVICE", "STATUS", "CODE", "ORDER DATE"]);
        assert_eq!(found, ["imei", "shelf"]);
    }

    #[test]
    fn what_is_not_known_is_told_with_its_line() {
        let other = row(1).replace("iPhone  Check", "Samsung");
        let both = row(2).replace("iPhone  Check", "twice");
        let bad = row(3).replace(&Imei::from_parts(35_000_000, 3).to_string(), "12");
        let rows = read(format!("{HEADER}\n{other}\n{both}\n{bad}\n"));
        assert!(matches!(&rows[0], ReadRow::UnknownTitle(2, title) if title == "Samsung"));
        assert!(matches!(&rows[1], ReadRow::SharedTitle(3, _)), "a title of two services names neither");
        assert!(matches!(&rows[2], ReadRow::Unreadable(4, _)));
    }

    #[test]
    fn an_unclosed_quote_is_no_answer_and_draws_no_file_into_memory() {
        let torn = row(1).replace("Carrier: Y\"", "Carrier: Y");
        let rows = read(format!("{HEADER}\n{torn}\n{}\n{}\n", row(2), row(3)));
        assert!(matches!(&rows[0], ReadRow::Unreadable(2, _)), "{rows:?}");
        let endless = format!("{HEADER}\n{torn}{}", "x".repeat(3 << 20));
        let mut export = Export::open(Cursor::new(endless.into_bytes())).unwrap();
        assert_eq!(export.next(&titles()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn unknown_words_are_pending() {
        for (word, code) in [("Completed", 2), (" rejected ", 3), ("In Process", 1), ("Voila", 1), ("", 1)] {
            assert_eq!(status(word), code, "{word}");
        }
    }
}
