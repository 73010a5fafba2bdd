//! Amounts as the provider writes them.

use crate::types::Money;

/// Reads `0.08`, `$0.08`, `$ 0.08 USD`, `1,150.00`, `-$5.00` and the like. `None` for everything else: another
/// currency, a decimal comma, words.
pub(super) fn parse(text: &str) -> Option<Money> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase();
    let (text, minus_outside) = take_minus(&text);
    let text = text.strip_prefix("USD").or_else(|| text.strip_prefix("US")).unwrap_or(text);
    let text = text.strip_prefix('$').unwrap_or(text);
    let (text, minus_inside) = take_minus(text);
    let text = text.strip_suffix("USD").unwrap_or(text);
    let text = text.strip_suffix('$').unwrap_or(text);
    if minus_outside && minus_inside {
        return None;
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !is_digits(fraction) || whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let sign = if minus_outside || minus_inside { "-" } else { "" };
    format!("{sign}0{}.{fraction}0", without_commas(whole)?).parse().ok()
}

fn take_minus(text: &str) -> (&str, bool) {
    text.strip_prefix('-').map_or((text, false), |rest| (rest, true))
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The digits, where commas part them in threes or there are none.
fn without_commas(whole: &str) -> Option<String> {
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let rest: Vec<&str> = groups.collect();
    let is_grouped = rest.is_empty()
        || (1..=3).contains(&first.len()) && rest.iter().all(|group| group.len() == 3 && is_digits(group));
    (is_grouped && is_digits(first)).then(|| format!("{first}{}", rest.concat()))
}
