//! Cuts a stream of text into records and cells, as the csv crate does (a test compares the two), and does three
//! things more that a dropped file needs: it knows each record's true line, where an unclosed quote was opened, and
//! it has limits, so that such a quote can't draw a whole file into memory.

use std::io::{self, Read};

/// The longest record, in bytes of its cells. A row of a stock list has hundreds.
const MAX_RECORD_BYTES: usize = 1 << 20;
/// The most cells in a record: as many as a spreadsheet has columns.
const MAX_CELLS: usize = 16_384;
/// Bytes read at once.
const BUFFER_BYTES: usize = 64 << 10;
/// How much of an unclosed cell is told, in bytes.
const SHOWN_BYTES: usize = 200;

/// Why a stream can't be cut into records.
#[derive(Debug, thiserror::Error)]
pub(super) enum SplitError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A cell's opening quote is never closed, or closed only by the next cell's.
    #[error("the quotation mark that opens a cell in line {line} is not closed")]
    Unclosed { line: u64, cell: String },
    #[error("line {line} is too long")]
    TooLong { line: u64 },
    #[error("line {line} has too many cells")]
    TooManyCells { line: u64 },
}

/// One record; its memory is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Record {
    text: Vec<u8>,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
    /// The line (from 1) in which it begins.
    pub(super) line: u64,
    /// The quoted cells that go over several lines: the cell (from 0) and the line in which it opens.
    pub(super) spans: Vec<(usize, u64)>,
}

impl Record {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.spans.clear();
    }

    /// The cell at this place (from 0).
    pub(super) fn cell(&self, at: usize) -> Option<&[u8]> {
        let end = *self.ends.get(at)?;
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.text.get(start..end)
    }

    /// All cells, in order.
    pub(super) fn cells(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).filter_map(|at| self.cell(at))
    }

    /// How many cells there are up to the last that isn't blank; 0 in a row that is none.
    pub(super) fn used(&self) -> usize {
        let blank =
            |cell: &[u8]| cell.trim_ascii().is_empty() || String::from_utf8_lossy(cell).trim().is_empty();
        (0..self.ends.len())
            .rev()
            .find(|at| self.cell(*at).is_some_and(|cell| !blank(cell)))
            .map_or(0, |last| last.saturating_add(1))
    }

    fn end_cell(&mut self) {
        self.ends.push(self.text.len());
    }

    /// The first line of the cell being read, for a person to find it by.
    fn open_cell_text(&self) -> String {
        let start = self.ends.last().copied().unwrap_or(0);
        let cell = self.text.get(start..).unwrap_or_default();
        let cell = cell.get(..SHOWN_BYTES).unwrap_or(cell);
        String::from_utf8_lossy(cell).lines().next().unwrap_or_default().to_owned()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    RecordStart,
    CellStart,
    Plain,
    /// Inside quotes that were opened in this line.
    Quoted(u64),
    /// Behind a quote inside quotes: it closes, or is the first of a doubled one.
    QuoteEnd(u64),
}

/// Reads records from UTF-8 (or any other text that holds ASCII as it is).
pub(super) struct Splitter<R> {
    source: R,
    delimiter: u8,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// The line (from 1) of the next byte.
    line: u64,
    /// The last byte was a CR that ended a line: an LF now belongs to it.
    after_cr: bool,
}

impl<R: Read> Splitter<R> {
    pub(super) fn new(source: R, delimiter: u8) -> Self {
        Self { source, delimiter, buffer: vec![0; BUFFER_BYTES], at: 0, end: 0, line: 1, after_cr: false }
    }

