use super::*;

#[tokio::test]
async fn repeats_in_a_file_share_one_order() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &[imei(1), imei(2), imei(1), imei(1)]).await;
    assert_eq!(bench.number("SELECT count(*) FROM orders"), 2);
    assert_eq!(
        bench.tallies(batch),
        [
            (TallyState::Order(State::Queued), Link::Own, 2),
            (TallyState::Order(State::Queued), Link::Joined, 2)
        ]
    );
    assert_eq!(bench.claim(9).await.len(), 2);
}

#[tokio::test]
async fn an_imei_in_work_is_joined_and_one_that_ended_answers_free() {
    let bench = Bench::new().await;
    let first = bench.batch("first", &imeis(2)).await;
    let order = bench.order_one(11).await;
    let told = ProviderOrder {
        id: ProviderOrderId(11),
        imei: Some(imei(0)),
        package: "check".to_owned(),
        status: ProviderStatus::Completed,
        status_raw: "2 Completed".to_owned(),
        code: "Model: X".to_owned(),
        requested_at: String::new(),
        raw: vec![],
    };
    let result = bench.result(order, PollTold::Status(told));
    bench.journal.record_polls(vec![result], bench.now(), (*bench.rules).clone()).await.unwrap();
    let second = bench.batch("second", &imeis(2)).await;
    assert_eq!(
        bench.tallies(second),
        [
            (TallyState::Order(State::Queued), Link::Joined, 1),
            (TallyState::Order(State::Completed), Link::Earlier, 1)
        ]
    );
    let rows = bench.journal.read_here(|view| view.result_rows(second, 0, 10)).unwrap();
    let earlier = rows[0].order.as_ref().unwrap();
    assert_eq!((rows[0].link, earlier.batch_name.as_ref(), earlier.first_row), (Link::Earlier, "first", 1));
    assert_eq!((earlier.code.as_deref(), earlier.charged), (Some("Model: X"), PRICE));
    // The joined row ends as the order ends.
    bench.order_one(12).await;
    assert_eq!(bench.tallies(second)[0], (TallyState::Order(State::Ordered), Link::Joined, 1));
    assert_eq!(bench.tallies(first).len(), 2);
    bench.check_books();
}

#[tokio::test]
async fn an_imei_that_was_refused_is_ordered_anew_and_one_that_may_be_charged_is_not() {
    let bench = Bench::new().await;
    bench.batch("first", &imeis(2)).await;
    let mut tickets = bench.claim(2).await;
    let unclear = Unclear { what: "HTTP 502".to_owned(), ids: vec![], retry_after: None };
    bench.finish(tickets.pop().unwrap(), Placed::Unclear(unclear)).await;
    bench
        .finish(tickets.pop().unwrap(), Placed::NotTaken(NotTaken::InvalidImei("Invalid IMEI: 1".to_owned())))
        .await;
    bench.batch("second", &imeis(2)).await;
    assert_eq!(bench.number("SELECT count(*) FROM orders"), 3);
    assert_eq!(bench.number("SELECT count(*) FROM orders WHERE current = 1"), 2);
    bench.check_books();
}

#[tokio::test]
async fn two_live_orders_for_one_imei_are_impossible_whatever_the_code_does() {
    let bench = Bench::new().await;
    bench.batch("first", &imeis(1)).await;
    let forced = bench
        .journal
        .write(|tx| {
            tx.execute("INSERT INTO orders (service, imei, batch, first_row, state) SELECT service, imei, batch, first_row + 1, 0 FROM orders", [])
        })
        .await;
    assert!(forced.is_err());
    // Nor can a live one be put aside to make room.
    let aside = bench.journal.write(|tx| tx.execute("UPDATE orders SET current = 0", [])).await;
    assert!(aside.is_err());
}

#[tokio::test]
async fn intake_repeated_after_a_crash_changes_nothing() {
    let bench = Bench::new().await;
    let list = [imei(1), imei(2), imei(1)];
    let (id, name) = bench.journal.begin_batch(bench.new_batch("stock", 3), bench.now()).await.unwrap();
    bench.fill(id, &list).await;
    let again = bench.journal.begin_batch(bench.new_batch("stock", 3), bench.now()).await.unwrap();
    assert_eq!(again, (id, name));
    bench.fill(id, &list).await;
    bench.journal.open_batch(id, bench.now()).await.unwrap();
    assert_eq!(bench.number("SELECT count(*) FROM orders"), 2);
    assert_eq!(bench.number("SELECT count(*) FROM rows"), 3);
    bench.check_books();
}

