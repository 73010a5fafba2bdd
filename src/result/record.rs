//! A row's cells as one comma-separated record without a line end: the form in which the journal keeps them.
//!
//! It is standard CSV (RFC 4180), so that any tool can read what is in the journal.

use std::borrow::Cow;

/// The cells as one record. A single empty cell is `""`, so that it isn't no cell at all.
#[must_use]
pub fn encode<'a>(cells: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    let mut count = 0usize;
    for cell in cells {
        if count > 0 {
            out.push(b',');
        }
        count = count.saturating_add(1);
        push(&mut out, cell);
    }
    if count == 1 && out.is_empty() {
        out.extend_from_slice(b"\"\"");
    }
    out
}

fn push(out: &mut Vec<u8>, cell: &str) {
    if !cell.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        out.extend_from_slice(cell.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in cell.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// The cells of a record that [`encode`] made, in order. Other bytes give some cells, never a panic.
#[must_use]
pub fn cells(raw: &[u8]) -> Cells<'_> {
    Cells { rest: if raw.is_empty() { None } else { Some(raw) } }
}

/// The iterator that [`cells`] gives. A cell is UTF-8 where the record is.
#[derive(Clone, Debug)]
pub struct Cells<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Cells<'a> {
    type Item = Cow<'a, [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let (cell, after) = match rest.split_first() {
            Some((b'"', inner)) => quoted(inner),
            _ => (Cow::Borrowed(&[][..]), rest),
        };
        let end = after.iter().position(|byte| *byte == b',');
        let (tail, next) = match end {
            Some(end) => (after.get(..end).unwrap_or_default(), after.get(end.saturating_add(1)..)),
            None => (after, None),
        };
        self.rest = next;
        Some(if cell.is_empty() { Cow::Borrowed(tail) } else { joined(cell, tail) })
    }
}

/// The text up to the closing quote, and what stands behind it.
fn quoted(inner: &[u8]) -> (Cow<'_, [u8]>, &[u8]) {
    let mut doubled = false;
    let mut at = 0usize;
    loop {
        match inner.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'"')) {
            Some(step) => {
                let quote = at.saturating_add(step);
                if inner.get(quote.saturating_add(1)) != Some(&b'"') {
                    let text = inner.get(..quote).unwrap_or_default();
                    return (
                        unescaped(text, doubled),
                        inner.get(quote.saturating_add(1)..).unwrap_or_default(),
                    );
                }
                doubled = true;
                at = quote.saturating_add(2);
            }
            None => return (unescaped(inner, doubled), &[]),
        }
    }
}

fn unescaped(text: &[u8], doubled: bool) -> Cow<'_, [u8]> {
    if !doubled {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(*byte);
        if *byte == b'"' {
            bytes.next();
        }
    }
    Cow::Owned(out)
}

fn joined<'a>(cell: Cow<'a, [u8]>, tail: &[u8]) -> Cow<'a, [u8]> {
    if tail.is_empty() {
        return cell;
    }
    let mut whole = cell.into_owned();
    whole.extend_from_slice(tail);
    Cow::Owned(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn by_csv(raw: &[u8]) -> Vec<Vec<u8>> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(raw);
        let mut record = csv::ByteRecord::new();
        if reader.read_byte_record(&mut record).unwrap() {
            record.iter().map(<[u8]>::to_vec).collect()
        } else {
            Vec::new()
        }
    }

    #[test]
    fn no_cell_and_one_empty_cell_are_told_apart() {
        assert_eq!(cells(&encode([])).count(), 0);
        assert_eq!(cells(&encode([""])).collect::<Vec<_>>(), [b"".as_slice()]);
        assert_eq!(cells(&encode(["", ""])).count(), 2);
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back_and_any_csv_reader_agrees(
            row in proptest::collection::vec(prop_oneof!["[a\",\r\n ]{0,6}", any::<String>()], 0..6)
        ) {
            let raw = encode(row.iter().map(String::as_str));
            let back: Vec<Vec<u8>> = cells(&raw).map(Cow::into_owned).collect();
            let row: Vec<Vec<u8>> = row.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(&back, &row);
            // A byte order mark at the start is taken off by the csv crate, as it is at a file's start.
            if !raw.starts_with("\u{feff}".as_bytes()) {
                prop_assert_eq!(by_csv(&raw), row);
            }
        }

        #[test]
        fn any_bytes_give_some_cells(raw: Vec<u8>) {
            prop_assert!(cells(&raw).count() <= raw.len().saturating_add(1));
        }
    }
}
