//! Leaves: text, escapes, CDATA and HTML in them.

use rstest::rstest;

use super::*;
use crate::provider::listing;
use crate::types::CallError;

fn code(content: &str) -> Result<String, CallError> {
    let body = format!(
        "<result><imeis><id>1</id><code>{content}</code><status>x</status></imeis>\
         <imeis><id>2</id><code>second</code></imeis></result>"
    );
    let orders = listing::orders(&answer(200, body))?;
    assert_eq!(orders.len(), 2);
    assert_eq!((orders[0].status_raw.as_str(), orders[1].code.as_str()), ("x", "second"));
    Ok(orders[0].code.clone())
}

#[rstest]
#[case("Model: iPhone 16 Pro - SimLock: Unlocked", "Model: iPhone 16 Pro - SimLock: Unlocked")]
#[case("a&lt;br&gt;b", "a<br>b")]
#[case("a<br>b<br/>c<BR />d", "a<br>b<br/>c<BR />d")]
#[case(
    "<b>Model:</b> <span style=\"color:red\">x</span>",
    "<b>Model:</b> <span style=\"color:red\">x</span>"
)]
#[case("<b>never closed", "<b>never closed")]
#[case("closed only</b></p>", "closed only</b></p>")]
#[case("AT&T & more &nbsp;&eacute; &", "AT&T & more &nbsp;&eacute; &")]
#[case("&amp;lt; once only", "&lt; once only")]
#[case("&quot;&apos;&#39;&#x41;&#X1F600;", "\"''A😀")]
#[case("&#0;&#xD800;&#x110000;&#;&#x;&;", "&#0;&#xD800;&#x110000;&#;&#x;&;")]
#[case("😀 \"quotes\", commas,\nnewlines", "😀 \"quotes\", commas,\nnewlines")]
#[case("1 < 2 and it's > \"0", "1 < 2 and it's > \"0")]
#[case("<![CDATA[<b>x</b> &lt; ]] > </code> </imeis>]]> &lt;", "<b>x</b> &lt; ]] > </code> </imeis> <")]
#[case("a<![CDATA[b]]>c<![CDATA[]]>&amp;", "abc&")]
#[case("<code>nested</code> outer", "<code>nested</code> outer")]
#[case("<codes> <code/> </codes>", "<codes> <code/> </codes>")]
#[case("<!-- it's --> x", "<!-- it's --> x")]
#[case("", "")]
#[case("  kept  ", "  kept  ")]
fn a_code_keeps_its_html_and_loses_its_xml(#[case] content: &str, #[case] expected: &str) {
    assert_eq!(code(content).as_deref(), Ok(expected));
}

#[rstest]
#[case("<code>one opened more")]
#[case("<![CDATA[never closed")]
#[case("</imeis>")]
fn a_leaf_without_its_own_end_is_unreadable(#[case] content: &str) {
    assert!(matches!(code(content), Err(CallError::Unreadable(_))));
}

#[test]
fn a_body_that_is_no_utf_8_is_windows_1252() {
    let body = b"<result><imeis><id>1</id><code>caf\xe9 \x80</code></imeis></result>";
    let orders = listing::orders(&answer(200, body)).unwrap();
    assert_eq!(orders[0].code, "café €");
}

#[test]
fn an_instruction_or_comment_between_the_fields_is_passed_over() {
    let body = "<!DOCTYPE result><result><!-- <imeis> --><imeis><?x y?><id>1</id></imeis></result>";
    assert_eq!(listing::orders(&answer(200, body)).unwrap().len(), 1);
}
