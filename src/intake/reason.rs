//! Why a file is refused, or a row is no IMEI, and what to do: in the words of the program that made the file.

use super::scan::NotText;
use super::split::SplitError;
use crate::result::Header;
use crate::types::ImeiError;
use crate::words::push_wrapped;

/// Why a file is refused. Nothing of it was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is wrong, in a sentence.
    pub what: String,
    /// The line of the file (from 1) where it was seen, if it has a place.
    pub line: Option<u64>,
    /// The cell there, as it stands.
    pub cell: Option<String>,
    /// What to do, in a sentence or two.
    pub mend: String,
}

const SAVE_AS: &str = "In Excel: File > Save As > file type \"CSV UTF-8 (comma delimited) (*.csv)\". \
    In LibreOffice: File > Save As > \"Text CSV (.csv)\", character set \"Unicode (UTF-8)\".";

/// The line above what is wrong.
const WHAT_IS_WRONG: &str = "What is wrong:";
/// The most characters of a cell that are shown.
const MAX_CELL_CHARS: usize = 80;
/// The most characters of a file's name that are shown.
const MAX_NAME_CHARS: usize = 120;
/// The most columns whose names are listed.
const MAX_COLUMNS: usize = 8;

impl Refusal {
    fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), line: None, cell: None, mend: mend.into() }
    }

    fn at(mut self, line: u64, cell: Option<String>) -> Self {
        self.line = Some(line);
        self.cell = cell;
        self
    }

    pub(super) fn not_text(kind: NotText) -> Self {
        let save_as = |program: &str| {
            format!("Open it in {program} and save it as CSV, then drop that file. {SAVE_AS}")
        };
        let (what, mend) = match kind {
            NotText::Excel => ("It is an Excel workbook, not a CSV file.", save_as("Excel")),
            NotText::OldOffice => ("It is an old Excel (.xls) or Office file, not a CSV file.", save_as("Excel")),
            NotText::OpenDocument => ("It is a LibreOffice document, not a CSV file.", save_as("LibreOffice")),
            NotText::Numbers => (
                "It is a Numbers document, not a CSV file.",
                "In Numbers: File > Export To > CSV, advanced options: text encoding \"Unicode (UTF-8)\". Drop that file.".to_owned(),
            ),
            NotText::Word => (
                "It is a Word document, not a CSV file.",
                "Copy the IMEIs into a text file, one a line, or into a spreadsheet and save it as CSV.".to_owned(),
            ),
            NotText::Archive => (
                "It is a packed archive, not a CSV file.",
                "Unpack it and drop the CSV file that is in it.".to_owned(),
            ),
            NotText::Pdf => (
                "It is a PDF, not a CSV file.",
                "Ask for the list as CSV, or copy the IMEIs into a text file, one a line.".to_owned(),
            ),
            NotText::Picture => (
                "It is a picture, not a CSV file.",
                "Ask for the list as CSV, or type the IMEIs into a text file, one a line.".to_owned(),
            ),
            NotText::WebPage => (
                "It is a web page, whatever its name says, not a CSV file.",
                save_as("Excel"),
            ),
            NotText::Xml => ("It is an XML file, not a CSV file.", save_as("Excel")),
            NotText::RichText => (
                "It is a rich text document, not a CSV file.",
                "In the editor: save it as plain text (.txt), one IMEI a line. In TextEdit: Format > Make Plain Text.".to_owned(),
            ),
            NotText::Binary => (
                "It is not a text file: there are NUL bytes in it.",
                format!("Save the list as CSV, then drop that file. {SAVE_AS}"),
            ),
        };
        Self::new(what, mend)
    }

    pub(super) fn empty(has_header: bool) -> Self {
        let what = if has_header { "It has a header, but no row below it." } else { "It is empty." };
        Self::new(
            what,
            "Put one IMEI in each line and drop it again. If it was still being written, drop it once more.",
        )
    }

    pub(super) fn no_imei_column(columns: &[String]) -> Self {
        let names: Vec<String> =
            columns.iter().take(MAX_COLUMNS).map(|name| format!("\"{}\"", shown(name, 24))).collect();
        let more = if columns.len() > MAX_COLUMNS { ", …" } else { "" };
        Self::new(
            format!(
                "No column is named IMEI, and none of the first rows holds an IMEI. The first line reads: {}{more}.",
                names.join(", ")
            ),
            "Name the column with the IMEIs \"imei\" in the first line, and drop the file again. An IMEI has 15 \
             digits; if the spreadsheet shows 3.55E+14, format the column as text and paste the IMEIs again.",
        )
    }

    pub(super) fn no_valid_imei(
        header: &Header,
        rows: u64,
        line: u64,
        cell: &str,
        error: &ImeiError,
    ) -> Self {
        let what =
            format!("Not one of the {rows} cells in {} is an IMEI. The first: {error}.", column(header));
        Self::new(
            what,
            "If the IMEIs are in another column, name that one \"imei\" in the first line. Otherwise correct the \
             IMEIs, and drop the file again.",
        )
        .at(line, Some(cell.to_owned()))
    }

    pub(super) fn too_many_rows() -> Self {
        Self::new("It has too many rows.", "Cut it into files of at most a million rows each.")
    }

    pub(super) fn unclosed(line: u64, cell: String) -> Self {
        Self::new(
            "A quotation mark (\") that opens a cell is not closed, so that the lines below run into that cell.",
            "Close the quotation mark or take it out; one that belongs to the text (as in 5\") is written twice, \
             with one more before and behind the cell. A spreadsheet's Save As writes it right.",
        )
        .at(line, Some(cell))
    }

    /// The refusal for a stream that can't be cut; an I/O error is none.
    pub(super) fn of_split(error: SplitError) -> Result<Self, std::io::Error> {
        Ok(match error {
            SplitError::Io(error) => return Err(error),
            SplitError::Unclosed { line, cell } => Self::unclosed(line, cell),
            SplitError::TooLong { line } => Self::new(
                "A line is longer than a million characters.",
                "It doesn't look like a list of IMEIs: put one IMEI in each line.",
            )
            .at(line, None),
            SplitError::TooManyCells { line } => Self::new(
                "A line has more cells than a spreadsheet has columns.",
                "IMEIs stand one below the other, not side by side: put one in each line.",
            )
            .at(line, None),
        })
    }

    /// What `NAME.reason.txt` says, for the file of this name: plain text with CRLF, less than a screen.
    #[must_use]
    pub fn text(&self, file_name: &str) -> String {
        let mut place = self.line.map(|line| format!("line {line}")).unwrap_or_default();
        if let Some(cell) = &self.cell {
            place.push_str(if place.is_empty() { "the cell " } else { ", the cell " });
            place.push_str(&format!("\"{}\"", shown(cell, MAX_CELL_CHARS)));
        }
        let mut text = String::new();
        let name = shown(file_name, MAX_NAME_CHARS);
        push_wrapped(&mut text, &format!("{name} was refused: nothing of it was ordered, nothing paid."));
        for (title, said) in
            [(WHAT_IS_WRONG, self.what.as_str()), ("Where:", &place), ("What to do:", &self.mend)]
        {
            if !said.is_empty() {
                text.push_str(&format!("\n{title}\n"));
                push_wrapped(&mut text, said);
            }
        }
        text.push_str("\nThe file itself is in this folder, unchanged.\n");
        text.replace('\n', "\r\n")
    }
}

