use std::time::Duration;

use super::*;
use crate::simulator::{Delay, Faults, Service, write_xml};

const ME: Caller<'static> = Caller { user: "u", key: "k" };
const CHECK: &str = "1739";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_763_091_180_000 + seconds * 1000)
}

fn imei(n: u32) -> Imei {
    Imei::from_parts(35_000_000, n)
}

fn text(n: u32) -> String {
    imei(n).to_string()
}

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

/// Orders take ten seconds, none is rejected.
fn model(with: impl FnOnce(&mut Options)) -> Model {
    let mut options = Options {
        completion: Delay::Fixed(Duration::from_secs(10)),
        rejected: Share::from_ppm(0),
        ..Options::default()
    };
    with(&mut options);
    Model::new(at(0), options)
}

fn error(text: &str) -> Answer {
    Answer::Error(text.to_owned())
}

/// Places an order that must be taken, and gives its id.
fn placed(model: &mut Model, now: Timestamp, n: u32) -> ProviderOrderId {
    match model.place(now, ME, &text(n), CHECK) {
        Answer::Placed(orders) => orders[0].0,
        other => panic!("{other:?}"),
    }
}

fn change(model: &mut Model, now: Timestamp, json: &str) {
    model.change(now, &serde_json::from_str(json).unwrap());
}

fn place_call(n: u32) -> Call {
    let params = [("apiKey", "k"), ("userId", "u"), ("action", "placeorder"), ("networkId", CHECK)];
    let mut params: Vec<(String, String)> = params.map(|(k, v)| (k.into(), v.into())).into();
    params.push(("imei".into(), text(n)));
    Call::new(params)
}

#[test]
fn of_several_imeis_in_a_call_only_the_last_is_ordered_without_an_error() {
    let mut model = model(|_| {});
    let answer = model.place(at(0), ME, &format!("{},{}, {}", text(1), text(2), text(3)), CHECK);
    assert!(matches!(&answer, Answer::Placed(orders) if orders.len() == 1 && orders[0].1 == imei(3)));
    assert_eq!(model.summary(at(0)).charged, money("0.08"));
    placed(&mut model, at(1), 1);
}

#[test]
fn a_call_with_several_imeis_is_counted_as_such_when_it_arrives() {
    let mut model = model(|_| {});
    let call = Call::new(vec![("action".into(), "placeorder".into()), ("imei".into(), "1,2".into())]);
    model.receive(&call);
    model.receive(&place_call(1));
    let summary = model.summary(at(0));
    assert_eq!((summary.place_calls, summary.batched_calls), (2, 1));
}

#[test]
fn a_duplicate_is_refused_free_of_charge_for_the_same_service_only() {
    let other = || Service { network_id: NetworkId("99".into()), ..Service::default() };
    let mut model = model(|options| options.services.push(other()));
    placed(&mut model, at(0), 1);
    assert_eq!(model.place(at(1), ME, &text(1), CHECK), error("IMEI already exists!"));
    assert!(matches!(model.place(at(1), ME, &text(1), "99"), Answer::Placed(_)));
    let summary = model.summary(at(1));
    assert_eq!((summary.charges, summary.paid_twice), (2, 0));
}

#[test]
fn a_duplicate_is_refused_as_a_list_where_the_install_does_so() {
    let mut model = model(|options| options.duplicates = Duplicates::RefuseAsList);
    placed(&mut model, at(0), 1);
    assert_eq!(model.place(at(1), ME, &text(1), CHECK), Answer::Duplicates(vec![imei(1)]));
    assert_eq!(model.summary(at(1)).charges, 1);
}

#[test]
fn a_duplicate_that_is_charged_is_a_new_order_and_counts_as_paid_twice() {
    let mut model = model(|options| options.duplicates = Duplicates::Charge);
    let first = placed(&mut model, at(0), 1);
    let second = placed(&mut model, at(0), 1);
    assert!(second > first);
    let summary = model.summary(at(1));
    assert_eq!((summary.orders, summary.paid_twice, summary.charged), (2, 1, money("0.16")));
}

#[test]
fn two_racing_calls_both_pass_the_duplicate_rule_within_its_lag() {
    let mut model = model(|options| options.duplicate_lag = Duration::from_secs(2));
    placed(&mut model, at(0), 1);
    placed(&mut model, at(1), 1);
    assert_eq!(model.place(at(3), ME, &text(1), CHECK), error("IMEI already exists!"));
    assert_eq!(model.summary(at(3)).paid_twice, 1);
}

