//! What holds for any bytes.

use proptest::prelude::*;

use super::*;
use crate::provider::listing;
use crate::provider::secret::Key;

/// Pieces of answers, so that random bodies come close to real ones.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let text = |text: String| text.into_bytes();
    prop_oneof![
        proptest::sample::select(vec![
            "<result>",
            "</result>",
            "<imeis>",
            "</imeis>",
            "<imeis/>",
            "<id>",
            "</id>",
            "<imei>",
            "</imei>",
            "<code>",
            "</code>",
            "<error>",
            "</error>",
            "<imeiduplicates>",
            "</imeiduplicates>",
            "<Packages>",
            "</Packages>",
            "<Package>",
            "</Package>",
            "<![CDATA[",
            "]]>",
            "<!--",
            "-->",
            "<?",
            "?>",
            "<!DOCTYPE",
            "<br>",
            "&",
            "&lt;",
            "&#x",
            ";",
            "<",
            ">",
            "\"",
            "'",
            "Credit has been finished!",
            "IMEI already exists!",
            "15562209",
            "\u{feff}",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        Just(text(ours().to_string())),
        proptest::collection::vec(any::<u8>(), 0..6),
    ]
}

fn soup() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(piece(), 0..24).prop_map(|pieces| pieces.concat())
}

fn read_all(http: u16, body: &[u8]) -> Placed {
    let answer = answer(http, body);
    let _ = (listing::orders(&answer), listing::services(&answer), listing::account(&answer));
    place::sort(ours(), &answer)
}

/// Taken answers in the forms that are seen.
fn forms(id: u64, imei: Imei) -> Vec<String> {
    let plain = taken(id, imei);
    vec![
        format!("<?phpxml version=\"1.0\" encoding=\"utf-8\"?>\n{plain}"),
        format!("\u{feff}\n{plain}"),
        plain.replace("<status>", "<code><![CDATA[</result>]]><br>é</code><status>"),
        plain.replace("><", "> \n<"),
        plain,
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(http in prop_oneof![Just(200u16), 100u16..600], body in soup()) {
        read_all(http, &body);
    }

    #[test]
    fn no_noise_makes_the_readers_panic(body in proptest::collection::vec(any::<u8>(), 0..512)) {
        read_all(200, &body);
    }

    #[test]
    fn only_one_order_for_our_imei_is_ever_taken(body in soup()) {
        if let Placed::Taken(_) = read_all(200, &body) {
            let text = String::from_utf8_lossy(&body);
            prop_assert!(text.contains("</result>") && text.contains(&ours().to_string()));
            prop_assert!(!text.contains("<error>") || text.contains("CDATA") || text.contains("<!"));
        }
    }

    #[test]
    fn a_text_that_is_not_in_the_table_never_proves_that_nothing_was_taken(
        text in "[A-Za-z0-9 !.,:\\[\\]]{0,60}",
        before in "[a-z ]{1,8}",
    ) {
        let known = "Credit has been finished!";
        for text in [text, format!("x{before}{known}"), format!("{known} {before}x")] {
            let unclear = matches!(sort(format!("<error>{text}</error>")), Placed::Unclear(_));
            prop_assert!(unclear, "{}", text);
        }
    }

    #[test]
    fn every_part_of_a_taken_answer_is_unclear(number in 1u64..1_000_000_000, serial in 0u32..1_000_000) {
        let imei = Imei::from_parts(35_547_349, serial);
        for form in forms(number, imei) {
            for end in 0..form.len() {
                let cut = &form.as_bytes()[..end];
                let placed = place::sort(imei, &answer(200, cut));
                let unclear = doubt(placed);
                let told = unclear.ids.as_slice();
                prop_assert!(told.is_empty() || told == [id(number)], "{:?}", unclear);
                let whole_id = String::from_utf8_lossy(cut).contains("</id>");
                prop_assert_eq!(told.len(), usize::from(whole_id));
            }
            prop_assert_eq!(place::sort(imei, &answer(200, &form)), Placed::Taken(id(number)));
        }
    }

    #[test]
    fn every_part_of_a_refusal_is_unclear(end in 0..38usize) {
        let refusal = "<error>Credit has been finished!</error>";
        doubt(sort(&refusal[..end]));
    }

    #[test]
    fn no_body_keeps_the_key_or_a_good_part_of_it(
        before in soup(), after in soup(), cut in 0..KEY.len(), is_whole: bool,
    ) {
        let key = Key::new(&KEY.into()).unwrap();
        let mut body = [&before[..], KEY.as_bytes(), &after[..]].concat();
        if !is_whole {
            body.extend_from_slice(&KEY.as_bytes()[..cut]);
        }
        let clean = String::from_utf8_lossy(&key.redact_body(body, is_whole)).into_owned();
        prop_assert!(!clean.contains(KEY));
        prop_assert!(is_whole || cut < 4 || !clean.ends_with(&KEY[..cut]));
    }
}
