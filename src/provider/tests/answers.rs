//! What the answers other than refusals mean.

use rstest::rstest;

use super::*;
use crate::provider::{amount, listing, retry_after};
use crate::types::{CallError, ProviderStatus};

#[test]
fn exactly_one_order_for_the_imei_that_was_sent_is_taken() {
    let plain = taken(15_562_209, ours());
    for body in [
        plain.clone(),
        format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{plain}\n"),
        format!("<?phpxml version=\"1.0\" encoding=\"utf-8\"?>{plain}"),
        format!("\u{feff}\n\n  {plain}  \n<!-- 0.3 s -->"),
        plain.replace("><", ">\n  <"),
        plain.replace("15562209", " <![CDATA[15562209]]> "),
        plain.replace("<id>", "<id type=\"int\">").replace("</imeis>", "</imeis >"),
        plain.replace("<result>", "<result><imeiduplicates/><note>ok</note>"),
        plain.replace("<status>Pending</status>", "<status>R&D <br> <b>x</b></status><more/>"),
    ] {
        assert_eq!(sort(&body), Placed::Taken(id(15_562_209)), "{body}");
    }
}

#[test]
fn several_orders_are_unclear_with_every_id() {
    let second = format!("<imeis><id>2</id><imei>{}</imei></imeis></result>", ours());
    let two = taken(1, ours()).replace("</result>", &second);
    assert_eq!(doubt(sort(two)).ids, [id(1), id(2)]);
    let inside = format!("<id>2</id><imei>{}</imei><status/></imeis>", other());
    let run_together = taken(1, ours()).replace("</imeis>", &inside);
    assert_eq!(doubt(sort(run_together)).ids, [id(1), id(2)]);
    let grouped = "<result><imeis><id>1</id><id>2</id><imei>A</imei><imei>B</imei></imeis></result>";
    assert_eq!(doubt(sort(grouped.replace('A', &ours().to_string()))).ids, [id(1), id(2)]);
}

#[test]
fn an_order_for_another_imei_or_none_is_unclear_with_its_id() {
    assert_eq!(doubt(sort(taken(9, other()))).ids, [id(9)]);
    assert_eq!(doubt(sort("<result><imeis><id>9</id></imeis></result>")).ids, [id(9)]);
    let both = taken(9, ours()).replace("</imei>", &format!(",{}</imei>", other()));
    assert_eq!(doubt(sort(both)).ids, [id(9)]);
}

#[rstest]
#[case("")]
#[case("0")]
#[case("-5")]
#[case("+5")]
#[case("15562209a")]
#[case("1 2")]
#[case("99999999999999999999999")]
#[case("9223372036854775808")]
#[case("٣")]
fn an_order_without_a_readable_id_is_unclear(#[case] text: &str) {
    let body = taken(4_711, ours()).replace("4711", text);
    assert_eq!(doubt(sort(&body)).ids, []);
    assert!(matches!(listing::orders(&answer(200, body)), Err(CallError::Unreadable(_))));
}

#[rstest]
#[case("")]
#[case("   \n")]
#[case("<result></result>")]
#[case("<result/>")]
#[case("<result><imeis></imeis></result>")]
#[case("<Packages></Packages>")]
#[case("<Client><ClientCredits>$ 1.00 USD</ClientCredits></Client>")]
#[case("<!DOCTYPE html><html><body>Just a moment…</body></html>")]
#[case("Warning: mysql_connect()\n<result></result>")]
#[case("{\"error\":\"Credit has been finished!\"}")]
#[case("Credit has been finished!")]
#[case("</result>")]
#[case("<error>Credit has been finished!")]
#[case("<error>Credit has been finished!</error")]
#[case("<Error>Credit has been finished!</Error>")]
#[case("<errors>Credit has been finished!</errors>")]
#[case("<error>Credit has been finished!</error>trailing")]
#[case("<error>Credit has been finished!</error><error>Credit has been finished!</error>")]
#[case("<error/>")]
#[case("\0\0\0")]
fn every_other_answer_is_unclear(#[case] body: &str) {
    assert_eq!(doubt(sort(body)).ids, [], "{body}");
}

#[test]
fn a_broken_or_too_large_body_is_unclear_even_if_what_came_reads_well() {
    for end in [
        BodyEnd::Broken("reset".into()),
        BodyEnd::TimedOut(Duration::from_secs(1)),
        BodyEnd::TooLarge(1 << 20),
    ] {
        for body in [taken(5, ours()), "<error>Credit has been finished!</error>".to_owned()] {
            let broken = Answer { end: end.clone(), ..answer(200, &body) };
            assert_eq!(doubt(place::sort(ours(), &broken)).ids.is_empty(), !body.contains("<id>"));
            assert!(listing::orders(&broken).is_err());
        }
    }
}