#[test]
fn a_rejected_imei_may_be_ordered_again_where_switched_on_and_is_not_paid_twice() {
    let mut model = model(|options| options.rejected = Share::from_ppm(Share::WHOLE_PPM));
    placed(&mut model, at(0), 1);
    assert_eq!(model.place(at(20), ME, &text(1), CHECK), error("IMEI already exists!"));
    change(&mut model, at(20), r#"{"reorder_rejected": true}"#);
    placed(&mut model, at(21), 1);
    let summary = model.summary(at(21));
    assert_eq!((summary.paid_twice, summary.ordered_again), (0, 1));
}

#[test]
fn orders_are_refused_once_the_credit_is_used_up_until_it_is_refilled() {
    let mut model = model(|options| options.credit = money("0.16"));
    placed(&mut model, at(0), 1);
    placed(&mut model, at(0), 2);
    assert_eq!(model.place(at(1), ME, &text(3), CHECK), error("Credit has been finished!"));
    assert_eq!(model.account(at(1), ME), Answer::Account(Money::ZERO));
    change(&mut model, at(2), r#"{"add_credit": "0.10"}"#);
    placed(&mut model, at(3), 3);
    assert_eq!(model.account(at(3), ME), Answer::Account(money("0.02")));
    change(&mut model, at(4), r#"{"credit": "5"}"#);
    assert_eq!(model.account(at(4), ME), Answer::Account(money("5")));
}

#[test]
fn the_books_sum_up_whatever_happened() {
    let mut model = model(|options| {
        options.rejected = "30%".parse().unwrap();
        options.duplicates = Duplicates::Charge;
        options.credit = money("30");
    });
    for n in 0..500 {
        let _ = model.place(at(i64::from(n)), ME, &text(n % 300), CHECK);
    }
    change(&mut model, at(600), r#"{"add_credit": "-1.5", "prices": {"1739": "0.10"}}"#);
    placed(&mut model, at(601), 900);
    let sum = |kind, ledger: &Ledger| -> i64 {
        ledger.entries().iter().filter(|entry| entry.kind == kind).map(|entry| entry.amount.micros()).sum()
    };
    let ledger = model.ledger(at(10_000));
    let summary = ledger.summary();
    assert_eq!(sum(EntryKind::Charge, ledger), summary.charged.micros());
    assert_eq!(sum(EntryKind::Refund, ledger), summary.refunded.micros());
    assert_eq!(sum(EntryKind::Credit, ledger), summary.credited.micros());
    let balance = summary.credited.micros() - summary.charged.micros() + summary.refunded.micros();
    assert_eq!(balance, summary.balance.micros());
    assert!(summary.refunds > 50 && summary.paid_twice > 50, "{summary:?}");
    assert!(ledger.entries().windows(2).all(|pair| pair[0].at <= pair[1].at));
    let orders = summary.orders;
    assert_eq!(orders, u64::try_from(model.order_lines(at(10_000)).len()).unwrap());
}

#[test]
fn an_order_is_pending_then_in_process_then_completed_with_its_code() {
    let mut model = model(|_| {});
    let id = placed(&mut model, at(0), 1).to_string();
    let mut status = |seconds| match model.orders(at(seconds), ME, &id) {
        Answer::Orders(orders) => orders[0].status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status(0), OrderStatus::Pending);
    assert_eq!(status(5), OrderStatus::InProcess);
    assert_eq!(status(10), OrderStatus::Completed);
    let xml = write_xml(&model.orders(at(10), ME, &id), model.dress());
    assert!(xml.contains("<statusId>2</statusId><status>Completed</status><code>"), "{xml}");
    assert!(xml.contains(&model.order_lines(at(10))[0].facts.as_ref().unwrap().serial), "{xml}");
}

#[test]
fn a_rejected_order_is_refunded_when_it_is_rejected_and_tells_its_reason() {
    let mut model = model(|options| options.rejected = Share::from_ppm(Share::WHOLE_PPM));
    let id = placed(&mut model, at(0), 1).to_string();
    assert_eq!(model.summary(at(9)).refunds, 0);
    let summary = model.summary(at(15));
    assert_eq!((summary.refunds, summary.balance), (1, money("1000")));
    assert_eq!(model.ledger(at(15)).entries().last().map(|entry| entry.at), Some(at(10)));
    let xml = write_xml(&model.orders(at(15), ME, &id), model.dress());
    assert!(xml.contains("<statusId>3</statusId><status>Rejected</status><code>"), "{xml}");
    assert!(!xml.contains("<code></code>"), "{xml}");
}

#[test]
fn orders_in_work_can_be_finished_at_once() {
    let mut model = model(|options| {
        options.completion = Delay::Fixed(Duration::from_secs(86_400));
        options.rejected = "50%".parse().unwrap();
    });
    for n in 0..100 {
        placed(&mut model, at(0), n);
    }
    change(&mut model, at(1), r#"{"finish_now": true}"#);
    let lines = model.order_lines(at(1));
    let rejected = lines.iter().filter(|line| line.status == "Rejected").count();
    assert!(lines.iter().all(|line| matches!(line.status.as_str(), "Completed" | "Rejected")));
    assert_eq!(model.summary(at(1)).refunds, u64::try_from(rejected).unwrap());
}

#[test]
fn the_same_imeis_are_rejected_in_whatever_order_they_come() {
    let rejected = |order: &mut dyn Iterator<Item = u32>| {
        let mut model = model(|options| options.rejected = "10%".parse().unwrap());
        for n in order {
            placed(&mut model, at(0), n);
        }
        let mut imeis: Vec<Imei> = model
            .order_lines(at(99))
            .into_iter()
            .filter(|o| o.status == "Rejected")
            .map(|o| o.imei)
            .collect();
        imeis.sort();
        imeis
    };
    let forwards = rejected(&mut (0..500));
    assert!((30..70).contains(&forwards.len()));
    assert_eq!(forwards, rejected(&mut (0..500).rev()));
}

#[test]
fn the_same_seed_strikes_the_same_requests_in_whatever_order_they_come() {
    let struck = |seed, order: &mut dyn Iterator<Item = u32>| {
        let mut model = model(|options| {
            options.seed = seed;
            options.faults = "drop-after=5%,502-html-before=5%".parse::<Faults>().unwrap();
        });
        let mut struck: Vec<(u32, String)> =
            order.filter_map(|n| Some((n, model.receive(&place_call(n)).fault?.to_string()))).collect();
        struck.sort();
        struck
    };
    let forwards = struck(1, &mut (0..1000));
    assert!((60..140).contains(&forwards.len()));
    assert_eq!(forwards, struck(1, &mut (0..1000).rev()));
    assert_ne!(forwards, struck(2, &mut (0..1000)));
}

#[test]
fn a_second_try_for_the_same_imei_has_its_own_chance() {
    let mut model = model(|options| options.faults = "drop-after=50%".parse().unwrap());
    let struck = (0..200).filter(|_| model.receive(&place_call(1)).fault.is_some()).count();
    assert!((60..140).contains(&struck), "{struck}");
}

#[test]
fn every_refusal_has_the_providers_words_and_costs_nothing() {
    let mut model = model(|options| (options.user, options.key) = (Some("u".into()), Some("k".into())));
    let wrong_check_digit = format!("{}{}", &text(1)[..14], (imei(1).as_u64() + 1) % 10);
    for (user, key, imei, network, words) in [
        ("x", "k", text(1), CHECK, "Invalid User!".to_owned()),
        ("u", "x", text(1), CHECK, "Invalid API Key!".to_owned()),
        ("u", "k", text(1), "1740", "Invalid value of Network Id!".to_owned()),
        ("u", "k", wrong_check_digit.clone(), CHECK, format!("Invalid IMEI: {wrong_check_digit}")),
        ("u", "k", "35-5".to_owned(), CHECK, "Invalid IMEI: 35-5".to_owned()),
        ("u", "k", String::new(), CHECK, "Invalid IMEI: ".to_owned()),
    ] {
        assert_eq!(model.place(at(0), Caller { user, key }, &imei, network), error(&words));
    }
    change(&mut model, at(0), r#"{"account": "not-active"}"#);
    assert_eq!(model.place(at(0), ME, &text(1), CHECK), error("This user is not active"));
    assert_eq!(model.orders(at(0), ME, "1"), error("This user is not active"));
    change(&mut model, at(0), r#"{"maintenance": true}"#);
    assert_eq!(model.account(at(0), ME), error("Website is in maintenance, please try again later"));
    change(&mut model, at(0), r#"{"maintenance": false, "account": "ok"}"#);
    assert_eq!(model.summary(at(0)).charges, 0);
    placed(&mut model, at(0), 1);
}

#[test]
fn ids_rise_strictly_and_many_are_told_in_one_call() {
    let mut model = model(|_| {});
    let ids: Vec<ProviderOrderId> = (0..300).map(|n| placed(&mut model, at(0), n)).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    let asked: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let asked = asked.join(",");
    assert!(matches!(model.orders(at(1), ME, &asked), Answer::Orders(orders) if orders.len() == 300));
    change(&mut model, at(1), r#"{"one_of_n": true}"#);
    assert!(matches!(model.orders(at(1), ME, &asked), Answer::Orders(orders) if orders.len() == 1));
    assert_eq!(model.orders(at(1), ME, "7,8"), error("Invalid Order ID"));
}

#[test]
fn recent_orders_are_listed_newest_first_up_to_the_limit_or_not_at_all() {
    let mut model = model(|options| options.listing_limit = 3);
    let ids: Vec<ProviderOrderId> = (0..5).map(|n| placed(&mut model, at(i64::from(n)), n)).collect();
    let mut listed = |json: &str, now| -> Vec<ProviderOrderId> {
        change(&mut model, now, json);
        match model.orders(now, ME, "0") {
            Answer::Orders(orders) => orders.iter().map(|order| order.id).collect(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(listed("{}", at(5)), vec![ids[4], ids[3], ids[2]]);
    assert_eq!(listed(r#"{"listing_order": "oldest-first"}"#, at(5)), vec![ids[2], ids[3], ids[4]]);
    assert_eq!(listed(r#"{"listing_lag": "3s"}"#, at(5)), vec![ids[0], ids[1], ids[2]]);
    assert_eq!(listed(r#"{"listing_lag": "0s", "listing_finished": false}"#, at(13)), vec![ids[4]]);
    change(&mut model, at(13), r#"{"listing": false}"#);
    assert_eq!(model.orders(at(13), ME, ""), error("Invalid Order ID"));
    assert_eq!(model.orders(at(13), ME, "0"), error("Invalid Order ID"));
}

#[test]
fn a_twisted_answer_names_another_imei_or_an_order_that_never_was() {
    let mut model = model(|_| {});
    let answer = model.place(at(0), ME, &text(1), CHECK);
    let Answer::Placed(orders) = answer.clone() else { panic!("{answer:?}") };
    let Answer::Placed(wrong) = answer.clone().twisted("wrong-imei-after".parse().unwrap()) else {
        panic!("no order")
    };
    assert_eq!((wrong[0].0, wrong[0].1 == imei(1)), (orders[0].0, false));
    let Answer::Placed(several) = answer.twisted("several-after".parse().unwrap()) else {
        panic!("no order")
    };
    assert_eq!((several.len(), several[0]), (2, orders[0]));
    placed(&mut model, at(1), 2);
    assert_eq!(model.orders(at(1), ME, &several[1].0.to_string()), error("Invalid Order ID"));
}

#[test]
fn a_change_with_an_unknown_switch_is_refused() {
    let error = serde_json::from_str::<Change>(r#"{"listings": true}"#).unwrap_err().to_string();
    assert!(error.contains("unknown field"), "{error}");
    assert!(serde_json::from_str::<Change>(r#"{"faults": "drop=1%"}"#).is_err());
}

#[test]
fn what_comes_among_too_many_is_refused_before_it_is_looked_at_or_takes_twice_as_long() {
    let mut model = model(|options| {
        options.latency = Delay::Fixed(Duration::from_millis(40));
        options.slow_beyond = Some(2);
        options.at_once = Some(3);
    });
    let mut takes = |in_work| {
        let plan = model.receive_among(&place_call(1), in_work);
        (plan.before + plan.after, plan.turned_away, plan.fault.map(|fault| fault.to_string()))
    };
    assert_eq!(takes(1), (Duration::from_millis(40), false, None));
    assert_eq!(takes(2), (Duration::from_millis(80), false, None));
    assert_eq!(takes(3), (Duration::ZERO, true, Some("429-html-before".to_owned())));
    let other = Call::new(vec![("action".into(), "accountinfo".into())]);
    assert_eq!(model.receive_among(&other, 3).fault, None, "it counts orders only");
}
