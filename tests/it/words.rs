//! What operators say: `show`, `resolve`, `retry`, `cancel`, beside the daemon and without one.

use std::process::Output;
use std::time::Duration;

use imeid::simulator::{Change, Delay, Options, Share};
use imeid::types::Money;

use crate::support::{Sim, Workplace, file_of, imei, status};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn told(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn options() -> Options {
    Options {
        listing: false,
        rejected: Share::from_ppm(0),
        completion: Delay::Fixed(Duration::from_millis(100)),
        ..Options::default()
    }
}

const CHANGES: [(&str, &str); 4] = [
    ("provider", "list_recent = \"no\""),
    ("submit", "canary = 0"),
    ("in_doubt", "policy = \"hold\""),
    ("outbox", "held_after = \"1s\""),
];

#[test]
fn a_cancelled_batch_comes_out_with_every_row_and_nothing_of_it_is_sent() {
    let sim = Sim::start(Options { credit: Money::ZERO, ..options() });
    let mut place = Workplace::new(&sim.url(), &CHANGES);
    place.start();
    place.drop_file("stock.csv", &file_of((0..10).map(imei)));
    place.until("the pause is told", |place| place.log().contains("pause scope=all reason=credit"));
    place.until("nothing is on the wire", |place| {
        place.run(&["show", "stock", "--json"]).status.success()
            && text(&place.run(&["show", "stock", "--json"]).stdout).contains("\"queued\": 10")
    });
    let cancelled = place.run(&["cancel", "stock"]);
    assert_eq!(cancelled.status.code(), Some(0), "{}", told(&cancelled));
    assert_eq!(text(&cancelled.stdout), "stock: 10 rows are cancelled\n");
    let table = place.result("stock.results.csv");
    assert_eq!(table.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("cancelled", 10)]);
    sim.change(&Change { add_credit: Some(Money::from_micros(80_000_000)), ..Change::default() });
    place.until("it is over", |place| {
        text(&place.run(&["show", "stock"]).stdout).starts_with("batch stock: cancelled")
    });
    let shown = text(&place.run(&["show", "stock"]).stdout);
    assert!(shown.contains(": cancel\n"), "{shown}");
    assert!(shown.contains("  published: stock.results.csv: cancelled"), "{shown}");
    let again = place.run(&["cancel", "stock"]);
    assert_eq!(again.status.code(), Some(1));
    for file in ["stock.csv", "stock.results.csv", "stock.settled.csv", "stock.settled-2.csv"] {
        let shown = place.run(&["show", file]);
        assert!(text(&shown.stdout).starts_with("batch stock: cancelled"), "{}", told(&shown));
        let exported = place.run(&["export", file]);
        assert_eq!(exported.status.code(), Some(0), "{}", told(&exported));
    }
    assert_eq!(sim.ledger().charges, 0);
}

#[test]
fn a_rejected_batch_is_ordered_anew_once_its_cost_was_told_and_confirmed() {
    let sim =
        Sim::start(Options { rejected: Share::from_ppm(1_000_000), reorder_rejected: true, ..options() });
    let mut place = Workplace::new(&sim.url(), &CHANGES);
    place.start();
    place.drop_file("stock.csv", &file_of([imei(0), imei(1), imei(0)]));
    let table = place.result("stock.results.csv");
    assert_eq!(table.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("rejected", 3)]);
    sim.change(&Change { rejected: Some(Share::from_ppm(0)), ..Change::default() });
    let quote = place.run(&["retry", "stock"]);
    assert_eq!(quote.status.code(), Some(2), "{}", told(&quote));
    assert_eq!(text(&quote.stdout), "2 orders anew at 0.08 each: 0.16 at most\n");
    assert_eq!(sim.ledger().charges, 2);
    let done = place.run(&["retry", "stock", "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}", told(&done));
    let settled = place.result("stock.settled.csv");
    assert_eq!(settled.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("completed", 3)]);
    assert_eq!((sim.ledger().charges, settled.cost()), (4, 4 * 80_000));
    let completed = place.run(&["retry", &imei(0), "--yes"]);
    assert_eq!(completed.status.code(), Some(1), "{}", told(&completed));
}

#[test]
fn each_later_result_has_a_name_that_status_tells_and_commands_take() {
    let rejected = Share::from_ppm(1_000_000);
    let sim = Sim::start(Options { rejected, reorder_rejected: true, ..options() });
    let mut place = Workplace::new(&sim.url(), &CHANGES);
    place.start();
    place.drop_file("stock.csv", &file_of([imei(0)]));
    for file in ["stock.results.csv", "stock.settled.csv", "stock.settled-2.csv", "stock.settled-3.csv"] {
        place.result(file);
        place.until(file, |place| {
            let batch = &status(place)["batches"][0];
            batch["result"] == file && batch["state"] == "done"
        });
        let retried = place.run(&["retry", file, "--yes"]);
        assert_eq!(retried.status.code(), Some(0), "{}", told(&retried));
    }
}

