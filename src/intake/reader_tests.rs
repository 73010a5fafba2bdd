//! Tests of `reader`: whole files in, rows or a refusal out.

use std::io::Cursor;

use proptest::prelude::*;

use super::reader::{OpenError, ReadError, Row, Table};
use super::reason::Refusal;
use crate::result::record;
use crate::types::Imei;

fn imei(serial: u32) -> String {
    Imei::from_parts(35_000_000, serial).to_string()
}

fn open(bytes: impl AsRef<[u8]>) -> Table<Cursor<Vec<u8>>> {
    match Table::open(Cursor::new(bytes.as_ref().to_vec()), true) {
        Ok(table) => table,
        Err(error) => panic!("{error}"),
    }
}

fn refusal(bytes: impl AsRef<[u8]>) -> Refusal {
    match Table::open(Cursor::new(bytes.as_ref().to_vec()), true) {
        Err(OpenError::Refused(refusal)) => refusal,
        other => panic!("{:?}", other.map(|table| table.header().clone())),
    }
}

fn rows(table: &mut Table<Cursor<Vec<u8>>>) -> Vec<Row> {
    table.rows().unwrap().map(Result::unwrap).collect()
}

fn cells(row: &Row) -> Vec<String> {
    record::cells(&row.raw).map(|cell| String::from_utf8_lossy(&cell).into_owned()).collect()
}

#[test]
fn every_row_comes_with_its_number_line_imei_and_cells() {
    let text = format!(
        "sep=;\r\n\r\nIMEI;model\r\n{};\"a;\r\nb\"\r\n;;\r\n \r\nx;1,\"2\r\n{}\r\n",
        imei(1),
        imei(2)
    );
    let mut table = open(&text);
    assert_eq!((table.header().delimiter, table.header().has_header, table.header().width), (b';', true, 2));
    assert_eq!((table.row_count(), table.valid_count(), table.encoding()), (3, 2, "UTF-8"));
    let rows = rows(&mut table);
    assert_eq!(rows.iter().map(|row| (row.number, row.line)).collect::<Vec<_>>(), [(1, 4), (2, 8), (3, 9)]);
    assert_eq!(cells(&rows[0]), [imei(1).as_str(), "a;\r\nb"]);
    assert_eq!(cells(&rows[1]), ["x", "1,\"2"]);
    assert_eq!(rows[0].imei, Ok(Imei::from_parts(35_000_000, 1)));
    assert!(rows[1].imei.is_err() && rows[1].imei_cell(table.header()) == "x");
    assert_eq!(rows[2].raw, imei(2).into_bytes());
}

#[test]
fn rows_can_be_read_again_in_any_encoding() {
    let text = format!("imei\tname\n{}\tMüller\n", imei(1));
    let utf16: Vec<u8> =
        std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let latin: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    for bytes in [text.clone().into_bytes(), format!("\u{feff}{text}").into_bytes(), utf16, latin] {
        let mut table = open(bytes);
        for _ in 0..2 {
            assert_eq!(cells(&rows(&mut table)[0]), [imei(1).as_str(), "Müller"]);
        }
    }
}

#[test]
fn ragged_rows_are_kept_and_the_widest_is_known() {
    let mut table = open(format!("model,imei\nx\ny,{},1,,\nz,{},,\n", imei(1), imei(2)));
    assert_eq!((table.header().width, table.header().columns.len()), (3, 2));
    let rows = rows(&mut table);
    assert_eq!(rows.len(), 3);
    assert_eq!(cells(&rows[1]), ["y", imei(1).as_str(), "1", "", ""]);
}

#[test]
fn a_file_without_a_header_loses_no_row() {
    let mut table = open(format!("{}\n{}\n", imei(1), imei(2)));
    assert_eq!(table.header().columns, ["imei"]);
    assert_eq!(rows(&mut table).len(), 2);
}

#[test]
fn what_is_no_table_of_imeis_is_refused_with_its_place() {
    assert_eq!(refusal("").what, "It is empty.");
    assert_eq!(refusal(" \r\n,,\r\n").what, "It is empty.");
    assert_eq!(refusal("imei,model\n\n").what, "It has a header, but no row below it.");
    assert!(refusal("serial,model\n1,2\n").what.contains("The first line reads: \"serial\", \"model\"."));
    let wrong = refusal("imei\n\n123\n456\n");
    assert_eq!((wrong.line, wrong.cell.as_deref()), (Some(3), Some("123")));
    assert!(wrong.what.contains("it has 3 digits"), "{}", wrong.what);
    assert!(refusal(b"PK\x03\x04xl/").mend.contains("In Excel: File > Save As"));
    assert!(refusal(b"imei\n\0").what.contains("NUL"));
}

