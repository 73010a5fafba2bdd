//! Keeps the API key out of everything that leaves this module.

use memchr::arch::all::packedpair::Finder;
use memchr::{memchr, memchr_iter, memchr2_iter, memmem};
use secrecy::{ExposeSecret, SecretString};

/// What stands where the key stood.
const MARK: &str = "***";
/// A body that ends in the middle of the key may end in this few of its bytes unmarked.
const HARMLESS_BYTES: usize = 3;

/// The API key, and how to find it in what a server sends back.
pub(super) struct Key {
    secret: SecretString,
    /// Finds where it may stand as it is. Two characters of it are kept here and where they are, no copy of it; there is none
    /// for a key of one character.
    finder: Option<Finder>,
}

impl Key {
    /// `None` where `key` is empty or holds what is no printable ASCII character. Blanks around it come off.
    pub(super) fn new(key: &SecretString) -> Option<Self> {
        let key = key.expose_secret().trim();
        let is_one = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        is_one.then(|| Self { secret: key.into(), finder: Finder::new(key.as_bytes()) })
    }

    /// The key itself, for the request's body only.
    pub(super) fn expose(&self) -> &str {
        self.secret.expose_secret()
    }

    /// `text` without the key.
    pub(super) fn redact(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.redact_body(text.as_bytes().to_vec(), true)).into_owned()
    }

    /// `body` without the key, however its characters are spelled; where the body was cut off, without the part of the
    /// key that it ends in, too.
    pub(super) fn redact_body(&self, body: Vec<u8>, is_whole: bool) -> Vec<u8> {
        // Nearly every body is whole, and nothing of the key is in it.
        if is_whole && !self.may_be_in(&body) { body } else { self.redact_any(body, is_whole) }
    }

    /// Whether the whole key may be somewhere in `body`: as it is, or with an escape for at least one of its characters.
    fn may_be_in(&self, body: &[u8]) -> bool {
        let key = self.expose().as_bytes();
        let stands_for_one = |at: usize| {
            let escaped = body.get(at..).and_then(escape);
            escaped.is_some_and(|(byte, _)| key.contains(&byte))
        };
        // Of many answers every other byte is escaped HTML, and few keys have a character with a name.
        let has_named = key.iter().any(|byte| NAMED.contains(byte));
        self.stands_in(body)
            || memchr2_iter(b'%', b'\\', body).any(stands_for_one)
            || memchr(b'&', body).is_some() && memmem::find_iter(body, b"&#").any(stands_for_one)
            || has_named && memchr_iter(b'&', body).any(stands_for_one)
    }

    /// Whether the key may stand in `body` as it is.
    fn stands_in(&self, body: &[u8]) -> bool {
        let Some(finder) = &self.finder else { return true };
        let mut rest = body;
        while let Some(from) = finder.find_prefilter(rest).and_then(|at| rest.get(at..)) {
            if from.starts_with(self.expose().as_bytes()) {
                return true;
            }
            rest = from.get(1..).unwrap_or_default();
        }
        false
    }

    /// [`Self::redact_body`] for any body.
    fn redact_any(&self, body: Vec<u8>, is_whole: bool) -> Vec<u8> {
        let key = self.expose().as_bytes();
        let mut clean = Vec::new();
        let (mut copied, mut at) = (0, 0);
        // Nothing else can begin the key, and most of a body is something else.
        let may_begin = |byte: &u8| key.first() == Some(byte) || matches!(byte, b'%' | b'&' | b'\\');
        while let Some(next) = body.get(at..).and_then(|rest| rest.iter().position(may_begin)) {
            at = at.saturating_add(next);
            let rest = body.get(at..).unwrap_or_default();
            let taken = match spelled(key, rest) {
                Found::Whole(bytes) => bytes,
                Found::Cut(characters) if !is_whole && characters > HARMLESS_BYTES => rest.len(),
                Found::Cut(_) | Found::Not => {
                    at = at.saturating_add(1);
                    continue;
                }
            };
            clean.extend_from_slice(body.get(copied..at).unwrap_or_default());
            clean.extend_from_slice(MARK.as_bytes());
            at = at.saturating_add(taken);
            copied = at;
        }
        if copied == 0 {
            return body;
        }
        clean.extend_from_slice(body.get(copied..).unwrap_or_default());
        clean
    }
}

