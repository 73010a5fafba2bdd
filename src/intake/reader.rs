//! A dropped file as a table: opened once to judge the whole of it, then read row by row.
//!
//! Memory doesn't grow with the rows. Every pass streams the file from its start, with the same rules, so that what
//! was judged is what is read; where it isn't, the file was changed meanwhile, and [`Rows`] says so.

use std::io::{self, Read, Seek};

use super::reason::Refusal;
use super::scan::{Charset, fill, scan};
use super::sniff::{Guess, sniff};
use super::split::{Record, SplitError, Splitter};
use crate::result::{Header, record};
use crate::types::{Imei, ImeiError};

/// How much of a file's beginning is looked at for its delimiter and columns, in bytes of UTF-8.
const SAMPLE_BYTES: usize = 64 << 10;

/// Why a file can't be opened as a table.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is no table of IMEIs, and will not become one by itself.
    #[error("refused: {}", .0.what)]
    Refused(Refusal),
    /// It can't be read now; that may pass.
    #[error("can't be read: {0}")]
    Io(#[from] io::Error),
}

impl From<Refusal> for OpenError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Why a row can't be read from a file that was judged good.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file can't be read now.
    #[error("can't be read: {0}")]
    Io(#[from] io::Error),
    /// It isn't the file any more that was judged.
    #[error("the file was changed while it was being read: {0}")]
    Changed(String),
}

/// One data row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number among the data rows, from 1.
    pub number: u32,
    /// The line of the file in which it begins, from 1.
    pub line: u64,
    /// What its IMEI cell holds. A row too short to have one has an empty one.
    pub imei: Result<Imei, ImeiError>,
    /// All its cells, as [`record::encode`] writes them.
    pub raw: Vec<u8>,
}

impl Row {
    /// The cell that should hold the IMEI, as it stands.
    #[must_use]
    pub fn imei_cell(&self, header: &Header) -> String {
        let cell = record::cells(&self.raw).nth(header.imei_column).unwrap_or_default();
        String::from_utf8_lossy(&cell).into_owned()
    }
}

/// A file that was judged: it is text, has an IMEI column and at least one valid IMEI, and every quote is closed.
#[derive(Debug)]
pub struct Table<F> {
    file: F,
    charset: Charset,
    sep_line: bool,
    luhn: bool,
    header: Header,
    rows: u32,
    valid: u32,
}

impl<F: Read + Seek> Table<F> {
    /// Judges the whole file, from its start. With `luhn`, an IMEI's check digit must be right.
    ///
    /// # Errors
    /// [`OpenError::Refused`] with the reason for people, or [`OpenError::Io`].
    pub fn open(file: F, luhn: bool) -> Result<Self, OpenError> {
        Self::open_and_tell(file, luhn, |_, _| {})
    }

    /// [`Table::open`], where `tell` hears the number and IMEI of every row that holds one, as it is judged: nothing of it
    /// counts if the file is refused in the end.
    ///
    /// # Errors
    /// As [`Table::open`].
    pub fn open_and_tell(mut file: F, luhn: bool, tell: impl FnMut(u32, Imei)) -> Result<Self, OpenError> {
        let charset = scan(&mut file)?.map_err(Refusal::not_text)?;
        let guess = {
            let mut start = vec![0u8; SAMPLE_BYTES];
            let read = fill(&mut charset.reader(&mut file)?, &mut start)?;
            sniff(start.get(..read).unwrap_or_default(), read < SAMPLE_BYTES, luhn)
        };
        let judged = judge(charset.reader(&mut file)?, &guess, luhn, tell);
        let judged = judged.map_err(|error| match Refusal::of_split(error) {
            Ok(refusal) => OpenError::Refused(refusal),
            Err(error) => OpenError::Io(error),
        })?;
        let mut header = guess.header.map_err(|first| {
            if judged.rows == 0 { Refusal::empty(false) } else { Refusal::no_imei_column(&first) }
        })?;
        if judged.rows == 0 {
            return Err(Refusal::empty(true).into());
        }
        if let (0, Some((line, cell, error))) = (judged.valid, &judged.first_bad) {
            return Err(Refusal::no_valid_imei(&header, judged.rows, *line, cell, error).into());
        }
        header.width = header.width.max(judged.width);
        let count = |count: u64| u32::try_from(count).map_err(|_| Refusal::too_many_rows());
        let (rows, valid) = (count(judged.rows)?, count(judged.valid)?);
        Ok(Self { file, charset, sep_line: guess.sep_line, luhn, header, rows, valid })
    }

    /// Its columns.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// How many data rows it has, those without a valid IMEI among them.
    pub const fn row_count(&self) -> u32 {
        self.rows
    }

    /// How many rows hold a valid IMEI (repeats counted each time).
    pub const fn valid_count(&self) -> u32 {
        self.valid
    }

    /// The name of its encoding, for the log.
    pub const fn encoding(&self) -> &'static str {
        self.charset.name()
    }

    /// Its rows, from the first. Can be called again.
    ///
    /// # Errors
    /// Where the file can't be read.
    pub fn rows(&mut self) -> io::Result<Rows<'_>> {
        let splitter = Splitter::new(self.charset.reader(&mut self.file)?, self.header.delimiter);
        let walk = Walk::new(splitter, self.sep_line, Some(&self.header), self.luhn)?;
        Ok(Rows { walk, number: 0, valid: 0, expected: (self.rows, self.valid), done: false })
    }
}

