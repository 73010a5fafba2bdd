mod bench;

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::balance::{Baseline, Books};
use crate::gate::Scope;
use crate::inbox::{Waiting, Why};
use crate::meter::{Cause, Standstill};
use crate::order::PauseReason;
use crate::types::{BatchId, Money, NetworkId, Placed, ProviderOrderId, Unclear};
use bench::{Bench, NOW, clock, config};

/// What differs from run to run is set.
fn steady(mut status: Status) -> Status {
    status.version = "1.2.3".to_owned();
    status.daemon.pid = status.daemon.pid.map(|_| 4711);
    status.disk = Disk { journal_bytes: Some(5_000_000), free_bytes: Some(50_000_000_000) };
    status
}

/// Everything that a status can show.
async fn busy() -> (Bench, Status) {
    let bench = Bench::new().await;
    bench.batch("stock", 0, 4).await;
    let mut tickets = bench.claim(3).await;
    let unclear = Unclear { what: "timed out".to_owned(), ids: vec![], retry_after: None };
    bench.finish(tickets.remove(0), Placed::Taken(ProviderOrderId(501))).await;
    bench.finish(tickets.remove(0), Placed::Unclear(unclear)).await;
    bench.batch("big", 100, 2).await;
    bench.plant("UPDATE batches SET state = 2, held_for = 'confirm_above' WHERE name = 'big'");
    bench.batch("last", 200, 0).await;
    bench.journal.published(BatchId(3), "last.results.csv".to_owned(), true, NOW).await.unwrap();
    let service = Scope::Service(bench.service);
    bench.journal.pause(service, PauseReason::Service, "Invalid value".to_owned(), NOW).await.unwrap();
    bench.plant(&format!(
        "INSERT INTO alarms (at, name, text) VALUES ({}, 'double_charge', 'IMEI 1 was ordered twice')",
        NOW.minus(Duration::from_secs(90)).millis()
    ));
    let at = NOW.minus(Duration::from_secs(300));
    // Of 0.40 that is due, 0.24 can have been in the first balance.
    let due = Books { refund_due: Money::from_micros(400_000), ..Books::default() };
    let told = Money::from_micros(150_000_000);
    let first = Baseline::first(at, told, Books::default(), 0).with_unclear(Money::from_micros(240_000));
    let balance = first.followed_by(at, told, (due, 0), Money::ZERO);
    let last = bench.journal.read_here(|view| view.last_line()).unwrap();
    assert!(bench.journal.set_baseline("reseller".to_owned(), balance, last.n).await.unwrap());
    bench.note(|_| ()).await;
    let _lock = bench.lock();
    let status = steady(bench.read());
    drop(tickets);
    (bench, status)
}

#[tokio::test]
async fn the_json_has_every_field() {
    let (_bench, status) = busy().await;
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&status).unwrap());
}

#[tokio::test]
async fn people_are_shown_files_pauses_alarms_orders_and_money() {
    let (_bench, status) = busy().await;
    insta::assert_snapshot!("text", text::text(&status));
}

#[tokio::test]
async fn what_is_presumed_is_told_beside_what_is_charged_and_not_in_it() {
    let bench = Bench::new().await;
    bench.batch("stock", 0, 4).await;
    let ticket = bench.claim(1).await.remove(0);
    bench.finish(ticket, Placed::Taken(ProviderOrderId(501))).await;
    bench.plant("UPDATE totals SET presumed = 160000");
    let status = bench.read();
    let json = serde_json::to_value(&status).unwrap();
    let (today, batch) = (&json["money"]["today"], &json["batches"][0]);
    assert_eq!((&today["charged"], &today["presumed"]), (&"0.08".into(), &"0.16".into()));
    assert_eq!((&batch["cost"], &batch["presumed"]), (&"0.08".into(), &"0.16".into()));
    let text = text::text(&status);
    assert!(text.contains("Today    0.08 charged, 0.16 presumed, "), "{text}");
    assert!(text.contains("0.08, 0.16 presumed  "), "{text}");
    assert!(
        text.contains(" allowed (what is presumed counts too, until the provider's list or export"),
        "{text}"
    );
}

