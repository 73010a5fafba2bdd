//! What the first lines of a file say of it: the delimiter, whether there is a header, which column holds the IMEIs.

use super::split::{Record, Splitter};
use crate::result::Header;
use crate::types::{Imei, ImeiError};

/// Rows that are looked at.
const SAMPLE_ROWS: usize = 200;
/// The delimiters that are tried; of equals the first is taken.
const DELIMITERS: [u8; 4] = *b",;\t|";
/// A number of at least so many digits where an IMEI is looked for is data, not a column's name.
const DATA_DIGITS: usize = 8;

/// Names of a column to order, reduced to lower-case letters and digits.
const FIRST_NAMES: &[&str] = &[
    "imei",
    "imei1",
    "imeis",
    "imeino",
    "imeinr",
    "imeinum",
    "imeinumber",
    "imeinumbers",
    "imeicode",
    "imeino1",
    "imeinumber1",
    "imei1no",
    "imei1number",
    "firstimei",
    "primaryimei",
    "mainimei",
    "deviceimei",
    "phoneimei",
    "imeisn",
    "imeiserial",
    "imeiserialno",
    "imeiserialnumber",
    "imeimeid",
    "meidimei",
    "imeiormeid",
    "imeiesn",
    "imeimeidesn",
    "serialimei",
    "serialnumberimei",
    "snimei",
    "imeislot1",
    "imeisim1",
];
/// Names of a further IMEI's column: ordered only where there is no better one.
const FURTHER_NAMES: &[&str] = &[
    "imei2",
    "imei3",
    "imei4",
    "imeino2",
    "imeinumber2",
    "imei2no",
    "imei2number",
    "secondimei",
    "secondaryimei",
    "otherimei",
    "imeislot2",
    "imeisim2",
    "imeino3",
    "imeinumber3",
    "imei3number",
];

/// What the first lines say.
#[derive(Debug)]
pub(super) struct Guess {
    pub(super) delimiter: u8,
    /// The first line is Excel's `sep=;` and belongs to no row.
    pub(super) sep_line: bool,
    /// The columns, or the names (first cells) of a file of which none holds IMEIs.
    pub(super) header: Result<Header, Vec<String>>,
}

type Rows = Vec<Vec<String>>;

/// Judges the beginning of a file, as UTF-8; `whole` says that it is all of it.
pub(super) fn sniff(start: &[u8], whole: bool, luhn: bool) -> Guess {
    let told = told_delimiter(start);
    let rows_by = |delimiter| rows(start, whole, delimiter, told.is_some());
    let (delimiter, rows) = match told {
        Some(delimiter) => (delimiter, rows_by(delimiter)),
        None => DELIMITERS
            .into_iter()
            .map(|delimiter| (delimiter, rows_by(delimiter)))
            .rev()
            // Of equals `max_by_key` takes the last, which is the first tried.
            .max_by_key(|(_, rows)| score(rows, luhn))
            .unwrap_or((b',', Vec::new())),
    };
    let header = header(&rows, delimiter, luhn).ok_or_else(|| rows.into_iter().next().unwrap_or_default());
    Guess { delimiter, sep_line: told.is_some(), header }
}

/// The delimiter of Excel's first line `sep=;`.
fn told_delimiter(start: &[u8]) -> Option<u8> {
    let line = start.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let line = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (name, rest) = line.split_at_checked(4)?;
    match rest {
        [delimiter] | [delimiter, b' '] if name.eq_ignore_ascii_case(b"sep=") => {
            let odd = delimiter.is_ascii_alphanumeric() || !delimiter.is_ascii() || *delimiter == b'"';
            (!odd).then_some(*delimiter)
        }
        _ => None,
    }
}

/// The first rows as this delimiter cuts them; a row that the sample may have cut short isn't among them.
fn rows(start: &[u8], whole: bool, delimiter: u8, skip_line: bool) -> Rows {
    let mut splitter = Splitter::new(start, delimiter);
    let mut rows = Vec::new();
    if skip_line && splitter.skip_line().is_err() {
        return rows;
    }
    let mut record = Record::default();
    while rows.len() < SAMPLE_ROWS {
        match splitter.read(&mut record) {
            Ok(true) if record.used() == 0 => {}
            Ok(true) => {
                rows.push(record.cells().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect())
            }
            Ok(false) => {
                if !whole {
                    rows.pop();
                }
                break;
            }
            // What is wrong here is told when the whole file is judged.
            Err(_) => break,
        }
    }
    rows
}

