//! The shape of an answer: a known root, items in it, fields in those. What they mean is for [`super::listing`]
//! and [`super::place`] to say.
//!
//! Answers are XML by name only: the declaration may read `<?phpxml …?>`, and a leaf may hold CDATA, escaped HTML,
//! raw `<br>` and `<b>`, a lone `&` or `<`. So the pull reader walks the structure (root, groups, fields) and never
//! looks into a leaf: a leaf is the raw span up to its own end tag. A tree parser or serde would refuse half of this,
//! or take `<error>…</error>` for an empty success.
//!
//! A document without a [`Defect`] had a known root, that root's END TAG, and nothing but blanks around it. So no
//! cut body is ever without one.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr_iter, memchr2, memmem};
use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// The roots of PROVIDER's table of actions, and the error's.
const ROOTS: [&str; 4] = ["result", "Packages", "Client", ERROR];
/// The items that hold fields; every other item is a leaf.
const GROUPS: [&str; 3] = ["imeis", "imeiduplicates", "Package"];
/// The root of a refusal, and the item of one inside another root.
pub(super) const ERROR: &str = "error";

/// An answer's shape, as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Document<'a> {
    /// The root's name, where it is a known one.
    pub(super) root: &'a str,
    /// The text of a root that is a leaf (`error`).
    pub(super) text: Cow<'a, str>,
    /// What is in the root, in order.
    pub(super) items: Vec<Item<'a>>,
    /// Why the document is not whole; with one, nothing else in it proves anything.
    pub(super) defect: Option<Defect>,
}

/// One element right below the root.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) name: &'a str,
    /// From its `<` to the `>` of its end tag.
    pub(super) raw: &'a str,
    /// A leaf's text; empty for a group.
    pub(super) text: Cow<'a, str>,
    /// A group's fields; empty for a leaf.
    pub(super) fields: Vec<Field<'a>>,
}

/// One element in a group: always a leaf.
#[derive(Clone, Debug)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) text: Cow<'a, str>,
    /// Where it stands in the item's `raw`.
    pub(super) span: Range<usize>,
}

/// Why an answer is no whole document of a known form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Defect {
    #[error("an empty body")]
    Empty,
    #[error("a body that is no XML")]
    NotXml,
    #[error("an answer of unknown form, <{0}>")]
    UnknownRoot(String),
    #[error("a cut body")]
    Cut,
    #[error("a body with text or tags where none belong")]
    Stray,
}

/// Reads the shape of `text`. Never fails: what could not be read is the document's [`Defect`].
pub(super) fn parse(text: &str) -> Document<'_> {
    let mut document = Document::default();
    document.defect = Walker { text, at: 0, start: 0 }.document(&mut document).err();
    document
}

/// One step of the walk over the structure; blanks, comments, declarations and instructions are passed over.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Open(&'a str),
    /// `<name/>`
    Lone(&'a str),
    Close(&'a str),
    End,
}

struct Walker<'a> {
    text: &'a str,
    /// What was read ends here.
    at: usize,
    /// Where the last step began.
    start: usize,
}

impl<'a> Walker<'a> {
    fn document(&mut self, document: &mut Document<'a>) -> Result<(), Defect> {
        let (root, is_open) = match self.step() {
            Ok(Step::Open(root)) => (root, true),
            Ok(Step::Lone(root)) => (root, false),
            Ok(Step::End) => return Err(Defect::Empty),
            Ok(Step::Close(_)) | Err(_) => return Err(Defect::NotXml),
        };
        document.root = ROOTS
            .into_iter()
            .find(|known| *known == root)
            .ok_or_else(|| Defect::UnknownRoot(shorten(root)))?;
        match (is_open, root) {
            (false, _) => {}
            (true, ERROR) => document.text = self.leaf(root, None)?,
            (true, _) => self.items(root, &mut document.items)?,
        }
        match self.step()? {
            Step::End => Ok(()),
            _ => Err(Defect::Stray),
        }
    }

    fn items(&mut self, root: &str, items: &mut Vec<Item<'a>>) -> Result<(), Defect> {
        // Orders have as many fields as the one before, nearly always.
        let mut usual_fields = 0;
        loop {
            let step = self.step()?;
            let start = self.start;
            let (name, text, fields) = match step {
                Step::Open(name) if GROUPS.contains(&name) => {
                    let mut fields = Vec::with_capacity(usual_fields);
                    self.fields(name, start, &mut fields)?;
                    usual_fields = fields.len();
                    (name, Cow::default(), fields)
                }
                Step::Open(name) => (name, self.leaf(name, Some(root))?, Vec::new()),
                Step::Lone(name) => (name, Cow::default(), Vec::new()),
                Step::Close(name) if name == root => return Ok(()),
                Step::Close(_) => return Err(Defect::Stray),
                Step::End => return Err(Defect::Cut),
            };
            let raw = self.text.get(start..self.at).unwrap_or_default();
            items.push(Item { name, raw, text, fields });
        }
    }

