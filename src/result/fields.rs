//! A check's answer (`code`), read into columns.
//!
//! The answer is a line of `Label: value` pairs with ` - `, `<br>` or line breaks between them; other services
//! answer with an unlock code or prose. A value may hold ` - ` itself (`iPhone 16 - Pro`), so that a dash
//! separates only where a label follows it; at the very end ` - ✅ Done` is a flourish. What isn't understood stays in [`Fields::code`]: nothing is guessed.

use memchr::{memchr, memchr3};

use super::label::{is_ornament, labelled};
use super::markup::{HARD_BREAK, SOFT_BREAK, plain};

/// What one answer says. Each field is `None` where the answer doesn't tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The whole answer as plain text in one line, for `imeid_code`.
    pub code: String,
    /// `Carrier:`
    pub carrier: Option<String>,
    /// `SimLock:`, `SIM Lock:`
    pub simlock: Option<String>,
    /// `Model:`
    pub model: Option<String>,
    /// `Find My iPhone:`
    pub fmi: Option<String>,
    /// `IMEI2 Number:`, as it stands: it is shown, never ordered.
    pub imei2: Option<String>,
}

/// Reads an answer in any of the shapes the provider was seen to send. Never fails.
#[must_use]
pub fn fields(code: &str) -> Fields {
    let text = plain(code);
    // Beside `<br>`, a line break in the source is layout, and may stand within a value.
    let soft_ends = !text.contains(HARD_BREAK);
    let has_soft = memchr(SOFT_BREAK as u8, text.as_bytes()).is_some();
    let parts = parts(&text, soft_ends);
    let mut found = Fields { code: one_line(&parts, has_soft), ..Fields::default() };
    for (n, part) in parts.iter().enumerate() {
        let Some((label, value)) = part.pair else { continue };
        let Some(slot) = slot(&mut found, label).filter(|slot| slot.is_none()) else { continue };
        let is_last = n.saturating_add(1) == parts.len();
        let mut value = if is_last { without_flourish(value) } else { value }.trim();
        while let Some(shorter) = value.strip_suffix(" -") {
            value = shorter;
        }
        let value = value.trim();
        if !value.is_empty() && value != "-" {
            *slot = Some(if has_soft { line_of(value) } else { value.to_owned() });
        }
    }
    found
}

/// The field that a label names, whatever its case, blanks and punctuation.
fn slot<'a>(found: &'a mut Fields, label: &str) -> Option<&'a mut Option<String>> {
    if !label.is_ascii() {
        let name: String =
            label.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        return named(found, name.as_bytes());
    }
    let mut small = [0; MAX_NAME_BYTES];
    let mut length = 0usize;
    for byte in label.bytes().map(|byte| byte.to_ascii_lowercase()) {
        if matches!(byte, b'a'..=b'z' | b'0'..=b'9') {
            *small.get_mut(length)? = byte;
            length = length.saturating_add(1);
        }
    }
    named(found, small.get(..length)?)
}

/// The longest name of a field, in bytes.
const MAX_NAME_BYTES: usize = 18;

fn named<'a>(found: &'a mut Fields, name: &[u8]) -> Option<&'a mut Option<String>> {
    match name {
        b"carrier" | b"carriername" => Some(&mut found.carrier),
        b"simlock" | b"simlockstatus" => Some(&mut found.simlock),
        b"model" | b"modelname" => Some(&mut found.model),
        b"findmyiphone" | b"findmyiphonestatus" | b"findmyiphonefmi" | b"fmi" | b"fmistatus" => {
            Some(&mut found.fmi)
        }
        b"imei2" | b"imei2number" | b"imei2no" | b"imeinumber2" => Some(&mut found.imei2),
        _ => None,
    }
}

/// A stretch of the answer between two separators.
struct Part<'a> {
    text: &'a str,
    /// Its label and value, where it begins with a label.
    pair: Option<(&'a str, &'a str)>,
}

/// Cuts at every hard break, and at dashes and soft breaks where a label follows.
fn parts(text: &str, soft_ends: bool) -> Vec<Part<'_>> {
    let mut parts = Vec::with_capacity(PARTS_USUAL);
    let mut start = 0usize;
    let mut push = |from: usize, to: usize| {
        if let Some(text) = text.get(from..to).map(|part| part.trim_matches([' ', SOFT_BREAK, HARD_BREAK]))
            && !text.is_empty()
        {
            parts.push(Part { text, pair: labelled(text) });
        }
    };
    let mut after_here = 0usize;
    let may_have_dashes = memchr(DASH_LEAD, text.as_bytes()).is_some();
    while let Some(at) = next_cut(text.as_bytes(), after_here, may_have_dashes) {
        let character = text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or_default();
        after_here = at.saturating_add(character.len_utf8());
        let rest = text.get(after_here..).unwrap_or_default();
        let cut = match character {
            HARD_BREAK => true,
            SOFT_BREAK => soft_ends || labelled(rest).is_some(),
            dash if is_dash(dash) => {
                let before = text.get(..at).unwrap_or_default();
                before.ends_with([' ', SOFT_BREAK])
                    && rest.strip_prefix([' ', SOFT_BREAK]).is_some_and(|rest| labelled(rest).is_some())
            }
            _ => false,
        };
        if cut {
            push(start, at);
            start = after_here;
        }
    }
    push(start, text.len());
    parts
}

