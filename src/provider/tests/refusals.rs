//! The API's error texts: what they prove, and that no other text proves anything.

use rstest::rstest;

use super::*;
use crate::provider::listing;
use crate::types::{CallError, NotTaken};

fn error(text: &str) -> String {
    format!("<error>{text}</error>")
}

fn not_taken(words: &str, make: fn(String) -> NotTaken) -> Placed {
    Placed::NotTaken(make(words.to_owned()))
}

#[rstest]
#[case("Invalid User!", NotTaken::Account)]
#[case("Invalid API Key!", NotTaken::Account)]
#[case("API access to you is not allowed!", NotTaken::Account)]
#[case("This user is not active", NotTaken::Account)]
#[case("Invalid IP request![203.0.113.7]", NotTaken::Account)]
#[case("Invalid IP request![x.x.x.x]", NotTaken::Account)]
#[case("Invalid IP request![2001:db8::1]", NotTaken::Account)]
#[case("Website is in maintenance, please try again later", NotTaken::Maintenance)]
#[case("Credit has been finished!", NotTaken::Credit)]
#[case("Invalid value of Network Id!", NotTaken::UnknownService)]
fn every_error_text_of_the_table_proves_what_the_table_says(
    #[case] text: &str,
    #[case] make: fn(String) -> NotTaken,
) {
    assert_eq!(sort(error(text)), not_taken(text, make));
    let upper = text.to_uppercase();
    assert_eq!(sort(error(&upper)), not_taken(&upper, make), "case");
    let bare = text.trim_end_matches('!');
    assert_eq!(sort(error(bare)), not_taken(bare, make), "no punctuation");
    assert_eq!(sort(error(&format!("\n  {text}. \t"))), not_taken(&format!("{text}."), make), "blanks");
    assert_eq!(sort(error(&format!("<![CDATA[{text}]]>"))), not_taken(text, make), "CDATA");
    assert_eq!(
        sort(format!("<?phpxml version=\"1.0\" encoding=\"utf-8\"?>\n<error>{text}</error>\n")),
        not_taken(text, make),
        "the declaration's quirk"
    );
}

#[test]
fn an_imei_is_refused_only_by_a_text_about_this_imei_or_none() {
    let text = format!("Invalid IMEI: {}", ours());
    assert_eq!(sort(error(&text)), not_taken(&text, NotTaken::InvalidImei));
    assert_eq!(sort(error("Invalid IMEI:")), not_taken("Invalid IMEI:", NotTaken::InvalidImei));
    doubt(sort(error(&format!("Invalid IMEI: {}", other()))));
    doubt(sort(error(&format!("Invalid IMEI: {}, {}", ours(), other()))));
    doubt(sort(error("Invalid IMEI: but we ordered it all the same")));
}

#[rstest]
#[case("IMEI already exists!")]
#[case("imei ALREADY  exists")]
#[case(" IMEI already exists!! ")]
fn a_duplicate_in_words_is_an_order_that_exists(#[case] text: &str) {
    assert_eq!(sort(error(text)), Placed::AlreadyExists);
}

#[rstest]
#[case("")]
#[case("Invalid Order ID")]
#[case("Something went wrong")]
#[case("Credit has been finished! Your order was placed")]
#[case("Not Credit has been finished!")]
#[case("Creditt has been finished!")]
#[case("Invalid IP request![203.0.113.7] order accepted")]
#[case("Invalid IP requests")]
#[case("<b>Credit has been finished!</b>")]
#[case("IMEI already exists! Order 15562209")]
#[case("Invalid User! Invalid API Key!")]
fn an_unknown_text_proves_nothing(#[case] text: &str) {
    let unclear = doubt(sort(error(text)));
    assert!(unclear.what.starts_with("the error text"), "{}", unclear.what);
}

#[rstest]
#[case(201)]
#[case(301)]
#[case(400)]
#[case(401)]
#[case(403)]
#[case(404)]
#[case(500)]
#[case(502)]
#[case(503)]
#[case(504)]
#[case(520)]
#[case(524)]
fn under_another_status_no_text_proves_anything(#[case] http: u16) {
    for body in [error("Credit has been finished!"), error("IMEI already exists!"), String::new()] {
        let unclear = doubt(place::sort(ours(), &answer(http, body)));
        assert_eq!(unclear.what, format!("HTTP {http}"));
    }
    let unclear = doubt(place::sort(ours(), &answer(http, taken(7, ours()))));
    assert_eq!(unclear.ids, [id(7)], "but an id that it tells is kept");
}

#[test]
fn a_429_was_not_looked_at_unless_it_tells_an_order() {
    let mut throttled = answer(429, "<html>Too many requests</html>");
    throttled.retry_after = Some(Duration::from_secs(7));
    let outcome = Placed::NotTaken(NotTaken::Throttled(Some(Duration::from_secs(7))));
    assert_eq!(place::sort(ours(), &throttled), outcome);
    assert_eq!(doubt(place::sort(ours(), &answer(429, taken(7, ours())))).ids, [id(7)]);
}

#[test]
fn an_error_beside_an_order_is_unclear_and_keeps_the_id() {
    let order = "<imeis><id>15562209</id><imei>X</imei></imeis>";
    for body in [
        format!("<result>{order}<error>Credit has been finished!</error></result>"),
        format!("<result><error>IMEI already exists!</error>{order}</result>"),
        format!("<error>Credit has been finished!</error><result>{order}</result>"),
        format!("<error>Credit has been finished! {order}</error>"),
        format!("<result>{order}</result><error>Credit has been finished!</error>"),
    ] {
        let unclear = doubt(sort(body.replace('X', &ours().to_string())));
        assert_eq!(unclear.ids, [id(15_562_209)], "{body}");
    }
    doubt(sort("<result><error>Credit has been finished!</error></result>"));
}

#[rstest]
#[case("Invalid API Key!", CallError::Account("Invalid API Key!".into()))]
#[case("Website is in maintenance, please try again later.",
    CallError::Maintenance("Website is in maintenance, please try again later.".into()))]
#[case("Invalid Order ID", CallError::InvalidOrderId)]
#[case("Credit has been finished!", CallError::Refused("Credit has been finished!".into()))]
#[case("who knows", CallError::Refused("who knows".into()))]
fn the_reading_calls_tell_the_refusal(#[case] text: &str, #[case] expected: CallError) {
    let refused = answer(200, error(text));
    assert_eq!(listing::orders(&refused), Err(expected.clone()));
    assert_eq!(listing::services(&refused), Err(expected.clone()));
    assert_eq!(listing::account(&refused), Err(expected.clone()));
    let inside = answer(200, format!("<result>{}</result>", error(text)));
    assert_eq!(listing::orders(&inside), Err(expected));
}

#[test]
fn a_long_text_is_shortened() {
    let unclear = doubt(sort(error(&"ä".repeat(5_000))));
    assert!(unclear.what.chars().count() < 300, "{}", unclear.what);
}
