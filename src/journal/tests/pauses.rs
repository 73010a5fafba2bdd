//! Pauses that a person begins and ends, and what they keep from being sent.

use super::*;
use crate::gate::Scope;
use crate::order::PauseReason;

impl Bench {
    async fn reasons(&self) -> Vec<(Scope, &'static str)> {
        let pauses = self.journal.pauses().await.unwrap();
        pauses.iter().map(|pause| (pause.scope, pause.reason.as_str())).collect()
    }

    async fn pause(&self, scope: Scope, reason: PauseReason) {
        self.journal.pause(scope, reason, "why".to_owned(), self.now()).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_claimed_before_a_pause_is_not_let_go_after_it() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    let ticket = bench.claim(1).await.pop().unwrap();
    assert!(bench.journal.lets_go(&ticket));
    for target in [Target::Everything, Target::service(bench.service)] {
        assert!(bench.said(Said::Pause, target).await.done);
        assert!(!bench.journal.lets_go(&ticket));
        assert!(bench.claim(1).await.is_empty());
        assert!(bench.said(Said::Resume, target).await.done);
        assert!(bench.journal.lets_go(&ticket));
    }
    bench.pause(Scope::Service(ServiceId(bench.service.0 + 1)), PauseReason::Operator).await;
    assert!(bench.journal.lets_go(&ticket), "another service's pause is none of its");
    bench.journal.return_attempt(ticket).await.unwrap().unwrap();
}

#[tokio::test]
async fn one_that_waited_through_a_pause_does_not_pass_for_the_one_that_finds_out() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    let waits = bench.claim(1).await.pop().unwrap();
    bench.pause(Scope::All, PauseReason::Credit).await;
    bench.journal.pause_tried(Scope::All, PauseReason::Credit, true, bench.now()).await.unwrap();
    assert!(!bench.journal.lets_go(&waits));
    bench.journal.return_attempt(waits).await.unwrap().unwrap();
    let tickets = bench.claim(9).await;
    assert_eq!(tickets.len(), 1);
    for ticket in tickets {
        assert!(bench.journal.lets_go(&ticket) && goes_apart(&ticket));
        bench.finish(ticket, Placed::Taken(ProviderOrderId(7))).await;
    }
    assert!(bench.reasons().await.is_empty());
}

#[tokio::test]
async fn a_persons_pause_is_there_after_a_restart_and_is_never_tried_by_itself() {
    let mut bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    bench.said(Said::Pause, Target::Everything).await;
    let elsewhere = Journal::open(&bench.path.with_file_name("other.db")).unwrap();
    bench.journal = elsewhere;
    bench.journal = started(&bench.path);
    assert_eq!(bench.reasons().await, [(Scope::All, "operator")]);
    assert_eq!(bench.journal.pauses().await.unwrap()[0].next_try, None);
    assert!(bench.claim(9).await.is_empty());
    assert!(bench.said(Said::Resume, Target::Everything).await.done);
    assert_eq!(bench.claim(9).await.len(), 1);
}

#[tokio::test]
async fn going_on_ends_what_waits_for_a_person_and_tells_what_stays() {
    let bench = Bench::new().await;
    let service = Scope::Service(bench.service);
    bench.pause(service, PauseReason::Canary).await;
    bench.pause(service, PauseReason::Operator).await;
    bench.pause(Scope::All, PauseReason::Disk).await;
    bench.pause(Scope::All, PauseReason::Credit).await;
    bench.pass(Duration::from_secs(1));
    let answer = bench.said(Said::Resume, Target::service(bench.service)).await;
    assert!(answer.done && answer.text.contains("still paused: everything: disk"), "{answer:?}");
    assert_eq!(bench.reasons().await, [(Scope::All, "credit"), (Scope::All, "disk")]);
    let answer = bench.said(Said::Resume, Target::Everything).await;
    assert!(answer.text.contains("being tried now (imeid status shows whether it went): everything: credit"));
    let pauses = bench.journal.pauses().await.unwrap();
    assert_eq!(pauses[0].next_try, Some(bench.now()));
    bench.journal.end_pause(Scope::All, PauseReason::Credit, bench.now()).await.unwrap();
    let nothing = bench.said(Said::Resume, Target::Everything).await;
    assert!(!nothing.done && nothing.text.contains("once there is space"), "{nothing:?}");
    bench.journal.end_pause(Scope::All, PauseReason::Disk, bench.now()).await.unwrap();
    assert!(bench.said(Said::Resume, Target::Everything).await.text.contains("nothing is paused"));
}

