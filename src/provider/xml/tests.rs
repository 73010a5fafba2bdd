//! What is read the short way is what the long way would have read.

use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("<?phpxml version=\"1.0\"?>"),
        Just("<?xml?>"),
        Just("<?"),
        Just("?>"),
        Just("<?>"),
        Just("<?x?"),
        Just(" "),
        Just("\n"),
        Just("<result>"),
        Just("</result>"),
        Just("<id>"),
        Just("</id>"),
        Just("</id >"),
        Just("<id/>"),
        Just("</idx>"),
        Just("<b>"),
        Just("&lt;"),
        Just("&"),
        Just("<"),
        Just(">"),
        Just("<![CDATA["),
        Just("]]>"),
        Just("<!--"),
        Just("-->"),
        Just("17"),
        Just("é"),
        Just("\u{feff}"),
    ];
    proptest::collection::vec(pieces, 0..9).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_plain_step_is_the_one_that_the_rules_of_xml_make(text in text()) {
        let mut plain = Walker { text: &text, at: 0, start: 0 };
        let mut any = Walker { text: &text, at: 0, start: 0 };
        if let Some(step) = plain.plain_step() {
            let other = any.any_step();
            prop_assert_eq!(Some(step), other.ok(), "{:?}", text);
            prop_assert_eq!((plain.at, plain.start), (any.at, any.start), "{:?}", text);
        }
    }

    #[test]
    fn a_plain_leaf_is_the_one_that_a_longer_look_finds(text in text()) {
        if let Some((content, consumed)) = plain_leaf(&text, "id") {
            prop_assert_eq!(leaf_end(text.as_bytes(), "id", Some("result")), Some((content.len(), consumed)));
            prop_assert_eq!(unescape(content), content);
        }
    }
}
