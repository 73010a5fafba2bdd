//! A fall of the balance that nothing explains, and what a person has seen of it.

use super::*;
use crate::order::Alarm;

const SINCE: Timestamp = Timestamp::from_millis(1_000);

impl Bench {
    /// A look finds that so many cents more than is explained fell since then. The alarms that are open after it.
    async fn fell_since(&self, since: Timestamp, cents: i64) -> Vec<(i64, String)> {
        let over = Money::from_micros(cents * 10_000);
        let (account, text) = ("main".to_owned(), format!("it fell by {over} too much"));
        self.journal.balance_fell(account, since, over, text, self.now()).await.unwrap();
        let alarms = self.journal.read_here(View::alarms).unwrap();
        assert!(alarms.iter().all(|alarm| alarm.name == Alarm::Balance.as_str()));
        alarms.into_iter().map(|alarm| (alarm.n, alarm.text)).collect()
    }

    async fn fell(&self, cents: i64) -> Vec<(i64, String)> {
        self.fell_since(SINCE, cents).await
    }

    async fn see(&self, alarm: i64) {
        assert!(self.said(Said::Ack, Target::Alarm(alarm)).await.done);
    }

    async fn is_unsafe(&self) -> bool {
        self.journal.probes_are_unsafe("main".to_owned()).await.unwrap()
    }
}

fn told(n: i64, text: &str) -> Vec<(i64, String)> {
    vec![(n, text.to_owned())]
}

#[tokio::test]
async fn what_was_seen_of_a_fall_is_told_apart_from_what_is_new() {
    let bench = Bench::new().await;
    for _ in 0..2 {
        assert_eq!(bench.fell(11_928).await, told(1, "it fell by 119.28 too much"));
    }
    bench.see(1).await;
    assert_eq!(bench.fell(11_928).await, []);
    assert!(!bench.is_unsafe().await);
    let more = told(2, "it fell by 120.00 too much, of which 119.28 were seen before (imeid ack)");
    for _ in 0..2 {
        assert_eq!(bench.fell(12_000).await, more);
        assert!(bench.is_unsafe().await, "what is new isn't seen");
    }
    bench.see(2).await;
    for cents in [12_000, 11_928, 12_000] {
        assert_eq!(bench.fell(cents).await, [], "{cents}");
    }
    assert!(!bench.is_unsafe().await);
    let text = "it fell by 120.08 too much, of which 120.00 were seen before (imeid ack)";
    assert_eq!(bench.fell(12_008).await, told(3, text), "the most of what was seen");
}

#[tokio::test]
async fn nothing_is_told_as_seen_that_was_not() {
    let bench = Bench::new().await;
    bench.fell(8).await;
    let both = [told(1, "it fell by 0.08 too much"), told(2, "it fell by 0.24 too much")].concat();
    assert_eq!(bench.fell(24).await, both, "nobody has seen the first");
    bench.see(1).await;
    assert_eq!(bench.fell(24).await, both[1..], "its words stay, and it comes no second time");
    bench.see(2).await;
    assert_eq!(bench.fell(24).await, []);
    assert_eq!(
        bench.fell(16).await,
        told(3, "it fell by 0.16 too much, of which 0.08 were seen before (imeid ack)"),
        "it was more once, and a refund can hide what is new"
    );
}

#[tokio::test]
async fn what_fell_before_another_balance_was_seen_of_that_one_alone() {
    let bench = Bench::new().await;
    bench.fell(8).await;
    bench.see(1).await;
    let later = Timestamp::from_millis(2_000);
    let words = |n| told(n, "it fell by 0.24 too much");
    assert_eq!(bench.fell_since(later, 24).await, words(2));
    bench.see(2).await;
    assert_eq!(bench.fell_since(later, 24).await, []);
}

#[tokio::test]
async fn what_was_seen_with_an_earlier_version_or_once_duplicates_are_refused_stays_seen() {
    let bench = Bench::new().await;
    let text = "it fell by 0.08 too much".to_owned();
    let accuse = bench.journal.balance_accuses("main".to_owned(), Alarm::Balance, text, bench.now());
    accuse.await.unwrap();
    bench.see(1).await;
    assert_eq!(bench.fell(8).await, [], "it kept the words alone");
    bench.fell(24).await;
    bench.see(2).await;
    bench.journal.probes_are_refused("main".to_owned(), bench.now()).await.unwrap();
    assert_eq!(bench.fell(24).await, []);
}