#[tokio::test]
async fn an_alarm_is_told_once_it_is_seen_and_shown_no_more() {
    let bench = Bench::new().await;
    let accuse = |text: &str| {
        let name = crate::order::Alarm::Balance;
        bench.journal.balance_accuses("main".to_owned(), name, text.to_owned(), bench.now())
    };
    accuse("it fell").await.unwrap();
    let open = || bench.journal.read_here(View::alarms).unwrap();
    let n = open()[0].n;
    assert!(bench.journal.probes_are_unsafe("main".to_owned()).await.unwrap());
    let answer = bench.said(Said::Ack, Target::Alarm(n)).await;
    assert!(answer.done && answer.text.contains("balance: it fell"), "{answer:?}");
    assert!(open().is_empty());
    assert!(!bench.journal.probes_are_unsafe("main".to_owned()).await.unwrap());
    assert!(bench.said(Said::Ack, Target::Alarm(n)).await.text.contains("seen before"));
    assert!(!bench.said(Said::Ack, Target::Alarm(n + 1)).await.done);
    assert!(!bench.said(Said::Pause, Target::Alarm(n)).await.done);
    assert!(!bench.said_of(Said::Pause, 0).await.done);
}

#[tokio::test]
async fn what_fits_under_the_cap_goes_though_its_own_claim_reached_it() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(3)).await;
    let request = ClaimRequest { per_day: PRICE.checked_mul(2), ..bench.request(9) };
    let tickets = bench.journal.begin_attempts(request, bench.clock()).await.unwrap().tickets;
    assert_eq!((tickets.len(), bench.reasons().await), (2, vec![(Scope::All, "cap")]));
    for (ticket, id) in tickets.into_iter().zip(17..) {
        assert!(bench.journal.lets_go(&ticket));
        bench.finish(ticket, Placed::Taken(ProviderOrderId(id))).await;
    }
}

#[tokio::test]
async fn the_cap_is_told_once_when_it_is_reached_and_once_when_it_is_over() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(6)).await;
    let request = || ClaimRequest { per_day: PRICE.checked_mul(2), ..bench.request(9) };
    let claim = || async { bench.journal.begin_attempts(request(), bench.clock()).await.unwrap().tickets };
    let told = || {
        ["pause", "pause ended"].map(|what| {
            bench.number(&format!(
                "SELECT count(*) FROM events WHERE what = '{what}' AND detail LIKE 'all cap%'"
            ))
        })
    };
    let text = || async { bench.journal.pauses().await.unwrap().pop().unwrap().text };
    let mut tickets = claim().await;
    assert_eq!((tickets.len(), told()), (2, [1, 0]));
    // Each comes back free, and the next goes in its place.
    for left in [3, 2, 1, 0] {
        bench.finish(tickets.remove(0), Placed::NotTaken(NotTaken::InvalidImei("no".to_owned()))).await;
        tickets.extend(claim().await);
        assert_eq!((tickets.len(), told()), (2, [1, 0]), "{left} are left");
        assert!(text().await.starts_with("0.16 of 0.16 a day"), "{}", text().await);
    }
    // One is turned away and waits: the day is as good as full, and what is shown is true.
    let wait = Duration::from_secs(5);
    bench.finish(tickets.remove(0), Placed::NotTaken(NotTaken::Throttled(Some(wait)))).await;
    assert!(claim().await.is_empty());
    assert!(text().await.starts_with("0.08 of 0.16 a day"), "{}", text().await);
    bench.pass(wait);
    tickets.extend(claim().await);
    assert_eq!((tickets.len(), told()), (2, [1, 0]));
    // Nothing waits any more.
    bench.finish(tickets.remove(0), Placed::NotTaken(NotTaken::InvalidImei("no".to_owned()))).await;
    assert!(claim().await.is_empty());
    assert_eq!(told(), [1, 1]);
    assert!(bench.reasons().await.is_empty());
    bench.finish(tickets.remove(0), Placed::Taken(ProviderOrderId(7))).await;
}

#[tokio::test]
async fn a_services_pause_is_told_by_the_services_name() {
    let bench = Bench::new().await;
    let service = Scope::Service(bench.service);
    bench.pause(service, PauseReason::Operator).await;
    bench.journal.end_pause(service, PauseReason::Operator, bench.now()).await.unwrap();
    for told in [
        "'pause' AND detail = 'service:check operator: why'",
        "'pause ended' AND detail = 'service:check operator'",
    ] {
        assert_eq!(bench.number(&format!("SELECT count(*) FROM events WHERE what = {told}")), 1, "{told}");
    }
}