    /// The fields of a group whose start tag began at `origin` and has just been read.
    fn fields(&mut self, group: &str, origin: usize, fields: &mut Vec<Field<'a>>) -> Result<(), Defect> {
        loop {
            let step = self.step()?;
            let start = self.start;
            let (name, text) = match step {
                Step::Open(name) => (name, self.leaf(name, Some(group))?),
                Step::Lone(name) => (name, Cow::default()),
                Step::Close(name) if name == group => return Ok(()),
                Step::Close(_) => return Err(Defect::Stray),
                Step::End => return Err(Defect::Cut),
            };
            let span = start.saturating_sub(origin)..self.at.saturating_sub(origin);
            fields.push(Field { name, text, span });
        }
    }

    fn step(&mut self) -> Result<Step<'a>, Defect> {
        match self.plain_step() {
            Some(step) => Ok(step),
            None => self.any_step(),
        }
    }

    /// `<name>` or `</name>`, of letters and digits alone, behind blanks, an instruction or none: nearly every tag of an answer is
    /// one, and means the same to everybody. So does nothing but blanks to the end.
    fn plain_step(&mut self) -> Option<Step<'a>> {
        let bytes = self.text.as_bytes();
        let at = behind_instruction(bytes, self.at).unwrap_or(self.at);
        let rest = bytes.get(at..)?;
        let Some(blanks) = rest.iter().position(|byte| !byte.is_ascii_whitespace()) else {
            self.start = self.text.len();
            self.at = self.start;
            return Some(Step::End);
        };
        let (lead, inner) = match rest.get(blanks..)? {
            [b'<', b'/', inner @ ..] => (2, inner),
            [b'<', inner @ ..] => (1, inner),
            _ => return None,
        };
        let length =
            inner.iter().position(|byte| !byte.is_ascii_alphanumeric()).filter(|length| *length > 0)?;
        if inner.get(length) != Some(&b'>') {
            return None;
        }
        self.start = at.checked_add(blanks)?;
        self.at = self.start.checked_add(lead)?.checked_add(length)?.checked_add(1)?;
        let name = self.name(lead, length);
        Some(if lead == 1 { Step::Open(name) } else { Step::Close(name) })
    }

    /// Whatever else there is, by the rules of XML.
    fn any_step(&mut self) -> Result<Step<'a>, Defect> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        // The reader takes a byte order mark off where it begins to read. Behind the text's beginning it is none, but text.
        if self.at > 0 && rest.starts_with('\u{feff}') {
            return Err(Defect::Stray);
        }
        let mut reader = Reader::from_str(rest);
        let config = reader.config_mut();
        // The reader sees one step and nothing of what it is in: names are checked here.
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.allow_dangling_amp = true;
        let from = self.at;
        loop {
            self.start = self.at;
            let event = reader.read_event();
            self.at = from.saturating_add(usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX));
            match event {
                Ok(Event::Start(tag)) => return Ok(Step::Open(self.name(1, tag.name().as_ref().len()))),
                Ok(Event::Empty(tag)) => return Ok(Step::Lone(self.name(1, tag.name().as_ref().len()))),
                Ok(Event::End(tag)) => return Ok(Step::Close(self.name(2, tag.name().as_ref().len()))),
                Ok(Event::Eof) => return Ok(Step::End),
                Ok(Event::Text(text)) if text.trim().is_empty() => {}
                Ok(Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_)) => {}
                Ok(Event::Text(_) | Event::CData(_) | Event::GeneralRef(_)) => return Err(Defect::Stray),
                Err(_) => return Err(Defect::Cut),
            }
        }
    }

    /// The name in the tag that began at `start`, behind `<` or `</`.
    fn name(&self, lead: usize, length: usize) -> &'a str {
        let from = self.start.saturating_add(lead);
        self.text.get(from..from.saturating_add(length)).unwrap_or_default()
    }

    /// The text of the leaf whose start tag has just been read, up to its end tag; an end tag of `parent` before that
    /// means that it has none.
    fn leaf(&mut self, name: &str, parent: Option<&str>) -> Result<Cow<'a, str>, Defect> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if let Some((text, consumed)) = plain_leaf(rest, name) {
            self.at = self.at.saturating_add(consumed);
            return Ok(Cow::Borrowed(text));
        }
        let (content, consumed) = leaf_end(rest.as_bytes(), name, parent).ok_or(Defect::Cut)?;
        self.at = self.at.saturating_add(consumed);
        Ok(unescape(rest.get(..content).unwrap_or_default()))
    }
}

/// Where `<?name …?>` ends that begins at `at`.
fn behind_instruction(text: &[u8], at: usize) -> Option<usize> {
    let inner = text
        .get(at..)?
        .strip_prefix(b"<?")
        .filter(|inner| inner.first().is_some_and(u8::is_ascii_alphabetic))?;
    let end = memchr_iter(b'?', inner).find(|end| inner.get(end.saturating_add(1)) == Some(&b'>'))?;
    at.checked_add(end)?.checked_add("<??>".len())
}

