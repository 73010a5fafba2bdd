//! What kind of file was dropped: text in which encoding, or which program's own format.
//!
//! The whole file is looked through once: whether it is UTF-8 is known only at its end, and a name with an umlaut
//! in the last row must not turn the rows before it to rubbish.

use std::io::{self, Read, Seek, SeekFrom};

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;

/// Bytes read at once; even, so that no UTF-16 unit is cut.
const CHUNK_BYTES: usize = 64 << 10;

/// How a file's text is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charset {
    /// Valid UTF-8 behind this many bytes of byte order mark.
    Utf8 {
        bom: bool,
    },
    /// A UTF-8 byte order mark, and bytes that aren't UTF-8: they become U+FFFD.
    DamagedUtf8,
    Utf16Le,
    Utf16Be,
    /// What is left: Western Windows programs write it.
    Windows1252,
}

impl Charset {
    /// Its name, for the log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Utf8 { .. } => "UTF-8",
            Self::DamagedUtf8 => "UTF-8 with damaged characters",
            Self::Utf16Le | Self::Utf16Be => "UTF-16",
            Self::Windows1252 => "Windows-1252",
        }
    }

    /// The file from its start as UTF-8, without a byte order mark.
    pub(super) fn reader<'a, F: Read + Seek>(self, file: &'a mut F) -> io::Result<Box<dyn Read + 'a>> {
        let (bom, encoding): (u64, Option<&'static Encoding>) = match self {
            Self::Utf8 { bom } => (if bom { 3 } else { 0 }, None),
            Self::DamagedUtf8 => (3, Some(UTF_8)),
            Self::Utf16Le => (2, Some(UTF_16LE)),
            Self::Utf16Be => (2, Some(UTF_16BE)),
            Self::Windows1252 => (0, Some(WINDOWS_1252)),
        };
        file.seek(SeekFrom::Start(bom))?;
        Ok(match encoding {
            None => Box::new(file),
            Some(encoding) => {
                let mut builder = DecodeReaderBytesBuilder::new();
                Box::new(builder.encoding(Some(encoding)).bom_sniffing(false).build(file))
            }
        })
    }
}

/// A file that isn't a table in text, by the program that makes such files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotText {
    Excel,
    OldOffice,
    OpenDocument,
    Numbers,
    Word,
    Archive,
    Pdf,
    Picture,
    WebPage,
    Xml,
    RichText,
    /// NUL bytes, and nothing known of it.
    Binary,
}

/// Looks through the whole file.
///
/// # Errors
/// Only where the file can't be read.
pub(super) fn scan<F: Read + Seek>(file: &mut F) -> io::Result<Result<Charset, NotText>> {
    file.seek(SeekFrom::Start(0))?;
    let mut chunk = vec![0u8; CHUNK_BYTES];
    let mut carried = 0usize;
    let mut first = true;
    let mut bom = Bom::None;
    let mut utf8 = true;
    loop {
        let room = chunk.get_mut(carried..).unwrap_or_default();
        let read = fill(file, room)?;
        let text = chunk.get(..carried.saturating_add(read)).unwrap_or_default();
        if first {
            first = false;
            if let Some(known) = known_format(text) {
                return Ok(Err(known));
            }
            bom = Bom::of(text);
        }
        if has_nul(text, bom) {
            return Ok(Err(NotText::Binary));
        }
        if read == 0 {
            utf8 &= carried == 0;
            break;
        }
        let whole = match std::str::from_utf8(text) {
            _ if !utf8 => text.len(),
            Ok(_) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => {
                utf8 = false;
                text.len()
            }
        };
        carried = text.len().saturating_sub(whole);
        let end = whole.saturating_add(carried);
        chunk.copy_within(whole..end, 0);
    }
    Ok(Ok(match (bom, utf8) {
        (Bom::Utf16Le, _) => Charset::Utf16Le,
        (Bom::Utf16Be, _) => Charset::Utf16Be,
        (Bom::Utf8, true) => Charset::Utf8 { bom: true },
        (Bom::Utf8, false) => Charset::DamagedUtf8,
        (Bom::None, true) => Charset::Utf8 { bom: false },
        (Bom::None, false) => Charset::Windows1252,
    }))
}