#[tokio::test]
async fn a_batch_whose_rows_are_not_all_there_does_not_open() {
    let bench = Bench::new().await;
    let (id, _) = bench.journal.begin_batch(bench.new_batch("stock", 3), bench.now()).await.unwrap();
    bench.fill(id, &[imei(1), imei(2)]).await;
    assert!(bench.journal.open_batch(id, bench.now()).await.is_err());
    assert!(bench.claim(9).await.is_empty(), "nothing of it is sent");
}

#[tokio::test]
async fn a_name_in_the_outbox_is_given_once() {
    let bench = Bench::new().await;
    let mut names = Vec::new();
    for key in ["a", "b", "c"] {
        let new = NewBatch {
            key: key.to_owned(),
            occupied: BTreeSet::from(["stock-2".to_owned()]),
            ..bench.new_batch("stock", 0)
        };
        names.push(bench.journal.begin_batch(new, bench.now()).await.unwrap().1);
    }
    assert_eq!(names, ["stock", "stock-3", "stock-4"]);
}

#[tokio::test]
async fn a_refusal_keeps_its_name() {
    let bench = Bench::new().await;
    let refuse = |key: &str| {
        bench.journal.refuse_file(
            key.to_owned(),
            "a.b.xlsx".to_owned(),
            "why".to_owned(),
            BTreeSet::new(),
            bench.now(),
        )
    };
    assert_eq!(refuse("1").await.unwrap().dest_name, "a.b.xlsx");
    assert_eq!(refuse("2").await.unwrap().dest_name, "a.b-2.xlsx");
    assert_eq!(refuse("1").await.unwrap().dest_name, "a.b.xlsx");
}

#[tokio::test]
async fn a_file_that_changed_while_it_was_taken_in_begins_anew_under_its_name() {
    let bench = Bench::new().await;
    let (batch, name) = bench.journal.begin_batch(bench.new_batch("stock", 3), bench.now()).await.unwrap();
    bench.fill(batch, &imeis(3)).await;
    // A row of another file waits for an order of this one.
    let other = bench.batch("other", &[imei(1)]).await;
    let changed = || NewBatch { sha256: "other".to_owned(), ..bench.new_batch("stock", 2) };
    assert_eq!(bench.journal.begin_batch(changed(), bench.now()).await.unwrap(), (batch, name.clone()));
    assert_eq!(bench.number("SELECT count(*) FROM rows WHERE id >> 32 = 1"), 0);
    assert_eq!(bench.tallies(other), [(TallyState::Order(State::Queued), Link::Own, 1)]);
    bench.check_books();
    bench.fill(batch, &[imei(5), imei(1)]).await;
    bench.journal.open_batch(batch, bench.now()).await.unwrap();
    assert_eq!(
        bench.tallies(batch),
        [
            (TallyState::Order(State::Queued), Link::Own, 1),
            (TallyState::Order(State::Queued), Link::Joined, 1)
        ]
    );
    let imeis: Vec<Imei> = bench.claim(9).await.iter().map(|ticket| ticket.imei().unwrap()).collect();
    assert_eq!(imeis.len(), 2, "{imeis:?}");
    // The same file again, after a crash, changes nothing.
    assert_eq!(bench.journal.begin_batch(changed(), bench.now()).await.unwrap(), (batch, name));
    bench.check_books();
}

#[tokio::test]
async fn a_file_that_changed_and_is_refused_leaves_nothing_to_send() {
    let bench = Bench::new().await;
    let new = bench.new_batch("stock", 2);
    let (batch, _) = bench.journal.begin_batch(new.clone(), bench.now()).await.unwrap();
    bench.fill(batch, &imeis(2)).await;
    let refuse = || {
        let (key, name) = (new.key.clone(), new.file_name.clone());
        bench.journal.refuse_file(key, name, "no".to_owned(), BTreeSet::new(), bench.now())
    };
    let refused = refuse().await.unwrap();
    assert_eq!(refuse().await.unwrap(), refused);
    assert_eq!(bench.journal.open_file(new.key.clone()).await.unwrap(), Some(OpenFile::Refused(refused)));
    assert_eq!(bench.number("SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM rows)"), 0);
    assert_eq!(bench.journal.read_here(|view| view.busy_batches()).unwrap().len(), 0);
    bench.check_books();
}