#[test]
fn a_list_of_duplicates_that_names_only_ours_is_an_order_that_exists() {
    let list = |text: String| format!("<result><imeiduplicates>{text}</imeiduplicates></result>");
    let (a, b) = (ours(), other());
    assert_eq!(sort(list(format!("<imei>{a}</imei>"))), Placed::AlreadyExists);
    assert_eq!(sort(list(format!("<imei>{a}, {a},</imei><imei>{a}</imei>"))), Placed::AlreadyExists);
    for doubtful in [
        list(format!("<imei>{a},{b}</imei>")),
        list(format!("<imei>{b}</imei>")),
        list("<imei/>".to_owned()),
        list(String::new()),
        list(format!("<imei>{a}</imei>")).replace("</result>", "<message>charged</message></result>"),
        list(format!("<imei>{a}</imei>")).replace("</result>", "<imeis></imeis></result>"),
    ] {
        assert_eq!(doubt(sort(&doubtful)).ids, [], "{doubtful}");
    }
    let both = taken(3, a)
        .replace("</result>", &format!("<imeiduplicates><imei>{a}</imei></imeiduplicates></result>"));
    assert_eq!(doubt(sort(both)).ids, [id(3)]);
}

fn listed(id: u64, status: &str, code: &str) -> String {
    format!(
        "<imeis><id>{id}</id><package>Apple Check</package><imei>{}</imei>{status}<code>{code}</code>\
         <requestedat>2025-11-14 03:33:00</requestedat></imeis>",
        ours()
    )
}

#[test]
fn a_listing_tells_every_order_with_its_own_slice() {
    let one = listed(1, "<statusId>2</statusId><status>Completed</status>", "Model: A&amp;B<br>x");
    let two = listed(2, "<statusId>3</statusId><status>Rejected</status>", "");
    let orders = listing::orders(&answer(200, format!("<result>\n{one}\n{two}</result>"))).unwrap();
    assert_eq!(orders.len(), 2);
    assert_eq!(orders[0].raw, one.as_bytes());
    assert_eq!(orders[1].raw, two.as_bytes());
    assert_eq!((orders[0].id, orders[0].imei), (id(1), Some(ours())));
    assert_eq!(orders[0].package, "Apple Check");
    assert_eq!(orders[0].code, "Model: A&B<br>x");
    assert_eq!(orders[0].requested_at, "2025-11-14 03:33:00");
    assert_eq!(orders[0].status_raw, "2 Completed");
    assert_eq!((orders[1].status, orders[1].code.as_str()), (ProviderStatus::Rejected, ""));
    assert_eq!(listing::orders(&answer(200, "<result/>")), Ok(Vec::new()));
}

#[rstest]
#[case("<statusId>1</statusId><status>Pending</status>", ProviderStatus::Pending, "1 Pending")]
#[case("<statusId> 2 </statusId>", ProviderStatus::Completed, "2")]
#[case("<statusId>3</statusId><status>Rejected</status>", ProviderStatus::Rejected, "3 Rejected")]
#[case("<statusId>4</statusId><status>In Process</status>", ProviderStatus::Pending, "4 In Process")]
#[case("<statusId>17</statusId><status>Lost</status>", ProviderStatus::Pending, "17 Lost")]
#[case("<status>Completed</status>", ProviderStatus::Pending, "Completed")]
#[case("", ProviderStatus::Pending, "")]
fn a_status_that_is_not_known_is_pending(
    #[case] fields: &str,
    #[case] status: ProviderStatus,
    #[case] raw: &str,
) {
    let body = format!("<result>{}</result>", listed(1, fields, "x"));
    let orders = listing::orders(&answer(200, body)).unwrap();
    assert_eq!((orders[0].status, orders[0].status_raw.as_str()), (status, raw));
}

#[test]
fn orders_that_share_one_element_are_parted_where_the_fields_come_again() {
    let fields =
        |id: u64| listed(id, "<statusId>2</statusId>", "c").replace("<imeis>", "").replace("</imeis>", "");
    let body = format!("<result><imeis>{}\n{}</imeis></result>", fields(1), fields(2));
    let orders = listing::orders(&answer(200, body)).unwrap();
    assert_eq!(orders.iter().map(|order| order.id).collect::<Vec<_>>(), [id(1), id(2)]);
    assert_eq!(orders[1].raw, fields(2).as_bytes());
    for ambiguous in [
        "<id>1</id><id>2</id><imei>3</imei>",
        "<id>1</id><id>2</id><imei>3</imei><imei>4</imei>",
        "<id>1</id><code>a</code><code>b</code>",
    ] {
        let body = format!("<result><imeis>{ambiguous}</imeis></result>");
        assert!(matches!(listing::orders(&answer(200, body)), Err(CallError::Unreadable(_))), "{ambiguous}");
    }
}

