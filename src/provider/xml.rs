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
use std::io::BufRead;
use std::ops::Range;

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
    document.defect = Walker::new(text).document(&mut document).err();
    document
}

/// One step of the walk over the structure; blanks, comments, declarations and instructions are passed over.
enum Step<'a> {
    Open(&'a str),
    /// `<name/>`
    Lone(&'a str),
    Close(&'a str),
    End,
}

struct Walker<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    /// Where the last step began.
    start: usize,
}

impl<'a> Walker<'a> {
    fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        let config = reader.config_mut();
        // Leaves are skipped over behind the reader's back, so it never sees their end tags: names are checked here.
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.allow_dangling_amp = true;
        Self { text, reader, start: 0 }
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

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
        loop {
            let step = self.step()?;
            let start = self.start;
            let (name, text, fields) = match step {
                Step::Open(name) if GROUPS.contains(&name) => {
                    (name, Cow::default(), self.fields(name, start)?)
                }
                Step::Open(name) => (name, self.leaf(name, Some(root))?, Vec::new()),
                Step::Lone(name) => (name, Cow::default(), Vec::new()),
                Step::Close(name) if name == root => return Ok(()),
                Step::Close(_) => return Err(Defect::Stray),
                Step::End => return Err(Defect::Cut),
            };
            let raw = self.text.get(start..self.position()).unwrap_or_default();
            items.push(Item { name, raw, text, fields });
        }
    }

    /// The fields of a group whose start tag began at `origin` and has just been read.
    fn fields(&mut self, group: &str, origin: usize) -> Result<Vec<Field<'a>>, Defect> {
        let mut fields = Vec::new();
        loop {
            let step = self.step()?;
            let start = self.start;
            let (name, text) = match step {
                Step::Open(name) => (name, self.leaf(name, Some(group))?),
                Step::Lone(name) => (name, Cow::default()),
                Step::Close(name) if name == group => return Ok(fields),
                Step::Close(_) => return Err(Defect::Stray),
                Step::End => return Err(Defect::Cut),
            };
            let span = start.saturating_sub(origin)..self.position().saturating_sub(origin);
            fields.push(Field { name, text, span });
        }
    }

    fn step(&mut self) -> Result<Step<'a>, Defect> {
        loop {
            self.start = self.position();
            match self.reader.read_event() {
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
        let rest = self.text.get(self.position()..).unwrap_or_default();
        let (content, consumed) = leaf_end(rest, name, parent).ok_or(Defect::Cut)?;
        self.reader.stream().consume(consumed);
        Ok(unescape(rest.get(..content).unwrap_or_default()))
    }
}

/// Where a leaf's content ends in `rest`, and where its end tag does. Elements of the same name inside are counted;
/// what looks like tags inside CDATA is not.
fn leaf_end(rest: &str, name: &str, parent: Option<&str>) -> Option<(usize, usize)> {
    let mut depth = 0_usize;
    let mut at = 0_usize;
    loop {
        let open = at.checked_add(rest.get(at..)?.find('<')?)?;
        let tag = rest.get(open..)?;
        at = open.checked_add(1)?;
        if let Some(inner) = tag.strip_prefix(CDATA) {
            at = open
                .checked_add(CDATA.len())?
                .checked_add(inner.find(CDATA_END)?)?
                .checked_add(CDATA_END.len())?;
        } else if let Some(closing) = tag.strip_prefix("</") {
            if let Some(length) = tag_length(closing, name) {
                if depth == 0 {
                    return Some((open, open.checked_add(2)?.checked_add(length)?));
                }
                depth = depth.saturating_sub(1);
            } else if parent.is_some_and(|parent| tag_length(closing, parent).is_some()) {
                return None;
            }
        } else if let Some(length) = tag_length(tag.get(1..)?, name)
            && !tag.get(..length)?.ends_with('/')
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
fn tag_length(tag: &str, name: &str) -> Option<usize> {
    let rest = tag.strip_prefix(name)?;
    if rest.starts_with(|next: char| next == '>' || next == '/' || next.is_ascii_whitespace()) {
        let end = rest.bytes().take(TAG_LIMIT_BYTES).position(|byte| byte == b'>')?;
        name.len().checked_add(end)?.checked_add(1)
    } else {
        None
    }
}

/// A leaf's text: XML's own escapes and CDATA undone once, everything else (HTML's entities, a lone `&`) as it stands.
fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains(['&', '<']) {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(start) = rest.find(CDATA) {
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

fn unescape_into(text: &mut String, raw: &str) {
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        match entity(from) {
            Some((character, length)) => {
                text.push(character);
                rest = from.get(length..).unwrap_or_default();
            }
            None => {
                text.push('&');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    text.push_str(rest);
}

/// The character that a reference at the start of `text` stands for, and the reference's length. XML's five and
/// numbers; control characters, which XML can't hold, stay as they are written.
fn entity(text: &str) -> Option<(char, usize)> {
    // The longest is `&#x10FFFF;`; a few zeros may stand in front.
    let end = text.bytes().take(16).position(|byte| byte == b';')?;
    let name = text.get(1..end)?;
    let character = match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code).filter(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'))?
        }
    };
    Some((character, end.checked_add(1)?))
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
