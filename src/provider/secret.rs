//! Keeps the API key out of everything that leaves this module.

use secrecy::{ExposeSecret, SecretString};

/// What stands where the key stood.
const MARK: &str = "***";
/// A body that ends in the middle of the key may end in this few of its bytes unmarked.
const HARMLESS_BYTES: usize = 3;

/// The API key, and the forms a server may send it back in.
pub(super) struct Key {
    key: SecretString,
    /// The key as it is, in a form body and in XML; no two alike, none empty.
    forms: Vec<SecretString>,
}

impl Key {
    /// `None` where `key` is empty or holds what is no printable ASCII character. Blanks around it come off.
    pub(super) fn new(key: &SecretString) -> Option<Self> {
        let key = key.expose_secret().trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let mut forms = vec![key.to_owned()];
        for form in [form_encoded(key), xml_escaped(key)] {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        Some(Self { key: key.into(), forms: forms.into_iter().map(SecretString::from).collect() })
    }

    /// The key itself, for the request's body only.
    pub(super) fn expose(&self) -> &str {
        self.key.expose_secret()
    }

    /// `text` without the key.
    pub(super) fn redact(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| text.replace(form.expose_secret(), MARK))
    }

    /// `body` without the key; where the body was cut off, without the part of the key that it ends in, too.
    pub(super) fn redact_body(&self, mut body: Vec<u8>, is_whole: bool) -> Vec<u8> {
        for form in &self.forms {
            let form = form.expose_secret().as_bytes();
            if find(&body, form).is_some() {
                body = replace(&body, form);
            }
            let cut = (HARMLESS_BYTES.saturating_add(1)..form.len())
                .rev()
                .find(|length| form.get(..*length).is_some_and(|start| body.ends_with(start)));
            if let (false, Some(length)) = (is_whole, cut) {
                body.truncate(body.len().saturating_sub(length));
                body.extend_from_slice(MARK.as_bytes());
            }
        }
        body
    }
}

fn find(body: &[u8], form: &[u8]) -> Option<usize> {
    body.windows(form.len().max(1)).position(|window| window == form)
}

fn replace(body: &[u8], form: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = find(rest, form) {
        let (before, from) = rest.split_at(at);
        clean.extend_from_slice(before);
        clean.extend_from_slice(MARK.as_bytes());
        rest = from.get(form.len()..).unwrap_or_default();
    }
    clean.extend_from_slice(rest);
    clean
}

/// As `application/x-www-form-urlencoded` writes it.
fn form_encoded(key: &str) -> String {
    key.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn xml_escaped(key: &str) -> String {
    quick_xml::escape::escape(key).into_owned()
}
