//! What people drop: small files of IMEIs, some wrong, some twice, some known from another file.

use std::fmt::Write as _;

use fastrand::Rng;
use imeid::types::Imei;

/// A service of this world: its network id, its folder in the inbox, its title at the provider, its price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceOf {
    pub(crate) network_id: &'static str,
    pub(crate) folder: &'static str,
    pub(crate) title: &'static str,
    pub(crate) micros: i64,
}

pub(crate) const SERVICES: [ServiceOf; 2] = [
    ServiceOf { network_id: "1739", folder: ".", title: "iPhone Check", micros: 80_000 },
    ServiceOf { network_id: "2001", folder: "unlock", title: "Unlock & more", micros: 500_000 },
];

/// A row as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) cell: String,
    /// `None`: it isn't one.
    pub(crate) imei: Option<Imei>,
}

/// A file that was dropped.
#[derive(Clone, Debug)]
pub(crate) struct Dropped {
    pub(crate) name: String,
    pub(crate) service: usize,
    pub(crate) lines: Vec<Line>,
    pub(crate) text: String,
    /// Nothing in it can be ordered: it is refused.
    pub(crate) refused: bool,
}

/// IMEIs come from a small stock, so that files share many.
pub(crate) fn imei(n: u32) -> Imei {
    Imei::from_parts(35_000_000, n)
}

/// A file of `rows` rows out of a stock of `stock` IMEIs; `n` is its number, which makes its content its own.
pub(crate) fn random(rng: &mut Rng, n: usize, rows: usize, stock: u32) -> Dropped {
    let mut lines: Vec<Line> = (0..rows).map(|_| line(rng, stock)).collect();
    if rng.u8(0..3) == 0
        && let Some(first) = lines.first().cloned()
    {
        lines.push(first);
    }
    // Two files in a row may have one name.
    let name = format!("stock{}.csv", n / 2);
    written(name, rng.usize(0..SERVICES.len()), n, lines)
}

/// The file with these rows.
pub(crate) fn written(name: String, service: usize, n: usize, lines: Vec<Line>) -> Dropped {
    let refused = lines.iter().all(|line| line.imei.is_none());
    let mut text = "lot;IMEI;own\r\n".to_owned();
    for (at, line) in lines.iter().enumerate() {
        let _ = write!(text, "{n};{};\"a \"\"{at}\"\"\"\r\n", line.cell);
    }
    Dropped { name, service, lines, text, refused }
}

fn line(rng: &mut Rng, stock: u32) -> Line {
    let imei = imei(rng.u32(0..stock));
    match rng.u8(0..12) {
        0 => Line { cell: "not an IMEI".to_owned(), imei: None },
        1 => {
            // Its check digit is wrong.
            let text = imei.to_string();
            let digit = (text.as_bytes()[14] - b'0' + 1) % 10;
            Line { cell: format!("{}{digit}", &text[..14]), imei: None }
        }
        2 => Line { cell: format!("'{imei}"), imei: Some(imei) },
        _ => Line { cell: imei.to_string(), imei: Some(imei) },
    }
}