/// Whether a text begins with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// It does, in this many bytes.
    Whole(usize),
    /// It ends behind this many of the key's characters.
    Cut(usize),
    Not,
}

/// Looks for the key at the beginning of `text`, every character of it as it is or as forms, addresses, XML, HTML and
/// JSON write it, in whatever mixture.
fn spelled(key: &[u8], text: &[u8]) -> Found {
    let Some((first, others)) = key.split_first() else { return Found::Whole(0) };
    if text.is_empty() {
        return Found::Cut(0);
    }
    let mut best = Found::Not;
    let spellings =
        [escape(text).filter(|(byte, _)| byte == first).map(|(_, bytes)| bytes), literal(*first, text)];
    for bytes in spellings.into_iter().flatten() {
        match spelled(others, text.get(bytes..).unwrap_or_default()) {
            Found::Whole(more) => return Found::Whole(bytes.saturating_add(more)),
            Found::Cut(more) => best = Found::Cut(more.saturating_add(1)),
            Found::Not => {}
        }
    }
    match best {
        // In the middle of an escape.
        Found::Not if text.len() < ESCAPE_BYTES_MAX && matches!(text.first(), Some(b'%' | b'&' | b'\\')) => {
            Found::Cut(0)
        }
        best => best,
    }
}

fn literal(byte: u8, text: &[u8]) -> Option<usize> {
    (text.first() == Some(&byte)).then_some(1)
}

/// The longest way of writing a character that is known here, such as `&#x0002f;`.
const ESCAPE_BYTES_MAX: usize = 10;

/// The character that an escape at the beginning of `text` stands for, and the bytes that it takes.
fn escape(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'%', high, low, ..] => Some((hexadecimal(&[*high, *low])?, 3)),
        [b'\\', b'u', digits @ ..] => Some((hexadecimal(digits.get(..4)?)?, 6)),
        [b'\\', byte @ (b'"' | b'\\' | b'/' | b'\''), ..] => Some((*byte, 2)),
        [b'&', name @ ..] => {
            let end = name.iter().take(ESCAPE_BYTES_MAX).position(|byte| *byte == b';')?;
            Some((entity(name.get(..end)?)?, end.saturating_add(2)))
        }
        _ => None,
    }
}

/// The characters that [`entity`] knows by name.
const NAMED: &[u8] = b"&<>\"'";