#[tokio::test]
async fn fewer_workers_than_are_allowed_are_shown_beside_those_that_are() {
    let bench = Bench::new().await;
    let _lock = bench.lock();
    bench.batch("stock", 0, 4).await;
    let _tickets = bench.claim(1).await;
    bench.note(|live| live.workers = 12).await;
    let status = bench.read();
    assert_eq!((status.workers.limit, status.workers.ceiling), (Some(12), Some(30)));
    let text = text::text(&status);
    assert!(text.contains("Workers  1 of 12 busy (30 are allowed), "), "{text}");
}

#[tokio::test]
async fn an_export_that_waits_and_a_reconcile_that_is_gone_are_shown() {
    let bench = Bench::new().await;
    let _lock = bench.lock();
    let lies = |name: &str| Waiting { name: name.to_owned(), why: Why::BeingWritten, since: NOW };
    bench.note(|live| live.reconcile = vec![lies("export.csv")]).await;
    let status = bench.read();
    assert!(!status.needs_attention());
    let text = text::text(&status);
    assert!(text.contains("In reconcile\n  export.csv: being written, for 0s\n"), "{text}");
    bench.note(|live| live.reconcile = vec![lies(".")]).await;
    let status = bench.read();
    assert!(status.needs_attention());
    let text = text::text(&status);
    assert!(text.contains("  reconcile itself: it is gone or can't be looked into, for 0s; "), "{text}");
}

#[tokio::test]
async fn workers_are_busy_with_what_is_submitting_however_old_the_daemons_note_is() {
    let bench = Bench::new().await;
    let _lock = bench.lock();
    bench.batch("stock", 0, 40).await;
    let busy = |bench: &Bench| {
        let Status { workers, orders, .. } = bench.read();
        (workers.busy, workers.limit, orders.submitting)
    };
    bench.note(|live| live.busy = 30).await;
    assert_eq!(busy(&bench), (Some(0), Some(30), 0), "they have ended since");
    let _few = bench.claim(4).await;
    bench.note(|live| (live.busy, live.workers) = (0, 4)).await;
    assert_eq!(busy(&bench), (Some(4), Some(4), 4), "they have begun since");
    let _more = bench.claim(16).await;
    assert_eq!(busy(&bench), (Some(4), Some(4), 20), "the others wait for a worker");
    bench.note(|live| (live.busy, live.workers) = (20, 1)).await;
    assert_eq!(busy(&bench), (Some(20), Some(20), 20), "those that hang, in an outage");
}

