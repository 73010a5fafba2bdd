//! The provider's export, held against a real journal.

use super::*;
use crate::order::Event;

pub(super) const COMPLETED: u8 = 2;
pub(super) const REJECTED: u8 = 3;
pub(super) const PENDING: u8 = 1;

impl Bench {
    /// A row whose date is placed at `at` of our clock, give or take two seconds: a line like no other.
    pub(super) fn row(&self, n: u32, status: u8, at: Timestamp) -> ExportRow {
        static LINES: AtomicI64 = AtomicI64::new(0);
        ExportRow {
            line: u64::from(n) + 2,
            service: self.service.0,
            imei: imei(n).as_u64(),
            status,
            code: format!("Model: {n}"),
            cells: ExportedCells {
                carrier: "Unlocked".into(),
                rejected: status == REJECTED,
                ..ExportedCells::default()
            },
            told_at: Some(at.millis()),
            placed: Some((at.millis() - 2000, at.millis() + 2000)),
            raw: format!("line {}", LINES.fetch_add(1, Ordering::Relaxed)),
        }
    }

    pub(super) async fn sort(&self, rows: Vec<ExportRow>) -> Vec<Sorted> {
        let sorted = self.journal.sort_export(rows, self.now(), (*self.rules).clone()).await.unwrap();
        self.recount();
        sorted
    }

    /// Both steps, as for an export that holds nothing else.
    pub(super) async fn export(&self, rows: Vec<ExportRow>) -> Vec<SettledBy> {
        let sorted = self.sort(rows).await;
        let wanted = sorted.into_iter().map(|sorted| match sorted {
            Sorted::Wanted(row) => *row,
            other => panic!("{other:?}"),
        });
        self.settle(wanted.collect()).await
    }

    pub(super) async fn settle(&self, rows: Vec<ExportRow>) -> Vec<SettledBy> {
        let settled = self.journal.settle_by_export(rows, self.now(), (*self.rules).clone()).await.unwrap();
        self.recount();
        settled
    }

    fn alarms(&self) -> i64 {
        self.number("SELECT count(*) FROM alarms")
    }

    /// Everything that says something of orders and money.
    pub(super) fn picture(&self) -> Vec<String> {
        let sql = "SELECT group_concat(x, ';') FROM (SELECT id || ',' || state || ',' || charged || ',' || presumed || ',' \
             || inferred || ',' || unaccounted || ',' || has_result || ',' || current AS x FROM orders ORDER BY id)";
        let orders: String =
            self.journal.read_here(|view| view.find(sql, [], |row| row.get(0))).unwrap().unwrap();
        let count = |table: &str| self.number(&format!("SELECT count(*) FROM {table}"));
        vec![
            orders,
            count("ledger").to_string(),
            count("attempts").to_string(),
            count("alarms").to_string(),
            count("results").to_string(),
        ]
    }
}

#[tokio::test]
async fn a_doubt_is_settled_by_the_row_that_was_ordered_since() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    let began = bench.now();
    let doubt = bench.doubt_one().await;
    assert_eq!(bench.export(vec![bench.row(0, COMPLETED, began)]).await, [SettledBy::Settled]);
    assert_eq!(bench.state(doubt), State::Completed);
    let shown = bench.row_of(batch, 1).order.unwrap();
    assert_eq!((shown.charged, shown.code.as_deref()), (PRICE, Some("Model: 0")));
    assert_eq!(shown.exported.unwrap().carrier, "Unlocked");
}

#[tokio::test]
async fn t15_a_row_from_before_the_first_attempt_is_not_this_order() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let by_hand = bench.now();
    bench.pass(Duration::from_secs(10));
    let doubt = bench.doubt_one().await;
    let settled = bench.export(vec![bench.row(0, COMPLETED, by_hand)]).await;
    assert_eq!(settled, [SettledBy::Unmatched(Unmatched::Before)]);
    assert_eq!(bench.state(doubt), State::InDoubt);
    assert_eq!(bench.number("SELECT reserved FROM totals WHERE scope = 'day'"), PRICE.micros());
}

