//! From the provider's HTML-ish text to plain text: tags come off, entities are decoded.
//!
//! It is no HTML parser. The answers are one-liners written by hand in an admin panel and escaped none, one or
//! two times on their way, so what looks like a known tag is one, and everything else is text.

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

/// Tags after which the text goes on in a new line.
const BREAKING: &[&str] = &[
    "address",
    "article",
    "blockquote",
    "body",
    "br",
    "center",
    "dd",
    "div",
    "dl",
    "dt",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hr",
    "html",
    "li",
    "ol",
    "p",
    "pre",
    "section",
    "table",
    "tbody",
    "tfoot",
    "thead",
    "title",
    "tr",
    "ul",
];
/// Tags that stand between two words.
const SPACING: &[&str] = &["img", "td", "th", "wbr"];
/// Tags that are no more than looks.
const INLINE: &[&str] = &[
    "a", "abbr", "b", "big", "button", "cite", "code", "col", "del", "em", "font", "i", "input", "ins",
    "kbd", "label", "link", "mark", "meta", "s", "samp", "small", "span", "strike", "strong", "sub", "sup",
    "tt", "u", "var",
];

/// The text without markup: entities decoded, known tags gone, runs of blanks one blank, breaks as
/// [`HARD_BREAK`] and [`SOFT_BREAK`].
pub(super) fn plain(code: &str) -> String {
    let mut text = code.replace("\r\n", "\n");
    for _ in 0..MAX_ESCAPES {
        let decoded = decode_entities(&text);
        if decoded == text {
            break;
        }
        text = decoded;
    }
    tidy(&strip_tags(&text))
}

fn decode_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.find('&').map(|at| rest.split_at(at)) {
        out.push_str(before);
        let name = from.get(1..).unwrap_or_default();
        let end = name.bytes().take(MAX_ENTITY_BYTES.saturating_add(1)).position(|byte| byte == b';');
        let decoded =
            end.and_then(|end| Some((entity(name.get(..end)?)?, name.get(end.saturating_add(1)..)?)));
        if let Some((character, after)) = decoded {
            out.push(character);
            rest = after;
        } else {
            out.push('&');
            rest = name;
        }
    }
    out.push_str(rest);
    out
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
    Some(match name {
        "amp" | "AMP" => '&',
        "lt" | "LT" => '<',
        "gt" | "GT" => '>',
        "quot" | "QUOT" => '"',
        "apos" => '\'',
        "ndash" => '–',
        "mdash" => '—',
        "lsquo" => '‘',
        "rsquo" => '’',
        "sbquo" => '‚',
        "ldquo" => '“',
        "rdquo" => '”',
        "bdquo" => '„',
        "bull" => '•',
        "hellip" => '…',
        "euro" => '€',
        "trade" => '™',
        "check" => '✓',
        "cross" => '✗',
        "ensp" | "emsp" | "thinsp" => ' ',
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

fn strip_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.find('<').map(|at| rest.split_at(at)) {
        push_text(&mut out, before);
        if let Some((instead, after)) = tag(from) {
            out.extend(instead);
            rest = after;
        } else {
            out.push('<');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    push_text(&mut out, rest);
    out
}

/// Text as it is, but that its own line breaks are told from those that tags make.
fn push_text(out: &mut String, text: &str) {
    out.extend(text.chars().map(|character| match character {
        '\n' | '\r' | '\u{2028}' | '\u{2029}' => SOFT_BREAK,
        control if control.is_control() => ' ',
        other => other,
    }));
}

/// The tag at the start of `from` (which begins with `<`): what stands for it, and the text after it.
fn tag(from: &str) -> Option<(Option<char>, &str)> {
    if from.starts_with("<!--") {
        let end = from.find("-->")?;
        return Some((None, from.get(end.saturating_add(3)..)?));
    }
    let end = from.bytes().take(MAX_TAG_BYTES).position(|byte| byte == b'>')?;
    let inner = from.get(1..end)?.trim_start_matches('/');
    let name_end = inner.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inner.len());
    let name = inner.get(..name_end)?.to_ascii_lowercase();
    let among = |names: &[&str]| names.contains(&name.as_str());
    let instead = if among(BREAKING) {
        Some(HARD_BREAK)
    } else if among(SPACING) {
        Some(' ')
    } else if among(INLINE) {
        None
    } else {
        // `Carrier: <none>` is an answer, not markup.
        return None;
    };
    Some((instead, from.get(end.saturating_add(1)..)?))
}

/// One blank for many, none around a break, invisible marks gone.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap: Option<char> = None;
    for character in text.chars() {
        match character {
            '\u{feff}' | '\u{200b}' | '\u{2060}' | '\u{ad}' => {}
            HARD_BREAK => gap = Some(HARD_BREAK),
            SOFT_BREAK if gap != Some(HARD_BREAK) => gap = Some(SOFT_BREAK),
            SOFT_BREAK => {}
            blank if blank.is_whitespace() => gap = gap.or(Some(' ')),
            other => {
                if let Some(gap) = gap.take().filter(|_| !out.is_empty()) {
                    out.push(gap);
                }
                out.push(other);
            }
        }
    }
    out
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
}