fn entity(name: &[u8]) -> Option<u8> {
    Some(match name {
        b"amp" => b'&',
        b"lt" => b'<',
        b"gt" => b'>',
        b"quot" => b'"',
        b"apos" => b'\'',
        [b'#', b'x' | b'X', digits @ ..] => hexadecimal(digits)?,
        [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
        _ => return None,
    })
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    u8::try_from(u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str, is_whole: bool) -> String {
        let key = Key::new(&"aB+/&<%\"'\\z".into()).unwrap();
        String::from_utf8(key.redact_body(text.as_bytes().to_vec(), is_whole)).unwrap()
    }

    #[test]
    fn the_key_is_found_in_every_spelling_and_mixture_of_them() {
        for key in [
            "aB+/&<%\"'\\z",
            "aB%2B%2F%26%3C%25%22%27%5Cz",
            "aB%2b%2f%26%3c%25%22%27%5cz",
            "%61%42%2b%2F&%3c%25\"'%5Cz",
            "aB+/&amp;&lt;%&quot;&apos;\\z",
            "aB+/&amp;&lt;%&quot;&#039;\\z",
            "aB&#43;&#x2F;&#38;&#X3c;&#37;&#34;&#x00027;&#92;z",
            "aB+\\/&<%\\\"'\\\\z",
            "\\u0061B+/&<%\"'\\z",
            "&#97;B+/&<%\"'\\z",
            "aB\\u002b/\\u0026\\u003c%\\\"\\'\\\\z",
        ] {
            assert_eq!(redacted(&format!("é{key}{key}!"), true), "é******!", "{key}");
            assert_eq!(redacted(&format!("x{key}"), false), "x***", "{key}");
        }
    }

    #[test]
    fn one_character_written_in_another_way_hides_no_key() {
        for byte in b'!'..=b'~' {
            let key = format!("Key{}0123", char::from(byte));
            let clean = Key::new(&key.as_str().into()).unwrap();
            for how in 0..5 {
                let spelled = format!("<id>Key{}0123</id>", written(byte, how));
                assert_eq!(clean.redact(&spelled), "<id>***</id>", "{spelled}");
            }
        }
    }

    #[test]
    fn what_a_cut_body_ends_in_goes_too() {
        for (text, clean) in
            [("x aB+/", "x ***"), ("x aB%2B%2", "x aB%2B%2"), ("x aB%2B%2f&am", "x ***"), ("x aB", "x aB")]
        {
            assert_eq!(redacted(text, false), clean);
            assert_eq!(redacted(text, true), text);
        }
    }

    #[test]
    fn what_is_not_the_key_stays_as_it_is() {
        for text in ["", "%", "&#;&#x;\\u00%zz&&&", "aB+/&<%\"'\\Z", "aB +/&<%\"'\\z", "é🙂"] {
            assert_eq!(redacted(text, true), text);
        }
    }

    /// A character of the key as it stands, or in one of the ways that are known here.
    fn written(byte: u8, how: u8) -> String {
        let character = char::from(byte);
        match (how, byte) {
            (0, _) => format!("%{byte:02x}"),
            (1, _) => format!("&#{byte:03};"),
            (2, _) => format!("&#x{byte:X};"),
            (3, _) => format!("\\u{byte:04x}"),
            (4, b'&') => "&amp;".to_owned(),
            (4, b'<') => "&lt;".to_owned(),
            (4, b'>') => "&gt;".to_owned(),
            (4, b'"') => "&quot;".to_owned(),
            (4, b'\'') => "&apos;".to_owned(),
            (4, b'/' | b'\\') => format!("\\{character}"),
            _ => character.to_string(),
        }
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof!["[aA0&%;#x\\\\/<\"'>-]{1,6}", "[0-9A-Z-]{8,24}", "[!-~]{1,24}"]
    }

    /// The key from some character to another one: as a whole, its beginning, or any part.
    fn part() -> impl Strategy<Value = (usize, usize)> {
        prop_oneof![2 => Just((0, 24)), 1 => (Just(0), 0..24usize), 1 => (0..24usize, 0..24usize)]
    }

    fn noise() -> impl Strategy<Value = &'static str> {
        let pieces =
            ["", "<id>7</id>", "&lt;br&gt;", "&amp;", "&nbsp;", "&", "&#", "%", "%4", "\\", "\\u00", "é"];
        proptest::sample::select(pieces.to_vec())
    }

    proptest! {
        #[test]
        fn the_look_beforehand_lets_nothing_pass_in_which_the_key_is_found(
            key in key(),
            pieces in vec((noise(), part(), vec(0..20u8, 24)), 0..5),
            lost in prop_oneof![2 => Just(0), 1 => 0..16usize],
            is_whole: bool,
        ) {
            let mut body = Vec::new();
            for (noise, (from, to), hows) in pieces {
                body.extend_from_slice(noise.as_bytes());
                let spelled = key.bytes().zip(hows).take(to).skip(from).map(|(byte, how)| written(byte, how));
                body.extend_from_slice(spelled.collect::<String>().as_bytes());
            }
            body.truncate(body.len().saturating_sub(lost));
            let key = Key::new(&key.into()).unwrap();
            prop_assert_eq!(key.redact_body(body.clone(), is_whole), key.redact_any(body, is_whole));
        }

        #[test]
        fn what_nearly_is_the_key_hides_none_that_is(key in "[ab]{1,5}", body in "[ab]{0,12}") {
            let key = Key::new(&key.into()).unwrap();
            let body = body.into_bytes();
            prop_assert_eq!(key.redact_body(body.clone(), true), key.redact_any(body, true));
        }
    }
}
