//! A journal that is an older copy of itself.

use super::*;
use crate::balance::{Baseline, Books};
use crate::gate::Scope;
use crate::order::PauseReason;

impl Bench {
    /// What `imeid backup` makes of it, in the place of the journal: a bench of its own, with the same clock.
    pub(super) async fn put_back(self) -> Self {
        let to = self.path.with_file_name("copy.db");
        std::fs::write(&to, "").unwrap();
        back_up(&self.path, &to, self.now()).unwrap();
        Self { journal: started(&to), path: to, ..self }
    }

    pub(super) async fn start(&self, stamp: Option<Stamp>) -> Option<u64> {
        self.start_beside(InArchive { stamp, has_originals: false }).await
    }

    async fn start_beside(&self, archive: InArchive) -> Option<u64> {
        let rules = (*self.rules).clone();
        self.journal.recover(self.now(), rules.clone()).await.unwrap();
        let found = self.journal.take_as_older_copy(archive, self.now(), rules).await.unwrap();
        found.map(|found| found.orders)
    }

    pub(super) fn stamp(&self) -> Stamp {
        self.journal.read_here(View::stamp).unwrap()
    }

    pub(super) async fn read_an_export(&self, key: &str) {
        self.read_an_export_of(key, 1).await;
    }

    async fn read_an_export_of(&self, key: &str, rows: u32) {
        let (key, name, none) = (key.to_owned(), "export.csv".to_owned(), BTreeSet::new());
        let counts = format!("{{\"rows\":{rows}}}");
        self.journal.enter_export(key, name, counts, None, none, self.now()).await.unwrap();
    }

    pub(super) fn waits(&self) -> bool {
        self.journal.read_here(View::waits_as_older_copy).unwrap()
    }

    pub(super) fn alarm_names(&self) -> Vec<String> {
        self.journal.read_here(View::alarms).unwrap().into_iter().map(|alarm| alarm.name).collect()
    }
}

#[tokio::test]
async fn a_copy_that_is_put_back_sends_nothing_of_what_it_knows_until_a_person_says_so() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(6)).await;
    let ordered = bench.order_one(17).await;
    let doubt = bench.doubt_one().await;
    let in_flight = bench.claim(1).await;
    let copied_at = bench.now().millis();
    let id = bench.stamp().journal;
    let line = bench.stamp().attempt;
    let baseline = Baseline::first(bench.now(), Money::from_micros(1_000_000), Books::default(), line);
    assert!(bench.journal.set_baseline("reseller".to_owned(), baseline, line).await.unwrap());
    let bench = bench.put_back().await;
    assert_eq!(bench.journal.read_here(|view| view.baseline("reseller")).unwrap(), Some(baseline));
    bench.pass(Duration::from_secs(3600));
    assert_eq!(bench.start(None).await, Some(5));
    bench.recount();
    let known = bench.journal.read_here(|view| view.baseline("reseller")).unwrap();
    assert_eq!(known, None, "what its original was charged since isn't in the books");
    assert_eq!(bench.state(ordered), State::Ordered);
    assert_eq!(bench.state(doubt), State::InDoubt);
    assert_eq!(bench.number("SELECT count(*) FROM orders WHERE state = 2 AND unaccounted > 0"), 5);
    let began_then = format!("SELECT count(*) FROM attempts WHERE kind = 3 AND claimed_at = {copied_at}");
    assert_eq!(bench.number(&began_then), 5, "as if sent when the copy was made");
    let age = format!(
        "SELECT count(*) FROM orders WHERE doubt_first = {0} AND doubt_since = {0}",
        bench.now().millis()
    );
    assert_eq!(bench.number(&age), 5, "their quiet period and age begin now");
    let pauses = bench.journal.pauses().await.unwrap();
    assert_eq!((pauses.len(), pauses[0].scope, pauses[0].reason), (1, Scope::All, PauseReason::OlderCopy));
    assert_eq!((pauses[0].next_try, bench.alarm_names()), (None, vec!["older_copy".to_owned()]));
    assert!(bench.waits() && bench.claim(9).await.is_empty());
    assert_ne!(bench.stamp().journal, id);
    // Said once.
    assert_eq!(bench.start(None).await, None);
    bench.pass(QUIET - Duration::from_millis(1));
    let early = bench.said(Said::Resume, Target::Everything).await;
    assert!(!early.done && early.text.contains("quiet period"), "{early:?}");
    assert!(!bench.said(Said::Resume, Target::service(bench.service)).await.done);
    assert!(bench.waits());
    bench.pass(Duration::from_millis(1));
    bench.read_an_export_of("nothing", 0).await;
    let text = || bench.journal.read_here(View::pauses).unwrap()[0].text.clone();
    assert!(!text().contains("was read since"), "it has no row: {}", text());
    bench.read_an_export("since").await;
    assert!(text().contains("was read since"), "{}", text());
    let said = bench.said(Said::Resume, Target::Everything).await;
    assert!(said.done && !said.text.contains("warning"), "{said:?}");
    assert!(!bench.waits() && bench.alarm_names().is_empty());
    assert_eq!(bench.number("SELECT count(*) FROM facts WHERE key = 'was_copy'"), 1);
    assert_eq!(bench.start(None).await, None);
    drop(in_flight);
}