#[tokio::test]
async fn a_row_whose_date_can_not_be_placed_settles_nothing() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    let row = ExportRow { placed: None, ..bench.row(0, COMPLETED, bench.now()) };
    assert_eq!(bench.export(vec![row]).await, [SettledBy::Unmatched(Unmatched::NoDate)]);
    assert_eq!(bench.state(doubt), State::InDoubt);
}

#[tokio::test]
async fn t15_the_other_attempts_of_a_settled_order_stay_presumed() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let began = bench.now();
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.said_of(Said::NotOrdered, 0).await;
    bench.doubt_one().await;
    bench.export(vec![bench.row(0, REJECTED, began)]).await;
    assert_eq!(bench.state(doubt), State::Rejected);
    assert_eq!(bench.number("SELECT charged FROM orders"), 1);
    assert_eq!(bench.number("SELECT presumed FROM orders"), 1);
    assert_eq!(bench.number("SELECT refund FROM totals WHERE scope = 'day'"), PRICE.micros());
}

#[tokio::test]
async fn an_order_that_is_in_it_twice_is_held_with_one_alarm_however_often_it_is_read() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let began = bench.now();
    let doubt = bench.doubt_one().await;
    let rows = vec![bench.row(0, COMPLETED, began), bench.row(0, PENDING, began.plus(QUIET))];
    for _ in 0..3 {
        bench.export(rows.clone()).await;
        assert_eq!(bench.state(doubt), State::Held);
        assert_eq!(bench.alarms(), 1);
        assert_eq!(bench.number("SELECT charged FROM orders"), 2);
    }
}

#[tokio::test]
async fn read_again_an_export_changes_nothing() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(4)).await;
    let began = bench.now();
    bench.order_one(17).await;
    bench.doubt_one().await;
    bench.doubt_one().await;
    let rows: Vec<ExportRow> = [(0, COMPLETED), (1, COMPLETED), (2, PENDING), (3, COMPLETED), (4, REJECTED)]
        .into_iter()
        .map(|(n, status)| bench.row(n, status, began))
        .collect();
    let mut before = None;
    for _ in 0..3 {
        for sorted in bench.sort(rows.clone()).await {
            if let Sorted::Wanted(row) = sorted {
                bench.settle(vec![*row]).await;
            }
        }
        let picture = bench.picture();
        assert_eq!(before.get_or_insert_with(|| picture.clone()), &picture);
    }
    assert_eq!(bench.alarms(), 0);
}

#[tokio::test]
async fn a_row_for_an_order_on_the_wire_is_kept_for_its_answer() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let began = bench.now();
    let mut tickets = bench.claim(2).await;
    for n in 0..2 {
        assert_eq!(bench.export(vec![bench.row(n, COMPLETED, began)]).await, [SettledBy::Kept]);
    }
    let rules = || (*bench.rules).clone();
    assert_eq!(bench.journal.use_kept_rows(bench.now(), rules()).await.unwrap(), 2);
    let unclear = Unclear { what: "timed out".into(), ids: vec![], retry_after: None };
    bench.finish(tickets.pop().unwrap(), Placed::Unclear(unclear)).await;
    bench.finish(tickets.pop().unwrap(), Placed::Taken(ProviderOrderId(17))).await;
    assert_eq!(bench.journal.use_kept_rows(bench.now(), rules()).await.unwrap(), 0);
    assert_eq!(bench.state(bench.current(0)), State::Ordered, "its answer told more");
    assert_eq!(bench.state(bench.current(1)), State::Completed);
    assert_eq!(bench.number("SELECT count(*) FROM kept_rows"), 0);
    bench.recount();
}