#[test]
fn an_unclosed_quote_is_refused_wherever_it_hides_rows() {
    let one = imei(1);
    let many: String = (0..20_000).map(|n| format!("{},x\n", imei(n))).collect();
    for text in [
        format!("imei,model\n{one},x\n{one},\"iPhone\n{one},y\n"),
        format!("imei,model\n{one},x\n{one},\"iPhone\n{one},\"y\"\n"),
        format!("imei,model\n{one},x\n{one},\"5.5\n{one},y\n{one},6.1\"\n"),
        format!("imei,model\n{one},x\n{one},\"iPhone\n{many}"),
        format!("serial,model\n1,x\n2,\"iPhone\n{}", "3,y\n".repeat(20_000)),
    ] {
        let refusal = refusal(&text);
        assert_eq!(refusal.line, Some(3), "{}", refusal.what);
        assert!(refusal.cell.as_deref().is_some_and(|cell| cell == "iPhone" || cell == "5.5"), "{refusal:?}");
    }
}

#[test]
fn cells_of_several_lines_are_no_unclosed_quotes() {
    let one = imei(1);
    let mut table = open(format!("imei,note\n{one},\"see\nIMEI {one}, or\nnot\"\n"));
    assert_eq!(rows(&mut table).len(), 1);
}

#[test]
fn a_file_that_changes_between_the_passes_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stock.csv");
    std::fs::write(&path, format!("imei\n{}\n", imei(1))).unwrap();
    let mut table = Table::open(std::fs::File::open(&path).unwrap(), true).unwrap();
    std::fs::write(&path, format!("imei\n{}\n{}\n", imei(1), imei(2))).unwrap();
    let read: Vec<_> = table.rows().unwrap().collect();
    assert_eq!(read.len(), 3);
    assert!(matches!(read.last(), Some(Err(ReadError::Changed(_)))));
}

/// Cells that a table can hold: not blank, so that no row is.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        (0..1_000_000u32).prop_map(imei),
        "[a-z;|\t\" äß€-]{0,8}x".prop_map(|cell| cell),
        "[a-z]{1,4}\r\n[a-z]{1,4}",
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_a_table_or_a_refusal(bytes: Vec<u8>, luhn: bool) {
        if let Ok(mut table) = Table::open(Cursor::new(bytes), luhn) {
            prop_assert_eq!(u32::try_from(table.rows().unwrap().count()).unwrap(), table.row_count());
        }
    }

    #[test]
    fn any_bytes_around_an_imei_are_a_table_or_a_refusal(
        before in "[\"a,;\t|\r\n\u{0}-\u{ff}]{0,30}", after in proptest::collection::vec(any::<u8>(), 0..60)
    ) {
        let mut bytes = format!("{before}\n{}\n", imei(7)).into_bytes();
        bytes.extend_from_slice(&after);
        match Table::open(Cursor::new(bytes), true) {
            Ok(mut table) => {
                let count = table.row_count();
                let read: Result<Vec<Row>, ReadError> = table.rows().unwrap().collect();
                prop_assert_eq!(u32::try_from(read.unwrap().len()).unwrap(), count);
            }
            Err(OpenError::Refused(refusal)) => prop_assert!(refusal.text("x.csv").lines().count() < 25),
            Err(OpenError::Io(error)) => return Err(TestCaseError::fail(error.to_string())),
        }
    }

    #[test]
    fn every_written_row_is_read_back(
        table in proptest::collection::vec(proptest::collection::vec(cell(), 1..5), 1..20),
        delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t')],
    ) {
        let mut writer = csv::WriterBuilder::new().flexible(true).delimiter(delimiter).from_writer(Vec::new());
        writer.write_record(["imei", "a"]).unwrap();
        writer.write_record([imei(1).as_str(), "b"]).unwrap();
        for row in &table {
            writer.write_record(row).unwrap();
        }
        let mut read = open(writer.into_inner().unwrap());
        prop_assert_eq!(read.header().delimiter, delimiter);
        let rows = rows(&mut read);
        prop_assert_eq!(rows.len(), table.len() + 1);
        for (row, expected) in rows.iter().skip(1).zip(&table) {
            prop_assert_eq!(&cells(row), expected);
        }
    }
}