/// How well a delimiter fits, the most telling first: IMEIs that stand in a cell of their own, a header that names
/// such a column, then equally wide rows.
fn score(rows: &Rows, luhn: bool) -> (usize, bool, usize, usize) {
    let with_imei = rows.iter().filter(|row| row.iter().any(|cell| is_imei(cell, luhn))).count();
    let named = rows.first().is_some_and(|row| row.iter().any(|cell| is_imei_name(cell)));
    let width = rows.first().map_or(0, Vec::len);
    let alike = if width > 1 { rows.iter().filter(|row| row.len() == width).count() } else { 0 };
    (with_imei, named, alike, width)
}

fn header(rows: &Rows, delimiter: u8, luhn: bool) -> Option<Header> {
    let first = rows.first()?;
    let headless = first.iter().any(|cell| is_imei(cell, luhn));
    let named = if headless { None } else { named_column(first) };
    let counts = imei_counts(rows, if headless { &[] } else { first }, luhn);
    let imei_column = named.or_else(|| fullest_column(&counts))?;
    // The one line without a name or an IMEI in it may still be data: an IMEI with a typing error.
    let has_header =
        !headless && (named.is_some() || !first.get(imei_column).is_some_and(|cell| is_number(cell, luhn)));
    let columns = if has_header { first.clone() } else { made_up_names(first, imei_column) };
    let other_imei_columns = (0..columns.len())
        .filter(|at| *at != imei_column)
        .filter(|at| {
            let by_name = has_header && columns.get(*at).is_some_and(|name| is_imei_name(name));
            by_name || counts.get(*at).is_some_and(|count| count.imeis > 0 && count.imeis * 2 >= count.filled)
        })
        .collect();
    let width = columns.len();
    Some(Header { delimiter, columns, imei_column, has_header, other_imei_columns, width })
}

fn made_up_names(first: &[String], imei_column: usize) -> Vec<String> {
    let used =
        first.iter().rposition(|cell| !cell.trim().is_empty()).map_or(0, |last| last.saturating_add(1));
    (0..used.max(imei_column.saturating_add(1)))
        .map(|at| if at == imei_column { "imei".to_owned() } else { Header::made_up(at) })
        .collect()
}

fn named_column(first: &[String]) -> Option<usize> {
    let among = |names: &[&str]| first.iter().position(|cell| names.contains(&reduced(cell).as_str()));
    among(FIRST_NAMES).or_else(|| among(FURTHER_NAMES))
}

fn is_imei_name(name: &str) -> bool {
    let name = reduced(name);
    FIRST_NAMES.contains(&name.as_str()) || FURTHER_NAMES.contains(&name.as_str())
}

/// `IMEI No.` as `imeino`.
fn reduced(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How many cells of a column are IMEIs, and how many aren't blank.
#[derive(Clone, Copy, Default)]
struct Count {
    imeis: usize,
    filled: usize,
}

/// Counts by column; columns of an earlier result (`imeid_imei2`) count nothing.
fn imei_counts(rows: &Rows, names: &[String], luhn: bool) -> Vec<Count> {
    let widest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut counts = vec![Count::default(); widest];
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            let ours = names.get(at).is_some_and(|name| Header::is_result_column(name));
            if let Some(count) = counts.get_mut(at).filter(|_| !ours && !cell.trim().is_empty()) {
                count.filled = count.filled.saturating_add(1);
                count.imeis = count.imeis.saturating_add(usize::from(is_imei(cell, luhn)));
            }
        }
    }
    counts
}

/// The first column with IMEIs, passing over one with less than half as many as another: there they are by chance.
fn fullest_column(counts: &[Count]) -> Option<usize> {
    let most = counts.iter().map(|count| count.imeis).max().filter(|most| *most > 0)?;
    counts.iter().position(|count| count.imeis.saturating_mul(2) >= most)
}

fn is_imei(cell: &str, luhn: bool) -> bool {
    Imei::parse(cell, luhn).is_ok()
}