#[tokio::test]
async fn nothing_in_an_export_makes_an_order_of_ours_look_unpaid() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(4)).await;
    let ordered = bench.order_one(17).await;
    let rejected = bench.order_one(18).await;
    bench.reject(rejected, 18, 1).await;
    let doubt = bench.doubt_one().await;
    bench.pass(QUIET);
    bench.said_of(Said::NotOrdered, 2).await;
    bench.said_of(Said::Cancel, 2).await;
    let charged = bench.number("SELECT charged FROM totals WHERE scope = 'day'");
    for status in [PENDING, COMPLETED, REJECTED] {
        let rows: Vec<ExportRow> = (0..3).map(|n| bench.row(n, status, Timestamp::from_millis(5))).collect();
        for sorted in bench.sort(rows).await {
            match sorted {
                Sorted::Wanted(row) => {
                    bench.settle(vec![*row]).await;
                }
                Sorted::Turned(row) => {
                    let (now, rules) = (bench.now(), (*bench.rules).clone());
                    let turned =
                        bench.journal.turn_by_export(vec![*row], Some(now), now, rules).await.unwrap();
                    assert_eq!(turned, [TurnedBy::NotOurs]);
                }
                other => assert!(matches!(other, Sorted::Ours(_)), "{other:?}"),
            }
        }
    }
    assert_eq!(bench.number("SELECT charged FROM totals WHERE scope = 'day'"), charged);
    assert_eq!(bench.state(ordered), State::Ordered);
    assert_eq!(bench.state(rejected), State::Rejected);
    assert_eq!(
        (bench.state(doubt), bench.number("SELECT count(*) FROM orders WHERE inferred = 1")),
        (State::Cancelled, 1)
    );
}

#[tokio::test]
async fn an_order_made_anew_is_not_settled_by_the_row_of_the_one_before() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let began = bench.now();
    let old = bench.order_one(17).await;
    bench.reject(old, 17, 0).await;
    bench.said_of(Said::Retry, 0).await;
    let row = || bench.row(0, REJECTED, began);
    assert_eq!(bench.sort(vec![row()]).await, [Sorted::Ours(None)]);
    assert_eq!(bench.state(bench.current(0)), State::Queued);
    // In doubt a second later: its own row could have that date as well.
    bench.pass(Duration::from_secs(1));
    let doubt = bench.doubt_one().await;
    assert_eq!(bench.export(vec![row()]).await, [SettledBy::Unmatched(Unmatched::OlderOrder)]);
    assert_eq!(bench.state(doubt), State::InDoubt);
}

#[tokio::test]
async fn an_order_that_was_given_up_is_answered_and_not_charged_again() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let began = bench.now();
    let order = bench.order_one(17).await;
    let given_up = bench.result(order, PollTold::GivenUp("for too long".into()));
    bench.journal.record_polls(vec![given_up], bench.now(), (*bench.rules).clone()).await.unwrap();
    bench.export(vec![bench.row(0, COMPLETED, began)]).await;
    assert_eq!(bench.state(order), State::Completed);
    assert_eq!(bench.number("SELECT charged FROM totals WHERE scope = 'day'"), PRICE.micros());
}

#[tokio::test]
async fn an_order_of_ours_with_an_id_tells_when_it_was_ordered() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let began = bench.now();
    let ticket = bench.claim(1).await.pop().unwrap();
    bench.pass(Duration::from_secs(3));
    bench.finish(ticket, Placed::Taken(ProviderOrderId(17))).await;
    let told = bench.sort(vec![bench.row(0, PENDING, began)]).await;
    assert_eq!(told, [Sorted::Ours(Some((began, bench.now())))]);
}

#[tokio::test]
async fn an_id_that_is_listed_after_an_export_is_put_to_the_charge_that_is_booked() {
    let bench = Bench::new().await;
    let (doubt, mut listing) = bench.with_witnesses().await;
    bench.export(vec![bench.row(1, PENDING, bench.now())]).await;
    assert_eq!(bench.state(doubt), State::OrderedNoId);
    let charged = bench.number("SELECT charged FROM totals WHERE scope = 'day'");
    listing.push(bench.told(15, imei(1), ProviderStatus::Pending));
    bench.judge(listing).await;
    assert_eq!(bench.state(doubt), State::Ordered);
    assert_eq!(bench.number("SELECT charged FROM totals WHERE scope = 'day'"), charged);
    assert_eq!(bench.number("SELECT order_id FROM charges WHERE provider_id = 15"), doubt.0);
    bench.recount();
}