#[rstest]
#[case(429, Some(3), CallError::Throttled(Some(Duration::from_secs(3))))]
#[case(429, None, CallError::Throttled(None))]
#[case(503, Some(3), CallError::Throttled(Some(Duration::from_secs(3))))]
#[case(503, None, CallError::Http(503))]
#[case(302, None, CallError::Http(302))]
#[case(524, Some(3), CallError::Http(524))]
fn another_status_of_a_reading_call_is_told(
    #[case] http: u16,
    #[case] wait: Option<u64>,
    #[case] expected: CallError,
) {
    let body = format!("<result>{}</result>", listed(1, "", "c"));
    let answer = Answer { retry_after: wait.map(Duration::from_secs), ..answer(http, body) };
    assert_eq!(listing::orders(&answer), Err(expected));
}

#[test]
fn services_are_listed_with_their_prices() {
    let body = "<Packages><Package><CategoryId>7</CategoryId><Category>Apple &amp; more</Category>\
        <PackageId>1739</PackageId><PackageTitle><![CDATA[iPhone <b>check</b>]]></PackageTitle>\
        <PackagePrice>$0.08</PackagePrice><TimeTaken>1-5 Minutes</TimeTaken>\
        <MustRead>a<br>b & c<p>d</MustRead></Package><Package><PackageId/></Package>\
        <Package><PackageId>12</PackageId><PackagePrice>ask</PackagePrice></Package></Packages>";
    let services = listing::services(&answer(200, body)).unwrap();
    assert_eq!(services.len(), 2);
    assert_eq!(services[0].network_id, "1739");
    assert_eq!(services[0].title, "iPhone <b>check</b>");
    assert_eq!(services[0].category, "Apple & more");
    assert_eq!(services[0].price, "0.08".parse().ok());
    assert_eq!(services[0].time_taken, "1-5 Minutes");
    assert_eq!((services[1].network_id.as_str(), services[1].price), ("12", None));
}

#[test]
fn the_account_tells_its_balance_or_only_the_words() {
    let account = |text: &str| {
        let body = format!("<Client><Name>x</Name><ClientCredits>{text}</ClientCredits></Client>");
        listing::account(&answer(200, body)).unwrap()
    };
    assert_eq!(account(" $ 150.00 USD ").balance, "150".parse().ok());
    assert_eq!(account(" $ 150.00 USD ").credits_raw, "$ 150.00 USD");
    assert_eq!(account("unlimited").balance, None);
    assert_eq!(listing::account(&answer(200, "<Client></Client>")).unwrap().balance, None);
}

#[rstest]
#[case("0.08", Some("0.08"))]
#[case("$0.08", Some("0.08"))]
#[case("$ 0.08 USD", Some("0.08"))]
#[case("US$ 0.08", Some("0.08"))]
#[case("USD 12", Some("12"))]
#[case("12 $", Some("12"))]
#[case(".5", Some("0.5"))]
#[case("5.", Some("5"))]
#[case("1,150.00", Some("1150"))]
#[case("$1,234.5", Some("1234.5"))]
#[case("$\u{a0}1,234,567.89 usd", Some("1234567.89"))]
#[case("$ -3.20 USD", Some("-3.2"))]
#[case("-$3.20", Some("-3.2"))]
#[case("0.0800000", Some("0.08"))]
#[case("0,08", None)]
#[case("1.150,00", None)]
#[case("1,15.00", None)]
#[case("1234,567", None)]
#[case(",150", None)]
#[case("--5", None)]
#[case("-$-5", None)]
#[case("€ 5", None)]
#[case("5 EUR", None)]
#[case("$", None)]
#[case(".", None)]
#[case("", None)]
#[case("1e3", None)]
#[case("1.2.3", None)]
#[case("0.00000001", None)]
#[case("99999999999999999999", None)]
fn amounts_are_read_as_the_provider_writes_them(#[case] text: &str, #[case] expected: Option<&str>) {
    assert_eq!(amount::parse(text), expected.map(|text| text.parse().unwrap()));
}

#[rstest]
#[case("120", Some(120))]
#[case(" 0 ", Some(0))]
#[case("99999999999999999999999", Some(86_400))]
#[case("Tue, 24 Nov 2026 00:02:00 GMT", Some(120))]
#[case("Sun, 24 Nov 2026 00:02:00 GMT", Some(120))]
#[case("Mon, 23 Nov 2026 23:59:00 GMT", Some(0))]
#[case("Fri, 24 Nov 2028 00:00:00 GMT", Some(86_400))]
#[case("", None)]
#[case("-5", None)]
#[case("soon", None)]
#[case("1.5", None)]
fn retry_after_is_seconds_or_a_date(#[case] value: &str, #[case] seconds: Option<u64>) {
    assert_eq!(retry_after::parse(value, clock().now()), seconds.map(Duration::from_secs));
}
