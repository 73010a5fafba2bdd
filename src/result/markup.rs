//! From the provider's HTML-ish text to plain text: tags come off, entities are decoded.
//!
//! It is no HTML parser. The answers are one-liners written by hand in an admin panel and escaped none, one or
//! two times on their way, so what looks like a known tag is one, and everything else is text.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};

/// A place where a line ended for certain: `<br>`, a block's begin or end.
pub(super) const HARD_BREAK: char = '\n';
/// A line break in the text itself: where there are tags for breaks too, it may be only the source's layout.
pub(super) const SOFT_BREAK: char = '\u{1}';

/// How often a text may have been escaped; more rounds would only serve an attacker.
const MAX_ESCAPES: usize = 4;
/// The longest `<…>` taken for a tag, in bytes.
const MAX_TAG_BYTES: usize = 2_000;
/// The longest name or number between `&` and `;`, in bytes.
const MAX_ENTITY_BYTES: usize = 10;

/// The longest name of a tag that is known, in bytes.
const MAX_NAME_BYTES: usize = 10;

/// What stands for a tag of this name, in small letters; `None` for one that isn't known.
fn instead_of(name: &[u8]) -> Option<Option<char>> {
    match name {
        // After these the text goes on in a new line.
        b"address" | b"article" | b"blockquote" | b"body" | b"br" | b"center" | b"dd" | b"div" | b"dl"
        | b"dt" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"head" | b"header" | b"hr" | b"html"
        | b"li" | b"ol" | b"p" | b"pre" | b"section" | b"table" | b"tbody" | b"tfoot" | b"thead"
        | b"title" | b"tr" | b"ul" => Some(Some(HARD_BREAK)),
        // These stand between two words.
        b"img" | b"td" | b"th" | b"wbr" => Some(Some(' ')),
        // And these are no more than looks.
        b"a" | b"abbr" | b"b" | b"big" | b"button" | b"cite" | b"code" | b"col" | b"del" | b"em"
        | b"font" | b"i" | b"input" | b"ins" | b"kbd" | b"label" | b"link" | b"mark" | b"meta" | b"s"
        | b"samp" | b"small" | b"span" | b"strike" | b"strong" | b"sub" | b"sup" | b"tt" | b"u" | b"var" => {
            Some(None)
        }
        // `Carrier: <none>` is an answer, not markup.
        _ => None,
    }
}

/// The text without markup: entities decoded, known tags gone, runs of blanks one blank, breaks as
/// [`HARD_BREAK`] and [`SOFT_BREAK`].
pub(super) fn plain(code: &str) -> String {
    let mut text = Cow::Borrowed(code);
    if memchr(b'\r', code.as_bytes()).is_some() {
        text = Cow::Owned(text.replace("\r\n", "\n"));
    }
    for _ in 0..MAX_ESCAPES {
        let Some(decoded) = decode_entities(&text) else { break };
        text = Cow::Owned(decoded);
    }
    without_tags(&text)
}