#[tokio::test]
async fn the_second_id_of_an_order_that_an_export_showed_twice_is_no_third_charge() {
    let bench = Bench::new().await;
    let (doubt, mut listing) = bench.with_witnesses().await;
    let rows = vec![bench.row(1, PENDING, bench.now()), bench.row(1, PENDING, bench.now())];
    bench.export(rows).await;
    assert_eq!((bench.state(doubt), bench.alarms()), (State::Held, 1));
    let charged = bench.number("SELECT charged FROM totals WHERE scope = 'day'");
    listing.push(bench.told(15, imei(1), ProviderStatus::Pending));
    bench.judge(listing).await;
    assert_eq!(bench.state(doubt), State::Ordered);
    for id in [16, 17] {
        bench.tell(doubt, Event::LateId(ProviderOrderId(id))).await;
        bench.recount();
        let third = if id == 17 { PRICE.micros() } else { 0 };
        assert_eq!(bench.number("SELECT charged FROM totals WHERE scope = 'day'"), charged + third, "{id}");
    }
    assert_eq!(bench.alarms(), 2, "a third one is told of");
    assert_eq!(bench.number(&format!("SELECT count(DISTINCT n) FROM charges WHERE order_id = {doubt}")), 3);
    bench.check_books();
}

#[tokio::test]
async fn a_line_that_stands_twice_is_one_order_and_so_is_one_from_before_it_was_finished() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(2)).await;
    let began = bench.now();
    let doubts = [bench.doubt_one().await, bench.doubt_one().await];
    let row = bench.row(0, COMPLETED, began);
    let pasted = ExportRow { line: 9, ..row.clone() };
    bench.export(vec![row, pasted]).await;
    // Two downloads in one file: the first of before the answer.
    bench.export(vec![bench.row(1, PENDING, began), bench.row(1, COMPLETED, began)]).await;
    assert_eq!(doubts.map(|doubt| bench.state(doubt)), [State::Completed; 2]);
    assert_eq!((bench.number("SELECT sum(charged) FROM orders"), bench.alarms()), (2, 0));
    bench.check_books();
}

#[tokio::test]
async fn a_row_that_two_exports_kept_for_an_answer_is_one_order() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let row = bench.row(0, COMPLETED, bench.now());
    let ticket = bench.claim(1).await.pop().unwrap();
    for line in [2, 7] {
        bench.export(vec![ExportRow { line, ..row.clone() }]).await;
    }
    let unclear = Unclear { what: "timed out".into(), ids: vec![], retry_after: None };
    bench.finish(ticket, Placed::Unclear(unclear)).await;
    bench.journal.use_kept_rows(bench.now(), (*bench.rules).clone()).await.unwrap();
    assert_eq!((bench.state(bench.current(0)), bench.alarms()), (State::Completed, 0));
    assert_eq!(bench.number("SELECT charged FROM orders"), 1);
}

#[tokio::test]
async fn two_orders_of_an_imei_are_booked_and_a_third_one_is_told_of() {
    let bench = Bench::new().await;
    bench.batch("stock", &imeis(1)).await;
    let doubt = bench.doubt_one().await;
    let mut rows = Vec::new();
    for line in 2..5 {
        rows.push(ExportRow { line, ..bench.row(0, COMPLETED, bench.now()) });
        bench.pass(Duration::from_secs(1));
    }
    let more = [SettledBy::Settled, SettledBy::Settled, SettledBy::Unmatched(Unmatched::More)];
    for _ in 0..2 {
        assert_eq!(bench.export(rows.clone()).await, more);
        assert_eq!((bench.state(doubt), bench.number("SELECT charged FROM orders")), (State::Held, 2));
    }
    assert_eq!(bench.alarms(), 1);
}
