use std::path::Path;

use super::*;
use crate::provider::{BoxFuture, PlaceOrder, Provider};
use crate::types::{
    AccountInfo, CallError, Money, NotTaken, Placed, ProviderOrder, ProviderOrderId, ProviderService, Reply,
};

/// Tells what it was given, and takes no order.
struct Told {
    account: Result<Option<&'static str>, CallError>,
    services: Result<Vec<(&'static str, Option<&'static str>)>, CallError>,
}

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

impl Provider for Told {
    fn place<'a>(&'a self, _: &'a PlaceOrder) -> BoxFuture<'a, Reply<Placed>> {
        let outcome = Placed::NotTaken(NotTaken::NotSent("a check orders nothing".to_owned()));
        Box::pin(async { Reply { outcome, http: None, body: vec![] } })
    }

    fn orders<'a>(
        &'a self,
        _: &'a [ProviderOrderId],
    ) -> BoxFuture<'a, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(async { Ok(vec![]) })
    }

    fn recent(&self) -> BoxFuture<'_, Result<Vec<ProviderOrder>, CallError>> {
        Box::pin(async { Ok(vec![]) })
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<ProviderService>, CallError>> {
        let service = |(id, price): &(&str, Option<&str>)| ProviderService {
            network_id: (*id).to_owned(),
            title: "iPhone Check".to_owned(),
            category: String::new(),
            price: price.map(money),
            time_taken: String::new(),
        };
        let told = self.services.as_ref().map(|services| services.iter().map(service).collect());
        Box::pin(async { told.map_err(Clone::clone) })
    }

    fn account(&self) -> BoxFuture<'_, Result<AccountInfo, CallError>> {
        let told = self
            .account
            .clone()
            .map(|balance| AccountInfo { balance: balance.map(money), credits_raw: "$ ?".to_owned() });
        Box::pin(async { told })
    }
}

/// The shipped configuration: one service, 1739, at most 0.08.
fn config() -> Config {
    crate::config::parse(&crate::config::edited(), Path::new("/etc/imeid/imeid.toml")).unwrap()
}

async fn asked(told: Told) -> (Vec<Grade>, String, Verdict) {
    let findings = online(&config(), &told).await;
    let text = findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let verdict = verdict(&findings);
    (findings.into_iter().map(|finding| finding.grade).collect(), text, verdict)
}

fn told(balance: Option<&'static str>, services: Vec<(&'static str, Option<&'static str>)>) -> Told {
    Told { account: Ok(balance), services: Ok(services) }
}

#[tokio::test]
async fn a_price_is_fine_up_to_the_configured_one_and_wrong_above() {
    for (price, grade) in
        [("0.07", Grade::Ok), ("0.08", Grade::Ok), ("0.080001", Grade::Wrong), ("1", Grade::Wrong)]
    {
        let (grades, text, _) = asked(told(Some("10"), vec![("5", None), ("1739", Some(price))])).await;
        assert_eq!(grades, [Grade::Ok, grade], "{text}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_offered_is_wrong_and_one_without_a_price_a_warning() {
    let (grades, text, verdict) = asked(told(Some("10"), vec![("17390", Some("0.08"))])).await;
    assert_eq!((grades, verdict), (vec![Grade::Ok, Grade::Wrong], Verdict::Wrong), "{text}");
    let (grades, text, verdict) = asked(told(Some("10"), vec![("1739", None)])).await;
    assert_eq!((grades, verdict), (vec![Grade::Ok, Grade::Warning], Verdict::Fine), "{text}");
}

#[tokio::test]
async fn a_balance_below_one_price_or_without_an_amount_is_a_warning() {
    for balance in [Some("0.07"), None] {
        let (grades, text, verdict) = asked(told(balance, vec![("1739", Some("0.08"))])).await;
        assert_eq!((grades, verdict), (vec![Grade::Warning, Grade::Ok], Verdict::Fine), "{text}");
    }
}

#[tokio::test]
async fn a_refused_account_is_bad_config_and_every_other_failure_leaves_it_open() {
    for (error, expected) in [
        (CallError::Account("Invalid API Key!".to_owned()), Verdict::BadConfig),
        (CallError::Unreachable("refused".to_owned()), Verdict::Unknown),
        (CallError::Maintenance("later".to_owned()), Verdict::Unknown),
        (CallError::Http(500), Verdict::Unknown),
        (CallError::Throttled(None), Verdict::Unknown),
    ] {
        let refused = Told { account: Err(error.clone()), services: Ok(vec![]) };
        let (_, text, verdict) = asked(refused).await;
        assert_eq!(verdict, expected, "{text}");
        let unlisted = Told { account: Ok(Some("10")), services: Err(error) };
        assert_eq!(asked(unlisted).await.2, expected);
    }
}

#[test]
fn the_worst_finding_decides() {
    let all = |grades: &[Grade]| {
        let findings: Vec<_> =
            grades.iter().map(|grade| Finding { grade: *grade, text: String::new() }).collect();
        verdict(&findings)
    };
    assert_eq!(all(&[]), Verdict::Fine);
    assert_eq!(all(&[Grade::Ok, Grade::Warning]), Verdict::Fine);
    assert_eq!(all(&[Grade::Unknown, Grade::Warning]), Verdict::Unknown);
    assert_eq!(all(&[Grade::Wrong, Grade::Unknown]), Verdict::Wrong);
    assert_eq!(all(&[Grade::Wrong, Grade::BadConfig, Grade::Unknown]), Verdict::BadConfig);
}
