//! The answers as XML, written straight from what is known of the provider and shared with no parser.

use super::answer::{Answer, OrderStatus, OrderView, Service};
use super::code;
use crate::types::Timestamp;

/// How the answers are dressed.
#[derive(Clone, Copy, Debug)]
pub struct Dress {
    /// The declaration reads `<?phpxml …?>`.
    pub phpxml: bool,
    /// How far the provider's clock is ahead of UTC, in minutes.
    pub zone_minutes: i32,
    /// The seed that codes are made from.
    pub seed: u64,
}

/// The answer as the provider would send it.
#[must_use]
pub fn write(answer: &Answer, dress: Dress) -> String {
    let target = if dress.phpxml { "phpxml" } else { "xml" };
    format!("<?{target} version=\"1.0\" encoding=\"utf-8\"?>\n{}", body(answer, dress))
}

fn body(answer: &Answer, dress: Dress) -> String {
    match answer {
        Answer::Placed(orders) => {
            let orders = orders.iter().map(|(id, imei)| {
                format!("<imeis><id>{id}</id><imei>{imei}</imei><status>Pending</status></imeis>")
            });
            format!("<result>{}</result>", orders.collect::<String>())
        }
        Answer::Duplicates(imeis) => {
            let imeis: Vec<String> = imeis.iter().map(ToString::to_string).collect();
            format!("<result><imeiduplicates><imei>{}</imei></imeiduplicates></result>", imeis.join(","))
        }
        Answer::Orders(orders) => {
            let orders = orders.iter().map(|view| order(view, dress));
            format!("<result>{}</result>", orders.collect::<String>())
        }
        Answer::Services(services) => {
            format!("<Packages>{}</Packages>", services.iter().map(service).collect::<String>())
        }
        Answer::Account(balance) => {
            format!("<Client><ClientCredits>$ {balance} USD</ClientCredits></Client>")
        }
        Answer::Error(text) => format!("<error>{}</error>", escape(text)),
    }
}

fn order(view: &OrderView, dress: Dress) -> String {
    let code = match view.status {
        OrderStatus::Pending | OrderStatus::InProcess => String::new(),
        OrderStatus::Completed => code::completed(dress.seed, view.imei, view.code),
        OrderStatus::Rejected => code::rejected(dress.seed, view.imei),
    };
    format!(
        "<imeis><id>{}</id><package>{}</package><imei>{}</imei><statusId>{}</statusId><status>{}</status>\
         <code>{code}</code><requestedat>{}</requestedat></imeis>",
        view.id,
        escape(&view.package),
        view.imei,
        view.status.id(),
        view.status.word(),
        local_time(view.placed_at, dress.zone_minutes),
    )
}

fn service(service: &Service) -> String {
    format!(
        "<Package><CategoryId>{}</CategoryId><Category>{}</Category><PackageId>{}</PackageId>\
         <PackageTitle>{}</PackageTitle><PackagePrice>{}</PackagePrice><TimeTaken>{}</TimeTaken>\
         <MustRead>{}</MustRead></Package>",
        service.category_id,
        escape(&service.category),
        escape(&service.network_id.0),
        escape(&service.title),
        service.price,
        escape(&service.time_taken),
        escape(&service.must_read),
    )
}

/// `YYYY-MM-DD HH:MM:SS` in the provider's zone.
fn local_time(at: Timestamp, zone_minutes: i32) -> String {
    let local = Timestamp::from_millis(at.millis().saturating_add(i64::from(zone_minutes) * 60_000));
    local.to_string().replace('T', " ").trim_end_matches('Z').to_owned()
}

/// The text with what XML and HTML reserve written as entities.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Imei, Money, ProviderOrderId};

    const DRESS: Dress = Dress { phpxml: false, zone_minutes: 0, seed: 1 };
    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";

    fn imei() -> Imei {
        Imei::parse("355473496054560", false).unwrap()
    }

    #[test]
    fn a_taken_order_is_answered_as_the_provider_does() {
        assert_eq!(
            write(&Answer::Placed(vec![(ProviderOrderId(15_562_209), imei())]), DRESS),
            format!(
                "{HEAD}<result><imeis><id>15562209</id><imei>355473496054560</imei><status>Pending</status>\
                 </imeis></result>"
            )
        );
    }

    #[test]
    fn errors_duplicates_and_the_balance_are_answered_as_the_provider_does() {
        for (answer, text) in [
            (Answer::Error("IMEI already exists!".into()), "<error>IMEI already exists!</error>"),
            (
                Answer::Duplicates(vec![imei()]),
                "<result><imeiduplicates><imei>355473496054560</imei></imeiduplicates></result>",
            ),
            (
                Answer::Account(Money::from_micros(150_000_000)),
                "<Client><ClientCredits>$ 150.00 USD</ClientCredits></Client>",
            ),
        ] {
            assert_eq!(write(&answer, DRESS), format!("{HEAD}{text}"));
        }
    }

    #[test]
    fn the_quirk_changes_the_declaration_only() {
        let answer = Answer::Error("x".into());
        let quirk = write(&answer, Dress { phpxml: true, ..DRESS });
        assert!(quirk.starts_with("<?phpxml version=\"1.0\" encoding=\"utf-8\"?>"));
        assert_eq!(quirk.replace("phpxml", "xml"), write(&answer, DRESS));
    }

    #[test]
    fn an_order_is_listed_in_the_providers_own_time_zone() {
        let view = OrderView {
            id: ProviderOrderId(1),
            package: "iPhone <Check>".into(),
            imei: imei(),
            status: OrderStatus::InProcess,
            placed_at: Timestamp::from_millis(1_763_091_180_000),
            code: code::CodeKind::Check,
        };
        assert_eq!(
            write(&Answer::Orders(vec![view]), Dress { zone_minutes: 60, ..DRESS }),
            format!(
                "{HEAD}<result><imeis><id>1</id><package>iPhone &lt;Check&gt;</package><imei>355473496054560</imei>\
                 <statusId>4</statusId><status>In Process</status><code></code>\
                 <requestedat>2025-11-14 04:33:00</requestedat></imeis></result>"
            )
        );
    }
}