/// The text with what stands for each entity; `None` where there is none in it.
fn decode_entities(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    // What an entity takes holds no other `&`.
    for at in memchr_iter(b'&', text.as_bytes()) {
        let name = text.get(at.saturating_add(1)..).unwrap_or_default();
        let end = name.bytes().take(MAX_ENTITY_BYTES.saturating_add(1)).position(|byte| byte == b';');
        let Some((end, character)) = end.and_then(|end| Some((end, entity(name.get(..end)?)?))) else {
            continue;
        };
        if copied == 0 {
            out.reserve(text.len());
        }
        out.push_str(text.get(copied..at).unwrap_or_default());
        out.push(character);
        copied = at.saturating_add(end).saturating_add(2);
    }
    if copied == 0 {
        return None;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Some(out)
}

/// U+00A0 to U+00FF in order.
const LATIN_1: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn \
    sup2 sup3 acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde \
    Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde \
    Ouml times Oslash Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil \
    egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave \
    uacute ucirc uuml yacute thorn yuml";

/// U+0080 to U+009F as browsers read them: a number from a Windows program.
const WINDOWS_1252: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        return numbered(number);
    }
    Some(match name.as_bytes() {
        b"amp" | b"AMP" => '&',
        b"lt" | b"LT" => '<',
        b"gt" | b"GT" => '>',
        b"quot" | b"QUOT" => '"',
        b"apos" => '\'',
        b"ndash" => '–',
        b"mdash" => '—',
        b"lsquo" => '‘',
        b"rsquo" => '’',
        b"sbquo" => '‚',
        b"ldquo" => '“',
        b"rdquo" => '”',
        b"bdquo" => '„',
        b"bull" => '•',
        b"hellip" => '…',
        b"euro" => '€',
        b"trade" => '™',
        b"check" => '✓',
        b"cross" => '✗',
        b"ensp" | b"emsp" | b"thinsp" => ' ',
        _ => {
            let at = LATIN_1.split_whitespace().position(|known| known == name)?;
            char::from_u32(u32::try_from(at).ok()?.checked_add(0xA0)?)?
        }
    })
}