/// The text of a leaf that holds no tag and no escape, as nearly all do, and where its end tag ends in `rest`.
fn plain_leaf<'a>(rest: &'a str, name: &str) -> Option<(&'a str, usize)> {
    let (text, from) = rest.split_at_checked(memchr2(b'<', b'&', rest.as_bytes())?)?;
    let behind = from.strip_prefix("</")?.strip_prefix(name)?.strip_prefix('>')?;
    Some((text, rest.len().checked_sub(behind.len())?))
}

/// Where a leaf's content ends in `rest`, and where its end tag does. Elements of the same name inside are counted;
/// what looks like tags inside CDATA is not.
fn leaf_end(rest: &[u8], name: &str, parent: Option<&str>) -> Option<(usize, usize)> {
    let mut depth = 0_usize;
    let mut at = 0_usize;
    loop {
        let open = at.checked_add(memchr(b'<', rest.get(at..)?)?)?;
        let tag = rest.get(open..)?;
        at = open.checked_add(1)?;
        if let Some(inner) = tag.strip_prefix(CDATA.as_bytes()) {
            at = open
                .checked_add(CDATA.len())?
                .checked_add(memmem::find(inner, CDATA_END.as_bytes())?)?
                .checked_add(CDATA_END.len())?;
        } else if let Some(closing) = tag.strip_prefix(b"</") {
            if let Some(length) = tag_length(closing, name) {
                if depth == 0 {
                    return Some((open, open.checked_add(2)?.checked_add(length)?));
                }
                depth = depth.saturating_sub(1);
            } else if parent.is_some_and(|parent| tag_length(closing, parent).is_some()) {
                return None;
            }
        } else if let Some(length) = tag_length(tag.get(1..)?, name)
            && !tag.get(..length)?.ends_with(b"/")
        {
            depth = depth.checked_add(1)?;
        }
    }
}

const CDATA: &str = "<![CDATA[";
const CDATA_END: &str = "]]>";
/// Longer tags of a leaf's name are text, so that no text makes the search for an end look through all of it again
/// and again.
const TAG_LIMIT_BYTES: usize = 256;

/// How long a tag of this name is, its `>` included; `tag` begins behind its `<` or `</`.
fn tag_length(tag: &[u8], name: &str) -> Option<usize> {
    let rest = tag.strip_prefix(name.as_bytes())?;
    if matches!(rest.first()?, b'>' | b'/') || rest.first()?.is_ascii_whitespace() {
        let end = memchr(b'>', rest.get(..TAG_LIMIT_BYTES).unwrap_or(rest))?;
        name.len().checked_add(end)?.checked_add(1)
    } else {
        None
    }
}

/// A leaf's text: XML's own escapes and CDATA undone once, everything else (HTML's entities, a lone `&`) as it stands.
fn unescape(raw: &str) -> Cow<'_, str> {
    if memchr(b'&', raw.as_bytes()).is_none() && cdata(raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(start) = cdata(rest) {
        let (before, from) = rest.split_at(start);
        let inner = from.get(CDATA.len()..).unwrap_or_default();
        unescape_into(&mut text, before);
        let (literal, after) = inner.split_once(CDATA_END).unwrap_or((inner, ""));
        text.push_str(literal);
        rest = after;
    }
    unescape_into(&mut text, rest);
    Cow::Owned(text)
}

/// Where the first CDATA begins.
fn cdata(text: &str) -> Option<usize> {
    memchr_iter(b'<', text.as_bytes()).find(|at| text.get(*at..).is_some_and(|tag| tag.starts_with(CDATA)))
}

fn unescape_into(text: &mut String, raw: &str) {
    let mut rest = raw;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let (character, length) = entity(from).unwrap_or(('&', 1));
        text.push(character);
        rest = from.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
}

/// The character that a reference at the start of `text` stands for, and the reference's length. XML's five and
/// numbers; control characters, which XML can't hold, stay as they are written.
fn entity(text: &str) -> Option<(char, usize)> {
    match text.as_bytes() {
        [b'&', b'l', b't', b';', ..] => return Some(('<', 4)),
        [b'&', b'g', b't', b';', ..] => return Some(('>', 4)),
        [b'&', b'a', b'm', b'p', b';', ..] => return Some(('&', 5)),
        [b'&', b'q', b'u', b'o', b't', b';', ..] => return Some(('"', 6)),
        [b'&', b'a', b'p', b'o', b's', b';', ..] => return Some(('\'', 6)),
        _ => {}
    }
    let number = text.strip_prefix("&#")?;
    // The longest is `x10FFFF`; a few zeros may stand in front.
    let end = number.bytes().take(14).position(|byte| byte == b';')?;
    let (number, length) = (number.get(..end)?, end.checked_add(3)?);
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    let character = char::from_u32(code).filter(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'))?;
    Some((character, length))
}

/// A name out of an answer, short enough for a log line.
pub(super) fn shorten(text: &str) -> String {
    const LIMIT_CHARS: usize = 200;
    let text = text.trim();
    match text.char_indices().nth(LIMIT_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
