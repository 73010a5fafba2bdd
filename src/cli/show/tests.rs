//! What `imeid show` tells of an order, in text and as JSON.

use super::*;
use crate::types::OrderId;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn order() -> ShownOrder {
    ShownOrder {
        id: OrderId(7),
        service: "check".into(),
        state: "completed",
        order_id: None,
        newest: true,
        from_export: false,
        code: Some("Carrier: Unlocked".into()),
        ordered_at: None,
        done_at: None,
        rows: vec![ShownRow {
            batch: "stock".into(),
            file: "stock.csv".into(),
            row: 17,
            link: "own",
            taken_at: at(10),
        }],
        attempts: vec![ShownAttempt {
            n: 1,
            kind: "order",
            price: Money::from_micros(80_000),
            claimed_at: at(20),
            ended_at: Some(at(30)),
            verdict: Some("taken"),
        }],
        charges: vec![],
        answers: vec![ShownAnswer {
            n: None,
            at: at(25),
            kind: "status".into(),
            http: None,
            body: "<imeis>\n<id>1</id>".into(),
        }],
        events: vec![ShownEvent { at: at(15), what: "word".into(), text: "anna: cancel".into() }],
    }
}

#[test]
fn a_timeline_is_in_time_order_from_file_and_row_to_the_answer() {
    let text = imei_text(Imei::from_parts(35_000_000, 1), &[order()]);
    let lines: Vec<&str> = text.lines().skip(3).collect();
    let told = [
        (10, "stock.csv taken as stock: row 17, the order is made for it"),
        (15, "word: anna: cancel"),
        (20, "attempt 1 begun: 0.08 reserved"),
        (25, "answer to a look at its status: <imeis> <id>1</id>"),
        (30, "attempt 1 ended; as it stands now: it was taken, its price is charged"),
    ];
    let told = told.map(|(seconds, text)| format!("{}  {text}", local_stamp(at(seconds))));
    assert_eq!(lines, told);
}

#[test]
fn an_event_that_moves_nothing_says_so_and_no_text_breaks_a_line() {
    for (text, shown) in [
        ("cancelled -> cancelled: anna: order anew", "stays cancelled: anna: order anew"),
        ("completed -> completed", "stays completed"),
        ("held -> cancelled: anna: cancel", "held -> cancelled: anna: cancel"),
        ("anna: cancel", "anna: cancel"),
    ] {
        assert_eq!(event_text(text), shown);
    }
    let mut order = order();
    order.rows[0].file = "stock\n1970-01-01T00:00:00Z  word: root: cancel.csv".into();
    assert_eq!(imei_text(Imei::from_parts(35_000_000, 1), &[order]).lines().count(), 8);
}

#[test]
fn what_an_older_copy_takes_as_made_says_so_and_that_a_person_may_have_ordered_it() {
    let mut order = order();
    order.attempts[0].kind = ASSUMED;
    let text = imei_text(Imei::from_parts(35_000_000, 1), &[order]);
    assert!(text.contains("attempt 1 taken as made: 0.08. The journal is an older copy's"), "{text}");
    assert!(text.contains("its price is charged; a person may have made it"), "{text}");
}

#[test]
fn a_rejected_order_says_what_is_due_back_and_not_that_it_came() {
    let mut order = order();
    let due = "0.08 is due back from the provider: its bill alone shows whether it came";
    let text = |order: &ShownOrder| imei_text(Imei::from_parts(35_000_000, 1), std::slice::from_ref(order));
    assert!(!text(&order).contains("due back"));
    order.state = "rejected";
    assert!(text(&order).contains(due), "{}", text(&order));
}

#[test]
fn programs_get_the_same_as_json() {
    let orders = [order()];
    let text = serde_json::to_value(ImeiJson::new(Imei::from_parts(35_000_000, 1), &orders)).unwrap();
    assert_eq!(text["schema"], 1);
    assert_eq!(text["orders"][0]["attempts"][0]["price"], "0.08");
    assert_eq!(text["orders"][0]["order_id"], serde_json::Value::Null);
    assert_eq!(text["timeline"][0]["at"], "1970-01-01T00:00:10Z");
    assert_eq!(text["timeline"].as_array().unwrap().len(), 5);
}