    /// Leaves out the rest of the line.
    pub(super) fn skip_line(&mut self) -> io::Result<()> {
        while self.has_more()? {
            let chunk = self.buffer.get(self.at..self.end).unwrap_or_default();
            match chunk.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
                Some(found) => {
                    self.at = self.at.saturating_add(found);
                    return Ok(());
                }
                None => self.at = self.end,
            }
        }
        Ok(())
    }

    /// Reads the next record; `false` at the end. A line without a character is no record.
    ///
    /// # Errors
    /// A [`SplitError`]; nothing can be read after it.
    pub(super) fn read(&mut self, record: &mut Record) -> Result<bool, SplitError> {
        record.clear();
        let mut state = State::RecordStart;
        while self.has_more()? {
            state = match state {
                State::Plain => self.plain(record),
                State::Quoted(opened) => self.quoted(record, opened),
                State::RecordStart | State::CellStart | State::QuoteEnd(_) => self.step(record, state)?,
            };
            if state == State::RecordStart && !record.ends.is_empty() {
                return Ok(true);
            }
            within_limits(record, state, self.line)?;
        }
        match state {
            State::RecordStart => Ok(false),
            State::Quoted(line) => Err(SplitError::Unclosed { line, cell: record.open_cell_text() }),
            State::CellStart | State::Plain | State::QuoteEnd(_) => {
                if let State::QuoteEnd(opened) = state {
                    self.note_span(record, opened);
                }
                record.end_cell();
                Ok(true)
            }
        }
    }

    fn has_more(&mut self) -> io::Result<bool> {
        while self.at >= self.end {
            self.at = 0;
            self.end = 0;
            match self.source.read(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end = read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// One byte where a record or cell begins, or behind a quote.
    fn step(&mut self, record: &mut Record, state: State) -> Result<State, SplitError> {
        let byte = self.buffer.get(self.at).copied().unwrap_or_default();
        if byte == b'"' {
            self.take_one();
            if let State::QuoteEnd(opened) = state {
                record.text.push(b'"');
                return Ok(State::Quoted(opened));
            }
            self.begin(record, state);
            return Ok(State::Quoted(self.line));
        }
        if matches!(byte, b'\r' | b'\n') && state == State::RecordStart {
            self.take_line_end(byte);
            return Ok(State::RecordStart);
        }
        self.begin(record, state);
        if let State::QuoteEnd(opened) = state {
            self.note_span(record, opened);
            let closes = byte == self.delimiter || matches!(byte, b'\r' | b'\n' | b' ' | b'\t');
            if opened < self.line && !closes {
                // The quote that seemed to close it opens the next quoted cell: lines have run together.
                return Err(SplitError::Unclosed { line: opened, cell: record.open_cell_text() });
            }
        }
        Ok(self.end_or_plain(record, byte))
    }

    fn begin(&self, record: &mut Record, state: State) {
        if state == State::RecordStart {
            record.line = self.line;
        }
    }

    fn note_span(&self, record: &mut Record, opened: u64) {
        if opened < self.line {
            record.spans.push((record.ends.len(), opened));
        }
    }

    /// A byte that ends a cell, a record, or belongs to unquoted text, which is then read by `plain`.
    fn end_or_plain(&mut self, record: &mut Record, byte: u8) -> State {
        if byte == self.delimiter {
            self.take_one();
            record.end_cell();
            return State::CellStart;
        }
        if matches!(byte, b'\r' | b'\n') {
            record.end_cell();
            self.take_line_end(byte);
            return State::RecordStart;
        }
        State::Plain
    }

    /// Unquoted text up to what ends it, or the buffer's end. Quotes in it are text.
    fn plain(&mut self, record: &mut Record) -> State {
        let delimiter = self.delimiter;
        match self.take_until(record, |byte| byte == delimiter || matches!(byte, b'\r' | b'\n')) {
            Some(byte) => self.end_or_plain(record, byte),
            None => State::Plain,
        }
    }

    /// Quoted text up to a quote, with the line breaks in it, or to the buffer's end.
    fn quoted(&mut self, record: &mut Record, opened: u64) -> State {
        match self.take_until(record, |byte| matches!(byte, b'"' | b'\r' | b'\n')) {
            Some(b'"') => {
                self.take_one();
                State::QuoteEnd(opened)
            }
            Some(line_end) => {
                record.text.push(line_end);
                self.take_line_end(line_end);
                State::Quoted(opened)
            }
            None => State::Quoted(opened),
        }
    }

    /// Moves text into the record up to the first byte that `stops`, which is told and left.
    fn take_until(&mut self, record: &mut Record, stops: impl Fn(u8) -> bool) -> Option<u8> {
        let chunk = self.buffer.get(self.at..self.end).unwrap_or_default();
        let found = chunk.iter().position(|byte| stops(*byte));
        let text = chunk.get(..found.unwrap_or(chunk.len())).unwrap_or_default();
        record.text.extend_from_slice(text);
        if !text.is_empty() {
            self.after_cr = false;
        }
        self.at = self.at.saturating_add(text.len());
        found.and_then(|found| chunk.get(found)).copied()
    }

    fn take_one(&mut self) {
        self.at = self.at.saturating_add(1);
        self.after_cr = false;
    }

    /// Counts a line's end: CR, LF or both together.
    fn take_line_end(&mut self, byte: u8) {
        let second_half = byte == b'\n' && self.after_cr;
        if !second_half {
            self.line = self.line.saturating_add(1);
        }
        self.at = self.at.saturating_add(1);
        self.after_cr = byte == b'\r';
    }
}

fn within_limits(record: &Record, state: State, line: u64) -> Result<(), SplitError> {
    if record.ends.len() > MAX_CELLS {
        return Err(SplitError::TooManyCells { line: record.line });
    }
    if record.text.len() <= MAX_RECORD_BYTES {
        return Ok(());
    }
    Err(match state {
        State::Quoted(opened) | State::QuoteEnd(opened) if opened < line => {
            SplitError::Unclosed { line: opened, cell: record.open_cell_text() }
        }
        _ => SplitError::TooLong { line: record.line },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Rows = Vec<(u64, Vec<String>)>;

    fn split(text: &str, delimiter: u8) -> Result<Rows, SplitError> {
        let mut splitter = Splitter::new(text.as_bytes(), delimiter);
        let mut record = Record::default();
        let mut rows = Vec::new();
        while splitter.read(&mut record)? {
            rows.push((
                record.line,
                record.cells().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect(),
            ));
        }
        Ok(rows)
    }

    fn by_csv(text: &str) -> Vec<Vec<String>> {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
    }

    #[test]
    fn lines_are_counted_through_blank_lines_and_cells_of_several_lines() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a,b", "", "c,\"x", "y\"", "", "", "d"].join(end);
            let lines: Vec<u64> = split(&text, b',').unwrap().into_iter().map(|(line, _)| line).collect();
            assert_eq!(lines, [1, 3, 7], "{end:?}");
        }
    }

    #[test]
    fn an_unclosed_quote_is_told_with_the_line_that_opened_it() {
        for text in ["a\nb,\"c\nd\ne", "a\nb,\"c\nd,\"e\"\n", "a\nb,\"c"] {
            match split(text, b',') {
                Err(SplitError::Unclosed { line: 2, cell }) => assert_eq!(cell, "c", "{text:?}"),
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_unclosed_quote_draws_no_more_than_its_limit_into_memory() {
        let text = format!("a,b\n1,\"x\n{}", "2,y\n".repeat(MAX_RECORD_BYTES));
        let mut splitter = Splitter::new(text.as_bytes(), b',');
        let mut record = Record::default();
        assert!(splitter.read(&mut record).unwrap());
        assert!(matches!(splitter.read(&mut record), Err(SplitError::Unclosed { line: 2, .. })));
        assert!(record.text.len() < 2 * MAX_RECORD_BYTES);
        assert!(matches!(
            split(&"x".repeat(2 * MAX_RECORD_BYTES), b','),
            Err(SplitError::TooLong { line: 1 })
        ));
        assert!(matches!(split(&",".repeat(2 * MAX_CELLS), b','), Err(SplitError::TooManyCells { line: 1 })));
    }

    #[test]
    fn cells_that_go_over_lines_are_noted() {
        let mut splitter = Splitter::new("a,\"b\nc\",\"d\"\n".as_bytes(), b',');
        let mut record = Record::default();
        assert!(splitter.read(&mut record).unwrap());
        assert_eq!(record.spans, [(1, 1)]);
    }

    proptest! {
        #[test]
        fn it_cuts_as_the_csv_crate_does_or_tells_of_an_unclosed_quote(text in "[a ,\"\r\n]{0,40}") {
            match split(&text, b',') {
                Ok(rows) => {
                    let cells: Vec<Vec<String>> = rows.into_iter().map(|(_, cells)| cells).collect();
                    prop_assert_eq!(cells, by_csv(&text));
                }
                Err(SplitError::Unclosed { .. }) => prop_assert!(text.contains('"')),
                Err(other) => return Err(TestCaseError::fail(other.to_string())),
            }
        }
    }
}