/// The parts of a check's answer, and a few more.
const PARTS_USUAL: usize = 16;
/// The first byte of dashes other than ASCII's.
const DASH_LEAD: u8 = 0xE2;

/// Where from here on a text may be cut next: at a break or a dash. Where it may have other dashes than ASCII's also at
/// what only begins like one.
fn next_cut(text: &[u8], from: usize, may_have_dashes: bool) -> Option<usize> {
    const HARD: u8 = HARD_BREAK as u8;
    const SOFT: u8 = SOFT_BREAK as u8;
    let rest = text.get(from..)?;
    let next = if may_have_dashes {
        rest.iter().position(|byte| matches!(*byte, HARD | SOFT | b'-' | DASH_LEAD))
    } else {
        memchr3(HARD, SOFT, b'-', rest)
    };
    from.checked_add(next?)
}

/// The answer's last value without what some panels put behind it: a dash and an ornament, with or without words.
fn without_flourish(value: &str) -> &str {
    let begins = |(at, dash): &(usize, char)| {
        let after = value.get(at.saturating_add(dash.len_utf8())..).unwrap_or_default();
        is_dash(*dash)
            && value.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with([' ', SOFT_BREAK]))
            && after.strip_prefix([' ', SOFT_BREAK]).is_some_and(|after| after.starts_with(is_ornament))
    };
    let flourish = value.char_indices().find(begins);
    flourish.and_then(|(at, _)| value.get(..at)).unwrap_or(value)
}

const fn is_dash(character: char) -> bool {
    matches!(character, '-' | '–' | '—')
}

