//! A panic, as one line. The stage that it ends takes the daemon down, which says so itself.
//!
//! Its words come from anywhere, so they are cut short, and neither an IMEI nor the API key is left in them, whatever
//! the configuration says.

use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};

use secrecy::{ExposeSecret, SecretString};

use super::imei::last4;

/// Longer words of a panic are cut.
const WORDS_CHARS: usize = 300;

/// In the place of the standard library's hook, which prints what it is given over several lines.
pub(super) fn tell(key: Arc<OnceLock<SecretString>>) {
    std::panic::set_hook(Box::new(move |panic| log(panic, key.get())));
}

fn log(panic: &PanicHookInfo<'_>, key: Option<&SecretString>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let text = harmless(panic.payload_as_str().unwrap_or_default(), key);
    tracing::error!(
        alarm = "panic",
        text,
        at = place,
        thread = thread.name().unwrap_or_default(),
        "a fault in imeid itself, please report it"
    );
}

fn harmless(text: &str, key: Option<&SecretString>) -> String {
    let mut text = text.to_owned();
    if let Some(key) = key.map(ExposeSecret::expose_secret).filter(|key| !key.is_empty()) {
        // As it is, and as a string that is printed for programmers shows it.
        text = text.replace(key, "***").replace(&key.escape_debug().to_string(), "***");
    }
    let text = last4(&text);
    match text.char_indices().nth(WORDS_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_key_nor_imei_nor_length_gets_through() {
        let key = SecretString::from("S\"ecret".to_owned());
        let imei = crate::types::Imei::from_parts(35_332_211, 7).to_string();
        let said = harmless(&format!("no {imei} in S\"ecret, {:?}", key.expose_secret()), Some(&key));
        assert_eq!(said, format!("no …{} in ***, \"***\"", &imei[11..]));
        assert_eq!(harmless(&"é".repeat(WORDS_CHARS * 2), None).chars().count(), WORDS_CHARS + 1);
    }
}
