//! An IMEI: fifteen digits of which the last is a check digit (3GPP TS 23.003, annex B).

use std::fmt;

/// A well-formed IMEI: exactly fifteen ASCII digits, kept as a number so that a million fit in 8 MB.
///
/// Only [`Imei::parse`] makes one, so no other text can reach the provider.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Imei(u64);

/// Why a text is not an IMEI. The words are for the person who made the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImeiError {
    /// Nothing but blanks.
    #[error("the cell is empty")]
    Empty,
    /// A spreadsheet showed the number as `3.55E+14`: digits are gone for good.
    #[error(
        "the spreadsheet wrote it as {0}, which has lost digits: format the column as text and paste the IMEI again"
    )]
    Scientific(String),
    /// Something that is no digit, at this position (from 1).
    #[error("character {1} is {0:?}, which is not a digit")]
    NotADigit(char, usize),
    /// Digits only, but not fifteen of them.
    #[error("it has {0} {noun}, an IMEI has 15{hint}", noun = if *.0 == 1 { "digit" } else { "digits" }, hint = length_hint(*.0))]
    Length(usize),
    /// The check digit is wrong: a typing error in one digit, or two swapped.
    #[error("its check digit is {found} but must be {expected}: one digit is mistyped or two are swapped")]
    CheckDigit {
        /// The last digit as it stands.
        found: u8,
        /// The digit that the first fourteen ask for.
        expected: u8,
    },
}

fn length_hint(digits: usize) -> &'static str {
    match digits {
        14 => " (the check digit, or a zero in front that a spreadsheet dropped, is missing)",
        13 => " (a spreadsheet drops zeros in front: format the column as text)",
        16 => " (16 is an IMEISV: it ends in a software version, not a check digit)",
        _ => "",
    }
}

impl Imei {
    /// Reads an IMEI from a cell. Spaces, dashes, a leading `'` and `="…"` around it come off;
    /// everything else must be a digit. With `luhn` the check digit must be right.
    ///
    /// # Errors
    /// An [`ImeiError`] that says what is wrong and how to mend it.
    pub fn parse(cell: &str, luhn: bool) -> Result<Self, ImeiError> {
        // As nearly every cell and every answer has it.
        let value = match fifteen_digits(cell) {
            Some(value) => value,
            None => read_any(cell)?,
        };
        if luhn {
            let expected = check_digit(value / 10);
            let found = u8::try_from(value % 10).unwrap_or(u8::MAX);
            if found != expected {
                return Err(ImeiError::CheckDigit { found, expected });
            }
        }
        Ok(Self(value))
    }

    /// The IMEI for a type allocation code of eight digits and a serial number of six:
    /// the check digit is computed. For generated test data and the simulator.
    #[must_use]
    pub fn from_parts(tac: u32, serial: u32) -> Self {
        let body = u64::from(tac % 100_000_000) * 1_000_000 + u64::from(serial % 1_000_000);
        Self(body * 10 + u64::from(check_digit(body)))
    }

    /// The IMEI kept in the journal as this number; `None` if it has more than fifteen digits.
    #[must_use]
    pub const fn from_u64(value: u64) -> Option<Self> {
        if value < 1_000_000_000_000_000 { Some(Self(value)) } else { None }
    }

    /// The fifteen digits as one number (leading zeros are not in it).
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The last four digits behind dots, for logs that must not name a customer's device.
    #[must_use]
    pub fn redacted(self) -> String {
        format!("…{:04}", self.0 % 10_000)
    }
}

/// The number of a text of fifteen digits and nothing else.
fn fifteen_digits(text: &str) -> Option<u64> {
    let digits: &[u8; 15] = text.as_bytes().try_into().ok()?;
    let all = digits.iter().all(u8::is_ascii_digit);
    all.then(|| digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit & 0x0f)))
}

/// The number in a cell, whatever is around it.
fn read_any(cell: &str) -> Result<u64, ImeiError> {
    let text = undress(cell);
    if text.is_empty() {
        return Err(ImeiError::Empty);
    }
    if is_scientific(text) {
        return Err(ImeiError::Scientific(text.to_owned()));
    }
    let mut value = 0u64;
    let mut digits = 0usize;
    for (at, character) in text.chars().enumerate() {
        if is_filler(character) {
            continue;
        }
        let Some(digit) = character.to_digit(10) else {
            return Err(ImeiError::NotADigit(character, at.saturating_add(1)));
        };
        digits = digits.saturating_add(1);
        if digits <= 15 {
            value = value.saturating_mul(10).saturating_add(u64::from(digit));
        }
    }
    if digits == 0 {
        return Err(ImeiError::Empty);
    }
    if digits != 15 {
        return Err(ImeiError::Length(digits));
    }
    Ok(value)
}