#[tokio::test]
async fn a_taken_file_that_is_gone_is_an_alarm_once_and_begins_anew_when_it_comes_back() {
    let bench = Bench::new().await;
    let new = bench.new_batch("stock", 2);
    let (batch, _) = bench.journal.begin_batch(new.clone(), bench.now()).await.unwrap();
    bench.fill(batch, &imeis(2)).await;
    let there = BTreeSet::from([new.key.clone()]);
    bench.journal.take_back_without_file(there, bench.now()).await.unwrap();
    assert_eq!(bench.number("SELECT count(*) FROM rows"), 2);
    for _ in 0..2 {
        bench.journal.take_back_without_file(BTreeSet::new(), bench.now()).await.unwrap();
    }
    assert_eq!(bench.number("SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM rows)"), 0);
    assert_eq!(bench.number("SELECT count(*) FROM alarms WHERE name = 'file_gone'"), 1);
    bench.journal.begin_batch(new, bench.now()).await.unwrap();
    bench.fill(batch, &imeis(2)).await;
    bench.journal.open_batch(batch, bench.now()).await.unwrap();
    assert_eq!(bench.claim(9).await.len(), 2);
    bench.check_books();
}

#[tokio::test]
async fn a_file_that_was_written_to_after_it_was_taken_is_an_alarm() {
    let bench = Bench::new().await;
    let batch = bench.batch("stock", &imeis(1)).await;
    let archived = |bytes| bench.journal.batch_archived(batch, "/a/stock.csv".to_owned(), bytes, bench.now());
    archived(0).await.unwrap();
    assert_eq!(bench.number("SELECT count(*) FROM alarms"), 0);
    archived(7).await.unwrap();
    assert_eq!(bench.number("SELECT count(*) FROM alarms WHERE name = 'file_changed' AND batch = 1"), 1);
}

/// Rows and orders go into the journal by groups: whatever stands in a group, each row gets the order of its IMEI.
#[tokio::test]
async fn in_groups_too_each_row_gets_the_order_of_its_imei() {
    let bench = Bench::new().await;
    let known: Vec<Imei> = (0..60).filter(|n| n % 7 == 0).map(imei).collect();
    bench.batch("known", &known).await;
    // Repeats in the middle of a group and across two; known ones among the first; a rest that is no group.
    let mut list: Vec<Imei> = (0..100).rev().map(imei).collect();
    list.extend([imei(9), imei(9), imei(50)]);
    list.extend((120..170).map(imei));
    let (batch, _) =
        bench.journal.begin_batch(bench.new_batch("stock", list.len()), bench.now()).await.unwrap();
    for _ in 0..2 {
        // The second time as after a crash: nothing changes.
        bench.fill(batch, &list).await;
        assert_eq!(bench.number("SELECT count(*) FROM orders"), 150);
        assert_eq!(bench.number("SELECT count(*) FROM rows WHERE id >> 32 = 2"), 153);
    }
    bench.journal.open_batch(batch, bench.now()).await.unwrap();
    for (imei, row) in list.iter().zip(1u32..) {
        let (of, first_row, link): (i64, i64, i64) = bench
            .journal
            .read_here(|view| {
                view.find(
                    "SELECT o.imei, o.first_row, rows.link FROM rows JOIN orders o ON o.id = rows.order_id WHERE rows.id = ?1",
                    [RowId::new(batch, row).0],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
            })
            .unwrap()
            .unwrap();
        assert_eq!(u64::try_from(of), Ok(imei.as_u64()), "row {row}");
        assert_eq!(
            link == 0,
            first_row == RowId::new(batch, row).0,
            "row {row}: its own order, or another's"
        );
    }
    let own = bench.number("SELECT count(*) FROM rows WHERE id >> 32 = 2 AND link = 0");
    assert_eq!(own, 150 - 9);
    bench.check_books();
}

#[tokio::test]
async fn a_group_of_rows_of_which_some_are_there_is_counted_once() {
    let bench = Bench::new().await;
    let list = imeis(64);
    let (batch, _) = bench.journal.begin_batch(bench.new_batch("stock", 64), bench.now()).await.unwrap();
    let wanted: Vec<OrderFor> =
        list.iter().zip(1u32..).map(|(imei, row)| OrderFor { imei: *imei, row }).collect();
    let linked = bench.journal.link_orders(batch, bench.service, wanted, None).await.unwrap();
    let row = |row: &RowOrder| NewRow {
        row: row.row,
        order: Some((row.order, row.link)),
        why_not: None,
        raw: vec![7],
    };
    // The first twenty were committed before a crash.
    let rows: Vec<NewRow> = linked.iter().map(row).collect();
    bench.journal.insert_rows(batch, rows[..20].to_vec()).await.unwrap();
    bench.journal.insert_rows(batch, rows).await.unwrap();
    bench.journal.open_batch(batch, bench.now()).await.unwrap();
    assert_eq!(bench.tallies(batch), [(TallyState::Order(State::Queued), Link::Own, 64)]);
    bench.check_books();
}