#[tokio::test]
async fn each_order_in_doubt_says_what_it_waits_for_and_until_when() {
    let bench = Bench::new().await;
    bench.batch("stock", 0, 30).await;
    for ticket in bench.claim(24).await {
        let unclear = Unclear { what: "timed out".to_owned(), ids: vec![], retry_after: None };
        bench.finish(ticket, Placed::Unclear(unclear)).await;
    }
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    let begins = |order: i64, ago: Duration| {
        let at = NOW.minus(ago).millis();
        let rested = if ago > Duration::from_secs(120) { "1" } else { "NULL" };
        bench.plant(&format!(
            "UPDATE orders SET doubt_first = {at}, doubt_since = {at}, rested_after = {rested} WHERE id = {order}"
        ));
    };
    (1..=24).for_each(|order| begins(order, Duration::from_secs(30)));
    (2..=4).for_each(|order| begins(order, hours(2)));
    let lacks = "the provider's list of orders doesn't show whether it was taken: ";
    bench.plant(&format!(
        "UPDATE orders SET held_for = '{}no order of ours is in it that was sent after this one''s quiet period: the \
         next ones will be' WHERE id = 3",
        lacks.replace('\'', "''")
    ));
    bench.plant(&format!(
        "UPDATE orders SET held_for = '{}it is cut off' WHERE id = 4",
        lacks.replace('\'', "''")
    ));
    let waits = |status: &Status, n: usize| (status.doubts[n].waits_for, status.doubts[n].until);
    let status = bench.read();
    let held = Some(NOW.plus(hours(70)));
    assert_eq!(waits(&status, 0), (WaitsFor::QuietPeriod, Some(NOW.plus(Duration::from_secs(90)))));
    assert_eq!(waits(&status, 1), (WaitsFor::Listing, held));
    assert_eq!(waits(&status, 2), (WaitsFor::NewerOrders, held));
    assert_eq!(waits(&status, 3), (WaitsFor::Proof, held));
    let text = text::text(&status);
    for line in [
        "350000000000014 (iphone-check): waits for its quiet period (1m30s more, in doubt for 30s)",
        "waits for newer orders of yours: a list that has one shows whether this one was taken (else held in 2d22h, in doubt for 2h00m)",
        "your imeid resolve: the provider's list of orders doesn't show whether it was taken: it is cut off (else held",
        "\n  and 4 more\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    bench.journal.set_fact("lists_nothing", "reseller".to_owned()).await.unwrap();
    let status = bench.read();
    assert_eq!(waits(&status, 0).0, WaitsFor::QuietPeriod);
    assert_eq!(waits(&status, 2), (WaitsFor::Probe, Some(NOW.plus(hours(22)))));
    bench.plant(&format!("UPDATE orders SET held_for = '{}' WHERE id = 3", crate::journal::WAITS_FOR_WORD));
    let status = bench.read();
    assert_eq!(waits(&status, 2), (WaitsFor::Word, Some(NOW.plus(hours(22)))));
    assert!(text::text(&status).contains("waits for you: the alarm duplicates says why"));
    // Also where only the daemon found out, for itself, that nothing is listed.
    bench.journal.set_fact("lists_nothing", "another".to_owned()).await.unwrap();
    assert_eq!(waits(&bench.read(), 2), (WaitsFor::Word, Some(NOW.plus(hours(22)))));
    assert_eq!(waits(&bench.read(), 1), (WaitsFor::Listing, held));
    bench.journal.set_fact("refuses_to_list", "reseller".to_owned()).await.unwrap();
    assert_eq!(waits(&bench.read(), 1), (WaitsFor::Probe, Some(NOW.plus(hours(22)))));
    assert!(text::text(&bench.read()).contains("waits for its turn to be sent once more"));
    bench.journal.pause(Scope::All, PauseReason::Cap, "the cap".to_owned(), NOW).await.unwrap();
    let text = text::text(&bench.read());
    assert!(text.contains("waits for the end of the pause cap, to be sent once more"), "{text}");
}

#[test]
fn before_the_first_start_there_is_no_journal_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    fs::create_dir(&config.folders.inbox).unwrap();
    fs::write(config.folders.inbox.join("a.csv"), "x").unwrap();
    let status = Status::read(&config, &clock()).unwrap();
    assert_eq!(status.daemon.state, DaemonState::Stopped);
    assert_eq!(status.disk.journal_bytes, None);
    assert!(status.needs_attention());
    let text = text::text(&status);
    assert!(text.contains("no journal yet") && text.contains("a.csv: waits for the daemon"), "{text}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is made");
}

#[tokio::test]
async fn a_note_of_a_daemon_that_is_gone_says_nothing_of_now() {
    let bench = Bench::new().await;
    bench.batch("stock", 0, 4).await;
    bench.note(|live| live.draining = true).await;
    let stopped = bench.read();
    assert_eq!(
        stopped.daemon,
        Daemon { running: false, pid: None, since: None, state: DaemonState::Stopped }
    );
    assert_eq!((stopped.rate_per_s, stopped.batches[0].eta, stopped.inbox.len()), (None, None, 0));

    bench.note(|live| live.pid += 1).await;
    let _lock = bench.lock();
    let another = bench.read();
    assert_eq!((another.daemon.pid, another.daemon.since), (Some(std::process::id()), None));
    assert_eq!((another.rate_per_s, another.batches[0].eta), (None, None));
}

