//! What counts as a label in a check's answer: the few words before a colon.

use memchr::memchr;

use super::markup::SOFT_BREAK;

/// The longest text before a colon that is taken for a label, in characters; longer is prose.
const MAX_LABEL_CHARS: usize = 40;
/// The same in words: `Estimated Purchase Date` has three.
const MAX_LABEL_WORDS: usize = 5;

/// `Label: value` at the start of a text: both, the value with the blank before it.
pub(super) fn labelled(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == SOFT_BREAK || is_ornament(c));
    let (label, value) = match glance(text.as_bytes()) {
        Glance::Label(colon) => (text.get(..colon)?, text.get(colon.saturating_add(1)..)?),
        Glance::Prose => return None,
        Glance::Unclear => {
            let near = text.as_bytes().get(..MAX_LABEL_CHARS.saturating_mul(4)).unwrap_or(text.as_bytes());
            let colon = memchr(b':', near)?;
            let label = text.get(..colon)?.trim_end();
            (is_label(label).then_some(label)?, text.get(colon.saturating_add(1)..)?)
        }
    };
    (!value.starts_with("//") && !is_time(label, value)).then_some((label, value))
}

/// What the first few bytes of a text tell of the label before it.
enum Glance {
    /// It has one, up to this colon.
    Label(usize),
    /// It has none.
    Prose,
    /// [`is_label`] has to say.
    Unclear,
}

/// Nearly every label is a few words of ASCII, and nearly all prose isn't that: one look at each byte tells.
fn glance(text: &[u8]) -> Glance {
    let (mut words, mut last) = (1usize, b' ');
    for (at, byte) in text.iter().take(MAX_LABEL_CHARS).enumerate() {
        match *byte {
            b':' => {
                let is_one = last != b' ' && words <= MAX_LABEL_WORDS;
                return if is_one { Glance::Label(at) } else { Glance::Unclear };
            }
            b'A'..=b'Z' | b'a'..=b'z' => {}
            _ if at == 0 => return Glance::Unclear,
            b' ' => words = words.saturating_add(1),
            b'0'..=b'9' | b'/' | b'(' | b')' | b'.' | b'\'' | b'#' | b'&' | b'_' => {}
            b'!'..=b'~' if *byte != b'-' => return Glance::Prose,
            _ => return Glance::Unclear,
        }
        last = *byte;
    }
    if text.len() < MAX_LABEL_CHARS { Glance::Prose } else { Glance::Unclear }
}

/// Whether what stands before a colon can be a label.
fn is_label(text: &str) -> bool {
    let (mut chars, mut words) = (0usize, 1usize);
    for character in text.chars() {
        chars = chars.saturating_add(1);
        words = words.saturating_add(usize::from(character == ' '));
        let may_be_in_one = character.is_alphanumeric()
            || matches!(character, ' ' | '/' | '(' | ')' | '.' | '\'' | '#' | '&' | '-' | '_');
        if !may_be_in_one || chars > MAX_LABEL_CHARS || words > MAX_LABEL_WORDS {
            return false;
        }
    }
    text.starts_with(char::is_alphabetic) && !text.as_bytes().windows(3).any(|three| three == b" - ")
}

/// `Try again at 12:30` has no label.
fn is_time(label: &str, value: &str) -> bool {
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    value.starts_with(|c: char| c.is_ascii_digit()) && label.rsplit(' ').next().is_none_or(is_number)
}

/// Bullets and emoji that panels put before a label.
pub(super) fn is_ornament(character: char) -> bool {
    matches!(character, '•' | '*' | '·' | '\u{2190}'..='\u{2bff}' | '\u{fe0f}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_glance_tells_no_more_than_the_longer_look(
            pieces in proptest::collection::vec(
                prop_oneof![
                    "[A-Za-z0-9 /().'#&_:-]{0,12}", "[ -~]{0,3}", any::<char>().prop_map(String::from),
                    Just("Model: A".to_owned()), Just(" - ".to_owned()), Just("\u{1}\n".to_owned()),
                    "[a-z]{36,41}:", "([a-z] ){3,5}[a-z]:",
                ],
                0..5,
            )
        ) {
            let text = pieces.concat();
            let colon = memchr(b':', text.as_bytes());
            let label = colon.and_then(|colon| text.get(..colon)).map(str::trim_end);
            match glance(text.as_bytes()) {
                Glance::Label(at) => {
                    prop_assert_eq!((Some(at), label.map(str::len)), (colon, colon));
                    prop_assert!(label.is_some_and(is_label));
                }
                Glance::Prose => prop_assert!(!label.is_some_and(is_label)),
                Glance::Unclear => {}
            }
        }
    }
}
