//! How one line looks.
//!
//! The words of a message and the values of its fields can hold what people and the provider wrote. Line breaks and all
//! other characters that steer a terminal or turn the direction of writing are escaped everywhere; a value with a
//! space, a quote, a `=` or such a character is quoted, and quotes in it are escaped.

use std::error::Error;
use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::imei::last4;
use crate::clock::Clock;

/// The form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Time stamp, level, words, fields.
    Text,
    /// `<n>` for the level, words, fields.
    Journald,
    /// One JSON object: `at`, `level`, `message`, and the fields beside them.
    Json,
}

/// Formats every event.
pub(super) struct Line {
    pub(super) style: Style,
    pub(super) clock: Clock,
    /// Whether IMEIs are cut down to their last four digits.
    pub(super) last4: Arc<AtomicBool>,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut parts = Parts::default();
        event.record(&mut parts);
        if self.last4.load(Ordering::Relaxed) {
            parts.cut_imeis();
        }
        let level = *event.metadata().level();
        match self.style {
            Style::Json => return writeln!(out, "{}", self.json(level, parts)),
            Style::Text => write!(out, "{} {level:<5} ", self.now())?,
            Style::Journald => write!(out, "<{}>", priority(level))?,
        }
        escape(&mut out, &parts.message, false)?;
        for (key, value) in &parts.fields {
            write!(out, " {key}=")?;
            match value {
                Value::String(text) => write_value(&mut out, text)?,
                other => write!(out, "{other}")?,
            }
        }
        writeln!(out)
    }
}

impl Line {
    /// RFC 3339 in UTC, to the millisecond.
    fn now(&self) -> String {
        let now = self.clock.now();
        match jiff::Timestamp::from_millisecond(now.millis()) {
            Ok(time) => format!("{time:.3}"),
            Err(_) => now.to_string(),
        }
    }

    fn json(&self, level: Level, parts: Parts) -> Value {
        let mut object = Map::new();
        object.insert("at".to_owned(), self.now().into());
        object.insert("level".to_owned(), level.as_str().to_ascii_lowercase().into());
        object.insert("message".to_owned(), parts.message.into());
        for (key, value) in parts.fields {
            // A field of one of the three names above doesn't hide it.
            let key = if object.contains_key(key) { format!("{key}_") } else { key.to_owned() };
            object.insert(key, value);
        }
        Value::Object(object)
    }
}

/// The priority that journald and syslog know the level by.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// An event taken apart.
#[derive(Default)]
struct Parts {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl Parts {
    /// In the words and in every value: provider, people and file names tell of IMEIs too.
    fn cut_imeis(&mut self) {
        self.message = last4(&self.message);
        for (_, value) in &mut self.fields {
            if let Value::String(text) = value {
                *text = last4(text);
            }
        }
    }

    fn push(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", other) => self.message = other.to_string(),
            // Where a line of the `log` crate came from.
            (name, _) if name.starts_with("log.") => {}
            (name, value) => self.fields.push((name.strip_prefix("r#").unwrap_or(name), value)),
        }
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        self.push(field, text.into());
    }
}

fn write_value(out: &mut impl Write, text: &str) -> fmt::Result {
    let plain = |c: char| !steers(c) && !c.is_whitespace() && !matches!(c, '"' | '=' | '\\');
    if !text.is_empty() && text.chars().all(plain) {
        return out.write_str(text);
    }
    out.write_char('"')?;
    escape(out, text, true)?;
    out.write_char('"')
}

fn escape(out: &mut impl Write, text: &str, quoted: bool) -> fmt::Result {
    for character in text.chars() {
        match character {
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '"' | '\\' if quoted => write!(out, "\\{character}")?,
            _ if steers(character) => write!(out, "\\u{{{:x}}}", u32::from(character))?,
            _ => out.write_char(character)?,
        }
    }
    Ok(())
}

/// Control characters, line and paragraph separators, marks that turn the direction of writing, and invisible ones.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