/// Takes off what spreadsheets and people put around a number.
fn undress(cell: &str) -> &str {
    let mut text = cell.trim_matches(is_blank);
    if let Some(inner) = text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')) {
        text = inner.trim_matches(is_blank);
    }
    text.trim_start_matches('\'').trim_matches(is_blank)
}

/// White space, the byte order mark and the invisible marks that web pages paste along.
fn is_blank(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}')
}

fn is_filler(character: char) -> bool {
    is_blank(character) || matches!(character, '-' | '\u{2010}'..='\u{2015}')
}

fn is_scientific(text: &str) -> bool {
    let mut halves = text.splitn(2, ['e', 'E']);
    let (Some(mantissa), Some(exponent)) = (halves.next(), halves.next()) else {
        return false;
    };
    let number = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '+' | '-'))
    };
    number(mantissa) && number(exponent) && mantissa.contains(|c: char| c.is_ascii_digit())
}

/// The Luhn check digit of fourteen digits.
fn check_digit(body: u64) -> u8 {
    let mut rest = body;
    let mut sum = 0u64;
    let mut double = true;
    while rest > 0 {
        let digit = rest % 10;
        let value = if double { digit * 2 } else { digit };
        sum += if value > 9 { value - 9 } else { value };
        double = !double;
        rest /= 10;
    }
    u8::try_from((10 - sum % 10) % 10).unwrap_or(0)
}

impl fmt::Display for Imei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:015}", self.0)
    }
}

impl fmt::Debug for Imei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Imei({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_and_spreadsheets_put_around_an_imei_comes_off() {
        let plain = Imei::from_parts(35_234_567, 123_456);
        let text = plain.to_string();
        for dressed in [
            text.clone(),
            format!("  {text}\t"),
            format!("'{text}"),
            format!("=\"{text}\""),
            format!("\u{feff}{text}\u{200b}"),
            format!("{}-{}-{}-{}", &text[..2], &text[2..8], &text[8..14], &text[14..]),
            format!("{} {}", &text[..8], &text[8..]),
        ] {
            assert_eq!(Imei::parse(&dressed, true), Ok(plain), "{dressed:?}");
        }
    }

    #[test]
    fn fifteen_digits_read_at_once_are_what_they_are_read_one_by_one() {
        for serial in (0..1_000_000).step_by(977) {
            let text = Imei::from_parts(1_234_567 + serial, serial).to_string();
            assert_eq!(fifteen_digits(&text), read_any(&text).ok(), "{text}");
        }
        for other in
            ["35547349605456", "3554734960545601", "35547349605456x", "355473496054 60", "+35547349605456"]
        {
            assert_eq!(fifteen_digits(other), None, "{other}");
        }
    }

    #[test]
    fn a_leading_zero_is_kept() {
        let imei = Imei::from_parts(1_234_567, 7);
        assert_eq!(imei.to_string().len(), 15);
        assert!(imei.to_string().starts_with('0'));
        assert_eq!(Imei::parse(&imei.to_string(), true), Ok(imei));
    }

    #[test]
    fn every_wrong_check_digit_is_named_with_the_right_one() {
        let right = Imei::from_parts(35_000_000, 42);
        let body = right.as_u64() / 10;
        for digit in 0..10u64 {
            let parsed = Imei::parse(&format!("{:015}", body * 10 + digit), true);
            if digit == right.as_u64() % 10 {
                assert_eq!(parsed, Ok(right));
            } else {
                assert_eq!(
                    parsed,
                    Err(ImeiError::CheckDigit {
                        found: u8::try_from(digit).unwrap(),
                        expected: u8::try_from(right.as_u64() % 10).unwrap()
                    })
                );
                assert!(Imei::parse(&format!("{:015}", body * 10 + digit), false).is_ok());
            }
        }
    }

    #[test]
    fn what_is_not_an_imei_is_refused_with_the_reason() {
        assert_eq!(Imei::parse("  ", true), Err(ImeiError::Empty));
        assert_eq!(Imei::parse("--", true), Err(ImeiError::Empty));
        assert!(matches!(Imei::parse("3,55E+14", true), Err(ImeiError::Scientific(_))));
        assert!(matches!(Imei::parse("3.55473E14", true), Err(ImeiError::Scientific(_))));
        assert_eq!(Imei::parse("35547349605456", true), Err(ImeiError::Length(14)));
        assert_eq!(Imei::parse("35-5473X", true), Err(ImeiError::NotADigit('X', 8)));
        assert_eq!(Imei::parse(&"1".repeat(400), true), Err(ImeiError::Length(400)));
        assert_eq!(Imei::parse("٣٥٥٤٧٣٤٩٦٠٥٤٥٦٠", true), Err(ImeiError::NotADigit('٣', 1)));
    }

    #[test]
    fn two_imeis_in_a_cell_are_never_one() {
        let one = Imei::from_parts(35_000_000, 1);
        assert!(Imei::parse(&format!("{one},{one}"), true).is_err());
        assert!(Imei::parse(&format!("{one} {one}"), true).is_err());
    }
}