#[test]
fn a_held_order_is_resolved_with_its_id_whether_a_daemon_runs_or_not() {
    let sim = Sim::start(options());
    let mut place = Workplace::new(&sim.url(), &CHANGES);
    place.start();
    sim.change(&Change { faults: Some("drop-after=100%".parse().unwrap()), ..Change::default() });
    place.drop_file("stock.csv", &file_of([imei(0), imei(1), imei(2)]));
    let held = place.result("stock.results.csv");
    assert_eq!(held.counts("imeid_status").into_iter().collect::<Vec<_>>(), [("held", 3)]);
    sim.change(&Change { faults: Some("none".parse().unwrap()), ..Change::default() });
    let id = |n: u32| {
        let orders = sim.orders();
        orders.iter().find(|order| order.imei.to_string() == imei(n)).unwrap().id.to_string()
    };
    // A slip of the finger: another IMEI's order that no order here is known under, and one that there isn't.
    let others = place.run(&["resolve", &imei(0), "--order-id", &id(2)]);
    assert_eq!(others.status.code(), Some(1), "{}", told(&others));
    assert!(told(&others).contains(&format!("IMEI {}'s", imei(2))), "{}", told(&others));
    let unknown = place.run(&["resolve", &imei(0), "--order-id", "999999999"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", told(&unknown));
    assert!(
        told(&unknown).contains("knows no order id 999999999: nothing was changed"),
        "{}",
        told(&unknown)
    );
    let beside = place.run(&["resolve", &imei(0), "--order-id", &id(0)]);
    assert_eq!(beside.status.code(), Some(0), "{}", told(&beside));
    let slip = place.run(&["resolve", &imei(1), "--order-id", &id(0)]);
    assert_eq!(slip.status.code(), Some(1));
    assert!(told(&slip).contains(&imei(0)), "{}", told(&slip));
    assert!(place.stop().success());
    let alone = place.run(&["resolve", &imei(1), "--order-id", &id(1)]);
    assert_eq!(alone.status.code(), Some(0), "{}", told(&alone));
    assert!(told(&alone).contains("taken unseen"), "{}", told(&alone));
    let given_up = place.run(&["cancel", &imei(2)]);
    assert!(told(&given_up).contains("stays in the books"), "{}", told(&given_up));
    place.start();
    let settled = place.result("stock.settled.csv");
    assert_eq!(settled.column("imeid_status"), ["completed", "completed", "cancelled"]);
    assert_eq!(sim.ledger().charges, 3);

    let shown = place.run(&["show", &imei(1), "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let order = &json["orders"][0];
    assert_eq!((order["state"].as_str(), order["rows"][0]["row"].as_u64()), (Some("completed"), Some(2)));
    assert_eq!(order["attempts"][0]["verdict"], "taken");
    assert_eq!(order["charges"][0]["via"], "word");
    let shown = text(&place.run(&["show", &imei(1)]).stdout);
    assert!(
        shown.contains("stock.csv taken as stock: row 2") && shown.contains("its order id is"),
        "{shown}"
    );
}

#[test]
fn what_is_not_known_or_not_said_whole_is_refused() {
    let sim = Sim::start(options());
    let place = Workplace::new(&sim.url(), &CHANGES);
    let no_journal = place.run(&["show", "stock"]);
    assert_eq!(no_journal.status.code(), Some(1));
    assert!(told(&no_journal).contains("no journal yet"), "{}", told(&no_journal));
    let mut place = place;
    place.start();
    for args in [&["show", "nothing"][..], &["cancel", &imei(7)], &["resolve", &imei(7), "--not-ordered"]] {
        assert_eq!(place.run(args).status.code(), Some(1), "{args:?}");
    }
    for args in [&["resolve", &imei(7)][..], &["resolve", &imei(7), "--order-id", "0"], &["retry"]] {
        assert_eq!(place.run(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_batch_whose_name_is_an_imei_is_told_from_it() {
    let sim = Sim::start(Options { credit: Money::ZERO, ..options() });
    let mut place = Workplace::new(&sim.url(), &CHANGES);
    place.start();
    let (name, other) = (imei(1), imei(2));
    place.drop_file(&format!("{name}.csv"), &file_of([name.clone(), other.clone()]));
    // The file's result, dropped again, is a batch that has such a name too.
    place.drop_file(&format!("{name}.results.csv"), &file_of([other]));
    place.until("the pause is told", |place| place.log().contains("pause scope=all reason=credit"));
    place.until("both are taken", |place| place.log().matches("file taken").count() == 2);
    let (file, again) = (format!("{name}.csv"), format!("{name}.results"));

    let shown = place.run(&["show", &name]);
    assert!(text(&shown.stdout).starts_with(&format!("IMEI {name}\n")), "{}", told(&shown));
    let hint = format!("imeid: a batch has this NAME too: imeid show {file}\n");
    assert_eq!(text(&shown.stderr), hint);
    for (named, batch) in [(&file, &name), (&again, &again)] {
        let shown = place.run(&["show", named]);
        assert!(text(&shown.stdout).starts_with(&format!("batch {batch}: ")), "{}", told(&shown));
        assert_eq!(text(&shown.stderr), "");
    }
    let exported = place.run(&["export", &name]);
    assert_eq!(text(&exported.stdout).lines().count(), 3, "{}", told(&exported));
    for command in ["cancel", "retry"] {
        let refused = place.run(&[command, &name]);
        assert_eq!(refused.status.code(), Some(2), "{}", told(&refused));
        let ways = format!("say {file} for the batch, or {name} with --service iphone-check for the IMEI");
        assert!(text(&refused.stderr).contains(&ways), "{}", told(&refused));
    }
    let word = place.run(&["resolve", &name, "--not-ordered"]);
    assert!(text(&word.stderr).contains("neither in doubt nor held"), "an IMEI's alone: {}", told(&word));
    let cancelled = place.run(&["cancel", &name, "--service", "iphone-check"]);
    assert_eq!(text(&cancelled.stdout), format!("IMEI {name} is cancelled\n"), "{}", told(&cancelled));
    let cancelled = place.run(&["cancel", &file]);
    assert!(text(&cancelled.stdout).starts_with(&format!("{name}: ")), "{}", told(&cancelled));
}