#[tokio::test]
async fn an_older_copy_is_as_old_as_the_last_answer_that_it_has() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let ordered = bench.order_one(17).await;
    bench.pass(Duration::from_secs(60));
    bench.polled(ordered, bench.told(17, imei(0), ProviderStatus::Completed)).await;
    let last = bench.now().millis();
    assert!(bench.number("SELECT max(at) FROM events") < last);
    let ahead = Stamp { attempt: bench.stamp().attempt + 1, ..bench.stamp() };
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.start(Some(ahead)).await, Some(1));
    assert_eq!(bench.number("SELECT max(claimed_at) FROM attempts WHERE kind = 3"), last);
}

#[tokio::test]
async fn what_a_copy_takes_as_made_keeps_its_price_though_its_service_is_not_configured_then() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let mut bench = bench.put_back().await;
    let mut rules = (*bench.rules).clone();
    let (_, terms) = rules.terms.pop_first().unwrap();
    rules.terms.insert(ServiceId(99), terms);
    bench.rules = Arc::new(rules);
    assert_eq!(bench.start(None).await, Some(2));
    let reserved = bench.number("SELECT sum(reserved) FROM totals WHERE scope = 'day'");
    assert_eq!(reserved, 2 * PRICE.micros());
    bench.check_books();
}

#[tokio::test]
async fn a_journal_behind_its_stamp_is_an_older_copy_and_one_that_is_moved_is_not() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    bench.order_one(17).await;
    let stamp = bench.stamp();
    assert!(stamp.attempt > 0);
    assert_eq!(bench.start(Some(stamp.clone())).await, None, "moved with its archive");
    assert_eq!(bench.start(Some(Stamp { attempt: stamp.attempt - 1, ..stamp.clone() })).await, None);
    assert!(!bench.waits());
    let last = bench.number("SELECT at FROM events ORDER BY id DESC LIMIT 1");
    let ahead = Stamp { attempt: stamp.attempt + 1, ..stamp };
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.start(Some(ahead.clone())).await, Some(2));
    bench.recount();
    assert_eq!(bench.number("SELECT min(claimed_at) FROM attempts WHERE kind = 3"), last);
    // A crash before the stamp was written anew.
    assert_eq!(bench.start(Some(ahead)).await, None);
    assert_eq!(bench.alarm_names(), ["older_copy"]);
}

#[tokio::test]
async fn an_older_copy_is_as_old_as_what_it_knew_before_anything_was_found_in_flight_in_it() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    bench.order_one(17).await;
    let last = bench.number("SELECT at FROM events ORDER BY id DESC LIMIT 1");
    let in_flight = bench.claim(1).await;
    let ahead = Stamp { attempt: bench.stamp().attempt + 1, ..bench.stamp() };
    bench.pass(Duration::from_secs(3600));
    // A start that died before it found out whose copy it is.
    bench.journal.recover(bench.now(), (*bench.rules).clone()).await.unwrap();
    bench.pass(Duration::from_secs(60));
    assert_eq!(bench.start(Some(ahead)).await, Some(2));
    assert_eq!(bench.number("SELECT count(*) FROM events WHERE what = 'lost'"), 1);
    assert_eq!(bench.number("SELECT max(claimed_at) FROM attempts WHERE kind = 3"), last);
    drop(in_flight);
}

#[tokio::test]
async fn a_journal_where_another_one_worked_sends_nothing_until_a_person_says_so() {
    let bench = Bench::new().await;
    let idle = Stamp { journal: "another".to_owned(), attempt: 0, starts: 0 };
    assert_eq!(bench.start(Some(idle)).await, None, "that one ordered nothing");
    bench.batch("stock", &imeis(3)).await;
    bench.order_one(17).await;
    let id = bench.stamp().journal;
    let other = Stamp { journal: "another".to_owned(), attempt: 1, starts: 0 };
    assert_eq!(bench.start(Some(other.clone())).await, Some(2));
    bench.recount();
    assert_eq!(bench.alarm_names(), ["other_journal"]);
    assert!(bench.waits() && bench.claim(9).await.is_empty());
    assert_ne!(bench.stamp().journal, id);
    // A crash before the stamp was written anew.
    assert_eq!(bench.start(Some(other.clone())).await, None);
    bench.pass(QUIET);
    assert!(bench.said(Said::Resume, Target::Everything).await.done);
    assert!(!bench.waits() && bench.alarm_names().is_empty());
    // The original, put back after this one had worked in its place.
    let back = Stamp { journal: id, attempt: 9, starts: 0 };
    assert!(bench.start(Some(back)).await.is_some());
    assert!(bench.waits());
}