#[tokio::test]
async fn a_daemon_is_idle_working_paused_or_draining() {
    let bench = Bench::new().await;
    let _lock = bench.lock();
    bench.note(|_| ()).await;
    assert_eq!(bench.read().daemon.state, DaemonState::Idle);
    assert!(!bench.read().needs_attention(), "nothing is wrong");
    bench.batch("stock", 0, 4).await;
    assert_eq!(bench.read().daemon.state, DaemonState::Working);
    assert!(!bench.read().needs_attention(), "work is nothing wrong");
    bench.journal.pause(Scope::All, PauseReason::Credit, String::new(), NOW).await.unwrap();
    assert_eq!(bench.read().daemon.state, DaemonState::Paused);
    bench.note(|live| live.draining = true).await;
    assert_eq!(bench.read().daemon.state, DaemonState::Draining);
}

#[tokio::test]
async fn an_outage_is_a_pause_with_its_reason_and_next_try_while_there_is_something_to_send() {
    let bench = Bench::new().await;
    let _lock = bench.lock();
    let next_try = NOW.plus(Duration::from_secs(4));
    let why = "HTTP 502".to_owned();
    let outage = Standstill { cause: Cause::Outage, why, since: Some(NOW), next_try: Some(next_try) };
    bench.note(|live| live.standstill = Some(outage.clone())).await;
    assert_eq!((bench.read().pauses, bench.read().daemon.state), (vec![], DaemonState::Idle));
    bench.batch("stock", 0, 4).await;
    let status = bench.read();
    assert_eq!(status.daemon.state, DaemonState::Paused);
    assert!(status.needs_attention());
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["pauses"][0]["reason"], "outage");
    assert_eq!(json["pauses"][0]["text"], "HTTP 502");
    assert_eq!(json["pauses"][0]["next_try"], next_try.to_string());
    let told = text::text(&status);
    assert!(told.contains("everything: outage: HTTP 502 (for 0s, tried again in 4s)"), "{told}");
    bench.note(|live| live.standstill = Some(Standstill { next_try: None, ..outage })).await;
    let told = text::text(&bench.read());
    assert!(told.contains("(for 0s, it is being tried)"), "{told}");
}

#[tokio::test]
async fn an_alarm_a_pause_something_held_or_no_daemon_wants_a_person() {
    let bench = Bench::new().await;
    bench.batch("stock", 0, 4).await;
    assert!(bench.read().needs_attention(), "no daemon");
    let _lock = bench.lock();
    for (plant, mend) in [
        ("INSERT INTO alarms (at, name, text) VALUES (1, 'journal', '')", "UPDATE alarms SET acked_at = 2"),
        ("INSERT INTO pauses (scope, reason, text, since) VALUES (0, 'cap', '', 1)", "DELETE FROM pauses"),
        ("UPDATE batches SET state = 2", "UPDATE batches SET state = 1"),
        ("UPDATE tallies SET state = 5 WHERE state = 0", "UPDATE tallies SET state = 0 WHERE state = 5"),
    ] {
        assert!(!bench.read().needs_attention(), "before {plant}");
        bench.plant(plant);
        assert!(bench.read().needs_attention(), "{plant}");
        bench.plant(mend);
    }
}

#[tokio::test]
async fn files_that_take_turns_hold_each_other_up() {
    let bench = Bench::new().await;
    bench.batch("large", 0, 100).await;
    bench.batch("small", 1_000, 10).await;
    bench.note(|live| live.per_1000_s = 1_000).await;
    let _lock = bench.lock();
    let eta = |status: &Status, at: usize| status.batches[at].eta.map(|eta| eta.since(NOW).as_secs());
    let status = bench.read();
    assert_eq!((eta(&status, 0), eta(&status, 1)), (Some(110), Some(20)));
    bench.journal.pause(Scope::All, PauseReason::Credit, String::new(), NOW).await.unwrap();
    assert_eq!(eta(&bench.read(), 0), None, "nothing is sent");
    bench.journal.end_pause(Scope::All, PauseReason::Credit, NOW).await.unwrap();
    assert_eq!(eta(&bench.read(), 0), Some(110));
    let outage = Standstill { cause: Cause::Outage, why: "HTTP 502".to_owned(), since: None, next_try: None };
    bench.note(|live| (live.per_1000_s, live.standstill) = (1_000, Some(outage))).await;
    assert_eq!(eta(&bench.read(), 0), None, "the provider is out");
}

