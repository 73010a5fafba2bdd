//! Old raw answers are pruned once the configuration says so, without a restart; `show` tells of it.

use std::time::Duration;

use imeid::simulator::{Delay, Options, Share};

use crate::support::{Sim, Workplace, books_agree, file_of, imei};

#[test]
fn a_reload_has_old_answers_pruned_and_the_proof_and_the_result_stay() {
    // Each worker but one is turned away at first: what is said to it is worth nothing once its order is done.
    let sim = Sim::start(Options {
        at_once: Some(1),
        latency: Delay::Fixed(Duration::from_millis(100)),
        completion: Delay::Fixed(Duration::from_millis(100)),
        rejected: Share::from_ppm(0),
        ..Options::default()
    });
    let kept = |keep| {
        [
            ("submit", "canary = 0"),
            ("submit", "workers = 4"),
            ("submit", "adaptive = false"),
            ("journal", keep),
        ]
    };
    let mut place = Workplace::new(&sim.url(), &kept("keep_answers = \"forever\""));
    place.start();
    let imeis: Vec<String> = (0..8).map(imei).collect();
    place.drop_file("stock.csv", &file_of(imeis.clone()));
    place.result("stock.results.csv");
    let shown = |place: &Workplace| -> Vec<serde_json::Value> {
        let shown = |imei: &String| {
            let output = place.run(&["show", imei, "--json"]);
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["orders"][0].clone()
        };
        imeis.iter().map(shown).collect()
    };
    let kinds = |order: &serde_json::Value| -> Vec<String> {
        let answers = order["answers"].as_array().unwrap();
        answers.iter().map(|answer| answer["kind"].as_str().unwrap().to_owned()).collect()
    };
    let before = shown(&place);
    let turned_away = before.iter().filter(|order| kinds(order).len() > 2).count();
    assert!(turned_away > 0, "nothing to prune: {before:?}");

    place.configure(&sim.url(), &kept("keep_answers = \"1s\""));
    place.signal(rustix::process::Signal::HUP);
    place.until("old answers are pruned", |place| {
        shown(place).iter().all(|order| kinds(order) == ["placed", "status"])
    });
    let after = shown(&place);
    let told = |order: &serde_json::Value| {
        order["events"].as_array().unwrap().iter().any(|event| event["what"] == "answers pruned")
    };
    assert_eq!(after.iter().filter(|order| told(order)).count(), turned_away);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before["code"], &before["charges"]), (&after["code"], &after["charges"]));
    }
    place.until("it is logged", |place| place.log().contains("old raw answers pruned"));
    books_agree(&place, &sim, "stock.results.csv", &imeis);
}