#[tokio::test]
async fn a_crash_while_orders_are_taken_as_sent_goes_on_where_it_was() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(500)).await;
    let bench = bench.put_back().await;
    let (now, rules) = (bench.now(), (*bench.rules).clone());
    let begun = bench.journal.write(move |tx| {
        crate::journal::restore::begin(tx, &InArchive::default(), now)?;
        crate::journal::restore::slice(tx, now, &rules)
    });
    assert_eq!(begun.await.unwrap(), None);
    let some = bench.number("SELECT count(*) FROM orders WHERE state = 2");
    assert!(some > 0 && some < 500, "{some}");
    assert!(bench.claim(9).await.is_empty(), "paused from the first moment");
    assert_eq!(bench.start(None).await, Some(500));
    assert_eq!(bench.number("SELECT count(*) FROM orders WHERE state = 2 AND attempts = 1"), 500);
    bench.recount();
}

#[tokio::test]
async fn a_file_that_was_being_taken_in_when_the_copy_was_made_is_taken_in_to_its_end() {
    let bench = Bench::new().await;
    let (batch, _) = bench.journal.begin_batch(bench.new_batch("stock", 3), bench.now()).await.unwrap();
    let wanted = (1..3).map(|row| OrderFor { imei: imei(row - 1), row }).collect();
    let linked = bench.journal.link_orders(batch, bench.service, wanted, None).await.unwrap();
    let first = NewRow { row: 1, order: Some((linked[0].order, linked[0].link)), why_not: None, raw: vec![] };
    bench.journal.insert_rows(batch, vec![first]).await.unwrap();
    let bench = bench.put_back().await;
    assert_eq!(bench.start(None).await, Some(2));
    bench.recount();
    bench.fill(batch, &imeis(3)).await;
    bench.journal.open_batch(batch, bench.now()).await.unwrap();
    bench.recount();
    assert_eq!(
        bench.tallies(batch),
        [(TallyState::Order(State::Queued), Link::Own, 1), (TallyState::Order(State::InDoubt), Link::Own, 2)]
    );
    for order in linked {
        bench
            .tell(order.order, crate::order::Event::Listed(vec![ProviderOrderId(u64::from(order.row))]))
            .await;
    }
    bench.recount();
}

#[tokio::test]
async fn a_copy_of_one_that_waits_waits_a_quiet_period_of_its_own() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let bench = bench.put_back().await;
    bench.start(None).await;
    bench.pass(QUIET + Duration::from_secs(1));
    let told = || bench.journal.read_here(|view| Ok((view.pauses()?, view.alarms()?))).unwrap();
    let texts = |(pauses, alarms): (Vec<crate::gate::Pause>, Vec<AlarmLine>)| {
        [pauses[0].text.clone(), alarms[0].text.clone()]
    };
    let ends = |end: &str| texts(told()).iter().all(|text| text.ends_with(end));
    assert!(ends(". Drop the provider's export into reconcile, then say imeid resume"), "{:?}", told());
    bench.read_an_export("before the next copy").await;
    assert!(ends("is not in it. An export was read since: say imeid resume"), "{:?}", told());
    let copied = bench.path.with_file_name("again.db");
    std::fs::write(&copied, "").unwrap();
    back_up(&bench.path, &copied, bench.now()).unwrap();
    let bench = Bench { journal: started(&copied), path: copied, ..bench };
    assert!(bench.start(None).await.is_some());
    let pauses = bench.journal.pauses().await.unwrap();
    assert_eq!((pauses.len(), pauses[0].since), (1, bench.now()), "{pauses:?}");
    let early = bench.said(Said::Resume, Target::Everything).await;
    assert!(!early.done && early.text.contains("a quiet period must pass first"), "{early:?}");
    assert!(!early.text.contains("say imeid resume"), "{early:?}");
    // One that only starts again goes on waiting.
    bench.pass(QUIET);
    assert_eq!(bench.start(None).await, None);
    let said = bench.said(Said::Resume, Target::Everything).await;
    assert!(said.text.contains("\nwarning: no export of the provider's was read since"), "{said:?}");
    assert!(said.done && !said.text.contains("say imeid resume"), "{said:?}");
}