/// The note of a row whose cell is no IMEI: the cell as it stands, what is wrong, and the mend.
#[must_use]
pub fn invalid_note(header: &Header, cell: &str, error: &ImeiError) -> String {
    let column = column(header);
    let what = match error {
        ImeiError::Empty => format!("the cell in {column} is empty"),
        other => {
            format!("\"{}\" in {column} is not an IMEI: {other}", shown(cell, MAX_CELL_CHARS))
        }
    };
    format!(
        "{what}. Nothing was sent or paid; correct it and drop the file again: what was answered is not paid for again."
    )
}

/// The column that is ordered, by its name; by its place where the name has nothing that could be read out.
fn column(header: &Header) -> String {
    let name = shown(header.imei_name(), 40);
    if name.chars().any(char::is_alphanumeric) {
        format!("the column \"{name}\"")
    } else {
        format!("column {}", header.imei_column.saturating_add(1))
    }
}

/// The sentence of a [`Refusal::text`] that tells why; of any other text its first line.
pub(super) fn why(text: &str) -> String {
    let said = text.lines().skip_while(|line| *line != WHAT_IS_WRONG).skip(1);
    let why: Vec<&str> = said.map(str::trim).take_while(|line| !line.is_empty()).collect();
    if why.is_empty() {
        return text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned();
    }
    why.join(" ")
}