#[tokio::test]
async fn a_batch_names_the_newest_of_its_results() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock: 1", 0, 1).await;
    assert_eq!(bench.read().batches[0].result, None);
    for (kind, done) in [("results", false), ("settled", true), ("settled-2", false), ("settled-3", true)] {
        let file = format!("stock: 1.{kind}.csv");
        bench.journal.published(batch, file.clone(), done, NOW).await.unwrap();
        assert_eq!(bench.read().batches[0].result, Some(file));
    }
}

#[tokio::test]
async fn names_cannot_steer_a_terminal() {
    let (_bench, mut status) = busy().await;
    status.batches[0].name = "\u{1b}[2Jstock\nforged".to_owned();
    status.inbox[0].name = "\u{202e}vsc\r".to_owned();
    status.alarms[0].text = "\u{9b}31m".to_owned();
    let text = text::text(&status);
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}', '\r']), "{text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("forged")), "{text}");
}

#[tokio::test]
async fn with_an_error_in_the_configuration_the_journal_is_read_all_the_same() {
    let bench = Bench::new().await;
    bench.batch("stock", 0, 4).await;
    bench.note(|live| live.workers = 12).await;
    let lock = bench.lock();
    let errors = crate::config::parse("[budget]\nper_day = 20\n", Path::new("/etc/imeid.toml")).unwrap_err();
    let read = || Status::read_without_config(&bench.config.journal.path, &errors, &clock()).unwrap();
    let (status, with) = (read(), bench.read());
    assert_eq!((&status.daemon, &status.orders), (&with.daemon, &with.orders));
    assert_eq!((&status.batches, &status.inbox), (&with.batches, &with.inbox));
    assert_eq!(status.pauses, [], "which services there are isn't known");
    assert_eq!((status.workers.ceiling, status.money.today.per_day), (None, None));
    assert_eq!((status.config_errors.len(), with.config_errors.len()), (errors.errors().len(), 0));
    let told = text::text(&status);
    assert!(
        told.contains("goes on with what it read before") && told.contains("/etc/imeid.toml:2:"),
        "{told}"
    );
    assert!(told.contains("stock") && !told.contains("no limit") && !told.contains("allowed"), "{told}");
    drop(lock);
    let told = text::text(&read());
    assert!(told.contains("no daemon starts with it") && told.contains("stock"), "{told}");
}

#[test]
fn a_journal_that_cannot_be_read_says_whom_status_is_for() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("journal.db")).unwrap();
    let error = Status::read(&config(dir.path()), &clock()).unwrap_err();
    assert!(error.to_string().contains("the user that imeid runs as"), "{error}");
}

#[test]
fn a_journal_that_is_none_is_called_damaged_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("journal.db"), "this is no journal, and long enough to be looked at as one")
        .unwrap();
    let error = Status::read(&config(dir.path()), &clock()).unwrap_err().to_string();
    assert!(error.contains("is damaged") && error.contains("put the last copy"), "{error}");
    assert!(!error.contains("the user that imeid runs as"), "{error}");
}

#[tokio::test]
async fn orders_of_a_service_that_is_no_longer_configured_are_shown_and_want_a_person() {
    let mut bench = Bench::new().await;
    bench.batch("stock", 0, 4).await;
    bench.note(|_| ()).await;
    let _lock = bench.lock();
    assert!(bench.read().pauses.is_empty() && !bench.read().needs_attention());
    bench.config.services[0].network_id = NetworkId("1740".to_owned());
    let status = bench.read();
    assert!(status.needs_attention());
    let [pause] = &status.pauses[..] else { panic!("{:?}", status.pauses) };
    assert_eq!((pause.service.as_deref(), pause.reason), (Some("iphone-check"), "service"));
    assert!(
        pause.text.starts_with("4 orders wait") && pause.text.contains("network_id 1739"),
        "{}",
        pause.text
    );
    assert_eq!(status.batches[0].eta, None, "it is never sent");
    bench.config.services[0].network_id = NetworkId("1739".to_owned());
    bench.config.provider.account = "other".to_owned();
    assert!(bench.read().pauses[0].text.contains("of the account reseller"));
}