#[tokio::test]
async fn nothing_is_claimed_before_the_start_is_counted_and_told() {
    let mut bench = Bench::new().await;
    bench.journal = Journal::open(&bench.path).unwrap();
    let blocked = async |bench: &Bench| {
        bench.journal.begin_attempts(bench.request(9), bench.clock()).await.unwrap().blocked
    };
    assert_eq!((blocked(&bench).await, bench.journal.waits_for_stamp()), (None, false), "nothing to send");
    bench.batch("stock", &imeis(3)).await;
    bench.journal.pause(Scope::All, PauseReason::Operator, "by anna".to_owned(), bench.now()).await.unwrap();
    assert_eq!((blocked(&bench).await, bench.journal.waits_for_stamp()), (Some(Blocked::Paused), false));
    bench.journal.end_pause(Scope::All, PauseReason::Operator, bench.now()).await.unwrap();
    assert_eq!((blocked(&bench).await, bench.journal.waits_for_stamp()), (Some(Blocked::Stamp), true));
    assert_eq!((bench.stamp().starts, bench.number("SELECT count(*) FROM attempts")), (0, 0));
    let stamp = bench.journal.count_start().await.unwrap();
    assert_eq!((stamp.starts, &stamp), (1, &bench.stamp()));
    assert_eq!(bench.journal.count_start().await.unwrap(), stamp, "counted once");
    assert_eq!(blocked(&bench).await, Some(Blocked::Stamp), "not told yet");
    bench.journal.start_is_told();
    assert!(!bench.journal.waits_for_stamp());
    assert_eq!(bench.claim(9).await.len(), 3);
    bench.journal = Journal::open(&bench.path).unwrap();
    assert_eq!(bench.journal.count_start().await.unwrap().starts, 2, "the next process's");
}

#[tokio::test]
async fn a_copy_from_before_a_start_that_sent_is_older_whatever_else_the_stamp_tells() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    bench.order_one(17).await;
    let before = bench.stamp();
    // The process is killed before any of its attempts is told of.
    let Stamp { starts, .. } = bench.journal.count_start().await.unwrap();
    let told = Stamp { starts, ..before.clone() };
    assert_eq!(bench.start(Some(told.clone())).await, None, "the original itself");
    assert_eq!(bench.start(Some(before.clone())).await, None, "a crash before the stamp was written");
    let earlier: Stamp = serde_json::from_str(&format!(
        "{{\"journal\":\"{}\",\"attempt\":{}}}",
        before.journal, before.attempt
    ))
    .unwrap();
    assert_eq!(
        (&earlier, bench.start(Some(earlier.clone())).await),
        (&before, None),
        "by an earlier version"
    );
    let later = Stamp { starts: starts + 1, ..told };
    assert_eq!(bench.start(Some(later)).await, Some(2));
    assert_eq!(bench.alarm_names(), ["older_copy"]);
    assert!(bench.waits() && bench.claim(9).await.is_empty());
    assert_eq!(bench.stamp().starts, starts);
}

#[tokio::test]
async fn a_journal_beside_the_stamp_of_anothers_first_start_waits_for_a_person() {
    let bench = Bench::new().await;
    let other = Stamp { journal: "another".to_owned(), attempt: 0, starts: 1 };
    assert_eq!(bench.start(Some(other)).await, Some(0));
    assert_eq!((bench.alarm_names(), bench.waits()), (vec!["other_journal".to_owned()], true));
}

#[tokio::test]
async fn an_empty_journal_beside_files_that_it_doesnt_know_waits_for_a_person() {
    let files = |stamp| InArchive { stamp, has_originals: true };
    let bench = Bench::new().await;
    assert_eq!(bench.start(None).await, None, "an ordinary first start");
    assert_eq!(bench.start_beside(files(None)).await, Some(0));
    assert_eq!((bench.alarm_names(), bench.waits()), (vec!["other_journal".to_owned()], true));
    // A crash before the stamp was written, and a person's word that it begins all the same.
    assert_eq!(bench.start_beside(files(None)).await, None);
    bench.pass(QUIET);
    assert!(bench.said(Said::Resume, Target::Everything).await.done);
    assert_eq!(bench.start_beside(files(None)).await, None);
    assert!(!bench.waits() && bench.alarm_names().is_empty());

    // The stamp of one that was begun anew and has sent nothing yet acquits no other.
    let bench = Bench::new().await;
    let blank = Stamp { journal: "another".to_owned(), attempt: 0, starts: 0 };
    assert_eq!(bench.start_beside(files(Some(blank))).await, Some(0));

    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    assert_eq!(bench.start_beside(files(None)).await, None, "its own files");
    let bench = Bench::new().await;
    bench.read_an_export("export").await;
    assert_eq!(bench.start_beside(files(None)).await, None, "its own export");
}