/// Text on one line and no longer than `most` characters.
fn shown(text: &str, most: usize) -> String {
    let mut characters = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = characters.by_ref().take(most).collect();
    if characters.next().is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            delimiter: b',',
            columns: vec!["IMEI".into()],
            imei_column: 0,
            has_header: true,
            other_imei_columns: vec![],
            width: 1,
        }
    }

    #[test]
    fn a_reason_is_a_small_page_that_any_editor_shows() {
        let refusals = [
            Refusal::not_text(NotText::Excel),
            Refusal::no_imei_column(&vec!["a long name of a column ".repeat(9); 99]),
            Refusal::unclosed(7, "5\n\" \t".repeat(90)),
            Refusal::no_valid_imei(&header(), 3, 2, &"x".repeat(999), &ImeiError::NotADigit('x', 1)),
        ];
        for refusal in refusals {
            let text = refusal.text(&"stock list\n.xlsx".repeat(30));
            assert!(text.lines().count() <= 24, "{text}");
            assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\n', '\r']), "{text}");
        }
    }

    #[test]
    fn a_reason_names_file_line_cell_and_mend() {
        let text = Refusal::unclosed(7, "5 inch".to_owned()).text("stock.csv");
        assert!(text.starts_with("stock.csv was refused: nothing of it was ordered, nothing paid.\r\n"));
        assert!(text.contains("Where:\r\nline 7, the cell \"5 inch\"\r\n"), "{text}");
        assert!(text.contains("What to do:\r\nClose the quotation mark"), "{text}");
        let text = Refusal::not_text(NotText::Excel).text("stock.xlsx");
        assert!(
            text.contains("In Excel: File >\r\nSave As > file type") && !text.contains("Where"),
            "{text}"
        );
    }

    #[test]
    fn the_log_tells_why_in_one_line() {
        let refusal = Refusal::no_imei_column(&vec!["a long name of a column".to_owned(); 3]);
        assert_eq!(why(&refusal.text("stock.csv")), refusal.what);
        assert_eq!(why("\r\nIt was refused.\r\nAnd more.\r\n"), "It was refused.");
    }

    #[test]
    fn a_column_whose_name_is_no_word_is_told_by_its_place() {
        for name in ["\"", "\"\"", " - ", ""] {
            let header = Header { columns: vec!["shelf".into(), name.into()], imei_column: 1, ..header() };
            let note = invalid_note(&header, "", &ImeiError::Empty);
            assert!(note.starts_with("the cell in column 2 is empty."), "{note}");
        }
    }

    #[test]
    fn an_invalid_rows_note_shows_the_cell_and_the_mend() {
        let note = invalid_note(&header(), " 3.55E+14\n", &ImeiError::Scientific("3.55E+14".into()));
        assert!(
            note.starts_with(
                "\"3.55E+14\" in the column \"IMEI\" is not an IMEI: the spreadsheet wrote it as"
            )
        );
        assert!(note.contains("format the column as text"));
        assert!(
            invalid_note(&header(), "", &ImeiError::Empty)
                .starts_with("the cell in the column \"IMEI\" is empty.")
        );
    }
}