/// What a pass over the whole file found.
#[derive(Default)]
struct Judged {
    rows: u64,
    valid: u64,
    /// Cells in the widest row.
    width: usize,
    /// The first row without a valid IMEI: line, cell, what is wrong.
    first_bad: Option<(u64, String, ImeiError)>,
}

fn judge(
    text: impl Read,
    guess: &Guess,
    luhn: bool,
    mut tell: impl FnMut(u32, Imei),
) -> Result<Judged, SplitError> {
    let splitter = Splitter::new(text, guess.delimiter);
    let mut walk = Walk::new(splitter, guess.sep_line, guess.header.as_ref().ok(), luhn)?;
    let mut judged = Judged::default();
    while let Some(used) = walk.advance()? {
        // Lines of delimiters only, cut by another delimiter, look like rows.
        if guess.header.is_err() && !walk.record.cells().any(has_letter_or_digit) {
            continue;
        }
        judged.rows = judged.rows.saturating_add(1);
        judged.width = judged.width.max(used);
        match walk.imei() {
            Ok(imei) => {
                judged.valid = judged.valid.saturating_add(1);
                // Of more rows than a file may have nothing is told: it is refused.
                if let Ok(number) = u32::try_from(judged.rows) {
                    tell(number, imei);
                }
            }
            Err(error) if judged.first_bad.is_none() => {
                judged.first_bad = Some((walk.record.line, walk.imei_cell().into_owned(), error));
            }
            Err(_) => {}
        }
    }
    Ok(judged)
}

fn has_letter_or_digit(cell: &[u8]) -> bool {
    cell.iter().any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
}

/// Goes from data row to data row, past the `sep=` line, the header and blank rows.
struct Walk<R> {
    splitter: Splitter<R>,
    record: Record,
    delimiter: u8,
    imei_column: usize,
    header_ahead: bool,
    luhn: bool,
}

impl<R: Read> Walk<R> {
    fn new(
        mut splitter: Splitter<R>,
        sep_line: bool,
        header: Option<&Header>,
        luhn: bool,
    ) -> io::Result<Self> {
        if sep_line {
            splitter.skip_line()?;
        }
        Ok(Self {
            splitter,
            record: Record::default(),
            delimiter: header.map_or(b',', |header| header.delimiter),
            imei_column: header.map_or(0, |header| header.imei_column),
            header_ahead: header.is_some_and(|header| header.has_header),
            luhn,
        })
    }

    /// Reads the next data row into `record`: how many cells it has up to the last that isn't blank.
    fn advance(&mut self) -> Result<Option<usize>, SplitError> {
        while self.splitter.read(&mut self.record)? {
            let used = self.record.used();
            if used == 0 {
                continue;
            }
            self.refuse_swallowed_rows()?;
            if !std::mem::take(&mut self.header_ahead) {
                return Ok(Some(used));
            }
        }
        Ok(None)
    }

    /// A cell that goes over several lines, one of which is a whole row of its own, was not meant to: two inch marks
    /// (`"5.5` here, `6.1"` two rows below) look like one quoted cell, and the rows between would be lost in it.
    fn refuse_swallowed_rows(&self) -> Result<(), SplitError> {
        for (at, opened) in &self.record.spans {
            let cell = String::from_utf8_lossy(self.record.cell(*at).unwrap_or_default());
            let is_row = |line: &str| {
                line.contains(char::from(self.delimiter))
                    && line
                        .split(char::from(self.delimiter))
                        .nth(self.imei_column)
                        .is_some_and(|cell| Imei::parse(cell, self.luhn).is_ok())
            };
            if cell.lines().skip(1).any(is_row) {
                let cell = cell.lines().next().unwrap_or_default().to_owned();
                return Err(SplitError::Unclosed { line: *opened, cell });
            }
        }
        Ok(())
    }

    fn imei_cell(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.record.cell(self.imei_column).unwrap_or_default())
    }

    fn imei(&self) -> Result<Imei, ImeiError> {
        Imei::parse(&self.imei_cell(), self.luhn)
    }

    fn raw(&self) -> Vec<u8> {
        let cells: Vec<_> = self.record.cells().map(String::from_utf8_lossy).collect();
        record::encode(cells.iter().map(AsRef::as_ref))
    }
}

/// The rows of a [`Table`]. After an error there are no more.
pub struct Rows<'a> {
    walk: Walk<Box<dyn Read + 'a>>,
    number: u32,
    valid: u32,
    expected: (u32, u32),
    done: bool,
}

impl Rows<'_> {
    fn read(&mut self) -> Result<Option<Row>, ReadError> {
        let next = self.walk.advance().map_err(|error| match error {
            SplitError::Io(error) => ReadError::Io(error),
            other => ReadError::Changed(other.to_string()),
        })?;
        if next.is_none() {
            return self.compare().map(|()| None);
        }
        self.number =
            self.number.checked_add(1).ok_or_else(|| ReadError::Changed("too many rows".to_owned()))?;
        let imei = self.walk.imei();
        self.valid = self.valid.saturating_add(u32::from(imei.is_ok()));
        Ok(Some(Row { number: self.number, line: self.walk.record.line, imei, raw: self.walk.raw() }))
    }

    fn compare(&self) -> Result<(), ReadError> {
        let found = (self.number, self.valid);
        if found == self.expected {
            return Ok(());
        }
        let ((rows, valid), (rows_before, valid_before)) = (found, self.expected);
        Err(ReadError::Changed(format!(
            "{rows} rows with {valid} IMEIs, before {rows_before} with {valid_before}"
        )))
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.read().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}