/// Whether a cell is a number such as people mistype for an IMEI.
fn is_number(cell: &str, luhn: bool) -> bool {
    match Imei::parse(cell, luhn) {
        Ok(_) | Err(ImeiError::CheckDigit { .. } | ImeiError::Scientific(_)) => true,
        Err(ImeiError::Length(digits)) => digits >= DATA_DIGITS,
        Err(ImeiError::Empty | ImeiError::NotADigit(..)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imei(serial: u32) -> String {
        Imei::from_parts(35_000_000, serial).to_string()
    }

    fn columns(text: &str) -> Header {
        sniff(text.as_bytes(), true, true).header.unwrap()
    }

    #[test]
    fn the_delimiter_is_the_one_that_sets_the_imeis_free() {
        let (one, two) = (imei(1), imei(2));
        for (text, delimiter) in [
            (format!("imei;model\n{one};iPhone 16, black, 128GB\n{two};iPhone, red, 64GB\n"), b';'),
            (format!("{one},10;20;30\n{two},1;2;3\n"), b','),
            (format!("model\timei\nx, y; z\t{one}\n"), b'\t'),
            (format!("{one}|a,b|c\n{two}|a,b|c\n"), b'|'),
            (format!("{one}\n{two}\n"), b','),
            ("model;imei;a,b\nx;1;2,3\n".to_owned(), b';'),
            (String::new(), b','),
        ] {
            assert_eq!(sniff(text.as_bytes(), true, true).delimiter, delimiter, "{text}");
        }
    }

    #[test]
    fn excels_first_line_names_the_delimiter() {
        for (line, delimiter) in [("sep=;", b';'), ("SEP=,", b','), ("sep=\t", b'\t'), ("\"sep=^\"", b'^')] {
            let d = char::from(delimiter);
            let guess = sniff(format!("{line}\r\nimei{d}x\r\n{}{d}y\r\n", imei(1)).as_bytes(), true, true);
            assert_eq!((guess.delimiter, guess.sep_line), (delimiter, true));
            assert_eq!(guess.header.unwrap().columns, ["imei", "x"]);
        }
        assert!(!sniff(b"separator\n", true, true).sep_line);
        assert!(!sniff(b"sep=", true, true).sep_line);
    }

    #[test]
    fn the_column_is_found_by_its_name_however_it_is_written() {
        for name in
            ["imei", "IMEI", " Imei ", "IMEI No.", "imei 1", "IMEI1", "IMEI/Serial", "imei_number", "IMEI-Nr"]
        {
            let found = columns(&format!("a,{name},c\n1,2,3\n"));
            assert_eq!((found.imei_column, found.imei_name(), found.has_header), (1, name, true));
        }
    }

    #[test]
    fn of_several_imei_columns_the_first_is_ordered_and_the_others_are_told() {
        let (one, two) = (imei(1), imei(2));
        let found = columns(&format!("IMEI 1,IMEI 2,spare\n{one},{two},{two}\n"));
        assert_eq!((found.imei_column, found.other_imei_names()), (0, vec!["IMEI 2", "spare"]));
        let found = columns(&format!("IMEI 2,IMEI\n{two},{one}\n"));
        assert_eq!((found.imei_column, found.other_imei_names()), (1, vec!["IMEI 2"]));
        let found = columns(&format!("{one},x,{two}\n"));
        assert_eq!((found.imei_column, found.other_imei_names()), (0, vec!["column3"]));
    }

    #[test]
    fn without_a_name_the_column_is_found_by_what_it_holds() {
        let found = columns(&format!("Model,Gerätenummer\niPhone,{}\n,\n", imei(1)));
        assert_eq!((found.imei_column, found.imei_name(), found.has_header), (1, "Gerätenummer", true));
        assert!(sniff(b"a,b\n1,2\n", true, true).header.is_err());
        assert!(sniff(b"", true, true).header.is_err());
    }

    #[test]
    fn a_file_without_a_header_gets_one() {
        let found = columns(&format!("x,{},,\ny,{},,\n", imei(1), imei(2)));
        assert_eq!(found.columns, ["column1", "imei"]);
        assert!(!found.has_header);
    }

    #[test]
    fn a_first_line_with_a_mistyped_imei_is_data() {
        let mut wrong = imei(1);
        let last = if wrong.pop() == Some('0') { '1' } else { '0' };
        wrong.push(last);
        for first in [wrong.as_str(), "3.55E+14", "35547349605456"] {
            assert!(!columns(&format!("{first}\n{}\n", imei(2))).has_header, "{first}");
        }
        assert!(columns(&format!("2024\n{}\n", imei(2))).has_header);
    }

    #[test]
    fn columns_of_an_earlier_result_are_never_ordered() {
        let (one, two) = (imei(1), imei(2));
        let found = columns(&format!("imeid_imei2,serial\n{two},{one}\n{two},\n{two},\n{two},x\n"));
        assert_eq!((found.imei_name(), found.other_imei_names()), ("serial", vec![]));
    }

    #[test]
    fn a_row_cut_by_the_samples_end_is_not_judged() {
        let text = format!("imei\n{}", imei(1));
        let guess = sniff(&text.as_bytes()[..text.len() - 3], false, true);
        assert!(guess.header.unwrap().has_header);
    }
}
