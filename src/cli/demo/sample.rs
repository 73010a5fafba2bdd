//! The demo's file: as a shop's spreadsheet writes it, with what goes wrong in one.

use crate::types::Imei;

const MODELS: [&str; 5] = [
    "iPhone 12, 64GB",
    "iPhone 13 \"mini\" 128GB",
    "iPhone 14 Pro 256GB",
    "iPhone 15 128GB",
    "iPhone SE 64GB",
];
const TAC: u32 = 35_332_211;

/// A CSV of so many rows. One in 25 is no IMEI, one in 20 repeats an earlier one.
pub(super) fn file(rows: u32) -> String {
    let mut text = String::from("Shelf,Model,IMEI,Bought at\r\n");
    for row in 0..rows {
        let model = MODELS.get(row as usize % MODELS.len()).copied().unwrap_or_default().replace('"', "\"\"");
        text.push_str(&format!("A{row},\"{model}\",{},store {}\r\n", cell(row), row % 3 + 1));
    }
    text
}

fn cell(row: u32) -> String {
    let imei = Imei::from_parts(TAC, row).to_string();
    match row % 100 {
        // A digit mistyped, cut off, replaced by a letter; what a spreadsheet makes of a number; nothing at all.
        7 => imei.get(..14).unwrap_or_default().to_owned(),
        24 => "3.53322E+14".to_owned(),
        49 => imei.replacen('3', "B", 1),
        74 => String::new(),
        row if row % 20 == 13 => Imei::from_parts(TAC, row / 2).to_string(),
        _ => imei,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_sample_has_invalid_and_repeated_rows() {
        let text = file(200);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let cells: Vec<String> = reader.records().map(|row| row.unwrap()[2].to_owned()).collect();
        let valid: Vec<Imei> = cells.iter().filter_map(|cell| Imei::parse(cell, true).ok()).collect();
        let distinct: BTreeSet<Imei> = valid.iter().copied().collect();
        assert_eq!((cells.len(), valid.len(), distinct.len()), (200, 192, 182));
    }
}
