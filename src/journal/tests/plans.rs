use super::*;

/// What runs while a million rows are there must not read them all.
#[tokio::test]
async fn no_hot_statement_scans_a_table_that_grows() {
    let bench = Bench::new().await;
    for sql in [
        "SELECT id FROM orders WHERE state = 0 AND batch = 1 AND due_at <= 5 ORDER BY due_at, id LIMIT 3",
        "SELECT min(due_at) FROM orders WHERE state = 0 AND batch = 1 AND due_at > 5",
        "SELECT id FROM orders WHERE state IN (1, 2, 4, 5) AND state = 2 AND probe_ok = 1 AND due_at <= 5 ORDER BY due_at, id LIMIT 3",
        "SELECT min(due_at) FROM orders WHERE state IN (1, 2, 4, 5) AND state = 2 AND probe_ok = 1 AND due_at > 5",
        "SELECT max(doubt_since) FROM orders WHERE state IN (1, 2, 4, 5) AND state = 2 AND rested_after IS NULL",
        "SELECT id FROM orders WHERE state IN (1, 2, 4, 5) AND state = 2 AND rested_after IS NULL AND doubt_since <= 5",
        "SELECT id FROM orders WHERE state IN (1, 2, 4, 5) AND state = 2 AND doubt_since > 5",
        "SELECT id FROM orders WHERE state IN (1, 2, 4, 5) AND state IN (2, 4, 5) AND provider_id IS NULL ORDER BY id",
        "SELECT id FROM orders WHERE presumed > 0 AND provider_id IS NOT NULL AND state <> 1 AND rested_after IS NULL AND doubt_since <= 5",
        "SELECT id FROM orders WHERE presumed > 0 AND provider_id IS NOT NULL AND rested_after IS NULL AND doubt_since > 5",
        "SELECT id FROM orders WHERE presumed > 0 AND provider_id IS NOT NULL AND state <> 1 ORDER BY rested_after, id",
        "SELECT max(doubt_since) FROM orders WHERE presumed > 0 AND provider_id IS NOT NULL",
        "SELECT 1 FROM orders WHERE state IN (1, 2, 4, 5) AND state = 2 UNION ALL SELECT 1 FROM orders \
             WHERE presumed > 0 AND provider_id IS NOT NULL LIMIT 1",
        "SELECT id FROM orders WHERE state IN (1, 2, 4, 5) AND state = 1",
        "SELECT count(*) FROM orders WHERE state IN (1, 2, 4, 5) AND state = 1 AND (NULL IS NULL OR service = 1)",
        "SELECT id FROM orders WHERE state = 0 AND inferred > 0 ORDER BY id",
        "SELECT id FROM orders WHERE state = 3 AND due_at <= 5 ORDER BY due_at, id LIMIT 3",
        "SELECT min(due_at) FROM orders WHERE state = 3",
        "SELECT id FROM orders WHERE state = 3 AND due_at > 5 ORDER BY due_at, id LIMIT 3",
        "SELECT id FROM orders WHERE service = 1 AND imei = 1 AND current = 1",
        "SELECT id FROM orders WHERE service = 1 AND imei = 1 AND current = 0 LIMIT 1",
        "SELECT id FROM rows WHERE order_id = 1 AND link = 1",
        "SELECT id FROM rows WHERE order_id = 1 AND link IN (2, 4)",
        "SELECT id FROM requests WHERE done_at IS NULL ORDER BY id LIMIT 100",
        "SELECT provider_id FROM charges WHERE order_id = 1",
        "SELECT id FROM orders WHERE state = 0 AND batch = 1 ORDER BY due_at, id LIMIT 3",
        "SELECT id FROM batches WHERE state NOT IN (4, 5) AND cancelled_at IS NOT NULL AND EXISTS (SELECT 1 \
             FROM tallies WHERE tallies.batch = batches.id AND tallies.state = 0 AND tallies.link = 0 AND n > 0)",
        "SELECT count(*) FROM attempts WHERE verdict IS NULL AND kind = 1",
        "SELECT coalesce(sum(price), 0) FROM attempts WHERE verdict IS NULL AND day = 1",
        "SELECT n FROM attempts WHERE order_id = 1 AND verdict IS NULL",
        "SELECT n FROM attempts WHERE order_id = 1 AND verdict = 3 ORDER BY n LIMIT 1",
        "SELECT provider_id FROM charges WHERE account = 'a' AND provider_id BETWEEN 1 AND 2",
    ] {
        let plan = bench
            .journal
            .read_here(|view| {
                view.all(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get::<_, String>(3))
            })
            .unwrap()
            .join("; ");
        let scans = plan.split("; ").any(|step| {
            step.starts_with("SCAN")
                && !step.contains("USING INDEX")
                && !step.contains("USING COVERING INDEX")
        });
        assert!(!scans, "{sql}: {plan}");
    }
}