fn numbered(number: &str) -> Option<char> {
    let hex = number.strip_prefix(['x', 'X']);
    let (digits, radix) = hex.map_or((number, 10), |digits| (digits, 16));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u32::from_str_radix(digits, radix).ok()?;
    if let Some(at) = value.checked_sub(0x80).filter(|at| *at < 0x20) {
        return WINDOWS_1252.chars().nth(usize::try_from(at).ok()?);
    }
    Some(char::from_u32(value).filter(|character| *character != '\0').unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// The text without tags, and tidy.
fn without_tags(text: &str) -> String {
    let mut tidy = Tidy { out: String::with_capacity(text.len()), gap: None };
    let mut rest = text;
    while let Some((before, from)) = memchr(b'<', rest.as_bytes()).map(|at| rest.split_at(at)) {
        tidy.text(before);
        if let Some((instead, after)) = tag(from) {
            instead.into_iter().for_each(|character| tidy.push(character));
            rest = after;
        } else {
            tidy.push('<');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    tidy.text(rest);
    tidy.out
}

/// The tag at the start of `from` (which begins with `<`): what stands for it, and the text after it.
fn tag(from: &str) -> Option<(Option<char>, &str)> {
    if from.starts_with("<!--") {
        let end = from.find("-->")?;
        return Some((None, from.get(end.saturating_add(3)..)?));
    }
    let near = from.as_bytes().get(..MAX_TAG_BYTES).unwrap_or(from.as_bytes());
    let mut rest = near.get(1..)?;
    while let Some(behind) = rest.strip_prefix(b"/") {
        rest = behind;
    }
    let mut small = [0; MAX_NAME_BYTES];
    let mut length = 0usize;
    while let Some(byte) = rest.get(length).filter(|byte| byte.is_ascii_alphanumeric()) {
        *small.get_mut(length)? = byte.to_ascii_lowercase();
        length = length.saturating_add(1);
    }
    let instead = instead_of(small.get(..length)?)?;
    let rest = rest.get(length..)?;
    let end = if rest.first() == Some(&b'>') { 0 } else { memchr(b'>', rest)? };
    let behind = near.len().saturating_sub(rest.len()).saturating_add(end).saturating_add(1);
    Some((instead, from.get(behind..)?))
}

/// Text being tidied: one blank for many, none around a break, invisible marks gone.
struct Tidy {
    out: String,
    /// What parts the text so far from what follows.
    gap: Option<char>,
}

impl Tidy {
    /// Text as it is, but that its own line breaks are told from those that tags make.
    fn text(&mut self, text: &str) {
        let mut rest = text;
        loop {
            let (words, after) = rest.split_at(words_length(rest.as_bytes()));
            if !words.is_empty() {
                self.close_gap();
                self.out.push_str(words);
            }
            let Some(character) = after.chars().next() else { return };
            self.push(match character {
                '\n' | '\r' | '\u{2028}' | '\u{2029}' => SOFT_BREAK,
                control if control.is_control() => ' ',
                other => other,
            });
            rest = after.get(character.len_utf8()..).unwrap_or_default();
        }
    }

    fn push(&mut self, character: char) {
        match character {
            '\u{feff}' | '\u{200b}' | '\u{2060}' | '\u{ad}' => {}
            HARD_BREAK => self.gap = Some(HARD_BREAK),
            SOFT_BREAK if self.gap != Some(HARD_BREAK) => self.gap = Some(SOFT_BREAK),
            SOFT_BREAK => {}
            blank if blank.is_whitespace() => self.gap = self.gap.or(Some(' ')),
            other => {
                self.close_gap();
                self.out.push(other);
            }
        }
    }

    fn close_gap(&mut self) {
        if let Some(gap) = self.gap.take().filter(|_| !self.out.is_empty()) {
            self.out.push(gap);
        }
    }
}

/// How much at the start of a text is tidy as it is: ASCII words with single blanks between them.
fn words_length(text: &[u8]) -> usize {
    let is_graphic = |at: usize| text.get(at).is_some_and(u8::is_ascii_graphic);
    let mut end = 0;
    while is_graphic(end) {
        end = end.saturating_add(1);
        if text.get(end) == Some(&b' ') && is_graphic(end.saturating_add(1)) {
            end = end.saturating_add(1);
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_latin_1_names_is_whole() {
        assert_eq!(LATIN_1.split_whitespace().count(), 0x60);
        assert_eq!(WINDOWS_1252.chars().count(), 0x20);
        assert_eq!(plain("caf&eacute; &yuml;&Agrave;"), "café ÿÀ");
    }

    #[test]
    fn entities_are_decoded_however_often_they_were_escaped() {
        for text in ["AT&T", "AT&amp;T", "AT&amp;amp;T", "AT&#38;T", "AT&amp;#x26;T"] {
            assert_eq!(plain(text), "AT&T", "{text}");
        }
        assert_eq!(plain("&#128241; &#x1F4F1; &#150; &#0;"), "📱 📱 – \u{fffd}");
    }

    #[test]
    fn what_only_looks_like_markup_stays() {
        for text in
            ["a < b > c", "<none>", "5 & 6; 7", "&nosuch; &#; &#x;", "<3", "x <", "R&D", "&#99999999999;"]
        {
            assert_eq!(plain(text), text);
        }
    }

    #[test]
    fn tags_come_off_and_blocks_break_the_line() {
        assert_eq!(plain("<b>A</b>:&nbsp; <span style='color:red'>B</span><BR/>C<!-- x -->"), "A: B\nC");
        assert_eq!(plain("<p>one</p>\r\n<p>two</p>"), "one\ntwo");
        assert_eq!(plain("one\r\ntwo\rthree"), "one\u{1}two\u{1}three");
    }

    #[test]
    fn every_known_tag_stands_for_what_it_is_and_no_other_is_one() {
        let breaking = "address article blockquote body br center dd div dl dt h1 h2 h3 h4 h5 h6 head header hr html li ol p \
            pre section table tbody tfoot thead title tr ul";
        let inline = "a abbr b big button cite code col del em font i input ins kbd label link mark meta s samp small span \
            strike strong sub sup tt u var";
        for (names, instead) in [(breaking, "\n"), ("img td th wbr", " "), (inline, "")] {
            for name in names.split_whitespace() {
                let (capitals, longer) = (name.to_uppercase(), format!("one<{name}q>two"));
                assert_eq!(plain(&format!("one<{capitals} x='y'>two")), format!("one{instead}two"), "{name}");
                assert_eq!(plain(&longer), longer);
            }
        }
    }
}