/// Reads until the room is full or the file ends.
pub(super) fn fill(file: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0usize;
    while filled < room.len() {
        match file.read(room.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bom {
    None,
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Bom {
    fn of(start: &[u8]) -> Self {
        match start {
            [0xEF, 0xBB, 0xBF, ..] => Self::Utf8,
            [0xFF, 0xFE, ..] => Self::Utf16Le,
            [0xFE, 0xFF, ..] => Self::Utf16Be,
            _ => Self::None,
        }
    }
}

fn has_nul(text: &[u8], bom: Bom) -> bool {
    match bom {
        // In UTF-16 half of the bytes of ordinary text are zero; a zero unit is no text there either.
        Bom::Utf16Le | Bom::Utf16Be => text.chunks_exact(2).any(|unit| unit == [0, 0]),
        Bom::None | Bom::Utf8 => text.contains(&0),
    }
}

fn known_format(start: &[u8]) -> Option<NotText> {
    let has = |needle: &str| {
        let head = start.get(..8192).unwrap_or(start);
        head.windows(needle.len()).any(|window| window == needle.as_bytes())
    };
    match start {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => {
            Some(if has("application/vnd.oasis.opendocument") {
                NotText::OpenDocument
            } else if has("word/") {
                NotText::Word
            } else if has("Index/") {
                NotText::Numbers
            } else if has("xl/") || has("[Content_Types].xml") {
                NotText::Excel
            } else {
                NotText::Archive
            })
        }
        [0xD0, 0xCF, 0x11, 0xE0, ..] => Some(NotText::OldOffice),
        [0x1F, 0x8B, ..] | [b'R', b'a', b'r', b'!', ..] | [b'7', b'z', 0xBC, 0xAF, ..] => {
            Some(NotText::Archive)
        }
        [b'%', b'P', b'D', b'F', b'-', ..] => Some(NotText::Pdf),
        [0x89, b'P', b'N', b'G', ..] | [0xFF, 0xD8, 0xFF, ..] | [b'G', b'I', b'F', b'8', b'7' | b'9', ..] => {
            Some(NotText::Picture)
        }
        [b'{', b'\\', b'r', b't', b'f', ..] => Some(NotText::RichText),
        _ => markup(start),
    }
}

/// Web pages and XML that a program calls `.xls` or `.csv`.
fn markup(start: &[u8]) -> Option<NotText> {
    let head = String::from_utf8_lossy(start.get(..256).unwrap_or(start)).to_ascii_lowercase();
    let head = head.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace());
    let begins = |tags: &[&str]| tags.iter().any(|tag| head.starts_with(tag));
    if begins(&["<!doctype html", "<html", "<head", "<body", "<table", "<div", "<meta", "<style"]) {
        return Some(NotText::WebPage);
    }
    begins(&["<?xml"]).then_some(NotText::Xml)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn scanned(bytes: &[u8]) -> Result<Charset, NotText> {
        scan(&mut Cursor::new(bytes)).unwrap()
    }

    fn decoded(bytes: &[u8]) -> String {
        let mut file = Cursor::new(bytes);
        let charset = scan(&mut file).unwrap().unwrap();
        let mut text = String::new();
        charset.reader(&mut file).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
        units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn every_encoding_that_spreadsheets_write_gives_the_same_text() {
        let text = "imei,note\r\n1,Müller – €\r\n";
        assert_eq!(decoded(text.as_bytes()), text);
        assert_eq!(decoded(format!("\u{feff}{text}").as_bytes()), text);
        assert_eq!(decoded(&utf16(text, false)), text);
        assert_eq!(decoded(&utf16(text, true)), text);
        assert_eq!(decoded(b"imei,note\r\n1,M\xfcller \x96 \x80\r\n"), text);
        for empty in [b"".as_slice(), b"\xEF\xBB\xBF", b"\xFF\xFE", b"\xFE\xFF"] {
            assert_eq!(decoded(empty), "");
        }
    }

    #[test]
    fn the_encoding_is_judged_by_the_whole_file() {
        let mut long = "é,".repeat(CHUNK_BYTES).into_bytes();
        assert_eq!(scanned(&long), Ok(Charset::Utf8 { bom: false }));
        long.push(0xFC);
        assert_eq!(scanned(&long), Ok(Charset::Windows1252));
        // Characters cut by every chunk's end.
        for lead in 0..4 {
            let text = format!("{}{}", "x".repeat(lead), "😀".repeat(CHUNK_BYTES));
            assert_eq!(scanned(text.as_bytes()), Ok(Charset::Utf8 { bom: false }));
        }
    }

    #[test]
    fn a_mark_with_damage_behind_it_keeps_the_rest() {
        assert_eq!(decoded(b"\xEF\xBB\xBFa\xFFb\xC3\xA9"), "a\u{fffd}bé");
    }

    #[test]
    fn what_is_not_text_is_told_by_its_program() {
        for (bytes, kind) in [
            (b"PK\x03\x04....[Content_Types].xml".as_slice(), NotText::Excel),
            (b"PK\x03\x04..mimetypeapplication/vnd.oasis.opendocument.spreadsheet", NotText::OpenDocument),
            (b"PK\x03\x04....word/document.xml", NotText::Word),
            (b"PK\x03\x04....Index/Document.iwa", NotText::Numbers),
            (b"PK\x03\x04....stock.csv", NotText::Archive),
            (b"\xD0\xCF\x11\xE0\xA1\xB1", NotText::OldOffice),
            (b"%PDF-1.7", NotText::Pdf),
            (b"\x89PNG\r\n", NotText::Picture),
            (b"\xFF\xD8\xFF\xE0", NotText::Picture),
            (b"\n<HTML><table>", NotText::WebPage),
            (b"<?xml version=\"1.0\"?>", NotText::Xml),
            (b"{\\rtf1", NotText::RichText),
            (b"i\0m\0e\0i\0", NotText::Binary),
            (b"\xFF\xFE\0\0i\0\0\0", NotText::Binary),
        ] {
            assert_eq!(scanned(bytes), Err(kind), "{bytes:?}");
        }
        assert_eq!(scanned(b"PK,imei\n"), Ok(Charset::Utf8 { bom: false }));
        let mut late = vec![b'x'; 3 * CHUNK_BYTES];
        late.push(0);
        assert_eq!(scanned(&late), Err(NotText::Binary));
    }
}
