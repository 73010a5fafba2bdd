//! Odd documents, and what is read from them, as a reviewed file: the reader may become faster, and may not read otherwise.

use std::fmt::Write as _;

use super::*;
use crate::provider::{listing, xml};

/// Documents that are odd at the root, before and behind it.
const AROUND: [&str; 32] = [
    "",
    " \r\n\t",
    "\u{a0}\u{2003}<result></result>\u{a0}",
    "\u{feff}<result></result>",
    "<?xml?>\u{feff}<result></result>",
    "<result>\u{feff}</result>",
    "<result>\u{feff}<id>1</id></result>",
    "<result></result>\u{feff}",
    "text",
    "&amp;",
    "<",
    "<result",
    "<result>",
    "</result>",
    "<result/>",
    "<result />",
    "<result a='>'></result >",
    "<result></result><result></result>",
    "<result></result>x",
    "<result></result>&",
    "<result></result><!-- x --> <?y?>",
    "<result></results>",
    "<Result></Result>",
    "<resulté></resulté>",
    "<></>",
    "< result></ result>",
    "<html><body>502</body></html>",
    "<!DOCTYPE result [<!ENTITY x \"y\">]><result></result>",
    "<![CDATA[x]]><result></result>",
    "<!-- never closed <result></result>",
    "<error>a&lt;b</error>",
    "<error>a<error>b</error>c</error> ",
];

/// What stands in a `<result>`.
const INSIDE: [&str; 32] = [
    "x",
    "&#32;",
    "<imeis>x</imeis>",
    "<imeis> \u{a0}\n<id>1</id> </imeis>",
    "<imeis><id>1</id>&nbsp;</imeis>",
    "<imeis/>",
    "<imeis a=\"b\"><id c='d>e'>1</id></imeis\n>",
    "<imeis><id>1</id></result>",
    "<imeis><id>1</imeis>",
    "<imeis><id>1",
    "<imeis><id>1</id",
    "<imeis><id>1</id></imei>",
    "<imeis><id/><id/></imeis>",
    "<imeis><id>1</id ><id\n>2</id></imeis>",
    "<imeis><i.d>1</i.d><i-d>2</i-d><i:d>3</i:d></imeis>",
    "<imeis><code>é &lt;br&gt;&amp;lt;&#x41;&#65 &&lt</code></imeis>",
    "<imeis><code>&#x00000010FFFF; &#x000000010FFFF; &#00000000000065; &#000000000000065; &#+65; &lt &LT;</code></imeis>",
    "<imeis><code><![CDATA[</code>]]>&gt;<![CDATA[&gt;]]></code></imeis>",
    "<imeis><code><![CDATA[</code></imeis>",
    "<imeis><code><code/><code></code><code a/><codes></code></imeis>",
    "<imeis><code></codes></code ></imeis>",
    "<imeis><code><!-- </code> --></imeis>",
    "<imeis><code><?x </code> ?></imeis>",
    "<imeis><code></imeisé></code></imeis>",
    "<imeis><!-- <id> --><?php ?><id>1</id><!DOCTYPE x></imeis>",
    "<imeis><![CDATA[x]]></imeis>",
    "<imeis><Id>1</Id><ID>2</ID></imeis>",
    "<imeis><imeis>1</imeis></imeis>",
    "<imeis><a>1</a><b/></imeis><imeis><b>2</b><c/></imeis><imeis></imeis>",
    "<error>x &quot;y&apos;</error>",
    "<imeiduplicates><imei>1,2</imei></imeiduplicates>",
    "<other><id>1</id></other><Package><a>1</a></Package>",
];

/// What an answer of `getimeis` and of `placeorder` holds.
const ORDERS: [&str; 12] = [
    "<imeis></imeis>",
    "<imeis><id> 1 </id><imei>355473496054560</imei><status> Pending</status></imeis>",
    "<imeis><id>1</id><imei>3554-7349 6054560</imei><id>2</id><imei>x</imei></imeis>",
    "<imeis><id>1</id><a/><id>2</id></imeis>",
    "<imeis><id>1</id><id>1</id><id>0</id></imeis>",
    "<imeis><id>1</id><a/><b/><c/><d/><e/><f/><g/><h/><i/><j/><k/><l/><m/><n/><o/><p/><q/></imeis>",
    "<imeis><a/><b/><c/><d/><e/><f/><g/><h/><id>1</id><a/><b/><c/><d/><e/><f/><g/><h/><id>2</id></imeis>",
    "<imeis><id>9223372036854775807</id></imeis><imeis><id>7</id></imeis>",
    "<imeis><id>9223372036854775808</id></imeis>",
    "<imeis><id>1</id></imeis><imeis><id><![CDATA[2]]></id></imeis>",
    "<imeis><id>1</id ></imeis><id>2</id><x><id>3</x></id>",
    "<id>1</id><imeis ><id><id>2</id>3</id></imeis>",
];

fn shape(text: &str) -> String {
    let document = xml::parse(text);
    let mut shown = format!("{text:?}\n  root {:?}, text {:?}", document.root, document.text);
    for item in &document.items {
        write!(shown, "\n  {:?} {:?} {:?}", item.name, item.text, item.raw).unwrap();
        for field in &item.fields {
            write!(shown, "\n    {:?} {:?} at {:?}", field.name, field.text, field.span).unwrap();
        }
    }
    match document.defect {
        Some(defect) => format!("{shown}\n  {defect}\n"),
        None => format!("{shown}\n"),
    }
}

#[test]
fn odd_documents_have_the_shape_that_they_always_had() {
    let inside = INSIDE.iter().map(|inside| format!("<result>{inside}</result>"));
    let long = format!("<error></error{}></error>", " ".repeat(300));
    let shapes = AROUND.iter().map(|text| (*text).to_owned()).chain(inside).chain([long]);
    insta::assert_snapshot!("shapes", shapes.map(|text| shape(&text)).collect::<String>());
}

#[test]
fn odd_answers_mean_what_they_always_meant() {
    let mut shown = String::new();
    let hidden = "<error>Credit has been finished!</error><!-- <imeis><id>5</id> -->".to_owned();
    for body in ORDERS.iter().map(|orders| format!("<result>{orders}</result>")).chain([hidden]) {
        let answer = answer(200, &body);
        writeln!(shown, "{body:?}\n  {:?}", place::sort(ours(), &answer)).unwrap();
        match listing::orders(&answer) {
            Err(error) => writeln!(shown, "  {error}").unwrap(),
            Ok(orders) => orders.iter().for_each(|order| {
                let raw = String::from_utf8_lossy(&order.raw);
                writeln!(shown, "  {} {:?} {:?} of {raw:?}", order.id, order.imei, order.status_raw).unwrap();
            }),
        }
    }
    insta::assert_snapshot!("meanings", shown);
}