/// The parts as one line: ` - ` before a label, a blank before what goes on from the line above.
fn one_line(parts: &[Part<'_>], has_soft: bool) -> String {
    let mut line = String::with_capacity(parts.iter().map(|part| part.text.len().saturating_add(3)).sum());
    for part in parts {
        if !line.is_empty() {
            line.push_str(if part.pair.is_some() { " - " } else { " " });
        }
        if has_soft {
            push_line(&mut line, part.text);
        } else {
            line.push_str(part.text);
        }
    }
    line
}

/// A text with blanks for the breaks that are left in it.
fn line_of(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    push_line(&mut line, text);
    line
}

fn push_line(line: &mut String, text: &str) {
    let mut rest = text;
    while let Some((before, after)) =
        memchr(SOFT_BREAK as u8, rest.as_bytes()).and_then(|at| rest.split_at_checked(at))
    {
        line.push_str(before);
        line.push(' ');
        rest = after.strip_prefix(SOFT_BREAK).unwrap_or_default();
    }
    line.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PAIRS: [(&str, &str); 6] = [
        ("Model", "iPhone 16 Pro Desert Titanium 128GB"),
        ("IMEI2 Number", "352657192294065"),
        ("Estimated Purchase Date", "19/10/24"),
        ("Carrier", "Unlocked"),
        ("Find My iPhone", "OFF"),
        ("SimLock", "Unlocked"),
    ];

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn assert_read(code: &str) {
        let found = fields(code);
        assert_eq!(found.model, some(PAIRS[0].1), "{code}");
        assert_eq!(found.imei2, some(PAIRS[1].1), "{code}");
        assert_eq!(found.carrier, some("Unlocked"), "{code}");
        assert_eq!(found.fmi, some("OFF"), "{code}");
        assert_eq!(found.simlock, some("Unlocked"), "{code}");
        let flat: Vec<String> = PAIRS.iter().map(|(label, value)| format!("{label}: {value}")).collect();
        assert_eq!(found.code.replace("SIM Lock", "SimLock"), flat.join(" - "), "{code}");
    }

    #[test]
    fn every_shape_that_was_seen_gives_the_same_fields() {
        for separator in
            [" - ", "<br>", "<br />", "&lt;br&gt;", "&amp;lt;br&amp;gt;", "\n", "\r\n", "<br>\n", " – "]
        {
            for (open, close) in [("", ""), ("<b>", "</b>"), ("<span style=\"color:#090\">", "</span>")] {
                for simlock in ["SimLock", "SIM Lock"] {
                    let pairs = PAIRS.map(|(label, value)| (label.replace("SimLock", simlock), value));
                    let labels = pairs.clone().map(|(label, value)| format!("{open}{label}:{close} {value}"));
                    assert_read(&labels.join(separator));
                    let values = pairs.map(|(label, value)| format!("{label}: {open}{value}{close}"));
                    assert_read(&values.join(separator));
                }
            }
        }
    }

    #[test]
    fn every_name_of_a_field_is_known() {
        for name in ["Find My iPhone", "Find My iPhone Status", "Find My iPhone (FMI)", "FMI", "FMI Status"] {
            assert_eq!(fields(&format!("{name}: A")).fmi, some("A"), "{name}");
        }
        for name in ["IMEI2", "IMEI2 Number", "IMEI2 No.", "IMEI Number 2"] {
            assert_eq!(fields(&format!("{name}: A")).imei2, some("A"), "{name}");
        }
        let found =
            fields("Carrier Name: A<br>SIM-Lock Status: B<br>MODEL NAME: C<br>Find My iPhone Status X: D");
        assert_eq!((found.carrier, found.simlock), (some("A"), some("B")));
        assert_eq!((found.model, found.fmi), (some("C"), None));
    }

    #[test]
    fn a_value_may_hold_the_separator() {
        let found = fields("Model: iPhone 16 - Pro - Max - Carrier: AT&amp;T - US - SimLock: Locked -");
        assert_eq!(found.model, some("iPhone 16 - Pro - Max"));
        assert_eq!(found.carrier, some("AT&T - US"));
        assert_eq!(found.simlock, some("Locked"));
    }

    #[test]
    fn a_flourish_behind_the_last_value_is_no_part_of_it_and_stays_in_the_answer() {
        for (end, value) in [
            ("Locked - ✅ Done", "Locked"),
            ("Locked – 🟢", "Locked"),
            ("Locked - AT&T - ✅ Done - ✅", "Locked - AT&T"),
            ("Locked ✅ Done", "Locked ✅ Done"),
            ("Locked - Done", "Locked - Done"),
            ("Pay-as-you-go-✅", "Pay-as-you-go-✅"),
        ] {
            let code = format!("Model: iPhone 16 - 🟢 new - SimLock: {end}");
            let found = fields(&code);
            assert_eq!(found.simlock, some(value), "{code}");
            assert_eq!(found.model, some("iPhone 16 - 🟢 new"), "only the end of all is one");
            assert_eq!(found.code, code);
        }
        assert_eq!(fields("Carrier: A - SimLock: - ✅ Done").simlock, None);
        // What follows a label is a value, whatever stands before the label.
        assert_eq!(fields("SimLock: Locked - ✅ Carrier: A").carrier, some("A"));
    }

    #[test]
    fn an_empty_value_is_not_told() {
        let found = fields("Model:  - Carrier: - SimLock: -");
        assert_eq!((found.model, found.carrier, found.simlock), (None, None, None));
    }

    #[test]
    fn the_first_of_two_equal_labels_counts() {
        assert_eq!(fields("Carrier: A<br>Carrier: B").carrier, some("A"));
    }

    #[test]
    fn commas_quotes_and_emoji_are_part_of_the_value() {
        let found = fields(
            "📱 Model: iPad 12,9\" \u{201c}M2\u{201d}<br>🔒 SIM Lock: Unlocked ✅<br>Find My iPhone: OFF 🟢",
        );
        assert_eq!(found.model, some("iPad 12,9\" \u{201c}M2\u{201d}"));
        assert_eq!(found.simlock, some("Unlocked ✅"));
        assert_eq!(found.fmi, some("OFF 🟢"));
    }

    #[test]
    fn prose_and_codes_stay_whole_and_fill_nothing_else() {
        for (code, plain) in [
            ("12345678", "12345678"),
            ("Not found - sorry, see https://example.com", "Not found - sorry, see https://example.com"),
            ("Rejected.<br/>Try at 12:30\nagain", "Rejected. Try at 12:30 again"),
            (
                "The carrier: we don't know it, and nobody does: ask",
                "The carrier: we don't know it, and nobody does: ask",
            ),
            ("NCK: 123<br>SPCK: 456", "NCK: 123 - SPCK: 456"),
            ("", ""),
            ("<br><br>", ""),
        ] {
            assert_eq!(fields(code), Fields { code: plain.to_owned(), ..Fields::default() });
        }
    }

    #[test]
    fn text_in_the_next_line_is_no_part_of_a_value() {
        let found = fields("Carrier: Unlocked<br>Thank you for your order");
        assert_eq!(found.carrier, some("Unlocked"));
        assert_eq!(found.code, "Carrier: Unlocked Thank you for your order");
    }

    proptest! {
        #[test]
        fn any_text_gives_one_line_without_a_panic(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just("<br>".to_owned()), Just(" - ".to_owned()), Just("Model:".to_owned()), Just("&lt;".to_owned()),
                    Just("&#".to_owned()), Just("<b".to_owned()), Just("\n".to_owned()), Just("<!--".to_owned()), any::<String>(),
                ],
                0..12,
            )
        ) {
            let found = fields(&pieces.concat());
            prop_assert!(!found.code.contains(['\n', '\r', SOFT_BREAK]));
        }
    }
}
